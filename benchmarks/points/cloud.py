"""The cloud that is measured: the same arrays for every implementation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

EXTENT = 1000.0
BINS_PER_AXIS = 4
BOXES = {
    "box 100": ((430.0, 330.0, 440.0), (530.0, 430.0, 540.0)),
    "box 200": ((330.0, 420.0, 510.0), (530.0, 620.0, 710.0)),
}


def chunk_edge(count: int) -> float:
    """Return the edge of a chunk: about 8,000 points a chunk for a million, 20,000 for ten."""
    return EXTENT / (8 if count >= 4_000_000 else max(1, math.ceil((count / 8000) ** (1 / 3))))


def make_cloud(count: int, folder: Path) -> None:
    """Write the arrays of a cloud of ``count`` points, uniform in a cube of edge 1000."""
    random = np.random.default_rng(count)
    np.save(folder / "positions.npy", (random.random((count, 3), np.float32) * np.float32(EXTENT)))
    np.save(folder / "intensity.npy", random.random(count, np.float32))
    np.save(folder / "label.npy", random.integers(0, 32, count, np.int32))
    np.save(folder / "color.npy", random.integers(0, 256, (count, 3), np.uint8))
    np.save(folder / "confidence.npy", random.random(count, np.float32))


ATTRIBUTES = ("intensity", "label", "color", "confidence")


def load_cloud(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the positions and the attributes of the cloud in a folder."""
    return np.load(folder / "positions.npy"), {name: np.load(folder / f"{name}.npy") for name in ATTRIBUTES}
