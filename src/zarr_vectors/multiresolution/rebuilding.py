"""Building the coarse levels of a store anew, as they were built before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from zarr_vectors.model.metadata import AGGREGATION, SPARSITY, RootMetadata
from zarr_vectors.multiresolution.building import holds_paths
from zarr_vectors.multiresolution.modes import COUNT, has_mode
from zarr_vectors.multiresolution.plan import plan_levels
from zarr_vectors.multiresolution.staging import PyramidRecipe, stage_levels
from zarr_vectors.read.elements import link_specs
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.port import Storage

_TOLERANCE = 1e-6


def pyramid_of(store: StoreReader) -> dict[str, Any] | None:
    """Return what makes the coarse levels of a store again, as arguments of ``build_pyramid``; None without any."""
    numbers = [number for number in store.level_numbers() if number > 0]
    if not numbers:
        return None
    levels = [store.level(number) for number in numbers]
    finest = store.level(0).arrays
    specs = {name: array.spec for name, array in finest.vertex_attributes.items()}
    links = link_specs(finest)
    factors: list[Any] = []
    modes: dict[str, str] = {}
    link_modes: dict[str, str] = {}
    for level in levels:
        entry = store.root.entry(level.metadata.level)
        ratio = level.metadata.bin_ratio or (entry.bin_ratio if entry else (1.0,) * store.root.ndim)
        factors.append((ratio, 1 / level.metadata.object_sparsity))
        recorded = level.metadata.extra.get(AGGREGATION)
        recorded = recorded if isinstance(recorded, dict) else {}
        modes |= {
            name: mode
            for name, mode in recorded.items()
            if mode == COUNT or (name in specs and has_mode(specs[name], mode))
        }
        made = {name: spec.aggregation for name, spec in link_specs(level.arrays).items()}
        link_modes |= {
            name: mode for name, mode in made.items() if mode and name in links and has_mode(links[name], mode)
        }
    return {
        "factors": factors,
        "agg_mode": modes or None,
        "link_agg_mode": link_modes,
        "chunk_scale_factors": [
            _scale(level, store.root, ratio) for level, (ratio, _) in zip(levels, factors, strict=True)
        ],
        **_choice(levels),
        "previous": dict(zip(numbers, levels, strict=True)),
        "share_metavertices": holds_paths(store) and any(level.metadata.shared_fragments for level in levels),
    }


def _scale(level: LevelReader, root: RootMetadata, ratio: Sequence[float]) -> tuple[int, ...] | None:
    """Return the chunk scale of a level, None where its chunks do not hold whole bins (other writers' do not)."""
    bins = np.array(root.base_bin) * np.array(ratio)
    held = np.array(root.chunk_shape) * level.chunk_scale / bins
    whole = (held > 0.5) & (np.abs(held - np.round(held)) < _TOLERANCE)
    return tuple(level.chunk_scale.tolist()) if whole.all() else None


def _choice(levels: Sequence[LevelReader]) -> dict[str, Any]:
    """Return how objects were chosen, as the levels record it; where they do not, by chance and always the same."""
    recorded = [level.metadata.extra.get(SPARSITY) for level in levels]
    chosen = next((found for found in recorded if isinstance(found, dict)), {})
    seed = chosen.get("seed", 0)
    return {
        "sparsity_strategy": str(chosen.get("strategy", "random")),
        "sparsity_seed": seed if isinstance(seed, int) else 0,
    }


def stage_rebuilt(target: Storage, pyramid: Mapping[str, Any]) -> None:
    """Build the coarse levels of a store that is being staged anew, with the recipe that :func:`pyramid_of` gave."""
    store = StoreReader.open(target)
    plans = plan_levels(store.root, pyramid["factors"], pyramid["chunk_scale_factors"])
    names = {field.name for field in fields(PyramidRecipe)}
    recipe = PyramidRecipe(**{key: value for key, value in pyramid.items() if key in names})
    replaced = [number for number in store.level_numbers() if number > 0]
    stage_levels(target, store, plans, recipe, replaced=replaced, previous=pyramid["previous"])
