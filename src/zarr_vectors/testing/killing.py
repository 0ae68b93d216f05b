"""Processes that die in the middle of a change: forks of one interpreter that has the package loaded.

``python -m zarr_vectors.testing.killing`` reads one job a line from its standard input, makes it in a fork of itself
that ends by SIGKILL at the chosen call, and answers with a line about how the fork ended. It needs an operating
system with ``fork``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zarr_vectors
from zarr_vectors.storage.resolve import detect_scheme, resolve_storage
from zarr_vectors.testing.faults import FaultyStorage
from zarr_vectors.testing.scenarios import scenario_named
from zarr_vectors.testing.syscalls import file_faults

KILLED, DONE, FAILED = "killed", "done", "failed"


@dataclass(slots=True)
class Killer:
    """A program that makes changes in processes of their own and kills them; a context manager.

    Attributes
    ----------
    process : subprocess.Popen
        The program that forks.
    """

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, temporary: str) -> Self:
        """Start the program, with the package that this process has; `temporary` is for its temporary files."""
        here = str(Path(zarr_vectors.__file__).parents[1])
        paths = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
        return cls(
            subprocess.Popen(
                [sys.executable, "-m", "zarr_vectors.testing.killing"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": paths, "TMPDIR": temporary},
            )
        )

    def run(self, scenario: str, place: str, source: str, at: int, options: Mapping[str, Any] | None = None) -> str:
        """Make a change in a process that is killed at its k-th request.

        Parameters
        ----------
        scenario : str
            Name of the change.
        place : str
            Path or URL of the store. In a folder the calls of the file system count, elsewhere the requests.
        source : str
            Folder of a store that changes read from.
        at : int
            The request, counted from 1.
        options : mapping, optional
            Options of the object store.

        Returns
        -------
        str
            ``"killed"``, ``"done"`` where the change needed fewer requests, or ``"failed"``.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        job = {"scenario": scenario, "place": place, "source": source, "at": at, "options": dict(options or {})}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Self:
        """Give the program."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()


def make_job(job: Mapping[str, Any]) -> None:
    """Make the change of a job in this process, which is killed on the way."""
    scenario = scenario_named(job["scenario"])
    place: str = job["place"]
    if detect_scheme(place):
        storage = resolve_storage(place, mode="r+", **job["options"])
        scenario.run(FaultyStorage(storage, job["at"], action="kill"), job["source"])
        return
    with file_faults(os.path.dirname(place), job["at"], action="kill"):
        scenario.run(place, job["source"])


def serve() -> None:
    """Make jobs until the input ends."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                make_job(json.loads(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(KILLED if killed else FAILED if status else DONE, flush=True)


if __name__ == "__main__":
    serve()
