"""Levels made from rows that come in batches: rows wait in local files, tables of fragments in memory.

A stream takes batches in any order. What it gives back are cells whose columns are arrays over files in the order in
which a level stores them, so that writing the level reads them a batch of chunks at a time. Per vertex nothing is
kept in memory; per *piece* (the rows of one batch that go into one chunk under one tag) a few numbers are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zarr_vectors.constants import (
    CROSS_CHUNK_DEDUPLICATED,
    CROSS_CHUNK_LINKED,
    OBJECT_ID_ATTRIBUTE,
)
from zarr_vectors.exceptions import UnsupportedFeatureError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells, Fragments, Manifests, ObjectTable
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import expand_ranges, offsets_of, stable_order
from zarr_vectors.spatial.partition import object_id_column
from zarr_vectors.typing import AnyArray, BoolArray, IntArray
from zarr_vectors.write.spilling import Spill

POSITIONS, BIN, ROW = "\0positions", "\0bin", "\0row"
"""Names of columns that are no attributes: positions, bin inside the chunk, and row where the vertex comes from."""

_WORKING_COPIES = 6
"""How many times a row is in memory at once while it is decoded, sorted and copied."""
_MAX_BITS = 62


def rows_within(memory_budget: int, row_bytes: int) -> int:
    """Return how many rows may be held at once under a budget in bytes; at least one."""
    return max(1, memory_budget // (_WORKING_COPIES * max(1, row_bytes)))


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of a stream: consecutive rows of one batch with the same chunk and tag.

    Parameters
    ----------
    chunks : (C, S) int64
        Chunks of the level, in numeric order.
    chunk : (P,) int64
        Row of each piece's chunk.
    tags : (P,) int64
        What the sender said of it: the object or the fragment that it is of.
    starts, counts : (P,) int64
        First row of the stream and number of rows.
    """

    chunks: IntArray
    chunk: IntArray
    tags: IntArray
    starts: IntArray
    counts: IntArray

    @property
    def row_offsets(self) -> IntArray:
        """Where the rows of each chunk start, ``(C + 1,)``."""
        return _summed(self.chunk, self.counts, len(self.chunks))


@dataclass(slots=True)
class RowStream:
    """Rows of a level on their way into chunks.

    Parameters
    ----------
    folder : Path
        Where rows wait.
    rows_at_once : int
        Most rows to hold in memory; a chunk with more is still held as a whole where its rows have to be sorted.
    key_ndim : int
        Components of a chunk key.
    specs : mapping of str to AttributeSpec
        The vertex attributes.
    """

    folder: Path
    rows_at_once: int
    key_ndim: int
    specs: Mapping[str, AttributeSpec]
    _spill: Spill = field(init=False)
    _pieces: list[tuple[IntArray, IntArray, IntArray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the files."""
        self._spill = Spill(self.folder / "arrived")

    @property
    def count(self) -> int:
        """Rows so far."""
        return self._spill.count

    def add(self, chunks: IntArray, tags: IntArray, columns: Mapping[str, AnyArray], *, ordered: bool) -> None:
        """Take a batch.

        Parameters
        ----------
        chunks : (n, S) int64
            Chunk of every row.
        tags : (n,) int64
            Non-negative number of the object or fragment of every row.
        columns : mapping of str to (n, …) array
            ``POSITIONS`` and every attribute; ``BIN`` and ``ROW`` where they are needed.
        ordered : bool
            Whether the order of the rows means something. Otherwise the rows of a chunk and tag are brought together.
        """
        if not ordered:
            order = _key_order(chunks, tags)
            chunks, tags = chunks[order], tags[order]
            columns = {name: values[order] for name, values in columns.items()}
        first = np.ones(len(tags), bool)
        first[1:] = (tags[1:] != tags[:-1]) | (chunks[1:] != chunks[:-1]).any(axis=1)
        heads = np.flatnonzero(first)
        self._pieces.append((chunks[heads], tags[heads], np.diff(np.append(heads, len(tags)))))
        self._spill.append(columns)

    def pieces(self) -> Pieces:
        """Return the pieces of all batches, as they came."""
        empty = np.zeros((0, self.key_ndim), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
        chunks, tags, counts = (np.concatenate(parts) for parts in zip(empty, *self._pieces, strict=True))
        distinct, chunk = np.unique(chunks, axis=0, return_inverse=True)
        return Pieces(distinct, chunk.reshape(-1), tags, offsets_of(counts)[:-1], counts)

    def bin_cells(self, n_bins: int) -> Streamed:
        """Return cells with a fragment per bin, empty ones included; rows of a bin in the order of arrival."""
        pieces = self.pieces()
        order = stable_order([pieces.chunk.astype(np.uint64)])
        row_offsets = pieces.row_offsets
        counts = np.zeros((len(pieces.chunks), n_bins), np.int64)

        def within(first: int, block: dict[str, AnyArray]) -> IntArray:
            low = int(np.searchsorted(row_offsets, first, side="right")) - 1
            high = int(np.searchsorted(row_offsets, first + len(block[BIN]), side="left"))
            keys = np.repeat(np.arange(high - low), np.diff(row_offsets[low : high + 1])) * n_bins + block[BIN]
            counts[low:high] = np.bincount(keys, minlength=(high - low) * n_bins).reshape(-1, n_bins)
            return stable_order([keys.astype(np.uint64)])

        rows = self._gathered(pieces.starts[order], pieces.counts[order], cuts=row_offsets, within=within)
        fragments = Fragments(
            np.arange(len(pieces.chunks) + 1, dtype=np.int64) * n_bins,
            (np.cumsum(counts, axis=1) - counts).reshape(-1),
            counts.reshape(-1),
        )
        return self._streamed(pieces.chunks, row_offsets, fragments, rows)

    def object_cells(self, ids: IntArray) -> Streamed:
        """Return cells with a fragment per object and chunk.

        Parameters
        ----------
        ids : (O,) int64
            Object ids by tag; ascending, so that the objects of a chunk are in id order.
        """
        pieces = self.pieces()
        order = stable_order([pieces.chunk.astype(np.uint64), pieces.tags.astype(np.uint64)])
        chunk, tags = pieces.chunk[order], pieces.tags[order]
        first = np.ones(len(order), bool)
        first[1:] = (chunk[1:] != chunk[:-1]) | (tags[1:] != tags[:-1])
        rows = self._gathered(pieces.starts[order], pieces.counts[order])
        fragments, chunk_of = _fragments(pieces, order, first)
        owners = tags[first]
        by_owner = stable_order([owners.astype(np.uint64)])
        local = by_owner - fragments.offsets[chunk_of[by_owner]]
        manifests = Manifests(
            offsets_of(np.bincount(owners, minlength=len(ids))), pieces.chunks[chunk_of[by_owner]], local
        )
        made = self._streamed(pieces.chunks, pieces.row_offsets, fragments, rows)
        made.cells = _with_objects(made.cells, ObjectTable(ids, manifests), ids[owners])
        return made

    def run_cells(
        self, ids: IntArray | None, named: Manifests, *, merge: bool, crossings: str | None = CROSS_CHUNK_LINKED
    ) -> Runs:
        """Return cells with a fragment per run: rows under one tag that came one after another, in one chunk.

        Parameters
        ----------
        ids : (O,) int64, optional
            Object ids; None where there are no objects.
        named : Manifests
            For every object the tags of which it is made, in order (as ``fragments``; chunks are not looked at).
        merge : bool
            Whether runs that follow each other along an object in one chunk become one fragment.
        crossings : str, optional
            How objects go on in another chunk, as in ``partition``; None where that is not said.
        """
        return _Chain.of(self.pieces(), named, merge).cells(self, ids, crossings)

    def arranged(self) -> tuple[IntArray, IntArray, dict[str, AnyArray]]:
        """Return chunks, where the rows of each start, and the columns: by chunk, tag, and order of arrival."""
        pieces = self.pieces()
        order = stable_order([pieces.chunk.astype(np.uint64), pieces.tags.astype(np.uint64)])
        rows = self._gathered(pieces.starts[order], pieces.counts[order])
        return pieces.chunks, pieces.row_offsets, rows.columns()

    def _gathered(self, starts: IntArray, counts: IntArray, **how: object) -> Spill:
        gathered = self._spill.gather(self.folder / "placed", starts, counts, self.rows_at_once, **how)  # type: ignore[arg-type]
        self._spill.delete()
        return gathered

    def _streamed(self, chunks: IntArray, row_offsets: IntArray, fragments: Fragments, rows: Spill) -> Streamed:
        columns = rows.columns()
        attributes = {name: Column(columns[name], spec) for name, spec in self.specs.items()}
        cells = Cells(chunks, row_offsets, columns[POSITIONS], fragments, attributes)
        return Streamed(cells, columns.get(ROW))


@dataclass(slots=True)
class Streamed:
    """Cells whose columns are arrays over files.

    Parameters
    ----------
    cells : Cells
        Without links.
    sources : (N,) int64, optional
        Column ``ROW`` in the order in which the cells hold their rows.
    """

    cells: Cells
    sources: IntArray | None


@dataclass(slots=True)
class Runs(Streamed):
    """Cells of runs.

    Parameters
    ----------
    fragment_tags : (F,) int64
        Tag under which the rows of each fragment came (the first, where runs became one).
    repeats : (R,) int64
        Rows that are copies of vertices in another chunk.
    breaks : (B, 2) int64
        Where rows under one tag were parted: first row of the later part, last row of the earlier one.
    crossings : LinkTable, optional
        Links by which objects go on in another chunk.
    """

    fragment_tags: IntArray
    repeats: IntArray
    breaks: IntArray
    crossings: LinkTable | None


@dataclass(frozen=True, slots=True)
class _Chain:
    """Pieces along objects.

    ``chain`` names, for every object, its pieces in order; ``joined`` says which of them go on with the fragment of
    the one before, ``follows`` which have one before at all; ``ranks`` orders the pieces of a chunk.
    """

    pieces: Pieces
    chain: IntArray
    offsets: IntArray
    follows: BoolArray
    joined: BoolArray
    ranks: IntArray
    by_tag: IntArray
    shared: bool

    @classmethod
    def of(cls, pieces: Pieces, named: Manifests, merge: bool) -> _Chain:
        known = int(max(named.fragments.max(initial=-1), pieces.tags.max(initial=-1))) + 1
        by_tag = stable_order([pieces.tags.astype(np.uint64)])
        counts = np.bincount(pieces.tags, minlength=known)
        per_reference = counts[named.fragments]
        chain = by_tag[expand_ranges(offsets_of(counts)[named.fragments], per_reference)]
        offsets = offsets_of(per_reference)[named.offsets]
        follows = np.ones(len(chain), bool)
        follows[offsets[:-1][offsets[:-1] < len(chain)]] = False
        uses = np.bincount(chain, minlength=len(pieces.tags))
        joined = np.zeros(len(chain), bool)
        if merge:
            alone = (uses == 1)[chain]
            chunk = pieces.chunk[chain]
            joined[1:] = follows[1:] & alone[1:] & alone[:-1] & (chunk[1:] == chunk[:-1])
        ranks = len(chain) + np.arange(len(pieces.tags))
        ranks[chain[::-1]] = np.arange(len(chain))[::-1]
        return cls(pieces, chain, offsets, follows, joined, ranks, by_tag, bool((uses > 1).any()))

    def cells(self, stream: RowStream, ids: IntArray | None, crossings: str | None) -> Runs:
        pieces, chain = self.pieces, self.chain
        crossing = np.flatnonzero(self.follows & ~self.joined)
        crossing = crossing[pieces.chunk[chain[crossing]] != pieces.chunk[chain[crossing - 1]]]
        repeated = crossing if crossings not in (None, CROSS_CHUNK_LINKED) else crossing[:0]
        if len(repeated) and self.shared:
            raise UnsupportedFeatureError(
                f"paths that share fragments cannot repeat vertices at crossings ({crossings!r})"
            )
        continued = np.zeros(len(pieces.tags), bool)
        continued[chain[self.joined]] = True
        continued[chain[repeated]] = True  # what comes first in their fragment is the repeated vertex
        before = chain[repeated - 1]
        extra = Pieces(
            pieces.chunks,
            pieces.chunk[chain[repeated]],
            pieces.tags[chain[repeated]],
            pieces.starts[before] + pieces.counts[before] - 1,
            np.ones(len(repeated), np.int64),
        )
        every = _joined(pieces, extra)
        keys = np.concatenate([2 * self.ranks + 1, 2 * self.ranks[chain[repeated]]]).astype(np.uint64)
        order = stable_order([every.chunk.astype(np.uint64), keys])
        heads = ~np.concatenate([continued, np.zeros(len(repeated), bool)])
        fragments, chunk_of = _fragments(every, order, heads[order])
        first_rows = np.empty(len(order), np.int64)
        first_rows[order] = offsets_of(every.counts[order])[:-1]
        fragment_of = np.empty(len(order), np.int64)
        fragment_of[order] = np.cumsum(heads[order]) - 1
        rows = stream._gathered(every.starts[order], every.counts[order])
        made = stream._streamed(every.chunks, every.row_offsets, fragments, rows)
        repeats = first_rows[len(pieces.tags) :]
        entries = first_rows[: len(pieces.tags)].copy()
        entries[chain[repeated]] = repeats
        last_rows = first_rows[: len(pieces.tags)] + pieces.counts - 1
        cells, fragment_tags = made.cells, every.tags[order][heads[order]]
        if ids is not None:
            cells = self._with_manifests(cells, ids, fragment_of[chain], chunk_of)
        links = None
        if crossings not in (None, CROSS_CHUNK_DEDUPLICATED):
            pairs = np.stack([last_rows[chain[crossing - 1]], entries[chain[crossing]]], axis=1)
            links = _links(cells, _distinct(pairs) if self.shared else pairs)
        return Runs(cells, made.sources, fragment_tags, repeats, self._breaks(first_rows, last_rows), links)

    def _with_manifests(self, cells: Cells, ids: IntArray, fragments: IntArray, chunk_of: IntArray) -> Cells:
        kept = ~self.joined
        counts = offsets_of(kept)[self.offsets]
        named = fragments[kept]
        local = named - cells.fragments.offsets[chunk_of[named]]
        table = ObjectTable(ids, Manifests(counts, cells.chunks[chunk_of[named]], local))
        if self.shared:
            from_one = None
        else:
            rows = np.full(cells.fragments.count, -1, np.int64)
            rows[named] = np.repeat(np.arange(len(ids)), np.diff(counts))
            from_one = np.append(ids, -1)[rows]
        return _with_objects(cells, table, from_one)

    def _breaks(self, first_rows: IntArray, last_rows: IntArray) -> IntArray:
        tags = self.pieces.tags[self.by_tag]
        later = np.flatnonzero(tags[1:] == tags[:-1]) + 1
        return np.stack([first_rows[self.by_tag[later]], last_rows[self.by_tag[later - 1]]], axis=1)


def _with_objects(cells: Cells, table: ObjectTable, owners: IntArray | None) -> Cells:
    described = {} if owners is None else {OBJECT_ID_ATTRIBUTE: object_id_column(owners)}
    return Cells(
        cells.chunks,
        cells.row_offsets,
        cells.positions,
        cells.fragments,
        cells.attributes,
        described,
        table,
    )


def _links(cells: Cells, pairs: IntArray) -> LinkTable | None:
    """Return links between rows of the level; None where there are none."""
    if len(pairs) == 0:
        return None
    chunks = np.searchsorted(cells.row_offsets, pairs, side="right") - 1
    return LinkTable(0, chunks, pairs - cells.row_offsets[:-1][chunks], cells.chunks, cells.chunks)


def _distinct(pairs: IntArray) -> IntArray:
    _, first = np.unique(pairs, axis=0, return_index=True)
    return np.asarray(pairs[np.sort(first)])


def _joined(pieces: Pieces, more: Pieces) -> Pieces:
    return Pieces(
        pieces.chunks,
        np.concatenate([pieces.chunk, more.chunk]),
        np.concatenate([pieces.tags, more.tags]),
        np.concatenate([pieces.starts, more.starts]),
        np.concatenate([pieces.counts, more.counts]),
    )


def _fragments(pieces: Pieces, order: IntArray, heads: BoolArray) -> tuple[Fragments, IntArray]:
    """Return fragments of pieces in an order, one from each head to the next, and the chunk of each."""
    starts = offsets_of(pieces.counts[order])
    firsts = np.flatnonzero(heads)
    begins = starts[:-1][firsts]
    counts = np.diff(np.append(begins, starts[-1]))
    chunk = pieces.chunk[order][firsts]
    offsets = offsets_of(np.bincount(chunk, minlength=len(pieces.chunks)))
    return Fragments(offsets, begins - pieces.row_offsets[:-1][chunk], counts), chunk


def _summed(groups: IntArray, counts: IntArray, n: int) -> IntArray:
    """Return the offsets of groups whose sizes are sums of counts."""
    sizes = np.zeros(n, np.int64)
    np.add.at(sizes, groups, counts)
    return offsets_of(sizes)


def _key_order(chunks: IntArray, tags: IntArray) -> IntArray:
    """Return the stable order by chunk and tag."""
    if len(tags) == 0:
        return np.zeros(0, np.int64)
    columns = [*chunks.T, tags]
    low = [int(column.min()) for column in columns]
    sizes = [int(column.max()) - least + 1 for column, least in zip(columns, low, strict=True)]
    if sum(np.log2(size) for size in sizes) >= _MAX_BITS:
        return np.lexsort(columns[::-1])
    key = np.zeros(len(tags), np.int64)
    for column, least, size in zip(columns, low, sizes, strict=True):
        key *= size
        key += column - least
    return stable_order([key.astype(np.uint64)])
