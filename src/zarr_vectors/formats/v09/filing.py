"""Filing links under the cells of revision 0.9: by source chunk and by the offsets of the other endpoints.

Where a record is filed (Zarr Vectors specification, revision 0.9, links): with all endpoints in one chunk, there, in
input order. Undirected, canonical, same level: the endpoints are sorted by (chunk, row) and the first is the source.
Directed or across levels: endpoint 0 is the source and the order is kept. ``duplicate``: one copy under every chunk
that the link touches, the smallest endpoint there moved to the front.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from zarr_vectors.encoding.links import permutation_codes
from zarr_vectors.model.links import LinkCells, LinkTable
from zarr_vectors.ordering import offsets_of, stable_order
from zarr_vectors.typing import AnyArray, IntArray

_MAX_BITS = 62
_MAX_TABLE = 1 << 16
_TABLE_SHARE = 4


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
    # One sort by segment and source cuts the links into cells; the order of the input stays within each.
    segment = segment_of.reshape(-1).astype(np.uint32)[combination]
    del combination
    source = chunks[:, 0].astype(np.uint32)
    sort = stable_order([segment, source])
    if bool((sort[1:] < sort[:-1]).any()):
        segment, source, records = segment[sort], source[sort], records[sort]
        rows = np.take(rows, sort, axis=0, mode="clip")
        order = None if order is None else np.take(order, sort, axis=0, mode="clip")
    ends = np.cumsum(np.bincount(segment, minlength=len(segments))).tolist()
    for vector, start, end in zip(segments, [0, *ends][:-1], ends, strict=True):
        mine = slice(start, end)
        permutations = order[mine] if order is not None and bool(np.any(vector)) else None
        yield _cells(table, vector, source[mine], rows[mine], permutations, records[mine])


def _arranged(table: LinkTable) -> tuple[AnyArray, AnyArray, AnyArray | None, IntArray]:
    """Return endpoints in stored order, source first, with the order taken and the link of each record."""
    records: IntArray = np.arange(table.count, dtype=_number_type(table.count))
    if table.width == 1 or table.delta != 0 or (table.directed and table.store == "canonical"):
        return table.chunks, table.rows, None, records
    if table.width == 2 and table.store == "canonical":
        return (*_edges_arranged(table), records)
    across = np.zeros(table.count, bool)
    for endpoint in range(1, table.width):
        across |= table.chunks[:, endpoint] != table.chunks[:, 0]
    base = int(table.rows.max(initial=0)) + 1
    if table.store == "duplicate":
        return _duplicated(table, across, table.chunks.astype(np.int64) * base + table.rows)
    moved = np.flatnonzero(across)
    theirs, rows = table.chunks[moved], table.rows[moved]
    order = _row_orders(theirs.astype(np.int64) * base + rows)
    orders = np.tile(np.arange(table.width, dtype=np.int8), (table.count, 1))
    orders[moved] = order
    all_chunks, all_rows = table.chunks.copy(), table.rows.copy()
    all_chunks[moved] = np.take_along_axis(theirs, order, axis=1)
    all_rows[moved] = np.take_along_axis(rows, order, axis=1)
    return all_chunks, all_rows, orders, records


def _edges_arranged(table: LinkTable) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Turn links of two endpoints around whose source lies in the later chunk."""
    turned = table.chunks[:, 0] > table.chunks[:, 1]
    orders = np.stack([turned, ~turned], axis=1).astype(np.int8)
    if not turned.any():
        return table.chunks, table.rows, orders
    chunks, rows = table.chunks.copy(), table.rows.copy()
    chunks[turned], rows[turned] = table.chunks[turned, ::-1], table.rows[turned, ::-1]
    return chunks, rows, orders


def _row_orders(keys: IntArray) -> IntArray:
    """Return the stable order of the few numbers of every row, by comparing them in pairs."""
    order = np.empty(keys.shape, np.int64)
    rows = np.arange(len(keys))
    for place in range(keys.shape[1]):
        rank = np.zeros(len(keys), np.int64)
        for other in range(keys.shape[1]):
            if other != place:
                first = keys[:, other] <= keys[:, place] if other < place else keys[:, other] < keys[:, place]
                rank += first
        order[rows, rank] = place
    return order


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
    values, combination = _distinct(key, base**width)
    distinct = np.empty((len(values), width), np.int64)
    for endpoint in range(width - 1, -1, -1):
        values, distinct[:, endpoint] = np.divmod(values, base)
    return combination, distinct


def _distinct(key: IntArray, limit: int) -> tuple[IntArray, IntArray]:
    """Return the distinct numbers below a limit, ascending, and for every number its place among them."""
    if limit <= max(_MAX_TABLE, _TABLE_SHARE * len(key)):
        place: IntArray = np.zeros(limit, _number_type(limit))
        place[key] = 1
        values = np.flatnonzero(place)
        place[values] = np.arange(len(values))
        return values, place[key]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1])) if len(key) else np.zeros(0, np.int64)
    values, inverse = np.unique(key[starts], return_inverse=True)
    return values, np.repeat(inverse.reshape(-1), np.diff(np.append(starts, len(key))))


def _number_type(limit: int) -> type[np.signedinteger[Any]]:
    """Return the smaller integer type that holds numbers below a limit, of which there may be one for every link."""
    return np.int32 if limit <= np.iinfo(np.int32).max else np.int64


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
    table: LinkTable, vector: IntArray, source: AnyArray, rows: AnyArray, order: AnyArray | None, records: IntArray
) -> LinkCells:
    """Return the cells of links that are sorted by their source."""
    heads = np.flatnonzero(np.append(True, source[1:] != source[:-1])) if len(source) else np.zeros(0, np.int64)
    ndim = table.here.shape[1]
    return LinkCells(
        offsets=tuple(tuple(int(v) for v in vector[e : e + ndim]) for e in range(0, len(vector), ndim)),
        chunks=table.here[source[heads]],
        row_offsets=offsets_of(np.diff(np.append(heads, len(source)))),
        rows=rows,
        codes=None if order is None else permutation_codes(order),
        records=records,
    )


def format_offsets(offsets: tuple[tuple[int, ...], ...]) -> str:
    """Return the path segment of offsets: ``0.0.+1_0.+1.0``; ``self`` for links of one endpoint."""
    if not offsets:
        return "self"
    return "_".join(".".join(f"{v:+d}" if v else "0" for v in offset) for offset in offsets)
