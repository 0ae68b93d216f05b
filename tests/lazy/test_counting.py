"""Counting equals brute force, and reads positions at the boundary only."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.strategies import Cloud, boxes, clouds
from tests.lazy.stores import BOX, READERS, REPEATING, REVISIONS, SPATIAL, counted, store
from zarr_vectors.lazy import open_zv
from zarr_vectors.types.points import write_points
from zarr_vectors.types.polylines import write_polylines


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
            assert level.count() == len(positions)
            assert (level.vertex_count > len(positions)) if kind in REPEATING else level.vertex_count == len(positions)
            assert level.count(BOX) == inside(positions, BOX) < len(positions)
            assert level.index or level.count(BOX) > 0
            for _ in range(10):
                low = random.uniform(-60, 40, 3)
                box = (low, low + random.uniform(1, 80, 3))
                assert level.count(box) == inside(positions, box)
            assert level.count(([-np.inf] * 3, [np.inf] * 3)) == len(positions)
            assert level.count(([1e6] * 3, [2e6] * 3)) == 0


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", REPEATING)
def test_copies_of_vertices_are_neither_counted_nor_iterated_over(kind: str, revision: str) -> None:
    """Against the reader, which leaves them out; boxes are made of whole chunks, where the index alone would do."""
    path = store(kind, revision)
    with open_zv(path) as dataset:
        for level in dataset:
            positions = READERS[kind](path, level=level.index).positions
            assert level.count() == len(positions)
            edge = level.chunk_shape[0]
            chunks = list(level.iter_chunks())
            assert sum(map(len, chunks)) == len(positions)
            for chunk in chunks:
                box = (chunk.lower, chunk.upper)
                assert level.count(box) == len(chunk) == inside(positions, box)
            for corner in ([0, 0, 0], [-edge, 0, 0], [0, -edge, 0]):
                box = (np.array(corner), np.add(corner, [2 * edge, edge, edge]))
                assert level.count(box) == inside(positions, box) == sum(map(len, level.iter_chunks(box)))


def test_the_vertex_before_a_crossing_is_counted_where_it_lies() -> None:
    path = f"memory://counts-{uuid.uuid4().hex}"
    line = np.array([[5.0, 5, 5], [15, 5, 5], [25, 5, 5], [35, 5, 5]])
    bounds = ([0] * 3, [40] * 3)
    write_polylines(path, [line], chunk_shape=10, bounds=bounds, cross_chunk_strategy="boundary_deduplication")
    box = ([10, 0, 0], [20, 10, 10])
    with open_zv(path) as dataset:
        assert dataset.count(box) == sum(len(chunk) for chunk in dataset.iter_chunks(bbox=box)) == 1
        assert dataset.count(([0, 0, 0], [20, 10, 10])) == 2
        assert (dataset.count(), dataset.vertex_count()) == (4, 7)


@pytest.mark.parametrize("compressor", ["auto", None])
def test_a_box_is_counted_in_three_rounds(compressor: Any) -> None:
    """Shard indexes, fragment indexes, cells; a store whose indexes are not at hand yet."""
    positions = np.random.default_rng(0).uniform(0, 100, (8000, 3)).astype(np.float32)
    path = f"memory://counts-{uuid.uuid4().hex}"
    write_points(path, positions, chunk_shape=20, bin_shape=5, compressor=compressor, shard_shape=2)
    dataset, storage = counted(path)
    assert dataset[0].chunk_count == 125
    storage.reset()
    cut = ([20, 0, 0], [79, 100, 60])
    assert dataset.count(cut) == inside(positions, cut)
    assert storage.rounds == 3


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
    assert storage.rounds <= 3
    read = [r for r in storage.log if "/vertices/" in r.address and (r.start or 0) >= 0]
    assert 0 < len(read) <= 15 * (16 if compressor is None else 1)


def test_bins_along_the_boundary_are_read_by_themselves_where_cells_are_stored_as_they_are() -> None:
    positions = np.random.default_rng(0).uniform(0, 100, (64_000, 3)).astype(np.float32)
    path = f"memory://counts-{uuid.uuid4().hex}"
    write_points(path, positions, chunk_shape=50, bin_shape=5, compressor=None, shard_shape=None, checksum=False)
    dataset, storage = counted(path, cache_size=0)
    assert dataset[0].chunk_count == 8
    storage.reset()
    box = ([0, 0, 0], [100, 100, 51.0])
    assert dataset.count(box) == inside(positions, box)
    read = [request for request in storage.log if "/vertices/" in request.address]
    layer = inside(positions, ([0, 0, 50], [100, 100, 55])) * 12
    assert sum((r.stop or 0) - (r.start or 0) for r in read) == layer
