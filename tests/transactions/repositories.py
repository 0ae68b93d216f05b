"""Repositories for tests of transactions, and what is put into them."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.core.arrays import (
    create_attribute_array,
    create_vertices_array,
    read_chunk_vertices,
    record_vertex_count,
    write_chunk_attributes,
    write_chunk_vertices,
)
from zarr_vectors.core.group import Group
from zarr_vectors.core.store import commit, create_store
from zarr_vectors.storage.port import get_whole

REVISIONS = ("0.9", "0.7")


def make_points(
    place: Any, revision: str = "0.9", chunks: tuple[tuple[int, int], ...] = ((0, 0),), **options: Any
) -> Group:
    """Make a committed store of 4 by 4 chunks of edge 25, with vertices in some."""
    root = create_store(
        place,
        bounds=([0, 0], [100, 100]),
        chunk_shape=(25, 25),
        geometry_types=["point_cloud"],
        links_convention="implicit_sequential",
        object_index_convention="standard",
        format_version=revision,
        backend="icechunk",
        **options,
    )
    level = root["0"]
    with level.batched_writes():
        create_vertices_array(level, dtype="float32")
        create_attribute_array(level, "weight")
    for chunk in chunks:
        put_chunk(root, chunk)
    commit(root, "start")
    return root


def rows_of(chunk: tuple[int, int], count: int = 3, shift: float = 0.0) -> np.ndarray[Any, Any]:
    """Give positions that lie in a chunk."""
    inside = np.linspace(1, 10, count)[:, np.newaxis] * np.ones(2)
    return (np.array(chunk) * 25 + inside + shift).astype(np.float32)


def put_chunk(root: Group, chunk: tuple[int, int], count: int = 3, shift: float = 0.0) -> None:
    """Write the vertices of a chunk, and their weights."""
    level = root["0"]
    with level.batched_writes():
        write_chunk_vertices(level, chunk, [rows_of(chunk, count, shift)])
        write_chunk_attributes(level, "weight", chunk, [np.arange(count, dtype=np.float32)])
    record_vertex_count(level)


def chunk_rows(root: Group, chunk: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Read the vertices of a chunk back."""
    return np.concatenate(read_chunk_vertices(root["0"], chunk))


def content(root: Group) -> dict[str, bytes | None]:
    """Give everything that a store holds."""
    addresses = root.handle.storage.list_all()
    return dict(zip(addresses, map(bytes, filter(None, get_whole(root.handle.storage, addresses))), strict=True))
