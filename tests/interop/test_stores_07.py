"""Stores of revision 0.7 against the arrays that they were written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.exceptions import UnknownNameError
from zarr_vectors.types.points import PointsResult, read_points


@pytest.fixture(scope="module")
def expected(stores_07: Path) -> dict[str, Any]:
    with np.load(stores_07 / "expected.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def rows_of(result: PointsResult, positions: Any) -> Any:
    """Return the row of the written positions that every row read stands for; positions are distinct."""
    known = {tuple(row): number for number, row in enumerate(positions.tolist())}
    assert len(known) == len(positions)
    return np.array([known[tuple(row)] for row in result.positions.tolist()], np.int64)


def inside(positions: Any, low: float, high: float) -> Any:
    return ((positions >= low) & (positions < high)).all(axis=1)


@pytest.mark.parametrize("name", ["points", "points_pyr"])
def test_every_attribute_stays_with_its_row(stores_07: Path, expected: dict[str, Any], name: str) -> None:
    result = read_points(stores_07 / f"{name}.zv")
    rows = rows_of(result, expected["points_pos"])
    assert sorted(rows) == list(range(600))
    assert result.positions.dtype == np.float32
    assert set(result.attributes) == {"intensity", "color"}
    np.testing.assert_array_equal(result.attributes["intensity"], expected["points_intensity"][rows])
    np.testing.assert_array_equal(result.attributes["color"], expected["points_color"][rows])
    assert result.attributes["color"].dtype == np.uint8


def test_rows_come_by_chunk_then_bin(stores_07: Path) -> None:
    positions = read_points(stores_07 / "points.zv").positions.astype(np.float64)
    bins = np.floor(positions / 25).astype(int)
    keys = [*(bins // 2).T, *(bins % 2).T]
    assert (np.lexsort(keys[::-1]) == np.arange(len(positions))).all()


@pytest.mark.parametrize(("low", "high"), [(10.0, 60.0), (25.0, 50.0), (-5.0, 33.3), (0.0, 1e9)])
def test_boxes_are_exact(stores_07: Path, expected: dict[str, Any], low: float, high: float) -> None:
    for name in ("points", "points_obj"):
        result = read_points(stores_07 / f"{name}.zv", bbox=([low] * 3, [high] * 3))
        rows = rows_of(result, expected["points_pos"])
        np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(inside(expected["points_pos"], low, high)))
        np.testing.assert_array_equal(result.attributes["intensity"], expected["points_intensity"][rows])


def test_two_dimensions_in_float64(stores_07: Path, expected: dict[str, Any]) -> None:
    result = read_points(stores_07 / "points2d.zv")
    assert result.positions.dtype == np.float64
    assert sorted(rows_of(result, expected["points2d"])) == list(range(500))
    box = read_points(stores_07 / "points2d.zv", bbox=([10, 20], [60, 70.5]))
    wanted = (expected["points2d"] >= [10, 20]) & (expected["points2d"] < [60, 70.5])
    np.testing.assert_array_equal(np.sort(rows_of(box, expected["points2d"])), np.flatnonzero(wanted.all(axis=1)))


def test_objects_own_their_rows(stores_07: Path, expected: dict[str, Any]) -> None:
    result = read_points(stores_07 / "points_obj.zv")
    rows = rows_of(result, expected["points_pos"])
    np.testing.assert_array_equal(result.object_ids, expected["points_oid"][rows])
    for wanted in ([7], [0, 39], [5, 5, 12]):
        some = read_points(stores_07 / "points_obj.zv", object_ids=wanted)
        rows = rows_of(some, expected["points_pos"])
        np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(np.isin(expected["points_oid"], wanted)))
        np.testing.assert_array_equal(some.object_ids, expected["points_oid"][rows])
    with pytest.raises(UnknownNameError, match="no object 40"):
        read_points(stores_07 / "points_obj.zv", object_ids=[3, 40])


@pytest.mark.parametrize(("group", "members"), [(0, range(20)), (1, range(20, 40)), ([0, 1], range(40))])
def test_groups_by_number(stores_07: Path, expected: dict[str, Any], group: Any, members: range) -> None:
    result = read_points(stores_07 / "points_obj.zv", group_ids=group)
    rows = rows_of(result, expected["points_pos"])
    wanted = np.isin(expected["points_oid"], list(members))
    np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(wanted))
    part = read_points(stores_07 / "points_obj.zv", group_ids=group, bbox=([0] * 3, [50] * 3))
    np.testing.assert_array_equal(
        np.sort(rows_of(part, expected["points_pos"])),
        np.flatnonzero(wanted & inside(expected["points_pos"], 0, 50)),
    )


def test_chunks_and_filters(stores_07: Path, expected: dict[str, Any]) -> None:
    store = stores_07 / "points.zv"
    result = read_points(store, chunks=[(0, 0, 0), (1, 0, 1)])
    chunk = np.floor(expected["points_pos"].astype(np.float64) / 50).astype(int)
    wanted = (chunk == [0, 0, 0]).all(axis=1) | (chunk == [1, 0, 1]).all(axis=1)
    np.testing.assert_array_equal(np.sort(rows_of(result, expected["points_pos"])), np.flatnonzero(wanted))
    low, high = np.quantile(expected["points_intensity"], [0.2, 0.6])
    bright = read_points(store, attribute_filter={"intensity": (low, high)}, attributes=["color"])
    rows = rows_of(bright, expected["points_pos"])
    met = (expected["points_intensity"] >= low) & (expected["points_intensity"] < high)
    np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(met))
    np.testing.assert_array_equal(bright.attributes["color"], expected["points_color"][rows])
    assert set(bright.attributes) == {"color"}


def test_levels_hold_the_centroids_of_bins(stores_07: Path, expected: dict[str, Any]) -> None:
    """Their writer averaged the vertices of the level below, whatever those stood for."""
    finer = expected["points_pos"].astype(np.float64)
    for level, width in ((1, 50), (2, 100)):
        coarse = read_points(stores_07 / "points_pyr.zv", level=level)
        assert coarse.level == level
        bins, owner = np.unique(np.floor(finer / width).astype(int), axis=0, return_inverse=True)
        counts = np.bincount(owner.reshape(-1))
        sums = np.stack([np.bincount(owner.reshape(-1), finer[:, d]) for d in range(3)], axis=1)
        centroids = sums / counts[:, None]
        assert len(coarse) == len(bins)
        order, found = np.lexsort(centroids.T), np.lexsort(coarse.positions.T)
        np.testing.assert_allclose(coarse.positions[found], centroids[order], rtol=1e-5, atol=1e-4)
        box = read_points(stores_07 / "points_pyr.zv", level=level, bbox=([0] * 3, [50] * 3))
        np.testing.assert_array_equal(box.positions, coarse.positions[inside(coarse.positions, 0, 50)])
        finer = coarse.positions.astype(np.float64)
