"""Reading the cells of an array one by one where some are damaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.formats.objects import parse_fragments
from zarr_vectors.model.cells import Fragments
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.fetch import fetch_cells
from zarr_vectors.storage.port import Storage
from zarr_vectors.typing import AnyArray, BoolArray, Bytes, IntArray
from zarr_vectors.validate.subjects import DAMAGE


@dataclass(frozen=True, slots=True)
class SalvagedRows:
    """Rows of the cells of an array that can be decoded.

    Parameters
    ----------
    payloads : list of bytes
        Payloads by chunk, None for cells that cannot be decoded.
    counts : (C,) int64
        Rows of each cell, -1 where they are not whole or cannot be decoded.
    array : CellArray
        The array.
    """

    payloads: list[Bytes | None]
    counts: IntArray
    array: CellArray

    def values(self, rows: IntArray) -> AnyArray:
        """Return the rows of some cells, all of which can be decoded, one after another."""
        spec = self.array.spec
        data = b"".join(bytes(self.payloads[row] or b"") for row in rows.tolist())
        values: AnyArray = np.frombuffer(data, spec.numpy_dtype).astype(spec.numpy_dtype.newbyteorder("="))
        return values if spec.channels is None else values.reshape(-1, spec.channels)


def salvage_payloads(storage: Storage, array: CellArray, chunks: IntArray) -> list[Bytes | None]:
    """Return the payloads of some cells, None for those that cannot be decoded; an empty cell is ``b""``."""
    try:
        cells = fetch_cells(storage, [array], chunks)[0]
    except DAMAGE:
        return [_one(storage, array, chunks[row : row + 1]) for row in range(len(chunks))]
    payloads: list[Bytes | None] = []
    for row in range(len(chunks)):
        try:
            payloads.append(cells.payload(row))
        except DAMAGE:
            payloads.append(None)
    return payloads


def _one(storage: Storage, array: CellArray, chunk: IntArray) -> Bytes | None:
    try:
        return fetch_cells(storage, [array], chunk)[0].payload(0)
    except DAMAGE:
        return None


def salvage_rows(storage: Storage, array: CellArray, chunks: IntArray) -> SalvagedRows:
    """Return the rows of some cells that can be decoded."""
    payloads = salvage_payloads(storage, array, chunks)
    sizes = np.array([-1 if p is None else memoryview(p).nbytes for p in payloads], np.int64).reshape(len(chunks))
    stride = max(1, array.spec.row_stride)
    counts = np.where((sizes < 0) | (sizes % stride != 0), -1, sizes // stride)
    return SalvagedRows(payloads, counts, array)


def salvage_fragments(storage: Storage, array: CellArray | None, chunks: IntArray) -> tuple[Fragments, BoolArray]:
    """Return the fragment tables of some chunks, and which of them could not be decoded (their tables are empty)."""
    if array is None:
        return no_fragments(len(chunks)), np.ones(len(chunks), bool)
    payloads = salvage_payloads(storage, array, chunks)
    tables = [_parsed(payload) for payload in payloads]
    bad = np.array([table is None for table in tables], bool).reshape(len(chunks))
    return joined_fragments([no_fragments(1) if table is None else table for table in tables]), bad


def _parsed(payload: Bytes | None) -> Fragments | None:
    if payload is None or memoryview(payload).nbytes == 0:
        return None
    try:
        return parse_fragments([payload])
    except ArrayError:
        return None


def no_fragments(chunks: int) -> Fragments:
    """Return empty tables."""
    return Fragments(np.zeros(chunks + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))


def joined_fragments(tables: list[Fragments]) -> Fragments:
    """Return the tables of single chunks as one."""
    if not tables:
        return no_fragments(0)
    offsets = offsets_of(np.array([table.count for table in tables], np.int64))
    counts = np.concatenate([table.counts for table in tables])
    if all(table.explicit is None for table in tables):
        return Fragments(offsets, np.concatenate([table.starts for table in tables]), counts)
    listed = [np.zeros(table.count, bool) if table.explicit is None else table.explicit for table in tables]
    places = offsets_of(np.array([len(table.rows) for table in tables], np.int64))[:-1].tolist()
    starts = [
        np.where(explicit, table.starts + place, table.starts)
        for table, explicit, place in zip(tables, listed, places, strict=True)
    ]
    rows = np.concatenate([table.rows for table in tables])
    return Fragments(offsets, np.concatenate(starts), counts, np.concatenate(listed), rows)


def split_fragments(fragments: Fragments) -> list[Fragments]:
    """Return the table of every chunk as one of its own."""
    tables = []
    for first, last in zip(fragments.offsets[:-1].tolist(), fragments.offsets[1:].tolist(), strict=True):
        ends = np.array([0, last - first], np.int64)
        starts, counts = fragments.starts[first:last], fragments.counts[first:last]
        if fragments.explicit is None or not fragments.explicit[first:last].any():
            tables.append(Fragments(ends, starts, counts))
            continue
        explicit = fragments.explicit[first:last]
        low = int(starts[explicit].min())
        high = int((starts + counts)[explicit].max())
        tables.append(
            Fragments(ends, np.where(explicit, starts - low, starts), counts, explicit, fragments.rows[low:high])
        )
    return tables
