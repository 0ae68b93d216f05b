"""Sharing fragments: runs of equal vertices that several paths have in a chunk are kept once.

Paths are cut where the set of paths that run together changes, so that what is left between two cuts is the same
wherever it occurs; every such segment becomes one fragment, which the manifests of all its paths name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.model.cells import Cells, Fragments, Manifests
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


@dataclass(frozen=True, slots=True)
class _Segments:
    """Segments of the rows of some cells, in stored order.

    Parameters
    ----------
    starts, counts : (P,) int64
        First row and length of every segment.
    kept : (P,) bool
        Which of them is the first of its kind.
    shared : (P,) int64
        For every segment, which of the kept ones is equal to it.
    """

    starts: IntArray
    counts: IntArray
    kept: BoolArray
    shared: IntArray


def share_fragments(cells: Cells) -> Cells:
    """Keep runs of equal vertices of a chunk once and let every path that has them name the same fragment.

    Vertices are equal when position and attributes agree bit for bit.

    Parameters
    ----------
    cells : Cells
        Paths of which every fragment is a run, in the order of the rows. Fragments have no attributes but
        ``object_id``.

    Returns
    -------
    Cells
        The same cells where no vertex of a chunk occurs twice. Otherwise manifests may name several fragments of a
        chunk in a row, fragments have no ``object_id``, and links between the same rows occur once.
    """
    if cells.count == 0 or cells.objects is None or cells.objects.manifests is None:
        return cells
    kinds, first = _equal_rows(cells)
    if len(first) == cells.count:
        return cells
    segments = _cut(kinds, first, offsets_of(cells.fragments.counts)[:-1])
    starts, counts = segments.starts[segments.kept], segments.counts[segments.kept]
    chunk = np.repeat(np.arange(len(cells.chunks)), cells.row_counts)[starts]
    row_offsets = offsets_of(np.bincount(chunk, counts, len(cells.chunks)).astype(np.int64))
    offsets = offsets_of(np.bincount(chunk, minlength=len(cells.chunks)))
    fragments = Fragments(offsets, offsets_of(counts)[:-1] - row_offsets[:-1][chunk], counts)
    rows = expand_ranges(starts, counts)
    place = expand_ranges(offsets_of(counts)[segments.shared], segments.counts)
    manifests = _manifests(cells, cells.objects.manifests, segments, fragments)
    return replace(
        cells,
        row_offsets=row_offsets,
        positions=cells.positions[rows],
        fragments=fragments,
        attributes={name: column.take(rows) for name, column in cells.attributes.items()},
        fragment_attributes={},
        objects=replace(cells.objects, manifests=manifests),
        links=tuple(_moved(table, cells.row_offsets, place, row_offsets) for table in cells.links),
    )


def _equal_rows(cells: Cells) -> tuple[IntArray, IntArray]:
    """Number rows so that equal rows of a chunk, and only they, have one number.

    Returns
    -------
    kinds : (N,) int64
        Number of every row.
    first : (K,) int64
        First row of every number.
    """
    chunk = np.repeat(np.arange(len(cells.chunks)), cells.row_counts)
    columns = [chunk, cells.positions, *(column.values for column in cells.attributes.values())]
    hashes = _hashes(columns)
    order = np.argsort(hashes, kind="stable")
    new: BoolArray = np.ones(len(order), bool)
    new[1:] = hashes[order[1:]] != hashes[order[:-1]]
    later = np.flatnonzero(~new)
    if not _same(columns, order[later], order[later - 1]):
        packed = np.concatenate([_bytes(column) for column in columns], axis=1)
        _, first, kinds = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        return kinds.reshape(-1), first
    kinds = np.empty(len(order), np.int64)
    kinds[order] = np.cumsum(new) - 1
    return kinds, order[new]


def _bytes(column: AnyArray) -> AnyArray:
    return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), -1)


def _hashes(columns: Iterable[AnyArray]) -> AnyArray:
    """Return a hash of 64 bits of every row of some columns."""
    mixed: AnyArray | None = None
    for column in columns:
        rows = _bytes(column)
        padded = np.zeros((len(rows), -(-rows.shape[1] // 8) * 8), np.uint8)
        padded[:, : rows.shape[1]] = rows
        for word in padded.view(np.uint64).T:
            mixed = word * _MIX if mixed is None else (mixed ^ word) * _MIX
            mixed ^= mixed >> _SHIFT
    assert mixed is not None
    return mixed


def _same(columns: Iterable[AnyArray], some: IntArray, others: IntArray) -> bool:
    """Return whether pairs of rows agree bit for bit in every column."""
    return all(np.array_equal(rows[some], rows[others]) for rows in map(_bytes, columns))


def _cut(kinds: IntArray, first: IntArray, runs: IntArray) -> _Segments:
    """Cut runs wherever a vertex does not always follow the one before it, or is not always followed by the next.

    Parameters
    ----------
    kinds : (N,) int64
        Number of every row.
    first : (K,) int64
        First row of every number.
    runs : (R,) int64
        First row of every run.
    """
    starts_run = np.zeros(len(kinds) + 1, bool)
    starts_run[runs] = starts_run[-1] = True
    before = np.where(starts_run[:-1], -1, np.roll(kinds, 1))
    after = np.where(starts_run[1:], -1, np.roll(kinds, -1))
    joined = _agreed(kinds, first, before)
    joined[1:] &= _agreed(kinds, first, after)[:-1]
    starts = np.flatnonzero(~joined)
    counts = np.diff(np.append(starts, len(kinds)))
    kept = first[kinds[starts]] == starts
    number = np.zeros(len(first), np.int64)
    number[kinds[starts[kept]]] = np.arange(int(kept.sum()))
    return _Segments(starts, counts, kept, number[kinds[starts]])


def _agreed(kinds: IntArray, first: IntArray, neighbours: IntArray) -> BoolArray:
    """Return for every row whether all rows of its number have one and the same neighbour, and have one."""
    usual = neighbours[first]
    agreed = usual >= 0
    agreed[kinds[neighbours != usual[kinds]]] = False
    return np.asarray(agreed[kinds])


def _manifests(cells: Cells, old: Manifests, segments: _Segments, fragments: Fragments) -> Manifests:
    """Name, in place of every run, its segments."""
    chunk = ChunkLookup.of(cells.chunks).rows(old.chunks)
    run = cells.fragments.offsets[chunk] + old.fragments
    firsts = np.searchsorted(segments.starts, offsets_of(cells.fragments.counts))
    counts = np.diff(firsts)[run]
    named = segments.shared[expand_ranges(firsts[run], counts)]
    numbers = named - np.repeat(fragments.offsets[chunk], counts)
    return Manifests(offsets_of(counts)[old.offsets], np.repeat(old.chunks, counts, axis=0), numbers)


def _moved(table: LinkTable, row_offsets: IntArray, place: IntArray, moved_offsets: IntArray) -> LinkTable:
    """Return links between the rows that are kept, each once."""
    rows = place[table.rows + row_offsets[:-1][table.chunks]]
    order = np.lexsort(rows.T)
    new = np.ones(len(order), bool)
    new[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    kept = np.sort(order[new])
    chunks = table.chunks[kept]
    attributes = {name: column.take(kept) for name, column in table.attributes.items()}
    return replace(table, chunks=chunks, rows=rows[kept] - moved_offsets[:-1][chunks], attributes=attributes)
