"""Coarsening ordered paths: consecutive vertices of a path in one coarse bin merge, ends stay where they are.

Where paths are to share metavertices, all vertices of a coarse bin merge, whichever path they are of, and every path
names the metavertices of the bins that it goes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.model.grid import Grid
from zarr_vectors.multiresolution.aggregation import Merging, count_column, merge_columns, merge_positions
from zarr_vectors.multiresolution.points import Coarse, Coarsened, Recipe
from zarr_vectors.ordering import lexicographic_order, offsets_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.paths import Paths, read_paths
from zarr_vectors.read.query import Query
from zarr_vectors.typing import AnyArray, BoolArray, IntArray


@dataclass(frozen=True, slots=True)
class _Runs:
    """Runs of consecutive vertices that merge, of the paths that a level keeps.

    Parameters
    ----------
    starts, counts : (n,) int64
        First vertex and length of every run.
    owners : (n,) int64
        Path of every run.
    heads, tails : (n,) bool
        Which runs are the first and the last of their path.
    shared : (n,) int64, optional
        Metavertex of every run, where paths share them; otherwise every run is one of its own.
    """

    starts: IntArray
    counts: IntArray
    owners: IntArray
    heads: BoolArray
    tails: BoolArray
    shared: IntArray | None = None

    @property
    def targets(self) -> IntArray:
        """Metavertex of every run."""
        return np.arange(len(self.starts)) if self.shared is None else self.shared

    @property
    def anchors(self) -> IntArray:
        """A vertex of level 0 of every metavertex: its first, at the end of a path of its own the last one."""
        if self.shared is not None:
            return self.starts[np.unique(self.shared, return_index=True)[1]]
        return np.where(self.tails & ~self.heads, self.starts + self.counts - 1, self.starts)


def coarsen_paths(level: LevelReader, recipe: Recipe) -> Coarsened:
    """Make the metavertices of every level from the paths of level 0.

    A metavertex stands for a longest run of consecutive vertices of one path in one coarse bin, at their centroid;
    the first and the last metavertex of a path stand exactly where its first and last vertex are. A path of several
    vertices in one coarse bin keeps its two ends. Every level is made from level 0, so that folds do not compound.
    """
    paths = read_paths(level, Query(attributes=list(level.arrays.vertex_attributes)), object_attributes=[])
    result = Coarsened([Coarse() for _ in recipe.plans])
    bins = _bins(level.grid, paths.positions)
    chunk_rows, rows = paths.places()
    codes = level.chunks[:, 0][chunk_rows] if level.leads else None
    joined: dict[int, IntArray] = {}
    anchors: dict[int, IntArray] = {}
    for plan, kept, coarse in zip(recipe.plans, recipe.kept, result.levels, strict=True):
        coarse_bins = [
            axis if step == 1 else np.floor_divide(axis, step) for axis, step in zip(bins, plan.fold, strict=True)
        ]
        if codes is not None:
            coarse_bins.append(codes)
        runs = _runs(coarse_bins, paths.offsets, kept, halved=not recipe.shared)
        if recipe.shared:
            runs = _sharing(runs, coarse_bins)
            coarse.visits = runs.shared
        _add_metavertices(paths, runs, recipe, coarse)
        if codes is not None:
            coarse.leading.append(codes[runs.starts])
        if recipe.reach:
            joined[plan.level] = _joined(paths, runs)
            anchors[plan.level] = runs.anchors
            _add_parents(plan.level, joined, anchors, recipe.reach, coarse)
    if recipe.reach:
        result.chunk_rows.append(chunk_rows.astype(np.int32))
        result.rows.append(rows.astype(np.int32))
    return result


def _bins(grid: Grid, positions: AnyArray) -> list[IntArray]:
    return [grid.bins_of(positions[:, d], d) for d in range(grid.ndim)]


def _runs(bins: Sequence[IntArray], offsets: IntArray, kept: BoolArray, *, halved: bool) -> _Runs:
    """Cut every path where its coarse bin changes, and paths of several vertices within one bin in half if asked."""
    n = int(offsets[-1])
    lengths = np.diff(offsets)
    occupied = lengths > 0
    first = np.zeros(n, bool)
    for axis in bins:
        first[1:] |= axis[1:] != axis[:-1]
    first[offsets[:-1][occupied]] = True
    if halved:
        cuts = np.diff(offsets_of(first)[offsets])
        collapsed = (cuts == 1) & (lengths > 1)
        first[(offsets[:-1] + (lengths + 1) // 2)[collapsed]] = True
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, n))
    owners = np.searchsorted(offsets, starts, side="right") - 1
    stays = kept[owners]
    starts, counts, owners = starts[stays], counts[stays], owners[stays]
    heads = np.ones(len(owners), bool)
    heads[1:] = owners[1:] != owners[:-1]
    return _Runs(starts, counts, owners, heads, np.append(heads[1:], True)[: len(heads)])


def _sharing(runs: _Runs, bins: Sequence[IntArray]) -> _Runs:
    """Let runs of the same coarse bin be one metavertex, numbered by first visit."""
    visited = np.stack([axis[runs.starts] for axis in bins], axis=1).astype(np.int64, copy=False)
    order = lexicographic_order(visited)
    new = np.ones(len(order), bool)
    new[1:] = (visited[order[1:]] != visited[order[:-1]]).any(axis=1)
    number = np.cumsum(new) - 1
    first = np.argsort(np.argsort(order[new], kind="stable"), kind="stable")
    shared = np.empty(len(order), np.int64)
    shared[order] = first[number]
    return replace(runs, shared=shared)


def _add_metavertices(paths: Paths, runs: _Runs, recipe: Recipe, coarse: Coarse) -> None:
    starts = offsets_of(runs.counts)[:-1]
    everything = int(runs.counts.sum()) == len(paths.positions)
    rows: BoolArray | slice = slice(None) if everything else _rows_kept(paths, runs)
    targets = runs.targets
    merging = Merging(starts, runs.counts, targets, int(targets.max(initial=-1)) + 1)
    positions = merge_positions(paths.positions[rows], merging)
    if runs.shared is None:
        positions[runs.heads] = paths.positions[runs.starts[runs.heads]]
        positions[runs.tails] = paths.positions[(runs.starts + runs.counts - 1)[runs.tails]]
    coarse.positions.append(positions[targets])
    merged = merge_columns(paths.attributes, merging, recipe.modes, lambda column: column.take(rows))
    merged |= dict.fromkeys(recipe.counted, count_column(merging.sizes))
    coarse.attributes = {name: [column.take(targets)] for name, column in merged.items()}
    coarse.owners.append(runs.owners)
    coarse.count = merging.n


def _rows_kept(paths: Paths, runs: _Runs) -> BoolArray:
    """Return which vertices of level 0 belong to the paths of some runs."""
    kept = np.zeros(paths.count, bool)
    kept[runs.owners] = True
    return np.repeat(kept, np.diff(paths.offsets))


def _joined(paths: Paths, runs: _Runs) -> IntArray:
    """Return the metavertex of every vertex of level 0, -1 in paths that were left out."""
    joined = np.full(len(paths.positions), -1, np.int64)
    joined[_rows_kept(paths, runs)] = np.repeat(runs.targets, runs.counts)
    return joined


def _add_parents(
    level: int, joined: dict[int, IntArray], anchors: dict[int, IntArray], reach: int, coarse: Coarse
) -> None:
    """Note which metavertex of this level the vertices of finer levels join.

    A metavertex of a finer level goes where its first vertex goes, that at the end of a path of its own where the last
    one does, so that ends join ends.
    """
    mine = joined[level]
    for finer in range(max(0, level - reach), level):
        if finer == 0:
            coarse.parents[finer] = [mine.astype(np.int32)]
        elif finer in anchors:
            coarse.parents[finer] = [mine[anchors[finer]].astype(np.int32)]
