"""Taking away what nothing refers to: rows, fragments, emptied chunks, files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    ARRAY_FAMILIES,
    FRAGMENT_ATTRIBUTES,
    LINK_ATTRIBUTES,
    LINK_FRAGMENTS,
    LINKS,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.edit.change import Change, changing
from zarr_vectors.edit.elements import drop_cross_levels
from zarr_vectors.formats.cell_access import is_grid, open_cell_array, update_cells
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.model.cells import Cells
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.cells import read_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.rows import fragment_row_lists
from zarr_vectors.read.vertices import holds_faces
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.spatial.pruning import Places, keep_links, keep_rows, with_links
from zarr_vectors.typing import BoolArray, Document, IntArray
from zarr_vectors.write.level import write_level

_PER_CHUNK = frozenset(
    [VERTICES, VERTEX_FRAGMENTS, VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES, LINKS, LINK_FRAGMENTS, LINK_ATTRIBUTES]
)


@dataclass(frozen=True, slots=True)
class VacuumSummary:
    """What ``vacuum`` took away.

    Attributes
    ----------
    vertices, fragments, chunks : int
        Rows that belonged to no fragment or to no object, fragments of no object, and chunks without vertices.
    files : int
        Stored objects that nothing refers to.
    """

    vertices: int = 0
    fragments: int = 0
    chunks: int = 0
    files: int = 0


def vacuum(path: Any, *, refresh: bool = False, backend: str | None = None, **backend_kwargs: Any) -> VacuumSummary:
    """Take away what nothing refers to, at every level.

    That is vertices in no fragment, fragments of no object (where there are objects), chunks without vertices, and
    files of the level's arrays that no metadata lists. What programs keep in folders of their own stays.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    refresh : bool
        Whether coarse levels that are stale are built anew afterwards.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    VacuumSummary
        How much went.

    Raises
    ------
    StoreLockedError
        When another writer holds the store.
    """
    with changing(path, backend, backend_kwargs, refresh) as change:
        return clean(change)


def clean(change: Change) -> VacuumSummary:
    """Stage what :func:`vacuum` does."""
    total = VacuumSummary()
    for number in change.store.level_numbers():
        rows = _clean_rows(change, number)
        files = _clean_files(change, number)
        total = VacuumSummary(
            total.vertices + rows.vertices,
            total.fragments + rows.fragments,
            total.chunks + rows.chunks,
            total.files + files,
        )
    return total


def _clean_rows(change: Change, number: int) -> VacuumSummary:
    level = change.level(number)
    if holds_faces(level) or level.arrays.vertex_fragments is None or len(level.chunks) == 0:
        return VacuumSummary()
    cells = read_cells(level)
    used = _used_fragments(cells)
    keep = _used_rows(cells, used)
    emptied = int((np.diff(offsets_of(keep)[cells.row_offsets]) == 0).sum())
    summary = VacuumSummary(int((~keep).sum()), int((~used).sum()), emptied)
    if summary == VacuumSummary():
        return summary
    by_bins = cells.objects is None
    unused = replace(cells.fragments, counts=np.where(used, cells.fragments.counts, 0))
    left = keep_rows(replace(cells, fragments=unused, links=()), keep, keep_fragments=by_bins)
    places = Places(keep, cells.row_offsets, cells.chunks)
    tables = [keep_links(table, places, places) for table in cells.links if table.delta == 0]
    left = with_links(left, tables[0]) if tables else left
    metadata = replace(level.metadata, stale=number > 0 or level.metadata.stale)
    folders = [f"{number}/{family}" for family in sorted(ARRAY_FAMILIES)]
    layout = change.layout(level)
    with change.replacing(*folders):
        write_level(
            change.staged, change.store.revision, change.root, metadata, left, layout, previous=level.attributes
        )
    change.reopen()
    drop_cross_levels(change, change.root, number)
    if number == 0:
        change.mark_stale()
    return summary


def _used_fragments(cells: Cells) -> BoolArray:
    """Return which fragments manifests name; all of them where there are no objects."""
    if cells.objects is None or cells.objects.manifests is None:
        return np.ones(cells.fragments.count, bool)
    manifests = cells.objects.manifests
    rows = ChunkLookup.of(cells.chunks).rows(manifests.chunks)
    used = np.zeros(cells.fragments.count, bool)
    used[cells.fragments.offsets[rows] + manifests.fragments] = True
    return used


def _used_rows(cells: Cells, used: BoolArray) -> BoolArray:
    numbers = np.flatnonzero(used)
    base = cells.row_offsets[:-1][cells.fragments.chunk_of[numbers]]
    keep = np.zeros(cells.count, bool)
    keep[fragment_row_lists(cells.fragments, numbers, base, cells.count)] = True
    return keep


def _clean_files(change: Change, number: int) -> int:
    """Delete cells that no metadata lists; return how many objects went."""
    level = change.level(number)
    stray: set[str] = set()
    for path, document in change.documents(number).items():
        family = path.split("/")[1] if "/" in path else ""
        if family in _PER_CHUNK:
            listed = _listed(change, level, path, document)
            if listed is not None:
                below = {one for one in change.staged.list_all(path) if _is_cell(one, path, document)}
                stray |= below - listed
    if stray:
        change.staged.delete_many(sorted(stray))
    return len(stray)


def _is_cell(address: str, path: str, document: Document) -> bool:
    """Return whether an address is that of a cell rather than of metadata or of a deeper array."""
    rest = address[len(path) + 1 :].split("/")
    return rest[0].startswith("c") if is_grid(document) else len(rest) > 1 and _is_key(rest[0])


def _is_key(name: str) -> bool:
    return all(part.removeprefix("-").isdecimal() for part in name.split(".")) and "." in name


def _listed(change: Change, level: LevelReader, path: str, document: Document) -> set[str] | None:
    """Return the addresses of the cells that an array has, or None where it does not say which."""
    if not is_grid(document):
        whole = path.count("/") > 1 or path.split("/")[1] in (VERTICES, VERTEX_FRAGMENTS, LINK_FRAGMENTS)
        if not whole or not change.store.revision.keyed_by_chunk:
            return None
        return {f"{path}/{key}/{name}" for key in format_keys(level.chunks) for name in ("zarr.json", "c/0")}
    array = open_cell_array(path, document, level.chunks.shape[1])
    if array.chunks is None:
        return None
    chunks: IntArray = array.chunks
    update = update_cells(array, document, chunks, [b""] * len(chunks), [])
    return {request.address for request in update.requests()} or {
        request.address for request in array.cell_requests(chunks) if request is not None
    }
