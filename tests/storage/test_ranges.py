from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.storage.port import Blob, Range
from zarr_vectors.storage.ranges import merge, plan_reads, scatter

DATA = {name: bytes((i * 7 + len(name)) % 251 for i in range(200)) for name in ("a", "bb", "c")}

bounded = st.tuples(st.integers(0, 220), st.integers(0, 60)).map(lambda pair: (pair[0], pair[0] + pair[1]))
unbounded = st.sampled_from([(None, None), (5, None), (-9, None), (0, None), (None, 30)])
requests_of_all = st.lists(
    st.builds(lambda name, ends: Range(name, *ends), st.sampled_from([*DATA, "absent"]), bounded | unbounded),
    max_size=40,
)


@given(requests_of_all, st.integers(0, 50))
def test_merged_reads_give_what_single_ones_would(requests: list[Range], gap: int) -> None:
    results: list[Blob | None] = [None] * len(requests)
    reads = plan_reads(requests, gap)
    for read in reads:
        data = DATA.get(read.address)
        scatter(results, read, None if data is None else data[read.start : read.stop])
    expected = [DATA[name][start:stop] if name in DATA else None for name, start, stop in requests]
    assert [None if blob is None else bytes(blob) for blob in results] == expected
    assert len(reads) <= len(requests)


@given(st.lists(bounded, min_size=1, max_size=40), st.integers(0, 50))
def test_reads_are_apart_by_more_than_the_gap_and_cover_nothing_else(ends: list[tuple[int, int]], gap: int) -> None:
    requests = [Range("a", *pair) for pair in ends]
    reads = merge(requests, list(range(len(requests))), gap)
    edges = [(read.start or 0, read.stop or 0) for read in reads]
    assert edges == sorted(edges)
    assert all(later[0] > earlier[1] + gap for earlier, later in pairwise(edges))
    assert edges[0][0] == min(start for start, _ in ends)
    assert edges[-1][1] == max(stop for _, stop in ends)
    assert sorted(place for read in reads for place, _, _ in read.members) == list(range(len(ends)))
