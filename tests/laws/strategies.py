"""Clouds, grids and queries that Hypothesis makes, with points on faces and grids that binary cannot hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from zarr_vectors.model.grid import Grid

WIDTHS = [0.1, 0.3, 1 / 3, 1.0, 2.5, 7.0, 1e-3, 1234.5]
FLOATS = ["float16", "float32", "float64"]


@dataclass(frozen=True)
class Cloud:
    """Points and the grid that they are written in.

    Attributes
    ----------
    positions : (N, D) float
        Distinct rows are not needed; ``row`` tells them apart.
    bin_shape, chunk_shape : tuple of float
        The grid.
    object_ids : (N,) int64, optional
        Objects.
    """

    positions: Any
    bin_shape: tuple[float, ...]
    chunk_shape: tuple[float, ...]
    object_ids: Any

    @property
    def ndim(self) -> int:
        return int(self.positions.shape[1])

    @property
    def grid(self) -> Grid:
        return Grid(self.chunk_shape, self.bin_shape)

    @property
    def attributes(self) -> dict[str, Any]:
        rows = np.arange(len(self.positions))
        return {"row": rows, "label": (rows * 7 % 5).astype(np.int8), "pair": np.stack([rows, -rows], 1) / 4}

    def arguments(self, revision: str = "0.9") -> dict[str, Any]:
        """Return what ``write_points`` takes, the path left out."""
        return {
            "positions": self.positions,
            "dtype": self.positions.dtype,
            "bin_shape": self.bin_shape,
            "chunk_shape": self.chunk_shape,
            "attributes": self.attributes,
            "object_ids": self.object_ids,
            "format_version": revision,
        }


@st.composite
def grids(draw: Any, ndim: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return a bin shape and a chunk shape that it divides."""
    bins = draw(st.tuples(*[st.sampled_from(WIDTHS)] * ndim))
    counts = draw(st.tuples(*[st.integers(1, 4)] * ndim))
    return bins, tuple(width * count for width, count in zip(bins, counts, strict=True))


@st.composite
def clouds(draw: Any, *, max_ndim: int = 4, objects: bool | None = None) -> Cloud:
    """Return a cloud of 0 to 60 points around the origin, some on bin faces or one float beside them."""
    ndim = draw(st.integers(1, max_ndim))
    dtype = np.dtype(draw(st.sampled_from(FLOATS)))
    bin_shape, chunk_shape = draw(grids(ndim))
    count = draw(st.integers(0, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    reach = draw(st.sampled_from([1, 3, 9]))
    bins = random.integers(-reach, reach + 1, (count, ndim))
    inside = random.choice([0.0, 0.5, 0.99], (count, ndim)) + random.choice([0.0, 1e-9], (count, ndim))
    positions = ((bins + inside) * np.array(bin_shape)).astype(dtype)
    beside = random.choice([-1, 0, 0, 1], (count, ndim))
    towards = np.where(beside > 0, np.inf, -np.inf).astype(dtype)
    positions = np.where(beside == 0, positions, np.nextafter(positions, towards))
    with_objects = draw(st.booleans()) if objects is None else objects
    ids = None
    if with_objects:
        table = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6, unique=True))
        ids = np.array(table, np.int64)[random.integers(0, len(table), count)]
    return Cloud(positions, bin_shape, chunk_shape, ids)


@st.composite
def boxes(draw: Any, cloud: Cloud) -> tuple[list[float], list[float]]:
    """Return a box with corners on positions, on bin faces, or anywhere."""
    low, high = [], []
    for d, width in enumerate(cloud.bin_shape):
        known = cloud.positions[:, d].astype(np.float64).tolist()
        corner = st.one_of(
            st.integers(-10, 10).map(lambda n, w=width: n * w),
            st.floats(-12, 12).map(lambda f, w=width: f * w),
            *([st.sampled_from(known)] if known else []),
        )
        a, b = sorted((draw(corner), draw(corner)))
        low.append(a)
        high.append(b if b > a else np.nextafter(a, np.inf))
    return low, high
