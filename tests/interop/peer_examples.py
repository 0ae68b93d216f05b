"""Runs in the environment of the reference implementation: ``python peer_examples.py jobs.json``.

Arrays are exchanged as ``.npz`` files; the answers of the jobs are written beside them as ``answers.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.types.graphs import read_graph
from zarr_vectors.types.meshes import read_mesh
from zarr_vectors.types.points import read_points
from zarr_vectors.types.polylines import read_polylines
from zarr_vectors.validate import validate


def points(store: str) -> dict[str, Any]:
    return {"positions": read_points(store)["positions"]}


def rows(store: str) -> dict[str, Any]:
    return points(store)


def polylines(store: str) -> dict[str, Any]:
    paths = [np.concatenate(fragments) for fragments in read_polylines(store)["polylines"]]
    return {"positions": np.concatenate(paths), "lengths": np.array([len(path) for path in paths])}


def mesh(store: str) -> dict[str, Any]:
    found = read_mesh(store)
    return {"corners": found["vertices"][found["faces"]]}


def skeleton(store: str) -> dict[str, Any]:
    found = read_graph(store)
    return {"corners": found["positions"][found["edges"]]}


READERS = {f.__name__: f for f in (points, rows, polylines, mesh, skeleton)}


def main() -> None:
    """Validate every store, and read it."""
    path = Path(sys.argv[1])
    answers = []
    for job in json.loads(path.read_text()):
        answers.append([str(error) for error in validate(job["store"], level=5).errors])
        np.savez(job["out"], **READERS[job["kind"]](job["store"]))
    path.with_name("answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
