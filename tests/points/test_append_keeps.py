"""Appending keeps what was there: rows, precision, order, attributes, levels, layout, metadata, other writers' rows."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from zarr_vectors import create_store
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, PrecisionWarning, StoreLockedError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.read.opening import open_reader
from zarr_vectors.storage.lock import lock
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

REVISIONS = ("0.9", "0.7")
SHAPES = {"chunk_shape": 50.0, "bin_shape": 25.0}


def cloud(n=400, seed=0, low=0.0, high=100.0):
    return np.random.default_rng(seed).uniform(low, high, (n, 3))


def as_rows(*parts):
    everything = np.concatenate(parts)
    return everything[np.lexsort(everything.T[::-1])]


@pytest.mark.parametrize("version", REVISIONS)
def test_double_precision_stays(tmp_path, version):
    positions = cloud() + 1e6
    bounds = ([1e6] * 3, [1e6 + 100] * 3)
    write_points(tmp_path / "a", positions[:200], dtype="f8", bounds=bounds, format_version=version, **SHAPES)
    write_points(tmp_path / "a", positions[200:], mode="a")
    found = read_points(tmp_path / "a").positions
    assert found.dtype == np.float64
    np.testing.assert_array_equal(as_rows(found), as_rows(positions))


def test_rounding_is_announced_when_appending_too(tmp_path):
    write_points(tmp_path / "a", np.full((4, 3), 1e7), bounds=([1e7] * 3, [1e7 + 200] * 3), **SHAPES)
    with pytest.warns(PrecisionWarning, match="moved"):
        write_points(tmp_path / "a", cloud() + 1e7, mode="a")


def test_an_index_beyond_reason_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"bin_shape: .* use larger bins"):
        write_points(tmp_path / "a", cloud(), chunk_shape=1000.0, bin_shape=0.001, dtype="f8")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("version", REVISIONS)
def test_coarse_levels_are_made_again(tmp_path, version):
    first, second = cloud(seed=1), cloud(seed=2)
    write_points(tmp_path / "a", first, bounds=([0] * 3, [100] * 3), format_version=version, **SHAPES)
    build_pyramid(
        tmp_path / "a", [(2.0, 1.0), (4.0, 1.0)], agg_mode={"merged": "count"}, cross_level_storage="explicit"
    )
    write_points(tmp_path / "a", second, mode="a")
    for level in (1, 2):
        assert read_points(tmp_path / "a", level=level).attributes["merged"].sum() == 800
    assert len(read_cross_level_links(tmp_path / "a", 1, -1)) == 800
    report = validate(tmp_path / "a", level=5)
    assert report.is_valid, report.report()


def test_the_policy_for_bounds_touches_new_rows_only(tmp_path):
    write_points(tmp_path / "a", cloud(), bounds=([0] * 3, [100] * 3), **SHAPES)
    summary = write_points(
        tmp_path / "a",
        np.array([[5.0, 5, 5], [500, 5, 5]]),
        mode="a",
        bounds=([0] * 3, [50] * 3),
        out_of_bounds="ignore",
    )
    assert (summary.vertex_count, summary.ignored_count) == (401, 1)
    assert summary.bounds == ((0.0,) * 3, (100.0,) * 3)
    with pytest.raises(OutOfBoundsError, match="1 of 2 lie outside"):
        write_points(tmp_path / "a", np.array([[5.0, 5, 5], [500, 5, 5]]), mode="a")
    grown = write_points(tmp_path / "a", np.array([[500.0, 5, 5]]), mode="a", out_of_bounds="expand")
    assert (grown.vertex_count, grown.bounds[1][0]) == (402, 500.0)


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    write_points(tmp_path / "a", cloud(100), bounds=([0] * 3, [100] * 3), **SHAPES)
    landed = []

    def append(seed):
        try:
            write_points(tmp_path / "a", cloud(50, seed), mode="a")
        except StoreLockedError:
            return
        landed.append(seed)

    threads = [threading.Thread(target=append, args=(seed,)) for seed in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert landed
    assert read_points(tmp_path / "a").vertex_count == 100 + 50 * len(landed)


def test_another_writer_is_respected(tmp_path):
    write_points(tmp_path / "a", cloud(100), bounds=([0] * 3, [100] * 3), **SHAPES)
    with lock(resolve_storage(tmp_path / "a", mode="r+"), owner="somebody"):
        with pytest.raises(StoreLockedError, match="somebody"):
            write_points(tmp_path / "a", cloud(10), mode="a")
        with pytest.raises(StoreLockedError, match="somebody"):
            write_points(tmp_path / "a", cloud(10), **SHAPES)
    assert read_points(tmp_path / "a").vertex_count == 100


def test_fragment_attributes_are_not_lost(tmp_path):
    write_points(
        tmp_path / "a", cloud(100), bounds=([0] * 3, [100] * 3), fragment_attributes={"q": np.arange(64)}, **SHAPES
    )
    with pytest.raises(ArgumentError, match=r"fragment attributes \['q'\]"):
        write_points(tmp_path / "a", cloud(10, 1), mode="a")
    write_points(tmp_path / "a", cloud(10, 1), mode="a", fragment_attributes={"q": np.arange(64) * 2})
    assert "q" in open_reader(tmp_path / "a").level(0).arrays.fragment_attributes


@pytest.mark.parametrize("again", [True, False])
def test_the_order_of_the_input_goes_on(tmp_path, again):
    first, second = cloud(200, 1), cloud(100, 2)
    write_points(tmp_path / "a", first, bounds=([0] * 3, [100] * 3), keep_order=True, **SHAPES)
    write_points(tmp_path / "a", second, mode="a", keep_order=again)
    found = read_points(tmp_path / "a", restore_order=True)
    np.testing.assert_array_equal(found.positions, np.concatenate([first, second]).astype("f4"))


def test_values_that_the_store_cannot_hold_are_refused(tmp_path):
    write_points(tmp_path / "a", cloud(5), attributes={"v": np.ones(5, "f4")}, bounds=([0] * 3, [100] * 3), **SHAPES)
    with pytest.raises(ArgumentError, match="'v' is float32 in the store, which cannot hold"):
        write_points(tmp_path / "a", cloud(5), attributes={"v": np.full(5, 1e300)}, mode="a")


def test_categories_grow_behind_those_of_the_store(tmp_path):
    pandas = pytest.importorskip("pandas")
    kinds = pandas.Categorical(["lo", "hi", "lo"], categories=["lo", "mid", "hi"], ordered=True)
    more = {"bounds": ([0] * 3, [100] * 3), **SHAPES}
    write_points(tmp_path / "a", cloud(3), attributes={"k": kinds, "t": ["x", "y", "x"]}, **more)
    write_points(tmp_path / "a", cloud(3), attributes={"k": kinds[::-1], "t": ["z", "y", "y"]}, mode="a")
    spec = open_reader(tmp_path / "a").level(0).attribute("k").spec
    assert (spec.categories, spec.ordered) == (("lo", "mid", "hi"), True)
    assert sorted(read_points(tmp_path / "a").attributes["t"]) == ["x", "x", "y", "y", "y", "z"]
    wrong = pandas.Categorical(["huge"] * 3, ordered=True)
    with pytest.raises(ArgumentError, match="ordered categories"):
        write_points(tmp_path / "a", cloud(3), attributes={"k": wrong, "t": ["z", "y", "y"]}, mode="a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format_version": "0.7"}, "format_version"),
        ({"axes": ["a", "b", "c"]}, "axes"),
        ({"axis_units": "nanometer"}, "axis_units"),
        ({"chunk_by_attribute": "zzz"}, "chunk_by_attribute"),
        ({"chunk_shape": 10.0}, "chunk_shape"),
        ({"bin_shape": 10.0}, "bin_shape"),
    ],
)
def test_what_appending_cannot_change_is_refused(tmp_path, arguments, message):
    write_points(tmp_path / "a", cloud(20), bounds=([0] * 3, [100] * 3), axis_units="micrometer", **SHAPES)
    with pytest.raises(ArgumentError, match=f"{message}.*appending cannot change it"):
        write_points(tmp_path / "a", cloud(5), mode="a", **arguments)
    assert read_points(tmp_path / "a").vertex_count == 20


@pytest.mark.parametrize("sharded", [True, False])
@pytest.mark.parametrize("compressor", [None, "zstd", "auto"])
def test_the_layout_of_the_store_goes_on(tmp_path, sharded, compressor):
    shards = "auto" if sharded else None
    write_points(
        tmp_path / "a", cloud(50), bounds=([0] * 3, [100] * 3), compressor=compressor, shard_shape=shards, **SHAPES
    )
    before = json.loads((tmp_path / "a" / "0" / "vertices" / "zarr.json").read_text())["codecs"]
    write_points(tmp_path / "a", cloud(50, 1), mode="a")
    after = json.loads((tmp_path / "a" / "0" / "vertices" / "zarr.json").read_text())["codecs"]
    assert before == after


def test_unknown_keys_of_the_root_go_on(tmp_path):
    write_points(tmp_path / "a", cloud(50), bounds=([0] * 3, [100] * 3), **SHAPES)
    path = tmp_path / "a" / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["lab"] = {"room": 3}
    document["attributes"]["zarr_vectors"] |= {"reduction_factor": 4, "local_key": "kept"}
    path.write_text(json.dumps(document))
    write_points(tmp_path / "a", cloud(50), mode="a")
    after = json.loads(path.read_text())["attributes"]
    assert after["lab"] == {"room": 3}
    assert (after["zarr_vectors"]["reduction_factor"], after["zarr_vectors"]["local_key"]) == (4, "kept")


def test_a_shell_for_other_geometry_is_refused(tmp_path):
    create_store(str(tmp_path / "a"), geometry_types=["mesh"], links_convention="explicit")
    with pytest.raises(ArgumentError, match="made for mesh"):
        write_points(tmp_path / "a", cloud(10))
