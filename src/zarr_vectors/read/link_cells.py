"""The cells of a family of links: a list of all of them, and the records that fetched ones hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.constants import NONEMPTY_CHUNKS
from zarr_vectors.encoding.links import decode_link_rows, permutations_from_codes
from zarr_vectors.encoding.ragged import join_ragged
from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.layout import LinkArray, LinkFamily
from zarr_vectors.model.links import LinkCellList
from zarr_vectors.read.fetch import FetchedCells, decode_payloads, decode_rows
from zarr_vectors.read.level import LevelReader
from zarr_vectors.typing import AnyArray, Bytes, IntArray


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


def decode_records(
    level: LevelReader, other: LevelReader, family: LinkFamily, fetched: Sequence[FetchedArray]
) -> list[Records]:
    """Return the links in fetched cells, those of consecutive arrays with the same kind of rows together.

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
    records, start, first = [], 0, 0
    for number, part in enumerate(fetched):
        last = number + 1 == len(fetched)
        if last or _kind(fetched[number + 1].array) != _kind(part.array):
            run = fetched[first : number + 1]
            count = sum(len(each.cells.chunks) for each in run)
            records.append(_decode_run(level, other, family, run, payloads[start : start + count]))
            start, first = start + count, number + 1
    return records


def _kind(array: LinkArray) -> tuple[bool, bool]:
    return array.has_perm, array.ragged


def _decode_run(
    level: LevelReader, other: LevelReader, family: LinkFamily, run: Sequence[FetchedArray], payloads: list[Bytes]
) -> Records:
    """Decode the cells of arrays whose rows are of one kind."""
    has_perm, ragged = _kind(run[0].array)
    _check_presence(run, payloads)
    buffer, sizes = _joined(run, payloads, ragged)
    counts, rest = np.divmod(sizes, 8 * (family.width + has_perm))
    if rest.any():
        cell = int(np.flatnonzero(rest)[0])
        raise ArrayError(f"{_cell_name(run, cell)}: {sizes[cell]} bytes are not a whole number of link rows")
    try:
        stored, codes = decode_link_rows(buffer, family.width, has_perm=has_perm)
    except ArrayError as error:
        raise ArrayError(f"{' or '.join(part.array.cells.path for part in run)}: {error}") from error
    endpoints = np.repeat(_endpoint_rows(level, other, run, counts), counts, axis=0)
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
    rows, chunks = stored, endpoints
    if codes is not None:
        sigma = permutations_from_codes(codes, family.width)
        sigma += np.arange(len(sigma))[:, None] * family.width
        rows, chunks = np.empty(stored.shape, np.int64), np.empty_like(endpoints)
        rows.reshape(-1)[sigma], chunks.reshape(-1)[sigma] = stored, endpoints
    if family.store == "duplicate" and len(rows):
        lowest = endpoints[:, 0] == endpoints.min(axis=1)
        rows, chunks = rows[lowest], chunks[lowest]
        attributes = {name: values[lowest] for name, values in attributes.items()}
    return Records(chunks, rows, attributes)


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


def _joined(run: Sequence[FetchedArray], payloads: list[Bytes], ragged: bool) -> tuple[Bytes, IntArray]:
    """Return the rows of all cells as one buffer, and how many bytes are those of each cell."""
    if not ragged:
        return b"".join(payloads), np.fromiter(map(len, payloads), np.int64, len(payloads))
    try:
        return join_ragged(payloads)
    except ArrayError:
        for cell, payload in enumerate(payloads):
            try:
                join_ragged([payload])
            except ArrayError as error:
                raise ArrayError(f"{_cell_name(run, cell)}: {error}") from error
        raise


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
