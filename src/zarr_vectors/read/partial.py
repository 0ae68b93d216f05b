"""Reading only the bins that a box meets, where cells are not compressed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.cells import Fragments
from zarr_vectors.read.fetch import decode_fragments, fetch_cells, fetch_indexes
from zarr_vectors.read.level import LevelReader
from zarr_vectors.spatial.boxes import Box, bin_coverage, bin_ranges, has_bin_fragments
from zarr_vectors.storage.port import Storage
from zarr_vectors.typing import AnyArray, BoolArray, Bytes, IntArray


def read_bins(level: LevelReader, box: Box, chunk_rows: IntArray, arrays: Sequence[CellArray]) -> list[AnyArray] | None:
    """Read the rows inside a box bin by bin.

    Parameters
    ----------
    level : LevelReader
        An open level of undifferentiated points.
    box : Box
        The query.
    chunk_rows : (n,) int64
        Rows of the chunks that the box meets.
    arrays : sequence of CellArray
        The vertices, then attributes.

    Returns
    -------
    list of array or None
        Rows inside the box, one array each; None where cells are compressed or fragments are not bins, so that
        whole cells must be read.
    """
    fragment_array, grid = level.arrays.vertex_fragments, level.grid
    chunks = level.chunks[chunk_rows]
    if fragment_array is None or grid.n_bins == 1 or len(chunks) == 0:
        return None
    if arrays[0].row_requests(chunks[:0], np.zeros(0, np.int64), np.zeros(0, np.int64)) is None:
        return None
    ranges = bin_ranges(box, grid, arrays[0].spec.numpy_dtype)
    coverage = bin_coverage(chunks, ranges, grid)
    if coverage.met.all():
        return None
    fetch_indexes(level.storage, [(array, chunks) for array in (fragment_array, *arrays)])
    fragments = decode_fragments(fetch_cells(level.storage, [fragment_array], chunks)[0])
    totals = np.add.reduceat(fragments.counts, fragments.offsets[:-1]) if fragments.count else np.zeros(0, np.int64)
    if not has_bin_fragments(fragments, totals, grid).all():
        return None
    runs = _Runs.of(fragments, coverage.met, coverage.inside)
    read = _read_runs(level, arrays, chunks, runs)
    if read is None:
        return None
    inside = np.repeat(runs.inside, runs.counts)
    doubtful = np.flatnonzero(~inside)
    inside[doubtful] = box.contains(read[0][doubtful])
    return read if inside.all() else [values[inside] for values in read]


class _Runs:
    """Bins that are read, as runs of rows: chunk by chunk, bin by bin."""

    def __init__(self, chunk: IntArray, starts: IntArray, counts: IntArray, inside: BoolArray) -> None:
        self.chunk = chunk
        self.starts = starts
        self.counts = counts
        self.inside = inside

    @classmethod
    def of(cls, fragments: Fragments, met: BoolArray, inside: BoolArray) -> _Runs:
        """Take the bins that a box meets and that hold something."""
        n_bins = met.shape[1]
        counts = fragments.counts.reshape(-1, n_bins)
        chunk, number = np.nonzero(met & (counts > 0))
        starts = fragments.starts.reshape(-1, n_bins)[chunk, number]
        return cls(chunk, starts, counts[chunk, number], inside[chunk, number])

    def merged(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return chunk, first row and end row of runs that do not touch."""
        if len(self.chunk) == 0:
            return self.chunk, self.starts, self.starts
        ends = self.starts + self.counts
        first = np.ones(len(self.chunk), bool)
        first[1:] = (self.chunk[1:] != self.chunk[:-1]) | (self.starts[1:] != ends[:-1])
        heads = np.flatnonzero(first)
        return self.chunk[heads], self.starts[heads], ends[np.append(heads[1:], len(ends)) - 1]


def _read_runs(level: LevelReader, arrays: Sequence[CellArray], chunks: IntArray, runs: _Runs) -> list[AnyArray] | None:
    chunk, first, last = runs.merged()
    return read_ranges(level.storage, arrays, chunks[chunk], first, last)


def read_ranges(
    storage: Storage, arrays: Sequence[CellArray], chunks: IntArray, first: IntArray, last: IntArray
) -> list[AnyArray] | None:
    """Read runs of rows by themselves, in one round.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    arrays : sequence of CellArray
        Arrays with a row per vertex, whose shard indexes have been taken in.
    chunks : (m, S) int64
        Chunk of every run.
    first, last : (m,) int64
        First row of every run, and the row behind it.

    Returns
    -------
    list of array or None
        The rows of all runs, one array each; None where cells must be read as a whole.

    Raises
    ------
    ArrayError
        When a cell has too few rows; names the array and the chunk.
    """
    plans, checks = [], []
    for array in arrays:
        plan = array.row_requests(chunks, first * array.spec.row_stride, last * array.spec.row_stride)
        if plan is None:
            return None
        plans.append(plan)
        checks.append(array.plain_requests(chunks))
    blobs = iter(storage.get_many([request for plan in (*checks, *plans) for request in plan]))
    if not all(array.lies_plain(list(islice(blobs, len(check)))) for array, check in zip(arrays, checks, strict=True)):
        return None
    read = []
    for array in arrays:
        stride = array.spec.row_stride
        parts: list[Bytes] = []
        for row, size in enumerate(((last - first) * stride).tolist()):
            blob = next(blobs)
            if blob is None or memoryview(blob).nbytes != size:
                raise ArrayError(
                    f"{array.path}: chunk {format_keys(chunks[row : row + 1])[0]} holds "
                    f"{0 if blob is None else memoryview(blob).nbytes} of the {size} bytes of rows {int(first[row])} "
                    f"to {int(last[row])}"
                )
            parts.append(blob)
        values: AnyArray = np.frombuffer(bytearray().join(parts), array.spec.numpy_dtype)
        read.append(values if array.spec.channels is None else values.reshape(-1, array.spec.channels))
    return read
