"""Every change of a store that dies at any request leaves the old store, the new one, or one that says what to do."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest

from zarr_vectors.exceptions import IncompleteStoreError, StoreError, StoreLockedError, StoreNotFoundError
from zarr_vectors.read.opening import open_reader
from zarr_vectors.repair import repair
from zarr_vectors.storage import replace as replacing
from zarr_vectors.storage.lock import acquire, break_lock
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.crashes import (
    Trial,
    crash_everywhere_in_folder,
    crash_everywhere_in_memory,
    crash_in_folder,
    crash_in_memory,
    state_of,
)
from zarr_vectors.testing.faults import FaultyStorage
from zarr_vectors.testing.scenarios import Scenario, scenario_named, scenarios, write_some_points
from zarr_vectors.testing.storage import SimulatedCrashError
from zarr_vectors.testing.syscalls import file_faults
from zarr_vectors.types.points import read_points, write_points

ALL = list(scenarios())
STEPS = 1
GAP = ["overwrite, points, 0.9", "append, points, 0.7", "rechunk, points, 0.9"]
AT_EVERY_CALL = (
    "write where nothing is, points, 0.9",
    "overwrite, points, 0.9",
    "fill a shell, points, 0.9",
    "append, points, 0.9",
    "migrate over a store, points, 0.9",
    "edit: add attribute, points, 0.7",
    "edit: remove attribute, points, 0.9",
    "edit: delete objects, points, 0.9",
    "edit: vacuum, points, 0.7",
    "edit: add links, graph, 0.9",
    "writer: two steps, points, 0.9",
    "pyramid: remove a level, points, 0.9",
    "append to a partition, points, 0.9",
    "bounds: grow, points, 0.9",
    "rechunk, points, 0.9",
    "shard, points, 0.9",
    "parametric objects, points, 0.9",
    "repair, points, 0.7",
    "consolidate, points, 0.9",
)
"""One change of every mechanism; the soak test's ``--every`` takes all changes in folders."""


def one_of_each() -> list[Scenario]:
    """Return every change once, of one kind and revision, which take turns; all where all moments are asked for."""
    if os.environ.get("ZARR_VECTORS_EVERY_MOMENT"):
        return ALL
    changes: dict[str, list[Scenario]] = {}
    for scenario in ALL:
        changes.setdefault(scenario.name.rsplit(", ", 2)[0], []).append(scenario)
    return [some[5 * turn % len(some)] for turn, some in enumerate(changes.values())]


def chosen(count: int, seed: str, steps: int = STEPS) -> list[int]:
    rng = np.random.default_rng(sum(seed.encode()))
    return sorted(set(rng.integers(1, count + 1, steps).tolist()))


@pytest.mark.parametrize("scenario", one_of_each(), ids=lambda one: one.name)
def test_every_request(scenario: Scenario, tmp_path: Path) -> None:
    trial = Trial.of(scenario, tmp_path)
    for _, place in crash_everywhere_in_memory(trial):
        trial.judge_opened(place)
    met = sum(trial.outcomes.values())
    assert met == crash_in_memory(trial, None)[0] > 2
    assert len(trial.outcomes) > 1 or scenario.is_damaged or trial.old == trial.new


@pytest.mark.parametrize("scenario", ALL, ids=lambda one: one.name)
def test_object_stores(scenario: Scenario, tmp_path: Path) -> None:
    """A program that goes on after its storage died, which changes nothing any more, and other ways to go on."""
    trial = Trial.of(scenario, tmp_path)
    count, place = crash_in_memory(trial, None)
    assert state_of(place, scenario.kind) == trial.new
    for at in chosen(count, scenario.name):
        _, place = crash_in_memory(trial, at)
        trial.judge(place, by_repair=at % 2 == 1)


@pytest.mark.parametrize("name", AT_EVERY_CALL)
def test_every_call_of_the_file_system(name: str, tmp_path: Path) -> None:
    trial = Trial.of(scenario_named(name), tmp_path)
    for _, place in crash_everywhere_in_folder(trial, tmp_path):
        trial.judge_opened(place)
    met = sum(trial.outcomes.values())
    assert met == crash_in_folder(trial, tmp_path, None)[0] > 8


@pytest.mark.parametrize("scenario", ALL, ids=lambda one: one.name)
def test_folders(scenario: Scenario, tmp_path: Path) -> None:
    trial = Trial.of(scenario, tmp_path)
    count, _ = crash_in_folder(trial, tmp_path, None)
    for at in chosen(count, scenario.name):
        _, place = crash_in_folder(trial, tmp_path, at)
        trial.judge(place, by_repair=at % 2 == 1)


@pytest.mark.parametrize("name", GAP)
def test_folders_without_an_exchange(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "exchange", lambda first, second: False)
    trial = Trial.of(scenario_named(name), tmp_path)
    place = tmp_path / "count" / "template"
    place.parent.mkdir()
    trial.fill(resolve_storage(place, mode="w"))
    with file_faults(tmp_path) as faults:
        trial.scenario.run(place, trial.source)
    swaps = [k for k, call in enumerate(faults.log, 1) if call.startswith("os.rename") and "zv-tmp" not in call]
    assert len(swaps) >= 2
    for at in [*range(swaps[-2], swaps[-1] + 3), len(faults.log)]:
        for by_repair in (True, False):
            _, place = crash_in_folder(trial, tmp_path, at)
            trial.judge(place, by_repair=by_repair)


def test_readers_and_writers_between_the_renames_of_a_swap(tmp_path: Path) -> None:
    place = tmp_path / "store"
    write_some_points(place, "0.9")
    before = read_points(place).positions
    aside = tmp_path / ".store.zv-old-00000000-1-2-00000000"
    place.rename(aside)
    np.testing.assert_array_equal(read_points(place).positions, before)
    held = acquire(resolve_storage(aside, mode="r+"))
    with pytest.raises(StoreLockedError, match="process"):
        write_some_points(place, "0.9", 1, "a")
    held.release()
    write_some_points(place, "0.9", 1, "a")
    assert len(read_points(place).positions) == 2 * len(before)
    assert [one.name for one in tmp_path.iterdir()] == ["store"]


def test_the_beginning_of_a_store() -> None:
    inner = resolve_storage(f"memory://{uuid.uuid4().hex}", mode="w")
    with pytest.raises(SimulatedCrashError):
        write_some_points(FaultyStorage(inner, 12), "0.9")
    with pytest.raises(IncompleteStoreError, match="repair"):
        open_reader(inner)
    with pytest.raises(StoreLockedError):
        repair(inner)
    break_lock(inner)
    assert "removed" in repair(inner, dry_run=True).repaired[0].message
    assert "removed" in repair(inner).repaired[0].message
    assert inner.list_all() == []
    with pytest.raises(StoreNotFoundError):
        open_reader(inner)


def test_a_store_whose_note_was_left_is_complete() -> None:
    inner = resolve_storage(f"memory://{uuid.uuid4().hex}", mode="w")
    write_some_points(inner, "0.9")
    inner.put_many([(replacing.UNFINISHED_NOTE, b"{}")])
    before = state_of(inner, "points")
    with pytest.raises(SimulatedCrashError):
        write_some_points(FaultyStorage(inner, 15), "0.9", 1, "a")
    break_lock(inner)
    assert state_of(inner, "points") == before


@pytest.mark.parametrize("name", ["overwrite, points, 0.9", "append, graph, 0.9", "edit: add attribute, points, 0.7"])
def test_a_full_disk(name: str, tmp_path: Path) -> None:
    trial = Trial.of(scenario_named(name), tmp_path)
    place = tmp_path / "disk" / "template"
    place.parent.mkdir()
    trial.fill(resolve_storage(place, mode="w"))
    with file_faults(tmp_path, only_writes=True) as faults:
        trial.scenario.run(place, trial.source)
    for at in chosen(faults.calls // 2, name, 5):  # the second half may be about what is final already
        shutil.rmtree(place)
        trial.fill(resolve_storage(place, mode="w"))
        with (
            file_faults(tmp_path, at, number=errno.ENOSPC, only_writes=True) as faults,
            pytest.raises(StoreError, match="No space left on device"),
        ):
            trial.scenario.run(place, trial.source)
        assert state_of(place, trial.scenario.kind) == trial.old
        assert not any(path.name.startswith(".zv-") for path in place.rglob("*"))
        assert [one.name for one in place.parent.iterdir()] == ["template"]
        trial.scenario.run(place, trial.source)
        assert state_of(place, trial.scenario.kind) == trial.new


@pytest.mark.parametrize("kind", ["get", "put"])
def test_truncated_bodies_are_noticed(kind: str) -> None:
    inner = resolve_storage(f"memory://{uuid.uuid4().hex}", mode="w")
    write_points(inner, np.random.default_rng(0).uniform(0, 9, (500, 3)), chunk_shape=5.0)
    whole = read_points(inner).positions
    if kind == "put":
        with pytest.raises(SimulatedCrashError):
            write_some_points(FaultyStorage(inner, 20, action="truncate"), "0.9")
        np.testing.assert_array_equal(read_points(inner).positions, whole)
        return
    counted = FaultyStorage(inner, kinds={"get"})
    read_points(counted)
    wrong = 0
    for at in range(1, counted.requests + 1):
        try:
            found = read_points(FaultyStorage(inner, at, {"get"}, action="truncate")).positions
        except Exception as error:
            assert type(error).__module__ == "zarr_vectors.exceptions", f"request {at}: {error!r}"  # noqa: PT017
            wrong += 1
        else:
            np.testing.assert_array_equal(found, whole)
    assert wrong > 5
