"""Measure queries of a store that is 50 ms away: ``python -m benchmarks.latency [--delay 0.05]``.

The store is on an S3 server of this machine (moto, which the tests install too); a server between holds every
answer back. Requests that overlap wait together, so the times say how many round trips follow one another. Two
delays are measured: what a round trip costs is the difference, which leaves out this machine's own speed.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import zarr_vectors as zv
from tests.flaky import flaky
from tests.servers import s3_server
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

SHAPE = (10, 10, 100)
BOX = ([3.2, 3.2, 3.2], [3.9, 4.6, 60.5])
RUNS = 3


def lattice() -> Any:
    """Return one vertex in each of ten thousand chunks."""
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), -1).reshape(-1, 3)
    return (grid + np.random.default_rng(0).uniform(0.05, 0.95, grid.shape)).astype(np.float32)


def write(kind: str, place: str, options: dict[str, Any]) -> None:
    """Write the store of a kind."""
    if kind == "points":
        write_points(place, lattice(), chunk_shape=1, **options)
    elif kind == "paths":
        write_polylines(place, lattice(), offsets=np.arange(0, 10_001, 10), chunk_shape=1, **options)
    else:
        first = np.flatnonzero(np.arange(10_000) % 10 < 8)
        faces = np.stack([first, first + 1, first + 2], axis=1)
        write_mesh(place, lattice(), faces, object_ids=np.repeat(np.arange(1000), 10), chunk_shape=1, **options)


QUERIES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "points of a box": ("points", lambda root: read_points(root, bbox=BOX)),
    "paths of a box": ("paths", lambda root: read_polylines(root, bbox=BOX)),
    "meshes of a box": ("mesh", lambda root: read_mesh(root, bbox=BOX)),
    "a path by id": ("paths", lambda root: read_polylines(root, object_ids=[500])),
    "a mesh by id": ("mesh", lambda root: read_mesh(root, object_ids=[500])),
}


def measure(place: str, query: Callable[[Any], Any], options: dict[str, Any]) -> tuple[float, float]:
    """Return the seconds of opening a store and of the first query of it, the best of several runs."""
    opening, querying = [], []
    for _ in range(RUNS):
        begun = time.perf_counter()
        root = zv.open_store(place, **options)
        opened = time.perf_counter()
        query(root)
        opening.append(opened - begun)
        querying.append(time.perf_counter() - opened)
    return min(opening), min(querying)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that every answer is held back")
    delay = parser.parse_args().delay
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    print(f"| query of 10,000 chunks, {delay * 1e3:.0f} ms away | opening | first query | round trips of both |")
    print("|---|---:|---:|---:|")
    with s3_server() as server, flaky(server.endpoint) as between:
        server.make_bucket("bench")
        options = {**server.options, "endpoint": between.url}
        for kind in dict.fromkeys(kind for kind, _ in QUERIES.values()):
            write(kind, f"s3://bench/{kind}", server.options)
        for name, (kind, query) in QUERIES.items():
            times = {}
            for seconds in (delay, 2 * delay):
                between.delay = seconds
                times[seconds] = measure(f"s3://bench/{kind}", query, options)
            near, far = times[delay], times[2 * delay]
            trips = " + ".join(f"{(b - a) / delay:.1f}" for a, b in zip(near, far, strict=True))
            print(f"| {name} | {near[0] * 1e3:.0f} ms | {near[1] * 1e3:.0f} ms | {trips} |", flush=True)


if __name__ == "__main__":
    main()
