"""Running an example from a shell: ``python examples/format/e01_nuclei.py [path] [revision]``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from zarr_vectors.core.store import open_store
from zarr_vectors.validate import validate


def run(build: Callable[..., None], source: str) -> None:
    """Build the store that the command line names, and print what it holds."""
    stem = Path(source).stem
    parser = argparse.ArgumentParser(prog=f"{stem}.py", description=build.__doc__)
    parser.add_argument("path", nargs="?", default=f"{stem}.zarrvectors", help="where to write (%(default)s)")
    parser.add_argument("revision", nargs="?", default="0.9", choices=["0.9", "0.7"], help="format (%(default)s)")
    given = parser.parse_args()
    build(given.path, given.revision)
    print(describe(given.path))


def describe(path: str) -> str:
    """Return a few lines about a store: its conventions, its levels and whether it is valid."""
    attributes = dict(open_store(path).attrs)
    root = attributes["zarr_vectors"]
    lines = [
        f"{path}: {', '.join(root['geometry_types'])}, written as revision {root['zv_version']}",
        f"  links {root['links_convention']}, objects {root['object_index_convention']}, "
        f"capabilities {', '.join(root['format_capabilities'])}",
    ]
    for entry in attributes["multiscales"][0]["datasets"]:
        level = dict(open_store(path)[entry["path"]].attrs)["zarr_vectors_level"]
        chunk_shape = "x".join(f"{edge:g}" for edge in level.get("chunk_shape") or root["chunk_shape"])
        lines.append(
            f"  level {entry['path']}: {level['vertex_count']} vertices in chunks of {chunk_shape}; "
            f"{', '.join(level['arrays_present'])}"
        )
    return "\n".join([*lines, f"  {validate(path, level=5).summary().splitlines()[0]}"])
