"""Conditions on attributes are taken in the attribute's own type, or refused."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.points.clouds import REVISIONS, make_cloud
from zarr_vectors import open_store
from zarr_vectors.exceptions import ArgumentError, NoMatchWarning
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
    "a range of times in days": ("day", (NOON, pd.Timestamp("2024-01-20T01:00")), (ROWS > 10) & (ROWS < 20)),
    "a range of texts": ("time", ("2024-01-03", "2024-01-05T07:00"), (ROWS >= 2) & (ROWS < 4)),
    "times of pandas": ("time", pd.Series(TIMES[[3, 8]]), np.isin(ROWS, [3, 8])),
    "a list of times": ("time", [datetime.datetime(2024, 1, 2, 7), TIMES[2]], np.isin(ROWS, [1, 2])),
    "texts": ("time", ["2024-01-02T07:00", "2024-01-03T07"], np.isin(ROWS, [1, 2])),
    "no time": ("gone", None, ROWS % 6 == 0),
    "NaT": ("gone", np.datetime64("NaT"), ROWS % 6 == 0),
    "a pair of sizes": ("size", ("small", "large"), np.isin(SIZES, ["small", "large"])),
    "three sizes": ("size", ("small", "large", "medium"), np.ones(N, bool)),
    "one size": ("size", ("large",), SIZES == "large"),
    "size": ("size", "medium", SIZES == "medium"),
    "size of NumPy": ("size", np.str_("medium"), SIZES == "medium"),
    "grades in order": ("grade", (3, 1), np.isin(GRADES, [3, 2])),
    "grades": ("grade", [1, 3.0], np.isin(GRADES, [1, 3])),
    "Python range": ("code", range(-3, 9), (CODES >= -3) & (CODES < 9)),
    "Python range in steps": ("code", range(20, -20, -4), np.isin(CODES, range(20, -20, -4))),
    "Python range of floats": ("half", range(1, 4), np.isin(HALVES, [1, 2, 3])),
    "empty range": ("code", range(0), np.zeros(N, bool)),
    "range of fractions": ("code", (-1.5, 2.5), (CODES >= -1) & (CODES <= 2)),
    "range without end": ("code", (3, float("inf")), CODES >= 3),
    "range beyond the type": ("code", (-(10**6), 10**6), np.ones(N, bool)),
    "series": ("code", pd.Series([4, 5]), np.isin(CODES, [4, 5])),
    "index": ("code", pd.Index([4, 5]), np.isin(CODES, [4, 5])),
    "set": ("code", {4, 5}, np.isin(CODES, [4, 5])),
    "array": ("code", np.array([4, 40]), np.isin(CODES, [4])),
    "masked array": ("hole", np.ma.masked_equal([0.125, 7.0], 7.0), np.isnan(HOLES) | (HOLES == 0.125)),
    "nullable series": ("hole", pd.Series([None, 1], dtype="Int64"), np.isnan(HOLES) | (HOLES == 1)),
    "Arrow": ("code", pa.array([4, 5]), np.isin(CODES, [4, 5])),
    "polars": ("code", pl.Series([4, 5]), np.isin(CODES, [4, 5])),
    "a scalar of Arrow": ("code", pa.scalar(4), CODES == 4),
    "NA": ("hole", pd.NA, np.isnan(HOLES)),
    "array of no dimension": ("code", np.array(4), CODES == 4),
    "nothing": ("code", [], np.zeros(N, bool)),
    "float of higher precision": ("half", np.float64(1.125), HALVES == 1.125),
    "no number": ("hole", None, np.isnan(HOLES)),
    "NaN": ("hole", float("nan"), np.isnan(HOLES)),
    "a number or none": ("hole", [np.nan, 0.125], np.isnan(HOLES) | (HOLES == 0.125)),
    "no name": ("name", None, ~NAMED),
    "a name or none": ("name", ["n3", None], ~NAMED | (PLAIN == "n3")),
    "a name": ("name", "n3", NAMED & (PLAIN == "n3")),
    "a pair of names": ("name", ("n2", "n4"), NAMED & np.isin(PLAIN, ["n2", "n4"])),
    "a pair of names, one missing": ("name", ("n2", None), ~NAMED | (PLAIN == "n2")),
    "texts of Arrow": ("name", pa.array(["n2", None]), ~NAMED | (PLAIN == "n2")),
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
    "zone": ("time", "2024-01-01T00:00Z", "no time zone"),
    "time with a zone": ("time", pd.Timestamp("2024-01-01", tz="UTC"), "no time zone"),
    "times with a zone": ("time", pd.Series(pd.date_range("2024-01-01", periods=2, tz="UTC")), "no time zone"),
    "time beyond nanoseconds": ("time", "9999-01-01", "beyond"),
    "slice": ("code", slice(1, 3), "slice"),
    "nested": ("code", [[1, 2], [3, 4]], "list"),
    "nested tuple": ("code", ((1, 2), 3), "tuple"),
    "matrix": ("code", np.eye(2), "one dimension"),
    "mapping": ("code", {"min": 3}, "dict"),
    "call": ("code", len, "builtin"),
    "bytes": ("name", b"n3", "texts are not compared with bytes"),
    "a duration on times": ("time", np.timedelta64(3, "s"), "datetimes are not compared with timedeltas"),
    "a duration of Python on numbers": ("code", datetime.timedelta(1), "numbers are not compared with timedeltas"),
    "open range": ("code", (None, 3), "ends of a range must be there; -inf and inf leave one open"),
    "unknown end": ("grade", (3, 7), "7 is none of the ordered categories"),
    "tuple of three": ("code", (1, 2, 3), "given as a list"),
    "tuple of one": ("code", (1,), "given as a list"),
    "tuple of none": ("code", (), "given as a list"),
    "tuple of booleans": ("even", (False, True), "booleans have no ranges"),
    "reversed range": ("code", (9, 3), "lower end of a range must be below the upper one, got 9 and 3"),
    "reversed range of fractions": ("half", (1.5, 1.0), "got 1.5 and 1.0"),
    "reversed range of times": ("time", ("2024-01-05", "2024-01-03"), "got 2024-01-05 and 2024-01-03"),
    "reversed range of days": ("day", (DAYS[5], DAYS[2]), "got 2024-01-06 and 2024-01-03"),
    "reversed range of grades": ("grade", (1, 3), "before the upper one in the order"),
    "empty range": ("code", (3, 3), "got 3 and 3"),
    "range and text": ("code", (1, "a"), "numbers are not compared with mixed values"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_conditions_that_do_not_fit(store: Path, case: str) -> None:
    name, condition, message = UNFIT[case]
    with pytest.raises(ArgumentError, match=f"(?s)attribute_filter: '{name}'.*{message}"):
        read_points(store, attribute_filter={name: condition})


NEVER: dict[str, tuple[str, Any, str, Any]] = {
    "no category": ("size", "huge", "'small', 'medium', 'large'.*'huge'", np.zeros(N, bool)),
    "no category among others": ("size", ["small", "huge"], "'huge'", SIZES == "small"),
    "no category in a pair": ("size", ("small", "hug"), "'hug'", SIZES == "small"),
    "no grade": ("grade", [1, 9], "9", GRADES == 1),
    "beyond the type": ("code", [5, 1000, -(2**70)], "int8.*1000, -1180591620717411303424", CODES == 5),
    "an array beyond the type": ("code", np.array([4, 400]), "400", CODES == 4),
    "fractions among whole numbers": ("code", [5, 2.5], "2.5", CODES == 5),
    "no whole number": ("code", None, "None", np.zeros(N, bool)),
    "a number or none": ("code", [4, None], "None", CODES == 4),
    "range beyond the type": ("code", (200, 300), r"\(200, 300\)", np.zeros(N, bool)),
    "range below the type": ("code", range(-300, -200), r"\(-300, -200\)", np.zeros(N, bool)),
    "a number that is no boolean": ("even", [2, 1], "bool, none of which can be 2", ROWS % 2 == 0),
    "float beyond the type": ("half", [1e300, 1.0], "float32.*1e\\+300", HALVES == 1),
    "whole number between floats": ("half", [2**24 + 1, 1], "float32.*16777217", HALVES == 1),
    "a time in days": ("day", [NOON, DAYS[3]], "2024-01-11T12:00", ROWS == 3),
}


@pytest.mark.parametrize("case", NEVER)
def test_values_that_no_row_can_have_are_told(store: Path, case: str) -> None:
    name, condition, message, expected = NEVER[case]
    with pytest.warns(NoMatchWarning, match=f"(?s)attribute_filter: '{name}' holds.*{message}") as told:
        found = read_points(store, attributes=["row"], attribute_filter={name: condition})
    assert sorted(found.attributes["row"].tolist()) == np.flatnonzero(expected).tolist()
    assert {warning.filename for warning in told} == {__file__}


@pytest.mark.parametrize("make", [partial(np.array, dtype=np.uint64), list, pd.Series, set])
def test_large_integers_are_compared_exactly(tmp_path: Path, make: Callable[[Any], Any]) -> None:
    labels = np.array([2**63 + 1, 2**63, 5], np.uint64)
    write_points(tmp_path / "s.zv", make_cloud(3), attributes={"label": labels})
    found = read_points(tmp_path / "s.zv", attribute_filter={"label": make([2**63 + 1, 7])})
    assert found.attributes["label"].tolist() == [2**63 + 1]


LIMITS = {
    "int64": [-(2**63), -1, 0, 2**53, 2**53 + 1, 2**63 - 1],
    "uint64": [0, 1, 2**53, 2**53 + 1, 2**63, 2**64 - 1],
    "float64": [-np.inf, -0.0, 0.1, 2.0**53, 2.0**53 + 2, 2.0**63, np.inf, np.nan],
    "float32": [-np.inf, 0.0, np.float32(0.1), 2.0**24, 2.0**24 + 2, np.inf, np.nan],
    "uint8": [0, 1, 254, 255],
}
ASKED = [-1, 0, 0.1, 1, 2**24 + 1, 2**53, 2**53 + 1, 2.0**53, 2**63, 2**64 - 1, float("inf"), -(2**63), 255, 256, 0.5]


def _exactly(value: Any, asked: Any, dtype: str) -> Any:
    """Return a number asked for as it is compared with values of a type: fractions as the nearest of a float type."""
    return float(np.dtype(dtype).type(asked)) if dtype.startswith("float") and isinstance(asked, float) else asked


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.filterwarnings("ignore::zarr_vectors.exceptions.NoMatchWarning")
def test_numbers_are_compared_exactly(tmp_path: Path, revision: str, dtype: str) -> None:
    values = np.array(LIMITS[dtype], dtype)
    write_points(tmp_path / "s.zv", make_cloud(len(values)), attributes={"a": values}, format_version=revision)
    opened = open_store(tmp_path / "s.zv")

    def found(condition: Any) -> list[Any]:
        return sorted(read_points(opened, attribute_filter={"a": condition}).attributes["a"].tolist())

    listed = [value for value in values.tolist() if value == value]  # Python compares int and float exactly
    for asked in ASKED:
        assert found(asked) == sorted(v for v in listed if v == _exactly(v, asked, dtype)), asked
        assert found(np.array([asked])) == found(asked)
    for lower, upper in itertools.combinations(sorted(ASKED), 2):
        if lower < upper:
            low, high = _exactly(0, lower, dtype), _exactly(0, upper, dtype)
            assert found((lower, upper)) == sorted(v for v in listed if low <= v < high), (lower, upper)
