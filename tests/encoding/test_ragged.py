"""Cells, ``vlen-bytes`` chunks and ragged link blobs, with zarr-python and numcodecs to compare with."""

from __future__ import annotations

import asyncio
import struct
import warnings

import numcodecs.vlen
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding.flat import join_flat, split_flat
from zarr_vectors.encoding.ragged import (
    decode_ragged,
    encode_ragged,
    frame_cell,
    frame_vlen,
    unframe_cell,
    unframe_vlen,
)
from zarr_vectors.exceptions import ArgumentError, ArrayError

items = st.one_of(
    st.lists(st.binary(max_size=9), max_size=9),
    st.integers(0, 5).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), max_size=5)),
)


def framed(strings: list[bytes]) -> bytes:
    return struct.pack("<I", len(strings)) + b"".join(struct.pack("<I", len(each)) + each for each in strings)


def unframed(data: bytes) -> list[bytes]:
    return [bytes(each) for each in split_flat(*unframe_vlen(data))]


@given(items)
def test_chunks_of_byte_strings_are_packed_as_specified_and_come_back(strings: list[bytes]) -> None:
    data = bytes(frame_vlen(*join_flat(strings)))
    assert data == framed(strings)
    assert unframed(data) == strings


@given(items)
def test_numcodecs_agrees(strings: list[bytes]) -> None:
    if strings:
        assert unframed(numcodecs.vlen.VLenBytes().encode(np.array([*strings, None], object)[:-1])) == strings


def test_a_part_of_a_flat_list_is_framed() -> None:
    buffer, offsets = join_flat([b"a", b"bc", b"def"])
    assert bytes(frame_vlen(buffer, offsets[1:])) == framed([b"bc", b"def"])


def test_zarr_reads_our_cells_and_we_read_its_own() -> None:
    store = zarr.storage.MemoryStore()
    payload = np.arange(5, dtype="<i8").tobytes()
    prototype = zarr.core.buffer.default_buffer_prototype()

    async def exchange(ours: bytes) -> bytes:
        found = await store.get("c/1", prototype)
        await store.set("c/0", prototype.buffer.from_bytes(ours))
        return bytes(found.to_bytes())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.create_array(
            store, shape=(2,), chunks=(1,), dtype="variable_length_bytes", compressors=None, fill_value=b""
        )
        array[1:] = np.array([payload, None], object)[:1]
        stored = asyncio.run(exchange(frame_cell(payload[::-1])))
        assert bytes(unframe_cell(stored)) == payload
        assert array[:].tolist() == [payload[::-1], payload]


@given(st.binary(max_size=40))
def test_cells_are_framed_by_eight_bytes(payload: bytes) -> None:
    cell = frame_cell(payload)
    assert cell == struct.pack("<II", 1, len(payload)) + payload
    assert frame_cell(np.frombuffer(payload, np.uint8)) == cell
    assert bytes(unframe_cell(cell)) == payload
    for length in range(len(cell)):
        with pytest.raises(ArrayError, match="a cell is damaged"):
            unframe_cell(cell[:length])


def test_a_cell_of_several_items_or_with_more_bytes_is_refused() -> None:
    with pytest.raises(ArrayError, match="states 2 items"):
        unframe_cell(framed([b"a", b"b"]))
    with pytest.raises(ArrayError, match="first of 1 bytes, and 2 bytes follow"):
        unframe_cell(framed([b"a"]) + b"b")


def test_a_payload_of_four_gibibytes_is_refused() -> None:
    huge = np.broadcast_to(np.zeros(1, np.uint8), 2**32)
    with pytest.raises(ArgumentError, match="use smaller chunks"):
        frame_vlen(huge, np.array([0, 2**32]))


@pytest.mark.parametrize("strings", [[b"abc"], [b"ab", b"cd"], [b"a", b"", b"cde"], []], ids=str)
def test_every_truncation_is_noticed(strings: list[bytes]) -> None:
    data = framed(strings)
    for length in range(len(data)):
        with pytest.raises(ArrayError, match="vlen-bytes"):
            unframe_vlen(data[:length])
    with pytest.raises(ArrayError, match="vlen-bytes"):
        unframe_vlen(data + b"\0")


@given(st.data())
def test_damage_raises_nothing_else(data: st.DataObject) -> None:
    strings = data.draw(items)
    damaged = bytearray(framed(strings))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = unframed(bytes(damaged))
    except ArrayError:
        return
    assert framed(found) == bytes(damaged)


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_ragged_blobs_start_with_the_place_of_every_group(groups: list[bytes]) -> None:
    starts = [sum(map(len, groups[:place])) for place in range(len(groups))]
    blob = encode_ragged(groups)
    assert blob == struct.pack(f"<{len(groups) + 1}q", len(groups), *starts) + b"".join(groups)
    assert bytes(decode_ragged(blob)) == b"".join(groups)


def test_truncated_headers_of_ragged_blobs_are_noticed() -> None:
    blob = encode_ragged([b"", b""])
    for length in range(len(blob)):
        with pytest.raises(ArrayError, match="a ragged link cell is damaged"):
            decode_ragged(blob[:length])
    with pytest.raises(ArrayError, match="a ragged link cell is damaged"):
        decode_ragged(encode_ragged([b"12345678", b"1"])[:-2])


@pytest.mark.parametrize("header", [(-1,), (2**62,), (1, 4), (2, 0, 9), (2, 4, 0), (0, 5)], ids=str)
def test_headers_that_do_not_fit_are_refused(header: tuple[int, ...]) -> None:
    with pytest.raises(ArrayError, match="a ragged link cell is damaged"):
        decode_ragged(struct.pack(f"<{len(header)}q", *header) + b"\0\0\0")
