from __future__ import annotations

import importlib
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.servers import S3Server
from zarr_vectors.exceptions import ArgumentError, StoreError, StoreLockedError
from zarr_vectors.storage import Storage, acquire, break_lock, files, lock, put_one, resolve_storage
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.lock import LOCK_FOLDER, Lock, read_lock
from zarr_vectors.testing.faults import FaultyStorage


def test_one_holder_at_a_time(storage: Storage) -> None:
    with (
        lock(storage, owner="ada"),
        pytest.raises(StoreLockedError, match=r"is being written by ada on .+ \(process \d+\) until .+ UTC"),
    ):
        acquire(storage)
    with lock(storage, owner="grace"):
        assert len(storage.list_all(LOCK_FOLDER)) == 2
    assert storage.list_all() == []


def test_partitions_exclude_the_store_and_themselves_only(fast_storage: Storage) -> None:
    with lock(fast_storage, "0/0"), lock(fast_storage, "0/1"):
        for partition in ("0/0", None):
            with pytest.raises(StoreLockedError):
                acquire(fast_storage, partition)
    with lock(fast_storage), pytest.raises(StoreLockedError):
        acquire(fast_storage, "0/0")
    assert fast_storage.list_all() == []


def test_an_error_inside_releases(fast_storage: Storage) -> None:
    with pytest.raises(RuntimeError, match="x"), lock(fast_storage):
        raise RuntimeError("x")
    assert fast_storage.list_all() == []


def test_an_expired_lock_is_taken_over_and_its_holder_told(fast_storage: Storage) -> None:
    dead = acquire(fast_storage, owner="dead", ttl=0.01)
    time.sleep(0.02)
    living = acquire(fast_storage, owner="living")
    with pytest.raises(StoreLockedError, match="was lost"):
        dead.renew()
    dead.release()
    with pytest.raises(StoreLockedError, match="living"):
        acquire(fast_storage)
    living.release()
    assert fast_storage.list_all() == []


def test_expired_locks_do_not_conflict(fast_storage: Storage) -> None:
    acquire(fast_storage, "a", ttl=0.01)
    time.sleep(0.02)
    with lock(fast_storage):
        pass
    acquire(fast_storage, ttl=0.01)
    time.sleep(0.02)
    with lock(fast_storage, "b"):
        pass


def test_renewing(fast_storage: Storage) -> None:
    with lock(fast_storage, ttl=60) as held:
        before = held.document["expires"]
        held.ttl = 600
        held.renew()
        assert held.document["expires"] > before + 500


locking = importlib.import_module("zarr_vectors.storage.lock")


def renewing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "zarr-vectors-lock"]


def expiry(storage: Storage, held: Lock) -> float:
    renewed = read_lock(storage, held.address.replace(".json", ".alive.json"))
    return float((renewed or {"expires": 0})["expires"])


def test_a_lock_is_renewed_while_its_block_runs(fast_storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after the storage failed for a while."""
    monkeypatch.setattr(locking, "_RENEWALS", 1e9)
    monkeypatch.setattr(locking, "_LEAST_PAUSE", 0.001)
    storage = FaultyStorage(fast_storage, None, {"get"}, error=lambda: StoreError("out of reach"), times=3)
    with lock(storage, ttl=60) as held:
        assert len(renewing_threads()) == 1
        for at in (None, storage.requests + 1):
            storage.at = at
            before, deadline = expiry(fast_storage, held), time.monotonic() + 60
            while expiry(fast_storage, held) == before or (at is not None and storage.requests < at + 3):
                assert time.monotonic() < deadline
    assert renewing_threads() == []
    assert fast_storage.list_all() == []


def test_a_lock_that_was_broken_is_not_renewed(fast_storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "_RENEWALS", 1e9)
    monkeypatch.setattr(locking, "_LEAST_PAUSE", 0.001)
    with lock(fast_storage, ttl=60):
        while renewing_threads():
            break_lock(fast_storage)
    assert fast_storage.list_all() == []


def test_breaking(fast_storage: Storage) -> None:
    acquire(fast_storage, owner="ada")
    put_one(fast_storage, f"{LOCK_FOLDER}/partition-x.json", b"damaged")
    assert {document["owner"] for document in break_lock(fast_storage)} == {"ada", "an unreadable lock"}
    assert fast_storage.list_all() == []
    assert break_lock(fast_storage) == []


def test_only_one_of_many_gets_it(fast_storage: Storage, s3: S3Server) -> None:
    remote = resolve_storage("s3://bucket/locked", mode="w", **s3.options)
    for storage in (fast_storage, remote):
        for expired in (False, True):
            if expired:
                acquire(storage, ttl=0.001)
                time.sleep(0.01)
            got: list[object] = []
            barrier = threading.Barrier(6)

            def attempt(
                place: Storage = storage, got: list[object] = got, all_here: threading.Barrier = barrier
            ) -> None:
                all_here.wait()
                try:
                    got.append(acquire(place))
                except StoreLockedError:
                    return

            threads = [threading.Thread(target=attempt) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(got) == 1
            break_lock(storage)


def test_bad_ttl(fast_storage: Storage) -> None:
    for ttl in (0, -1):
        with pytest.raises(ArgumentError, match="positive ttl"):
            acquire(fast_storage, ttl=ttl)


@pytest.mark.parametrize("moment", ["before the file", "before its name", "after its name"])
def test_a_store_exchanged_while_it_is_being_locked_is_locked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Another writer may exchange the folder, and delete the old one, between any two calls of the system."""
    storage = LocalStorage(tmp_path / "s.zv")
    put_one(storage, "zarr.json", b"old")
    left = [3 if moment == "before its name" else 1]

    def exchange_once() -> None:
        if left[0]:
            left[0] -= 1
            shutil.rmtree(storage.root)
            put_one(LocalStorage(storage.root), "zarr.json", b"new")

    create, link_if_absent = LocalStorage._create, files.link_if_absent

    def creating(self: LocalStorage, target: str, parts: list[memoryview]) -> int:
        if moment == "before the file" and LOCK_FOLDER in target:
            exchange_once()
        return create(self, target, parts)

    def linking(temporary: str, path: str) -> bool:
        if moment == "before its name":
            exchange_once()
        won = link_if_absent(temporary, path)
        if moment == "after its name":
            exchange_once()
        return won

    monkeypatch.setattr(LocalStorage, "_create", creating)
    monkeypatch.setattr(files, "link_if_absent", linking)
    with lock(storage, owner="ada"):
        assert left == [0]
        assert [one for one in storage.list_all() if not one.startswith(LOCK_FOLDER)] == ["zarr.json"]
        with pytest.raises(StoreLockedError, match="ada"):
            acquire(LocalStorage(storage.root))
    assert storage.list_all() == ["zarr.json"]


def test_a_folder_that_is_removed_again_and_again_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(temporary: str, path: str) -> bool:
        raise FileNotFoundError(2, "No such file or directory", temporary)

    storage = LocalStorage(tmp_path / "s.zv")
    monkeypatch.setattr(files, "link_if_absent", never)
    with pytest.raises(StoreError, match=r"cannot write '\.zv-lock/store\.json' in .+s\.zv"):
        acquire(storage)
