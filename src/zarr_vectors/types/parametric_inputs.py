"""Users' parametric objects, by type or one by one, checked and put into rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.model.parametric import (
    ELLIPSOID,
    FORMAT_TYPES,
    KNOWN_TYPES,
    LINE,
    PLANE,
    SPHERE,
    ParametricTypeDef,
)
from zarr_vectors.ordering import offsets_of
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.write.positions import as_array

_SHAPES: Final[Mapping[str, tuple[tuple[str, int, int, bool], ...]]] = {
    PLANE.name: (("the normal A, B, C", 0, 3, False),),
    LINE.name: (("the direction dx, dy, dz", 3, 6, False),),
    SPHERE.name: (("the radius r", 3, 4, True),),
    ELLIPSOID.name: (("the semi-axes rx, ry, rz", 3, 6, True), ("the quaternion qw, qx, qy, qz", 6, 10, False)),
}
"""Coefficients of known types that may not all be zero, or of which none may be negative."""


@dataclass(frozen=True, slots=True)
class Given:
    """Objects as a user gave them.

    Parameters
    ----------
    kinds : list of str or int
        The types named.
    kind_of : (n,) int64
        Which of them each object is.
    values : (total,) float64
        Coefficients, object after object.
    counts : (n,) int64
        How many each object has.
    names : tuple of str, optional
        Name of every object.
    widths : mapping of str or int to int
        Coefficients per row of the types that were given as an array without rows.
    """

    kinds: list[str | int]
    kind_of: IntArray
    values: FloatArray
    counts: IntArray
    names: tuple[str, ...] | None
    widths: Mapping[str | int, int] = field(default_factory=dict)


def parse_objects(objects: Any, names: Any) -> Given:
    """Take objects by type, or one mapping per object.

    Raises
    ------
    ArgumentError, ShapeError
        When they are neither; names the type or object.
    """
    if isinstance(objects, Mapping):
        return _by_type(objects, names)
    if isinstance(objects, (str, bytes)) or not isinstance(objects, Iterable):
        raise ArgumentError(f"objects: expected a mapping of types to coefficients, got {type(objects).__name__}")
    listed = list(objects)
    for row, one in enumerate(listed):
        if not isinstance(one, Mapping) or "type" not in one or "coefficients" not in one:
            raise ArgumentError(f"objects: object {row} needs 'type' and 'coefficients', got {one!r}")
    kinds: dict[Any, int] = {}
    kind_of = [kinds.setdefault(_kind(one["type"]), len(kinds)) for one in listed]
    parts = [_numbers(f"object {row}", one["coefficients"], 1) for row, one in enumerate(listed)]
    own = [str(one.get("name") or "") for one in listed]
    text = _names(names, len(listed)) if names is not None else (tuple(own) if any(own) else None)
    counts = np.array([len(part) for part in parts], np.int64)
    return Given(list(kinds), np.array(kind_of, np.int64), np.concatenate([np.zeros(0), *parts]), counts, text)


def _by_type(objects: Mapping[Any, Any], names: Any) -> Given:
    kinds = [_kind(kind) for kind in objects]
    parts = [_numbers(repr(kind), rows, 2) for kind, rows in objects.items()]
    counts = [len(part) for part in parts]
    text = None
    if isinstance(names, Mapping):
        unknown = [kind for kind in names if kind not in objects]
        if unknown:
            raise ArgumentError(f"names: there are no objects of type {unknown[0]!r}")
        text = tuple(
            name
            for kind, count in zip(objects, counts, strict=True)
            for name in (_names(names[kind], count) if kind in names else ("",) * count)
        )
    elif names is not None:
        text = _names(names, sum(counts))
    kind_of = np.repeat(np.arange(len(kinds)), counts)
    widths = np.repeat(np.array([part.shape[1] for part in parts], np.int64), counts)
    empty = {kind: part.shape[1] for kind, part in zip(kinds, parts, strict=True) if not len(part) and part.shape[1]}
    values = np.concatenate([np.zeros(0), *(p.reshape(-1) for p in parts)])
    return Given(kinds, kind_of, values, widths, text, empty)


def _kind(kind: Any) -> str | int:
    if isinstance(kind, str) or (isinstance(kind, (int, np.integer)) and not isinstance(kind, bool)):
        return kind if isinstance(kind, str) else int(kind)
    raise ArgumentError(f"objects: a type is a name or a number, got {kind!r}")


def _numbers(what: str, values: Any, ndim: int) -> FloatArray:
    given = as_array(f"objects: coefficients of {what}", values)
    try:
        if given.dtype.kind in "cmM":
            raise TypeError(f"they are {given.dtype}")
        array = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"objects: coefficients of {what} must be numbers, got {values!r}") from error
    if given.dtype.kind in "iuO" and not bool(np.all(given == array.astype(given.dtype))):
        raise ArgumentError(f"objects: coefficients of {what} are float64, which does not hold all of {values!r}")
    if array.shape == (0,) and ndim == 2:
        return np.zeros((0, 0))
    if array.ndim != ndim:
        raise ShapeError(
            f"objects: coefficients of {what} must have {ndim} dimension{'s' * (ndim > 1)}, got shape {array.shape}"
        )
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argwhere(~finite)[0, 0])
        raise ArgumentError(f"objects: coefficients of {what} must be finite; row {row} is {array[row].tolist()}")
    return array


def _names(names: Any, count: int) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ArgumentError(f"names: expected {count} names, got {names!r}")
    listed = tuple(names)
    if len(listed) != count:
        raise ShapeError(f"names: {len(listed)} given for {count} objects")
    wrong = [name for name in listed if not isinstance(name, str)]
    if wrong:
        raise ArgumentError(f"names: expected text, got {wrong[0]!r}")
    return listed


def reusable_types(
    held: Sequence[ParametricTypeDef], given: Given, added: Sequence[ParametricTypeDef] | None
) -> tuple[ParametricTypeDef, ...]:
    """Return the types of a store that objects in place of all of its own name, but for those defined anew."""
    anew = [one for one in added or () if isinstance(one, ParametricTypeDef)]
    taken = {one.name for one in anew} | {one.type_id for one in anew}
    used = [one for one in held if one.name in given.kinds or one.type_id in given.kinds]
    return tuple(one for one in used if one.name not in taken and one.type_id not in taken)


def collect_types(
    held: Sequence[ParametricTypeDef], given: Given, added: Sequence[ParametricTypeDef] | None
) -> tuple[ParametricTypeDef, ...]:
    """Return the registry of a store: what it holds, what the format knows, what is added, what is used.

    Raises
    ------
    ArgumentError
        When an added type takes the id or name of another one.
    """
    types: dict[int, ParametricTypeDef] = {one.type_id: one for one in held}
    for one in added or ():
        if not isinstance(one, ParametricTypeDef):
            raise ArgumentError(f"types: expected ParametricTypeDef, got {one!r}")
        _add(types, one)
    names = {one.name for one in types.values()}
    for one in FORMAT_TYPES:
        if one.name not in names:
            _add(types, one)
    for one in KNOWN_TYPES:
        used = one.name in given.kinds or one.type_id in given.kinds
        if used and one.name not in {t.name for t in types.values()} and one.type_id not in types:
            types[one.type_id] = one
        elif used and one.name in given.kinds and one.name not in {t.name for t in types.values()}:
            free = max(types) + 1
            types[free] = ParametricTypeDef(free, one.name, one.coefficients)
    return tuple(types[number] for number in sorted(types))


def _add(types: dict[int, ParametricTypeDef], one: ParametricTypeDef) -> None:
    for other in [*types.values(), *FORMAT_TYPES]:
        if other != one and (other.type_id == one.type_id or other.name == one.name):
            raise ArgumentError(
                f"types: {one.name!r} with id {one.type_id} and coefficients {list(one.coefficients)} clashes with "
                f"{other.name!r}, id {other.type_id}, coefficients {list(other.coefficients)}"
            )
    types[one.type_id] = one


def make_coefficients(given: Given, types: Sequence[ParametricTypeDef]) -> tuple[IntArray, FloatArray]:
    """Return the type id ``(n,)`` and the padded coefficients ``(n, K)`` of every object.

    Raises
    ------
    ArgumentError
        When a type is not known, or an object has another number of coefficients than its type; names both.
    """
    by_key: dict[Any, ParametricTypeDef] = {one.type_id: one for one in types} | {one.name: one for one in types}
    unknown = [kind for kind in given.kinds if kind not in by_key]
    if unknown:
        raise ArgumentError(
            f"objects: there is no type {unknown[0]!r}; there are {[one.name for one in types]}, and others can be "
            "given as types=[ParametricTypeDef(…)]"
        )
    chosen = [by_key[kind] for kind in given.kinds]
    needed = np.array([len(one.coefficients) for one in chosen], np.int64)[given.kind_of]
    wrong = np.flatnonzero(given.counts != needed)
    if len(wrong):
        row = int(wrong[0])
        one = chosen[int(given.kind_of[row])]
        raise ArgumentError(
            f"objects: object {row} has {int(given.counts[row])} coefficients, but {one.name!r} needs "
            f"{len(one.coefficients)}: {', '.join(one.coefficients)}"
        )
    longest = int(needed.max(initial=0))
    coefficients: AnyArray = np.zeros((len(needed), longest))
    for kind, width in given.widths.items():
        if width != len(by_key[kind].coefficients):
            raise ArgumentError(
                f"objects: rows of {kind!r} have {width} coefficients, but {by_key[kind].name!r} needs "
                f"{len(by_key[kind].coefficients)}: {', '.join(by_key[kind].coefficients)}"
            )
    columns = np.arange(len(given.values)) - np.repeat(offsets_of(given.counts)[:-1], given.counts)
    coefficients[np.repeat(np.arange(len(needed)), given.counts), columns] = given.values
    ids = np.array([one.type_id for one in chosen], np.int64)
    for place, one in enumerate(chosen):
        _require_shape(one, np.flatnonzero(given.kind_of == place), coefficients)
    return ids[given.kind_of], coefficients


def _require_shape(one: ParametricTypeDef, rows: IntArray, coefficients: FloatArray) -> None:
    """Refuse coefficients of known types that describe nothing; names the object."""
    known = any((one.name, one.coefficients) == (other.name, other.coefficients) for other in KNOWN_TYPES)
    for name, start, stop, negative in _SHAPES[one.name] if known else ():
        part = coefficients[rows, start:stop]
        wrong = np.flatnonzero((part < 0).any(axis=1) if negative else (part == 0).all(axis=1))
        if len(wrong):
            row = int(wrong[0])
            raise ArgumentError(
                f"objects: {name} of object {rows[row]}, a {one.name}, must not be "
                f"{'negative' if negative else 'zero'}, got {part[row].tolist()}"
            )
