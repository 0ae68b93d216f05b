"""Which positions lie inside bounds, as they were given and as they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.elements import bounding_box
from zarr_vectors.model.metadata import Bounds
from zarr_vectors.typing import FloatArray, IntArray
from zarr_vectors.write.positions import as_array


def as_stored(bounds: Bounds, dtype: np.dtype[Any]) -> Bounds:
    """Return bounds with the corners that positions on them are stored at, where these are further out.

    A position inside bounds may lie a rounding outside of them as it is stored.
    """
    with np.errstate(over="ignore"):
        low, high = (np.asarray(corner).astype(dtype).astype(np.float64) for corner in bounds)
    return tuple(np.minimum(low, bounds[0]).tolist()), tuple(np.maximum(high, bounds[1]).tolist())


def holding_rounded(bounds: Bounds, corners: tuple[Any, Any], dtype: np.dtype[Any]) -> Bounds:
    """Return bounds that hold stored positions with some corners, as far as it was rounding that took them out."""
    low, high = as_stored(bounds, dtype)
    return (
        tuple(np.minimum(bounds[0], np.maximum(low, corners[0])).tolist()),
        tuple(np.maximum(bounds[1], np.minimum(high, corners[1])).tolist()),
    )


def outside_rows(positions: FloatArray, bounds: Bounds) -> IntArray:
    """Return the rows that lie outside closed bounds, ascending."""
    low, high = bounding_box(positions)
    if (low >= bounds[0]).all() and (high <= bounds[1]).all():
        return np.zeros(0, np.int64)
    outside = np.zeros(len(positions), bool)
    for d in range(positions.shape[1]):
        column = positions[:, d].astype(np.float64)
        outside |= (column < bounds[0][d]) | (column > bounds[1][d])
    return np.flatnonzero(outside)


def parse_bounds(bounds: Any, ndim: int) -> Bounds | None:
    """Return bounds of a user as tuples: a pair of `ndim` finite numbers each, the lower not above the upper."""
    if bounds is None:
        return None
    try:
        low, high = (np.asarray(as_array("bounds", corner), np.float64) for corner in bounds)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"bounds: expected a pair (lower, upper) of {ndim} numbers, got {bounds!r}") from error
    if low.shape != (ndim,) or high.shape != (ndim,):
        raise ArgumentError(
            f"bounds: expected a pair (lower, upper) of {ndim} numbers each, got shapes {low.shape} and {high.shape}"
        )
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise ArgumentError(f"bounds: must be finite with lower not above upper, got {bounds!r}")
    return tuple(low.tolist()), tuple(high.tolist())
