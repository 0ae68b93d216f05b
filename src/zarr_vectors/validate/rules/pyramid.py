"""Coarse levels follow from the levels they were made from.

Levels of points are compared bin by bin. Those whose metavertices are not simply those of bins (paths, trees,
contracted graphs and surfaces, levels that share metavertices and those whose chunks go by a value) are made anew and
compared as a whole; both are then in memory, so that it is done up to :data:`LARGEST` vertices of full resolution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from zarr_vectors.constants import OBJECT_INDEX, VERTEX_ATTRIBUTES, VERTICES, XLEVEL_NONE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells, ObjectTable
from zarr_vectors.model.links import LinkTable
from zarr_vectors.model.metadata import AGGREGATION
from zarr_vectors.multiresolution.building import build_levels, holds_paths
from zarr_vectors.multiresolution.modes import chosen_mode
from zarr_vectors.multiresolution.plan import CrossLevel, LevelPlan
from zarr_vectors.read.cells import read_cells
from zarr_vectors.read.compare import differences
from zarr_vectors.read.elements import link_specs
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.typing import IntArray
from zarr_vectors.validate.metavertices import CoarseSubject, ratio_of, wrong_values
from zarr_vectors.validate.rule import HARMLESS, REBUILD, Fix, Problem, Rules, cells, error, note, warning
from zarr_vectors.validate.rules.root import POINTS

LARGEST = 10_000_000
"""Vertices of full resolution up to which levels are made anew as a whole."""

_TOLERANCE = 1e-6
_ULPS = 8
_METHOD = "per_object"

PYRAMID_RULES: Rules[CoarseSubject] = Rules()
"""Rules of a coarse level beside the others."""

COHERENCE_RULES: Rules[CoarseSubject] = Rules()
"""Rules that make a coarse level anew; not for those that are known to be stale."""


@PYRAMID_RULES.rule(5, REBUILD)
def levels_ascending(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that bins do not get smaller from one level to the next."""
    finer = [number for number in coarse.levels if number < coarse.level.number]
    ratio = coarse.bin_ratio
    if ratio is None:
        yield note(coarse.level.path, "no bin ratio is stated, so the level cannot be compared with full resolution")
        return
    before = ratio_of(coarse.levels[max(finer)]) if finer else None
    if before is not None and any(r < b * (1 - _TOLERANCE) for r, b in zip(ratio, before, strict=True)):
        yield error(
            coarse.level.path, f"bin ratio {list(ratio)} is smaller than {list(before)}, that of level {max(finer)}"
        )


@PYRAMID_RULES.rule(5, REBUILD, Fix("the root's chunk_scale"))
def chunk_multiples(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that a level's chunk shape is a whole multiple of the root's on every axis."""
    shape, root = coarse.level.reader.metadata.chunk_shape, coarse.level.store.root
    if not shape:
        return
    multiples = np.array(shape) / np.array(root.chunk_shape)
    if (np.abs(multiples - np.round(multiples)) > _TOLERANCE * multiples).any() or (multiples < 1 - _TOLERANCE).any():
        yield error(
            coarse.level.path,
            f"chunk_shape {list(shape)} is not a whole multiple of the root's {list(root.chunk_shape)}",
        )


@PYRAMID_RULES.rule(5, REBUILD, Fix("the root's chunk_scale"))
def bins_nest(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that every chunk of a coarse level holds a whole number of bins."""
    try:
        coarse.level.reader.grid.require_nesting()
    except ArgumentError as failure:
        yield coarse.breach(coarse.level.path, str(failure))


@PYRAMID_RULES.rule(5, REBUILD, Fix("the levels that are there"))
def parent_level(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that the level that this one was made from is there and is finer."""
    parent, stated = coarse.parent_number, coarse.level.reader.metadata.parent_level
    if parent not in coarse.levels or not parent < coarse.level.number:
        yield error(
            coarse.level.path,
            f"parent_level is {stated!r}, which is no finer level of the store ({sorted(coarse.levels)})",
        )


@PYRAMID_RULES.rule(5, REBUILD, cells("the vertices"))
def counts_shrink(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that a level has no more vertices than the level it was made from."""
    parent = coarse.parent
    if parent is None or coarse.level.reader.metadata.stale:
        return
    if parent.reader.metadata.shared_fragments and not coarse.level.reader.metadata.shared_fragments:
        return  # what paths share in the parent, each of them has of its own here
    if not _nests(ratio_of(coarse.level), ratio_of(parent)):
        return  # bins of the parent may be cut in two
    count, before = coarse.level.reader.metadata.vertex_count, parent.reader.metadata.vertex_count
    if count > before:
        yield error(coarse.level.path, f"{count} vertices were made from the {before} of level {parent.number}")


def _nests(coarse: tuple[float, ...] | None, fine: tuple[float, ...] | None) -> bool:
    """Return whether every bin lies in one coarser bin, as far as the ratios are known."""
    if coarse is None or fine is None:
        return True
    multiples = np.array(coarse) / np.array(fine)
    return bool((np.abs(multiples - np.round(multiples)) <= _TOLERANCE * multiples).all())


@PYRAMID_RULES.rule(5, REBUILD)
def fresh(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that the level is not older than the level it was made from."""
    if coarse.level.reader.metadata.stale:
        yield warning(coarse.level.path, "the level is marked stale: a finer level changed; build the pyramid again")


def _keeps_ids(coarse: CoarseSubject) -> bool:
    """Return whether a level that is not stale says that it keeps object ids, and both levels have objects."""
    parent, metadata = coarse.parent, coarse.level.reader.metadata
    stated = metadata.preserves_object_ids and not metadata.stale
    return bool(stated) and parent is not None and coarse.level.has_objects and parent.has_objects


@PYRAMID_RULES.rule(5, REBUILD, applies=_keeps_ids)
def objects_kept(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that where object ids are kept, a level's objects are among those of the level it was made from."""
    parent = coarse.parent
    assert parent is not None
    strangers = np.setdiff1d(coarse.level.present, parent.present)
    if len(strangers):
        yield error(
            f"{coarse.level.path}/{OBJECT_INDEX}",
            f"object {strangers[0]} has vertices here, but none at level {parent.number} "
            f"({len(strangers)} such objects)",
        )


def _has_sparsity(coarse: CoarseSubject) -> bool:
    """Return whether the objects can be counted, and are those of full resolution as it is now."""
    if coarse.level.reader.metadata.stale:
        return False
    return coarse.finest is not None and coarse.level.has_objects and coarse.finest.has_objects


@PYRAMID_RULES.rule(5, REBUILD, Fix("the objects that the level keeps"), applies=_has_sparsity)
def object_sparsity(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that the number of objects kept is ``object_sparsity`` times that of full resolution, rounded."""
    finest = coarse.finest
    assert finest is not None
    stated, kept = coarse.level.reader.metadata.object_sparsity, len(coarse.level.present)
    wanted = len(finest.object_ids) * stated
    empty = len(finest.object_ids) - len(finest.present)
    if not wanted - empty - 0.5 - _TOLERANCE <= kept <= wanted + 0.5 + _TOLERANCE:
        yield coarse.breach(
            f"{coarse.level.path}/{OBJECT_INDEX}",
            f"object_sparsity {stated:g} of {len(finest.object_ids)} objects is {wanted:g}, but {kept} are kept",
        )


def _by_bins_hindrance(coarse: CoarseSubject) -> str:
    """Return why the metavertices of a level are not simply those of bins; empty where they are."""
    finest, level = coarse.finest, coarse.level
    if finest is None or coarse.bins is None:
        return "full resolution or the bin shape is not known"
    if not set(level.store.root.geometry_types) <= set(POINTS) or not level.store.root.geometry_types:
        return f"{', '.join(level.store.root.geometry_types) or 'this geometry'} is not made by merging bins"
    if level.has_objects != finest.has_objects:
        return "one of the levels has objects, the other has none"
    if level.has_objects and (level.reader.metadata.shared_fragments or finest.reader.metadata.shared_fragments):
        return "its metavertices are shared by several objects"
    if level.reader.leads or finest.reader.leads:
        return "its chunks also go by an attribute"
    if level.is_sampled and not level.reader.grid.nests:
        return "its bins are larger than its chunks, so that a sample of chunks cannot be compared"
    if level.failed or finest.failed:
        return "errors were found in it or in full resolution"
    return ""


def _as_a_whole_hindrance(coarse: CoarseSubject) -> str:
    """Return why a level cannot be made anew as a whole; empty where it can."""
    level, finest = coarse.level, coarse.finest
    if finest is None or coarse.bin_ratio is None:
        return "full resolution or the bin shape is not known"
    metadata = level.reader.metadata
    if not level.is_ours or metadata.coarsening_method != _METHOD or AGGREGATION not in metadata.extra:
        return "it was made by rules of another writer"
    if metadata.stale:
        return "it is stale"
    if metadata.rechunked:
        return "it was rechunked after it was made, which keeps its vertices and changes their order"
    if level.failed or finest.failed:
        return "errors were found in it or in full resolution"
    if level.is_sampled or finest.is_sampled:
        return "only a sample of its chunks was asked for"
    if finest.reader.metadata.vertex_count > LARGEST:
        return f"full resolution has more than {LARGEST} vertices"
    encoding = finest.reader.arrays.vertices.spec.encoding
    return "" if encoding in (None, "raw") else f"its positions are encoded as {encoding!r}"


def _goes_by_bins(coarse: CoarseSubject) -> bool:
    return not _by_bins_hindrance(coarse)


@COHERENCE_RULES.rule(5, HARMLESS)
def recomputed(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that coarse levels can be compared with full resolution."""
    reason = _by_bins_hindrance(coarse) and _as_a_whole_hindrance(coarse)
    if reason:
        yield note(coarse.level.path, f"the level was not compared with full resolution: {reason}")


@COHERENCE_RULES.rule(5, REBUILD, applies=_goes_by_bins)
def metavertices(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that a coarse level has one metavertex for every bin (and object) that full resolution occupies."""
    comparison = coarse.comparison
    missing, surplus = len(comparison.missing), len(comparison.surplus)
    if missing or surplus:
        total = len(comparison.merged.counts)
        yield coarse.breach(
            coarse.level.path,
            f"{total} occupied bins of full resolution make {total} metavertices, but the level holds "
            f"{len(comparison.stored.positions)}: {missing} bins have none of their own, {surplus} metavertices "
            "have no bin; build the pyramid again",
        )


@COHERENCE_RULES.rule(5, REBUILD, applies=_goes_by_bins)
def centroids(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that metavertices lie at the centroid of the vertices that they stand for."""
    comparison, positions = coarse.comparison, coarse.comparison.stored.positions
    far = ~comparison.near_centroids()
    if far.any():
        first = int(np.flatnonzero(far)[0])
        mean = comparison.merged.centroids(positions.dtype)[comparison.expected[first]]
        yield coarse.breach(
            f"{coarse.level.path}/{VERTICES}",
            f"{int(far.sum())} of {len(far)} metavertices are not the centroids of their vertices; "
            f"{positions[comparison.found[first]].tolist()} ought to be {mean.tolist()}",
        )


@COHERENCE_RULES.rule(5, REBUILD, applies=lambda coarse: bool(coarse.modes) and _goes_by_bins(coarse))
def aggregates(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that attributes of metavertices are aggregated from full resolution as the level records it."""
    comparison = coarse.comparison
    for name, mode in coarse.modes.items():
        wrong = wrong_values(comparison, name, mode)
        if wrong is not None and wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            value = comparison.stored.attributes[name][0][comparison.found[first]].tolist()
            yield error(
                f"{coarse.level.path}/{VERTEX_ATTRIBUTES}/{name}",
                f"{int(wrong.sum())} of {len(wrong)} values are not the {mode} over their vertices; the first is "
                f"{value} at {comparison.stored.positions[comparison.found[first]].tolist()}",
            )


def _is_remade(coarse: CoarseSubject) -> bool:
    return not _goes_by_bins(coarse) and not _as_a_whole_hindrance(coarse)


@COHERENCE_RULES.rule(5, REBUILD, applies=_is_remade)
def remade(coarse: CoarseSubject) -> Iterator[Problem]:
    """Check that a coarse level holds what its making from full resolution gives."""
    level = coarse.level
    made, stored = _make(coarse), read_cells(level.reader)
    names = {name for name in coarse.modes if name in made.attributes and name in stored.attributes}
    names = {name for name in names if not _made_otherwise(stored.attributes[name].spec)}
    found = differences(_comparable(made, stored, names), _comparable(stored, made, names), ulps=_ULPS)
    for path, message in list(found.items())[:1]:
        yield error(f"{level.path}/{path}", f"{message} from what full resolution makes; build the pyramid again")


def _make(coarse: CoarseSubject) -> Cells:
    """Make the level anew by what its metadata records."""
    level, finest = coarse.level, coarse.finest
    assert finest is not None
    assert coarse.bin_ratio is not None
    reader, metadata = level.store.reader, level.reader.metadata
    fold = tuple(round(ratio) for ratio in coarse.bin_ratio)
    scale = tuple(int(s) for s in level.reader.chunk_scale)
    plan = LevelPlan(level.number, fold, 1 / metadata.object_sparsity, scale, level.reader.grid)
    below = finest.reader.arrays.vertex_attributes
    modes = {name: mode for name, mode in coarse.modes.items() if name in below}
    counted = [name for name in coarse.modes if name not in below]
    stated = {name: spec.aggregation for name, spec in link_specs(level.reader.arrays).items()}
    link_modes = {
        name: stated.get(name) or chosen_mode(name, spec, None, {})
        for name, spec in link_specs(finest.reader.arrays).items()
    }
    ids = ordered_object_ids(finest.reader)
    present = None if ids is None else [np.isin(ids, level.present)]
    built = build_levels(
        reader,
        [plan],
        modes,
        link_modes,
        counted,
        CrossLevel(XLEVEL_NONE, 0),
        "random",
        None,
        kept=present,
        shared=metadata.shared_fragments and holds_paths(reader),
    )
    return built.cells[0]


def _made_otherwise(spec: AttributeSpec) -> bool:
    """Return whether values do not state how they were made: whole numbers were rounded by other rules then."""
    return spec.aggregation is None and np.dtype(spec.dtype).kind in "iu"


def _comparable(cells: Cells, other: Cells, names: Collection[str]) -> Cells:
    """Return what follows from full resolution: categories by name, links inside the level whichever way they lead."""
    attributes = {name: _plain(cells.attributes[name]) for name in sorted(names)}
    objects = None
    if cells.objects is not None and other.objects is not None:
        objects = ObjectTable(cells.objects.ids, cells.objects.manifests)
    links = tuple(_undirected(table, cells.row_offsets) for table in cells.links if table.delta == 0)
    return Cells(
        cells.chunks, cells.row_offsets, cells.positions, cells.fragments, attributes, objects=objects, links=links
    )


def _plain(column: Column) -> Column:
    categories = column.spec.categories
    if categories is None:
        return Column(column.values, AttributeSpec())
    return Column(np.array([*categories, None], object)[column.values], AttributeSpec())


def _undirected(table: LinkTable, row_offsets: IntArray) -> LinkTable:
    rows = np.sort(row_offsets[:-1][table.chunks] + table.rows, axis=1)
    return LinkTable(0, np.zeros_like(rows), rows, table.here, table.there)
