"""What no writer or reader of any kind takes is refused by the name of the argument."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from zarr_vectors import edit
from zarr_vectors.exceptions import ArgumentError, ZarrVectorsError
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.parametric import read_parametric, write_parametric
from zarr_vectors.types.point_streams import write_points_stream
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


HOSTILE: dict[str, Any] = {
    "number": 5,
    "text": "abc",
    "list": [1],
    "array": np.arange(3),
    "thing": object(),
    "thing by name": {"a": object()},
    "nothing named": {None: [1]},
    "series": pd.Series([1]),
    "frame of lists": pd.DataFrame({"a": [[1]] * 4}),
}
ARGUMENTS = [
    *("attributes", "object_attributes", "groups", "group_attributes", "object_ids", "attribute_specs"),
    *("bounds", "axes", "axis_units", "dtype", "chunk_shape", "bin_shape", "metadata", "crs", "coordinate_system"),
    *("mode", "out_of_bounds", "format_version", "compressor", "shard_shape"),
]
DOORS: dict[str, Callable[..., Any]] = {
    "points": lambda **more: write_points("memory://hostile-points", CORNERS, **{"object_ids": [0] * 4, **more}),
    "stream": lambda **more: write_points_stream("memory://hostile-stream", [CORNERS], **more),
    "lines": lambda **more: write_lines("memory://hostile-lines", CORNERS.reshape(2, 2, 3), **more),
    "polylines": lambda **more: write_polylines("memory://hostile-polylines", [CORNERS], **more),
    "graph": lambda **more: write_graph("memory://hostile-graph", CORNERS, [[0, 1]], **more),
    "meshes": lambda **more: write_mesh("memory://hostile-mesh", [CORNERS], [[[0, 1, 2]]], **more),
}


@pytest.mark.parametrize("given", HOSTILE)
@pytest.mark.parametrize("kind", DOORS)
def test_only_documented_exceptions_leave_a_writer(kind: str, given: str) -> None:
    for argument in ARGUMENTS:
        if kind == "stream" and argument in ("attributes", "object_ids"):
            continue
        more = {"groups": {0: [0]}} if argument == "group_attributes" else {}
        with contextlib.suppress(ZarrVectorsError):
            DOORS[kind](**{**more, argument: HOSTILE[given]})


@pytest.mark.parametrize("name", ["n" * 300, "å" * 150, "a\0b"])
def test_names_that_no_file_system_takes_are_refused(tmp_path: Path, name: str) -> None:
    for door in (
        lambda path: write_points(path, CORNERS),
        lambda path: write_points_stream(path, [CORNERS]),
        lambda path: write_parametric(path, {"plane": [[0, 0, 1, 0]]}),
        read_points,
        read_mesh,
    ):
        with pytest.raises(ArgumentError, match=r"path: .*file systems do not take"):
            door(str(tmp_path / name))
    with pytest.raises(ArgumentError, match=r"attributes: the name .*"):
        write_points(tmp_path / "a.zv", CORNERS, attributes={name: np.arange(4)})
    assert not list(tmp_path.iterdir())


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


SAID: list[tuple[dict[str, Any], str]] = [
    *(
        ({"extra": {key: 1}}, f"{key} are keys of the format")
        for key in ("encoding", "categories", "_FillValue", "unit")
    ),
    *(({"extra": {key: 1}}, f"{key} are keys of the format") for key in ("dtype", "channel_names", "channel_bins")),
    ({"extra": 5}, "extra of 'v': expected a mapping, got int"),
    ({"extra": None}, "extra of 'v': expected a mapping"),
    ({"extra": {"a": object()}}, "extra of 'v' is not JSON"),
    ({"extra": {"a": [float("nan")]}}, "extra of 'v' is not JSON"),
    ({"extra": {"a": [{1: 2}]}}, "extra of 'v' is not JSON: its keys"),
    ({"unit": 5}, "unit of 'v': expected a string"),
    ({"description": 7}, "description of 'v': expected a string"),
    ({"aggregation": ["mean"]}, "aggregation of 'v'"),
    ({"channel_names": 5}, "channel_names of 'v': expected strings"),
    ({"channel_names": [1, 2]}, "channel_names of 'v': expected strings"),
    ({"channel_names": "ab"}, "channel_names of 'v': expected strings"),
    ({"channel_names": ["a", "a"]}, "channel_names of 'v': 'a' names two"),
]


@pytest.mark.parametrize(("said", "message"), SAID, ids=lambda each: str(each)[:30])
def test_what_cannot_be_said_of_an_attribute_is_refused(said: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"attributes": {"v": np.zeros((4, 2))}}
    path = "memory://unspoken"
    write_points(path, CORNERS, mode="w", **given)
    specs = [said] if "extra" in said and said["extra"] in (5, None) else [said, AttributeSpec(**said)]
    for spec in specs:
        if isinstance(spec, AttributeSpec) and "channel_bins" in spec.extra:
            continue
        with pytest.raises(ArgumentError, match=message):
            write_points("memory://unspoken-new", CORNERS, attribute_specs={"v": spec}, **given)
        with pytest.raises(ArgumentError, match=message):
            edit.set_attribute(path, "v", np.ones((4, 2)), spec=spec)


def test_what_a_store_says_of_an_attribute_can_be_said_again(tmp_path: Path) -> None:
    said: Any = {"unit": "mm", "channel_names": np.array(["a", "b"]), "extra": {"device": {"id": [1, 2.5, None]}}}
    for name in ("a.zv", "b.zv"):
        write_points(
            tmp_path / name, CORNERS, attributes={"v": np.zeros((4, 2))}, attribute_specs={"v": said}, chunk_shape=5
        )
        said = open_reader(tmp_path / name).level(0).arrays.vertex_attributes["v"].spec
        assert said.extra == {"device": {"id": [1, 2.5, None]}}
        assert said.channel_names == ("a", "b")
