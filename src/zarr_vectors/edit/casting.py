"""Values cast to the data type that a user asks for; refused where they would become others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.given import Given, Unstorable, parse_values, plain_values
from zarr_vectors.typing import AnyArray, BoolArray


def cast_values(name: str, values: Any, dtype: npt.DTypeLike) -> Given:
    """Return values as another data type.

    What is missing stays missing, and floats are rounded to the precision of a float type. Everything else stays what
    it is: numbers become integers only where they are whole and in range, floats only where these hold them, and
    booleans where they are 0 or 1; times get another unit only where it counts them, and stay in their time zone.

    Parameters
    ----------
    name : str
        Name of the attribute, for messages.
    values : array-like
        Values.
    dtype : data type
        What they are to become.

    Raises
    ------
    ArgumentError
        When `dtype` is no data type, or one that cannot be stored, or a value cannot be kept; names the first.
    """
    try:
        target = _storable(np.dtype(dtype))
        parsed = plain_values(parse_values(values))
        missing = _missing(parsed, target)
        given = parsed.values
        if missing is not None and missing.any():
            given = given.copy()
            given[missing] = 0 if missing.all() else given[~missing][0]
        if given.dtype.kind == "O" and not isinstance(next(given.flat, None), bytes):
            given = np.asarray(_text(given), object)
        if parsed.zone is not None and target.kind != "M":
            raise Unstorable(f"times of zone {parsed.zone!r} would lose it; take it from them before")
        with np.errstate(all="ignore"):
            cast, lost, needed = _cast(given, target)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"dtype: {name!r} cannot be cast to {dtype!r}: {error}") from error
    first = np.flatnonzero(lost)
    if len(first):
        value = given.reshape(-1)[first[0] : first[0] + 1].tolist()[0]
        row = int(first[0]) // max(1, int(np.prod(given.shape[1:])))
        raise ArgumentError(f"dtype: {name!r} does not fit {target}: row {row} has {value!r}, but {needed}")
    return replace(parsed, values=cast, missing=missing)


_Cast = tuple[AnyArray, BoolArray, str]
"""Values as another type, which of them are others than before, and what is needed instead."""

_text = np.frompyfunc(str, 1, 1)
_whole = np.frompyfunc(int, 1, 1)


def _storable(target: np.dtype[Any]) -> np.dtype[Any]:
    if target.kind not in "biufMmUS":
        raise Unstorable(f"values of type {target} cannot be stored; name a number, boolean, time, str or bytes type")
    parse_values(np.empty(0, target))  # refuses numbers of more than 64 bits and times without a unit
    return target


def _missing(parsed: Given, target: np.dtype[Any]) -> BoolArray | None:
    """Return what is missing; NaN and NaT too, where the new type has none."""
    kind, missing = parsed.values.dtype.kind, parsed.missing
    if target.kind not in "US" or kind not in "fmM":
        return missing
    absent = np.asarray(np.isnan(parsed.values) if kind == "f" else np.isnat(parsed.values))
    return absent if missing is None else absent | missing


def _cast(given: AnyArray, target: np.dtype[Any]) -> _Cast:
    kind = given.dtype.kind
    if kind in "OUS":
        return _cast_texts(given, target)
    if target.kind in "US":
        return _cut(given.astype(np.str_), given.astype(target))
    if kind in "mM":
        return _cast_times(given, target)
    if target.kind in "mM":
        counts, lost, needed = _cast_numbers(given, np.dtype(np.int64))
        if kind == "f":
            lost = lost & ~np.isnan(given)
            counts = np.where(np.isnan(given), np.iinfo(np.int64).min, counts)
        else:
            lost = lost | (counts == np.iinfo(np.int64).min)
        cast = counts.astype(target)
        if target.kind == "M":  # NumPy counts days in 64 bits
            lost = lost | ((cast.astype("M8[D]").astype(target) != cast) & ~np.isnat(cast) & _coarse(target))
        return cast, lost, f"{needed}, whose days can be counted" if target.kind == "M" else needed
    return _cast_numbers(given, target)


def _coarse(target: np.dtype[Any]) -> bool:
    return np.datetime_data(target)[0] in ("Y", "M", "W")


def _cast_texts(given: AnyArray, target: np.dtype[Any]) -> _Cast:
    if target.kind in "US":
        return _cut(given, given.astype(target))
    texts: AnyArray = given.astype(np.str_)
    if target.kind == "f":
        cast = texts.astype(target)
        lost = np.asarray(np.isinf(cast) & (np.strings.find(np.strings.lower(texts), "inf") < 0))
        whole = np.strings.isdecimal(np.strings.lstrip(texts, "+-")) & ~lost
        lost[whole] = np.asarray(_whole(texts[whole]) != cast[whole].astype(np.float64).astype(object), bool)
        return cast, lost, f"numbers that {target} holds are needed"
    if target.kind == "M":
        zoned = (np.strings.count(np.strings.lstrip(texts, "-"), "-") > 2) | (np.strings.find(texts, "+") >= 0)
        if (zoned | (np.strings.find(np.strings.lower(texts), "z") >= 0)).any():
            raise Unstorable("texts with a time zone would lose it; give times")
        return _cast_times(texts.astype("M8"), target)
    numbers = np.asarray(_whole(texts), object)
    limits = np.iinfo(np.int64 if target.kind == "m" else np.int8 if target.kind == "b" else target)
    low, high = (0, 1) if target.kind == "b" else (limits.min + (target.kind == "m"), limits.max)
    lost = np.asarray((numbers < low) | (numbers > high), bool)
    return np.where(lost, 0, numbers).astype(target), lost, f"whole numbers from {low} to {high} are needed"


def _cut(given: AnyArray, cast: AnyArray) -> _Cast:
    """Compare texts; NumPy's own end in front of NUL."""
    if given.dtype.kind == "O":
        back = cast.astype(object)
        if isinstance(next(given.flat, None), bytes) != (cast.dtype.kind == "S"):
            back = cast.astype("U" if cast.dtype.kind == "S" else "S").astype(object)
        return cast, np.asarray(given != back, bool), "it would be cut off"
    back = cast if cast.dtype.kind == given.dtype.kind else cast.astype(given.dtype.kind)
    return cast, given != back, "it would be cut off"


def _cast_times(given: AnyArray, target: np.dtype[Any]) -> _Cast:
    missing = np.isnat(given)
    if target.kind not in "mM":
        counts = given.astype(np.int64)
        if target.kind != "f":
            cast, lost, needed = _cast_numbers(counts, target)
            return cast, lost | missing, f"values that are there are needed, and {needed}"
        cast, lost, needed = _cast_numbers(np.where(missing, 0, counts), target)
        return np.where(missing, target.type(np.nan), cast), lost, needed
    if not np.can_cast(given.dtype, target, "same_kind"):
        raise Unstorable(f"{given.dtype} values are no {target} values")
    cast = given.astype(target)
    return cast, (cast.astype(given.dtype) != given) & ~missing, f"times that {target} counts exactly are needed"


def _cast_numbers(given: AnyArray, target: np.dtype[Any]) -> _Cast:
    """Cast numbers and booleans to one another."""
    cast = given.astype(target)
    kind = given.dtype.kind
    if target.kind == "b":
        return cast, (given != 0) & (given != 1), "0 or 1 is needed"
    if target.kind == "f" and kind == "f":
        beyond = ~np.isfinite(cast) & np.isfinite(given)
        return cast, beyond, f"finite values up to {np.finfo(target).max:g} are needed"
    if kind == "b":
        return cast, np.zeros(given.shape, bool), ""
    if target.kind == "f":
        exact = cast.astype(np.float64)
        fits = _within(exact, given.dtype)
        return (
            cast,
            ~fits | (np.where(fits, exact, 0).astype(given.dtype) != given),
            f"whole numbers that {target} holds exactly are needed",
        )
    limits = np.iinfo(target)
    needed = f"whole numbers from {limits.min} to {limits.max} are needed"
    if kind != "f":
        return cast, (given < limits.min) | (given > limits.max), needed
    floats = given.astype(np.float64)
    return cast, ~(_within(floats, target) & (floats == np.floor(floats))), needed


def _within(floats: AnyArray, dtype: np.dtype[Any]) -> BoolArray:
    """Return which floats an integer type ranges over; its ends are powers of two, which floats hold exactly."""
    limits = np.iinfo(dtype)
    return np.asarray((floats >= float(limits.min)) & (floats < float(limits.max + 1)))
