"""Running what blocks on a worker thread, so that an event loop goes on; nothing is implemented twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()


async def iterate(start: Callable[[], Generator[T]]) -> AsyncIterator[T]:
    """Yield what a generator yields, each item made on a worker thread.

    Parameters
    ----------
    start : callable
        Makes the generator; runs on a worker thread as well.
    """
    generator = await asyncio.to_thread(start)
    step: asyncio.Future[T] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, generator, _END))
            item = await asyncio.shield(step)
            if item is _END:
                return
            yield item
    finally:
        if step is not None and not step.done():  # cancelled while a thread is inside the generator
            await asyncio.wait([step])
        if step is not None and step.done() and not step.cancelled():
            step.exception()
        await asyncio.to_thread(generator.close)
