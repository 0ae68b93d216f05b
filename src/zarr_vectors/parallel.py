"""One small thread pool for work that releases the interpreter lock (codecs, array arithmetic)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice, pairwise
from typing import TypeVar

import numpy as np

from zarr_vectors.typing import AnyArray, IntArray

_THREADED_ROWS = 1 << 18

T = TypeVar("T")
R = TypeVar("R")


def worker_count() -> int:
    """Return how many threads are used: the processors this process may run on, at most 8."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, available))


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(worker_count(), thread_name_prefix="zarr-vectors")


def thread_map(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Apply a function to every item on the pool; results in the order of the items.

    The function must not itself call :func:`thread_map`.
    """
    if len(items) < 2 or worker_count() == 1:
        return [function(item) for item in items]
    return list(_pool(os.getpid()).map(function, items))


def thread_imap(function: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Yield results in order while at most ``ahead`` items are in flight, so that memory stays bounded."""
    source = iter(items)
    pool = _pool(os.getpid())
    pending = [pool.submit(function, item) for item in islice(source, max(1, ahead))]
    try:
        while pending:
            result = pending.pop(0).result()
            pending.extend(pool.submit(function, item) for item in islice(source, 1))
            yield result
    finally:
        for future in pending:
            future.cancel()


def split_evenly(count: int, parts: int) -> list[slice]:
    """Return at most ``parts`` contiguous slices that cover ``range(count)``."""
    parts = max(1, min(parts, count))
    edges = [count * p // parts for p in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]


def gather_rows(columns: Sequence[AnyArray], rows: IntArray) -> list[AnyArray]:
    """Return ``column[rows]`` of every column, for rows known to exist; many rows are taken on the pool.

    Parameters
    ----------
    columns : sequence of (N,) or (N, C) arrays
        The columns.
    rows : (n,) int64
        Rows, none of them negative.
    """
    taken = [np.empty((len(rows), *column.shape[1:]), column.dtype) for column in columns]
    parts = split_evenly(len(rows), worker_count() if len(rows) >= _THREADED_ROWS else 1)

    def take(task: tuple[int, slice]) -> None:
        column, part = task
        # "clip" neither checks nor buffers, and is twice as fast as indexing rows of several channels.
        np.take(columns[column], rows[part], axis=0, mode="clip", out=taken[column][part])

    thread_map(take, [(column, part) for column in range(len(columns)) for part in parts])
    return taken
