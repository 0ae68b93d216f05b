"""The grid of a level: position ⇄ bin ⇄ chunk arithmetic.

``bin = floor(float64(position) / bin_shape)`` and ``chunk = bin // bins_per_chunk`` on every axis, absolute, so
that negative coordinates are legal; without a bin shape ``chunk = floor(float64(position) / chunk_shape)``
(Zarr Vectors specification, spatial index).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.typing import FloatArray, IntArray

MAX_GRID_CELLS = 2**62
"""Most chunks of a grid whose chunks are numbered as a whole, in int64."""

_DIVISIBILITY_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Grid:
    """Chunk and bin shapes of one level.

    Parameters
    ----------
    chunk_shape : tuple of float
        Edge lengths of a chunk, in the units of the axes.
    bin_shape : tuple of float, optional
        Edge lengths of a bin; None means one bin a chunk.
    """

    chunk_shape: tuple[float, ...]
    bin_shape: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, shape in (("chunk_shape", self.chunk_shape), ("bin_shape", self.bin_shape)):
            if shape is not None and not all(math.isfinite(s) and s > 0 for s in shape):
                raise ArgumentError(f"{name} must be positive and finite on every axis, got {shape}")
        if self.bin_shape is not None and len(self.bin_shape) != len(self.chunk_shape):
            raise ArgumentError(f"bin_shape has {len(self.bin_shape)} axes and chunk_shape has {len(self.chunk_shape)}")

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return len(self.chunk_shape)

    @property
    def nests(self) -> bool:
        """Whether every chunk holds a whole number of bins on every axis."""
        return self.bin_shape is None or all(
            _divides(c, b) for c, b in zip(self.chunk_shape, self.bin_shape, strict=True)
        )

    @property
    def bins_per_chunk(self) -> tuple[int, ...]:
        """Number of bins of a chunk on every axis (ones where there is no usable bin shape)."""
        if self.bin_shape is None or not self.nests:
            return (1,) * self.ndim
        return tuple(round(c / b) for c, b in zip(self.chunk_shape, self.bin_shape, strict=True))

    @property
    def n_bins(self) -> int:
        """Number of bins of a chunk."""
        return math.prod(self.bins_per_chunk)

    @property
    def cell_shape(self) -> tuple[float, ...]:
        """Edge lengths of what positions are divided by: the bin, or the chunk where bins do not nest."""
        return self.bin_shape if self.bin_shape is not None and self.nests else self.chunk_shape

    def bins_of(self, coordinates: FloatArray, axis: int) -> IntArray:
        """Return the absolute bin of coordinates along one axis, computed in float64."""
        quotient = np.divide(coordinates, self.cell_shape[axis], dtype=np.float64)
        return np.floor(quotient, out=quotient).astype(np.int64)

    def chunks_of(self, positions: FloatArray) -> IntArray:
        """Return the chunk coordinates ``(N, D)`` of positions ``(N, D)``."""
        positions = np.asarray(positions)
        chunks = np.empty(positions.shape, np.int64)
        for d, bins in enumerate(self.bins_per_chunk):
            np.floor_divide(self.bins_of(positions[:, d], d), bins, out=chunks[:, d])
        return chunks

    def require_nesting(self) -> None:
        """Refuse a bin shape that does not divide the chunk shape.

        Raises
        ------
        ArgumentError
            Naming both numbers of the first axis on which it does not.
        """
        if self.bin_shape is None:
            return
        for d, (chunk, width) in enumerate(zip(self.chunk_shape, self.bin_shape, strict=True)):
            if not _divides(chunk, width):
                raise ArgumentError(
                    f"bin_shape must divide chunk_shape on every axis: on axis {d} chunk_shape is {chunk:g} and "
                    f"bin_shape is {width:g} ({chunk:g} / {width:g} = {chunk / width:.6g} is not a whole number)"
                )


def _divides(chunk: float, width: float) -> bool:
    ratio = chunk / width
    return ratio >= 1 - _DIVISIBILITY_TOLERANCE and abs(ratio - round(ratio)) <= _DIVISIBILITY_TOLERANCE * ratio


def as_shape(name: str, value: float | Sequence[float] | None, ndim: int) -> tuple[float, ...] | None:
    """Turn a number or one number per axis into a shape of ``ndim`` floats.

    Raises
    ------
    ArgumentError
        When the length differs from ``ndim`` or a number is not positive and finite; names the argument.
    """
    if value is None:
        return None
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        numbers = np.zeros(0)
    if numbers.ndim == 1 and numbers.size == 1:
        numbers = np.repeat(numbers, ndim)
    if numbers.shape != (ndim,):
        raise ArgumentError(f"{name}: expected a number or {ndim} numbers (one per axis), got {value!r}")
    if not (np.isfinite(numbers).all() and (numbers > 0).all()):
        raise ArgumentError(f"{name} must be positive and finite on every axis, got {value!r}")
    return tuple(float(n) for n in numbers)


def is_level(value: Any) -> bool:
    """Return whether a value can be the number of a level: a whole number, 0 or more; booleans and floats are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 0)


def as_level(name: str, value: Any) -> int:
    """Return the number of a level that a user gave.

    Raises
    ------
    ArgumentError
        When it is no whole number, 0 or more; names the argument.
    """
    if not is_level(value):
        raise ArgumentError(f"{name}: expected the number of a level, 0 or more, got {value!r}")
    return int(value)


def grid_extent(
    bounds: tuple[Sequence[float], Sequence[float]], chunk_shape: Sequence[float]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return ``(origin, shape)`` of the chunk grid that covers the bounds.

    ``origin = floor(bounds_min / chunk_shape)`` and ``shape = floor(bounds_max / chunk_shape) - origin + 1``
    (Zarr Vectors specification, revision 0.9, grid arrays).

    Raises
    ------
    ArgumentError
        When the bounds are so many chunks wide that the number is beyond float64.
    """
    quotients = [float(b) / float(c) for corner in bounds for b, c in zip(corner, chunk_shape, strict=True)]
    if not all(map(math.isfinite, quotients)):
        raise ArgumentError(
            f"bounds {bounds} hold more chunks of chunk_shape {tuple(chunk_shape)} than can be counted; use a larger "
            "chunk_shape"
        )
    low = [math.floor(float(b) / float(c)) for b, c in zip(bounds[0], chunk_shape, strict=True)]
    high = [math.floor(float(b) / float(c)) for b, c in zip(bounds[1], chunk_shape, strict=True)]
    return tuple(low), tuple(h - o + 1 for o, h in zip(low, high, strict=True))
