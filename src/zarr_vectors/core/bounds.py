"""Changing the bounds of a store: growing its chunk grids, or cutting away what lies outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zarr_vectors.constants import (
    CROSS_CHUNK_LINKS,
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    GROUPS,
    LINKS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    OBJECTS_IDENTITY,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.core.group import Group
from zarr_vectors.core.metadata import change_root
from zarr_vectors.core.payloads import derive_chunks, load_indexes
from zarr_vectors.exceptions import ArgumentError, UnsupportedFeatureError
from zarr_vectors.formats.cell_access import Regrid, regrids, stored_layout
from zarr_vectors.model.metadata import Bounds, RootMetadata
from zarr_vectors.read.cells import read_cells
from zarr_vectors.read.fetch import get_some
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.nodes import find_nodes
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.pruning import keep_rows
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes
from zarr_vectors.storage.port import BlobParts, Storage, join, list_folder
from zarr_vectors.types.storing import outside_rows, parse_bounds
from zarr_vectors.typing import Document, IntArray
from zarr_vectors.write.level import write_level

_REWRITTEN = (
    VERTICES,
    VERTEX_FRAGMENTS,
    VERTEX_ATTRIBUTES,
    FRAGMENT_ATTRIBUTES,
    OBJECT_INDEX,
    OBJECT_ATTRIBUTES,
    GROUPS,
    GROUP_ATTRIBUTES,
)


def set_bounds(root: Group, new_bounds: tuple[Sequence[float], Sequence[float]], *, force: bool = False) -> None:
    """Change the bounds of a store.

    Growing them keeps every vertex; where arrays have a chunk grid, it grows with them. Shrinking them removes
    what lies outside, at every level, with its attributes, fragments and places in manifests; objects keep
    their ids, if need be without vertices. Coarse levels whose bins the new bounds cut through are marked as
    stale. All of it happens, or nothing.

    Parameters
    ----------
    root : Group
        Root of a store opened with ``mode="r+"``.
    new_bounds : pair of (D,) sequences
        Lower and upper corner; vertices on them are inside.
    force : bool
        Allow the bounds to shrink on some axis.

    Raises
    ------
    ArgumentError
        The corners do not fit the axes, or the bounds shrink and `force` is false.
    UnsupportedFeatureError
        The bounds shrink and the store has stored links, which would lose their ends.
    ReadOnlyStoreError
        The store was opened for reading.
    """
    handle = root.handle
    handle.require_writable()
    metadata = handle.reader.root
    bounds = parse_bounds(new_bounds, metadata.ndim)
    if bounds is None:
        raise ArgumentError("new_bounds: expected a pair of corners, got None")
    shrinks = _shrinks(metadata.bounds, bounds)
    if shrinks and not force:
        raise ArgumentError(
            f"new_bounds {bounds} do not hold the present ones, {metadata.bounds}; pass force=True to remove "
            "the vertices outside"
        )
    with handle.changing() as target:
        store = StoreReader.open(handle.storage)
        if shrinks:
            _refuse_links(store)
        changed = replace(store.root, bounds=bounds)
        for number in store.level_numbers():
            if not (shrinks and _prune(store, number, changed, target)):
                _regrid(store, number, bounds, target)
        change_root(target, lambda kept: store.revision.root_attributes(changed, kept))


def _shrinks(old: Bounds, new: Bounds) -> bool:
    return any(n > o for n, o in zip(new[0], old[0], strict=True)) or any(
        n < o for n, o in zip(new[1], old[1], strict=True)
    )


def _refuse_links(store: StoreReader) -> None:
    for number in store.level_numbers():
        found = {LINKS, CROSS_CHUNK_LINKS} & set(list_folder(store.storage, str(number)).folders)
        if found:
            raise UnsupportedFeatureError(
                f"{store.storage.url}: level {number} has stored links ({', '.join(sorted(found))}); bounds of such "
                "a store can grow but not shrink. Read the part that is wanted and write it as a new store"
            )


def _prune(store: StoreReader, number: int, changed: RootMetadata, target: Storage) -> bool:
    """Write a level without what lies outside the bounds; return whether anything did."""
    level = store.level(number)
    cells = read_cells(level)
    outside = outside_rows(cells.positions, changed.bounds) if cells.count else np.zeros(0, np.int64)
    if len(outside) == 0:
        return False
    keep = np.ones(cells.count, bool)
    keep[outside] = False
    identity = store.root.object_index_convention == OBJECTS_IDENTITY
    pruned = keep_rows(cells, keep, keep_fragments=cells.objects is None or identity)
    spec = level.arrays.vertices.spec
    layout = stored_layout(_vertices_document(store, level), spec.numpy_dtype.itemsize)
    for name in _REWRITTEN:
        target.delete_prefix(f"{number}/{name}")
    stale = level.metadata.stale or (number > 0 and not _on_bin_faces(level, store.root.bounds, changed.bounds))
    metadata = replace(level.metadata, stale=stale)
    write_level(target, store.revision, changed, metadata, pruned, layout, previous=level.attributes)
    return True


def _on_bin_faces(level: LevelReader, old: Bounds, new: Bounds) -> bool:
    """Return whether bounds shrink to faces of a level's bins, so that none of its bins is cut through."""
    width = np.array(level.grid.cell_shape)
    faces = np.array(new) / width
    shrunk = np.array([np.greater(new[0], old[0]), np.less(new[1], old[1])])
    return bool(np.isclose(faces, np.round(faces))[shrunk].all())


def _vertices_document(store: StoreReader, level: LevelReader) -> Document | None:
    documents, _ = find_nodes(store.storage, store.revision, str(level.metadata.level))
    return documents.get(level.arrays.vertices.path)


def _regrid(store: StoreReader, number: int, bounds: Bounds, target: Storage) -> None:
    """Give the arrays of a level the chunk grid of other bounds."""
    level = store.level(number)
    documents, _ = find_nodes(store.storage, store.revision, str(number))
    chunk_shape = level.metadata.chunk_shape or store.root.chunk_shape
    for regrid in regrids(documents, bounds, chunk_shape, level.chunks):
        _move(store.storage, regrid, target)
        address = join(regrid.array.path, DOCUMENT_NAME)
        target.put_many([(address, document_bytes(regrid.metadata()))])


def _move(source: Storage, regrid: Regrid, target: Storage) -> None:
    """Write the cells of an array where the new grid has them, and delete them where the old one had them."""
    if not regrid.moves:
        return
    array = regrid.array
    if array.chunks is None:
        derive_chunks(source, array)
    assert array.chunks is not None
    load_indexes(source, [(array, array.chunks)])

    def moved(chunks: IntArray) -> list[tuple[str, BlobParts]]:
        return regrid.objects(chunks, get_some(source, array.cell_requests(chunks)))

    if target is source:  # what is read must not have been written over
        target.put_many([item for chunks in regrid.batches() for item in moved(chunks)])
    else:
        for chunks in regrid.batches():
            target.put_many(moved(chunks))
    if stale := regrid.stale():
        target.delete_many(stale)
