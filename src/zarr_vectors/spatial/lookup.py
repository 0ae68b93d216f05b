"""Finding rows of chunks by their coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.typing import IntArray

_MAX_BITS = 62


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
    """

    origin: IntArray
    shape: IntArray
    numbers: IntArray
    chunks: IntArray

    @classmethod
    def of(cls, chunks: IntArray) -> ChunkLookup:
        """Prepare the lookup of chunks ``(C, S)`` in numeric order."""
        if len(chunks) == 0:
            zeros = np.zeros(chunks.shape[1], np.int64)
            return cls(zeros, zeros, np.zeros(0, np.int64), chunks)
        low, high = chunks.min(axis=0), chunks.max(axis=0)
        shape = high - low + 1
        numbers = _number(chunks - low, shape) if _countable(shape) else np.zeros(0, np.int64)
        return cls(low, shape, numbers, chunks)

    def rows(self, wanted: IntArray) -> IntArray:
        """Return the row of each wanted chunk ``(n, S)``, or -1 where it is not listed."""
        if len(self.chunks) == 0 or len(wanted) == 0:
            return np.full(len(wanted), -1, np.int64)
        relative = wanted - self.origin
        inside = ((relative >= 0) & (relative < self.shape)).all(axis=1)
        rows = np.full(len(wanted), -1, np.int64)
        if len(self.numbers) == 0:
            known = {chunk: row for row, chunk in enumerate(map(tuple, self.chunks.tolist()))}
            return np.array([known.get(tuple(chunk), -1) for chunk in wanted.tolist()], np.int64)
        numbers = _number(relative[inside], self.shape)
        places = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        rows[inside] = np.where(self.numbers[places] == numbers, places, -1)
        return rows


def _countable(shape: IntArray) -> bool:
    return float(np.log2(shape.astype(np.float64)).sum()) < _MAX_BITS


def _number(relative: IntArray, shape: IntArray) -> IntArray:
    numbers = np.zeros(len(relative), np.int64)
    for d in range(relative.shape[1]):
        numbers = numbers * shape[d] + relative[:, d]
    return numbers
