"""Chunking by an attribute: keys, values, boxes, filters, levels, both revisions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.points import read_points, write_points

REVISIONS = ("0.9", "0.7")


def spots(n=900, seed=0):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-30, 70, (n, 3)).astype(np.float32)
    gene = np.array(["Actb", "Gad1", "Snap25"])[rng.integers(0, 3, n)]
    return positions, gene


def as_set(positions, values):
    return {(*map(float, p), str(v)) for p, v in zip(positions, values, strict=True)}


@pytest.mark.parametrize("version", REVISIONS)
@pytest.mark.parametrize("with_objects", [False, True])
def test_values_come_back_though_they_are_not_stored_per_vertex(tmp_path, version, with_objects):
    positions, gene = spots()
    ids = np.arange(900) % 13 if with_objects else None
    write_points(
        tmp_path / "a",
        positions,
        chunk_shape=25.0,
        bin_shape=12.5,
        attributes={"gene": gene, "x": positions[:, 0].copy()},
        object_ids=ids,
        chunk_by_attribute="gene",
        format_version=version,
    )
    assert not (tmp_path / "a" / "0" / "vertex_attributes" / "gene").exists()
    found = read_points(tmp_path / "a")
    assert as_set(found.positions, found.attributes["gene"]) == as_set(positions, gene)
    np.testing.assert_array_equal(found.attributes["x"], found.positions[:, 0])
    box = ([0.0, 0.0, 0.0], [50.0, 33.3, 60.0])
    inside = ((positions >= box[0]) & (positions < np.array(box[1], np.float32))).all(axis=1)
    boxed = read_points(tmp_path / "a", bbox=box)
    assert as_set(boxed.positions, boxed.attributes["gene"]) == as_set(positions[inside], gene[inside])
    if with_objects:
        some = read_points(tmp_path / "a", object_ids=[3, 7])
        wanted = np.isin(ids, [3, 7])
        assert as_set(some.positions, some.attributes["gene"]) == as_set(positions[wanted], gene[wanted])


def test_the_metadata_is_that_of_the_format(tmp_path):
    positions, _ = spots()
    label = np.random.default_rng(1).integers(0, 3, 900)
    write_points(
        tmp_path / "a", positions, chunk_shape=50.0, bin_shape=25.0, attributes={"label": label},
        chunk_by_attribute="label", shard_shape=None,
    )  # fmt: skip
    level = json.loads((tmp_path / "a" / "0" / "zarr.json").read_text())["attributes"]["zarr_vectors_level"]
    assert level["chunk_dims"] == ["label", "x", "y", "z"]
    assert level["chunk_attribute_name"] == "label"
    assert level["chunk_attribute_values"] == [0, 1, 2]
    root = json.loads((tmp_path / "a" / "zarr.json").read_text())["attributes"]["zarr_vectors"]
    assert root["chunk_shape"] == [50.0, 50.0, 50.0]
    vertices = json.loads((tmp_path / "a" / "0" / "vertices" / "zarr.json").read_text())
    assert vertices["shape"] == [3, 3, 3, 3]
    assert vertices["attributes"]["chunk_grid_origin"] == [0, -1, -1, -1]


@pytest.mark.parametrize("version", REVISIONS)
def test_a_filter_reads_only_the_chunks_of_its_values(tmp_path, version):
    positions, gene = spots()
    write_points(
        tmp_path / "a", positions, chunk_shape=50.0, bin_shape=25.0, attributes={"gene": gene},
        chunk_by_attribute="gene", format_version=version, shard_shape=None,
    )  # fmt: skip
    storage = CountingStorage(open_reader(tmp_path / "a").storage)
    reader = open_reader(storage)
    reader.level(0)
    storage.reset()
    found = read_points(reader, attribute_filter={"gene": ["Gad1"]})
    assert set(found.attributes["gene"]) == {"Gad1"}
    assert found.vertex_count == (gene == "Gad1").sum()
    mine = int((reader.level(0).chunks[:, 0] == 1).sum())
    cells = {address for address in storage.addresses("get") if "/vertices/" in address and "zarr.json" not in address}
    assert len(cells) == mine < len(reader.level(0).chunks)


@pytest.mark.parametrize("version", REVISIONS)
def test_levels_never_merge_two_values(tmp_path, version):
    positions, gene = spots()
    write_points(
        tmp_path / "a", positions, chunk_shape=25.0, bin_shape=12.5, attributes={"gene": gene},
        chunk_by_attribute="gene", format_version=version,
    )  # fmt: skip
    build_pyramid(tmp_path / "a", [(2.0, 1.0), (8.0, 1.0)], agg_mode={"n": "count"}, cross_level_storage="explicit")
    for level, width in ((1, 25.0), (2, 100.0)):
        coarse = read_points(tmp_path / "a", level=level)
        bins = np.floor(positions / width).astype(int)
        assert coarse.vertex_count == len(
            np.unique(np.column_stack([bins, np.unique(gene, return_inverse=True)[1]]), axis=0)
        )
        for value in np.unique(gene):
            assert coarse.attributes["n"][coarse.attributes["gene"] == value].sum() == (gene == value).sum()
    migrate(tmp_path / "a", tmp_path / "b", format_version="0.7" if version == "0.9" else "0.9")
    again = read_points(tmp_path / "b", level=1)
    np.testing.assert_array_equal(again.attributes["gene"], read_points(tmp_path / "a", level=1).attributes["gene"])


def test_appending_keeps_the_chunking(tmp_path):
    positions, gene = spots()
    more = {"chunk_shape": 25.0, "bin_shape": 12.5, "chunk_by_attribute": "gene"}
    write_points(tmp_path / "a", positions, attributes={"gene": gene}, **more)
    new = np.full(900, "Vip")
    write_points(tmp_path / "a", positions, attributes={"gene": new}, mode="a")
    reader = open_reader(tmp_path / "a").level(0)
    assert reader.metadata.chunk_attribute_values == ("Actb", "Gad1", "Snap25", "Vip")
    found = read_points(tmp_path / "a")
    assert as_set(found.positions, found.attributes["gene"]) == as_set(positions, gene) | as_set(positions, new)


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "no vertex attribute"), ("rgb", "scalar"), ("gap", "missing"), ("bad", "not finite")],
)
def test_attributes_that_cannot_chunk_are_refused(tmp_path, name, message):
    positions, _ = spots(4)
    attributes = {
        "rgb": np.zeros((4, 3), np.uint8),
        "gap": np.array(["a", None, "b", "a"], object),
        "bad": np.array([1.0, np.nan, 2.0, 3.0]),
    }
    with pytest.raises(ArgumentError, match=message):
        write_points(tmp_path / "a", positions, attributes=attributes, chunk_by_attribute=name)
    assert not (tmp_path / "a").exists()
