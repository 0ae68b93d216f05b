"""Processes that add to partitions of a store at the same time: nobody is refused, and nobody's rows are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors
from zarr_vectors import edit
from zarr_vectors.distributed import append_partition, partitions
from zarr_vectors.exceptions import StoreLockedError
from zarr_vectors.read import steady
from zarr_vectors.read.objects import read_columns, read_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.repair import repair
from zarr_vectors.storage import resolve_storage
from zarr_vectors.types.points import PointsResult, read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

ROUNDS, ROWS, PATHS = 12, 40, 8
KILLS = 4
WRITER = """
import json, sys, time
from contextlib import contextmanager
from pathlib import Path
import numpy as np
from tests.faults.test_partitions import ROUNDS, arguments
from zarr_vectors.distributed import append_partition, appending
from zarr_vectors.storage.port import get_whole

path, mine, kind, meeting_place = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
turn, turns, both = appending.turn, 0, 0


def wait_for_the_other(what):
    (Path(meeting_place) / f"{what}-{mine}").touch()
    deadline = time.monotonic() + 60
    while not (Path(meeting_place) / f"{what}-{1 - mine}").exists():
        assert time.monotonic() < deadline, f"the other writer never {what}"
        time.sleep(0.001)


@contextmanager
def met(storage, wait, journal):
    global turns, both
    turns += 1
    if turns % 2 == 0:  # everything is staged, and nothing is final yet
        wait_for_the_other(f"staged-{turns}")
        locks = [one for one in storage.list_all(".zv-lock") if "partition-" in one and one.endswith(".json")]
        holders = {json.loads(bytes(blob))["pid"] for blob in get_whole(storage, locks) if blob is not None}
        both += len(holders) == 2
        wait_for_the_other(f"seen-{turns}")
    with turn(storage, wait, journal) as held:
        yield held


if meeting_place:
    appending.turn = met
for number in range(ROUNDS):
    append_partition(path, **arguments(path, mine, number, kind))
print(both)
"""
DYING = """
import os, signal, sys
from contextlib import contextmanager
from tests.faults.test_partitions import arguments
from zarr_vectors.distributed import append_partition, appending

turn, turns = appending.turn, 0


@contextmanager
def last(storage, wait, journal):
    global turns
    turns += 1
    if turns == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    with turn(storage, wait, journal) as held:
        yield held


appending.turn = last
append_partition(sys.argv[1], **arguments(sys.argv[1], 0, 0, "objects"))
"""

ENDLESS = """
import random, sys, time
from tests.faults.test_partitions import arguments
from zarr_vectors.distributed import append_partition

path, mine, kind, number = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
longest_pause = float(sys.argv[5])
while True:
    append_partition(path, **arguments(path, mine, number, kind))
    print(number, flush=True)
    number += 1
    time.sleep(random.uniform(0, longest_pause))
"""


def arguments(path: Any, mine: int, number: int, kind: str) -> dict[str, Any]:
    """Return what a writer adds in a round: points or paths in its half of the space."""
    positions = positions_of(mine, number)
    first = 100_000 * (mine + 1) + PATHS * number
    described: dict[str, Any] = {}
    if kind == "objects":
        described = {"object_ids": first, "object_attributes": {"weight": [first / 4]}}
    elif kind == "paths":
        ids = first + np.arange(PATHS)
        described = {"object_ids": np.repeat(ids, ROWS // PATHS), "object_attributes": {"weight": ids / 4}}
    every = partitions(path)
    return {
        "partition": [every[place] for place in np.unique(every.of(positions)).tolist()],
        "positions": positions,
        "attributes": {"writer": np.full(ROWS, mine), "number": np.full(ROWS, number)},
        **described,
    }


def positions_of(mine: int, number: int) -> np.ndarray:
    rng = np.random.default_rng(1000 * mine + number)
    return rng.uniform(0, 49.9, (ROWS, 3)).astype(np.float32) + np.array([50 * mine, 0, 0], np.float32)


def make(store: Path, revision: str, kind: str) -> None:
    options: dict[str, Any] = {
        "attributes": {"writer": np.full(8, -1), "number": np.full(8, -1)},
        "chunk_shape": 25,
        "bounds": ([0] * 3, [100] * 3),
        "format_version": revision,
        **({"shard_shape": 2} if revision == "0.9" else {}),
    }
    described = {"object_attributes": {"weight": [7.0]}}
    if kind == "paths":
        write_polylines(store, [np.linspace(1, 90, 24).reshape(8, 3)], **options, **described)
    elif kind == "objects":
        write_points(store, np.full((8, 3), 1.0), **options, object_ids=np.zeros(8, int), **described)
    else:
        write_points(store, np.full((8, 3), 1.0), **options)


def start(program: str, *words: Any) -> subprocess.Popen[str]:
    paths = [Path(__file__).parents[2], Path(zarr_vectors.__file__).parents[1]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    words = tuple(map(str, words))
    return subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True, env=environment)


def rounds_of(store: Path, kind: str) -> tuple[int, int]:
    """Return in how many rounds two writers have added to a store, which holds all of these bit for bit."""
    result = read_polylines(store, return_object_ids=True) if kind == "paths" else read_points(store)
    writer, number = result.attributes["writer"], result.attributes["number"]
    rounds = int((writer == 0).sum()) // ROWS, int((writer == 1).sum()) // ROWS
    assert result.vertex_count == 8 + ROWS * sum(rounds)
    for mine, count in enumerate(rounds):
        for round_ in range(count):
            rows = np.flatnonzero((writer == mine) & (number == round_))
            found, expected = result.positions[rows].tolist(), positions_of(mine, round_).tolist()
            assert found == expected if kind == "paths" else sorted(found) == sorted(expected)
            if kind == "objects":
                assert isinstance(result, PointsResult)
                assert result.object_ids is not None
                assert (result.object_ids[rows] == 100_000 * (mine + 1) + PATHS * round_).all()
    return rounds


def check_objects(store: Path, kind: str, rounds: tuple[int, int]) -> None:
    """Hold the objects of a store, and their attributes, to what two writers have added."""
    level = open_reader(store).level(0)
    ids = read_object_ids(level)
    if kind == "points":
        assert ids is None
        return
    assert ids is not None
    weights = read_columns(level, dict(level.arrays.object_attributes), None)["weight"].values
    per_round = range(PATHS if kind == "paths" else 1)
    added = [100_000 * (m + 1) + PATHS * n + k for m in (0, 1) for n in range(rounds[m]) for k in per_round]
    assert dict(zip(ids.tolist(), weights.tolist(), strict=True)) == {0: 7.0} | {i: i / 4 for i in added}


CASES = [("0.7", "objects"), ("0.7", "paths"), ("0.9", "points"), ("0.9", "objects"), ("0.9", "paths")]


@pytest.mark.parametrize(("revision", "kind"), CASES)
def test_at_the_same_time(tmp_path: Path, revision: str, kind: str) -> None:
    """In every round both hold their partitions, with all staged, before either makes its change final."""
    store, meeting_place = tmp_path / "s.zv", tmp_path / "meeting"
    meeting_place.mkdir()
    make(store, revision, kind)
    writers = [start(WRITER, store, mine, kind, meeting_place) for mine in (0, 1)]
    said = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [int(one) for one in said] == [ROUNDS, ROUNDS]
    assert rounds_of(store, kind) == (ROUNDS, ROUNDS)
    check_objects(store, kind, (ROUNDS, ROUNDS))
    report = validate(store, level=5)
    assert report.is_valid, report.report()
    assert not [one for one in resolve_storage(store).list_all() if one.startswith(".zv-")]


@pytest.mark.parametrize(("revision", "kind"), CASES)
def test_readers_see_whole_rounds(tmp_path: Path, revision: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While two writers add without end."""
    store = tmp_path / "s.zv"
    make(store, revision, kind)
    monkeypatch.setattr(steady, "PATIENCE", 120.0)
    writers = [start(ENDLESS, store, mine, kind, 0, 0.5) for mine in (0, 1)]
    seen = {rounds_of(store, kind)}
    try:
        while len(seen) < 4:
            seen.add(rounds_of(store, kind))
            assert [writer.poll() for writer in writers] == [None, None]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    repair(store)
    assert all(last >= rounds for one in seen for last, rounds in zip(rounds_of(store, kind), one, strict=True))
    assert validate(store, level=5).is_valid


def test_a_killed_writer_holds_nobody_up(tmp_path: Path) -> None:
    """Its partition is taken over, and what it had staged goes with the next turn of anybody."""
    store = tmp_path / "s.zv"
    make(store, "0.9", "objects")
    dying = start(DYING, store)
    dying.communicate()
    assert dying.returncode == -signal.SIGKILL
    storage = resolve_storage(store, mode="r+")
    left = storage.list_all(".zv-journal")
    assert left
    assert storage.list_all(".zv-lock")
    assert rounds_of(store, "objects") == (0, 0)
    append_partition(store, **arguments(store, 1, 0, "objects"))
    assert storage.list_all(".zv-journal") == []
    append_partition(store, **arguments(store, 0, 0, "objects"))
    assert rounds_of(store, "objects") == (1, 1)
    check_objects(store, "objects", (1, 1))
    assert not [one for one in storage.list_all() if one.startswith(".zv-")]


@pytest.mark.parametrize(("revision", "kind"), [CASES[0], CASES[-1]])
def test_writers_that_are_killed_at_any_moment(tmp_path: Path, revision: str, kind: str) -> None:
    """What a writer was told to be there is there, and of what it was doing all or nothing; the other goes on."""
    store, rng = tmp_path / "s.zv", np.random.default_rng(len(kind))
    make(store, revision, kind)
    done: tuple[list[int], list[int]] = [], []
    writers = [start(ENDLESS, store, mine, kind, 0, 0.0) for mine in (0, 1)]
    for life in range(KILLS):
        mine = int(rng.integers(2))
        assert writers[mine].stdout is not None
        done[mine].append(int(writers[mine].stdout.readline()))
        time.sleep(rng.uniform(0, 0.2))
        writers[mine].kill()
        done[mine].extend(map(int, writers[mine].communicate()[0].split()))
        assert writers[mine].returncode == -signal.SIGKILL
        writers[mine] = start(ENDLESS, store, mine, kind, 1000 * (life + 1), 0.0)
    for mine, writer in enumerate(writers):
        writer.kill()
        done[mine].extend(map(int, writer.communicate()[0].split()))
    result = read_polylines(store) if kind == "paths" else read_points(store)
    for mine in (0, 1):
        rows = result.attributes["writer"] == mine
        rounds = np.unique(result.attributes["number"][rows]).tolist()
        assert set(done[mine]) <= set(rounds)
        for round_ in rounds:
            found = result.positions[rows & (result.attributes["number"] == round_)].tolist()
            assert sorted(found) == sorted(positions_of(mine, round_).tolist())
    repair(store)
    assert validate(store, level=5).is_valid
    assert not [one for one in resolve_storage(store).list_all() if one.startswith(".zv-")]


def test_the_store_can_be_held_when_a_writer_of_a_partition_was_killed(tmp_path: Path) -> None:
    store = tmp_path / "s.zv"
    make(store, "0.7", "objects")
    dying = start(DYING, store)
    dying.communicate()
    edit.set_groups(store, {"all": [0]})
    assert rounds_of(store, "objects") == (0, 0)
    assert not [one for one in resolve_storage(store).list_all() if one.startswith(".zv-")]


def test_the_same_partition_names_its_holder(tmp_path: Path) -> None:
    store, meeting_place = tmp_path / "s.zv", tmp_path / "meeting"
    meeting_place.mkdir()
    make(store, "0.9", "objects")
    writer = start(WRITER, store, 0, "objects", meeting_place)
    while not (meeting_place / "staged-2-0").exists():
        assert writer.poll() is None
    for act in (
        lambda: append_partition(store, **arguments(store, 0, 5, "objects")),
        lambda: edit.set_groups(store, {"all": [0]}),
    ):
        with pytest.raises(StoreLockedError, match=rf"being written by .+ on .+ \(process {writer.pid}\)"):
            act()
    append_partition(store, **arguments(store, 1, 0, "objects"))
    writer.kill()
    writer.communicate()
    assert rounds_of(store, "objects") == (0, 1)
