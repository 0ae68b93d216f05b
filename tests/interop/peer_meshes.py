"""Runs in the environment of the reference implementation: ``python peer_meshes.py jobs.json``.

Every job is a list: what to do, then its arguments; arrays are exchanged as ``.npz`` files beside the jobs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.core import arrays as core
from zarr_vectors.core.store import open_store
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.parametric import read_parametric_objects, write_parametric_objects
from zarr_vectors.validate import validate


def write(store: str, arrays: str, chunk: float, width: float) -> None:
    data = np.load(arrays)
    write_mesh(
        store,
        data["vertices"],
        data["faces"],
        chunk_shape=(chunk,) * 3,
        bin_shape=(width,) * 3,
        object_ids=data["object_ids"],
        vertex_attributes={"x": data["x"]},
    )


def read(store: str, out: str, level: int = 0) -> None:
    found = read_mesh(store, level=level)
    np.savez(out, vertices=found["vertices"], faces=found["faces"])


def tables(store: str, out: str) -> None:
    group = open_store(store)["0"]
    np.savez(
        out,
        ids=core.read_object_id_table(group),
        size=core.read_object_attributes(group, "size"),
    )


def check(store: str) -> Any:
    result = validate(store, level=5)
    return {"summary": result.summary(), "errors": [str(e) for e in result.errors]}


def write_shapes(store: str) -> None:
    write_parametric_objects(
        store,
        [
            {"type": "plane", "coefficients": [0.0, 0.0, 1.0, -2.5], "name": "floor"},
            {"type": "sphere", "coefficients": [1.0, 2.0, 3.0, 4.0]},
        ],
        object_attributes={"weight": np.array([0.5, 1.5])},
        groups={0: [1], 1: [0, 1]},
        create_new_store=True,
    )


def read_shapes(store: str) -> Any:
    return read_parametric_objects(store)


JOBS = {f.__name__: f for f in (write, read, tables, check, write_shapes, read_shapes)}


def main() -> None:
    jobs = Path(sys.argv[1])
    answers = [JOBS[name](*arguments) for name, *arguments in json.loads(jobs.read_text())]
    jobs.with_name("answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
