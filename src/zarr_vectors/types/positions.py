"""Users' positions, checked and cast to stored precision."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.exceptions import ArgumentError, PrecisionWarning, ShapeError
from zarr_vectors.model.elements import bounding_box
from zarr_vectors.typing import AnyArray, FloatArray

DEFAULT_DTYPE = np.dtype(np.float32)
_BLOCK = 1 << 20
_NOTICEABLE = 1e-3


def stored_dtype(dtype: npt.DTypeLike | None, default: np.dtype[Any] | None = None) -> np.dtype[Any]:
    """Return the data type that positions are stored in: the default (float32) unless another float is asked for.

    Raises
    ------
    ArgumentError
        When it is not float16, float32 or float64.
    """
    if dtype is None:
        return default or DEFAULT_DTYPE
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise ArgumentError(f"dtype: expected a float type, got {dtype!r}") from error
    if wanted.kind != "f" or wanted.itemsize not in (2, 4, 8):
        raise ArgumentError(f"dtype: positions are stored as float16, float32 or float64, got {wanted}")
    return wanted.newbyteorder("=")


def as_array(argument: str, given: Any) -> AnyArray:
    """Return nested lists or an array as an array.

    Raises
    ------
    ShapeError
        When rows differ in length.
    """
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ShapeError(f"{argument}: is no array, since its rows differ in length or depth: {error}") from error


def as_positions(argument: str, positions: Any, ndim: int | None = None) -> AnyArray:
    """Return positions as an ``(N, D)`` array of numbers.

    Raises
    ------
    ShapeError
        When they are not two-dimensional, or have another number of columns than ``ndim``.
    ArgumentError
        When they are not numbers.
    """
    array = as_array(argument, positions)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ShapeError(f"{argument}: expected an (N, D) array with D of at least 1, got shape {array.shape}")
    if ndim is not None and array.shape[1] != ndim:
        raise ShapeError(f"{argument}: expected {ndim} columns, got shape {array.shape}")
    if array.dtype.kind not in "fiu":
        raise ArgumentError(f"{argument}: expected numbers, got dtype {array.dtype}")
    return array


def cast_positions(argument: str, positions: AnyArray, dtype: np.dtype[Any]) -> tuple[FloatArray, float]:
    """Cast positions to stored precision.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    positions : (N, D) array of numbers
        What the user gave.
    dtype : numpy.dtype
        Stored precision.

    Returns
    -------
    stored : (N, D) float
        Positions in stored precision, all finite.
    moved : float
        The largest distance along an axis by which the cast moved a position.

    Raises
    ------
    ArgumentError
        When a position is NaN or infinite (names the first such row), overflows the stored precision, or is a
        whole number that the stored precision cannot hold exactly.
    """
    require_finite(argument, positions)
    if positions.dtype == dtype:
        return positions, 0.0
    with np.errstate(over="ignore"):
        stored: FloatArray = positions.astype(dtype)
    if positions.dtype.kind == "f" and positions.dtype.itemsize <= dtype.itemsize:
        return stored, 0.0
    moved = 0.0
    for start in range(0, len(positions), _BLOCK):
        block, cast = positions[start : start + _BLOCK], stored[start : start + _BLOCK]
        with np.errstate(over="ignore", invalid="ignore"):
            moved = max(moved, float(np.abs(block.astype(np.float64) - cast.astype(np.float64)).max()))
        if positions.dtype.kind in "iu" and not _exact(block, cast):
            row = start + int(np.flatnonzero((block.astype(np.longdouble) != cast.astype(np.longdouble)).any(1))[0])
            raise ArgumentError(
                f"{argument}: row {row} is {positions[row].tolist()}, which {dtype} cannot hold exactly; "
                "pass dtype=np.float64 (exact up to 2**53) or scale the integers"
            )
    if not np.isfinite(moved):
        raise ArgumentError(f"{argument}: values reach beyond the range of {dtype}; pass dtype=np.float64")
    return stored, moved


def _exact(block: AnyArray, cast: FloatArray) -> bool:
    return bool((block.astype(np.longdouble) == cast.astype(np.longdouble)).all())


def require_finite(argument: str, positions: AnyArray) -> None:
    """Refuse NaN and infinity, naming the first row that has one."""
    if positions.dtype.kind != "f" or len(positions) == 0:
        return
    low, high = bounding_box(positions)  # NaN and infinity reach the corners
    if np.isfinite(low).all() and np.isfinite(high).all():
        return
    row = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
    raise ArgumentError(f"{argument}: row {row} is {positions[row].tolist()}; positions must be finite")


def warn_of_rounding(moved: float, bin_shape: tuple[float, ...], dtype: np.dtype[Any]) -> None:
    """Warn when casting moved a position by more than a thousandth of a bin."""
    smallest = min(bin_shape)
    if moved > _NOTICEABLE * smallest:
        warnings.warn(
            f"storing positions as {dtype} moved some by up to {moved:.3g} ({moved / smallest:.2g} of the smallest "
            "bin edge); pass dtype=np.float64 to keep them as they are",
            PrecisionWarning,
            stacklevel=4,
        )
