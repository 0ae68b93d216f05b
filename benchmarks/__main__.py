"""Measure ours, the floor and the reference implementation on the same data, in one run.

``python -m benchmarks [--kind points,meshes] [--size 1M,10M] [--only write,read]``. Every measurement runs in a
fresh process; the reference implementation runs under its own interpreter, named by ``ZARR_VECTORS_PEER_PYTHON`` or
found in ``.cache/peer``, and other formats under that of ``ZARR_VECTORS_OTHERS_PYTHON`` or this one. Prints tables
and writes ``benchmarks/RESULTS.md`` (a run of some kinds, works or sizes writes only where ``--output`` says).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from benchmarks.comparison import Comparison, disagreements, size_table, time_table
from benchmarks.linked import graphs, meshes, skeletons
from benchmarks.measuring import Measurement
from benchmarks.points import comparisons as points
from benchmarks.streamlines import comparisons as streamlines

ROOT = Path(__file__).parents[1]
KINDS: tuple[ModuleType, ...] = (points, streamlines, skeletons, graphs, meshes)
PEER_BUDGET = 3.0


def peer_python() -> Path | None:
    """Return the interpreter that has the reference implementation, if there is one."""
    named = os.environ.get("ZARR_VECTORS_PEER_PYTHON")
    python = Path(named) if named else ROOT / ".cache" / "peer" / "bin" / "python"
    return python if python.exists() else None


def interpreter(implementation: str) -> Path | None:
    """Return the interpreter that an implementation runs under, if there is one."""
    if implementation == "peer":
        return peer_python()
    if implementation == "others":
        return Path(os.environ.get("ZARR_VECTORS_OTHERS_PYTHON") or sys.executable)
    return Path(sys.executable)


def measure_work(kind: ModuleType, work: tuple[str, str], size: int, folder: Path, runs: int) -> Measurement | None:
    """Run one work in a process of its own; None where its interpreter is missing."""
    implementation, name = work
    python = interpreter(implementation)
    if python is None:
        return None
    budget = 2 * PEER_BUDGET if implementation in ("ours", "floor") else PEER_BUDGET
    arguments = [f"{kind.PACKAGE}.{implementation}", name, str(size), str(folder), str(runs), str(budget)]
    command = [str(python), "-W", "ignore", "-m", "benchmarks.worker", *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" or implementation != "peer"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env=environment)
    try:
        return Measurement(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        return Measurement(failure=(done.stderr.strip().splitlines() or ["no output"])[-1])


def measure_size(kind: ModuleType, size: int, only: Sequence[str], runs: int) -> str:
    """Measure everything for one size and return its section."""
    chosen: list[Comparison] = [row for row in kind.COMPARISONS if not only or row.work in only]
    measured: dict[tuple[str, str], Measurement] = {}
    with tempfile.TemporaryDirectory(prefix="zarr-vectors-bench-") as temporary:
        folder = Path(temporary)
        kind.make_data(size, folder)
        # Reads need what writes leave, so writes run always.
        writes = [row for row in kind.COMPARISONS if row.work == "write"]
        for work in dict.fromkeys(work for row in [*writes, *chosen] for work in row.works()):
            result = measure_work(kind, work, size, folder, runs)
            if result is not None:
                measured[work] = result
                print(
                    f"{size:>12,}  {work[0]:6}{work[1]:28}{result.median * 1e3:12,.1f} ms  {result.failure}",
                    flush=True,
                )
    lines = [f"## {kind.NAME}: {size:,}", "", time_table(chosen, measured), ""]
    lines += [size_table(measured, size * kind.ROW_BYTES), ""]
    lines += [f"Rows found differ: {wrong}\n" for wrong in disagreements(chosen, measured)]
    return "\n".join(lines)


def heading(command: str, started: float) -> str:
    """Return what was measured where."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "zarr", "numcodecs", "obstore"))
    peer = "zarr-vectors 0.9.2" if peer_python() else "**not measured: set ZARR_VECTORS_PEER_PYTHON**"
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `{command}` on {time.strftime('%Y-%m-%d')} in {time.time() - started:.0f} s.",
            "",
            f"- {_processor()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}",
            f"- Python {platform.python_version()}, zarr-vectors {version('zarr-vectors')}, {packages}",
            f"- peer: {peer}",
            "- Medians of several runs, each work in a fresh process, page cache warm. Ratios carry to other "
            "machines, times do not.",
            "- *floor*: hand-written NumPy without a format (`benchmarks/*/floor.py`). Our default "
            "compressor is compared with the floor's zstd level 1, and with the peer's shards compressed by zstd.",
            "- Peak memory: of the first run in a process, above what its imports took, input included.",
            "",
        ]
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--kind", default="", help="kinds, for example points,streamlines; all by default")
    parser.add_argument("--size", help="sizes, for example 1M,10M; all by default")
    parser.add_argument("--only", default="", help="works, for example write,read,box,open,pyramid")
    parser.add_argument("--runs", type=int, default=5, help="most runs of each work")
    parser.add_argument("--output", type=Path, help="file to write; benchmarks/RESULTS.md for a whole run")
    options = parser.parse_args()
    started = time.time()
    only = [name for name in options.only.split(",") if name]
    sections = []
    kinds = [name for name in options.kind.lower().split(",") if name]
    for kind in KINDS:
        if kinds and kind.NAME.lower() not in kinds:
            continue
        sizes = [int(float(s.upper().removesuffix("M")) * 1e6) for s in (options.size or "").split(",") if s]
        sections += [measure_size(kind, size, only, options.runs) for size in sizes or kind.SIZES]
    report = heading("python -m benchmarks " + " ".join(sys.argv[1:]), started) + "\n" + "\n".join(sections)
    print("\n" + report)
    output = options.output or (None if only or kinds or options.size else ROOT / "benchmarks" / "RESULTS.md")
    if output is not None:
        output.write_text(report)


if __name__ == "__main__":
    main()
