"""Level 5: counts, centroids and aggregated attributes of a coarse level, compared with full resolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors.model.attributes import Column
from zarr_vectors.model.grid import Grid
from zarr_vectors.model.metadata import AGGREGATION
from zarr_vectors.multiresolution.aggregation import COLOURS, missing_sign
from zarr_vectors.ordering import lexicographic_order
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray
from zarr_vectors.validate.consistency import has_objects
from zarr_vectors.validate.conventions import POINTS
from zarr_vectors.validate.metavertices import Merged, known_values, merge, owner_of_rows
from zarr_vectors.validate.pyramid import PyramidSubject
from zarr_vectors.validate.rules import Problem, error

_ULPS = 8


@dataclass(frozen=True, slots=True)
class Stored:
    """What a coarse level holds.

    Parameters
    ----------
    positions : (M, D) float
        Metavertices.
    owners : (M,) int64
        Object id of each, -1 where there are no objects.
    attributes : mapping of str to ((M, C) array, (M, C) bool, number)
        The attributes that were aggregated, which values are missing, and what stands for those.
    """

    positions: FloatArray
    owners: IntArray
    attributes: dict[str, tuple[AnyArray, BoolArray, Any]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Metavertices that ought to be there beside those that are.

    Parameters
    ----------
    merged : Merged
        What follows from full resolution.
    stored : Stored
        What the level holds.
    expected, found : (n,) int64
        Rows of `merged` and of `stored` that belong together.
    missing, surplus : (m,) int64
        Rows of `merged` without a counterpart, and of `stored`.
    """

    merged: Merged
    stored: Stored
    expected: IntArray
    found: IntArray
    missing: IntArray
    surplus: IntArray


@dataclass
class CoherenceSubject:
    """A coarse level whose metavertices can be made anew.

    Parameters
    ----------
    pyramid : PyramidSubject
        The level and those it was made from.
    """

    pyramid: PyramidSubject

    @property
    def modes(self) -> dict[str, str]:
        """How attributes were aggregated, as the level records it."""
        found = self.pyramid.level.reader.metadata.extra.get(AGGREGATION)
        if not isinstance(found, dict):
            return {}
        arrays = self.pyramid.level.reader.arrays.vertex_attributes
        return {str(name): str(mode) for name, mode in found.items() if name in arrays}

    @property
    def kept(self) -> IntArray | None:
        """Ids of the objects that the level keeps, None for points without objects."""
        level = self.pyramid.level
        return level.present if has_objects(level) else None

    @cached_property
    def comparison(self) -> Comparison | None:
        """The level compared with full resolution, or None where both are empty."""
        pyramid = self.pyramid
        finest, grid = pyramid.finest, pyramid.bins
        assert finest is not None
        assert grid is not None
        rows = self._rows_below()
        merged = merge(pyramid.reader.blocks_of(finest, rows), grid, self.modes, self.kept)
        stored = self._stored()
        if merged is None:
            merged = Merged(np.zeros((0, grid.ndim), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
            merged.sums[""] = np.zeros((0, grid.ndim))
        if not pyramid.level.is_sampled:
            return compare(merged, stored, grid)
        return _without_faces(compare(self._under_sample(merged), stored, grid), pyramid.level.reader.grid)

    def _stored(self) -> Stored:
        level, names = self.pyramid.level, self.modes
        blocks = list(self.pyramid.reader.blocks_of(level, level.sampled))
        ndim = level.store.root.ndim
        positions = [block.positions for block in blocks] or [np.zeros((0, ndim), np.float32)]
        owners = [
            owner_of_rows(block) if self.kept is not None else np.full(len(block.positions), -1, np.int64)
            for block in blocks
        ]
        attributes = {
            name: _stored_values(name, [block.attributes[name].column for block in blocks]) for name in names if blocks
        }
        return Stored(np.concatenate(positions), np.concatenate([np.zeros(0, np.int64), *owners]), attributes)

    def _rows_below(self) -> IntArray:
        """Return the chunks of full resolution that lie under the coarse chunks that are looked at."""
        level, finest = self.pyramid.level, self.pyramid.finest
        assert finest is not None
        everything = np.arange(len(finest.reader.chunks), dtype=np.int64)
        if not level.is_sampled:
            return everything
        multiple = np.round(np.array(level.reader.grid.chunk_shape) / np.array(finest.reader.grid.chunk_shape))
        coarse = finest.reader.chunks // multiple.astype(np.int64)
        rows = level.reader.lookup.rows(coarse)
        return everything[np.isin(rows, level.sampled)]

    def _under_sample(self, merged: Merged) -> Merged:
        """Keep the metavertices whose bins lie in the coarse chunks that are looked at."""
        reader = self.pyramid.level.reader
        chunks = merged.bins // np.array(reader.grid.bins_per_chunk)
        keep = np.flatnonzero(np.isin(reader.lookup.rows(chunks), self.pyramid.level.sampled))
        place = np.full(len(merged.counts), -1, np.int64)
        place[keep] = np.arange(len(keep))

        def taken(columns: dict[str, AnyArray]) -> dict[str, AnyArray]:
            return {name: values[keep] for name, values in columns.items()}

        runs = {}
        for name, (group, value, times) in merged.runs.items():
            inside = place[group] >= 0
            runs[name] = (place[group[inside]], value[inside], times[inside])
        return Merged(
            merged.bins[keep],
            merged.owners[keep],
            merged.counts[keep],
            taken(merged.sums),
            taken(merged.sizes),
            taken(merged.lowest),
            taken(merged.highest),
            runs,
            taken(merged.known),
        )


def _without_faces(comparison: Comparison, grid: Grid) -> Comparison:
    """Leave out metavertices at chunk faces: rounding may have filed them in a chunk that is not looked at."""
    stored = comparison.stored.positions
    centroids = centroids_of(comparison.merged, stored.dtype)
    missing = comparison.missing[~_at_face(centroids[comparison.missing], grid)]
    surplus = comparison.surplus[~_at_face(stored[comparison.surplus], grid)]
    return replace(comparison, missing=missing, surplus=surplus)


def _at_face(positions: FloatArray, grid: Grid) -> BoolArray:
    step = _ULPS * np.finfo(positions.dtype).eps * np.abs(positions)
    return np.asarray((grid.chunks_of(positions - step) != grid.chunks_of(positions + step)).any(axis=1))


def _stored_values(name: str, parts: list[Column]) -> tuple[AnyArray, BoolArray, Any]:
    spec = parts[0].spec
    values, missing = known_values(name, Column(np.concatenate([part.values for part in parts]), spec))
    return values, np.zeros(values.shape, np.bool_) if missing is None else missing, missing_sign(spec)


def is_comparable(subject: CoherenceSubject) -> bool:
    """Return whether the level was made from points by merging those of each bin (and object)."""
    return not obstacle(subject)


def obstacle(subject: CoherenceSubject) -> str:
    """Return why the metavertices of a level cannot be made anew; empty where they can."""
    pyramid = subject.pyramid
    finest, level = pyramid.finest, pyramid.level
    if finest is None or pyramid.bins is None:
        return "full resolution or the bin shape is not known"
    if not set(level.store.root.geometry_types) <= set(POINTS) or not level.store.root.geometry_types:
        return f"{', '.join(level.store.root.geometry_types) or 'this geometry'} is not made by merging bins"
    if has_objects(level) != has_objects(finest):
        return "one of the levels has objects, the other has none"
    if has_objects(level) and (level.reader.metadata.shared_fragments or finest.reader.metadata.shared_fragments):
        return "its metavertices are shared by several objects"
    if level.reader.leads or finest.reader.leads:
        return "its chunks also go by an attribute"
    if level.is_sampled and not level.reader.grid.nests:
        return "its bins are larger than its chunks, so that a sample of chunks cannot be compared"
    if level.failed or finest.failed:
        return "errors were found in it or in full resolution"
    return ""


def compare(merged: Merged, stored: Stored, grid: Grid) -> Comparison:
    """Find the metavertex that follows from full resolution for every one that is stored."""
    centroids = centroids_of(merged, stored.positions.dtype)
    ours = np.column_stack([merged.owners, grid.chunks_of(centroids)])
    theirs = np.column_stack([stored.owners, grid.chunks_of(stored.positions)])
    expected, found = _pairs(ours, theirs)
    missing, surplus = _others(len(ours), expected), _others(len(theirs), found)
    if len(missing) == len(surplus) and len(missing):
        # A centroid on the face of a bin may be rounded to either side: compare those left over in order.
        left = np.column_stack([merged.owners[missing], centroids[missing]])
        right = np.column_stack([stored.owners[surplus], stored.positions[surplus]])
        left_rows, right_rows = missing[np.lexsort(left.T[::-1])], surplus[np.lexsort(right.T[::-1])]
        same = merged.owners[left_rows] == stored.owners[right_rows]
        same &= near_centroids(merged, stored.positions, left_rows, right_rows)
        expected, found = np.append(expected, left_rows[same]), np.append(found, right_rows[same])
        missing, surplus = left_rows[~same], right_rows[~same]
    return Comparison(merged, stored, expected, found, missing, surplus)


def centroids_of(merged: Merged, dtype: np.dtype[Any]) -> FloatArray:
    """Return the centroids ``(G, D)`` in the data type of a level."""
    return np.asarray((merged.sums[""] / merged.counts[:, None]).astype(dtype))


def near_centroids(merged: Merged, positions: FloatArray, expected: IntArray, found: IntArray) -> BoolArray:
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


def _pairs(ours: IntArray, theirs: IntArray) -> tuple[IntArray, IntArray]:
    """Return the rows of two tables of keys that stand in both, once each."""
    both = np.concatenate([ours, theirs])
    order = lexicographic_order(both)
    ordered = both[order]
    same = (ordered[1:] == ordered[:-1]).all(axis=1)
    pair = same.copy()
    pair[1:] &= ~same[:-1]
    pair[:-1] &= ~same[1:]
    left, right = order[:-1][pair], order[1:][pair]
    mixed = (left < len(ours)) & (right >= len(ours))
    return left[mixed], right[mixed] - len(ours)


def _others(count: int, rows: IntArray) -> IntArray:
    rest = np.ones(count, bool)
    rest[rows] = False
    return np.flatnonzero(rest)


def metavertices(subject: CoherenceSubject) -> Iterator[Problem]:
    """Check that a coarse level has one metavertex for every bin (and object) that full resolution occupies."""
    comparison = subject.comparison
    assert comparison is not None
    missing, surplus = len(comparison.missing), len(comparison.surplus)
    if missing or surplus:
        total = len(comparison.merged.counts)
        yield subject.pyramid.breach(
            subject.pyramid.level.path,
            f"{total} occupied bins of full resolution make {total} metavertices, but the level holds "
            f"{len(comparison.stored.positions)}: {missing} bins have none of their own, {surplus} metavertices "
            "have no bin; build the pyramid again",
        )


def centroids(subject: CoherenceSubject) -> Iterator[Problem]:
    """Check that metavertices lie at the centroid of the vertices that they stand for."""
    comparison = subject.comparison
    assert comparison is not None
    expected, found = comparison.expected, comparison.found
    positions = comparison.stored.positions
    far = ~near_centroids(comparison.merged, positions, expected, found)
    if far.any():
        first = int(np.flatnonzero(far)[0])
        mean = centroids_of(comparison.merged, positions.dtype)[expected[first]]
        yield subject.pyramid.breach(
            f"{subject.pyramid.level.path}/vertices",
            f"{int(far.sum())} of {len(far)} metavertices are not the centroids of their vertices; "
            f"{positions[found[first]].tolist()} ought to be {mean.tolist()}",
        )


def aggregates(subject: CoherenceSubject) -> Iterator[Problem]:
    """Check that attributes of metavertices are aggregated from full resolution as the level records it."""
    comparison = subject.comparison
    assert comparison is not None
    for name, mode in subject.modes.items():
        wrong = _wrong_values(comparison, name, mode)
        if wrong is not None and wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            value = comparison.stored.attributes[name][0][comparison.found[first]].tolist()
            yield error(
                f"{subject.pyramid.level.path}/vertex_attributes/{name}",
                f"{int(wrong.sum())} of {len(wrong)} values are not the {mode} over their vertices; the first is "
                f"{value} at {comparison.stored.positions[comparison.found[first]].tolist()}",
            )


def has_aggregates(subject: CoherenceSubject) -> bool:
    """Return whether the level records how its attributes were aggregated."""
    return bool(subject.modes) and is_comparable(subject)


def _wrong_values(comparison: Comparison, name: str, mode: str) -> BoolArray | None:
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
