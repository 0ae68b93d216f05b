"""Reading objects as ordered rows: the objects that a query asks for, their vertices in manifest order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.exceptions import UnsupportedFeatureError
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Manifests
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.chunk_values import chunk_values
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.meeting import LoadedChunks, box_chunks, objects_meeting, parts_meeting
from zarr_vectors.read.ordered_objects import (
    ObjectTables,
    asked_rows,
    read_object_tables,
    rows_meeting_conditions,
)
from zarr_vectors.read.path_rows import gather_path_rows
from zarr_vectors.read.query import Query
from zarr_vectors.read.row_offsets import read_row_offsets
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.typing import BoolArray, FloatArray, IntArray

_FEW_OBJECTS = 4
"""Where at most one object in so many is asked for, chunks are decoded one by one and only their rows kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """Objects as ordered vertices.

    Parameters
    ----------
    positions : (N, D) float
        Vertices, object after object, each in manifest order.
    offsets : (P + 1,) int64
        Where the vertices of each object start.
    attributes : mapping of str to Column
        The vertex attributes asked for.
    object_ids : (P,) int64
        Id of every object.
    object_attributes : mapping of str to Column
        The object attributes asked for, one row per object.
    rows : (N,) int64
        Where every vertex stands in the chunks that were read.
    chunks_read, row_offsets : (n,) and (n + 1,) int64
        Chunks of the level that were read, in that order, and where the rows of each start.
    """

    positions: FloatArray
    offsets: IntArray
    attributes: Mapping[str, Column]
    object_ids: IntArray
    object_attributes: Mapping[str, Column]
    rows: IntArray
    chunks_read: IntArray
    row_offsets: IntArray

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.offsets) - 1

    def places(self) -> tuple[IntArray, IntArray]:
        """Return the chunk of the level that every vertex is stored in, and its row there."""
        place = np.repeat(np.arange(len(self.chunks_read)), np.diff(self.row_offsets))[self.rows]
        return self.chunks_read[place], self.rows - self.row_offsets[place]

    def stored_rows(self, level: LevelReader) -> IntArray:
        """Return the number of every vertex among all of its level in stored order.

        Costs one round of requests for the vertices of the level where not all of its chunks were read.
        """
        offsets = np.zeros(len(level.chunks) + 1, np.int64)
        if len(self.chunks_read) == len(level.chunks):
            offsets[self.chunks_read + 1] = np.diff(self.row_offsets)
            offsets = np.cumsum(offsets)
        elif len(self.chunks_read):
            offsets = read_row_offsets(level)
        chunks, rows = self.places()
        return np.asarray(offsets[chunks] + rows)


def read_paths(
    level: LevelReader,
    query: Query,
    *,
    object_attributes: list[str] | None = None,
    keep_empty: bool | None = None,
    near: bool = False,
) -> Paths:
    """Read whole objects, their vertices in manifest order.

    On an open store one object costs three rounds of requests (ids, manifests and shard indexes; attributes of the
    object; cells) and the objects of a box five (ids and shard indexes, cells, manifests, shard indexes, cells); fewer
    where the shard indexes of a level are few enough to be read at once.

    Parameters
    ----------
    level : LevelReader
        An open level.
    query : Query
        What to read. Objects come in the order of ``object_ids``, else in manifest order. A box or chunks choose the
        objects that have a vertex there; conditions are on object attributes.
    object_attributes : list of str, optional
        Object attributes wanted; all by default.
    keep_empty : bool, optional
        Whether objects without vertices are returned; by default those that were named, and at level 0 all that
        conditions and groups choose.
    near : bool
        Of the objects of a box only the parts that its cut goes by: fragments with a vertex or a segment inside, and
        the ends of those segments. Every part comes as an object of its own, under the same id.

    Raises
    ------
    UnknownNameError
        For an object or attribute that the level does not have.
    ArrayError
        When a manifest names a chunk, fragment or row that is not there.
    """
    if level.arrays.vertices.spec.encoding != "raw":
        raise UnsupportedFeatureError(
            f"{level.name}: vertices are encoded as {level.arrays.vertices.spec.encoding!r}, not raw rows"
        )
    chunked_by = level.keyed_attribute
    names = level.attribute_names if query.attributes is None else list(query.attributes)
    columns = level.stored_attributes(names)
    rows = asked_rows(level, query, columns)
    seen: LoadedChunks | None = None
    if rows is None and (query.box is not None or query.chunks is not None):
        rows, seen = objects_meeting(level, query, columns)
    if query.attribute_filter:
        rows = rows_meeting_conditions(level, query.attribute_filter, rows)
    tables = read_object_tables(level, rows, object_attributes, columns)
    if query.object_ids is not None and (query.box is not None or query.chunks is not None):
        tables = tables.select(_may_meet(level, query, tables.manifests))
    elif not (keep_empty if keep_empty is not None else level.metadata.level == 0 or query.object_ids is not None):
        tables = tables.select(np.diff(tables.manifests.offsets) > 0)
    if near and query.box is not None:
        parts, owners = parts_meeting(level, query.box, tables.manifests, seen)
        attributes = {name: column.take(owners) for name, column in tables.attributes.items()}
        tables = ObjectTables(tables.ids[owners], parts, attributes)
    paths = _assemble(level, tables, columns, seen)
    if chunked_by is not None and chunked_by in names:
        attributes = {**paths.attributes, chunked_by: chunk_values(level, paths.places()[0])}
        paths = replace(paths, attributes=attributes)
    if query.object_ids is not None and query.box is not None:
        return _inside(paths, query.box)
    return paths


def _may_meet(level: LevelReader, query: Query, manifests: Manifests) -> BoolArray:
    """Return which objects have a fragment in the chunks that a query reaches."""
    reached = np.zeros(len(level.chunks) + 1, bool)
    reached[box_chunks(level, query)] = True
    met = offsets_of(reached[level.lookup.rows(manifests.chunks)])[manifests.offsets]
    return np.asarray(np.diff(met) > 0)


def _assemble(
    level: LevelReader, tables: ObjectTables, columns: Mapping[str, CellArray], seen: LoadedChunks | None
) -> Paths:
    """Fetch the chunks that manifests name and gather their rows in manifest order."""
    index = level.arrays.object_index
    few = seen is None and index is not None and _FEW_OBJECTS * len(tables.ids) <= index.count
    found = gather_path_rows(level, tables.manifests, columns, seen, few=few)
    return Paths(
        found.positions,
        offsets_of(found.counts)[tables.manifests.offsets],
        {name: Column(v, array.spec) for (name, array), v in zip(columns.items(), found.values, strict=True)},
        tables.ids,
        tables.attributes,
        found.rows,
        found.chunks_read,
        found.row_offsets,
    )


def _inside(paths: Paths, box: Box) -> Paths:
    """Keep the paths that have a vertex inside a box, in any of their parts."""
    inside = np.diff(offsets_of(box.contains(paths.positions))[paths.offsets]) > 0
    keep = np.isin(paths.object_ids, paths.object_ids[inside])
    if keep.all():
        return paths
    rows = np.repeat(keep, np.diff(paths.offsets))
    return replace(
        paths,
        positions=paths.positions[rows],
        offsets=offsets_of(np.diff(paths.offsets)[keep]),
        attributes={name: column.take(rows) for name, column in paths.attributes.items()},
        object_ids=paths.object_ids[keep],
        object_attributes={name: column.take(keep) for name, column in paths.object_attributes.items()},
        rows=paths.rows[rows],
    )
