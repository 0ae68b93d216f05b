"""Reading objects as ordered rows: the objects that a query asks for, their vertices in manifest order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKED
from zarr_vectors.exceptions import ArrayError, UnsupportedFeatureError
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Manifests
from zarr_vectors.ordering import offsets_of
from zarr_vectors.parallel import gather_rows
from zarr_vectors.read.chunk_values import chunk_values
from zarr_vectors.read.fetch import decode_fragments, decode_rows, fetch_many
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.meeting import LoadedChunks, box_chunks, join_fragments, objects_meeting
from zarr_vectors.read.ordered_objects import (
    ObjectTables,
    asked_rows,
    manifest_places,
    read_object_tables,
    rows_meeting_conditions,
)
from zarr_vectors.read.query import Query
from zarr_vectors.read.row_offsets import read_row_offsets
from zarr_vectors.read.rows import fragment_row_lists
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.typing import BoolArray, FloatArray, IntArray


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
    manifests = tables.manifests
    chunk_of_reference = manifest_places(level, manifests)
    needed = np.zeros(len(level.chunks), bool)
    needed[chunk_of_reference] = True
    loaded, attributes = _load(level, np.flatnonzero(needed), columns, seen)
    place_of = np.full(len(level.chunks), -1, np.int64)
    place_of[loaded.chunk_rows] = np.arange(len(loaded.chunk_rows))
    places = place_of[chunk_of_reference]
    numbers = loaded.fragments.offsets[places] + manifests.fragments
    if ((manifests.fragments < 0) | (numbers >= loaded.fragments.offsets[places + 1])).any():
        raise ArrayError(f"{level.name}: a manifest names a fragment that its chunk does not have")
    counts = loaded.fragments.counts[numbers]
    base = loaded.row_offsets[:-1][places]
    rows = fragment_row_lists(loaded.fragments, numbers, base)
    _check_rows(level, loaded, numbers, places, rows)
    if level.root.cross_chunk_strategy not in (CROSS_CHUNK_LINKED, None):
        repeated = _repeated_rows(loaded.vertices, rows, manifests, places, counts)
        rows = np.delete(rows, offsets_of(counts)[:-1][repeated])
        counts = counts - repeated
    offsets = offsets_of(counts)[manifests.offsets]
    positions, *values = gather_rows([loaded.vertices, *(column.values for column in attributes.values())], rows)
    return Paths(
        positions,
        offsets,
        {name: Column(v, column.spec) for (name, column), v in zip(attributes.items(), values, strict=True)},
        tables.ids,
        tables.attributes,
        rows,
        loaded.chunk_rows,
        loaded.row_offsets,
    )


def _check_rows(level: LevelReader, loaded: LoadedChunks, numbers: IntArray, places: IntArray, rows: IntArray) -> None:
    """Refuse fragments that name rows which their chunk does not have."""
    fragments, limits = loaded.fragments, loaded.row_offsets[1:][places]
    if fragments.explicit is None:
        ends = loaded.row_offsets[:-1][places] + fragments.starts[numbers] + fragments.counts[numbers]
        wrong = bool((ends > limits).any())
    else:
        wrong = bool((rows >= np.repeat(limits, fragments.counts[numbers])).any())
    if wrong:
        raise ArrayError(f"{level.name}: vertex_fragments: a fragment names a row that its chunk does not have")


def _repeated_rows(
    positions: FloatArray, rows: IntArray, manifests: Manifests, places: IntArray, counts: IntArray
) -> BoolArray:
    """Return which references start with the vertex that the one before ended with, in another chunk.

    Vertices at one place are in one chunk, so that equal positions on both sides of a crossing are one vertex
    (``boundary_deduplication`` of the Zarr Vectors specification).
    """
    later = np.ones(len(counts), bool)
    later[manifests.offsets[:-1][manifests.offsets[:-1] < len(counts)]] = False
    later[1:] &= (places[1:] != places[:-1]) & (counts[:-1] > 0)
    references = np.flatnonzero(later & (counts > 0))
    first = offsets_of(counts)[:-1][references]
    same = (positions[rows[first]] == positions[rows[first - 1]]).all(axis=1)
    repeated = np.zeros(len(counts), bool)
    repeated[references[same]] = True
    return repeated


def _load(
    level: LevelReader, needed: IntArray, columns: Mapping[str, CellArray], seen: LoadedChunks | None
) -> tuple[LoadedChunks, dict[str, Column]]:
    """Fetch and decode chunks, those with positions already at hand only for their attributes."""
    known = None if seen is None or seen.positions is None else seen.select(np.isin(seen.chunk_rows, needed))
    rest = needed if known is None else np.setdiff1d(needed, known.chunk_rows)
    order = rest if known is None else np.concatenate([known.chunk_rows, rest])
    chunks, everything = level.chunks[rest], level.chunks[order]
    wanted = [(level.arrays.vertices, chunks)]
    if level.arrays.vertex_fragments is not None:
        wanted.append((level.arrays.vertex_fragments, chunks))
    wanted += [(array, everything) for array in columns.values()]
    fetched = fetch_many(level.storage, wanted)
    positions, row_offsets = decode_rows(fetched[0])
    fragments = (
        LoadedChunks.whole(row_offsets) if level.arrays.vertex_fragments is None else decode_fragments(fetched[1])
    )
    loaded = LoadedChunks(rest, row_offsets, fragments, positions)
    if known is not None and known.positions is not None:
        loaded = LoadedChunks(
            order,
            offsets_of(np.concatenate([np.diff(known.row_offsets), np.diff(row_offsets)])),
            join_fragments(known.fragments, fragments),
            np.concatenate([known.positions, positions]),
        )
    counts = np.diff(loaded.row_offsets)
    cells = fetched[len(fetched) - len(columns) :]
    return loaded, {
        name: Column(decode_rows(part, counts)[0], array.spec)
        for (name, array), part in zip(columns.items(), cells, strict=True)
    }


def _inside(paths: Paths, box: Box) -> Paths:
    """Keep the paths that have a vertex inside a box."""
    keep = np.diff(offsets_of(box.contains(paths.positions))[paths.offsets]) > 0
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
