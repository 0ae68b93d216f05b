"""Runs in the environment of the reference implementation: ``python peer_graphs.py jobs.json``.

Arrays are exchanged as ``.npz`` files; the answers of the jobs are written beside them as ``answers.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.validate import validate


def write(store: str, arrays: str, **options: Any) -> None:
    """Write a graph."""
    data = np.load(arrays)
    for name in ("chunk_shape", "bin_shape"):
        options[name] = tuple(options[name])
    write_graph(
        store,
        data["positions"],
        data["edges"],
        object_ids=data["object_ids"] if "object_ids" in data.files else None,
        link_attributes={"weight": data["weight"]} if "weight" in data.files else None,
        vertex_attributes={"radius": data["radius"]},
        **options,
    )


def read(store: str, out: str) -> None:
    """Read nodes and edges."""
    found = read_graph(store)
    np.savez(out, positions=found["positions"], edges=found["edges"])


def check(store: str) -> dict[str, Any]:
    """Validate at the highest level."""
    result = validate(store, level=5)
    return {"warnings": list(result.warnings), "errors": list(result.errors)}


def pyramid(store: str, **options: Any) -> None:
    """Build coarse levels."""
    build_pyramid(store, **options)


JOBS = {"write": write, "read": read, "check": check, "pyramid": pyramid}


def main() -> None:
    """Do the jobs in order."""
    path = Path(sys.argv[1])
    answers = [JOBS[job.pop("do")](**job) for job in json.loads(path.read_text())]
    path.with_name("answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
