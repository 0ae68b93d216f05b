"""Meshes chunked by a vertex attribute: values, faces, boxes, levels, both revisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.validate import validate


def sheet(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    corners = np.arange(n * n).reshape(n, n)
    a, b, c, d = (part.ravel() for part in (corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return np.stack([x.ravel(), y.ravel(), np.zeros(n * n)], 1).astype(np.float32), faces


def corner_sets(vertices: np.ndarray, faces: np.ndarray) -> set[tuple]:
    return {tuple(sorted(map(tuple, triangle))) for triangle in vertices[faces].tolist()}


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_faces_and_values_come_back(tmp_path: Path, revision: str) -> None:
    vertices, faces = sheet()
    layer = np.array(["inner", "outer"])[(vertices[:, 0] > 5).astype(int)]
    path = tmp_path / "a.zv"
    write_mesh(
        path, vertices, faces, attributes={"layer": layer}, chunk_by_attribute="layer", chunk_shape=6, bin_shape=3,
        format_version=revision,
    )  # fmt: skip
    found = read_mesh(path)
    assert corner_sets(found.vertices, found.faces) == corner_sets(vertices, faces)
    assert (found.attributes["layer"] == np.where(found.vertices[:, 0] > 5, "outer", "inner")).all()
    boxed = read_mesh(path, bbox=([0, 0, -1], [4, 4, 1]))
    centroids = vertices[faces].mean(axis=1)
    inside = ((centroids >= [0, 0, -1]) & (centroids < [4, 4, 1])).all(axis=1)
    assert corner_sets(boxed.vertices, boxed.faces) == corner_sets(vertices, faces[inside])
    build_pyramid(path, [(2.0, 1.0)])
    coarse = read_mesh(path, level=1)
    assert set(coarse.attributes["layer"]) == {"inner", "outer"}
    assert coarse.face_count > 0
    report = validate(path, level=5)
    assert report.is_valid, report.report()


def test_draco_blobs_hold_whole_chunks(tmp_path: Path) -> None:
    vertices, faces = sheet(3)
    with pytest.raises(ArgumentError, match="use_draco"):
        write_mesh(
            tmp_path / "a", vertices, faces, attributes={"v": np.arange(9)}, chunk_by_attribute="v", use_draco=True
        )
    assert not (tmp_path / "a").exists()
