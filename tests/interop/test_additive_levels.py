"""Levels that only together with coarser ones are complete are read as the union of what each of them stores."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.graphs.networks import make_forest, make_graph
from tests.interop.newer import edit_document, make_additive, say
from tests.points.clouds import REVISIONS, make_cloud, tree
from zarr_vectors import RechunkSpec, open_store, rechunk
from zarr_vectors.edit import add_attribute, delete_objects
from zarr_vectors.exceptions import ArgumentError, MetadataError, UnknownNameError, UnsupportedFeatureError
from zarr_vectors.lazy import open_zv
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

SHAPES: dict[str, Any] = {"chunk_shape": 25.0, "bounds": ([-50.0] * 3, [150.0] * 3)}
BOX = ([10.0] * 3, [60.0] * 3)
CLOUD = make_cloud(300)
OWN = [np.arange(300) % 3 == 0, np.arange(300) % 3 == 1, np.arange(300) % 3 == 2]


def points(path: Path, level: int, **more: Any) -> None:
    rows = np.flatnonzero(OWN[level])
    extra = {"only": rows} if level < 2 else {}
    kind = np.array(["a", "b", "c"])[rows % (2 + level % 2)]
    values = {"row": rows, "kind": kind, **extra}
    write_points(path, CLOUD[rows], attributes=values, object_ids=rows // 3 * 3 + level, **SHAPES, **more)


@pytest.fixture(scope="module", params=REVISIONS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("additive")
    parts = [folder / f"{level}.zv" for level in range(3)]
    for level, path in enumerate(parts):
        points(path, level, format_version=request.param)
    shutil.copytree(parts[0], folder / "s.zv")
    make_additive(folder / "s.zv", *parts[1:])
    return folder / "s.zv"


QUERIES: dict[str, tuple[dict[str, Any], Any]] = {
    "everything": ({}, np.ones(300, bool)),
    "a box": ({"bbox": BOX}, ((CLOUD >= 10) & (CLOUD < 60)).all(axis=1)),
    "a condition": ({"attribute_filter": {"row": (50, 90)}}, (np.arange(300) >= 50) & (np.arange(300) < 90)),
    "objects": ({"object_ids": [4, 2, 3]}, np.isin(np.arange(300), [2, 3, 4])),
    "chunks": ({"chunks": [(1, 1, 1)]}, (np.floor(CLOUD / 25) == 1).all(axis=1)),
}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_points_are_those_of_the_whole_chain(store: Path, level: int, query: str) -> None:
    arguments, expected = QUERIES[query]
    complete = np.logical_or.reduce(OWN[level:])
    if query == "objects" and level:
        with pytest.raises(UnknownNameError, match="no object"):
            read_points(store, level=level, **arguments)
        return
    for found in (read_points(store, level=level, **arguments), open_zv(store)[level].read(**arguments)):
        rows = found.attributes["row"]
        assert sorted(rows.tolist()) == np.flatnonzero(expected & complete).tolist()
        assert np.array_equal(found.positions, CLOUD[rows])
        assert np.array_equal(found.object_ids, rows)
        assert found.level == level
        assert "only" not in found.attributes
    own = read_points(store, level=level, own_level_only=True)
    assert sorted(own.attributes["row"].tolist()) == np.flatnonzero(OWN[level]).tolist()
    assert len(open_zv(store)[level].read(own_level_only=True)) == OWN[level].sum()


def test_levels_come_one_after_another_the_finest_first(store: Path) -> None:
    rows = read_points(store).attributes["row"] % 3
    assert rows.tolist() == [0] * 100 + [1] * 100 + [2] * 100
    own = read_points(store, own_level_only=True)
    assert own.attributes.keys() == {"row", "kind", "only"}


PATHS = [np.cumsum(np.random.default_rng(n).normal(5, 3, (4 + n % 3, 3)), axis=0).astype("f4") for n in range(6)]


def _write_paths(path: Path, ids: list[int], **more: Any) -> None:
    write_polylines(
        path,
        [PATHS[i] for i in ids],
        object_ids=ids,
        attributes={"n": [np.arange(len(PATHS[i])) + 100 * i for i in ids]},
        object_attributes={"weight": np.array(ids, float)},
        groups={0: ids[:1]},
        **SHAPES,
        **more,
    )


@pytest.fixture(scope="module", params=REVISIONS)
def paths(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("paths")
    _write_paths(folder / "s.zv", [1, 4, 5], format_version=request.param)
    _write_paths(folder / "1.zv", [0, 2], format_version=request.param)
    _write_paths(folder / "2.zv", [3], format_version=request.param)
    make_additive(folder / "s.zv", folder / "1.zv", folder / "2.zv")
    return folder / "s.zv"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [1, 4, 5, 0, 2, 3]),
        ({"object_ids": [2, 5, 3, 1]}, [2, 5, 3, 1]),
        ({"level": 1}, [0, 2, 3]),
        ({"own_level_only": True}, [1, 4, 5]),
        ({"group_ids": 0}, [1, 0, 3]),
        ({"attribute_filter": {"weight": (2, 5)}}, [4, 2, 3]),
    ],
)
def test_objects_of_paths_are_those_of_the_whole_chain(paths: Path, arguments: dict[str, Any], expected: Any) -> None:
    found = read_polylines(paths, **arguments)
    assert found.object_ids.tolist() == expected
    assert found.object_attributes["weight"].tolist() == expected
    for number, path in zip(expected, found.polylines, strict=True):
        assert np.array_equal(path, PATHS[number])
    assert [values[0] // 100 for values in found.split("n")] == expected
    assert read_polylines(paths, return_object_ids=False, **arguments).object_ids is None


def test_places_that_levels_keep_for_objects_of_others_are_left_out(tmp_path: Path) -> None:
    for name, there in (("s", [1, 4, 5]), ("1", [0, 2, 3])):
        _write_paths(tmp_path / f"{name}.zv", list(range(6)))
        group = zarr.open_group(tmp_path / f"{name}.zv/0/object_index", mode="r+")
        for row in set(range(6)) - set(there):
            group["manifests"][row : row + 1] = np.array([bytes(4)], object)
    make_additive(tmp_path / "s.zv", tmp_path / "1.zv")
    found = read_polylines(tmp_path / "s.zv")
    assert sorted(found.object_ids.tolist()) == list(range(6))
    assert np.diff(found.offsets).tolist() == [len(PATHS[i]) for i in found.object_ids]
    assert read_polylines(tmp_path / "s.zv", object_ids=[3, 1]).object_ids.tolist() == [3, 1]


def test_lines_of_the_whole_chain(tmp_path: Path) -> None:
    ends = make_cloud(12).reshape(6, 2, 3)
    for name, ids in (("s", [1, 4]), ("1", [0, 2, 3, 5])):
        write_lines(tmp_path / f"{name}.zv", ends[ids], object_ids=ids, line_attributes={"w": ids}, **SHAPES)
    make_additive(tmp_path / "s.zv", tmp_path / "1.zv")
    found = read_lines(tmp_path / "s.zv")
    assert sorted(found.object_ids.tolist()) == list(range(6))
    assert np.array_equal(found.endpoints, ends[found.object_ids])
    assert found.line_attributes["w"].tolist() == found.object_ids.tolist()


@pytest.mark.parametrize("kind", ["graph", "skeleton", "mesh"])
def test_links_follow_the_rows_of_their_level(tmp_path: Path, kind: str) -> None:
    parts = []
    for number, name in enumerate(("s", "1")):
        if kind == "mesh":
            vertices, _ = make_graph(30, 0, seed=number)
            links = np.arange(30).reshape(10, 3)
            write_mesh(
                tmp_path / f"{name}.zv",
                vertices,
                links,
                object_ids=np.full(30, number),
                face_attributes={"f": np.arange(10)},
                **SHAPES,
            )
        else:
            vertices, links = make_forest(30, seed=number)
            write_graph(
                tmp_path / f"{name}.zv",
                vertices,
                links,
                object_ids=np.full(30, number),
                geometry_type=kind,
                edge_attributes={"f": np.arange(len(links))} if kind == "graph" else None,
                **SHAPES,
            )
        parts.append(tmp_path / f"{name}.zv")
    read: Callable[..., Any] = read_mesh if kind == "mesh" else read_graph
    single = [read(path) for path in parts]
    make_additive(parts[0], parts[1])
    found = read(parts[0])
    links = "faces" if kind == "mesh" else "edges"
    assert np.array_equal(found["positions"], np.concatenate([part["positions"] for part in single]))
    assert np.array_equal(found[links], np.concatenate([single[0][links], single[1][links] + 30]))
    assert found.object_ids.tolist() == [0] * 30 + [1] * 30
    for one in (0, 1):
        assert np.array_equal(read(parts[0], object_ids=[one])["positions"], single[one]["positions"])
    if kind != "skeleton":
        assert len(found["link_attributes"]["f"]) == len(found[links])


def test_what_does_not_join_levels_refuses_them_by_name(store: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(store, tmp_path / "s.zv"))
    before = tree(place)
    lazy = open_zv(place)
    doors: dict[str, Callable[[], Any]] = {
        "append": lambda: write_points(place, np.zeros((1, 3)), mode="a"),
        "edit": lambda: delete_objects(place, [0]),
        "attribute": lambda: add_attribute(place, "new", np.zeros(100)),
        "pyramid": lambda: build_pyramid(place, factors=[(2, 1)]),
        "rechunk": lambda: rechunk(place, RechunkSpec(by="group"), output=tmp_path / "r.zv"),
        "open for writing": lambda: open_store(place, mode="r+"),
        "chunks": lambda: list(lazy[0].iter_chunks()),
        "count": lambda: lazy[0].count(),
        "objects": lambda: lazy[0].objects.ids,
        "most vertices": lambda: lazy.read(max_vertices=1000),
    }
    for door in doors.values():
        with pytest.raises(UnsupportedFeatureError, match="additive"):
            door()
    with pytest.raises(ArgumentError, match=r"restore_order: .*additive"):
        read_points(place, restore_order=True)
    assert tree(place) == before
    assert repr(lazy)
    assert lazy[0].vertex_count == 100


@pytest.mark.parametrize("revision", REVISIONS)
def test_additive_levels_stay_so_when_a_store_is_migrated(store: Path, tmp_path: Path, revision: str) -> None:
    migrate(store, tmp_path / "t.zv", format_version=revision)
    one, other = read_points(store), read_points(tmp_path / "t.zv")
    assert np.array_equal(one.positions, other.positions)
    assert np.array_equal(one.attributes["row"], other.attributes["row"])
    assert len(read_points(tmp_path / "t.zv", own_level_only=True)) == 100


def test_additive_levels_are_validated_for_what_they_are(store: Path, tmp_path: Path) -> None:
    assert validate(store, level=5).is_valid, validate(store, level=5).report()
    place = Path(shutil.copytree(store, tmp_path / "s.zv"))
    say(place, "2", refinement="add")
    with pytest.raises(MetadataError, match="no level 3 to complete it"):
        read_points(place)
    assert "no level 3" in validate(place, level=2).report()
    say(place, "2", refinement="replace")
    edit_document(place, lambda d: d["attributes"]["zarr_vectors"].pop("required_capabilities"))
    assert "required_capabilities" in validate(place, level=2).report()
