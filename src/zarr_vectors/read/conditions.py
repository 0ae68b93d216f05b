"""What a user asks of an attribute, parsed: items to be equal to, or a half-open range, of one kind."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from zarr_vectors.typing import AnyArray

NUMBERS: Final = "numbers"
TEXTS: Final = "texts"
DATETIMES: Final = "datetimes"
MIXED: Final = "mixed values"

_KINDS: Final = {**dict.fromkeys("biuf", NUMBERS), "U": TEXTS, "T": TEXTS, "M": DATETIMES}
_LONGEST_SHOWN = 120


class UnfitConditionError(ValueError):
    """A condition without meaning, or without meaning for a kind of values; says why."""


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """Values equal to one of some items.

    Parameters
    ----------
    items : (n,) array
        Numbers, texts or datetimes, of any data type or as objects.
    kind : str, optional
        Which of these; None where there are no items.
    missing : bool
        Whether missing values are asked for as well.
    """

    items: AnyArray
    kind: str | None
    missing: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Values of a half-open range ``[lower, upper)``.

    Parameters
    ----------
    ends : (2,) array
        Lower and upper end: numbers, texts or datetimes, of any data type or as objects.
    kind : str, optional
        Which of these.
    """

    ends: AnyArray
    kind: str | None


@dataclass(frozen=True, slots=True)
class Steps:
    """Whole numbers of a Python ``range``.

    Parameters
    ----------
    numbers : range
        The numbers.
    """

    numbers: range

    @property
    def kind(self) -> str:
        """Numbers."""
        return NUMBERS


Condition = OneOf | Span | Steps


def kind_of(values: AnyArray) -> str:
    """Return what an array holds: numbers, texts, datetimes or mixed values."""
    return _KINDS.get(values.dtype.kind, MIXED)


def parse_condition(condition: Any) -> Condition:
    """Turn what a user wrote into a condition.

    Parameters
    ----------
    condition : scalar, tuple, range, list, set, array or pandas Series
        A scalar or None is one item, a tuple of two a half-open range, everything else the items themselves.

    Raises
    ------
    UnfitConditionError
        When it is something else, or holds something else.
    """
    if isinstance(condition, tuple):
        if len(condition) != 2:
            raise UnfitConditionError("a range is a tuple (lower, upper); a list holds values to choose from")
        ends = _as_items(list(condition))
        if ends.missing:
            raise UnfitConditionError("the ends of a range must be there")
        return Span(ends.items, ends.kind)
    if isinstance(condition, range):
        return Steps(condition)
    if isinstance(condition, list | set | frozenset):
        return _as_items(list(condition))
    if hasattr(condition, "__array__") and np.ndim(condition) > 0:
        if np.ndim(condition) > 1:
            raise UnfitConditionError("values to choose from must have one dimension")
        return _from_array(condition)
    return _as_items([condition])


def _from_array(given: Any) -> OneOf:
    array = np.asarray(given)
    if array.dtype.kind in "biu":
        return OneOf(array, NUMBERS)
    if array.dtype.kind in "fM":
        missing = np.isnan(array) if array.dtype.kind == "f" else np.isnat(array)
        return OneOf(array[~missing], NUMBERS if array.dtype.kind == "f" else DATETIMES, bool(missing.any()))
    return _as_items(array.tolist())


def _as_items(listed: list[Any]) -> OneOf:
    """Make an array of one kind of items; missing ones are set apart."""
    present = [_plain(item) for item in listed if not _is_missing(item)]
    missing = len(present) < len(listed)
    kinds = {_kind_of_item(item) for item in present}
    if len(kinds) > 1:
        return OneOf(np.array(present, object), MIXED, missing)
    kind = kinds.pop() if kinds else None
    if kind == NUMBERS and not all(isinstance(item, float) for item in present):
        return OneOf(np.array(present, object), kind, missing)
    dtype: np.dtype[Any] = np.dtype({TEXTS: "U", DATETIMES: "M8", NUMBERS: "f8", None: "O"}[kind])
    return OneOf(np.array(present, dtype), kind, missing)


def _is_missing(item: Any) -> bool:
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(item, float | np.floating):
        return bool(item != item)
    return isinstance(item, np.datetime64) and bool(np.isnat(item))


def _plain(item: Any) -> Any:
    """Return an item as Python or NumPy's datetime holds it."""
    if isinstance(item, np.ndarray) and item.ndim == 0:
        item = item[()]
    if isinstance(item, str):
        return str(item)
    if isinstance(item, np.generic) and not isinstance(item, np.datetime64):
        item = item.item()
    if getattr(item, "tzinfo", None) is not None:
        raise UnfitConditionError("times with a zone go to UTC first, without the zone")
    if hasattr(item, "to_datetime64"):
        return item.to_datetime64()
    if isinstance(item, datetime.date):
        return np.datetime64(item)
    return item


def _kind_of_item(item: Any) -> str:
    if isinstance(item, str):
        return TEXTS
    if isinstance(item, bool | int | float):
        return NUMBERS
    if isinstance(item, np.datetime64):
        return DATETIMES
    raise UnfitConditionError(f"{type(item).__name__} is no value of an attribute")


def shown(condition: Any) -> str:
    """Return a condition as a message shows it."""
    text = repr(condition)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
