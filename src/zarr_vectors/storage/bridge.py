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
