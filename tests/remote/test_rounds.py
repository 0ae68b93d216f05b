"""Rounds of requests that queries take one after another, on stores of ten thousand chunks."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.servers import S3Server
from zarr_vectors.storage import resolve_storage
from zarr_vectors.testing.storage import DelayedStorage
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

SHAPE = (10, 10, 100)
BOX = ([3.2, 3.2, 3.2], [3.9, 4.6, 60.5])
IDS = np.arange(1000) * 3 + 5
"""Ids that are no row numbers, so that they are stored."""

LAYOUTS: dict[str, dict[str, Any]] = {
    "default": {},
    "plain": {"compressor": None},
    "many-shards": {"shard_shape": 4},
    "0.7": {"format_version": "0.7"},
}


def lattice(per_axis: tuple[int, ...] = SHAPE) -> Any:
    """Return one vertex in every chunk, those of a column one after another."""
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in per_axis], indexing="ij"), -1).reshape(-1, 3)
    return (grid + np.random.default_rng(0).uniform(0.05, 0.95, grid.shape)).astype(np.float32)


def points(place: str, options: dict[str, Any]) -> None:
    vertices = lattice()
    write_points(place, vertices, chunk_shape=1, bin_shape=0.5, attributes={"row": np.arange(10_000)}, **options)


def owned_points(place: str, options: dict[str, Any]) -> None:
    owners = np.repeat(IDS, 10)
    write_points(place, lattice(), chunk_shape=1, object_ids=owners, object_attributes={"score": IDS / 2.0}, **options)


def paths(place: str, options: dict[str, Any]) -> None:
    lengths = {"attributes": {"fa": np.arange(10_000.0)}, "object_attributes": {"length": np.arange(1000.0)}}
    offsets = np.arange(0, 10_001, 10)
    write_polylines(place, lattice(), offsets=offsets, object_ids=IDS, chunk_shape=1, **lengths, **options)


def network(kind: str) -> Callable[[str, dict[str, Any]], None]:
    def write(place: str, options: dict[str, Any]) -> None:
        first = np.flatnonzero(np.arange(10_000) % 10 < 9)
        edges = np.stack([first, first + 1] if kind == "graph" else [first + 1, first], axis=1)
        owners = np.repeat(IDS, 10)
        write_graph(place, lattice(), edges, geometry_type=kind, object_ids=owners, chunk_shape=1, **options)

    return write


def mesh(place: str, options: dict[str, Any]) -> None:
    first = np.flatnonzero(np.arange(10_000) % 10 < 8)
    faces = np.stack([first, first + 1, first + 2], axis=1)
    owners = np.repeat(IDS, 10)
    write_mesh(place, lattice(), faces, object_ids=owners, chunk_shape=1, **options)


CASES: dict[str, tuple[Callable[[str, dict[str, Any]], None], Callable[[Any, Any], Any], dict[str, int]]] = {
    "points": (points, lambda s, q: read_points(s, **q).positions, {"box": 3}),
    "owned points": (owned_points, lambda s, q: read_points(s, **q).positions, {"box": 2, "object": 3}),
    "paths": (paths, lambda s, q: read_polylines(s, **q).positions, {"box": 5, "clip": 5, "object": 3}),
    "graph": (network("graph"), lambda s, q: read_graph(s, **q).positions, {"box": 2, "object": 3}),
    "skeleton": (network("skeleton"), lambda s, q: read_graph(s, **q).positions, {"box": 2, "object": 3}),
    "mesh": (mesh, lambda s, q: read_mesh(s, **q).vertices, {"box": 2, "object": 3}),
}
QUERIES: dict[str, dict[str, Any]] = {
    "box": {"bbox": BOX},
    "clip": {"bbox": BOX, "clip": True},
    "object": {"object_ids": [int(IDS[500])]},
}


@pytest.fixture(
    scope="module",
    params=[f"{kind}, {layout}" for kind in CASES for layout in LAYOUTS if kind == "points" or layout != "plain"],
)
def stored(request: pytest.FixtureRequest) -> tuple[str, str]:
    kind, layout = request.param.split(", ")
    place = f"memory://rounds-{kind.replace(' ', '-')}-{layout}"
    CASES[kind][0](place, LAYOUTS[layout])
    return kind, place


def opened(place: str, delay: float = 0.005, **options: Any) -> tuple[DelayedStorage, Any]:
    storage = DelayedStorage(resolve_storage(place, mode="r", **options), delay=delay)
    root = zv.open_store(storage)
    return storage, root


def within(limits: list[int], measure: Callable[[float], list[int]]) -> None:
    """Count rounds, on a slower storage each time, until none is above its limit.

    A busy machine may start the second of two requests when the first has been answered, which makes two rounds of
    one. It cannot make one of two: a request that needs an answer waits for it, however slow the storage is.
    """
    for delay in (0.005, 0.02, 0.1, 0.4):
        found = measure(delay)
        if all(rounds <= limit for rounds, limit in zip(found, limits, strict=True)):
            return
    raise AssertionError(f"took {found} rounds, where {limits} are allowed")


def test_opening_takes_one_round_and_its_level_another(stored: tuple[str, str]) -> None:
    def measure(delay: float) -> list[int]:
        storage, root = opened(stored[1], delay)
        counts = [storage.rounds]
        level = root.reader.level(0)
        assert len(level.chunks) > 9000
        return [*counts, storage.rounds]

    within([1, 2], measure)


def test_queries_of_an_open_store(stored: tuple[str, str]) -> None:
    """Those of a level that has been opened; what a level keeps makes the second query cheaper, never dearer."""
    kind, place = stored
    _, read, limits = CASES[kind]

    def measure(delay: float, name: str) -> list[int]:
        storage, root = opened(place, delay)
        root.reader.level(0)
        counts = []
        for _ in range(2):
            storage.reset()
            assert len(read(root, QUERIES[name])) > 0
            counts.append(storage.rounds)
        return [*counts, counts[1] - counts[0]]

    for name, limit in limits.items():
        within([limit, limit, 0], functools.partial(measure, name=name))


def test_opening_through_s3(s3: S3Server) -> None:
    place = f"s3://bucket/{uuid.uuid4().hex}"
    write_points(place, lattice((4, 4, 4)), chunk_shape=1, attributes={"row": np.arange(64)}, **s3.options)

    def measure(delay: float) -> list[int]:
        storage, root = opened(place, delay, **s3.options)
        assert len(read_points(root, attributes=["row"]).positions) == 64
        return [storage.rounds]

    within([4], measure)
