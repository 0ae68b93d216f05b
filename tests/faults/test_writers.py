"""Processes that add to a store at the same time take turns, and nobody's rows are lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

ROUNDS, ROWS = 12, 40
PROGRAM = """
import sys, time
import numpy as np
from zarr_vectors import edit
from zarr_vectors.exceptions import StoreLockedError
from zarr_vectors.types.points import write_points

path, mine, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
refused = 0
for number in range({rounds}):
    rng = np.random.default_rng(1000 * mine + number)
    positions = rng.uniform(0, 50, ({rows}, 3)) + [50 * mine, 0, 0]
    values = {{"writer": np.full({rows}, mine), "number": np.full({rows}, number)}}
    while True:
        try:
            if way == "edit":
                edit.append_vertices(path, positions, attributes=values)
            else:
                write_points(path, positions, attributes=values, mode="a")
            break
        except StoreLockedError as error:
            assert "being written by" in str(error), error
            refused += 1
            time.sleep(0.005)
print(refused)
"""


@pytest.mark.parametrize("way", ["edit", "append"])
@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_writers_of_two_partitions_lose_nothing(tmp_path: Path, way: str, revision: str) -> None:
    store = tmp_path / "s.zv"
    space = {"chunk_shape": 25, "bounds": ([0] * 3, [100] * 3), "format_version": revision}
    start = {"writer": np.full(8, -1), "number": np.full(8, -1)}
    write_points(store, np.full((8, 3), 1.0), attributes=start, **space)  # type: ignore[arg-type]
    program = PROGRAM.format(rounds=ROUNDS, rows=ROWS)
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(store), str(mine), way], stdout=subprocess.PIPE)
        for mine in (0, 1)
    ]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    result = read_points(store)
    assert result.vertex_count == 8 + 2 * ROUNDS * ROWS
    for mine in (0, 1):
        rows = result.attributes["writer"] == mine
        assert np.bincount(result.attributes["number"][rows], minlength=ROUNDS).tolist() == [ROWS] * ROUNDS
        for number in range(ROUNDS):
            rng = np.random.default_rng(1000 * mine + number)
            expected = (rng.uniform(0, 50, (ROWS, 3)) + np.array([50 * mine, 0, 0])).astype(np.float32)
            found = result.positions[rows & (result.attributes["number"] == number)]
            assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
    report = validate(store, level=5)
    assert report.is_valid, report.report()
