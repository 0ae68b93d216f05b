"""A box or an object costs what it meets: the cells fetched are counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.meshes.surfaces import icosphere, torus
from zarr_vectors.read.opening import open_storage
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.meshes import read_mesh, write_mesh

CHUNK = 10


def opened(path: str) -> tuple[CountingStorage, StoreReader]:
    """Open a store and its level, so that only what a query itself asks for is counted from here on."""
    counting = CountingStorage(resolve_storage(path, mode="r"))
    reader = open_storage(counting)
    reader.level(0)
    counting.reset()
    return counting, reader


def cells(counting: CountingStorage) -> Counter[str]:
    """Return the number of cells fetched of every array of the level."""
    data = [
        address.split("/c/")[0] for address in counting.addresses() if address.startswith("0/") and "/c/" in address
    ]
    return Counter(path.removeprefix("0/") for path in data)


@pytest.fixture
def ring() -> tuple[str, Any, Any]:
    path = "memory://costs"
    vertices, faces = torus(120, 48)
    write_mesh(
        path,
        vertices,
        faces,
        chunk_shape=CHUNK,
        bin_shape=CHUNK,
        face_attributes={"n": np.arange(len(faces))},
        shard_shape=None,
    )
    return path, vertices, faces


def test_a_box_reads_link_cells_of_the_chunks_it_meets(ring: tuple[str, Any, Any]) -> None:
    path, vertices, faces = ring
    counting, reader = opened(path)
    everything = len(reader.level(0).chunks)
    low, high = np.array([30.0, -9.9, -9.9]), np.array([39.9, -0.1, 9.9])
    found = read_mesh(reader, bbox=(low, high))
    centroid = vertices[faces].astype(float).mean(axis=1)
    inside = ((centroid >= low) & (centroid < high)).all(axis=1)
    assert found.face_count == inside.sum() > 0
    fetched = cells(counting)
    near = {tuple(c) for c in np.floor(vertices[faces[inside]].reshape(-1, 3) / CHUNK).astype(int).tolist()}
    assert len(near) <= fetched["vertices"] <= 27 * 2 < everything
    links = sum(count for name, count in fetched.items() if name.startswith("links/0/"))
    stored = sum(len(array.cells.chunks) for array in reader.level(0).arrays.links[0].arrays)
    assert 0 < links < stored / 4
    inner = fetched["links/0/0.0.0_0.0.0"]
    assert inner <= 2
    assert counting.rounds <= 3


def test_an_object_reads_only_its_chunks() -> None:
    path = "memory://object-costs"
    parts = [icosphere(2, radius=8, centre=(40 * k, 3, 3)) for k in range(12)]
    write_mesh(path, [v for v, _ in parts], [f for _, f in parts], chunk_shape=CHUNK, bin_shape=CHUNK, shard_shape=None)
    counting, reader = opened(path)
    found = read_mesh(reader, object_ids=[5])
    assert found.face_count == 320
    mine = np.unique(np.floor(parts[5][0] / CHUNK).astype(int), axis=0)
    fetched = cells(counting)
    assert fetched["vertices"] == len(mine)
    assert fetched["links/0/0.0.0_0.0.0"] <= len(mine)
    stored = sum(len(array.cells.chunks) for array in reader.level(0).arrays.links[0].arrays)
    links = sum(count for name, count in fetched.items() if name.startswith("links/0/"))
    assert links <= stored / 10


def test_attributes_that_are_not_asked_for_are_not_read(ring: tuple[str, Any, Any]) -> None:
    path, _, _ = ring
    counting, reader = opened(path)
    found = read_mesh(reader, face_attributes=[], bbox=([30, -10, -10], [40, 0, 10]))
    assert found.face_attributes == {}
    assert not [name for name in cells(counting) if name.startswith("link_attributes")]
