"""Conditions on attributes: a value, values to choose from, or a half-open range, in the attribute's own type."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
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

_ZONE = re.compile(r"T.*(Z|[+-]\d\d(:?\d\d)?)$")


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
    condition : scalar, None, tuple, range, list, set, array or pandas Series
        A scalar (equal), a tuple ``(lower, upper)`` (half-open range), or values to choose from; None for what is
        missing. Datetimes may be given as ISO 8601 texts. Ranges of ordered categories go by their order.
    name : str
        Name of the attribute, for messages.

    Raises
    ------
    ArgumentError
        When the condition does not fit the attribute; names both.
    """
    if column.values.ndim != 1:
        raise ArgumentError(f"attribute_filter: {name!r} has {column.values.shape[1]} channels; only scalars filter")
    held = f"categories {shown(list(column.spec.categories))}" if column.spec.categories is not None else ""
    try:
        parsed = parse_condition(condition)
        if column.spec.categories is not None:
            return _meets_categories(column, parsed)
        values = decode_column(column)
        held = f"values of type {values.dtype}"
        return _meets(values, parsed)
    except (UnfitConditionError, TypeError, OverflowError) as error:
        raise ArgumentError(
            f"attribute_filter: {name!r} holds {held or column.values.dtype}, which {shown(condition)} does not fit: "
            f"{error}"
        ) from error


def _meets_categories(column: Column, condition: Condition) -> BoolArray:
    """Compare the categories, and take the rows of those that fit."""
    spec = column.spec
    count = len(spec.categories or ())
    table = decode_column(Column(np.arange(count), spec))
    if isinstance(condition, OneOf):
        accepted = np.flatnonzero(_meets(table, OneOf(condition.items, condition.kind)))
    elif isinstance(condition, Span) and spec.ordered and not _ascends(table):
        accepted = np.arange(*(_place(table, OneOf(condition.ends[end:][:1], condition.kind)) for end in (0, 1)))
    else:
        accepted = np.flatnonzero(_meets(table, condition))
    met: BoolArray = np.isin(column.values, accepted)
    if isinstance(condition, OneOf) and condition.missing and spec.fill is not None:
        met |= column.values == spec.fill
    return met


def _ascends(table: AnyArray) -> bool:
    """Return whether categories are numbers in ascending order, whose ranges need not end at one of them."""
    return kind_of(table) == NUMBERS and bool((table[1:] > table[:-1]).all())


def _place(table: AnyArray, end: OneOf) -> int:
    """Return the place of an end of a range among ordered categories."""
    found = np.flatnonzero(_meets(table, end))
    if len(found) == 0:
        raise UnfitConditionError(f"{end.items.tolist()[0]!r} is none of the ordered categories")
    return int(found[0])


def _meets(values: AnyArray, condition: Condition) -> BoolArray:
    kind = kind_of(values)
    if kind == MIXED:
        return _meets_mixed(values, condition)
    if kind == DATETIMES and not isinstance(condition, Steps) and condition.kind == TEXTS:
        condition = _parse_datetimes(condition)
    if condition.kind not in (kind, None):
        raise UnfitConditionError(f"{kind} are not compared with {condition.kind}")
    if kind == NUMBERS:
        return _meets_numbers(values, condition)
    assert not isinstance(condition, Steps)
    if kind == DATETIMES:
        return _meets_datetimes(values, condition)
    if isinstance(condition, Span):
        lower, upper = condition.ends
        return np.asarray((values >= lower) & (values < upper), bool)
    if condition.missing:
        raise UnfitConditionError("texts are never missing")
    return np.isin(values, condition.items.astype(values.dtype.type))


def _meets_mixed(values: AnyArray, condition: Condition) -> BoolArray:
    """Compare objects one by one: categories of several types."""
    if isinstance(condition, Span):
        raise UnfitConditionError("values of several types have no order")
    items = condition.numbers if isinstance(condition, Steps) else set(condition.items.tolist())
    return np.fromiter((value in items for value in values.tolist()), bool, len(values))


def _meets_numbers(values: AnyArray, condition: Condition) -> BoolArray:
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
        if isinstance(condition, OneOf) and set(condition.items.tolist()) - {0, 1}:
            raise UnfitConditionError("booleans are True or False")
    whole = values.dtype.kind != "f"
    if isinstance(condition, Steps):
        return _meets_steps(values, condition.numbers)
    if isinstance(condition, Span):
        lower, upper = (_whole_end(end) if whole else end for end in condition.ends.tolist())
        with np.errstate(over="ignore"):
            return np.asarray((values >= lower) & (values < upper), bool)
    if whole and condition.missing:
        raise UnfitConditionError("whole numbers and booleans are never missing")
    items = condition.items
    if whole:
        return np.isin(values, _representable(items, values.dtype))
    with np.errstate(over="ignore"):
        met: BoolArray = np.isin(values, items.astype(values.dtype))
    return met | np.isnan(values) if condition.missing else met


def _meets_steps(values: AnyArray, numbers: range) -> BoolArray:
    if abs(numbers.step) != 1:
        return _meets_numbers(values, OneOf(np.arange(numbers.start, numbers.stop, numbers.step), NUMBERS))
    if len(numbers) == 0:
        return np.zeros(len(values), bool)
    inside = (values >= min(numbers[0], numbers[-1])) & (values <= max(numbers[0], numbers[-1]))
    return np.asarray(inside & (values == np.floor(values)) if values.dtype.kind == "f" else inside, bool)


def _whole_end(end: float) -> float:
    """Return the end of a range of whole numbers that divides them as the given one does."""
    return end if isinstance(end, float) and math.isinf(end) else math.ceil(end)


def _representable(items: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    """Return the numbers that a whole-number type can hold, in that type."""
    limits = np.iinfo(dtype)
    if items.dtype.kind in "iu":
        return items[(items >= limits.min) & (items <= limits.max)].astype(dtype)
    fitting = [item for item in items.tolist() if limits.min <= item <= limits.max and item == int(item)]
    return np.array([int(item) for item in fitting], dtype)


def _parse_datetimes(condition: OneOf | Span) -> OneOf | Span:
    texts = condition.items if isinstance(condition, OneOf) else condition.ends
    try:
        if any(_ZONE.search(text) for text in texts.tolist()):
            raise ValueError("a zone is given")
        parsed = np.array(texts.tolist(), "M8")
        if np.isnat(parsed).any():
            raise ValueError("a text is not a time")
    except ValueError as error:
        raise UnfitConditionError(f"expected datetimes or ISO 8601 texts without a zone: {error}") from error
    if isinstance(condition, OneOf):
        return OneOf(parsed, DATETIMES, condition.missing)
    return Span(parsed, DATETIMES)


def _meets_datetimes(values: AnyArray, condition: OneOf | Span) -> BoolArray:
    if isinstance(condition, Span):
        (lower, upper), exact = _in_unit(condition.ends, values.dtype)
        lower, upper = np.array([lower, upper]) + ~exact
        return np.asarray((values >= lower) & (values < upper), bool)
    items, exact = _in_unit(condition.items, values.dtype)
    met: BoolArray = np.isin(values, items[exact])
    return met | np.isnat(values) if condition.missing else met


def _in_unit(given: AnyArray, dtype: np.dtype[Any]) -> tuple[AnyArray, BoolArray]:
    """Return datetimes floored to another unit, and which of them it can hold.

    Raises
    ------
    UnfitConditionError
        When one lies beyond the years that the unit can count.
    """
    if len(given) == 0:
        return given.astype(dtype), np.zeros(0, bool)
    floored = given.astype(dtype)
    apart = np.abs(floored.astype("M8[Y]").astype(np.int64) - given.astype("M8[Y]").astype(np.int64))
    if apart.max() > 0 or np.isnat(floored).any():
        raise UnfitConditionError(f"{given[int(apart.argmax())]} is beyond what {dtype} can count")
    return floored, np.asarray(floored == given, bool)
