"""Users' positions, checked and cast to stored precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import DEFAULT_AXES_NAMES
from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.model.elements import bounding_box
from zarr_vectors.typing import AnyArray, FloatArray
from zarr_vectors.write.frames import frame_columns
from zarr_vectors.write.rounding import Rounding

DEFAULT_DTYPE = np.dtype(np.float32)
_BLOCK = 1 << 20
MOST_AXES = 16
_USUAL_AXES = 4
_WHOLE = 2**53


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
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"dtype: expected a float type, got {dtype!r}") from error
    if wanted.kind != "f" or wanted.itemsize not in (2, 4, 8):
        raise ArgumentError(f"dtype: positions are stored as float16, float32 or float64, got {wanted}")
    return wanted.newbyteorder("=")


def as_array(argument: str, given: Any) -> AnyArray:
    """Return nested lists, an array or a data frame as an array.

    Raises
    ------
    ShapeError
        When rows differ in length.
    ArgumentError
        When a value is masked or missing, or a column of a frame holds no numbers.
    """
    if isinstance(given, np.ma.MaskedArray):
        return _unmasked(argument, given)
    columns = frame_columns(argument, given)
    if columns is not None:
        return _stacked(argument, columns)
    if are_columns(given):
        return _stacked(argument, dict(enumerate(given)))
    if isinstance(given, (list, tuple)) and any(isinstance(part, np.ma.MaskedArray) for part in given):
        given = [as_array(f"{argument}[{place}]", part) for place, part in enumerate(given)]
    nullable = hasattr(given, "isna") and not isinstance(given.dtype, np.dtype)  # a column of pandas
    if nullable and bool(given.isna().any()):
        raise ArgumentError(f"{argument}: row {int(np.flatnonzero(given.isna())[0])} is missing; leave such rows out")
    try:
        return np.asarray(given)
    except (ValueError, OverflowError) as error:
        raise ShapeError(f"{argument}: is no array, since its rows differ in length or depth: {error}") from error


def _unmasked(argument: str, given: np.ma.MaskedArray[Any, Any]) -> AnyArray:
    mask = np.ma.getmaskarray(given)
    if mask.any():
        row = int(np.argwhere(mask)[0, 0]) if mask.ndim else 0
        raise ArgumentError(f"{argument}: row {row} is masked; leave such rows out")
    return np.asarray(given.data)


def _stacked(argument: str, columns: Mapping[Any, Any]) -> AnyArray:
    """Return the columns of a frame side by side."""
    if not columns:
        raise ShapeError(f"{argument}: a table without columns has no positions")
    arrays = [as_array(f"{argument}: column {name!r}", column) for name, column in columns.items()]
    for name, array in zip(columns, arrays, strict=True):
        if array.dtype.kind not in "fiu":
            raise ArgumentError(
                f"{argument}: column {name!r} holds {array.dtype}, not numbers; give the columns of the axes alone, as "
                "frame[['x', 'y', 'z']]"
            )
    if len(lengths := {len(array) for array in arrays}) > 1:
        raise ShapeError(f"{argument}: its columns differ in length: {sorted(lengths)}")
    stacked: AnyArray = np.stack(arrays, axis=1)
    for name, array, column in zip(columns, arrays, stacked.T, strict=True):
        if array.dtype.kind != stacked.dtype.kind and bool((np.abs(array.astype(np.longdouble)) > _WHOLE).any()):
            raise ArgumentError(f"{argument}: column {name!r} holds numbers that {column.dtype} cannot hold exactly")
    return stacked


def as_positions(argument: str, positions: Any, ndim: int | None = None, *, axes: Any = None) -> AnyArray:
    """Return positions as an ``(N, D)`` array of numbers.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    positions : (N, D) array, data frame, or sequence of D arrays of N numbers
        What the user gave. One-dimensional arrays one after another are the columns where rows of so many columns
        could not be meant; columns of pandas, polars or Arrow in a tuple always are.
    ndim : int, optional
        Number of columns needed.
    axes : sequence, optional
        Axes that the user named, one per column.

    Raises
    ------
    ShapeError
        When they are not two-dimensional, have another number of columns than ``ndim``, or have points as columns.
    ArgumentError
        When they are not numbers, or some are masked or missing.
    """
    array = as_array(argument, positions)
    wanted = len(axes) if isinstance(axes, Sequence) and ndim is None else ndim
    if array.ndim == 2 and _are_columns(positions, len(array), array.shape[1], wanted):
        array = array.T
    if ndim is not None and array.shape[1:] != (ndim,):
        turned = f"; its transpose ({argument}.T) would fit" if array.ndim == 2 and len(array) == ndim else ""
        raise ShapeError(f"{argument}: expected shape (n, {ndim}), one column per axis, got {array.shape}{turned}")
    if array.ndim != 2 or array.shape[1] == 0:
        raise ShapeError(
            f"{argument}: expected an (N, D) array with D of at least 1, one row per point, got shape {array.shape}"
        )
    require_upright(argument, len(array), array.shape[1], wanted)
    if array.dtype.kind not in "fiu":
        raise ArgumentError(
            f"{argument}: expected numbers, got dtype {array.dtype}; give real numbers, for example with "
            "astype(np.float64)"
        )
    return array


def are_columns(given: Any) -> bool:
    """Return whether something is a tuple of columns of pandas, polars or Arrow, which are no rows of anything."""
    return isinstance(given, tuple) and bool(given) and all(map(_is_column, given))


def _is_column(part: Any) -> bool:
    if isinstance(part, (np.ndarray, np.generic, list, tuple, int, float)):
        return False
    package = type(part).__module__.partition(".")[0]
    return package in ("pandas", "polars", "pyarrow") and hasattr(part, "__len__") and not hasattr(part, "columns")


def column_names(argument: str, given: Any) -> list[Any] | None:
    """Return the names of the columns of a frame, or of the first of a list of frames; None where there are none."""
    if isinstance(given, (list, tuple)):
        given = given[0] if len(given) else None
    columns = None if given is None else frame_columns(argument, given)
    return None if columns is None else list(columns)


def as_first(argument: str, given: Sequence[Any], arrays: list[AnyArray]) -> list[AnyArray]:
    """Return the positions of several frames with their columns in the order of those of the first.

    Raises
    ------
    ArgumentError
        When one has other columns; names it.
    """
    names = [
        None if type(one) is np.ndarray and one.dtype.names is None else column_names(argument, [one]) for one in given
    ]
    for number, own in enumerate(names):
        if own == names[0]:
            continue
        if own is None or names[0] is None or set(own) != set(names[0]):
            raise ArgumentError(f"{argument} {number} has the columns {own}, but the first has {names[0]}")
        arrays[number] = arrays[number][:, [own.index(name) for name in names[0]]]
    return arrays


def in_axis_order(argument: str, positions: AnyArray, names: Sequence[Any] | None, axes: Sequence[str]) -> AnyArray:
    """Return positions with their columns in the order of the axes, where the columns are named after these.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    positions : (N, D) array
        What the user gave.
    names : sequence, optional
        Names of the columns. Names that have nothing to do with the axes leave columns where they are; case does not
        matter.
    axes : sequence of str
        Names of the D axes.

    Raises
    ------
    ArgumentError
        When some columns are named after axes, but not each after another; names both.
    """
    if names is None or list(names) == list(axes) or len(names) != positions.shape[1]:
        return positions
    own, wanted = [str(name).casefold() for name in names], [axis.casefold() for axis in axes]
    if len(set(wanted)) < len(wanted) or len(set(own)) < len(own):
        own, wanted = list(map(str, names)), list(axes)
    if set(own) == set(wanted):
        places = [own.index(axis) for axis in wanted]
        return positions if places == list(range(len(places))) else positions[:, places]
    usual = set(DEFAULT_AXES_NAMES) if set(wanted) <= set(DEFAULT_AXES_NAMES) else set()
    if set(own) & (usual | set(wanted)):
        raise ArgumentError(
            f"{argument}: the columns {list(names)} are not the axes {list(axes)}; choose and name the columns after "
            "the axes, name the axes with axes=, or take the names away (to_numpy()) where columns are in the order of "
            "the axes"
        )
    return positions


def _are_columns(given: Any, count: int, length: int, wanted: int | None) -> bool:
    """Return whether a sequence is D arrays of N coordinates rather than N points."""
    if not isinstance(given, (list, tuple)) or isinstance(given[0], (list, tuple)) or count == length:
        return False
    if are_columns(given):
        return False  # they stand side by side already
    return count == wanted if wanted is not None else count <= _USUAL_AXES < length


def require_upright(argument: str, rows: int, columns: int, wanted: int | None = None) -> None:
    """Refuse positions whose columns must be points.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    rows, columns : int
        Shape of the positions; of several arrays the number of rows of the longest.
    wanted : int, optional
        Number of columns that the user has named.

    Raises
    ------
    ShapeError
        When there are more columns than any space has axes, or some few points with far more columns that nobody named.
    """
    if columns == wanted and columns <= MOST_AXES:
        return
    if columns > MOST_AXES or (wanted is None and 0 < rows <= _USUAL_AXES < columns):
        raise ShapeError(
            f"{argument}: shape ({rows}, {columns}) would be {rows} points of {columns} axes; a row is a point and a "
            f"column an axis: pass {argument}.T (np.column_stack((x, y, z)) for single coordinates)"
            + ("" if columns > MOST_AXES else ", or name so many axes with axes=")
        )


def cast_positions(argument: str, positions: AnyArray, dtype: np.dtype[Any]) -> tuple[FloatArray, Rounding]:
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
    rounding : Rounding
        How far the cast moved them.

    Raises
    ------
    ArgumentError
        When a position is NaN or infinite (names the first such row), overflows the stored precision, or is a
        whole number that the stored precision cannot hold exactly.
    """
    require_finite(argument, positions)
    ndim = positions.shape[1]
    if positions.dtype == dtype:
        return positions, Rounding.none(ndim)
    with np.errstate(over="ignore"):
        stored: FloatArray = positions.astype(dtype)
    if positions.dtype.kind == "f" and positions.dtype.itemsize <= dtype.itemsize:
        return stored, Rounding.none(ndim)
    moved = np.zeros(ndim)
    for start in range(0, len(positions), _BLOCK):
        block, cast = positions[start : start + _BLOCK], stored[start : start + _BLOCK]
        with np.errstate(over="ignore", invalid="ignore"):
            apart = np.abs(block.astype(np.float64) - cast.astype(np.float64))
        moved = np.maximum(moved, bounding_box(apart)[1])
        if positions.dtype.kind in "iu" and not _exact(block, cast):
            row = start + int(np.flatnonzero((block.astype(np.longdouble) != cast.astype(np.longdouble)).any(1))[0])
            raise ArgumentError(
                f"{argument}: row {row} is {positions[row].tolist()}, which {dtype} cannot hold exactly; "
                "pass dtype=np.float64 (exact up to 2**53) or scale the integers"
            )
    if not np.isfinite(moved).all():
        raise ArgumentError(f"{argument}: values reach beyond the range of {dtype}; pass dtype=np.float64")
    return stored, Rounding.of(positions, moved)


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
