"""Users' arrays ⇄ stored columns: numbers, booleans, strings, categoricals, dates, channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.constants import AGGREGATIONS
from zarr_vectors.encoding.categorical import (
    decode_categories,
    decode_datetimes,
    encode_categories,
    encode_datetimes,
)
from zarr_vectors.exceptions import ArgumentError, ShapeError, UnsupportedFeatureError
from zarr_vectors.formats.documents import plain_value
from zarr_vectors.formats.tokens import VERSION_REMEDY
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.typing import AnyArray

_RESERVED = frozenset(
    [
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)),
        "zarr.json",
    ]
)
_MAX_NAME_BYTES = 200
_DESCRIBED = ("unit", "description", "channel_names", "aggregation", "extra")
_PLAIN = (None, "raw", "dictionary", "datetime64", "fixed_length_utf32")
"""Encodings whose values are as they are stored, those that lack what they need among them."""

SpecLike = AttributeSpec | Mapping[str, Any] | None


def check_name(argument: str, name: Any) -> str:
    """Return a name that may become a folder, or refuse it.

    Raises
    ------
    ArgumentError
        When the name is empty, would leave its folder, or cannot be a folder on some file system.
    """
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"{argument}: names must be non-empty strings, got {name!r}")
    bad = {c for c in name if c in '/\\:*?"<>|' or ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000}
    if bad:
        raise ArgumentError(f"{argument}: the name {name!r} holds {sorted(bad)}, which no folder name may")
    if name.startswith((".", "__")) or name.endswith((".", " ")) or name.lower() in _RESERVED:
        raise ArgumentError(f"{argument}: the name {name!r} cannot be the name of a folder everywhere")
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise ArgumentError(f"{argument}: the name {name[:40]!r}… is longer than {_MAX_NAME_BYTES} bytes")
    return name


def make_column(
    argument: str,
    name: str,
    values: Any,
    count: int,
    per: str,
    spec: SpecLike = None,
    *,
    dictionary: bool = True,
) -> Column:
    """Turn an array that a user gave into a stored column.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    name : str
        Name of the attribute.
    values : array-like, (n,) or (n, C)
        Numbers, booleans, strings, datetimes, or a pandas Categorical or Series.
    count : int
        Rows needed.
    per : str
        What there is one row for, for messages ("vertex", "object", …).
    spec : AttributeSpec or mapping, optional
        ``unit``, ``description``, ``channel_names``, ``aggregation`` (the mode of coarse levels).
    dictionary : bool
        Whether strings become dictionary codes (vertices, fragments, links) or stay strings (objects, groups).

    Raises
    ------
    ShapeError
        When the number of rows differs; names the attribute and both lengths.
    ArgumentError
        When the data type cannot be stored.
    """
    check_name(argument, name)
    stored, made = _stored(argument, name, values, dictionary)
    if stored.ndim not in (1, 2):
        raise ShapeError(f"{argument}: {name!r} must have shape (n,) or (n, C), got {stored.shape}")
    if stored.ndim == 2 and stored.shape[1] == 0:
        raise ShapeError(f"{argument}: {name!r} has shape {stored.shape}; there must be at least one channel")
    if len(stored) != count:
        raise ShapeError(f"{argument}: {name!r} has {len(stored)} rows, but there must be {count}, one per {per}")
    return Column(stored, _described(argument, name, made, stored, spec))


def _stored(argument: str, name: str, values: Any, dictionary: bool) -> tuple[AnyArray, AttributeSpec]:
    if _is_categorical(values):
        return _categorical(values, dictionary)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"{argument}: {name!r} is no array, since its rows differ in length: {error}") from error
    if array.dtype.kind == "M":
        counts, unit = encode_datetimes(array)
        return counts, AttributeSpec(dtype="int64", encoding="datetime64", time_unit=unit)
    if array.dtype.kind in "USTO":
        try:
            return _categorical(values, dictionary)
        except (TypeError, ArgumentError) as error:
            raise ArgumentError(f"{argument}: {name!r} (dtype {array.dtype}) cannot be stored: {error}") from error
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ArgumentError(
            f"{argument}: {name!r} has dtype {array.dtype}; expected numbers of at most 64 bits, booleans, strings, "
            "categoricals or datetimes"
        )
    return array, AttributeSpec(dtype=array.dtype.name)


def _is_categorical(values: Any) -> bool:
    dtype = getattr(values, "dtype", None)
    return hasattr(values, "categories") or (dtype is not None and hasattr(dtype, "categories"))


def _categorical(values: Any, dictionary: bool) -> tuple[AnyArray, AttributeSpec]:
    encoded = encode_categories(values)
    if dictionary:
        return encoded.codes, AttributeSpec(
            dtype=encoded.codes.dtype.name,
            encoding="dictionary",
            categories=tuple(encoded.categories),
            ordered=encoded.ordered,
            fill=encoded.fill,
        )
    decoded = decode_categories(encoded.codes, encoded.categories, encoded.fill)
    text = np.array(["" if v is None else str(v) for v in decoded.reshape(-1).tolist()], dtype=np.str_)
    text = text.reshape(decoded.shape)
    return text, AttributeSpec(dtype=text.dtype.str, encoding="fixed_length_utf32")


def _parse_spec(name: str, given: SpecLike) -> AttributeSpec:
    if given is None or isinstance(given, AttributeSpec):
        return given or AttributeSpec()
    if not isinstance(given, Mapping):
        raise ArgumentError(f"attribute_specs: expected a mapping for {name!r}, got {type(given).__name__}")
    unknown = [key for key in given if key not in _DESCRIBED]
    if unknown:
        raise ArgumentError(
            f"attribute_specs: {unknown} of {name!r} cannot be set; {', '.join(_DESCRIBED)} can (the data type is that "
            "of the array)"
        )
    mode = given.get("aggregation")
    if mode is not None and mode not in AGGREGATIONS:
        raise ArgumentError(
            f"attribute_specs: aggregation of {name!r}: expected one of {', '.join(AGGREGATIONS)}, got {mode!r}"
        )
    names = given.get("channel_names")
    return AttributeSpec(**{**given, "channel_names": None if names is None else tuple(names)})


def _described(argument: str, name: str, made: AttributeSpec, stored: AnyArray, given: SpecLike) -> AttributeSpec:
    spec = _parse_spec(name, given)
    channels = spec.channel_names
    if stored.ndim == 1 and channels is not None:
        raise ShapeError(f"{argument}: {name!r} is scalar, but {len(channels)} channel names were given")
    if stored.ndim == 2:
        channels = tuple(channels or (f"ch{c}" for c in range(stored.shape[1])))
        if len(channels) != stored.shape[1]:
            raise ShapeError(
                f"{argument}: {name!r} has {stored.shape[1]} channels, but {len(channels)} channel names were given"
            )
    return replace(
        made,
        unit=spec.unit,
        description=spec.description,
        channel_names=channels,
        aggregation=spec.aggregation,
        extra=dict(spec.extra),
    )


def redescribed(argument: str, name: str, spec: AttributeSpec, given: SpecLike) -> AttributeSpec:
    """Return what is said of a stored attribute, changed as given; what a mapping does not name stays as it was.

    Raises
    ------
    ShapeError, ArgumentError
        When there are more or fewer channel names than channels, or a key is unknown.
    """
    if given is None:
        return spec
    parsed = _parse_spec(name, given)
    changed = {key: getattr(parsed, key) for key in (given if isinstance(given, Mapping) else _DESCRIBED)}
    channels = changed.pop("channel_names", None)
    if channels is not None and len(channels) != spec.channels:
        held = "is scalar" if spec.channels is None else f"has {spec.channels} channels"
        raise ShapeError(f"{argument}: {name!r} {held}, but {len(channels)} channel names were given")
    return replace(spec, **changed, channel_names=channels or spec.channel_names)


def decode_column(column: Column) -> AnyArray:
    """Return the values of a stored column as users hold them.

    Categories become strings (or the type of the categories; None where a value is missing), counts of a
    time unit become ``datetime64``; everything else is as stored.

    Raises
    ------
    UnsupportedFeatureError
        When the values are encoded in a way that is not known here.
    """
    spec, values = column.spec, column.values
    if spec.encoding == "dictionary" and spec.categories is not None:
        return decode_categories(values, [plain_value(c) for c in spec.categories], spec.fill)
    if spec.encoding == "datetime64" and spec.time_unit:
        return decode_datetimes(values, spec.time_unit)
    if spec.encoding not in _PLAIN:
        raise UnsupportedFeatureError(
            f"an attribute is encoded as {spec.encoding!r:.100}, which this version does not read; leave it out by "
            f"attributes=, or {VERSION_REMEDY}"
        )
    if spec.dtype == "bool" and values.dtype != np.bool_:
        return values.astype(np.bool_)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
