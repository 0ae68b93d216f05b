"""Conditions on attributes are taken in the attribute's own type, or refused."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.points.clouds import REVISIONS, make_cloud
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.types.points import read_points, write_points

N = 60
ROWS = np.arange(N)
DAYS = np.datetime64("2024-01-01", "D") + ROWS
TIMES = DAYS.astype("M8[ns]") + np.timedelta64(7, "h")
SIZES = np.array(["small", "medium", "large"])[ROWS % 3]
HALVES = (ROWS / 8).astype(np.float32)
CODES = (ROWS - 30).astype(np.int8)
NAMES = np.array([None if row % 5 == 0 else f"n{row % 7}" for row in ROWS], object)
HOLES = np.where(ROWS % 4 == 0, np.nan, HALVES).astype(np.float64)
GONE = np.where(ROWS % 6 == 0, np.datetime64("NaT"), TIMES)
GRADES = np.array([3, 1, 2])[ROWS % 3]
NAMED = np.array([row % 5 != 0 for row in ROWS])
PLAIN = np.array([f"n{row % 7}" for row in ROWS])


@pytest.fixture(scope="module", params=REVISIONS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("filters") / "cloud.zv"
    attributes = {
        "row": ROWS,
        "day": DAYS,
        "time": TIMES,
        "size": pd.Categorical(SIZES, ["small", "medium", "large"], ordered=True),
        "half": HALVES,
        "code": CODES,
        "name": NAMES,
        "hole": HOLES,
        "gone": GONE,
        "grade": pd.Categorical(GRADES, [3, 2, 1], ordered=True),
        "even": ROWS % 2 == 0,
    }
    write_points(path, make_cloud(N), chunk_shape=50, attributes=attributes, format_version=request.param)
    return path


NOON = np.datetime64("2024-01-11T12:00")
MET: dict[str, tuple[str, Any, Any]] = {
    "a day": ("day", np.datetime64("2024-01-05"), ROWS == 4),
    "a day as text": ("day", "2024-01-05", ROWS == 4),
    "a day of Python": ("day", datetime.date(2024, 1, 5), ROWS == 4),
    "a time in days": ("day", NOON, np.zeros(N, bool)),
    "a range of times in days": ("day", (NOON, pd.Timestamp("2024-01-20T01:00")), (ROWS > 10) & (ROWS < 20)),
    "a range of texts": ("time", ("2024-01-03", "2024-01-05T07:00"), (ROWS >= 2) & (ROWS < 4)),
    "times of pandas": ("time", pd.Series(TIMES[[3, 8]]), np.isin(ROWS, [3, 8])),
    "a list of times": ("time", [datetime.datetime(2024, 1, 2, 7), TIMES[2]], np.isin(ROWS, [1, 2])),
    "texts": ("time", ["2024-01-02T07:00", "2024-01-03T07"], np.isin(ROWS, [1, 2])),
    "no time": ("gone", None, ROWS % 6 == 0),
    "NaT": ("gone", np.datetime64("NaT"), ROWS % 6 == 0),
    "sizes in order": ("size", ("small", "large"), np.isin(SIZES, ["small", "medium"])),
    "sizes in a range of one": ("size", ("medium", "large"), SIZES == "medium"),
    "size": ("size", "medium", SIZES == "medium"),
    "size of NumPy": ("size", np.str_("medium"), SIZES == "medium"),
    "a size that no point has": ("size", "huge", np.zeros(N, bool)),
    "grades in order": ("grade", (3, 1), np.isin(GRADES, [3, 2])),
    "grades": ("grade", [1, 3.0], np.isin(GRADES, [1, 3])),
    "Python range": ("code", range(-3, 9), (CODES >= -3) & (CODES < 9)),
    "Python range in steps": ("code", range(20, -20, -4), np.isin(CODES, range(20, -20, -4))),
    "Python range of floats": ("half", range(1, 4), np.isin(HALVES, [1, 2, 3])),
    "empty range": ("code", range(0), np.zeros(N, bool)),
    "beyond the type": ("code", [5, 1000, -(2**70)], CODES == 5),
    "fractions among whole numbers": ("code", [5, 2.5], CODES == 5),
    "range of fractions": ("code", (-1.5, 2.5), (CODES >= -1) & (CODES <= 2)),
    "range without end": ("code", (3, float("inf")), CODES >= 3),
    "range beyond the type": ("code", (-(10**6), 10**6), np.ones(N, bool)),
    "series": ("code", pd.Series([4, 5]), np.isin(CODES, [4, 5])),
    "index": ("code", pd.Index([4, 5]), np.isin(CODES, [4, 5])),
    "set": ("code", {4, 5}, np.isin(CODES, [4, 5])),
    "array": ("code", np.array([4, 400]), CODES == 4),
    "array of no dimension": ("code", np.array(4), CODES == 4),
    "nothing": ("code", [], np.zeros(N, bool)),
    "float of higher precision": ("half", np.float64(1.125), HALVES == 1.125),
    "no number": ("hole", None, np.isnan(HOLES)),
    "NaN": ("hole", float("nan"), np.isnan(HOLES)),
    "a number or none": ("hole", [np.nan, 0.125], np.isnan(HOLES) | (HOLES == 0.125)),
    "no name": ("name", None, ~NAMED),
    "a name or none": ("name", ["n3", None], ~NAMED | (PLAIN == "n3")),
    "a name": ("name", "n3", NAMED & (PLAIN == "n3")),
    "names in a range": ("name", ("n2", "n4"), NAMED & np.isin(PLAIN, ["n2", "n3"])),
    "categorical": ("name", pd.Categorical(["n1", "n2"]), NAMED & np.isin(PLAIN, ["n1", "n2"])),
    "boolean": ("even", True, ROWS % 2 == 0),
    "boolean as number": ("even", 0, ROWS % 2 == 1),
}


@pytest.mark.parametrize("case", MET)
def test_conditions_met(store: Path, case: str) -> None:
    name, condition, expected = MET[case]
    found = read_points(store, attributes=["row"], attribute_filter={name: condition})
    assert sorted(found.attributes["row"].tolist()) == np.flatnonzero(expected).tolist()


UNFIT: dict[str, tuple[str, Any, str]] = {
    "text on numbers": ("code", "5", "int8.*numbers are not compared with texts"),
    "texts on floats": ("half", ["1.0"], "float32.*texts"),
    "number on texts": ("name", 3, "categories.*texts are not compared with numbers"),
    "numbers on texts in a range": ("name", (1, 3), "texts are not compared with numbers"),
    "texts and numbers": ("code", [1, "a"], "mixed"),
    "number on times": ("time", 17, r"datetime64\[ns\].*datetimes are not compared with numbers"),
    "no time in a text": ("time", "yesterday", "ISO 8601"),
    "zone": ("time", "2024-01-01T00:00Z", "zone"),
    "time with a zone": ("time", pd.Timestamp("2024-01-01", tz="UTC"), "zone"),
    "time beyond nanoseconds": ("time", "9999-01-01", "beyond"),
    "slice": ("code", slice(1, 3), "slice"),
    "nested": ("code", [[1, 2], [3, 4]], "list"),
    "nested tuple": ("code", ((1, 2), 3), "tuple"),
    "matrix": ("code", np.eye(2), "one dimension"),
    "mapping": ("code", {"min": 3}, "dict"),
    "call": ("code", len, "builtin"),
    "bytes": ("name", b"n3", "bytes"),
    "open range": ("code", (None, 3), "ends of a range"),
    "no whole number": ("code", None, "never missing"),
    "unknown end": ("size", ("small", "huge"), "'huge' is none of the ordered categories"),
    "number of booleans": ("even", 2, "True or False"),
    "tuple of three": ("code", (1, 2, 3), "tuple"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_conditions_that_do_not_fit(store: Path, case: str) -> None:
    name, condition, message = UNFIT[case]
    with pytest.raises(ArgumentError, match=f"(?s)attribute_filter: '{name}'.*{message}"):
        read_points(store, attribute_filter={name: condition})


@pytest.mark.parametrize("make", [partial(np.array, dtype=np.uint64), list, pd.Series, set])
def test_large_integers_are_compared_exactly(tmp_path: Path, make: Callable[[Any], Any]) -> None:
    labels = np.array([2**63 + 1, 2**63, 5], np.uint64)
    write_points(tmp_path / "s.zv", make_cloud(3), attributes={"label": labels})
    found = read_points(tmp_path / "s.zv", attribute_filter={"label": make([2**63 + 1, 7])})
    assert found.attributes["label"].tolist() == [2**63 + 1]
