"""Blocks: decoded chunks of a level, as many at a time as a budget of memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_BOTH, CROSS_CHUNK_DEDUPLICATED
from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.objects import parse_fragments
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Fragments
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.read.fetch import FetchedCells, decode_rows, fetch_cells
from zarr_vectors.read.rows import check_named
from zarr_vectors.typing import BoolArray, FloatArray, IntArray
from zarr_vectors.validate.rule import Problem, error
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject

BLOCK_BYTES = 96 << 20
CACHE_BYTES = 384 << 20
_MAX_CHUNKS = 4096

REPEATING = (CROSS_CHUNK_DEDUPLICATED, CROSS_CHUNK_BOTH)
"""Strategies of crossing chunk faces that repeat a vertex in the next chunk; for paths only."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Decoded rows of one attribute of a block; ``offsets`` (C + 1,) say where those of each chunk start."""

    path: str
    column: Column
    offsets: IntArray


@dataclass
class Block:
    """Decoded chunks of a level, each of which could be read.

    Parameters
    ----------
    level : LevelSubject
        The level.
    chunk_rows : (C,) int64
        Rows of the chunks in the level's list.
    chunks : (C, S) int64
        Their coordinates.
    positions : (N, D) float
        Vertices, chunk after chunk.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk start.
    fragments : Fragments
        Fragment tables.
    unindexed : (C,) bool
        Chunks without a fragment index.
    attributes, fragment_attributes : mapping of str to Rows
        By name.
    """

    level: LevelSubject
    chunk_rows: IntArray
    chunks: IntArray
    positions: FloatArray
    row_offsets: IntArray
    fragments: Fragments
    unindexed: BoolArray
    attributes: Mapping[str, Rows] = field(default_factory=dict)
    fragment_attributes: Mapping[str, Rows] = field(default_factory=dict)

    @property
    def counts(self) -> IntArray:
        """Vertices of each chunk."""
        return np.diff(self.row_offsets)

    @property
    def nbytes(self) -> int:
        """Memory that the rows take."""
        tables = [*self.attributes.values(), *self.fragment_attributes.values()]
        return self.positions.nbytes + sum(rows.column.values.nbytes for rows in tables)

    def key(self, row: int) -> str:
        """Return the key of a chunk."""
        return format_keys(self.chunks[row : row + 1])[0]

    @cached_property
    def fragment_base(self) -> IntArray:
        """For every fragment the first row of its chunk, ``(F,)``."""
        return np.repeat(self.row_offsets[:-1], np.diff(self.fragments.offsets))

    def fragment_rows(self) -> tuple[IntArray, IntArray]:
        """Return the rows of every fragment of the block, one fragment after another, and whose they are."""
        fragments = self.fragments
        check_named(fragments.counts, len(self.positions), self.key(0))
        places = expand_ranges(fragments.starts, fragments.counts)
        if fragments.explicit is not None:
            listed = np.repeat(fragments.explicit, fragments.counts)
            places[listed] = fragments.rows[places[listed]]
        owner = np.repeat(np.arange(fragments.count), fragments.counts)
        return places + self.fragment_base[owner], owner

    @cached_property
    def owners(self) -> tuple[IntArray, BoolArray]:
        """Manifest row of the object of every fragment (-1: none), and which fragments have several."""
        owners = np.full(self.fragments.count, -1, np.int64)
        places, fragments, objects = self.level.references.to(self.chunk_rows)
        numbers = self.fragments.offsets[places] + fragments
        legal = numbers < self.fragments.offsets[places + 1]
        numbers, objects = numbers[legal], objects[legal]
        owners[numbers] = objects
        shared = np.zeros(self.fragments.count, bool)
        shared[numbers[owners[numbers] != objects]] = True
        return owners, shared

    @cached_property
    def filed(self) -> tuple[FloatArray, IntArray]:
        """Vertices that belong into the chunk they are in, and where those of each chunk start.

        Under boundary deduplication the first row of a fragment may repeat the last one of another chunk.
        """
        if self.level.store.root.cross_chunk_strategy not in REPEATING:
            return self.positions, self.row_offsets
        keep = np.ones(len(self.positions), bool)
        firsts = self.fragments.starts + self.fragment_base
        keep[firsts[self.fragments.counts > 0]] = False
        rows = np.flatnonzero(keep)
        return self.positions[rows], np.searchsorted(rows, self.row_offsets)

    @cached_property
    def extents(self) -> tuple[FloatArray, FloatArray, IntArray]:
        """Lowest and highest coordinates ``(n, D)`` of the chunks that hold something, and their rows."""
        return extents_of(*self.filed)


def extents_of(positions: FloatArray, offsets: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return lowest and highest coordinates of consecutive runs of rows that are not empty, and which they are."""
    runs = np.flatnonzero(np.diff(offsets) > 0)
    low = np.empty((len(runs), positions.shape[1]), positions.dtype)
    high = low.copy()
    if len(runs):
        for d in range(positions.shape[1]):
            column = np.ascontiguousarray(positions[: offsets[-1], d])
            low[:, d] = np.minimum.reduceat(column, offsets[runs])
            high[:, d] = np.maximum.reduceat(column, offsets[runs])
    return low, high, runs


class BlockReader:
    """Reads the blocks of levels; those that were read first are kept while ``cache_bytes`` allow it."""

    def __init__(self, block_bytes: int = BLOCK_BYTES, cache_bytes: int = CACHE_BYTES) -> None:
        self._block_bytes = block_bytes
        self._room = cache_bytes
        self._cached: dict[tuple[int, int], list[Block]] = {}

    def blocks(self, level: LevelSubject, problems: list[Problem]) -> Iterator[Block]:
        """Yield the blocks of the chunks of a level that are looked at; chunks that cannot be read are problems."""
        rows = level.sampled
        size = self._chunks_per_block(level)
        for number, start in enumerate(range(0, len(rows), size)):
            cached = self._cached.get((level.number, number))
            if cached is None:
                cached = list(read_blocks(level, rows[start : start + size], problems))
                room = sum(block.nbytes for block in cached)
                if room <= self._room:
                    self._room -= room
                    self._cached[level.number, number] = cached
            yield from cached

    def blocks_of(self, level: LevelSubject, rows: IntArray) -> Iterator[Block]:
        """Yield blocks of some chunks of a level."""
        if np.array_equal(rows, level.sampled):
            yield from self.blocks(level, [])
            return
        size = self._chunks_per_block(level)
        for start in range(0, len(rows), size):
            yield from read_blocks(level, rows[start : start + size], [])

    def _chunks_per_block(self, level: LevelSubject) -> int:
        reader = level.reader
        arrays = [reader.arrays.vertices, *reader.arrays.vertex_attributes.values()]
        stride = sum(array.spec.row_stride for array in arrays)
        mean = max(1.0, reader.metadata.vertex_count / max(1, len(reader.chunks)))
        return max(1, min(_MAX_CHUNKS, int(self._block_bytes / (mean * stride))))


def read_blocks(level: LevelSubject, rows: IntArray, problems: list[Problem]) -> Iterator[Block]:
    """Read chunks together; where that fails, halve them until the damaged ones are known."""
    if len(rows) == 0:
        return
    try:
        yield _read_block(level, rows)
    except DAMAGE as failure:
        if len(rows) == 1:
            problems.append(error(level.path, str(failure)))
            return
        middle = len(rows) // 2
        yield from read_blocks(level, rows[:middle], problems)
        yield from read_blocks(level, rows[middle:], problems)


def undecoded_cells(level: LevelSubject) -> Iterator[Problem]:
    """Yield the damaged cells of a level whose vertices are not raw rows, so that there are no blocks of it."""
    arrays = level.reader.arrays
    named = [*arrays.vertex_attributes.values(), *arrays.fragment_attributes.values()]
    wanted = [one for one in (arrays.vertices, arrays.vertex_fragments, arrays.link_fragments, *named) if one]
    for start in range(0, len(level.sampled), _MAX_CHUNKS):
        chunks = level.reader.chunks[level.sampled[start : start + _MAX_CHUNKS]]
        for cells in fetch_cells(level.reader.storage, wanted, chunks):
            for row in range(len(chunks)):
                try:
                    cells.payload(row)
                except DAMAGE as failure:
                    yield error(level.path, str(failure))


def _read_block(level: LevelSubject, rows: IntArray) -> Block:
    reader, arrays = level.reader, level.reader.arrays
    chunks = reader.chunks[rows]
    index = [] if arrays.vertex_fragments is None else [arrays.vertex_fragments]
    columns = [*arrays.vertex_attributes.values(), *arrays.fragment_attributes.values()]
    vertices, *others = fetch_cells(reader.storage, [arrays.vertices, *columns, *index], chunks)
    positions, row_offsets = decode_rows(vertices)
    fragments, unindexed = _whole_chunks(np.diff(row_offsets)), np.zeros(len(rows), bool)
    if index:
        fragments, unindexed = _decode_fragments(others.pop())
    decoded = iter([_decode_attribute(cells) for cells in others])
    attributes = {name: next(decoded) for name in arrays.vertex_attributes}
    described = {name: next(decoded) for name in arrays.fragment_attributes}
    return Block(level, rows, chunks, positions, row_offsets, fragments, unindexed, attributes, described)


def _decode_attribute(cells: FetchedCells) -> Rows:
    values, offsets = decode_rows(cells)
    return Rows(cells.array.path, Column(values, cells.array.spec), offsets)


def _whole_chunks(counts: IntArray) -> Fragments:
    return Fragments(np.arange(len(counts) + 1, dtype=np.int64), np.zeros(len(counts), np.int64), counts)


def _decode_fragments(cells: FetchedCells) -> tuple[Fragments, BoolArray]:
    """Return the fragment tables of some chunks, and which chunks have none."""
    payloads = [cells.payload(row) for row in range(len(cells.chunks))]
    present = np.array([memoryview(payload).nbytes > 0 for payload in payloads], bool)
    try:
        found = parse_fragments([payloads[row] for row in np.flatnonzero(present).tolist()])
    except ArrayError as failure:
        where = f"chunk {format_keys(cells.chunks[:1])[0]}" if len(payloads) == 1 else "some chunk"
        raise ArrayError(f"{cells.array.path}: {where}: {failure}") from failure
    counts = np.zeros(len(payloads), np.int64)
    counts[present] = np.diff(found.offsets)
    return replace(found, offsets=offsets_of(counts)), ~present
