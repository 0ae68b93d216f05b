"""Filing links under the cells of revision 0.9: by source chunk and by the offsets of the other endpoints.

Where a record is filed (Zarr Vectors specification, revision 0.9, links): with all endpoints in one chunk, there, in
input order. Undirected, canonical, same level: the endpoints are sorted by (chunk, row) and the first is the source.
Directed or across levels: endpoint 0 is the source and the order is kept. ``duplicate``: one copy under every chunk
that the link touches, the smallest endpoint there moved to the front.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.encoding.links import permutation_codes
from zarr_vectors.model.links import LinkCells, LinkTable
from zarr_vectors.ordering import offsets_of, stable_order
from zarr_vectors.typing import AnyArray, IntArray

_MAX_BITS = 62


def file_links(table: LinkTable, scale_here: IntArray, scale_there: IntArray) -> Iterator[LinkCells]:
    """Yield the links of a family, one combination of offsets after another.

    Parameters
    ----------
    table : LinkTable
        The links.
    scale_here, scale_there : (D,) int64
        Chunk shapes of the two levels over the root's.
    """
    chunks, rows, order, records = _arranged(table)
    combination, distinct = _combinations(chunks, len(table.there))
    vectors = _offset_vectors(distinct, table, scale_here, scale_there)
    segments, segment_of = np.unique(vectors, axis=0, return_inverse=True)
    segment = segment_of.reshape(-1)[combination]
    for number, vector in enumerate(segments):
        mine = slice(None) if len(segments) == 1 else np.flatnonzero(segment == number)
        yield _cells(table, vector, chunks[mine], rows[mine], None if order is None else order[mine], records[mine])


def _arranged(table: LinkTable) -> tuple[AnyArray, AnyArray, IntArray | None, IntArray]:
    """Return endpoints in stored order, source first, with the order taken and the link of each record."""
    records = np.arange(table.count, dtype=np.int64)
    if table.width == 1 or table.delta != 0 or (table.directed and table.store == "canonical"):
        return table.chunks, table.rows, None, records
    across = (table.chunks != table.chunks[:, :1]).any(axis=1)
    key = table.chunks.astype(np.int64) * (int(table.rows.max(initial=0)) + 1) + table.rows
    if table.store == "duplicate":
        return _duplicated(table, across, key)
    order = np.tile(np.arange(table.width), (table.count, 1))
    order[across] = np.argsort(key[across], axis=1, kind="stable")
    taken = np.take_along_axis(table.chunks, order, axis=1), np.take_along_axis(table.rows, order, axis=1)
    return *taken, order, records


def _duplicated(table: LinkTable, across: AnyArray, key: IntArray) -> tuple[AnyArray, AnyArray, IntArray, IntArray]:
    """Make one copy under every chunk that a link touches, its smallest endpoint there in front."""
    width = table.width
    copies, orders = [np.flatnonzero(~across)], [np.tile(np.arange(width), (int((~across).sum()), 1))]
    for lead in range(width):
        same = table.chunks == table.chunks[:, lead : lead + 1]
        smallest = np.where(same, key, np.iinfo(np.int64).max).argmin(axis=1) == lead
        chosen = np.flatnonzero(across & smallest)
        copies.append(chosen)
        orders.append(np.tile([lead, *(i for i in range(width) if i != lead)], (len(chosen), 1)))
    records, order = np.concatenate(copies), np.concatenate(orders)
    back = np.argsort(records, kind="stable")
    records, order = records[back], order[back]
    chunks = np.take_along_axis(table.chunks[records], order, axis=1)
    rows = np.take_along_axis(table.rows[records], order, axis=1)
    return chunks, rows, order, records


def _combinations(chunks: AnyArray, there: int) -> tuple[IntArray, IntArray]:
    """Return for every record the number of its combination of chunks, and the distinct combinations."""
    width = chunks.shape[1]
    base = max(int(chunks.max(initial=0)) + 1, there, 1)
    if width * np.log2(base) >= _MAX_BITS:
        distinct, inverse = np.unique(chunks, axis=0, return_inverse=True)
        return inverse.reshape(-1), distinct.astype(np.int64)
    key = chunks[:, 0].astype(np.int64)
    for endpoint in range(1, width):
        key = key * base + chunks[:, endpoint]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1])) if len(key) else np.zeros(0, np.int64)
    values, inverse = np.unique(key[starts], return_inverse=True)
    combination = np.repeat(inverse.reshape(-1), np.diff(np.append(starts, len(key))))
    distinct = np.empty((len(values), width), np.int64)
    for endpoint in range(width - 1, -1, -1):
        values, distinct[:, endpoint] = np.divmod(values, base)
    return combination, distinct


def _offset_vectors(distinct: IntArray, table: LinkTable, scale_here: IntArray, scale_there: IntArray) -> IntArray:
    """Return the offsets ``(n, (L - 1) * S)`` of combinations of chunks."""
    source = table.here[distinct[:, 0]]
    base = anchors(source, scale_here, scale_there) if table.delta else source
    others = [table.there[distinct[:, endpoint]] - base for endpoint in range(1, distinct.shape[1])]
    return np.concatenate(others, axis=1) if others else np.zeros((len(distinct), 0), np.int64)


def anchors(source: IntArray, scale_here: IntArray, scale_there: IntArray) -> IntArray:
    """Return ``floor(c * r_source / r_target)``, the chunk of the target level that offsets count from.

    A leading component beyond the spatial ones (an attribute bin) is the same at every level.
    """
    spatial = source.shape[1] - len(scale_here)
    scaled = source.copy()
    scaled[:, spatial:] = source[:, spatial:] * scale_here // scale_there
    return scaled


def _cells(
    table: LinkTable,
    vector: IntArray,
    chunks: AnyArray,
    rows: AnyArray,
    order: IntArray | None,
    records: IntArray,
) -> LinkCells:
    source = chunks[:, 0]
    if len(source) and bool((source[1:] < source[:-1]).any()):
        sort = stable_order([source.astype(np.uint32)])
        source, rows, records = source[sort], rows[sort], records[sort]
        order = None if order is None else order[sort]
    heads = np.flatnonzero(np.append(True, source[1:] != source[:-1])) if len(source) else np.zeros(0, np.int64)
    ndim = table.here.shape[1]
    offsets = tuple(tuple(int(v) for v in vector[e : e + ndim]) for e in range(0, len(vector), ndim))
    permuted = order is not None and bool(np.any(vector))
    return LinkCells(
        offsets=offsets,
        chunks=table.here[source[heads]],
        row_offsets=offsets_of(np.diff(np.append(heads, len(source)))),
        rows=rows,
        codes=permutation_codes(order) if permuted and order is not None else None,
        records=records,
    )


def format_offsets(offsets: tuple[tuple[int, ...], ...]) -> str:
    """Return the path segment of offsets: ``0.0.+1_0.+1.0``; ``self`` for links of one endpoint."""
    if not offsets:
        return "self"
    return "_".join(".".join(f"{v:+d}" if v else "0" for v in offset) for offset in offsets)
