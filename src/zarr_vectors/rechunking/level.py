"""One level in other chunks: its rows through a stream, its tables renumbered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKED, PATH_TYPES
from zarr_vectors.exceptions import UnsupportedFeatureError
from zarr_vectors.formats.absent import absent_values
from zarr_vectors.model.attributes import CHANNEL_BINS, AttributeSpec, Column
from zarr_vectors.model.cells import Cells, Fragments, Manifests, ObjectTable
from zarr_vectors.model.grid import Grid
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.read.chunk_values import chunk_values
from zarr_vectors.read.objects import read_columns, read_groups
from zarr_vectors.rechunking.binning import Binning, KeptBins
from zarr_vectors.rechunking.source import Keeping, Source, SourceRows
from zarr_vectors.spatial.boxes import has_bin_fragments
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.write.spilling import blocks, mapped
from zarr_vectors.write.streaming import BIN, POSITIONS, ROW, RowStream, Runs, Streamed, rows_within


@dataclass(frozen=True, slots=True)
class Moved:
    """A level in its new chunks, without stored links.

    Parameters
    ----------
    source : Source
        As it was.
    cells : Cells
        As it will be; columns are arrays over files.
    places : (N,) int64
        For every old row, its row in the new level; -1 where no fragment holds it.
    crossings : LinkTable, optional
        Links by which paths go on in another chunk.
    breaks : (B, 2) int64
        Rows of the new level that followed each other in a fragment and do not any more: later row, earlier row.
    repeats : (R,) int64
        Rows of the new level that repeat a vertex of another chunk.
    bins_used : (b,) int64
        First components of chunk keys; empty where chunks go by space alone.
    """

    source: Source
    cells: Cells
    places: IntArray
    crossings: LinkTable | None
    breaks: IntArray
    repeats: IntArray
    bins_used: IntArray


def move_level(
    source: Source, grid: Grid, binning: Binning | KeptBins | None, folder: Path, memory_budget: int
) -> Moved:
    """Put the rows of a level into other chunks.

    Parameters
    ----------
    source : Source
        The level.
    grid : Grid
        Its new chunk and bin shapes.
    binning : Binning, optional
        What chunks go by before space.
    folder : Path
        Where rows wait; needs room for the level twice.
    memory_budget : int
        Bytes of rows to hold at once.
    """
    rows_at_once = rows_within(memory_budget, source.row_bytes())
    specs = _specs(source)
    if not isinstance(binning, KeptBins):
        specs = {name: _in_bins(name, spec, binning) for name, spec in specs.items()}
    stream = RowStream(folder, rows_at_once, grid.ndim + (binning is not None), specs)
    rank_of_owner = None
    if source.ids is not None:
        rank_of_owner = np.empty(len(source.ids), np.int64)
        rank_of_owner[np.argsort(source.ids, kind="stable")] = np.arange(len(source.ids))
    sender = _Sender(source, grid, binning, stream, rank_of_owner, source.owners)
    sender.send(rows_at_once)
    made = _collect(source, grid, stream)
    cells = replace(_with_tables(source, made, grid), groups=read_groups(source.level))
    runs = made if isinstance(made, Runs) else None
    none = np.zeros(0, np.int64)
    repeats = none if runs is None else runs.repeats
    places = _places(source, made, repeats, folder, rows_at_once)
    return Moved(
        source,
        cells,
        places,
        None if runs is None else runs.crossings,
        np.zeros((0, 2), np.int64) if runs is None else runs.breaks,
        repeats,
        none if binning is None else np.unique(cells.chunks[:, 0]),
    )


@dataclass(frozen=True, slots=True)
class _Sender:
    """Sends the rows of a level into a stream."""

    source: Source
    grid: Grid
    binning: Binning | KeptBins | None
    stream: RowStream
    rank_of_owner: IntArray | None
    owners: IntArray

    def send(self, rows_at_once: int) -> None:
        if not len(self.source.level.chunks) or not self.source.count:
            self._add(_no_rows(self.source))
        for chunk_rows in self.source.batches(rows_at_once):
            self._add(self.source.read(chunk_rows))

    def _add(self, batch: SourceRows) -> None:
        source = self.source
        if source.repeating.any():
            first = np.ones(len(batch.fragments), bool)
            first[1:] = batch.fragments[1:] != batch.fragments[:-1]
            batch = batch.take(~(first & source.repeating[batch.fragments]))
        chunks = self.grid.chunks_of(batch.positions)
        if self.binning is not None:
            codes = self.binning.of_rows(source, batch, self.owners)
            chunks = np.concatenate([codes[:, None], chunks], axis=1)
        columns: dict[str, AnyArray] = {POSITIONS: batch.positions, ROW: batch.rows}
        columns |= {name: column.values for name, column in batch.attributes.items()}
        if source.keeping is Keeping.BINS:
            columns[BIN] = bins_in_chunk(self.grid, batch.positions)
            tags = np.zeros(len(chunks), np.int64)
        elif source.keeping is Keeping.OBJECTS:
            assert self.rank_of_owner is not None
            tags = self.rank_of_owner[self.owners[batch.fragments]]
        else:
            tags = batch.fragments
        self.stream.add(chunks, tags, columns, ordered=source.keeping in (Keeping.RUNS, Keeping.FRAGMENTS))


def bins_in_chunk(grid: Grid, positions: FloatArray) -> AnyArray:
    """Return the number of every position's bin in its chunk, in C order."""
    numbers = np.zeros(len(positions), np.int64)
    for d, per_chunk in enumerate(grid.bins_per_chunk):
        numbers *= per_chunk
        numbers += np.mod(grid.bins_of(positions[:, d], d), per_chunk)
    return numbers.astype(np.uint32)


def _specs(source: Source) -> dict[str, AttributeSpec]:
    level = source.level
    specs = {name: array.spec for name, array in level.arrays.vertex_attributes.items()}
    if level.keyed_attribute is not None:
        specs[level.keyed_attribute] = chunk_values(level, np.zeros(0, np.int64)).spec
    return specs


def _in_bins(name: str, spec: AttributeSpec, binning: Binning | None) -> AttributeSpec:
    """Return the spec of an attribute whose channels are apart where chunks go by them, and together elsewhere."""
    extra = {key: value for key, value in spec.extra.items() if key != CHANNEL_BINS}
    if binning is not None and binning.channels and binning.spec.attribute == name:
        extra[CHANNEL_BINS] = list(binning.channels)
    return replace(spec, extra=extra)


def _no_rows(source: Source) -> SourceRows:
    """Return a batch without rows, of which a stream learns the columns."""
    spec = source.level.arrays.vertices.spec
    none = np.zeros(0, np.int64)
    columns = {name: Column(absent_values(s, 0), s) for name, s in _specs(source).items()}
    dtype: np.dtype[Any] = spec.numpy_dtype.newbyteorder("=")
    return SourceRows(np.zeros((0, source.level.grid.ndim), dtype), columns, none, none)


def _collect(source: Source, grid: Grid, stream: RowStream) -> Streamed:
    if source.keeping is Keeping.BINS:
        return stream.bin_cells(grid.n_bins)
    if source.keeping is Keeping.OBJECTS:
        assert source.ids is not None
        return stream.object_cells(np.sort(source.ids, kind="stable"))
    level, named = source.level, source.named
    ordered = source.keeping is Keeping.RUNS or _is_path(source)
    crossings = (level.root.cross_chunk_strategy or CROSS_CHUNK_LINKED) if ordered else None
    if named is None:
        named = Manifests(np.zeros(1, np.int64), level.chunks[:0], np.zeros(0, np.int64))
    return stream.run_cells(source.ids, named, merge=source.keeping is Keeping.RUNS, crossings=crossings)


def _is_path(source: Source) -> bool:
    return bool(PATH_TYPES & set(source.level.root.geometry_types))


def _with_tables(source: Source, made: Streamed, grid: Grid) -> Cells:
    """Return cells with the attributes of objects and fragments."""
    level, cells = source.level, made.cells
    columns: Mapping[str, Column] = read_columns(level, dict(level.arrays.object_attributes), None)
    table = cells.objects
    if table is not None and source.keeping is Keeping.OBJECTS:
        table = _in_order_of(table, source.ids)
    if table is not None:
        cells = replace(cells, objects=replace(table, attributes=columns))
    elif columns:
        count = len(next(iter(columns.values())))
        cells = replace(cells, objects=ObjectTable(np.arange(count, dtype=np.int64), None, columns))
    if not source.fragment_columns:
        return cells
    if isinstance(made, Runs):
        described = {name: column.take(made.fragment_tags) for name, column in source.fragment_columns.items()}
    else:
        described = _by_bin(source, cells, grid)
    return replace(cells, fragment_attributes={**described, **cells.fragment_attributes})


def _in_order_of(table: ObjectTable, ids: IntArray | None) -> ObjectTable:
    """Return a table of objects in ascending order in the order of the source."""
    assert ids is not None
    manifests = table.manifests
    assert manifests is not None
    if np.array_equal(table.ids, ids):
        return table
    rows = np.empty(len(ids), np.int64)
    rows[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    counts = np.diff(manifests.offsets)[rows]
    taken = expand_ranges(manifests.offsets[:-1][rows], counts)
    ordered = Manifests(offsets_of(counts), manifests.chunks[taken], manifests.fragments[taken])
    return ObjectTable(ids, ordered)


def _by_bin(source: Source, cells: Cells, grid: Grid) -> dict[str, Column]:
    """Return the attributes of fragments that are bins, by the bin of space that each of them is.

    Raises
    ------
    UnsupportedFeatureError
        When bins change, so that what is said of one holds for no other.
    """
    level = source.level
    old = level.grid
    same = old.cell_shape == grid.cell_shape and not level.leads
    if not same or not has_bin_fragments(source.fragments, np.diff(source.row_offsets), old).all():
        raise UnsupportedFeatureError(
            f"{level.name}: fragment attributes {sorted(source.fragment_columns)} belong to bins, which would change; "
            "keep bin_shape, or write the store anew without them"
        )
    lookup = ChunkLookup.of(level.chunks)
    first = cells.chunks.shape[1] - grid.ndim
    chunk = cells.fragments.chunk_of
    inner = np.stack(np.unravel_index(np.tile(np.arange(grid.n_bins), len(cells.chunks)), grid.bins_per_chunk), axis=1)
    bins = cells.chunks[chunk, first:] * np.array(grid.bins_per_chunk) + inner
    where, within = np.divmod(bins, np.array(old.bins_per_chunk))
    rows = lookup.rows(where)
    numbers = rows * old.n_bins + np.ravel_multi_index(tuple(within.T), old.bins_per_chunk)
    described = {}
    for name, column in source.fragment_columns.items():
        values = absent_values(column.spec, len(rows)).astype(column.values.dtype, copy=False)
        values[rows >= 0] = column.values[numbers[rows >= 0]]
        described[name] = Column(values, column.spec)
    return described


def _places(source: Source, made: Streamed, repeats: IntArray, folder: Path, rows_at_once: int) -> IntArray:
    """Return for every old row its new one, as an array over a file."""
    places = mapped(folder / "places", np.dtype(np.int64), (source.count,), mode="w+")
    for first, last in blocks(source.count, rows_at_once):
        places[first:last] = -1
    assert made.sources is not None
    for first, last in blocks(len(made.sources), rows_at_once):
        rows = np.arange(first, last)
        copies = repeats[(repeats >= first) & (repeats < last)] - first
        kept = np.delete(rows, copies)
        places[np.asarray(made.sources[kept])] = kept
    if source.repeating.any() and source.named is not None:
        _place_repeated(source, places)
    return places


def _place_repeated(source: Source, places: IntArray) -> None:
    """Let rows that repeated a vertex lead to where that vertex is."""
    named = source.named
    assert named is not None
    references = np.flatnonzero(source.repeating[named.fragments])
    later, before = named.fragments[references], named.fragments[references - 1]
    places[first_rows(source, later)] = places[last_rows(source, before)]


def first_rows(source: Source, fragments: IntArray) -> IntArray:
    """Return the first row of some fragments that are not empty, over the level."""
    return _end_rows(source.fragments, source.row_offsets, fragments, np.zeros(len(fragments), np.int64))


def last_rows(source: Source, fragments: IntArray) -> IntArray:
    """Return the last row of some fragments that are not empty, over the level."""
    return _end_rows(source.fragments, source.row_offsets, fragments, source.fragments.counts[fragments] - 1)


def _end_rows(table: Fragments, row_offsets: IntArray, fragments: IntArray, steps: IntArray) -> IntArray:
    places = table.starts[fragments] + steps
    if table.explicit is not None:
        listed = table.explicit[fragments]
        places[listed] = table.rows[places[listed]]
    return places + row_offsets[:-1][table.chunk_of[fragments]]
