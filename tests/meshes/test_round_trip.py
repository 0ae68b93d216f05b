"""What is written comes back: whole meshes, boxes, objects, groups, chunks, in both revisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.meshes.surfaces import REVISIONS, icosphere, tetrahedra, torus, wound
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.validate import validate


def meshes(draw: Any) -> tuple[Any, Any]:
    kind = draw(st.sampled_from(["torus", "quads", "sphere", "tetrahedra", "soup"]))
    if kind == "sphere":
        return icosphere(draw(st.integers(0, 2)))
    if kind == "tetrahedra":
        return tetrahedra(draw(st.integers(1, 3)))
    if kind == "soup":
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        vertices = rng.uniform(-50, 50, (30, draw(st.integers(1, 4)))).astype(np.float32)
        return vertices, np.array([rng.permutation(30)[:3] for _ in range(draw(st.integers(0, 60)))], int).reshape(
            -1, 3
        )
    return torus(draw(st.integers(3, 16)), draw(st.integers(3, 9)), quads=kind == "quads")


@settings(max_examples=40)
@given(st.data())
def test_any_mesh_on_any_grid(data: st.DataObject) -> None:
    vertices, faces = meshes(data.draw)
    ids = np.random.default_rng(1).choice([3, 5, 10**12], len(vertices))
    chunk = data.draw(st.floats(3, 100))
    path = "memory://any-mesh"
    write_mesh(
        path,
        vertices,
        faces,
        chunk_shape=chunk,
        bin_shape=chunk / data.draw(st.integers(1, 3)),
        object_ids=ids,
        attributes={"row": np.arange(len(vertices))},
        face_attributes={"face": np.arange(len(faces)), "two": np.stack([faces[:, 0], faces[:, 1]], axis=1)},
        store=data.draw(st.sampled_from(["canonical", "duplicate"])),
        format_version=data.draw(st.sampled_from(REVISIONS)),
    )
    everything = read_mesh(path)
    row = everything.attributes["row"]
    assert sorted(row) == list(range(len(vertices)))
    np.testing.assert_array_equal(everything.vertices, vertices[row])
    np.testing.assert_array_equal(everything.object_ids, ids[row])
    assert_faces(everything, vertices, faces, np.arange(len(faces)))
    mine = read_mesh(path, object_ids=[5])
    assert_faces(mine, vertices, faces, np.flatnonzero((ids[faces] == 5).all(axis=1)))
    assert sorted(mine.attributes["row"]) == np.flatnonzero(ids == 5).tolist()
    low = data.draw(st.floats(-40, 20))
    box = (np.full(vertices.shape[1], low), np.full(vertices.shape[1], low + data.draw(st.floats(1, 60))))
    inside = ((centroids(vertices, faces) >= box[0]) & (centroids(vertices, faces) < box[1])).all(axis=1)
    found = read_mesh(path, bbox=box)
    assert_faces(found, vertices, faces, np.flatnonzero(inside))
    assert found.vertex_count == len(np.unique(faces[inside]))


def centroids(vertices: Any, faces: Any) -> Any:
    corners = vertices[faces].astype(np.float64)
    return np.clip(corners.mean(axis=1), corners.min(axis=1), corners.max(axis=1))


def assert_faces(found: Any, vertices: Any, faces: Any, numbers: Any) -> None:
    """Every face once, its own vertices in its own order, its attributes beside it."""
    assert found.face_count == len(numbers)
    if not len(numbers):
        return
    face = found.face_attributes["face"]
    assert sorted(face) == numbers.tolist()
    np.testing.assert_array_equal(found.vertices[found.faces], vertices[faces[face]])
    np.testing.assert_array_equal(found.face_attributes["two"], faces[face][:, :2])


@pytest.mark.parametrize("revision", REVISIONS)
def test_input_order_can_be_restored(tmp_path: Path, revision: str) -> None:
    vertices, faces = torus()
    write_mesh(tmp_path / "m", vertices, faces, chunk_shape=20, bin_shape=10, keep_order=True, format_version=revision)
    found = read_mesh(tmp_path / "m", restore_order=True)
    np.testing.assert_array_equal(found.vertices, vertices)
    np.testing.assert_array_equal(found["faces"], faces)


@pytest.mark.parametrize("revision", REVISIONS)
def test_lists_of_meshes(tmp_path: Path, revision: str) -> None:
    parts = [icosphere(1, centre=(50 * k, -30, 7)) for k in range(3)]
    summary = write_mesh(
        tmp_path / "m",
        [v for v, _ in parts],
        [f for _, f in parts],
        object_ids=[7, 2, 40],
        attributes={"k": [np.full(len(v), k) for k, (v, _) in enumerate(parts)]},
        object_attributes={"volume": [2.0, 7.0, 40.0]},
        groups={"outer": [7, 40]},
        chunk_shape=25,
        bin_shape=25,
        closed_surface=True,
        format_version=revision,
    )
    assert (summary.object_count, summary.face_count) == (3, 240)
    for number, (vertices, faces) in zip((7, 2, 40), parts, strict=True):
        found = read_mesh(tmp_path / "m", object_ids=[number])
        assert wound(found.vertices, found.faces) == wound(vertices, faces)
    named = read_mesh(tmp_path / "m", group_ids="outer", attribute_filter={"volume": (10, 100)})
    assert set(named.object_ids) == {40}
    assert set(named.attributes["k"]) == {2}
    assert (named.closed_surface, named.winding_order) == (True, "ccw")
    report = validate(str(tmp_path / "m"), level=5)
    assert report.is_valid, report.errors


@pytest.mark.parametrize("revision", REVISIONS)
def test_append_keeps_what_was_there(tmp_path: Path, revision: str) -> None:
    first, second = icosphere(1), icosphere(2, centre=(60, 0, 0))
    arguments: dict[str, Any] = {"chunk_shape": 15, "bin_shape": 15, "format_version": revision}
    write_mesh(tmp_path / "m", *first, face_attributes={"a": np.zeros(80)}, closed_surface=True, **arguments)
    summary = write_mesh(
        tmp_path / "m",
        *second,
        face_attributes={"a": np.ones(320)},
        mode="a",
        out_of_bounds="expand",
        closed_surface=True,
    )
    assert (summary.face_count, summary.object_count) == (400, 2)
    for number, mesh in enumerate((first, second)):
        found = read_mesh(tmp_path / "m", object_ids=[number])
        assert wound(found.vertices, found.faces) == wound(*mesh)
        assert set(found.face_attributes["a"]) == {float(number)}
    assert read_mesh(tmp_path / "m").closed_surface is True


def test_chunks_and_whole_agree(tmp_path: Path) -> None:
    vertices, faces = torus()
    write_mesh(tmp_path / "m", vertices, faces, chunk_shape=20, bin_shape=20, dtype=np.float64)
    chunk = np.floor(vertices.astype(np.float64) / 20).astype(int)
    wanted = [(0, 1, -1), (1, 0, 0)]
    mask = np.array([tuple(c) in wanted for c in chunk.tolist()])
    found = read_mesh(tmp_path / "m", chunks=wanted)
    assert found.vertex_count == mask.sum()
    assert wound(found.vertices, found.faces) == wound(vertices, faces[mask[faces].all(axis=1)])


@pytest.mark.parametrize("revision", REVISIONS)
def test_nothing_at_all(tmp_path: Path, revision: str) -> None:
    arguments: dict[str, Any] = {"chunk_shape": 10, "bin_shape": 10, "format_version": revision}
    write_mesh(tmp_path / "none", np.zeros((0, 3)), np.zeros((0, 3), int), **arguments)
    assert read_mesh(tmp_path / "none").vertex_count == 0
    write_mesh(tmp_path / "loose", np.ones((5, 3)), np.zeros((0, 4), int), **arguments)
    found = read_mesh(tmp_path / "loose")
    assert (found.vertex_count, found.face_count) == (5, 0)
    assert read_mesh(tmp_path / "loose", bbox=([0] * 3, [5] * 3)).vertex_count == 0
