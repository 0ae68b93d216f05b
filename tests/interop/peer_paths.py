"""Runs in the environment of the reference implementation: ``python peer_paths.py jobs.json``.

Every job is an object with ``do`` and its arguments; arrays are exchanged as ``.npz`` files, and what a job has to
say is written beside the jobs as ``answers.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate


def write(store: str, arrays: str, groups: list[list[int]], **options: Any) -> None:
    """Write streamlines with a vertex attribute, an object attribute and groups."""
    data = np.load(arrays)
    cuts = data["offsets"][1:-1]
    write_polylines(
        store,
        np.split(data["positions"], cuts),
        vertex_attributes={"fa": np.split(data["fa"], cuts)},
        object_attributes={"length": data["length"]},
        groups=dict(enumerate(groups)),
        chunk_shape=tuple(options.pop("chunk_shape")),
        bin_shape=tuple(options.pop("bin_shape")),
        **options,
    )


def read(store: str, out: str, **query: Any) -> dict[str, Any]:
    """Read whole paths, each put together from its segments."""
    found = read_polylines(store, **query)
    paths = [np.concatenate(path) if isinstance(path, list) else path for path in found["polylines"]]
    lengths = np.array([len(path) for path in paths])
    np.savez(out, positions=np.concatenate(paths), offsets=np.append(0, np.cumsum(lengths)))
    return {"ids": [int(i) for i in found["object_ids"]]}


def put_lines(store: str, arrays: str, chunk_shape: list[float]) -> None:
    """Write lines."""
    write_lines(store, np.load(arrays)["endpoints"], chunk_shape=tuple(chunk_shape))


def get_lines(store: str, out: str) -> None:
    """Read lines."""
    np.savez(out, endpoints=read_lines(store)["endpoints"])


def check(store: str) -> dict[str, Any]:
    """Validate at the highest level."""
    result = validate(store, level=5)
    return {"summary": result.summary(), "errors": [str(error) for error in result.errors]}


JOBS = {"write": write, "read": read, "put_lines": put_lines, "get_lines": get_lines, "check": check}


def main() -> None:
    """Do the jobs in order."""
    path = Path(sys.argv[1])
    answers = [JOBS[job.pop("do")](**job) for job in json.loads(path.read_text())]
    path.with_name("answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
