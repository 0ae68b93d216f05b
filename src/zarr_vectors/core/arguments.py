"""What callers of the low-level functions give, checked: whole numbers, names, mappings, bytes, fill values."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, MetadataError
from zarr_vectors.storage.documents import document_bytes
from zarr_vectors.typing import Bytes, Document


def as_whole(name: str, value: Any, *, at_least: int | None = None) -> int:
    """Return a whole number; NumPy's integers are such, booleans, floats and strings are none."""
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None or (at_least is not None and number < at_least):
        least = "" if at_least is None else f" from {at_least}"
        raise ArgumentError(f"{name}: expected a whole number{least}, got {value!r}")
    return number


def as_extents(name: str, values: Any, count: int | None = None) -> tuple[int, ...]:
    """Return positive whole numbers, one for each of `count` axes."""
    try:
        listed = list(values)
        numbers = tuple(as_whole(name, value, at_least=1) for value in listed)
    except (TypeError, ArgumentError):
        listed, numbers = [], ()
    if (not numbers and count != 0) or (count is not None and len(numbers) != count):
        wanted = "one positive whole number per axis" + ("" if count is None else f", {count} in all")
        raise ArgumentError(f"{name}: expected {wanted}, got {values!r:.80}")
    return numbers


def as_names(name: str, values: Any) -> tuple[str, ...]:
    """Return a list of strings."""
    listed = None if isinstance(values, str | bytes) or not isinstance(values, Iterable) else list(values)
    if listed is None or not all(isinstance(value, str) for value in listed):
        raise ArgumentError(f"{name}: expected a list of strings, got {values!r:.80}")
    return tuple(listed)


def as_mapping(name: str, value: Any) -> Document:
    """Return a mapping with strings as keys as a dictionary of its own."""
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{name}: expected a mapping with strings as keys, got {value!r:.80}")
    for key in value:
        if not isinstance(key, str):
            raise ArgumentError(f"{name}: expected strings as keys, got {key!r:.80}")
    return dict(value)


def as_document(name: str, value: Any) -> Document:
    """Return a mapping that can be written as JSON."""
    document = as_mapping(name, value)
    try:
        document_bytes(document)
    except MetadataError as error:
        raise ArgumentError(f"{name}: {error}") from error
    return document


def as_fill_value(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a fill value that a data type of numbers can hold; what is no number is returned as it is."""
    number = np.asarray(value) if value is not None else np.asarray("")
    if number.ndim or number.dtype.kind not in "biufcO" or dtype.kind not in "biufc":
        return value
    fits = False
    if number.dtype.kind != "O" and (number.dtype.kind != "c" or dtype.kind == "c"):
        with np.errstate(all="ignore"):
            stored = number.astype(dtype)
        special = dtype.kind in "fc" and not np.isfinite(number)
        fits = bool(stored == number) or special or (dtype.kind in "fc" and bool(np.isfinite(stored)))
    if not fits:
        raise ArgumentError(f"fill_value: {value!r} is no {dtype.name}, the data type of the array")
    return value


def as_blobs(name: str, values: Any) -> list[Bytes]:
    """Return a list of bytes-like objects, which are not copied."""
    if isinstance(values, str | bytes | bytearray | memoryview | np.ndarray) or not isinstance(values, Iterable):
        raise ArgumentError(f"{name}: expected a sequence of bytes-like objects, got {type(values).__name__}")
    listed = list(values)
    for place, value in enumerate(listed):
        try:
            contiguous = memoryview(value).c_contiguous
        except (TypeError, ValueError, BufferError):
            raise ArgumentError(
                f"{name}: expected bytes-like objects, got {type(value).__name__} {value!r:.60} at {place}"
            ) from None
        listed[place] = value if contiguous else memoryview(value).tobytes()
    return listed


def as_bytes(name: str, data: Any) -> bytes:
    """Return the bytes of a bytes-like object."""
    try:
        return memoryview(data).tobytes()
    except (TypeError, ValueError, BufferError) as error:
        raise ArgumentError(f"{name}: expected a bytes-like object, got {type(data).__name__} {data!r:.60}") from error
