"""What is said when appending must agree with the store, or is added to what the store says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.polylines.walks import REVISIONS
from zarr_vectors.core.store import create_store, open_store
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.read.objects import read_groups
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.parametric import read_parametric, write_parametric
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

PATHS = [np.arange(9.0).reshape(3, 3), np.ones((2, 3))]
COLORS = [np.zeros((3, 2)), np.ones((2, 2))]
SPECS = {
    "fa": {"unit": "percent", "description": "anisotropy"},
    "color": {"channel_names": ("red", "blue")},
    "length": {"unit": "mm"},
    "volume": {"unit": "mm^3"},
}


def write(path: Path, paths: list[Any] = PATHS, **more: Any) -> None:
    """Write paths with an attribute of every kind."""
    write_polylines(
        path,
        paths,
        attributes={"fa": [p[:, 0] for p in paths], "color": COLORS},
        object_attributes={"length": [1.0, 2.0]},
        groups={"g": [0]},
        group_attributes={"volume": [5.0]},
        **more,
    )


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("fa", {"unit": "mm"}, "'fa' of attributes has unit 'percent' in the store, 'mm' given"),
        ("fa", {"description": "x"}, "has description 'anisotropy' in the store, 'x' given"),
        ("color", {"channel_names": ("r", "g")}, r"has channel_names \('red', 'blue'\) in the store, \('r', 'g'\) giv"),
        ("length", {"unit": "m"}, "'length' of object_attributes has unit 'mm'"),
        ("volume", {"unit": "l"}, "'volume' of group_attributes has unit"),
    ],
)
def test_attributes_keep_their_descriptions(
    tmp_path: Path, revision: str, name: str, spec: dict[str, Any], message: str
) -> None:
    path = tmp_path / "a.zv"
    write(path, attribute_specs=SPECS, format_version=revision)
    with pytest.raises(ArgumentError, match=f"attribute_specs: .*{message}"):
        write(path, mode="a", attribute_specs={name: spec})
    write(path, mode="a", attribute_specs=SPECS)
    write(path, mode="a")
    found = read_polylines(path)
    assert found.polyline_count == 6
    assert found.channel_names["color"] == ("red", "blue")


@pytest.mark.parametrize("revision", REVISIONS)
def test_descriptions_are_not_added_afterwards(tmp_path: Path, revision: str) -> None:
    write(tmp_path / "a.zv", format_version=revision)
    with pytest.raises(ArgumentError, match="unit None in the store, 'percent' given"):
        write(tmp_path / "a.zv", mode="a", attribute_specs={"fa": {"unit": "percent"}})


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["polylines", "points", "graph"])
def test_the_coordinate_system_stays(tmp_path: Path, revision: str, kind: str) -> None:
    path = tmp_path / "a.zv"

    def put(**more: Any) -> None:
        if kind == "polylines":
            write_polylines(path, PATHS, **more)
        elif kind == "points":
            write_points(path, PATHS[0], **more)
        else:
            write_graph(path, PATHS[0], [[1, 0]], **more)

    put(format_version=revision)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"coordinate_system": "LPS"}, "coordinate_system: 'LPS' given, but the store has None"),
        ({"crs": {"name": "LPS"}}, "crs: {'name': 'LPS'} given, but the store has None"),
    ]
    for options, message in refused:
        with pytest.raises(ArgumentError, match=message):
            put(mode="a", **options)
    put(crs={"name": "RAS", "origin": (0, 0)}, format_version=revision)
    for options, message in (
        ({"coordinate_system": "LPS"}, "coordinate_system: 'LPS' given, but the store has 'RAS'"),
        ({"crs": {"name": "RAS"}}, "crs: "),
    ):
        with pytest.raises(ArgumentError, match=message):
            put(mode="a", **options)
    put(mode="a", coordinate_system="RAS")
    put(mode="a", crs={"name": "RAS", "origin": (0, 0)})
    put(mode="a")
    assert open_store(path).attrs["zarr_vectors"]["crs"] == {"name": "RAS", "origin": [0, 0]}


def test_a_store_without_vertices_may_get_one(tmp_path: Path) -> None:
    write_polylines(tmp_path / "a.zv", np.zeros((0, 3)), offsets=[0, 0], bounds=([0] * 3, [9] * 3))
    write_polylines(tmp_path / "a.zv", PATHS, mode="a", coordinate_system="LPS")
    assert open_store(tmp_path / "a.zv").attrs["zarr_vectors"]["crs"] == {"name": "LPS"}


@pytest.mark.parametrize("revision", REVISIONS)
def test_metadata_is_merged_by_key(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "a.zv"
    more: dict[str, Any] = {"metadata": {"subject": 7, "run": 1}, "streamline_metadata": {"step": 2.0, "seeds": 5}}
    write_polylines(path, PATHS, format_version=revision, **more)
    write_polylines(path, PATHS, mode="a", metadata={"run": 2}, streamline_metadata={"seeds": 9, "unit": "mm"})
    write_polylines(path, PATHS, mode="a")
    assert read_polylines(path).streamline_metadata == {"step": 2.0, "seeds": 9, "unit": "mm"}
    assert open_store(path).attrs["user_metadata"] == {"subject": 7, "run": 2}


def test_polylines_take_no_streamline_metadata(tmp_path: Path) -> None:
    write_polylines(tmp_path / "a.zv", PATHS)
    with pytest.raises(ArgumentError, match="holds polyline, not streamline; streamline_metadata is of streamlines"):
        write_polylines(tmp_path / "a.zv", PATHS, mode="a", streamline_metadata={"step": 1})
    assert read_polylines(tmp_path / "a.zv").polyline_count == 2


def members(path: Path, group: Any) -> list[int]:
    """Return the ids of the paths of a group."""
    return [int(i) for i in np.asarray(read_polylines(path, group_ids=group).object_ids)]


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("named", [True, False])
def test_groups_keep_attributes_that_are_not_given_anew(tmp_path: Path, revision: str, named: bool) -> None:
    path = tmp_path / "a.zv"
    first, second, third = ("CST", "AF", "UF") if named else (0, 1, 2)
    given = {"volume": [1.0, 2.0], "color": ["red", "blue"]}
    write_polylines(path, PATHS, groups={first: [0], second: [1]}, group_attributes=given, format_version=revision)
    write_polylines(path, PATHS, mode="a", groups={first: [2]})
    write_polylines(path, PATHS, mode="a", groups={first: [4, 5]}, group_attributes={"volume": [9.0]})
    for more in ({}, {"volume": [3.0] * (1 if named else 3)}):
        with pytest.raises(ArgumentError, match="groups that are not in the store need all of them"):
            write_polylines(path, PATHS, mode="a", groups={third: [6]}, group_attributes=more)
    with pytest.raises(ArgumentError, match=r"group_attributes: .*given .*'size'"):
        write_polylines(path, PATHS, mode="a", groups={first: [6]}, group_attributes={"size": [1]})
    assert members(path, first) == [0, 2, 4, 5]
    groups = read_groups(open_reader(path).level(0))
    assert groups is not None
    assert groups.attributes["volume"].values.tolist() == [9.0, 2.0]
    assert groups.attributes["color"].values.tolist() == ["red", "blue"]
    everyone = {first: [6], second: [7], third: [7]}
    write_polylines(
        path, PATHS, mode="a", groups=everyone, group_attributes={"volume": [1, 2, 3], "color": ["r", "b", "g"]}
    )
    assert members(path, third) == [7]
    assert validate(str(path), level=5).is_valid


def test_groups_of_parametric_objects_keep_theirs_too(tmp_path: Path) -> None:
    sphere = {"sphere": [[0, 0, 0, 1]]}
    write_parametric(tmp_path / "a.zv", sphere, groups={"round": [0]}, group_attributes={"colour": [5]})
    write_parametric(tmp_path / "a.zv", sphere, groups={"round": [0]}, mode="a")
    found = read_parametric(tmp_path / "a.zv")
    assert found.groups["round"].tolist() == [0, 1]
    assert found.group_attributes["colour"].tolist() == [5]


def test_shells_keep_or_get_a_coordinate_system(tmp_path: Path) -> None:
    create_store(tmp_path / "a.zv", bounds=([0] * 3, [9] * 3))
    write_points(tmp_path / "a.zv", PATHS[0], mode="a", coordinate_system="LPS")
    assert read_points(tmp_path / "a.zv").vertex_count == 3
