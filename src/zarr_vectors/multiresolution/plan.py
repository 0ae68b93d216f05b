"""From factors to what every coarse level will be; pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from zarr_vectors.constants import AGGREGATIONS, VALID_XLEVEL_STORAGE, XLEVEL_EXPLICIT, XLEVEL_NONE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.grid import Grid
from zarr_vectors.model.metadata import RootMetadata

STRATEGIES = ("random", "spatial_coverage", "size", "attribute")


@dataclass(frozen=True, slots=True)
class LevelPlan:
    """One coarse level to be built.

    Parameters
    ----------
    level : int
        Its number.
    fold : tuple of int
        Bin shape over that of level 0, per axis.
    object_fold : float
        Objects of level 0 over objects kept, at least 1.
    chunk_scale : tuple of int
        Chunk shape over the root's, per axis.
    grid : Grid
        Chunk and bin shapes.
    """

    level: int
    fold: tuple[int, ...]
    object_fold: float
    chunk_scale: tuple[int, ...]
    grid: Grid

    def kept(self, objects: int) -> int:
        """Return how many of some objects the level keeps: ``round(n / fold)``."""
        return min(objects, round(objects / self.object_fold))


@dataclass(frozen=True, slots=True)
class CrossLevel:
    """Which links across levels are stored.

    Parameters
    ----------
    storage : {"none", "implicit", "explicit"}
        None; ``+N`` at the fine level; or ``-N`` at the coarse level too.
    depth : int
        Largest level difference stored; -1 means all adjacent pairs.
    """

    storage: str
    depth: int

    @property
    def reach(self) -> int:
        """Largest level difference with links, 0 for none."""
        if self.storage == XLEVEL_NONE:
            return 0
        return 1 if self.depth < 0 else self.depth


def plan_levels(
    root: RootMetadata, factors: Sequence[Any], chunk_scale_factors: Sequence[Any] | None, first: int = 1
) -> list[LevelPlan]:
    """Check factors and derive the grid of every level.

    Parameters
    ----------
    root : RootMetadata
        The store.
    factors : sequence of (bin fold, object fold)
        Bin folds are relative to level 0, a whole number or one per axis; object folds are at least 1.
    chunk_scale_factors : sequence of int or tuple, optional
        Chunk shape over the root's, per level; by default the smallest that the bins divide.
    first : int
        Number of the first level.

    Raises
    ------
    ArgumentError
        Naming the factor that cannot be used.
    """
    if isinstance(factors, (str, bytes)) or not isinstance(factors, Sequence) or not factors:
        raise ArgumentError(f"factors: expected a list of (bin fold, object fold), got {factors!r}")
    scales = list(chunk_scale_factors) if chunk_scale_factors is not None else [None] * len(factors)
    if len(scales) != len(factors):
        raise ArgumentError(f"chunk_scale_factors: {len(scales)} given for {len(factors)} factors")
    plans: list[LevelPlan] = []
    for number, (factor, scale) in enumerate(zip(factors, scales, strict=True), start=first):
        fold, object_fold = parse_factor(factor, root.ndim)
        plans.append(_plan_level(root, number, fold, object_fold, scale))
    for finer, coarser in pairwise(plans):
        if any(c < f for f, c in zip(finer.fold, coarser.fold, strict=True)) or coarser.object_fold < finer.object_fold:
            raise ArgumentError(
                f"factors: folds are relative to level 0 and must not shrink from level to level; level "
                f"{finer.level} has {finer.fold}, {finer.object_fold:g} and level {coarser.level} has "
                f"{coarser.fold}, {coarser.object_fold:g}"
            )
    return plans


def parse_factor(factor: Any, ndim: int) -> tuple[tuple[int, ...], float]:
    """Check one ``(bin fold, object fold)``."""
    try:
        bin_fold, object_fold = factor
        folds = np.broadcast_to(np.asarray(bin_fold, np.float64), (ndim,))
        thinning = float(object_fold)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"factors: expected (bin fold, object fold), the first a number or {ndim} numbers, got {factor!r}"
        ) from error
    if not all(f >= 1 and float(f).is_integer() for f in folds):
        raise ArgumentError(f"factors: bin folds must be whole numbers of at least 1, got {bin_fold!r}")
    if not (math.isfinite(thinning) and thinning >= 1):
        raise ArgumentError(f"factors: object folds must be at least 1, got {object_fold!r}")
    return tuple(int(f) for f in folds), thinning


def _plan_level(root: RootMetadata, number: int, fold: tuple[int, ...], object_fold: float, scale: Any) -> LevelPlan:
    per_chunk = root.grid.bins_per_chunk
    smallest = tuple(f // math.gcd(n, f) for n, f in zip(per_chunk, fold, strict=True))
    chosen = smallest if scale is None else _parse_scale(scale, root.ndim)
    for d, (given, needed) in enumerate(zip(chosen, smallest, strict=True)):
        if given % needed:
            raise ArgumentError(
                f"chunk_scale_factors: level {number} has {given} on axis {d}, but bins of {fold[d]} × "
                f"{root.base_bin[d]:g} divide chunks only at multiples of {needed}"
            )
    chunk_shape = tuple(c * s for c, s in zip(root.chunk_shape, chosen, strict=True))
    bin_shape = tuple(b * f for b, f in zip(root.base_bin, fold, strict=True))
    return LevelPlan(number, fold, object_fold, chosen, Grid(chunk_shape, bin_shape))


def _parse_scale(scale: Any, ndim: int) -> tuple[int, ...]:
    try:
        numbers = np.broadcast_to(np.asarray(scale, np.float64), (ndim,))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"chunk_scale_factors: expected a number or {ndim} numbers, got {scale!r}") from error
    if not all(n >= 1 and float(n).is_integer() for n in numbers):
        raise ArgumentError(f"chunk_scale_factors: must be whole numbers of at least 1, got {scale!r}")
    return tuple(int(n) for n in numbers)


def parse_cross_level(root: RootMetadata, storage: str | None, depth: int | None) -> CrossLevel:
    """Settle which links are stored: as asked, else as the root says, else none.

    A root that says how far links reach, but not which, means both ways; one that has none says nothing of how far
    they would reach.
    """
    stated = None if (root.cross_level_storage, root.cross_level_depth) == (XLEVEL_NONE, 0) else root.cross_level_depth
    chosen = storage if storage is not None else root.cross_level_storage
    if chosen is None:
        chosen = XLEVEL_EXPLICIT if stated else XLEVEL_NONE
    if depth is None:
        depth = 1 if stated is None else stated
    if chosen not in VALID_XLEVEL_STORAGE:
        raise ArgumentError(f"cross_level_storage: expected one of {', '.join(VALID_XLEVEL_STORAGE)}, got {storage!r}")
    if not isinstance(depth, (int, np.integer)) or isinstance(depth, bool) or depth < -1:
        raise ArgumentError(f"cross_level_depth: expected -1 or a whole number from 0, got {depth!r}")
    return CrossLevel(chosen, int(depth))


def default_factors(root: RootMetadata, levels: int = 2) -> list[tuple[tuple[int, ...], float]]:
    """Return the factors of a pyramid that is built without any: the vertex-count fold of the root, level by level.

    The prime factors of the fold go to the axes one by one, each to the first of those that were folded least.

    Parameters
    ----------
    root : RootMetadata
        The store.
    levels : int
        Number of coarse levels.
    """
    fold = [1] * root.ndim
    factors = []
    for _ in range(levels):
        for prime in _primes(root.reduction_factor):
            fold[fold.index(min(fold))] *= prime
        factors.append((tuple(fold), 1.0))
    return factors


def _primes(number: int) -> list[int]:
    """Return the prime factors of a whole number, largest first."""
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return sorted([*found, number] if number > 1 else found, reverse=True)


def parse_aggregation(agg_mode: Any, names: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """Check ``agg_mode``: None, one mode, or ``{attribute: mode}``.

    Returns
    -------
    everywhere : str or None
        The mode of attributes that are not named.
    named : dict
        Modes by attribute. A name that is no attribute with mode ``"count"`` makes a new attribute that holds
        the number of merged vertices.
    """
    if agg_mode is None:
        return None, {}
    if isinstance(agg_mode, str):
        if agg_mode not in AGGREGATIONS:
            raise ArgumentError(f"agg_mode: expected one of {', '.join(AGGREGATIONS)}, got {agg_mode!r}")
        return agg_mode, {}
    if not isinstance(agg_mode, Mapping):
        raise ArgumentError(f"agg_mode: expected None, a mode or a mapping of attributes to modes, got {agg_mode!r}")
    for name, mode in agg_mode.items():
        if mode not in AGGREGATIONS:
            raise ArgumentError(f"agg_mode: {name!r}: expected one of {', '.join(AGGREGATIONS)}, got {mode!r}")
        if name not in names and mode != "count":
            raise ArgumentError(f"agg_mode: there is no attribute {name!r}; there are {sorted(names)}")
    return None, dict(agg_mode)
