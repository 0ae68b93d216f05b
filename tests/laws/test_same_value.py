"""What goes in comes out: columns of any type, with and without missing values, through every door, or refused."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from zarr_vectors import RechunkSpec, edit, rechunk
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.lazy import open_zv
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.repair import repair
from zarr_vectors.types.point_streams import write_points_stream
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

LARGE = 2**60 + 1
TIMES = pd.Series(pd.to_datetime(["2020-07-01", None, "1969-12-31", "2021-01-01", None, "2020-07-01"]))
LONG = [
    "ENSG00000000003.15",
    "a text of more than fifteen bytes",
    "",
    "ein längerer Text: 漢字かな交じり文",
    "x",
    "y" * 99,
]

COLUMNS: dict[str, Any] = {
    **{dtype: np.array([0, 1, 100, 3, 3, 0], dtype) for dtype in ("i1", "u1", "i2", "u2", "i4", "u4", "f2", "f4", "?")},
    "i8": np.array([LARGE, -1, -(2**63), 2**63 - 1, 0, 5]),
    "u8": np.array([LARGE, 2**64 - 1, 0, 1, 2, 3], np.uint64),
    "f8": np.array([0.1, np.nan, np.inf, -0.0, 1e-300, 2.0]),
    "Int64": pd.Series([LARGE, None, 3, -(2**63), None, 5], dtype="Int64"),
    "UInt8": pd.Series([255, None, 254, 0, 1, 2], dtype="UInt8"),
    "Float32": pd.Series([0.5, None, 2, 3, 4, 5], dtype="Float32"),
    "boolean": pd.Series([True, None, False, True, None, True], dtype="boolean"),
    "masked": np.ma.array([2**63, 1, 2, 3, 4, 5], np.uint64, mask=[0, 1, 0, 0, 0, 1]),
    "list": [LARGE, None, 1, 2, 3, 4],
    "texts": LONG,
    "texts or none": [*LONG[:5], None],
    "bytes": np.array([b"a", b"", b"ccc", b"d", b"d", b"e"]),
    "arrow texts": pa.array(["", None, "b", "b", "<missing>", "a"]),
    "polars texts": pl.Series(["a", None, "b", "b", "c", "a"]),
    "categorical": pd.Categorical(["b", None, "a", "b", "a", "b"], ["b", "z", "a"], ordered=True),
    "categorical of int16": pd.Categorical(np.array([3, 1, 3, 2, 2, 1], np.int16)),
    "categorical of floats": pd.Categorical([0.5, None, 2.5, 0.5, 0.5, None]),
    "categorical of times": pd.Series(TIMES).astype("category"),
    "arrow dictionary": pa.array(["b", None, "a", "b", "a", "b"]).dictionary_encode(),
    "datetimes": TIMES.to_numpy().astype("M8[ms]"),
    "dates": np.array(["2020-07-01", "NaT", "1969-12-31", "2021-01-01", "NaT", "0001-01-01"], "M8[D]"),
    "zoned": TIMES.dt.tz_localize("Europe/Berlin"),
    "timedeltas": np.array([1, -5, "NaT", 2**40, 0, 3], "m8[us]"),
    "channels": np.ma.array(np.arange(12).reshape(6, 2), mask=[[0, 1], *[[0, 0]] * 5]),
    "channels of texts": [["a", None], *[["b", "long enough to be wrong"]] * 5],
}
POSITIONS = np.stack([4 * np.arange(6) + 0.5, np.full(6, 0.5)], axis=1)
GRID: dict[str, Any] = {"chunk_shape": 8.0, "bin_shape": 1.0, "bounds": ([0, 0], [31, 7])}


def plain(values: Any) -> tuple[str, list[Any]]:
    """Return the type of values, and the values with None where they are missing."""
    array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    kind = array.dtype.kind
    if kind in "fMm":
        missing = np.isnan(array) if kind == "f" else np.isnat(array)
        listed = array.astype(np.int64 if kind in "Mm" else array.dtype).tolist()
        found = [None if gone else value for value, gone in zip(listed, missing.tolist(), strict=True)]
        return array.dtype.name, found
    text = "text" if kind in "UT" else "bytes" if kind == "S" else "O" if kind == "O" else array.dtype.name
    return text, array.tolist()


def expected(name: str) -> tuple[str, list[Any]]:
    """Return what must come back, by the library that made the column."""
    values = COLUMNS[name]
    if isinstance(values, pd.Series | pd.Categorical):
        series = pd.Series(values)
        if isinstance(series.dtype, pd.CategoricalDtype):
            series = series.astype(series.cat.categories.dtype)
        if isinstance(series.dtype, pd.DatetimeTZDtype):
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        if series.dtype.name in ("object", "str"):
            return "O", series.astype(object).where(series.notna(), None).tolist()
        if series.dtype.name in ("Int64", "UInt8", "boolean"):
            dtype = {"boolean": "bool"}.get(series.dtype.name, series.dtype.name.lower())
            return dtype, [None if value is pd.NA else value for value in series.tolist()]
        return plain(series.to_numpy(np.float32, na_value=np.nan) if series.dtype == "Float32" else series.to_numpy())
    if name in ("texts", "list"):
        return ("text", LONG) if name == "texts" else ("int64", values)
    if isinstance(values, pa.Array | pl.Series):
        return "O", getattr(values, "to_pylist", getattr(values, "to_list", None))()
    if isinstance(values, list):
        return "O", values
    return plain(values)


def place() -> str:
    return f"memory://values-{uuid.uuid4().hex}"


def part(values: Any, first: int, last: int | None) -> Any:
    return values.iloc[first:last] if isinstance(values, pd.Series) else values[first:last]


def written(values: Any, revision: str) -> str:
    path = place()
    write_points(path, POSITIONS, attributes={"a": values}, format_version=revision, **GRID)
    return path


def streamed(values: Any, revision: str) -> str:
    path = place()
    batches = [{"positions": POSITIONS[i:j], "attributes": {"a": part(values, i, j)}} for i, j in ((0, 3), (3, None))]
    write_points_stream(path, batches, format_version=revision, **GRID)
    return path


def appended(values: Any, revision: str) -> str:
    path = place()
    write_points(path, POSITIONS[:3], attributes={"a": part(values, 0, 3)}, format_version=revision, **GRID)
    edit.append_vertices(path, POSITIONS[3:], attributes={"a": part(values, 3, None)})
    return path


def added(values: Any, revision: str) -> str:
    path = place()
    write_points(path, POSITIONS, format_version=revision, **GRID)
    edit.add_attribute(path, "a", values)
    return path


def changed(values: Any, revision: str) -> str:
    path = written(part(values, 0, None)[::-1] if not isinstance(values, pd.Series) else values.iloc[::-1], revision)
    edit.set_attribute(path, "a", values, rows=range(6))
    return path


def other(path: str, revision: str) -> str:
    there = place()
    migrate(path, there, format_version=revision)
    return there


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_vertices_come_back_from_every_door(name: str, revision: str) -> None:
    dtype, values = expected(name)
    for door in (written, streamed, appended, added, changed):
        try:
            path = door(COLUMNS[name], revision)
        except ArgumentError:
            assert (door, name) in {(streamed, "UInt8"), (streamed, "Int64")}, "refused at a door that can take it"
            continue
        assert plain(read_points(path).attributes["a"]) == (dtype, values), door.__name__
    path = written(COLUMNS[name], revision)
    assert validate(path, level=5).errors == []
    assert not repair(path).repaired
    build_pyramid(path, [(2, 1)], agg_mode=None)
    old, new = ("0.9", "0.7") if revision == "0.9" else ("0.7", "0.9")
    moved = other(path, new)
    spread = place()
    rechunk(path, RechunkSpec(by="spatial", spatial_chunk_shape=(16.0, 16.0)), spread)
    for found in (path, moved, other(moved, old), spread):
        assert plain(read_points(found).attributes["a"]) == (dtype, values)
    assert plain(read_points(path, level=1).attributes["a"]) == (dtype, values)
    for row in range(6):
        box = read_points(path, bbox=([4 * row, 0], [4 * row + 1, 1])).attributes["a"]
        assert plain(box) == (dtype, values[row : row + 1])
    if np.ndim(values) == 1 and None in values:
        found = read_points(path, attribute_filter={"a": None})
        assert found.vertex_count == values.count(None)
        assert plain(found.attributes["a"]) == (dtype, [None] * values.count(None))


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_objects_and_groups_come_back(name: str, revision: str) -> None:
    given, path = COLUMNS[name], place()
    paths = list(POSITIONS[:, None] + np.array([[0.0, 0.0], [1.0, 1.0]]))
    groups = {f"group of one, number {row}": [row] for row in range(6)}
    write_polylines(
        path,
        paths,
        object_attributes={"a": given},
        groups=groups,
        group_attributes={"a": given},
        format_version=revision,
        chunk_shape=8.0,
    )
    assert validate(path, level=5).errors == []
    later = other(path, "0.7" if revision == "0.9" else "0.9")
    spread = place()
    rechunk(path, RechunkSpec(by="spatial", spatial_chunk_shape=(16.0, 16.0)), spread)
    edit.set_attribute(spread, "a", given, kind="object")
    for found in (path, later, other(later, revision), spread):
        assert plain(read_polylines(found).object_attributes["a"]) == expected(name)
        level_groups = open_zv(found)[0].groups
        assert level_groups is not None
        assert plain(level_groups.attributes["a"]) == expected(name)
