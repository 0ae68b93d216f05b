"""Building coarse levels: ``build_pyramid`` for all of them, ``coarsen_level`` for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    CAP_MULTISCALE_LINKS,
    CAP_PRESERVED_OBJECT_IDS,
    CAP_SHARED_FRAGMENTS,
    OBJECT_ID_ATTRIBUTE,
    ORIGINAL_INDEX_ATTRIBUTE,
)
from zarr_vectors.exceptions import ArgumentError, StoreExistsError
from zarr_vectors.formats.documents import merge_capabilities
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.metadata import CHUNKED_BY, LevelEntry, LevelMetadata, RootMetadata
from zarr_vectors.multiresolution.aggregation import chosen_mode
from zarr_vectors.multiresolution.building import Built, build_levels
from zarr_vectors.multiresolution.plan import (
    CrossLevel,
    LevelPlan,
    parse_aggregation,
    parse_cross_level,
    plan_levels,
)
from zarr_vectors.multiresolution.removal import remove_levels
from zarr_vectors.read.elements import link_specs
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.journal import Transaction
from zarr_vectors.storage.port import Storage
from zarr_vectors.write.changing import open_for_change
from zarr_vectors.write.level import write_level, write_links
from zarr_vectors.write.options import Progress, WriteOptions
from zarr_vectors.write.store import write_root

_TOLERANCE = 1e-9


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


def build_pyramid(
    path: Any,
    factors: Sequence[Any] = ((2.0, 1.0), (4.0, 1.0)),
    *,
    agg_mode: str | Mapping[str, str] | None = None,
    chunk_scale_factors: Sequence[Any] | None = None,
    sparsity_strategy: str = "random",
    sparsity_seed: int | None = None,
    cross_level_depth: int = 1,
    cross_level_storage: str | None = None,
    share_metavertices: bool = False,
    overwrite: bool = False,
    compressor: Any = "auto",
    shard_shape: Any = "auto",
    progress: Progress | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> PyramidSummary:
    """Build the coarse levels of a store.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    factors : sequence of (bin fold, object fold)
        One pair a level, finest first. The bin fold is relative to level 0: a whole number, or one per axis, as
        ``((2, 2, 1), 1.0)``. The object fold is relative to level 0 too: ``round(n / fold)`` of its objects stay.
    agg_mode : None, str or mapping, optional
        How attributes of merged vertices combine: ``mean``, ``sum``, ``min``, ``max``, ``mode`` or ``count``, for
        all or by name. None means the mean of floats and the mode of everything else. A new name with mode
        ``count`` makes an attribute that holds the number of merged vertices.
    chunk_scale_factors : sequence of int or tuple, optional
        Chunk shape of each level over the root's; by default the smallest whose chunks hold whole bins.
    sparsity_strategy : str
        Which objects stay: ``random``, ``spatial_coverage``, ``size`` (most vertices first) or
        ``attribute:<name>`` (largest value first).
    sparsity_seed : int, optional
        Seed of the random choice.
    cross_level_depth : int
        Largest level difference with stored links; -1 means all adjacent pairs.
    cross_level_storage : {"none", "implicit", "explicit"}, optional
        Links from fine to coarse vertices: none, fine to coarse only, or both ways. None follows the store.
    share_metavertices : bool
        Whether paths that go through a coarse bin share one metavertex there, the centroid of all their vertices in
        it, instead of each having its own. Bundles of streamlines then take less room; their ends move.
    overwrite : bool
        Whether levels that exist may be replaced.
    compressor, shard_shape
        As in ``write_points``.
    progress : callable, optional
        Called with ``(done, total)`` levels.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    PyramidSummary
        Counts and shapes of every level.

    Raises
    ------
    StoreExistsError
        When the store has coarse levels and ``overwrite`` is not set.
    ArgumentError
        For a factor, mode or strategy that cannot be used. The store is then as it was.
    """
    options = WriteOptions.parse(compressor=compressor, progress=progress)
    layout = LevelOptions(compressor, shard_shape)
    with open_for_change(path, backend, backend_kwargs) as (storage, store):
        existing = [number for number in store.level_numbers() if number > 0]
        if existing and not overwrite:
            raise StoreExistsError(
                f"{storage.url}: levels {existing} exist already; pass overwrite=True to replace them"
            )
        plans = plan_levels(store.root, factors, chunk_scale_factors)
        cross = parse_cross_level(store.root, cross_level_storage, cross_level_depth)
        modes, link_modes, counted = _aggregation(store, agg_mode)
        built = build_levels(
            store, plans, modes, link_modes, counted, cross, sparsity_strategy, sparsity_seed, shared=share_metavertices
        )
        with Transaction(storage) as transaction:
            staying = remove_levels(transaction, store, existing)
            root = _with_levels(store, existing, staying, plans, cross, built)
            _write_levels(transaction, store, root, staying, plans, built, layout, options.progress)
        return PyramidSummary(tuple(_summary(plan, cells) for plan, cells in zip(plans, built.cells, strict=True)))


def coarsen_level(
    path: Any,
    source_level: int,
    target_level: int,
    *,
    coarsen_factor: float | Sequence[float] = 2.0,
    sparsity_factor: float = 1.0,
    agg_mode: str | Mapping[str, str] | None = None,
    chunk_scale_factor: int | Sequence[int] | None = None,
    sparsity_strategy: str = "random",
    sparsity_seed: int | None = None,
    cross_level_storage: str | None = None,
    share_metavertices: bool = False,
    overwrite: bool = False,
    compressor: Any = "auto",
    shard_shape: Any = "auto",
    progress: Progress | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> LevelSummary:
    """Build one coarse level.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    source_level : int
        Level to which ``coarsen_factor`` and ``sparsity_factor`` are relative, and the parent of the new one. The
        values themselves are aggregated from level 0, so that no error adds up.
    target_level : int
        Level to make; above the source. When it replaces one, links between that and other levels go with it; those
        from level 0 to a new level 1 are made anew, all others by :func:`build_pyramid`.
    coarsen_factor : number or one per axis
        Bin shape over that of the source level.
    sparsity_factor : float
        Objects of the source level over objects kept, at least 1. Those kept are among the objects of finer levels.
    agg_mode, sparsity_strategy, sparsity_seed, cross_level_storage, share_metavertices, overwrite, compressor,
    shard_shape, progress
        As in :func:`build_pyramid`.
    chunk_scale_factor : int or tuple, optional
        Chunk shape over the root's.
    backend, **backend_kwargs
        Storage library and its options.

    Raises
    ------
    ArgumentError, StoreExistsError, UnknownNameError
        As in :func:`build_pyramid`; nothing is changed then.
    """
    options = WriteOptions.parse(compressor=compressor, progress=progress)
    layout = LevelOptions(compressor, shard_shape)
    if not isinstance(target_level, int) or not isinstance(source_level, int) or target_level <= source_level:
        raise ArgumentError(f"target_level: must be above source_level {source_level}, got {target_level!r}")
    with open_for_change(path, backend, backend_kwargs) as (storage, store):
        source = store.level(source_level).metadata
        levels = store.level_numbers()
        if target_level in levels and not overwrite:
            raise StoreExistsError(f"{storage.url}: level {target_level} exists already; pass overwrite=True")
        if target_level != max(level for level in levels if level < target_level) + 1:
            raise ArgumentError(f"target_level: levels count without gaps; the store has {levels}, got {target_level}")
        entry = store.root.entry(source_level)
        ratio = np.array(entry.bin_ratio if entry else (1.0,) * store.root.ndim)
        fold = tuple((ratio * np.asarray(coarsen_factor, np.float64)).tolist())
        thinning = sparsity_factor / source.object_sparsity
        scales = None if chunk_scale_factor is None else [chunk_scale_factor]
        plans = plan_levels(store.root, [(fold, thinning)], scales, first=target_level)
        _refuse_disorder(store, plans[0])
        cross = parse_cross_level(store.root, cross_level_storage, 1)
        modes, link_modes, counted = _aggregation(store, agg_mode)
        beside = [store.level(level) for level in levels if level not in (0, target_level)]
        built = build_levels(
            store,
            plans,
            modes,
            link_modes,
            counted,
            cross,
            sparsity_strategy,
            sparsity_seed,
            beside,
            shared=share_metavertices,
        )
        with Transaction(storage) as transaction:
            replaced = [level for level in levels if level == target_level]
            staying = remove_levels(transaction, store, replaced)
            root = _with_levels(store, replaced, staying, plans, cross, built)
            _write_levels(
                transaction, store, root, staying, plans, built, layout, options.progress, parent=source_level
            )
        return _summary(plans[0], built.cells[0])


def _refuse_disorder(store: StoreReader, plan: LevelPlan) -> None:
    """Refuse a level that is coarser or thinner than one of a higher number, or the other way round."""
    for number in store.level_numbers():
        entry, metadata = store.root.entry(number), store.level(number).metadata
        ratio = (entry.bin_ratio if entry else metadata.bin_ratio) or (1.0,) * store.root.ndim
        sparsity = entry.object_sparsity if entry else metadata.object_sparsity
        sign = np.sign(plan.level - number)
        if any(sign * (mine - theirs) < 0 for mine, theirs in zip(plan.fold, ratio, strict=True)):
            what, given, found = "bin ratio", _listed(plan.fold), _listed(ratio)
        elif sign * (sparsity - 1 / plan.object_fold) < -_TOLERANCE:
            what, given, found = "object sparsity", f"{1 / plan.object_fold:g}", f"{sparsity:g}"
        else:
            continue
        raise ArgumentError(
            f"{store.storage.url}: level {plan.level} would have {what} {given}, but level {number} has {found}, and a "
            f"level must be as coarse as those below it and no coarser than those above; choose another "
            f"coarsen_factor or sparsity_factor, or make all levels anew by build_pyramid(overwrite=True)"
        )


def _listed(numbers: Sequence[float]) -> str:
    return f"({', '.join(f'{number:g}' for number in numbers)})"


def _aggregation(store: StoreReader, agg_mode: Any) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return the modes of vertex attributes and of link attributes, and the new attributes that count.

    The order of the input means nothing for metavertices: it has no mode, and coarse levels do without it.
    """
    arrays = store.level(0).arrays
    specs = {name: array.spec for name, array in arrays.vertex_attributes.items()}
    of_links = link_specs(arrays)
    everywhere, named = parse_aggregation(agg_mode, [*specs, *of_links])
    modes, link_modes = (
        {
            name: chosen_mode(name, spec, everywhere, named)
            for name, spec in some.items()
            if name != ORIGINAL_INDEX_ATTRIBUTE or name in named
        }
        for some in (specs, of_links)
    )
    return modes, link_modes, [name for name in named if name not in specs and name not in of_links]


def _with_levels(
    store: StoreReader,
    removed: Sequence[int],
    staying: Mapping[int, LevelReader],
    plans: Sequence[LevelPlan],
    cross: CrossLevel,
    built: Built,
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
        root = root.with_level(LevelEntry(plan.level, ratio, bins, 1 / plan.object_fold, grown))
    stated = (root.cross_level_storage, root.cross_level_depth)
    if cross.reach or not across:
        depth = cross.depth if cross.reach else 0
        stated = (cross.storage, max(depth, root.cross_level_depth) if across else depth)
    return replace(
        root,
        format_capabilities=merge_capabilities(capabilities),
        cross_level_storage=stated[0],
        cross_level_depth=stated[1],
    )


def _write_levels(
    storage: Storage,
    store: StoreReader,
    root: RootMetadata,
    staying: Mapping[int, LevelReader],
    plans: Sequence[LevelPlan],
    built: Built,
    layout: LevelOptions,
    progress: Progress | None,
    parent: int | None = None,
) -> None:
    total = len(plans) + 1
    for done, (plan, cells) in enumerate(zip(plans, built.cells, strict=True), start=1):
        links = tuple(make() for level, make in built.links if level == plan.level)
        metadata = level_metadata(plan, cells, built, plan.level - 1 if parent is None else parent)
        metadata = _chunked_alike(metadata, store.level(0).metadata)
        write_level(storage, store.revision, root, metadata, replace(cells, links=cells.links + links), layout)
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
        extra={**metadata.extra, **{key: finest.extra[key] for key in (CHUNKED_BY,) if key in finest.extra}},
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
        extra={"aggregation": dict(built.aggregation)},
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
