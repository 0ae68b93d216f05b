"""Coarsening trees: roots, branch points and ends stay as they are, what lies between them is simplified.

Along every unbranched stretch consecutive vertices in one coarse bin merge into their centroid. Each metavertex stands
for a connected path, so that trees stay trees with the same branches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Elements, Links
from zarr_vectors.model.grid import Grid
from zarr_vectors.multiresolution.aggregation import Merging, count_column, merge_columns, merge_positions
from zarr_vectors.multiresolution.points import Coarse, Coarsened, Recipe
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.elements import read_linked_elements
from zarr_vectors.read.fetch import decode_rows, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.spatial.branches import branch_order
from zarr_vectors.spatial.forests import Chains
from zarr_vectors.typing import BoolArray, IntArray


@dataclass(frozen=True, slots=True)
class _Trees:
    """The trees of level 0 along their branches.

    ``order`` are the stored rows in branch order; ``parents`` (rows of that order), ``owners`` (manifest rows), ``key``
    (vertices that stay as they are), ``edges`` (link of each vertex to its parent, -1 for roots) and ``leading``
    (attribute bins, where chunks have them) follow it. ``row_counts`` are the vertices of each chunk.
    """

    elements: Elements
    order: IntArray
    parents: IntArray
    owners: IntArray
    key: BoolArray
    edges: IntArray
    row_counts: IntArray
    leading: IntArray | None


def coarsen_trees(level: LevelReader, recipe: Recipe) -> Coarsened:
    """Make every level from the trees of level 0."""
    trees = _read_trees(level, recipe)
    result = Coarsened([Coarse() for _ in recipe.plans])
    joined: dict[int, IntArray] = {}
    for plan, kept, coarse in zip(recipe.plans, recipe.kept, result.levels, strict=True):
        rows, merging = merge_stretches(trees, level.grid, plan.fold, kept)
        mine = np.full(trees.elements.count, -1, np.int64)
        mine[rows] = merging.rows
        joined[plan.level] = mine
        _add_level(trees, rows, merging, mine, recipe, coarse)
        for finer in range(max(0, plan.level - recipe.reach), plan.level):
            if finer == 0 or finer in joined:
                coarse.parents[finer] = [_parents_of(trees, mine, joined.get(finer))]
    if recipe.reach:
        counts = trees.row_counts
        result.chunk_rows.append(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
        local = np.arange(int(counts.sum())) - np.repeat(offsets_of(counts)[:-1], counts)
        result.rows.append(local.astype(np.int32))
    return result


def _read_trees(level: LevelReader, recipe: Recipe) -> _Trees:
    elements = read_linked_elements(level)
    links, objects = elements.links, elements.objects
    assert links is not None
    count = elements.count
    above = np.full(count, -1, np.int64)
    above[links.rows[:, 0]] = links.rows[:, 1]
    edges = np.full(count, -1, np.int64)
    edges[links.rows[:, 0]] = np.arange(len(links.rows))
    owners = np.zeros(count, np.int64)
    if objects is not None and recipe.ids is not None:
        owners = np.argsort(recipe.ids, kind="stable")[objects.of_vertex]
    order = branch_order(above, Chains.of(above), owners)
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    children = np.bincount(links.rows[:, 1], minlength=count)
    key = (above < 0) | (children != 1)
    parents = np.where(above[order] >= 0, place[above[order]], -1)
    counts = np.diff(decode_rows(fetch_cells(level.storage, [level.arrays.vertices], level.chunks)[0])[1])
    leading = None
    if level.chunks.shape[1] > level.grid.ndim:
        leading = np.repeat(level.chunks[:, 0], counts)[order]
    return _Trees(elements, order, parents, owners[order], key[order], edges[order], counts, leading)


def merge_stretches(trees: _Trees, grid: Grid, fold: tuple[int, ...], kept: BoolArray) -> tuple[IntArray, Merging]:
    """Say which vertices merge at a fold.

    Parameters
    ----------
    trees : trees of level 0
        Along their branches.
    grid : Grid
        Grid of level 0.
    fold : tuple of int
        Coarse bin over bin.
    kept : (O,) bool
        Objects that stay.

    Returns
    -------
    rows : (n,) int64
        Rows of the branch order that stay, ascending.
    merging : Merging
        Which runs of them merge.
    """
    rows = np.flatnonzero(kept[trees.owners]) if len(kept) else np.arange(len(trees.order))
    positions = trees.elements.positions[trees.order[rows]]
    alone = trees.key[rows]
    follows = trees.parents[rows] == rows - 1
    same = follows[1:] & ~alone[1:] & ~alone[:-1] & (trees.owners[rows][1:] == trees.owners[rows][:-1])
    if trees.leading is not None:
        same &= trees.leading[rows][1:] == trees.leading[rows][:-1]
    for d in range(grid.ndim):
        bins = np.floor_divide(grid.bins_of(positions[:, d], d), fold[d])
        same &= bins[1:] == bins[:-1]
    starts = np.flatnonzero(np.append(True, ~same)) if len(rows) else np.zeros(0, np.int64)
    merging = Merging(starts, np.diff(np.append(starts, len(rows))), np.arange(len(starts)), len(starts))
    return rows, merging


def _add_level(trees: _Trees, rows: IntArray, merging: Merging, mine: IntArray, recipe: Recipe, coarse: Coarse) -> None:
    elements, stored = trees.elements, trees.order[rows]
    coarse.positions.append(merge_positions(elements.positions[stored], merging))
    merged = merge_columns(elements.attributes, merging, recipe.modes, lambda column: column.take(stored))
    merged |= dict.fromkeys(recipe.counted, count_column(merging.sizes))
    coarse.attributes = {name: [column] for name, column in merged.items()}
    heads = rows[merging.starts]
    coarse.owners.append(trees.owners[heads])
    if trees.leading is not None:
        coarse.leading.append(trees.leading[heads])
    coarse.count = merging.n
    above = trees.parents[heads]
    child = np.flatnonzero(above >= 0)
    parent = mine[above[child]]
    alive = parent >= 0
    assert elements.links is not None
    columns = _merge_edges(elements.links.attributes, trees.edges[rows], merging, child[alive], recipe.link_modes)
    links = np.stack([child[alive], parent[alive]], axis=1)
    coarse.links = Links(links, columns, directed=True, store=elements.links.store)


def _merge_edges(
    attributes: Mapping[str, Column], edges: IntArray, merging: Merging, child: IntArray, modes: Mapping[str, str]
) -> dict[str, Column]:
    """Aggregate, for every metavertex with a parent, the links from its vertices to their parents."""
    counts = merging.counts[child]
    starts = offsets_of(counts)[:-1]
    rows = np.repeat(merging.starts[child] - starts, counts) + np.arange(int(counts.sum()))
    joined = Merging(starts, counts, np.arange(len(child)), len(child))
    return merge_columns(attributes, joined, modes, lambda column: column.take(edges[rows]))


def _parents_of(trees: _Trees, mine: IntArray, finer: IntArray | None) -> IntArray:
    """Return which metavertex the vertices of a finer level join: stored rows of level 0, or its metavertices."""
    if finer is None:
        joined = np.empty(len(mine), np.int32)
        joined[trees.order] = mine
        return joined.astype(np.int64)
    parents = np.full(int(finer.max(initial=-1)) + 1, -1, np.int64)
    members = np.flatnonzero(finer >= 0)[::-1]  # the first member decides
    parents[finer[members]] = mine[members]
    return parents
