"""Results as data frames."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.exceptions import MissingExtraError
from zarr_vectors.types.points import PointsResult, read_points, write_points
from zarr_vectors.view.tables import points_frame

pandas = pytest.importorskip("pandas")


def test_columns_are_axes_objects_and_channels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 60
    attributes = {
        "color": rng.integers(0, 255, (n, 3)).astype(np.uint8),
        "kind": np.array(["soma", "axon", "dendrite"])[rng.integers(0, 3, n)],
        "when": np.datetime64("2026-01-01", "ns") + rng.integers(0, 10**12, n).astype("m8[ns]"),
        "good": rng.integers(0, 2, n).astype(bool),
        "label": np.array([f"cell {i}" for i in range(n)]),
    }
    write_points(
        tmp_path / "store",
        rng.uniform(0, 10, (n, 2)),
        attributes=attributes,
        object_ids=rng.integers(5, 8, n),
        axes=["t", "depth"],
        attribute_specs={"color": {"channel_names": ("r", "g", "b")}},
    )
    result = read_points(tmp_path / "store")
    frame = result.to_pandas()
    assert list(frame.columns) == [
        "t", "depth", "object_id", "color_r", "color_g", "color_b", "good", "kind", "label", "when",
    ]  # fmt: skip
    assert np.array_equal(frame["depth"], result.positions[:, 1])
    assert np.array_equal(frame["color_g"], result.attributes["color"][:, 1])
    assert frame["kind"].dtype == frame["label"].dtype == pandas.Series(["text"]).dtype
    assert list(frame["kind"]) == list(result.attributes["kind"])
    assert not isinstance(frame["label"].dtype, pandas.CategoricalDtype)
    assert frame["when"].dtype.kind == "M"
    assert frame["good"].dtype == bool


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
@pytest.mark.parametrize(
    ("values", "categories", "ordered"),
    [
        (["b", "a", "b", "b", "a"], ["b", "c", "a"], True),
        (["b", "a", "b", "b", "a"], ["b", "c", "a"], False),
        (["b", None, "b", "b", "a"], ["b", "a"], True),
        (["e", "d", "c", "b", "a"], ["e", "d", "c", "b", "a"], True),
        ([30, 10, 30, 20, 10], [30, 10, 20], True),
        ([30, 10, 30, None, 10], [30, 10, 20], False),
        ([0.5, 0.25, 0.5, 0.5, None], [0.5, 0.25], True),
        ([True, False, None, True, True], [True, False], False),
    ],
)
def test_categoricals_come_back(
    tmp_path: Path, revision: str, values: list[Any], categories: list[Any], ordered: bool
) -> None:
    given = pandas.Categorical(values, categories, ordered=ordered)
    positions = np.arange(10.0).reshape(5, 2)
    path = tmp_path / "store"
    write_points(path, positions, attributes={"size": given}, keep_order=True, format_version=revision)
    result = read_points(path, restore_order=True)
    assert result.categories == {"size": (tuple(categories), ordered)}
    found = result.to_pandas()["size"]
    pandas.testing.assert_series_equal(found, pandas.Series(given, name="size"))
    write_points(path, positions, attributes={"size": found}, format_version=revision)
    assert read_points(path).categories == result.categories


ZONED = pandas.Series(pandas.to_datetime(["2020-07-01T12:00", "2021-01-01T00:00", None])).dt.tz_localize(
    "Europe/Berlin"
)


@pytest.mark.parametrize(
    "given",
    [
        pandas.Series([2**60 + 1, 3, None], dtype="Int64"),
        pandas.Series([1, 2, None], dtype="UInt8"),
        pandas.Series([True, False, None], dtype="boolean"),
        pandas.Series(["a", "b", None]),
        pandas.Series(["b", "a", "a"]),
        ZONED,
        pandas.Series(pandas.to_timedelta([1, 2, None], unit="s")),
        pandas.Series(["a", "b", None], dtype=pandas.CategoricalDtype(["b", "z", "a"])),
        pandas.Series(np.array([3, 1, 3], np.int16)).astype("category"),
        pandas.Series(pandas.to_datetime(["2020", "2021", None])).astype("category"),
        ZONED.astype("category"),
    ],
    ids=lambda given: str(given.dtype)[:24],
)
def test_columns_keep_their_type_whichever_rows_are_read(tmp_path: Path, given: Any) -> None:
    positions = np.array([[0.5, 0.5], [1.5, 1.5], [2.5, 2.5]])
    write_points(tmp_path / "a", positions, attributes={"a": given}, chunk_shape=4.0, bin_shape=1.0)
    pandas.testing.assert_series_equal(read_points(tmp_path / "a").to_pandas()["a"], given, check_names=False)
    for row in range(3):
        box = read_points(tmp_path / "a", bbox=([row, row], [row + 1, row + 1])).to_pandas()["a"]
        pandas.testing.assert_series_equal(box, given.iloc[[row]].reset_index(drop=True), check_names=False)


def points(attributes: dict[str, Any], **more: Any) -> PointsResult:
    count = len(next(iter(attributes.values())))
    return PointsResult(np.zeros((count, 5)), attributes, **more)


def test_names_that_are_taken_get_a_number() -> None:
    frame = points_frame(points({"x": np.arange(3), "x_2": np.arange(3)}, object_ids=np.arange(3)))
    assert list(frame.columns) == ["x", "y", "z", "w", "axis4", "object_id", "x_2", "x_2_2"]
    assert list(frame["x_2"]) == [0, 1, 2]


def test_missing_texts_stay_missing() -> None:
    frame = points_frame(points({"kind": np.array(["a", None, "a"], object)}))
    assert list(frame["kind"].isna()) == [False, True, False]
    assert frame["kind"].dtype == pandas.Series(["text"]).dtype


def test_missing_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r'pip install "zarr-vectors\[pandas\]"'):
        points_frame(points({"a": np.zeros(1)}))


def test_broken_dependency_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'pytz'", name="pytz")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="pytz"):
        points_frame(points({"a": np.zeros(1)}))
