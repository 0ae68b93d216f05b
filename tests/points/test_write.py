"""Every argument of ``write_points`` does what it says, in both revisions."""

from __future__ import annotations

import json
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.points.clouds import REVISIONS, in_input_order, make_cloud, tree
from zarr_vectors.exceptions import ArgumentError, PrecisionWarning, StoreExistsError
from zarr_vectors.storage import resolve_storage
from zarr_vectors.testing.storage import FailingStorage, SimulatedCrashError
from zarr_vectors.types.points import read_points, write_points

N = 300
IDS = np.random.default_rng(3).integers(0, 12, N)


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cloud.zv"


def root_of(path: Path) -> dict[str, Any]:
    attributes: dict[str, Any] = json.loads((path / "zarr.json").read_text())["attributes"]
    return attributes


def restored(path: Path, **query: Any) -> Any:
    return read_points(path, restore_order=True, **query)


def test_defaults_suit_the_data(path: Path, revision: str) -> None:
    positions = make_cloud(N, low=-500, high=1500)
    summary = write_points(path, positions, format_version=revision)
    assert summary["vertex_count"] == summary.vertex_count == N
    assert (summary.chunk_count, summary.bins_per_chunk) == (len(np.unique(positions // 2000, axis=0)), 64)
    np.testing.assert_array_equal(summary.bounds, [positions.min(axis=0), positions.max(axis=0)])
    assert set(summary.keys()) >= {"vertex_count", "chunk_count", "object_count", "group_count", "bins_per_chunk"}
    assert [axis["name"] for axis in root_of(path)["multiscales"][0]["axes"]] == ["x", "y", "z"]
    assert len(read_points(path)) == N


def test_rows_come_by_chunk_then_bin_then_input(path: Path, revision: str) -> None:
    positions = make_cloud(N, low=-50, high=50)
    write_points(path, positions, chunk_shape=40, bin_shape=(10, 20, 40), keep_order=True, format_version=revision)
    bins = np.floor(positions.astype(np.float64) / [10, 20, 40]).astype(int)
    per_chunk = np.array([4, 2, 1])
    keys = [np.arange(N), *(bins % per_chunk).T[::-1], *(bins // per_chunk).T[::-1]]
    result = read_points(path)
    np.testing.assert_array_equal(result["attributes"]["original_index"], np.lexsort(keys))
    np.testing.assert_array_equal(result.positions, positions[np.lexsort(keys)])
    np.testing.assert_array_equal(restored(path).positions, positions)


def test_rows_of_objects_come_by_chunk_then_object_then_input(path: Path, revision: str) -> None:
    positions = make_cloud(N)
    write_points(path, positions, chunk_shape=40, object_ids=IDS, keep_order=True, format_version=revision)
    chunks = np.floor(positions.astype(np.float64) / 40).astype(int)
    expected = np.lexsort([np.arange(N), IDS, *chunks.T[::-1]])
    result = read_points(path)
    np.testing.assert_array_equal(result["attributes"]["original_index"], expected)
    np.testing.assert_array_equal(result.object_ids, IDS[expected])


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dimensions_and_precisions(path: Path, revision: str, ndim: int, dtype: Any) -> None:
    positions = make_cloud(N, ndim, low=-30, high=70).astype(dtype)
    write_points(path, positions, chunk_shape=32, bin_shape=8, dtype=dtype, format_version=revision, keep_order=True)
    result = restored(path)
    assert result.positions.dtype == dtype
    np.testing.assert_array_equal(result.positions, positions)
    names = [axis["name"] for axis in root_of(path)["multiscales"][0]["axes"]]
    assert names == ["x", "y", "z", "w"][:ndim]


def test_positions_are_stored_as_float32_unless_said_otherwise(path: Path) -> None:
    fine = np.random.default_rng(0).uniform(0, 100, (N, 3)) + 1e6
    with pytest.warns(PrecisionWarning, match=r"float32.*dtype=np\.float64"):
        write_points(path, fine, chunk_shape=40, keep_order=True)
    np.testing.assert_array_equal(restored(path).positions, fine.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_points(path, fine - 1e6, chunk_shape=40)
        write_points(path, fine, dtype=np.float64, chunk_shape=40, keep_order=True)
    np.testing.assert_array_equal(restored(path).positions, fine)


def test_whole_numbers_are_cast_when_exact(path: Path) -> None:
    whole = np.random.default_rng(0).integers(-1000, 1000, (N, 3))
    write_points(path, whole, chunk_shape=500, keep_order=True)
    np.testing.assert_array_equal(restored(path).positions, whole)


def test_shapes_by_axis_or_for_all(path: Path, revision: str) -> None:
    summary = write_points(path, make_cloud(), chunk_shape=(50, 100, 20), bin_shape=10, format_version=revision)
    assert (summary.chunk_shape, summary.bin_shape) == ((50.0, 100.0, 20.0), (10.0, 10.0, 10.0))
    assert summary.bins_per_chunk == 5 * 10 * 2
    block = root_of(path)["zarr_vectors"]
    assert (block["chunk_shape"], block["base_bin_shape"]) == ([50.0, 100.0, 20.0], [10.0, 10.0, 10.0])
    assert write_points(path, make_cloud(), bin_shape=10).chunk_shape == (40.0, 40.0, 40.0)
    assert write_points(path, make_cloud(), chunk_shape=40).bin_shape == (10.0, 10.0, 10.0)


def test_what_happens_outside_the_bounds(path: Path, revision: str) -> None:
    positions = make_cloud()
    inside = (positions <= 60).all(axis=1)
    bounds = ([0, 0, 0], [60, 60, 60])
    arguments: dict[str, Any] = {"bounds": bounds, "chunk_shape": 20, "format_version": revision}
    ignored = write_points(
        path, positions, out_of_bounds="ignore", attributes={"row": np.arange(N)}, object_ids=IDS, **arguments
    )
    assert (ignored.vertex_count, ignored.ignored_count) == (inside.sum(), N - inside.sum())
    np.testing.assert_array_equal(np.sort(read_points(path)["attributes"]["row"]), np.flatnonzero(inside))
    expanded = write_points(path, positions, out_of_bounds="expand", **arguments)
    assert (expanded.vertex_count, expanded.ignored_count) == (N, 0)
    np.testing.assert_array_equal(expanded.bounds[0], [0, 0, 0])
    np.testing.assert_array_equal(expanded.bounds[1], positions.max(axis=0))
    wide = write_points(path, positions, bounds=([-1e3] * 3, [1e3] * 3), chunk_shape=20, format_version=revision)
    assert wide.bounds == ((-1e3,) * 3, (1e3,) * 3)
    assert len(read_points(path)) == N


ATTRIBUTES: dict[str, Any] = {
    **{kind: np.random.default_rng(0).integers(0, 100, N).astype(kind) for kind in
       ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    **{kind: np.random.default_rng(0).normal(size=N).astype(kind) for kind in ("float16", "float32", "float64")},
    "not a number": np.where(np.arange(N) % 3, np.nan, 1.5),
    "flag": np.arange(N) % 2 == 0,
    "flags": np.arange(2 * N).reshape(N, 2) % 3 == 0,
    "color": np.random.default_rng(0).integers(0, 256, (N, 3)).astype(np.uint8),
    "one channel": np.arange(float(N)).reshape(N, 1),
    "big endian": np.arange(N, dtype=">i4"),
    "text": np.array(["soma", "dendrite", "é", ""])[np.arange(N) % 4],
    "list": [["a", "b"][row % 2] for row in range(N)],
    "time": np.datetime64("2026-01-01", "ns") + np.arange(N).astype("timedelta64[s]"),
    "day": np.datetime64("2026-01-01", "D") + np.arange(N).astype("timedelta64[D]"),
}  # fmt: skip


def test_attributes_of_every_kind(path: Path, revision: str) -> None:
    write_points(path, make_cloud(), chunk_shape=30, attributes=ATTRIBUTES, keep_order=True, format_version=revision)
    result = restored(path)
    assert set(result.attributes) == {*ATTRIBUTES, "original_index"}
    for name, given in ATTRIBUTES.items():
        found = result.attributes[name]
        expected = np.asarray(given)
        np.testing.assert_array_equal(found, expected, err_msg=name)
        if expected.dtype.kind in "biufM":
            assert found.dtype == expected.dtype.newbyteorder("="), name
    assert result.channel_names["color"] == ("ch0", "ch1", "ch2")


def test_categoricals_and_missing_values(path: Path, revision: str) -> None:
    cells = pd.Categorical.from_codes([0, 2, 1, -1] * (N // 4), categories=["b", "a", "c"], ordered=True)
    write_points(path, make_cloud(), attributes={"cell": cells}, keep_order=True, format_version=revision)
    found = restored(path).attributes["cell"]
    expected = np.array([None if pd.isna(value) else value for value in cells], object)
    np.testing.assert_array_equal(found == expected, np.ones(N, bool))
    only = read_points(path, attribute_filter={"cell": ["a", "c"]})
    assert len(only) == N // 2


def test_two_names_of_attributes(path: Path) -> None:
    write_points(path, make_cloud(), vertex_attributes={"a": np.arange(N)})
    result = read_points(path)
    np.testing.assert_array_equal(np.sort(result["vertex_attributes"]["a"]), np.arange(N))


def test_attributes_are_described(path: Path, revision: str) -> None:
    write_points(
        path,
        make_cloud(),
        attributes={"v": np.zeros(N, np.float32), "c": np.zeros((N, 2))},
        attribute_specs={
            "v": {"unit": "microvolt", "description": "spike height"},
            "c": {"channel_names": ("left", "right")},
        },
        format_version=revision,
    )
    spec = root_of(path)["zarr_vectors"]["attribute_specs"]["vertex"]["v"]
    assert (spec["unit"], spec["description"]) == ("microvolt", "spike height")
    assert read_points(path).channel_names == {"c": ("left", "right")}


@pytest.mark.parametrize(
    "ids",
    [
        IDS,
        IDS * 1_000_003,
        IDS - 6,
        np.array([2**62, -(2**63), 2**63 - 1, 0])[IDS % 4],
        np.where(IDS % 2, 2**63 - 1, 5).astype(np.uint64),
        IDS.astype(np.uint8),
        IDS * 0,
        np.arange(N)[::-1],
    ],
    ids=["dense", "sparse", "negative", "extreme", "uint64", "uint8", "single", "one-each"],
)
def test_object_ids(path: Path, revision: str, ids: Any) -> None:
    positions = make_cloud()
    unique = np.unique(ids.astype(np.int64))
    summary = write_points(
        path,
        positions,
        chunk_shape=40,
        object_ids=ids,
        object_attributes={"half": unique / 2},
        groups={"first": unique[:1], "all": unique.tolist(), "none": []},
        keep_order=True,
        format_version=revision,
    )
    assert (summary.object_count, summary.group_count) == (len(unique), 3)
    result = restored(path)
    np.testing.assert_array_equal(result.object_ids, ids.astype(np.int64))
    some = restored(path, object_ids=unique[-1])
    np.testing.assert_array_equal(some.positions, positions[ids.astype(np.int64) == unique[-1]])
    assert len(read_points(path, group_ids="first")) == (ids.astype(np.int64) == unique[0]).sum()
    assert len(read_points(path, group_ids=["first", 1])) == N
    assert len(read_points(path, group_ids="none")) == 0


def test_objects_without_points(path: Path, revision: str) -> None:
    ids = np.where(IDS == 5, 6, IDS)
    summary = write_points(
        path,
        make_cloud(),
        object_ids=ids,
        object_attributes={"volume": np.arange(15.0)},
        groups={0: [5, 14], 2: [1]},
        group_attributes={"region": np.array([7, 0, 9])},
        format_version=revision,
    )
    assert (summary.object_count, summary.group_count) == (15, 3)
    empty = read_points(path, object_ids=[5, 14])
    assert empty.positions.shape == (0, 3)
    assert len(read_points(path, group_ids=0)) == 0
    assert len(read_points(path, group_ids=[0, 2])) == (ids == 1).sum()


def test_object_ids_are_stored_by_fragment(path: Path, revision: str) -> None:
    write_points(path, make_cloud(), chunk_shape=40, object_ids=IDS, format_version=revision)
    assert (path / "0" / "fragment_attributes" / "object_id").is_dir()
    box = read_points(path, bbox=([0] * 3, [40] * 3))
    inside = (make_cloud() < 40).all(axis=1)
    np.testing.assert_array_equal(np.sort(box.object_ids), np.sort(IDS[inside]))


def test_fragment_attributes(path: Path, revision: str) -> None:
    positions = make_cloud()
    chunks, counts = np.unique(positions // 50, axis=0, return_counts=True)
    arguments: dict[str, Any] = {"chunk_shape": 50, "bin_shape": 50, "format_version": revision}
    for given in (counts, {tuple(chunk): [n] for chunk, n in zip(chunks.tolist(), counts, strict=True)}):
        write_points(path, positions, fragment_attributes={"points": given}, **arguments)
        assert (path / "0" / "fragment_attributes" / "points").is_dir()
    with pytest.raises(ArgumentError, match="fragment_attributes"):
        write_points(path, positions, fragment_attributes={"points": {(0, 0, 0): [1]}}, **arguments)


def test_nothing_is_a_cloud_too(path: Path, revision: str) -> None:
    summary = write_points(path, np.zeros((0, 2)), attributes={"a": np.zeros(0, np.int16)}, format_version=revision)
    assert (summary.vertex_count, summary.chunk_count) == (0, 0)
    result = read_points(path)
    assert result.positions.shape == (0, 2)
    assert result.attributes["a"].dtype == np.int16
    assert len(read_points(path, bbox=([0, 0], [1, 1]))) == 0
    write_points(path, np.zeros((0, 3)), object_ids=np.zeros(0, int), format_version=revision)
    assert read_points(path).object_ids.shape == (0,)


@pytest.mark.parametrize("column", [0, 1, 3])
def test_time_may_be_any_column(path: Path, revision: str, column: int) -> None:
    names = ["x", "y", "z"]
    names.insert(column, "t")
    axes = [{"name": n, "type": "time" if n == "t" else "space"} for n in names]
    units = {"t": "second", "x": "micrometer"}
    positions = make_cloud(N, 4)
    write_points(path, positions, axes=axes, axis_units=units, keep_order=True, format_version=revision)
    stored = root_of(path)["multiscales"][0]["axes"]
    assert [axis["name"] for axis in stored] == names
    assert stored[column] == {"name": "t", "type": "time", "unit": "second"}
    assert restored(path).axis_names == tuple(names)
    np.testing.assert_array_equal(restored(path).positions, positions)


def test_coordinate_system_and_metadata(path: Path, revision: str) -> None:
    write_points(
        path,
        make_cloud(),
        coordinate_system="RAS",
        crs={"epsg": 4978},
        axis_units="micrometer",
        metadata={"subject": "m17", "notes": [1, None, {"a": "é"}]},
        format_version=revision,
    )
    attributes = root_of(path)
    assert attributes["zarr_vectors"]["crs"] == {"epsg": 4978, "name": "RAS"}
    assert attributes["user_metadata"] == {"subject": "m17", "notes": [1, None, {"a": "é"}]}
    assert {axis["unit"] for axis in attributes["multiscales"][0]["axes"]} == {"micrometer"}


@pytest.mark.parametrize("compressor", [None, "auto", "zstd", "zstd:5", "blosc", "lz4", "gzip", ["zstd", "gzip"],
                                        {"name": "zstd", "configuration": {"level": 3, "checksum": True}}],
                         ids=str)  # fmt: skip
def test_compressors(path: Path, revision: str, compressor: Any) -> None:
    positions = make_cloud()
    arguments: dict[str, Any] = {"compressor": compressor, "format_version": revision}
    write_points(path, positions, chunk_shape=40, keep_order=True, **arguments)
    np.testing.assert_array_equal(restored(path).positions, positions)
    write_points(path, np.ones_like(positions), **arguments)
    files = [file for file in (path / "0" / "vertices").rglob("0") if file.is_file()]
    stored = sum(file.stat().st_size for file in files)
    assert (stored < positions.nbytes / 2) == (compressor is not None)


@pytest.mark.parametrize("shard_shape", ["auto", None, 1, 2, (1, 2, 3), 100])
def test_shards(path: Path, shard_shape: Any) -> None:
    positions = make_cloud()
    write_points(path, positions, chunk_shape=30, shard_shape=shard_shape, keep_order=True)
    np.testing.assert_array_equal(restored(path).positions, positions)
    files = len([file for file in (path / "0" / "vertices").rglob("*") if file.is_file()]) - 1
    edges = {"auto": 100, None: 1}.get(shard_shape, shard_shape) if np.ndim(shard_shape) == 0 else shard_shape
    assert files == len(np.unique(positions // 30 // edges, axis=0))


def test_shards_of_scattered_points_stay_small(path: Path) -> None:
    """Their grid has 8e9 cells, and an index of 16 bytes for each."""
    positions = make_cloud(N, high=2000)
    write_points(path, positions, chunk_shape=1, keep_order=True)
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < 12_000 * N
    np.testing.assert_array_equal(restored(path).positions, positions)
    box = ([500] * 3, [1500] * 3)
    assert len(read_points(path, bbox=box)) == ((positions >= 500) & (positions < 1500)).all(axis=1).sum()


def test_modes(path: Path, revision: str) -> None:
    first, second = make_cloud(seed=1), make_cloud(50, seed=2)
    write_points(path, first, mode="w-", attributes={"a": np.zeros(N)}, format_version=revision)
    with pytest.raises(StoreExistsError):
        write_points(path, second, mode="w-", format_version=revision)
    assert len(read_points(path)) == N
    write_points(path, second, mode="w", format_version=revision)
    result = read_points(path)
    assert (len(result), result.attributes) == (50, {})
    write_points(path.with_name("new.zv"), second, mode="a", format_version=revision)
    assert len(read_points(path.with_name("new.zv"))) == 50


def test_appending_keeps_everything(path: Path, revision: str) -> None:
    first, second = make_cloud(seed=1), make_cloud(80, seed=2, low=20, high=60)
    arguments: dict[str, Any] = {"chunk_shape": 25, "bounds": ([0] * 3, [100] * 3), "format_version": revision}
    write_points(
        path,
        first,
        attributes={"row": np.arange(N), "kind": ["a"] * N},
        object_ids=IDS,
        object_attributes={"v": np.arange(12.0)},
        groups={"old": [1, 2]},
        metadata={"kept": True},
        axis_units="meter",
        **arguments,
    )
    more = np.array([5, 100])[np.arange(80) % 2]
    summary = write_points(
        path,
        second,
        mode="a",
        attributes={"row": N + np.arange(80), "kind": ["b"] * 80},
        object_ids=more,
        object_attributes={"v": np.array([5.0, 100.0])},
        groups={"old": [5], "new": [100]},
    )
    assert (summary.vertex_count, summary.object_count, summary.group_count) == (N + 80, 13, 2)
    result = read_points(path)
    order = np.argsort(result["attributes"]["row"])
    np.testing.assert_array_equal(result.positions[order], np.concatenate([first, second]))
    np.testing.assert_array_equal(result.object_ids[order], np.concatenate([IDS, more]))
    assert set(result["attributes"]["kind"][order][:N]) == {"a"}
    assert set(result["attributes"]["kind"][order][N:]) == {"b"}
    members = np.isin(np.concatenate([IDS, more]), [1, 2, 5])
    assert len(read_points(path, group_ids="old")) == members.sum()
    attributes = root_of(path)
    assert attributes["user_metadata"] == {"kept": True}
    assert attributes["zarr_vectors"]["zv_version"].startswith(revision)
    assert attributes["multiscales"][0]["axes"][0]["unit"] == "meter"


def test_appending_beyond_the_bounds(path: Path, revision: str) -> None:
    write_points(path, make_cloud(), chunk_shape=40, format_version=revision)
    before = tree(path)
    far = make_cloud(60, low=-300, high=-200)
    with pytest.raises(ArgumentError, match="out_of_bounds='expand'"):
        write_points(path, far, mode="a")
    assert tree(path) == before
    summary = write_points(path, far, mode="a", out_of_bounds="expand")
    assert summary.vertex_count == N + 60
    np.testing.assert_array_equal(summary.bounds[0], far.min(axis=0))
    assert len(read_points(path, bbox=([-400] * 3, [-100] * 3))) == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attributes": {"other": np.zeros(9)}}, "missing.*'a'.*'other'"),
        ({}, "missing"),
        ({"attributes": {"a": np.zeros((9, 2), int)}}, "'a'.*channels"),
        ({"attributes": {"a": np.full(9, 0.5)}}, "'a'.*int64.*float64"),
        ({"attributes": {"a": np.zeros(9, int)}, "object_ids": np.zeros(9, int)}, "object_ids.*no objects"),
        ({"attributes": {"a": np.zeros(9, int)}, "chunk_shape": 7}, "chunk_shape.*7.*40"),
        ({"attributes": {"a": np.zeros(9, int)}, "dtype": np.float64}, "dtype.*float32.*float64"),
    ],
)
def test_what_cannot_be_appended(path: Path, revision: str, arguments: dict[str, Any], message: str) -> None:
    write_points(path, make_cloud(), chunk_shape=40, attributes={"a": np.arange(N)}, format_version=revision)
    before = tree(path)
    with pytest.raises(ArgumentError, match=f"(?s){message}"):
        write_points(path, make_cloud(9), mode="a", **arguments)
    with pytest.raises(ArgumentError):
        write_points(path, make_cloud(9, 2), mode="a", attributes={"a": np.zeros(9, int)})
    assert tree(path) == before


def test_a_failing_write_leaves_the_old_store(path: Path, revision: str) -> None:
    write_points(path, make_cloud(), attributes={"old": np.arange(N)}, format_version=revision)
    before = tree(path.parent)

    def fail(done: int, total: int) -> None:
        if done == 2:
            raise RuntimeError("out of coffee")

    with pytest.raises(RuntimeError, match="out of coffee"):
        write_points(path, make_cloud(50), progress=fail, format_version=revision)
    assert tree(path.parent) == before


def test_a_crash_at_any_request_leaves_the_old_or_the_new_store(revision: str) -> None:
    old, new = make_cloud(40), make_cloud(60, seed=5)
    for request in range(1, 60):
        storage = resolve_storage(f"memory://crash-{revision}-{request}", mode="w")
        write_points(storage, old, chunk_shape=100, format_version=revision)
        try:
            write_points(FailingStorage(storage, request), new, chunk_shape=100, format_version=revision)
            finished = True
        except SimulatedCrashError:
            finished = False
        count = len(read_points(storage))
        assert count in (40, 60)
        assert count == 60 or not finished
        if finished:
            break
    assert finished


def test_progress_is_told(path: Path, revision: str) -> None:
    told: list[tuple[int, int]] = []
    write_points(path, make_cloud(), progress=lambda *step: told.append(step), format_version=revision)
    assert told[-1][0] == told[-1][1] > 1
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_other_places(revision: str, tmp_path: Path) -> None:
    places: list[Any] = [f"memory://points-{revision}", f"file://{tmp_path}/url.zv", str(tmp_path / "text.zv")]
    for place in places:
        write_points(place, make_cloud(), format_version=revision)
        assert len(read_points(place)) == N


def test_the_input_is_left_alone(path: Path) -> None:
    positions, attribute = make_cloud(), np.arange(N)
    positions.flags.writeable = attribute.flags.writeable = False
    write_points(path, positions, attributes={"a": attribute}, object_ids=attribute)
    write_points(path, np.asfortranarray(positions)[::2], attributes={"a": attribute[::2]}, keep_order=True)
    np.testing.assert_array_equal(restored(path).positions, positions[::2])
    write_points(path, positions.tolist(), keep_order=True)
    np.testing.assert_array_equal(restored(path).positions, positions)


def test_dates_that_are_python_objects(path: Path) -> None:
    stamps = np.array([datetime(2026, 1, 1 + row % 28) for row in range(N)], "datetime64[us]")
    write_points(path, make_cloud(), attributes={"t": stamps}, keep_order=True)
    np.testing.assert_array_equal(restored(path)["attributes"]["t"], stamps)
    assert len(in_input_order(read_points(path))) == N
