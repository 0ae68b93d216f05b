"""Streamlines that run together: segments that several of them have in common are stored once.

Example 14.9 of the Zarr Vectors specification. The streamlines of a tract join its core and leave it at different
places; within a chunk the core is one fragment that the manifests of all of them name. Coarse levels have larger
chunks, and links lead from fine to coarse.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.polylines import write_polylines

EXTENT = 160.0
TRACTS = ("CST_L", "CST_R", "CC")
PER_TRACT, CORE, TAIL = 30, 120, 15


def make_tracts(seed: int = 149) -> tuple[list[Any], Any, Any]:
    """Return streamlines in mm, the tract of each, and the regions in which each ends."""
    random = np.random.default_rng(seed)
    lines = []
    for number in range(len(TRACTS)):
        s = np.linspace(0, 1, CORE)
        core = np.column_stack([40 + 40 * number + 10 * np.sin(2 * s), 20 + 120 * s, 60 + 30 * np.sin(np.pi * s)])
        for _ in range(PER_TRACT):
            first, last = int(random.integers(0, 30)), int(random.integers(CORE - 30, CORE))
            head = core[first] + np.cumsum(random.normal(0, 0.8, (TAIL, 3)), axis=0)[::-1]
            tail = core[last] + np.cumsum(random.normal(0, 0.8, (TAIL, 3)), axis=0)
            lines.append(np.concatenate([head, core[first : last + 1], tail]))
    tract = np.repeat(np.arange(len(TRACTS)), PER_TRACT)
    ends = np.stack([2 * tract, 2 * tract + 1], axis=1).astype(np.int32)
    return [np.clip(line, 0, EXTENT - 1e-2).astype(np.float32) for line in lines], tract, ends


def build(path: str, format_version: str = "0.9") -> None:
    """Write streamlines with shared segments, and two coarse levels with larger chunks."""
    lines, tract, ends = make_tracts()
    write_polylines(
        path,
        lines,
        geometry_type="streamline",
        share_fragments=True,
        chunk_shape=20,
        bin_shape=10,
        bounds=([0.0] * 3, [EXTENT] * 3),
        object_attributes={"termination": ends},
        attribute_specs={"termination": {"channel_names": ("source", "sink"), "description": "region ids"}},
        groups={number: np.flatnonzero(tract == number).tolist() for number in range(len(TRACTS))},
        group_attributes={"tract_name": np.array(TRACTS)},
        coordinate_system="RAS",
        axis_units="millimeter",
        format_version=format_version,
    )
    build_pyramid(
        path, factors=[(2, 1), (4, 2)], chunk_scale_factors=[2, 4], cross_level_storage="implicit", sparsity_seed=0
    )


if __name__ == "__main__":
    from running import run

    run(build, __file__)
