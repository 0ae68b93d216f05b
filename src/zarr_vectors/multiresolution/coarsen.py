"""Building coarse levels: ``build_pyramid`` for all of them, ``coarsen_level`` for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, StoreExistsError
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.multiresolution.plan import LevelPlan, default_factors, plan_levels
from zarr_vectors.multiresolution.staging import LevelSummary, PyramidRecipe, PyramidSummary, listed, stage_levels
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.journal import Transaction
from zarr_vectors.write.changing import open_for_change
from zarr_vectors.write.options import Progress, WriteOptions

_TOLERANCE = 1e-9


def build_pyramid(
    path: Any,
    factors: Sequence[Any] | None = None,
    *,
    agg_mode: str | Mapping[str, str] | None = None,
    chunk_scale_factors: Sequence[Any] | None = None,
    sparsity_strategy: str = "random",
    sparsity_seed: int | None = None,
    cross_level_depth: int | None = None,
    cross_level_storage: str | None = None,
    share_metavertices: bool | None = None,
    overwrite: bool = False,
    compressor: Any = "auto",
    shard_shape: Any = "auto",
    checksum: bool | None = None,
    progress: Progress | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> PyramidSummary:
    """Build the coarse levels of a store.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    factors : sequence of (bin fold, object fold), optional
        One pair a level, finest first. The bin fold is relative to level 0: a whole number, or one per axis, as
        ``((2, 2, 1), 1.0)``. The object fold is relative to level 0 too: ``round(n / fold)`` of its objects stay.
        None makes two levels of all objects, each of which folds the bins of the one below by the store's
        ``reduction_factor``: 8 by default, which in three dimensions is 2 on every axis.
    agg_mode : None, str or mapping, optional
        How attributes of merged vertices and links combine: ``mean``, ``sum``, ``min``, ``max``, ``mode`` (of equally
        frequent values the one that comes first) or ``count`` (of vertices, whether or not they have a value), for
        all or by name. None leaves it to the ``aggregation`` that an attribute's metadata state, else to what it
        holds: the mean of measurements, dates and colours, the mode of categories, texts, booleans and integers whose
        name says that they are labels, the sum of integers that are called counts. What is missing is left out. A
        new name with mode ``count`` makes an attribute that holds the number of merged vertices.
    chunk_scale_factors : sequence of int or tuple, optional
        Chunk shape of each level over the root's; by default the smallest whose chunks hold whole bins.
    sparsity_strategy : str
        Which objects stay: ``random``, ``spatial_coverage``, ``size`` (most vertices first) or
        ``attribute:<name>`` (largest value first).
    sparsity_seed : int, optional
        Seed of the random choice.
    cross_level_depth : int, optional
        Largest level difference with stored links; -1 means all adjacent pairs, 0 none. None follows the store, and
        is 1 where that does not say it.
    cross_level_storage : {"none", "implicit", "explicit"}, optional
        Links from fine to coarse vertices: none, fine to coarse only, or both ways. None follows the store: where that
        says only how far links reach, both ways; where it says nothing, none.
    share_metavertices : bool, optional
        Whether paths that go through a coarse bin share one metavertex there, the centroid of all their vertices in
        it, instead of each having its own. Bundles of streamlines then take less room; their ends move. None means
        that they do where paths share fragments at level 0.
    overwrite : bool
        Whether levels that exist may be replaced.
    compressor, shard_shape
        As in ``write_points``.
    checksum : bool, optional
        Whether levels are stored with checksums; None means as level 0 is.
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
    options = WriteOptions.parse(
        compressor=compressor, checksum=True if checksum is None else checksum, progress=progress
    )
    recipe = PyramidRecipe(
        agg_mode,
        sparsity_strategy,
        sparsity_seed,
        cross_level_storage,
        cross_level_depth,
        share_metavertices,
        LevelOptions(compressor, shard_shape),
        options.progress,
        checksum=checksum,
    )
    with open_for_change(path, backend, backend_kwargs) as (storage, store):
        existing = [number for number in store.level_numbers() if number > 0]
        if existing and not overwrite:
            raise StoreExistsError(
                f"{storage.url}: levels {existing} exist already; pass overwrite=True to replace them"
            )
        chosen = default_factors(store.root) if factors is None else factors
        plans = plan_levels(store.root, chosen, chunk_scale_factors)
        with Transaction(storage) as transaction:
            return stage_levels(transaction, store, plans, recipe, replaced=existing)


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
    share_metavertices: bool | None = None,
    overwrite: bool = False,
    compressor: Any = "auto",
    shard_shape: Any = "auto",
    checksum: bool | None = None,
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
    shard_shape, checksum, progress
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
    options = WriteOptions.parse(
        compressor=compressor, checksum=True if checksum is None else checksum, progress=progress
    )
    recipe = PyramidRecipe(
        agg_mode,
        sparsity_strategy,
        sparsity_seed,
        cross_level_storage,
        None,
        share_metavertices,
        LevelOptions(compressor, shard_shape),
        options.progress,
        checksum=checksum,
    )
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
        beside = [store.level(level) for level in levels if level not in (0, target_level)]
        replaced = [level for level in levels if level == target_level]
        with Transaction(storage) as transaction:
            made = stage_levels(
                transaction, store, plans, recipe, replaced=replaced, beside=beside, parent=source_level
            )
        return made.levels[0]


def _refuse_disorder(store: StoreReader, plan: LevelPlan) -> None:
    """Refuse a level that is coarser or thinner than one of a higher number, or the other way round."""
    for number in store.level_numbers():
        entry, metadata = store.root.entry(number), store.level(number).metadata
        ratio = (entry.bin_ratio if entry else metadata.bin_ratio) or (1.0,) * store.root.ndim
        sparsity = entry.object_sparsity if entry else metadata.object_sparsity
        sign = np.sign(plan.level - number)
        if any(sign * (mine - theirs) < 0 for mine, theirs in zip(plan.fold, ratio, strict=True)):
            what, given, found = "bin ratio", listed(plan.fold), listed(ratio)
        elif sign * (sparsity - 1 / plan.object_fold) < -_TOLERANCE:
            what, given, found = "object sparsity", f"{1 / plan.object_fold:g}", f"{sparsity:g}"
        else:
            continue
        raise ArgumentError(
            f"{store.storage.url}: level {plan.level} would have {what} {given}, but level {number} has {found}, and a "
            f"level must be as coarse as those below it and no coarser than those above; choose another "
            f"coarsen_factor or sparsity_factor, or make all levels anew by build_pyramid(overwrite=True)"
        )
