"""Rows that wait on disk: what a killed writer leaves is removed by the next, and a full disk is told."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors import RechunkSpec, rechunk
from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.processes import signature
from zarr_vectors.types.point_streams import write_points_stream
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.write.budget import working_folder
from zarr_vectors.write.spilling import mapped

_DIE_STREAMING = """
import os, signal, sys
import numpy as np
from zarr_vectors.types.point_streams import write_points_stream

def batches():
    for seed in range(3):
        yield np.random.default_rng(seed).random((1000, 3))
    os.kill(os.getpid(), signal.SIGTERM)
    yield np.zeros((1, 3))

write_points_stream(sys.argv[1], batches(), temporary_folder=sys.argv[2])
"""
NOT_OURS = ["zarr-vectors-deadbeef-1-x", "zarr-vectors-limits", "zarr-vectors-", "other-1-x"]


def test_the_folder_of_a_terminated_stream_goes_with_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", _DIE_STREAMING, str(tmp_path / "s"), str(folder)], check=False)
    assert done.returncode == -signal.SIGTERM
    (left,) = folder.iterdir()
    assert any(left.rglob("*.rows"))
    for name in [*NOT_OURS, f"zarr-vectors-{signature()}of-this-process"]:
        (folder / name).mkdir()
    dead = left.name.rpartition("-")[0]
    (folder / f"{dead}-file").write_bytes(b"")
    (folder / f"{dead}-link").symlink_to(tmp_path)
    before = {path.name for path in folder.iterdir()}
    write_points_stream(tmp_path / "s", [np.zeros((2, 3))], temporary_folder=folder)
    assert {path.name for path in folder.iterdir()} == before - {left.name}
    assert read_points(tmp_path / "s").vertex_count == 2
    assert {path.name for path in tmp_path.iterdir()} == {"s", "temporary"}


def test_folders_of_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zarr-vectors-").mkdir()
    with working_folder(tmp_path) as made:
        left = made.name
    pid = left.split("-")[3]
    assert pid == str(os.getpid())
    (tmp_path / left.replace(f"-{pid}-", "-99999999-")).mkdir()
    monkeypatch.setattr(os, "getuid", lambda: os.stat(tmp_path).st_uid + 1)
    with working_folder(tmp_path):
        assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.undo()
    with working_folder(tmp_path):
        assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("at", ["stream", "rechunk"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, at: str) -> None:
    rows, room = np.random.default_rng(0).random((20_000, 3)), resource.getrlimit(resource.RLIMIT_FSIZE)
    write_points(tmp_path / "s", rows[:100] if at == "stream" else rows, chunk_shape=0.5, shard_shape=None)
    before = read_points(tmp_path / "s").positions
    smaller = RechunkSpec("spatial", spatial_chunk_shape=(0.25,) * 3)
    fill = {
        "stream": lambda: write_points_stream(tmp_path / "s", [rows[:2], rows], temporary_folder=tmp_path),
        "rechunk": lambda: rechunk(tmp_path / "s", smaller, temporary_folder=tmp_path),
    }[at]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, room[1]))
    try:
        with pytest.raises(StoreError, match="temporary_folder="):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
    assert np.array_equal(read_points(tmp_path / "s").positions, before)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_an_array_over_a_file_has_its_place_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = mapped(tmp_path / "a", np.dtype(np.int64), (1 << 17,), mode="w+")
    assert (tmp_path / "a").stat().st_blocks * 512 >= made.nbytes == 1 << 20
    assert not made.any()

    def full(*given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError, match="No space left"), working_folder(tmp_path) as folder:
        mapped(folder / "b", np.dtype(np.int64), (5,), mode="w+")
    monkeypatch.delattr(os, "posix_fallocate")
    assert not mapped(tmp_path / "c", np.dtype(np.int64), (5, 2), mode="w+").any()
    assert (tmp_path / "c").stat().st_size == 80
