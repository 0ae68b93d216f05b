"""One small thread pool for work that releases the interpreter lock (codecs, array arithmetic)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice, pairwise
from typing import TypeVar

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
