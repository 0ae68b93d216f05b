"""Manifests against blocks packed by hand, and damaged ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding.flat import join_flat, offsets_of, split_flat
from zarr_vectors.encoding.manifests import Manifests, decode_manifests, encode_manifests
from zarr_vectors.exceptions import ArrayError

Reference = tuple[tuple[int, ...], int]
Block = tuple[tuple[int, ...], int | range | list[int]]


def objects_of(ndim: int) -> st.SearchStrategy[list[list[Reference]]]:
    chunk = st.tuples(*[st.integers(-1, 1)] * ndim)
    return st.lists(st.lists(st.tuples(chunk, st.integers(0, 4)), max_size=7), max_size=6)


objects = st.integers(1, 4).flatmap(lambda ndim: st.tuples(st.just(ndim), objects_of(ndim)))


def manifests_of(rows: list[list[Reference]], ndim: int) -> Manifests:
    flat = [reference for row in rows for reference in row]
    return Manifests(
        offsets_of(np.array([len(row) for row in rows], np.int64)),
        np.array([chunk for chunk, _ in flat], np.int64).reshape(-1, ndim),
        np.array([fragment for _, fragment in flat], np.int64),
    )


def packed(blocks: list[Block]) -> bytes:
    """Write one manifest field by field, as the specification's table lists them."""
    written = struct.pack("<I", len(blocks))
    for chunk, what in blocks:
        written += struct.pack(f"<{len(chunk)}q", *chunk)
        if isinstance(what, int):
            written += struct.pack("<Bq", 0, what)
        elif isinstance(what, range):
            written += struct.pack("<Bqq", 1, what.start, len(what))
        else:
            written += struct.pack(f"<BI{len(what)}q", 2, len(what), *what)
    return written


def merged(row: list[Reference]) -> list[Block]:
    """Merge consecutive references into one chunk, one after another."""
    groups: list[tuple[tuple[int, ...], list[int]]] = []
    for chunk, fragment in row:
        if groups and groups[-1][0] == chunk:
            groups[-1][1].append(fragment)
        else:
            groups.append((chunk, [fragment]))
    blocks: list[Block] = []
    for chunk, numbers in groups:
        run = range(numbers[0], numbers[0] + len(numbers))
        blocks.append((chunk, numbers[0] if len(numbers) == 1 else run if numbers == list(run) else numbers))
    return blocks


def same(one: Manifests, other: Manifests) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Manifests.__slots__)


def decoded(payloads: list[bytes], ndim: int) -> Manifests:
    return decode_manifests(*join_flat(payloads), ndim)


@given(objects)
def test_manifests_are_those_of_the_table_and_come_back(case: tuple[int, list[list[Reference]]]) -> None:
    ndim, rows = case
    manifests = manifests_of(rows, ndim)
    buffer, offsets = encode_manifests(manifests)
    assert [bytes(each) for each in split_flat(buffer, offsets)] == [packed(row) for row in rows]
    assert same(decode_manifests(buffer, offsets, ndim), manifests)


@given(objects)
def test_merged_manifests_mean_the_same(case: tuple[int, list[list[Reference]]]) -> None:
    ndim, rows = case
    manifests = manifests_of(rows, ndim)
    buffer, offsets = encode_manifests(manifests, merge=True)
    assert [bytes(each) for each in split_flat(buffer, offsets)] == [packed(merged(row)) for row in rows]
    assert same(decode_manifests(buffer, offsets, ndim), manifests)


def test_hand_written_blocks_of_every_mode() -> None:
    payload = bytes.fromhex(
        "03000000"
        "ffffffffffffffff 0200000000000000 00 0500000000000000"
        "0000000000000000 0100000000000000 01 0300000000000000 0200000000000000"
        "0000000000000000 0000000000000000 02 03000000 0900000000000000 0900000000000000 0100000000000000"
    )
    manifests = decoded([payload, bytes(4)], 2)
    assert manifests.offsets.tolist() == [0, 6, 6]
    assert manifests.chunks.tolist() == [[-1, 2], [0, 1], [0, 1], [0, 0], [0, 0], [0, 0]]
    assert manifests.fragments.tolist() == [5, 3, 4, 9, 9, 1]


def test_runs_of_every_kind_side_by_side() -> None:
    rows: list[list[Block]] = [
        [((0,), range(2, 4)), ((1,), range(3))],
        [((0,), 7), ((1,), 8)],
        [],
        [((0,), 7), ((1,), range(2)), ((1,), [5, 5])],
        [((0,), range(0))],
        [((3,), [])],
    ]
    manifests = decoded([packed(row) for row in rows], 1)
    assert manifests.offsets.tolist() == [0, 5, 7, 7, 12, 12, 12]
    assert manifests.fragments.tolist() == [2, 3, 0, 1, 2, 7, 8, 7, 0, 1, 5, 5]
    assert manifests.chunks[:, 0].tolist() == [0, 0, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1]


def test_lengths_that_suit_one_mode_and_hold_others() -> None:
    blocks: list[Block] = [((0,), 7), ((1,), range(2)), ((2,), [])]
    rows = [packed([((0,), [4]), ((1,), 7)]), packed(blocks), packed([((0,), 1)])]
    assert decoded(rows, 1).fragments.tolist() == [4, 7, 7, 0, 1, 1]


@pytest.mark.parametrize("repeats", [1, 40])
@given(st.lists(st.sampled_from([7, range(1, 3), [5, 5, 1], []]), min_size=1, max_size=40))
def test_few_and_many_objects_of_mixed_blocks(repeats: int, kinds: list[int | range | list[int]]) -> None:
    blocks: list[Block] = [((place, 0), kind) for place, kind in enumerate(kinds)]
    manifests = decoded([packed(blocks)] * repeats, 2)
    numbers = [number for _, kind in blocks for number in ([kind] if isinstance(kind, int) else kind)]
    assert manifests.fragments.tolist() == numbers * repeats
    assert np.diff(manifests.offsets).tolist() == [len(numbers)] * repeats


def test_no_objects() -> None:
    nothing = manifests_of([], 3)
    for merge in (False, True):
        buffer, offsets = encode_manifests(nothing, merge=merge)
        assert offsets.tolist() == [0]
        assert same(decode_manifests(buffer, offsets, 3), nothing)


@pytest.mark.parametrize(
    "blocks",
    [
        [((1, 2), 3)],
        [((1, 2), range(3))],
        [((1, 2), [4, 1])],
        [((0, 0), [4, 1]), ((1, 1), 2), ((1, 2), range(3))],
        [],
    ],
    ids=str,
)
def test_every_truncation_is_noticed(blocks: list[Block]) -> None:
    payload, whole = packed(blocks), packed([((0, 0), 1)])
    for length in range(len(payload)):
        with pytest.raises(ArrayError, match="object row 1 is damaged"):
            decoded([whole, payload[:length], whole], 2)
        with pytest.raises(ArrayError, match="object row 0 is damaged"):
            decoded([payload[:length]] * 20, 2)
    with pytest.raises(ArrayError, match="object row 1 is damaged"):
        decoded([whole, payload + b"\0", whole], 2)


@given(st.data())
def test_damage_raises_nothing_else(data: st.DataObject) -> None:
    payload = bytearray(packed([((0, 0), [4, 1]), ((1, 1), 2), ((1, 2), range(3))]))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        manifests = decoded([bytes(payload)] * data.draw(st.sampled_from([1, 20])), 2)
    except ArrayError:
        return
    assert (manifests.fragments >= 0).all()


def test_ranges_without_measure_are_refused() -> None:
    with pytest.raises(ArrayError, match=r"more than \d+ fragments, too many for \d+ bytes"):
        decoded([packed([((0,), range(3))]), packed([((0,), range(2**31))])], 1)
    with pytest.raises(ArrayError, match="object row 0 is damaged: a block names an impossible fragment"):
        decoded([packed([((0,), range(2**40))])], 1)
    with pytest.raises(ArrayError, match="object row 1 is damaged: it names an impossible fragment"):
        decoded([packed([]), packed([((0,), -1)])], 1)
    with pytest.raises(ArrayError, match="object row 0 is damaged: it names an impossible fragment"):
        decoded([packed([((0,), [1, -1])])], 1)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ArrayError, match="mode other than"):
        decoded([struct.pack("<IqBq", 1, 0, 3, 0)], 1)
