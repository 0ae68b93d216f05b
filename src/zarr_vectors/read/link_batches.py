"""The links of one family a few cells at a time, for steps that must not hold all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zarr_vectors.formats.absent import absent_values
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.links import LinkTable
from zarr_vectors.read.fetch import fetch_cells, fetch_many
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.links import plan_links
from zarr_vectors.read.vertices import decode_vertices, holds_faces, with_blob_faces

_FIRST_CELLS = 8


def read_link_batches(level: LevelReader, other: LevelReader, delta: int, links_at_once: int) -> Iterator[LinkTable]:
    """Yield the links of one family, in reading order, some cells at a time.

    Parameters
    ----------
    level, other, delta
        As in :func:`~zarr_vectors.read.links.plan_links`.
    links_at_once : int
        Links wanted in a table; a cell with more, and the links between chunks of revision 0.7, which are one blob,
        come as a whole and are cut afterwards.
    """
    plan = plan_links(level, other, delta)
    listed = replace(plan, family=replace(plan.family, blob=None))
    first, step = 0, _FIRST_CELLS
    while first < len(plan.cells.arrays):
        part = replace(listed, cells=plan.cells.select(slice(first, first + step)))
        table = part.decode(fetch_many(level.storage, part.wanted))
        yield from _cut(table, links_at_once)
        first += step
        mean = max(1.0, table.count / step)
        step = max(1, min(4 * step, int(links_at_once / mean)))
    if plan.family.blob is not None:
        blob = replace(plan, cells=plan.cells.select(slice(0, 0)))
        yield from _cut(blob.decode([]), links_at_once)
    if delta == 0 and holds_faces(level):
        yield from _faces_in_blobs(level, listed.decode([]) if not len(plan.cells.arrays) else table)


def _cut(table: LinkTable, links_at_once: int) -> Iterator[LinkTable]:
    for start in range(0, table.count, links_at_once):
        yield _rows(table, slice(start, start + links_at_once))


def _rows(table: LinkTable, rows: slice) -> LinkTable:
    columns = {name: column.take(rows) for name, column in table.attributes.items()}
    return replace(table, chunks=table.chunks[rows], rows=table.rows[rows], attributes=columns)


def _faces_in_blobs(level: LevelReader, like: LinkTable) -> Iterator[LinkTable]:
    """Yield the faces that are stored with the vertices of their chunk, chunk by chunk."""
    none = _rows(like, slice(0, 0))
    none = replace(none, attributes={n: Column(absent_values(c.spec, 0), c.spec) for n, c in none.attributes.items()})
    for row in range(len(level.chunks)):
        chunk_rows = np.arange(row, row + 1)
        fetched = fetch_cells(level.storage, [level.arrays.vertices], level.chunks[chunk_rows])[0]
        _, row_offsets, faces = decode_vertices(fetched)
        yield with_blob_faces(none, chunk_rows, row_offsets, faces)
