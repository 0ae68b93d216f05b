"""Chunking by an attribute: keys, values, boxes, filters, levels, both revisions."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from zarr_vectors import RechunkSpec, rechunk, rechunk_by_attribute
from zarr_vectors.edit import append_vertices
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.chunk_attribute import keyed_column, keyed_metadata
from zarr_vectors.lazy import open_zv
from zarr_vectors.migration import migrate
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.metadata import LevelMetadata
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.chunk_values import chunk_values
from zarr_vectors.read.opening import open_reader
from zarr_vectors.spatial.partition import MAX_BINS, check_bins
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.point_streams import write_points_stream
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
    [
        ("none", "no vertex attribute"),
        (["nan"], "the name of one"),
        ("rgb", "scalar"),
        ("gap", "missing"),
        ("nan", "missing"),
        ("bad", "not finite"),
        ("when", "missing"),
        ("nullable", "missing"),
    ],
)
def test_attributes_that_cannot_chunk_are_refused(tmp_path, name, message):
    positions, _ = spots(4)
    attributes = {
        "rgb": np.zeros((4, 3), np.uint8),
        "gap": np.array(["a", None, "b", "a"], object),
        "nan": np.array([1.0, np.nan, 2.0, 3.0]),
        "bad": np.array([1.0, np.inf, 2.0, 3.0]),
        "when": np.array(["2020-01-01", "NaT", "2020-01-01", "2021-01-01"], "M8[s]"),
        "nullable": pd.array([1, None, 2, 3], "Int64"),
    }
    with pytest.raises(ArgumentError, match=message):
        write_points(tmp_path / "a", positions, attributes=attributes, chunk_by_attribute=name)
    assert not (tmp_path / "a").exists()


def test_many_values_of_few_points_each_are_refused_at_every_door(tmp_path):
    places = np.random.default_rng(0).uniform(0, 100, (4200, 2)).astype(np.float32)
    columns = {"v": np.arange(4200) / 7, "few": np.arange(4200) % 4096}
    message = "has 4200 distinct values for 4200 vertices.*bins="
    with pytest.raises(ArgumentError, match=f"chunk_by_attribute: 'v' {message}"):
        write_points(tmp_path / "a", places, attributes=columns, chunk_by_attribute="v")
    with pytest.raises(ArgumentError, match=f"chunk_by_attribute: 'v' {message}"):
        write_points_stream(tmp_path / "a", [{"positions": places, "attributes": columns}], chunk_by_attribute="v")
    assert not (tmp_path / "a").exists()
    write_points(tmp_path / "b", places, attributes=columns)
    with pytest.raises(ArgumentError, match=f"by='attribute:v': the attribute {message}"):
        rechunk_by_attribute(tmp_path / "b", "v")
    check_bins("v", 4096, 4200)
    check_bins("v", 5000, 50_000)
    with pytest.raises(ArgumentError, match="v has more than"):
        check_bins("v", MAX_BINS + 1, 1 << 40)


@pytest.mark.parametrize("mode", ["mode", "count"])
def test_attribute_that_chunks_go_by_takes_no_mode_of_aggregation(tmp_path, mode):
    positions, gene = spots(60)
    write_points(tmp_path / "a", positions, attributes={"gene": gene}, chunk_by_attribute="gene")
    with pytest.raises(ArgumentError, match="agg_mode: chunks go by 'gene'"):
        build_pyramid(tmp_path / "a", factors=[(2, 1)], agg_mode={"gene": mode})
    build_pyramid(tmp_path / "a", factors=[(2, 1)], agg_mode={"merged": "count"})
    assert set(read_points(tmp_path / "a", level=1).attributes["gene"]) == set(gene)


PLACES = np.random.default_rng(5).uniform(0, 100, (60, 3)).astype(np.float32)
THIRD = np.arange(60) % 3
TYPED = {
    "small": np.array([3, 255, 0], np.uint8)[THIRD],
    "signed": np.array([2**62 + 1, -5, 2**62])[THIRD],
    "large": np.array([2**63 + 1, 5, 2**64 - 1], np.uint64)[THIRD],
    "half": np.array([0.1, 0, 6e4], np.float16)[THIRD],
    "single": np.array([0.1, -0.0, 3e38], np.float32)[THIRD],
    "flag": THIRD > 0,
    "text": np.array(["ä" * 40, "b", "a"])[THIRD],
    "moment": np.array(["2020-01-01", "1999-05-05T01:02:03.123456789", "2030-01-01"], "M8[ns]")[THIRD],
    "day": np.array(["2020-01-01", "1999-05-05", "2030-01-01"], "M8[D]")[THIRD],
    "grade": pd.Categorical.from_codes(THIRD, ["z", "y", "x", "unused"], ordered=True),
}


def by_row(frame):
    return frame.sort_values("row").reset_index(drop=True)[["row", "v"]]


def write_both(folder, name, version, **options):
    """Write a column where chunks go by it, and where it is stored as every other one is."""
    for place, by in (("keyed", "v"), ("plain", None)):
        write_points(
            folder / place, PLACES, attributes={"v": TYPED[name], "row": np.arange(60)}, chunk_by_attribute=by,
            chunk_shape=50, format_version=version, **options,
        )  # fmt: skip
    return folder / "keyed", folder / "plain"


@pytest.mark.parametrize(("name", "version"), list(zip(TYPED, 5 * REVISIONS, strict=True)))
def test_values_are_those_of_an_array_behind_every_door(tmp_path, name, version):
    keyed, plain = write_both(tmp_path, name, version)
    wanted = by_row(read_points(plain).to_pandas())
    other = "0.7" if version == "0.9" else "0.9"
    migrate(keyed, tmp_path / "migrated", format_version=other)
    rechunk(keyed, RechunkSpec("spatial"), tmp_path / "spatial")
    rechunk_by_attribute(plain, "v", output=tmp_path / "rechunked")
    for path in (keyed, tmp_path / "migrated", tmp_path / "spatial", tmp_path / "rechunked"):
        found = read_points(path)
        pd.testing.assert_frame_equal(by_row(found.to_pandas()), wanted)
        assert found.categories == read_points(plain).categories
        with open_zv(path) as dataset:
            pd.testing.assert_frame_equal(by_row(dataset.read().to_pandas()), wanted)
        for value in pd.unique(wanted["v"]):
            some = read_points(path, attribute_filter={"v": value})
            assert sorted(some.attributes["row"].tolist()) == wanted["row"][wanted["v"] == value].tolist()
    write_points(keyed, PLACES[:3], attributes={"v": TYPED[name][:3], "row": np.arange(60, 63)}, mode="a")
    append_vertices(keyed, PLACES[:3], attributes={"v": TYPED[name][:3], "row": np.arange(63, 66)})
    again = by_row(read_points(keyed).to_pandas())
    pd.testing.assert_frame_equal(again[:60], wanted)
    for first in (60, 63):
        pd.testing.assert_frame_equal(again[["v"]][first : first + 3].reset_index(drop=True), wanted[["v"]][:3])
    build_pyramid(keyed, [(2.0, 1.0)])
    coarse = read_points(keyed, level=1).to_pandas()["v"]
    assert coarse.dtype == wanted["v"].dtype
    assert set(coarse) == set(wanted["v"])
    batches = [{"positions": PLACES[a : a + 20], "attributes": {"v": TYPED[name][a : a + 20]}} for a in (0, 20, 40)]
    write_points_stream(tmp_path / "stream", batches, chunk_by_attribute="v", chunk_shape=50, format_version=version)
    streamed = read_points(tmp_path / "stream").to_pandas()["v"]
    assert streamed.dtype == wanted["v"].dtype
    assert streamed.value_counts().to_dict() == wanted["v"].value_counts().to_dict()


def test_a_short_decimal_finds_the_numbers_of_a_narrow_float(tmp_path):
    for path in write_both(tmp_path, "single", "0.9"):
        assert read_points(path, attribute_filter={"v": 0.1}).vertex_count == 20
        assert read_points(path, attribute_filter={"v": (0.1, 1)}).vertex_count == 20
    level = json.loads((tmp_path / "keyed" / "0" / "zarr.json").read_text())["attributes"]["zarr_vectors_level"]
    assert level["chunk_attribute_values"] == [-0.0, 0.1, 3e38]


def test_every_half_is_kept_by_its_decimal():
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    made = keyed_metadata("v", Column(halves, AttributeSpec(dtype="float16")))
    found = keyed_column(LevelMetadata(0, **json.loads(json.dumps(made))), None, "level 0")
    assert found.values.view(np.uint16).tolist() == halves.view(np.uint16).tolist()


@pytest.mark.parametrize("version", REVISIONS)
def test_levels_that_list_plain_values_only_are_read(tmp_path, version):
    """As earlier versions and the reference write them."""
    for name, dtype in (("small", np.int64), ("large", np.uint64), ("text", np.str_)):
        keyed, plain = write_both(tmp_path, name, version)
        _forget(keyed)
        found = read_points(keyed)
        assert found.attributes["v"].dtype.type is dtype
        assert found.attributes["v"].tolist() == TYPED[name][found.attributes["row"]].tolist()
        rechunk_by_attribute(plain, "v")
        _forget(plain)
        assert read_points(plain, attribute_filter={"v": TYPED[name][0]}).vertex_count == 20


def _forget(path):
    document = json.loads((path / "0" / "zarr.json").read_text())
    document["attributes"]["zarr_vectors_level"].pop("chunk_attribute", None)
    (path / "0" / "zarr.json").write_text(json.dumps(document))


def test_what_is_said_of_the_attribute_is_kept(tmp_path):
    keyed, plain = write_both(
        tmp_path, "small", "0.9", attribute_specs={"v": {"unit": "count", "description": "how many"}}
    )
    specs = [open_reader(path).level(0) for path in (keyed, plain)]
    assert chunk_values(specs[0], np.zeros(1, int)).spec == specs[1].attribute("v").spec


def test_new_values_go_to_their_bins_in_their_own_type(tmp_path):
    keyed, _ = write_both(tmp_path, "large", "0.9")
    with pytest.raises(ArgumentError, match=f"has no value {2**64 - 2}"):
        append_vertices(keyed, PLACES[:1], attributes={"v": np.array([2**64 - 2], np.uint64), "row": [60]})
    append_vertices(keyed, PLACES[:1], attributes={"v": np.array([2**64 - 1], np.uint64), "row": [60]})
    assert read_points(keyed, attribute_filter={"v": 2**64 - 1}).vertex_count == 21


@pytest.mark.parametrize("batches", [False, True])
def test_default_chunks_of_space_are_fewer_the_more_values_there_are(tmp_path, batches):
    positions = np.random.default_rng(0).uniform(0, 1000, (200_000, 3)).astype(np.float32)
    gene = np.arange(200_000) % 40
    given = {"positions": positions, "attributes": {"gene": gene}}
    if batches:
        made = write_points_stream(tmp_path / "a", [given], chunk_by_attribute="gene")
    else:
        made = write_points(tmp_path / "a", positions, attributes=given["attributes"], chunk_by_attribute="gene")
    assert made.chunk_count == 40
    assert made.chunk_count < 40 * write_points(tmp_path / "b", positions).chunk_count
