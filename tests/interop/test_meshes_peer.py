"""Meshes and parametric objects against the reference, both ways; faces compared with their winding."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.meshes.surfaces import icosphere, is_watertight, tetrahedra, torus, wound
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.parametric import read_parametric, write_parametric
from zarr_vectors.validate import validate

pytestmark = pytest.mark.peer


def run(python: Path, folder: Path, *jobs: Any) -> list[Any]:
    """Do jobs in one process of the reference implementation; gives the answer of each."""
    (folder / "jobs.json").write_text(json.dumps(jobs, default=str))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    script = Path(__file__).with_name("peer_meshes.py")
    command = [python, "-W", "ignore", script, folder / "jobs.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    answers: list[Any] = json.loads((folder / "answers.json").read_text())
    return answers


@pytest.mark.parametrize("shard", [None, "auto"])
@pytest.mark.parametrize("kind", ["triangles", "quads", "tetrahedra"])
def test_reference_reads_ours(peer_python: Path, tmp_path: Path, kind: str, shard: str | None) -> None:
    vertices, faces = tetrahedra() if kind == "tetrahedra" else torus(quads=kind == "quads")
    ids = (vertices[:, 2] > 3).astype(int)
    store = tmp_path / "m.zv"
    write_mesh(
        store,
        vertices,
        faces,
        chunk_shape=15,
        bin_shape=7.5,
        object_ids=ids,
        object_attributes={"size": [1.5, 2.5]},
        attributes={"x": vertices[:, 0]},
        face_attributes={"n": np.arange(len(faces))},
        shard_shape=shard,
    )
    out, tables = tmp_path / "out.npz", tmp_path / "tables.npz"
    checked, _, _ = run(peer_python, tmp_path, ["check", store], ["read", store, out], ["tables", store, tables])
    assert "PASS" in checked["summary"], checked
    with np.load(out) as found:
        assert wound(found["vertices"], found["faces"]) == wound(vertices, faces)
    with np.load(tables) as found:
        assert found["ids"].tolist() == [0, 1]
        assert found["size"].tolist() == [1.5, 2.5]


def test_reference_reads_our_levels(peer_python: Path, tmp_path: Path) -> None:
    store = tmp_path / "m.zv"
    write_mesh(store, *icosphere(3), chunk_shape=15, bin_shape=2.5)
    build_pyramid(store, [(2, 1), (12, 1)], cross_level_storage="explicit")
    outs = [tmp_path / f"{level}.npz" for level in range(3)]
    checked, *_ = run(
        peer_python, tmp_path, ["check", store], *(["read", store, out, level] for level, out in enumerate(outs))
    )
    assert "PASS" in checked["summary"], checked
    for level, out in enumerate(outs):
        mine = read_mesh(store, level=level)
        with np.load(out) as found:
            assert wound(found["vertices"], found["faces"]) == wound(mine.vertices, mine.faces)


def test_we_read_the_reference(peer_python: Path, tmp_path: Path) -> None:
    vertices, faces = torus()
    ids = np.where(vertices[:, 0] > 0, 1, 0)
    np.savez(tmp_path / "in.npz", vertices=vertices, faces=faces, object_ids=ids, x=vertices[:, 0])
    store = tmp_path / "m.zv"
    run(peer_python, tmp_path, ["write", store, tmp_path / "in.npz", 20.0, 10.0])
    assert validate(str(store), level=5).is_valid
    found = read_mesh(store)
    assert wound(found.vertices, found.faces) == wound(vertices, faces)
    np.testing.assert_array_equal(found.attributes["x"], found.vertices[:, 0])
    one = read_mesh(store, object_ids=[1])
    assert wound(one.vertices, one.faces) == wound(vertices, faces[(ids[faces] == 1).all(axis=1)])
    low, high = np.array([0.0, -20.0, -5.0]), np.array([45.0, 20.0, 10.0])
    centroid = vertices[faces].astype(float).mean(axis=1)
    boxed = read_mesh(store, bbox=(low, high))
    inside = ((centroid >= low) & (centroid < high)).all(axis=1)
    assert wound(boxed.vertices, boxed.faces) == wound(vertices, faces[inside])
    build_pyramid(store, [(2, 1)])
    assert is_watertight(read_mesh(store, level=1).faces)


def test_shapes_both_ways(peer_python: Path, tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs.zv", tmp_path / "ours.zv"
    spheres = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    write_parametric(ours, {"sphere": spheres, "line": [[0, 0, 0, 1, 0, 0]]}, names=["a", "b", "c"])
    _, found = run(peer_python, tmp_path, ["write_shapes", theirs], ["read_shapes", ours])
    assert [one["type"] for one in found] == ["sphere", "sphere", "line"]
    assert [one["name"] for one in found] == ["a", "b", "c"]
    assert [one["coefficients"] for one in found[:2]] == spheres.tolist()
    mine = read_parametric(theirs)
    assert mine.names == ("floor", "sphere_1")
    assert mine.of_type("plane")[1].tolist() == [[0.0, 0.0, 1.0, -2.5]]
    assert mine.attributes["weight"].tolist() == [0.5, 1.5]
    assert {key: members.tolist() for key, members in mine.groups.items()} == {0: [1], 1: [0, 1]}
    assert validate(str(theirs), level=5).is_valid


def test_stores_of_revision_07(stores_07: Path) -> None:
    with np.load(stores_07 / "expected.npz") as expected:
        vertices, faces = expected["mesh_V"].astype(np.float32), expected["mesh_F"]
    for name in ("mesh", "mesh_pyr"):
        found = read_mesh(stores_07 / f"{name}.zv")
        assert wound(found.vertices, found.faces) == wound(vertices, faces)
        np.testing.assert_array_equal(found.attributes["curv"], found.vertices[:, 0])
        low, high = np.array([-20.0, -80.0, -35.0]), np.array([60.0, 80.0, 41.0])
        centroid = vertices[faces].astype(float).mean(axis=1)
        boxed = read_mesh(stores_07 / f"{name}.zv", bbox=(low, high))
        inside = ((centroid >= low) & (centroid < high)).all(axis=1)
        assert wound(boxed.vertices, boxed.faces) == wound(vertices, faces[inside])
    coarse = read_mesh(stores_07 / "mesh_pyr.zv", level=1)
    assert coarse.face_count == 0
    assert coarse.vertex_count > 0
