"""The streamlines that are measured: the same arrays for every implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

EXTENT = 1000.0
CHUNKS = 8
EDGE = EXTENT / CHUNKS
VERTICES = 50
STEP = 8.0
BOX = ((430.0, 330.0, 440.0), (530.0, 430.0, 540.0))


def make_tracts(count: int, folder: Path) -> None:
    """Write smooth walks of 50 vertices each in a cube of edge 1000, turned back at its faces."""
    random = np.random.default_rng(count)
    heading = random.standard_normal((count, 3))
    turns = 0.25 * random.standard_normal((VERTICES, count, 3))
    walks = np.empty((count, VERTICES, 3), np.float32)
    position = random.random((count, 3)) * EXTENT
    for step in range(VERTICES):
        heading += turns[step]
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        position = position + STEP * heading
        beyond = (position < 0) | (position > EXTENT * 0.9999)
        heading[beyond] *= -1
        position = np.clip(
            np.where(position < 0, -position, np.minimum(position, 1.9998 * EXTENT - position)), 0, 999.9
        )
        walks[:, step] = position
    np.save(folder / "positions.npy", walks.reshape(-1, 3))
    np.save(folder / "offsets.npy", np.arange(count + 1, dtype=np.int64) * VERTICES)


def load_tracts(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices of all streamlines and where each starts."""
    return np.load(folder / "positions.npy"), np.load(folder / "offsets.npy")


def some_ids(count: int, many: int) -> np.ndarray:
    """Return ids spread over all streamlines."""
    return np.sort(np.random.default_rng(many).choice(count, many, replace=False))
