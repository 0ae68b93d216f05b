"""One small store of every kind, in both revisions, with coarse levels where a kind has them here."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np

from tests.meshes.surfaces import icosphere
from tests.polylines.walks import make_walks
from zarr_vectors.lazy import ZVDataset, open_zv
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage import resolve_storage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.parametric import read_parametric, write_parametric
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

REVISIONS = ("0.9", "0.7")
BOX = ([-22.0, -13.0, -40.0], [21.0, 30.0, 17.0])
"""Meets every store below, cuts through chunks and bins, and leaves some chunks out."""


def cloud(count: int = 1500, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(-50, 50, (count, 3)).astype(np.float32)


def _points(path: str, revision: str) -> None:
    positions = cloud()
    attributes = {"height": positions[:, 2], "row": np.arange(len(positions))}
    write_points(path, positions, attributes=attributes, chunk_shape=25, bin_shape=12.5, format_version=revision)
    build_pyramid(path, factors=[(2.0, 1.0), (4.0, 1.0)])


def _objects(path: str, revision: str) -> None:
    positions = cloud()
    write_points(
        path,
        positions,
        attributes={"height": positions[:, 2]},
        object_ids=7 * (np.arange(len(positions)) % 40),
        object_attributes={"size": np.arange(40.0)},
        groups={"first": [0, 7, 14], "odd <b>": [7, 21]},
        group_attributes={"weight": [1.5, 2.5]},
        chunk_shape=25,
        bin_shape=12.5,
        format_version=revision,
    )
    build_pyramid(path, factors=[(2.0, 2.0)])


def _by_attribute(path: str, revision: str) -> None:
    positions = cloud(400)
    genes = np.array(["a", "b", "c"])[np.arange(400) % 3]
    write_points(
        path,
        positions,
        attributes={"gene": genes},
        chunk_by_attribute="gene",
        chunk_shape=25,
        bin_shape=12.5,
        format_version=revision,
    )


def _polylines(path: str, revision: str, **options: Any) -> None:
    walks = make_walks(count=20, longest=25)
    options = {"chunk_shape": 20, "bin_shape": 10, "groups": {"some": walks.ids[:4].tolist()}, **options}
    write_polylines(
        path,
        walks.positions,
        offsets=walks.offsets,
        object_ids=walks.ids,
        object_attributes={"rank": np.arange(walks.count)},
        attributes={"row": np.arange(len(walks.positions))},
        format_version=revision,
        **options,
    )


def _repeating(path: str, revision: str, strategy: str) -> None:
    """Paths that repeat the vertex before a crossing, with a coarse level."""
    _polylines(path, revision, cross_chunk_strategy=strategy)
    build_pyramid(path, factors=[(2.0, 1.0)])


def _identity(path: str, revision: str) -> None:
    """Eight paths in one chunk of eight bins: their fragments look as bins do."""
    paths = [cloud(6, seed) for seed in range(8)]
    write_polylines(
        path,
        [np.abs(one) for one in paths],
        chunk_shape=100,
        bin_shape=50,
        bounds=([0, 0, 0], [99, 99, 99]),
        object_index_convention="identity",
        format_version=revision,
    )


def _lines(path: str, revision: str) -> None:
    write_lines(path, cloud(120).reshape(60, 2, 3), chunk_shape=25, bin_shape=12.5, format_version=revision)


def _graph(path: str, revision: str) -> None:
    count = 300
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    write_graph(
        path,
        cloud(count),
        edges,
        edge_attributes={"length": np.arange(count - 1.0)},
        object_ids=np.arange(count) // 100,
        chunk_shape=25,
        bin_shape=12.5,
        format_version=revision,
    )


def _skeleton(path: str, revision: str) -> None:
    nodes = np.cumsum(np.random.default_rng(1).normal(0, 4, (200, 3)), axis=0).astype(np.float32)
    edges = np.stack([np.arange(1, 200), np.maximum(0, np.arange(1, 200) - 1 - np.arange(1, 200) % 3)], axis=1)
    write_graph(path, nodes, edges, kind="skeleton", chunk_shape=20, bin_shape=10, format_version=revision)


def _mesh(path: str, revision: str, **options: Any) -> None:
    vertices, faces = icosphere(2, radius=30)
    write_mesh(path, vertices, faces, chunk_shape=25, bin_shape=12.5, format_version=revision, **options)


def _parametric(path: str, revision: str) -> None:
    write_parametric(
        path,
        {"sphere": [[0, 0, 0, 5], [1, 1, 1, 2.0]], "plane": [[0, 0, 1, -3]]},
        object_attributes={"score": [1.0, 2.0, 3.0]},
        groups={"round": [0, 1]},
        format_version=revision,
    )


BUILDERS: dict[str, Callable[[str, str], None]] = {
    "points": _points,
    "objects": _objects,
    "by attribute": _by_attribute,
    "polylines": _polylines,
    "shared": lambda path, revision: _polylines(path, revision, share_fragments=True),
    "repeated": lambda path, revision: _repeating(path, revision, "boundary_deduplication"),
    "repeated and linked": lambda path, revision: _repeating(path, revision, "both"),
    "identity": _identity,
    "lines": _lines,
    "graph": _graph,
    "skeleton": _skeleton,
    "mesh": _mesh,
    "draco": lambda path, revision: _mesh(path, revision, use_draco=True),
    "parametric": _parametric,
}

READERS: dict[str, Callable[..., Any]] = {
    "points": read_points,
    "objects": read_points,
    "by attribute": read_points,
    "polylines": read_polylines,
    "shared": read_polylines,
    "repeated": read_polylines,
    "repeated and linked": read_polylines,
    "identity": read_polylines,
    "lines": read_lines,
    "graph": read_graph,
    "skeleton": read_graph,
    "mesh": read_mesh,
    "draco": read_mesh,
    "parametric": read_parametric,
}

KINDS = tuple(BUILDERS)
SPATIAL = tuple(kind for kind in KINDS if kind != "parametric")
REPEATING = ("repeated", "repeated and linked")
"""Kinds that store some vertices twice."""
WITH_OBJECTS = tuple(kind for kind in KINDS if kind not in ("points", "by attribute"))


@cache
def store(kind: str, revision: str = "0.9") -> str:
    """Return a store of a kind in memory, made once; tests that change one make their own with `fresh`."""
    return fresh(kind, revision)


def fresh(kind: str, revision: str = "0.9") -> str:
    """Make a store of a kind in memory."""
    path = f"memory://lazy-{uuid.uuid4().hex}"
    BUILDERS[kind](path, revision)
    return path


def counted(path: Any, **options: Any) -> tuple[ZVDataset, CountingStorage]:
    """Open a dataset on a storage that counts."""
    storage = CountingStorage(resolve_storage(path, mode="r"))
    return open_zv(storage, **options), storage


def same(first: Any, second: Any) -> bool:
    """Say whether two results are the same, field by field."""
    if type(first) is not type(second):
        return False
    return all(_equal(getattr(first, field.name), getattr(second, field.name)) for field in fields(first))


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        if first is None or second is None:
            return False
        return np.array_equal(first, second, equal_nan=np.asarray(first).dtype.kind == "f")
    return bool(first == second)
