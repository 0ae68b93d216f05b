"""Reading in one round what later rounds of a query would wait for one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from zarr_vectors.formats.layout import Blobs, CellArray
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import object_rows
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import IntArray

_INDEXES = 96
"""Shard indexes that are read before it is known which of them are needed: as many as share a round trip."""
_INDEX_BYTES = 1 << 20
"""Bytes of such indexes: what arrives in about a round trip."""
_MANIFEST_CHUNKS = 4
"""Pieces of the list of manifests that are read before it is known which of them is needed."""


def read_ahead(
    level: LevelReader,
    *,
    certain: Sequence[tuple[CellArray, IntArray]] = (),
    likely: Iterable[tuple[CellArray, IntArray]] = (),
    object_ids: IntArray | None = None,
) -> None:
    """Read the ids and manifests of objects and shard indexes, in one round, where they are not at hand.

    Parameters
    ----------
    level : LevelReader
        An open level.
    certain : sequence of (CellArray, (n, S) int64)
        Cells that will be read.
    likely : iterable of (CellArray, (n, S) int64)
        Cells of which some will be read once the manifests are there; their indexes are read where they are few.
    object_ids : (P,) int64, optional
        Objects that are looked for, with their manifests; where their ids have yet to be read, all manifests, if these
        are few.

    Raises
    ------
    UnknownNameError
        The level has none of these objects.
    """
    index = level.arrays.object_index
    ids = [] if index is None or index.ids is None or level.object_ids is not None else index.ids.requests(None)
    plans = _plans(likely)
    plans = plans if _are_few(plans) else []
    plans += _plans(certain, plans)
    manifests, decode = _manifests(level, object_ids, all_of_them=bool(ids))
    requests = [*ids, *manifests, *(request for _, plan in plans for request in plan)]
    if not requests:
        return
    blobs = level.storage.get_many(requests)
    if index is not None and index.ids is not None and ids:
        level.object_ids = index.ids.decode(blobs[: len(ids)], None).astype(np.int64)
    start = len(ids) + len(manifests)
    if manifests:
        decode(blobs[len(ids) : start])
    for array, plan in plans:
        array.accept_indexes(plan, blobs[start : start + len(plan)])
        start += len(plan)


def _manifests(
    level: LevelReader, object_ids: IntArray | None, *, all_of_them: bool
) -> tuple[list[Range], Callable[[Blobs], object]]:
    """Return what to read of the manifests of some objects, or of all; an open level keeps what is decoded."""
    index = level.arrays.object_index
    if index is None or object_ids is None or index.manifests is None or not index.manifests.keeps:
        return [], len
    requests, decode = index.manifests.plan(None if all_of_them else object_rows(level, object_ids))
    return ([], len) if all_of_them and len(requests) > _MANIFEST_CHUNKS else (requests, decode)


def _plans(
    wanted: Iterable[tuple[CellArray, IntArray]], planned: Sequence[tuple[CellArray, list[Range]]] = ()
) -> list[tuple[CellArray, list[Range]]]:
    """Return the indexes that arrays lack, without those that are planned for."""
    known = {id(array) for array, _ in planned}
    plans = [(array, array.index_requests(chunks)) for array, chunks in wanted if id(array) not in known]
    return [(array, plan) for array, plan in plans if plan]


def _are_few(plans: Sequence[tuple[CellArray, list[Range]]]) -> bool:
    count = sum(len(plan) for _, plan in plans)
    size = sum(-(request.start or 0) for _, plan in plans for request in plan)
    return count <= _INDEXES and size <= _INDEX_BYTES
