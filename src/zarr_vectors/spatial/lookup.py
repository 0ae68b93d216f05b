"""Finding rows of chunks by their coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zarr_vectors.typing import IntArray

_MAX_BITS = 62
_MAX_TABLE = 1 << 16
_TABLE_SHARE = 8


@dataclass(frozen=True, slots=True)
class ChunkLookup:
    """Rows of chunks in a sorted list, by coordinates.

    Parameters
    ----------
    origin, shape : (S,) int64
        Smallest box of chunks that holds the list.
    numbers : (C,) int64
        C-order number of each listed chunk in that box, ascending; empty where the box is too large.
    chunks : (C, S) int64
        The list, in numeric order.
    table : (n,) int64, optional
        Row of every number, -1 where it is not listed; None where the box is large and mostly empty.
    """

    origin: IntArray
    shape: IntArray
    numbers: IntArray
    chunks: IntArray
    table: IntArray | None = None

    @classmethod
    def of(cls, chunks: IntArray) -> ChunkLookup:
        """Prepare the lookup of chunks ``(C, S)`` in numeric order."""
        if len(chunks) == 0:
            zeros = np.zeros(chunks.shape[1], np.int64)
            return cls(zeros, zeros, np.zeros(0, np.int64), chunks)
        low, high = chunks.min(axis=0), chunks.max(axis=0)
        shape = high - low + 1
        if not _countable(shape):
            return cls(low, shape, np.zeros(0, np.int64), chunks)
        numbers = _number(chunks - low, shape)
        total = math.prod(int(s) for s in shape)
        table = None
        if total <= max(_MAX_TABLE, _TABLE_SHARE * len(chunks)):
            table = np.full(total, -1, np.int64)
            table[numbers] = np.arange(len(chunks))
        return cls(low, shape, numbers, chunks, table)

    def rows(self, wanted: IntArray) -> IntArray:
        """Return the row of each wanted chunk ``(n, S)``, or -1 where it is not listed."""
        if len(self.chunks) == 0 or len(wanted) == 0:
            return np.full(len(wanted), -1, np.int64)
        if len(self.numbers) == 0:
            known = {chunk: row for row, chunk in enumerate(map(tuple, self.chunks.tolist()))}
            return np.array([known.get(tuple(chunk), -1) for chunk in wanted.tolist()], np.int64)
        numbers = np.zeros(len(wanted), np.int64)
        inside = np.ones(len(wanted), bool)
        for d, (first, size) in enumerate(zip(self.origin.tolist(), self.shape.tolist(), strict=True)):
            relative = wanted[:, d] - first
            inside &= relative.view(np.uint64) < np.uint64(size)  # what is negative is beyond any size
            numbers = numbers * size + relative
        if not inside.all():
            numbers[~inside] = 0
        if self.table is not None:
            found: IntArray = self.table[numbers]
        else:
            found = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
            found[self.numbers[found] != numbers] = -1
        found[~inside] = -1
        return found


def _countable(shape: IntArray) -> bool:
    return float(np.log2(shape.astype(np.float64)).sum()) < _MAX_BITS


def _number(relative: IntArray, shape: IntArray) -> IntArray:
    numbers = np.zeros(len(relative), np.int64)
    for d in range(relative.shape[1]):
        numbers = numbers * shape[d] + relative[:, d]
    return numbers
