"""What a read asks of a storage: only what the query meets, in a bounded number of rounds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.strategies import Cloud, boxes, clouds
from tests.servers import s3_server
from zarr_vectors.lazy import open_zv
from zarr_vectors.read.opening import open_reader
from zarr_vectors.storage import resolve_storage
from zarr_vectors.storage.port import Range
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.points import read_points, write_points

PLAIN: dict[str, Any] = {"compressor": None, "checksum": False}


def opened(place: Any, **options: Any) -> tuple[Any, CountingStorage]:
    """Open a store and its level, and count from then on."""
    storage = CountingStorage(resolve_storage(place, mode="r", **options))
    reader = open_reader(storage)
    assert len(reader.level(0).chunks) >= 0
    storage.reset()
    return reader, storage


def cell_addresses(array: str, chunks: Any, origin: Any) -> set[str]:
    return {f"0/{array}/c/" + "/".join(map(str, chunk)) for chunk in (chunks - origin).tolist()}


@given(clouds(objects=False), st.sampled_from([None, "zstd"]), st.data())
def test_only_cells_that_a_box_meets_are_fetched(cloud: Cloud, compressor: Any, data: st.DataObject) -> None:
    path = f"memory://requests-{uuid.uuid4().hex}"
    write_points(path, **cloud.arguments(), compressor=compressor, shard_shape=None)
    box = data.draw(boxes(cloud))
    reader, storage = opened(path)
    read_points(reader, bbox=box, attributes=["row"])
    grid, level = cloud.grid, reader.level(0)
    low = np.floor(np.array(box[0]) / grid.cell_shape) // np.array(grid.bins_per_chunk)
    high = np.floor(np.array(box[1]) / grid.cell_shape) // np.array(grid.bins_per_chunk)
    met = level.chunks[((level.chunks >= low) & (level.chunks <= high)).all(axis=1)]
    arrays = ("vertices", "vertex_fragments", "vertex_attributes/row")
    allowed = {address for array in arrays for address in cell_addresses(array, met, level.arrays.vertices.origin)}
    assert set(storage.addresses()) <= allowed
    assert storage.rounds <= 3
    assert storage.counts.keys() <= {"get"}


@pytest.mark.parametrize("shards", ["auto", None])
@pytest.mark.parametrize("checksum", [True, False])
def test_the_bytes_of_a_box_are_those_of_its_bins(shards: Any, checksum: bool) -> None:
    """Where cells are not compressed, a point costs its bin and the fragment table; its chunk where that is checked."""
    positions = np.random.default_rng(0).uniform(0, 100, (64_000, 3)).astype(np.float32)
    path = f"memory://requests-{uuid.uuid4().hex}"
    write_points(path, positions, chunk_shape=50, bin_shape=5, compressor=None, shard_shape=shards, checksum=checksum)
    reader, storage = opened(path)
    found = read_points(reader, bbox=([61, 61, 61], [64, 64, 64]))
    assert len(found) > 0
    table = 16 + 128 + 16 * 1000 + 4 + 8 + 4
    chunk = 12 * int((positions >= 50).all(axis=1).sum()) + 8 + 4 + 4
    assert storage.bytes_read < table + (chunk if checksum else 12 * 64 * 4) + 2 * (8 * 16 + 4)
    assert (storage.bytes_read >= chunk) == checksum
    assert storage.rounds <= 3


def test_boxes_of_revision_0_7_cost_their_bins_where_cells_are_plain() -> None:
    """Of every cell met: the table of its fragments, and the metadata and bins of each array, in two rounds."""
    positions = np.random.default_rng(0).uniform(0, 100, (64_000, 3)).astype(np.float32)
    weight = np.arange(64_000.0)
    path = f"memory://requests-{uuid.uuid4().hex}"
    options: dict[str, Any] = {"chunk_shape": 50, "bin_shape": 5, "format_version": "0.7", **PLAIN}
    write_points(path, positions, attributes={"w": weight}, **options)
    box = ([61, 61, 61], [64, 64, 64])
    inside = ((positions >= 61) & (positions < 64)).all(axis=1)
    reader, storage = opened(path)
    found = read_points(reader, bbox=box)
    assert sorted(found.attributes["w"].tolist()) == sorted(weight[inside].tolist())
    ranges = [entry for entry in storage.log if entry.stop is not None]
    assert {entry.address for entry in ranges} == {"0/vertices/1.1.1/c/0", "0/vertex_attributes/w/1.1.1/c/0"}
    table = 16 + 128 + 16 * 1000 + 4 + 8
    assert storage.bytes_read < table + (12 + 8) * 64 * 4 + 3 * 800
    assert storage.rounds == 2
    storage.reset()
    assert reader.level(0) is not None
    assert open_zv(storage).count(bbox=box) == inside.sum()
    assert not [entry for entry in storage.log if entry.address.endswith("/vertices/1.1.1/c/0") and entry.stop is None]
    # A cell that another writer has compressed since is read as a whole.
    other = f"memory://requests-{uuid.uuid4().hex}"
    write_points(other, positions, attributes={"w": weight}, **{**options, "compressor": "zstd"})
    theirs, mine = open_reader(other).storage, resolve_storage(path, mode="r+")
    for name in ("zarr.json", "c/0"):
        address = f"0/vertex_attributes/w/1.1.1/{name}"
        mine.put_many([(address, bytes(theirs.get_many([Range(address)])[0] or b""))])
    again = read_points(path, bbox=box)
    np.testing.assert_array_equal(again.attributes["w"], found.attributes["w"])


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_what_is_known_is_not_fetched_again(revision: str) -> None:
    path = f"memory://requests-{uuid.uuid4().hex}"
    positions = np.random.default_rng(0).uniform(0, 100, (3000, 3)).astype(np.float32)
    write_points(path, positions, chunk_shape=25, format_version=revision)
    reader, storage = opened(path)
    read_points(reader, bbox=([0] * 3, [30] * 3))
    first = storage.counts["get"], storage.rounds
    storage.reset()
    read_points(reader, bbox=([0] * 3, [30] * 3))
    assert storage.counts["get"] <= first[0]
    assert storage.rounds <= first[1]
    storage.reset()
    assert len(read_points(reader, attributes=[])) == 3000
    arrays = {address.split("/")[1] for address in storage.addresses()}
    assert arrays == {"vertices"}


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_server() as server:
        server.make_bucket("points")
        yield server


@pytest.mark.parametrize(
    "layout", [{}, {"compressor": None}, {"shard_shape": (10, 10, 100)}], ids=["default", "plain", "shards"]
)
def test_a_box_of_ten_thousand_chunks_takes_three_rounds(s3: Any, layout: dict[str, Any]) -> None:
    """On an S3 server, whatever the box meets."""
    place = f"s3://points/{uuid.uuid4().hex}"
    random = np.random.default_rng(0)
    chunks = np.stack(np.meshgrid(*[np.arange(n) for n in (10, 10, 100)], indexing="ij"), -1).reshape(-1, 3)
    positions = (chunks + random.uniform(0.05, 0.95, chunks.shape)).astype(np.float32)
    attributes = {"row": np.arange(len(positions)), "value": random.normal(size=len(positions))}
    summary = write_points(
        place, positions, chunk_shape=1, bin_shape=0.5, attributes=attributes, **layout, **s3.options
    )
    assert summary.chunk_count == 10_000
    for box in (([3.2] * 3, [3.9, 4.1, 60.5]), ([0] * 3, [10, 10, 100]), ([2, 2, 7], [2.5, 2.5, 7.5])):
        reader, storage = opened(place, **s3.options)
        found = read_points(reader, bbox=box)
        inside = ((positions >= np.array(box[0])) & (positions < np.array(box[1]))).all(axis=1)
        np.testing.assert_array_equal(np.sort(found.attributes["row"]), np.flatnonzero(inside))
        assert storage.rounds <= 3
        storage.reset()
        read_points(reader, bbox=box)
        assert storage.rounds <= 2
