"""Partitions cover the grid of a store once, and consist of whole shards of every array."""

from __future__ import annotations

import itertools
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_vectors.distributed import Partition, partitions
from zarr_vectors.exceptions import ShapeError, StoreNotFoundError, UnknownNameError, UnsupportedFeatureError
from zarr_vectors.storage import Storage, document_bytes, get_one, parse_document, put_one, resolve_storage
from zarr_vectors.types.points import write_points

TAG = "0/vertex_attributes/tag/zarr.json"
BOUNDS = ([-30.0, 0.0], [69.0, 49.0])


def made(revision: str = "0.9", **options: object) -> str:
    place = f"memory://{uuid.uuid4().hex}"
    points = np.random.default_rng(0).uniform(*BOUNDS, (200, 2))
    settings_ = {"bounds": BOUNDS, "chunk_shape": 10, "format_version": revision, **options}
    write_points(place, points, attributes={"tag": np.arange(200)}, **settings_)  # type: ignore[arg-type]
    return place


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_partitions_tile_the_grid(wide: int, high: int, seed: int) -> None:
    place = made(shard_shape=(wide, high))
    every = partitions(place)
    chunks = [
        chunk
        for part in every
        for chunk in itertools.product(*(range(a, b) for a, b in zip(*part.chunks, strict=True)))
    ]
    assert sorted(chunks) == list(itertools.product(range(-3, 7), range(5)))
    assert len({part.key for part in every}) == len(every) == np.prod(every.counts)
    positions = np.random.default_rng(seed).uniform(*BOUNDS, (50, 2))
    for number, position in zip(every.of(positions), positions, strict=True):
        low, high_corner = every[int(number)].box
        assert all(a <= x < b for a, x, b in zip(low, position, high_corner, strict=True))


@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_without_shards_every_chunk_is_one(revision: str) -> None:
    every = partitions(made(revision, **({} if revision == "0.7" else {"shard_shape": None})))
    assert len(every) == 50
    assert every[0] == Partition("-3.0", ((-3, 0), (-2, 1)), ((-30.0, 0.0), (-20.0, 10.0)))
    assert every[-1].key == "6.4"
    assert [part.key for part in every[1:3]] == ["-3.1", "-3.2"]
    assert every.named("6.4") == every[49]
    assert list(every)[7] == every[7]


def test_arrays_with_other_shards_count() -> None:
    place = made(shard_shape=(2, 5))
    assert partitions(place).shape == (2, 5)
    storage: Storage = resolve_storage(place, mode="r+")
    document = parse_document(get_one(storage, TAG) or b"", TAG)
    document["chunk_grid"]["configuration"]["chunk_shape"] = [3, 2]
    put_one(storage, TAG, document_bytes(document))
    assert partitions(place).shape == (6, 5)  # ten along the second axis, which has five chunks


def test_positions_go_where_they_are_stored() -> None:
    every = partitions(made(shard_shape=1))
    just_below = np.nextafter(10.0, 0.0)  # 10 in float32, as it is stored
    assert every[int(every.of([[just_below, 0.0]])[0])].key == "1.0"
    assert every.of([[500.0, 0.0], [np.nan, 0.0], [1e300, 0.0], [-0.5, 0.0]]).tolist() == [-1, -1, -1, 10]
    assert every.of(np.zeros((0, 2))).tolist() == []


def test_bad_input() -> None:
    every = partitions(made(shard_shape=2))
    with pytest.raises(ShapeError, match=r"positions: expected shape \(n, 2\)"):
        every.of([1.0, 2.0])
    for key in ("0.0", "99.0", "-3.1"):
        with pytest.raises(UnknownNameError, match="no partition is called"):
            every.named(key)
    with pytest.raises(IndexError, match="15 partitions"):
        every[15]
    with pytest.raises(StoreNotFoundError):
        partitions("memory://nothing-is-here")
    by_attribute = made(chunk_by_attribute="tag")
    with pytest.raises(UnsupportedFeatureError, match="append_vertices"):
        partitions(by_attribute)
