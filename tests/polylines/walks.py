"""Random walks that leave chunks and come back, and what queries must find in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

REVISIONS = ("0.9", "0.7")
STRATEGIES = ("explicit_links", "boundary_deduplication", "both")


@dataclass(frozen=True)
class Walks:
    """Paths in one array, as they are written.

    Attributes
    ----------
    positions, offsets : arrays
        Vertices and where each path starts.
    ids : array
        Object id of every path.
    """

    positions: Any
    offsets: Any
    ids: Any

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Any:
        return np.diff(self.offsets)

    def path(self, number: int) -> Any:
        return self.positions[self.offsets[number] : self.offsets[number + 1]]

    def paths(self) -> list[Any]:
        return [self.path(number) for number in range(self.count)]

    def meeting(self, low: Any, high: Any) -> list[int]:
        """Return the numbers of the paths with a vertex in a half-open box."""
        inside = ((self.positions >= low) & (self.positions < high)).all(axis=1)
        return [n for n in range(self.count) if inside[self.offsets[n] : self.offsets[n + 1]].any()]


def make_walks(
    seed: int = 0, count: int = 30, ndim: int = 3, longest: int = 40, dtype: Any = "float32", step: float = 4.0
) -> Walks:
    """Return walks around the origin; path 5 is empty and path 6 a single vertex, where there are so many."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, longest + 1, count)
    lengths[5:6], lengths[6:7] = 0, 1
    offsets = np.append(0, np.cumsum(lengths))
    walks = [
        random.uniform(-40, 40, ndim) + np.cumsum(random.normal(0, step, (length, ndim)), axis=0) for length in lengths
    ]
    positions = np.concatenate([np.zeros((0, ndim)), *walks]).astype(dtype)
    snapped = random.random(len(positions)) < 0.2
    positions[snapped] = np.round(positions[snapped] / 5) * 5  # on faces of bins and chunks
    return Walks(positions, offsets, np.arange(count))


@st.composite
def walks(draw: st.DrawFn) -> Walks:
    """Draw walks of 1 to 4 dimensions with sparse ids, among them empty paths, repeated vertices, or no paths."""
    ndim = draw(st.integers(1, 4))
    made = make_walks(
        draw(st.integers(0, 2**32 - 1)),
        count=draw(st.integers(0, 12)),
        ndim=ndim,
        longest=draw(st.sampled_from([1, 3, 30])),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        step=draw(st.sampled_from([0.0, 3.0, 30.0])),
    )
    ids = draw(st.lists(st.integers(0, 2**40), min_size=made.count, max_size=made.count, unique=True))
    return Walks(made.positions, made.offsets, np.array(ids, np.int64))


def assert_paths(result: Any, walks: Walks, numbers: Any) -> None:
    """Check that a result holds these paths of what was written, in this order and bit for bit."""
    numbers = list(numbers)
    assert result.object_ids.tolist() == walks.ids[numbers].tolist()
    assert [len(path) for path in result.polylines] == walks.lengths[numbers].tolist()
    for path, number in zip(result.polylines, numbers, strict=True):
        assert path.dtype == walks.positions.dtype
        assert path.tobytes() == walks.path(number).tobytes()
