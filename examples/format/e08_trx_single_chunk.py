"""A small tractogram laid out like a TRX file: one chunk, and no object index.

Example 14.8 of the Zarr Vectors specification. Everything lies in one chunk, in which fragment i is streamline i: the
ranges of the fragments are the offsets of TRX, so that ``object_index_convention="identity"`` needs no manifests.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.types.polylines import write_polylines

EXTENT = 96.0
STREAMLINES = 150
TRACTS = ("AF_L", "AF_R", "CST_L")


def make_streamlines(seed: int = 148) -> tuple[list[Any], Any]:
    """Return streamlines in mm and the tract of each."""
    random = np.random.default_rng(seed)
    tract = np.sort(random.integers(0, len(TRACTS), STREAMLINES))
    lines = []
    for number in tract.tolist():
        s = np.linspace(0, 1, int(random.integers(30, 70)))[:, None]
        arc = np.column_stack([20 + 25 * number + 8 * np.sin(3 * s), 20 + 50 * s, 40 + 20 * np.sin(np.pi * s)])
        lines.append(arc + random.normal(0, 2, 3) + np.cumsum(random.normal(0, 0.1, arc.shape), axis=0))
    return [np.clip(line, 0, EXTENT - 1e-2).astype(np.float32) for line in lines], tract


def build(path: str, format_version: str = "0.9") -> None:
    """Write streamlines into a single chunk without an object index."""
    lines, tract = make_streamlines()
    random = np.random.default_rng(1480)
    fa = [random.uniform(0.2, 0.8, len(line)).astype(np.float32) for line in lines]
    color = [np.abs(np.gradient(line, axis=0) * 100).clip(0, 255).astype(np.uint8) for line in lines]
    members = {number: np.flatnonzero(tract == number).tolist() for number in range(len(TRACTS))}
    write_polylines(
        path,
        lines,
        geometry_type="streamline",
        object_index_convention="identity",
        chunk_shape=EXTENT,
        bin_shape=EXTENT,
        bounds=([0.0] * 3, [np.nextafter(EXTENT, 0)] * 3),
        attributes={"fa": fa, "color": color},
        attribute_specs={"color": {"channel_names": ("r", "g", "b")}, "volume": {"unit": "mm^3"}},
        object_attributes={
            "algo": np.array(["probabilistic", "deterministic"])[random.integers(0, 2, STREAMLINES)],
            "clusters_QB": random.integers(0, 9, STREAMLINES).astype(np.uint16),
            "commit_weights": random.gamma(2.0, 0.5, STREAMLINES).astype(np.float32),
        },
        groups=members,
        group_attributes={
            "tract_name": np.array(TRACTS),
            "mean_fa": np.array([np.concatenate([fa[m] for m in members[g]]).mean() for g in members], np.float32),
            "shuffle_colors": random.integers(0, 256, (len(TRACTS), 3)).astype(np.uint8),
            "volume": np.array([40 * len(members[g]) for g in members], np.uint32),
        },
        coordinate_system="RAS",
        axis_units="millimeter",
        format_version=format_version,
    )


if __name__ == "__main__":
    from running import run

    run(build, __file__)
