"""The rows of ordered objects: the chunks that manifests name, and their vertices in manifest order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.cells import Manifests
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.parallel import gather_rows
from zarr_vectors.read.copies import may_repeat
from zarr_vectors.read.fetch import (
    FetchedCells,
    decode_fragments,
    decode_rows,
    fetch_many,
    stated_row_offsets,
    take_fragments,
    take_rows,
)
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.meeting import LoadedChunks, join_fragments
from zarr_vectors.read.ordered_objects import manifest_places
from zarr_vectors.read.rows import check_named, fragment_row_lists
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class PathRows:
    """Rows in manifest order.

    Parameters
    ----------
    positions : (N, D) float
        Vertices.
    values : list of (N, ...) arrays
        Their attributes.
    counts : (K,) int64
        Rows of every reference.
    rows : (N,) int64
        Where every vertex stands in the chunks that were read.
    chunks_read, row_offsets : (n,) and (n + 1,) int64
        Chunks of the level that were read, in that order, and where the rows of each start.
    """

    positions: FloatArray
    values: list[AnyArray]
    counts: IntArray
    rows: IntArray
    chunks_read: IntArray
    row_offsets: IntArray


def gather_path_rows(
    level: LevelReader,
    manifests: Manifests,
    columns: Mapping[str, CellArray],
    seen: LoadedChunks | None,
    *,
    few: bool,
) -> PathRows:
    """Fetch the chunks that manifests name and gather their rows in manifest order.

    Parameters
    ----------
    level : LevelReader
        An open level.
    manifests : Manifests
        Fragments of the objects, in order.
    columns : mapping of str to CellArray
        Vertex attributes wanted.
    seen : LoadedChunks, optional
        Chunks that are at hand.
    few : bool
        Whether only few rows of these chunks are expected, so that chunks are not kept whole.

    Raises
    ------
    ArrayError
        When a manifest names a chunk, fragment or row that is not there.
    """
    chunk_of_reference = manifest_places(level, manifests)
    needed = np.zeros(len(level.chunks), bool)
    needed[chunk_of_reference] = True
    chunk_rows = np.flatnonzero(needed)
    known = None if seen is None or seen.positions is None else seen.select(np.isin(seen.chunk_rows, chunk_rows))
    rest = chunk_rows if known is None else np.setdiff1d(chunk_rows, known.chunk_rows)
    order = rest if known is None else np.concatenate([known.chunk_rows, rest])
    fetched = _fetch(level, rest, order, columns)
    place_of = np.full(len(level.chunks), -1, np.int64)
    place_of[order] = np.arange(len(order))
    places = place_of[chunk_of_reference]
    if few and known is None and level.arrays.vertex_fragments is not None:
        found = _gather_few(level, manifests, fetched, chunk_rows, places)
        if found is not None:
            return found
    loaded = _decode(level, fetched, rest, known, order)
    counts = np.diff(loaded.row_offsets)
    values = [decode_rows(part, counts)[0] for part in fetched[len(fetched) - len(columns) :]]
    return _gather(level, manifests, loaded, values, places)


def _gather(
    level: LevelReader, manifests: Manifests, loaded: LoadedChunks, values: list[AnyArray], places: IntArray
) -> PathRows:
    """Gather rows out of whole chunks."""
    numbers = loaded.fragments.offsets[places] + manifests.fragments
    if ((manifests.fragments < 0) | (numbers >= loaded.fragments.offsets[places + 1])).any():
        raise ArrayError(f"{level.name}: a manifest names a fragment that its chunk does not have")
    counts = loaded.fragments.counts[numbers]
    base = loaded.row_offsets[:-1][places]
    rows = fragment_row_lists(loaded.fragments, numbers, base, len(loaded.vertices), level.name)
    _check_rows(level, loaded, numbers, places, rows)
    if may_repeat(level):
        repeated = _repeated_rows(loaded.vertices, rows, manifests, places, counts)
        rows = np.delete(rows, offsets_of(counts)[:-1][repeated])
        counts = counts - repeated
    positions, *taken = gather_rows([loaded.vertices, *values], rows)
    return PathRows(positions, taken, counts, rows, loaded.chunk_rows, loaded.row_offsets)


def _gather_few(
    level: LevelReader, manifests: Manifests, fetched: list[FetchedCells], chunk_rows: IntArray, places: IntArray
) -> PathRows | None:
    """Gather rows out of chunks one by one; None where that takes whole chunks, or something is damaged."""
    row_offsets = stated_row_offsets(fetched[0])
    ranges = take_fragments(fetched[1], places, manifests.fragments)
    if row_offsets is None or ranges is None:
        return None
    starts, counts = ranges
    base = row_offsets[:-1][places]
    if (base + starts + counts > row_offsets[1:][places]).any():
        return None
    check_named(counts, int(row_offsets[-1]), level.name)
    rows = expand_ranges(starts + base, counts)
    positions, *values = [take_rows(cells, row_offsets, rows) for cells in (fetched[0], *fetched[2:])]
    if may_repeat(level):
        repeated = _repeated_rows(positions, np.arange(len(rows)), manifests, places, counts)
        dropped = offsets_of(counts)[:-1][repeated]
        rows, positions, *values = [np.delete(column, dropped, axis=0) for column in (rows, positions, *values)]
        counts = counts - repeated
    return PathRows(positions, values, counts, rows, chunk_rows, row_offsets)


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


def _fetch(level: LevelReader, rest: IntArray, order: IntArray, columns: Mapping[str, CellArray]) -> list[FetchedCells]:
    """Fetch vertices and fragments of some chunks, and attributes of perhaps more."""
    wanted = [(level.arrays.vertices, level.chunks[rest])]
    if level.arrays.vertex_fragments is not None:
        wanted.append((level.arrays.vertex_fragments, level.chunks[rest]))
    return fetch_many(level.storage, [*wanted, *((array, level.chunks[order]) for array in columns.values())])


def _decode(
    level: LevelReader, fetched: list[FetchedCells], rest: IntArray, known: LoadedChunks | None, order: IntArray
) -> LoadedChunks:
    """Decode vertices and fragments, and put them behind those at hand."""
    positions, row_offsets = decode_rows(fetched[0])
    fragments = (
        LoadedChunks.whole(row_offsets) if level.arrays.vertex_fragments is None else decode_fragments(fetched[1])
    )
    if known is None or known.positions is None:
        return LoadedChunks(rest, row_offsets, fragments, positions)
    return LoadedChunks(
        order,
        offsets_of(np.concatenate([np.diff(known.row_offsets), np.diff(row_offsets)])),
        join_fragments(known.fragments, fragments),
        np.concatenate([known.positions, positions]),
    )
