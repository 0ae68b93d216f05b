"""Pyramids of points: centroids, aggregation, objects, links, refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_vectors.exceptions import ArgumentError, StoreExistsError, UnknownNameError
from zarr_vectors.multiresolution.coarsen import build_pyramid, coarsen_level
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import FailingStorage, SimulatedCrashError
from zarr_vectors.types.points import read_points, write_points

REVISIONS = ("0.9", "0.7")
BIN = 12.5


def cloud(n=4000, seed=0, low=-50.0, high=150.0, ndim=3):
    return np.random.default_rng(seed).uniform(low, high, (n, ndim)).astype(np.float32)


def write_cloud(path, positions, version="0.9", **more):
    write_points(path, positions, chunk_shape=50.0, bin_shape=BIN, format_version=version, **more)


def centroids_by_hand(positions, width, owner=None):
    """Group by coarse bin with plain Python, as an oracle."""
    cells: dict[tuple, list[int]] = {}
    for row, position in enumerate(positions):
        bins = tuple(math.floor(float(x) / w) for x, w in zip(position, width, strict=True))
        cells.setdefault((*bins, None if owner is None else owner[row]), []).append(row)
    return {key: (positions[rows].astype(np.float64).mean(axis=0), rows) for key, rows in cells.items()}


def sorted_rows(array):
    return array[np.lexsort(array.T[::-1])]


@pytest.mark.parametrize("version", REVISIONS)
def test_metavertices_are_the_centroids_of_their_bins(tmp_path, version):
    positions = cloud()
    write_cloud(tmp_path / "a", positions, version)
    build_pyramid(tmp_path / "a", [(2.0, 1.0), (8.0, 1.0)])
    for level, fold in ((1, 2), (2, 8)):
        expected = centroids_by_hand(positions, [BIN * fold] * 3)
        found = read_points(tmp_path / "a", level=level)
        assert found.level == level
        assert found.vertex_count == len(expected)
        wanted = np.array([mean for mean, _ in expected.values()])
        np.testing.assert_allclose(sorted_rows(found.positions), sorted_rows(wanted.astype(np.float32)), rtol=1e-5)


def test_folds_are_relative_to_level_zero_not_to_each_other(tmp_path):
    write_cloud(tmp_path / "a", cloud())
    summary = build_pyramid(tmp_path / "a", factors=[(2.0, 1.0), (4.0, 1.0)])
    assert [level.bin_ratio for level in summary.levels] == [(2, 2, 2), (4, 4, 4)]
    assert [level.bin_shape for level in summary.levels] == [(25.0,) * 3, (50.0,) * 3]


@pytest.mark.parametrize("version", REVISIONS)
def test_every_attribute_is_aggregated_by_its_mode(tmp_path, version):
    rng = np.random.default_rng(3)
    positions = cloud(3000)
    values = {
        "mean": rng.normal(size=3000).astype(np.float32),
        "sum": rng.integers(0, 255, 3000).astype(np.uint8),
        "min": rng.integers(-100, 100, 3000).astype(np.int8),
        "max": rng.normal(size=(3000, 2)),
        "mode": rng.integers(0, 4, 3000).astype(np.int32),
        "label": np.array(["axon", "dendrite", "soma"])[rng.integers(0, 3, 3000)],
        "flag": rng.random(3000) < 0.5,
        "when": np.datetime64("2024-03-01T00:00", "ns") + rng.integers(0, 10**15, 3000),
    }
    write_cloud(tmp_path / "a", positions, version, attributes=values)
    modes = {"mean": "mean", "sum": "sum", "min": "min", "max": "max", "mode": "mode", "when": "mean", "n": "count"}
    build_pyramid(tmp_path / "a", [(4.0, 1.0)], agg_mode=modes)
    found = read_points(tmp_path / "a", level=1)
    groups = centroids_by_hand(positions, [50.0] * 3)
    for position, row in zip(found.positions, range(found.vertex_count), strict=True):
        members = next(rows for mean, rows in groups.values() if np.allclose(mean, position, atol=1e-3))
        got = {name: column[row] for name, column in found.attributes.items()}
        assert got["n"] == len(members)
        assert got["sum"] == values["sum"][members].astype(int).sum()
        assert got["min"] == values["min"][members].min()
        np.testing.assert_array_equal(got["max"], values["max"][members].max(axis=0))
        assert got["mean"] == pytest.approx(values["mean"][members].astype(float).mean(), abs=1e-5)
        for name in ("mode", "label", "flag"):
            unique, counts = np.unique(values[name][members], return_counts=True)
            assert counts[unique == got[name]] == counts.max()
        exact = values["when"][members].view(np.int64).astype(object)
        assert abs(int(got["when"].view(np.int64)) - sum(map(int, exact)) / len(exact)) <= 1


def test_one_mode_for_all_leaves_categories_at_their_most_frequent(tmp_path):
    positions = cloud(500)
    label = np.array(["a", "b"])[np.random.default_rng(0).integers(0, 2, 500)]
    write_cloud(tmp_path / "a", positions, attributes={"x": positions[:, 0].copy(), "label": label})
    build_pyramid(tmp_path / "a", [(8.0, 1.0)], agg_mode="mean")
    found = read_points(tmp_path / "a", level=1)
    np.testing.assert_allclose(found.attributes["x"], found.positions[:, 0], rtol=1e-5, atol=1e-4)
    assert set(found.attributes["label"]) <= {"a", "b"}
    build_pyramid(tmp_path / "a", [(8.0, 1.0)], agg_mode="count", overwrite=True)
    assert read_points(tmp_path / "a", level=1).attributes["x"].sum() == 500


@pytest.mark.parametrize("version", REVISIONS)
def test_objects_stay_apart_and_keep_ids_attributes_and_groups(tmp_path, version):
    positions = cloud(3000)
    ids = np.random.default_rng(1).integers(0, 20, 3000) * 7 - 3
    weight = np.arange(20.0)
    write_cloud(
        tmp_path / "a",
        positions,
        version,
        object_ids=ids,
        object_attributes={"weight": weight},
        groups={"left": [-3, 4]},
    )
    build_pyramid(tmp_path / "a", [((4, 4, 2), 1.0), (8.0, 4.0)], sparsity_strategy="attribute:weight")
    expected = centroids_by_hand(positions, [50.0, 50.0, 25.0], ids)
    found = read_points(tmp_path / "a", level=1)
    assert found.vertex_count == len(expected)
    for object_id in np.unique(ids):
        wanted = np.array([mean for key, (mean, _) in expected.items() if key[3] == object_id], np.float32)
        mine = read_points(tmp_path / "a", level=1, object_ids=[object_id])
        np.testing.assert_allclose(sorted_rows(mine.positions), sorted_rows(wanted), rtol=1e-5, atol=1e-4)
    in_group = read_points(tmp_path / "a", level=1, group_ids="left")
    assert set(in_group.object_ids) == {-3, 4}
    coarse = read_points(tmp_path / "a", level=2)
    heaviest = np.unique(ids)[np.argsort(-weight)][:5]
    assert set(coarse.object_ids) == set(heaviest)  # exactly round(20 / 4)
    assert read_points(tmp_path / "a", level=2, object_ids=[-3]).vertex_count == 0


@pytest.mark.parametrize("strategy", ["random", "spatial_coverage", "size", "attribute:weight"])
def test_strategies_keep_exactly_the_rounded_number_and_nest(tmp_path, strategy):
    positions = cloud(2000)
    ids = np.arange(2000) % 30
    write_cloud(tmp_path / "a", positions, object_ids=ids, object_attributes={"weight": np.arange(30.0)})
    build_pyramid(tmp_path / "a", [(2.0, 2.0), (4.0, 4.5), (8.0, 7.0)], sparsity_strategy=strategy, sparsity_seed=5)
    kept = [set(read_points(tmp_path / "a", level=level).object_ids) for level in (1, 2, 3)]
    assert [len(objects) for objects in kept] == [round(30 / 2), round(30 / 4.5), round(30 / 7)]
    assert kept[2] <= kept[1] <= kept[0]


def test_the_same_seed_keeps_the_same_objects(tmp_path):
    write_cloud(tmp_path / "a", cloud(1000), object_ids=np.arange(1000) % 50)
    kept = []
    for _ in range(2):
        build_pyramid(tmp_path / "a", [(2.0, 5.0)], sparsity_seed=11, overwrite=True)
        kept.append(set(read_points(tmp_path / "a", level=1).object_ids))
    assert kept[0] == kept[1]


def test_spatial_coverage_reaches_every_corner(tmp_path):
    rng = np.random.default_rng(0)
    centers = np.array([[x, y, z] for x in (0, 90) for y in (0, 90) for z in (0, 90)], float)
    ids = np.repeat(np.arange(80), 10)
    positions = centers[ids % 8] + rng.uniform(0, 10, (800, 3))
    write_cloud(tmp_path / "a", positions, object_ids=ids)
    build_pyramid(tmp_path / "a", [(2.0, 10.0)], sparsity_strategy="spatial_coverage")
    kept = read_points(tmp_path / "a", level=1).positions
    assert len({tuple(corner) for corner in (kept > 45).tolist()}) == 8


@pytest.mark.parametrize("version", REVISIONS)
@pytest.mark.parametrize("storage", ["implicit", "explicit"])
@pytest.mark.parametrize("with_objects", [False, True])
def test_links_across_levels_resolve_up_and_down(tmp_path, version, storage, with_objects):
    positions = cloud(3000)
    more = {"object_ids": np.arange(3000) % 9} if with_objects else {}
    write_cloud(tmp_path / "a", positions, version, **more)
    folds = [(2.0, 1.0), (8.0, 1.5 if with_objects else 1.0)]
    build_pyramid(tmp_path / "a", folds, cross_level_storage=storage, cross_level_depth=2, agg_mode={"n": "count"})
    levels = [read_points(tmp_path / "a", level=level) for level in range(3)]
    for fine, coarse in ((0, 1), (1, 2), (0, 2)):
        up = read_cross_level_links(tmp_path / "a", fine, coarse - fine)
        down = read_cross_level_links(tmp_path / "a", coarse, fine - coarse)
        np.testing.assert_array_equal(sorted_rows(up), sorted_rows(down[:, ::-1]))
        assert len(np.unique(up[:, 0])) == len(up)  # a vertex joins one metavertex
        width = 12.5 * (2 if coarse == 1 else 8)
        apart = np.abs(levels[fine].positions[up[:, 0]] - levels[coarse].positions[up[:, 1]])
        assert apart.max() < width
        if with_objects:
            np.testing.assert_array_equal(levels[fine].object_ids[up[:, 0]], levels[coarse].object_ids[up[:, 1]])
        if fine == 0:
            np.testing.assert_array_equal(
                np.bincount(up[:, 1], minlength=levels[coarse].vertex_count), levels[coarse].attributes["n"]
            )
    stored_down = (tmp_path / "a" / "1" / "links" / "-1").exists() or (
        tmp_path / "a" / "1" / "cross_chunk_links" / "-1"
    ).exists()
    assert stored_down == (storage == "explicit")


def test_without_stored_links_asking_for_them_says_how_to_get_them(tmp_path):
    write_cloud(tmp_path / "a", cloud(200))
    build_pyramid(tmp_path / "a", [(2.0, 1.0)])
    with pytest.raises(UnknownNameError, match="cross_level_storage"):
        read_cross_level_links(tmp_path / "a", 0, 1)


def test_chunks_grow_to_the_smallest_shape_that_bins_divide(tmp_path):
    write_cloud(tmp_path / "a", cloud())  # four bins a chunk
    summary = build_pyramid(tmp_path / "a", [(2.0, 1.0), ((3, 4, 8), 1.0)])
    assert summary.levels[0].chunk_shape == (50.0, 50.0, 50.0)
    assert summary.levels[1].chunk_shape == (150.0, 50.0, 100.0)
    with pytest.raises(ArgumentError, match="multiples of 3"):
        build_pyramid(tmp_path / "a", [((3, 4, 8), 1.0)], chunk_scale_factors=[2], overwrite=True)
    grown = build_pyramid(tmp_path / "a", [(2.0, 1.0)], chunk_scale_factors=[(2, 2, 2)], overwrite=True)
    assert grown.levels[0].chunk_shape == (100.0, 100.0, 100.0)


@pytest.mark.parametrize("version", REVISIONS)
def test_boxes_are_exact_at_every_level(tmp_path, version):
    positions = cloud()
    write_cloud(tmp_path / "a", positions, version, attributes={"x": positions[:, 0].copy()})
    build_pyramid(tmp_path / "a", [(2.0, 1.0), ((3, 4, 8), 1.0)])
    box = (np.array([-20.0, 0.0, 13.5]), np.array([75.0, 50.0, 120.0]))
    for level in range(3):
        everything = read_points(tmp_path / "a", level=level)
        inside = ((everything.positions >= box[0]) & (everything.positions < box[1])).all(axis=1)
        found = read_points(tmp_path / "a", level=level, bbox=box)
        np.testing.assert_array_equal(found.positions, everything.positions[inside])
        np.testing.assert_array_equal(found.attributes["x"], everything.attributes["x"][inside])


def test_existing_levels_are_refused_then_replaced(tmp_path):
    write_cloud(tmp_path / "a", cloud())
    build_pyramid(tmp_path / "a", [(2.0, 1.0), (4.0, 1.0)], cross_level_storage="explicit")
    before = snapshot(tmp_path / "a")
    with pytest.raises(StoreExistsError, match="overwrite=True"):
        build_pyramid(tmp_path / "a", [(4.0, 1.0)])
    assert snapshot(tmp_path / "a") == before
    build_pyramid(tmp_path / "a", [(4.0, 1.0)], overwrite=True, cross_level_storage="none")
    assert not (tmp_path / "a" / "2").exists()
    assert not (tmp_path / "a" / "0" / "links" / "+1").exists()
    with pytest.raises(UnknownNameError, match=r"no level 2"):
        read_points(tmp_path / "a", level=2)


def test_the_store_says_how_links_are_stored_and_the_next_build_follows(tmp_path):
    write_cloud(tmp_path / "a", cloud(500))
    build_pyramid(tmp_path / "a", [(2.0, 1.0)], cross_level_storage="implicit")
    root = json.loads((tmp_path / "a" / "zarr.json").read_text())["attributes"]["zarr_vectors"]
    assert (root["cross_level_storage"], root["cross_level_depth"]) == ("implicit", 1)
    assert "multiscale_links" in root["format_capabilities"]
    build_pyramid(tmp_path / "a", [(2.0, 1.0)], overwrite=True)
    assert len(read_cross_level_links(tmp_path / "a", 0, 1)) == 500


def test_coarsen_level_makes_one_level_relative_to_its_source(tmp_path):
    positions = cloud()
    write_cloud(tmp_path / "a", positions)
    build_pyramid(tmp_path / "a", [(2.0, 1.0)])
    made = coarsen_level(tmp_path / "a", 1, 2, coarsen_factor=2.0, agg_mode={"n": "count"})
    assert made.bin_ratio == (4, 4, 4)
    level = read_points(tmp_path / "a", level=2)
    assert level.attributes["n"].sum() == len(positions)
    with pytest.raises(ArgumentError, match="without gaps"):
        coarsen_level(tmp_path / "a", 0, 7)
    with pytest.raises(ArgumentError, match="above source_level"):
        coarsen_level(tmp_path / "a", 1, 1)
    with pytest.raises(StoreExistsError):
        coarsen_level(tmp_path / "a", 0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factors": []}, "factors"),
        ({"factors": [2.0]}, "bin fold, object fold"),
        ({"factors": [(2.5, 1.0)]}, "whole numbers"),
        ({"factors": [(0, 1.0)]}, "whole numbers"),
        ({"factors": [(2.0, 0.5)]}, "at least 1"),
        ({"factors": [((2, 2), 1.0)]}, "3 numbers"),
        ({"factors": [(4.0, 1.0), (2.0, 1.0)]}, "must not shrink"),
        ({"factors": [(2.0, 2.0)]}, "no objects"),
        ({"factors": [(2.0, 1.0)], "agg_mode": "median"}, "agg_mode"),
        ({"factors": [(2.0, 1.0)], "agg_mode": {"nothing": "mean"}}, "no attribute 'nothing'"),
        ({"factors": [(2.0, 1.0)], "agg_mode": {"label": "mean"}}, "categories"),
        ({"factors": [(2.0, 1.0)], "cross_level_storage": "some"}, "cross_level_storage"),
        ({"factors": [(2.0, 1.0)], "cross_level_depth": -2}, "cross_level_depth"),
        ({"factors": [(2.0, 1.0)], "sparsity_strategy": "best"}, "sparsity_strategy"),
        ({"factors": [(2.0, 1.0)], "chunk_scale_factors": [1, 2]}, "chunk_scale_factors"),
    ],
)
def test_bad_arguments_are_refused_and_leave_the_store_alone(tmp_path, arguments, message):
    label = np.array(["a", "b"])[np.arange(300) % 2]
    write_cloud(tmp_path / "a", cloud(300), attributes={"label": label})
    before = snapshot(tmp_path / "a")
    with pytest.raises(ArgumentError, match=message):
        build_pyramid(tmp_path / "a", **arguments)
    assert snapshot(tmp_path / "a") == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_build_that_fails_anywhere_leaves_old_or_new(tmp_path):
    write_cloud(tmp_path / "a", cloud(300), "0.9")
    before = read_points(tmp_path / "a")
    operations = 0
    for fail_at in range(1, 200):
        storage = FailingStorage(resolve_storage(tmp_path / "a", mode="r+"), fail_at=fail_at)
        try:
            build_pyramid(storage, [(2.0, 1.0)], cross_level_storage="explicit", overwrite=True)
        except SimulatedCrashError:
            operations += 1
        else:
            break
        for lock in (tmp_path / "a").glob(".zv-lock*"):  # a crashed process leaves its lock until it expires
            __import__("shutil").rmtree(lock) if lock.is_dir() else lock.unlink()
        np.testing.assert_array_equal(read_points(tmp_path / "a").positions, before.positions)
        try:
            coarse = read_points(tmp_path / "a", level=1)
        except UnknownNameError:
            continue
        assert len(read_cross_level_links(tmp_path / "a", 0, 1)) == 300
        assert coarse.vertex_count > 0
    assert operations > 5
    assert read_points(tmp_path / "a", level=1).vertex_count > 0


def test_the_multiscales_block_lists_every_level(tmp_path):
    write_cloud(tmp_path / "a", cloud(500), axis_units="micrometer")
    build_pyramid(tmp_path / "a", [(2.0, 1.0), ((4, 4, 2), 1.0)])
    block = json.loads((tmp_path / "a" / "zarr.json").read_text())["attributes"]["multiscales"][0]
    assert block["axes"][0] == {"name": "x", "type": "space", "unit": "micrometer"}
    assert [entry["path"] for entry in block["datasets"]] == ["0", "1", "2"]
    last = block["datasets"][2]
    assert last["bin_ratio"] == [4, 4, 2]
    assert last["bin_shape"] == [50.0, 50.0, 25.0]
    assert last["coordinateTransformations"] == [
        {"type": "scale", "scale": [4.0, 4.0, 2.0]},
        {"type": "translation", "translation": [25.0, 25.0, 12.5]},
    ]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_counts_add_up_in_any_grid_and_dimension(tmp_path_factory, data):
    ndim = data.draw(st.integers(1, 4))
    positions = data.draw(
        st.lists(st.lists(st.floats(-40, 40, width=32), min_size=ndim, max_size=ndim), min_size=1, max_size=60)
    )
    array = np.array(positions, np.float32)
    bins = data.draw(st.integers(1, 4))
    fold = data.draw(st.tuples(*[st.integers(1, 5)] * ndim))
    width = data.draw(st.sampled_from([0.1, 0.3, 2.0, 7.5]))
    path = tmp_path_factory.mktemp("pyramid") / "a"
    write_points(path, array, chunk_shape=[width * bins] * ndim, bin_shape=[width] * ndim)
    build_pyramid(path, [(fold, 1.0)], agg_mode={"n": "count"})
    found = read_points(path, level=1)
    bins_of = np.floor(array.astype(np.float64) / width).astype(np.int64) // np.array(fold)
    assert found.vertex_count == len(np.unique(bins_of, axis=0))
    assert found.attributes["n"].sum() == len(array)
    total = (found.positions.astype(np.float64) * found.attributes["n"][:, None]).sum(axis=0)
    np.testing.assert_allclose(total, array.astype(np.float64).sum(axis=0), rtol=1e-4, atol=1e-2)


def test_an_empty_cloud_has_an_empty_pyramid(tmp_path):
    write_points(tmp_path / "a", np.zeros((0, 3)), chunk_shape=10.0, bin_shape=5.0)
    build_pyramid(tmp_path / "a", [(2.0, 1.0)])
    assert read_points(tmp_path / "a", level=1).vertex_count == 0
