"""Graphs, skeletons and meshes without an object index: objects are the fragments of the only chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.core.store import create_store
from zarr_vectors.exceptions import ArgumentError, UnknownNameError
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import write_points
from zarr_vectors.validate import validate

REVISIONS = ("0.7", "0.9")


def trees(count: int = 5, size: int = 8) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    positions = [rng.uniform(1, 99, (size + i, 3)).astype(np.float32) for i in range(count)]
    edges = [np.stack([np.arange(1, len(p)), np.arange(len(p) - 1)], axis=1) for p in positions]
    return positions, edges


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["graph", "skeleton"])
def test_graphs_are_found_by_their_number(tmp_path: Path, revision: str, kind: str) -> None:
    positions, edges = trees()
    store = tmp_path / "g.zv"
    write_graph(
        store,
        positions,
        edges,
        geometry_type=kind,
        object_index_convention="identity",
        object_attributes={"v": np.arange(5) * 10},
        groups={"odd": [1, 3]},
        bin_shape=None,
        format_version=revision,
    )
    assert not (store / "0/object_index").exists()
    assert open_reader(store).root.object_index_convention == "identity"
    for number in range(5):
        one = read_graph(store, object_ids=[number])
        assert sorted(map(tuple, one.positions.tolist())) == sorted(map(tuple, positions[number].tolist()))
        assert set(one.object_ids.tolist()) == {number}
        assert one.edge_count == len(edges[number])
    assert set(read_graph(store, group_ids="odd").object_ids.tolist()) == {1, 3}
    assert set(read_graph(store, attribute_filter={"v": (20, 40)}).object_ids.tolist()) <= {2, 3, 4}
    whole = read_graph(store)
    assert np.bincount(whole.object_ids).tolist() == [len(p) for p in positions]
    box = read_graph(store, bbox=([0, 0, 0], [50, 100, 100]))
    assert box.node_count == sum(int((p[:, 0] < 50).sum()) for p in positions)
    with pytest.raises(UnknownNameError, match=r"no object 5 \(5 objects\)"):
        read_graph(store, object_ids=[5])
    report = validate(store, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("revision", REVISIONS)
def test_meshes_append_coarsen_and_move_to_another_revision(tmp_path: Path, revision: str) -> None:
    rng = np.random.default_rng(1)
    vertices = [rng.uniform(1, 99, (6, 3)).astype(np.float32) for _ in range(4)]
    faces = [np.array([[0, 1, 2], [2, 3, 4], [3, 4, 5]])] * 4
    store, moved = tmp_path / "m.zv", tmp_path / "moved.zv"
    options: dict[str, Any] = {"object_index_convention": "identity", "chunk_shape": 100, "bin_shape": 10}
    write_mesh(store, vertices[:3], faces[:3], bounds=([0] * 3, [100] * 3), format_version=revision, **options)
    build_pyramid(store, [(2, 1)])
    write_mesh(store, vertices[3:], faces[3:], mode="a")
    migrate(store, moved, format_version="0.9" if revision == "0.7" else "0.7")
    for path in (store, moved):
        for number in range(4):
            one = read_mesh(path, object_ids=[number])
            assert sorted(map(tuple, one.vertices.tolist())) == sorted(map(tuple, vertices[number].tolist()))
            assert one.face_count == 3
        assert set(read_mesh(path, level=1).object_ids.tolist()) == {0, 1, 2, 3}
        report = validate(path, level=5)
        assert report.is_valid, report.report()


def test_what_cannot_be_numbered_is_refused(tmp_path: Path) -> None:
    positions, edges = trees()
    for arguments, message in (
        ({"object_ids": [5, 1, 0, 2, 4]}, "object ids 0, 1"),
        ({"chunk_shape": 20}, "exactly one chunk"),
        ({"object_index_convention": "none"}, "expected one of standard, identity"),
    ):
        given = {"object_index_convention": "identity", **arguments}
        with pytest.raises(ArgumentError, match=f"object_index_convention: .*{message}"):
            write_graph(tmp_path / "g.zv", positions, edges, **given)
        assert not (tmp_path / "g.zv").exists()
    forest = [np.array([[1, 0]]), *edges[1:]]
    with pytest.raises(ArgumentError, match="object_index_convention"):
        write_graph(tmp_path / "s.zv", positions, forest, geometry_type="skeleton", object_index_convention="identity")


def test_a_shell_says_it_too(tmp_path: Path) -> None:
    positions, edges = trees()
    space: dict[str, Any] = {"bounds": ([0] * 3, [100] * 3), "chunk_shape": (100,) * 3}
    create_store(tmp_path / "g.zv", object_index_convention="identity", **space)
    write_graph(tmp_path / "g.zv", positions, edges)
    assert not (tmp_path / "g.zv/0/object_index").exists()
    create_store(tmp_path / "p.zv", object_index_convention="identity", **space)
    with pytest.raises(
        ArgumentError, match="object_index_convention 'identity', which point_cloud is not written with"
    ):
        write_points(tmp_path / "p.zv", positions[0])
    with pytest.raises(ArgumentError, match="'standard' given, but the store has 'identity'"):
        write_graph(tmp_path / "g.zv", positions, edges, mode="a", object_index_convention="standard")
