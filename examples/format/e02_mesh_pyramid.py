"""A closed surface with levels whose chunks grow: the central complex of a fly as a ring of triangles.

Example 14.2 of the Zarr Vectors specification. Chunks hold a single bin, so that the chunks of coarse levels grow with
their bins: two and four times the edge of those of level 0, whose grid they nest in.
``build_draco`` encodes vertices and faces by Draco.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.meshes import write_mesh

CHUNK = 200.0
BOUNDS = ([0.0, 0.0, 0.0], [3200.0, 3200.0, 1200.0])
MAJOR, MINOR = 1000.0, 450.0
AROUND, ALONG = 80, 36


def make_surface(seed: int = 142) -> tuple[Any, Any]:
    """Return the vertices in nm and the outward-facing triangles of a bumpy ring."""
    random = np.random.default_rng(seed)
    u, v = np.meshgrid(
        np.linspace(0, 2 * np.pi, AROUND, endpoint=False),
        np.linspace(0, 2 * np.pi, ALONG, endpoint=False),
        indexing="ij",
    )
    minor = MINOR * (1 + 0.05 * np.sin(5 * u + random.uniform(0, 6)) * np.cos(3 * v))
    distance = MAJOR + minor * np.cos(v)
    vertices = np.stack([distance * np.cos(u) + 1600, distance * np.sin(u) + 1600, minor * np.sin(v) + 600], axis=-1)
    i, j = np.meshgrid(np.arange(AROUND), np.arange(ALONG), indexing="ij")
    here, right = i * ALONG + j, (i + 1) % AROUND * ALONG + j
    above, across = i * ALONG + (j + 1) % ALONG, (i + 1) % AROUND * ALONG + (j + 1) % ALONG
    faces = np.stack([here, right, across, here, across, above], axis=-1).reshape(-1, 3)
    return vertices.reshape(-1, 3).astype(np.float32), faces


def build(path: str, format_version: str = "0.9") -> None:
    """Write a closed surface and two coarse levels with larger chunks."""
    _build(path, format_version)


def build_draco(path: str, format_version: str = "0.9") -> None:
    """Write the same with vertices and faces encoded by Draco; needs the extra ``draco``."""
    _build(path, format_version, use_draco=True, draco_quantization=14)


def _build(path: str, format_version: str, **encoding: Any) -> None:
    vertices, faces = make_surface()
    write_mesh(
        path,
        vertices,
        faces,
        closed_surface=True,
        chunk_shape=CHUNK,
        bin_shape=CHUNK,
        bounds=BOUNDS,
        axis_units="nanometer",
        format_version=format_version,
        **encoding,
    )
    build_pyramid(path, factors=[(2, 1), (4, 1)], cross_level_storage="implicit")


if __name__ == "__main__":
    from running import run

    run(build, __file__)
