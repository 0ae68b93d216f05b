"""Appending points to the chunks that they are in, where that makes the store that writing it anew would make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.constants import LINKS_SEQUENTIAL, OBJECT_ID_ATTRIBUTE, OBJECTS_STANDARD, ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.edit.appending import LocalAddition, add_locally, put_added
from zarr_vectors.edit.change import Change, stage_refreshed
from zarr_vectors.edit.chunks import put_chunks
from zarr_vectors.edit.staging import SparingTransaction
from zarr_vectors.formats.absent import absent_values
from zarr_vectors.formats.joining import join_columns
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Elements
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_object_ids
from zarr_vectors.read.store import StoreReader
from zarr_vectors.types.point_summary import PointsSummary, without_rows
from zarr_vectors.types.storing import Destination, Space, StoreOptions, plan_space, settle_bounds
from zarr_vectors.typing import Document
from zarr_vectors.write.options import WriteOptions
from zarr_vectors.write.store import write_root


def goes_locally(store: StoreReader, geometry_type: str, elements: Elements, options: WriteOptions) -> bool:
    """Return whether points go behind those of the same bins, or objects behind all others, and no more changes.

    Compression or shards that are asked for, checksums that are not to be kept, groups, object attributes, more points
    of an object that exists, a kept order of all points and chunks that go by more than space need the whole level.
    """
    root, level = store.root, store.level(0)
    arrays = level.arrays
    usual = (
        root.geometry_types == (geometry_type,)
        and root.links_convention == LINKS_SEQUENTIAL
        and root.object_index_convention == OBJECTS_STANDARD
        and options.layout == LevelOptions()
    )
    whole = level.leads or elements.groups is not None or not level.metadata.vertex_count or elements.count == 0
    ordered = ORIGINAL_INDEX_ATTRIBUTE in {*arrays.vertex_attributes, *elements.attributes}
    wide = elements.positions.dtype.itemsize > arrays.vertices.spec.numpy_dtype.itemsize
    return usual and not whole and not ordered and not wide and _objects_follow(level, elements)


def _objects_follow(level: LevelReader, elements: Elements) -> bool:
    """Return whether neither has objects, or the new ones have higher ids than all others, and no attributes."""
    arrays, objects = level.arrays, elements.objects
    if objects is None:
        return arrays.object_index is None and not arrays.fragment_attributes
    if arrays.object_attributes or objects.attributes or set(arrays.fragment_attributes) != {OBJECT_ID_ATTRIBUTE}:
        return False
    ids = read_object_ids(level)
    return ids is not None and len(ids) > 0 and len(objects.ids) > 0 and int(objects.ids[0]) > int(ids.max())


def append_points(
    destination: Destination,
    elements: Elements,
    kept: StoreOptions,
    options: WriteOptions,
) -> PointsSummary | None:
    """Add points to the chunks that they are in; None where more must change, or these are most of the chunks.

    Parameters
    ----------
    destination : Destination
        The store, which is held, and of which :func:`goes_locally` is true.
    elements : Elements
        The points.
    kept : StoreOptions
        What holds of the store, as :func:`~zarr_vectors.types.appending.append_options` gives it.
    options : WriteOptions
        What happens outside the bounds; for progress.

    Raises
    ------
    ArgumentError, OutOfBoundsError
        When attributes do not fit, or points lie outside the bounds.
    """
    store = destination.store
    assert store is not None
    elements = _as_stored(store.level(0), elements)
    space = plan_space(kept, elements, store.root)
    space, outside = settle_bounds(space, elements.positions, options.out_of_bounds, "positions")
    elements = without_rows(elements, outside) if len(outside) else elements
    few = elements.count > 0 and _touches_few(store.level(0), elements)
    level = _put(destination, elements, space, kept, options) if few else None
    if level is None:
        return None
    index, groups = level.arrays.object_index, level.arrays.groups
    objects = 0 if index is None else index.count
    count = 0 if groups is None else groups.count
    return PointsSummary.of(
        space, level.metadata.vertex_count, len(level.chunks), objects, count, ignored_count=len(outside)
    )


def _touches_few(level: LevelReader, elements: Elements) -> bool:
    """Return whether at most half of the chunks of a level get points; otherwise writing all of them is quicker."""
    rows = level.lookup.rows(level.grid.chunks_of(elements.positions))
    touched = np.bincount(rows[rows >= 0], minlength=len(level.chunks))
    return 2 * int(np.count_nonzero(touched)) <= len(level.chunks)


def _as_stored(level: LevelReader, elements: Elements) -> Elements:
    """Return points in the stored form of a level.

    Raises
    ------
    ArgumentError
        When their attributes do not fit those of the level.
    """
    specs = {name: array.spec for name, array in level.arrays.vertex_attributes.items()}
    none = {name: Column(absent_values(spec, 0), spec) for name, spec in specs.items()}
    dtype = level.arrays.vertices.spec.numpy_dtype.newbyteorder("=")
    return replace(
        elements,
        positions=elements.positions.astype(dtype, copy=False),
        attributes=join_columns("attributes", none, elements.attributes),
    )


def _put(
    destination: Destination, elements: Elements, space: Space, said: StoreOptions, options: WriteOptions
) -> LevelReader | None:
    """Add points inside the bounds, in the level's stored form, with coarse levels made anew, all or nothing."""
    with SparingTransaction(destination.storage) as staged:
        change = Change(staged)
        addition = add_locally(change, elements)
        if addition is None:
            return None
        _stage(change, addition, space, said)
        stage_refreshed(staged)
        change.reopen()
        level = change.level(0)
    if options.progress is not None:
        options.progress(1, 1)
    return level


def _stage(change: Change, addition: LocalAddition, space: Space, said: StoreOptions) -> None:
    put_chunks(change, change.level(0), addition.merged)
    put_added(change, addition, None, replace(change.root, bounds=space.bounds))
    if said.metadata is not None:
        attributes: Document = {**change.store.attributes, "user_metadata": dict(said.metadata)}
        write_root(change.staged, change.store.revision, change.root, attributes)
        change.reopen()
