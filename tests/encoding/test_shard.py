"""Shards, with zarr-python to compare with."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding.checksum import crc32c
from zarr_vectors.encoding.shard import EMPTY_CELL, decode_shard_index, encode_shard, shard_index_length
from zarr_vectors.exceptions import ArrayError

cells_of = st.lists(st.one_of(st.none(), st.binary(max_size=9)), min_size=1, max_size=9)


def cut(shard: bytes, n_cells: int, checksum: bool = True) -> list[bytes | None]:
    index = shard[-shard_index_length(n_cells, checksum) :]
    places = decode_shard_index(index, n_cells, len(shard), checksum=checksum).tolist()
    return [None if start == EMPTY_CELL else shard[start : start + size] for start, size in places]


@given(cells_of, st.booleans())
def test_shards_come_back(cells: list[bytes | None], checksum: bool) -> None:
    shard = b"".join(bytes(each) for each in encode_shard(cells, checksum=checksum))
    assert cut(shard, len(cells), checksum) == cells


def test_a_shard_worked_by_hand() -> None:
    index = struct.pack("<6Q", 0, 2, 2**64 - 1, 2**64 - 1, 2, 3)
    shard = b"ab" + b"cde" + index + struct.pack("<I", crc32c(index))
    assert b"".join(bytes(each) for each in encode_shard([b"ab", None, b"cde"])) == shard
    assert shard_index_length(3) == 52
    assert shard_index_length(3, checksum=False) == 48


def exchange(store: Any, ours: bytes | None) -> bytes:
    """Read the only shard of an array, or replace it."""
    prototype = zarr.core.buffer.default_buffer_prototype()

    async def run() -> bytes:
        if ours is not None:
            await store.set("c/0/0", prototype.buffer.from_bytes(ours))
        return bytes((await store.get("c/0/0", prototype)).to_bytes())

    return asyncio.run(run())


def test_zarr_reads_our_shards_and_we_read_its_own() -> None:
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(
        store, shape=(4, 4), chunks=(2, 2), shards=(4, 4), dtype="<i4", compressors=None, fill_value=0
    )
    array[:2, :2] = 7
    array[2:, :2] = 8
    cells = cut(exchange(store, None), 4)
    seven, eight = np.full(4, 7, "<i4").tobytes(), np.full(4, 8, "<i4").tobytes()
    assert cells == [seven, None, eight, None]
    exchange(store, b"".join(bytes(each) for each in encode_shard([None, eight, seven, None])))
    expected = np.zeros((4, 4), np.int32)
    expected[:2, 2:], expected[2:, :2] = 8, 7
    np.testing.assert_array_equal(array[:], expected)


@pytest.mark.parametrize("checksum", [True, False])
def test_every_truncation_of_an_index_is_noticed(checksum: bool) -> None:
    index = bytes(encode_shard([b"ab", None], checksum=checksum)[-1])
    for length in range(len(index)):
        with pytest.raises(ArrayError, match="index of a shard of 2 cells takes"):
            decode_shard_index(index[:length], 2, checksum=checksum)


def test_every_changed_byte_of_an_index_is_noticed() -> None:
    index = bytes(encode_shard([b"ab", None])[-1])
    for place in range(len(index)):
        damaged = bytearray(index)
        damaged[place] ^= 4
        with pytest.raises(ArrayError, match="checksum"):
            decode_shard_index(damaged, 2)


@pytest.mark.parametrize(
    "pairs",
    [(0, 6), (6, 0), (5, 1), (EMPTY_CELL, 1), (0, EMPTY_CELL), (EMPTY_CELL - 1, 2), (2, EMPTY_CELL - 1)],
    ids=str,
)
def test_cells_outside_the_shard_are_noticed(pairs: tuple[int, int]) -> None:
    index = struct.pack("<4Q", 0, 5, *pairs)
    with pytest.raises(ArrayError, match="cell 1 is"):
        decode_shard_index(index, 2, shard_size=5 + len(index), checksum=False)
