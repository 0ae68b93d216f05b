"""Which stored row each row of a reader's result is: the order in which values are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.edit.elements import is_ordered
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.absent import absent_values
from zarr_vectors.model.attributes import Column
from zarr_vectors.read.fetch import decode_fragments, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_manifests
from zarr_vectors.read.paths import read_paths
from zarr_vectors.read.query import Query
from zarr_vectors.read.row_offsets import read_row_offsets
from zarr_vectors.read.store import StoreReader
from zarr_vectors.typing import AnyArray, IntArray


@dataclass(frozen=True, slots=True)
class VertexOrder:
    """The order in which the reader of a level's kind returns its vertices.

    Parameters
    ----------
    count : int
        Number of vertices that the reader returns.
    row_offsets : (C + 1,) int64
        Where the stored rows of each chunk start.
    rows : (count,) int64, optional
        Stored row of every vertex; None where the reader returns stored order.
    """

    count: int
    row_offsets: IntArray
    rows: IntArray | None = None

    @classmethod
    def of(cls, store: StoreReader, level: LevelReader) -> VertexOrder:
        """Find the order of a level: stored order; of paths path after path, in the order of the object index."""
        offsets = read_row_offsets(level)
        if not is_ordered(store):
            return cls(int(offsets[-1]), offsets)
        paths = read_paths(level, Query(attributes=[]), keep_empty=True)
        chunk, row = paths.places()
        return cls(len(paths.positions), offsets, offsets[:-1][chunk] + row)

    def stored(self, store: StoreReader, level: LevelReader, column: Column) -> Column:
        """Return a column by stored rows from one in the reader's order.

        Raises
        ------
        ArgumentError
            When vertices that are stored once, since several paths share them, are given different values.
        """
        if self.rows is None:
            return column
        total = int(self.row_offsets[-1])
        values: AnyArray = absent_values(column.spec, total).astype(column.values.dtype, copy=False)
        values[self.rows] = column.values
        if not _equal(values[self.rows], column.values):
            raise ArgumentError(
                f"{level.name}: paths share vertices that are stored once, and the values given for one of them differ "
                "between paths; write the store anew with share_fragments=False"
            )
        given = np.zeros(total, bool)
        given[self.rows] = True
        if not given.all():
            _fill_repeated(level, self.row_offsets, given, values)
        return Column(values, column.spec)


def read_order_of(order: VertexOrder, values: AnyArray) -> AnyArray:
    """Return stored values in the reader's order."""
    return values if order.rows is None else values[order.rows]


def _equal(some: AnyArray, others: AnyArray) -> bool:
    if some.dtype.kind == "f":
        return bool(((some == others) | (np.isnan(some) & np.isnan(others))).all())
    return bool((some == others).all())


def _fill_repeated(level: LevelReader, row_offsets: IntArray, given: AnyArray, values: AnyArray) -> None:
    """Give vertices that are repeated where a path enters a chunk the value of the vertex that they repeat."""
    fragment_array = level.arrays.vertex_fragments
    if fragment_array is None:
        return
    fragments = decode_fragments(fetch_cells(level.storage, [fragment_array], level.chunks)[0])
    manifests = read_manifests(level, None)
    chunk = level.lookup.rows(manifests.chunks)
    numbers = fragments.offsets[chunk] + manifests.fragments
    first = row_offsets[:-1][chunk] + fragments.starts[numbers]
    last = first + fragments.counts[numbers] - 1
    later = np.flatnonzero(~given[first[1:]]) + 1
    values[first[later]] = values[last[later - 1]]
