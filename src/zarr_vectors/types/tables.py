"""Users' attributes, objects and groups → columns of elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors.constants import GROUP_NAME_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.formats.columns import check_name
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.elements import Objects
from zarr_vectors.model.ids import NOBODY, parse_ids
from zarr_vectors.typing import IntArray
from zarr_vectors.write.frames import as_columns, index_of
from zarr_vectors.write.tables import Attributes as Attributes
from zarr_vectors.write.tables import Specs as Specs
from zarr_vectors.write.tables import has_columns as has_columns
from zarr_vectors.write.tables import joined_parts
from zarr_vectors.write.tables import make_columns as make_columns
from zarr_vectors.write.tables import make_groups as make_groups


def check_specs(specs: Specs, *tables: Attributes) -> None:
    """Refuse descriptions of attributes that were not given.

    Parameters
    ----------
    specs : mapping, optional
        Descriptions by attribute name.
    *tables : mapping, optional
        The attributes of vertices, objects, … that were given.

    Raises
    ------
    ArgumentError
        Naming those that describe nothing, and the attributes there are.
    """
    if specs is None:
        return
    if not isinstance(specs, Mapping):
        raise ArgumentError(f"attribute_specs: expected a mapping of names to specs, got {type(specs).__name__}")
    known = {name for table in tables for name in as_columns("attributes", table)}
    unknown = [name for name in specs if name not in known | {GROUP_NAME_ATTRIBUTE}]
    if unknown:
        raise ArgumentError(
            f"attribute_specs: {unknown} are not among the attributes given: {sorted(map(str, known)) or 'none'}"
        )


def only_one(first_name: str, first: Any, second_name: str, second: Any) -> Any:
    """Return the one of two arguments that was given; two names for one thing may not both be used."""
    if first is not None and second is not None:
        raise ArgumentError(f"{first_name} and {second_name} are two names for one argument; give one of them")
    return second if first is None else first


def make_objects(object_ids: Any, count: int, attributes: Attributes, specs: Specs = None) -> Objects | None:
    """Make the object table from one id per vertex.

    Parameters
    ----------
    object_ids : (N,) integers, optional
        Object of every vertex; those of which it is missing are kept under -1.
    count : int
        Number of vertices.
    attributes : mapping, optional
        One row per object: per id in ascending order, or, where there are more rows than ids in use, per id
        ``0 … n - 1`` (the others are objects without vertices).

    Raises
    ------
    ShapeError, ArgumentError
        When lengths differ, or ids are not whole numbers within int64.
    """
    if object_ids is None:
        if has_columns("object_attributes", attributes):
            raise ArgumentError("object_attributes: given without object_ids, so there are no objects to describe")
        return None
    given = parse_ids("object_ids", object_ids, missing=NOBODY)
    if given.shape != (count,):
        raise ShapeError(f"object_ids: expected {count} ids, one per vertex, got shape {given.shape}")
    ids, of_vertex = compact_ids(given)
    ids, of_vertex = _with_empty_objects(ids, of_vertex, attributes)
    _require_row_of_nobody(ids, attributes)
    return Objects(
        ids,
        of_vertex,
        make_columns("object_attributes", attributes, len(ids), "object", specs, dictionary=False, ids=ids),
    )


def compact_ids(given: Any) -> tuple[IntArray, IntArray]:
    """Return the ids in use, ascending, and for every vertex the row of its id."""
    array = parse_ids("object_ids", given)
    if len(array) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low, high = int(array.min()), int(array.max())
    if high - low < 4 * len(array):
        used = np.zeros(high - low + 1, bool)
        used[array - low] = True
        rank = np.cumsum(used) - 1
        return np.flatnonzero(used) + low, rank[array - low].astype(np.uint32 if high - low < 1 << 32 else np.int64)
    ids, rows = np.unique(array, return_inverse=True)
    return ids, rows.reshape(-1).astype(np.int64)


def _require_row_of_nobody(ids: IntArray, attributes: Attributes) -> None:
    """Refuse attributes of all objects but the one that stands for none; what it is called is easily overlooked."""
    columns = as_columns("object_attributes", attributes)
    short = [n for n, v in columns.items() if np.ndim(v) > 0 and len(v) == len(ids) - 1 and index_of(v) is None]
    if short and ids[0] == NOBODY:
        raise ShapeError(
            f"object_attributes: {short[0]!r} has {len(ids) - 1} rows, but there must be {len(ids)}: points of no "
            f"object are kept under the id {NOBODY}, which needs a row too, the first"
        )


def _with_empty_objects(ids: IntArray, of_vertex: IntArray, attributes: Attributes) -> tuple[IntArray, IntArray]:
    columns = as_columns("object_attributes", attributes)
    lengths = {len(values) for values in columns.values() if np.ndim(values) > 0}
    if len(lengths) != 1:
        return ids, of_vertex
    rows = lengths.pop()
    if rows <= len(ids) or (len(ids) and (ids[0] < 0 or ids[-1] >= rows)):
        return ids, of_vertex
    everything = np.arange(rows, dtype=np.int64)
    return everything, ids[of_vertex] if len(of_vertex) else of_vertex


def make_fragment_columns(attributes: Attributes, cells: Cells, specs: Specs = None) -> dict[str, Column]:
    """Turn fragment attributes into columns.

    Parameters
    ----------
    attributes : mapping, optional
        By name, an array with one row per fragment of the level in stored order, or a mapping of chunk
        coordinates to arrays with one row per fragment of that chunk.
    cells : Cells
        The chunks and fragments of the level; names of attributes that they have are reserved.
    specs : mapping, optional
        Descriptions by name.

    Raises
    ------
    ArgumentError
        When a name is reserved, or chunks are missing.
    ShapeError
        When the number of rows differs.
    """
    columns = as_columns("fragment_attributes", attributes)
    taken = sorted(set(columns) & set(cells.fragment_attributes))
    if taken:
        raise ArgumentError(f"fragment_attributes: {taken} are reserved: the format keeps them itself")
    joined: dict[str, Any] = {}
    offsets = cells.fragments.offsets
    counts = np.diff(offsets)
    for name, values in columns.items():
        check_name("fragment_attributes", name)
        if not isinstance(values, Mapping):
            joined[name] = values
            continue
        by_chunk = {tuple(int(c) for c in np.atleast_1d(chunk)): v for chunk, v in values.items()}
        keys = [tuple(chunk) for chunk in cells.chunks.tolist()]
        if set(keys) != set(by_chunk):
            odd = sorted(set(keys) ^ set(by_chunk))[0]
            raise ArgumentError(f"fragment_attributes: {name!r} must have every chunk of the level; look at {odd}")
        wrong = [(k, len(by_chunk[k]), int(n)) for k, n in zip(keys, counts, strict=True) if len(by_chunk[k]) != n]
        if wrong:
            key, found, needed = wrong[0]
            raise ShapeError(
                f"fragment_attributes: {name!r} has {found} rows for chunk {key}, which has {needed} fragments"
            )
        in_order = [by_chunk[key] for key in keys]
        joined[name] = joined_parts("fragment_attributes", name, "chunk", in_order) if keys else np.zeros(0)
    return make_columns("fragment_attributes", joined, int(offsets[-1]), "fragment", specs)
