"""Meshes whose chunks are Draco blobs: rows, attributes, fragments and faces stay aligned."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.meshes.surfaces import REVISIONS, is_watertight, torus
from zarr_vectors.exceptions import ArgumentError, ArrayError, MissingExtraError
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.validate import validate


@pytest.fixture
def mesh() -> tuple[Any, Any]:
    """A torus with a vertex that no face names, two vertices in one place, and an edge of four faces."""
    pytest.importorskip("DracoPy", reason='needs the extra draco: pip install "zarr-vectors[draco]"')
    vertices, faces = torus(40, 16)
    vertices = np.concatenate([vertices, vertices[:2], [[1, 2, 3]]]).astype(np.float32)
    return vertices, np.concatenate([faces, [[len(vertices) - 3, len(vertices) - 2, 5]], faces[:1], faces[:1, ::-1]])


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("chunk", [15.0, 500.0])
def test_everything_stays_aligned(tmp_path: Path, mesh: tuple[Any, Any], revision: str, chunk: float) -> None:
    vertices, faces = mesh
    ids = (vertices[:, 2] > 0).astype(int)
    store = tmp_path / "m"
    summary = write_mesh(
        store,
        vertices,
        faces,
        chunk_shape=chunk,
        bin_shape=chunk,
        object_ids=ids,
        attributes={"row": np.arange(len(vertices))},
        use_draco=True,
        draco_quantization=16,
        format_version=revision,
    )
    assert summary.face_count == len(faces)
    found = read_mesh(store)
    row = found.attributes["row"]
    np.testing.assert_allclose(found.vertices, vertices[row], atol=2 * np.ptp(vertices) / 2**16)
    np.testing.assert_array_equal(found.object_ids, ids[row])
    assert sorted(map(tuple, row[found.faces].tolist())) == sorted(map(tuple, faces.tolist()))
    one = read_mesh(store, object_ids=[1])
    mine = faces[(ids[faces] == 1).all(axis=1)]
    assert sorted(map(tuple, one.attributes["row"][one.faces].tolist())) == sorted(map(tuple, mine.tolist()))
    low, high = np.array([0.5, 0.5, -20.0]), np.array([50.0, 50.0, 20.0])
    place = np.empty_like(vertices)
    place[row] = found.vertices
    inside = ((place[faces].mean(axis=1) >= low) & (place[faces].mean(axis=1) < high)).all(axis=1)
    boxed = read_mesh(store, bbox=(low, high))
    assert sorted(map(tuple, boxed.attributes["row"][boxed.faces].tolist())) == sorted(
        map(tuple, faces[inside].tolist())
    )
    assert validate(str(store), level=5).is_valid


def test_levels_and_migration(tmp_path: Path) -> None:
    pytest.importorskip("DracoPy", reason='needs the extra draco: pip install "zarr-vectors[draco]"')
    store = tmp_path / "m"
    write_mesh(store, *torus(40, 16), chunk_shape=20, bin_shape=5, use_draco=True, closed_surface=True)
    before = read_mesh(store)
    migrate(store, tmp_path / "t", format_version="0.7")
    after = read_mesh(tmp_path / "t")
    np.testing.assert_array_equal(after.vertices, before.vertices)
    assert sorted(after.faces.tolist()) == sorted(before.faces.tolist())
    build_pyramid(store, [(2, 1)])
    assert is_watertight(read_mesh(store, level=1).faces)


def test_blobs_are_smaller_than_rows(tmp_path: Path, mesh: tuple[Any, Any]) -> None:
    sizes = []
    for use_draco in (False, True):
        write_mesh(tmp_path / "m", *mesh, chunk_shape=500, use_draco=use_draco, compressor=None)
        sizes.append(sum(file.stat().st_size for file in (tmp_path / "m").rglob("c/**/*") if file.is_file()))
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"face_attributes": {"a": np.zeros(643)}}, "face attributes"),
        ({"dtype": np.float64}, "float32"),
        ({"draco_quantization": 0}, "1 to 30"),
    ],
)
def test_what_draco_cannot_hold(mesh: tuple[Any, Any], more: dict[str, Any], message: str) -> None:
    vertices, faces = mesh
    if "face_attributes" in more:
        more = {"face_attributes": {"a": np.zeros(len(faces))}}
    with pytest.raises(ArgumentError, match=message):
        write_mesh("memory://never", vertices, faces, use_draco=True, **more)


def test_damage_and_append_are_refused(tmp_path: Path, mesh: tuple[Any, Any]) -> None:
    store = tmp_path / "m"
    write_mesh(store, *mesh, chunk_shape=500, use_draco=True, compressor=None, shard_shape=None, checksum=False)
    with pytest.raises(ArgumentError, match="encoded with Draco"):
        write_mesh(store, *mesh, mode="a")
    cell = next(file for file in (store / "0" / "vertices" / "c").rglob("*") if file.is_file())
    data = cell.read_bytes()
    cell.write_bytes(data[:8] + b"nonsense" + data[16:])
    with pytest.raises(ArrayError, match="not a Draco blob"):
        read_mesh(store)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(MissingExtraError, match=r"zarr-vectors\[draco\]"):
        write_mesh("memory://never", *torus(6, 4), use_draco=True)
