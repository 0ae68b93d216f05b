"""Counting equals brute force, and reads positions at the boundary only."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.strategies import Cloud, boxes, clouds
from tests.lazy.stores import BOX, REVISIONS, SPATIAL, counted, store
from zarr_vectors.lazy import open_zv
from zarr_vectors.types.points import write_points


def inside(positions: Any, box: Any) -> int:
    exact = positions.astype(np.float64)
    return int(((exact >= box[0]) & (exact < box[1])).all(axis=1).sum())


@given(clouds(), st.sampled_from(REVISIONS), st.sampled_from(["auto", None]), st.data())
def test_a_count_is_that_of_brute_force(cloud: Cloud, revision: str, compressor: Any, data: st.DataObject) -> None:
    path = f"memory://counts-{uuid.uuid4().hex}"
    write_points(path, **cloud.arguments(revision), compressor=compressor)
    with open_zv(path, n_workers=1) as dataset:
        assert dataset.count() == len(cloud.positions)
        for _ in range(3):
            box = data.draw(boxes(cloud))
            assert dataset.count(box) == inside(cloud.positions, box)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", SPATIAL)
def test_every_kind_is_counted_by_its_stored_vertices(kind: str, revision: str) -> None:
    random = np.random.default_rng(0)
    with open_zv(store(kind, revision)) as dataset:
        for level in dataset:
            positions = np.concatenate([chunk.positions for chunk in level.iter_chunks()])
            assert level.count() == level.vertex_count == len(positions)
            assert level.count(BOX) == inside(positions, BOX) < len(positions)
            assert level.index or level.count(BOX) > 0
            for _ in range(10):
                low = random.uniform(-60, 40, 3)
                box = (low, low + random.uniform(1, 80, 3))
                assert level.count(box) == inside(positions, box)
            assert level.count(([-np.inf] * 3, [np.inf] * 3)) == len(positions)
            assert level.count(([1e6] * 3, [2e6] * 3)) == 0


@pytest.mark.parametrize("shards", ["auto", None])
@pytest.mark.parametrize("compressor", ["auto", None])
def test_positions_are_read_in_boundary_chunks_only(compressor: Any, shards: Any) -> None:
    positions = np.random.default_rng(0).uniform(0, 100, (8000, 3)).astype(np.float32)
    path = f"memory://counts-{uuid.uuid4().hex}"
    write_points(path, positions, chunk_shape=20, bin_shape=5, compressor=compressor, shard_shape=shards)
    dataset, storage = counted(path, cache_size=0)
    assert dataset[0].chunk_count == 125
    storage.reset()
    aligned = ([20, 0, 0], [80, 100, 60])
    assert dataset.count(aligned) == inside(positions, aligned)
    cells = [request for request in storage.log if (request.start or 0) >= 0]  # not the indexes at a shard's end
    assert cells
    assert all("vertex_fragments" in request.address for request in cells)
    assert storage.rounds <= 2
    storage.reset()
    cut = ([20, 0, 0], [79, 100, 60])
    assert dataset.count(cut) == inside(positions, cut)
    assert storage.rounds <= 4
    read = [r for r in storage.log if "/vertices/" in r.address and (r.start or 0) >= 0]
    assert 0 < len(read) <= 15 * (16 if compressor is None else 1)


def test_bins_along_the_boundary_are_read_by_themselves_where_cells_are_not_compressed() -> None:
    positions = np.random.default_rng(0).uniform(0, 100, (64_000, 3)).astype(np.float32)
    path = f"memory://counts-{uuid.uuid4().hex}"
    write_points(path, positions, chunk_shape=50, bin_shape=5, compressor=None, shard_shape=None)
    dataset, storage = counted(path, cache_size=0)
    assert dataset[0].chunk_count == 8
    storage.reset()
    box = ([0, 0, 0], [100, 100, 51.0])
    assert dataset.count(box) == inside(positions, box)
    read = [request for request in storage.log if "/vertices/" in request.address]
    layer = inside(positions, ([0, 0, 50], [100, 100, 55])) * 12
    assert sum((r.stop or 0) - (r.start or 0) for r in read) == layer
