"""Fragment indexes against payloads packed by hand, and damaged ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding.flat import offsets_of, split_flat
from zarr_vectors.encoding.fragment_index import (
    FragmentIndex,
    decode_fragment_indexes,
    encode_fragment_indexes,
    take_ranges,
)
from zarr_vectors.exceptions import ArrayError, UnsupportedFeatureError

Fragment = tuple[int, int] | list[int]
fragments = st.one_of(
    st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
    st.lists(st.integers(0, 2**62), max_size=4),
)
chunks = st.lists(st.lists(fragments, max_size=12), max_size=6)
alike = st.integers(0, 70).flatmap(
    lambda n: st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=n, max_size=n), max_size=4)
)


def index_of(cells: list[list[Fragment]]) -> FragmentIndex:
    """Hold fragments, tuples for ranges and lists for lists of rows, in columns."""
    flat = [fragment for cell in cells for fragment in cell]
    lists = [[] if isinstance(each, tuple) else each for each in flat]
    list_starts = offsets_of(np.array([len(each) for each in lists], np.int64))
    return FragmentIndex(
        offsets=offsets_of(np.array([len(cell) for cell in cells], np.int64)),
        is_range=np.array([isinstance(each, tuple) for each in flat], np.bool_),
        starts=np.array([e[0] if isinstance(e, tuple) else list_starts[i] for i, e in enumerate(flat)], np.int64),
        counts=np.array([e[1] if isinstance(e, tuple) else len(e) for e in flat], np.int64),
        rows=np.array([row for each in lists for row in each], np.int64),
    )


def packed(cell: list[Fragment]) -> bytes:
    """Write one payload field by field, as the specification's table lists them."""
    ranges = [each for each in cell if isinstance(each, tuple)]
    lists = [each for each in cell if isinstance(each, list)]
    payload = struct.pack("<IHHII", 0x5A564647, 1, 0, len(cell), len(ranges))
    bitmap = sum(1 << place for place, each in enumerate(cell) if isinstance(each, tuple))
    payload += bitmap.to_bytes((len(cell) + 63) // 64 * 8, "little")
    payload += b"".join(struct.pack("<qq", *each) for each in ranges)
    ends = [sum(map(len, lists[:place])) for place in range(len(lists) + 1)]
    payload += struct.pack(f"<{len(ends)}I", *ends)
    return payload + b"".join(struct.pack("<q", row) for each in lists for row in each)


def same(one: FragmentIndex, other: FragmentIndex) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("offsets", "is_range", "starts", "counts", "rows")
    )


@given(st.one_of(chunks, alike))
def test_payloads_are_those_of_the_table_and_come_back(cells: list[list[Fragment]]) -> None:
    index = index_of(cells)
    payloads = split_flat(*encode_fragment_indexes(index))
    assert [bytes(each) for each in payloads] == [packed(cell) for cell in cells]
    assert same(decode_fragment_indexes(payloads), index)


@given(st.lists(fragments, min_size=1, max_size=80), st.data())
def test_taken_ranges_are_those_of_the_table(cell: list[Fragment], data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, len(cell) - 1), max_size=6))
    taken = take_ranges(packed(cell), np.array(numbers, np.int64))
    if all(isinstance(each, tuple) for each in cell):
        assert taken is not None
        assert [tuple(row) for row in taken.tolist()] == [cell[number] for number in numbers]
    else:
        assert taken is None


@given(st.integers(0, 39), st.integers(0, 255))
def test_no_ranges_are_taken_where_the_payload_or_the_numbers_are_wrong(place: int, value: int) -> None:
    payload = packed([(3, 4)])
    damaged = bytearray(payload)
    damaged[place] = value
    found = take_ranges(bytes(damaged), np.zeros(1, np.int64))
    if bytes(damaged) != payload and place < 24:  # the rest is the range, where any number may stand
        assert found is None
    for cut in (payload[:-1], payload[:8], b""):
        assert take_ranges(cut, np.zeros(1, np.int64)) is None
    for number in (-1, 1):
        assert take_ranges(payload, np.array([number])) is None


def test_a_hand_written_payload() -> None:
    payload = bytes.fromhex(
        "4746565a 0100 0000 03000000 02000000 0500000000000000"
        "0000000000000000 0400000000000000 0400000000000000 0100000000000000"
        "00000000 02000000 0700000000000000 0200000000000000"
    )
    assert packed([(0, 4), [7, 2], (4, 1)]) == payload
    index = decode_fragment_indexes([payload])
    assert index.is_range.tolist() == [True, False, True]
    assert index.starts.tolist() == [0, 0, 4]
    assert index.counts.tolist() == [4, 2, 1]
    assert index.rows.tolist() == [7, 2]


def test_explicit_fragments_may_share_and_reorder_their_slices() -> None:
    index = FragmentIndex(
        offsets=np.array([0, 2]),
        is_range=np.zeros(2, np.bool_),
        starts=np.array([1, 0]),
        counts=np.array([2, 2]),
        rows=np.array([5, 6, 7]),
    )
    (payload,) = split_flat(*encode_fragment_indexes(index))
    assert bytes(payload) == packed([[6, 7], [5, 6]])


def test_no_chunks() -> None:
    buffer, offsets = encode_fragment_indexes(index_of([]))
    assert buffer.size == 0
    assert offsets.tolist() == [0]
    assert same(decode_fragment_indexes([]), index_of([]))


@pytest.mark.parametrize("cell", [[(0, 4), [7, 2], (4, 1)], [(0, 2), (2, 3)], [[1]], []], ids=str)
def test_every_truncation_is_noticed(cell: list[Fragment]) -> None:
    payload = packed(cell)
    for length in range(len(payload)):
        with pytest.raises(ArrayError, match="fragment index 1 is damaged"):
            decode_fragment_indexes([packed([(0, 1)]), payload[:length]])
    with pytest.raises(ArrayError, match="damaged"):
        decode_fragment_indexes([payload + b"\0"])


@given(st.data())
def test_damage_raises_nothing_else(data: st.DataObject) -> None:
    payload = bytearray(packed([(0, 4), [7, 2], (4, 1), []]))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    twice = data.draw(st.booleans())
    try:
        index = decode_fragment_indexes([payload] * (1 + twice))
    except (ArrayError, UnsupportedFeatureError):
        return
    assert (index.counts >= 0).all()


def test_counts_are_compared_with_the_bytes_before_memory_is_taken() -> None:
    huge = struct.pack("<IHHII", 0x5A564647, 1, 0, 2**32 - 1, 2**32 - 1) + bytes(64)
    with pytest.raises(ArrayError, match="4294967295 fragments"):
        decode_fragment_indexes([huge])
    lists = struct.pack("<IHHII", 0x5A564647, 1, 0, 1, 0) + bytes(8) + struct.pack("<II", 0, 2**32 - 1)
    with pytest.raises(ArrayError, match="4294967295 listed rows"):
        decode_fragment_indexes([lists])


def test_damage_inside_the_tables_is_named() -> None:
    ranges = packed([(0, 3), (3, 3)])
    bad_bitmap = ranges[:16] + b"\1" + ranges[17:]
    with pytest.raises(ArrayError, match="its bitmap marks 1 ranges and its header says 2"):
        decode_fragment_indexes([bad_bitmap])
    with pytest.raises(ArrayError, match="fragment index 1 is damaged: fragment 0 is a range with start -1"):
        decode_fragment_indexes([ranges, packed([(-1, 3), (3, 3)])])
    with pytest.raises(ArrayError, match="do not ascend"):
        decode_fragment_indexes([packed([[1], [2]])[:28] + struct.pack("<II", 3, 2) + bytes(16)])
    with pytest.raises(ArrayError, match="lists row -5"):
        decode_fragment_indexes([packed([[-5]])])


def test_other_versions_and_flags_are_refused() -> None:
    with pytest.raises(UnsupportedFeatureError, match="version 2"):
        decode_fragment_indexes([struct.pack("<IHHII", 0x5A564647, 2, 0, 0, 0) + bytes(4)])
    with pytest.raises(UnsupportedFeatureError, match="flags 0x1"):
        decode_fragment_indexes([struct.pack("<IHHII", 0x5A564647, 1, 1, 0, 0) + bytes(4)])


def test_tiling_means_ranges_that_cover_every_row_once_in_order() -> None:
    rows = np.array([5, 2])
    assert index_of([[(0, 3), (3, 0), (3, 2)], [(0, 2)]]).tiles(rows)
    assert not index_of([[(0, 3), (3, 2)], [(0, 1)]]).tiles(rows)
    assert not index_of([[(2, 3), (0, 2)], [(0, 2)]]).tiles(rows)
    assert not index_of([[(0, 4), (3, 1)], [(0, 2)]]).tiles(rows)
    assert not index_of([[[0, 1, 2, 3, 4]], [(0, 2)]]).tiles(rows)
    assert index_of([[], [(0, 2)]]).tiles(np.array([0, 2]))
    assert index_of([]).tiles(np.zeros(0, np.int64))
