"""Every argument of ``read_points`` does what it says, in both revisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.points.clouds import REVISIONS, make_cloud
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.points import read_points, write_points

N = 400
POSITIONS = make_cloud(N, low=-40, high=60)
IDS = np.random.default_rng(1).integers(0, 9, N) * 10
LABEL = np.random.default_rng(2).integers(0, 5, N).astype(np.int16)
NAMES = np.array(["axon", "soma", "glia"])[np.arange(N) % 3]
DAYS = np.datetime64("2026-03-01") + np.arange(N).astype("timedelta64[D]")


@pytest.fixture(scope="module", params=REVISIONS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("read") / "cloud.zv"
    write_points(
        path,
        POSITIONS,
        chunk_shape=25,
        bin_shape=12.5,
        attributes={
            "label": LABEL,
            "name": NAMES,
            "day": DAYS,
            "color": np.arange(3 * N).reshape(N, 3) % 256,
            "flag": LABEL > 2,
            "row": np.arange(N),
        },
        attribute_specs={"color": {"channel_names": ("r", "g", "b")}},
        object_ids=IDS,
        groups={"low": [0, 10], "high": [70, 80], "empty": []},
        keep_order=True,
        format_version=request.param,
    )
    build_pyramid(path, factors=[(2.0, 1.0), (4.0, 2.0)])
    return path


def rows(result: Any) -> list[int]:
    return sorted(result["attributes"]["row"].tolist())


def test_results_answer_to_names_and_keys(store: Path) -> None:
    result = read_points(store)
    assert result["vertex_count"] == result.vertex_count == len(result) == N
    assert result["level"] == 0
    assert result["positions"] is result.positions
    assert result["vertex_attributes"] is result.attributes
    assert {"positions", "attributes", "vertex_count", "level", "object_ids"} <= set(result)
    assert "positions" in result
    assert "polylines" not in result
    assert result.get("polylines", 7) == 7
    with pytest.raises(KeyError, match="polylines"):
        result["polylines"]


def test_tables_of_pandas(store: Path) -> None:
    frame = read_points(store, restore_order=True).to_pandas()
    assert {"x", "y", "z", "object_id", "label", "name", "day", "flag", "row"} <= set(frame.columns)
    assert len([column for column in frame.columns if str(column).startswith("color")]) == 3
    np.testing.assert_array_equal(frame[["x", "y", "z"]].to_numpy(), POSITIONS)
    np.testing.assert_array_equal(frame["object_id"], IDS)
    assert frame["name"].tolist() == NAMES.tolist()
    assert isinstance(frame, pd.DataFrame)


def test_attributes_asked_for(store: Path) -> None:
    assert set(read_points(store, attributes=["label"]).attributes) == {"label"}
    assert set(read_points(store, attributes="label").attributes) == {"label"}
    assert read_points(store, attributes=[]).attributes == {}
    result = read_points(store, attributes=["name"], attribute_filter={"label": 3}, restore_order=True)
    assert set(result.attributes) == {"name"}
    np.testing.assert_array_equal(result.attributes["name"], NAMES[LABEL == 3])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"label": 3}, LABEL == 3),
        ({"label": [1, 4]}, np.isin(LABEL, [1, 4])),
        ({"label": {0, 2}}, np.isin(LABEL, [0, 2])),
        ({"label": np.array([2])}, LABEL == 2),
        ({"label": (1, 3)}, (LABEL >= 1) & (LABEL < 3)),
        ({"label": []}, np.zeros(N, bool)),
        ({"label": 99}, np.zeros(N, bool)),
        ({"flag": True}, LABEL > 2),
        ({"name": "soma"}, NAMES == "soma"),
        ({"name": ["soma", "axon"]}, NAMES != "glia"),
        ({"name": ("axon", "soma")}, NAMES != "glia"),
        ({"day": DAYS[7]}, np.arange(N) == 7),
        ({"day": (DAYS[3], DAYS[9])}, (np.arange(N) >= 3) & (np.arange(N) < 9)),
        ({"label": 3, "name": "glia"}, (LABEL == 3) & (NAMES == "glia")),
    ],
)
def test_attribute_filters(store: Path, condition: dict[str, Any], expected: Any) -> None:
    assert rows(read_points(store, attribute_filter=condition)) == np.flatnonzero(expected).tolist()


@pytest.mark.parametrize("ids", [10, [10], (10, 10), np.array([10], np.uint8), {10}, range(10, 11)], ids=repr)
def test_object_ids(store: Path, ids: Any) -> None:
    result = read_points(store, object_ids=ids)
    assert rows(result) == np.flatnonzero(IDS == 10).tolist()
    assert set(result.object_ids) == {10}


def test_no_objects_asked_for(store: Path) -> None:
    assert len(read_points(store, object_ids=[])) == 0


@pytest.mark.parametrize(
    ("groups", "members"),
    [("low", [0, 10]), (1, [70, 80]), (["low", 1], [0, 10, 70, 80]), ("empty", []), ([], [])],
)
def test_groups(store: Path, groups: Any, members: list[int]) -> None:
    assert rows(read_points(store, group_ids=groups)) == np.flatnonzero(np.isin(IDS, members)).tolist()


def test_conditions_combine(store: Path) -> None:
    box = ([-30, -30, -30], [41, 42, 43])
    result = read_points(
        store,
        bbox=box,
        object_ids=[0, 20, 70],
        group_ids=["low", "high"],
        attribute_filter={"label": (0, 3)},
        chunks=[(0, 0, 0), (1, 0, 1), (-1, -1, -1), (50, 50, 50)],
    )
    chunk = np.floor(POSITIONS / 25)
    points = POSITIONS.astype(float)
    expected = ((points >= box[0]) & (points < box[1])).all(axis=1) & np.isin(IDS, [0, 70]) & (LABEL < 3)
    expected &= np.array([tuple(c) in {(0, 0, 0), (1, 0, 1), (-1, -1, -1)} for c in chunk.tolist()])
    assert rows(result) == np.flatnonzero(expected).tolist()
    assert expected.any()


def test_chunks(store: Path) -> None:
    result = read_points(store, chunks=[(0, 0, 0), (-2, 1, 0), (0, 0, 0)])
    chunk = np.floor(POSITIONS / 25)
    expected = (chunk == [0, 0, 0]).all(axis=1) | (chunk == [-2, 1, 0]).all(axis=1)
    assert rows(result) == np.flatnonzero(expected).tolist()
    assert len(read_points(store, chunks=[])) == 0


def test_levels(store: Path) -> None:
    previous = N
    for level in (1, 2):
        result = read_points(store, level=level)
        assert result.level == level
        assert 0 < len(result) < previous
        previous = len(result)
        box = ([-20.0] * 3, [31.0] * 3)
        inside = ((result.positions >= box[0]) & (result.positions < box[1])).all(axis=1)
        part = read_points(store, level=level, bbox=box)
        np.testing.assert_array_equal(part.positions, result.positions[inside])
        np.testing.assert_array_equal(part.object_ids, result.object_ids[inside])
        np.testing.assert_array_equal(part.attributes["label"], result.attributes["label"][inside])
    assert len(np.unique(read_points(store, level=2).object_ids)) == round(9 / 2)


def test_order_restored(store: Path) -> None:
    result = read_points(store, restore_order=True)
    np.testing.assert_array_equal(result.positions, POSITIONS)
    np.testing.assert_array_equal(result.object_ids, IDS)
    np.testing.assert_array_equal(result.attributes["day"], DAYS)
    some = read_points(store, restore_order=True, object_ids=[30], attributes=["label"])
    assert set(some.attributes) == {"label"}
    np.testing.assert_array_equal(some.positions, POSITIONS[IDS == 30])


@pytest.mark.parametrize(
    "box",
    [
        ([-1e300] * 3, [1e300] * 3),
        ([-np.inf] * 3, [np.inf] * 3),
        (np.array([-25, 0, 25]), np.array([0, 25, 50])),
        ([200] * 3, [300] * 3),
        ([12.5] * 3, [np.nextafter(12.5, 13)] * 3),
        ((POSITIONS[5]).astype(float), POSITIONS[5].astype(float) + 1e-9),
    ],
    ids=["huge", "infinite", "faces", "elsewhere", "thin", "one point"],
)
def test_boxes(store: Path, box: Any) -> None:
    inside = ((POSITIONS.astype(float) >= box[0]) & (POSITIONS.astype(float) < box[1])).all(axis=1)
    assert rows(read_points(store, bbox=box)) == np.flatnonzero(inside).tolist()


def test_open_stores_are_read_as_they_are(store: Path) -> None:
    reader = open_reader(store)
    assert rows(read_points(reader)) == rows(read_points(store)) == list(range(N))


def test_results_are_the_callers_own(store: Path) -> None:
    first = read_points(store)
    first.positions[:] = 0
    for values in first.attributes.values():
        assert values.flags.writeable
    assert not np.array_equal(read_points(store).positions, first.positions)
