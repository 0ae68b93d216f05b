"""Cells without some of their vertices: fragments, manifests and links follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.model.cells import Cells, Fragments, Manifests, ObjectTable
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import expand_ranges, offsets_of, stable_order
from zarr_vectors.spatial.linking import fragment_of_rows, link_fragments
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.typing import BoolArray, IntArray


def keep_rows(cells: Cells, keep: BoolArray, *, keep_fragments: bool) -> Cells:
    """Return cells with some of their vertices.

    Chunks that lose all vertices go. Objects stay, if need be with an empty manifest; so do groups.

    Parameters
    ----------
    cells : Cells
        Whole chunks without stored links.
    keep : (N,) bool
        Which vertices stay.
    keep_fragments : bool
        Whether fragments that become empty stay where their chunk does, as those of bins must; otherwise they
        go, and manifests do not name them any more.

    Returns
    -------
    Cells
        Rows in the same order.
    """
    kept_before = offsets_of(keep)
    fragments = _shortened(cells, keep, kept_before)
    row_counts = np.diff(kept_before[cells.row_offsets])
    chunk_stays = row_counts > 0
    stays = chunk_stays[cells.fragments.chunk_of]
    if not keep_fragments:
        stays &= fragments.counts > 0
    taken = {name: column.take(keep) for name, column in cells.attributes.items()}
    return replace(
        cells,
        chunks=cells.chunks[chunk_stays],
        row_offsets=offsets_of(row_counts[chunk_stays]),
        positions=cells.positions[keep],
        fragments=_selected(fragments, stays, chunk_stays),
        attributes=taken,
        fragment_attributes={name: column.take(stays) for name, column in cells.fragment_attributes.items()},
        objects=_with_manifests(cells, stays),
    )


def _shortened(cells: Cells, keep: BoolArray, kept_before: IntArray) -> Fragments:
    """Return the fragments, all of them, with rows counted among those that stay."""
    old = cells.fragments
    base = cells.row_offsets[:-1][old.chunk_of]
    first = base + old.starts
    explicit = np.zeros(old.count, bool) if old.explicit is None else old.explicit
    ranged = ~explicit
    starts, counts = np.zeros(old.count, np.int64), np.zeros(old.count, np.int64)
    starts[ranged] = kept_before[first[ranged]] - kept_before[base[ranged]]
    counts[ranged] = kept_before[(first + old.counts)[ranged]] - kept_before[first[ranged]]
    listed = np.flatnonzero(explicit)
    owner = np.repeat(listed, old.counts[listed])
    local = old.rows[expand_ranges(old.starts[listed], old.counts[listed])]
    stays = keep[base[owner] + local]
    owner, local = owner[stays], local[stays]
    counts += np.bincount(owner, minlength=old.count)
    rows = kept_before[base[owner] + local] - kept_before[base[owner]]
    starts[listed] = offsets_of(counts[listed])[:-1]
    return Fragments(old.offsets, starts, counts, None if old.explicit is None else explicit, rows)


def _selected(fragments: Fragments, stays: BoolArray, chunk_stays: BoolArray) -> Fragments:
    """Return some of the fragments, those of chunks that stay."""
    before = offsets_of(stays)
    per_chunk = np.diff(before[fragments.offsets])
    explicit = fragments.explicit
    starts, counts, rows = fragments.starts[stays], fragments.counts[stays], fragments.rows
    if explicit is not None:
        explicit = explicit[stays]
        rows = rows[expand_ranges(starts[explicit], counts[explicit])]
        starts[explicit] = offsets_of(counts[explicit])[:-1]
        explicit = explicit if explicit.any() else None
    return Fragments(offsets_of(per_chunk[chunk_stays]), starts, counts, explicit, rows)


def _with_manifests(cells: Cells, stays: BoolArray) -> ObjectTable | None:
    """Return the object table with manifests that name the fragments that stay, by their new numbers."""
    table = cells.objects
    if table is None or table.manifests is None:
        return table
    old = table.manifests
    rows = ChunkLookup.of(cells.chunks).rows(old.chunks)
    known = rows >= 0
    number = np.where(known, cells.fragments.offsets[rows] + old.fragments, 0)
    known &= number < len(stays)
    kept = known & stays[np.where(known, number, 0)] if len(stays) else np.zeros(len(rows), bool)
    before = offsets_of(stays)
    local = before[number[kept]] - before[cells.fragments.offsets[rows[kept]]]
    counts = np.diff(offsets_of(kept)[old.offsets])
    return replace(table, manifests=Manifests(offsets_of(counts), old.chunks[kept], local))


@dataclass(frozen=True, slots=True)
class Places:
    """Where the rows of a level are when some of them are gone.

    Parameters
    ----------
    keep : (N,) bool
        Which rows stay.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk started.
    chunks : (C, S) int64
        The chunks.
    """

    keep: BoolArray
    row_offsets: IntArray
    chunks: IntArray

    @property
    def loses(self) -> bool:
        """Whether any row goes."""
        return not bool(self.keep.all())

    @property
    def chunks_left(self) -> IntArray:
        """The chunks that have rows left, as :func:`keep_rows` keeps them."""
        return self.chunks[np.diff(offsets_of(self.keep)[self.row_offsets]) > 0]

    def numbers(self, chunks: IntArray, rows: IntArray) -> IntArray:
        """Return the number in the level of rows of chunks, as both were."""
        return np.asarray(self.row_offsets[:-1][chunks] + rows)

    def moved(self, numbers: IntArray) -> tuple[IntArray, IntArray]:
        """Return the chunk, among those that are left, and the row in it, of rows that stay."""
        before = offsets_of(self.keep)
        counts = np.diff(before[self.row_offsets])
        chunk = np.searchsorted(self.row_offsets, numbers, side="right") - 1
        return (np.cumsum(counts > 0) - 1)[chunk], before[numbers] - before[self.row_offsets[chunk]]


def keep_links(table: LinkTable, here: Places, there: Places) -> LinkTable:
    """Return the links all of whose endpoints stay, with their attributes, in the same order.

    Parameters
    ----------
    table : LinkTable
        Links of a level.
    here, there : Places
        The rows of that level, and of the one of the other endpoints; the same within a level.
    """
    sides = [here, *[there] * (table.width - 1)]
    numbers = [side.numbers(table.chunks[:, end], table.rows[:, end]) for end, side in enumerate(sides)]
    stays = np.ones(table.count, bool)
    for side, number in zip(sides, numbers, strict=True):
        stays &= side.keep[number]
    ends = [side.moved(number[stays]) for side, number in zip(sides, numbers, strict=True)]
    return replace(
        table,
        chunks=np.stack([chunk for chunk, _ in ends], axis=1),
        rows=np.stack([row for _, row in ends], axis=1),
        here=here.chunks_left,
        there=there.chunks_left,
        attributes={name: column.take(stays) for name, column in table.attributes.items()},
    )


def with_links(cells: Cells, table: LinkTable) -> Cells:
    """Return cells with links of their level, in the order of the fragments where these tile their chunks.

    Parameters
    ----------
    cells : Cells
        The vertices.
    table : LinkTable
        Links between them; further families of the cells stay.
    """
    others = tuple(other for other in cells.links if other.delta)
    if cells.fragments.explicit is not None or int(cells.fragments.counts.sum()) != cells.count:
        return replace(cells, links=(table, *others), link_fragments=None)
    first = cells.row_offsets[:-1][table.chunks[:, 0]] + table.rows[:, 0]
    fragment = fragment_of_rows(cells)[first]
    order = stable_order([fragment.astype(np.uint64)])
    columns = {name: column.take(order) for name, column in table.attributes.items()}
    table = replace(table, chunks=table.chunks[order], rows=table.rows[order], attributes=columns)
    described = link_fragments(cells, table, fragment[order])
    return replace(cells, links=(table, *others), link_fragments=described)


def cut_fragments(cells: Cells, keep: BoolArray) -> Cells:
    """Return cells whose fragments are cut where vertices that go lie between others, and where their parents go.

    For fragments whose order of rows says which vertices are linked: the parent of a row is the one before, unless a
    stored link (child, parent) says otherwise.

    Parameters
    ----------
    cells : Cells
        Whole chunks.
    keep : (N,) bool
        Which vertices stay; all are there still.
    """
    old = cells.fragments
    offsets = offsets_of(old.counts)
    owner = np.repeat(np.arange(old.count), old.counts)
    rows = _rows_of_fragments(cells)
    stays = keep[rows]
    begins = _orphans(cells, keep)[rows]
    begins[offsets[:-1][old.counts > 0]] = True
    begins[1:] |= stays[1:] & ~stays[:-1]
    at = np.flatnonzero(begins)
    empty = np.flatnonzero(old.counts == 0)
    sources = np.concatenate([owner[at], empty])
    order = stable_order([sources.astype(np.uint64)])
    sources = sources[order]
    starts = np.concatenate([old.starts[owner[at]] + at - offsets[owner[at]], old.starts[empty]])[order]
    counts = np.concatenate([np.diff(np.append(at, len(owner))), np.zeros(len(empty), np.int64)])[order]
    pieces = offsets_of(np.bincount(sources, minlength=old.count))
    explicit = None if old.explicit is None else old.explicit[sources]
    described = {name: column.take(sources) for name, column in cells.fragment_attributes.items()}
    table = cells.objects
    if table is not None and table.manifests is not None:
        table = replace(table, manifests=_with_pieces(cells, table.manifests, pieces))
    fragments = Fragments(pieces[old.offsets], starts, counts, explicit, old.rows)
    return replace(cells, fragments=fragments, fragment_attributes=described, objects=table, link_fragments=None)


def _orphans(cells: Cells, keep: BoolArray) -> BoolArray:
    """Return which rows have a stored parent that goes."""
    orphans = np.zeros(cells.count, bool)
    for table in cells.links:
        if table.delta == 0:
            child, parent = (cells.row_offsets[:-1][table.chunks[:, end]] + table.rows[:, end] for end in (0, 1))
            orphans[child[~keep[parent]]] = True
    return orphans


def _with_pieces(cells: Cells, old: Manifests, pieces: IntArray) -> Manifests:
    """Return manifests that name all pieces of the fragments that they named."""
    chunk = ChunkLookup.of(cells.chunks).rows(old.chunks)
    number = cells.fragments.offsets[chunk] + old.fragments
    counts = pieces[number + 1] - pieces[number]
    first = pieces[number] - pieces[cells.fragments.offsets[chunk]]
    return Manifests(
        offsets_of(counts)[old.offsets], np.repeat(old.chunks, counts, axis=0), expand_ranges(first, counts)
    )


def _rows_of_fragments(cells: Cells) -> IntArray:
    """Return the rows of all fragments, one after another, as numbers in the level."""
    old = cells.fragments
    rows = expand_ranges(old.starts, old.counts)
    if old.explicit is not None:
        listed = np.repeat(old.explicit, old.counts)
        rows[listed] = old.rows[rows[listed]]
    return rows + np.repeat(cells.row_offsets[:-1][old.chunk_of], old.counts)


def without_parted(cells: Cells, keep: BoolArray) -> BoolArray:
    """Return which vertices stay when objects that lose some lose all of theirs that no other object has.

    Parameters
    ----------
    cells : Cells
        Whole chunks with manifests.
    keep : (N,) bool
        Which vertices are to stay.
    """
    table = cells.objects
    if table is None or table.manifests is None:
        return keep
    manifests, fragments = table.manifests, cells.fragments
    chunk = ChunkLookup.of(cells.chunks).rows(manifests.chunks)
    number = fragments.offsets[chunk] + manifests.fragments
    places = expand_ranges(offsets_of(fragments.counts)[number], fragments.counts[number])
    rows = _rows_of_fragments(cells)[places]
    before = offsets_of(fragments.counts[number])[manifests.offsets]
    lost = np.diff(offsets_of(~keep[rows])[before]) > 0
    parted = np.repeat(lost, np.diff(before))
    stays = keep.copy()
    stays[rows[parted]] = False
    stays[rows[~parted]] = keep[rows[~parted]]
    return stays


def lone_repeats(cells: Cells, keep: BoolArray) -> IntArray:
    """Return the rows that repeat a vertex of another chunk, and after which nothing is left of their fragment.

    Where paths repeat a vertex when they go on in another chunk, such a row says nothing any more.

    Parameters
    ----------
    cells : Cells
        Paths whose fragments are ranges, with manifests.
    keep : (N,) bool
        Which vertices stay.
    """
    table, fragments = cells.objects, cells.fragments
    if table is None or table.manifests is None or fragments.explicit is not None or not fragments.count:
        return np.zeros(0, np.int64)
    before, after, chunk = following_fragments(cells)
    first = cells.row_offsets[:-1][fragments.chunk_of] + fragments.starts
    whole = (fragments.counts[before] > 0) & (fragments.counts[after] > 0) & (chunk[:, 0] != chunk[:, 1])
    before, after = before[whole], after[whole]
    last = first[before] + fragments.counts[before] - 1
    same = (cells.positions[last] == cells.positions[first[after]]).all(axis=1)
    after = after[same]
    kept_before = offsets_of(keep)
    rest = kept_before[first[after] + fragments.counts[after]] - kept_before[first[after] + 1]
    return np.asarray(first[after][rest == 0])


def following_fragments(cells: Cells) -> tuple[IntArray, IntArray, IntArray]:
    """Return the fragments that follow each other in manifests: one, the next, and the rows of their chunks."""
    table = cells.objects
    assert table is not None
    manifests = table.manifests
    assert manifests is not None
    chunk = ChunkLookup.of(cells.chunks).rows(manifests.chunks)
    number = cells.fragments.offsets[chunk] + manifests.fragments
    objects = np.repeat(np.arange(len(manifests.offsets) - 1), np.diff(manifests.offsets))
    later = np.flatnonzero(objects[1:] == objects[:-1]) + 1
    return number[later - 1], number[later], np.stack([chunk[later - 1], chunk[later]], axis=1)


def path_links(cells: Cells, like: LinkTable) -> LinkTable:
    """Return the links by which paths go on in another fragment, each once, in the order of manifests.

    Parameters
    ----------
    cells : Cells
        Paths whose fragments are ranges that are not empty, with manifests.
    like : LinkTable
        Links of that kind, as they were.
    """
    before, after, chunks = following_fragments(cells)
    starts, counts = cells.fragments.starts, cells.fragments.counts
    rows = np.stack([starts[before] + counts[before] - 1, starts[after]], axis=1)
    ends = np.concatenate([chunks, rows], axis=1)
    _, once = np.unique(ends, axis=0, return_index=True)
    once.sort()
    return replace(like, chunks=chunks[once], rows=rows[once], here=cells.chunks, there=cells.chunks)
