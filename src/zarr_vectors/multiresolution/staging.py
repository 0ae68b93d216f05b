"""Staging coarse levels: made from level 0, written where a change is prepared, with the root metadata last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    CAP_MULTISCALE_LINKS,
    CAP_PRESERVED_OBJECT_IDS,
    CAP_SHARED_FRAGMENTS,
    OBJECT_ID_ATTRIBUTE,
    ORIGINAL_INDEX_ATTRIBUTE,
    XLEVEL_NONE,
)
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.documents import merge_capabilities
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.metadata import AGGREGATION, KEYED, SPARSITY, LevelEntry, LevelMetadata, RootMetadata
from zarr_vectors.multiresolution.building import Built, build_levels, holds_paths
from zarr_vectors.multiresolution.modes import chosen_mode
from zarr_vectors.multiresolution.plan import CrossLevel, LevelPlan, parse_aggregation, parse_cross_level
from zarr_vectors.multiresolution.removal import remove_levels
from zarr_vectors.read.elements import link_specs
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.port import Storage
from zarr_vectors.write.level import write_level, write_links
from zarr_vectors.write.options import Progress
from zarr_vectors.write.store import write_root

"""Level metadata of this package: how the objects that stay were chosen, ``{"strategy": …, "seed": …}``."""


@dataclass(frozen=True, slots=True)
class PyramidRecipe:
    """What a user asks of coarse levels; see :func:`~zarr_vectors.multiresolution.coarsen.build_pyramid`.

    Parameters
    ----------
    agg_mode : None, str or mapping
        How attributes of merged vertices combine.
    sparsity_strategy : str
        Which objects stay.
    sparsity_seed : int, optional
        Seed of the random choice.
    cross_level_storage : str, optional
        Which links between levels are stored.
    cross_level_depth : int, optional
        Largest level difference with stored links; None follows the store.
    share_metavertices : bool, optional
        Whether paths share the metavertices of their bins; None where those of level 0 share fragments.
    layout : LevelOptions
        Compression and shards.
    progress : callable, optional
        Called with ``(done, total)`` levels.
    link_agg_mode : mapping, optional
        How attributes of merged links combine, where that is not as `agg_mode` says.
    checksum : bool, optional
        Whether levels are stored with checksums; None where those of level 0 are.
    """

    agg_mode: str | Mapping[str, str] | None = None
    sparsity_strategy: str = "random"
    sparsity_seed: int | None = None
    cross_level_storage: str | None = None
    cross_level_depth: int | None = None
    share_metavertices: bool | None = None
    layout: LevelOptions = field(default_factory=LevelOptions)
    progress: Progress | None = None
    link_agg_mode: Mapping[str, str] | None = None
    checksum: bool | None = None


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """One level that was built.

    Attributes
    ----------
    level : int
        Its number.
    vertex_count, chunk_count, object_count : int
        What it holds; objects that were thinned out are not counted.
    bin_ratio : tuple of int
        Bin shape over that of level 0.
    bin_shape, chunk_shape : tuple of float
        Edge lengths.
    """

    level: int
    vertex_count: int
    chunk_count: int
    object_count: int
    bin_ratio: tuple[int, ...]
    bin_shape: tuple[float, ...]
    chunk_shape: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PyramidSummary:
    """What ``build_pyramid`` built.

    Attributes
    ----------
    levels : tuple of LevelSummary
        The coarse levels, ascending.
    """

    levels: tuple[LevelSummary, ...]

    @property
    def levels_created(self) -> int:
        """Number of levels built."""
        return len(self.levels)

    def __getitem__(self, key: str) -> Any:
        if key in ("levels", "levels_created"):
            return getattr(self, key)
        raise KeyError(key)


def stage_levels(
    target: Storage,
    store: StoreReader,
    plans: Sequence[LevelPlan],
    recipe: PyramidRecipe,
    *,
    replaced: Sequence[int] = (),
    beside: Sequence[LevelReader] = (),
    parent: int | None = None,
    previous: Mapping[int, LevelReader] | None = None,
) -> PyramidSummary:
    """Make coarse levels and write them where a change is prepared.

    Parameters
    ----------
    target : Storage
        Where the change is staged.
    store : StoreReader
        The store as it is.
    plans : sequence of LevelPlan
        The levels.
    recipe : PyramidRecipe
        What is asked of them.
    replaced : sequence of int
        Levels that are removed.
    beside : sequence of LevelReader
        Coarse levels that stay.
    parent : int, optional
        Level that those made name as their parent; the finer neighbour by default.
    previous : mapping of int to LevelReader, optional
        Levels of the same numbers as they were, whose unknown keys stay; those replaced by default.

    Raises
    ------
    ArgumentError
        For what cannot be done with this store. Nothing is written then.
    """
    cross = parse_cross_level(store.root, recipe.cross_level_storage, recipe.cross_level_depth)
    _require_nesting(plans, cross)
    modes, link_modes, counted = _aggregation(store, recipe.agg_mode, recipe.link_agg_mode)
    seed = recipe.sparsity_seed
    if seed is None:
        seed = int(np.random.default_rng().integers(1 << 31))
    shared = recipe.share_metavertices
    if shared is None:
        shared = holds_paths(store) and store.level(0).metadata.shared_fragments
    built = build_levels(
        store, plans, modes, link_modes, counted, cross, recipe.sparsity_strategy, seed, beside, shared=shared
    )
    if previous is None:
        previous = {number: store.level(number) for number in replaced}
    staying = remove_levels(target, store, replaced)
    root = _with_levels(store, replaced, staying, plans, cross, built, previous)
    root = _with_cross_level(root, staying, recipe, cross)
    choice = {"strategy": recipe.sparsity_strategy, "seed": seed}
    _write_levels(target, store, root, staying, plans, built, recipe, choice, parent, previous)
    return PyramidSummary(tuple(_summary(plan, cells) for plan, cells in zip(plans, built.cells, strict=True)))


def _require_nesting(plans: Sequence[LevelPlan], cross: CrossLevel) -> None:
    """Refuse links between levels whose bins do not lie in each other: they would lead to several metavertices."""
    for finer, coarser in combinations(plans, 2):
        if coarser.level - finer.level > cross.reach:
            continue
        if any(c % f for f, c in zip(finer.fold, coarser.fold, strict=True)):
            raise ArgumentError(
                f"factors: links between levels {finer.level} and {coarser.level} need bins of the one to lie in bins "
                f"of the other, but their folds are {listed(finer.fold)} and {listed(coarser.fold)}; use multiples, "
                "or cross_level_storage='none'"
            )


def listed(numbers: Sequence[float]) -> str:
    """Return numbers in parentheses, for messages."""
    return f"({', '.join(f'{number:g}' for number in numbers)})"


def _aggregation(
    store: StoreReader, agg_mode: Any, of_links: Mapping[str, str] | None
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return the modes of vertex attributes and of link attributes, and the new attributes that count.

    The order of the input means nothing for metavertices: it has no mode, and coarse levels do without it.
    """
    level = store.level(0)
    arrays, keyed = level.arrays, level.keyed_attribute
    if isinstance(agg_mode, Mapping) and keyed is not None and keyed in agg_mode:
        raise ArgumentError(
            f"agg_mode: chunks go by {keyed!r} at every level, so that only vertices of one value merge, and keep it; "
            "leave it out, and give a count a name of its own"
        )
    specs = {name: array.spec for name, array in arrays.vertex_attributes.items()}
    links = link_specs(arrays)
    everywhere, named = parse_aggregation(agg_mode, [*specs, *links])
    modes, link_modes = (
        {
            name: chosen_mode(name, spec, everywhere, asked)
            for name, spec in some.items()
            if name != ORIGINAL_INDEX_ATTRIBUTE or name in asked
        }
        for some, asked in ((specs, named), (links, named if of_links is None else of_links))
    )
    return modes, link_modes, [name for name in named if name not in specs and name not in links]


def _with_levels(
    store: StoreReader,
    removed: Sequence[int],
    staying: Mapping[int, LevelReader],
    plans: Sequence[LevelPlan],
    cross: CrossLevel,
    built: Built,
    previous: Mapping[int, LevelReader],
) -> RootMetadata:
    """Return the root metadata without the entries of levels that were removed, and with those of new ones."""
    root = store.root
    across = any(delta for level in staying.values() for delta in level.arrays.links)
    capabilities = [token for token in root.format_capabilities if token != CAP_MULTISCALE_LINKS]
    if any(shares_fragments(cells) for cells in built.cells):
        capabilities.append(CAP_SHARED_FRAGMENTS)
    if any(cells.objects is not None for cells in built.cells):
        capabilities.append(CAP_PRESERVED_OBJECT_IDS)
    if built.links or across:
        capabilities.append(CAP_MULTISCALE_LINKS)
    for number in removed:
        root = root.without_level(number)
    for plan in plans:
        grown = plan.chunk_scale if any(s != 1 for s in plan.chunk_scale) else None
        ratio = tuple(float(f) for f in plan.fold)
        bins = plan.grid.bin_shape or plan.grid.chunk_shape
        held = previous[plan.level].root.entry(plan.level) if plan.level in previous else None
        extra = {} if held is None else held.extra
        root = root.with_level(LevelEntry(plan.level, ratio, bins, 1 / plan.object_fold, grown, extra))
    return replace(root, format_capabilities=merge_capabilities(capabilities))


def _with_cross_level(
    root: RootMetadata, staying: Mapping[int, LevelReader], recipe: PyramidRecipe, cross: CrossLevel
) -> RootMetadata:
    """Return the root metadata with what it says of links across levels: what was asked for, else what it said."""
    across = any(delta for level in staying.values() for delta in level.arrays.links)
    if across and not cross.reach:
        return root
    told = recipe.cross_level_depth is not None or recipe.cross_level_storage == XLEVEL_NONE
    depth = cross.depth if cross.reach else 0 if told else root.cross_level_depth
    if across and depth is not None:
        depth = max(depth, root.cross_level_depth or 0)
    named = cross.reach or recipe.cross_level_storage is not None
    return replace(
        root,
        cross_level_storage=cross.storage if named else root.cross_level_storage,
        cross_level_depth=depth,
    )


def _write_levels(
    storage: Storage,
    store: StoreReader,
    root: RootMetadata,
    staying: Mapping[int, LevelReader],
    plans: Sequence[LevelPlan],
    built: Built,
    recipe: PyramidRecipe,
    choice: Mapping[str, Any],
    parent: int | None,
    previous: Mapping[int, LevelReader],
) -> None:
    checksum = store.stored_options(0).checksum if recipe.checksum is None else recipe.checksum
    layout = replace(recipe.layout, checksum=checksum)
    progress = recipe.progress
    total = len(plans) + 1
    for done, (plan, cells) in enumerate(zip(plans, built.cells, strict=True), start=1):
        links = tuple(make() for level, make in built.links if level == plan.level)
        metadata = level_metadata(plan, cells, built, plan.level - 1 if parent is None else parent)
        metadata = _chunked_alike(metadata, store.level(0).metadata)
        if plan.object_fold != 1:
            metadata = replace(metadata, extra={**metadata.extra, SPARSITY: dict(choice)})
        old = previous.get(plan.level)
        if old is not None:
            metadata = replace(metadata, extra={**old.metadata.unknown, **metadata.extra})
        write_level(
            storage,
            store.revision,
            root,
            metadata,
            replace(cells, links=cells.links + links),
            layout,
            previous=None if old is None else old.attributes,
            kept=None if old is None else old.unknown,
        )
        if progress is not None:
            progress(done, total)
    for number in sorted({level for level, _ in built.links} - {plan.level for plan in plans}):
        tables = [make() for level, make in built.links if level == number]
        write_links(storage, store.revision, root, staying[number], tables, layout)
    write_root(storage, store.revision, root, store.attributes)
    if progress is not None:
        progress(total, total)


def _chunked_alike(metadata: LevelMetadata, finest: LevelMetadata) -> LevelMetadata:
    """Return a level's metadata with the attribute chunks of level 0, which every level has."""
    return replace(
        metadata,
        chunk_dims=finest.chunk_dims,
        chunk_attribute_name=finest.chunk_attribute_name,
        chunk_attribute_values=finest.chunk_attribute_values,
        extra={**metadata.extra, **{key: finest.extra[key] for key in KEYED if key in finest.extra}},
    )


def level_metadata(plan: LevelPlan, cells: Cells, built: Built, parent: int) -> LevelMetadata:
    """Return the metadata of a coarse level."""
    objects = cells.objects
    return LevelMetadata(
        level=plan.level,
        bin_shape=plan.grid.bin_shape,
        bin_ratio=tuple(float(f) for f in plan.fold),
        object_sparsity=1 / plan.object_fold,
        coarsening_method="per_object",
        parent_level=parent,
        chunk_shape=plan.grid.chunk_shape if any(s != 1 for s in plan.chunk_scale) else None,
        preserves_object_ids=None if objects is None else True,
        inherited_num_objects=None if objects is None else len(objects.ids),
        shared_fragments=shares_fragments(cells),
        fragments_tile=cells.fragments.explicit is None,
        extra={AGGREGATION: dict(built.aggregation)},
    )


def shares_fragments(cells: Cells) -> bool:
    """Return whether fragments of a coarse level belong to several objects, and so name none as theirs."""
    return cells.objects is not None and cells.count > 0 and OBJECT_ID_ATTRIBUTE not in cells.fragment_attributes


def _summary(plan: LevelPlan, cells: Cells) -> LevelSummary:
    present = 0
    if cells.objects is not None and cells.objects.manifests is not None:
        present = int((np.diff(cells.objects.manifests.offsets) > 0).sum())
    bins = plan.grid.bin_shape or plan.grid.chunk_shape
    return LevelSummary(plan.level, cells.count, len(cells.chunks), present, plan.fold, bins, plan.grid.chunk_shape)
