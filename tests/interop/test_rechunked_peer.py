"""The reference 0.9.2 reads paths that were rechunked here as it reads them before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors import RechunkSpec, rechunk
from zarr_vectors.types.polylines import read_polylines, write_polylines

pytestmark = pytest.mark.peer

SPECS = {
    "spatial": RechunkSpec("spatial", spatial_chunk_shape=(45.0, 45.0, 45.0)),
    "group": RechunkSpec("group"),
    "ids": RechunkSpec("object_id", bins=[0, 3]),
    "label": RechunkSpec("attribute:label"),
    "vertices": RechunkSpec("attribute:few"),
    "channels": RechunkSpec("attribute:rgb"),
}


def test_the_reference_reads_rechunked_paths(tmp_path: Path, run_peer: Any) -> None:
    rng = np.random.default_rng(0)
    walks = [np.cumsum(rng.normal(0, 9, (20, 3)), axis=0).astype(np.float32) for _ in range(8)]
    write_polylines(
        tmp_path / "source",
        walks,
        chunk_shape=20.0,
        attributes={"few": [np.arange(20) % 3 for _ in walks], "rgb": [np.ones((20, 3), np.uint8) for _ in walks]},
        object_attributes={"label": ["a", "b"] * 4},
        groups={"one": [0, 1, 2], "two": [2, 3]},
    )
    jobs = []
    for name, spec in SPECS.items():
        rechunk(tmp_path / "source", spec, tmp_path / name)
        jobs.append({"do": "read", "store": str(tmp_path / name), "out": str(tmp_path / f"{name}.npz")})
        jobs.append({"do": "check", "store": str(tmp_path / name)})
    answers = run_peer(jobs, "peer_paths.py")
    expected = read_polylines(tmp_path / "source")
    for number, name in enumerate(SPECS):
        assert answers[2 * number]["ids"] == list(range(8))
        assert answers[2 * number + 1]["errors"] == []
        found = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_array_equal(found["positions"], expected.positions)
        np.testing.assert_array_equal(found["offsets"], expected.offsets)
