"""Strings, categoricals and datetimes ⇄ integers, as attributes store them.

Vertex, fragment and link attributes hold strings as codes into a dictionary of categories that their
metadata lists (Zarr Vectors specification, attributes: ``encoding: "dictionary"``). Datetimes are counts of a
unit since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ArrayError, UnsupportedFeatureError
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

MISSING_CODE: Final = -1
"""Code of a value that is missing."""

_CODE_TYPES: Final = (np.int8, np.int16, np.int32, np.int64)
_DATETIME_UNITS: Final = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """Values as codes into a list of categories.

    Attributes
    ----------
    codes : array of int8, int16, int32 or int64
        Shaped like the values; the smallest type that holds them.
    categories : list
        The distinct values by code, as JSON can hold them: str, int, float or bool. Datetimes are ISO 8601
        strings.
    ordered : bool
        Whether the order of the categories means something.
    fill : int
        The code of missing values.
    """

    codes: AnyArray
    categories: list[Any]
    ordered: bool = False
    fill: int = MISSING_CODE


def encode_categories(values: Any) -> Categories:
    """Turn strings or a categorical into codes.

    Parameters
    ----------
    values : array-like
        A NumPy array of ``str``, ``bytes`` (UTF-8), ``StringDType`` or objects that are ``str`` or missing
        (None, NaN, NA); a pandas ``Categorical``, ``CategoricalIndex`` or ``Series``; or a list of strings.
        The categories of strings are the distinct values in order of code points; those of a categorical are
        its own, in their order, unused ones included.

    Returns
    -------
    Categories

    Raises
    ------
    ArgumentError
        `values` holds anything else.
    """
    categorical = getattr(values, "cat", values)
    if all(hasattr(categorical, name) for name in ("categories", "codes", "ordered")):
        return _from_categorical(categorical)
    array = _as_array(values)
    if array.dtype.kind in "US":
        return _from_text(array, np.zeros(array.shape, np.bool_))
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.dtype.kind != "O":
        raise ArgumentError(f"strings or a categorical are needed to make categories, not {array.dtype} values")
    missing = _missing(values, array)
    try:
        text = array[~missing].astype(np.dtypes.StringDType(coerce=False))
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            "an array of objects must hold strings or missing values to be stored as categories; "
            f"it holds others ({error}); give it a numeric or string data type"
        ) from error
    return _from_text(text, missing)


def _as_array(values: Any) -> AnyArray:
    array = np.asarray(values)
    given_as_list = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    return array.astype(object) if given_as_list and (array.dtype.kind in "US" or not array.size) else array


def _missing(values: Any, array: AnyArray) -> BoolArray:
    """Mark None and NaN; pandas knows its own missing values."""
    if callable(getattr(values, "isna", None)):
        return np.asarray(values.isna(), np.bool_)
    try:
        return np.asarray((array == None) | (array != array), np.bool_)  # noqa: E711 - element by element
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"an array of objects holds values that cannot be compared ({error}); "
            "give it a string data type, or None for missing values"
        ) from error


def _from_text(present: AnyArray, missing: BoolArray) -> Categories:
    """Code text; `present` holds the values where `missing` is not set."""
    distinct = np.unique(present)
    codes = np.full(missing.shape, MISSING_CODE, code_type(len(distinct)))
    codes[~missing] = np.searchsorted(distinct, present).ravel()
    if distinct.dtype.kind == "S":
        try:
            distinct = np.strings.decode(distinct, "utf-8")
        except UnicodeDecodeError as error:
            raise ArgumentError(f"bytes that are not UTF-8 text cannot be stored as categories: {error}") from error
    return Categories(codes, distinct.tolist())


def _from_categorical(categorical: Any) -> Categories:
    categories = np.asarray(categorical.categories)
    if categories.dtype.kind in "Mm":
        categories = categories.astype(str)
    elif categories.dtype.kind not in "OUTSbiuf":
        raise ArgumentError(f"categories of type {categories.dtype} cannot be stored; use strings or numbers")
    listed = categories.tolist()
    if any(not isinstance(category, str | int | float) for category in listed):
        raise ArgumentError(f"categories must be strings, numbers or booleans to be stored, not {listed[:5]}…")
    codes = np.asarray(categorical.codes).astype(code_type(len(listed)))
    return Categories(codes, listed, bool(categorical.ordered))


def code_type(count: int) -> type[np.signedinteger[Any]]:
    """Return the smallest type that holds the codes of a number of categories."""
    return next(each for each in _CODE_TYPES if count - 1 <= np.iinfo(each).max)


def decode_categories(codes: AnyArray, categories: Sequence[Any], fill: int | None = MISSING_CODE) -> AnyArray:
    """Turn codes back into values.

    Parameters
    ----------
    codes : array of int
        Codes, of any shape.
    categories : sequence
        The distinct values by code.
    fill : int or None, optional
        The code of missing values.

    Returns
    -------
    array
        Shaped like `codes`: of ``str`` where the categories are strings, of numbers or booleans where they
        are those; of objects, with None for what is missing, where a code is `fill`.

    Raises
    ------
    ArrayError
        A code is neither `fill` nor that of a category.
    """
    missing = np.zeros(codes.shape, np.bool_) if fill is None else codes == fill
    table = _category_table(categories)
    bad = ((codes < 0) | (codes >= len(table))) & ~missing
    if bad.any():
        place = int(np.argmax(bad))
        found = codes.reshape(-1)[place]
        raise ArrayError(f"value {place} has category code {found}, but there are {len(table)} categories")
    if not missing.any():
        return table[codes] if len(table) else np.zeros(codes.shape, table.dtype)
    extended = np.full(len(table) + 1, None, object)
    extended[:-1] = table
    values: AnyArray = extended[np.where(missing, len(table), codes).astype(np.int64)]
    return values


def _category_table(categories: Sequence[Any]) -> AnyArray:
    kinds = {type(category) for category in categories}
    if kinds <= {str}:
        return np.array(list(categories), dtype=str)
    if kinds in ({bool}, {int}, {float}, {int, float}):
        return np.array(list(categories))
    table = np.empty(len(categories), object)
    table[:] = list(categories)
    return table


def encode_datetimes(values: Any) -> tuple[IntArray, str]:
    """Turn datetimes into counts of their unit.

    Parameters
    ----------
    values : array-like of datetime64
        Of any shape; a pandas ``Series`` without a time zone will do.

    Returns
    -------
    counts : array of int64
        Shaped like `values`, since 1970-01-01T00:00; NaT is the smallest int64.
    unit : str
        NumPy's name of the unit: ``"ns"``, ``"us"``, ``"ms"``, ``"s"``, …, ``"Y"``.

    Raises
    ------
    ArgumentError
        `values` are no datetimes, or have no unit.
    """
    array = np.asarray(values)
    if array.dtype.kind != "M":
        raise ArgumentError(f"datetimes are needed, not {array.dtype} values; times with a zone go to UTC first")
    unit, step = np.datetime_data(array.dtype)
    if unit not in _DATETIME_UNITS:
        raise ArgumentError(f"datetimes of unit {unit!r} cannot be stored; use one of {', '.join(_DATETIME_UNITS)}")
    plain = array if step == 1 else array.astype(f"M8[{unit}]")
    return plain.astype(f"<M8[{unit}]", copy=False).view(np.int64), unit


def decode_datetimes(counts: AnyArray, unit: str) -> AnyArray:
    """Turn counts of a unit back into datetimes, the inverse of :func:`encode_datetimes`.

    Parameters
    ----------
    counts : array of int64
        Counts since 1970-01-01T00:00.
    unit : str
        NumPy's name of the unit.

    Returns
    -------
    array of datetime64

    Raises
    ------
    UnsupportedFeatureError
        `unit` is not known.
    """
    if unit not in _DATETIME_UNITS:
        raise UnsupportedFeatureError(
            f"datetime unit {unit!r} is not known here; known are {', '.join(_DATETIME_UNITS)}"
        )
    return counts.astype(np.int64, copy=False).view(f"M8[{unit}]")
