"""Appending vertices with links: to stores chunked by an attribute, under the options of the store, never to Draco."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.meshes.surfaces import REVISIONS, icosphere
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

KINDS = ("graph", "skeleton", "mesh", "line", "polyline")
CORNER = np.array([[0.0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 4]], np.float32)


def write(kind: str, path: Any, moved: float, values: Any, **options: Any) -> Any:
    """Write one object of four vertices (two lines of two) with a value per vertex."""
    points = CORNER + np.float32(moved)
    more = {"attributes": {"g": values, "n": np.arange(4) + int(moved)}, **options}
    if kind == "mesh":
        return write_mesh(path, points, [[0, 1, 2], [0, 2, 3]], **more)
    if kind == "line":
        return write_lines(path, points.reshape(2, 2, 3), **more)
    if kind == "polyline":
        return write_polylines(path, [points], **more)
    return write_graph(path, points, [[1, 0], [2, 1], [3, 1]], kind=kind, **more)


def read(kind: str, path: Any, **query: Any) -> tuple[Any, Any, Any]:
    """Return positions and the two attributes by vertex, ordered by the second."""
    reader: Any = {"mesh": read_mesh, "line": read_lines, "polyline": read_polylines}.get(kind, read_graph)
    found = reader(path, **query)
    points = found["vertices" if kind == "mesh" else "endpoints" if kind == "line" else "positions"].reshape(-1, 3)
    n = np.ravel(found.attributes["n"])
    order = np.argsort(n, kind="stable")
    return points[order], np.ravel(found.attributes["g"])[order], n[order]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize(
    ("first", "second"),
    [(["b", "b", "a", "a"], ["c", "a", "c", "a"]), ([2.5, 2.5, 1.0, 1.0], [1.0, 0.5, 0.5, 2.5])],
    ids=["text", "numbers"],
)
def test_stores_chunked_by_an_attribute_take_more(
    tmp_path: Path, kind: str, revision: str, first: list[Any], second: list[Any]
) -> None:
    path = tmp_path / "a"
    write(kind, path, 0, first, chunk_by_attribute="g", chunk_shape=8, bin_shape=4, format_version=revision)
    write(kind, path, 20, second, mode="a", out_of_bounds="expand")
    points, values, n = read(kind, path)
    np.testing.assert_array_equal(n, [0, 1, 2, 3, 20, 21, 22, 23])
    np.testing.assert_array_equal(points, np.concatenate([CORNER, CORNER + 20]))
    assert values.tolist() == [*first, *second]
    if kind not in ("line", "polyline"):
        found: Any = read_mesh(path) if kind == "mesh" else read_graph(path)
        links = found.attributes["n"][found["faces" if kind == "mesh" else "edges"]]
        expected = [[0, 1, 2], [0, 2, 3]] if kind == "mesh" else [[1, 0], [2, 1], [3, 1]]
        expected += (np.array(expected) + 20).tolist()
        assert sorted(map(sorted, links.tolist())) == sorted(map(sorted, expected))
        assert set(found.object_ids.tolist()) == {0, 1}
    build_pyramid(path, [(2.0, 1.0)])
    assert set(read(kind, path, level=1)[1].tolist()) <= {*first, *second}
    report = validate(path, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["graph", "mesh"])
def test_links_are_filed_as_the_store_files_them(tmp_path: Path, kind: str, revision: str) -> None:
    path, values = tmp_path / "a", np.arange(4)
    write(kind, path, 0, values, store="duplicate", chunk_shape=2, format_version=revision)
    before = read(kind, path)[0]
    with pytest.raises(ArgumentError, match="store: 'canonical' given, but the store has 'duplicate'"):
        write(kind, path, 20, values, mode="a", out_of_bounds="expand")
    np.testing.assert_array_equal(read(kind, path)[0], before)
    write(kind, path, 20, values, mode="a", out_of_bounds="expand", store="duplicate")
    found: Any = read_mesh(path) if kind == "mesh" else read_graph(path)
    assert len(found["faces" if kind == "mesh" else "edges"]) == (4 if kind == "mesh" else 6)
    report = validate(path, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("revision", REVISIONS)
def test_draco_never_rounds_what_is_stored(tmp_path: Path, revision: str) -> None:
    pytest.importorskip("DracoPy", reason='needs the extra draco: pip install "zarr-vectors[draco]"')
    sphere = icosphere(1, radius=7.3)
    write_mesh(tmp_path / "a", *sphere, format_version=revision)
    before = read_mesh(tmp_path / "a").vertices.tobytes()
    with pytest.raises(ArgumentError, match=r"use_draco: .* holds vertices as they were given"):
        write_mesh(tmp_path / "a", *sphere, mode="a", use_draco=True)
    assert read_mesh(tmp_path / "a").vertices.tobytes() == before
    write_mesh(tmp_path / "b", sphere[0][:0], sphere[1][:0], bounds=([-9] * 3, [9] * 3), format_version=revision)
    write_mesh(tmp_path / "b", *sphere, mode="a", use_draco=True, chunk_shape=None)
    assert read_mesh(tmp_path / "b").face_count == len(sphere[1])


def test_errors_of_draco_say_what_was_given() -> None:
    pytest.importorskip("DracoPy", reason='needs the extra draco: pip install "zarr-vectors[draco]"')
    vertices, faces = icosphere(0)
    given = "given are float64 vertices in 3 dimensions with faces of 3 vertices"
    with pytest.raises(ArgumentError, match=given):
        write_mesh("memory://never", vertices, faces, use_draco=True, dtype="float64")
    with pytest.raises(ArgumentError, match=r"keep_order: .* leave out keep_order or use_draco"):
        write_mesh("memory://never", vertices, faces, use_draco=True, keep_order=True)


@pytest.mark.parametrize("revision", REVISIONS)
def test_only_the_finest_level_is_said_to_be_closed(tmp_path: Path, revision: str) -> None:
    write_mesh(tmp_path / "a", *icosphere(2), chunk_shape=20, bin_shape=5, closed_surface=True, format_version=revision)
    build_pyramid(tmp_path / "a", [(2.0, 1.0)])
    assert read_mesh(tmp_path / "a").closed_surface is True
    coarse = read_mesh(tmp_path / "a", level=1)
    assert coarse.closed_surface is None
    assert coarse.winding_order == "ccw"
