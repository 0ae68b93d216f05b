"""Counting the vertices inside a box by the fragment indexes; positions are read in boundary chunks only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.model.cells import Fragments
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.read.copies import count_without_copies, may_repeat
from zarr_vectors.read.fetch import decode_fragments, fetch_cells, fetch_indexes
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import has_identity
from zarr_vectors.read.partial import read_ranges
from zarr_vectors.read.query import Query
from zarr_vectors.read.rows import meet_chunks
from zarr_vectors.read.vertices import decode_vertices
from zarr_vectors.spatial.boxes import Box, bin_coverage, bin_ranges, has_bin_fragments
from zarr_vectors.typing import BoolArray, FloatArray, IntArray

_CHUNKS_AT_ONCE = 256
"""Boundary chunks whose positions are held at a time."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the index alone says about the vertices inside a box.

    Parameters
    ----------
    certain : int
        Vertices that are inside whatever their positions.
    chunk_rows : (n,) int64
        Chunks, by row of ``level.chunks``, of the runs of rows that may be inside, ascending.
    starts, counts : (n,) int64
        First row of each run in its chunk, and its length; -1 for all rows of a chunk that does not say how many
        it has.
    """

    certain: int
    chunk_rows: IntArray
    starts: IntArray
    counts: IntArray

    @property
    def most(self) -> int | None:
        """Most vertices that may be inside; None where a chunk does not say how many it has."""
        return None if (self.counts < 0).any() else self.certain + int(self.counts.sum())


_NOTHING = Tally(0, *(np.zeros(0, np.int64) for _ in range(3)))


def count_vertices(level: LevelReader, box: Box | None) -> int:
    """Return how many vertices of a level lie inside a box, all where there is none; each is counted once.

    A box costs three rounds of requests: shard indexes, fragment indexes of the chunks that it meets, cells of boundary
    chunks (of their boundary bins alone, where cells are not compressed), and one more for every further 256 chunks on
    its boundary. Where paths repeat the vertex before a crossing, the positions of all chunks that are met are read, as
    the index does not say which they are.

    Parameters
    ----------
    level : LevelReader
        An open level.
    box : Box, optional
        The box.

    Raises
    ------
    ArrayError
        When a cell is damaged.
    """
    if may_repeat(level):
        return count_without_copies(level, meet_chunks(level, Query(box=box), None), box)
    if box is None:
        return level.metadata.vertex_count
    found = tally(level, box)
    return found.certain + count_doubtful(level, box, found)


def tally(level: LevelReader, box: Box) -> Tally:
    """Return what the index alone says about the stored vertices inside a box, of levels without copies."""
    rows = meet_chunks(level, Query(box=box), None)
    if len(rows) == 0:
        return _NOTHING
    chunks, grid = level.chunks[rows], level.grid
    coverage = bin_coverage(chunks, bin_ranges(box, grid, level.arrays.vertices.spec.numpy_dtype), grid)
    whole = coverage.inside.all(axis=1)
    if len(rows) == len(level.chunks) and whole.all():
        return Tally(level.metadata.vertex_count, _NOTHING.chunk_rows, _NOTHING.starts, _NOTHING.counts)
    array = level.arrays.vertex_fragments
    if array is None:
        return Tally(0, rows, np.zeros(len(rows), np.int64), np.full(len(rows), -1, np.int64))
    fetch_indexes(level.storage, [(array, chunks), (level.arrays.vertices, chunks[~whole])])
    fragments = decode_fragments(fetch_cells(level.storage, [array], chunks)[0])
    totals = _row_counts(fragments)
    binned = _by_bin(level, fragments, totals) & ~whole
    known = whole & (totals >= 0)
    unbinned = np.flatnonzero(~binned & ~known)
    split = np.flatnonzero(binned)
    table = fragments.offsets[split][:, None] + np.arange(coverage.met.shape[1])
    inside = coverage.inside[split]
    place, number = np.nonzero(coverage.met[split] & ~inside & (fragments.counts[table] > 0))
    runs = table[place, number]
    chunk = np.concatenate([unbinned, split[place]])
    starts = np.concatenate([np.zeros(len(unbinned), np.int64), fragments.starts[runs]])
    counts = np.concatenate([totals[unbinned], fragments.counts[runs]])
    order = np.argsort(chunk, kind="stable")
    certain = int(totals[known].sum()) + int(fragments.counts[table][inside].sum())
    return Tally(certain, rows[chunk[order]], starts[order], counts[order])


def _row_counts(fragments: Fragments) -> IntArray:
    """Return the rows of every chunk whose fragments are ranges that follow each other, -1 for others."""
    running = offsets_of(fragments.counts)
    first = running[fragments.offsets[:-1]]
    chunk = fragments.chunk_of
    odd = fragments.starts != running[:-1] - first[chunk]
    if fragments.explicit is not None:
        odd |= fragments.explicit
    totals = running[fragments.offsets[1:]] - first
    totals[chunk[odd]] = -1
    return totals


def _by_bin(level: LevelReader, fragments: Fragments, totals: IntArray) -> BoolArray:
    if level.arrays.object_index is not None or has_identity(level):
        return np.zeros(len(totals), bool)
    return has_bin_fragments(fragments, totals, level.grid)


def count_doubtful(level: LevelReader, box: Box, found: Tally) -> int:
    """Return how many vertices of the runs that may be inside a box are, by their positions."""
    total = 0
    rows = np.unique(found.chunk_rows)
    for first in range(0, len(rows), _CHUNKS_AT_ONCE):
        some = rows[first : first + _CHUNKS_AT_ONCE]
        a, b = np.searchsorted(found.chunk_rows, [some[0], some[-1] + 1])
        part = Tally(0, found.chunk_rows[a:b], found.starts[a:b], found.counts[a:b])
        total += int(box.contains(_positions(level, some, part)).sum())
    return total


def _positions(level: LevelReader, chunk_rows: IntArray, runs: Tally) -> FloatArray:
    """Return the positions of runs of rows of some chunks."""
    array, chunks = level.arrays.vertices, level.chunks[chunk_rows]
    place = np.searchsorted(chunk_rows, runs.chunk_rows)
    if (runs.counts >= 0).all() and array.spec.encoding in (None, "raw"):
        fetch_indexes(level.storage, [(array, chunks)])
        read = read_ranges(level.storage, [array], chunks[place], runs.starts, runs.starts + runs.counts)
        if read is not None:
            return read[0]
    positions, offsets, _ = decode_vertices(fetch_cells(level.storage, [array], chunks)[0])
    lengths = np.diff(offsets)[place]
    counts = np.where(runs.counts < 0, lengths, runs.counts)
    short = runs.starts + counts > lengths
    if short.any():
        row = int(np.flatnonzero(short)[0])
        key = ".".join(map(str, chunks[place[row]].tolist()))
        raise ArrayError(
            f"{array.path}: chunk {key} has {lengths[row]} rows, but its fragments name row "
            f"{runs.starts[row] + counts[row] - 1}"
        )
    return np.asarray(positions[expand_ranges(runs.starts + offsets[place], counts)])
