"""Users' paths: lists of arrays, or one array and offsets, with attributes in either form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Objects
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.objects import as_object_ids
from zarr_vectors.types.parts import require_ids
from zarr_vectors.types.tables import Attributes, Specs, make_columns
from zarr_vectors.typing import AnyArray, IntArray
from zarr_vectors.write.frames import as_columns
from zarr_vectors.write.positions import as_array, as_first, as_positions, require_upright
from zarr_vectors.write.tables import joined_parts


def join_paths(argument: str, paths: Any, offsets: Any = None, axes: Any = None) -> tuple[AnyArray, IntArray]:
    """Return the vertices of all paths, one after another, and where each path starts.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    paths : (N, D) array with ``offsets``, or sequence of (n_i, D) arrays
        The paths.
    offsets : (P + 1,) integers, optional
        Where each path starts, and the end of the last.
    axes : sequence, optional
        Axes that the user named.

    Returns
    -------
    positions : (N, D) array
    offsets : (P + 1,) int64

    Raises
    ------
    ShapeError
        When a path is not two-dimensional or has another number of columns than the first (names the path), or
        offsets do not rise from 0 to N.
    ArgumentError
        When there is no path from which the number of dimensions could follow.
    """
    if offsets is not None:
        positions = as_positions(argument, paths, axes=axes)
        return positions, _checked_offsets(offsets, len(positions))
    if isinstance(paths, np.ndarray) and paths.dtype != object and paths.ndim != 3:
        raise ShapeError(
            f"{argument}: an array of shape {paths.shape} needs offsets, which say where each path starts; "
            "without them pass a list of (n, D) arrays"
        )
    if isinstance(paths, (str, bytes, Mapping)) or not isinstance(paths, Iterable):
        raise ArgumentError(
            f"{argument}: expected a list of (n, D) arrays, or one (N, D) array with offsets, got "
            f"{type(paths).__name__}"
        )
    arrays = _arrays(f"{argument}: path", paths)
    if not arrays:
        raise ArgumentError(
            f"{argument}: the list is empty, so that its number of dimensions is unknown; pass "
            "np.zeros((0, D)) with offsets=[0]"
        )
    return _concatenated(argument, arrays, axes), offsets_of(np.fromiter(map(len, arrays), np.int64, len(arrays)))


def _arrays(what: str, given: Iterable[Any]) -> list[AnyArray]:
    """Return one array per path; names the first whose rows differ in length."""
    listed = list(given)
    try:
        arrays = [np.asarray(one) for one in listed]
    except ValueError:
        arrays = None
    if arrays is None or not all(type(one) is np.ndarray for one in listed):
        return as_first(what, listed, [as_array(f"{what} {number}", one) for number, one in enumerate(listed)])
    return arrays


def _concatenated(argument: str, arrays: Sequence[AnyArray], axes: Any) -> AnyArray:
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) == 1 and len(next(iter(shapes))) == 1:
        longest = max(map(len, arrays))
        require_upright(
            f"{argument}: path", longest, arrays[0].shape[1], len(axes) if isinstance(axes, Sequence) else None
        )
        return as_positions(argument, np.concatenate(arrays), axes=axes)
    flat = next((number for number, array in enumerate(arrays) if array.ndim != 2), None)
    if flat is not None:
        raise ShapeError(f"{argument}: path {flat} has shape {arrays[flat].shape}; every path must have shape (n, D)")
    first = arrays[0].shape[1]
    odd = next(number for number, array in enumerate(arrays) if array.shape[1] != first)
    raise ShapeError(
        f"{argument}: path {odd} has shape {arrays[odd].shape}; every path must have the {first} columns of the first"
    )


def _checked_offsets(offsets: Any, count: int) -> IntArray:
    given = as_array("offsets", offsets)
    if given.ndim != 1 or len(given) == 0 or given.dtype.kind not in "iu":
        raise ShapeError(f"offsets: expected whole numbers of shape (P + 1,), got {given.dtype} of shape {given.shape}")
    numbers = given.astype(np.int64)
    falling = np.flatnonzero(np.diff(numbers) < 0)
    if len(falling):
        at = int(falling[0])
        raise ShapeError(f"offsets: must not fall, but {numbers[at]} at {at} is followed by {numbers[at + 1]}")
    if numbers[0] != 0 or numbers[-1] != count:
        raise ShapeError(
            f"offsets: must start at 0 and end at {count}, the number of vertices; they start at {numbers[0]} and end "
            f"at {numbers[-1]}"
        )
    return numbers


def path_columns(attributes: Attributes, offsets: IntArray, specs: Specs) -> dict[str, Column]:
    """Turn vertex attributes, each flat or a list with one array per path, into columns.

    Raises
    ------
    ShapeError
        When an attribute has another number of rows than vertices, in all or for a path; names both.
    """
    flat = {name: _flat(name, values, offsets) for name, values in as_columns("attributes", attributes).items()}
    return make_columns("attributes", flat, int(offsets[-1]), "vertex", specs)


def _flat(name: str, values: Any, offsets: IntArray) -> Any:
    lengths = np.diff(offsets)
    uniform = len(lengths) > 0 and bool((lengths == lengths[0]).all())
    if isinstance(values, np.ndarray) and uniform and values.ndim in (2, 3) and len(values) != offsets[-1]:
        return values.reshape(-1, *values.shape[2:]) if values.shape[:2] == (len(lengths), lengths[0]) else values
    listed = isinstance(values, (list, tuple)) or (isinstance(values, np.ndarray) and values.dtype == object)
    if not listed or not len(values) or np.ndim(values[0]) == 0:
        return values
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    if np.array_equal(lengths, np.diff(offsets)):
        return joined_parts("attributes", name, "path", values)
    if len(values) == offsets[-1] and bool((lengths == lengths[0]).all()):
        return list(values)  # one row of channels per vertex
    if len(values) != len(offsets) - 1:
        raise ShapeError(
            f"attributes: {name!r} is a list of {len(values)} arrays, but there are {len(offsets) - 1} paths"
        )
    path = int(np.flatnonzero(lengths != np.diff(offsets))[0])
    raise ShapeError(
        f"attributes: {name!r} has {lengths[path]} rows for path {path}, which has {np.diff(offsets)[path]} vertices"
    )


def path_objects(
    object_ids: Any, offsets: IntArray, attributes: Attributes, specs: Specs, first: int = 0, what: str = "path"
) -> Objects:
    """Make the object table of paths, one object each.

    Parameters
    ----------
    object_ids : (P,) integers, optional
        Id of every path, each once; ``first, first + 1, …`` by default.
    offsets : (P + 1,) int64
        Where the vertices of each path start.
    attributes : mapping, optional
        One row per path, in the order of the paths, or of pandas with the ids of the paths as index.
    specs : mapping, optional
        Descriptions of attributes.
    first : int
        First id that is given out.
    what : str
        Name of a path, for messages.

    Raises
    ------
    ShapeError
        When there is not one id per path.
    ArgumentError
        When an id is negative or given twice; names it.
    """
    count = len(offsets) - 1
    ids = np.arange(first, first + count, dtype=np.int64)
    if object_ids is not None:
        ids = as_object_ids(object_ids)
        if len(ids) != count:
            raise ShapeError(f"object_ids: expected {count} ids, one per {what}, got {len(ids)}")
        require_ids(ids)
    order = np.argsort(ids, kind="stable")
    twice = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if len(twice):
        both = np.flatnonzero(ids == ids[order][twice[0]])[:2].tolist()
        raise ArgumentError(f"object_ids: {ids[both[0]]} is given twice, for {what}s {both[0]} and {both[1]}")
    place = np.empty_like(order)
    place[order] = np.arange(count)
    columns = make_columns("object_attributes", attributes, count, what, specs, dictionary=False, ids=ids)
    table = {name: column.take(order) for name, column in columns.items()}
    return Objects(ids[order], np.repeat(place, np.diff(offsets)), table)
