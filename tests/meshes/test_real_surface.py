"""A real surface: the airplane among the examples of pyvista's package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.downloads import files_of_wheel
from tests.meshes.surfaces import REVISIONS, wound
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.validate import validate

WHEEL = "pyvista==0.49.1"
MEMBER = "pyvista/examples/airplane.ply"


@pytest.fixture(scope="module")
def airplane() -> tuple[Any, Any]:
    """Return its vertices and faces."""
    (file,) = files_of_wheel(WHEEL, MEMBER.__eq__)
    return parse_ply(file.read_bytes())


def parse_ply(data: bytes) -> tuple[Any, Any]:
    """Read a PLY file of triangles, as text and without other properties."""
    header, _, body = data.partition(b"end_header")
    words = header.decode().split()
    vertices, faces = (int(words[words.index(element) + 1]) for element in ("vertex", "face"))
    numbers = np.array(body.split(), float)
    triangles = numbers[3 * vertices :].reshape(faces, 4)
    assert (triangles[:, 0] == 3).all()
    return numbers[: 3 * vertices].reshape(-1, 3), triangles[:, 1:].astype(int)


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_real_surface(tmp_path: Path, airplane: tuple[Any, Any], revision: str) -> None:
    vertices, faces = airplane
    store = tmp_path / "airplane.zv"
    summary = write_mesh(
        store, vertices, faces, chunk_shape=300, bin_shape=50, degenerate_faces="keep", format_version=revision
    )
    assert summary.cross_chunk_face_count > 0
    found = read_mesh(store)
    assert wound(found.vertices, found.faces) == wound(vertices.astype(np.float32), faces)
    low, high = np.quantile(vertices, [0.3, 0.9], axis=0)
    boxed = read_mesh(store, bbox=(low, high))
    centroid = vertices[faces].astype(np.float32).astype(float).mean(axis=1)
    inside = ((centroid >= low) & (centroid < high)).all(axis=1)
    assert 0 < boxed.face_count == inside.sum()
    build_pyramid(store, [(1, 1), (2, 1)], cross_level_storage="implicit")
    counts = [read_mesh(store, level=level).face_count for level in range(3)]
    assert counts[0] > counts[1] > counts[2] > 0
    report = validate(str(store), level=5)
    assert report.is_valid, report.errors
