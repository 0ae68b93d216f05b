"""Appending: the elements of a store joined with new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.constants import GROUP_NAME_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import decode_column, make_column
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.elements import Elements, Groups, Links, Objects
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.objects import read_columns, read_groups, read_object_ids
from zarr_vectors.read.query import Query
from zarr_vectors.read.rows import read_rows
from zarr_vectors.read.store import StoreReader
from zarr_vectors.types.storing import StoreOptions
from zarr_vectors.typing import FloatArray
from zarr_vectors.write.options import WriteOptions


def read_elements(store: StoreReader, level: int = 0) -> Elements:
    """Read all elements of a level of points, in stored order."""
    reader = store.level(level)
    rows = read_rows(reader, Query())
    ids = read_object_ids(reader)
    objects = None
    if ids is not None and rows.object_ids is not None:
        order = np.argsort(ids, kind="stable")
        attributes = read_columns(reader, dict(reader.arrays.object_attributes), None)
        columns = {name: column.take(order) for name, column in attributes.items()}
        objects = Objects(ids[order], np.searchsorted(ids[order], rows.object_ids), columns)
    return Elements(rows.positions, dict(rows.attributes), objects, read_groups(reader))


def append_options(
    store: StoreReader, said: StoreOptions, options: WriteOptions, positions: FloatArray
) -> tuple[StoreOptions, WriteOptions]:
    """Return the options under which a store is written anew with more in it: its own, bounds as asked.

    Raises
    ------
    ArgumentError
        When axes, shapes or revision given differ from those of the store.
    """
    root = store.root
    fixed: tuple[tuple[str, Any, Any], ...] = (
        ("chunk_shape", said.chunk_shape, root.chunk_shape),
        ("bin_shape", said.bin_shape, root.base_bin_shape),
    )
    for argument, given, held in fixed:
        if given is not None and tuple(np.broadcast_to(given, len(root.axes)).tolist()) != held:
            raise ArgumentError(f"{argument}: {given} given, but the store has {held}; appending cannot change it")
    if positions.shape[1] != root.ndim:
        raise ArgumentError(f"positions have {positions.shape[1]} columns, but the store has {root.ndim} axes")
    kept = replace(
        said,
        chunk_shape=root.chunk_shape,
        bin_shape=root.base_bin_shape or root.chunk_shape,
        bounds=said.bounds or root.bounds,
        axes=said.axes or root.axes,
        crs=said.crs or root.crs,
        chunk_by_attribute=store.level(0).metadata.chunk_attribute_name,
        metadata=said.metadata if said.metadata is not None else store.attributes.get("user_metadata"),
    )
    return kept, replace(options, revision=store.revision)


def append_elements(old: Elements, new: Elements) -> Elements:
    """Return old elements followed by new ones.

    Raises
    ------
    ArgumentError
        When attributes, objects or precision of the two do not match; names what is missing.
    """
    if old.positions.dtype.itemsize < new.positions.dtype.itemsize:
        raise ArgumentError(
            f"dtype: the store holds {old.positions.dtype} positions; appending {new.positions.dtype} would lose "
            "precision"
        )
    if (old.objects is None) != (new.objects is None) and old.count:
        held = "has no objects" if old.objects is None else "has objects"
        raise ArgumentError(f"object_ids: the store {held}; appended points must match")
    objects = join_objects(old.objects, new.objects)
    return Elements(
        np.concatenate([old.positions, new.positions.astype(old.positions.dtype, copy=False)]),
        _join_columns("attributes", old.attributes, new.attributes),
        objects,
        join_groups(old.groups, new.groups),
        _join_links(old.links, new.links, old.count),
    )


def _join_links(old: Links | None, new: Links | None, shift: int) -> Links | None:
    """Join links; those of the new elements name rows from ``shift`` on."""
    if new is None:
        return old
    moved = replace(new, rows=new.rows + shift)
    if old is None or len(old.rows) == 0:
        return moved
    if (old.width, old.directed) != (new.width, new.directed):
        raise ArgumentError(
            f"links: the store has {'directed' if old.directed else 'undirected'} ones of {old.width} vertices, given "
            f"{'directed' if new.directed else 'undirected'} ones of {new.width}"
        )
    attributes = _join_columns("link attributes", old.attributes, new.attributes)
    return replace(old, rows=np.concatenate([old.rows, moved.rows]), attributes=attributes)


def _join_columns(
    argument: str, old: Mapping[str, Column], new: Mapping[str, Column], *, dictionary: bool = True
) -> dict[str, Column]:
    if set(old) != set(new):
        missing, extra = sorted(set(old) - set(new)), sorted(set(new) - set(old))
        raise ArgumentError(
            f"{argument}: appended rows must have the attributes of the store: missing {missing}, not in it {extra}"
        )
    return {name: _join(argument, name, old[name], new[name], dictionary) for name in old}


def _join(argument: str, name: str, old: Column, new: Column, dictionary: bool) -> Column:
    if old.values.shape[1:] != new.values.shape[1:]:
        raise ArgumentError(
            f"{argument}: {name!r} has {old.values.shape[1:]} channels in the store, {new.values.shape[1:]} given"
        )
    if old.spec.categories is not None or new.spec.categories is not None:
        values = np.concatenate([decode_column(old).astype(object), decode_column(new).astype(object)])
        joined = make_column(argument, name, values, len(values), "row", dictionary=dictionary)
        described = replace(joined.spec, description=old.spec.description, unit=old.spec.unit)
        return Column(joined.values, replace(described, channel_names=old.spec.channel_names))
    if old.values.dtype.kind == "U":
        values = np.concatenate([old.values, new.values])
        return Column(values, replace(old.spec, dtype=values.dtype.str))
    if (old.spec.encoding, old.spec.time_unit) != (new.spec.encoding, new.spec.time_unit):
        raise ArgumentError(f"{argument}: {name!r} is stored as {_kind(old.spec)}, given as {_kind(new.spec)}")
    if not np.can_cast(new.values.dtype, old.values.dtype, "same_kind"):
        raise ArgumentError(f"{argument}: {name!r} is {old.values.dtype} in the store, {new.values.dtype} given")
    cast = new.values.astype(old.values.dtype)
    if old.values.dtype.kind in "iu" and not np.array_equal(cast, new.values):
        raise ArgumentError(f"{argument}: {name!r} has values beyond the {old.values.dtype} of the store")
    return Column(np.concatenate([old.values, cast]), old.spec)


def _kind(spec: AttributeSpec) -> str:
    return spec.encoding + (f" [{spec.time_unit}]" if spec.time_unit else "") if spec.encoding else spec.dtype


def join_objects(old: Objects | None, new: Objects | None) -> Objects | None:
    """Unite objects by id; what is given anew about an object that exists takes the place of the old."""
    if old is None or new is None:
        return new if old is None else old
    ids = np.union1d(old.ids, new.ids)
    of_vertex = np.concatenate(
        [np.searchsorted(ids, old.ids)[old.of_vertex], np.searchsorted(ids, new.ids)[new.of_vertex]]
    )
    added = ~np.isin(new.ids, old.ids)
    if set(old.attributes) != set(new.attributes) and (added.any() or new.attributes):
        raise ArgumentError(
            f"object_attributes: the store has {sorted(old.attributes)}, given {sorted(new.attributes)}; new objects "
            "need all of them"
        )
    if not new.attributes:
        return Objects(ids, of_vertex, dict(old.attributes))
    table = _join_columns("object_attributes", old.attributes, new.attributes, dictionary=False)
    # A row given for an object that exists takes the place of the old one.
    latest = np.searchsorted(ids, np.concatenate([old.ids, new.ids]))
    rows = np.zeros(len(ids), np.int64)
    rows[latest] = np.arange(len(latest))
    return Objects(ids, of_vertex, {name: column.take(rows) for name, column in table.items()})


def join_groups(old: Groups | None, new: Groups | None) -> Groups | None:
    """Unite groups: by name where both have names, else by number."""
    if old is None or new is None:
        return new if old is None else old
    old_names, new_names = old.attributes.get(GROUP_NAME_ATTRIBUTE), new.attributes.get(GROUP_NAME_ATTRIBUTE)
    if (old_names is None) != (new_names is None):
        raise ArgumentError("groups: the store and what is appended must both name their groups, or neither")
    target = np.arange(new.count)
    if old_names is not None and new_names is not None:
        known = {name: g for g, name in enumerate(old_names.values.tolist())}
        added = [name for name in new_names.values.tolist() if name not in known]
        known |= {name: old.count + i for i, name in enumerate(added)}
        target = np.array([known[name] for name in new_names.values.tolist()], np.int64)
    count = max(old.count, int(target.max(initial=-1)) + 1)
    owner = np.concatenate(
        [np.repeat(np.arange(old.count), np.diff(old.offsets)), np.repeat(target, np.diff(new.offsets))]
    )
    pairs = np.unique(np.stack([owner, np.concatenate([old.members, new.members])]), axis=1)
    offsets = offsets_of(np.bincount(pairs[0], minlength=count))
    if set(old.attributes) != set(new.attributes):
        raise ArgumentError(f"group_attributes: the store has {sorted(old.attributes)}, given {sorted(new.attributes)}")
    table = _join_columns("group_attributes", old.attributes, new.attributes, dictionary=False)
    latest = np.concatenate([np.arange(old.count), target])
    rows = np.zeros(count, np.int64)
    rows[latest] = np.arange(len(latest))
    return Groups(pairs[1], offsets, {name: column.take(rows) for name, column in table.items()})
