"""Object stores whose listings do not know yet what was written or deleted lately."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from zarr_vectors.core.store import open_store
from zarr_vectors.exceptions import StoreLockedError, ZarrVectorsError
from zarr_vectors.formats.detection import DEFAULT_REVISION
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.lock import break_lock, lock
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.replace import is_vacant
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.crashes import NOTHING, State, Trial, state_of
from zarr_vectors.testing.faults import FaultyStorage, LaggingStorage
from zarr_vectors.testing.scenarios import Scenario, scenario_named, scenarios, write_some_points
from zarr_vectors.testing.storage import SimulatedCrashError

ALL = [one for one in scenarios() if not one.is_damaged]
FOR_EVER = 10**6
LATELY_WRITTEN = [
    one
    for one in ALL
    if one.revision == DEFAULT_REVISION
    and one.prepare is not None
    and "migrate" not in one.name
    and "mesh" not in one.name
]


def place() -> Storage:
    return resolve_storage(f"memory://lagging-{uuid.uuid4().hex}/template", mode="w")


@pytest.mark.parametrize("scenario", ALL, ids=lambda one: one.name)
def test_a_change_that_listings_do_not_know(scenario: Scenario, tmp_path: Path) -> None:
    """Stores of revision 0.7, whose chunks are found by listing alone, are read right while little is missing."""
    trial = Trial.of(scenario, tmp_path)
    inner = place()
    trial.fill(inner)
    storage = LaggingStorage(inner, lag=FOR_EVER if scenario.revision == DEFAULT_REVISION else 5)
    scenario.run(storage, trial.source)
    assert state_of(storage, scenario.kind).rows == trial.new.rows
    assert state_of(inner, scenario.kind) == trial.new


@pytest.mark.parametrize("scenario", LATELY_WRITTEN, ids=lambda one: one.name)
def test_a_change_of_what_listings_do_not_know(scenario: Scenario, tmp_path: Path) -> None:
    """Files that should go may stay; rows do not."""
    trial = Trial.of(scenario, tmp_path)
    inner = place()
    storage = LaggingStorage(inner, lag=40)
    assert scenario.prepare is not None
    scenario.prepare(storage)
    assert state_of(storage, scenario.kind).rows == trial.old.rows
    scenario.run(storage, trial.source)
    assert state_of(storage, scenario.kind).rows == trial.new.rows
    assert state_of(inner, scenario.kind).rows == trial.new.rows


@pytest.mark.parametrize(
    "name", ["edit: append, points, 0.9", "overwrite, lines, 0.9", "edit: delete objects, points, 0.9"]
)
def test_a_journal_that_is_not_listed_is_found(name: str, tmp_path: Path) -> None:
    """At any request of its writer's death: by readers, and by the next writer, who completes it."""
    trial = Trial.of(scenario_named(name), tmp_path)
    counted = place()
    trial.fill(counted)
    faulty = FaultyStorage(LaggingStorage(counted, lag=FOR_EVER))
    trial.scenario.run(faulty, trial.source)
    seen: set[State] = set()
    hidden = 0
    for at in range(1, faulty.requests + 1):
        inner = place()
        trial.fill(inner)
        storage = LaggingStorage(inner, lag=FOR_EVER)
        with pytest.raises(SimulatedCrashError):
            trial.scenario.run(FaultyStorage(storage, at), trial.source)
        break_lock(inner)
        found = state_of(open_reader(storage), trial.scenario.kind)
        rows = [one for one in (trial.old, trial.new) if one.rows == found.rows]
        assert rows, at
        hidden += rows[0] == trial.new and state_of_what_is_there(inner, trial) != trial.new
        open_store(storage, mode="r+")
        assert state_of(inner, trial.scenario.kind).rows == found.rows, at
        seen.update(rows)
    assert seen == {trial.old, trial.new}
    assert hidden > 1


def state_of_what_is_there(inner: Storage, trial: Trial) -> State:
    """Read a store as those do who know nothing of journals."""
    try:
        return state_of(StoreReader.open(inner), trial.scenario.kind)
    except ZarrVectorsError:
        return NOTHING


def test_locks_and_places_do_not_depend_on_listings() -> None:
    inner = place()
    write_some_points(inner, "0.9")
    storage = LaggingStorage(inner, lag=FOR_EVER)
    with lock(storage), pytest.raises(StoreLockedError), lock(storage):
        pass
    unlisted = LaggingStorage(place(), lag=FOR_EVER)
    write_some_points(unlisted, "0.9")
    assert unlisted.list_all() == []
    assert not is_vacant(unlisted)
    assert open_reader(unlisted).level_numbers() == [0]
