"""What a writer may replace: a store of its own kind, which lies in no other and holds no other."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr.storage

from tests.core.every_kind import KINDS, files, write_kind
from zarr_vectors import RechunkSpec, create_store, open_store, rechunk
from zarr_vectors.exceptions import ArgumentError, StoreError, StoreExistsError
from zarr_vectors.migration import migrate
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.types.parametric import read_parametric, write_parametric
from zarr_vectors.types.point_streams import write_points_stream
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])
WRITERS = ["points", "polylines", "lines", "graph", "skeleton", "mesh"]
"""Kinds of which each has a geometry type of its own."""
POINTS = np.random.default_rng(1).uniform(0, 100, (50, 3)).astype(np.float32)
SPHERE = {"sphere": [[0, 0, 0, 1]]}
DOORS: dict[str, Callable[[Any], Any]] = {
    "points": lambda place: write_points(place, POINTS),
    "appended points": lambda place: write_points(place, POINTS, mode="a"),
    "stream": lambda place: write_points_stream(place, [POINTS]),
    "shell": create_store,
    "parametric": lambda place: write_parametric(place, SPHERE),
}


@REVISIONS
@pytest.mark.parametrize("there", WRITERS)
def test_a_store_is_replaced_by_one_of_its_kind_only(tmp_path: Path, there: str, revision: str) -> None:
    path = tmp_path / "a.zv"
    write_kind(there, path, format_version=revision)
    before = files(path)
    (name,) = open_store(path).reader.root.geometry_types
    place = WRITERS.index(there)
    for writer in {WRITERS[place - 1], WRITERS[place - 2 if revision == "0.9" else place - 3]}:
        with pytest.raises(StoreExistsError, match=f"a.zv: holds {name}, and only a store of the same kind .*delete"):
            write_kind(writer, path, format_version=revision)
    if there != "points":
        with pytest.raises(StoreExistsError, match=f"holds {name}"):
            write_points_stream(path, [POINTS])
    assert files(path) == before
    write_kind(there, path, format_version=revision)
    assert files(path) == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.zv"]


@pytest.mark.parametrize("there", KINDS)
def test_parametric_objects_outlast_what_is_written_beside_them(tmp_path: Path, there: str) -> None:
    write_kind(there, tmp_path / "a.zv")
    write_parametric(tmp_path / "a.zv", SPHERE)
    write_kind(there, tmp_path / "a.zv")
    assert read_parametric(tmp_path / "a.zv").object_count == 1


def places(kind: str, tmp_path: Path) -> tuple[Any, Callable[[str], Any]]:
    """Return a place, and a function that gives places below it."""
    if kind == "folder":
        return tmp_path / "a.zv", lambda below: f"{tmp_path}/a.zv/{below}"
    if kind == "link":
        (tmp_path / "link").symlink_to(tmp_path)
        return tmp_path / "a.zv", lambda below: tmp_path / "link" / "a.zv" / below
    if kind == "memory":
        url = f"memory://{uuid.uuid4().hex}/deep/a.zv"
        return url, lambda below: f"{url}/{below}"
    if kind == "fsspec":
        url = f"{uuid.uuid4().hex}/deep/a.zv"
        return _fsspec(url), lambda below: _fsspec(f"{url}/{below}")
    store = zarr.storage.MemoryStore()
    return store, lambda below: zarr.storage.StorePath(store, below)


def _fsspec(path: str) -> zarr.storage.FsspecStore:
    return zarr.storage.FsspecStore.from_url(f"memory://{path}")


@REVISIONS
@pytest.mark.parametrize("kind", ["folder", "link", "memory", "fsspec", "zarr"])
@pytest.mark.parametrize("outer", ["points", "shell", "parametric"])
def test_no_store_is_made_in_the_folder_of_another(tmp_path: Path, kind: str, outer: str, revision: str) -> None:
    place, below = places(kind, tmp_path)
    if outer == "points":
        write_points(place, POINTS, format_version=revision)
    elif outer == "shell":
        create_store(place, format_version=revision)
    else:
        write_parametric(place, SPHERE, format_version=revision)
    for door in DOORS.values():
        for inner in ("in.zv", "0/in", "0/vertices/c/0/in.zv"):
            with pytest.raises(StoreExistsError, match=r"lies in the folder of another store, .*beside that store"):
                door(below(inner))
    source = tmp_path / "other.zv"
    write_points(source, POINTS)
    for door in (
        lambda: rechunk(source, RechunkSpec("spatial", spatial_chunk_shape=(10.0,) * 3), below("in.zv")),
        lambda: migrate(source, below("in.zv")),
    ):
        with pytest.raises(StoreExistsError, match="lies in the folder of another store"):
            door()
    report = validate(place, level=3)
    assert report.is_valid, report.summary()


@pytest.mark.parametrize("kind", ["folder", "memory", "fsspec", "zarr"])
@pytest.mark.parametrize("door", DOORS)
def test_no_store_is_made_around_another(tmp_path: Path, kind: str, door: str) -> None:
    place, below = places(kind, tmp_path)
    write_points(below("in.zv"), POINTS)
    with pytest.raises(StoreError, match=r"found in.zv|\(in.zv\)"):
        DOORS[door](place)
    assert read_points(below("in.zv")).vertex_count == 50


@pytest.mark.parametrize("where", ["in.zv", "mine/in.zv", "0/mine/in.zv"])
def test_a_store_that_holds_another_is_not_replaced(tmp_path: Path, where: str) -> None:
    path, moved = tmp_path / "a.zv", tmp_path / "b.zv"
    for store in (path, moved):
        write_points(store, POINTS)
    open_store(path, "r+").write_array("extra/a", [1])
    shutil.copytree(moved, path / where)
    finer = RechunkSpec("spatial", spatial_chunk_shape=(10.0,) * 3)
    for door in (
        lambda: write_points(path, POINTS),
        lambda: write_points_stream(path, [POINTS]),
        lambda: rechunk(path, finer),
        lambda: rechunk(moved, finer, path, overwrite=True),
        lambda: migrate(path, path, format_version="0.7", overwrite=True),
    ):
        with pytest.raises(StoreExistsError, match=f"its folder holds another store, '{where}'.*move that one"):
            door()
    assert read_points(path / where).vertex_count == 50
    shutil.rmtree(path / where)
    write_points(path, POINTS[:5])
    assert read_points(path).vertex_count == 5


def test_stores_lie_in_groups_that_are_no_stores(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "images.zarr")
    for _ in range(2):
        write_points(tmp_path / "images.zarr" / "cells", POINTS)
    assert read_points(tmp_path / "images.zarr" / "cells").vertex_count == 50
    (tmp_path / "zarr.json").write_text("not JSON")
    write_points(tmp_path / "b.zv", POINTS)


def test_what_may_not_be_read_above_a_place_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LocalStorage.get_many

    def denied(storage: LocalStorage, requests: Any) -> Any:
        if storage.root == tmp_path:
            raise StoreError("permission denied")
        return whole(storage, requests)

    monkeypatch.setattr(LocalStorage, "get_many", denied)
    write_points(tmp_path / "a.zv", POINTS)
    assert read_points(tmp_path / "a.zv").vertex_count == 50


@pytest.mark.parametrize("door", DOORS)
def test_a_group_below_the_root_is_no_place_of_a_store(tmp_path: Path, door: str) -> None:
    root = create_store(tmp_path / "a.zv")
    write_points(root, POINTS)
    before = files(tmp_path / "a.zv")
    if door != "parametric":  # which adds to the store and replaces nothing
        with pytest.raises(ArgumentError, match="'0' of a store: stores are written through their root"):
            DOORS[door](root["0"])
    assert files(tmp_path / "a.zv") == before
