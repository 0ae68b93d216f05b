"""Small clouds and what is left of a folder, for the tests of points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

REVISIONS = ("0.9", "0.7")


def make_cloud(count: int = 300, ndim: int = 3, *, low: float = 0.0, high: float = 100.0, seed: int = 0) -> Any:
    """Return float32 positions in a cube."""
    return np.random.default_rng(seed).uniform(low, high, (count, ndim)).astype(np.float32)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return every file below a folder with its bytes, and every folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def in_input_order(result: Any) -> Any:
    """Return the rows of a result written under ``keep_order`` in the order they were given in."""
    return np.argsort(result["attributes"]["original_index"])
