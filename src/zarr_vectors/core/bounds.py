"""Changing the bounds of a store: growing its chunk grids, or cutting away what lies outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from zarr_vectors.core.contraction import Contraction
from zarr_vectors.core.group import Group
from zarr_vectors.core.metadata import change_root
from zarr_vectors.core.payloads import derive_chunks, load_indexes
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.cell_access import Regrid, regrids
from zarr_vectors.model.metadata import Bounds
from zarr_vectors.read.fetch import get_some
from zarr_vectors.read.nodes import find_nodes
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes
from zarr_vectors.storage.port import BlobParts, Storage, join
from zarr_vectors.types.storing import parse_bounds
from zarr_vectors.typing import IntArray


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
