"""What a user asks of an attribute, parsed: items to be equal to, or a half-open range, of one kind."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from zarr_vectors.typing import AnyArray

NUMBERS: Final = "numbers"
TEXTS: Final = "texts"
BYTES: Final = "bytes"
DATETIMES: Final = "datetimes"
TIMEDELTAS: Final = "timedeltas"
MIXED: Final = "mixed values"

_KINDS: Final = {
    **dict.fromkeys("biuf", NUMBERS),
    **dict.fromkeys("UT", TEXTS),
    "S": BYTES,
    "M": DATETIMES,
    "m": TIMEDELTAS,
}
_DTYPES: Final = {TEXTS: "U", BYTES: "O", DATETIMES: "M8", TIMEDELTAS: "m8", NUMBERS: "f8", None: "O"}
_MISSING: Final = ("NAType", "NaTType")
_RANGE = "a tuple of two numbers or times is a range (lower, upper); values to choose from are given as a list"
_LONGEST_SHOWN = 120


class UnfitConditionError(ValueError):
    """A condition without meaning, or without meaning for a kind of values; says why."""


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """Values equal to one of some items.

    Parameters
    ----------
    items : (n,) array
        Numbers, texts, bytes, datetimes or timedeltas, of any data type or as objects.
    kind : str, optional
        Which of these; None where there are no items.
    missing : bool
        Whether missing values are asked for as well.
    zoned : bool
        Whether some of the datetimes, which are in UTC, were given with a time zone.
    paired : bool
        Whether the items are a tuple of two texts, which is a range where these stand for datetimes.
    """

    items: AnyArray
    kind: str | None
    missing: bool = False
    zoned: bool = False
    paired: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Values of a half-open range ``[lower, upper)``.

    Parameters
    ----------
    ends : (2,) array
        Lower and upper end: numbers, datetimes or timedeltas, of any data type or as objects.
    kind : str, optional
        Which of these.
    zoned : bool
        Whether an end was given with a time zone.
    """

    ends: AnyArray
    kind: str | None
    zoned: bool = False

    @property
    def missing(self) -> bool:
        """False: what is missing is in no range."""
        return False

    def require_order(self) -> None:
        """Refuse a range that is reversed or empty, as a box is.

        Raises
        ------
        UnfitConditionError
            When the lower end is not below the upper one.
        """
        lower, upper = self.ends.tolist() if self.kind == NUMBERS else self.ends
        if not lower < upper:
            raise UnfitConditionError(f"the lower end of a range must be below the upper one, got {lower} and {upper}")


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

    @property
    def missing(self) -> bool:
        """False."""
        return False


Condition = OneOf | Span | Steps


def kind_of(values: AnyArray) -> str:
    """Return what an array holds: numbers, texts, bytes, datetimes, timedeltas or mixed values."""
    return _KINDS.get(values.dtype.kind, MIXED)


def parse_condition(condition: Any) -> Condition:
    """Turn what a user wrote into a condition.

    Parameters
    ----------
    condition : scalar, tuple, range, list, set, array, or pandas, Arrow or polars column
        A scalar or None is one item, a tuple of two numbers or times a half-open range, everything else (a tuple of
        texts too) the items themselves.

    Raises
    ------
    UnfitConditionError
        When it is something else, or holds something else.
    """
    if isinstance(condition, tuple):
        return _parse_tuple(condition)
    if isinstance(condition, range):
        return Steps(condition)
    if isinstance(condition, list | set | frozenset):
        return _as_items(list(condition))
    if type(condition).__module__.partition(".")[0] in ("pyarrow", "polars"):
        listed = condition.to_pylist if hasattr(condition, "to_pylist") else getattr(condition, "to_list", None)
        return _as_items([condition.as_py()] if listed is None else listed())
    if hasattr(condition, "__array__") and np.ndim(condition) > 0:
        if np.ndim(condition) > 1:
            raise UnfitConditionError("values to choose from must have one dimension")
        return _from_array(condition)
    return _as_items([condition])


def _parse_tuple(condition: tuple[Any, ...]) -> Condition:
    found = _as_items(list(condition))
    if found.kind in (TEXTS, BYTES):
        paired = found.kind == TEXTS and len(condition) == 2 and not found.missing
        return OneOf(found.items, found.kind, found.missing, found.zoned, paired)
    if len(condition) != 2:
        raise UnfitConditionError(_RANGE)
    if found.missing:
        raise UnfitConditionError("the ends of a range must be there; -inf and inf leave one open")
    if any(isinstance(end, bool | np.bool_) for end in condition):
        raise UnfitConditionError(f"booleans have no ranges: {_RANGE}")
    return Span(found.items, found.kind, found.zoned)


def _from_array(given: Any) -> OneOf:
    if isinstance(given, np.ma.MaskedArray):
        there = _from_array(given.compressed())
        return OneOf(there.items, there.kind, there.missing or bool(np.ma.getmaskarray(given).any()))
    if hasattr(given, "isna") and given.dtype.kind in "biu" and given.isna().any():
        return _as_items(list(given))  # NumPy would make floats of nullable whole numbers
    array = np.asarray(given)
    if array.dtype.kind in "biu":
        return OneOf(array, NUMBERS)
    if array.dtype.kind in "fMm":
        missing = np.isnan(array) if array.dtype.kind == "f" else np.isnat(array)
        return OneOf(array[~missing], _KINDS[array.dtype.kind], bool(missing.any()))
    return _as_items(array.tolist())


def _as_items(listed: Sequence[Any]) -> OneOf:
    """Make an array of one kind of items; missing ones are set apart."""
    there = [item for item in listed if not _is_missing(item)]
    zoned = any(getattr(item, "tzinfo", None) is not None for item in there)
    present = [_plain(item) for item in there]
    missing = len(present) < len(listed)
    kinds = {_kind_of_item(item) for item in present}
    if len(kinds) > 1:
        return OneOf(_objects(present), MIXED, missing)
    kind = kinds.pop() if kinds else None
    if kind == BYTES or (kind == NUMBERS and not all(isinstance(item, float) for item in present)):
        return OneOf(_objects(present), kind, missing)
    return OneOf(np.array(present, _DTYPES[kind]), kind, missing, zoned)


def _objects(items: list[Any]) -> AnyArray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _is_missing(item: Any) -> bool:
    if item is None or item is np.ma.masked or type(item).__name__ in _MISSING:
        return True
    if isinstance(item, float | np.floating):
        return bool(item != item)
    return isinstance(item, np.datetime64 | np.timedelta64) and bool(np.isnat(item))


def _plain(item: Any) -> Any:
    """Return an item as Python or NumPy's times hold it; times with a zone in UTC."""
    if isinstance(item, np.ndarray) and item.ndim == 0:
        item = item[()]
    if isinstance(item, str):
        return str(item)
    if isinstance(item, np.generic) and not isinstance(item, np.datetime64 | np.timedelta64):
        item = item.item()
    if isinstance(item, datetime.datetime) and item.tzinfo is not None:
        item = item.astimezone(datetime.UTC).replace(tzinfo=None)  # of pandas as well, which keeps its nanoseconds
    if hasattr(item, "to_datetime64"):
        return item.to_datetime64()
    if hasattr(item, "to_timedelta64"):
        return item.to_timedelta64()
    if isinstance(item, datetime.date):
        return np.datetime64(item)
    return np.timedelta64(item) if isinstance(item, datetime.timedelta) else item


def _kind_of_item(item: Any) -> str:
    for kind, types in (
        (TEXTS, str),
        (BYTES, bytes),
        (NUMBERS, bool | int | float),
        (DATETIMES, np.datetime64),
        (TIMEDELTAS, np.timedelta64),
    ):
        if isinstance(item, types):
            return kind
    raise UnfitConditionError(f"{type(item).__name__} is no value of an attribute")


def shown(condition: Any) -> str:
    """Return a condition as a message shows it."""
    text = repr(condition)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
