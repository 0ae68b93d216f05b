"""How one piece of work is measured: wall time of several runs, and the memory that a process reached.

Only the standard library is imported, so that every interpreter can run it.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

QUICK = 0.25
"""Seconds below which runs are repeated more often."""


@dataclass(frozen=True)
class Work:
    """Something to be measured.

    Attributes
    ----------
    run : callable
        What is timed.
    before : callable, optional
        Called before every run, not timed.
    store : Path, optional
        Folder or file whose size is reported when the runs are over.
    """

    run: Callable[[], Any]
    before: Callable[[], Any] | None = None
    store: Path | None = None


@dataclass
class Measurement:
    """What was measured.

    Attributes
    ----------
    seconds : list of float
        Wall time of every run.
    peak : int
        Bytes by which the process grew beyond what it took after its imports, input data included.
    found : int
        What the work returned last, where that was a number: the rows found.
    files, stored : int
        Files and bytes of the store that the work left.
    failure : str
        Why there is no result.
    """

    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    found: int = 0
    files: int = 0
    stored: int = 0
    failure: str = ""

    @property
    def median(self) -> float:
        """Median time in seconds, NaN without any."""
        return statistics.median(self.seconds) if self.seconds else float("nan")

    def document(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return asdict(self)


def measure(prepare: Callable[[], Work], runs: int, budget: float) -> Measurement:
    """Run a work ``runs`` times, quick work more often, but not beyond ``budget`` seconds."""
    forget_peak()
    resident = memory()[0]
    work = prepare()
    result = Measurement()
    spent = 0.0
    while not result.seconds or (spent < budget and len(result.seconds) < (runs if spent > QUICK else 8 * runs)):
        if work.before is not None:
            work.before()
        start = time.perf_counter()
        found = work.run()
        result.seconds.append(time.perf_counter() - start)
        spent += result.seconds[-1]
        if len(result.seconds) == 1:
            result.peak = max(0, memory()[1] - resident)
        result.found = found if isinstance(found, int) else 0
        del found
    if work.store is not None:
        result.files, result.stored = size_of(work.store)
    return result


def memory() -> tuple[int, int]:
    """Return the resident memory of this process and its highest value so far, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else 1024
        return peak, peak
    values = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return int(values["VmRSS"]) * 1024, int(values["VmHWM"]) * 1024


def forget_peak() -> None:
    """Start the record of the highest memory anew, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def size_of(path: Path) -> tuple[int, int]:
    """Return the number of files below a path and their bytes together."""
    if path.is_file():
        return 1, path.stat().st_size
    files = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    return len(files), sum(file.stat().st_size for file in files)


def fresh_copy(source: Path, target: Path) -> None:
    """Copy a store to a place, whatever was there."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
