"""Vertices added to a coarse level of points, and ids of vertices that are given none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors import open_store
from zarr_vectors.core.store import add_resolution_level
from zarr_vectors.edit import refresh_levels
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError
from zarr_vectors.lazy import open_zv
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import write_polylines
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])
POINTS = np.random.default_rng(0).uniform(0, 100, (300, 3)).astype(np.float32)
ADDED = np.array([[1.0, 2.0, 3.0], [60.0, 61.0, 62.0]], np.float32)
BOX: dict[str, Any] = {"chunk_shape": 50, "bin_shape": 12.5, "bounds": ([0] * 3, [100] * 3)}


def append(path: Path, level: int, positions: Any, **more: Any) -> dict[str, int]:
    with open_zv(path, mode="r+") as dataset:
        return dataset[level].writer().append_vertices_sync(positions, **more)


@REVISIONS
@pytest.mark.parametrize("with_objects", [False, True])
def test_a_coarse_level_of_points_takes_more(tmp_path: Path, revision: str, with_objects: bool) -> None:
    path = tmp_path / "a.zv"
    objects: dict[str, Any] = {"object_ids": np.arange(300) % 7, "object_attributes": {"w": np.arange(7.0)}}
    write_points(
        path, POINTS, attributes={"a": POINTS[:, 0]}, format_version=revision, **BOX, **objects if with_objects else {}
    )
    build_pyramid(path, [(2, 1), (4, 1)], cross_level_storage="explicit")
    before = [read_points(path, level=level) for level in range(3)]
    more = {"object_attributes": {"w": [8.0, 9.0]}} if with_objects else {}
    summary = append(path, 1, ADDED, attributes={"a": [1.0, 2.0]}, **more)
    assert summary == {"vertices_added": 2, "new_objects": 2 * with_objects, "chunks_touched": 2}
    for level in (0, 2):
        assert np.array_equal(read_points(path, level=level).positions, before[level].positions)
    found = read_points(path, level=1)
    rows = {
        (*position, value)
        for position, value in zip(found.positions.tolist(), found.attributes["a"].tolist(), strict=True)
    }
    old = zip(before[1].positions.tolist(), before[1].attributes["a"].tolist(), strict=True)
    assert rows == {(*p, v) for p, v in old} | {(1.0, 2.0, 3.0, 1.0), (60.0, 61.0, 62.0, 2.0)}
    assert [1.0, 2.0, 3.0] in read_points(path, level=1, bbox=([0] * 3, [4] * 3)).positions.tolist()
    if with_objects:
        assert read_points(path, level=1, object_ids=[8]).positions.tolist() == [[60.0, 61.0, 62.0]]
        with pytest.raises(ArgumentError, match="has an object 3 already"):
            append(path, 1, ADDED[:1], object_ids=[3], attributes={"a": [1.0]})
    with pytest.raises(OutOfBoundsError):
        append(path, 1, ADDED + 500, attributes={"a": [1.0, 2.0]}, **more)
    report = validate(path, level=5)
    assert report.is_valid, report.summary()
    assert any("stale" in str(one.message) for one in report.warnings)
    assert open_store(path).reader.level(1).metadata.vertex_count == len(found)
    refresh_levels(path)
    assert len(read_points(path, level=1)) == len(before[1])


def test_what_a_coarse_level_has_no_room_for_is_refused(tmp_path: Path) -> None:
    write_polylines(tmp_path / "p.zv", [POINTS[:50]], chunk_shape=50)
    build_pyramid(tmp_path / "p.zv", [(2, 1)])
    with pytest.raises(ArgumentError, match="level: appending changes the vertices"):
        append(tmp_path / "p.zv", 1, ADDED)
    write_points(tmp_path / "a.zv", POINTS, **BOX)
    add_resolution_level(open_store(tmp_path / "a.zv", "r+"), 1, (2, 2, 2))
    with pytest.raises(ArgumentError, match="level: appending more than its chunks have room for"):
        append(tmp_path / "a.zv", 1, ADDED)
    assert len(read_points(tmp_path / "a.zv")) == 300


@REVISIONS
def test_ids_are_given_by_default(tmp_path: Path, revision: str) -> None:
    write_points(tmp_path / "none.zv", POINTS[:0], format_version=revision, **BOX)
    assert append(tmp_path / "none.zv", 0, ADDED)["new_objects"] == 2
    assert append(tmp_path / "none.zv", 0, ADDED[:1])["new_objects"] == 1
    assert sorted(read_points(tmp_path / "none.zv").object_ids.tolist()) == [0, 1, 2]
    write_points(tmp_path / "some.zv", POINTS, object_ids=np.arange(300) // 100 * 5, format_version=revision, **BOX)
    append(tmp_path / "some.zv", 0, ADDED)
    assert read_points(tmp_path / "some.zv", object_ids=[11, 12]).positions.tolist() == ADDED.tolist()
    assert validate(tmp_path / "none.zv", level=5).is_valid
