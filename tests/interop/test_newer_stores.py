"""Stores of newer writers are read as they are meant, or refused by a message that names what is not known."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.core import every_kind
from tests.interop.newer import edit_document, say
from tests.points.clouds import REVISIONS, tree
from zarr_vectors.exceptions import MetadataError, UnsupportedFeatureError
from zarr_vectors.lazy import open_zv
from zarr_vectors.migration import migrate
from zarr_vectors.repair import repair
from zarr_vectors.types.graphs import read_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate


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
    return lambda name: Path(shutil.copytree(templates / f"{name}.zv", tmp_path / "s.zv"))


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
    assert not validate(store, level=1).is_valid


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
