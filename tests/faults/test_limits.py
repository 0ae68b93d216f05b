"""Folders that cannot be written to and disks that are full, as the operating system itself says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import zarr_vectors

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the limits are those of POSIX")
SAME_PACKAGE = {**os.environ, "PYTHONPATH": str(Path(zarr_vectors.__file__).parents[1])}
CHANGES = (
    "overwrite, points, 0.9",
    "append, graph, 0.7",
    "edit: append, points, 0.9",
    "edit: add attribute, points, 0.7",
    "edit: set groups, points, 0.9",
    "edit: vacuum, points, 0.9",
    "pyramid, points, 0.9",
    "pyramid: remove a level, points, 0.7",
    "bounds: grow, points, 0.9",
    "rechunk, points, 0.9",
    "shard, points, 0.9",
    "repair, points, 0.9",
    "consolidate, points, 0.9",
    "migrate over a store, points, 0.9",
)
PROLOGUE = """
import os, resource, signal, sys, tempfile
from pathlib import Path
from zarr_vectors.exceptions import ReadOnlyStoreError, StoreError, StoreNotFoundError
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.crashes import Trial, state_of, contents_of, _tree_of
from zarr_vectors.testing.scenarios import scenario_named, write_some_points

folder = Path(sys.argv[1])
trials = []
for number, name in enumerate(sys.argv[2:]):
    home = folder / str(number)
    (home / "making").mkdir(parents=True)
    trial = Trial.of(scenario_named(name), home / "making")
    trial.fill(resolve_storage(home / "place" / "template", mode="w"))
    trials.append((trial, home / "place" / "template"))


def fails(trial, store, kinds, words):
    before = _tree_of(store.parent)
    try:
        trial.scenario.run(store, trial.source)
    except kinds as error:
        assert any(one in str(error) for one in words), (trial.scenario.name, error)
    else:
        return False
    after = _tree_of(store.parent)
    changed = {str(one) for one in before.keys() | after.keys() if before.get(one, b"-") != after.get(one, b"-")}
    assert not changed, (trial.scenario.name, changed)
    if not trial.scenario.is_damaged:
        assert state_of(store, trial.scenario.kind) == trial.old, trial.scenario.name
    return True
"""
READ_ONLY = (
    "import sys; which = sys.argv.pop(1)"
    + PROLOGUE
    + """
for trial, store in trials:
    for path in [*store.rglob("*"), store, *([store.parent] if which == "parent" else [])]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if which == "store":
        store.parent.chmod(0o777)
nothing = folder / "nothing"
nothing.mkdir(mode=0o555)
(folder / "tmp").mkdir()
(folder / "tmp").chmod(0o777)
tempfile.tempdir = str(folder / "tmp")
folder.chmod(0o755)
if os.geteuid() == 0:
    os.setuid(65534)
try:
    (trials[0][1] / "a").touch()
    raise AssertionError("the folder can be written to")
except PermissionError:
    pass
for trial, store in trials:
    assert fails(trial, store, ReadOnlyStoreError, ["permission denied"]), trial.scenario.name
try:
    write_some_points(nothing / "new", "0.9")
    raise AssertionError("a store was written")
except ReadOnlyStoreError as error:
    assert "permission denied" in str(error)
assert not list(nothing.iterdir())
"""
)
FULL = (
    PROLOGUE
    + """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
partly = 0
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
for trial, store in trials:
    for limit in (0, 300, 600, 900):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        try:
            refused = fails(trial, store, StoreError, ["File too large"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        assert refused or limit, trial.scenario.name
        partly += refused and limit > 0
        if not refused:
            break
    else:
        trial.scenario.run(store, trial.source)
    assert state_of(store, trial.scenario.kind) == trial.new, trial.scenario.name
assert partly > len(trials)  # locks and other small files were written
"""
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that other users can enter, as they cannot those of pytest."""
    path = Path(tempfile.mkdtemp(prefix="zarr-vectors-limits-")).resolve()
    path.chmod(0o755)
    yield path
    for one in path.rglob("*"):
        if one.is_dir():
            one.chmod(0o755)
    shutil.rmtree(path)


def run(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        env=SAME_PACKAGE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("which", ["store", "parent"])
def test_a_folder_that_cannot_be_written_to(which: str, folder: Path) -> None:
    """It alone, or the folder that it is in, too."""
    run(READ_ONLY, which, str(folder), *CHANGES)


def test_a_disk_that_takes_no_more(folder: Path) -> None:
    run(FULL, str(folder), *CHANGES)
