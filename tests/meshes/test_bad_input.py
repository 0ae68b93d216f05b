"""Meshes that cannot be written as asked are refused by name, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.meshes.surfaces import torus
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, ShapeError, StoreError, UnknownNameError
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import write_points

SQUARE = np.array([[0, 0, 0], [9, 0, 0], [9, 9, 0], [0, 9, 0]], float)


@pytest.mark.parametrize(
    ("faces", "more", "error", "message"),
    [
        ([[0, 1, 4]], {}, ArgumentError, "face 0 is .0, 1, 4., but there are 4 vertices"),
        ([[0, 1, 2], [0, -1, 2]], {}, ArgumentError, "face 1"),
        ([[0, 1]], {}, ShapeError, r"expected an \(M, 3\) or \(M, 4\)"),
        ([[0.5, 1, 2]], {}, ArgumentError, "whole numbers"),
        ([[0, 1, 2], [3, 1, 1]], {}, ArgumentError, "1 of 2 name a vertex more than once; face 1"),
        ([[0, 1, 2]], {"closed_surface": True}, ArgumentError, "3 of 3 edges are not shared by exactly two faces"),
        ([[0, 1, 2]], {"winding_order": "left"}, ArgumentError, "winding_order: expected 'ccw' or 'cw'"),
        ([[0, 1, 2]], {"degenerate_faces": "mend"}, ArgumentError, "degenerate_faces"),
        ([[0, 1, 2]], {"face_shape": "quad"}, ArgumentError, "faces of 3 vertices are triangle"),
        ([[0, 1, 2]], {"store": "twice"}, ArgumentError, "store: expected"),
        ([[0, 1, 2]], {"face_attributes": {"a": [1, 2]}}, ShapeError, "'a'"),
        ([[0, 1, 2]], {"object_ids": [1, 2]}, ShapeError, "expected 4 ids"),
        (
            [[0, 1, 2, 3]],
            {"closed_surface": True, "face_shape": "tetrahedron"},
            ArgumentError,
            "tetrahedra fill a volume",
        ),
    ],
)
def test_refused(tmp_path: Path, faces: Any, more: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        write_mesh(tmp_path / "m", SQUARE, faces, chunk_shape=10, bin_shape=10, **more)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("vertices", "faces", "more", "message"),
    [
        ([SQUARE, SQUARE[:, :2]], [[[0, 1, 2]]] * 2, {}, "columns"),
        ([SQUARE, SQUARE], [[[0, 1, 2]]], {}, "list of 2 arrays"),
        ([SQUARE, SQUARE], [[[0, 1, 2]], [[0, 1, 2, 3]]], {}, r"\[3, 4\]"),
        ([SQUARE, SQUARE], [[[0, 1, 2]], [[0, 1, 5]]], {}, r"faces\[1\]: face 0"),
        ([SQUARE, SQUARE], [[[0, 1, 2]]] * 2, {"object_ids": [3, 3]}, "id 3 is given to several"),
    ],
)
def test_lists_that_do_not_fit(vertices: Any, faces: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        write_mesh("memory://never", vertices, faces, chunk_shape=10, **more)


def test_degenerate_faces_can_be_dropped_or_kept() -> None:
    faces = [[0, 1, 2], [3, 1, 1], [0, 2, 3]]
    arguments: dict[str, Any] = {"chunk_shape": 5, "bin_shape": 5, "face_attributes": {"n": [0, 1, 2]}}
    summary = write_mesh("memory://drop", SQUARE, faces, degenerate_faces="drop", **arguments)
    assert (summary.face_count, summary.degenerate_face_count) == (2, 1)
    assert sorted(read_mesh("memory://drop").face_attributes["n"]) == [0, 2]
    write_mesh("memory://keep", SQUARE, faces, degenerate_faces="keep", **arguments)
    found = read_mesh("memory://keep")
    np.testing.assert_array_equal(found.vertices[found.faces], SQUARE[np.array(faces)[found.face_attributes["n"]]])


def test_vertices_outside_the_bounds() -> None:
    faces = [[0, 1, 2], [0, 2, 3]]
    bounds = ([0, 0, 0], [9, 5, 9])
    arguments: dict[str, Any] = {"chunk_shape": 5, "bin_shape": 5, "bounds": bounds}
    with pytest.raises(OutOfBoundsError, match="2 of 4 lie outside"):
        write_mesh("memory://out", SQUARE, faces, **arguments)
    summary = write_mesh("memory://out", SQUARE, faces, out_of_bounds="ignore", **arguments)
    assert (summary.ignored_count, summary.ignored_face_count, summary.face_count) == (2, 2, 0)
    summary = write_mesh("memory://out", SQUARE, faces, out_of_bounds="expand", **arguments)
    assert summary.bounds == ((0, 0, 0), (9, 9, 9))


def test_what_is_not_there(tmp_path: Path) -> None:
    vertices, faces = torus(6, 4)
    write_mesh(tmp_path / "m", vertices, faces)
    for query in ({"object_ids": [4]}, {"group_ids": "a"}, {"attribute_filter": {"a": 1}}, {"level": 2}):
        with pytest.raises(UnknownNameError):
            read_mesh(tmp_path / "m", **query)  # type: ignore[arg-type]
    for query in ({"attributes": ["a"]}, {"face_attributes": ["a"]}, {"restore_order": True}):
        with pytest.raises(UnknownNameError):
            read_mesh(tmp_path / "m", **query)  # type: ignore[arg-type]
    write_points(tmp_path / "p", vertices)
    with pytest.raises(StoreError, match="holds point_cloud, not a mesh"):
        read_mesh(tmp_path / "p")
    with pytest.raises(ArgumentError, match="not mesh"):
        write_mesh(tmp_path / "p", vertices, faces, mode="a")


def test_appended_faces_must_fit() -> None:
    write_mesh("memory://fit", SQUARE, [[0, 1, 2]], winding_order="cw")
    with pytest.raises(ArgumentError, match="winding_order: the store has 'cw'"):
        write_mesh("memory://fit", SQUARE, [[0, 1, 2]], mode="a")
    with pytest.raises(ArgumentError, match="face_shape"):
        write_mesh("memory://fit", SQUARE, [[0, 1, 2, 3]], mode="a", winding_order="cw")
    with pytest.raises(ArgumentError, match="missing"):
        write_mesh("memory://fit", SQUARE, [[0, 1, 2]], mode="a", winding_order="cw", face_attributes={"n": [1]})
    assert read_mesh("memory://fit").face_count == 1
