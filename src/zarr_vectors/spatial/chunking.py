"""Choosing chunk and bin shapes, and the size of the chunk grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.grid import grid_extent

VERTICES_PER_CHUNK = 50_000
BINS_PER_AXIS = 4
_LEAST_WIDTH = 1e-12
"""Width of a chunk on an axis without extent, as a part of the coordinate: narrower ones could not be counted."""


def compute_grid_shape(
    bounds: tuple[Sequence[float], Sequence[float]], chunk_shape: Sequence[float]
) -> tuple[int, ...]:
    """Return the number of chunks along each axis of the grid that covers some bounds.

    Parameters
    ----------
    bounds : pair of (D,) sequences
        Lower and upper corner.
    chunk_shape : (D,) sequence of float
        Chunk edge lengths.

    Raises
    ------
    ArgumentError
        When the lengths differ.

    Examples
    --------
    >>> compute_grid_shape(([0, 0], [1000, 500]), (200, 200))
    (6, 3)
    """
    if not len(bounds[0]) == len(bounds[1]) == len(chunk_shape):
        raise ArgumentError(
            f"bounds ({len(bounds[0])} and {len(bounds[1])} numbers) and chunk_shape ({len(chunk_shape)}) must agree"
        )
    return grid_extent(bounds, chunk_shape)[1]


def choose_chunk_shape(
    bounds: tuple[Sequence[float], Sequence[float]], vertex_count: int, *, target: int = VERTICES_PER_CHUNK
) -> tuple[float, ...]:
    """Return a chunk shape that puts about ``target`` vertices in a chunk, were they spread evenly.

    Chunks are cubes where the data allows it: an axis that is shorter than the cube becomes one chunk wide
    and the others share what is left. An axis without extent gets a chunk as wide as the longest axis (1 where
    none has an extent), so that points beside it can be appended. Edge lengths are rounded up to a short decimal
    number, so that they read well.

    Parameters
    ----------
    bounds : pair of (D,) sequences
        Lower and upper corner of the data.
    vertex_count : int
        Number of vertices.
    target : int
        Vertices wanted per chunk.
    """
    corners = np.asarray(bounds, np.float64)
    extent = corners[1] - corners[0]
    flat = extent <= 0
    least = np.abs(corners).max(axis=0) * _LEAST_WIDTH
    widths = np.maximum(least, float(extent.max()) if not flat.all() else 1.0)
    if not flat.all():
        edge = _cube_edge(extent[~flat], max(1.0, vertex_count / target))
        widths[~flat] = np.minimum(edge, extent[~flat])
    return tuple(_round_length(float(width)) for width in widths)


def _cube_edge(extent: np.ndarray[tuple[int], np.dtype[np.float64]], chunks: float) -> float:
    """Return the edge of equal cubes of which ``chunks`` fill the box, thin axes counting as one chunk."""
    long = np.ones(len(extent), bool)
    while True:
        edge = float(np.exp((np.log(extent[long]).sum() - math.log(chunks)) / long.sum()))
        thin = long & (extent < edge)
        if not thin.any() or thin.sum() == long.sum():
            return edge
        long &= ~thin


def _round_length(length: float) -> float:
    """Return the smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is not below the length."""
    if not math.isfinite(length) or length <= 0:
        return 1.0
    exponent = math.floor(math.log10(length))
    for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10):
        rounded = float(f"{factor}e{exponent}")
        if rounded >= length * (1 - 1e-12):
            return rounded
    return float(f"1e{exponent + 1}")


def choose_bin_shape(chunk_shape: Sequence[float], *, per_axis: int = BINS_PER_AXIS) -> tuple[float, ...]:
    """Return a bin shape with ``per_axis`` bins along every axis of a chunk."""
    return tuple(float(c) / per_axis for c in chunk_shape)
