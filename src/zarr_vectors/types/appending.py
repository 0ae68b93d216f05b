"""Appending: the elements of a store joined with new ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.constants import GROUP_NAME_ATTRIBUTE, OBJECT_ID_ATTRIBUTE, ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.joining import join_columns
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.axes import make_axes
from zarr_vectors.model.elements import Elements, Groups, Links, Objects
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.objects import read_columns, read_groups
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.read.query import Query
from zarr_vectors.read.rows import read_rows
from zarr_vectors.read.store import StoreReader
from zarr_vectors.types.storing import StoreOptions
from zarr_vectors.typing import FloatArray, IntArray
from zarr_vectors.write.bounds import parse_bounds
from zarr_vectors.write.frames import as_columns
from zarr_vectors.write.options import WriteOptions
from zarr_vectors.write.tables import Attributes


def read_elements(store: StoreReader, level: int = 0) -> Elements:
    """Read all elements of a level of points, in stored order."""
    reader = store.level(level)
    rows = read_rows(reader, Query())
    ids = ordered_object_ids(reader)
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
    """Return the options under which a store is written anew with more in it: its own, bounds grown as asked.

    Raises
    ------
    ArgumentError
        When shapes, axes, chunking, revision or coordinate system are given and differ from those of the store.
    """
    root = store.root
    _require_crs(store, said)
    finest = store.level(0)
    chunked_by = finest.keyed_attribute
    if finest.leads and chunked_by is None:
        described = (finest.metadata.chunk_dims or ("",))[0]
        raise ArgumentError(
            f"mode='a': the chunks of {store.storage.url} go by {described!r}, which new vertices have no value of; "
            "rechunk it by='spatial', append, and rechunk it again"
        )
    units = None if said.axis_units is None else make_axes(root.ndim, root.axes, said.axis_units)
    if positions.shape[1] != root.ndim:
        raise ArgumentError(f"positions have {positions.shape[1]} columns, but the store has {root.ndim} axes")
    fixed: tuple[tuple[str, Any, Any], ...] = (
        ("chunk_shape", _shape(said.chunk_shape, root.ndim), root.chunk_shape),
        ("bin_shape", _shape(said.bin_shape, root.ndim), root.base_bin_shape),
        ("chunk_by_attribute", said.chunk_by_attribute, chunked_by),
        ("format_version", options.revision.name if options.revision_given else None, store.revision.name),
        ("axes", None if said.axes is None else make_axes(root.ndim, said.axes, said.axis_units), root.axes),
        ("axis_units", units, root.axes),
    )
    for argument, given, held in fixed:
        if given is not None and given != held:
            raise ArgumentError(f"{argument}: {given} given, but the store has {held}; appending cannot change it")
    bounds = parse_bounds(said.bounds, root.ndim) or root.bounds
    kept = replace(
        said,
        chunk_shape=root.chunk_shape,
        bin_shape=root.base_bin_shape or root.chunk_shape,
        bounds=(
            tuple(np.minimum(bounds[0], root.bounds[0]).tolist()),
            tuple(np.maximum(bounds[1], root.bounds[1]).tolist()),
        ),
        axes=root.axes,
        axis_units=None,
        crs=root.crs or said.crs,
        chunk_by_attribute=chunked_by,
        metadata=merged_metadata(store.attributes.get("user_metadata"), said.metadata),
    )
    layout = store.stored_options(0)
    compressor = layout.compressor if options.layout.compressor == "auto" else options.layout.compressor
    shards = layout.shard_shape if options.layout.shard_shape == "auto" else options.layout.shard_shape
    layout_kept = LevelOptions(compressor, shards, checksum=layout.checksum and options.layout.checksum)
    return kept, replace(options, revision=store.revision, layout=layout_kept)


def _require_crs(store: StoreReader, said: StoreOptions) -> None:
    """Refuse another coordinate system than that of the vertices that are there."""
    held: Mapping[str, Any] = store.root.crs or {}
    if not held and store.level(0).metadata.vertex_count == 0:
        return
    name = said.coordinate_system
    if name is not None and name != held.get("name"):
        raise ArgumentError(
            f"coordinate_system: {name!r} given, but the store has {held.get('name')!r}; appending cannot change it"
        )
    if said.crs is None:
        return
    given = json.loads(json.dumps(dict(said.crs) if name is None else {**said.crs, "name": name}))
    if given != held:
        raise ArgumentError(f"crs: {given} given, but the store has {dict(held) or None}; appending cannot change it")


class JoinedMetadata(dict[str, Any]):
    """Metadata under one key that is joined with what a store holds there, rather than put in its place.

    Parameters
    ----------
    values : mapping
        What is given.
    join : callable
        Called with what the store holds and what is given, while the store is held for writing; returns both.
    """

    def __init__(self, values: Mapping[str, Any], join: Callable[[Mapping[str, Any], Mapping[str, Any]], Any]) -> None:
        super().__init__(values)
        self.join = join


def merged_metadata(held: Any, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return metadata of a store with what is given anew: by key, the later value of two under one key."""
    if given is None and held is None:
        return None
    before = held if isinstance(held, Mapping) else {}
    joined = {
        key: value.join(before[key], value)
        for key, value in (given or {}).items()
        if isinstance(value, JoinedMetadata) and isinstance(before.get(key), Mapping)
    }
    return {**before, **(given or {}), **joined}


def _shape(given: Any, ndim: int) -> tuple[float, ...] | None:
    return None if given is None else tuple(float(g) for g in np.broadcast_to(given, ndim))


def refuse_fragment_attributes(store: StoreReader, given: Attributes) -> None:
    """Refuse to append where fragments carry attributes that are not all given anew: appending changes fragments.

    Raises
    ------
    ArgumentError
        Naming the attributes.
    """
    held = set(store.level(0).arrays.fragment_attributes) - {OBJECT_ID_ATTRIBUTE}
    if held - set(as_columns("fragment_attributes", given)):
        raise ArgumentError(
            f"mode='a': the store has fragment attributes {sorted(held)}, and appending changes its fragments; pass "
            "fragment_attributes for all fragments, or write the store anew"
        )


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
    new = replace(new, attributes=_numbered("attributes", old.attributes, new.attributes, new.count))
    objects = join_objects(old.objects, new.objects)
    return Elements(
        np.concatenate([old.positions, new.positions.astype(old.positions.dtype, copy=False)]),
        join_columns("attributes", old.attributes, new.attributes),
        objects,
        join_groups(old.groups, new.groups),
        _join_links(old.links, new.links, old.count),
    )


def _numbered(argument: str, old: Mapping[str, Column], new: Mapping[str, Column], count: int) -> Mapping[str, Column]:
    """Number new rows on from the store's, where it keeps the order of its input."""
    if ORIGINAL_INDEX_ATTRIBUTE not in old:
        if ORIGINAL_INDEX_ATTRIBUTE in new and old:
            raise ArgumentError(
                f"keep_order: the store was written without it, so its {argument} have no order to keep"
            )
        return new
    first = int(old[ORIGINAL_INDEX_ATTRIBUTE].values.max(initial=-1)) + 1
    order = Column(np.arange(first, first + count, dtype=np.int64), AttributeSpec(dtype="int64"))
    return {**new, ORIGINAL_INDEX_ATTRIBUTE: order}


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
    if old.store != new.store:
        raise ArgumentError(f"store: {new.store!r} given, but the store has {old.store!r}; appending cannot change it")
    numbered = _numbered("link attributes", old.attributes, new.attributes, len(new.rows))
    attributes = join_columns("link attributes", old.attributes, numbered)
    return replace(old, rows=np.concatenate([old.rows, moved.rows]), attributes=attributes)


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
    table = join_columns("object_attributes", old.attributes, new.attributes)
    # A row given for an object that exists takes the place of the old one.
    latest = np.searchsorted(ids, np.concatenate([old.ids, new.ids]))
    rows = np.zeros(len(ids), np.int64)
    rows[latest] = np.arange(len(latest))
    return Objects(ids, of_vertex, {name: column.take(rows) for name, column in table.items()})


def join_groups(old: Groups | None, new: Groups | None) -> Groups | None:
    """Unite groups: by name where both have names, else by number.

    Groups that exist keep the attributes that are not given anew; new groups need all of them.
    """
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
    return Groups(pairs[1], offsets, _join_group_columns(old, new, target, count))


def _join_group_columns(old: Groups, new: Groups, target: IntArray, count: int) -> dict[str, Column]:
    """Join attributes of groups; the row that is given last for a group is its own."""
    lacking, extra = set(old.attributes) - set(new.attributes), sorted(set(new.attributes) - set(old.attributes))
    if extra or (lacking and count > old.count):
        names = f"the store has {sorted(old.attributes)}, given {sorted(new.attributes)}"
        raise ArgumentError(f"group_attributes: {names}; groups that are not in the store need all of them")
    kept = {name: column for name, column in old.attributes.items() if name not in lacking}
    table = join_columns("group_attributes", kept, new.attributes)
    latest = np.concatenate([np.arange(old.count), target])
    rows = np.zeros(count, np.int64)
    rows[latest] = np.arange(len(latest))
    joined = {name: column.take(rows) for name, column in table.items()}
    return {name: old.attributes[name] if name in lacking else joined[name] for name in old.attributes}
