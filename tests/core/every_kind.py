"""A small store of every kind, and what its reader gives of a level in a form that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.graphs.networks import make_forest, make_graph
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.lines import write_lines
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.points import write_points
from zarr_vectors.types.polylines import write_polylines

LOW, HIGH = -40.0, 60.0
SHAPES: dict[str, Any] = {"chunk_shape": 35.0, "bounds": ([LOW] * 3, [HIGH + 5] * 3)}


def points(path: Path, **more: Any) -> None:
    """Write points without objects, with two attributes."""
    positions, _ = make_graph(300, 0)
    write_points(path, positions, attributes={"n": np.arange(300)}, bin_shape=17.5, **SHAPES, **more)


def point_objects(path: Path, **more: Any) -> None:
    """Write points of objects, with groups."""
    positions, _ = make_graph(200, 0)
    write_points(
        path,
        positions,
        attributes={"n": np.arange(200)},
        object_ids=np.arange(200) % 9 * 3,
        object_attributes={"weight": np.arange(9.0)},
        groups={0: [0, 3], 1: [24]},
        **SHAPES,
        **more,
    )


def attribute_points(path: Path, **more: Any) -> None:
    """Write points chunked by an attribute."""
    positions, _ = make_graph(200, 0)
    values = {"n": np.arange(200), "gene": np.arange(200) % 3}
    write_points(path, positions, attributes=values, chunk_by_attribute="gene", **SHAPES, **more)


def walks() -> list[Any]:
    """Return random paths of different lengths; one has a single vertex."""
    random = np.random.default_rng(2)
    steps = [random.normal(0, 6, (int(count), 3)) for count in (1, 5, 30, 12, 40, 8)]
    starts = random.uniform(LOW + 20, HIGH - 20, (len(steps), 3))
    return [
        np.clip(start + np.cumsum(step, axis=0), LOW, HIGH).astype(np.float32)
        for start, step in zip(starts, steps, strict=True)
    ]


def polylines(path: Path, **more: Any) -> None:
    """Write paths."""
    paths = walks()
    write_polylines(
        path,
        paths,
        attributes={"n": [np.arange(len(p)) + 1000 * k for k, p in enumerate(paths)]},
        object_attributes={"weight": np.arange(float(len(paths)))},
        groups={0: [0, 3]},
        **SHAPES,
        **more,
    )


def repeated_polylines(path: Path, **more: Any) -> None:
    """Write paths that repeat vertices where they cross chunk faces."""
    polylines(path, cross_chunk_strategy="both", **more)


def lines(path: Path, **more: Any) -> None:
    """Write line segments."""
    random = np.random.default_rng(4)
    first = random.uniform(LOW, HIGH, (60, 1, 3))
    ends = np.clip(first + random.normal(0, 10, (60, 1, 3)), LOW, HIGH)
    write_lines(path, np.concatenate([first, ends], axis=1).astype(np.float32), **SHAPES, **more)


def nearest(positions: Any, count: int) -> Any:
    """Return for every position itself and the nearest others."""
    return np.argsort(((positions[:, None] - positions[None]) ** 2).sum(axis=-1), axis=1)[:, :count]


def graph(path: Path, **more: Any) -> None:
    """Write a graph, mostly of near nodes, with attributes of edges."""
    positions, far = make_graph(150, 6, seed=5)
    near = nearest(positions, 3)
    edges = np.concatenate([near[:, :2], near[:, ::-2], far])
    write_graph(
        path,
        positions,
        edges,
        attributes={"n": np.arange(150)},
        edge_attributes={"e": np.arange(len(edges))},
        object_ids=np.arange(150) // 50,
        **SHAPES,
        **more,
    )


def skeleton(path: Path, **more: Any) -> None:
    """Write trees, most of whose edges follow from the order of their rows."""
    positions, edges = make_forest(200, roots=2, seed=6)
    positions = np.clip(np.cumsum(np.random.default_rng(6).normal(0, 5, positions.shape), axis=0), LOW, HIGH)
    write_graph(
        path,
        positions.astype(np.float32),
        edges,
        kind="skeleton",
        attributes={"n": np.arange(200)},
        **SHAPES,
        **more,
    )


def mesh(path: Path, **more: Any) -> None:
    """Write triangles between near vertices, with attributes of faces."""
    positions, _ = make_graph(150, 0, seed=7)
    write_mesh(
        path,
        positions,
        nearest(positions, 3),
        attributes={"n": np.arange(150)},
        face_attributes={"f": np.arange(150)},
        **SHAPES,
        **more,
    )


KINDS: dict[str, Callable[..., None]] = {
    write.__name__: write
    for write in (
        points,
        point_objects,
        attribute_points,
        polylines,
        repeated_polylines,
        lines,
        graph,
        skeleton,
        mesh,
    )
}


def write_kind(kind: str, path: Path, *, levels: int = 0, cross: str | None = "explicit", **more: Any) -> None:
    """Write the store of a kind, with coarse levels."""
    KINDS[kind](path, **more)
    if levels:
        build_pyramid(
            path,
            [(2.0**n, 1.0) for n in range(1, levels + 1)],
            cross_level_storage=cross,
            shard_shape=more.get("shard_shape", "auto"),
        )


def files(path: Path) -> dict[str, bytes]:
    """Return everything that is in a store, by address."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
