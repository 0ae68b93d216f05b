"""Merging the vertices of full resolution anew: what a coarse level ought to hold, beside what it holds.

A metavertex stands for the vertices of one coarse bin (of one object and one bin, where there are objects). It
lies at their centroid: the mean in float64, in the data type of the level. The coarse bin of a vertex is its bin
at full resolution, ``floor(float64(position) / bin_shape)``, over the bin ratio of the level, rounded down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors.model.attributes import Column
from zarr_vectors.model.grid import Grid
from zarr_vectors.model.metadata import AGGREGATION
from zarr_vectors.multiresolution.aggregation import COLOURS, missing_sign, missing_values
from zarr_vectors.multiresolution.modes import is_colour
from zarr_vectors.ordering import lexicographic_order, stable_order
from zarr_vectors.spatial.locating import locate
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray
from zarr_vectors.validate.blocks import Block, BlockReader
from zarr_vectors.validate.rule import Problem, error, note
from zarr_vectors.validate.subjects import LevelSubject

_DENSE = 1 << 20
_ULPS = 8


@dataclass
class CoarseSubject:
    """A coarse level, and all levels that are open, by number."""

    level: LevelSubject
    levels: dict[int, LevelSubject]
    blocks: BlockReader

    @property
    def parent(self) -> LevelSubject | None:
        """The level that this one was made from, where it is known and open."""
        return self.levels.get(self.parent_number)

    @property
    def parent_number(self) -> int:
        """Index of the level that this one was made from; the next finer one where none is stated."""
        stated = self.level.reader.metadata.parent_level
        if stated is None:
            return self.level.number - 1
        return stated if isinstance(stated, int) and not isinstance(stated, bool) else -1

    @property
    def finest(self) -> LevelSubject | None:
        """Full resolution."""
        return self.levels.get(0)

    @property
    def bin_ratio(self) -> tuple[float, ...] | None:
        """Bin shape over that of full resolution."""
        return ratio_of(self.level)

    @property
    def bins(self) -> Grid | None:
        """Bins of the coarse level as chunks of the bins of full resolution."""
        base, ratio = self.level.store.root.base_bin, self.bin_ratio
        return None if ratio is None else Grid(tuple(b * r for b, r in zip(base, ratio, strict=True)), base)

    @property
    def modes(self) -> dict[str, str]:
        """How attributes were aggregated, as the level records it."""
        found = self.level.reader.metadata.extra.get(AGGREGATION)
        if not isinstance(found, dict):
            return {}
        arrays = self.level.reader.arrays.vertex_attributes
        return {str(name): str(mode) for name, mode in found.items() if name in arrays}

    @property
    def objects(self) -> IntArray | None:
        """Ids of the objects of the level, ascending; None for points without objects."""
        return self.level.present if self.level.has_objects else None

    def breach(self, path: str, message: str) -> Problem:
        """Return an error, or a note where another writer made the level by rules of its own."""
        return error(path, message) if self.level.is_ours else note(path, message)

    @cached_property
    def comparison(self) -> Comparison:
        """The level compared with full resolution, which is there."""
        level, finest, grid = self.level, self.finest, self.bins
        assert finest is not None
        assert grid is not None
        merged = merge(self.blocks.blocks_of(finest, self._rows_below(finest)), grid, self.modes, self.objects)
        if merged is None:
            merged = Merged(np.zeros((0, grid.ndim), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
            merged.sums[""] = np.zeros((0, grid.ndim))
        if not level.is_sampled:
            return compare(merged, self._stored(), grid)
        chunks = merged.bins // np.array(level.reader.grid.bins_per_chunk)
        under = np.flatnonzero(np.isin(level.reader.lookup.rows(chunks), level.sampled))
        return _without_faces(compare(merged.take(under), self._stored(), grid), level.reader.grid)

    def _stored(self) -> Stored:
        blocks = list(self.blocks.blocks_of(self.level, self.level.sampled))
        ndim, objects = self.level.store.root.ndim, self.objects is not None
        positions = [block.positions for block in blocks] or [np.zeros((0, ndim), np.float32)]
        owners = [owner_of_rows(block) if objects else np.full(len(block.positions), -1) for block in blocks]
        attributes = {
            name: _stored_values(name, [block.attributes[name].column for block in blocks])
            for name in self.modes
            if blocks
        }
        return Stored(np.concatenate(positions), np.concatenate([np.zeros(0, np.int64), *owners]), attributes)

    def _rows_below(self, finest: LevelSubject) -> IntArray:
        """Return the chunks of full resolution that lie under the coarse chunks that are looked at."""
        level = self.level
        everything = np.arange(len(finest.reader.chunks), dtype=np.int64)
        if not level.is_sampled:
            return everything
        multiple = np.round(np.array(level.reader.grid.chunk_shape) / np.array(finest.reader.grid.chunk_shape))
        rows = level.reader.lookup.rows(finest.reader.chunks // multiple.astype(np.int64))
        return everything[np.isin(rows, level.sampled)]


def ratio_of(level: LevelSubject) -> tuple[float, ...] | None:
    """Return the bin ratio that a level or the root states; None where there is none with a number per axis."""
    entry = level.store.root.entry(level.number)
    ratio = level.reader.metadata.bin_ratio or (entry.bin_ratio if entry else None)
    usable = ratio is not None and len(ratio) == level.store.root.ndim and all(0 < r < math.inf for r in ratio)
    return ratio if usable else None


@dataclass(frozen=True, slots=True)
class Merged:
    """Vertices merged by bin and object, into G metavertices.

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

    def take(self, rows: IntArray) -> Merged:
        """Return some of the metavertices."""
        place = np.full(len(self.counts), -1, np.int64)
        place[rows] = np.arange(len(rows))
        taken = {
            table: {name: values[rows] for name, values in getattr(self, table).items()}
            for table in ("sums", "sizes", "lowest", "highest", "known")
        }
        runs = {}
        for name, (group, value, times) in self.runs.items():
            inside = place[group] >= 0
            runs[name] = (place[group[inside]], value[inside], times[inside])
        return Merged(self.bins[rows], self.owners[rows], self.counts[rows], runs=runs, **taken)

    def centroids(self, dtype: np.dtype[Any]) -> FloatArray:
        """Return the centroids ``(G, D)`` in the data type of a level."""
        return np.asarray((self.sums[""] / self.counts[:, None]).astype(dtype))


@dataclass(frozen=True, slots=True)
class Stored:
    """What a coarse level holds: M positions ``(M, D)`` and the object id of each, -1 where there are no objects.

    ``attributes`` are those that were aggregated, with which values ``(M, C)`` are missing and what stands for them.
    """

    positions: FloatArray
    owners: IntArray
    attributes: dict[str, tuple[AnyArray, BoolArray, Any]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Metavertices that ought to be there beside those that are.

    Rows ``expected`` of ``merged`` and ``found`` of ``stored`` belong together; ``missing`` are rows of ``merged``
    without a counterpart, ``surplus`` those of ``stored``.
    """

    merged: Merged
    stored: Stored
    expected: IntArray
    found: IntArray
    missing: IntArray
    surplus: IntArray

    def near_centroids(self) -> BoolArray:
        """Return which of the pairs are at their centroids, but for rounding."""
        return _near_centroids(self.merged, self.stored.positions, self.expected, self.found)


def merge(blocks: Iterable[Block], grid: Grid, modes: dict[str, str], objects: IntArray | None) -> Merged | None:
    """Merge the vertices of blocks of full resolution, those of some objects or all, by the cells of a grid."""
    parts = [part for block in blocks if (part := _merge_block(block, grid, modes, objects)) is not None]
    if len(parts) < 2:
        return parts[0] if parts else None
    return _join(parts)


def _merge_block(block: Block, grid: Grid, modes: dict[str, str], objects: IntArray | None) -> Merged | None:
    positions = block.positions
    rows: IntArray | None = None
    owners = np.full(len(positions), -1, np.int64)
    if objects is not None:
        owners = owner_of_rows(block)
        rows = np.flatnonzero(np.isin(owners, objects))
        positions, owners = positions[rows], owners[rows]
    if len(positions) == 0:
        return None
    located = locate(positions, grid, bins=False)
    groups, first, counts = _grouped(located.keys, owners if objects is not None else None)
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


def _stored_values(name: str, parts: list[Column]) -> tuple[AnyArray, BoolArray, Any]:
    spec = parts[0].spec
    values, missing = known_values(name, Column(np.concatenate([part.values for part in parts]), spec))
    return values, np.zeros(values.shape, np.bool_) if missing is None else missing, missing_sign(spec)


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
        self.groups, self.counts = groups, counts
        self.starts = np.cumsum(counts) - counts

    @cached_property
    def rows(self) -> IntArray:
        """Rows of group 0, then of group 1, …."""
        return stable_order([self.groups.astype(np.uint64)])


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
        reduce, extremes = (np.minimum, merged.lowest) if mode == "min" else (np.maximum, merged.highest)
        extremes[name] = reduce.reduceat(values[order.rows], order.starts)
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


def compare(merged: Merged, stored: Stored, grid: Grid) -> Comparison:
    """Find the metavertex that follows from full resolution for every one that is stored."""
    centroids = merged.centroids(stored.positions.dtype)
    left = np.column_stack([merged.owners, grid.chunks_of(centroids)])
    right = np.column_stack([stored.owners, grid.chunks_of(stored.positions)])
    expected, found = _pairs(left, right)
    missing, surplus = _others(len(left), expected), _others(len(right), found)
    if len(missing) == len(surplus) and len(missing):
        # A centroid on the face of a bin may be rounded to either side: compare those left over in order.
        left = np.column_stack([merged.owners[missing], centroids[missing]])
        right = np.column_stack([stored.owners[surplus], stored.positions[surplus]])
        left_rows, right_rows = missing[np.lexsort(left.T[::-1])], surplus[np.lexsort(right.T[::-1])]
        same = merged.owners[left_rows] == stored.owners[right_rows]
        same &= _near_centroids(merged, stored.positions, left_rows, right_rows)
        expected, found = np.append(expected, left_rows[same]), np.append(found, right_rows[same])
        missing, surplus = left_rows[~same], right_rows[~same]
    return Comparison(merged, stored, expected, found, missing, surplus)


def _without_faces(comparison: Comparison, grid: Grid) -> Comparison:
    """Leave out metavertices at chunk faces: rounding may have filed them in a chunk that is not looked at."""
    stored = comparison.stored.positions
    centroids = comparison.merged.centroids(stored.dtype)
    missing = comparison.missing[~_at_face(centroids[comparison.missing], grid)]
    surplus = comparison.surplus[~_at_face(stored[comparison.surplus], grid)]
    return replace(comparison, missing=missing, surplus=surplus)


def _at_face(positions: FloatArray, grid: Grid) -> BoolArray:
    step = _ULPS * np.finfo(positions.dtype).eps * np.abs(positions)
    return np.asarray((grid.chunks_of(positions - step) != grid.chunks_of(positions + step)).any(axis=1))


def _near_centroids(merged: Merged, positions: FloatArray, expected: IntArray, found: IntArray) -> BoolArray:
    """Return which stored positions are their centroids, but for rounding."""
    mean = merged.sums[""][expected] / merged.counts[expected][:, None]
    slack = _slack(merged, "", expected, positions.dtype)
    return np.asarray((np.abs(positions[found].astype(np.float64) - mean) <= slack).all(axis=1))


def _slack(merged: Merged, name: str, rows: IntArray, dtype: np.dtype[Any]) -> FloatArray:
    """Return the rounding that a mean may have: of its data type, and of a sum of that many float64."""
    counts = np.maximum(merged.known.get(name, merged.counts[:, None])[rows], 1)
    eps = float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
    size = merged.sizes[name][rows] / counts if name in merged.sizes else 0.0
    slack = (_ULPS * eps + counts * np.finfo(np.float64).eps) * size
    return np.asarray(slack + (0.5 if dtype.kind != "f" else 0.0))


def _pairs(left: IntArray, right: IntArray) -> tuple[IntArray, IntArray]:
    """Return the rows of two tables of keys that stand in both, once each."""
    both = np.concatenate([left, right])
    order = lexicographic_order(both)
    ordered = both[order]
    same = (ordered[1:] == ordered[:-1]).all(axis=1)
    pair = same.copy()
    pair[1:] &= ~same[:-1]
    pair[:-1] &= ~same[1:]
    first, second = order[:-1][pair], order[1:][pair]
    mixed = (first < len(left)) & (second >= len(left))
    return first[mixed], second[mixed] - len(left)


def _others(count: int, rows: IntArray) -> IntArray:
    rest = np.ones(count, bool)
    rest[rows] = False
    return np.flatnonzero(rest)


def wrong_values(comparison: Comparison, name: str, mode: str) -> BoolArray | None:
    """Return which stored values are not what their vertices make; None where that cannot be said."""
    merged, rows = comparison.merged, comparison.expected
    if name not in comparison.stored.attributes:
        return None
    values, missing, sign = comparison.stored.attributes[name]
    found, missing = values[comparison.found], missing[comparison.found]
    if mode == "count":
        return np.asarray((found != merged.counts[rows][:, None]).any(axis=1))
    if mode in ("mean", "sum") and name in merged.sums:
        wrong = _wrong_sums(merged, name, mode, rows, found, missing, sign)
    elif name in (exact := {"min": merged.lowest, "max": merged.highest}.get(mode, {})):
        wrong = missing | (found != exact[name][rows].astype(found.dtype))
    elif mode == "mode" and name in merged.runs and not any(name in names for names in COLOURS):
        wrong = missing | _rare_values(merged.runs[name], rows, found[:, 0], len(merged.counts))[:, None]
    else:
        return None
    return np.asarray(np.where(merged.known[name][rows] > 0, wrong, ~missing).any(axis=1))


def _wrong_sums(
    merged: Merged, name: str, mode: str, rows: IntArray, found: AnyArray, missing: BoolArray, sign: Any
) -> BoolArray:
    counts = np.maximum(merged.known[name][rows], 1)
    expected = merged.sums[name][rows] / (counts if mode == "mean" else 1)
    slack = _slack(merged, name, rows, found.dtype) * (1 if mode == "mean" else counts)
    with np.errstate(over="ignore", invalid="ignore"):
        same = found == expected.astype(found.dtype)
    if sign is not None and found.dtype.kind != "f":
        slack = slack + (np.rint(expected) == sign)  # which stands for what is missing, so that the next one is stored
    far = ~same & ~np.isnan(expected)
    far[far] = ~(np.abs(found.astype(np.float64)[far] - expected[far]) <= slack[far])
    return np.asarray(far | (missing & ~np.isnan(expected)))


def _rare_values(runs: tuple[IntArray, AnyArray, IntArray], rows: IntArray, found: AnyArray, count: int) -> BoolArray:
    """Return which values occur less often among their vertices than another value."""
    group, value, times = runs
    if len(value) == 0:
        return np.zeros(len(rows), np.bool_)
    most = np.zeros(count, np.int64)
    np.maximum.at(most, group, times)
    known = np.unique(value)
    places = np.minimum(np.searchsorted(known, found), len(known) - 1)
    keys = group * len(known) + np.searchsorted(known, value)
    wanted = rows * len(known) + places
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    occurs = np.where((keys[at] == wanted) & (known[places] == found), times[at], 0)
    return np.asarray(occurs < most[rows])
