"""Fetching cells: shard indexes in one round, then the cells of every array in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.layout import Blobs, CellArray
from zarr_vectors.formats.objects import parse_fragments, take_ranges
from zarr_vectors.model.cells import Fragments
from zarr_vectors.ordering import offsets_of
from zarr_vectors.parallel import thread_map, worker_count
from zarr_vectors.storage.port import Blob, Range, Storage
from zarr_vectors.typing import AnyArray, Bytes, IntArray

_THREADED_BYTES = 1 << 18
"""Stored bytes below which handing cells to threads takes longer than decoding them."""
_THREADED_CELL = 512
"""Stored bytes of a cell below which, on average, threads only wait for each other."""
_CELL_COST = 2048
"""What a cell costs apart from its stored bytes, as so many bytes more."""

_DECODED_AT_ONCE = 1 << 18
"""Bytes of payloads that are held at once by each thread that copies them."""

_LARGE_COPY = 1 << 14
"""Bytes of a payload from which it is decoded alone, and copied while other threads run: both take longer to begin."""


@dataclass(frozen=True, slots=True)
class FetchedCells:
    """The undecoded cells of some chunks of one array.

    Parameters
    ----------
    array : CellArray
        The array.
    chunks : (n, S) int64
        The chunks.
    blobs : list
        ``array.requests_per_cell`` blobs a chunk; None where something is absent.
    """

    array: CellArray
    chunks: IntArray
    blobs: list[Bytes | None]

    def cell(self, row: int) -> Blobs:
        """Return the blobs of one chunk."""
        width = self.array.requests_per_cell
        return self.blobs[row * width : (row + 1) * width]

    def payload(self, row: int) -> Bytes:
        """Decode the payload of one chunk."""
        return self.array.payload(self.cell(row), self.chunks[row])

    def payloads(self, rows: slice) -> list[Bytes]:
        """Decode the payloads of consecutive chunks."""
        width = self.array.requests_per_cell
        return self.array.payloads(self.blobs[rows.start * width : rows.stop * width], self.chunks[rows])


def fetch_cells(storage: Storage, arrays: Sequence[CellArray], chunks: IntArray) -> list[FetchedCells]:
    """Fetch the cells of some chunks of several arrays.

    Shard indexes that are not yet known are read in one round, the cells of all arrays in a second.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    arrays : sequence of CellArray
        Arrays of one level.
    chunks : (n, S) int64
        Chunks to fetch.
    """
    return fetch_many(storage, [(array, chunks) for array in arrays])


def fetch_many(storage: Storage, wanted: Sequence[tuple[CellArray, IntArray]]) -> list[FetchedCells]:
    """Fetch cells of several arrays, each with its own chunks, in the same two rounds.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    wanted : sequence of (CellArray, (n, S) int64)
        Arrays and the chunks of each.
    """
    fetch_indexes(storage, wanted)
    plans = [array.cell_requests(chunks) for array, chunks in wanted]
    blobs = get_some(storage, [request for plan in plans for request in plan])
    fetched, start = [], 0
    for (array, chunks), plan in zip(wanted, plans, strict=True):
        fetched.append(FetchedCells(array, chunks, blobs[start : start + len(plan)]))
        start += len(plan)
    return fetched


def fetch_indexes(storage: Storage, wanted: Sequence[tuple[CellArray, IntArray]]) -> None:
    """Read the shard indexes that some chunks of several arrays need, in one round."""
    plans = [array.index_requests(chunks) for array, chunks in wanted]
    if not any(plans):
        return
    blobs = storage.get_many([request for plan in plans for request in plan])
    start = 0
    for (array, _), plan in zip(wanted, plans, strict=True):
        array.accept_indexes(plan, blobs[start : start + len(plan)])
        start += len(plan)


def get_some(storage: Storage, requests: Sequence[Range | None]) -> list[Bytes | None]:
    """Read many ranges in one round, skipping those that are None."""
    wanted = [request for request in requests if request is not None]
    if not wanted:
        return [None] * len(requests)
    found: list[Blob | None] = storage.get_many(wanted)
    if len(wanted) == len(requests):
        return cast("list[Bytes | None]", found)
    blobs = iter(found)
    return [None if request is None else next(blobs) for request in requests]


def decode_payloads(parts: Sequence[FetchedCells]) -> list[Bytes]:
    """Decode the payloads of cells of one array or several, one after another; many of them on threads."""
    starts = offsets_of(np.array([len(cells.chunks) for cells in parts], np.int64)).tolist()

    def decode(part: slice) -> list[Bytes]:
        payloads: list[Bytes] = []
        for cells, first, last in zip(parts, starts[:-1], starts[1:], strict=True):
            rows = slice(max(part.start - first, 0), min(part.stop, last) - first)
            if rows.start < rows.stop:
                payloads += cells.payloads(rows)
        return payloads

    return [payload for some in thread_map(decode, _split(parts)) for payload in some]


def _split(parts: Sequence[FetchedCells]) -> list[slice]:
    """Return slices of all cells that take about as long each, for threads; one where there is little to decode."""
    costs = np.concatenate([_stored_sizes(cells) for cells in parts] or [np.zeros(0, np.int64)])
    stored, count = int(costs.sum()), len(costs)
    if stored < max(_THREADED_BYTES, _THREADED_CELL * count):
        return [slice(0, count)]
    ends = np.cumsum(costs + _CELL_COST)
    tasks = 4 * worker_count()
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, tasks) // tasks, side="right").tolist()
    return [slice(a, b) for a, b in pairwise([0, *cuts, count]) if b > a]


def _stored_sizes(cells: FetchedCells) -> IntArray:
    """Return the stored bytes of every cell."""
    sizes = np.fromiter((0 if blob is None else len(blob) for blob in cells.blobs), np.int64, len(cells.blobs))
    return np.asarray(sizes.reshape(-1, cells.array.requests_per_cell).sum(axis=1))


def decode_fragments(cells: FetchedCells) -> Fragments:
    """Decode the fragment indexes of some chunks."""
    payloads = decode_payloads([cells])
    try:
        return parse_fragments(payloads)
    except ArrayError:
        for key, payload in zip(format_keys(cells.chunks), payloads, strict=True):
            try:
                parse_fragments([payload])
            except ArrayError as error:
                raise ArrayError(f"{cells.array.path}: chunk {key}: {error}") from error
        raise


def take_fragments(cells: FetchedCells, places: IntArray, numbers: IntArray) -> tuple[IntArray, IntArray] | None:
    """Return where some fragments start in their chunks, and their rows; None unless all fragments are ranges.

    Parameters
    ----------
    cells : FetchedCells
        Fragment indexes of some chunks.
    places : (m,) int64
        Which of these chunks each fragment is in.
    numbers : (m,) int64
        Its number there.
    """
    order = np.argsort(places, kind="stable")
    cuts = np.searchsorted(places, np.arange(len(cells.chunks) + 1), sorter=order).tolist()
    sorted_numbers = numbers[order]

    def take(part: slice) -> list[IntArray | None]:
        return [
            take_ranges(cells.payload(r), sorted_numbers[cuts[r] : cuts[r + 1]]) for r in range(part.start, part.stop)
        ]

    found = [each for some in thread_map(take, _split([cells])) for each in some]
    tables = [table for table in found if table is not None]
    if len(tables) < len(found) or not tables:
        return None
    ranges = np.empty((len(numbers), 2), np.int64)
    ranges[order] = np.concatenate(tables)
    return ranges[:, 0], ranges[:, 1]


def decode_rows(cells: FetchedCells, row_counts: IntArray | None = None) -> tuple[AnyArray, IntArray]:
    """Decode raw rows of some chunks into one array that is allocated once.

    Parameters
    ----------
    cells : FetchedCells
        The cells.
    row_counts : (n,) int64, optional
        Rows that each chunk must have; without it they follow from the sizes of the cells.

    Returns
    -------
    rows : (N,) or (N, C) array
        The rows of all chunks.
    row_offsets : (n + 1,) int64
        Where each chunk's rows start.

    Raises
    ------
    ArrayError
        When a cell is damaged or has another number of rows; names the array and the chunk.
    """
    spec = cells.array.spec
    stride, dtype = spec.row_stride, spec.numpy_dtype
    sizes, payloads = _sizes(cells)
    expected = None if row_counts is None else np.asarray(row_counts, np.int64) * stride
    _check_sizes(cells, sizes, stride, expected)
    offsets = offsets_of(sizes)
    buffer = np.empty(int(offsets[-1]), np.uint8)
    target, starts = memoryview(buffer), offsets.tolist()

    def copy(rows: slice) -> None:
        few = int(offsets[rows.stop] - offsets[rows.start]) < _LARGE_COPY * (rows.stop - rows.start)
        for part in _few_bytes(rows, offsets) if few else [slice(row, row + 1) for row in range(rows.start, rows.stop)]:
            found = payloads[part] if payloads else cells.payloads(part) if few else [cells.payload(part.start)]
            for row, payload in enumerate(found, part.start):
                size = memoryview(payload).nbytes
                if size != starts[row + 1] - starts[row]:
                    raise _wrong_size(cells, row, size, starts[row + 1] - starts[row])
                if size < _LARGE_COPY:
                    target[starts[row] : starts[row + 1]] = payload
                else:
                    buffer[starts[row] : starts[row + 1]] = np.frombuffer(payload, np.uint8)

    thread_map(copy, _split([cells]))
    values: AnyArray = buffer.view(dtype)
    if spec.channels is not None:
        values = values.reshape(-1, spec.channels)
    return values, offsets // stride


def _few_bytes(rows: slice, offsets: IntArray) -> list[slice]:
    """Cut rows into parts of few payload bytes, at least one row each, so that little is decoded at once."""
    numbers = (offsets[rows] - offsets[rows.start]) // _DECODED_AT_ONCE
    cuts = (np.flatnonzero(np.diff(numbers)) + rows.start + 1).tolist()
    return [slice(a, b) for a, b in pairwise([rows.start, *cuts, rows.stop])]


def stated_row_offsets(cells: FetchedCells) -> IntArray | None:
    """Return where each chunk's rows start by the sizes that cells state, without decoding them; None if some do not.

    Parameters
    ----------
    cells : FetchedCells
        Cells of raw rows.

    Raises
    ------
    ArrayError
        When a cell is damaged; names the array and the chunk.
    """
    cells.array.verify(cells.blobs, cells.chunks)
    sizes = cells.array.payload_sizes(cells.blobs)
    if sizes is None:
        return None
    _check_sizes(cells, sizes, cells.array.spec.row_stride, None)
    return offsets_of(sizes // cells.array.spec.row_stride)


def take_rows(cells: FetchedCells, row_offsets: IntArray, rows: IntArray) -> AnyArray:
    """Decode cells one by one and keep only some of their rows.

    Parameters
    ----------
    cells : FetchedCells
        Cells of raw rows.
    row_offsets : (n + 1,) int64
        Where each chunk's rows start.
    rows : (m,) int64
        Rows wanted, in any order, numbered over all chunks.

    Returns
    -------
    (m,) or (m, C) array

    Raises
    ------
    ArrayError
        When a cell is damaged or has another number of rows; names the array and the chunk.
    """
    spec = cells.array.spec
    shape = () if spec.channels is None else (spec.channels,)
    taken = np.empty((len(rows), *shape), spec.numpy_dtype)
    order = np.argsort(rows, kind="stable")
    cuts = np.searchsorted(rows, row_offsets, sorter=order).tolist()
    local = rows[order] - np.repeat(row_offsets[:-1], np.diff(cuts))
    counts = np.diff(row_offsets).tolist()

    def take(part: slice) -> None:
        for row in range(part.start, part.stop):
            mine = slice(cuts[row], cuts[row + 1])
            payload = memoryview(cells.payload(row))
            if payload.nbytes != counts[row] * spec.row_stride:
                raise _wrong_size(cells, row, payload.nbytes, counts[row] * spec.row_stride)
            taken[order[mine]] = np.frombuffer(payload, spec.numpy_dtype).reshape(-1, *shape)[local[mine]]

    thread_map(take, _split([cells]))
    return taken


def _sizes(cells: FetchedCells) -> tuple[IntArray, list[Bytes]]:
    """Return the payload sizes, and the payloads where only decoding tells their sizes."""
    stated = cells.array.payload_sizes(cells.blobs)
    if stated is not None:
        return stated, []
    payloads = decode_payloads([cells])
    return np.array([memoryview(p).nbytes for p in payloads], np.int64), payloads


def _check_sizes(cells: FetchedCells, sizes: IntArray, stride: int, expected: IntArray | None) -> None:
    wrong = (sizes < 0) | (sizes % stride != 0)
    if expected is not None:
        wrong |= sizes != expected
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        payload = cells.payload(row)  # a damaged cell says more than its size does
        wanted = stride if expected is None else int(expected[row])
        raise _wrong_size(cells, row, memoryview(payload).nbytes, wanted, multiple=expected is None)


def _wrong_size(cells: FetchedCells, row: int, found: int, wanted: int, *, multiple: bool = False) -> ArrayError:
    key = ".".join(map(str, cells.chunks[row].tolist()))
    needed = f"a multiple of {wanted}" if multiple else str(wanted)
    return ArrayError(f"{cells.array.path}: chunk {key} holds {found} bytes, expected {needed}")
