"""New vertices, as a user gives them, made to fit the level that they are added to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import LINE, ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.edit.binning import LEADING, bins_of_vertices, codes_by_value, leading_column
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, ShapeError, UnknownNameError
from zarr_vectors.formats.columns import make_column
from zarr_vectors.formats.given import rounded_literals
from zarr_vectors.formats.joining import absent_column, join_column
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.elements import Elements, Links, Objects, bounding_box
from zarr_vectors.model.ids import parse_ids
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.read.level import LevelReader
from zarr_vectors.typing import BoolArray, FloatArray, IntArray
from zarr_vectors.write.bounds import as_stored, holding_rounded, outside_rows
from zarr_vectors.write.frames import as_columns
from zarr_vectors.write.positions import as_positions, cast_positions, column_names, in_axis_order, stored_dtype
from zarr_vectors.write.tables import Attributes, make_columns

POLICIES = ("raise", "ignore", "expand")


@dataclass(frozen=True, slots=True)
class Settled:
    """Positions that fit a store.

    Parameters
    ----------
    positions : (n, D) float
        In the precision of the level.
    keep : (m,) bool
        Which of the rows given these are.
    root : RootMetadata
        Metadata of the store, bounds grown as far as needed.
    """

    positions: FloatArray
    keep: BoolArray
    root: RootMetadata


def settle_positions(
    level: LevelReader, positions: Any, dtype: npt.DTypeLike | None, out_of_bounds: str, argument: str = "positions"
) -> Settled:
    """Check positions, cast them to the precision of the level, and apply an ``out_of_bounds`` policy.

    Raises
    ------
    ShapeError
        When they have not one column per axis.
    ArgumentError
        When they are not finite numbers, or `dtype` is not that of the level.
    OutOfBoundsError
        Under ``"raise"``; says how many are outside, and the first.
    """
    stored = level.arrays.vertices.spec.numpy_dtype.newbyteorder("=")
    if stored_dtype(dtype, stored) != stored:
        raise ArgumentError(f"dtype: {level.name} holds {stored} positions; {np.dtype(dtype)} cannot be added to them")
    if out_of_bounds not in POLICIES:
        raise ArgumentError(f"out_of_bounds: expected one of {', '.join(POLICIES)}, got {out_of_bounds!r}")
    given = as_positions(argument, positions, level.root.ndim)
    names = column_names(argument, positions)
    given = in_axis_order(argument, given, names, [axis.name for axis in level.root.axes])
    cast, rounding = cast_positions(argument, given, stored)
    rounding.warn(stored, level.root.axes, kept=True)
    inside = np.ones(len(cast), bool)
    inside[outside_rows(cast, as_stored(level.root.bounds, stored))] = False
    corners = bounding_box(cast)
    if inside.all() or out_of_bounds == "ignore":
        held = holding_rounded(level.root.bounds, corners, stored) if len(cast) else level.root.bounds
        return Settled(cast[inside], inside, replace(level.root, bounds=held))
    if out_of_bounds == "raise":
        row = int(np.flatnonzero(~inside)[0])
        raise OutOfBoundsError(
            f"{argument}: {int((~inside).sum())} of {len(cast)} lie outside the bounds {level.root.bounds}; row {row} "
            f"is {cast[row].tolist()}. Pass out_of_bounds='expand' to grow the bounds or 'ignore' to leave them out"
        )
    low, high = level.root.bounds
    grown = (tuple(np.minimum(corners[0], low).tolist()), tuple(np.maximum(corners[1], high).tolist()))
    return Settled(cast, np.ones(len(cast), bool), replace(level.root, bounds=grown))


def fit_columns(
    what: str,
    specs: Mapping[str, AttributeSpec],
    given: Attributes,
    count: int,
    per: str,
    *,
    dictionary: bool = True,
    ids: IntArray | None = None,
) -> dict[str, Column]:
    """Return columns in the stored form of a level's attributes, filled where no values were given.

    Parameters
    ----------
    what : str
        Name of the argument, for messages.
    specs : mapping of str to AttributeSpec
        The level's attributes.
    given : mapping of str to array, optional
        Values by name.
    count : int
        Number of rows.
    per : str
        What there is one row for, for messages.
    dictionary : bool
        Whether strings are kept as codes.
    ids : (n,) int64, optional
        Objects that the rows are about, by which those that name theirs are put in order.

    Raises
    ------
    ArgumentError
        When there is no such attribute, values do not fit, or values are needed for an attribute without a fill.
    """
    if isinstance(given, Mapping):
        given = {
            name: rounded_literals(values, specs[name].numpy_dtype) if name in specs else values
            for name, values in given.items()
        }
    made = make_columns(what, given, count, per, dictionary=dictionary, ids=ids)
    unknown = sorted(set(made) - set(specs))
    if unknown:
        raise ArgumentError(
            f"{what}: the level has no {per} attributes {unknown}; it has {sorted(specs)}. Add it first"
        )
    columns = {}
    for name, spec in specs.items():
        shape = () if spec.channels is None else (spec.channels,)
        stored = spec.numpy_dtype.newbyteorder("=")
        if name in made:
            empty = Column(np.zeros((0, *shape), stored), spec)
            columns[name] = join_column(what, name, empty, made[name])
        else:
            columns[name] = absent_column(spec, count)
            if count and columns[name].spec != spec and spec.numpy_dtype.kind != "U":
                raise ArgumentError(
                    f"{what}: {name!r} ({spec.encoding or spec.dtype}) declares no value for rows without one; give "
                    "values for it, None for those that are missing"
                )
    return columns


def vertex_columns(level: LevelReader, given: Attributes, count: int, next_index: int | None) -> dict[str, Column]:
    """Return the vertex attributes of new vertices, with the bin that they go to where that follows from these.

    Parameters
    ----------
    level : LevelReader
        The level.
    given : mapping of str to array, optional
        Values by name.
    count : int
        Number of vertices.
    next_index : int, optional
        Number that the order of the input goes on from, where the level keeps it.
    """
    specs = {name: array.spec for name, array in level.arrays.vertex_attributes.items()}
    given = as_columns("attributes", given)
    chunked_by = level.keyed_attribute
    leading = None
    if chunked_by is not None:
        if chunked_by not in given:
            raise ArgumentError(f"attributes: {level.name} is chunked by {chunked_by!r}; give its values")
        column = make_column("attributes", chunked_by, given.pop(chunked_by), count, "vertex")
        leading = leading_column(codes_by_value(level, chunked_by, column))
    if ORIGINAL_INDEX_ATTRIBUTE in specs and ORIGINAL_INDEX_ATTRIBUTE not in given and next_index is not None:
        given[ORIGINAL_INDEX_ATTRIBUTE] = np.arange(next_index, next_index + count, dtype=np.int64)
    columns = fit_columns("attributes", specs, given, count, "vertex")
    if leading is None:
        leading = bins_of_vertices(level, columns)
    return columns if leading is None else {**columns, LEADING: leading}


def new_ids(level: LevelReader, object_ids: Any, count: int, known: IntArray) -> IntArray:
    """Return one id per vertex: as given, or one object per vertex or line counting on from the highest id.

    Raises
    ------
    ShapeError, ArgumentError
        When there are more or fewer ids than vertices, they are not whole numbers, or lines have not two vertices.
    """
    lines = LINE in level.root.geometry_types
    if object_ids is None:
        if lines and count % 2:
            raise ArgumentError(f"positions: every two rows are a line, but {count} rows were given")
        return int(known.max(initial=-1)) + 1 + np.arange(count, dtype=np.int64) // (2 if lines else 1)
    ids = parse_ids("object_ids", object_ids)
    if ids.ndim == 0:
        ids = np.full(count, ids)
    if ids.shape != (count,):
        raise ShapeError(f"object_ids: expected {count} ids, one per vertex, got shape {ids.shape}")
    if lines:
        _require_pairs(ids)
    return ids


def _require_pairs(ids: IntArray) -> None:
    distinct, counts = np.unique(ids, return_counts=True)
    wrong = np.flatnonzero(counts != 2)
    if len(wrong):
        count, number = counts[wrong[0]], distinct[wrong[0]]
        raise ArgumentError(f"object_ids: {count} rows are given for object {number}, but a line has two vertices")


def whole_lines(level: LevelReader, settled: Settled, ids: IntArray) -> Settled:
    """Return positions without those of lines that have lost an end; of other kinds all that are there."""
    if LINE not in level.root.geometry_types or settled.keep.all():
        return settled
    keep = ~np.isin(ids, ids[~settled.keep])
    return replace(settled, positions=settled.positions[keep[settled.keep]], keep=keep)


def require_new(ids: IntArray, known: IntArray) -> None:
    """Refuse ids of objects that exist.

    Raises
    ------
    ArgumentError
        Naming the first.
    """
    taken = ids[np.isin(ids, known)]
    if len(taken):
        raise ArgumentError(
            f"object_ids: the store has an object {taken[0]} already; give new objects ids of their own (from "
            f"{int(known.max(initial=-1)) + 1} on), or change that object with replace_objects"
        )


def require_known(ids: IntArray, known: IntArray, where: str) -> None:
    """Refuse ids of objects that do not exist.

    Raises
    ------
    UnknownNameError
        Naming some of them.
    """
    missing = np.unique(ids[~np.isin(ids, known)])
    if len(missing):
        listed = ", ".join(map(str, missing[:5].tolist())) + (", …" if len(missing) > 5 else "")
        raise UnknownNameError(f"object_ids: {where} has no object {listed} ({len(known)} objects)")


def join_objects(old: Objects, ids: IntArray, attributes: Attributes) -> Objects:
    """Return the objects of a level with those of new vertices, which come behind the old ones.

    Parameters
    ----------
    old : Objects
        Objects of the vertices that are there.
    ids : (n,) int64
        Object of every new vertex; those that exist keep their attributes.
    attributes : mapping of str to array, optional
        One row per new object in ascending id order; filled where none are given.
    """
    added = np.setdiff1d(ids, old.ids)
    union = np.union1d(old.ids, added)
    of_vertex = np.concatenate([np.searchsorted(union, old.ids)[old.of_vertex], np.searchsorted(union, ids)])
    specs = {name: column.spec for name, column in old.attributes.items()}
    new = fit_columns("object_attributes", specs, attributes, len(added), "object", dictionary=False, ids=added)
    order = np.argsort(np.concatenate([old.ids, added]), kind="stable")
    table = {
        name: join_column("object_attributes", name, column, new[name]).take(order)
        for name, column in old.attributes.items()
    }
    return Objects(union, of_vertex, table)


def join_vertices(old: Elements, new: Elements) -> Elements:
    """Return elements with the vertices of others behind them; objects are those of the others, which know all."""
    columns = {
        name: join_column("attributes", name, column, new.attributes[name]) for name, column in old.attributes.items()
    }
    positions = np.concatenate([old.positions, new.positions])
    return replace(old, positions=positions, attributes=columns, objects=new.objects, links=_links(old, new))


def _links(old: Elements, new: Elements) -> Links | None:
    if old.links is None or new.links is None:
        return old.links
    rows = np.concatenate([old.links.rows, new.links.rows + old.count])
    columns = {
        name: join_column("link_attributes", name, column, new.links.attributes[name])
        for name, column in old.links.attributes.items()
    }
    return replace(old.links, rows=rows, attributes=columns)
