"""Reading whole chunks as cells, for steps between a read and a write."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells, Fragments, ObjectTable
from zarr_vectors.read.fetch import FetchedCells, decode_fragments, decode_rows, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.links import read_links
from zarr_vectors.read.objects import read_columns, read_groups, read_manifests, read_object_ids
from zarr_vectors.read.vertices import decode_vertices
from zarr_vectors.typing import IntArray


def read_chunks(level: LevelReader, chunk_rows: IntArray, *, fragment_attributes: bool = True) -> Cells:
    """Read some chunks with every attribute, without the tables of the level.

    Parameters
    ----------
    level : LevelReader
        An open level.
    chunk_rows : (n,) int64
        Rows of the chunks in ``level.chunks``, ascending.
    fragment_attributes : bool
        Whether fragment attributes are read too.

    Raises
    ------
    ArrayError
        When a cell is damaged, or chunks lack their fragments.
    """
    arrays = level.arrays
    chunks = level.chunks[chunk_rows]
    named = arrays.fragment_attributes if fragment_attributes else {}
    wanted: list[CellArray] = [arrays.vertices, *arrays.vertex_attributes.values(), *named.values()]
    if arrays.vertex_fragments is not None:
        wanted.append(arrays.vertex_fragments)
    fetched = fetch_cells(level.storage, wanted, chunks)
    positions, row_offsets, _ = decode_vertices(fetched[0])
    counts = np.diff(row_offsets)
    n = len(arrays.vertex_attributes)
    attributes = _columns(arrays.vertex_attributes, fetched[1 : 1 + n], counts)
    if arrays.vertex_fragments is None:
        zeros = np.zeros(len(counts), np.int64)
        fragments = Fragments(np.arange(len(counts) + 1, dtype=np.int64), zeros, counts)
    else:
        fragments = decode_fragments(fetched[-1])
    per_chunk = np.diff(fragments.offsets)
    if ((per_chunk == 0) & (counts > 0)).any():
        key = chunks[np.flatnonzero((per_chunk == 0) & (counts > 0))[0]].tolist()
        raise ArrayError(f"{level.name}: chunk {key} has vertices but no fragments")
    described = _columns(named, fetched[1 + n : 1 + n + len(named)], per_chunk)
    return Cells(chunks, row_offsets, positions, fragments, attributes, described)


def _columns(arrays: Mapping[str, CellArray], fetched: list[FetchedCells], counts: IntArray) -> dict[str, Column]:
    return {
        name: Column(decode_rows(cells, counts)[0], array.spec)
        for (name, array), cells in zip(arrays.items(), fetched, strict=True)
    }


def read_cells(level: LevelReader, others: dict[int, LevelReader] | None = None) -> Cells:
    """Read a whole level: chunks, objects, groups, and links.

    Parameters
    ----------
    level : LevelReader
        An open level.
    others : dict of int to LevelReader, optional
        Levels by number, to which links across levels lead; families that lead elsewhere are left out.
    """
    cells = read_chunks(level, np.arange(len(level.chunks)))
    ids = read_object_ids(level)
    objects = None
    attributes = dict(level.arrays.object_attributes)
    if ids is not None:
        objects = ObjectTable(ids, read_manifests(level, None), read_columns(level, attributes, None))
    elif attributes:
        columns = read_columns(level, attributes, None)
        count = len(next(iter(columns.values())))
        objects = ObjectTable(np.arange(count, dtype=np.int64), None, columns)
    known = {level.metadata.level: level, **(others or {})}
    tables = tuple(
        read_links(level, known[level.metadata.level + delta], delta)
        for delta in sorted(level.arrays.links)
        if level.metadata.level + delta in known
    )
    return Cells(
        cells.chunks,
        cells.row_offsets,
        cells.positions,
        cells.fragments,
        cells.attributes,
        cells.fragment_attributes,
        objects,
        read_groups(level),
        tables,
    )
