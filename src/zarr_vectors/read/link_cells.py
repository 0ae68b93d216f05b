"""The cells of a family of links: a list of all of them, and the records that fetched ones hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from zarr_vectors.constants import NONEMPTY_CHUNKS
from zarr_vectors.encoding.flat import byte_array, split_flat
from zarr_vectors.encoding.links import decode_link_rows, permutations_from_codes
from zarr_vectors.encoding.ragged import join_ragged
from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.layout import LinkArray, LinkFamily
from zarr_vectors.model.links import LinkCellList
from zarr_vectors.ordering import offsets_of
from zarr_vectors.parallel import thread_map
from zarr_vectors.read.fetch import FetchedCells, decode_payloads, decode_rows
from zarr_vectors.read.level import LevelReader
from zarr_vectors.typing import AnyArray, BoolArray, Bytes, IntArray

ROW_LIMIT = 1 << 32
"""No chunk has more rows, since no payload has more bytes; sums with numbers below it do not overflow."""

_ROWS_AT_ONCE = 1 << 15
"""Rows that are numbered at once: so few that what is made on the way stays in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Decoded links: endpoint chunks as rows of both levels' chunk lists, rows in them, attributes."""

    chunks: IntArray
    rows: IntArray
    attributes: dict[str, AnyArray]


def list_cells(level: LevelReader, other: LevelReader, family: LinkFamily) -> LinkCellList:
    """Return every cell of a family of links; an open level keeps the list.

    Parameters
    ----------
    level, other : LevelReader
        The level that holds the links, and that of the other endpoints.
    family : LinkFamily
        The links.
    """
    if family.delta not in level.link_cells:
        ndim = level.chunks.shape[1]
        numbers, corners = [np.zeros(0, np.int64)], [np.zeros((0, family.width, ndim), np.int64)]
        for number, array in enumerate(family.arrays):
            chunks = level.chunks if array.cells.chunks is None else array.cells.chunks
            chunks = chunks[np.argsort(np.array(format_keys(chunks), dtype=np.str_), kind="stable")]
            base = _base(level, other, family, array, chunks)
            corners.append(np.stack([chunks, *(base + np.array(offset) for offset in array.offsets)], axis=1))
            numbers.append(np.full(len(chunks), number, np.int64))
        joined = np.concatenate(corners)
        rows = np.empty(joined.shape[:2], np.int64)
        rows[:, 0] = level.lookup.rows(joined[:, 0])
        rows[:, 1:] = other.lookup.rows(joined[:, 1:].reshape(-1, ndim)).reshape(len(joined), family.width - 1)
        level.link_cells[family.delta] = LinkCellList(np.concatenate(numbers), joined, rows)
    return level.link_cells[family.delta]


def _base(level: LevelReader, other: LevelReader, family: LinkFamily, array: LinkArray, chunks: IntArray) -> IntArray:
    """Return the chunks of the target level that offsets count from."""
    if family.delta == 0 or not array.anchored:
        return chunks
    here, there = level.chunk_scale, other.chunk_scale
    anchored = chunks.copy()
    first = chunks.shape[1] - len(here)
    anchored[:, first:] = chunks[:, first:] * here // there
    return anchored


@dataclass(frozen=True, slots=True)
class FetchedArray:
    """The fetched cells of one array, and those of its attributes.

    Parameters
    ----------
    array : LinkArray
        The array.
    cells : FetchedCells
        Its cells.
    listed : LinkCellList
        Where their endpoints lie.
    attributes : dict of str to FetchedCells
        The same cells of the attributes wanted.
    """

    array: LinkArray
    cells: FetchedCells
    listed: LinkCellList
    attributes: dict[str, FetchedCells]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The rows of consecutive arrays of a family whose rows are of one kind, cell after cell.

    Parameters
    ----------
    name : str
        The arrays, for messages.
    rows : list of bytes-like
        Rows of each cell.
    counts : (n,) int64
        How many rows those are.
    chunks : (n, L) int64
        Chunks of the endpoints of each cell, source first, as rows of both levels' lists; of empty cells maybe -1.
    has_perm : bool
        Whether a permutation code precedes every row.
    attributes : dict of str to array
        One row per row of the cells.
    """

    name: str
    rows: list[Bytes]
    counts: IntArray
    chunks: IntArray
    has_perm: bool
    attributes: dict[str, AnyArray]

    def select(self, wanted: BoolArray) -> Run:
        """Return some of the cells."""
        kept = np.repeat(wanted, self.counts)
        rows = [rows for rows, keep in zip(self.rows, wanted.tolist(), strict=True) if keep]
        attributes = {name: values[kept] for name, values in self.attributes.items()}
        return replace(self, rows=rows, counts=self.counts[wanted], chunks=self.chunks[wanted], attributes=attributes)

    def decode(self, cells: slice) -> tuple[IntArray, IntArray | None]:
        """Return the rows ``(m, L)`` of some cells in stored order, and in which place each endpoint belongs."""
        width = self.chunks.shape[1]
        try:
            stored, codes = decode_link_rows(b"".join(self.rows[cells]), width, has_perm=self.has_perm)
        except ArrayError as error:
            raise ArrayError(f"{self.name}: {error}") from error
        return stored, None if codes is None else permutations_from_codes(codes, width)

    def records(self) -> Records:
        """Return all rows as records."""
        rows, sigma = self.decode(slice(None))
        chunks = np.repeat(self.chunks, self.counts, axis=0)
        return Records(_permuted(chunks, sigma), _permuted(rows, sigma), self.attributes)

    def number(self, out: IntArray, starts: IntArray, stops: IntArray) -> bool:
        """Put the endpoints, as rows counted over chunks, where they belong; say whether all of them exist.

        Parameters
        ----------
        out : (m, L) int64
            Where they are put.
        starts, stops : (C,) int64
            First row and the end of the last of every chunk.
        """
        ends = offsets_of(self.counts)

        def fill(cells: slice) -> bool:
            rows, sigma = self.decode(cells)
            if rows.max(initial=0) >= ROW_LIMIT:
                return False
            chunks, counts = self.chunks[cells], self.counts[cells]
            numbers = out[ends[cells.start] : ends[cells.stop]] if sigma is None else np.empty_like(rows)
            np.add(rows, np.repeat(starts[chunks], counts, axis=0), out=numbers)
            if (numbers >= np.repeat(stops[chunks], counts, axis=0)).any():
                return False
            if sigma is not None:
                np.put_along_axis(out[ends[cells.start] : ends[cells.stop]], sigma, numbers, axis=1)
            return True

        cuts = np.flatnonzero(np.diff(ends[:-1] // _ROWS_AT_ONCE)) + 1
        parts = [slice(a, b) for a, b in pairwise([0, *cuts.tolist(), len(self.counts)])]
        return all(thread_map(fill, parts))


def _permuted(values: IntArray, sigma: IntArray | None) -> IntArray:
    if sigma is None:
        return values
    permuted = np.empty(values.shape, np.int64)
    np.put_along_axis(permuted, sigma, values, axis=1)
    return permuted


def decode_runs(
    level: LevelReader, other: LevelReader, family: LinkFamily, fetched: Sequence[FetchedArray]
) -> list[Run]:
    """Return the links in fetched cells, each once, those of consecutive arrays with the same kind of rows together.

    Parameters
    ----------
    level, other, family
        As in :func:`list_cells`.
    fetched : sequence of FetchedArray
        Arrays of the family, in their order.

    Raises
    ------
    ArrayError
        When a cell is damaged, or a link names a chunk that does not exist.
    """
    payloads = decode_payloads([part.cells for part in fetched])
    runs, start, first = [], 0, 0
    for number, part in enumerate(fetched):
        last = number + 1 == len(fetched)
        if last or _kind(fetched[number + 1].array) != _kind(part.array):
            run = fetched[first : number + 1]
            count = sum(len(each.cells.chunks) for each in run)
            runs.append(_make_run(level, other, family, run, payloads[start : start + count]))
            start, first = start + count, number + 1
    return runs


def decode_records(
    level: LevelReader, other: LevelReader, family: LinkFamily, fetched: Sequence[FetchedArray]
) -> list[Records]:
    """Return the links in fetched cells as records; as :func:`decode_runs`."""
    return [run.records() for run in decode_runs(level, other, family, fetched)]


def _kind(array: LinkArray) -> tuple[bool, bool]:
    return array.has_perm, array.ragged


def _make_run(
    level: LevelReader, other: LevelReader, family: LinkFamily, run: Sequence[FetchedArray], payloads: list[Bytes]
) -> Run:
    """Decode the cells of arrays whose rows are of one kind."""
    has_perm, ragged = _kind(run[0].array)
    _check_presence(run, payloads)
    rows = _bodies(run, payloads) if ragged else payloads
    sizes = np.fromiter(map(len, rows), np.int64, len(rows))
    counts, rest = np.divmod(sizes, 8 * (family.width + has_perm))
    if rest.any():
        cell = int(np.flatnonzero(rest)[0])
        raise ArrayError(f"{_cell_name(run, cell)}: {sizes[cell]} bytes are not a whole number of link rows")
    chunks = _endpoint_rows(level, other, run, counts)
    starts = np.cumsum([0, *(len(part.cells.chunks) for part in run)]).tolist()
    attributes = {
        name: np.concatenate(
            [
                decode_rows(part.attributes[name], counts[a:b])[0]
                for part, a, b in zip(run, starts[:-1], starts[1:], strict=True)
            ]
        )
        for name in run[0].attributes
    }
    made = Run(" or ".join(part.array.cells.path for part in run), rows, counts, chunks, has_perm, attributes)
    if family.store == "duplicate" and len(counts):
        return made.select(np.asarray(chunks[:, 0] == chunks.min(axis=1)))
    return made


def _check_presence(run: Sequence[FetchedArray], payloads: list[Bytes]) -> None:
    """Refuse cells that the metadata lists and that are not there."""
    if all(payloads):
        return
    cell = 0
    for part in run:
        listed = NONEMPTY_CHUNKS in part.array.cells.document
        for payload in payloads[cell : cell + len(part.cells.chunks)]:
            if listed and len(payload) == 0:
                raise ArrayError(
                    f"{_cell_name(run, cell)} is listed in {NONEMPTY_CHUNKS}, but its cell is missing or empty; the "
                    "store is damaged or its copy incomplete"
                )
            cell += 1


def _bodies(run: Sequence[FetchedArray], payloads: list[Bytes]) -> list[Bytes]:
    """Return the rows of each of many ragged cells."""
    try:
        buffer, sizes = join_ragged(payloads)
    except ArrayError:
        for cell, payload in enumerate(payloads):
            try:
                join_ragged([payload])
            except ArrayError as error:
                raise ArrayError(f"{_cell_name(run, cell)}: {error}") from error
        raise
    return list(split_flat(byte_array(buffer), offsets_of(sizes)))


def _cell_name(run: Sequence[FetchedArray], cell: int) -> str:
    """Return the array and chunk of a cell, for messages."""
    for part in run:
        if cell < len(part.cells.chunks):
            return f"{part.array.cells.path}: chunk {format_keys(part.cells.chunks[cell : cell + 1])[0]}"
        cell -= len(part.cells.chunks)
    raise IndexError(cell)


def _endpoint_rows(level: LevelReader, other: LevelReader, run: Sequence[FetchedArray], counts: IntArray) -> IntArray:
    """Return the endpoints' chunks ``(n, L)`` of cells; those of empty cells may be -1."""
    rows = np.concatenate([part.listed.rows for part in run])
    missing = rows < 0
    missing[:, 1:] &= (counts > 0)[:, None]
    if missing.any():
        cell, end = (int(i[0]) for i in np.nonzero(missing))
        corners = np.concatenate([part.listed.corners for part in run])
        raise ArrayError(
            f"{_cell_name(run, cell)}: a link names chunk {corners[cell, end].tolist()}, which "
            f"{(other if end else level).name} does not have"
        )
    return rows
