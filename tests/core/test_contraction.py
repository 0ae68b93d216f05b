"""Shrinking the bounds of stores of every kind: what is left is what a filter of all that was there leaves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.every_kind import KINDS, files, mesh, polylines, skeleton, write_kind
from tests.meshes.surfaces import icosphere
from zarr_vectors.core.store import open_store, read_level_metadata, read_root_metadata, set_bounds
from zarr_vectors.exceptions import UnsupportedFeatureError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.objects import read_groups
from zarr_vectors.read.opening import open_reader
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.testing.storage import FailingStorage, SimulatedCrashError
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

REVISIONS = ("0.9", "0.7")
NEW = ((-30.0, -35.0, -40.0), (40.0, 47.0, 65.0))

Corners = tuple[tuple[float, ...], tuple[float, ...]]


def within(positions: Any, bounds: Corners) -> Any:
    return ((positions >= bounds[0]) & (positions <= bounds[1])).all(axis=-1)


def rows(*columns: Any) -> list[Any]:
    """Return rows of several columns in an order that does not depend on how they were stored."""
    return sorted(zip(*(map(_hashable, column) for column in columns), strict=True))


def _hashable(value: Any) -> Any:
    return tuple(value.ravel().tolist()) if isinstance(value, np.ndarray) else value


def level_of(kind: str, path: Path, level: int, bounds: Corners) -> Any:
    """Read a level in plain lists, without what lies outside bounds and what it takes with it."""
    if kind.endswith(("points", "objects")):
        found = read_points(path, level=level)
        inside = within(found.positions, bounds)
        ids = np.zeros(len(inside)) if found.object_ids is None else found.object_ids
        columns = [found.attributes[name][inside] for name in sorted(found.attributes)]
        return rows(found.positions[inside], ids[inside], *columns)
    if kind.endswith("polylines"):
        walks = read_polylines(path, level=level)
        parts = zip(walks.object_ids, walks.polylines, walks.split("n"), strict=True)
        left = [(i, p[within(p, bounds)].tolist(), n[within(p, bounds)].tolist()) for i, p, n in parts]
        return [path for path in left if path[1] or level == 0]
    if kind == "lines":
        segments = read_lines(path, level=level)
        inside = within(segments.endpoints, bounds).all(axis=1)
        return rows(segments.object_ids[inside], segments.endpoints[inside])
    linked = read_mesh(path, level=level) if kind == "mesh" else read_graph(path, level=level)
    positions = linked.vertices if kind == "mesh" else linked.positions
    links = linked.faces if kind == "mesh" else linked.edges
    named = linked.face_attributes if kind == "mesh" else linked.edge_attributes
    inside = within(positions, bounds)
    stays = inside[links].all(axis=1)
    nodes = rows(positions[inside], linked.attributes["n"][inside], linked.object_ids[inside])
    return nodes, rows(positions[links[stays]], *(named[name][stays] for name in sorted(named)))


def cross_links(path: Path, bounds: Corners) -> Any:
    """Return the links between levels 0 and 1, both ways, by positions."""
    found = []
    store = open_reader(path)
    positions = [read_chunks(store.level(n), np.arange(len(store.level(n).chunks))).positions for n in range(2)]
    for level, delta in ((0, 1), (1, -1)):
        pairs = read_cross_level_links(path, level, delta)
        here, there = positions[level][pairs[:, 0]], positions[level + delta][pairs[:, 1]]
        stays = within(here, bounds) & within(there, bounds)
        found.append(rows(here[stays], there[stays]))
    return found


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_left_is_what_lies_inside(tmp_path: Path, kind: str, revision: str) -> None:
    path = tmp_path / "a.zv"
    write_kind(kind, path, levels=1, format_version=revision)
    expected = [level_of(kind, path, level, NEW) for level in range(2)]
    crossing = cross_links(path, NEW)
    groups = read_groups(open_reader(path).level(0))
    root = open_store(path, "r+")
    counts = [read_level_metadata(root, level).vertex_count for level in range(2)]
    summary = set_bounds(root, NEW, force=True)
    assert read_root_metadata(root).bounds == NEW
    assert [level_of(kind, path, level, NEW) for level in range(2)] == expected
    everything = ((-np.inf,) * 3, (np.inf,) * 3)
    assert [level_of(kind, path, level, everything) for level in range(2)] == expected
    if kind != "lines":  # of which more goes than what is outside
        assert cross_links(path, everything) == crossing
    for level, count in enumerate(counts):
        left = read_level_metadata(root, level).vertex_count
        assert left is not None
        assert count is not None
        assert 0 < left == count - summary["vertices_removed"][level]
    left_groups = read_groups(open_reader(path).level(0))
    assert (groups is None) == (left_groups is None)
    if groups is not None and left_groups is not None:
        assert np.array_equal(left_groups.members, groups.members)
    report = validate(path, level=5)
    assert report.is_valid, report.summary()
    again = set_bounds(root, NEW)
    assert again == {"vertices_removed": {}, "links_removed": {}, "objects_emptied": 0}


@settings(max_examples=10)
@given(
    kind=st.sampled_from(list(KINDS)),
    revision=st.sampled_from(REVISIONS),
    corners=st.lists(st.lists(st.integers(-45, 65), min_size=2, max_size=2, unique=True), min_size=3, max_size=3),
)
def test_any_bounds(
    tmp_path_factory: pytest.TempPathFactory, kind: str, revision: str, corners: list[list[int]]
) -> None:
    path = tmp_path_factory.mktemp("law") / "a.zv"
    write_kind(kind, path, format_version=revision)
    low, high = (tuple(float(pick(pair)) for pair in corners) for pick in (min, max))
    expected = level_of(kind, path, 0, (low, high))
    set_bounds(open_store(path, "r+"), (low, high), force=True)
    assert level_of(kind, path, 0, ((-np.inf,) * 3, (np.inf,) * 3)) == expected
    report = validate(path, level=5)
    assert report.is_valid, report.summary()


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_store_may_lose_everything(tmp_path: Path, kind: str, revision: str) -> None:
    path = tmp_path / "a.zv"
    write_kind(kind, path, format_version=revision)
    summary = set_bounds(open_store(path, "r+"), ([100] * 3, [120] * 3), force=True)
    assert summary["vertices_removed"][0] > 0
    assert read_level_metadata(open_store(path), 0).vertex_count == 0
    report = validate(path, level=5)
    assert report.is_valid, report.summary()
    if kind.endswith("polylines"):
        assert summary["objects_emptied"] == read_polylines(path).polyline_count == 6
        assert read_polylines(path).object_attributes["weight"].tolist() == list(range(6))


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("gone", [False, True])
def test_paths_without_an_index_keep_their_ids(tmp_path: Path, revision: str, gone: bool) -> None:
    path = tmp_path / "a.zv"
    walks = [np.array([[1.0, 1], [2, 2], [3, 3]]), np.array([[8.0, 8], [9, 9]]), np.array([[2.0, 8], [3, 2]])]
    weights = {"weight": [1.0, 2.0, 3.0]}
    more: dict[str, Any] = {"object_index_convention": "identity", "format_version": revision}
    write_polylines(path, walks, object_attributes=weights, bounds=([0, 0], [10, 10]), **more)
    low = 20.0 if gone else 0.0
    set_bounds(open_store(path, "r+"), ([low, low], [low + 5, low + 5]), force=True)
    found = read_polylines(path)
    expected: list[Any] = [[], [], []] if gone else [[[1, 1], [2, 2], [3, 3]], [], [[3, 2]]]
    assert [part.tolist() for part in found.polylines] == expected
    assert found.object_ids.tolist() == [0, 1, 2]
    assert found.object_attributes["weight"].tolist() == weights["weight"]
    report = validate(path, level=5)
    assert report.is_valid, report.summary()


def test_a_path_that_comes_back_to_a_place(tmp_path: Path) -> None:
    path = tmp_path / "a.zv"
    walk = np.array([[9.0, 1], [11, 8], [9, 1], [11, 1]])
    write_polylines(path, [walk], chunk_shape=10.0, bounds=([0, 0], [20, 10]), cross_chunk_strategy="both")
    set_bounds(open_store(path, "r+"), ([0, 0], [20, 5]), force=True)
    assert read_polylines(path).positions.tolist() == walk[[0, 2, 3]].tolist()
    assert validate(path, level=5).is_valid


def test_paths_that_share_fragments(tmp_path: Path) -> None:
    path = tmp_path / "a.zv"
    trunk = np.stack([np.arange(30.0), np.arange(30.0) % 7], axis=1)
    walks = [trunk, trunk[5:], np.concatenate([trunk[:12], trunk[:3]])]
    write_polylines(path, walks, chunk_shape=10.0, bounds=([0, 0], [30, 10]), share_fragments=True)
    set_bounds(open_store(path, "r+"), ([0, 0], [30, 4]), force=True)
    found = read_polylines(path)
    assert [p.tolist() for p in found.polylines] == [w[w[:, 1] <= 4].tolist() for w in walks]
    report = validate(path, level=5)
    assert report.is_valid, report.summary()


def test_surfaces_are_not_called_closed_any_more_and_trees_stay_trees(tmp_path: Path) -> None:
    skeleton(tmp_path / "s.zv", is_tree=None)
    mesh(tmp_path / "m.zv", closed_surface=None)
    for name in ("s.zv", "m.zv"):
        root = open_store(tmp_path / name, "r+")
        assert set_bounds(root, NEW, force=True)["links_removed"][0] > 0
        block = root.attrs["zarr_vectors"]
        assert block.get("graph", {}).get("is_tree") is (True if name == "s.zv" else None)
        assert "closed_surface" not in block.get("mesh", {})


def test_only_levels_that_may_be_others_are_stale(tmp_path: Path) -> None:
    polylines(tmp_path / "a.zv")
    build_pyramid(tmp_path / "a.zv", [(2.0, 1.0)])
    root = open_store(tmp_path / "a.zv", "r+")
    set_bounds(root, ([-41, -41, -41], [65, 65, 65]), force=True)
    set_bounds(root, ([-40, -40, -40], [65, 65, 65]), force=True)
    assert not read_level_metadata(root, 1).stale
    set_bounds(root, NEW, force=True)
    assert [read_level_metadata(root, level).stale for level in range(2)] == [False, True]


def test_draco_is_not_rounded_again(tmp_path: Path) -> None:
    pytest.importorskip("DracoPy")
    vertices, faces = icosphere()
    write_mesh(tmp_path / "a.zv", vertices, faces, chunk_shape=25.0, use_draco=True)
    before = files(tmp_path / "a.zv")
    with pytest.raises(UnsupportedFeatureError, match="Draco"):
        set_bounds(open_store(tmp_path / "a.zv", "r+"), ([-10] * 3, [10] * 3), force=True)
    assert files(tmp_path / "a.zv") == before


def test_a_death_leaves_the_old_store_or_the_new_one(tmp_path: Path) -> None:
    smaller = ([5, 0], [40, 32])
    original = tmp_path / "original.zv"
    positions = np.random.default_rng(0).uniform(0, 40, (20, 2))
    edges = np.stack([np.arange(19), np.arange(1, 20)], axis=1)
    write_graph(original, positions, edges, chunk_shape=20.0, bounds=([0, 0], [40, 40]))
    build_pyramid(original, [(2.0, 1.0)], cross_level_storage="implicit")
    counted = tmp_path / "counted.zv"
    shutil.copytree(original, counted)
    counter = FailingStorage(LocalStorage(counted))
    set_bounds(open_store(counter, "r+"), smaller, force=True)
    old, new = files(original), files(counted)
    for moment in range(1, counter.operations + 1, max(1, counter.operations // 12)):
        path = tmp_path / f"{moment}.zv"
        shutil.copytree(original, path)
        with pytest.raises(SimulatedCrashError):
            set_bounds(open_store(FailingStorage(LocalStorage(path), fail_at=moment), "r+"), smaller, force=True)
        for lock in path.glob(".zv-lock/*"):
            lock.unlink()
        open_store(path, "r+")
        left = {address: data for address, data in files(path).items() if not address.startswith(".zv")}
        assert left in (old, new)
        shutil.rmtree(path)
