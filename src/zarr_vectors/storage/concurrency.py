"""Working on many items at the same time, on threads, taking items only as room becomes free."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

PARALLEL_BYTES = 4 * 1024 * 1024
"""Amount of data from which several threads are used; below it, starting them costs more than they save."""

LARGE_ITEM = 128 * 1024
"""Items smaller than this on average are worked on by one thread: several would only wait for each other."""

_THREADS = min(8, os.cpu_count() or 1)

_Item = TypeVar("_Item")
_First = TypeVar("_First")
_Second = TypeVar("_Second")


def together(first: Callable[[], _First], second: Callable[[], _Second]) -> tuple[_First, _Second]:
    """Do two things at the same time, such as reading and listing, which then take one round of requests.

    Returns
    -------
    tuple
        What the two returned.

    Raises
    ------
    Exception
        What one of them raised, the first before the second; both have ended by then.
    """
    with ThreadPoolExecutor(1, "zarr-vectors-storage") as pool:
        other = pool.submit(second)
        done = first()
    return done, other.result()


def each_parallel(work: Callable[[_Item], int], source: Iterator[_Item]) -> None:
    """Do the work of every item, on several threads once the items turn out to be large.

    Parameters
    ----------
    work : callable
        What to do with an item; gives the number of bytes it took.
    source : iterator
        The items; they may be made lazily and be large.
    """
    amount = 0
    for done, item in enumerate(source, 1):
        amount += work(item)
        if amount >= PARALLEL_BYTES and amount >= done * LARGE_ITEM and _THREADS > 1:
            each_in_flight(work, source, _THREADS)
            return


def each_in_flight(work: Callable[[_Item], Any], source: Iterator[_Item], limit: int) -> None:
    """Do the work of every item on threads.

    Parameters
    ----------
    work : callable
        What to do with an item.
    source : iterator
        The items; they may be made lazily and be large.
    limit : int
        Largest number of items worked on, or waiting, at the same time.

    Raises
    ------
    Exception
        What the work of an item raised; work that has not begun by then is not done.
    """
    first = next(source, None)
    if first is None:
        return
    second = next(source, None)
    if second is None:
        work(first)
        return
    with ThreadPoolExecutor(limit, "zarr-vectors-storage") as pool:
        waiting: set[Future[Any]] = {pool.submit(work, first), pool.submit(work, second)}
        try:
            for item in source:
                if len(waiting) >= limit:
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        future.result()
                waiting.add(pool.submit(work, item))
            for future in waiting:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
