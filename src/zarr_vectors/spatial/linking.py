"""Links between rows of the input ⇄ links between rows of chunks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.model.cells import Cells, Fragments
from zarr_vectors.model.elements import Links
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import stable_order
from zarr_vectors.typing import BoolArray, IntArray


def place_links(cells: Cells, links: Links, order: IntArray) -> Cells:
    """Return cells with links filed by the chunks and rows of their endpoints.

    Links inside a chunk are sorted by the vertex fragment of their first endpoint, input order within, so that
    the links of one object can be sliced.

    Parameters
    ----------
    cells : Cells
        Partitioned vertices.
    links : Links
        Links between rows of the input.
    order : (N,) int64
        Row of the input of every stored row.
    """
    stored = np.empty(len(order), np.int64)
    stored[order] = np.arange(len(order))
    of_row = fragment_of_rows(cells)
    # "clip" neither checks nor buffers: the rows are known to exist.
    endpoints = np.take(stored, links.rows, mode="clip")
    fragment = of_row[endpoints[:, 0]]
    kept = None
    if links.implied:
        follows = (endpoints[:, 0] == endpoints[:, 1] + 1) & (fragment == of_row[endpoints[:, 1]])
        kept = np.flatnonzero(~follows)
        endpoints, fragment = endpoints[kept], fragment[kept]
    sort = stable_order([fragment.astype(np.uint32)])
    endpoints, fragment = np.take(endpoints, sort, axis=0, mode="clip"), fragment[sort]
    sort = sort if kept is None else kept[sort]
    chunks = np.take(np.repeat(np.arange(len(cells.chunks)), cells.row_counts), endpoints, mode="clip")
    table = LinkTable(
        delta=0,
        chunks=chunks,
        rows=endpoints - np.take(cells.row_offsets, chunks, mode="clip"),
        here=cells.chunks,
        there=cells.chunks,
        directed=links.directed,
        store=links.store,
        attributes={name: column.take(sort) for name, column in links.attributes.items()},
    )
    return replace(cells, links=(table,), link_fragments=link_fragments(cells, table, fragment))


def crossing_links(cells: Cells, path_order: IntArray, continues: BoolArray) -> tuple[LinkTable, ...]:
    """Return the links by which paths go on in another chunk; none where no path does.

    Parameters
    ----------
    cells : Cells
        Partitioned paths.
    path_order : (F,) int64
        Fragments in path order.
    continues : (F,) bool
        In path order, which fragments continue the path of the one before.
    """
    later = np.flatnonzero(continues)
    if len(later) == 0:
        return ()
    chunk, fragments = cells.fragments.chunk_of, cells.fragments
    before, after = path_order[later - 1], path_order[later]
    rows = np.stack([fragments.starts[before] + fragments.counts[before] - 1, fragments.starts[after]], axis=1)
    chunks = np.stack([chunk[before], chunk[after]], axis=1)
    return (LinkTable(0, chunks, rows, cells.chunks, cells.chunks),)


def fragment_of_rows(cells: Cells) -> IntArray:
    """Return the fragment (counted over all chunks) of every row, for fragments that tile their chunks."""
    return np.repeat(np.arange(cells.fragments.count), cells.fragments.counts)


def inside_chunks(table: LinkTable) -> BoolArray:
    """Return which links of a level have all endpoints in one chunk."""
    inside = np.ones(table.count, bool)
    for endpoint in range(1, table.width):
        inside &= table.chunks[:, endpoint] == table.chunks[:, 0]
    return inside


def with_link_fragments(cells: Cells) -> Cells:
    """Return cells that say which of their links start in which vertex fragment, where the links are in that order.

    Parameters
    ----------
    cells : Cells
        Vertices and links, as they are stored. Links that are not ordered by vertex fragments stay without.
    """
    tables = [table for table in cells.links if table.delta == 0]
    tiled = cells.fragments.explicit is None and int(cells.fragments.counts.sum()) == cells.count
    if not tables or not tiled:
        return cells
    table = tables[0]
    inside = inside_chunks(table)
    first = cells.row_offsets[:-1][table.chunks[:, 0]] + table.rows[:, 0]
    fragment = fragment_of_rows(cells)[first]
    by_chunk = fragment[inside][np.argsort(table.chunks[inside, 0], kind="stable")]
    if (by_chunk[1:] < by_chunk[:-1]).any():
        return cells
    return replace(cells, link_fragments=link_fragments(cells, table, fragment))


def link_fragments(cells: Cells, table: LinkTable, fragment: IntArray) -> Fragments:
    """Return which links inside chunks start in each vertex fragment, as ranges in stored order.

    Parameters
    ----------
    cells : Cells
        Partitioned vertices.
    table : LinkTable
        Links, sorted by fragment.
    fragment : (M,) int64
        Fragment of the first endpoint of every link.
    """
    inside = inside_chunks(table)
    counts = np.bincount(fragment[inside], minlength=cells.fragments.count)
    running = np.cumsum(counts) - counts
    base = running[cells.fragments.offsets[:-1]] if cells.fragments.count else running
    per_chunk = np.diff(cells.fragments.offsets)
    return Fragments(cells.fragments.offsets, running - np.repeat(base, per_chunk), counts)
