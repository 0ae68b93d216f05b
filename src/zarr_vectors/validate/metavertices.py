"""Merging the vertices of full resolution anew: what a coarse level ought to hold.

A metavertex stands for the vertices of one coarse bin (of one object and one bin, where there are objects). It
lies at their centroid: the mean in float64, in the data type of the level. The coarse bin of a vertex is its bin
at full resolution, ``floor(float64(position) / bin_shape)``, over the bin ratio of the level, rounded down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors.model.attributes import Column
from zarr_vectors.model.grid import Grid
from zarr_vectors.multiresolution.aggregation import missing_values
from zarr_vectors.multiresolution.modes import is_colour
from zarr_vectors.ordering import lexicographic_order, stable_order
from zarr_vectors.spatial.locating import locate
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray
from zarr_vectors.validate.blocks import Block

_DENSE = 1 << 20


@dataclass(frozen=True, slots=True)
class Merged:
    """Vertices merged by bin and object.

    Parameters
    ----------
    bins : (G, D) int64
        Coarse bin of each metavertex.
    owners : (G,) int64
        Object id, -1 where there are no objects.
    counts : (G,) int64
        Vertices merged.
    sums, sizes : mapping of str to (G, C) float64
        Sums of the values and of their absolute values; ``""`` stands for the positions.
    lowest, highest : mapping of str to (G, C) array
        Least and greatest values, of the attributes they were asked for.
    runs : mapping of str to (group, value, times)
        How often each value that is not missing occurs, of the attributes they were asked for.
    known : mapping of str to (G, C) int64
        How many values are not missing.
    """

    bins: IntArray
    owners: IntArray
    counts: IntArray
    sums: dict[str, FloatArray] = field(default_factory=dict)
    sizes: dict[str, FloatArray] = field(default_factory=dict)
    lowest: dict[str, AnyArray] = field(default_factory=dict)
    highest: dict[str, AnyArray] = field(default_factory=dict)
    runs: dict[str, tuple[IntArray, AnyArray, IntArray]] = field(default_factory=dict)
    known: dict[str, IntArray] = field(default_factory=dict)


def merge(blocks: Iterable[Block], grid: Grid, modes: dict[str, str], kept: IntArray | None) -> Merged | None:
    """Merge the vertices of blocks of chunks.

    Parameters
    ----------
    blocks : iterable of Block
        Chunks of full resolution.
    grid : Grid
        Coarse bins as chunks of the bins of full resolution.
    modes : mapping of str to str
        How attributes are aggregated.
    kept : (n,) int64, optional
        Ids of the objects to look at, ascending; None for points without objects.
    """
    parts = [part for block in blocks if (part := _merge_block(block, grid, modes, kept)) is not None]
    if len(parts) < 2:
        return parts[0] if parts else None
    return _join(parts)


def _merge_block(block: Block, grid: Grid, modes: dict[str, str], kept: IntArray | None) -> Merged | None:
    positions = block.positions
    rows: IntArray | None = None
    owners = np.full(len(positions), -1, np.int64)
    if kept is not None:
        owners = owner_of_rows(block)
        rows = np.flatnonzero(np.isin(owners, kept))
        positions, owners = positions[rows], owners[rows]
    if len(positions) == 0:
        return None
    located = locate(positions, grid, bins=False)
    groups, first, counts = _grouped(located.keys, owners if kept is not None else None)
    merged = Merged(located.chunk_coordinates(located.keys[first].astype(np.int64)), owners[first], counts)
    order = _Order(groups, counts)
    _aggregate(merged, "", positions, None, "mean", order)
    for name, mode in modes.items():
        if name in block.attributes:
            column = block.attributes[name].column
            _aggregate(merged, name, *known_values(name, column if rows is None else column.take(rows)), mode, order)
    return merged


def owner_of_rows(block: Block) -> IntArray:
    """Return the object id of every vertex, -1 where it has none."""
    fragment_owner, _ = block.owners
    rows, fragment = block.fragment_rows()
    ids = np.append(block.level.object_ids, -1)[fragment_owner]
    owners = np.full(len(block.positions), -1, np.int64)
    there = rows < len(owners)  # fragments that name other rows are reported by a rule of their own
    owners[rows[there]] = ids[fragment[there]]
    return owners


def known_values(name: str, column: Column) -> tuple[AnyArray, BoolArray | None]:
    """Return the numbers of a column, ``(n, C)``, and which are missing; None where none is."""
    values = column.values.view(np.uint8) if column.values.dtype == np.bool_ else column.values
    missing = missing_values(column)
    if missing is not None:
        missing = missing.reshape(len(missing), -1)
        if is_colour(name, column.spec):
            missing = np.repeat(missing.any(axis=1, keepdims=True), missing.shape[1], axis=1)
    return values.reshape(len(values), -1), missing


def _grouped(keys: AnyArray, owners: IntArray | None) -> tuple[IntArray, IntArray, IntArray]:
    """Return the group of every row, the first row of every group, and the size of every group."""
    if owners is not None:
        _, ranks = np.unique(owners, return_inverse=True)
        bins, numbers = np.unique(keys, return_inverse=True)
        keys = ranks.reshape(-1) * len(bins) + numbers.reshape(-1)
    total = int(keys.max()) + 1
    if total > max(_DENSE, 4 * len(keys)):
        _, first, groups, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        return groups.reshape(-1), first, counts
    sizes = np.bincount(keys, minlength=total)
    used = np.flatnonzero(sizes)
    number = np.zeros(total, np.int64)
    number[used] = np.arange(len(used))
    groups = number[keys]
    first = np.empty(len(used), np.int64)
    first[groups[::-1]] = np.arange(len(keys) - 1, -1, -1)
    return groups, first, sizes[used]


class _Order:
    """Groups of rows, and the order that puts the rows of each group together (made when it is needed)."""

    def __init__(self, groups: IntArray, counts: IntArray) -> None:
        self.groups = groups
        self.counts = counts
        self._rows: IntArray | None = None

    @property
    def rows(self) -> IntArray:
        """Rows of group 0, then of group 1, …."""
        if self._rows is None:
            self._rows = stable_order([self.groups.astype(np.uint64)])
        return self._rows

    @property
    def starts(self) -> IntArray:
        """Where the rows of each group start."""
        return np.cumsum(self.counts) - self.counts


def _aggregate(
    merged: Merged, name: str, values: AnyArray, missing: BoolArray | None, mode: str, order: _Order
) -> None:
    size = len(order.counts)
    merged.known[name] = np.repeat(order.counts[:, None], values.shape[1], axis=1)
    if missing is not None:
        merged.known[name] -= np.add.reduceat(missing[order.rows], order.starts, dtype=np.int64)
    if mode in ("mean", "sum"):
        wide = values.astype(np.float64, copy=False) if missing is None else np.where(missing, 0.0, values)
        channels = [np.ascontiguousarray(wide[:, c]) for c in range(values.shape[1])]
        merged.sums[name] = np.stack([np.bincount(order.groups, c, size) for c in channels], axis=1)
        merged.sizes[name] = np.stack([np.bincount(order.groups, np.abs(c), size) for c in channels], axis=1)
    elif mode in ("min", "max"):
        if missing is not None:
            values = np.where(missing, _farthest(values.dtype, mode), values)
        reduce, kept = (np.minimum, merged.lowest) if mode == "min" else (np.maximum, merged.highest)
        kept[name] = reduce.reduceat(values[order.rows], order.starts)
    elif mode == "mode" and values.shape[1] == 1:
        there = slice(None) if missing is None else ~missing[:, 0]
        found = values[there, 0]
        merged.runs[name] = _runs(order.groups[there], found, np.ones(len(found), np.int64))


def _farthest(dtype: np.dtype[Any], mode: str) -> Any:
    """Return what changes no minimum, or no maximum."""
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    if limits is None:
        return dtype.type(np.inf if mode == "min" else -np.inf)
    return dtype.type(limits.max if mode == "min" else limits.min)


def _runs(groups: IntArray, values: AnyArray, times: IntArray) -> tuple[IntArray, AnyArray, IntArray]:
    """Count how often each value occurs in each group."""
    order = np.lexsort((values, groups))
    groups, values, times = groups[order], values[order], times[order]
    first = np.ones(len(groups), bool)
    first[1:] = (groups[1:] != groups[:-1]) | (values[1:] != values[:-1])
    starts = np.flatnonzero(first)
    return groups[starts], values[starts], np.add.reduceat(times, starts) if len(starts) else times


def _join(parts: list[Merged]) -> Merged:
    """Merge what was merged block by block."""
    bins = np.concatenate([part.bins for part in parts])
    owners = np.concatenate([part.owners for part in parts])
    keys = np.column_stack([owners, bins])
    order = lexicographic_order(keys)
    new = np.ones(len(order), bool)
    new[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    starts = np.flatnonzero(new)
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(new) - 1

    def reduced(ufunc: np.ufunc, arrays: list[AnyArray]) -> AnyArray:
        return np.asarray(ufunc.reduceat(np.concatenate(arrays)[order], starts))

    head = parts[0]
    joined = Merged(bins[order[starts]], owners[order[starts]], reduced(np.add, [p.counts for p in parts]))
    for name in head.sums:
        joined.sums[name] = reduced(np.add, [p.sums[name] for p in parts])
        joined.sizes[name] = reduced(np.add, [p.sizes[name] for p in parts])
    for name in head.known:
        joined.known[name] = reduced(np.add, [p.known[name] for p in parts])
    for name in head.lowest:
        joined.lowest[name] = reduced(np.minimum, [p.lowest[name] for p in parts])
    for name in head.highest:
        joined.highest[name] = reduced(np.maximum, [p.highest[name] for p in parts])
    bases = np.cumsum([0, *(len(p.counts) for p in parts)])
    for name in head.runs:
        local = np.concatenate([p.runs[name][0] + base for p, base in zip(parts, bases, strict=False)])
        values = np.concatenate([p.runs[name][1] for p in parts])
        times = np.concatenate([p.runs[name][2] for p in parts])
        joined.runs[name] = _runs(groups[local], values, times)
    return joined
