"""Coarsening vertices that are not joined: metavertices are the centroids of bins, per object where there are any."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.elements import Elements, Links, Objects
from zarr_vectors.model.grid import Grid
from zarr_vectors.multiresolution.aggregation import Merging, count_column, merge_columns, merge_positions
from zarr_vectors.multiresolution.plan import LevelPlan
from zarr_vectors.ordering import stable_order
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import fragment_owners
from zarr_vectors.spatial.boxes import has_bin_fragments
from zarr_vectors.spatial.partition import take_rows
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

ROWS_AT_ONCE = 4_000_000
"""Vertices of level 0 that are in memory at a time, unless the chunks of one coarse chunk hold more."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How levels are made.

    Parameters
    ----------
    plans : sequence of LevelPlan
        The levels.
    modes : mapping of str to str
        Aggregation of every attribute.
    counted : sequence of str
        New attributes that hold the number of merged vertices.
    ids : (O,) int64, optional
        Object ids by manifest row.
    kept : sequence of (O,) bool
        Objects that each level keeps.
    reach : int
        Largest level difference with links.
    link_modes : mapping of str to str
        Aggregation of every link attribute.
    shared : bool
        Whether the metavertices of ordered paths are those of coarse bins, whichever paths go through them.
    """

    plans: Sequence[LevelPlan]
    modes: Mapping[str, str]
    counted: Sequence[str]
    ids: IntArray | None
    kept: Sequence[BoolArray]
    reach: int
    link_modes: Mapping[str, str] = field(default_factory=dict)
    shared: bool = False


@dataclass(slots=True)
class Coarse:
    """Metavertices of one level, slab after slab.

    Parameters
    ----------
    positions : list of array
        Centroids.
    attributes : dict of str to list of Column
        Aggregated attributes.
    owners : list of (n,) int64
        Manifest row of every metavertex's object.
    leading : list of (n,) int64
        Attribute bin of every metavertex, in attribute-chunked levels.
    count : int
        Metavertices so far.
    parents : dict of int to list of (n,) int64
        By a finer level: for each of its vertices, in the order of this list, the metavertex that it joins.
    links : Links, optional
        Links between metavertices.
    visits : (n,) int64, optional
        Where paths share metavertices: which of them every row stands for.
    """

    positions: list[AnyArray] = field(default_factory=list)
    attributes: dict[str, list[Column]] = field(default_factory=dict)
    owners: list[IntArray] = field(default_factory=list)
    leading: list[IntArray] = field(default_factory=list)
    count: int = 0
    parents: dict[int, list[IntArray]] = field(default_factory=dict)
    links: Links | None = None
    visits: IntArray | None = None

    def elements(self, ids: IntArray | None, attributes: Mapping[str, Column], groups: object) -> Elements:
        """Return the level's elements."""
        columns = {
            name: Column(np.concatenate([part.values for part in parts]), parts[0].spec)
            for name, parts in self.attributes.items()
        }
        objects = None if ids is None else Objects(ids, np.concatenate(self.owners), attributes)
        return Elements(np.concatenate(self.positions), columns, objects, groups, self.links)  # type: ignore[arg-type]


@dataclass(slots=True)
class Coarsened:
    """Every coarse level, and where the vertices of level 0 were.

    Parameters
    ----------
    levels : list of Coarse
        One per plan.
    chunk_rows, rows : list of (n,) arrays
        Chunk and row of the vertices of level 0 in the order of ``parents`` (only where links are stored).
    """

    levels: list[Coarse]
    chunk_rows: list[IntArray] = field(default_factory=list)
    rows: list[IntArray] = field(default_factory=list)


def coarsen_points(level: LevelReader, recipe: Recipe) -> Coarsened:
    """Make the metavertices of every level from the vertices of level 0.

    Each level is made from level 0, so that folds do not compound. Level 0 is read in slabs that no coarse
    chunk straddles, so that memory is bounded by the slab and by the coarse levels themselves.
    """
    result = Coarsened([Coarse() for _ in recipe.plans])
    for chunk_rows in slabs(level, recipe.plans):
        cells = read_chunks(level, chunk_rows, fragment_attributes=False)
        owners = None if recipe.ids is None else _row_owners(level, cells, chunk_rows)
        _coarsen_slab(level.grid, cells, owners, recipe, result)
        if recipe.reach:
            counts = cells.row_counts
            result.chunk_rows.append(np.repeat(chunk_rows.astype(np.int32), counts))
            local = np.arange(cells.count) - np.repeat(cells.row_offsets[:-1], counts)
            result.rows.append(local.astype(np.int32))
    if not len(level.chunks):
        _coarsen_slab(level.grid, read_chunks(level, np.zeros(0, np.int64)), None, recipe, result)
    return result


def slabs(level: LevelReader, plans: Sequence[LevelPlan]) -> Iterator[IntArray]:
    """Yield the rows of chunks that are read together, ascending within each slab."""
    common = np.array([math.lcm(*(plan.chunk_scale[d] for plan in plans)) for d in range(level.grid.ndim)])
    spatial = level.chunks[:, level.chunks.shape[1] - level.grid.ndim :] // common
    if len(spatial) == 0:
        return
    order = np.lexsort(spatial.T[::-1])
    heads = np.flatnonzero(np.append(True, (spatial[order][1:] != spatial[order][:-1]).any(axis=1)))
    sizes = np.diff(np.append(heads, len(order)))
    per_chunk = max(1.0, level.metadata.vertex_count / len(level.chunks))
    start, filled = 0, 0.0
    for head, size in zip(heads.tolist(), sizes.tolist(), strict=True):
        if filled and (filled + size) * per_chunk > ROWS_AT_ONCE:
            yield np.sort(order[start:head])
            start, filled = head, 0.0
        filled += size
    yield np.sort(order[start:])


def _row_owners(level: LevelReader, cells: Cells, chunk_rows: IntArray) -> IntArray:
    """Return the manifest row of every vertex's object."""
    owners, shared = fragment_owners(level, cells.fragments, chunk_rows)
    if shared or (owners < 0).any() or cells.fragments.explicit is not None:
        raise ArrayError(f"{level.name}: some vertices belong to several objects, or to none, and cannot be merged")
    return np.repeat(owners, cells.fragments.counts)


def _coarsen_slab(grid: Grid, cells: Cells, owners: IntArray | None, recipe: Recipe, result: Coarsened) -> None:
    joined: dict[int, IntArray] = {}
    for plan, kept, coarse in zip(recipe.plans, recipe.kept, result.levels, strict=True):
        order, merging = merge_rows(grid, plan.fold, cells, owners, None if owners is None else kept)
        joined[plan.level] = _joined(cells.count, order, merging)
        _add_metavertices(cells, order, merging, owners, recipe, coarse)
        if cells.chunks.shape[1] > grid.ndim:
            coarse.leading.append(_merged_leading(grid, cells, order, merging))
        if recipe.reach:
            _add_parents(plan.level, joined, coarse, recipe, cells.count)
        coarse.count += merging.n


def merge_rows(
    grid: Grid, fold: tuple[int, ...], cells: Cells, owners: IntArray | None, kept: BoolArray | None
) -> tuple[IntArray | None, Merging]:
    """Say which vertices merge at a fold.

    Parameters
    ----------
    grid : Grid
        Grid of level 0.
    fold : tuple of int
        Coarse bin over bin.
    cells : Cells
        Chunks of level 0.
    owners : (N,) int64, optional
        Object of every vertex; only vertices of one object merge.
    kept : (O,) bool, optional
        Objects that stay.

    Returns
    -------
    order : (n,) int64 or None
        Rows that merge, in the order of the runs; None where they are all, as they are stored.
    merging : Merging
        Which runs of that order merge.
    """
    by_bin = has_bin_fragments(cells.fragments, cells.row_counts, grid)
    if owners is None and by_bin.all() and grid.n_bins > 1:
        return None, _merge_bins(grid, fold, cells)
    keys = coarse_numbers(_row_bins(grid, cells), (*_ones(grid, cells), *fold))
    if owners is None:
        order = stable_order([keys])
        return order, _merge_sorted([keys[order]])
    assert kept is not None
    rows = np.flatnonzero(kept[owners])
    order = rows[stable_order([keys[rows], owners[rows].astype(np.uint32)])]
    return order, _merge_sorted([keys[order], owners[order]])


def _merge_bins(grid: Grid, fold: tuple[int, ...], cells: Cells) -> Merging:
    """Merge whole bins: every bin is a run of rows."""
    counts = cells.fragments.counts
    filled = np.flatnonzero(counts)
    inner = np.stack(np.unravel_index(filled % grid.n_bins, grid.bins_per_chunk), axis=1)
    spatial = cells.chunks[:, cells.chunks.shape[1] - grid.ndim :]
    bins = spatial[filled // grid.n_bins] * np.array(grid.bins_per_chunk) + inner
    bins = np.concatenate([_leading(grid, cells)[filled // grid.n_bins], bins], axis=1)
    numbers, target = np.unique(coarse_numbers(bins, (*_ones(grid, cells), *fold)), return_inverse=True)
    base = np.repeat(cells.row_offsets[:-1], np.diff(cells.fragments.offsets))[filled]
    return Merging(cells.fragments.starts[filled] + base, counts[filled], target.reshape(-1), len(numbers))


def _row_bins(grid: Grid, cells: Cells) -> IntArray:
    leading = np.repeat(_leading(grid, cells), cells.row_counts, axis=0)
    bins = [grid.bins_of(cells.positions[:, d], d)[:, None] for d in range(grid.ndim)]
    return np.concatenate([leading, *bins], axis=1)


def _leading(grid: Grid, cells: Cells) -> IntArray:
    """Return the attribute bins of chunks, ``(C, 1)``; ``(C, 0)`` where chunks are spatial only."""
    return cells.chunks[:, : cells.chunks.shape[1] - grid.ndim]


def _ones(grid: Grid, cells: Cells) -> tuple[int, ...]:
    """Return a fold of 1 for the attribute bin, which never merges."""
    return (1,) * int(cells.chunks.shape[1] - grid.ndim)


def coarse_numbers(bins: IntArray, fold: tuple[int, ...]) -> AnyArray:
    """Return one number per coarse bin for absolute bins ``(n, D)``; equal exactly where the coarse bin is."""
    coarse = np.floor_divide(bins, np.array(fold))
    if len(coarse) == 0:
        return np.zeros(0, np.uint64)
    low = coarse.min(axis=0)
    extent = coarse.max(axis=0) - low + 1
    if float(np.log2(extent.astype(np.float64)).sum()) >= 62:
        return np.unique(coarse, axis=0, return_inverse=True)[1].reshape(-1).astype(np.uint64)
    numbers = np.zeros(len(coarse), np.int64)
    for d in range(coarse.shape[1]):
        numbers = numbers * extent[d] + (coarse[:, d] - low[d])
    return numbers.astype(np.uint32 if int(np.prod(extent.astype(object))) < 1 << 32 else np.uint64)


def _merge_sorted(keys: Sequence[AnyArray]) -> Merging:
    """Merge runs of equal keys of sorted rows."""
    n = len(keys[0])
    first = np.zeros(n, bool)
    first[:1] = True
    for key in keys:
        first[1:] |= key[1:] != key[:-1]
    starts = np.flatnonzero(first)
    return Merging(starts, np.diff(np.append(starts, n)), np.arange(len(starts)), len(starts))


def _joined(count: int, order: IntArray | None, merging: Merging) -> IntArray:
    """Return the metavertex of every stored row, -1 for rows that were left out."""
    if order is None:
        return merging.rows
    joined = np.full(count, -1, np.int64)
    joined[order] = merging.rows
    return joined


def _add_metavertices(
    cells: Cells,
    order: IntArray | None,
    merging: Merging,
    owners: IntArray | None,
    recipe: Recipe,
    coarse: Coarse,
) -> None:
    positions = cells.positions if order is None else take_rows(cells.positions, order)
    coarse.positions.append(merge_positions(positions, merging))

    def ordered(column: Column) -> Column:
        return column if order is None else Column(take_rows(column.values, order), column.spec)

    merged = merge_columns(cells.attributes, merging, recipe.modes, ordered)
    for name, column in (merged | dict.fromkeys(recipe.counted, count_column(merging.sizes))).items():
        coarse.attributes.setdefault(name, []).append(column)
    if owners is not None and order is not None:
        coarse.owners.append(owners[order[merging.starts]])


def _merged_leading(grid: Grid, cells: Cells, order: IntArray | None, merging: Merging) -> IntArray:
    """Return the attribute bin of every metavertex, which all its vertices share."""
    rows = merging.starts if order is None else order[merging.starts]
    of_run = _leading(grid, cells)[np.searchsorted(cells.row_offsets, rows, side="right") - 1, 0]
    merged = np.empty(merging.n, np.int64)
    merged[merging.target] = of_run
    return merged


def _add_parents(level: int, joined: Mapping[int, IntArray], coarse: Coarse, recipe: Recipe, count: int) -> None:
    """Note which metavertex of this level the vertices of finer levels join."""
    mine = joined[level]
    for finer in range(max(0, level - recipe.reach), level):
        if finer == 0:
            parents = mine
        elif finer in joined:
            theirs = joined[finer]
            parents = np.full(int(theirs.max(initial=-1)) + 1, -1, np.int64)
            members = np.flatnonzero(theirs >= 0)[::-1]  # the first member decides
            parents[theirs[members]] = mine[members]
        else:
            continue
        shifted = np.where(parents >= 0, parents + coarse.count, -1)
        coarse.parents.setdefault(finer, []).append(shifted.astype(np.int32))
