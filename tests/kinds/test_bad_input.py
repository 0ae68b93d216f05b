"""What no writer or reader of any kind takes is refused by the name of the argument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.exceptions import ArgumentError, ZarrVectorsError
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.parametric import read_parametric, write_parametric
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

CORNERS = np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]])
RAGGED = [[1, 2, 3], [1, 2]]
WRITTEN: dict[str, tuple[str, Callable[[Path, Any], Any]]] = {
    "points": ("positions", lambda path, given: write_points(path, given)),
    "lines": ("endpoints", lambda path, given: write_lines(path, given)),
    "polylines": ("polylines", lambda path, given: write_polylines(path, given)),
    "graph": ("positions", lambda path, given: write_graph(path, given, [[0, 1]])),
    "edges": ("edges", lambda path, given: write_graph(path, CORNERS, given)),
    "listed graphs": ("edges", lambda path, given: write_graph(path, [CORNERS], [given])),
    "mesh": ("vertices", lambda path, given: write_mesh(path, given, [[0, 1, 2]])),
    "faces": ("faces", lambda path, given: write_mesh(path, CORNERS, given)),
    "listed meshes": ("faces", lambda path, given: write_mesh(path, [CORNERS], [given])),
    "parametric": ("objects", lambda path, given: write_parametric(path, {"plane": given})),
    "parametric objects": ("objects", lambda path, given: write_parametric(path, given)),
}


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("given", [None, RAGGED, [RAGGED], 7, "abc", [None]], ids=repr)
def test_writers_name_the_argument(tmp_path: Path, kind: str, given: Any) -> None:
    argument, write = WRITTEN[kind]
    with pytest.raises(ZarrVectorsError, match=argument):
        write(tmp_path / "a.zv", given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["points", "lines", "polylines", "graph", "mesh"])
def test_other_dimensions_are_not_appended(tmp_path: Path, kind: str) -> None:
    writers: dict[str, Callable[..., Any]] = {
        "points": lambda rows, **more: write_points(tmp_path / "a.zv", rows, **more),
        "lines": lambda rows, **more: write_lines(tmp_path / "a.zv", rows.reshape(2, 2, -1), **more),
        "polylines": lambda rows, **more: write_polylines(tmp_path / "a.zv", [rows], **more),
        "graph": lambda rows, **more: write_graph(tmp_path / "a.zv", rows, [[0, 1]], **more),
        "mesh": lambda rows, **more: write_mesh(tmp_path / "a.zv", rows, [[0, 1, 2]], **more),
    }
    writers[kind](CORNERS)
    with pytest.raises(ArgumentError, match="have 2 columns, but the store has 3 axes"):
        writers[kind](CORNERS[:, :2], mode="a")
    assert read_points(tmp_path / "a.zv").vertex_count == 4


def test_readers_take_groups_and_conditions_of_the_right_type(tmp_path: Path) -> None:
    groups: dict[str, Any] = {"groups": {"a": [0], "b": [0]}, "object_attributes": {"size": [1]}}
    write_points(tmp_path / "points.zv", CORNERS, object_ids=[0] * 4, **groups)
    write_lines(tmp_path / "lines.zv", CORNERS[:2][None], **groups)
    write_polylines(tmp_path / "paths.zv", [CORNERS], **groups)
    write_graph(tmp_path / "graph.zv", CORNERS, [[0, 1]], **groups)
    write_mesh(tmp_path / "mesh.zv", CORNERS, [[0, 1, 2]], **groups)
    write_parametric(tmp_path / "planes.zv", {"plane": [[0, 0, 1, 0]]}, **groups)
    readers: dict[str, Callable[..., Any]] = {
        "points": read_points,
        "lines": read_lines,
        "paths": read_polylines,
        "graph": read_graph,
        "mesh": read_mesh,
        "planes": read_parametric,
    }
    for name, read in readers.items():
        assert len(read(tmp_path / f"{name}.zv", group_ids=np.int64(1)).object_ids) > 0
        for wrong in (True, [np.True_], 1.5, {"a": None}.values()):
            with pytest.raises(ArgumentError, match="group_ids: expected numbers or names of groups"):
                read(tmp_path / f"{name}.zv", group_ids=wrong)
        for conditions in ([1], "size", {1: 2}):
            with pytest.raises(ArgumentError, match="attribute_filter: expected a mapping"):
                read(tmp_path / f"{name}.zv", attribute_filter=conditions)
