"""Third-party backends: the documented methods are all that is needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from zarr_vectors import RechunkSpec, StorageBackend, rechunk
from zarr_vectors.core.store import add_resolution_level, create_store, list_resolution_levels, open_store, set_bounds
from zarr_vectors.edit import delete_objects, remove_attribute, set_attribute, vacuum
from zarr_vectors.exceptions import ArgumentError, ReadOnlyStoreError, StoreError, StoreExistsError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage.backend import BackendStorage
from zarr_vectors.storage.latest import LATEST_ADDRESS
from zarr_vectors.storage.port import Range, Storage
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.types.parametric import write_parametric
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate


class Shelf:
    """Keeps bytes in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.prefixes: set[str] = set()
        self.threads: set[int] = set()

    @property
    def url(self) -> str:
        return "shelf://library/cloud.zv"

    def get(self, key: str) -> bytes | None:
        self.threads.add(threading.get_ident())
        return self.kept[key]

    def put(self, key: str, data: bytes) -> None:
        if key.endswith("forbidden"):
            raise OSError("the shelf is full")
        self.kept[key] = data

    def exists(self, key: str) -> bool:
        return key in self.kept

    def delete(self, key: str) -> None:
        del self.kept[key]

    def delete_prefix(self, prefix: str) -> None:
        start = f"{prefix}/" if prefix else ""
        self.kept = {key: data for key, data in self.kept.items() if not key.startswith(start)}

    def ensure_prefix(self, prefix: str) -> None:
        self.prefixes.add(prefix)

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterator[str]:
        start = f"{prefix}/" if prefix else ""
        below = [key for key in list(self.kept) if key.startswith(start)]
        if recursive:
            yield from below
            return
        heads = {key[len(start) :].partition("/")[:2] for key in below}
        yield from (start + name + slash for name, slash in heads)


class Literal(Shelf):
    """Does what the sentences of the protocol say, word by word: a prefix is what keys start with."""

    def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    def exists(self, key: str) -> bool:
        return any(one == key or one.startswith(f"{key}/") for one in self.kept)

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)

    def delete_prefix(self, prefix: str) -> None:
        self.kept = {key: data for key, data in self.kept.items() if not key.startswith(prefix)}

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterator[str]:
        found = [key for key in list(self.kept) if key.startswith(prefix)]
        if recursive:
            yield from found
            return
        yield from {prefix + "".join(key[len(prefix) :].partition("/")[:2]) for key in found}


SHELVES = [Shelf, Literal]


@pytest.mark.parametrize("kind", SHELVES)
@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_a_store_lives_in_a_backend(revision: str, kind: type[Shelf]) -> None:
    shelf = kind()
    assert isinstance(shelf, StorageBackend)
    points = np.random.default_rng(2).random((500, 3)) * 100
    write_points(shelf, points, chunk_shape=20.0, format_version=revision)
    build_pyramid(shelf, factors=[(2, 1)])
    root = open_store(shelf, "r+")
    add_resolution_level(root, 2, (4, 4, 4))
    assert list_resolution_levels(open_store(shelf)) == [0, 1, 2]
    assert len(read_points(shelf).positions) == 500
    box = read_points(shelf, bbox=([0, 0, 0], [50, 50, 50]))
    assert len(box.positions) == (points.astype(np.float32) < 50).all(axis=1).sum()
    assert validate(shelf, level=3).is_valid
    assert root.backend.url == "shelf://library/cloud.zv"
    assert root.backend.scheme == "shelf"
    assert [key for key in shelf.kept if key.startswith(".zv-")] == [LATEST_ADDRESS]
    assert "0/vertices" in shelf.prefixes or "0/vertices/c" in {p.rsplit("/", 3)[0] for p in shelf.prefixes}
    assert isinstance(zarr.open_group(root.storage.zarr_store(), mode="r")["0"], zarr.Group)
    with pytest.raises(StoreExistsError):
        create_store(shelf)
    with pytest.raises(ReadOnlyStoreError):
        open_store(shelf).attrs["a"] = 1
    with pytest.raises(ArgumentError, match="options"):
        open_store(shelf, region="x")


@pytest.mark.parametrize("kind", SHELVES)
@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_what_begins_alike_stays(revision: str, kind: type[Shelf], tmp_path: Path) -> None:
    shelf, ids = kind(), np.arange(40) % 4
    named = {name: np.arange(4.0) + place for place, name in enumerate(("a", "ab", "abc"))}
    per_point = {name: np.arange(40.0) + place for place, name in enumerate(("a", "ab", "abc"))}

    def put(place: object) -> None:
        positions = np.random.default_rng(3).random((40, 3)) * 100
        write_points(
            place,
            positions,
            attributes=per_point,
            object_ids=ids,
            object_attributes=named,
            groups={"g": [0, 1]},
            chunk_shape=50.0,
            bounds=([0] * 3, [100] * 3),
            format_version=revision,
        )
        write_parametric(place, {"sphere": [[0, 0, 0, 1]]}, object_attributes={"a": [1.0], "ab": [2.0]})
        build_pyramid(place, factors=[(2, 1)])
        remove_attribute(place, "a", kind="object")
        remove_attribute(place, "a")
        set_attribute(place, "ab", per_point["abc"])
        root = open_store(place, "r+")  # type: ignore[arg-type]
        root.write_array("extra/t", [1, 2])
        root.write_array("extra/tt", [3, 4])
        root.write_array("extra/t", [5, 6])
        root.write_vlen_array("extra/t", [])
        set_bounds(root, ([0] * 3, [60] * 3), force=True)
        delete_objects(place, [1])
        vacuum(place)
        rechunk(place, RechunkSpec("spatial", spatial_chunk_shape=(20.0, 20.0, 20.0)))

    put(shelf)
    put(tmp_path / "a.zv")
    stored = {path.relative_to(tmp_path / "a.zv").as_posix() for path in (tmp_path / "a.zv").rglob("*")}
    there = {key for key in shelf.kept if not key.startswith(".zv-")}
    assert there == {one for one in stored if (tmp_path / "a.zv" / one).is_file()}
    assert set(read_points(shelf).attributes) == {"ab", "abc"}
    assert open_store(shelf)["extra"].children() == ["tt"]
    assert validate(shelf, level=5).is_valid


def test_what_a_backend_raises_is_a_store_error(tmp_path: Path) -> None:
    class Broken(Shelf):
        def fail(self, *given: object, **named: object) -> Any:
            raise OSError("the shelf fell down")

        exists = delete = delete_prefix = ensure_prefix = list_prefix = fail

    storage = resolve_storage(Broken(), mode="r+")
    for call in (
        lambda: storage.exists("a"),
        lambda: storage.delete_many(["a"]),
        lambda: storage.delete_prefix("a"),
        lambda: storage.put_many([("a", b"")]),
        lambda: storage.list_all(),
        lambda: storage.list_folders([""]),
    ):
        with pytest.raises(StoreError, match=r"shelf://library/cloud.zv.*fell down"):
            call()


@pytest.mark.parametrize("kind", SHELVES)
def test_the_adapter_keeps_the_port(kind: type[Shelf]) -> None:
    shelf = kind()
    storage = resolve_storage(shelf, mode="r+")
    assert isinstance(storage, BackendStorage)
    assert isinstance(storage, Storage)
    storage.put_many([("a/b", b"0123456789"), ("a/c", [b"x", b"y"]), ("d", b"")])
    asked = [Range("a/b"), Range("a/b", 2, 5), Range("a/b", -3), Range("a/b", 8, 99), Range("no"), Range("d", 0, 4)]
    found = [None if blob is None else bytes(blob) for blob in storage.get_many(asked)]
    assert found == [b"0123456789", b"234", b"789", b"89", None, b""]
    assert storage.list_folders(["", "a", "no"]) == [(["a"], ["d"]), ([], ["b", "c"]), ([], [])]
    assert storage.list_all() == ["a/b", "a/c", "d"]
    assert storage.list_all("a") == ["a/b", "a/c"]
    storage.move_many([("a/b", "e/f"), ("gone", "x")])
    storage.delete_many(["d", "never"])
    assert storage.list_all() == ["a/c", "e/f"]
    assert storage.put_if_absent("d", b"1")
    assert not storage.put_if_absent("d", b"2")
    storage.put_many([("ab/c", b"1"), ("a/b/c", b"2")])
    assert storage.list_all("a") == ["a/b/c", "a/c"]
    assert storage.list_folders(["a", "ab"]) == [(["b"], ["c"]), ([], ["c"])]
    storage.delete_prefix("a")
    assert storage.list_all() == ["ab/c", "d", "e/f"]
    storage.delete_prefix("ab")
    assert storage.name == "cloud.zv"
    with pytest.raises(StoreError, match="full"):
        storage.put_many([("forbidden", b"1")])
    with pytest.raises(ArgumentError):
        storage.get_many([Range("../x")])
    reading = resolve_storage(shelf, mode="r")
    for refused in (
        lambda: reading.put_many([("x", b"")]),
        lambda: reading.put_if_absent("x", b""),
        lambda: reading.delete_many(["d"]),
        lambda: reading.delete_prefix(""),
        lambda: reading.move_many([("d", "x")]),
    ):
        with pytest.raises(ReadOnlyStoreError):
            refused()


def test_what_lacks_a_method_is_refused(tmp_path: Path) -> None:
    class Half:
        url = "half://x"

        def get(self, key: str) -> bytes | None:
            return None

    with pytest.raises(ArgumentError, match="Half"):
        open_store(Half())
