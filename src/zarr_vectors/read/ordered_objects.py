"""Objects by their manifests or, under the ``identity`` convention, by their fragments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArrayError, UnknownNameError
from zarr_vectors.formats.layout import CellArray, DenseArray, ObjectIndex
from zarr_vectors.formats.objects import parse_manifests
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Manifests
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.ahead import read_ahead
from zarr_vectors.read.fetch import get_some
from zarr_vectors.read.filters import matching_rows
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import (
    has_identity,
    identity_count,
    object_rows,
    read_columns,
    read_manifests,
    read_object_ids,
)
from zarr_vectors.read.query import Query
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import BoolArray, ByteArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class ObjectTables:
    """Some objects: ids, manifests and attributes, in one order.

    Parameters
    ----------
    ids : (P,) int64
        Object ids.
    manifests : Manifests
        Their fragments in order.
    attributes : mapping of str to Column
        One row per object.
    """

    ids: IntArray
    manifests: Manifests
    attributes: Mapping[str, Column]

    def select(self, keep: BoolArray) -> ObjectTables:
        """Return some of the objects."""
        if keep.all():
            return self
        counts = np.diff(self.manifests.offsets)
        references = np.repeat(keep, counts)
        manifests = Manifests(
            offsets_of(counts[keep]), self.manifests.chunks[references], self.manifests.fragments[references]
        )
        return ObjectTables(self.ids[keep], manifests, {name: c.take(keep) for name, c in self.attributes.items()})


def ordered_object_ids(level: LevelReader) -> IntArray | None:
    """Return the object ids by manifest row, also under the ``identity`` convention; None without objects."""
    return np.arange(identity_count(level)) if has_identity(level) else read_object_ids(level)


def asked_rows(level: LevelReader, query: Query, columns: Mapping[str, CellArray]) -> IntArray | None:
    """Return the manifest rows of the objects that a query names, in its order; None where it names none.

    The manifests and the shard indexes that the objects may need are read in the same round as the ids.
    """
    if query.object_ids is None:
        return None
    if level.arrays.object_index is not None:
        likely = [(array, level.chunks) for array in _path_arrays(level, columns)]
        read_ahead(level, likely=likely, object_ids=query.object_ids)
    return object_rows(level, query.object_ids)


def _path_arrays(level: LevelReader, columns: Mapping[str, CellArray]) -> list[CellArray]:
    """Return the arrays whose cells are read for whole objects."""
    return [a for a in (level.arrays.vertices, level.arrays.vertex_fragments, *columns.values()) if a is not None]


def rows_meeting_conditions(level: LevelReader, conditions: Mapping[str, Any], rows: IntArray | None) -> IntArray:
    """Return the objects, of some or all, whose attributes meet every condition."""
    arrays = {name: object_attribute(level, name) for name in conditions}
    met = matching_rows(read_columns(level, arrays, rows), conditions)
    return np.flatnonzero(met) if rows is None else rows[met]


def object_attribute(level: LevelReader, name: str) -> DenseArray:
    """Return an object attribute's array.

    Raises
    ------
    UnknownNameError
        Naming the object attributes that the level has.
    """
    if name not in level.arrays.object_attributes:
        has = sorted(level.arrays.object_attributes)
        if name in level.attribute_names:
            raise UnknownNameError(
                f"{level.name}: {name!r} is an attribute of vertices, and this asks for one of objects, which have "
                f"{has}; read_points reads the vertices of any store and filters by theirs"
            )
        raise UnknownNameError(f"{level.name} has no object attribute {name!r}; it has {has}")
    return level.arrays.object_attributes[name]


def read_object_tables(
    level: LevelReader,
    rows: IntArray | None,
    names: Sequence[str] | None,
    columns: Mapping[str, CellArray] | None = None,
) -> ObjectTables:
    """Read ids, manifests and attributes of some objects (None: all) in one round; dense manifests in two before.

    Parameters
    ----------
    level : LevelReader
        An open level.
    rows : (P,) int64, optional
        Manifest rows, in any order.
    names : sequence of str, optional
        Object attributes wanted; all by default.
    columns : mapping of str to CellArray, optional
        Vertex attributes that will be read of the same objects. Where the manifests are at hand, the shard indexes
        for these, the vertices and the fragments are read in the same round.
    """
    known = list(level.arrays.object_attributes) if names is None else list(names)
    attributes = {name: object_attribute(level, name) for name in known}
    if has_identity(level):
        chosen = np.arange(identity_count(level)) if rows is None else rows
        chunks = np.repeat(level.chunks, len(chosen), axis=0)[: len(chosen)]
        manifests = Manifests(np.arange(len(chosen) + 1), chunks, chosen)
        return ObjectTables(chosen, manifests, read_columns(level, attributes, rows))
    index = level.arrays.object_index
    if index is None:
        if len(level.chunks) == 0:
            nothing = Manifests(np.zeros(1, np.int64), level.chunks[:0], np.zeros(0, np.int64))
            return ObjectTables(np.zeros(0, np.int64), nothing, {})
        raise UnknownNameError(f"{level.name} has no object index, so that its vertices are in no order")
    requests, decode = ([], None) if index.manifests is None else index.manifests.plan(rows)
    at_hand = None
    if decode is None:
        at_hand = read_manifests(level, rows)
    elif not requests:
        at_hand = _parsed(level, index, decode([]))
    plans: list[list[Range]] = [requests]
    plans.append([] if index.ids is None or level.object_ids is not None else index.ids.requests(rows))
    plans += [array.requests(rows) for array in attributes.values()]
    cells = [] if at_hand is None or columns is None else _path_arrays(level, columns)
    if at_hand is not None:
        plans += [array.index_requests(at_hand.chunks) for array in cells]
    blobs = get_some(level.storage, [request for plan in plans for request in plan])
    parts, start = [], 0
    for plan in plans:
        parts.append(blobs[start : start + len(plan)])
        start += len(plan)
    first = len(plans) - len(cells)
    for cell_array, plan, part in zip(cells, plans[first:], parts[first:], strict=True):
        cell_array.accept_indexes(plan, part)
    if at_hand is None:
        assert decode is not None
        at_hand = _parsed(level, index, decode(parts[0]))
    ids = np.arange(index.count) if rows is None else rows
    if level.object_ids is not None:
        ids = level.object_ids.copy() if rows is None else level.object_ids[rows]
    elif index.ids is not None:
        ids = index.ids.decode(parts[1], rows).astype(np.int64)
    values = {
        name: Column(array.decode(part, rows), array.spec)
        for (name, array), part in zip(attributes.items(), parts[2 : 2 + len(attributes)], strict=True)
    }
    return ObjectTables(ids, at_hand, values)


def _parsed(level: LevelReader, index: ObjectIndex, entries: tuple[ByteArray, IntArray]) -> Manifests:
    try:
        return parse_manifests(*entries, index.sid_ndim)
    except ArrayError as error:
        raise ArrayError(f"{level.name}: object_index: {error}") from error


def manifest_places(level: LevelReader, manifests: Manifests) -> IntArray:
    """Return the chunk of the level that every reference of some manifests leads to.

    Raises
    ------
    ArrayError
        When a manifest names a chunk that the level does not have.
    """
    rows = level.lookup.rows(manifests.chunks)
    if (rows < 0).any():
        missing = manifests.chunks[rows < 0][0].tolist()
        raise ArrayError(f"{level.name}: a manifest names chunk {missing}, which the level does not have")
    return rows
