"""Every way in which people name the place of a store leads to it, through every door, or is refused with a remedy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore, LoggingStore, MemoryStore, StorePath, ZipStore

from tests.points.clouds import make_cloud
from zarr_vectors import Group, open_store
from zarr_vectors.exceptions import ArgumentError, ReadOnlyStoreError, StoreNotFoundError
from zarr_vectors.lazy import open_zv
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

N = 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("places")
    write_points(path / "a.zv", make_cloud(N))
    shutil.make_archive(str(path / "flat"), "zip", path / "a.zv")
    shutil.make_archive(str(path / "folder"), "zip", path, "a.zv")
    return path


def _opened(path: Path) -> ZipStore:
    store = ZipStore(path)
    store._sync_open()
    return store


ZIPPED: dict[str, Callable[[Path], Any]] = {
    "zip file": lambda home: home / "flat.zip",
    "zip file of a folder": lambda home: str(home / "folder.zip"),
    "URL of a zip file": lambda home: (home / "flat.zip").as_uri(),
    "fsspec's URL of a zip file": lambda home: f"zip://::{home}/flat.zip",
    "fsspec's URL of a folder in a zip file": lambda home: f"zip://a.zv::{home}/folder.zip",
    "unopened ZipStore": lambda home: ZipStore(home / "flat.zip"),
    "unopened ZipStore of a folder": lambda home: ZipStore(home / "folder.zip"),
    "unopened ZipStore for writing": lambda home: ZipStore(home / "flat.zip", mode="w"),
    "open ZipStore": lambda home: _opened(home / "flat.zip"),
    "group of a ZipStore": lambda home: zarr.open_group(ZipStore(home / "folder.zip"), path="a.zv", mode="r"),
}
OTHERS: dict[str, Callable[[Path], Any]] = {
    "group": lambda home: zarr.open_group(home / "a.zv", mode="r"),
    "group in a store": lambda home: zarr.open_group(LocalStore(home), path="a.zv", mode="r"),
    "StorePath": lambda home: StorePath(LocalStore(home), "a.zv"),
    "LocalStore": lambda home: LocalStore(home / "a.zv"),
    "wrapped store": lambda home: LoggingStore(LocalStore(home / "a.zv"), log_level="ERROR"),
    "path in a wrapped store": lambda home: StorePath(LoggingStore(LocalStore(home), log_level="ERROR"), "a.zv"),
    "group of ours": lambda home: open_store(home / "a.zv"),
    "lazy dataset": lambda home: open_zv(home / "a.zv"),
}


@pytest.mark.parametrize("spelling", [*ZIPPED, *OTHERS])
def test_a_store_is_read_however_it_is_named(home: Path, spelling: str) -> None:
    place = {**ZIPPED, **OTHERS}[spelling](home)
    assert len(read_points(place)) == N
    assert len(open_zv(place)[0].read().positions) == N
    assert validate(place, level=3).is_valid
    assert len(read_points(open_store(place))) == N
    if isinstance(place, zarr.Group) and not place.path:
        assert len(read_points(Group(place))) == N


@pytest.mark.parametrize("spelling", ZIPPED)
def test_zip_files_are_not_written(home: Path, spelling: str) -> None:
    before = (home / "flat.zip").read_bytes()
    with pytest.raises(ReadOnlyStoreError, match=r"write a folder and pack it"):
        write_points(ZIPPED[spelling](home), make_cloud(3))
    assert (home / "flat.zip").read_bytes() == before


def test_a_refused_zip_file_is_not_made(tmp_path: Path) -> None:
    for place in (tmp_path / "new.zip", ZipStore(tmp_path / "new.zip", mode="w")):
        with pytest.raises(ReadOnlyStoreError, match=r"new\.zip.*pack it"):
            write_points(place, make_cloud(3))
    with pytest.raises(StoreNotFoundError, match=r"new\.zip: no zip file"):
        read_points(tmp_path / "new.zip")
    (tmp_path / "bad.zip").write_text("no archive")
    with pytest.raises(StoreNotFoundError, match=r"bad\.zip: no zip file"):
        read_points(tmp_path / "bad.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


def test_a_path_in_a_store_of_zarr_is_written_and_appended_to() -> None:
    store = MemoryStore()
    write_points(StorePath(store, "below/cloud"), make_cloud(N))
    group = zarr.open_group(store, path="below/cloud", mode="r+")
    write_points(group, make_cloud(5), mode="a", out_of_bounds="expand")
    assert len(read_points(group)) == N + 5
    assert validate(group).is_valid
    with pytest.raises(ReadOnlyStoreError):
        write_points(zarr.open_group(store, path="below/cloud", mode="r"), make_cloud(5), mode="a")
    assert all(key.startswith("below/cloud/") or key == "below/cloud" for key in store._store_dict)


@pytest.mark.parametrize("place", [{}, zarr.zeros(3), np.zeros(3), b"a.zv", 3])
def test_what_is_no_place_is_refused(place: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"type {type(place).__name__} cannot be opened: give a path, a URL"):
        read_points(place)
