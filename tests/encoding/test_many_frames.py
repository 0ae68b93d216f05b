"""Frames that are decoded many at a time give what each gives alone, and damage is found all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding import zstd_frames
from zarr_vectors.encoding.codecs import LARGEST_RATIO, BloscCodec
from zarr_vectors.encoding.compression import Pipeline, resolve_compressor
from zarr_vectors.encoding.ragged import frame_cell, unframe_cell, unframe_cells
from zarr_vectors.exceptions import ArrayError

COMPRESSORS = ["zstd", "zstd:19", "auto", "blosc", "lz4", "gzip", None, ["zstd", {"name": "crc32c"}]]
LENGTHS = [1, 2, 255, 256, 257, 65_791, 65_792, 200_000]


def _pipeline(compressor: Any, itemsize: int = 8) -> Pipeline:
    return Pipeline.from_documents(resolve_compressor(compressor, itemsize=itemsize))


def _cells(lengths: list[int]) -> list[bytes]:
    random = np.random.default_rng(sum(lengths))
    return [random.integers(0, 4, length, np.uint8).tobytes() for length in lengths]


@pytest.mark.parametrize("compressor", COMPRESSORS, ids=str)
@pytest.mark.parametrize("lengths", [[], [5], [8] * 40, [1, 40, 3000, 40], LENGTHS], ids=len)
def test_cells_come_back(compressor: Any, lengths: list[int]) -> None:
    pipeline, cells = _pipeline(compressor), _cells(lengths)
    frames = [pipeline.encode(cell) for cell in cells]
    assert [bytes(memoryview(cell)) for cell in pipeline.decode_many(frames)] == cells  # type: ignore[arg-type]
    stated = pipeline.decoded_sizes(frames)
    assert (stated is None) == (compressor == "gzip" and bool(lengths))
    assert stated is None or stated.tolist() == lengths


def test_small_frames_are_decoded_by_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, cells = _pipeline("zstd"), _cells([30, 5000, 8, 300, 70_000])
    calls: list[int] = []
    decompress = zstd_frames.numcodecs.zstd.decompress
    monkeypatch.setattr(
        zstd_frames.numcodecs.zstd, "decompress", lambda *given: (calls.append(len(given)), decompress(*given))[1]
    )
    assert list(map(bytes, pipeline.decode_many([pipeline.encode(cell) for cell in cells]))) == cells
    assert calls == [2]


@pytest.mark.parametrize("itemsize", [1, 2, 4, 8, 12])
@pytest.mark.parametrize("shuffle", ["noshuffle", "shuffle", "bitshuffle"])
@pytest.mark.parametrize("cname", ["zstd", "lz4"])
def test_blosc_frames_come_back(cname: str, shuffle: str, itemsize: int) -> None:
    settings = {"cname": cname, "clevel": 1, "shuffle": shuffle, "typesize": itemsize, "blocksize": 0}
    pipeline = _pipeline({"name": "blosc", "configuration": settings})
    cells = _cells([1, 7, 8, 130, 200, 201, 1000, 4096, 4097, 60_000])
    assert list(map(bytes, pipeline.decode_many([pipeline.encode(cell) for cell in cells]))) == cells


def test_small_blosc_frames_are_decoded_by_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, cells = _pipeline("auto"), _cells([304, 8, 2000, 400, 70_000])
    frames = [pipeline.encode(cell) for cell in cells]
    one_by_one: list[int] = []
    decode = BloscCodec.decode
    monkeypatch.setattr(
        BloscCodec, "decode", lambda codec, data, limit: (one_by_one.append(len(data)), decode(codec, data, limit))[1]
    )
    assert list(map(bytes, pipeline.decode_many(frames))) == cells
    assert one_by_one == [len(frames[-1])]


@given(st.lists(st.integers(1, 400), min_size=2, max_size=6), st.data())
def test_damage_among_blosc_frames_is_found_or_is_that_of_one(lengths: list[int], data: st.DataObject) -> None:
    pipeline = _pipeline("auto")
    frames = [pipeline.encode(cell) for cell in _cells(lengths)]
    which = data.draw(st.integers(0, len(frames) - 1))
    damaged = bytearray(frames[which])
    damaged[data.draw(st.integers(0, min(27, len(damaged) - 1)))] ^= 1 << data.draw(st.integers(0, 7))
    frames[which] = bytes(damaged)
    try:
        wanted = [bytes(pipeline.decode(frame)) for frame in frames]
    except ArrayError:
        with pytest.raises(ArrayError):
            pipeline.decode_many(frames)
    else:
        assert list(map(bytes, pipeline.decode_many(frames))) == wanted


@given(st.lists(st.integers(1, 400), min_size=2, max_size=6), st.data())
def test_damage_among_many_frames_is_found_or_is_that_of_one(lengths: list[int], data: st.DataObject) -> None:
    pipeline = _pipeline([{"name": "zstd", "configuration": {"level": 1, "checksum": True}}])
    frames = [pipeline.encode(cell) for cell in _cells(lengths)]
    which = data.draw(st.integers(0, len(frames) - 1))
    damaged = bytearray(frames[which])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    frames[which] = bytes(damaged)
    try:
        wanted = [bytes(pipeline.decode(frame)) for frame in frames]
    except ArrayError:
        with pytest.raises(ArrayError):
            pipeline.decode_many(frames)
    else:
        assert list(map(bytes, pipeline.decode_many(frames))) == wanted


def test_frames_that_state_no_size_or_too_much_are_left_alone() -> None:
    frame = _pipeline("zstd").encode(bytes(300))
    silent = bytes.fromhex("28b52ffd 00 58 190000 616263")  # no content size; a window; one raw block of 3 bytes
    swollen = bytearray(frame)
    swollen[4], swollen[5:7] = 0xA0, (0xFFFFFFF0).to_bytes(4, "little")
    for other in (silent, bytes(swollen), b"", frame[:5], b"none of zstd's frames"):
        assert zstd_frames.decode_together([frame, other], LARGEST_RATIO) is None
        assert zstd_frames.stated_sizes([frame, other], LARGEST_RATIO) is None


def test_an_old_library_that_decodes_one_frame_only_is_asked_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    decompress = zstd_frames.numcodecs.zstd.decompress

    def first_only(source: Any, target: Any = None) -> Any:
        if target is not None:
            raise RuntimeError("Zstd decompression error: b'Destination buffer is too small'")
        return decompress(source)

    monkeypatch.setattr(zstd_frames.numcodecs.zstd, "decompress", first_only)
    pipeline, cells = _pipeline("zstd"), _cells([30, 50, 8])
    assert list(map(bytes, pipeline.decode_many([pipeline.encode(cell) for cell in cells]))) == cells


def test_payloads_of_many_cells() -> None:
    cells = [frame_cell(payload) for payload in (b"abc", b"", bytes(1000))]
    assert list(map(bytes, unframe_cells(cells))) == [bytes(unframe_cell(cell)) for cell in cells]
    for damaged in (b"\1\0\0\0\2\0\0\0a", b"\2\0\0\0\1\0\0\0a", b"\1\0\0"):
        with pytest.raises(ArrayError, match="cell is damaged"):
            unframe_cells([*cells, damaged])
