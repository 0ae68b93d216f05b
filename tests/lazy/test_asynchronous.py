"""The asynchronous twins give the same, side by side, and may be cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.lazy.stores import BOX, KINDS, same, store
from zarr_vectors.lazy import aopen_zv, open_zv
from zarr_vectors.lazy.chunks import iterate


@pytest.mark.parametrize("kind", KINDS)
def test_twins_give_the_same(kind: str) -> None:
    async def check() -> None:
        async with await aopen_zv(store(kind), cache_size=10**6) as dataset:
            assert same(await dataset.aread(), dataset.read())
            assert same(await dataset[0].aread(attributes=[]), dataset[0].read(attributes=[]))
            if kind == "parametric":
                assert same(await dataset.aparametric(types="plane"), dataset.parametric(types="plane"))
            else:
                assert await dataset.acount(BOX) == await dataset[0].acount(BOX) == dataset.count(BOX)
                streamed = [chunk async for chunk in dataset.aiter_chunks(0, BOX, prefetch=2)]
                plain = list(dataset.iter_chunks(0, BOX, prefetch=0))
                assert [chunk.chunk for chunk in streamed] == [chunk.chunk for chunk in plain]
                assert all(same(a, b) for a, b in zip(streamed, plain, strict=True))
            if dataset.n_objects:
                one = next(iter(dataset[0].objects))
                assert same(await dataset.aobjects(one), await dataset[0].aobjects([one]))
            if len(dataset[0].groups):
                assert same(await dataset.agroups(0), await dataset[0].agroups([0]))
        assert dataset.closed
        with pytest.raises(zv.StoreError, match="closed"):
            await dataset.aread()

    asyncio.run(check())


def test_many_reads_run_side_by_side() -> None:
    async def check() -> None:
        with open_zv(store("points")) as dataset:
            boxes = [([low] * 3, [low + 25] * 3) for low in range(-50, 50, 5)]
            read = await asyncio.gather(*(dataset.aread(bbox=box) for box in boxes))
            counts = await asyncio.gather(*(dataset.acount(box) for box in boxes))
            assert [len(one) for one in read] == counts
            await dataset.aclose()

    asyncio.run(check())


def test_errors_come_through() -> None:
    async def check() -> None:
        with open_zv(store("points")) as dataset:
            with pytest.raises(zv.UnknownNameError, match="nothing"):
                await dataset.aread(attributes=["nothing"])
            with pytest.raises(zv.ArgumentError, match="bbox"):
                await anext(dataset.aiter_chunks(bbox=([0], [1])))

    asyncio.run(check())


def test_stopping_early_ends_the_reading() -> None:
    async def check() -> None:
        with open_zv(store("points")) as dataset:
            chunks = dataset.aiter_chunks(prefetch=1)
            first = await anext(chunks)
            assert np.array_equal(first.chunk, dataset[0].chunks[0])
            await chunks.aclose()  # type: ignore[attr-defined]
            with pytest.raises(StopAsyncIteration):
                await anext(chunks)

    asyncio.run(check())


def test_cancelling_waits_for_the_thread_and_closes_the_generator() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        started = asyncio.Event()
        done: list[str] = []

        def slow() -> Any:
            try:
                loop.call_soon_threadsafe(started.set)
                asyncio.run(asyncio.sleep(0.05))
                done.append("read")
                yield 1
            finally:
                done.append("closed")

        async def consume() -> None:
            async for _ in iterate(slow):
                raise AssertionError

        task = asyncio.ensure_future(consume())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["read", "closed"]

    asyncio.run(check())
