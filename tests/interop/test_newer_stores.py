"""Stores of newer writers are read as they are meant, or refused by a message that names what is not known."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.core import every_kind
from tests.interop.newer import edit_document, make_deferred, make_dense, say
from tests.points.clouds import REVISIONS, tree
from zarr_vectors import open_store
from zarr_vectors.edit import add_attribute, delete_objects
from zarr_vectors.exceptions import ArrayError, MetadataError, UnsupportedFeatureError
from zarr_vectors.lazy import open_zv
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.objects import read_manifests
from zarr_vectors.repair import repair
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.graphs import read_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import write_polylines
from zarr_vectors.validate import validate


def same(found: Any, expected: Any) -> None:
    """Compare results field by field."""
    assert type(found) is type(expected)
    for field in dataclasses.fields(expected):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(other, dict):
            assert one.keys() == other.keys(), field.name
            assert all(np.array_equal(one[key], other[key]) for key in other), field.name
        else:
            assert np.array_equal(one, other), field.name


def _links(store: Path) -> str:
    return next(
        str(p.parent.relative_to(store)) for p in sorted((store / "0/links").rglob("zarr.json")) if "+" in str(p)
    )


ROOT_TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "required capability": ({"required_capabilities": ["fragment_index", "octree_chunks"]}, "'octree_chunks'"),
    "layout of manifests": ({"manifest_layout": "columnar"}, "manifest_layout is 'columnar'"),
    "version 1.0": ({"zv_version": "1.0.0"}, r"zv_version is '1\.0\.0'"),
    "version 0.11": ({"zv_version": "0.11.2"}, r"zv_version is '0\.11\.2'"),
    "version 0.8": ({"zv_version": "0.8.0"}, r"zv_version is '0\.8\.0'"),
    "metadata of the convention": ({"kind": "root", "zv_version": "0.10.0"}, "kind 'root'"),
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("newer")
    for revision in REVISIONS:
        every_kind.points(folder / f"points-{revision}.zv", format_version=revision)
        every_kind.graph(folder / f"graph-{revision}.zv", format_version=revision)
    return folder


@pytest.fixture
def copy(templates: Path, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(templates / f"{name}.zv", tmp_path / f"{name}.zv"))


@pytest.mark.parametrize("case", ROOT_TOKENS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_what_a_root_asks_for_and_is_not_known_is_refused_by_name(
    copy: Callable[[str], Path], revision: str, case: str
) -> None:
    store = copy(f"points-{revision}")
    values, message = ROOT_TOKENS[case]
    say(store, "", **values)
    before = tree(store)
    doors: list[Callable[[], Any]] = [
        lambda: read_points(store),
        lambda: open_zv(store),
        lambda: write_points(store, np.zeros((1, 3)), mode="a"),
        lambda: migrate(store, store.parent / "t.zv", format_version="0.9"),
    ]
    for door in doors:
        with pytest.raises(UnsupportedFeatureError, match=message):
            door()
    assert re.search(message, validate(store, level=2).report())
    assert not repair(store).found_nothing
    assert tree(store) == before


@pytest.mark.parametrize("tokens", ["additive_levels", [3], {"a": 1}])
def test_required_capabilities_that_are_no_list_of_names_are_refused(tmp_path: Path, tokens: Any) -> None:
    every_kind.points(tmp_path / "s.zv")
    say(tmp_path / "s.zv", "", required_capabilities=tokens)
    with pytest.raises(MetadataError, match="required_capabilities must be a list of names"):
        read_points(tmp_path / "s.zv")


LEVEL_TOKENS: dict[str, tuple[str, dict[str, Any], str]] = {
    "refinement": ("0", {"refinement": "subtract"}, "refinement is 'subtract'"),
    "layout": ("0/object_index", {"layout": "vlen_manifests_v3"}, "object_index: layout is 'vlen_manifests_v3'"),
    "kind of index": ("0/object_index", {"zv_array": "object_tree"}, "object_index: zv_array is 'object_tree'"),
    "vertices": ("0/vertices", {"encoding": "quantized_v1"}, "vertices: encoding is 'quantized_v1'"),
    "kind of vertices": ("0/vertices", {"zv_array": "splats"}, "vertices: zv_array is 'splats'"),
    "fragments": ("0/vertex_fragments", {"encoding": "fragment_index_v2"}, "encoding is 'fragment_index_v2'"),
    "fragments of links": ("0/link_fragments", {"encoding": "fragment_index_v2"}, "link_fragments: encoding is"),
    "family of links": ("0/links/0", {"store": "mirrored"}, "links/0: store is 'mirrored'"),
    "encoding of links": ("LINKS", {"encoding": "delta_v1"}, "encoding is 'delta_v1'"),
    "type of links": ("LINKS", {"dtype": "int32"}, "dtype is 'int32'"),
}


@pytest.mark.parametrize("case", LEVEL_TOKENS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_what_a_level_says_and_is_not_known_is_refused_by_name(
    copy: Callable[[str], Path], revision: str, case: str
) -> None:
    store = copy(f"graph-{revision}")
    node, values, message = LEVEL_TOKENS[case]
    if node == "LINKS":
        node = _links(store) if revision == "0.9" else "0/cross_chunk_links/0"
    say(store, node, **values)
    with pytest.raises(UnsupportedFeatureError, match=message):
        read_graph(store)
    with pytest.raises(UnsupportedFeatureError, match=message):
        open_zv(store)[0].read()
    assert not validate(store, level=2).is_valid


CONVENTIONS = ["links_convention", "object_index_convention", "cross_chunk_strategy", "cross_level_storage"]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_conventions_that_are_not_known_are_refused_by_name(copy: Callable[[str], Path], convention: str) -> None:
    store = copy("graph-0.9")
    say(store, "", **{convention: "braided"})
    with pytest.raises(MetadataError, match=f"{convention} must be one of .*got 'braided'"):
        read_graph(store)


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_attribute_encoded_in_an_unknown_way_is_refused_when_it_is_read(
    copy: Callable[[str], Path], revision: str
) -> None:
    store = copy(f"points-{revision}")
    say(store, "0/vertex_attributes/n", encoding="bitpacked_v1")
    assert len(read_points(store, attributes=[])) == 300
    for arguments in ({}, {"attributes": [], "attribute_filter": {"n": 3}}):
        with pytest.raises(UnsupportedFeatureError, match="encoded as 'bitpacked_v1'"):
            read_points(store, **arguments)


def _set(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(values)


ZARR_FEATURES: dict[str, tuple[str, dict[str, Any], str]] = {
    "keys of cells": ("0/vertices", {"chunk_key_encoding": {"name": "hilbert"}}, "hilbert"),
    "keys of manifests": ("0/object_index/manifests", {"chunk_key_encoding": {"name": "hilbert"}}, "hilbert"),
    "storage of cells": ("0/vertices", {"storage_transformers": [{"name": "moved"}]}, "moved"),
    "storage of manifests": ("0/object_index/manifests", {"storage_transformers": [{"name": "moved"}]}, "moved"),
    "codec of manifests": ("0/object_index/manifests", {"codecs": [{"name": "vlen-bytes"}, {"name": "xz9"}]}, "xz9"),
}


@pytest.mark.parametrize("case", ZARR_FEATURES)
def test_what_zarr_may_say_of_an_array_and_is_not_done_here_is_refused_by_name(
    copy: Callable[[str], Path], case: str
) -> None:
    store = copy("graph-0.9")
    node, values, message = ZARR_FEATURES[case]
    edit_document(store / node, _set(**values))
    with pytest.raises(UnsupportedFeatureError, match=message):
        read_graph(store)


def test_manifests_under_the_other_keys_that_zarr_knows_are_read(tmp_path: Path) -> None:
    store = tmp_path / "s.zv"
    every_kind.polylines(store)
    before = open_zv(store)[0].read()
    for encoding, name in (({"name": "v2", "configuration": {"separator": "."}}, "0"), ({"name": "v2"}, "0")):
        folder = store / "0/object_index/manifests"
        edit_document(folder, _set(chunk_key_encoding=encoding))
        found = next(p for p in folder.rglob("*") if p.is_file() and p.name != "zarr.json")
        found.rename(folder / name)
        assert np.array_equal(open_zv(store)[0].read().positions, before.positions)


@pytest.mark.parametrize("missing", ["multiscales", "axes"])
def test_axes_are_those_of_the_coordinate_system_where_multiscales_do_not_say(tmp_path: Path, missing: str) -> None:
    store = tmp_path / "s.zv"
    positions = np.random.default_rng(0).uniform(0, 9, (40, 3))
    write_points(store, positions, axes=["t", "y", "x"], axis_units={"t": "second", "y": "meter", "x": "meter"})
    expected = read_points(store)

    def change(document: dict[str, Any]) -> None:
        attributes = document["attributes"]
        attributes["zarr_vectors"]["zv_version"] = "0.10.0"
        if missing == "multiscales":
            del attributes["multiscales"]
        else:
            del attributes["multiscales"][0]["axes"]

    edit_document(store, change)
    for level in ("0", "0/vertices"):
        edit_document(store / level, lambda d: d.setdefault("attributes", {}).update(ome={"version": "0.6"}))
    found = open_zv(store)
    assert [(axis.name, axis.type, axis.unit) for axis in found.axes] == [
        ("t", "time", "second"),
        ("y", "space", "meter"),
        ("x", "space", "meter"),
    ]
    assert found.levels == [0]
    assert np.array_equal(read_points(store).positions, expected.positions)
    box = read_points(store, bbox=([0] * 3, [5] * 3))
    assert np.array_equal(
        np.sort(box.positions, axis=0), np.sort(positions[(positions < 5).all(axis=1)].astype("f4"), 0)
    )


def test_what_is_not_changed_here_is_kept_as_it_was(tmp_path: Path) -> None:
    store = tmp_path / "s.zv"
    every_kind.points(store)
    say(store, "", shard_shape=[4, 4, 4], required_capabilities=[])
    write_points(store, np.zeros((3, 3)), attributes={"n": np.arange(3)}, mode="a")
    block = json.loads((store / "zarr.json").read_text())["attributes"]["zarr_vectors"]
    assert block["shard_shape"] == [4, 4, 4]
    assert block["required_capabilities"] == []


def test_the_ome_node_names_its_coordinate_system_and_leads_to_it(tmp_path: Path) -> None:
    every_kind.points(tmp_path / "s.zv")
    node = json.loads((tmp_path / "s.zv/zarr.json").read_text())["attributes"]["ome"]
    scene = node["attributes"]["scene"]
    assert [(s["id"], s["name"]) for s in scene["coordinateSystems"]] == [("world", "world")]
    assert scene["coordinateTransformations"] == [{"type": "identity", "input": "world", "output": "world"}]


KINDS = ["point_objects", "polylines", "lines", "graph", "skeleton", "mesh"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_dense_manifests_are_read_as_the_others_are(tmp_path: Path, revision: str, kind: str) -> None:
    plain, store = tmp_path / "plain.zv", tmp_path / "s.zv"
    getattr(every_kind, kind)(plain, format_version=revision)
    shutil.copytree(plain, store)
    make_dense(store)
    expected, found = open_zv(plain)[0], open_zv(store)[0]
    ids = expected.objects.ids
    assert found.objects.ids.tolist() == ids.tolist()
    for arguments in ({}, {"object_ids": ids[:1]}, {"object_ids": ids[-2:]}, {"bbox": ([-10] * 3, [30] * 3)}):
        same(found.read(**arguments), expected.read(**arguments))
    assert validate(store, level=3).is_valid


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["point_objects", "polylines"])
def test_dense_manifests_are_edited_rightly(tmp_path: Path, revision: str, kind: str) -> None:
    plain, store = tmp_path / "plain.zv", tmp_path / "s.zv"
    getattr(every_kind, kind)(plain, format_version=revision)
    shutil.copytree(plain, store)
    make_dense(store)
    for place in (plain, store):
        if kind == "polylines":
            more: dict[str, Any] = {"attributes": {"n": [np.arange(2)]}, "object_attributes": {"weight": [7.0]}}
            write_polylines(place, [np.array([[0, 0, 0], [1, 1, 1]], "f4")], mode="a", **more)
        else:
            more = {"attributes": {"n": np.arange(2)}, "object_attributes": {"weight": [7.0]}}
            write_points(place, np.zeros((2, 3)), object_ids=[99, 99], mode="a", **more)
        delete_objects(place, [0])
        build_pyramid(place, factors=[(2, 1)])
    for level in (0, 1):
        same(open_zv(store)[level].read(), open_zv(plain)[level].read())
    assert validate(store, level=5).is_valid
    migrate(store, tmp_path / "t.zv", format_version="0.9")
    same(open_zv(tmp_path / "t.zv")[0].read(), open_zv(plain)[0].read())


DENSE_DAMAGE: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "span beyond the blocks": (lambda spans, blocks: spans.__setitem__((0, 0), 10**6), "manifest_spans: .*1000000"),
    "negative count": (lambda spans, blocks: spans.__setitem__((0, 1), -1), "manifest_spans"),
    "fragment": (lambda spans, blocks: blocks.__setitem__((slice(None), 3), -1), "manifest_blocks: .*fragment -1"),
    "chunk": (lambda spans, blocks: blocks.__setitem__((slice(None), 0), 77), "chunk .*77"),
}


@pytest.mark.parametrize("case", DENSE_DAMAGE)
def test_damage_of_dense_manifests_is_named(copy: Callable[[str], Path], case: str) -> None:
    store = copy("graph-0.9")
    make_dense(store)
    index = zarr.open_group(store / "0/object_index", mode="r+")
    change, message = DENSE_DAMAGE[case]
    change(index["manifest_spans"], index["manifest_blocks"])
    with pytest.raises(ArrayError, match=message):
        read_graph(store, object_ids=[0])


def test_a_dense_layout_without_its_arrays_is_refused(copy: Callable[[str], Path]) -> None:
    store = copy("graph-0.9")
    say(store, "0/object_index", layout="dense_manifests_v1")
    with pytest.raises(MetadataError, match="there is no manifest_spans"):
        read_graph(store)


def test_one_object_of_dense_manifests_costs_what_it_names(copy: Callable[[str], Path]) -> None:
    store = copy("graph-0.9")
    make_dense(store, rows_per_chunk=1)
    level = open_store(store).reader.level(0)
    counted = CountingStorage(level.storage)
    level.storage = counted
    manifest = read_manifests(level, np.array([0]))
    assert sum("manifest_" in address for address in counted.addresses()) == 1 + len(manifest.fragments)


@pytest.mark.parametrize("kind", ["points", "polylines", "graph"])
def test_levels_that_list_no_chunks_yet_are_read_and_edited(tmp_path: Path, kind: str) -> None:
    plain, store = tmp_path / "plain.zv", tmp_path / "s.zv"
    getattr(every_kind, kind)(plain)
    shutil.copytree(plain, store)
    make_deferred(store)
    same(open_zv(store)[0].read(), open_zv(plain)[0].read())
    box = ([-10] * 3, [30] * 3)
    same(open_zv(store)[0].read(bbox=box), open_zv(plain)[0].read(bbox=box))
    assert validate(store, level=3).is_valid
    for place in (plain, store):
        build_pyramid(place, factors=[(2, 1)])
        if kind == "points":
            write_points(place, np.zeros((2, 3)), attributes={"n": [1, 2]}, mode="a")
    for level in (0, 1):
        same(open_zv(store)[level].read(), open_zv(plain)[level].read())


@pytest.mark.parametrize("revision", REVISIONS)
def test_groups_of_links_that_follow_vertex_fragments_are_claimed_as_long_as_it_is_true(
    copy: Callable[[str], Path], revision: str
) -> None:
    def claims() -> bool:
        return bool(
            json.loads((store / "0/zarr.json").read_text())["attributes"]["zarr_vectors_level"].get(flag, False)
        )

    flag, store = "fragment_link_groups", copy(f"graph-{revision}")
    assert claims()
    assert (flag in open_zv(store).root.format_capabilities) is (revision == "0.9")  # 0.7 is older than the token
    assert validate(store, level=3).is_valid
    add_attribute(store, "new", np.zeros(open_zv(store)[0].vertex_count))
    assert not claims()
    plain = copy(f"points-{revision}")
    assert flag not in open_zv(plain).root.format_capabilities
