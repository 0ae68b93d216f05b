"""Boxes: half-open, exact for every data type, and which chunks, bins and rows they meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.cells import Fragments
from zarr_vectors.model.grid import Grid
from zarr_vectors.ordering import expand_ranges
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Box:
    """The half-open box ``[lower, upper)``.

    Parameters
    ----------
    lower, upper : (D,) float64
        Corners; ``lower < upper`` on every axis.
    """

    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]

    @classmethod
    def parse(cls, bbox: Sequence[Any], ndim: int) -> Box:
        """Check a ``(lower, upper)`` pair that a user gave.

        Raises
        ------
        ArgumentError
            When it is not a pair of ``ndim`` numbers each, holds NaN, or has ``lower >= upper`` on an axis.
        """
        try:
            lower, upper = (np.asarray(corner, dtype=np.float64) for corner in bbox)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"bbox: expected a pair (lower, upper) of {ndim} numbers each, got {bbox!r}") from error
        if lower.shape != (ndim,) or upper.shape != (ndim,):
            raise ArgumentError(
                f"bbox: expected a pair (lower, upper) of {ndim} numbers each, "
                f"got shapes {lower.shape} and {upper.shape}"
            )
        if np.isnan(lower).any() or np.isnan(upper).any():
            raise ArgumentError(f"bbox: corners must not be NaN, got {lower} and {upper}")
        if not (lower < upper).all():
            axis = int(np.flatnonzero(~(lower < upper))[0])
            raise ArgumentError(
                f"bbox: lower must be below upper on every axis, got {lower[axis]} and {upper[axis]} on axis {axis}"
            )
        return cls(lower, upper)

    def thresholds(self, dtype: np.dtype[Any]) -> tuple[FloatArray, FloatArray]:
        """Return the smallest values of ``dtype`` that are not below each corner.

        ``p >= lower`` holds exactly when ``p >= thresholds[0]``, and ``p < upper`` when ``p < thresholds[1]``,
        for every ``p`` of that type.
        """
        return _round_up(self.lower, dtype), _round_up(self.upper, dtype)

    def contains(self, positions: FloatArray) -> BoolArray:
        """Return which positions ``(N, D)`` lie inside, ``(N,)``."""
        lower, upper = self.thresholds(positions.dtype)
        inside = np.ones(len(positions), bool)
        for d in range(positions.shape[1]):
            column = positions[:, d]
            inside &= column >= lower[d]
            inside &= column < upper[d]
        return inside


def _round_up(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> FloatArray:
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    return np.where(rounded.astype(np.float64) < values, np.nextafter(rounded, dtype.type(np.inf)), rounded)


@dataclass(frozen=True, slots=True)
class AxisRange:
    """Bins that a box meets along one axis.

    Parameters
    ----------
    first, last : int
        Absolute bins, both included; ``last < first`` when no representable position is inside.
    first_inside, last_inside : bool
        Whether every position of the first (last) bin is inside along this axis.
    """

    first: int
    last: int
    first_inside: bool
    last_inside: bool


def bin_ranges(box: Box, grid: Grid, dtype: np.dtype[Any]) -> list[AxisRange]:
    """Return the bins that a box meets along every axis, for positions of a data type.

    Rounding is monotonic, so the bins of the smallest and the largest position inside bound all others.
    """
    lower, upper = box.thresholds(dtype)
    ranges = []
    for d, width in enumerate(grid.cell_shape):
        infinity = dtype.type(np.inf)
        smallest, beyond = lower[d], upper[d]
        with np.errstate(over="ignore"):  # before the smallest float is minus infinity
            largest = np.nextafter(beyond, -infinity)
            before = np.nextafter(smallest, -infinity)
        first, last, below, above = (_bin(value, width) for value in (smallest, largest, before, beyond))
        ranges.append(AxisRange(first, last, below < first, above > last))
    return ranges


_FAR = 2**62


def _bin(value: Any, width: float) -> int:
    quotient = np.floor(np.float64(value) / width)
    return int(min(max(quotient, -_FAR), _FAR))


def chunk_ranges(ranges: Sequence[AxisRange], grid: Grid) -> tuple[list[int], list[int]]:
    """Return the lowest and highest chunk of every axis (both included) that bin ranges reach."""
    per_chunk = grid.bins_per_chunk
    low = [r.first // p for r, p in zip(ranges, per_chunk, strict=True)]
    high = [r.last // p for r, p in zip(ranges, per_chunk, strict=True)]
    return low, high


def chunks_met(chunks: IntArray, ranges: Sequence[AxisRange], grid: Grid) -> BoolArray:
    """Return which chunks ``(C, S)`` a box meets; leading components beyond the grid's axes are ignored."""
    low, high = chunk_ranges(ranges, grid)
    spatial = chunks[:, chunks.shape[1] - grid.ndim :]
    met = np.ones(len(chunks), bool)
    for d in range(grid.ndim):
        met &= (spatial[:, d] >= low[d]) & (spatial[:, d] <= high[d])
    return met


@dataclass(frozen=True, slots=True)
class BinCoverage:
    """How a box meets the bins of some chunks.

    Parameters
    ----------
    met : (C, n_bins) bool
        Bins that may hold positions inside the box.
    inside : (C, n_bins) bool
        Bins whose every position is inside.
    """

    met: BoolArray
    inside: BoolArray


def bin_coverage(chunks: IntArray, ranges: Sequence[AxisRange], grid: Grid) -> BinCoverage:
    """Return which bins of every chunk a box meets and which lie wholly inside."""
    spatial = chunks[:, chunks.shape[1] - grid.ndim :]
    met = inside = np.ones((len(chunks), 1), bool)
    for d, (r, per_chunk) in enumerate(zip(ranges, grid.bins_per_chunk, strict=True)):
        bins = spatial[:, d, None] * per_chunk + np.arange(per_chunk)
        axis_met = (bins >= r.first) & (bins <= r.last)
        axis_inside = axis_met & ((bins > r.first) | r.first_inside) & ((bins < r.last) | r.last_inside)
        shape = len(chunks), met.shape[1] * per_chunk
        met = (met[:, :, None] & axis_met[:, None, :]).reshape(shape)
        inside = (inside[:, :, None] & axis_inside[:, None, :]).reshape(shape)
    return BinCoverage(met, inside)


def has_bin_fragments(fragments: Fragments, row_counts: IntArray, grid: Grid) -> BoolArray:
    """Return for which chunks fragment f is bin f: as many ranges as bins, tiling the rows in order."""
    n_bins = grid.n_bins
    per_chunk = np.diff(fragments.offsets)
    regular: BoolArray = per_chunk == n_bins
    if not regular.any():
        return regular
    rows = np.flatnonzero(regular)
    table = fragments.offsets[rows][:, None] + np.arange(n_bins)
    starts, counts = fragments.starts[table], fragments.counts[table]
    running = np.cumsum(counts, axis=1) - counts
    good = (starts == running).all(axis=1) & (counts.sum(axis=1) == row_counts[rows])
    if fragments.explicit is not None:
        good &= ~fragments.explicit[table].any(axis=1)
    regular[rows] = good
    return regular


def rows_inside(
    box: Box,
    positions: FloatArray,
    row_offsets: IntArray,
    fragments: Fragments,
    chunks: IntArray,
    grid: Grid,
    *,
    by_bin: BoolArray,
) -> IntArray:
    """Return the rows of concatenated chunks that lie inside a box, ascending.

    Parameters
    ----------
    box : Box
        The query.
    positions : (N, D) float
        Positions of all rows.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk start.
    fragments : Fragments
        Fragment tables of the chunks.
    chunks : (C, S) int64
        Chunk coordinates.
    grid : Grid
        Grid of the level.
    by_bin : (C,) bool
        Chunks whose fragments are bins (:func:`has_bin_fragments`): only rows of bins that the box meets
        are looked at, and rows of interior bins are not tested.
    """
    coverage = bin_coverage(chunks, bin_ranges(box, grid, positions.dtype), grid)
    n_bins = coverage.met.shape[1]
    counts = np.diff(row_offsets)
    whole = coverage.inside.all(axis=1)
    starts, lengths, inside = [row_offsets[:-1][whole]], [counts[whole]], [np.ones(int(whole.sum()), bool)]
    binned = by_bin & ~whole
    if binned.any():
        rows = np.flatnonzero(binned)
        table = fragments.offsets[rows][:, None] + np.arange(n_bins)
        met = coverage.met[rows]
        starts.append((fragments.starts[table] + row_offsets[rows][:, None])[met])
        lengths.append(fragments.counts[table][met])
        inside.append(coverage.inside[rows][met])
    other = ~by_bin & ~whole & coverage.met.any(axis=1)
    starts.append(row_offsets[:-1][other])
    lengths.append(counts[other])
    inside.append(np.zeros(int(other.sum()), bool))
    return _tested_rows(box, positions, np.concatenate(starts), np.concatenate(lengths), np.concatenate(inside))


def _tested_rows(box: Box, positions: FloatArray, starts: IntArray, lengths: AnyArray, inside: BoolArray) -> IntArray:
    order = np.argsort(starts, kind="stable")
    starts, lengths, inside = starts[order], lengths[order], inside[order]
    rows = expand_ranges(starts, lengths)
    keep = np.repeat(inside, lengths)
    if inside.all():
        return rows
    doubtful = np.flatnonzero(~keep)
    keep[doubtful] = box.contains(np.take(positions, rows[doubtful], axis=0, mode="clip"))
    return rows[keep]
