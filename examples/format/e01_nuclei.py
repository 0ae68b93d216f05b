"""Nuclei of a cleared mouse brain: a point cloud in which every nucleus is an object, with levels and regions.

Example 14.1 of the Zarr Vectors specification. Every nucleus has an id, a volume and a brain region; the regions are
groups. Coarse levels keep a quarter and a sixteenth of the nuclei, and links lead from fine to coarse and back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.points import write_points

EXTENT = 1000.0
REGIONS = ("cortex", "hippocampus", "thalamus", "cerebellum")
CENTRES = ((300.0, 700.0, 500.0), (550.0, 550.0, 500.0), (500.0, 350.0, 500.0), (800.0, 250.0, 500.0))
COUNT = 2000


def make_nuclei(seed: int = 141) -> tuple[Any, Any, Any]:
    """Return centroids in µm, volumes in µm³, and the region of every nucleus."""
    random = np.random.default_rng(seed)
    region = random.integers(0, len(REGIONS), COUNT)
    centroids = np.array(CENTRES)[region] + random.normal(0, 90, (COUNT, 3))
    centroids = np.clip(centroids, 0, np.nextafter(EXTENT, 0)).astype(np.float32)
    volumes = random.lognormal(np.log(320), 0.3, COUNT).astype(np.float32)
    return centroids, volumes, region


def build(path: str, format_version: str = "0.9") -> None:
    """Write nuclei with volumes and regions, and two coarse levels."""
    centroids, volumes, region = make_nuclei()
    write_points(
        path,
        centroids,
        chunk_shape=200,
        bin_shape=50,
        bounds=([0.0] * 3, [EXTENT] * 3),
        attributes={"volume": volumes},
        attribute_specs={"volume": {"unit": "micrometer^3", "description": "volume of the nucleus"}},
        object_ids=np.arange(COUNT),
        groups={number: np.flatnonzero(region == number).tolist() for number in range(len(REGIONS))},
        group_attributes={"region_name": np.array(REGIONS)},
        axis_units="micrometer",
        format_version=format_version,
    )
    build_pyramid(
        path,
        factors=[(2, 4), (4, 16)],
        sparsity_strategy="spatial_coverage",
        cross_level_storage="explicit",
        cross_level_depth=1,
    )


if __name__ == "__main__":
    from running import run

    run(build, __file__)
