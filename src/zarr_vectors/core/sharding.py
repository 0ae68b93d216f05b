"""Packing the chunks of a store that is there into shards, or back into one object a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np

from zarr_vectors.core.chunks import open_for_changes
from zarr_vectors.exceptions import ArgumentError, UnknownNameError, UnsupportedFeatureError
from zarr_vectors.formats.cell_access import Repack, grid_arrays, repack
from zarr_vectors.read.fetch import fetch_indexes, get_some
from zarr_vectors.read.level import derive_chunks
from zarr_vectors.read.nodes import find_nodes
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes
from zarr_vectors.storage.port import Storage, join

_BYTES_AT_ONCE = 64 << 20
_FIRST_CELLS = 64
_GROWTH = 4


class ShardingSummary(TypedDict):
    """What packing did.

    Attributes
    ----------
    levels : list of int
        Levels that were looked at.
    arrays : int
        Arrays that are stored otherwise now.
    objects_before, objects_after : int
        How many objects held the chunks of these arrays, and how many hold them now.
    """

    levels: list[int]
    arrays: int
    objects_before: int
    objects_after: int


def shard_store(
    path: Any,
    shard_shape: Any = "auto",
    *,
    levels: Sequence[int] | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> ShardingSummary:
    """Pack the chunks of a store into shards, in place.

    The stored bytes of every chunk stay as they are: nothing is decoded or compressed again. Shards are made one
    after another, so that memory holds few of them; all of it happens, or nothing.

    Parameters
    ----------
    path : str, path, Group, zarr Store
        The store.
    shard_shape : tuple of int, int or "auto"
        Chunks of a shard along every axis, at most as many as the grid of a level has; an array that is packed so
        already is left alone. ``"auto"`` makes shards of about 128 MB of vertices, smaller where most chunks are
        empty. Levels chunked by an attribute keep its values apart, unless the shape has a component for it, first.
    levels : sequence of int, optional
        Levels to pack; all by default.
    backend : str, optional
        Library to use for the storage.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    ShardingSummary
        Arrays that changed, and objects before and after.

    Raises
    ------
    UnsupportedFeatureError
        The store is of revision 0.7, which has no shards.
    ArgumentError
        The shape is not one of whole numbers of chunks, one per axis; or levels are not whole numbers.
    UnknownNameError
        The store has no such level.
    ReadOnlyStoreError
        The store was opened for reading.
    StoreLockedError
        Another writer holds it.
    """
    if shard_shape is None:
        raise ArgumentError("shard_shape: expected 'auto', a number or one per axis, got None; see unshard_store")
    return _repack_store(path, shard_shape, levels, backend, backend_kwargs)


def unshard_store(
    path: Any, *, levels: Sequence[int] | None = None, backend: str | None = None, **backend_kwargs: Any
) -> ShardingSummary:
    """Store every chunk of a store as an object of its own, in place; the reverse of :func:`shard_store`.

    Parameters
    ----------
    path : str, path, Group, zarr Store
        The store. One of revision 0.7 has no shards and stays as it is.
    levels : sequence of int, optional
        Levels to unpack; all by default.
    backend : str, optional
        Library to use for the storage.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    ShardingSummary
        Arrays that changed, and objects before and after.

    Raises
    ------
    UnknownNameError
        The store has no such level.
    ReadOnlyStoreError
        The store was opened for reading.
    StoreLockedError
        Another writer holds it.
    """
    return _repack_store(path, None, levels, backend, backend_kwargs)


def _repack_store(
    path: Any, shard_shape: Any, levels: Sequence[int] | None, backend: str | None, options: dict[str, Any]
) -> ShardingSummary:
    handle = open_for_changes(path, backend, options)
    store = handle.reader
    if shard_shape is not None and not store.revision.shards:
        raise UnsupportedFeatureError(
            f"{store.storage.url}: revision {store.revision.name} keeps every chunk as an array of its own and has no "
            "shards; migrate the store to revision 0.9 first"
        )
    numbers = _chosen(store, levels)
    summary = ShardingSummary(levels=numbers, arrays=0, objects_before=0, objects_after=0)
    if not store.revision.shards:
        return summary
    with handle.changing() as target:
        store = StoreReader.open(handle.storage)
        for number in numbers:
            for plan in _plans(store, number, shard_shape):
                before, after = set(plan.present()), set(plan.coming())
                _move(store.storage, plan, target)
                target.delete_many(sorted(before - after))
                target.put_many([(join(plan.array.path, DOCUMENT_NAME), document_bytes(plan.metadata()))])
                summary["arrays"] += 1
                summary["objects_before"] += len(before)
                summary["objects_after"] += len(after)
    return summary


def _chosen(store: StoreReader, levels: Sequence[int] | None) -> list[int]:
    present = store.level_numbers()
    if levels is None:
        return present
    if isinstance(levels, (str, bytes)) or np.ndim(levels) != 1:
        raise ArgumentError(f"levels: expected a list of levels, got {levels!r}")
    wrong = [n for n in levels if isinstance(n, bool) or not isinstance(n, (int, np.integer))]
    if wrong:
        raise ArgumentError(f"levels: expected whole numbers, got {wrong[0]!r}")
    missing = [number for number in levels if number not in present]
    if missing:
        raise UnknownNameError(f"levels: no level {missing[0]}; the store has levels {present}")
    return sorted({int(number) for number in levels})


def _plans(store: StoreReader, number: int, shard_shape: Any) -> list[Repack]:
    """Return the arrays of a level that are not yet stored as wanted, and the shards they are to have."""
    documents, _ = find_nodes(store.storage, store.revision, str(number))
    level = store.level(number, own=True)
    size = level.metadata.vertex_count * level.root.ndim * level.arrays.vertices.spec.numpy_dtype.itemsize
    plans = []
    for array in grid_arrays(documents):
        if array.chunks is None:
            derive_chunks(store.storage, array)
        plans.append(repack(array, documents[array.path], shard_shape, size, level.root.ndim))
    return [plan for plan in plans if plan.changes]


def _move(source: Storage, plan: Repack, target: Storage) -> None:
    """Write the cells of an array into its new objects, as many at a time as memory should hold."""
    chunks, borders = plan.order()
    fetch_indexes(source, [(plan.array, chunks)])
    first, cells, moved, stored = 0, _FIRST_CELLS, 0, 0
    while first < len(borders) - 1:
        start = int(borders[first])
        last = max(first + 1, int(np.searchsorted(borders, start + cells, side="right")) - 1)
        part = chunks[start : int(borders[last])]
        blobs = get_some(source, plan.array.cell_requests(part))
        target.put_many(plan.objects(part, blobs))
        moved, stored = moved + len(part), stored + sum(len(blob) for blob in blobs if blob is not None)
        cells = min(_GROWTH * cells, max(1, _BYTES_AT_ONCE * moved // max(1, stored)))
        first = last
