"""Which chunk and bin every position falls in, as one integer key per vertex."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.elements import bounding_box
from zarr_vectors.model.grid import Grid
from zarr_vectors.parallel import thread_map
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

_BLOCK = 1 << 18
_MAX_TABLE = 1 << 22
_MAX_DENSE_BITS = 48


@dataclass(frozen=True, slots=True)
class Located:
    """Keys of vertices in the chunk grid.

    Parameters
    ----------
    keys : (N,) unsigned integers
        ``chunk_number * n_bins + bin``; bins of a chunk count in C order.
    n_bins : int
        Bins of a chunk (1 when only chunks were asked for).
    origin, shape : (D,) int64
        Chunk grid that the numbers count in, in C order.
    table : (C, D) int64, optional
        Chunk coordinates by number, where the grid is too large to be numbered as a whole.
    """

    keys: AnyArray
    n_bins: int
    origin: IntArray
    shape: IntArray
    table: IntArray | None = None

    def chunk_coordinates(self, numbers: AnyArray) -> IntArray:
        """Return the coordinates ``(n, D)`` of chunk numbers ``(n,)``."""
        if self.table is not None:
            return self.table[numbers]
        unraveled = np.unravel_index(np.asarray(numbers, np.int64), tuple(int(s) for s in self.shape))
        return np.stack(unraveled, axis=1).astype(np.int64) + self.origin


def locate(positions: FloatArray, grid: Grid, *, bins: bool) -> Located:
    """Number the chunk, and the bin inside it, of every position.

    Parameters
    ----------
    positions : (N, D) float
        Finite positions.
    grid : Grid
        Chunk and bin shapes.
    bins : bool
        Whether bins are numbered too.

    Raises
    ------
    ArgumentError
        When a position is so many chunks away from the origin that its chunk cannot be counted.
    """
    n, ndim = positions.shape
    n_bins = grid.n_bins if bins else 1
    if n == 0:
        ones = np.ones(ndim, np.int64)
        return Located(np.zeros(0, np.uint16), n_bins, np.zeros(ndim, np.int64), ones)
    low, high = _bin_range(positions, grid)
    per_chunk = np.array(grid.bins_per_chunk, np.int64)
    origin = low // per_chunk
    shape = high // per_chunk - origin + 1
    if math.log2(n_bins) + float(np.log2(shape.astype(np.float64)).sum()) > _MAX_DENSE_BITS:
        return _locate_sparse(positions, grid, bins)
    total = math.prod(int(s) for s in shape) * n_bins
    dtype = np.uint16 if total <= 1 << 16 else np.uint32 if total <= 1 << 32 else np.uint64
    keys = np.empty(n, dtype)
    axes = [_AxisCode.make(grid, d, low, high, origin, shape, bins) for d in range(ndim)]

    def fill(start: int) -> None:
        rows = slice(start, min(n, start + _BLOCK))
        code = axes[0].codes(positions[rows, 0])
        for axis in axes[1:]:
            code = code + axis.codes(positions[rows, axis.axis])
        keys[rows] = code

    thread_map(fill, range(0, n, _BLOCK))
    return Located(keys, n_bins, origin, shape)


def put_before(located: Located, codes: AnyArray, count: int) -> Located:
    """Add a leading component to every chunk: the bin of an attribute.

    Parameters
    ----------
    located : Located
        Keys of vertices in the spatial grid.
    codes : (N,) non-negative integers
        Leading component of every vertex, below ``count``.
    count : int
        Number of attribute bins.
    """
    n_bins = located.n_bins
    inner = len(located.table) if located.table is not None else math.prod(int(s) for s in located.shape)
    keys = np.asarray(codes, np.uint64) * np.uint64(inner * n_bins) + located.keys.astype(np.uint64)
    origin, shape = np.insert(located.origin, 0, 0), np.insert(located.shape, 0, count)
    if located.table is None and math.log2(max(1, count * inner * n_bins)) <= _MAX_DENSE_BITS:
        total = count * inner * n_bins
        dtype = np.uint16 if total <= 1 << 16 else np.uint32 if total <= 1 << 32 else np.uint64
        return Located(keys.astype(dtype), n_bins, origin, shape)
    numbers, ranks = np.unique(keys // np.uint64(n_bins), return_inverse=True)
    leading, rest = np.divmod(numbers.astype(np.int64), inner)
    table = np.concatenate([leading[:, None], located.chunk_coordinates(rest)], axis=1)
    ranked = ranks.reshape(-1).astype(np.uint64) * np.uint64(n_bins) + keys % np.uint64(n_bins)
    return Located(ranked, n_bins, origin, shape, table)


@dataclass(frozen=True, slots=True)
class _AxisCode:
    """What one axis adds to the key, by its bin."""

    axis: int
    width: float
    first_bin: int
    table: AnyArray | None
    per_chunk: int
    origin: int
    chunk_step: int
    bin_step: int

    @classmethod
    def make(
        cls,
        grid: Grid,
        axis: int,
        low: IntArray,
        high: IntArray,
        origin: IntArray,
        shape: IntArray,
        bins: bool,
    ) -> _AxisCode:
        per_chunk = grid.bins_per_chunk
        n_bins = grid.n_bins if bins else 1
        chunk_step = math.prod(int(s) for s in shape[axis + 1 :]) * n_bins
        bin_step = math.prod(per_chunk[axis + 1 :]) if bins else 0
        code = cls(
            axis,
            grid.cell_shape[axis],
            int(low[axis]),
            None,
            per_chunk[axis],
            int(origin[axis]),
            chunk_step,
            bin_step,
        )
        if high[axis] - low[axis] >= _MAX_TABLE:
            return code
        table = code.compute(np.arange(low[axis], high[axis] + 1))
        small = table.astype(np.uint32) if int(table.max()) < 1 << 32 else table
        return cls(axis, code.width, code.first_bin, small, code.per_chunk, code.origin, chunk_step, bin_step)

    def compute(self, bins: IntArray) -> IntArray:
        chunk = bins // self.per_chunk
        return (chunk - self.origin) * self.chunk_step + (bins - chunk * self.per_chunk) * self.bin_step

    def codes(self, coordinates: FloatArray) -> AnyArray:
        quotient = np.divide(coordinates, self.width, dtype=np.float64)
        np.floor(quotient, out=quotient)
        if self.table is None:
            return self.compute(quotient.astype(np.int64))
        quotient -= self.first_bin
        return self.table[quotient.astype(np.int32)]


def _bin_range(positions: FloatArray, grid: Grid) -> tuple[IntArray, IntArray]:
    """Return the lowest and highest bin of every axis; floor and division are monotonic."""
    corners = np.stack(bounding_box(positions))
    bins = np.floor(corners / np.array(grid.cell_shape))
    if np.abs(bins).max() >= 2**62:
        axis = int(np.abs(bins).max(axis=0).argmax())
        raise ArgumentError(
            f"positions reach {corners[:, axis]} on axis {axis}, too far from 0 for a chunk or bin of "
            f"{grid.cell_shape[axis]:g} to be counted; use larger chunks"
        )
    return bins[0].astype(np.int64), bins[1].astype(np.int64)


def _locate_sparse(positions: FloatArray, grid: Grid, bins: bool) -> Located:
    """Number only the chunks that hold something, for extents too large to number as a whole."""
    table, numbers = np.unique(grid.chunks_of(positions), axis=0, return_inverse=True)
    keys = numbers.reshape(-1).astype(np.uint64)
    n_bins = 1
    if bins:
        n_bins = grid.n_bins
        keys *= np.uint64(n_bins)
        step = n_bins
        for d, per_chunk in enumerate(grid.bins_per_chunk):
            step //= per_chunk
            keys += (np.mod(grid.bins_of(positions[:, d], d), per_chunk) * step).astype(np.uint64)
    low = table.min(axis=0)
    return Located(keys, n_bins, low, table.max(axis=0) - low + 1, table)
