"""Whatever a store holds, it holds the same after rechunking, in chunks that are as was asked."""

from __future__ import annotations

import numpy as np
import pytest

from zarr_vectors import RechunkSpec, rebin_store, rechunk, rechunk_by_attribute
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines
from zarr_vectors.validate import validate

from .stores import MAKERS, assert_same, contents, make

BOTH = pytest.mark.parametrize("version", ["0.9", "0.7"])


def problems(path):
    """Return what validation finds, but that shared metavertices do not shrink, which the sources have too."""
    return [str(e) for e in validate(path, level=5).errors if "counts-shrink" not in str(e)]


@pytest.mark.parametrize(
    ("kind", "version"),
    [*((kind, "0.9") for kind in MAKERS), *((kind, "0.7") for kind in ("points", "polylines", "graph", "skeleton"))],
)
def test_a_store_in_other_chunks_of_space_is_the_same(tmp_path, kind, version):
    pyramid = kind not in ("directed", "duplicated", "both", "identity")
    source = make(kind, tmp_path / "a", version, pyramid=pyramid)
    before = contents(source)
    shape = (45.0, 20.0, 15.0)
    summary = rechunk(source, RechunkSpec("spatial", spatial_chunk_shape=shape), tmp_path / "b", memory_budget=30_000)
    assert_same(before, contents(tmp_path / "b"))
    store = open_reader(tmp_path / "b")
    assert store.root.chunk_shape == shape
    assert store.revision.name == version
    assert summary["bins_created"] == 1
    assert summary["levels"] == ([0, 1, 2] if pyramid else [0])
    assert summary["output_path"] == str(tmp_path / "b")
    assert problems(tmp_path / "b") == []
    assert_same(before, contents(source))


@pytest.mark.parametrize(
    ("kind", "version"),
    [("point objects", "0.9"), ("polylines", "0.7"), ("deduplicated", "0.9"), ("skeleton", "0.9"), ("graph", "0.7")],
)
def test_chunks_by_object_id_and_back(tmp_path, kind, version):
    source = make(kind, tmp_path / "a", version, seed=3, pyramid=kind != "graph")
    before = contents(source)
    count = len(before[0]["ids"])
    summary = rechunk(source, RechunkSpec("object_id", bins=[0, 3, 9]), tmp_path / "b")
    assert_same(before, contents(tmp_path / "b"))
    level = open_reader(tmp_path / "b").level(0)
    assert level.metadata.chunk_dims == ("object_id", "x", "y", "z")
    assert level.chunks.shape[1] == 4
    assert summary["objects_rechunked"] == count
    assert summary["bins_created"] == len(np.unique(level.chunks[:, 0]))
    assert problems(tmp_path / "b") == []
    rechunk(tmp_path / "b", RechunkSpec("spatial"))
    assert_same(before, contents(tmp_path / "b"))
    assert open_reader(tmp_path / "b").level(0).chunks.shape[1] == 3
    assert problems(tmp_path / "b") == []


@BOTH
def test_chunks_by_the_label_of_objects_hold_one_label_each(tmp_path, version):
    source = make("polylines", tmp_path / "a", version)
    before = contents(source)
    summary = rechunk_by_attribute(source, "label", output=tmp_path / "b", spatial_chunk_shape=(60.0, 60.0, 60.0))
    assert summary["bins"] == ["a", "b", "c"]
    assert summary["rechunk_dims"] == ["label", "x", "y", "z"]
    assert_same(before, contents(tmp_path / "b"))
    level = open_reader(tmp_path / "b").level(0)
    assert level.metadata.chunk_attribute_name == "label"
    assert level.metadata.chunk_attribute_values == ("a", "b", "c")
    for code, label in enumerate("abc"):
        chunks = level.chunks[level.chunks[:, 0] == code]
        inside = read_polylines(tmp_path / "b", chunks=chunks)
        assert set(inside.object_attributes["label"]) == {label}
    assert problems(tmp_path / "b") == []


@BOTH
@pytest.mark.parametrize(
    ("by", "exact", "bins"), [("label", True, ["p", "q", "rr"]), ("few", True, [0, 1, 2, 3]), ("x", False, None)]
)
def test_chunks_by_an_attribute_of_vertices(tmp_path, version, by, exact, bins):
    source = make("points", tmp_path / "a", version)
    before = contents(source)
    summary = rechunk(source, RechunkSpec(f"attribute:{by}", prefix_dim_name="kind"), tmp_path / "b")
    assert_same(before, contents(tmp_path / "b"))
    level = open_reader(tmp_path / "b").level(0)
    assert level.metadata.chunk_attribute_name == (by if exact else None)
    assert level.metadata.chunk_dims == ("kind", "x", "y", "z")
    assert summary["bins_created"] == 4 if bins is None else summary["bins"] == bins
    assert problems(tmp_path / "b") == []


@BOTH
def test_an_attribute_that_stood_in_chunk_keys_is_stored_again(tmp_path, version):
    make("points", tmp_path / "a", version, pyramid=False)
    before = contents(tmp_path / "a")
    whole = read_points(tmp_path / "a")
    columns = {"few": whole.attributes["few"], "x": whole.attributes["x"]}
    more = {"chunk_by_attribute": "few", "format_version": version, "dtype": np.float64}
    write_points(tmp_path / "b", whole.positions, attributes=columns, chunk_shape=40.0, **more)
    rechunk(tmp_path / "b", RechunkSpec("spatial"))
    level = open_reader(tmp_path / "b").level(0)
    assert set(level.arrays.vertex_attributes) == {"few", "x"}
    after = contents(tmp_path / "b")[0]
    for name in ("positions", "at few", "at x"):
        np.testing.assert_array_equal(after[name], before[0][name])


@BOTH
def test_groups_overlapping_ones_and_objects_in_none(tmp_path, version):
    source = make("polylines", tmp_path / "a", version)
    before = contents(source)
    summary = rechunk(source, RechunkSpec("group"), tmp_path / "b")
    assert summary["bins"] == ["one", "two"]
    assert summary["bins_created"] == 3
    assert summary["overlapping_objects"] == 1
    assert_same(before, contents(tmp_path / "b"))
    level = open_reader(tmp_path / "b").level(0)
    found = [
        set(read_polylines(tmp_path / "b", chunks=level.chunks[level.chunks[:, 0] == b]).object_ids) for b in range(3)
    ]
    assert found == [{1, 3, 5}, {7}, {9, 11, 13, 15, 17}]
    assert problems(tmp_path / "b") == []


@BOTH
def test_rebinning_keeps_the_rest(tmp_path, version):
    source = make("points", tmp_path / "a", version)
    before = contents(source)
    rebin_store(source, 5.0)
    store = open_reader(source)
    assert store.root.base_bin_shape == (5.0, 5.0, 5.0)
    assert store.root.chunk_shape == (40.0, 40.0, 40.0)
    assert store.root.entry(1).bin_ratio == (4.0, 4.0, 4.0)
    assert_same(before, contents(source))
    assert problems(source) == []
    rechunk(source, RechunkSpec("attribute:few"))
    summary = rebin_store(source, 20.0, tmp_path / "b", chunk_shape=80.0)
    store = open_reader(tmp_path / "b")
    assert (store.root.chunk_shape, store.root.base_bin_shape) == ((80.0,) * 3, (20.0,) * 3)
    assert store.level(0).metadata.chunk_dims == ("few", "x", "y", "z")
    assert summary["bin_shape"] == [20.0, 20.0, 20.0]
    assert_same(before, contents(tmp_path / "b"))
    assert problems(tmp_path / "b") == []


@BOTH
def test_stores_without_vertices_or_with_one(tmp_path, version):
    for count in (0, 1):
        path = tmp_path / f"{count}"
        write_points(path, np.zeros((count, 2)), chunk_shape=5.0, bounds=([0, 0], [9, 9]), format_version=version)
        before = contents(path)
        summary = rechunk(path, RechunkSpec("spatial", spatial_chunk_shape=2.5))
        assert summary["total_vertices"] == count
        assert_same(before, contents(path))


def test_meshes_in_draco_blobs_keep_their_values(tmp_path):
    pytest.importorskip("DracoPy")
    rng = np.random.default_rng(0)
    faces = (rng.integers(0, 60, 50)[:, None] + [0, 1, 2]) % 60
    write_mesh(tmp_path / "a", rng.uniform(0, 90, (60, 3)).astype(np.float32), faces, chunk_shape=60.0, use_draco=True)
    before = contents(tmp_path / "a")
    rechunk(tmp_path / "a", RechunkSpec("spatial", spatial_chunk_shape=30.0))
    assert_same(before, contents(tmp_path / "a"))
    assert problems(tmp_path / "a") == []
