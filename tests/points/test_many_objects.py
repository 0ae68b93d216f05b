"""Stores hold any number of objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zarr_vectors.types.points import read_points, write_points


@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_a_million_objects(tmp_path: Path, revision: str) -> None:
    count = 1_000_000
    positions = np.random.default_rng(0).uniform(0, 100, (count, 3)).astype(np.float32)
    write_points(tmp_path / "s.zv", positions, object_ids=np.arange(count), chunk_shape=50, format_version=revision)
    for number in (0, 654_321, count - 1):
        one = read_points(tmp_path / "s.zv", object_ids=[number])
        assert one.positions.tolist() == [positions[number].tolist()]
        assert one.object_ids.tolist() == [number]
    inside = (positions < 10).all(axis=1)
    box = read_points(tmp_path / "s.zv", bbox=([0] * 3, [10] * 3))
    assert sorted(box.object_ids.tolist()) == np.flatnonzero(inside).tolist()
