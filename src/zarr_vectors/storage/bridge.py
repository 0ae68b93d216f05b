"""The one bridge from asynchronous code to ours.

zarr-python keeps one event loop on a background thread, and connections of its stores belong to that loop.
Coroutines of those stores therefore run there, whether or not the caller is inside a running loop itself
(a notebook, for example).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from zarr.core.sync import sync

from zarr_vectors.storage.port import Blob, Range, check_address
from zarr_vectors.storage.ranges import Read, check_range, plan_reads, scatter

READ_GAP = 256 * 1024
"""Ranges of one object that lie closer than this are read in one request."""

REQUESTS_IN_FLIGHT = 48
"""Largest number of requests that are under way at the same time."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine on the background event loop and wait for what it returns or raises."""
    return sync(coroutine)


def run_each(items: Sequence[_Item], work: Callable[[_Item], Awaitable[_Result]], limit: int) -> list[_Result]:
    """Run one coroutine an item, at most `limit` at a time.

    Parameters
    ----------
    items : sequence
        What to work on.
    work : callable
        Makes the coroutine of an item.
    limit : int
        Largest number of coroutines in flight.

    Returns
    -------
    list
        The results, in the order of the items. When one raises, the others are cancelled.
    """
    if not items:
        return []

    async def gather() -> list[_Result]:
        results: list[Any] = [None] * len(items)
        places = iter(range(len(items)))

        async def worker() -> None:
            for place in places:
                results[place] = await work(items[place])

        async with asyncio.TaskGroup() as group:
            for _ in range(min(limit, len(items))):
                group.create_task(worker())
        return results

    try:
        return run(gather())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def read_ranges(requests: Sequence[Range], read: Callable[[Read], Awaitable[Blob | None]]) -> list[Blob | None]:
    """Read many ranges, all at the same time, close ranges of one object together.

    Parameters
    ----------
    requests : sequence of Range
        What to read.
    read : callable
        Makes the coroutine of one planned read.

    Raises
    ------
    ArgumentError
        An address that would leave the store, or a range without meaning.
    """
    for request in requests:
        check_address(request.address)
        check_range(request)
    reads = plan_reads(requests, READ_GAP)
    results: list[Blob | None] = [None] * len(requests)
    for planned, blob in zip(reads, run_each(reads, read, REQUESTS_IN_FLIGHT), strict=True):
        scatter(results, planned, blob)
    return results
