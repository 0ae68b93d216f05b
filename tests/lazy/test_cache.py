"""The cache: what is kept costs no request, the budget is never exceeded, what leaves is what was used least lately."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lazy.stores import BOX, KINDS, REVISIONS, SPATIAL, counted, same, store
from zarr_vectors.lazy.snapshot import ENTRY_COST, CachedStorage, RangeCache
from zarr_vectors.storage import Range, resolve_storage
from zarr_vectors.testing.storage import CountingStorage


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_read_costs_no_request(kind: str, revision: str) -> None:
    dataset, storage = counted(store(kind, revision))
    box = BOX if kind in SPATIAL else None
    first = dataset.read(bbox=box)
    dataset.count(box)
    storage.reset()
    assert same(dataset.read(bbox=box), first)
    dataset.count(box)
    assert storage.counts["get"] == storage.rounds == 0
    assert dataset.cache.hits > 0


def test_levels_share_the_cache_and_overlapping_boxes_their_cells() -> None:
    dataset, storage = counted(store("points"))
    for level in dataset:
        level.read(bbox=([-50] * 3, [49] * 3))
    storage.reset()
    for level in dataset:
        level.read(bbox=BOX)
        level.read()
        list(level.iter_chunks())
        level.count(BOX)
    assert storage.rounds == 0


def test_without_a_budget_nothing_is_kept() -> None:
    dataset, storage = counted(store("points"), cache_size=0)
    first = dataset.read()
    storage.reset()
    assert same(dataset.read(), first)
    assert storage.rounds > 0
    assert (len(dataset.cache), dataset.cache.size) == (0, 0)


@pytest.mark.parametrize("budget", [1000, 5000, 20_000])
def test_small_budgets_are_kept_to_and_change_no_result(budget: int) -> None:
    dataset, _ = counted(store("points"), cache_size=budget)
    whole, _ = counted(store("points"), cache_size=0)
    for lower in range(-50, 50, 10):
        box = ([lower] * 3, [lower + 20] * 3)
        assert same(dataset.read(bbox=box), whole.read(bbox=box))
        assert dataset.cache.size <= budget == dataset.cache.budget


def test_reloading_and_closing_forget() -> None:
    dataset, storage = counted(store("points"))
    dataset.read()
    dataset.reload()
    storage.reset()
    dataset.read()
    assert storage.rounds > 0
    cache = dataset.cache
    dataset.close()
    assert (len(cache), cache.size) == (0, 0)
    cache.keep([(Range("late"), b"reader")])
    assert len(cache) == 0


ADDRESSES = ["a", "b", "c"]
requests = st.builds(
    lambda address, start, length: Range(address, start, None if start is None else start + length),
    st.sampled_from([*ADDRESSES, "absent"]),
    st.none() | st.integers(0, 300),
    st.integers(0, 200),
)


@given(st.lists(st.lists(requests, max_size=6), max_size=20), st.integers(0, 3000))
def test_a_cached_storage_reads_as_the_one_below(rounds: list[list[Range]], budget: int) -> None:
    """The law of the cache, against a list of what was used, the latest last."""
    inner = resolve_storage("memory://lazy-cache-law", mode="r+")
    inner.put_many([(address, bytes([number]) * 400) for number, address in enumerate(ADDRESSES)])
    counting = CountingStorage(inner)
    cache = RangeCache(budget)
    cached = CachedStorage(counting, cache)
    kept: list[Range] = []
    for asked in rounds:
        counting.reset()
        expected = inner.get_many(asked)
        assert cached.get_many(asked) == expected
        missing = [request for request in asked if request not in kept]
        assert counting.counts["get"] == len(missing)
        kept = _after(kept, asked, missing, dict(zip(asked, expected, strict=True)), budget)
        assert cache.size <= budget
        assert cache.size == sum(_cost(inner.get_many([request])[0]) for request in kept)
        assert len(cache) == len(kept)


def _cost(blob: Any) -> int:
    return ENTRY_COST + (0 if blob is None else len(blob))


def _after(
    kept: list[Range], asked: list[Range], missing: list[Range], found: dict[Range, Any], budget: int
) -> list[Range]:
    """Return what is kept after a round, the latest last; a round beyond the budget is not."""
    kept = list(kept)
    for request in asked:
        if request in kept:
            kept.remove(request)
            kept.append(request)
    if sum(_cost(found[request]) for request in missing) > budget:
        return kept
    costs = {request: _cost(found.get(request)) for request in found}
    for request in missing:
        if request in kept:
            kept.remove(request)
        while kept and sum(_held(costs, one) for one in kept) + costs[request] > budget:
            kept.pop(0)
        kept.append(request)
    return kept


def _held(costs: dict[Range, int], request: Range) -> int:
    if request in costs:
        return costs[request]
    return _cost(resolve_storage("memory://lazy-cache-law").get_many([request])[0])


def test_views_into_larger_buffers_are_copied() -> None:
    cache = RangeCache(10_000)
    buffer = bytes(1 << 20)
    cache.keep([(Range("a", 0, 4), memoryview(buffer)[:4])])
    (kept,) = cache.find([Range("a", 0, 4)])
    assert kept is not None
    assert type(kept.blob) is bytes
    assert cache.size == ENTRY_COST + 4


@pytest.mark.parametrize("kind", ["points", "objects", "polylines", "mesh"])
def test_threads_may_share_a_dataset(kind: str) -> None:
    dataset, _ = counted(store(kind), cache_size=20_000, n_workers=2)
    boxes = [([lower] * 3, [lower + 30] * 3) for lower in (-50, -30, -10, 10)] * 4
    plain, _ = counted(store(kind), cache_size=0)
    expected = [plain.read(bbox=box) for box in boxes]

    def work(number: int) -> bool:
        counted_here = dataset.count(boxes[number])
        streamed = sum(len(chunk) for chunk in dataset.iter_chunks(0, boxes[number], 2, 2))
        return same(dataset.read(bbox=boxes[number]), expected[number]) and counted_here == streamed

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(len(boxes))))
    assert dataset.cache.size <= 20_000


def test_a_cache_says_how_full_it_is() -> None:
    cache = RangeCache(1000)
    cache.keep([(Range("a"), b"1234"), (Range("b"), None)])
    assert (len(cache), cache.size) == (2, 2 * ENTRY_COST + 4)
    assert "2 ranges" in repr(cache)
    cache.clear()
    assert (len(cache), cache.size, np.sum(cache.find([Range("a")]) != [None])) == (0, 0, 0)
