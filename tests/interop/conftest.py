"""Running the reference implementation as another program."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Job = dict[str, Any]
RunPeer = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def run_peer(peer_python: Path, tmp_path_factory: pytest.TempPathFactory) -> RunPeer:
    """Do jobs in one process of the reference implementation; gives the answer of each."""

    def run(jobs: Sequence[Job], script: str = "peer_points.py") -> list[Any]:
        folder = tmp_path_factory.mktemp("jobs")
        (folder / "jobs.json").write_text(json.dumps(list(jobs), default=str))
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(
            [peer_python, "-W", "ignore", Path(__file__).with_name(script), folder / "jobs.json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=environment,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        answers: list[Any] = json.loads((folder / "answers.json").read_text())
        return answers

    return run
