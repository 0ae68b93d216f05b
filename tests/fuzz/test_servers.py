"""Servers that state sizes which nobody has: told in one error, by a process that goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zarr_vectors.exceptions import StoreError
from zarr_vectors.types.points import read_points, write_points

POSITIONS = np.random.default_rng(0).uniform(0, 20, (300, 3)).astype(np.float32)

LYING = """
import asyncio
import sys
from zarr.core.buffer import default_buffer_prototype
from tests.servers import http_server
from zarr_vectors.validate import validate
from zarr_vectors.exceptions import StoreError
from zarr_vectors.lazy import open_zv
from zarr_vectors.storage.port import Range
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.types.points import read_points

def check(url):
    report = validate(url)
    assert not report.is_valid
    raise StoreError(str(report))

def explore(url):
    with open_zv(url) as dataset:
        dataset.read()

def ranged(url):
    resolve_storage(url).get_many([Range(sys.argv[2], 5, 10**13)])

def rest(url):
    resolve_storage(url).get_many([Range(sys.argv[2], 100, None)])

def raw(url):
    asyncio.run(resolve_storage(url).zarr_store().get(sys.argv[2], default_buffer_prototype()))

for door in (read_points, check, explore, ranged, rest, raw):
    with http_server(sys.argv[1], lies_about=sys.argv[2]) as url:
        try:
            door(url)
        except StoreError as error:
            assert "are said to be there" in str(error), error
            print(door.__name__)
"""


@pytest.mark.parametrize("lies", ["0/vertices/zarr.json", "0/vertices/c/0/0/0"])
def test_sizes_that_servers_state_take_no_memory(lies: str, tmp_path: Path) -> None:
    write_points(tmp_path, POSITIONS, chunk_shape=10.0, shard_shape=None)
    done = subprocess.run(
        [sys.executable, "-c", LYING, str(tmp_path), lies], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["read_points", "check", "explore", "ranged", "rest", "raw"]


@pytest.mark.parametrize(("address", "says"), [("0/zarr.json", "at most"), ("0/vertices/c/0/0/0", "no memory")])
def test_files_that_hold_nothing_but_their_size_take_no_memory(address: str, says: str, tmp_path: Path) -> None:
    write_points(tmp_path, POSITIONS, chunk_shape=10.0, shard_shape=None)
    with open(tmp_path / address, "r+b") as file:
        try:
            file.truncate(2**43)
        except OSError:
            pytest.skip("the file system has no files with holes of that size")
    with pytest.raises(StoreError, match=says):
        read_points(tmp_path)
