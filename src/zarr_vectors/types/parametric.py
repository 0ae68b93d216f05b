"""Parametric objects: planes, lines, spheres, ellipsoids and types of your own, kept beside the levels of a store.

``write_parametric`` stores them, ``read_parametric`` reads them; ``write_parametric_objects`` and
``read_parametric_objects`` do the same with a mapping per object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import CAP_FRAGMENT_INDEX, GROUP_NAME_ATTRIBUTE, PARAMETRIC
from zarr_vectors.core.store import create_store
from zarr_vectors.exceptions import ArgumentError, StoreExistsError, StoreNotFoundError, UnknownNameError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.formats.parametric import encode_parametric
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.parametric import ELLIPSOID, LINE, PLANE, SPHERE, ParametricTable, ParametricTypeDef
from zarr_vectors.read.filters import matching_rows
from zarr_vectors.read.objects import as_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.parametric import read_parametric_table
from zarr_vectors.read.query import parse_filter, parse_groups, parse_names
from zarr_vectors.read.steady import steady
from zarr_vectors.storage.journal import Transaction
from zarr_vectors.types.parametric_inputs import (
    Given,
    collect_types,
    make_coefficients,
    parse_objects,
    reusable_types,
)
from zarr_vectors.types.parametric_joining import join_tables
from zarr_vectors.types.results import Result
from zarr_vectors.types.storing import as_declared
from zarr_vectors.types.tables import Attributes, Specs, check_specs, make_columns, make_groups
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.write.changing import open_for_change
from zarr_vectors.write.options import WriteOptions

__all__ = [
    "ELLIPSOID",
    "LINE",
    "PLANE",
    "SPHERE",
    "ParametricResult",
    "ParametricSummary",
    "ParametricTypeDef",
    "read_parametric",
    "read_parametric_objects",
    "write_parametric",
    "write_parametric_objects",
]


@dataclass(frozen=True, slots=True)
class ParametricSummary(Result):
    """What the store holds after ``write_parametric``.

    Attributes
    ----------
    object_count, group_count : int
        How many of each.
    type_counts : dict of str to int
        Objects of every type that is in use.
    """

    object_count: int
    type_counts: dict[str, int]
    group_count: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ParametricResult(Result):
    """Parametric objects that ``read_parametric`` found, one row each.

    Attributes
    ----------
    object_ids : (n,) int64
        Ids, in the order asked for, else ascending.
    type_ids : (n,) int64
        Type of every object.
    coefficients : (n, K) float64
        Coefficients in the order of the type, zeros behind them.
    names : tuple of str
        Name of every object; ``<type>_<id>`` where none was given.
    attributes : dict of str to array
        ``(n,)`` or ``(n, C)`` by object attribute.
    types : tuple of ParametricTypeDef
        Every type that the store knows.
    groups : dict of int or str to (k,) int64
        Object ids by the number or name of the group.
    group_attributes : dict of str to array
        One row per group.
    """

    object_ids: IntArray
    type_ids: IntArray
    coefficients: FloatArray
    names: tuple[str, ...]
    attributes: dict[str, AnyArray]
    types: tuple[ParametricTypeDef, ...]
    groups: dict[int | str, IntArray]
    group_attributes: dict[str, AnyArray]

    @property
    def object_count(self) -> int:
        """Number of objects found."""
        return len(self.object_ids)

    def keys(self) -> list[str]:
        """Return the names that ``result[...]`` answers to."""
        return [*Result.keys(self), "object_count"]

    def of_type(self, name: str | int) -> tuple[IntArray, FloatArray]:
        """Return the ids ``(m,)`` and coefficients ``(m, k)`` of the objects of one type.

        Raises
        ------
        UnknownNameError
            When there is no such type.
        """
        one = find_type(self.types, name)
        rows = np.flatnonzero(self.type_ids == one.type_id)
        return self.object_ids[rows], self.coefficients[rows, : len(one.coefficients)]


def find_type(types: Sequence[ParametricTypeDef], name: str | int) -> ParametricTypeDef:
    """Return the type of a name or id.

    Raises
    ------
    UnknownNameError
        Naming the types that are known.
    """
    for one in types:
        if name in (one.name, one.type_id) and not isinstance(name, bool):
            return one
    raise UnknownNameError(f"types: there is no type {name!r}; there are {[one.name for one in types]}")


def write_parametric(
    path: Any,
    objects: Any,
    *,
    names: Any = None,
    types: Sequence[ParametricTypeDef] | None = None,
    object_attributes: Attributes = None,
    groups: Mapping[Any, Sequence[int]] | None = None,
    group_attributes: Attributes = None,
    attribute_specs: Specs = None,
    mode: str = "w",
    compressor: Any = "auto",
    checksum: bool = True,
    format_version: str = "0.9",
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> ParametricSummary:
    """Write parametric objects into a store, beside what it holds; a store is made where none is.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    objects : mapping of str or int to (n, k) array, or sequence of mappings
        Coefficients by type (name or id), or one mapping per object with ``type``, ``coefficients`` and, if you
        like, ``name``. Types known are ``plane`` (A, B, C, D), ``line`` (x0, y0, z0, dx, dy, dz), ``sphere``
        (cx, cy, cz, r) and ``ellipsoid`` (cx, cy, cz, rx, ry, rz, qw, qx, qy, qz: centre, semi-axes, unit quaternion).
        Objects are numbered from 0 in the order given.
    names : sequence of str, or mapping of type to sequence of str, optional
        Name of every object.
    types : sequence of ParametricTypeDef, optional
        Further types of your own. Those that the store has need not be given again; under ``"w"``, which replaces all
        objects, a type given here takes the place of one with its name or id.
    object_attributes : mapping of str to (n,) or (n, C) array, optional
        One row per object, in the order of ``objects``, or named by its number as in ``write_points``.
    groups : mapping of int or str to object ids, optional
        Sets of these objects by number or name.
    group_attributes : mapping of str to (G,) or (G, C) array, optional
        One row per group.
    attribute_specs : mapping of str to AttributeSpec or dict, optional
        ``unit``, ``description``, ``channel_names`` by attribute name.
    mode : {"w", "w-", "a"}
        Replace the parametric objects of the store, refuse where there are some, or add to them: added objects are
        numbered on, and ``groups`` then speaks of them by their numbers among those added. Levels stay as they are.
    compressor : str, dict, list, codec or None
        As in ``write_points``.
    format_version : {"0.9", "0.7"}
        Format revision of a store that is made; one that is there keeps its own.
    bounds : pair of D numbers, optional
        Bounds of a store that is made.
    backend, **backend_kwargs
        Storage library and its options.

    Returns
    -------
    ParametricSummary
        Counts.

    Raises
    ------
    ArgumentError
        For a type that is not known, the wrong number of coefficients, NaN or infinity, or coefficients that describe
        nothing (a negative radius or semi-axis, a normal, direction or quaternion of zeros); names the object.
    StoreExistsError
        Under ``"w-"``, where the store has parametric objects.
    StoreError
        When something other than a Zarr Vectors store is at the path.

    Examples
    --------
    >>> spheres = [[0, 0, 0, 5], [10, 0, 0, 2.5]]
    >>> write_parametric("memory://doc-parametric", {"sphere": spheres, "plane": [[0, 0, 1, -3]]}).type_counts
    {'plane': 1, 'sphere': 2}
    """
    options = WriteOptions.parse(format_version=format_version, compressor=compressor, checksum=checksum, mode=mode)
    draft = _Draft(parse_objects(objects, names), types, object_attributes, groups, group_attributes, attribute_specs)
    check_specs(attribute_specs, object_attributes, group_attributes)
    try:
        open_reader(path, backend, **backend_kwargs)
    except StoreNotFoundError:
        draft.table(())
        path = create_store(
            path,
            bounds=bounds,
            format_version=format_version,
            format_capabilities=[CAP_FRAGMENT_INDEX],
            checksum=checksum,
            backend=backend,
            **backend_kwargs,
        )
        backend, backend_kwargs = None, {}
    with open_for_change(path, backend, backend_kwargs) as (storage, store):
        options = as_declared(options, store)
        held = read_parametric_table(storage)
        if held is not None and held.count and options.mode == "w-":
            raise StoreExistsError(
                f"{storage.url}: there are {held.count} parametric objects already, and mode 'w-' never replaces"
            )
        known: Sequence[ParametricTypeDef] = () if held is None else held.types
        if options.mode == "w":
            known = reusable_types(known, draft.given, types)
        table = draft.table(known)
        if held is not None and options.mode == "a":
            table = join_tables(held, table)
        with Transaction(storage) as transaction:
            transaction.delete_prefix(PARAMETRIC)
            transaction.put_many(encode_parametric(table, options.layout))
    return _summary(table)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a user gave: a table but for the types that the store knows."""

    given: Given
    types: Sequence[ParametricTypeDef] | None
    attributes: Attributes
    groups: Mapping[Any, Sequence[int]] | None
    group_attributes: Attributes
    specs: Specs

    def table(self, known: Sequence[ParametricTypeDef]) -> ParametricTable:
        """Return the objects as rows; refuses what cannot be stored beside the types that are known."""
        kinds = collect_types(known, self.given, self.types)
        type_ids, coefficients = make_coefficients(self.given, kinds)
        count = len(type_ids)
        ids = np.arange(count)
        columns = make_columns(
            "object_attributes", self.attributes, count, "object", self.specs, dictionary=False, ids=ids
        )
        groups = make_groups(self.groups, self.group_attributes, ids, self.specs)
        return ParametricTable(kinds, type_ids, coefficients, self.given.names, columns, groups)


def _summary(table: ParametricTable) -> ParametricSummary:
    used = {one.name: int((table.type_ids == one.type_id).sum()) for one in table.types}
    return ParametricSummary(
        table.count,
        {name: count for name, count in used.items() if count},
        0 if table.groups is None else table.groups.count,
    )


@steady
def read_parametric(
    path: Any,
    *,
    types: str | int | Sequence[str | int] | None = None,
    object_ids: npt.ArrayLike | None = None,
    group_ids: int | str | Sequence[int | str] | None = None,
    attribute_filter: Mapping[str, Any] | None = None,
    attributes: Sequence[str] | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> ParametricResult:
    """Read the parametric objects of a store; conditions combine.

    Parameters
    ----------
    path : str, path, zarr Store or open Group
        The store.
    types : str, int or sequence, optional
        Only objects of these types, by name or id.
    object_ids : integers, optional
        Only these objects, in this order.
    group_ids : int, str or sequence, optional
        Only objects in any of these groups, by number or name.
    attribute_filter : mapping, optional
        Conditions on object attributes: a value, a list of values, or a tuple ``(lower, upper)`` (half-open).
    attributes : sequence of str, optional
        Object attributes to return; all by default.
    backend, **backend_kwargs
        Storage library and its options.

    Returns
    -------
    ParametricResult
        Empty where the store has no parametric objects.

    Raises
    ------
    UnknownNameError
        For a type, object, group or attribute that is not there.
    """
    store = open_reader(path, backend, **backend_kwargs)
    table = read_parametric_table(store.storage)
    if table is None:
        table = ParametricTable((), np.zeros(0, np.int64), np.zeros((0, 0)))
    keep = np.ones(table.count, bool)
    if types is not None:
        wanted = [types] if isinstance(types, (str, int)) else list(types)
        keep &= np.isin(table.type_ids, [find_type(table.types, one).type_id for one in wanted])
    asked_ids = None if object_ids is None else as_object_ids(object_ids)
    if asked_ids is not None:
        keep &= _mask(table, asked_ids)
    members = _members(table)
    if group_ids is not None:
        chosen = [_group(members, one) for one in parse_groups(group_ids)]
        keep &= _mask(table, np.concatenate([np.zeros(0, np.int64), *chosen]))
    names = parse_names("attributes", attributes)
    conditions = parse_filter(attribute_filter)
    for name in [*(names or []), *conditions]:
        if name not in table.attributes:
            raise UnknownNameError(
                f"{store.storage.url}: parametric objects have no attribute {name!r}; "
                f"they have {sorted(table.attributes)}"
            )
    if conditions:
        keep &= matching_rows(table.attributes, conditions)
    rows = np.flatnonzero(keep) if asked_ids is None else asked_ids[keep[asked_ids]]
    by_id = {one.type_id: one.name for one in table.types}
    kinds = table.type_ids[rows].tolist()
    given = table.names or ("",) * table.count
    return ParametricResult(
        object_ids=rows,
        type_ids=table.type_ids[rows],
        coefficients=table.coefficients[rows],
        names=tuple(given[r] or f"{by_id[k]}_{r}" for r, k in zip(rows.tolist(), kinds, strict=True)),
        attributes={
            name: decode_column(column.take(rows))
            for name, column in table.attributes.items()
            if names is None or name in names
        },
        types=table.types,
        groups=members,
        group_attributes={}
        if table.groups is None
        else {name: decode_column(column) for name, column in table.groups.attributes.items()},
    )


def _mask(table: ParametricTable, ids: IntArray) -> AnyArray:
    unknown = ids[(ids < 0) | (ids >= table.count)]
    if len(unknown):
        raise UnknownNameError(f"object_ids: there is no parametric object {unknown[0]} ({table.count} objects)")
    mask = np.zeros(table.count, bool)
    mask[ids] = True
    return mask


def _members(table: ParametricTable) -> dict[int | str, IntArray]:
    groups: Groups | None = table.groups
    if groups is None:
        return {}
    column = groups.attributes.get(GROUP_NAME_ATTRIBUTE)
    keys: Sequence[int | str] = range(groups.count) if column is None else [str(n) for n in decode_column(column)]
    return {key: groups.of(number) for number, key in enumerate(keys)}


def _group(members: Mapping[int | str, IntArray], asked: int | str) -> IntArray:
    if asked in members:
        return members[asked]
    if isinstance(asked, int) and 0 <= asked < len(members):
        return list(members.values())[asked]
    raise UnknownNameError(f"group_ids: there is no group {asked!r} of parametric objects; there are {list(members)}")


def write_parametric_objects(
    path: Any,
    objects: Sequence[Mapping[str, Any]],
    *,
    object_attributes: Attributes = None,
    groups: Mapping[Any, Sequence[int]] | None = None,
    group_attributes: Attributes = None,
    custom_types: Sequence[ParametricTypeDef] | None = None,
    create_new_store: bool = False,
    store_kwargs: Mapping[str, Any] | None = None,
    backend: str | None = None,
) -> ParametricSummary:
    """Write parametric objects given as one mapping each; see :func:`write_parametric`.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    objects : sequence of mappings
        Each with ``type``, ``coefficients`` and, if you like, ``name``.
    object_attributes, groups, group_attributes, custom_types
        As in :func:`write_parametric`; ``custom_types`` is its ``types``.
    create_new_store : bool
        Whether the store is made here; otherwise it must be there.
    store_kwargs : mapping, optional
        Arguments of ``create_store``.
    backend : str, optional
        Storage library.

    Raises
    ------
    ArgumentError, StoreError
        As in :func:`write_parametric`.
    """
    if store_kwargs and not create_new_store:
        raise ArgumentError("store_kwargs: given without create_new_store=True")
    if create_new_store:
        given = parse_objects(objects, None)
        _Draft(given, custom_types, object_attributes, groups, group_attributes, None).table(())
        path = create_store(path, backend=backend, **dict(store_kwargs or {}))
    else:
        open_reader(path, backend)
    return write_parametric(
        path,
        objects,
        types=custom_types,
        object_attributes=object_attributes,
        groups=groups,
        group_attributes=group_attributes,
        backend=None if create_new_store else backend,
    )


@steady
def read_parametric_objects(path: Any, *, backend: str | None = None) -> list[dict[str, Any]]:
    """Read parametric objects as one mapping each.

    Parameters
    ----------
    path : str, path, zarr Store or open Group
        The store.
    backend : str, optional
        Storage library.

    Returns
    -------
    list of dict
        ``type``, ``type_id``, ``coefficients``, ``coefficient_names`` and ``name`` of every object, by id.
    """
    found = read_parametric(path, backend=backend)
    by_id = {one.type_id: one for one in found.types}
    kinds = [by_id[number] for number in found.type_ids.tolist()]
    return [
        {
            "type": one.name,
            "type_id": one.type_id,
            "coefficients": values[: len(one.coefficients)],
            "coefficient_names": list(one.coefficients),
            "name": name,
        }
        for one, values, name in zip(kinds, found.coefficients.tolist(), found.names, strict=True)
    ]
