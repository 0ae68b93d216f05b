"""What is said of objects stands with the object that it was said of, in whatever form and order it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from zarr_vectors.edit import append_vertices, set_attribute
from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.lazy import open_zv
from zarr_vectors.read.objects import read_columns, read_groups, read_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.lines import write_lines
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.parametric import read_parametric, write_parametric
from zarr_vectors.types.point_streams import write_points_stream
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

REVISIONS = ["0.9", "0.7"]
IDS = np.array([30, 4, 2**60 + 1, 17, 9])
"""Sparse, in no order, and one that no float holds."""
PLACES = {int(number): place for place, number in enumerate(IDS)}
CORNERS = [np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0]]) + 20 * place for place in range(len(IDS))]
OF_VERTEX = np.repeat(IDS, 3)
FORESTS: dict[str, Any] = {"geometry_type": "skeleton"}

BY_OBJECT: dict[str, Callable[..., Any]] = {
    "points": lambda path, **more: write_points(path, np.concatenate(CORNERS), object_ids=OF_VERTEX, **more),
    "batches of points": lambda path, **more: write_points_stream(
        path, [{"positions": c, "object_ids": [i] * 3} for c, i in zip(CORNERS, IDS, strict=True)], **more
    ),
    "nodes": lambda path, **more: write_graph(path, np.concatenate(CORNERS), [[0, 1]], object_ids=OF_VERTEX, **more),
    "corners": lambda path, **more: write_mesh(
        path, np.concatenate(CORNERS), [[0, 1, 2]], object_ids=OF_VERTEX, **more
    ),
}
BY_LIST: dict[str, Callable[..., Any]] = {
    "polylines": lambda path, **more: write_polylines(path, CORNERS, object_ids=IDS, **more),
    "streamlines": lambda path, **more: write_polylines(
        path, np.concatenate(CORNERS), offsets=np.arange(0, 16, 3), geometry_type="streamline", object_ids=IDS, **more
    ),
    "lines": lambda path, **more: write_lines(path, np.stack(CORNERS)[:, :2], object_ids=IDS, **more),
    "graphs": lambda path, **more: write_graph(path, CORNERS, [[[0, 1]]] * 5, object_ids=IDS, **more),
    "skeletons": lambda path, **more: write_graph(path, CORNERS, [[[1, 0]]] * 5, object_ids=IDS, **FORESTS, **more),
    "meshes": lambda path, **more: write_mesh(path, CORNERS, [[[0, 1, 2]]] * 5, object_ids=IDS, **more),
}
WRITERS = {**BY_OBJECT, **BY_LIST}


def said_of_objects(path: Any) -> dict[str, dict[int, Any]]:
    """Return the attributes of the objects of level 0 by name and id."""
    level = open_reader(path).level(0)
    ids = read_object_ids(level)
    assert ids is not None
    columns = read_columns(level, dict(level.arrays.object_attributes), None)
    return {n: dict(zip(ids.tolist(), decode_column(c).tolist(), strict=True)) for n, c in columns.items()}


def forms(values: Mapping[int, float]) -> dict[str, Any]:
    """Return the same table in every form whose rows name the objects; rows in an order of their own."""
    order = sorted(values, key=lambda number: values[number] * 7 % 5)
    numbers = [values[number] for number in order]
    frame = pd.DataFrame({"object_id": order, "v": numbers})
    return {
        "series": {"v": pd.Series(numbers, index=order)},
        "mapping": {"v": dict(zip(order, numbers, strict=True))},
        "frame by index": pd.DataFrame({"v": numbers}, index=pd.Index(order, name="cell")),
        "frame by column": frame,
        "nullable index": frame.astype({"object_id": "Int64"}).set_index("object_id"),
        "polars": pl.DataFrame({"object_id": order, "v": numbers}),
        "arrow": pa.table({"object_id": order, "v": numbers}),
    }


WEIGHTS = {number: float(place) for place, number in enumerate(IDS.tolist())}


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", WRITERS)
def test_tables_that_name_their_objects_are_aligned(tmp_path: Path, kind: str, revision: str) -> None:
    for number, (form, table) in enumerate(forms(WEIGHTS).items()):
        WRITERS[kind](tmp_path / f"{number}.zv", object_attributes=table, format_version=revision)
        assert said_of_objects(tmp_path / f"{number}.zv") == {"v": WEIGHTS}, form


@pytest.mark.parametrize("kind", WRITERS)
def test_tables_that_name_other_objects_are_refused(tmp_path: Path, kind: str) -> None:
    wrong = {
        "lacks 17": WEIGHTS | {18: 1.0},
        "no .* 18": WEIGHTS | {18: 1.0},
        "lacks 4": {n: w for n, w in WEIGHTS.items() if n != 4},
    }
    del wrong["lacks 17"][17]
    for message, values in wrong.items():
        table = pd.Series(values)
        with pytest.raises(ArgumentError, match=f"object_attributes: .*{message}"):
            WRITERS[kind](tmp_path / "a.zv", object_attributes={"v": table})
    twice = pd.Series([*WEIGHTS.values(), 1.0], index=[*WEIGHTS, 30])
    with pytest.raises(ArgumentError, match="twice 30"):
        WRITERS[kind](tmp_path / "a.zv", object_attributes={"v": twice})
    with pytest.raises(ArgumentError, match=r"index.*whole numbers"):
        WRITERS[kind](tmp_path / "a.zv", object_attributes={"v": pd.Series(1.0, index=list("abcde"))})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", WRITERS)
def test_rows_without_names_stand_in_the_documented_order(tmp_path: Path, kind: str) -> None:
    ids = IDS if kind in BY_LIST else np.sort(IDS)
    for number, values in enumerate((np.arange(5), pd.Series(np.arange(5)), list(range(5)))):
        path = tmp_path / f"{number}.zv"
        WRITERS[kind](path, object_attributes={"v": values})
        assert said_of_objects(path) == {"v": dict(zip(ids.tolist(), range(5), strict=True))}


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_count_of_values_says_how_many_points_an_object_has(tmp_path: Path, revision: str) -> None:
    ids = np.random.default_rng(0).integers(0, 50, 2000) * 3
    positions = np.random.default_rng(1).uniform(0, 100, (2000, 3))
    count = pd.Series(ids).value_counts()
    write_points(tmp_path / "a.zv", positions, object_ids=ids, object_attributes={"n": count}, format_version=revision)
    found = said_of_objects(tmp_path / "a.zv")["n"]
    assert found == {number: int((ids == number).sum()) for number in np.unique(ids).tolist()}


@pytest.mark.parametrize("kind", BY_LIST)
def test_lists_of_any_order_of_ids_keep_vertices_groups_and_attributes_together(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.zv"
    BY_LIST[kind](path, object_attributes={"place": np.arange(5)}, groups={"a": [30, 17], "b": [2**60 + 1]})
    count = 2 if kind == "lines" else 3
    for number, place in PLACES.items():
        read = read_polylines if kind in ("polylines", "streamlines", "lines") else read_points
        found = np.asarray(read(path, object_ids=[number]).positions)
        np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(CORNERS[place][:count], axis=0))
    assert said_of_objects(path)["place"] == PLACES
    groups = read_groups(open_reader(path).level(0))
    assert groups is not None
    assert [sorted(groups.of(g).tolist()) for g in range(2)] == [[17, 30], [2**60 + 1]]


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", WRITERS)
def test_edits_and_appends_align_too(tmp_path: Path, kind: str, revision: str) -> None:
    path = tmp_path / "a.zv"
    WRITERS[kind](path, object_attributes={"v": np.zeros(5)}, format_version=revision)
    set_attribute(path, "v", pd.Series(WEIGHTS).sort_values(ascending=False), kind="object")
    set_attribute(path, "w", forms(WEIGHTS)["series"]["v"], kind="object")
    assert said_of_objects(path) == {"v": WEIGHTS, "w": WEIGHTS}
    with open_zv(path, mode="r+") as dataset, dataset[0].writer() as writer:
        writer.add_object_attribute_sync("x", pd.Series(WEIGHTS).sample(frac=1, random_state=3))
    assert said_of_objects(path)["x"] == WEIGHTS
    some = pd.Series({9: 5.0, 30: 6.0})
    ids = np.sort(IDS)
    set_attribute(path, "w", some, kind="object", rows=np.flatnonzero(np.isin(ids, [30, 9])))
    assert said_of_objects(path)["w"] == WEIGHTS | {9: 5.0, 30: 6.0}
    with pytest.raises(ArgumentError, match="lacks 4, 9, 17"):
        set_attribute(path, "w", pd.Series({30: 1.0, 2**60 + 1: 2.0}), kind="object")
    new = {100: 1.0, 50: 2.0}
    table = pd.DataFrame({"v": new, "w": new, "x": new})
    append_vertices(
        path, np.concatenate(CORNERS[:2])[[0, 1, 3, 4]], object_ids=[100, 100, 50, 50], object_attributes=table
    )
    assert said_of_objects(path)["v"] == WEIGHTS | new


@pytest.mark.parametrize("kind", BY_LIST)
def test_appended_lists_keep_their_order_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.zv"
    BY_LIST[kind](path, object_attributes={"place": np.arange(5)})
    moved = {"polylines": write_polylines, "streamlines": write_polylines, "lines": write_lines, "meshes": write_mesh}
    write = moved.get(kind, write_graph)
    links = {"graphs": [[[0, 1]]] * 3, "skeletons": [[[1, 0]]] * 3, "meshes": [[[0, 1, 2]]] * 3}
    more = FORESTS if kind == "skeletons" else {}
    given = np.stack(CORNERS[:3])[:, :2] if kind == "lines" else CORNERS[:3]
    table = {"place": pd.Series({8: 8, 99: 99, 50: 50})}
    arguments = [given, links[kind]] if kind in links else [given]
    write(path, *arguments, object_ids=[99, 8, 50], object_attributes=table, mode="a", out_of_bounds="expand", **more)
    assert said_of_objects(path)["place"] == PLACES | {8: 8, 99: 99, 50: 50}
    write(path, *arguments, object_ids=[98, 7, 49], object_attributes={"place": [3, 4, 5]}, mode="a", **more)
    assert said_of_objects(path)["place"] == PLACES | {8: 8, 99: 99, 50: 50, 98: 3, 7: 4, 49: 5}


def test_points_of_no_object_have_a_row_like_any_object(tmp_path: Path) -> None:
    given = {"object_ids": [0, None, 5, 5], "keep_order": True}
    write_points(tmp_path / "a.zv", np.zeros((4, 3)), object_attributes={"v": pd.Series({5: 5, -1: -1, 0: 0})}, **given)
    assert said_of_objects(tmp_path / "a.zv")["v"] == {-1: -1, 0: 0, 5: 5}
    with pytest.raises(ShapeError, match=r"'v' has 2 rows, but there must be 3: points of no object .* id -1"):
        write_points(tmp_path / "a.zv", np.zeros((4, 3)), object_attributes={"v": [0, 5]}, **given)
    with pytest.raises(ArgumentError, match="lacks -1"):
        write_points(tmp_path / "a.zv", np.zeros((4, 3)), object_attributes={"v": pd.Series({0: 0, 5: 5})}, **given)


def test_groups_are_named_by_their_index(tmp_path: Path) -> None:
    groups = {"b": [4], "a": [9, 17]}
    for number, table in enumerate(
        (
            {"w": pd.Series({"a": 1.0, "b": 2.0})},
            pd.DataFrame({"name": ["a", "b"], "w": [1.0, 2.0]}),
            pl.DataFrame({"name": ["a", "b"], "w": [1.0, 2.0]}),
        )
    ):
        path = tmp_path / f"{number}.zv"
        write_polylines(path, CORNERS, object_ids=IDS, groups=groups, group_attributes=table)
        found = read_groups(open_reader(path).level(0))
        assert found is not None
        names, weights = (found.attributes[n].values.tolist() for n in ("name", "w"))
        assert dict(zip(names, weights, strict=True)) == {"a": 1.0, "b": 2.0}
    write_polylines(
        tmp_path / "n.zv", CORNERS, groups={1: [0], 0: [2]}, group_attributes={"w": pd.Series({1: 5.0, 0: 3.0})[::-1]}
    )
    numbered = read_groups(open_reader(tmp_path / "n.zv").level(0))
    assert numbered is not None
    assert numbered.attributes["w"].values.tolist() == [3.0, 5.0]
    with pytest.raises(ArgumentError, match=r"group_attributes: .*lacks 'b'.*no group 'c'"):
        write_polylines(
            tmp_path / "x.zv",
            CORNERS,
            object_ids=IDS,
            groups=groups,
            group_attributes={"w": pd.Series({"a": 1, "c": 2})},
        )


def test_parametric_objects_are_aligned(tmp_path: Path) -> None:
    planes = {"plane": [[0, 0, 1, -k] for k in range(3)]}
    write_parametric(tmp_path / "a.zv", planes, object_attributes={"v": pd.Series({2: 2.0, 0: 0.0, 1: 1.0})})
    assert read_parametric(tmp_path / "a.zv").attributes["v"].tolist() == [0, 1, 2]
    table = pd.DataFrame({"v": {1: 1.0, 0: 0.0, 2: 2.0}})
    write_parametric(tmp_path / "a.zv", planes, object_attributes=table, mode="a")
    assert read_parametric(tmp_path / "a.zv").attributes["v"].tolist() == [0, 1, 2, 0, 1, 2]


def test_vertices_go_by_their_place_unless_two_tables_disagree(tmp_path: Path) -> None:
    frame = pd.DataFrame(CORNERS[0], columns=["x", "y", "z"])
    frame["v"] = [0.0, 1.0, 2.0]
    kept = frame[frame.v != 1]
    write_points(tmp_path / "a.zv", kept[["x", "y", "z"]], attributes=kept[["v"]], keep_order=True)
    assert read_points(tmp_path / "a.zv", restore_order=True).attributes["v"].tolist() == [0, 2]
    write_points(tmp_path / "a.zv", kept[["x", "y", "z"]].to_numpy(), attributes={"v": kept.v}, keep_order=True)
    assert read_points(tmp_path / "a.zv", restore_order=True).attributes["v"].tolist() == [0, 2]
    turned = frame.sort_values("v", ascending=False)
    for attributes in ({"v": turned.v}, turned[["v"]]):
        for write in (
            lambda **more: write_points(tmp_path / "x.zv", **more),
            lambda positions, **more: write_graph(tmp_path / "x.zv", positions, [[0, 1]], **more),
            lambda positions, **more: write_mesh(tmp_path / "x.zv", positions, [[0, 1, 2]], **more),
            lambda **more: write_points_stream(tmp_path / "x.zv", [more]),
        ):
            with pytest.raises(ShapeError, match="another index"):
                write(positions=frame[["x", "y", "z"]], attributes=attributes)
    assert not (tmp_path / "x.zv").exists()


@pytest.mark.parametrize("given", ["frame", "polars", "arrow"])
def test_frames_are_taken_wherever_attributes_are(tmp_path: Path, given: str) -> None:
    table: Any = {"a": [1, 2, 3], "b": ["x", "y", "z"]}
    table = {"frame": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}[given](table)
    write_points(tmp_path / "p.zv", CORNERS[0], attributes=table, keep_order=True)
    write_graph(tmp_path / "g.zv", CORNERS[0], [[0, 1]], attributes=table, keep_order=True)
    write_mesh(tmp_path / "m.zv", CORNERS[0], [[0, 1, 2]], attributes=table, keep_order=True)
    for name in "pgm":
        found = read_points(tmp_path / f"{name}.zv", restore_order=True).attributes
        assert found["a"].tolist() == [1, 2, 3]
        assert found["b"].tolist() == ["x", "y", "z"]
    write_polylines(tmp_path / "l.zv", [CORNERS[0]], attributes=table)
    assert read_polylines(tmp_path / "l.zv").attributes["b"].tolist() == ["x", "y", "z"]
    write_lines(
        tmp_path / "s.zv", CORNERS[0][None, :2], line_attributes=table[:1] if given != "arrow" else table.slice(0, 1)
    )
    assert said_of_objects(tmp_path / "s.zv")["b"] == {0: "x"}
    append_vertices(tmp_path / "p.zv", CORNERS[0], attributes=table)
    assert read_points(tmp_path / "p.zv").attributes["b"].tolist().count("x") == 2


@pytest.mark.parametrize("form", ["frame by column", "polars", "arrow"])
def test_frames_that_are_set_name_their_objects(tmp_path: Path, form: str) -> None:
    WRITERS["points"](tmp_path / "a.zv")
    set_attribute(tmp_path / "a.zv", "v", forms(WEIGHTS)[form], kind="object")
    assert said_of_objects(tmp_path / "a.zv") == {"v": WEIGHTS}
    with pytest.raises(ArgumentError, match="expected one column beside 'object_id'"):
        set_attribute(tmp_path / "a.zv", "w", pd.DataFrame({"object_id": IDS, "a": 1, "b": 2}), kind="object")
