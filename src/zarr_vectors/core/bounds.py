"""Changing the bounds of a store: growing its chunk grids, or cutting away what lies outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

import numpy as np

from zarr_vectors.constants import (
    ARRAY_FAMILIES,
    CROSS_CHUNK_LINKED,
    LINE,
    LINKS_BRANCHES,
    OBJECTS_IDENTITY,
    OBJECTS_STANDARD,
    PATH_TYPES,
)
from zarr_vectors.core.group import Group
from zarr_vectors.core.multiscale import change_root
from zarr_vectors.exceptions import ArgumentError, UnsupportedFeatureError
from zarr_vectors.formats.cell_access import Regrid, regrids, stored_layout
from zarr_vectors.model.cells import Cells, Manifests, ObjectTable
from zarr_vectors.model.elements import bounding_box
from zarr_vectors.model.links import LinkTable
from zarr_vectors.model.metadata import Bounds, RootMetadata
from zarr_vectors.multiresolution.points import coarse_numbers
from zarr_vectors.read.cells import read_cells, read_chunks
from zarr_vectors.read.fetch import fetch_indexes, get_some
from zarr_vectors.read.level import LevelReader, derive_chunks
from zarr_vectors.read.nodes import find_nodes
from zarr_vectors.read.objects import has_identity, read_manifests, read_object_ids
from zarr_vectors.read.store import StoreReader
from zarr_vectors.read.vertices import holds_faces
from zarr_vectors.spatial.pruning import (
    Places,
    cut_fragments,
    keep_links,
    keep_rows,
    lone_repeats,
    path_links,
    with_links,
    without_parted,
)
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes
from zarr_vectors.storage.port import BlobParts, Storage, join
from zarr_vectors.typing import AnyArray, IntArray
from zarr_vectors.write.bounds import as_stored, holding_rounded, outside_rows, parse_bounds
from zarr_vectors.write.level import write_level


class BoundsSummary(TypedDict):
    """What smaller bounds took away.

    Attributes
    ----------
    vertices_removed, links_removed : dict of int to int
        By level; vertices that are stored twice count twice. Links that say how paths go on are counted by how many
        fewer there are.
    objects_emptied : int
        Objects of level 0 that have no vertices any more.
    """

    vertices_removed: dict[int, int]
    links_removed: dict[int, int]
    objects_emptied: int


def set_bounds(
    root: Group, new_bounds: tuple[Sequence[float], Sequence[float]], *, force: bool = False
) -> BoundsSummary:
    """Change the bounds of a store.

    Growing them keeps every vertex; where arrays have a chunk grid, it grows with them. Shrinking them removes
    what lies outside, at every level, with its attributes, fragments and places in manifests:

    - Objects keep their ids, attributes and places in groups, if need be without vertices.
    - Edges and faces that lose an end go, with their attributes, also those between levels.
    - The vertices of a path that stay keep their order: the one before a gap is followed by the one after it.
    - A line that loses an end loses the other, too.
    - Nodes of a skeleton whose parent goes are roots.

    Coarse levels that may differ from what would be built of what is left are marked as stale: those of points where
    the new bounds cut through bins, those of other kinds always. All of it happens, or nothing.

    Parameters
    ----------
    root : Group
        Root of a store opened with ``mode="r+"``.
    new_bounds : pair of (D,) sequences
        Lower and upper corner; vertices on them are inside.
    force : bool
        Allow the bounds to shrink on some axis.

    Returns
    -------
    BoundsSummary
        What was removed; nothing where bounds only grow.

    Raises
    ------
    ArgumentError
        The corners do not fit the axes, or the bounds shrink and `force` is false.
    UnsupportedFeatureError
        The bounds cut off vertices that are encoded with Draco, which writing the others again would round.
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
    summary = BoundsSummary(vertices_removed={}, links_removed={}, objects_emptied=0)
    with handle.changing() as target:
        store = StoreReader.open(handle.storage)
        contraction = Contraction.of(store, bounds) if shrinks else None
        changed = replace(store.root, bounds=bounds) if contraction is None else contraction.root
        bounds = changed.bounds
        for number in store.level_numbers():
            if contraction is not None and contraction.concerns(number):
                contraction.stage(number, target)
            else:
                _regrid(store, number, bounds, target)
        change_root(target, lambda kept: store.revision.root_attributes(changed, kept))
    if contraction is not None:
        removed = {number: int((~place.keep).sum()) for number, place in contraction.places.items()}
        summary["vertices_removed"] = {number: count for number, count in removed.items() if count}
        summary["links_removed"] = {number: count for number, count in contraction.links_removed.items() if count}
        summary["objects_emptied"] = contraction.objects_emptied
    return summary


def _shrinks(old: Bounds, new: Bounds) -> bool:
    return any(n > o for n, o in zip(new[0], old[0], strict=True)) or any(
        n < o for n, o in zip(new[1], old[1], strict=True)
    )


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
    fetch_indexes(source, [(array, array.chunks)])

    def moved(chunks: IntArray) -> list[tuple[str, BlobParts]]:
        return regrid.objects(chunks, get_some(source, array.cell_requests(chunks)))

    if target is source:  # what is read must not have been written over
        target.put_many([item for chunks in regrid.batches() for item in moved(chunks)])
    else:
        for chunks in regrid.batches():
            target.put_many(moved(chunks))
    if stale := regrid.stale():
        target.delete_many(stale)


@dataclass(slots=True)
class Contraction:
    """What a store loses under smaller bounds."""

    store: StoreReader
    root: RootMetadata
    places: Mapping[int, Places]
    outdated: frozenset[int] = frozenset()
    links_removed: dict[int, int] = field(default_factory=dict)
    objects_emptied: int = 0

    @classmethod
    def of(cls, store: StoreReader, bounds: Bounds) -> Contraction:
        """Find what lies outside bounds."""
        dtype = store.level(0).arrays.vertices.spec.numpy_dtype
        places = {}
        for number in store.level_numbers():
            places[number], corners = _places(store.level(number), as_stored(bounds, dtype))
            if corners is not None:
                bounds = holding_rounded(bounds, corners, dtype)
        root = replace(store.root, bounds=bounds)
        if places and any(place.loses for place in places.values()):
            if root.object_index_convention == OBJECTS_IDENTITY:
                root = replace(root, object_index_convention=OBJECTS_STANDARD)
            root = root.after_links(added=False)
        outdated = frozenset(number for number in places if number and _outdates(store, places, number))
        return cls(store, root, places, outdated)

    def concerns(self, number: int) -> bool:
        """Return whether a level is to be written anew: it is outdated, loses vertices, or links to one that does."""
        if self.places[number].loses or number in self.outdated:
            return True
        if self.root.object_index_convention != self.store.root.object_index_convention:
            return True
        deltas = self.store.level(number).arrays.links
        return any(number + delta in self.places and self.places[number + delta].loses for delta in deltas)

    def stage(self, number: int, target: Storage) -> None:
        """Write what is left of a level."""
        store, level = self.store, self.store.level(number)
        if holds_faces(level):
            raise UnsupportedFeatureError(
                f"{level.name}: vertices are encoded with Draco, and writing them again would round every one of them; "
                "read the mesh, and write what is wanted of it as a new store"
            )
        others = {other: store.level(other) for other in self.places if other != number}
        cells = read_cells(level, others)
        left = self._left(number, level, cells)
        counts = sum(table.count for table in cells.links), sum(table.count for table in left.links)
        self.links_removed[number] = max(0, counts[0] - counts[1])
        if number == 0:
            self.objects_emptied = _empty_objects(left) - _empty_objects(cells)
        documents, _ = find_nodes(store.storage, store.revision, str(number))
        vertices = level.arrays.vertices
        layout = stored_layout(documents.get(vertices.path), vertices.spec.numpy_dtype.itemsize)
        kept = level.unknown
        for family in sorted(ARRAY_FAMILIES):
            target.delete_prefix(f"{number}/{family}")
        metadata = replace(level.metadata, stale=level.metadata.stale or number in self.outdated)
        write_level(target, store.revision, self.root, metadata, left, layout, previous=level.attributes, kept=kept)

    def _left(self, number: int, level: LevelReader, cells: Cells) -> Cells:
        """Return the cells of a level without what lies outside."""
        places = self.places[number]
        if has_identity(level):
            cells = replace(cells, objects=_named(cells))
        tables = [
            keep_links(table, places, self.places[number + table.delta] if table.delta else places)
            for table in cells.links
        ]
        before = cells
        if level.root.links_convention == LINKS_BRANCHES:
            cells = cut_fragments(cells, places.keep)
        left = keep_rows(replace(cells, links=()), places.keep, keep_fragments=cells.objects is None)
        left = replace(left, links=tuple(table for table in tables if table.delta))
        for table in tables:
            if table.delta == 0 and places.loses and _follows_paths(level, before, table):
                made = path_links(left, table)
                left = replace(left, links=(made, *left.links))
            elif table.delta == 0:
                left = with_links(left, table)
        return left


def _places(level: LevelReader, bounds: Bounds) -> tuple[Places, tuple[AnyArray, AnyArray] | None]:
    """Return which rows of a level lie inside bounds, and the corners of what stays."""
    cells = read_chunks(level, np.arange(len(level.chunks)), fragment_attributes=False)
    keep = np.ones(cells.count, bool)
    if cells.count:
        keep[outside_rows(cells.positions, bounds)] = False
    lines = LINE in level.root.geometry_types
    if not keep.all() and (lines or level.root.cross_chunk_strategy not in (CROSS_CHUNK_LINKED, None)):
        cells = replace(cells, objects=_objects(level, cells))
        if lines:
            keep = without_parted(cells, keep)
        keep[lone_repeats(cells, keep)] = False
    corners = bounding_box(cells.positions[keep]) if keep.any() else None
    return Places(keep, cells.row_offsets, cells.chunks), corners


def _objects(level: LevelReader, cells: Cells) -> ObjectTable | None:
    """Return which fragments objects have, without attributes."""
    if has_identity(level):
        return _named(cells)
    ids = read_object_ids(level)
    return None if ids is None else ObjectTable(ids, read_manifests(level, None))


def _named(cells: Cells) -> ObjectTable:
    """Return an object index for objects that are the fragments of a level, in their order."""
    fragments = cells.fragments
    chunk = fragments.chunk_of
    numbers = np.arange(fragments.count)
    manifests = Manifests(np.arange(len(numbers) + 1), cells.chunks[chunk], numbers - fragments.offsets[chunk])
    return ObjectTable(numbers, manifests, {} if cells.objects is None else cells.objects.attributes)


def _follows_paths(level: LevelReader, cells: Cells, table: LinkTable) -> bool:
    """Return whether links follow from the order of vertices along paths, so that they are made anew."""
    if not PATH_TYPES & set(level.root.geometry_types) or table.attributes or table.width != 2:
        return False
    named = cells.objects is not None and cells.objects.manifests is not None
    return named and cells.fragments.explicit is None


def _empty_objects(cells: Cells) -> int:
    table = cells.objects
    if table is None or table.manifests is None:
        return 0
    return int((np.diff(table.manifests.offsets) == 0).sum())


def _outdates(store: StoreReader, places: Mapping[int, Places], number: int) -> bool:
    """Return whether a coarse level may be another than would be built of what is left of level 0.

    Points that are merged bin by bin make the same where each bin keeps all of its vertices and its metavertex, or
    none of them.
    """
    level = store.level(number)
    if not any(place.loses for place in places.values()):
        return False
    entry = store.root.entry(number)
    ratio = np.array(level.metadata.bin_ratio or (entry.bin_ratio if entry else (0.0,)))
    if set(level.root.geometry_types) - {"point_cloud"} or (ratio < 1).any() or (ratio % 1).any():
        return True
    finest = store.level(0)
    bins = []
    for one in (finest, level):
        positions = read_chunks(one, np.arange(len(one.chunks)), fragment_attributes=False).positions
        bins.append(np.stack([finest.grid.bins_of(positions[:, d], d) for d in range(finest.grid.ndim)], axis=1))
    keep = np.concatenate([places[0].keep, places[number].keep])
    numbers = np.unique(coarse_numbers(np.concatenate(bins), tuple(ratio.astype(int))), return_inverse=True)[1]
    kept, all_of_it = (np.bincount(numbers.reshape(-1), weights) for weights in (keep, np.ones(len(keep))))
    return bool(((kept > 0) & (kept < all_of_it)).any())
