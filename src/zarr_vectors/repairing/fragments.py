"""Fragment tables made anew: from bins, from the number of objects in a chunk, from where links begin and end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.constants import LINKS_EXPLICIT, LINKS_SEQUENTIAL, OBJECTS_IDENTITY
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.model.cells import Fragments, Manifests
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.repairing.cells import joined_fragments, salvage_fragments, split_fragments
from zarr_vectors.repairing.context import Context
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.typing import BoolArray, FloatArray, IntArray
from zarr_vectors.validate.blocks import Block
from zarr_vectors.validate.rules.cells import highest_rows, tiling_chunks
from zarr_vectors.validate.rules.root import POINTS
from zarr_vectors.validate.subjects import LevelSubject


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a level says about its fragments besides the fragment index.

    Parameters
    ----------
    subject : LevelSubject
        The level.
    chunks : (C, S) int64
        Its chunks.
    positions : (N, D) float
        Their vertices.
    row_offsets : (C + 1,) int64
        Where those of each chunk start.
    counts : (C,) int64
        Fragments of each chunk as their attributes have rows, -1 where that is not known.
    manifests : Manifests, optional
        As far as they can be decoded.
    links : LinkTable, optional
        Links of the level, where they can be read.
    """

    subject: LevelSubject
    chunks: IntArray
    positions: FloatArray
    row_offsets: IntArray
    counts: IntArray
    manifests: Manifests | None
    links: LinkTable | None

    @property
    def level(self) -> LevelReader:
        """The level, open."""
        return self.subject.reader

    def block(self, fragments: Fragments, unindexed: BoolArray) -> Block:
        """Return the chunks with some fragment tables, as rules look at them."""
        rows = np.arange(len(self.chunks))
        return Block(self.subject, rows, self.chunks, self.positions, self.row_offsets, fragments, unindexed)


def repair_fragments(context: Context, evidence: Evidence) -> tuple[Fragments, BoolArray]:
    """Return the fragment tables of all chunks, and for which nothing says what they were."""
    level = evidence.level
    fragments, bad = salvage_fragments(level.storage, level.arrays.vertex_fragments, evidence.chunks)
    block = evidence.block(fragments, bad)
    sizes = np.diff(evidence.row_offsets)
    low, high = highest_rows(block)
    wrong = (low < 0) | (high >= np.repeat(sizes, np.diff(fragments.offsets))) | (fragments.counts < 0)
    faults = np.concatenate([[0], np.cumsum(wrong)])
    bad = bad | (faults[fragments.offsets[1:]] != faults[fragments.offsets[:-1]])
    tables = split_fragments(fragments)
    if _are_bins(level):
        return _as_bins(context, evidence, tables, bad)
    untiled = level.metadata.fragments_tile & ~tiling_chunks(block)
    uncounted = (
        (evidence.counts >= 0)
        & (np.diff(fragments.offsets) != evidence.counts)
        & _manifest_disagrees(evidence, np.diff(fragments.offsets))
    )
    lost = np.zeros(len(tables), bool)
    for row in np.flatnonzero(bad | untiled | uncounted).tolist():
        cuts = _cuts(evidence, row)
        if cuts is not None:
            tables[row] = _tiles(cuts, int(sizes[row]))
            _note(context, level, evidence.chunks, row, "from what objects and links say")
        elif bad[row]:
            lost[row] = True
    return joined_fragments(tables), lost


def _manifest_disagrees(evidence: Evidence, counts: IntArray) -> BoolArray:
    named = _named(evidence)
    return np.asarray((named >= 0) & (named != counts))


def _named(evidence: Evidence) -> IntArray:
    """Return how many fragments of each chunk manifests name, -1 where they name none."""
    found = np.full(len(evidence.chunks), -1, np.int64)
    if evidence.manifests is not None:
        rows = ChunkLookup.of(evidence.chunks).rows(evidence.manifests.chunks)
        known = rows >= 0
        np.maximum.at(found, rows[known], evidence.manifests.fragments[known] + 1)
    return found


def _note(context: Context, level: LevelReader, chunks: IntArray, row: int, why: str) -> None:
    number = level.metadata.level
    order = (
        "cells-readable", "fragments-present", "fragment-rows", "fragments-tile", "bin-fragments", "chunk-sets",
        "arrays-present",
    )  # fmt: skip
    check = next((name for name in order if context.has(name, level=number)), "fragments-present")
    key = format_keys(chunks[row : row + 1])[0]
    context.repaired(check, f"{number}/vertex_fragments", f"chunk {key}: the fragment index was made anew, {why}")


def _are_bins(level: LevelReader) -> bool:
    """Return whether fragments are the bins of their chunk."""
    points = bool(level.root.geometry_types) and set(level.root.geometry_types) <= set(POINTS)
    plain = level.root.object_index_convention != OBJECTS_IDENTITY and level.arrays.object_index is None
    return points and plain and level.grid.nests


def _as_bins(
    context: Context, evidence: Evidence, tables: list[Fragments], bad: BoolArray
) -> tuple[Fragments, BoolArray]:
    """Make one range per bin of a chunk, empty ones included, where that is not what is stored."""
    level, grid = evidence.level, evidence.level.grid
    n_bins, lost = grid.n_bins, np.zeros(len(tables), bool)
    numbers = np.zeros(len(evidence.positions), np.int64)
    if n_bins > 1:
        finite = np.where(np.isfinite(evidence.positions), evidence.positions, 0)
        for d, per_chunk in enumerate(grid.bins_per_chunk):
            numbers = numbers * per_chunk + np.mod(grid.bins_of(finite[:, d], d), per_chunk)
    ours = bool(level.metadata.nodes)
    for row, (start, stop) in enumerate(
        zip(evidence.row_offsets[:-1].tolist(), evidence.row_offsets[1:].tolist(), strict=True)
    ):
        mine = numbers[start:stop]
        counts = np.bincount(mine, minlength=n_bins).astype(np.int64)
        made = Fragments(np.array([0, n_bins]), offsets_of(counts)[:-1], counts)
        table = tables[row]
        same = not bad[row] and np.array_equal(table.counts, counts) and np.array_equal(table.starts, made.starts)
        if same or not (bad[row] or ours):
            continue
        if (np.diff(mine) >= 0).all():
            tables[row] = made
            _note(context, level, evidence.chunks, row, "from the bins that its vertices lie in")
        else:
            lost[row] = bad[row]
            key = format_keys(evidence.chunks[row : row + 1])[0]
            said = f"chunk {key}: its vertices do not stand in the order of their bins; some positions are damaged"
            context.hopeless("bin-fragments", f"{level.metadata.level}/vertices", said)
    return joined_fragments(tables), lost


def _tiles(cuts: IntArray, size: int) -> Fragments:
    ends = np.concatenate([[0], cuts, [size]]).astype(np.int64)
    return Fragments(np.array([0, len(ends) - 1]), ends[:-1], np.diff(ends))


def _cuts(evidence: Evidence, row: int) -> IntArray | None:
    """Return the rows at which the fragments of a chunk begin, besides the first; None where that is not known."""
    level = evidence.level
    size = int(evidence.row_offsets[row + 1] - evidence.row_offsets[row])
    if level.arrays.object_index is None and level.root.object_index_convention != OBJECTS_IDENTITY:
        return np.zeros(0, np.int64)
    count = int(evidence.counts[row])
    if count < 0:
        count = int(_named(evidence)[row])
    if count == 1:
        return np.zeros(0, np.int64)
    if count < 1 or evidence.links is None:
        return None
    table = evidence.links
    at = ChunkLookup.of(table.here).rows(evidence.chunks[row : row + 1])[0]
    if level.root.links_convention == LINKS_SEQUENTIAL and table.width == 2:
        crossing = table.chunks[:, 0] != table.chunks[:, 1]
        ends = table.rows[crossing & (table.chunks[:, 0] == at), 0] + 1
        begins = table.rows[crossing & (table.chunks[:, 1] == at), 1]
        cuts = np.unique(np.concatenate([ends, begins]))
        cuts = cuts[(cuts > 0) & (cuts < size)]
        return cuts if len(cuts) == count - 1 else None
    if level.root.links_convention == LINKS_EXPLICIT and level.arrays.link_fragments is not None:
        return _cuts_of_links(evidence, row, table.rows[(table.chunks == at).all(axis=1)], count, size)
    return None


def _cuts_of_links(evidence: Evidence, row: int, links: IntArray, count: int, size: int) -> IntArray | None:
    """Return where fragments begin, if the links of each reach from its first row to its last."""
    level = evidence.level
    stored, bad = salvage_fragments(level.storage, level.arrays.link_fragments, evidence.chunks[row : row + 1])
    if bad.any() or stored.count != count or stored.explicit is not None or (stored.counts < 1).any():
        return None
    if int(stored.counts.sum()) != len(links) or not np.array_equal(stored.starts, offsets_of(stored.counts)[:-1]):
        return None
    low = np.minimum.reduceat(links.min(axis=1), stored.starts)
    high = np.maximum.reduceat(links.max(axis=1), stored.starts)
    tiled = low[0] == 0 and high[-1] == size - 1 and np.array_equal(low[1:], high[:-1] + 1)
    return low[1:] if tiled else None
