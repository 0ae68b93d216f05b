"""Random graphs and forests, and what they are compared by, for the tests of graphs and skeletons."""

from __future__ import annotations

from typing import Any

import numpy as np

REVISIONS = ("0.9", "0.7")


def make_graph(nodes: int, edges: int, ndim: int = 3, *, seed: int = 0, low: float = -40.0) -> tuple[Any, Any]:
    """Return distinct positions in a cube of edge 100 and random edges, self-loops and repetitions included."""
    random = np.random.default_rng(seed)
    positions = random.uniform(low, low + 100, (nodes, ndim)).astype(np.float32)
    positions[:, 0] += np.arange(nodes, dtype=np.float32) * np.float32(1e-3)
    return positions, random.integers(0, nodes, (edges if nodes else 0, 2))


def make_forest(nodes: int, *, roots: int = 2, ndim: int = 3, seed: int = 0, shuffled: bool = True) -> tuple[Any, Any]:
    """Return positions and (child, parent) edges of a forest, its rows in no order."""
    random = np.random.default_rng(seed)
    positions, _ = make_graph(nodes, 0, ndim, seed=seed)
    children = np.arange(min(roots, nodes), nodes)
    parents = children - 1 - random.integers(0, 4, len(children)) * (random.random(len(children)) < 0.4)
    edges = np.stack([children, np.maximum(parents, 0)], axis=1)
    if shuffled:
        edges = random.permutation(nodes)[edges][random.permutation(len(edges))]
    return positions, edges.reshape(-1, 2).astype(np.int64)


def ends(positions: Any, edges: Any, *, directed: bool = False) -> list[Any]:
    """Return edges by the positions of their nodes, sorted: equal for the same edges however rows are numbered."""
    first, second = ([tuple(row) for row in positions[edges[:, end]].tolist()] for end in (0, 1))
    return sorted((a, b) if directed else (min(a, b), max(a, b)) for a, b in zip(first, second, strict=True))


def inside(positions: Any, box: Any) -> Any:
    """Return which positions are in a half-open box."""
    return ((positions >= np.array(box[0])) & (positions < np.array(box[1]))).all(axis=1)
