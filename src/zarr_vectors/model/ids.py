"""Users' ids of objects as int64: exactly those that were given, or refused."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

NOBODY = -1
"""What results say where a vertex is of no object."""
_WHOLE_FLOATS = 2**53
_LIMITS = np.iinfo(np.int64)


def parse_ids(argument: str, given: Any, *, missing: int | None = None) -> IntArray:
    """Return ids as int64, in the shape that they were given in.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    given : integers
        A number, sequence or array of them, also of pandas, Arrow and polars, of Python integers of any size, and
        floats that are whole numbers which a float holds exactly.
    missing : int, optional
        What stands for ids that are missing (None, NaN, NA, null, masked); they are refused unless it is given.

    Raises
    ------
    ArgumentError
        When they are not whole numbers within int64, or one is missing; names the first and where it stands.
    """
    values, lacks = _numbers(argument, given)
    if lacks is not None and lacks.any():
        if missing is None:
            raise ArgumentError(
                f"{argument}: number {_first(lacks)} is missing; leave out what is of no object, or give it an id"
            )
        values = np.where(lacks, missing, values)
    return values.astype(np.int64, copy=False)


def _numbers(argument: str, given: Any) -> tuple[AnyArray, BoolArray | None]:
    """Return whole numbers within int64 and, where some may be missing, which are."""
    if isinstance(given, np.ma.MaskedArray):
        values, _ = _numbers(argument, given.filled(0) if given.dtype != object else given.filled(None))
        return values, np.asarray(np.ma.getmaskarray(given))
    array = _as_array(argument, given)
    if array.size == 0:
        return np.zeros(array.shape, np.int64), None
    kind = array.dtype.kind
    if kind == "O":
        return _of_objects(argument, array)
    if kind == "f":
        return _of_floats(argument, array)
    if kind not in "iu":
        raise _not_whole(argument, array)
    if kind == "u" and int(array.max()) > _LIMITS.max:
        raise _beyond(argument, int(array.max()))
    return array, None


def _as_array(argument: str, given: Any) -> AnyArray:
    """Return an array that holds every number exactly: of objects where NumPy would make floats of them."""
    if isinstance(given, np.ndarray):
        return given
    if isinstance(given, (set, frozenset, range)):
        given = list(given)
    if (
        not isinstance(getattr(given, "dtype", np.dtype(int)), np.dtype)
        and hasattr(given, "isna")
        and given.isna().any()
    ):
        given = given.to_numpy(dtype=object)  # nullable columns of pandas, which NumPy would make floats of
    nulls = getattr(given, "null_count", 0)  # Arrow has a number, polars a method
    if nulls() if callable(nulls) else nulls:
        given = given.to_pylist() if hasattr(given, "to_pylist") else given.to_list()
    try:
        array = np.asarray(given)
        if array.dtype.kind == "f" and isinstance(given, (list, tuple)):
            array = np.array(given, dtype=object)
    except (ValueError, OverflowError, TypeError) as error:
        raise ArgumentError(f"{argument}: expected whole numbers, got {type(given).__name__}: {error}") from error
    return array


def _of_objects(argument: str, array: AnyArray) -> tuple[IntArray, BoolArray]:
    flat = array.reshape(-1).tolist()
    lacks = np.fromiter((_is_missing(value) for value in flat), bool, len(flat))
    numbers = [0 if gone else _whole(argument, array, value) for value, gone in zip(flat, lacks.tolist(), strict=True)]
    return np.array(numbers, np.int64).reshape(array.shape), lacks.reshape(array.shape)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _whole(argument: str, array: AnyArray, value: Any) -> int:
    if isinstance(value, (float, np.floating)) and abs(float(value)) <= _WHOLE_FLOATS and float(value).is_integer():
        return int(value)
    if isinstance(value, (bool, np.bool_)):
        raise _not_whole(argument, array, value)
    try:
        number = int(index(value))
    except TypeError:
        raise _not_whole(argument, array, value) from None
    if not _LIMITS.min <= number <= _LIMITS.max:
        raise _beyond(argument, number)
    return number


def _of_floats(argument: str, array: AnyArray) -> tuple[AnyArray, BoolArray]:
    lacks = np.isnan(array)
    numbers = np.where(lacks, 0, array)
    wrong = ~((numbers == np.floor(numbers)) & (np.abs(numbers) <= _WHOLE_FLOATS))
    if wrong.any():
        raise _not_whole(argument, array, array.reshape(-1)[_first(wrong)])
    return numbers.astype(np.int64), lacks


def _first(which: BoolArray) -> int:
    return int(np.flatnonzero(which)[0])


def _not_whole(argument: str, array: AnyArray, value: Any = None) -> ArgumentError:
    named = "" if value is None else f", among them {value!r}"
    floats = " (floats hold all of them up to 2**53 only)" if array.dtype.kind == "f" else ""
    return ArgumentError(f"{argument}: expected whole numbers{floats}, got {array.dtype} of shape {array.shape}{named}")


def _beyond(argument: str, number: int) -> ArgumentError:
    return ArgumentError(f"{argument}: {number} is beyond int64, the range of ids in the format")
