"""Readers refuse stores of another kind, and say which function reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.polylines.walks import REVISIONS
from zarr_vectors.exceptions import StoreError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

CORNERS = np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]])
WRITERS: dict[str, Callable[..., Any]] = {
    "point_cloud": lambda path, **more: write_points(path, CORNERS, object_ids=[0, 0, 1, 1], **more),
    "line": lambda path, **more: write_lines(path, CORNERS.reshape(2, 2, 3), **more),
    "polyline": lambda path, **more: write_polylines(path, [CORNERS], **more),
    "graph": lambda path, **more: write_graph(path, CORNERS, [[0, 2], [2, 1]], **more),
    "skeleton": lambda path, **more: write_graph(path, CORNERS, [[1, 0], [2, 0]], geometry_type="skeleton", **more),
    "mesh": lambda path, **more: write_mesh(path, CORNERS, [[0, 1, 2], [0, 1, 3]], **more),
}
READERS: dict[str, Callable[..., Any]] = {f.__name__: f for f in (read_lines, read_polylines, read_graph, read_mesh)}
OWN = {
    "point_cloud": "read_points",
    "line": "read_lines",
    "polyline": "read_polylines",
    "graph": "read_graph",
    "skeleton": "read_graph",
    "mesh": "read_mesh",
}


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", WRITERS)
def test_every_other_reader_names_the_right_one(tmp_path: Path, kind: str, revision: str) -> None:
    WRITERS[kind](tmp_path / "a.zv", chunk_shape=5, format_version=revision)
    assert sorted(read_points(tmp_path / "a.zv").positions.tolist()) == sorted(CORNERS.tolist())
    for name, read in READERS.items():
        if name == OWN[kind] or (kind, name) == ("line", "read_polylines"):
            assert len(read(tmp_path / "a.zv").keys()) > 0
            continue
        with pytest.raises(StoreError, match=f"read it with {OWN[kind]}$"):
            read(tmp_path / "a.zv")


def test_lines_are_paths_and_short_paths_are_lines(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.zv", CORNERS.reshape(2, 2, 3))
    assert np.array_equal(np.stack(list(read_polylines(tmp_path / "a.zv").polylines)), CORNERS.reshape(2, 2, 3))
    paths = [CORNERS[:2], CORNERS, CORNERS[2:], CORNERS[:1]]
    write_polylines(tmp_path / "b.zv", paths, object_ids=[3, 8, 9, 10])
    assert read_lines(tmp_path / "b.zv", object_ids=[9, 3]).line_count == 2
    with pytest.raises(StoreError, match="object 10 has 1 vertex, but lines have two; read it with read_polylines"):
        read_lines(tmp_path / "b.zv", object_ids=[3, 10])
    with pytest.raises(StoreError, match="object 8 has 4 vertices, but lines have two; read it with read_polylines"):
        read_lines(tmp_path / "b.zv")


def test_coarse_levels_are_refused_too(tmp_path: Path) -> None:
    WRITERS["mesh"](tmp_path / "a.zv", chunk_shape=5, bin_shape=1)
    build_pyramid(tmp_path / "a.zv", [(2.0, 1.0)])
    with pytest.raises(StoreError, match="holds mesh, not paths"):
        read_polylines(tmp_path / "a.zv", level=1)
