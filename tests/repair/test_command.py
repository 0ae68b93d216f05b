"""The command ``repair``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from tests.validate.damage import Files
from zarr_vectors.cli.app import app
from zarr_vectors.types.points import write_points


def test_command(tmp_path: Path) -> None:
    root = tmp_path / "store"
    positions = np.random.default_rng(0).uniform(0, 9, (50, 2))
    write_points(root, positions, chunk_shape=5, compressor=None, checksum=False, shard_shape=None)
    Files(root).level_block(0, vertex_count=3)
    runner = CliRunner()
    planned = runner.invoke(app, ["repair", str(root), "--dry-run", "--json"])
    assert planned.exit_code == 0
    assert json.loads(planned.stdout)["written"] == ["0/zarr.json"]
    done = runner.invoke(app, ["repair", str(root)])
    assert done.exit_code == 0
    assert "1 repaired" in done.stdout
    Files(root).change_rows("0/vertices", "0.0", "<f8", lambda values: values * np.nan)
    failed = runner.invoke(app, ["repair", str(root)])
    assert failed.exit_code == 1
    assert "vertices-finite" in failed.stdout
