"""Processes that add to partitions of a store at the same time: nobody is refused, and nobody's rows are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors
from zarr_vectors import edit
from zarr_vectors.distributed import append_partition, partitions
from zarr_vectors.exceptions import StoreLockedError
from zarr_vectors.read.objects import read_columns, read_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.storage import resolve_storage
from zarr_vectors.types.points import PointsResult, read_points, write_points
from zarr_vectors.validate import validate

ROUNDS, ROWS = 12, 40
WRITER = """
import json, sys, time
from contextlib import contextmanager
from pathlib import Path
import numpy as np
from tests.faults.test_partitions import ROUNDS, arguments
from zarr_vectors.distributed import append_partition, appending
from zarr_vectors.storage.port import get_whole

path, mine, objects, meeting_place = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True", sys.argv[4]
turn, turns, both = appending.turn, 0, 0


def wait_for_the_other(what):
    (Path(meeting_place) / f"{what}-{mine}").touch()
    deadline = time.monotonic() + 60
    while not (Path(meeting_place) / f"{what}-{1 - mine}").exists():
        assert time.monotonic() < deadline, f"the other writer never {what}"
        time.sleep(0.001)


@contextmanager
def met(storage, wait):
    global turns, both
    turns += 1
    if turns % 2 == 0:  # everything is staged, and nothing is final yet
        wait_for_the_other(f"staged-{turns}")
        locks = [one for one in storage.list_all(".zv-lock") if "partition-" in one and one.endswith(".json")]
        holders = {json.loads(bytes(blob))["pid"] for blob in get_whole(storage, locks) if blob is not None}
        both += len(holders) == 2
        wait_for_the_other(f"seen-{turns}")
    with turn(storage, wait) as held:
        yield held


if meeting_place:
    appending.turn = met
for number in range(ROUNDS):
    append_partition(path, **arguments(path, mine, number, objects))
print(both)
"""
DYING = """
import os, signal, sys
from contextlib import contextmanager
from tests.faults.test_partitions import arguments
from zarr_vectors.distributed import append_partition, appending

turn, turns = appending.turn, 0


@contextmanager
def last(storage, wait):
    global turns
    turns += 1
    if turns == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    with turn(storage, wait) as held:
        yield held


appending.turn = last
append_partition(sys.argv[1], **arguments(sys.argv[1], 0, 0, True))
"""


def arguments(path: Any, mine: int, number: int, objects: bool) -> dict[str, Any]:
    """Return what a writer adds in a round: points in its half of the space."""
    rng = np.random.default_rng(1000 * mine + number)
    positions = rng.uniform(0, 49.9, (ROWS, 3)) + np.array([50 * mine, 0, 0])
    described = {"object_ids": 100 * (mine + 1) + number, "object_attributes": {"weight": [mine + 0.5 * number]}}
    every = partitions(path)
    return {
        "partition": [every[place] for place in np.unique(every.of(positions)).tolist()],
        "positions": positions,
        "attributes": {"writer": np.full(ROWS, mine), "number": np.full(ROWS, number)},
        **(described if objects else {}),
    }


def make(store: Path, revision: str, objects: bool) -> None:
    described = {"object_ids": np.zeros(8, int), "object_attributes": {"weight": [7.0]}} if objects else {}
    write_points(
        store,
        np.full((8, 3), 1.0),
        attributes={"writer": np.full(8, -1), "number": np.full(8, -1)},
        chunk_shape=25,
        bounds=([0] * 3, [100] * 3),
        format_version=revision,
        **({"shard_shape": 2} if revision == "0.9" else {}),
        **described,
    )


def start(program: str, *words: Any) -> subprocess.Popen[str]:
    paths = [Path(__file__).parents[2], Path(zarr_vectors.__file__).parents[1]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    words = tuple(map(str, words))
    return subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True, env=environment)


def check_rounds(result: PointsResult, rounds: tuple[int, int], objects: bool) -> None:
    """Hold a store to what two writers have added in so many rounds each, bit for bit."""
    assert result.vertex_count == 8 + ROWS * sum(rounds)
    for mine, count in enumerate(rounds):
        rows = result.attributes["writer"] == mine
        assert np.bincount(result.attributes["number"][rows], minlength=count).tolist() == [ROWS] * count
        for number in range(count):
            rng = np.random.default_rng(1000 * mine + number)
            expected = (rng.uniform(0, 49.9, (ROWS, 3)) + np.array([50 * mine, 0, 0])).astype(np.float32)
            found = result.positions[rows & (result.attributes["number"] == number)]
            assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
        if objects:
            assert result.object_ids is not None
            assert (result.object_ids[rows] == 100 * (mine + 1) + result.attributes["number"][rows]).all()


def check_objects(store: Path, rounds: tuple[int, int]) -> None:
    """Hold the objects of a store, and their attributes, to what two writers have added."""
    level = open_reader(store).level(0)
    ids = read_object_ids(level)
    assert ids is not None
    weights = read_columns(level, dict(level.arrays.object_attributes), None)["weight"].values
    expected = {0: 7.0} | {100 * (m + 1) + n: m + 0.5 * n for m in (0, 1) for n in range(rounds[m])}
    assert dict(zip(ids.tolist(), weights.tolist(), strict=True)) == expected


CASES = [("0.7", True), ("0.9", False), ("0.9", True)]


@pytest.mark.parametrize(("revision", "objects"), CASES)
def test_at_the_same_time(tmp_path: Path, revision: str, objects: bool) -> None:
    """In every round both hold their partitions, with all staged, before either makes its change final."""
    store, meeting_place = tmp_path / "s.zv", tmp_path / "meeting"
    meeting_place.mkdir()
    make(store, revision, objects)
    writers = [start(WRITER, store, mine, objects, meeting_place) for mine in (0, 1)]
    said = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [int(one) for one in said] == [ROUNDS, ROUNDS]
    check_rounds(read_points(store), (ROUNDS, ROUNDS), objects)
    if objects:
        check_objects(store, (ROUNDS, ROUNDS))
    report = validate(store, level=5)
    assert report.is_valid, report.report()
    assert not [one for one in resolve_storage(store).list_all() if one.startswith(".zv-")]


@pytest.mark.parametrize(("revision", "objects"), CASES)
def test_readers_see_whole_rounds(tmp_path: Path, revision: str, objects: bool) -> None:
    store = tmp_path / "s.zv"
    make(store, revision, objects)
    writers = [start(WRITER, store, mine, objects, "") for mine in (0, 1)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        result = read_points(store)
        counts = [int((result.attributes["writer"] == mine).sum()) for mine in (0, 1)]
        rounds = counts[0] // ROWS, counts[1] // ROWS
        check_rounds(result, rounds, objects)
        seen.add(rounds)
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    check_rounds(read_points(store), (ROUNDS, ROUNDS), objects)
    assert len(seen) > 2
    assert validate(store, level=5).is_valid


def test_a_killed_writer_holds_nobody_up(tmp_path: Path) -> None:
    """Its partition is taken over, and what it had staged goes with the next turn of anybody."""
    store = tmp_path / "s.zv"
    make(store, "0.9", True)
    dying = start(DYING, store)
    dying.communicate()
    assert dying.returncode == -signal.SIGKILL
    storage = resolve_storage(store, mode="r+")
    left = storage.list_all(".zv-journal")
    assert left
    assert storage.list_all(".zv-lock")
    check_rounds(read_points(store), (0, 0), True)
    append_partition(store, **arguments(store, 1, 0, True))
    assert storage.list_all(".zv-journal") == []
    append_partition(store, **arguments(store, 0, 0, True))
    check_rounds(read_points(store), (1, 1), True)
    check_objects(store, (1, 1))
    assert not [one for one in storage.list_all() if one.startswith(".zv-")]


def test_the_store_can_be_held_when_a_writer_of_a_partition_was_killed(tmp_path: Path) -> None:
    store = tmp_path / "s.zv"
    make(store, "0.7", True)
    dying = start(DYING, store)
    dying.communicate()
    edit.set_groups(store, {"all": [0]})
    check_rounds(read_points(store), (0, 0), True)
    assert not [one for one in resolve_storage(store).list_all() if one.startswith(".zv-")]


def test_the_same_partition_names_its_holder(tmp_path: Path) -> None:
    store, meeting_place = tmp_path / "s.zv", tmp_path / "meeting"
    meeting_place.mkdir()
    make(store, "0.9", True)
    writer = start(WRITER, store, 0, True, meeting_place)
    while not (meeting_place / "staged-2-0").exists():
        assert writer.poll() is None
    for act in (
        lambda: append_partition(store, **arguments(store, 0, 5, True)),
        lambda: edit.set_groups(store, {"all": [0]}),
    ):
        with pytest.raises(StoreLockedError, match=rf"being written by .+ on .+ \(process {writer.pid}\)"):
            act()
    append_partition(store, **arguments(store, 1, 0, True))
    writer.kill()
    writer.communicate()
    check_rounds(read_points(store), (0, 1), True)
