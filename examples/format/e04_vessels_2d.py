"""Centre lines of retinal vessels: polylines in the plane with a radius and a type at every vertex.

Example 14.4 of the Zarr Vectors specification. Vertices that follow each other in a vessel are joined without stored
links; only where a vessel enters another chunk is there one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.types.polylines import write_polylines

EXTENT = 2048.0
ARTERY, VEIN, CAPILLARY = 0, 1, 2
VESSELS = 40


def make_vessels(seed: int = 144) -> tuple[list[Any], list[Any], list[Any]]:
    """Return centre lines that leave the optic disc, their radii in µm, and their types."""
    random = np.random.default_rng(seed)
    lines, radii, types = [], [], []
    for vessel in range(VESSELS):
        length = int(random.integers(30, 120))
        heading = random.uniform(0, 2 * np.pi) + np.cumsum(random.normal(0, 0.08, length))
        steps = 12.0 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        line = np.array([1024.0, 1024.0]) + np.cumsum(steps, axis=0)
        lines.append(np.clip(line, 0, EXTENT - 1).astype(np.float32))
        radii.append(np.linspace(60, 12, length, dtype=np.float32) * np.float32(random.uniform(0.7, 1.0)))
        kind = np.full(length, (ARTERY, VEIN)[vessel % 2], np.uint8)
        kind[radii[-1] < 15] = CAPILLARY
        types.append(kind)
    return lines, radii, types


def build(path: str, format_version: str = "0.9") -> None:
    """Write vessels with radius and type at every vertex."""
    lines, radii, types = make_vessels()
    write_polylines(
        path,
        lines,
        chunk_shape=512,
        bin_shape=128,
        bounds=([0.0] * 2, [EXTENT] * 2),
        attributes={"radius": radii, "vessel_type": types},
        attribute_specs={
            "radius": {"unit": "micrometer"},
            "vessel_type": {"description": "0 artery, 1 vein, 2 capillary"},
        },
        axis_units="micrometer",
        format_version=format_version,
    )


if __name__ == "__main__":
    from running import run

    run(build, __file__)
