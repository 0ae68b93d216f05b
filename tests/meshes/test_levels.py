"""Coarse levels of meshes: faces stay, closed surfaces stay closed, attributes and objects come along."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.meshes.surfaces import REVISIONS, icosphere, is_watertight, tetrahedra, torus
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.multiresolution.faces import contract_faces
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.validate import validate


@settings(max_examples=30)
@given(
    st.sampled_from(["torus", "quads", "sphere"]),
    st.floats(4, 60),
    st.integers(1, 4),
    st.lists(st.integers(2, 12), min_size=1, max_size=2, unique=True).map(sorted),
    st.floats(-500, 500),
    st.sampled_from(REVISIONS),
)
def test_closed_surfaces_stay_closed(
    kind: str, chunk: float, bins: int, folds: list[int], shift: float, revision: str
) -> None:
    vertices, faces = icosphere(3) if kind == "sphere" else torus(40, 16, quads=kind == "quads")
    path = "memory://closed"
    write_mesh(
        path,
        vertices + np.float32(shift),
        faces,
        chunk_shape=chunk,
        bin_shape=chunk / bins,
        closed_surface=True,
        format_version=revision,
    )
    build_pyramid(path, [(fold, 1) for fold in folds])
    for level, fold in enumerate(folds, start=1):
        found = read_mesh(path, level=level)
        assert is_watertight(found.faces)
        bin_shape = np.float64(chunk) / bins * fold
        fine = np.floor(np.float64(vertices + np.float32(shift)) / bin_shape)
        assert found.vertex_count == len(np.unique(fine, axis=0))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.booleans())
def test_folding_keeps_the_boundary(seed: int, cyclic: bool) -> None:
    """However vertices merge, the edges on the rim of what is left are those of what was there."""
    rng = np.random.default_rng(seed)
    faces = torus(7, 5, quads=cyclic)[1]
    faces = faces[rng.random(len(faces)) < 0.9]
    merged = rng.integers(0, rng.integers(2, 30), 35)
    left, _ = contract_faces(merged[faces], {}, {}, cyclic=cyclic)
    np.testing.assert_array_equal(rim(merged[faces]), rim(left))


def rim(faces: Any) -> Any:
    """Return how often every edge is used in its direction more than in the other."""
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    net = np.zeros((35, 35), int)
    np.add.at(net, (ends[:, 0], ends[:, 1]), 1)
    return net - net.T


def test_opposite_faces_cancel_and_the_rest_is_aggregated() -> None:
    faces = np.array([[0, 1, 2], [2, 1, 0], [1, 2, 0], [3, 3, 1], [4, 5, 6], [5, 6, 4], [-1, 2, 3]])
    area = Column(np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]), AttributeSpec(dtype="float64"))
    left, columns = contract_faces(faces, {"area": area}, {"area": "sum"})
    assert left.tolist() == [[0, 1, 2], [4, 5, 6], [5, 6, 4]]
    assert columns["area"].values.tolist() == [5.0, 48.0, 48.0]


def test_quads_that_lose_an_edge_are_triangles() -> None:
    faces = np.array([[0, 1, 1, 2], [3, 3, 4, 5], [6, 7, 6, 8], [9, 9, 10, 10], [11, 12, 13, 14], [2, 0, 1, 1]])
    left, _ = contract_faces(faces, {}, {}, cyclic=True)
    assert left.tolist() == [[2, 0, 1, 1], [4, 5, 3, 3], [11, 12, 13, 14], [2, 0, 1, 1]]


def test_tetrahedra_that_go_flat_are_dropped() -> None:
    vertices, cells = tetrahedra(4)
    path = "memory://volume"
    write_mesh(path, vertices, cells, chunk_shape=20, bin_shape=10, face_shape="tetrahedron")
    build_pyramid(path, [(2, 1)])
    found = read_mesh(path, level=1)
    assert found.face_count > 0
    assert all(len(set(cell)) == 4 for cell in found.faces.tolist())
    assert volume(found.vertices, found.faces) == pytest.approx(np.prod(np.ptp(found.vertices, axis=0)))


def volume(vertices: Any, cells: Any) -> float:
    edges = vertices[cells[:, 1:]].astype(float) - vertices[cells[:, :1]]
    return float(np.abs(np.linalg.det(edges).sum() / 6)) if len(cells) else 0.0


@pytest.mark.parametrize("revision", REVISIONS)
def test_objects_attributes_groups_and_links_come_along(revision: str) -> None:
    parts = [icosphere(2, centre=(70 * k, 0, 0)) for k in range(4)]
    path = "memory://along"
    write_mesh(
        path,
        [v for v, _ in parts],
        [f for _, f in parts],
        object_ids=[3, 10, 11, 400],
        attributes={"x": [v[:, 0] for v, _ in parts]},
        face_attributes={"part": [np.full(len(f), k) for k, (_, f) in enumerate(parts)]},
        object_attributes={"size": [1.0, 2.0, 3.0, 4.0]},
        groups={"odd": [3, 11]},
        chunk_shape=20,
        bin_shape=5,
        format_version=revision,
    )
    built = build_pyramid(
        path, [(2, 1), (8, 2)], sparsity_strategy="attribute:size", cross_level_storage="explicit", cross_level_depth=2
    )
    assert built.levels[1].chunk_shape == (40, 40, 40)
    report = validate(path, level=5)
    assert report.is_valid, report.errors
    for level, ids in ((1, [3, 10, 11, 400]), (2, [11, 400])):
        found = read_mesh(path, level=level)
        assert sorted(set(found.object_ids)) == ids
        assert is_watertight(found.faces)
        np.testing.assert_allclose(found.attributes["x"], found.vertices[:, 0], rtol=1e-5)
        np.testing.assert_array_equal(
            found.face_attributes["part"], np.searchsorted([3, 10, 11, 400], found.object_ids)[found.faces[:, 0]]
        )
        assert set(read_mesh(path, level=level, group_ids="odd").object_ids) == set(ids) & {3, 11}
        pairs = read_cross_level_links(path, 0, level)
        fine = read_mesh(path)
        np.testing.assert_array_equal(fine.object_ids[pairs[:, 0]], found.object_ids[pairs[:, 1]])
        mean = np.zeros((found.vertex_count, 3))
        np.add.at(mean, pairs[:, 1], fine.vertices[pairs[:, 0]])
        mean /= np.bincount(pairs[:, 1])[:, None]
        np.testing.assert_allclose(mean, found.vertices, atol=1e-4)
        down = read_cross_level_links(path, level, -level)
        assert sorted(down[:, ::-1].tolist()) == sorted(pairs.tolist())


def test_one_coarse_object_costs_its_own_chunks() -> None:
    parts = [icosphere(2, centre=(100 * k, 0, 0)) for k in range(3)]
    path = "memory://coarse"
    write_mesh(path, [v for v, _ in parts], [f for _, f in parts], chunk_shape=25, bin_shape=5)
    build_pyramid(path, [(2, 1)])
    found = read_mesh(path, level=1, object_ids=[1])
    assert is_watertight(found.faces)
    assert set(found.object_ids) == {1}
    boxed = read_mesh(path, level=1, bbox=([60, -50, -50], [150, 50, 50]))
    assert boxed.face_count == found.face_count
