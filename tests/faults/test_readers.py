"""Readers that know a store by its path, while another process changes it over and over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zarr_vectors.exceptions import ArrayError, StoreChangedError
from zarr_vectors.read import steady as steadily
from zarr_vectors.types.points import read_points, write_points

ROWS = 3000
WRITERS = {
    "replace": "write_points(path, positions, attributes={'state': np.full(len(positions), k)}, **space)",
    "edit": "edit.set_attribute(path, 'state', np.full(len(positions), k))",
}


@pytest.mark.parametrize("change", sorted(WRITERS))
@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_a_reading_is_of_one_state(tmp_path: Path, change: str, revision: str) -> None:
    store = tmp_path / "s.zv"
    prologue = (
        "import sys, numpy as np; from zarr_vectors import edit; from zarr_vectors.types.points import write_points\n"
        f"path, rng = {str(store)!r}, np.random.default_rng(0)\n"
        f"positions = rng.uniform(0, 100, ({ROWS}, 3))\n"
        "space = dict(chunk_shape=25, bounds=([0] * 3, [100] * 3), compressor=None, "
        f"format_version={revision!r})\n"
        "k = 0\n"
    )
    subprocess.run([sys.executable, "-c", prologue + WRITERS["replace"]], check=True)
    program = f"import time\n{prologue}for k in range(1, 13):\n    time.sleep(0.03)\n    {WRITERS[change]}\n"
    with subprocess.Popen([sys.executable, "-c", program]) as writer:
        seen: list[int] = []
        while writer.poll() is None:
            states = np.unique(read_points(store).attributes["state"])
            assert len(states) == 1
            seen.append(int(states[0]))
        assert writer.wait() == 0
    seen.append(int(read_points(store).attributes["state"][0]))
    assert seen == sorted(seen)
    assert seen[-1] == 12
    assert len(set(seen)) > 1


def test_a_store_that_never_rests_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steadily, "PATIENCE", 0.2)
    write_points(tmp_path / "s.zv", np.zeros((3, 3)))
    asked = []

    @steadily.steady
    def read(path: Path) -> int:
        asked.append(path)
        (path / f"{len(asked)}").touch()
        return len(asked)

    with pytest.raises(StoreChangedError, match=r"whenever it was read, for 0\.2 seconds"):
        read(tmp_path / "s.zv")
    assert len(asked) > 2


def test_damage_stays_damage(tmp_path: Path) -> None:
    tries = []

    @steadily.steady
    def read(path: str) -> None:
        tries.append(path)
        raise ArrayError("broken")

    with pytest.raises(ArrayError, match="broken"):
        read(str(tmp_path))
    with pytest.raises(ArrayError, match="broken"):
        read("memory://nowhere")
    assert len(tries) == 1 + 2
