"""Replacing a store as a whole: there is always a complete one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr.storage

from zarr_vectors.exceptions import ReadOnlyStoreError, StoreError
from zarr_vectors.storage import (
    LocalStorage,
    Range,
    Storage,
    begin_replacement,
    break_lock,
    get_one,
    is_unfinished,
    is_vacant,
    lock,
    overlay,
    processes,
    put_one,
    recover,
    resolve_storage,
)
from zarr_vectors.storage import replace as replace_module
from zarr_vectors.storage.exchange import exchange
from zarr_vectors.storage.latest import LATEST_ADDRESS
from zarr_vectors.storage.lock import LOCK_FOLDER
from zarr_vectors.storage.replace import put_back
from zarr_vectors.testing.storage import FailingStorage, SimulatedCrashError
from zarr_vectors.types.points import read_points, write_points

OLD = {"zarr.json": b"old", "0/a/c/0": b"old", "0/b": b"only old"}
NEW = {"zarr.json": b"new", "0/a/c/0": b"new", "0/c": b"only new"}


def contents(storage: Storage) -> dict[str, bytes]:
    hidden = (LATEST_ADDRESS, LOCK_FOLDER)
    addresses = [address for address in storage.list_all() if not address.startswith(hidden)]
    blobs = storage.get_many([Range(address) for address in addresses])
    return {address: bytes(blob or b"") for address, blob in zip(addresses, blobs, strict=True)}


def data_of(storage: Storage) -> dict[str, bytes]:
    return {address: blob for address, blob in contents(storage).items() if not address.startswith(".zv-")}


def write(staging: Storage) -> None:
    staging.put_many([item for item in NEW.items() if item[0] != "zarr.json"])
    put_one(staging, "zarr.json", NEW["zarr.json"])


@pytest.mark.parametrize("before", [{}, OLD])
def test_replacing(fast_storage: Storage, before: dict[str, bytes]) -> None:
    fast_storage.put_many(before.items())
    with lock(fast_storage), begin_replacement(fast_storage) as replacement:
        assert data_of(replacement.staging) == {}
        assert replacement.staging.name == fast_storage.name
        assert replacement.staging.url == fast_storage.url
        write(replacement.staging)
        assert data_of(replacement.staging) == NEW
        if before:
            assert data_of(fast_storage) == OLD
    assert contents(fast_storage) == NEW
    assert contents(resolve_storage(fast_storage.zarr_store())) == NEW
    with pytest.raises(StoreError, match="committed or aborted already"):
        replacement.commit()
    replacement.abort()
    assert contents(fast_storage) == NEW


def fail_to_replace(storage: Storage) -> None:
    """Write a new store and give it up."""

    def fail() -> None:
        with lock(storage), begin_replacement(storage) as replacement:
            write(replacement.staging)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()


def replace_all(storage: Storage) -> None:
    replacement = begin_replacement(storage)
    write(replacement.staging)
    replacement.commit()


@pytest.mark.parametrize("before", [{}, OLD])
def test_aborting_leaves_nothing_behind(fast_storage: Storage, before: dict[str, bytes]) -> None:
    fast_storage.put_many(before.items())
    fail_to_replace(fast_storage)
    assert contents(fast_storage) == before


def test_on_disk_nothing_else_stays(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "s")
    for _ in range(2):
        with lock(storage), begin_replacement(storage) as replacement:
            write(replacement.staging)
        assert [path.name for path in tmp_path.iterdir()] == ["s"]
    fail_to_replace(storage)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_an_empty_replacement_leaves_an_empty_place(fast_storage: Storage) -> None:
    fast_storage.put_many(OLD.items())
    with lock(fast_storage), begin_replacement(fast_storage):
        pass
    assert contents(fast_storage) == {}


def test_a_crash_anywhere_leaves_the_old_or_the_new() -> None:
    def run(fail_at: int | None) -> tuple[Storage, FailingStorage]:
        storage = resolve_storage(f"memory://{uuid.uuid4().hex}", mode="w")
        storage.put_many(OLD.items())
        failing = FailingStorage(storage, fail_at=fail_at)
        replace_all(failing)
        return storage, failing

    _, whole = run(None)
    outcomes = []
    for number in range(1, whole.operations + 1):
        storage = resolve_storage(f"memory://crash-{uuid.uuid4().hex}", mode="w")
        storage.put_many(OLD.items())
        with pytest.raises(SimulatedCrashError):
            replace_all(FailingStorage(storage, fail_at=number))
        view = overlay(storage)
        assert data_of(view or storage) == (OLD if view is None else NEW)
        recover(storage)
        assert contents(storage) == (OLD if view is None else NEW)
        outcomes.append(view is not None)
    assert outcomes == sorted(outcomes)
    assert 3 < sum(outcomes) < len(outcomes)


def test_a_crash_where_nothing_was_is_noticed_and_cleared() -> None:
    for number in range(2, 5):
        storage = resolve_storage(f"memory://vacant-{uuid.uuid4().hex}", mode="w")
        with pytest.raises(SimulatedCrashError):
            write(begin_replacement(FailingStorage(storage, fail_at=number)).staging)
        assert is_unfinished(storage)
        with begin_replacement(storage) as replacement:
            assert data_of(replacement.staging) == {}
            put_one(replacement.staging, "zarr.json", b"new")
        assert contents(storage) == {"zarr.json": b"new"}
        assert not is_unfinished(storage)


def test_locks_outlive_a_replacement(fast_storage: Storage) -> None:
    fast_storage.put_many(OLD.items())
    with lock(fast_storage) as held:
        assert not is_vacant(fast_storage)
        with begin_replacement(fast_storage) as replacement:
            write(replacement.staging)
        assert fast_storage.exists(held.address)
        held.renew()
    assert contents(fast_storage) == NEW


def test_a_lock_alone_is_nothing(fast_storage: Storage) -> None:
    assert is_vacant(fast_storage)
    with lock(fast_storage):
        assert is_vacant(fast_storage)
        with begin_replacement(fast_storage) as replacement:
            write(replacement.staging)
    assert contents(fast_storage) == NEW


def test_a_refused_write_of_a_locked_new_place_leaves_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "s")
    with pytest.raises(RuntimeError, match="x"), lock(storage), begin_replacement(storage):
        raise RuntimeError("x")
    assert list(tmp_path.iterdir()) == []


def test_reading_only_is_refused(tmp_path: Path) -> None:
    for storage in (LocalStorage(tmp_path, read_only=True), resolve_storage(zarr.storage.MemoryStore())):
        with pytest.raises(ReadOnlyStoreError, match="mode='w'"):
            begin_replacement(storage)


def test_exchange(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    (first / "x").touch()
    if not exchange(first, second):
        pytest.skip("this file system cannot exchange two folders")
    assert not (first / "x").exists()
    assert (second / "x").exists()
    with pytest.raises(OSError, match="No such file"):
        exchange(first, tmp_path / "absent")


@pytest.fixture
def by_renames(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Swap by two renames, and make the second one fail when called."""
    monkeypatch.setattr(replace_module, "exchange", lambda first, second: False)
    rename = os.rename

    def interrupt() -> None:
        def once(source: object, target: object) -> None:
            if ".zv-new-" in str(source):
                raise KeyboardInterrupt
            rename(source, target)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "rename", once)

    return interrupt


def test_swapping_by_two_renames(tmp_path: Path, by_renames: Callable[[], None]) -> None:
    storage = LocalStorage(tmp_path / "s")
    storage.put_many(OLD.items())
    with lock(storage), begin_replacement(storage) as replacement:
        write(replacement.staging)
    assert contents(storage) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_an_interrupted_swap_by_two_renames_is_undone(
    tmp_path: Path, by_renames: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(tmp_path / "s")
    storage.put_many(OLD.items())
    with lock(storage):
        replacement = begin_replacement(storage)
        write(replacement.staging)
        by_renames()
        with pytest.raises(KeyboardInterrupt):
            replacement.commit()
    monkeypatch.undo()
    assert contents(storage) == {}
    (aside,) = [path for path in tmp_path.iterdir() if ".zv-old-" in path.name]
    break_lock(LocalStorage(aside))  # its holder would be dead
    put_back(storage)
    with lock(storage):
        recover(storage)
    assert contents(storage) == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_what_dead_writers_left_is_removed_and_what_living_ones_write_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(tmp_path / "s")
    storage.put_many(OLD.items())
    with lock(storage):
        living = begin_replacement(storage)
    put_one(living.staging, "a", b"1")
    other = LocalStorage(tmp_path / "s2")
    put_one(begin_replacement(other).staging, "a", b"1")
    like = tmp_path / ".s.zv-old-backup"
    like.mkdir()
    assert len(list(tmp_path.iterdir())) == 4
    recover(storage)
    assert get_one(living.staging, "a") == b"1"
    monkeypatch.setattr(processes, "runs", lambda process: False)
    recover(storage)
    assert sorted(path.name[:3] for path in tmp_path.iterdir()) == [".s.", ".s2", "s"]
    assert like.is_dir()
    assert contents(storage) == OLD


@pytest.mark.parametrize("name", ["s" * 255, "ä" * 127])
def test_the_longest_names_can_be_written_and_replaced(name: str, tmp_path: Path) -> None:
    for rows in (3, 5):
        write_points(tmp_path / name, np.zeros((rows, 3)))
        assert len(read_points(tmp_path / name).positions) == rows
    assert [path.name for path in tmp_path.iterdir()] == [name]
