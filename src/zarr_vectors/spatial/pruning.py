"""Cells without some of their vertices: fragments and manifests follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.model.cells import Cells, Fragments, Manifests, ObjectTable
from zarr_vectors.ordering import expand_ranges, offsets_of
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
