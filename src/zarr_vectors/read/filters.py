"""Conditions on attributes: a value, values to choose from, or a half-open range, in the attribute's own type."""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from zarr_vectors.exceptions import ArgumentError, NoMatchWarning
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.model.attributes import Column
from zarr_vectors.read.conditions import (
    DATETIMES,
    MIXED,
    NUMBERS,
    TEXTS,
    Condition,
    OneOf,
    Span,
    Steps,
    UnfitConditionError,
    kind_of,
    parse_condition,
    shown,
)
from zarr_vectors.typing import AnyArray, BoolArray

_ZONE = re.compile(r"(?<=[T ])(?P<clock>.*?)(?P<zone>Z|[+-]\d\d(?::?\d\d)?)$")
_PACKAGE: Final = __name__.partition(".")[0]
_LISTED = 20
"""Items that match no category are looked for one by one up to so many."""


def matching_rows(columns: Mapping[str, Column], conditions: Mapping[str, Any]) -> BoolArray:
    """Return which rows meet every condition.

    Parameters
    ----------
    columns : mapping of str to Column
        The attributes that the conditions name.
    conditions : mapping of str to condition
        As :func:`meets` takes them.
    """
    matches: BoolArray | None = None
    for name, condition in conditions.items():
        met = meets(columns[name], condition, name)
        matches = met if matches is None else matches & met
    assert matches is not None
    return matches


def meets(column: Column, condition: Any, name: str) -> BoolArray:
    """Return which rows of a column meet one condition.

    Parameters
    ----------
    column : Column
        A scalar attribute.
    condition : scalar, None, tuple, range, list, set, array, or pandas, Arrow or polars column
        A scalar (equal), a tuple ``(lower, upper)`` of numbers or times (half-open range), or values to choose from, a
        tuple of texts among them; None, NaN, NaT and NA for what is missing. Datetimes may be given as ISO 8601 texts;
        those of an attribute with a time zone are in UTC where no zone is given. Ranges of numbers and times that are
        ordered categories go by their order.
    name : str
        Name of the attribute, for messages.

    Raises
    ------
    ArgumentError
        When the condition does not fit the attribute, or a range is reversed; names both.

    Warns
    -----
    NoMatchWarning
        When a value can match no row whatever rows there are: it is no category, or no value of the data type.
    """
    if column.values.ndim != 1:
        raise ArgumentError(f"attribute_filter: {name!r} has {column.values.shape[1]} channels; only scalars filter")
    held = f"categories {shown(list(column.spec.categories))}" if column.spec.categories is not None else ""
    never: list[str] = []
    try:
        parsed = parse_condition(condition)
        if column.spec.categories is not None:
            met = _meets_categories(column, parsed, never)
        else:
            values = decode_column(column)
            held = f"values of type {values.dtype}"
            met = _meets(values, _in_zone(parsed, column, kind_of(values)), never)
    except (UnfitConditionError, TypeError, OverflowError) as error:
        raise ArgumentError(
            f"attribute_filter: {name!r} holds {held or column.values.dtype}, which {shown(condition)} does not fit: "
            f"{error}"
        ) from error
    if never:
        _warn(f"attribute_filter: {name!r} holds {held}, none of which can be {shown(never)[1:-1]}")
    return met


def _warn(message: str) -> None:
    """Warn at the line outside of the package that asked."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, NoMatchWarning, stacklevel=level)


def _meets_categories(column: Column, condition: Condition, never: list[Any]) -> BoolArray:
    """Compare the categories, and take the rows of those that fit."""
    spec = column.spec
    count = len(spec.categories or ())
    table = decode_column(Column(np.arange(count), spec))
    condition = _in_zone(condition, column, _kind_of_values(table))
    if isinstance(condition, Span) and spec.ordered and not _ascends(table):
        first, last = (_place(table, OneOf(condition.ends[end:][:1], condition.kind)) for end in (0, 1))
        if not first < last:
            raise UnfitConditionError("the lower end of a range must be before the upper one in the order")
        accepted = np.arange(first, last)
    elif isinstance(condition, OneOf):
        accepted = np.flatnonzero(_meets(table, OneOf(condition.items, condition.kind), []))
        if len(accepted) < len(condition.items):
            never += _no_categories(table, condition)
    else:
        accepted = np.flatnonzero(_meets(table, condition, never))
    met: BoolArray = np.isin(column.values, accepted)
    if condition.missing and spec.fill is not None:
        met |= column.values == spec.fill
    return met


def _no_categories(table: AnyArray, condition: OneOf) -> list[Any]:
    """Return items that are no category, the first ones where there are many."""
    items = condition.items
    alone = (items[row : row + 1] for row in range(min(len(items), _LISTED)))
    return [item.tolist()[0] for item in alone if not _meets(table, OneOf(item, condition.kind), []).any()]


def _ascends(table: AnyArray) -> bool:
    """Return whether categories are numbers in ascending order, whose ranges need not end at one of them."""
    return kind_of(table) == NUMBERS and bool((table[1:] > table[:-1]).all())


def _place(table: AnyArray, end: OneOf) -> int:
    """Return the place of an end of a range among ordered categories."""
    found = np.flatnonzero(_meets(table, end, []))
    if len(found) == 0:
        raise UnfitConditionError(f"{end.items.tolist()[0]!r} is none of the ordered categories")
    return int(found[0])


def _in_zone(condition: Condition, column: Column, kind: str) -> Condition:
    """Return a condition on datetimes with its texts parsed; others as they are.

    Raises
    ------
    UnfitConditionError
        When a time has a zone and the attribute has none.
    """
    if kind != DATETIMES or isinstance(condition, Steps):
        return condition
    if condition.kind == TEXTS and isinstance(condition, OneOf):
        condition = _parse_datetimes(condition)
    if condition.zoned and getattr(column.spec, "time_zone", None) is None:
        raise UnfitConditionError("the attribute has no time zone; give times by its own clock, without a zone")
    return condition


def _parse_datetimes(condition: OneOf) -> OneOf | Span:
    texts = condition.items.tolist()
    zones = [_ZONE.search(text) for text in texts]
    try:
        parsed = np.array([_instant(text, zone) for text, zone in zip(texts, zones, strict=True)], "M8")
        if np.isnat(parsed).any():
            raise ValueError("a text is not a time")
    except ValueError as error:
        raise UnfitConditionError(f"expected datetimes or ISO 8601 texts: {error}") from error
    if condition.paired:
        return Span(parsed, DATETIMES, any(zones))
    return OneOf(parsed, DATETIMES, condition.missing, any(zones))


def _instant(text: str, zone: re.Match[str] | None) -> np.datetime64:
    """Return the time that a text stands for, in UTC where it has a zone; to the nanosecond."""
    if zone is None:
        return np.datetime64(text)
    offset = zone["zone"].replace(":", "").replace("Z", "+00")
    minutes = 60 * int(offset[1:3]) + int(offset[3:5] or 0)
    return np.datetime64(text[: zone.start("zone")]) - np.timedelta64(-minutes if offset[0] == "-" else minutes, "m")


def _kind_of_values(values: AnyArray) -> str:
    """Return what an array holds, of objects those that are there."""
    if values.dtype.kind != "O":
        return kind_of(values)
    kinds = {type(value) for value in values.tolist() if value is not None}
    return TEXTS if kinds == {str} else "bytes" if kinds == {bytes} else MIXED


def _meets(values: AnyArray, condition: Condition, never: list[Any]) -> BoolArray:
    """Compare values, with what is missing among them; note what none of them can be."""
    missing: BoolArray | None = None
    if isinstance(values, np.ma.MaskedArray):
        missing, values = np.ma.getmaskarray(values), values.data
    elif values.dtype.kind == "O":
        missing = np.fromiter((value is None for value in values.tolist()), bool, len(values))
    elif condition.missing and values.dtype.kind in "fMm":
        missing = np.isnan(values) if values.dtype.kind == "f" else np.isnat(values)
    met = _meets_present(values, condition, never)
    if missing is None:
        if condition.missing:
            never.append(None)
        return met
    return np.asarray((met & ~missing) | missing if condition.missing else met & ~missing)


def _meets_present(values: AnyArray, condition: Condition, never: list[Any]) -> BoolArray:
    kind = _kind_of_values(values)
    if condition.kind not in (kind, None) and not (kind == MIXED and not isinstance(condition, Span)):
        if kind == MIXED:
            raise UnfitConditionError("values of several types have no order")
        raise UnfitConditionError(f"{kind} are not compared with {condition.kind}")
    if isinstance(condition, Span):
        condition.require_order()
    if kind == NUMBERS:
        return _meets_numbers(values, condition, never)
    if values.dtype.kind == "O" or values.dtype.kind in "ST":
        items = condition.numbers if isinstance(condition, Steps) else set(condition.items.tolist())  # type: ignore[union-attr]
        return np.fromiter((value in items for value in values.tolist()), bool, len(values))
    assert not isinstance(condition, Steps)
    if values.dtype.kind in "Mm":
        return _meets_times(values, condition, never)
    assert isinstance(condition, OneOf)
    return np.isin(values, condition.items.astype(values.dtype.type))


def _meets_numbers(values: AnyArray, condition: Condition, never: list[Any]) -> BoolArray:
    if values.dtype.kind == "f":
        return _meets_floats(values, condition, never)
    low, high = (0, 1) if values.dtype.kind == "b" else (np.iinfo(values.dtype).min, np.iinfo(values.dtype).max)
    values = values.view(np.uint8) if values.dtype.kind == "b" else values
    if isinstance(condition, OneOf):
        fitting = _representable(condition.items, values.dtype, int(low), int(high), never)
        return np.isin(values, fitting)
    if isinstance(condition, Steps):
        if abs(condition.numbers.step) != 1:
            return _meets_numbers(values, _stepped(condition.numbers), never)
        if not condition.numbers:
            return np.zeros(len(values), bool)
    ends = _ends(condition.numbers) if isinstance(condition, Steps) else condition.ends
    lower, upper = (_whole_end(end) for end in ends.tolist())
    if lower > high or upper <= low:
        never.append((lower, upper))
    return np.asarray((values >= lower) & (values < upper), bool)


def _meets_floats(values: AnyArray, condition: Condition, never: list[Any]) -> BoolArray:
    if isinstance(condition, Steps):
        if abs(condition.numbers.step) != 1 or not condition.numbers:
            return _meets_floats(values, _stepped(condition.numbers), never)
        whole = values == np.floor(values)
        return np.asarray(whole & _meets_floats(values, Span(_ends(condition.numbers), NUMBERS), never))
    if isinstance(condition, Span):
        lower, upper = (_float_end(end, values.dtype) for end in condition.ends.tolist())
        return np.asarray((values >= lower) & (values < upper), bool)
    items = condition.items
    with np.errstate(over="ignore"):
        if items.dtype.kind == "f":
            cast = items.astype(values.dtype)
            fits = np.isfinite(cast) | ~np.isfinite(items)
        else:
            listed = items.tolist()
            cast = np.array([_float(item, values.dtype) for item in listed], values.dtype)
            fits = np.fromiter((_is_kept(i, c) for i, c in zip(listed, cast.tolist(), strict=True)), bool, len(listed))
    never += items[~fits].tolist()
    return np.isin(values, cast[fits])


def _ends(numbers: range) -> AnyArray:
    return np.array([min(numbers), max(numbers) + 1], object)


def _stepped(numbers: range) -> OneOf:
    return OneOf(np.array(list(numbers), object), NUMBERS)


def _float(number: float, dtype: np.dtype[Any]) -> Any:
    """Return the nearest float of a type, infinite beyond the largest."""
    try:
        return dtype.type(number)
    except OverflowError:
        return dtype.type(math.copysign(math.inf, number))


def _is_kept(given: float, cast: float) -> bool:
    """Return whether a number stands for a float: a whole number for its own value, a fraction for the nearest."""
    return cast == given if isinstance(given, int) else math.isfinite(cast) or not math.isfinite(given)


def _float_end(end: float, dtype: np.dtype[Any]) -> Any:
    """Return the end of a range of floats: that nearest to a fraction, the first that is not below a whole number."""
    with np.errstate(over="ignore"):
        cast = _float(end, dtype)
        below = isinstance(end, int) and float(cast) < end
        return np.nextafter(cast, dtype.type(np.inf)) if below else cast


def _whole_end(end: float) -> float:
    """Return the end of a range of whole numbers that divides them as the given one does."""
    return end if isinstance(end, float) and math.isinf(end) else math.ceil(end)


def _representable(items: AnyArray, dtype: np.dtype[Any], low: int, high: int, never: list[Any]) -> AnyArray:
    """Return the numbers that a whole-number type can hold, in that type."""
    if items.dtype.kind in "biu":
        items = items.view(np.uint8) if items.dtype.kind == "b" else items
        fits = (items >= low) & (items <= high)
        never += items[~fits].tolist()
        return items[fits].astype(dtype)
    listed = items.tolist()
    fitting = [item for item in listed if low <= item <= high and item == int(item)]
    if len(fitting) < len(listed):
        never += [item for item in listed if not (low <= item <= high and item == int(item))]
    return np.array([int(item) for item in fitting], dtype)


def _meets_times(values: AnyArray, condition: OneOf | Span, never: list[Any]) -> BoolArray:
    if isinstance(condition, Span):
        (lower, upper), exact = _in_unit(condition.ends, values.dtype)
        lower, upper = np.array([lower, upper]) + ~exact
        return np.asarray((values >= lower) & (values < upper), bool)
    items, exact = _in_unit(condition.items, values.dtype)
    never += [str(item) for item in condition.items[~exact]]
    return np.isin(values, items[exact])


def _in_unit(given: AnyArray, dtype: np.dtype[Any]) -> tuple[AnyArray, BoolArray]:
    """Return times floored to another unit, and which of them it can hold.

    Raises
    ------
    UnfitConditionError
        When one lies beyond what the unit can count.
    """
    if len(given) == 0:
        return given.astype(dtype), np.zeros(0, bool)
    floored = given.astype(dtype)
    coarse = "M8[Y]" if dtype.kind == "M" else "m8[W]"
    apart = np.abs(floored.astype(coarse).astype(np.int64) - given.astype(coarse).astype(np.int64))
    if apart.max() > 0 or np.isnat(floored).any():
        raise UnfitConditionError(f"{given[int(apart.argmax())]} is beyond what {dtype} can count")
    return floored, np.asarray(floored == given, bool)
