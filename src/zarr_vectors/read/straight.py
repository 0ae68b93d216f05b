"""Reading rows of uncompressed cells straight into the arrays that are returned, without a copy in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from zarr_vectors.encoding.checksum import checksum_bytes
from zarr_vectors.encoding.flat import split_flat
from zarr_vectors.formats.layout import CellArray, PlainCells
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.vertices import RAW
from zarr_vectors.storage.port import FillsBuffers, Range, Storage
from zarr_vectors.typing import AnyArray, ByteArray, IntArray

WORTHWHILE = 4 * 2**20
"""Bytes from which a copy costs more than it takes to plan without one."""


@dataclass(frozen=True, slots=True)
class StraightRows:
    """Rows of some chunks.

    Parameters
    ----------
    values : list of (N,) or (N, C) array
        One an array, in the order asked.
    row_offsets : (n + 1,) int64
        Where each chunk's rows start.
    """

    values: list[AnyArray]
    row_offsets: IntArray


def read_straight(storage: Storage, arrays: Sequence[CellArray], chunks: IntArray) -> StraightRows | None:
    """Read raw rows of some chunks of arrays that have a row for every vertex, where that can be done without a copy.

    Shard indexes must have been taken in.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    arrays : sequence of CellArray
        The vertices and attributes of a level.
    chunks : (n, S) int64
        Chunks to read.

    Returns
    -------
    StraightRows or None
        None where there is little to read, the storage cannot do it, cells are compressed, or anything is not as it
        must be: what reads cells one by one says what is wrong.
    """
    if not isinstance(storage, FillsBuffers) or len(chunks) == 0:
        return None
    if any(array.spec.encoding not in (None, RAW) for array in arrays):
        return None
    plans = [plan for array in arrays if (plan := array.plain_cells(chunks)) is not None]
    if len(plans) < len(arrays) or sum(int(plan.sizes.sum()) for plan in plans) < WORTHWHILE:
        return None
    counts = plans[0].sizes // arrays[0].spec.row_stride
    if any((plan.sizes != counts * array.spec.row_stride).any() for plan, array in zip(plans, arrays, strict=True)):
        return None
    try:
        buffers = [np.empty(int(plan.sizes.sum()), np.uint8) for plan in plans]
    except MemoryError:
        return None
    headers = [np.empty_like(plan.headers) for plan in plans]
    ends = [np.empty((len(chunks), plan.checksum), np.uint8) for plan in plans]
    parts = [_targets(*into) for into in zip(plans, headers, buffers, ends, strict=True)]
    requests = [request for plan in plans for request in _ranges(plan)]
    if not storage.fill_many(requests, [target for cells in parts for cell in cells for target in cell]):
        return None
    if not all(map(_are_sound, plans, headers, parts)):
        return None
    values = [_rows(array, buffer) for array, buffer in zip(arrays, buffers, strict=True)]
    return StraightRows(values, offsets_of(counts))


def _ranges(plan: PlainCells) -> list[Range]:
    """Return the ranges of the headers, payloads and checksums of cells, in turn."""
    first = plan.starts + plan.headers.shape[1]
    last = first + plan.sizes
    bounds = np.stack([plan.starts, first, last, last + plan.checksum], axis=1).tolist()
    return [
        request
        for address, ends in zip(plan.addresses, bounds, strict=True)
        for request in (Range(address, start, end) for start, end in pairwise(ends) if end > start)
    ]


def _targets(plan: PlainCells, header: ByteArray, buffer: ByteArray, end: ByteArray) -> list[tuple[memoryview, ...]]:
    """Return where the header and payload, and the checksum if there is one, of each cell go."""
    parts = [_split(header), split_flat(buffer, offsets_of(plan.sizes))]
    return list(zip(*parts, *([_split(end)] if plan.checksum else []), strict=True))


def _split(rows: ByteArray) -> list[memoryview]:
    """Return a view of every row."""
    return split_flat(rows.reshape(-1), rows.shape[1] * np.arange(len(rows) + 1))


def _are_sound(plan: PlainCells, header: ByteArray, cells: Sequence[tuple[memoryview, ...]]) -> bool:
    """Return whether what was read has the headers and checksums that it must have."""
    if not np.array_equal(header, plan.headers):
        return False
    return not plan.checksum or all(checksum_bytes(head, payload) == stored for head, payload, stored in cells)


def _rows(array: CellArray, buffer: ByteArray) -> AnyArray:
    values: AnyArray = buffer.view(array.spec.numpy_dtype)
    return values if array.spec.channels is None else values.reshape(-1, array.spec.channels)
