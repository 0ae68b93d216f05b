"""The skeletons, graphs and meshes that are measured: the same arrays for every implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

EXTENT = 1000.0
CHUNKS = 8
EDGE = EXTENT / CHUNKS
NODES = 1000
TORUS = (25, 10)
BOXES = {
    "skeletons": ((420.0, 320.0, 430.0), (580.0, 480.0, 590.0)),
    "graphs": ((420.0, 320.0, 430.0), (580.0, 480.0, 590.0)),
    "meshes": ((430.0, 330.0, 440.0), (530.0, 430.0, 540.0)),
}


def make_skeletons(count: int, folder: Path) -> None:
    """Write trees of 1,000 nodes; most nodes follow the one before, the others branch off anywhere."""
    random = np.random.default_rng(count)
    trees = count // NODES
    follows = random.random((trees, NODES)) < 0.97
    anywhere = (random.random((trees, NODES)) * np.arange(NODES)).astype(np.int64)
    parent = np.where(follows, np.arange(NODES) - 1, anywhere)
    heading = random.standard_normal((trees, NODES, 3))
    positions = np.empty((trees, NODES, 3), np.float32)
    positions[:, 0] = random.random((trees, 3)) * EXTENT
    rows = np.arange(trees)
    for node in range(1, NODES):
        before = parent[:, node]
        heading[:, node] = heading[rows, before] + 0.3 * heading[:, node]
        heading[:, node] /= np.linalg.norm(heading[:, node], axis=1, keepdims=True)
        moved = positions[rows, before] + 3.0 * heading[:, node]
        heading[:, node] *= np.where((moved < 0) | (moved > 999.9), -1, 1)
        positions[:, node] = np.clip(moved, 0, 999.9)
    base = rows[:, None] * NODES
    links = np.stack([base + np.arange(1, NODES), base + parent[:, 1:]], axis=-1).reshape(-1, 2)
    _save(folder, positions.reshape(-1, 3), links, np.repeat(rows, NODES))


def make_graphs(count: int, folder: Path) -> None:
    """Write the trees with a fifth more edges between nodes that are two steps apart."""
    make_skeletons(count, folder)
    links = np.load(folder / "links.npy")
    parents = np.full(count, -1)
    parents[links[:, 0]] = links[:, 1]
    grand = parents[links[:, 1]]
    chosen = (grand >= 0) & (np.random.default_rng(count).random(len(links)) < 0.2)
    more = np.stack([links[chosen, 0], grand[chosen]], axis=1)
    np.save(folder / "links.npy", np.concatenate([links, more]))


def make_meshes(count: int, folder: Path) -> None:
    """Write closed tori of 500 faces each."""
    random = np.random.default_rng(count)
    around, across = TORUS
    many = count // (2 * around * across)
    u = 2 * np.pi * np.arange(around)[:, None] / around
    v = 2 * np.pi * np.arange(across)[None, :] / across
    torus = np.stack([(20 + 6 * np.cos(v)) * np.cos(u), (20 + 6 * np.cos(v)) * np.sin(u), 6 * np.sin(v) + 0 * u], -1)
    centres = 30 + random.random((many, 1, 3)) * (EXTENT - 60)
    turns = np.linalg.qr(random.standard_normal((many, 3, 3)))[0]
    positions = (torus.reshape(1, -1, 3) @ turns + centres).astype(np.float32)
    here = np.arange(around * across).reshape(around, across)
    right, up = np.roll(here, -1, axis=0), np.roll(here, -1, axis=1)
    both = np.roll(right, -1, axis=1)
    faces = np.concatenate([np.stack([here, right, both], -1), np.stack([here, both, up], -1)]).reshape(-1, 3)
    links = (np.arange(many)[:, None, None] * (around * across) + faces).reshape(-1, 3)
    _save(folder, positions.reshape(-1, 3), links, np.repeat(np.arange(many), around * across))


def _save(folder: Path, positions: np.ndarray, links: np.ndarray, objects: np.ndarray) -> None:
    for name, values in (("positions", positions), ("links", links), ("objects", objects)):
        np.save(folder / f"{name}.npy", np.ascontiguousarray(values))


def load_network(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions, links, and the object of every vertex."""
    positions, links, objects = (np.load(folder / f"{name}.npy") for name in ("positions", "links", "objects"))
    return positions, links, objects


def some_ids(count: int, many: int) -> np.ndarray:
    """Return ids spread over all objects."""
    return np.sort(np.random.default_rng(many).choice(count, many, replace=False))
