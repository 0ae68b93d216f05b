"""Tracks of cells in space and time: four index dimensions, of which the last is time.

Example 14.5 of the Zarr Vectors specification. Chunks are cut in time as in space, so that a range of times is a box
like any other and costs only the chunks it meets.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.types.polylines import write_polylines

EXTENT, DURATION = 200.0, 3600.0
TRACKS, INTERVAL = 60, 30.0
AXES = (
    {"name": "x", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "t", "type": "time", "unit": "second"},
)


def make_tracks(seed: int = 145) -> list[Any]:
    """Return random walks, each an array of x, y, z in µm and t in s, one row every half minute."""
    random = np.random.default_rng(seed)
    tracks = []
    for _ in range(TRACKS):
        first = int(random.integers(0, 60))
        times = INTERVAL * np.arange(first, int(random.integers(first + 20, 120)))
        walk = random.uniform(20, 180, 3) + np.cumsum(random.normal(0, 1.2, (len(times), 3)), axis=0)
        tracks.append(np.column_stack([np.clip(walk, 0, EXTENT - 1e-2), times]).astype(np.float32))
    return tracks


def build(path: str, format_version: str = "0.9") -> None:
    """Write tracks, chunked in space and time."""
    write_polylines(
        path,
        make_tracks(),
        chunk_shape=(50, 50, 50, 600),
        bin_shape=(25, 25, 25, 300),
        bounds=([0.0] * 4, [EXTENT, EXTENT, EXTENT, DURATION]),
        axes=AXES,
        format_version=format_version,
    )


if __name__ == "__main__":
    from running import run

    run(build, __file__)
