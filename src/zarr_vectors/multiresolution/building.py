"""Making all coarse levels of a store in memory: metavertices, their cells, and the links between levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.constants import (
    CROSS_CHUNK_LINKED,
    LINKS_BRANCHES,
    LINKS_EXPLICIT,
    LINKS_SEQUENTIAL,
    OBJECTS_IDENTITY,
    PATH_TYPES,
)
from zarr_vectors.exceptions import ArgumentError, UnsupportedFeatureError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.grid import Grid
from zarr_vectors.model.links import LinkTable
from zarr_vectors.multiresolution.aggregation import Merging, merge_columns
from zarr_vectors.multiresolution.cross_level import Placed, link_levels
from zarr_vectors.multiresolution.faces import coarsen_faces
from zarr_vectors.multiresolution.linked import coarsen_graph
from zarr_vectors.multiresolution.paths import coarsen_paths
from zarr_vectors.multiresolution.plan import CrossLevel, LevelPlan
from zarr_vectors.multiresolution.points import Coarse, Coarsened, Recipe, coarsen_points
from zarr_vectors.multiresolution.sparsity import parse_strategy, rank_objects
from zarr_vectors.multiresolution.trees import coarsen_trees
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import fragment_owners, read_columns, read_groups
from zarr_vectors.read.ordered_objects import ordered_object_ids, read_object_tables
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.branches import along_branches
from zarr_vectors.spatial.partition import FragmentRule, Leading, partition
from zarr_vectors.spatial.sharing import share_fragments
from zarr_vectors.typing import BoolArray, FloatArray, IntArray

_ROW = "\x00row"


@dataclass(frozen=True, slots=True)
class Built:
    """Coarse levels, ready to be written.

    Parameters
    ----------
    cells : list of Cells
        One per plan.
    links : list of (level, function)
        Links across levels, each with the level that stores it, made when they are needed.
    aggregation : dict
        How every attribute was aggregated.
    """

    cells: list[Cells]
    links: list[tuple[int, Callable[[], LinkTable]]]
    aggregation: Mapping[str, str]


Coarsener = Callable[[LevelReader, Recipe], Coarsened]

COARSENERS: Mapping[tuple[str | None, bool, bool], Coarsener] = {
    (LINKS_SEQUENTIAL, False, False): coarsen_points,
    (LINKS_SEQUENTIAL, True, False): coarsen_paths,
    (LINKS_EXPLICIT, False, True): coarsen_faces,
    (LINKS_EXPLICIT, False, False): coarsen_graph,
    (LINKS_BRANCHES, False, False): coarsen_trees,
}
"""How levels are coarsened, by links convention, by whether fragments are ordered paths, and by whether links are
faces, of three endpoints or more."""


def build_levels(
    store: StoreReader,
    plans: Sequence[LevelPlan],
    modes: Mapping[str, str],
    link_modes: Mapping[str, str],
    counted: Sequence[str],
    cross: CrossLevel,
    strategy: str,
    seed: int | None,
    beside: Sequence[LevelReader] = (),
    *,
    kept: Sequence[BoolArray] | None = None,
    shared: bool = False,
) -> Built:
    """Make the coarse levels of a store.

    Objects that more of the levels ``beside`` hold (coarse ones that stay) are kept first, so that the objects of
    each level are among those of the finer ones; ``kept`` says which stay without choosing. Paths share the
    metavertices of coarse bins where ``shared`` is set.

    Raises
    ------
    ArgumentError
        When objects are to be thinned where there are none, metavertices to be shared by what is no path, or the
        strategy cannot be used.
    UnsupportedFeatureError
        When the geometry has no way to be coarsened yet.
    """
    level = store.level(0)
    coarsener = COARSENERS.get((store.root.links_convention, _ordered(store), _has_faces(level)))
    if coarsener is None:
        raise UnsupportedFeatureError(
            f"{store.storage.url}: coarsening {', '.join(store.root.geometry_types)} is not supported"
        )
    if shared:
        _require_paths(store)
    ids = ordered_object_ids(level)
    attributes = read_columns(level, dict(level.arrays.object_attributes), None)
    if kept is None:
        kept = _kept(level, plans, ids, attributes, strategy, seed, beside)
    recipe = Recipe(plans, modes, counted, ids, kept, cross.reach, link_modes, shared)
    coarsened = coarsener(level, recipe)
    groups = read_groups(level)
    cells: list[Cells] = []
    places: dict[int, Placed] = {}
    chunks = {0: level.chunks}
    if cross.reach:
        places[0] = _joined_places(coarsened)
    rule = FragmentRule.BINS if ids is None else FragmentRule.RUNS if _ordered(store) else FragmentRule.OBJECTS
    crossings = store.root.cross_chunk_strategy or CROSS_CHUNK_LINKED
    for plan, coarse in zip(plans, coarsened.levels, strict=True):
        if len(level.chunks) == 0:
            _add_nothing(coarse, level, modes)
        elements = coarse.elements(ids, attributes, groups)
        if cross.reach:
            numbers = np.arange(elements.count, dtype=np.int64) if coarse.visits is None else coarse.visits
            rows = Column(numbers, AttributeSpec(dtype="int64"))
            elements = replace(elements, attributes={**elements.attributes, _ROW: rows})
        if store.root.links_convention == LINKS_BRANCHES:
            elements = along_branches(elements)
        made = partition(elements, plan.grid, rule, crossings=crossings, leading=_leading(level, coarse))
        if shared:
            made = share_fragments(made)
        if cross.reach:
            places[plan.level] = _places(made, plan.grid)
            chunks[plan.level] = made.chunks
            made = replace(made, attributes={n: c for n, c in made.attributes.items() if n != _ROW})
        cells.append(made)
    links = [
        table
        for plan, coarse in zip(plans, coarsened.levels, strict=True)
        for finer, parents in sorted(coarse.parents.items())
        for table in link_levels(finer, plan.level, np.concatenate(parents), places, chunks, cross)
    ]
    return Built(cells, links, {**modes, **dict.fromkeys(counted, "count")})


def holds_paths(store: StoreReader) -> bool:
    """Return whether objects are paths, which can share metavertices where they go through the same bins."""
    return _ordered(store) and store.root.links_convention == LINKS_SEQUENTIAL


def _require_paths(store: StoreReader) -> None:
    root = store.root
    if not holds_paths(store):
        kinds = ", ".join(root.geometry_types)
        raise ArgumentError(f"share_metavertices: only paths share metavertices; the store holds {kinds}")
    if root.object_index_convention == OBJECTS_IDENTITY:
        raise ArgumentError(
            f"share_metavertices: under object_index_convention {OBJECTS_IDENTITY!r} every fragment is an object of "
            "its own; write the store with 'standard'"
        )


def _add_nothing(coarse: Coarse, level: LevelReader, modes: Mapping[str, str]) -> None:
    """Give a coarse level of a level without vertices the columns that it would have."""
    none = read_chunks(level, np.zeros(0, np.int64), fragment_attributes=False)
    coarse.positions = coarse.positions or [none.positions.reshape(0, level.root.ndim)]
    coarse.owners = coarse.owners or [np.zeros(0, np.int64)]
    nobody = np.zeros(0, np.int64)
    for name, column in merge_columns(none.attributes, Merging(nobody, nobody, nobody, 0), modes).items():
        coarse.attributes.setdefault(name, [column])


def _leading(level: LevelReader, coarse: Coarse) -> Leading | None:
    if not level.leads:
        return None
    codes = np.concatenate([np.zeros(0, np.int64), *coarse.leading])
    values = level.metadata.chunk_attribute_values or ()
    return Leading(codes, max(1, len(values), int(codes.max(initial=0)) + 1))


def _ordered(store: StoreReader) -> bool:
    return bool(PATH_TYPES & set(store.root.geometry_types))


def _has_faces(level: LevelReader) -> bool:
    return 0 in level.arrays.links and level.arrays.links[0].width > 2


def _joined_places(coarsened: Coarsened) -> Placed:
    empty = np.zeros(0, np.int32)
    places = np.concatenate([empty, *coarsened.chunk_rows]), np.concatenate([empty, *coarsened.rows])
    coarsened.chunk_rows.clear()
    coarsened.rows.clear()
    return places


def _places(cells: Cells, grid: Grid) -> Placed:
    """Return the chunk row and row of every metavertex, in the order in which they were made.

    One that is stored twice at a crossing counts in the chunk in which it lies, not where a path goes on.
    """
    made = cells.attributes[_ROW].values
    chunk = np.repeat(np.arange(len(cells.chunks)), cells.row_counts)
    n = int(made.max(initial=-1)) + 1
    stored = np.empty(n, np.int64)
    if n < cells.count:
        mine = cells.chunks[chunk]
        rows = np.flatnonzero((grid.chunks_of(cells.positions) == mine[:, -grid.ndim :]).all(axis=1))
        stored[made[rows]] = rows
    else:
        stored[made] = np.arange(n)
    chunk = chunk[stored]
    return chunk, stored - cells.row_offsets[:-1][chunk]


def _kept(
    level: LevelReader,
    plans: Sequence[LevelPlan],
    ids: IntArray | None,
    attributes: dict[str, Column],
    strategy: str,
    seed: int | None,
    beside: Sequence[LevelReader],
) -> list[BoolArray]:
    """Return which objects each level keeps; a level's are among those of the finer ones."""
    name, attribute = parse_strategy(strategy, attributes)
    if ids is None:
        thinned = [plan for plan in plans if plan.object_fold != 1]
        if thinned:
            raise ArgumentError(
                f"factors: level {thinned[0].level} thins objects by {thinned[0].object_fold:g}, but the store has "
                "no objects; use an object fold of 1.0"
            )
        return [np.ones(0, bool) for _ in plans]
    if all(plan.object_fold == 1 for plan in plans):
        return [np.ones(len(ids), bool) for _ in plans]
    column = attributes[attribute] if attribute is not None else None
    sizes, centroids = _measure(level, len(ids)) if name in ("size", "spatial_coverage") else _unmeasured(len(ids))
    ranking = rank_objects(name, column, sizes, centroids, seed)
    for other in beside:
        holds = _held(other, ids)[ranking]
        ranking = np.concatenate([ranking[holds], ranking[~holds]])
    masks = []
    for plan in plans:
        mask = np.zeros(len(ids), bool)
        mask[ranking[: plan.kept(len(ids))]] = True
        masks.append(mask)
    return masks


def _held(level: LevelReader, ids: IntArray) -> BoolArray:
    """Return which objects have vertices at a level."""
    tables = read_object_tables(level, None, [])
    return np.isin(ids, tables.ids[np.diff(tables.manifests.offsets) > 0])


def _unmeasured(objects: int) -> tuple[IntArray, FloatArray]:
    return np.zeros(objects, np.int64), np.zeros((objects, 1))


def _measure(level: LevelReader, objects: int) -> tuple[IntArray, FloatArray]:
    """Return the vertex count and centroid of every object."""
    sizes = np.zeros(objects, np.int64)
    sums = np.zeros((objects, level.grid.ndim))
    for start in range(0, len(level.chunks), 64):
        chunk_rows = np.arange(start, min(len(level.chunks), start + 64))
        cells = read_chunks(level, chunk_rows, fragment_attributes=False)
        owners, _ = fragment_owners(level, cells.fragments, chunk_rows)
        of_row = np.repeat(owners, cells.fragments.counts)
        sizes += np.bincount(of_row, minlength=objects)
        for d in range(level.grid.ndim):
            sums[:, d] += np.bincount(of_row, weights=cells.positions[:, d], minlength=objects)
    return sizes, sums / np.maximum(sizes, 1)[:, None]
