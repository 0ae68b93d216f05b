"""Building the coarse levels of a store anew, as they were built before."""

from __future__ import annotations

from typing import Any

from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.elements import link_specs
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.port import Storage

COUNT = "count"
"""The mode of attributes that hold the number of merged vertices, which level 0 does not have."""


def pyramid_of(store: StoreReader) -> dict[str, Any] | None:
    """Return the arguments of ``build_pyramid`` that make the coarse levels of a store again; None without any."""
    numbers = [number for number in store.level_numbers() if number > 0]
    if not numbers:
        return None
    levels = [store.level(number) for number in numbers]
    finest = store.level(0).arrays
    present = {*finest.vertex_attributes, *link_specs(finest)}
    factors: list[Any] = []
    modes: dict[str, str] = {}
    for level in levels:
        entry = store.root.entry(level.metadata.level)
        ratio = level.metadata.bin_ratio or (entry.bin_ratio if entry else (1.0,) * store.root.ndim)
        factors.append((ratio, 1 / level.metadata.object_sparsity))
        recorded = level.metadata.extra.get("aggregation")
        recorded = recorded if isinstance(recorded, dict) else {}
        modes |= {name: mode for name, mode in recorded.items() if name in present or mode == COUNT}
    return {
        "factors": factors,
        "agg_mode": modes or None,
        "chunk_scale_factors": [tuple(level.chunk_scale.tolist()) for level in levels],
        "sparsity_seed": 0,
        "cross_level_storage": store.root.cross_level_storage,
        "cross_level_depth": store.root.cross_level_depth or 1,
        "share_metavertices": any(level.metadata.shared_fragments for level in levels),
        "overwrite": True,
    }


def rebuild_levels(storage: Storage, pyramid: dict[str, Any]) -> None:
    """Build coarse levels with the arguments that :func:`pyramid_of` gave."""
    build_pyramid(storage, **pyramid)
