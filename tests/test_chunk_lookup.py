"""Chunks are found by their coordinates, in grids that are dense, sparse or too large to be counted."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.spatial.lookup import ChunkLookup


@given(st.sampled_from([3, 1000, 1 << 40]), st.sets(st.tuples(*[st.integers(-4, 4)] * 3), max_size=30))
def test_chunks_are_found(spread: int, some: set[tuple[int, ...]]) -> None:
    listed = np.array(sorted(some), np.int64).reshape(-1, 3) * spread
    wanted = np.concatenate([listed[::-1], listed + 1, np.array([[5, 5, 5], [-9, 0, 0]]) * spread])
    rows = {tuple(chunk): row for row, chunk in enumerate(listed.tolist())}
    assert ChunkLookup.of(listed).rows(wanted).tolist() == [rows.get(tuple(chunk), -1) for chunk in wanted.tolist()]
