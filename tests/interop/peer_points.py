"""Runs in the environment of the reference implementation: ``python peer_points.py jobs.json``.

Every job is an object with ``do`` and its arguments; arrays are exchanged as ``.npz`` files. What a job has
to say that is not an array is written beside the jobs as ``answers.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.core import arrays as core
from zarr_vectors.core.store import open_store
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate


def _prefixed(arrays: Any, prefix: str) -> dict[str, Any] | None:
    found = {name.removeprefix(prefix): arrays[name] for name in arrays.files if name.startswith(prefix)}
    return found or None


def write(store: str, arrays: str, groups: list[list[int]] | None = None, **options: Any) -> None:
    """Write a store; shapes are tuples and groups a mapping there."""
    data = np.load(arrays)
    for name in ("chunk_shape", "bin_shape"):
        options[name] = tuple(options[name])
    if groups is not None:
        options["groups"] = dict(enumerate(groups))
    write_points(
        store,
        data["positions"],
        vertex_attributes=_prefixed(data, "attribute:"),
        object_ids=data["object_ids"] if "object_ids" in data.files else None,
        object_attributes=_prefixed(data, "object:"),
        group_attributes=_prefixed(data, "group:"),
        **options,
    )


def read(store: str, out: str, attributes: list[str] | None = None, **query: Any) -> None:
    """Read points; an absent part of the result is left out."""
    if "bbox" in query:
        query["bbox"] = tuple(np.array(corner) for corner in query["bbox"])
    found = read_points(store, attribute_names=attributes, **query)
    arrays = {f"attribute:{name}": values for name, values in (found.get("vertex_attributes") or {}).items()}
    arrays |= {name: found[name] for name in ("positions", "object_ids") if found.get(name) is not None}
    np.savez(out, **arrays)


def read_tables(store: str, out: str, objects: list[str], groups: list[str], level: int = 0) -> dict[str, Any]:
    """Read object ids, object and group attributes, and the members of every group."""
    group = open_store(store)[str(level)]
    ids = core.read_object_id_table(group)
    arrays = {f"object:{name}": core.read_object_attributes(group, name) for name in objects}
    arrays |= {f"group:{name}": core.read_groupings_attributes(group, name) for name in groups}
    np.savez(out, object_ids=np.zeros(0) if ids is None else ids, **arrays)
    members = core.read_all_groupings(group) if groups else []
    return {"groups": [[int(member) for member in each] for each in members]}


def check(store: str) -> dict[str, Any]:
    """Validate at the highest level."""
    result = validate(store, level=5)
    return {"summary": result.summary(), "warnings": list(result.warnings), "errors": list(result.errors)}


def pyramid(store: str, **options: Any) -> None:
    """Build coarse levels."""
    build_pyramid(store, **options)


JOBS = {"write": write, "read": read, "read_tables": read_tables, "check": check, "pyramid": pyramid}


def main() -> None:
    """Do the jobs in order."""
    path = Path(sys.argv[1])
    answers = []
    for job in json.loads(path.read_text()):
        answers.append(JOBS[job.pop("do")](**job))
    path.with_name("answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
