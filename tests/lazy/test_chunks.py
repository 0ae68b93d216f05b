"""Chunk after chunk: together they are the level, and no more of them are in memory than was said."""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.lazy.stores import BOX, READERS, REVISIONS, SPATIAL, counted, store
from zarr_vectors.lazy import ZVChunk, open_zv
from zarr_vectors.lazy.chunks import batch_sizes, default_prefetch, read_ahead


def sorted_rows(values: Any) -> Any:
    return values[np.lexsort(values.T)]


@pytest.mark.parametrize("prefetch", [0, 1, 5])
@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", SPATIAL)
def test_chunks_together_are_the_level(kind: str, revision: str, prefetch: int) -> None:
    with open_zv(store(kind, revision)) as dataset:
        for level in dataset:
            chunks = list(level.iter_chunks(prefetch=prefetch, n_workers=2))
            assert [chunk.chunk for chunk in chunks] == [tuple(key) for key in level.chunks.tolist()]
            assert sum(chunk.vertex_count for chunk in chunks) == level.count()
            for chunk in chunks:
                assert chunk.level == level.index
                assert len(chunk) == len(chunk.positions) == chunk["vertex_count"] > 0
                assert (chunk.positions >= chunk.lower.astype(level.dtype)).all()
                assert (chunk.positions <= chunk.upper.astype(level.dtype)).all()
                assert all(len(values) == len(chunk) for values in chunk.attributes.values())
                assert chunk.object_ids is None or len(chunk.object_ids) == len(chunk)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["points", "objects", "by attribute", "graph", "skeleton"])
def test_chunks_hold_what_the_reader_returns(kind: str, revision: str) -> None:
    path = store(kind, revision)
    whole = READERS[kind](path, bbox=BOX)
    with open_zv(path) as dataset:
        chunks = list(dataset.iter_chunks(bbox=BOX))
        assert 0 < len(chunks) < dataset[0].chunk_count
    assert np.array_equal(np.concatenate([chunk.positions for chunk in chunks]), whole.positions)
    for name, values in whole.attributes.items():
        assert np.array_equal(np.concatenate([chunk.attributes[name] for chunk in chunks]), values)
    if whole.object_ids is not None:
        assert np.array_equal(np.concatenate([chunk.object_ids for chunk in chunks]), whole.object_ids)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["graph", "skeleton", "mesh", "draco"])
def test_links_inside_chunks_come_with_them(kind: str, revision: str) -> None:
    path = store(kind, revision)
    whole = READERS[kind](path)
    links = whole.faces if "mesh" in type(whole).__name__.lower() else whole.edges
    positions = whole.vertices if "mesh" in type(whole).__name__.lower() else whole.positions
    with open_zv(path) as dataset:
        keys = np.floor(positions.astype(np.float64) / dataset.chunk_shape)
        within = (keys[links] == keys[links][:, :1]).all(axis=(1, 2))
        assert 0 < within.sum() < len(links)
        found = [chunk.positions[chunk.links] for chunk in dataset.iter_chunks() if len(chunk.links)]
        width = links.shape[1] * 3
        corners = np.concatenate(found).reshape(-1, width)
        assert np.array_equal(sorted_rows(corners), sorted_rows(positions[links[within]].reshape(-1, width)))
        bare = list(dataset.iter_chunks(links=False))
        assert all(chunk.links is None and not chunk.link_attributes for chunk in bare)
        assert sum(map(len, bare)) == len(positions)


@pytest.mark.parametrize("revision", REVISIONS)
def test_objects_without_an_index_are_named(revision: str) -> None:
    with open_zv(store("identity", revision)) as dataset:
        (chunk,) = dataset.iter_chunks()
        whole = dataset.read()
        assert np.array_equal(chunk.object_ids, np.repeat(whole.object_ids, np.diff(whole.offsets)))
        box = ([0, 0, 0], [25, 50, 50])
        (part,) = dataset.iter_chunks(bbox=box)
        keep = ((chunk.positions >= box[0]) & (chunk.positions < box[1])).all(axis=1)
        assert 0 < keep.sum() == dataset.count(box)
        assert np.array_equal(part.positions, chunk.positions[keep])
        assert np.array_equal(part.object_ids, chunk.object_ids[keep])


def test_only_chunks_that_a_box_meets_are_read() -> None:
    dataset, storage = counted(store("points"), cache_size=0)
    box = ([0, 0, 0], [20, 20, 20])
    assert dataset[0].chunk_count == 64
    storage.reset()
    (chunk,) = dataset.iter_chunks(bbox=box, attributes=["row"], prefetch=0)
    assert chunk.chunk == (0, 0, 0)
    assert list(chunk.attributes) == ["row"]
    assert np.array_equal(chunk.upper, [25, 25, 25])
    assert not any("height" in address for address in storage.addresses())
    assert storage.rounds <= 3
    assert list(dataset.iter_chunks(bbox=([900] * 3, [901] * 3))) == []


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"prefetch": -1}, zv.ArgumentError, "prefetch"),
        ({"prefetch": 1.5}, zv.ArgumentError, "prefetch"),
        ({"n_workers": 0}, zv.ArgumentError, "n_workers"),
        ({"bbox": ([0], [1])}, zv.ArgumentError, "bbox"),
        ({"attributes": ["nothing"]}, zv.UnknownNameError, "nothing"),
        ({"attributes": [3]}, zv.ArgumentError, "attributes"),
        ({"level": 7}, zv.UnknownNameError, "level 7"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_chunk(arguments: Any, error: Any, match: str) -> None:
    with open_zv(store("points")) as dataset, pytest.raises(error, match=match):
        dataset.iter_chunks(**arguments)


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_no_more_results_exist_than_were_asked_for(prefetch: int) -> None:
    class Item:
        """Something that can be watched."""

    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0
    lock = threading.Lock()

    def make(_: int) -> Item:
        item = Item()
        with lock:
            alive.add(item)
        return item

    seen = 0
    for item in read_ahead(make, range(50), prefetch, 4):
        seen += item is not None
        most = max(most, len(alive))
    assert seen == 50
    assert most <= prefetch + 2  # the one that the loop held until its next one came


def test_a_loop_that_stops_early_reads_no_further() -> None:
    made: list[int] = []
    ahead = read_ahead(lambda number: made.append(number) or number, range(1000), 2, 2)
    assert [next(ahead), next(ahead)] == [0, 1]
    ahead.close()
    count = len(made)
    assert count <= 5
    assert threading.active_count() < 50
    assert len(made) == count


def test_an_error_reaches_the_loop() -> None:
    def make(number: int) -> int:
        if number == 3:
            raise zv.ArrayError("chunk 3")
        return number

    for prefetch in (0, 2):
        ahead = read_ahead(make, range(9), prefetch, 2)
        assert [next(ahead) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(zv.ArrayError, match="chunk 3"):
            next(ahead)


def test_a_chunk_answers_to_keys() -> None:
    with open_zv(store("mesh")) as dataset:
        chunk = next(dataset.iter_chunks())
        assert isinstance(chunk, ZVChunk)
        assert chunk["faces"] is chunk["links"] is chunk.links
        assert chunk["vertex_attributes"] is chunk.attributes
        assert set(chunk.keys()) >= {"positions", "vertex_count", "chunk"}


@given(st.integers(0, 500), st.integers(1, 40))
def test_batches_never_hold_more_than_was_said(prefetch: int, workers: int) -> None:
    size, ahead = batch_sizes(prefetch, workers)
    assert size >= 1
    assert ahead >= min(prefetch, 1)
    assert size * (ahead + 1) <= prefetch + 1


@pytest.mark.parametrize(("prefetch", "workers"), [(0, 3), (1, 1), (5, 2), (20, 3)])
def test_no_more_chunks_are_fetched_than_were_asked_for(prefetch: int, workers: int) -> None:
    dataset, storage = counted(store("points"), cache_size=0)
    assert dataset[0].chunk_count == 64
    storage.reset()
    chunks = dataset.iter_chunks(0, None, prefetch, workers, attributes=[])
    next(chunks)
    chunks.close()
    cells = [request for request in storage.log if (request.start or 0) >= 0]
    assert 1 <= len(cells) <= prefetch + 1


def test_chunks_that_are_kept_do_not_keep_others() -> None:
    with open_zv(store("points")) as dataset:
        for chunk in dataset.iter_chunks(prefetch=30):
            assert chunk.positions.base is None
            assert chunk.attributes["row"].base is None


def test_by_default_so_many_chunks_are_read_ahead_as_fit_a_budget() -> None:
    with open_zv(store("points")) as dataset:
        reader = dataset[0].reader
        assert default_prefetch(reader, 2) == 64
        assert reader.arrays.vertices.spec.row_stride == 12
        large = replace(reader, metadata=replace(reader.metadata, vertex_count=64 * 1_000_000))
        assert 1 <= default_prefetch(large, 1) == (64 << 20) // (24 * 1_000_000)
        huge = replace(reader, metadata=replace(reader.metadata, vertex_count=64 * 10**9))
        assert default_prefetch(huge, 2) == 2
