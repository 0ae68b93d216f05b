"""What single edits do, what they touch, and what they refuse."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import zarr_vectors
from tests.edit.oracle import KINDS, see, start, tables_of
from zarr_vectors import edit
from zarr_vectors.core.store import commit
from zarr_vectors.edit.change import changing
from zarr_vectors.edit.chunks import merge_fragments, put_chunks
from zarr_vectors.edit.rows import VertexOrder
from zarr_vectors.exceptions import (
    ArgumentError,
    OutOfBoundsError,
    ReadOnlyStoreError,
    ShapeError,
    StoreError,
    StoreNotFoundError,
    UnknownNameError,
    UnsupportedFeatureError,
)
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.objects import read_column, read_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.spatial.pruning import keep_rows
from zarr_vectors.storage.latest import LATEST_ADDRESS
from zarr_vectors.storage.port import Range, Storage
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])


def place() -> str:
    return f"memory://edits-{uuid.uuid4().hex}"


def contents(storage: Storage) -> dict[str, bytes]:
    addresses = [address for address in storage.list_all() if address != LATEST_ADDRESS]
    blobs = storage.get_many([Range(address) for address in addresses])
    return {address: bytes(blob or b"") for address, blob in zip(addresses, blobs, strict=True)}


def counting(path: str) -> CountingStorage:
    return CountingStorage(resolve_storage(path, mode="r+"))


def payloads_written(counted: CountingStorage) -> set[str]:
    """Give the data objects that were staged, without metadata and lock."""
    staged = {address.split("/data/", 1)[1] for address in counted.addresses("put") if "/data/" in address}
    return {address for address in staged if not address.endswith("zarr.json")}


def many_chunks(revision: str, *, objects: bool) -> str:
    path = place()
    positions = np.random.default_rng(0).uniform(0, 100, (2000, 3))
    write_points(
        path,
        positions,
        chunk_shape=20,
        bounds=([0] * 3, [100] * 3),
        attributes={"depth": np.arange(2000.0)},
        object_ids=np.arange(2000) // 10 if objects else None,
        shard_shape=None if revision == "0.9" else "auto",
        format_version=revision,
    )
    return path


@REVISIONS
def test_a_value_touches_one_chunk(revision: str) -> None:
    path = many_chunks(revision, objects=False)
    counted = counting(path)
    edit.set_attribute(counted, "depth", -1.0, rows=[700])
    assert len(payloads_written(counted)) == 1
    assert np.flatnonzero(read_points(path).attributes["depth"] == -1).tolist() == [700]


@pytest.mark.parametrize("objects", [False, True])
@REVISIONS
def test_appending_points_reads_and_writes_their_chunks_only(revision: str, objects: bool) -> None:
    path = many_chunks(revision, objects=objects)
    counted = counting(path)
    summary = edit.append_vertices(counted, [[1, 1, 1], [2, 2, 2], [99, 99, 99]], attributes={"depth": [1, 2, 3]})
    assert summary.chunks_touched == summary["chunks_touched"] == 2
    arrays = {"vertices", "vertex_fragments", "depth", *(["object_id"] if objects else [])}
    written = {address for address in payloads_written(counted) if set(address.split("/")) & arrays}
    assert len(written) == 2 * len(arrays)
    read = {
        a for a in counted.addresses("get") if "/vertices/" in a and not a.endswith("zarr.json") and "journal" not in a
    }
    assert len(read) == 2
    assert validate(path, level=5).is_valid


@REVISIONS
def test_deleting_one_object_writes_its_chunks_only(revision: str) -> None:
    path = many_chunks(revision, objects=True)
    chunks = {tuple(chunk) for chunk in (read_points(path, object_ids=[7]).positions // 20).astype(int).tolist()}
    counted = counting(path)
    assert edit.delete_objects(counted, 7) == 10
    written = {address for address in payloads_written(counted) if address.startswith("0/vertices/")}
    assert len(written) <= len(chunks)
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("kind", KINDS)
def test_edits_that_change_nothing_write_nothing(kind: str) -> None:
    path = place()
    start(kind, "0.9", path, 5)
    before = contents(resolve_storage(path, mode="r"))
    tags = see(kind, path).tags
    counted = counting(path)
    edit.set_attribute(counted, "tag", tags)
    edit.vacuum(counted)
    if kind != "skeleton":  # written anew, the rows of a tree may come in another order
        edit.move_vertices(counted, [see(kind, path).plain.positions[tag] for tag in tags])
    assert payloads_written(counted) == set()
    assert {a for a in contents(counted.inner) if not a.startswith(".zv")} == set(before)


@REVISIONS
def test_objects_and_groups_are_described_alike_at_all_levels(revision: str) -> None:
    path = place()
    plain = start("points", revision, path, 2)
    build_pyramid(path, [(2.0, 1.0)])
    edit.set_attribute(path, "weight", [5.0, 4.0, 3.0, 2.0, 1.0], kind="object")
    edit.set_groups(path, {"odd": [2, 6]})
    wanted = (dict(zip(sorted(plain.objects), [5.0, 4.0, 3.0, 2.0, 1.0], strict=True)), {"odd": {2, 6}})
    assert tables_of(path) == tables_of(path, 1) == wanted
    report = validate(path, level=5)
    assert report.is_valid
    assert not report.warnings
    assert edit.set_groups(path, None) == 0
    assert tables_of(path)[1] == {}
    edit.remove_attribute(path, "weight", kind="object")
    assert validate(path, level=5).is_valid


@REVISIONS
def test_fragment_attributes_come_and_go(revision: str) -> None:
    path = place()
    start("paths", revision, path, 2)
    count = count_fragments(path)
    edit.add_attribute(path, "run", np.arange(count), kind="fragment")
    with pytest.raises(ArgumentError, match=r"fragments have attributes \['run'\]"):
        edit.delete_objects(path, [2])
    edit.remove_attribute(path, "run", kind="fragment")
    edit.delete_objects(path, [2])
    assert validate(path, level=5).is_valid


def count_fragments(path: str) -> int:
    level = open_reader(path).level(0)
    return read_chunks(level, np.arange(len(level.chunks))).fragments.count


@REVISIONS
def test_lines_take_values_by_line_and_end(revision: str) -> None:
    path = place()
    write_lines(path, np.random.default_rng(0).uniform(0, 100, (30, 2, 3)), chunk_shape=40, format_version=revision)
    values = np.arange(60.0).reshape(30, 2)
    edit.add_attribute(path, "width", values)
    edit.add_attribute(path, "length", np.arange(30), kind="line")
    edit.delete_objects(path, [0])
    found = read_lines(path)
    np.testing.assert_array_equal(found.attributes["width"], values[1:])
    np.testing.assert_array_equal(found.line_attributes["length"], np.arange(1, 30))
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("strategy", ["explicit_links", "boundary_deduplication", "both"])
@pytest.mark.parametrize("convention", ["standard", "identity"])
def test_paths_of_every_convention(strategy: str, convention: str) -> None:
    path, rng = place(), np.random.default_rng(0)
    shape = 200 if convention == "identity" else 25
    parts = [np.abs(np.cumsum(rng.normal(0, 6, (20, 3)), axis=0)) + 50 for _ in range(4)]
    write_polylines(
        path,
        parts,
        chunk_shape=shape,
        bin_shape=shape,
        cross_chunk_strategy=strategy,
        bounds=([0] * 3, [199] * 3),
        object_index_convention=convention,
    )
    edit.add_attribute(path, "step", [np.arange(20)] * 4)
    edit.add_attribute(path, "rank", np.arange(4), kind="object")
    assert validate(path, level=5).is_valid
    edit.delete_objects(path, [1])
    edit.replace_objects(path, parts[1], 2, attributes={"step": np.arange(20)})
    found = read_polylines(path)
    assert found.object_ids is not None
    assert found.object_ids.tolist() == [0, 2, 3]
    np.testing.assert_allclose(found.positions, np.concatenate([parts[0], parts[1], parts[3]]), rtol=1e-6)
    np.testing.assert_array_equal(found.attributes["step"], np.tile(np.arange(20), 3))
    assert found.object_attributes["rank"].tolist() == [0, 2, 3]
    assert validate(path, level=5).is_valid


def test_paths_that_share_vertices_agree_on_values() -> None:
    path = place()
    walk = np.linspace([1, 1, 1], [90, 90, 90], 20)
    write_polylines(path, [walk, walk], chunk_shape=50, share_fragments=True)
    edit.add_attribute(path, "step", np.tile(np.arange(20), 2))
    np.testing.assert_array_equal(read_polylines(path).attributes["step"], np.tile(np.arange(20), 2))
    with pytest.raises(ArgumentError, match="share vertices that are stored once"):
        edit.add_attribute(path, "number", np.arange(40))
    assert "number" not in read_polylines(path).attributes
    edit.delete_objects(path, [0])
    assert len(read_polylines(path).positions) == 20
    assert validate(path, level=5).is_valid


@REVISIONS
def test_points_chunked_by_an_attribute(revision: str) -> None:
    path, rng = place(), np.random.default_rng(0)
    genes = rng.choice(["a", "b", "c"], 60)
    write_points(
        path, rng.uniform(0, 100, (60, 3)), attributes={"gene": genes, "n": np.arange(60.0)}, chunk_shape=50,
        chunk_by_attribute="gene", format_version=revision, bounds=([0] * 3, [100] * 3),
    )  # fmt: skip
    edit.append_vertices(path, [[1, 2, 3]], attributes={"gene": ["b"], "n": [7.0]})
    edit.move_vertices(path, [[99, 99, 99]], rows=[0])
    found = read_points(path, attribute_filter={"gene": "b"})
    assert len(found.positions) == (genes == "b").sum() + 1
    assert validate(path, level=5).is_valid
    with pytest.raises(ArgumentError, match="chunked by 'gene', which has no value 'z'"):
        edit.append_vertices(path, [[1, 2, 3]], attributes={"gene": ["z"]})
    with pytest.raises(ArgumentError, match="go by vertex attribute 'gene'"):
        edit.remove_attribute(path, "gene")


@REVISIONS
def test_a_skeleton_stays_a_forest(revision: str) -> None:
    path = place()
    nodes = np.linspace([1, 1, 1], [90, 90, 90], 6)
    write_graph(path, nodes, [[1, 0], [2, 1], [3, 2], [5, 4]], kind="skeleton", chunk_shape=50, format_version=revision)
    with pytest.raises(ArgumentError, match="a cycle would run through or above node"):
        edit.add_links(path, [[0, 3]])
    with pytest.raises(ArgumentError, match="node 3 would have 2 parents"):
        edit.add_links(path, [[3, 0]])
    assert edit.add_links(path, [[4, 3]]) == 5
    edit.add_attribute(path, "width", np.arange(5.0), kind="edge")
    assert edit.remove_links(path, [0]) == 4
    assert sorted(read_graph(path).edge_attributes["width"].tolist()) == [1, 2, 3, 4]
    assert validate(path, level=5).is_valid


def test_what_was_said_of_a_surface_is_said_no_longer() -> None:
    path = place()
    corners, faces = [[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]], [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]
    write_mesh(path, corners, faces, chunk_shape=50, closed_surface=True)
    edit.remove_links(path, [0])
    assert read_mesh(path).closed_surface is None
    assert read_mesh(path).winding_order == "ccw"
    with pytest.raises(ArgumentError, match="corners of a face must differ"):
        edit.add_links(path, [[0, 0, 1]])


def test_draco_meshes_are_not_rounded_once_more() -> None:
    pytest.importorskip("DracoPy")
    path = place()
    vertices = np.random.default_rng(0).uniform(0, 100, (30, 3)).astype(np.float32)
    write_mesh(
        path, vertices, np.arange(30).reshape(10, 3), chunk_shape=200, use_draco=True, bounds=([0] * 3, [100] * 3)
    )
    edit.add_attribute(path, "n", np.arange(30))
    assert read_mesh(path).attributes["n"].tolist() == list(range(30))
    for change in (
        lambda: edit.delete_objects(path, [0]),
        lambda: edit.append_vertices(path, [[1, 1, 1]], attributes={"n": [1]}),
    ):
        with pytest.raises(UnsupportedFeatureError, match="Draco"):
            change()
    with pytest.raises(UnsupportedFeatureError, match="attributes of faces have no place"):
        edit.add_attribute(path, "f", np.arange(10), kind="face")


@REVISIONS
def test_vacuum_takes_away_what_nothing_refers_to(revision: str) -> None:
    path = place()
    plain = start("points", revision, path, 4, shard_shape=None if revision == "0.9" else "auto")
    storage = resolve_storage(path, mode="r+")
    before = contents(storage)
    stray = "0/vertices/c/0/0/9" if revision == "0.9" else "0/vertex_attributes/tag/9.9.9/c/0"
    storage.put_many([(stray, b"stray"), ("0/mine/notes.txt", b"kept")])
    assert edit.vacuum(path).files == 1
    assert set(contents(storage)) == {*before, "0/mine/notes.txt"}
    orphan(path)
    assert not validate(path, level=5).is_valid
    summary = edit.vacuum(path)
    assert (summary.vertices, summary.fragments) == (1, 1)
    seen = see("points", path).plain
    assert seen.owners == {tag: owner for tag, owner in plain.owners.items() if tag in seen.owners}
    assert len(seen.positions) == len(plain.positions)
    assert validate(path, level=5).is_valid


def orphan(path: str) -> None:
    """Add a vertex and a fragment to a chunk that no object names."""
    with changing(path, None, {}) as change:
        level = change.level(0)
        old = read_chunks(level, np.array([0]))
        one: Any = keep_rows(old, np.arange(old.count) == 0, keep_fragments=False)
        put_chunks(change, level, merge_fragments(old, one))
        change.put_level(0, vertex_count=level.metadata.vertex_count + 1)


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "rows": (lambda p: edit.add_attribute(p, "x", [1, 2]), ShapeError, "'x' has 2 rows, but there must be 40"),
    "name": (lambda p: edit.add_attribute(p, "a/b", np.zeros(40)), ArgumentError, "no folder name may"),
    "taken": (lambda p: edit.add_attribute(p, "tag", np.zeros(40)), ArgumentError, "'tag' already"),
    "case": (lambda p: edit.add_attribute(p, "TAG", np.zeros(40)), ArgumentError, "differ only in case"),
    "kind": (lambda p: edit.add_attribute(p, "x", [1], kind="cell"), ArgumentError, "kind: expected one of vertex"),
    "level": (lambda p: edit.add_attribute(p, "x", [1], level=3), UnknownNameError, "no level 3"),
    "absent": (lambda p: edit.remove_attribute(p, "x"), UnknownNameError, r"no vertex attribute 'x'; it has \['tag'\]"),
    "part": (lambda p: edit.set_attribute(p, "x", 1, rows=[0]), UnknownNameError, "give values for all rows"),
    "row": (lambda p: edit.set_attribute(p, "tag", 1, rows=[40]), ArgumentError, "rows: 40 is not the row of a vertex"),
    "twice": (lambda p: edit.set_attribute(p, "tag", 1, rows=[1, 1]), ArgumentError, "row 1 is named more than once"),
    "dtype": (lambda p: edit.set_attribute(p, "tag", ["x"] * 40, dtype="i4"), ArgumentError, "cannot be cast"),
    "shape": (lambda p: edit.append_vertices(p, [[1, 2]]), ShapeError, r"expected shape \(n, 3\)"),
    "finite": (lambda p: edit.append_vertices(p, [[1, 2, np.nan]]), ArgumentError, "positions must be finite"),
    "precision": (lambda p: edit.append_vertices(p, [[1, 2, 3]], dtype="f4"), ArgumentError, "holds float64 positions"),
    "outside": (lambda p: edit.append_vertices(p, [[1, 2, 300]], attributes={"tag": [1]}), OutOfBoundsError, "1 of 1"),
    "policy": (
        lambda p: edit.append_vertices(p, [[1, 2, 3]], out_of_bounds="no"),
        ArgumentError,
        "expected one of raise",
    ),
    "unknown": (
        lambda p: edit.append_vertices(p, [[1, 2, 3]], attributes={"tag": [1], "y": [1]}),
        ArgumentError,
        r"\['y'\]",
    ),
    "object": (lambda p: edit.delete_objects(p, [1, 2]), UnknownNameError, "has no object 1"),
    "ids": (lambda p: edit.delete_objects(p, [0.5]), ArgumentError, "expected whole numbers"),
    "replaced": (lambda p: edit.replace_objects(p, [[1, 2, 3]], 77), UnknownNameError, "has no object 77"),
    "links": (lambda p: edit.add_links(p, [[0, 1]]), ArgumentError, "linked by their order only"),
    "moved": (lambda p: edit.move_vertices(p, [[1, 2, 3]]), ShapeError, "expected 40 rows, one per vertex"),
    "left out": (
        lambda p: edit.move_vertices(p, [[1, 2, 3]], out_of_bounds="ignore"),
        ArgumentError,
        "cannot be moved",
    ),
    "members": (lambda p: edit.set_groups(p, {"g": [99]}), ArgumentError, "names object 99, which does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_changes_nothing(case: str) -> None:
    path = place()
    start("points", "0.9", path, 1)
    before = contents(resolve_storage(path, mode="r"))
    change, error, message = BAD[case]
    with pytest.raises(error, match=message):
        change(path)
    assert contents(resolve_storage(path, mode="r")) == before


def test_a_place_without_a_store_stays_empty() -> None:
    path = place()
    with pytest.raises(StoreNotFoundError):
        edit.add_attribute(path, "x", [1])
    assert resolve_storage(path, mode="r").list_all() == []


@REVISIONS
def test_links_of_the_wrong_width_or_to_nowhere(revision: str) -> None:
    path = place()
    start("graph", revision, path, 1)
    for links, message in (([[0, 1, 2]], r"expected shape \(m, 2\)"), ([[0, 40]], r"link 0 is \[0, 40\]")):
        with pytest.raises(ArgumentError, match=message):
            edit.add_links(path, links)
    with pytest.raises(ArgumentError, match=r"\['other'\]"):
        edit.add_links(path, [[0, 1]], attributes={"other": [1.0]})
    edit.add_links(path, [[0, 1]])
    assert np.isnan(read_graph(path).edge_attributes["mark"]).sum() == 1


@pytest.mark.parametrize("name", ["points_obj", "points_pyr", "streamlines_pyr", "skeleton", "graph", "mesh_pyr"])
def test_stores_of_other_writers_are_edited(name: str, stores_07: Path, tmp_path: Path) -> None:
    path = shutil.copytree(stores_07 / f"{name}.zv", tmp_path / name)
    store = open_reader(path)
    count = VertexOrder.of(store, store.level(0)).count
    edit.add_attribute(path, "edited", np.arange(float(count)))
    ids = read_object_ids(store.level(0))
    if ids is not None:
        gone = edit.delete_objects(path, ids[:1])
        assert 0 < gone <= count
        count -= gone
    changed = open_reader(path)
    assert VertexOrder.of(changed, changed.level(0)).count == count
    assert validate(path, level=5).is_valid


def test_open_groups_are_edited_where_they_may_be(tmp_path: Path) -> None:
    root = zarr_vectors.create_store(tmp_path / "s", bounds=([0] * 3, [100] * 3))
    with pytest.raises(StoreError, match="a shell that nothing has been written to yet"):
        edit.append_vertices(root, [[1, 2, 3]])
    write_points(root, np.random.default_rng(0).uniform(0, 100, (20, 3)))
    edit.append_vertices(root, [[1, 2, 3]])
    assert len(read_points(root).positions) == 21
    with pytest.raises(ReadOnlyStoreError):
        edit.append_vertices(zarr_vectors.open_store(tmp_path / "s"), [[1, 2, 3]])


def test_edits_of_a_repository_wait_for_its_commit(tmp_path: Path) -> None:
    pytest.importorskip("icechunk")
    path = tmp_path / "cells.icechunk"
    root = zarr_vectors.create_store(path, bounds=([0] * 3, [100] * 3), backend="icechunk")
    write_points(root, np.random.default_rng(0).uniform(0, 100, (20, 3)), shard_shape=None)
    commit(root, "twenty points")
    edit.append_vertices(root, [[1, 2, 3]])
    assert (len(read_points(root).positions), len(read_points(path).positions)) == (21, 20)
    commit(root, "one more")
    edit.add_attribute(path, "number", np.arange(21))
    assert read_points(path).attributes["number"].tolist() == list(range(21))
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("kind", ["graph", "skeleton", "mesh", "paths"])
@REVISIONS
def test_every_kind_chunked_by_an_attribute(kind: str, revision: str) -> None:
    path, rng, n = place(), np.random.default_rng(0), 40
    positions, owners, labels = rng.uniform(0, 100, (n, 3)), np.arange(n) // 8, rng.choice(["a", "b", "c"], n)
    common: dict[str, Any] = {"chunk_by_attribute": "label", "chunk_shape": 50, "format_version": revision}
    common |= {"bounds": ([0] * 3, [100] * 3), "attributes": {"label": labels, "n": np.arange(n)}}
    read: Any = read_polylines if kind == "paths" else read_mesh if kind == "mesh" else read_graph
    if kind == "paths":
        write_polylines(path, [positions[owners == i] for i in range(5)], **common)
    elif kind == "mesh":
        write_mesh(path, positions, [rng.choice(n, 3, replace=False) for _ in range(40)], object_ids=owners, **common)
    else:
        edges = [[i, i - 1] for i in range(1, n) if i % 8]
        write_graph(path, positions, edges, kind=kind, object_ids=owners, **common)
    edit.delete_objects(path, [1])
    edit.append_vertices(path, [[1, 2, 3], [4, 5, 6]], object_ids=9, attributes={"label": ["c", "a"], "n": [n, n + 1]})
    found = read(path)
    wanted = dict(enumerate([*labels.tolist(), "c", "a"]))
    for gone in np.flatnonzero(owners == 1).tolist():
        del wanted[gone]
    assert dict(zip(found.attributes["n"].tolist(), found.attributes["label"].tolist(), strict=True)) == wanted
    assert validate(path, level=5).is_valid


def graph_block(path: str, key: str) -> dict[str, Any]:
    found: dict[str, Any] = open_reader(path).root.extra.get(key, {})
    return found


@REVISIONS
def test_a_graph_that_gets_a_cycle_is_not_called_a_tree_any_more(revision: str) -> None:
    path, positions = place(), np.random.default_rng(1).uniform(0, 100, (6, 3))
    options: dict[str, Any] = {"chunk_shape": 50, "bounds": ([0] * 3, [100] * 3), "format_version": revision}
    write_graph(path, positions, [[0, 1], [1, 2], [3, 4]], is_tree=True, object_ids=[0, 0, 0, 1, 1, 2], **options)
    edit.delete_objects(path, 1)
    edit.remove_links(path, [0])
    edit.replace_objects(path, positions[:3], 2)
    assert graph_block(path, "graph")["is_tree"] is True
    edit.replace_objects(path, positions[:3], 0, links=[[0, 1], [1, 2], [2, 0]])
    assert "is_tree" not in graph_block(path, "graph")
    assert validate(path, level=5).is_valid


@REVISIONS
def test_a_surface_that_loses_a_face_is_not_called_closed_any_more(revision: str) -> None:
    path, corners = place(), np.array([[1, 1, 1], [9, 1, 1], [1, 9, 1], [1, 1, 9], [60, 60, 60]], float)
    faces = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]
    options: dict[str, Any] = {"chunk_shape": 50, "bounds": ([0] * 3, [100] * 3), "format_version": revision}
    write_mesh(path, corners, faces, closed_surface=True, object_ids=[0, 0, 0, 1, 2], **options)
    edit.move_vertices(path, [[61, 61, 61]], rows=[4])
    assert graph_block(path, "mesh")["closed_surface"] is True
    edit.delete_objects(path, 1)
    assert len(read_mesh(path).faces) == 1
    assert "closed_surface" not in graph_block(path, "mesh")


def some_lines(revision: str) -> str:
    path, ends = place(), np.random.default_rng(1).uniform(0, 100, (6, 2, 3))
    write_lines(path, ends, chunk_shape=50, bounds=([0] * 3, [100] * 3), format_version=revision)
    return path


@REVISIONS
def test_lines_take_two_vertices_each(revision: str) -> None:
    path = some_lines(revision)
    before = contents(resolve_storage(path, mode="r"))
    three = [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    with pytest.raises(ArgumentError, match="3 rows are given for object 99, but a line has two"):
        edit.append_vertices(path, three, object_ids=99)
    with pytest.raises(ArgumentError, match="every two rows are a line, but 3 rows"):
        edit.append_vertices(path, three)
    with pytest.raises(ArgumentError, match="1 rows are given for object 8, but a line has two"):
        edit.append_vertices(path, three, object_ids=[7, 8, 7])
    with pytest.raises(ArgumentError, match="3 rows are given for object 1, but a line has two"):
        edit.replace_objects(path, three, 1)
    assert contents(resolve_storage(path, mode="r")) == before
    assert edit.append_vertices(path, [*three, [60, 60, 60]]).new_objects == 2
    added = read_lines(path, object_ids=[6, 7])
    np.testing.assert_array_equal(added.endpoints, [three[:2], [three[2], [60, 60, 60]]])


@REVISIONS
def test_lines_lose_both_ends_or_none(revision: str) -> None:
    path = some_lines(revision)
    rows = [[1, 1, 1], [2, 2, 2], [200, 1, 1], [60, 60, 60]]
    added = edit.append_vertices(path, rows, object_ids=[20, 21, 20, 21], out_of_bounds="ignore")
    assert (added.vertices_added, added.new_objects, added.ignored_count) == (2, 1, 2)
    np.testing.assert_array_equal(read_lines(path, object_ids=[21]).endpoints, [[rows[1], rows[3]]])
    assert edit.append_vertices(path, rows[1:3], out_of_bounds="ignore").vertices_added == 0
    assert edit.replace_objects(path, rows[1:3], 3, out_of_bounds="ignore") == 0
    assert read_lines(path).object_ids.tolist() == [0, 1, 2, 4, 5, 21]
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        ([1, 300, -5], "int8", "row 1 has 300, but whole numbers from -128 to 127"),
        ([1, 1.7, 300], "int8", r"row 1 has 1\.7, but whole numbers"),
        ([1, np.nan, 3], "int32", "row 1 has nan, but whole numbers"),
        ([0, -1, 0], "uint8", "row 1 has -1, but whole numbers from 0 to 255"),
        (np.array([1, 2**63, 2], np.uint64), "int64", "row 1 has 9223372036854775808"),
        ([1, 2.0**63, 2], "int64", "row 1 has 9.22"),
        ([0, 1, 2], "bool", "row 2 has 2, but 0 or 1"),
        ([0.0, 1e39, np.inf], "float32", r"row 1 has 1e\+39, but finite values"),
        ([[1, 2], [1, 2], [3, 999]], "int8", "row 2 has 999"),
        (["a", "abc", "ab"], "U2", "row 1 has 'abc', but it would be cut off"),
        (np.array(["2020-01-01", "NaT", "NaT"], "M8[D]"), "int64", "row 1 has None"),
        (np.array([1, 2.5, 3], object), "int32", r"row 1 has 2\.5"),
        ([1, 2, 1j], "float32", "complex numbers"),
        ([1, 2, 3], "nonsense", "'nonsense' not understood"),
        (
            np.array(["2000", "3000", "2001"], "M8[s]"),
            "M8[ns]",
            r"row 1 has .*3000.* times that datetime64\[ns\] counts",
        ),
        (np.array(["2000", "2000-01-01T05", "NaT"], "M8[h]"), "M8[D]", "row 1 has"),
        (np.array([1, 300, 2], "m8[s]"), "i1", "row 1 has .*from -128 to 127"),
        (np.array([1, 2**53 + 1, 2], "m8[s]"), "f8", "row 1 has"),
        (np.array([1, 2, 3], "M8[s]"), "m8[s]", "are no timedelta64"),
        (np.array([1, 2, 3], "m8[Y]"), "m8[D]", "are no timedelta64"),
        ([1, 2**60, 3], "M8[Y]", "row 1 has"),
        ([1, -(2**63), 3], "m8[s]", "row 1 has"),
        ([1, 1.7, 3], "M8[s]", r"row 1 has 1\.7, but whole numbers"),
        (np.array([1, 2**64 - 1, 3], np.uint64), "M8[s]", "row 1 has"),
        (["2020-01-01", "2020-01-01T05", "2020-01-01"], "M8[D]", "row 1 has"),
        (["2020-01-01", "2020-01-01T05+02:00", "2020-01-01"], "M8[s]", "time zone would lose it"),
        (pd.to_datetime(["2020", "2021", "2022"], utc=True), "i8", "zone 'UTC' would lose it"),
        (pd.to_datetime(["2020", "2021", "2022"], utc=True), "U30", "zone 'UTC' would lose it"),
        ([1, 2**60 + 1, 3], "f8", "row 1 has .*float64 holds exactly"),
        ([1, 2**53 + 1, 3], "f4", "row 1 has .*float32 holds exactly"),
        ([1, 2**63 - 1, 3], "f8", "row 1 has"),
        ([1, 70000, 3], "f2", "row 1 has"),
        (["1", str(2**53 + 1), "3"], "f8", "row 1 has"),
        (["1", "1e400", "3"], "f8", "row 1 has '1e400'"),
        (["1", str(2**63), "3"], "i8", "row 1 has"),
        (["1", "-1", "3"], "u8", "row 1 has '-1'"),
        (["1", "2", "0"], "bool", "row 1 has '2', but whole numbers from 0 to 1"),
        (["a", "b\0", "c"], "U2", "row 1 has"),
        ([1, 2, 3], "c8", "^dtype: .*complex64 cannot be stored"),
        ([1, 2, 3], "g", "^dtype: .*more than 64 bits"),
        ([1, 2, 3], object, "^dtype: .*object cannot be stored"),
        ([1, 2, 3], np.dtypes.StringDType(), "^dtype: .*StringDType.* cannot be stored"),
        ([1, 2, 3], "V3", r"^dtype: .*\|V3 cannot be stored"),
        ([1, 2, 3], "i4,i4", "^dtype: .*cannot be stored"),
        ([1, 2, 3], "(2,)f4", "^dtype: .*cannot be stored"),
        ([1, 2, 3], "M8", "^dtype: .*generic"),
    ],
)
def test_values_are_not_cast_to_others(values: Any, dtype: Any, message: str) -> None:
    path = place()
    write_points(path, np.eye(3), chunk_shape=50)
    with pytest.raises(ArgumentError, match=message):
        edit.add_attribute(path, "k", values, dtype=dtype)
    assert read_points(path).attributes == {}


def test_values_that_fit_are_cast() -> None:
    path = place()
    write_points(path, np.eye(3), chunk_shape=50)
    given: dict[str, tuple[Any, Any]] = {
        "whole": ([1.0, -128.0, 127.0], "int8"),
        "big": (np.array([0, 2.0**63, 1]), "uint64"),
        "flag": ([0, 1.0, 1], "bool"),
        "single": ([np.inf, np.nan, 0.1], "float32"),
        "text": (["1", "2", "3"], "int16"),
        "gaps": ([None, 1.0, 2.0], "float64"),
        "most": ([str(2**63 - 1), "0", str(-(2**63))], "int64"),
        "unsigned": ([str(2**64 - 1), "0", "1"], "uint64"),
        "exact": ([2**60, -(2**63), 2**53 - 1], "float64"),
        "spelled": (["inf", "nan", "0.1"], "float32"),
        "counts": ([0, 1, -1], "M8[s]"),
        "days": (np.array(["2020-01-01T00", "NaT", "1969-12-31T00"], "M8[h]"), "M8[D]"),
        "fine": (np.array(["2020", "NaT", "1969"], "M8[s]"), "M8[ns]"),
        "steps": (np.array([1, 2, 3], "m8[s]"), "i1"),
    }
    for name, (values, dtype) in given.items():
        edit.add_attribute(path, name, values, dtype=dtype)
        stored = read_points(path).attributes[name]
        assert stored.dtype == dtype
        np.testing.assert_array_equal(stored, np.asarray(values).astype(dtype))


def test_flags_and_zones_outlast_casts() -> None:
    path = place()
    write_points(path, np.eye(3), chunk_shape=50)
    edit.add_attribute(path, "flag", ["0", "1", "0"], dtype="bool")
    assert read_points(path).attributes["flag"].tolist() == [False, True, False]
    when = pd.Series(pd.to_datetime(["2020-01-01T12:00:05", None, "2021-07-01T00:00:00"])).dt.tz_localize(
        "Europe/Berlin"
    )
    edit.add_attribute(path, "when", when, dtype="M8[s]")
    edit.set_attribute(path, "when", when[2], rows=[0, 1], dtype="M8[s]")
    found = read_points(path).to_pandas()["when"]
    assert str(found.dtype) == "datetime64[s, Europe/Berlin]"
    assert (found == when[2]).all()
    edit.set_attribute(path, "flag", "1", rows=[0], dtype="bool")
    assert read_points(path).attributes["flag"].tolist() == [True, True, False]
    with pytest.raises(ArgumentError, match="inhomogeneous"):
        edit.set_attribute(path, "flag", [[1, 2], [1]], rows=[0, 1], dtype="i4")
    edit.set_attribute(path, "flag", np.array(["NaT", "2020", "2021"], "M8[Y]"), dtype="U8")
    assert read_points(path).attributes["flag"].tolist() == [None, "2020", "2021"]


@REVISIONS
def test_what_is_said_of_an_attribute_stays(revision: str) -> None:
    path = place()
    said = {"unit": "metre", "description": "where it goes", "channel_names": ("u", "v")}
    write_points(
        path,
        np.eye(3) + 1,
        chunk_shape=50,
        attributes={"flow": np.zeros((3, 2))},
        attribute_specs={"flow": said},
        format_version=revision,
    )

    def spec() -> dict[str, Any]:
        found = open_reader(path).level(0).arrays.vertex_attributes["flow"].spec
        return {key: getattr(found, key) for key in said}

    first = spec()
    assert first == said
    edit.set_attribute(path, "flow", np.ones((3, 2)))
    assert spec() == first
    edit.set_attribute(path, "flow", 5.0, rows=[1])
    assert spec() == first
    edit.set_attribute(path, "flow", 6.0, rows=[1], spec={"unit": "inch"})
    assert spec() == first | {"unit": "inch"}
    edit.set_attribute(path, "flow", np.ones((3, 2)), spec={"channel_names": ("a", "b")})
    assert spec() == first | {"unit": "inch", "channel_names": ("a", "b")}
    edit.set_attribute(path, "flow", np.ones((3, 3)))
    assert spec() == first | {"unit": "inch", "channel_names": ("ch0", "ch1", "ch2")}
    with pytest.raises(ShapeError, match="'flow' has 3 channels, but 2 channel names"):
        edit.set_attribute(path, "flow", 1.0, rows=[0], spec={"channel_names": ("a", "b")})
    edit.set_attribute(path, "flow", np.arange(3.0))
    assert spec() == first | {"unit": "inch", "channel_names": None}
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("objects", [False, True])
@REVISIONS
def test_dates_that_are_not_given_are_missing(revision: str, objects: bool) -> None:
    path, days = place(), np.array(["2020-01-01", "2021-06-07"], "M8[s]")
    described: dict[str, Any] = {"object_ids": [0, 1], "object_attributes": {"born": days}} if objects else {}
    write_points(path, np.eye(3)[:2], chunk_shape=50, attributes={"seen": days}, format_version=revision, **described)
    edit.append_vertices(path, [[0.5, 0.5, 0]])
    found = read_points(path)
    assert found.attributes["seen"].dtype == days.dtype
    assert np.isnat(found.attributes["seen"]).sum() == 1
    if objects:
        level = open_reader(path).level(0)
        born = decode_column(read_column(level, level.arrays.object_attributes["born"]))
        assert np.isnat(born).tolist() == [False, False, True]
    assert validate(path, level=5).is_valid
    write_points(path, np.eye(3)[:2], chunk_shape=50, attributes={"n": [1, 2]}, format_version=revision)
    with pytest.raises(ArgumentError, match=r"'n' \(int64\) declares no value"):
        edit.append_vertices(path, [[0.5, 0.5, 0]])


@REVISIONS
def test_boxes_of_a_mesh_find_faces_by_their_middle_after_edits(revision: str) -> None:
    path, rng = place(), np.random.default_rng(6)
    start("mesh", revision, path, 6)
    edit.delete_objects(path, [2])
    count = len(read_mesh(path).vertices)
    edit.move_vertices(path, rng.uniform(0, 100, (9, 3)), rows=rng.choice(count, 9, replace=False))
    edit.add_links(path, [rng.choice(count, 3, replace=False) for _ in range(12)], attributes={"mark": np.arange(12.0)})
    edit.remove_links(path, [0, 5])
    edit.replace_objects(
        path, rng.uniform(0, 100, (4, 3)), 4, attributes={"tag": np.arange(90, 94)}, links=[[0, 2, 1], [3, 1, 2]],
        link_attributes={"mark": [7.0, 8.0]},
    )  # fmt: skip
    edit.append_vertices(path, rng.uniform(0, 100, (2, 3)), attributes={"tag": [95, 96]}, object_ids=50,
                         object_attributes={"weight": [1.0]})  # fmt: skip
    whole = read_mesh(path)
    corners = whole.vertices[whole.faces]
    middle = corners.mean(axis=1)
    for _ in range(12):
        low = rng.uniform(0, 60, 3)
        high = low + rng.uniform(20, 60, 3)
        inside = ((middle >= low) & (middle < high)).all(axis=1)
        found = read_mesh(path, bbox=(low, high))
        got = sorted(zip(found.vertices[found.faces].tolist(), found.face_attributes["mark"].tolist(), strict=True))
        assert got == sorted(zip(corners[inside].tolist(), whole.face_attributes["mark"][inside].tolist(), strict=True))
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("seed", range(4))
@REVISIONS
def test_edges_of_a_skeleton_keep_their_order_when_they_are_described(revision: str, seed: int) -> None:
    path, rng = place(), np.random.default_rng(seed)
    start("skeleton", revision, path, seed)
    tags = see("skeleton", path).tags
    edit.move_vertices(path, rng.uniform(0, 100, (20, 3)), rows=rng.choice(len(tags), 20, replace=False))
    build_pyramid(path, [(2.0, 1.0)], cross_level_storage="explicit")
    edit.remove_links(path, [3, 4])
    edit.refresh_levels(path)
    before = see("skeleton", path)
    counted = counting(path)
    edit.set_attribute(counted, "width", np.arange(len(before.links)), kind="edge")
    edit.set_attribute(path, "age", np.arange(len(before.links)) * 2.0, kind="edge")
    assert not any(address.startswith("0/vertices/") for address in payloads_written(counted))
    after = see("skeleton", path)
    assert (after.tags, after.links) == (before.tags, before.links)
    found = read_graph(path).edge_attributes
    assert found["width"].tolist() == list(range(len(before.links)))
    assert found["age"].tolist() == [2.0 * number for number in range(len(before.links))]
    assert validate(path, level=5).is_valid
    edit.remove_attribute(path, "width", kind="edge")
    assert see("skeleton", path).links == before.links


@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_positions_keep_their_precision(tmp_path: Path, revision: str) -> None:
    exact = np.random.default_rng(5).uniform(0, 100, (40, 3)) + 1e-9
    space: dict[str, Any] = {"chunk_shape": 50, "bounds": ([0] * 3, [101] * 3), "dtype": "float64"}
    write_points(tmp_path / "s.zv", exact[:20], object_ids=np.arange(20) // 5, format_version=revision, **space)
    edit.append_vertices(tmp_path / "s.zv", exact[20:30], object_ids=np.full(10, 9))
    edit.replace_objects(tmp_path / "s.zv", exact[30:40], np.full(10, 0))
    edit.move_vertices(tmp_path / "s.zv", read_points(tmp_path / "s.zv").positions)
    found = read_points(tmp_path / "s.zv").positions
    assert found.dtype == np.float64
    expected = np.concatenate([exact[5:20], exact[20:30], exact[30:40]])
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))


@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_attributes_of_objects_change_their_number_of_channels(revision: str, tmp_path: Path) -> None:
    """On a disk, where there is no file in the place of a folder."""
    place, positions = tmp_path / "s.zv", np.random.default_rng(0).uniform(0, 9, (30, 3))
    write_points(place, positions, object_ids=np.arange(30) % 3, format_version=revision)
    for values in (np.ones((3, 1)), np.arange(3.0), np.ones((3, 2)), np.array(["a", "b", "c"])):
        edit.set_attribute(place, "b", values, kind="object")
        level = open_reader(place).level(0)
        stored = decode_column(read_column(level, level.arrays.object_attributes["b"]))
        assert stored.tolist() == values.tolist()
        assert validate(place, level=5).is_valid
