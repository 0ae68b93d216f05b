"""Locks of processes that died while they held them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zarr_vectors.exceptions import StoreLockedError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage import acquire, get_one, lock, put_one, resolve_storage
from zarr_vectors.storage.lock import LOCK_FOLDER
from zarr_vectors.storage.processes import describe_process, is_dead, runs
from zarr_vectors.types.points import write_points

_DIE_HOLDING = """
import os, sys
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage import acquire, resolve_storage
acquire(resolve_storage(sys.argv[1], mode="w"), None if len(sys.argv) < 3 else sys.argv[2], owner="the dead")
os._exit(9)
"""


def die_holding(path: Path, *partition: str) -> None:
    done = subprocess.run([sys.executable, "-c", _DIE_HOLDING, str(path), *partition], check=False)
    assert done.returncode == 9


@pytest.mark.parametrize("partition", [(), ("0/0",)])
@pytest.mark.parametrize("wanted", [None, "0/0"])
def test_a_lock_of_a_dead_process_is_taken_over(tmp_path: Path, partition: tuple[str, ...], wanted: str | None) -> None:
    die_holding(tmp_path / "s", *partition)
    storage = resolve_storage(tmp_path / "s", mode="w")
    assert len(storage.list_all(LOCK_FOLDER)) == 2
    with lock(storage, wanted), pytest.raises(StoreLockedError, match=f"process {os.getpid()}"):
        acquire(storage, wanted)


def test_a_writer_goes_on_after_one_that_was_killed(tmp_path: Path) -> None:
    write_points(tmp_path / "s", np.random.default_rng(0).uniform(0, 10, (50, 3)), chunk_shape=5.0, bin_shape=2.5)
    die_holding(tmp_path / "s")
    assert build_pyramid(tmp_path / "s", [(2.0, 1.0)]).levels_created == 1
    assert not (tmp_path / "s" / LOCK_FOLDER / "store.json").exists()


ELSEWHERE = [{"host": "elsewhere"}, {"boot": "another"}, {"boot": None}, {"pid_space": "pid:[1]"}]


@pytest.mark.parametrize("change", ELSEWHERE)
def test_a_lock_of_another_computer_is_respected(tmp_path: Path, change: dict[str, str]) -> None:
    die_holding(tmp_path / "s")
    storage = resolve_storage(tmp_path / "s", mode="w")
    for address in storage.list_all(LOCK_FOLDER):
        blob = get_one(storage, address)
        assert blob is not None
        put_one(storage, address, json.dumps({**json.loads(bytes(blob)), **change}).encode())
    with pytest.raises(StoreLockedError, match="the dead"):
        acquire(storage)


def test_only_processes_of_here_are_known_to_be_dead() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    me = describe_process()
    assert runs(os.getpid())
    assert not is_dead(me)
    gone = {**me, "pid": done.pid}
    assert is_dead(gone)
    assert is_dead({**me, "started": 1})  # the number is that of another process, which started later
    unseen = [{**gone, **change} for change in ELSEWHERE]
    for unknown in ({}, *unseen, {**me, "pid": "7"}, {**me, "pid": -1}):
        assert not is_dead(unknown)
