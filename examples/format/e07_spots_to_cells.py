"""Single transcripts of multiplexed FISH, gathered into cells.

Example 14.7 of the Zarr Vectors specification. Every vertex is a spot; an object is a cell, whose spots may lie in
several chunks. Summaries of the cells are object attributes, so that a viewer can draw cells without any spot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.types.points import write_points

EXTENT, DEPTH = 300.0, 20.0
CELLS, SPOTS = 120, 6000
GENES, ROUNDS = 30, 8
CLUSTERS = ("excitatory", "inhibitory", "glia")


def make_spots(seed: int = 147) -> dict[str, Any]:
    """Return spots in µm with the cell they belong to and what was measured, and the type of every cell."""
    random = np.random.default_rng(seed)
    centres = np.column_stack([random.uniform(10, EXTENT - 10, (CELLS, 2)), random.uniform(4, DEPTH - 4, CELLS)])
    cell = np.concatenate([np.arange(CELLS), random.integers(0, CELLS, SPOTS - CELLS)])
    random.shuffle(cell)
    spots = centres[cell] + random.normal(0, 1, (SPOTS, 3)) * [4, 4, 1.5]
    return {
        "spots": np.clip(spots, 0, [EXTENT - 1e-2, EXTENT - 1e-2, DEPTH - 1e-2]).astype(np.float32),
        "cell": cell,
        "gene_id": random.integers(0, GENES, SPOTS).astype(np.uint16),
        "intensity": random.lognormal(6, 0.4, SPOTS).astype(np.float32),
        "round": random.integers(0, ROUNDS, SPOTS).astype(np.uint8),
        "cell_type": random.integers(0, len(CLUSTERS), CELLS).astype(np.uint16),
    }


def centroids_of(spots: Any, cell: Any) -> Any:
    """Return the mean position of the spots of every cell, ``(CELLS, 3)``."""
    sums = np.stack([np.bincount(cell, spots[:, d], CELLS) for d in range(3)], axis=1)
    return (sums / np.bincount(cell, minlength=CELLS)[:, None]).astype(np.float32)


def build(path: str, format_version: str = "0.9") -> None:
    """Write spots that belong to cells, with a summary of every cell."""
    data = make_spots()
    write_points(
        path,
        data["spots"],
        chunk_shape=(50, 50, 20),
        bin_shape=(25, 25, 10),
        bounds=([0.0] * 3, [EXTENT, EXTENT, DEPTH]),
        attributes={name: data[name] for name in ("gene_id", "intensity", "round")},
        object_ids=data["cell"],
        object_attributes={
            "cell_type": data["cell_type"],
            "centroid": centroids_of(data["spots"], data["cell"]),
        },
        groups={name: np.flatnonzero(data["cell_type"] == n).tolist() for n, name in enumerate(CLUSTERS)},
        attribute_specs={
            "centroid": {"channel_names": ("x", "y", "z"), "unit": "micrometer"},
            "round": {"description": "imaging round"},
        },
        axis_units="micrometer",
        format_version=format_version,
    )


if __name__ == "__main__":
    from running import run

    run(build, __file__)
