"""Vertices that levels of paths hold twice: the one before a crossing is stored again where the next chunk begins."""

from __future__ import annotations

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKED
from zarr_vectors.model.cells import Fragments
from zarr_vectors.read.fetch import decode_fragments, fetch_many
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.vertices import decode_vertices
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.spatial.locating import locate
from zarr_vectors.typing import BoolArray, FloatArray, IntArray

_CHUNKS_AT_ONCE = 256
"""Chunks whose positions are held at a time."""


def may_repeat(level: LevelReader) -> bool:
    """Return whether paths may hold the vertex at a crossing on both of its sides."""
    return level.root.cross_chunk_strategy not in (CROSS_CHUNK_LINKED, None)


def copied_rows(
    level: LevelReader, chunks: IntArray, positions: FloatArray, row_offsets: IntArray, fragments: Fragments
) -> BoolArray:
    """Return which rows of some chunks are copies of a vertex that another chunk stores.

    Every vertex is stored in the chunk that it lies in; under ``boundary_deduplication`` and ``both`` (Zarr Vectors
    specification) a fragment that continues a path begins with a copy of the vertex before, which lies outside.

    Parameters
    ----------
    level : LevelReader
        An open level.
    chunks : (n, S) int64
        Coordinates of the chunks.
    positions : (N, D) float
        Their rows, chunk after chunk.
    row_offsets : (n + 1,) int64
        Where the rows of each chunk start.
    fragments : Fragments
        Their fragments.

    Returns
    -------
    (N,) bool
        All false where the level holds no copies.
    """
    copied = np.zeros(len(positions), bool)
    if not may_repeat(level) or len(positions) == 0:
        return copied
    used = np.flatnonzero(fragments.counts > 0)
    chunk = np.repeat(np.arange(len(chunks)), np.diff(fragments.offsets))[used]
    first = fragments.starts[used]
    if fragments.explicit is not None and fragments.explicit.any():
        listed = fragments.explicit[used]
        first = first.copy()
        first[listed] = fragments.rows[first[listed]]
    rows = row_offsets[chunk] + first
    known = rows < row_offsets[chunk + 1]
    rows, chunk = rows[known], chunk[known]
    located = locate(positions[rows], level.grid, bins=False)
    lies_in = located.chunk_coordinates(located.keys)
    copied[rows] = (lies_in != chunks[chunk][:, chunks.shape[1] - level.grid.ndim :]).any(axis=1)
    return copied


def count_without_copies(level: LevelReader, chunk_rows: IntArray, box: Box | None) -> int:
    """Return how many vertices of some chunks are inside a box (all where there is none), each counted once.

    Costs two rounds of requests, shard indexes and cells, per 256 chunks.

    Parameters
    ----------
    level : LevelReader
        An open level.
    chunk_rows : (n,) int64
        Rows of the chunks in ``level.chunks``.
    box : Box, optional
        The box.
    """
    total = 0
    for first in range(0, len(chunk_rows), _CHUNKS_AT_ONCE):
        chunks = level.chunks[chunk_rows[first : first + _CHUNKS_AT_ONCE]]
        arrays = [level.arrays.vertices, level.arrays.vertex_fragments]
        fetched = fetch_many(level.storage, [(array, chunks) for array in arrays if array is not None])
        positions, row_offsets, _ = decode_vertices(fetched[0])
        counts = np.diff(row_offsets)
        whole = Fragments(np.arange(len(counts) + 1, dtype=np.int64), np.zeros(len(counts), np.int64), counts)
        fragments = decode_fragments(fetched[1]) if len(fetched) > 1 else whole
        own = ~copied_rows(level, chunks, positions, row_offsets, fragments)
        total += int((own if box is None else own & box.contains(positions)).sum())
    return total
