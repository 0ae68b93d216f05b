"""What a filter finds is what brute force finds among the values that were given, of every type, through every door."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.points.clouds import REVISIONS, make_cloud
from zarr_vectors import open_store
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

N = 24
ROWS = np.arange(N)
ZONED = pd.Series(pd.date_range("2024-03-01", periods=N, freq="7h", tz="Europe/Berlin"))
MONTHS = pd.to_datetime(["2024-01-01", "2024-02-01"])
VALUES: dict[str, Any] = {
    "whole": ROWS - 5,
    "large": np.uint64(2**63) + ROWS.astype("u8"),
    "nullable": pd.array([None if i % 5 == 0 else 2**60 + i for i in range(N)], dtype="Int64"),
    "flag": pd.array([None if i % 4 == 0 else bool(i % 2) for i in range(N)], dtype="boolean"),
    "text": np.array([None if i % 5 == 0 else f"n{i % 7}" for i in range(N)], object),
    "bytes": np.array([b"a", b"bc", b"d"], object)[ROWS % 3],
    "span": pd.to_timedelta(ROWS * 90, unit="s"),
    "zoned": ZONED.where(ROWS != 3),
    "day": np.datetime64("2024-01-01") + ROWS,
    "tens": pd.Categorical(ROWS % 4 * 10),
    "month": pd.Categorical(MONTHS[ROWS % 2]),
}
SECONDS = (datetime.timedelta(seconds=90), np.timedelta64(400, "s"))
ASKED: dict[str, list[Any]] = {
    "whole": [3, [1, 2.0], (-2, 4)],
    "large": [2**63 + 3, (2**63 + 2, 2**63 + 5), [2**63]],
    "nullable": [2**60 + 3, None, [None, 2**60 + 1], (2**60 + 2, 2**60 + 9)],
    "flag": [True, 0, None, [False, None]],
    "text": ["n1", None, ("n1", "n3"), ("n1", None)],
    "bytes": [b"bc", [b"a"], (b"a", b"d")],
    "span": [pd.Timedelta(180, "s"), SECONDS, np.timedelta64(90_000, "ms")],
    "zoned": [pd.NaT, ZONED[2], ZONED[2].tz_convert("UTC"), (ZONED[2], ZONED[5]), "2024-03-01T07:00:00+01:00"],
    "day": ["2024-01-05", datetime.date(2024, 1, 5), ("2024-01-03", "2024-01-06")],
    "tens": [10, [0, 30], (5, 25)],
    "month": ["2024-01-01", MONTHS[1]],
}


def _found_by_force(name: str, condition: Any) -> list[int]:
    """Return the rows that pandas' own values meet, one by one."""
    values = [None if pd.isna(v) else v for v in pd.Series(np.asarray(VALUES[name], object))]
    zone = ZONED.dt.tz if name == "zoned" else None

    def as_value(item: Any) -> Any:
        if name in ("zoned", "day", "month") and item is not None and item is not pd.NaT:
            item = pd.Timestamp(item)
            return item.tz_convert(zone) if zone is not None else item
        return None if item is None or item is pd.NaT else item

    there = [v if v is None or name not in ("day", "month") else pd.Timestamp(v) for v in values]
    if isinstance(condition, tuple) and name not in ("text", "bytes"):
        lower, upper = map(as_value, condition)
        return [row for row, value in enumerate(there) if value is not None and lower <= value < upper]
    items = [as_value(item) for item in (condition if isinstance(condition, list | tuple) else [condition])]
    return [row for row, value in enumerate(there) if any(value is i if i is None else value == i for i in items)]


@pytest.mark.parametrize("revision", REVISIONS)
def test_filters_find_what_brute_force_finds(tmp_path: Path, revision: str) -> None:
    cloud = make_cloud(N)
    write_points(tmp_path / "p", cloud, attributes={**VALUES, "row": ROWS}, format_version=revision)
    paths = [cloud[[i, (i + 1) % N]] for i in range(N)]
    write_polylines(tmp_path / "o", paths, object_attributes=VALUES, format_version=revision)
    points, objects = open_store(tmp_path / "p"), open_store(tmp_path / "o")
    for name, conditions in ASKED.items():
        for condition in conditions:
            expected, asked = _found_by_force(name, condition), {name: condition}
            assert 0 < len(expected) < N, (name, condition)
            rows = read_points(points, attributes=["row"], attribute_filter=asked).attributes["row"]
            assert sorted(rows.tolist()) == expected, (name, condition)
            found = read_polylines(objects, attribute_filter=asked).object_ids
            assert sorted(found.tolist()) == expected, (name, condition)


@pytest.mark.parametrize("name", ["whole", "large", "day", "tens"])
def test_filters_of_the_attribute_that_chunks_go_by_find_the_same(tmp_path: Path, name: str) -> None:
    values = {name: VALUES[name], "row": ROWS}
    write_points(tmp_path / "p", make_cloud(N), attributes=values, chunk_by_attribute=name)
    points = open_store(tmp_path / "p")
    for condition in ASKED[name]:
        rows = read_points(points, attributes=["row"], attribute_filter={name: condition}).attributes["row"]
        assert sorted(rows.tolist()) == _found_by_force(name, condition), condition
