"""Single chunks of a level, changed where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.edit.change import Change
from zarr_vectors.formats.cell_access import is_grid, open_cell_array, update_cells
from zarr_vectors.formats.layout import CellArray, CellPayloads
from zarr_vectors.formats.payloads import cell_payloads
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells, Fragments
from zarr_vectors.ordering import lexicographic_order, stable_order
from zarr_vectors.read.level import LevelReader, derive_chunks
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.storage.documents import document_bytes
from zarr_vectors.typing import BoolArray, Document, IntArray


def fits_grid(document: Document, chunks: IntArray) -> bool:
    """Return whether an array, by its ``zarr.json``, has room for some chunks."""
    if not is_grid(document):
        return True
    shape = np.array(document["shape"], np.int64)
    origin = (document.get("attributes") or {}).get("chunk_grid_origin") or np.zeros(len(shape), np.int64)
    places = chunks - np.array(origin, np.int64)
    return bool(((places >= 0) & (places < shape)).all())


@dataclass(frozen=True, slots=True)
class PutCells:
    """Which cells of an array of a level were written.

    Parameters
    ----------
    path : str
        Path of the array below the level.
    chunks : (C, S) int64
        Their chunks.
    filled : (C,) bool
        Which of them hold something.
    """

    path: str
    chunks: IntArray
    filled: BoolArray


def put_chunks(change: Change, level: LevelReader, cells: Cells) -> None:
    """Write some chunks of the vertices, fragments and attributes of a level; all other chunks stay.

    Parameters
    ----------
    change : Change
        The store.
    level : LevelReader
        The level, whose arrays are those of the cells.
    cells : Cells
        The chunks as they are to be.
    """
    list_cells(change, level, put_cells(change, level, cells))


def put_cells(change: Change, level: LevelReader, cells: Cells) -> list[PutCells]:
    """Write some chunks as :func:`put_chunks` does, but for what the metadata of arrays say of their chunks."""
    documents = change.documents(level.metadata.level)
    layout = change.layout(level)
    put = []
    for payloads in cell_payloads(cells):
        array, document = _opened(change, level, documents, payloads.path)
        codecs = layout.codecs(payloads.itemsize)
        update = update_cells(array, document, payloads.chunks, _parts(payloads), codecs)
        requests = update.requests()
        objects, emptied = update.objects(change.staged.get_many(requests) if requests else [])
        change.staged.put_many(objects)
        if emptied:
            change.staged.delete_many(emptied)
        put.append(PutCells(payloads.path, payloads.chunks, np.diff(payloads.offsets) > 0))
    return put


def list_cells(change: Change, level: LevelReader, put: Sequence[PutCells]) -> None:
    """Write the metadata of the arrays of a level, some of whose chunks are others now."""
    documents = change.documents(level.metadata.level)
    for cells in put:
        array, document = _opened(change, level, documents, cells.path)
        held = [b"held" if filled else b"" for filled in cells.filled.tolist()]
        noted = update_cells(array, document, cells.chunks, held, ()).metadata()
        if noted != document:
            path = f"{level.metadata.level}/{cells.path}"
            change.staged.put_many([(f"{path}/zarr.json", document_bytes(noted))])


def _opened(
    change: Change, level: LevelReader, documents: Mapping[str, Document], path: str
) -> tuple[CellArray, Document]:
    """Return an array of a level, and its document, which lists its chunks or not."""
    path = f"{level.metadata.level}/{path}"
    array = open_cell_array(path, documents.get(path), level.chunks.shape[1])
    if array.chunks is None and is_grid(documents[path]):
        derive_chunks(change.staged, array)
    return array, documents[path]


def _parts(payloads: CellPayloads) -> list[memoryview]:
    return [payloads.part(row, row + 1) for row in range(len(payloads.chunks))]


def merge_fragments(old: Cells, new: Cells) -> Cells:
    """Return chunks with the rows and fragments of others behind their own.

    Parameters
    ----------
    old : Cells
        Chunks that are there; all of their fragments are ranges.
    new : Cells
        Rows and fragments to be added, of these chunks or of further ones.
    """
    chunks = np.unique(np.concatenate([old.chunks, new.chunks]), axis=0)
    chunks = chunks[lexicographic_order(chunks)]
    lookup = ChunkLookup.of(chunks)
    places = [lookup.rows(part.chunks) for part in (old, new)]
    parts = list(zip(places, (old, new), strict=True))
    rows, row_offsets = _merged([np.repeat(place, part.row_counts) for place, part in parts], len(chunks))
    of_fragment = [place[part.fragments.chunk_of] for place, part in parts]
    order, fragment_offsets = _merged(of_fragment, len(chunks))
    held = np.zeros(len(chunks), np.int64)
    held[places[0]] = old.row_counts
    starts = np.concatenate([old.fragments.starts, new.fragments.starts + held[of_fragment[1]]])
    counts = np.concatenate([old.fragments.counts, new.fragments.counts])
    return Cells(
        chunks,
        row_offsets,
        np.concatenate([old.positions, new.positions])[rows],
        Fragments(fragment_offsets, starts[order], counts[order]),
        {n: _joined(c, new.attributes[n]).take(rows) for n, c in old.attributes.items()},
        {n: _joined(c, new.fragment_attributes[n]).take(order) for n, c in old.fragment_attributes.items()},
    )


def _merged(places: list[IntArray], count: int) -> tuple[IntArray, IntArray]:
    """Return the order that brings items of chunks together, and where those of each chunk start."""
    everything = np.concatenate(places)
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(everything, minlength=count), out=offsets[1:])
    return stable_order([everything.astype(np.uint64)]), offsets


def _joined(old: Column, new: Column) -> Column:
    return Column(np.concatenate([old.values, new.values]), old.spec)
