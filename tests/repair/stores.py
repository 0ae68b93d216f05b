"""Small stores of every kind, and what they hold, for comparison."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.compare import differences, read_level
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.polylines import write_polylines

PLAIN: dict[str, Any] = {"compressor": None, "shard_shape": None, "checksum": False}
KINDS = ("paths", "graph", "skeleton", "mesh", "shared", "repeating", "identity")


def make(path: Path, kind: str, revision: str, **options: Any) -> None:
    """Write a store of some kind, of a few chunks, with one coarse level where that is possible."""
    rng = np.random.default_rng(3)
    common = PLAIN | {"format_version": revision, "chunk_shape": 10.0, "bounds": ([0, 0, 0], [30, 30, 30])} | options
    if kind in ("paths", "shared", "repeating", "identity"):
        extent = 9.0 if kind == "identity" else 30.0
        lines = [_walk(rng, extent) for _ in range(5)]
        if kind == "shared":
            lines += [lines[0][4:20], lines[1]]
        extra: dict[str, Any] = {
            "shared": {"share_fragments": True},
            "identity": {"object_index_convention": "identity"},
            "repeating": {"cross_chunk_strategy": "boundary_deduplication"},
        }
        ids = {} if kind == "identity" else {"object_ids": np.arange(len(lines)) * 2 + 5}
        write_polylines(path, lines, object_attributes={"length": np.arange(float(len(lines)))},
                        groups=None if kind == "identity" else {"some": [5, 7]}, **ids,
                        **extra.get(kind, {}), **common)  # fmt: skip
    elif kind == "mesh":
        vertices, faces = _sheet(rng)
        write_mesh(path, vertices, faces, face_attributes={"area": np.arange(float(len(faces)))},
                   object_ids=np.full(len(vertices), 4), **common)  # fmt: skip
    else:
        positions = rng.uniform(0, 30, (60, 3)).astype(np.float32)
        tree = np.stack([np.arange(1, 60), np.maximum(0, np.arange(1, 60) - rng.integers(1, 4, 59))], axis=1)
        write_graph(path, positions, tree, geometry_type="skeleton" if kind == "skeleton" else "graph",
                    edge_attributes={"weight": np.arange(59.0)}, **common)  # fmt: skip
    if kind in ("paths", "graph"):
        build_pyramid(path, factors=[(2, 1.0)], cross_level_storage="explicit", **PLAIN)


def _walk(rng: np.random.Generator, extent: float) -> np.ndarray:
    steps = np.cumsum(rng.normal(0, 2.5, (30, 3)), axis=0) + extent / 2
    return np.clip(steps, 0, extent - 0.01).astype(np.float32)


def _sheet(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    n = 7
    x, y = np.meshgrid(np.linspace(0, 29, n), np.linspace(0, 29, n), indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), rng.uniform(0, 29, n * n)], axis=1).astype(np.float32)
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    lower, upper = [corner, corner + n, corner + 1], [corner + 1, corner + n, corner + n + 1]
    faces = np.concatenate([np.stack(lower, 1), np.stack(upper, 1)])
    return vertices, faces


def copy(good: Path, target: Path) -> Path:
    """Copy a store."""
    shutil.copytree(good, target)
    return target


def contents(path: Any) -> tuple[StoreReader, dict[int, Any]]:
    """Return everything that a store holds, by level."""
    store = StoreReader.open(resolve_storage(path))
    return store, {number: read_level(store, number) for number in store.level_numbers()}


def assert_same(before: Any, after: Any, *, metadata: bool = True) -> None:
    """Compare what two stores hold, bit for bit, and what their roots say."""
    (first, levels), (second, others) = contents(before), contents(after)
    assert sorted(levels) == sorted(others)
    for number, cells in levels.items():
        assert differences(cells, others[number]) == {}, number
    assert not metadata or first.root == second.root
