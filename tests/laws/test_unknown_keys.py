"""Keys that the format does not know stay in every document of a store, whatever rewrites it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors import edit, open_store
from zarr_vectors.core.bounds import set_bounds
from zarr_vectors.core.sharding import shard_store, unshard_store
from zarr_vectors.formats.documents import attribute_document, parse_attribute
from zarr_vectors.formats.unknown_keys import NODE_KEYS, is_described
from zarr_vectors.migration import migrate
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.multiresolution.coarsen import build_pyramid, coarsen_level
from zarr_vectors.rechunking.rebinning import rebin_store
from zarr_vectors.rechunking.running import rechunk
from zarr_vectors.rechunking.spec import RechunkSpec
from zarr_vectors.repair import repair
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.points import write_points
from zarr_vectors.types.polylines import write_polylines
from zarr_vectors.validate import validate

REVISIONS = ("0.9", "0.7")
NOTE = "lab:note"
INSIDE = {"any": ["thing", None, {"ü": 1.5}]}
RNG = np.random.default_rng(4)
BOUNDS = ([0, 0, 0], [64, 64, 64])
LAYOUT: dict[str, Any] = {"chunk_shape": 32, "bin_shape": 8, "bounds": BOUNDS}


def spread(count: int) -> Any:
    return RNG.uniform(0, 64, (count, 3)).astype("f4")


def points(path: Path, **more: Any) -> None:
    write_points(
        path,
        spread(60),
        attributes={"heat": np.arange(60.0), "kind": ["a", "b", "c"] * 20, "rgb": np.zeros((60, 3), "u1")},
        attribute_specs={"heat": {"unit": "kelvin"}},
        **more,
    )


def objects(path: Path, **more: Any) -> None:
    write_points(
        path,
        spread(60),
        object_ids=np.arange(60) // 10 + more.pop("first", 0),
        attributes={"heat": np.arange(60.0)},
        object_attributes={"size": np.arange(6), "label": list("abcdef")},
        groups={"low": [more.pop("member", 0)]},
        group_attributes={"rank": [1]},
        **more,
    )


def paths(path: Path, **more: Any) -> None:
    write_polylines(path, [spread(9) for _ in range(4)], vertex_attributes={"heat": np.zeros(36)}, **more)


def graph(path: Path, **more: Any) -> None:
    edges = np.stack([np.arange(39), np.arange(1, 40)], axis=1)
    write_graph(path, spread(40), edges, edge_attributes={"flow": np.arange(39.0)}, **more)


def mesh(path: Path, **more: Any) -> None:
    faces = RNG.permuted(np.tile(np.arange(30), (40, 1)), axis=1)[:, :3]
    write_mesh(path, spread(30), faces, face_attributes={"area": np.arange(40.0)}, **more)


KINDS: dict[str, Callable[..., None]] = {
    "points": points,
    "objects": objects,
    "paths": paths,
    "graph": graph,
    "mesh": mesh,
}
ALL = tuple(KINDS)
LINKED = ("graph", "mesh")
OBJECTS = ("objects", "paths")
FILED = {"links", "cross_chunk_links", "link_attributes", "cross_chunk_link_attributes", "link_fragments"}


def documents(path: Path) -> dict[str, Any]:
    """Return the documents of all nodes but those of single chunks of revision 0.7."""
    found = {file.parent.relative_to(path).as_posix(): json.loads(file.read_text()) for file in path.rglob("zarr.json")}
    return {node: one for node, one in found.items() if one.get("data_type") != "uint8"}


def marked_blocks(attributes: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the objects inside the metadata of a root or level that may hold further keys, with their names."""
    blocks = [(key, attributes[key]) for key in ("zarr_vectors", "zarr_vectors_level", "ome") if key in attributes]
    for scale in attributes.get("multiscales", []):
        blocks += [("scale", scale), ("scale metadata", scale["metadata"])]
        blocks += [(f"dataset {one['path']}", one) for one in scale["datasets"]]
        blocks += [(f"axis {one['name']}", one) for one in scale["axes"]]
    for scope, entries in attributes.get("zarr_vectors", {}).get("attribute_specs", {}).items():
        blocks += [(f"spec {scope} {name}", one) for name, one in entries.items()]
    return blocks


def mark(path: Path) -> None:
    """Put an unknown key into every document, and into the blocks inside."""
    for node, document in documents(path).items():
        attributes = document.setdefault("attributes", {})
        for _, block in marked_blocks(attributes):
            block[NOTE] = INSIDE
        attributes[NOTE] = {"node": node}
        (path / node / "zarr.json").write_text(json.dumps(document))


def lost(before: dict[str, Any], path: Path) -> list[str]:
    """Return the nodes and blocks that are still there, but not their unknown key."""
    after = documents(path)
    missing = []
    for node in before.keys() & after.keys():
        attributes = after[node]["attributes"]
        # What is said of an attribute is one thing in all its arrays: those of every level and combination of offsets.
        said = attributes.get(NOTE)
        if said is None or (said != {"node": node} and not is_described(attributes)):
            missing.append(node)
        held = dict(marked_blocks(before[node]["attributes"]))
        missing += [
            f"{node}: {name}" for name, one in marked_blocks(attributes) if name in held and one.get(NOTE) != INSIDE
        ]
    return sorted(missing)


CHANGES: dict[str, tuple[tuple[str, ...], Callable[[Path, str], object]]] = {
    "append vertices": (
        ("points",),
        lambda path, kind: edit.append_vertices(
            path, spread(5), attributes={"heat": [0] * 5, "kind": ["a"] * 5, "rgb": np.zeros((5, 3), "u1")}
        ),
    ),
    "append and refresh": (
        ("objects",),
        lambda path, kind: edit.append_vertices(
            path,
            spread(5),
            object_ids=[70] * 5,
            attributes={"heat": [0] * 5},
            object_attributes={"size": [1], "label": ["x"]},
            refresh=True,
        ),
    ),
    "append far away": (
        ("points",),
        lambda path, kind: edit.append_vertices(
            path,
            spread(5) - 100,
            attributes={"heat": [0] * 5, "kind": ["new"] * 5, "rgb": np.zeros((5, 3), "u1")},
            out_of_bounds="expand",
        ),
    ),
    "mode a": (
        ALL,
        lambda path, kind: KINDS[kind](path, mode="a", **({"first": 100, "member": 100} if kind == "objects" else {})),
    ),
    "add attribute": (("points", "mesh"), lambda path, kind: edit.add_attribute(path, "new", count(kind))),
    "set attribute": (
        ("points", "objects", "paths"),
        lambda path, kind: edit.set_attribute(path, "heat", count(kind)),
    ),
    "set link attribute": (
        ("graph",),
        lambda path, kind: edit.set_attribute(path, "flow", np.ones(39), kind="link"),
    ),
    "set object attribute": (
        ("objects",),
        lambda path, kind: edit.set_attribute(path, "size", np.ones(6), kind="object", refresh=True),
    ),
    "set groups": (
        ("objects",),
        lambda path, kind: edit.set_groups(path, {"low": [2], "high": [3]}, attributes={"rank": [4, 5]}),
    ),
    "delete objects": (OBJECTS, lambda path, kind: edit.delete_objects(path, [1])),
    "replace objects": (
        ("objects",),
        lambda path, kind: edit.replace_objects(path, spread(4), [2] * 4, attributes={"heat": [0] * 4}),
    ),
    "move vertices": (ALL, lambda path, kind: edit.move_vertices(path, spread(2), rows=[0, 3], refresh=True)),
    "add links": (
        ("graph",),
        lambda path, kind: edit.add_links(path, [[0, 7], [3, 20]], attributes={"flow": [0.0, 1.0]}),
    ),
    "remove links": (LINKED, lambda path, kind: edit.remove_links(path, [0, 5])),
    "vacuum": (
        ("objects", "graph"),
        lambda path, kind: (edit.delete_objects(path, [1]) if kind in OBJECTS else 0, edit.vacuum(path)),
    ),
    "pyramid": (ALL, lambda path, kind: build_pyramid(path, [(2, 1)], overwrite=True)),
    "one level": (("paths", "mesh"), lambda path, kind: coarsen_level(path, 0, 1, overwrite=True)),
    "set bounds": (("points", "graph"), lambda path, kind: set_bounds(open_store(path, "r+"), ([-40] * 3, [90] * 3))),
    "contract": (
        ("objects", "paths", "graph"),
        lambda path, kind: set_bounds(open_store(path, "r+"), ([0] * 3, [50] * 3), force=True),
    ),
    "rechunk": (ALL, lambda path, kind: rechunk(path, RechunkSpec("spatial", spatial_chunk_shape=(16, 64, 32)))),
    "rechunk by object": (OBJECTS, lambda path, kind: rechunk(path, RechunkSpec("object_id"))),
    "rebin": (("points", "graph"), lambda path, kind: rebin_store(path, (4, 8, 16))),
    "repair": (("objects", "graph"), lambda path, kind: repair(path)),
}


def count(kind: str) -> Any:
    return np.arange({"points": 60, "objects": 60, "paths": 36, "graph": 40, "mesh": 30}[kind])


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marked")
    for revision in REVISIONS:
        for kind, write in KINDS.items():
            path = folder / f"{kind}-{revision}"
            write(path, format_version=revision, **LAYOUT)
            build_pyramid(path, [(2, 1)])
            mark(path)
    return folder


def is_filing(node: str) -> bool:
    """Return whether a node is there only while links are filed under it, or links of other levels are stored."""
    parts = node.split("/")
    family = parts[1] if len(parts) > 1 else ""
    depth = {"links": 3, "link_attributes": 4}.get(family, 99)
    return len(parts) > depth or "+1" in parts or "-1" in parts


def check(path: Path, before: dict[str, Any]) -> None:
    assert lost(before, path) == []
    assert [node for node in before.keys() - documents(path).keys() if not is_filing(node)] == []
    assert validate(path, level=5).errors == []


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize(("change", "kind"), [(c, k) for c, (kinds, _) in CHANGES.items() for k in kinds])
def test_changes_keep_unknown_keys(stores: Path, tmp_path: Path, revision: str, change: str, kind: str) -> None:
    path = tmp_path / "s.zv"
    shutil.copytree(stores / f"{kind}-{revision}", path)
    before = documents(path)
    CHANGES[change][1](path, kind)
    check(path, before)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("revision", REVISIONS)
def test_migrating_keeps_unknown_keys_there_and_back(stores: Path, tmp_path: Path, revision: str, kind: str) -> None:
    source = stores / f"{kind}-{revision}"
    other = "0.7" if revision == "0.9" else "0.9"
    migrate(source, tmp_path / "there", format_version=other)
    before = {n: d for n, d in documents(source).items() if not is_filing(n) and not n.endswith("/object_ids")}
    after = documents(tmp_path / "there")
    assert [n for n in before.keys() & after.keys() if NOTE not in after[n]["attributes"]] == []
    assert {n.split("/")[1] for n in before.keys() - after.keys()} <= FILED
    assert lost({"": before["."]}, tmp_path / "there") == []
    migrate(tmp_path / "there", tmp_path / "back", format_version=revision)
    again = documents(tmp_path / "back")
    assert [n for n in before.keys() & again.keys() if NOTE not in again[n]["attributes"]] == []


def test_shards_keep_unknown_keys(stores: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.zv"
    shutil.copytree(stores / "objects-0.9", path)
    before = documents(path)
    shard_store(path, 2)
    check(path, before)
    unshard_store(path)
    check(path, before)


@pytest.mark.parametrize("revision", REVISIONS)
def test_keys_that_are_taken_away_stay_away(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "s.zv"
    points(path, format_version=revision, **LAYOUT)
    edit.set_attribute(path, "heat", count("points"), spec={"extra": {"note": 1, "device": "a"}})
    assert documents(path)["0/vertex_attributes/heat"]["attributes"]["note"] == 1
    edit.set_attribute(path, "heat", count("points"), spec={"extra": {"note": 2}})
    attributes = documents(path)["0/vertex_attributes/heat"]["attributes"]
    assert attributes["note"] == 2
    assert "device" not in attributes
    edit.set_attribute(path, "heat", ["a"] * 60)
    edit.set_attribute(path, "heat", np.arange(60.0))
    attributes = documents(path)["0/vertex_attributes/heat"]["attributes"]
    assert attributes["note"] == 2
    assert not {"categories", "ordered", "encoding", "_FillValue"} & set(attributes)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("revision", REVISIONS)
def test_every_key_that_is_written_is_known(tmp_path: Path, revision: str, kind: str) -> None:
    path = tmp_path / "s.zv"
    KINDS[kind](path, format_version=revision, **LAYOUT)
    build_pyramid(path, [(2, 2 if kind in OBJECTS else 1)], cross_level_storage="explicit")
    when = np.datetime64("2026-01-01") + count(kind).astype("m8[D]")
    edit.add_attribute(path, "when", when)
    edit.add_attribute(path, "flag", count(kind) > 3, spec={"description": "whether", "unit": "1"})
    nodes = {n: d for n, d in documents(path).items() if n not in (".", "0", "1")}
    assert {key for d in nodes.values() for key in d.get("attributes", {})} - NODE_KEYS == set()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(extra=st.dictionaries(st.text(max_size=8).filter(lambda key: key not in NODE_KEYS), JSON, max_size=4))
def test_an_attribute_document_reads_back_with_any_further_keys(extra: dict[str, Any]) -> None:
    spec = AttributeSpec("float32", "kelvin", "how warm", ("a", "b"), extra=extra)
    document = json.loads(json.dumps(attribute_document("attribute", "heat", spec)))
    assert parse_attribute(document, "here") == spec
