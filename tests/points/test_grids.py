"""Grids of chunks that are too fine to be numbered, and those chosen for data without an extent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.points.clouds import REVISIONS, make_cloud, tree
from zarr_vectors.exceptions import ArgumentError, MetadataError
from zarr_vectors.spatial.chunking import choose_chunk_shape
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate


@pytest.mark.parametrize("width", [1e-5, 1e-12])
def test_a_grid_of_too_many_chunks_is_refused(tmp_path: Path, width: float) -> None:
    before = tree(tmp_path)
    with pytest.raises(ArgumentError, match=r"chunk_shape.*use a? ?larger"):
        write_points(tmp_path / "fine.zv", make_cloud(20), chunk_shape=width, bounds=([0] * 3, [1e8] * 3))
    assert tree(tmp_path) == before


def test_bounds_beyond_all_counting_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"larger chunk_shape"):
        write_points(tmp_path / "far.zv", make_cloud(20), chunk_shape=1e-3, bounds=([0] * 3, [1e307] * 3))
    assert tree(tmp_path) == {}


def test_a_store_of_too_many_chunks_is_refused_on_reading(tmp_path: Path) -> None:
    path = tmp_path / "cloud.zv"
    write_points(path, make_cloud(20), chunk_shape=50)
    node = path / "0" / "vertices" / "zarr.json"
    document = json.loads(node.read_text())
    document["shape"] = [1 << 27] * 3
    node.write_text(json.dumps(document))
    with pytest.raises(MetadataError, match=r"vertices.*134217728 × 134217728.*larger chunk_shape"):
        read_points(path)
    report = validate(path)
    assert not report.is_valid
    assert "134217728" in report.report()


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("place", [0.0, -4000.0])
def test_spread_points_follow_none_or_one(tmp_path: Path, revision: str, first: int, place: float) -> None:
    path = tmp_path / "cloud.zv"
    start = np.full((first, 3), place, np.float32)
    cloud = make_cloud(1000)
    write_points(path, start, format_version=revision)
    write_points(path, cloud, mode="a", out_of_bounds="expand")
    found = read_points(path)
    expected = np.concatenate([start, cloud])
    order = np.lexsort(found.positions.T)
    np.testing.assert_array_equal(found.positions[order], expected[np.lexsort(expected.T)])
    box = read_points(path, bbox=([10] * 3, [60] * 3))
    assert len(box) == int(((cloud >= 10) & (cloud < 60)).all(axis=1).sum())
    assert validate(path).is_valid


def test_a_flat_axis_gets_a_wide_chunk() -> None:
    assert choose_chunk_shape(([0, 0, 5], [100, 100, 5]), 200_000) == (50.0, 50.0, 100.0)
    assert choose_chunk_shape(([7, 7], [7, 7]), 1) == (1.0, 1.0)
    assert choose_chunk_shape(([1e20, 0], [1e20, 0]), 1) == (1e8, 1.0)


def test_one_point_far_away_is_kept(tmp_path: Path) -> None:
    far = np.array([[1e30, 0.0, -1e30]], np.float32)
    write_points(tmp_path / "far.zv", far)
    np.testing.assert_array_equal(read_points(tmp_path / "far.zv").positions, far)
