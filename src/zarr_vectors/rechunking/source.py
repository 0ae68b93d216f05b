"""A level to be chunked anew: its tables, and its rows a batch of chunks at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKED, LINKS_BRANCHES, OBJECT_ID_ATTRIBUTE
from zarr_vectors.exceptions import ArrayError, UnsupportedFeatureError
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Fragments, Manifests
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.chunk_values import chunk_values
from zarr_vectors.read.fetch import decode_fragments, decode_rows, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.ordered_objects import manifest_places, ordered_object_ids, read_object_tables
from zarr_vectors.read.rows import fragment_row_lists
from zarr_vectors.read.vertices import decode_vertices
from zarr_vectors.typing import BoolArray, FloatArray, IntArray
from zarr_vectors.write.spilling import blocks

_CHUNKS_AT_ONCE = 16
_ORDERED = ("line", "polyline", "streamline")


class Keeping(Enum):
    """What is kept of the fragments of a level."""

    BINS = "nothing: there are no objects, and fragments are bins"
    OBJECTS = "the object of every row: fragments hold the rows of an object in a chunk"
    RUNS = "the order of rows along objects: fragments are runs, which are parted and put together as chunks need"
    FRAGMENTS = "every fragment: it has attributes, several objects, or an order that says who is whose parent"


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows of some chunks.

    Parameters
    ----------
    positions : (n, D) float
        Fragment after fragment where there are objects, else in stored order.
    attributes : mapping of str to Column
        Every vertex attribute, that which stands in chunk keys included.
    rows : (n,) int64
        Row in the level.
    fragments : (n,) int64
        Fragment in the level.
    """

    positions: FloatArray
    attributes: Mapping[str, Column]
    rows: IntArray
    fragments: IntArray

    def take(self, kept: BoolArray | slice) -> SourceRows:
        """Return some of the rows."""
        columns = {name: column.take(kept) for name, column in self.attributes.items()}
        return SourceRows(self.positions[kept], columns, self.rows[kept], self.fragments[kept])


@dataclass(frozen=True, slots=True)
class Source:
    """A level with its tables of chunks, fragments and objects.

    Parameters
    ----------
    level : LevelReader
        The level.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk start.
    fragments : Fragments
        Of the whole level.
    ids : (O,) int64, optional
        Object ids by manifest row; None without objects.
    named : Manifests, optional
        Fragments of every object, numbered over the level.
    keeping : Keeping
        What has to be kept of the fragments.
    fragment_columns : mapping of str to Column
        Attributes of fragments that users gave.
    repeating : (F,) bool
        Fragments whose first row repeats the last one of the fragment before along the object.
    """

    level: LevelReader
    row_offsets: IntArray
    fragments: Fragments
    ids: IntArray | None
    named: Manifests | None
    keeping: Keeping
    fragment_columns: Mapping[str, Column] = field(default_factory=dict)
    repeating: BoolArray = field(default_factory=lambda: np.zeros(0, bool))

    @property
    def count(self) -> int:
        """Number of stored rows."""
        return int(self.row_offsets[-1])

    @property
    def owners(self) -> IntArray:
        """Manifest row of the object of every fragment, -1 for none; one of them where there are several."""
        owners = np.full(self.fragments.count, -1, np.int64)
        if self.named is not None:
            objects = np.repeat(np.arange(len(self.named.offsets) - 1), np.diff(self.named.offsets))
            owners[self.named.fragments[::-1]] = objects[::-1]
        return owners

    def row_bytes(self) -> int:
        """Return how many bytes a row takes with its attributes and numbers."""
        arrays = self.level.arrays
        stride = arrays.vertices.spec.row_stride if arrays.vertices.spec.channels else 8 * self.level.grid.ndim
        return stride + sum(array.spec.row_stride for array in arrays.vertex_attributes.values()) + 48

    def batches(self, rows_at_once: int) -> Iterator[IntArray]:
        """Yield the chunks of the level, as many at a time as may be held."""
        for first, last in blocks(self.count, rows_at_once, self.row_offsets):
            low = int(np.searchsorted(self.row_offsets, first, side="right")) - 1
            yield np.arange(low, int(np.searchsorted(self.row_offsets, last, side="left")))

    def read(self, chunk_rows: IntArray) -> SourceRows:
        """Read all rows of some consecutive chunks.

        Raises
        ------
        ArrayError, UnsupportedFeatureError
            When a cell is damaged, or rows belong to several fragments or to none.
        """
        level = self.level
        cells = read_chunks(level, chunk_rows, fragment_attributes=False)
        self._check(chunk_rows, cells.row_counts)
        attributes = dict(cells.attributes)
        if level.keyed_attribute is not None:
            attributes[level.keyed_attribute] = chunk_values(level, np.repeat(chunk_rows, cells.row_counts))
        first = int(self.row_offsets[chunk_rows[0]])
        numbers = np.arange(cells.fragments.count)
        base = cells.row_offsets[:-1][cells.fragments.chunk_of]
        rows = fragment_row_lists(cells.fragments, numbers, base, cells.count, level.name)
        of_row = np.repeat(numbers, cells.fragments.counts) + int(self.fragments.offsets[chunk_rows[0]])
        if len(rows) != cells.count or (len(rows) and (np.bincount(rows, minlength=cells.count) != 1).any()):
            raise UnsupportedFeatureError(f"{level.name}: some vertices belong to several fragments, or to none")
        if bool((rows[1:] > rows[:-1]).all()):
            return SourceRows(cells.positions, attributes, rows + first, of_row)
        columns = {name: column.take(rows) for name, column in attributes.items()}
        return SourceRows(cells.positions[rows], columns, rows + first, of_row)

    def _check(self, chunk_rows: IntArray, counts: IntArray) -> None:
        expected = np.diff(self.row_offsets)[chunk_rows]
        if not np.array_equal(counts, expected):
            wrong = int(np.flatnonzero(counts != expected)[0])
            key = format_keys(self.level.chunks[chunk_rows[wrong : wrong + 1]])[0]
            raise ArrayError(
                f"{self.level.name}: chunk {key} has {int(counts[wrong])} vertices, but its fragments hold "
                f"{int(expected[wrong])}; validate() says more"
            )


def open_source(level: LevelReader) -> Source:
    """Read the tables of a level.

    Raises
    ------
    ArrayError
        When a manifest names a chunk or fragment that is not there.
    """
    fragments, row_offsets = _fragments(level)
    ids = ordered_object_ids(level)
    named = None
    if ids is not None:
        tables = read_object_tables(level, None, [])
        places = manifest_places(level, tables.manifests)
        numbers = fragments.offsets[places] + tables.manifests.fragments
        if (numbers >= fragments.offsets[places + 1]).any() or (tables.manifests.fragments < 0).any():
            raise ArrayError(f"{level.name}: a manifest names a fragment that its chunk does not have")
        named = Manifests(tables.manifests.offsets, level.chunks[:0], numbers)
    columns = _fragment_columns(level, fragments)
    return Source(level, row_offsets, fragments, ids, named, _keeping(level, fragments, named, bool(columns)), columns)


def _fragments(level: LevelReader) -> tuple[Fragments, IntArray]:
    """Return the fragments of a level, and where the rows of its chunks start."""
    if level.arrays.vertex_fragments is not None:
        fragments = decode_fragments(fetch_cells(level.storage, [level.arrays.vertex_fragments], level.chunks)[0])
        return fragments, offsets_of(fragments.counts)[fragments.offsets]
    counts = [np.zeros(0, np.int64)]
    for first in range(0, len(level.chunks), _CHUNKS_AT_ONCE):
        chunks = level.chunks[first : first + _CHUNKS_AT_ONCE]
        counts.append(np.diff(decode_vertices(fetch_cells(level.storage, [level.arrays.vertices], chunks)[0])[1]))
    sizes = np.concatenate(counts)
    zeros = np.zeros(len(sizes), np.int64)
    return Fragments(np.arange(len(sizes) + 1, dtype=np.int64), zeros, sizes), offsets_of(sizes)


def _fragment_columns(level: LevelReader, fragments: Fragments) -> dict[str, Column]:
    named = {n: a for n, a in level.arrays.fragment_attributes.items() if n != OBJECT_ID_ATTRIBUTE}
    counts = np.diff(fragments.offsets)
    fetched = fetch_cells(level.storage, list(named.values()), level.chunks) if named else []
    return {
        name: Column(decode_rows(cells, counts)[0], array.spec)
        for (name, array), cells in zip(named.items(), fetched, strict=True)
    }


def _keeping(level: LevelReader, fragments: Fragments, named: Manifests | None, described: bool) -> Keeping:
    """Say what has to be kept of fragments."""
    branches = level.root.links_convention == LINKS_BRANCHES
    ordered = any(kind in _ORDERED for kind in level.root.geometry_types)
    if named is None:
        return Keeping.FRAGMENTS if branches or ordered else Keeping.BINS
    used = np.bincount(named.fragments, minlength=fragments.count)
    filled = fragments.counts > 0
    if described or branches or (used > 1).any():
        return Keeping.FRAGMENTS
    if ordered:
        return Keeping.RUNS
    return Keeping.OBJECTS if (used[filled] == 1).all() else Keeping.FRAGMENTS


def repeated_fragments(source: Source, rows_at_once: int) -> BoolArray:
    """Return which fragments start with the vertex that the one before along the object ended with.

    Only where the store repeats vertices at crossings: vertices at one place are in one chunk, so that equal
    positions on both sides of a crossing are one vertex (Zarr Vectors specification, ``boundary_deduplication``).
    """
    repeating = np.zeros(source.fragments.count, bool)
    named = source.named
    if source.level.root.cross_chunk_strategy in (CROSS_CHUNK_LINKED, None) or named is None:
        return repeating
    ends = [np.full((source.fragments.count, source.level.grid.ndim), np.nan) for _ in range(2)]
    for chunk_rows in source.batches(rows_at_once):
        batch = source.read(chunk_rows)
        for end, side in zip(ends, (slice(None, None, -1), slice(None)), strict=True):
            end[batch.fragments[side]] = batch.positions[side]
    chunk, fragments = source.fragments.chunk_of, named.fragments
    later = np.ones(len(fragments), bool)
    later[named.offsets[:-1][named.offsets[:-1] < len(fragments)]] = False
    places = np.flatnonzero(later)
    places = places[chunk[fragments[places]] != chunk[fragments[places - 1]]]
    same = (ends[0][fragments[places]] == ends[1][fragments[places - 1]]).all(axis=1)
    repeating[fragments[places[same]]] = True
    return repeating
