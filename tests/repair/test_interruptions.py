"""Leftovers of interrupted changes, and repairs that are interrupted themselves."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tests.repair.stores import assert_same
from tests.validate.conftest import make
from tests.validate.damage import Files
from zarr_vectors.exceptions import StoreLockedError, StoreNotFoundError
from zarr_vectors.repair import repair
from zarr_vectors.storage.journal import Transaction
from zarr_vectors.storage.lock import JOURNAL_FOLDER, acquire, break_lock
from zarr_vectors.storage.port import Range
from zarr_vectors.storage.processes import describe_process
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import FailingStorage, SimulatedCrashError
from zarr_vectors.types.points import write_points
from zarr_vectors.validate import validate

DEAD = 2**22 + 1
"""A process number that none has."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of good stores by revision."""
    folder = tmp_path_factory.mktemp("good")
    for revision in ("0.7", "0.9"):
        make(folder / f"objects-{revision}", revision, objects=True)
    return folder


@pytest.fixture
def store(good: Path, tmp_path: Path) -> Path:
    """Copy of a good store."""
    shutil.copytree(good / "objects-0.9", tmp_path / "store")
    return tmp_path / "store"


@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_crash_at_every_operation(revision: str, good: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(good / f"objects-{revision}", damaged)
    files = Files(damaged)
    files.put_manifests(0, lambda lists: lists[0].pop())
    files.level_block(0, vertex_count=3)
    files.root_block(bounds=None)
    step, crashed = 0, True
    while crashed:
        step += 1
        root = tmp_path / f"crash-{step}"
        shutil.copytree(damaged, root)
        try:
            repair(FailingStorage(resolve_storage(root, mode="r+"), fail_at=step))
            crashed = False
        except SimulatedCrashError:
            break_lock(resolve_storage(root, mode="r+"))  # its holder is this very process, which goes on
            repair(root)
        assert repair(root).found_nothing
        assert_same(damaged_twin(good, revision), root, metadata=False)
        shutil.rmtree(root)
    assert step > 5


def damaged_twin(good: Path, revision: str) -> Path:
    """Return what the store was before it was damaged."""
    return good / f"objects-{revision}"


def test_journals(store: Path) -> None:
    storage = resolve_storage(store, mode="r+")
    change = Transaction(storage)
    change.put_many([("0/unused/zarr.json", b"{}")])
    report = repair(store, dry_run=True)
    assert [item.check for item in report.repaired] == ["leftovers"]
    assert "discarded" in report.repaired[0].message
    assert storage.list_all(JOURNAL_FOLDER)
    assert "discarded" in repair(store).repaired[0].message
    assert not storage.list_all(JOURNAL_FOLDER)
    assert repair(store).found_nothing


def test_final_journal_is_completed(store: Path) -> None:
    storage = resolve_storage(store, mode="r+")
    before = (store / "zarr.json").read_bytes()
    folder = f"{JOURNAL_FOLDER}/1"
    marker = {"version": 1, "moves": ["zarr.json"], "deletions": []}
    (store / "zarr.json").write_bytes(b"old")
    storage.put_many([(f"{folder}/data/zarr.json", before), (f"{folder}/commit.json", json.dumps(marker).encode())])
    assert "completed" in repair(store, dry_run=True).repaired[0].message
    assert (store / "zarr.json").read_bytes() == b"old"
    assert "completed" in repair(store).repaired[0].message
    assert (store / "zarr.json").read_bytes() == before
    assert repair(store).found_nothing


def test_journal_that_cannot_be_read(store: Path) -> None:
    storage = resolve_storage(store, mode="r+")
    storage.put_many([(f"{JOURNAL_FOLDER}/1/commit.json", b"{"), (f"{JOURNAL_FOLDER}/1/data/zarr.json", b"{}")])
    report = repair(store)
    assert not report.is_sound
    assert "cannot be read" in report.unrepairable[0].message
    assert storage.list_all(JOURNAL_FOLDER)
    assert repair(store, dry_run=True, drop_damaged=True).dropped
    done = repair(store, drop_damaged=True)
    assert [item.kind for item in done.items] == ["dropped"]
    assert not storage.list_all(JOURNAL_FOLDER)
    assert repair(store).found_nothing


def test_locks(store: Path) -> None:
    storage = resolve_storage(store, mode="r+")
    held = acquire(storage)
    with pytest.raises(StoreLockedError):
        repair(store)
    assert repair(store, dry_run=True).found_nothing
    held.release()
    dead = describe_process() | {"pid": DEAD, "owner": "a ghost", "token": "1", "expires": time.time() + 1000}
    storage.put_many([(".zv-lock/partition-a.json", json.dumps(dead).encode())])
    storage.put_many(
        [(".zv-lock/partition-b.json", json.dumps(dead | {"pid": os.getpid(), "token": "2", "expires": 1}).encode())]
    )
    messages = [item.message for item in repair(store, dry_run=True).repaired]
    assert ["does not run" in messages[0], "expired" in messages[1]] == [True, True]
    assert len(repair(store).repaired) == 2
    assert storage.list_all(".zv-lock") == []


def test_temporary_files_and_empty_folders(store: Path) -> None:
    (store / "0/empty/below").mkdir(parents=True)
    temporary = store / f"0/.zv-tmp-{DEAD}-1-2"
    temporary.write_bytes(b"half")
    young = store / f"0/.zv-tmp-{DEAD}-1-3"
    young.write_bytes(b"half")
    os.utime(temporary, (1, 1))
    assert {item.path for item in repair(store, dry_run=True).repaired} == {temporary.name, "0/empty"}
    assert repair(store).is_sound
    assert not temporary.exists()
    assert not (store / "0/empty").exists()
    assert young.exists()


def test_interrupted_swap(store: Path) -> None:
    kept = store.parent / f".{store.name}.zv-old-00000000-1-1-00000000"
    store.rename(kept)
    with pytest.raises(StoreNotFoundError):
        repair(store, dry_run=True)
    assert repair(store).found_nothing
    assert store.exists()
    assert not kept.exists()


def test_strays_are_named_and_left(store: Path) -> None:
    (store / "0/vertices/c/9").mkdir()
    for name in ("0/vertices/c/9/9", "notes.txt"):
        (store / name).write_bytes(b"mine")
    report = repair(store, drop_damaged=True)
    assert sorted(item.path for item in report.strays) == ["0/vertices/c/9/9", "notes.txt"]
    assert report.is_sound
    assert (store / "notes.txt").read_bytes() == b"mine"


def test_memory_and_report() -> None:
    write_points("memory://repaired", np.random.default_rng(1).uniform(0, 9, (50, 2)), chunk_shape=5)
    storage = resolve_storage("memory://repaired", mode="r+")
    document = json.loads(bytes(storage.get_many([Range("zarr.json")])[0] or b""))
    del document["attributes"]["zarr_vectors"]["bounds"]
    storage.put_many([("zarr.json", json.dumps(document).encode())])
    report = repair("memory://repaired")
    assert report.to_dict()["written"] == ["zarr.json"]
    assert report.summary().startswith("Repair of memory://repaired: sound\n  1 repaired, 0 dropped")
    assert str(report.repaired[0]).startswith("repaired: root-metadata, zarr.json: bounds ")
    assert validate("memory://repaired").is_valid
