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

_TEXTS_AT_ONCE: Final = 1 << 18
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


def encode_texts(texts: AnyArray, missing: BoolArray | None = None) -> Categories:
    """Turn texts into codes.

    Parameters
    ----------
    texts : array of str, bytes (UTF-8) or objects that are all one of these, any shape
        The texts; anything where they are missing.
    missing : bool array, optional
        Which are missing.

    Returns
    -------
    Categories
        The distinct texts in order of code points, as ``str``.

    Raises
    ------
    ArgumentError
        Bytes are no UTF-8, or texts hold halves of characters, which UTF-8 does not know.
    """
    flat = texts.reshape(-1)
    absent = None if missing is None or not missing.any() else missing.reshape(-1)
    known: dict[Any, int] = {}
    codes = np.empty(flat.shape, np.int64)
    # A table of Python's own texts: exact for texts of any length, which sorting StringDType is not (numpy#31533),
    # and faster than sorting an array of fixed width.
    for first in range(0, len(flat), _TEXTS_AT_ONCE):
        listed = flat[first : first + _TEXTS_AT_ONCE].tolist()
        if absent is not None:
            gone = np.flatnonzero(absent[first : first + _TEXTS_AT_ONCE])
            for place in gone.tolist():
                listed[place] = None
        for text in dict.fromkeys(listed):
            known.setdefault(text, len(known))
        codes[first : first + len(listed)] = np.fromiter(map(known.__getitem__, listed), np.int64, len(listed))
    spelled = _decoded([text for text in known if text is not None])
    order = sorted(range(len(spelled)), key=spelled.__getitem__)
    places = np.full(len(known), MISSING_CODE, code_type(len(spelled)))
    there = np.array([place for place, text in enumerate(known) if text is not None], np.int64)
    places[there[order]] = np.arange(len(order))
    return Categories(places[codes].reshape(texts.shape), [spelled[place] for place in order])


def _decoded(distinct: list[Any]) -> list[str]:
    """Return texts as ``str`` that UTF-8 can hold."""
    try:
        if distinct and isinstance(distinct[0], bytes):
            return [text.decode() for text in distinct]
        "".join(distinct).encode()
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"bytes that are not UTF-8 text cannot be stored: {error}; give them as numbers, or decode them yourself"
        ) from error
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"texts with halves of characters (surrogates) cannot be stored: {error.reason}; replace them: "
            "text.encode('utf-8', 'replace').decode()"
        ) from error
    return [str(text) for text in distinct]


def code_type(count: int) -> type[np.signedinteger[Any]]:
    """Return the smallest type that holds the codes of a number of categories."""
    return next(each for each in _CODE_TYPES if count - 1 <= np.iinfo(each).max)


def decode_categories(
    codes: AnyArray,
    categories: Sequence[Any],
    fill: int | None = MISSING_CODE,
    *,
    dtype: str | None = None,
    nullable: bool | None = None,
) -> AnyArray:
    """Turn codes back into values.

    Parameters
    ----------
    codes : array of int
        Codes, of any shape.
    categories : sequence
        The distinct values by code.
    fill : int or None, optional
        The code of missing values.
    dtype : str, optional
        NumPy's name of the type of the categories, or ``"bytes"``; None where it follows from them.
    nullable : bool, optional
        Whether values may be missing, so that the result has a place for that; None: where one is.

    Returns
    -------
    array
        Shaped like `codes`: of the type of the categories. Where values may be missing, numbers and booleans are a
        masked array (NaN among floats), datetimes NaT, and texts objects with None.

    Raises
    ------
    ArrayError
        A code is neither `fill` nor that of a category, or `dtype` cannot hold the categories.
    """
    missing = np.zeros(codes.shape, np.bool_) if fill is None else codes == fill
    table = _category_table(categories, dtype)
    bad = ((codes < 0) | (codes >= len(table))) & ~missing
    if bad.any():
        place = int(np.argmax(bad))
        found = codes.reshape(-1)[place]
        raise ArrayError(f"value {place} has category code {found}, but there are {len(table)} categories")
    absent = bool(missing.any())
    if not (absent or nullable):
        return table[codes] if len(table) else np.zeros(codes.shape, table.dtype)
    if table.dtype.kind in "OUS":
        table = np.append(table.astype(object), np.array([None], object))
    else:
        empty = {"f": np.nan, "M": "NaT", "m": "NaT"}.get(table.dtype.kind, 0)
        table = np.append(table, np.array([empty], table.dtype))
    values: AnyArray = table[np.where(missing, np.int64(len(table) - 1), codes)]
    return np.ma.MaskedArray(values, missing) if values.dtype.kind in "biu" else values


def _category_table(categories: Sequence[Any], dtype: str | None) -> AnyArray:
    listed = list(categories)
    kinds = {type(category) for category in listed}
    if dtype == "bytes":
        return _texts_of([str(category).encode() for category in listed], np.bytes_)
    if dtype is not None and dtype != "object":
        try:
            return np.array(listed, np.dtype(dtype))
        except (TypeError, ValueError, OverflowError) as error:
            raise ArrayError(f"categories {listed[:5]} are not of type {dtype!r}: {error}") from error
    if kinds <= {str} and dtype is None:
        return _texts_of(listed, np.str_)
    if kinds in ({bool}, {int}, {float}, {int, float}) and dtype is None:
        return np.array(listed)
    table = np.empty(len(listed), object)
    table[:] = listed
    return table


def _texts_of(texts: list[Any], kind: type[np.str_] | type[np.bytes_]) -> AnyArray:
    """Return texts as an array of fixed width, or as objects where they end in NUL, which NumPy cuts off."""
    table: AnyArray = np.array(texts, kind)
    if table.tolist() == texts:
        return table
    table = np.empty(len(texts), object)
    table[:] = texts
    return table


def encode_times(values: AnyArray) -> tuple[IntArray, str]:
    """Turn datetimes or timedeltas into counts of their unit.

    Parameters
    ----------
    values : array of datetime64 or timedelta64
        Of any shape.

    Returns
    -------
    counts : array of int64
        Shaped like `values`, datetimes since 1970-01-01T00:00; NaT is the smallest int64.
    unit : str
        NumPy's name of the unit: ``"ns"``, ``"us"``, ``"ms"``, ``"s"``, …, ``"Y"``.

    Raises
    ------
    ArgumentError
        `values` are no times, have no unit, or steps of it that the unit alone cannot count.
    """
    kind = values.dtype.kind
    if kind not in "Mm":
        raise ArgumentError(f"datetimes are needed, not {values.dtype} values")
    unit, step = np.datetime_data(values.dtype)
    if unit not in _DATETIME_UNITS:
        raise ArgumentError(f"times of unit {unit!r} cannot be stored; use one of {', '.join(_DATETIME_UNITS)}")
    plain = values.astype(f"<{kind}8[{unit}]", copy=False)
    if step != 1 and not np.array_equal(plain.astype(values.dtype).view(np.int64), _native(values).view(np.int64)):
        raise ArgumentError(f"times of type {values.dtype} reach beyond what the unit {unit!r} can count")
    return plain.view(np.int64), unit


def _native(values: AnyArray) -> AnyArray:
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def decode_times(counts: AnyArray, unit: str, kind: str = "M") -> AnyArray:
    """Turn counts of a unit back into datetimes or timedeltas, the inverse of :func:`encode_times`.

    Parameters
    ----------
    counts : array of int64
        Counts, of datetimes since 1970-01-01T00:00.
    unit : str
        NumPy's name of the unit.
    kind : {"M", "m"}
        NumPy's letter for datetimes or timedeltas.

    Returns
    -------
    array of datetime64 or timedelta64

    Raises
    ------
    UnsupportedFeatureError
        `unit` is not known.
    """
    if unit not in _DATETIME_UNITS:
        raise UnsupportedFeatureError(
            f"datetime unit {unit!r} is not known here; known are {', '.join(_DATETIME_UNITS)}"
        )
    return counts.astype(np.int64, copy=False).view(f"{kind}8[{unit}]")


def free_value(present: AnyArray) -> Any:
    """Return a value that none of some integers or texts has, to mean that one is missing.

    Integers: the minimum of a signed type, the maximum of an unsigned one, or the nearest to it that is free. Texts:
    the empty text, or one that says "missing".

    Raises
    ------
    ArgumentError
        Every value of the type is taken.
    """
    if present.dtype.kind in "UO":
        taken = set(present.reshape(-1).tolist())
        texts = ("", "<missing>", *(f"<missing {number}>" for number in range(2, len(taken) + 3)))
        return next(text for text in texts if text not in taken)
    limits = np.iinfo(present.dtype)
    signed = present.dtype.kind == "i"
    extreme = limits.min if signed else limits.max
    if not present.size or int(present.min() if signed else present.max()) != extreme:
        return extreme
    distinct = np.unique(present)
    if len(distinct) == limits.max - limits.min + 1:
        raise ArgumentError(
            f'every value of {present.dtype} is in use, so that none is left to mean "missing"; give a wider type'
        )
    ranked = distinct if signed else distinct[::-1]
    steps = np.arange(len(ranked)).astype(present.dtype)
    expected = ranked[0] + steps if signed else ranked[0] - steps
    gaps = np.flatnonzero(ranked != expected)
    place = int(gaps[0]) if len(gaps) else len(ranked)
    return extreme + place if signed else extreme - place
