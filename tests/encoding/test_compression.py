"""Codec documents and the pipelines that run them."""

from __future__ import annotations

import asyncio
import gzip
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from zarr_vectors.encoding.checksum import crc32c
from zarr_vectors.encoding.compression import Pipeline, resolve_compressor
from zarr_vectors.exceptions import ArgumentError, ArrayError, UnsupportedFeatureError

ACCEPTED: list[Any] = [
    None,
    "none",
    "auto",
    "zstd",
    "zstd:3",
    "zstd:-5",
    "blosc",
    "blosc:9",
    "lz4",
    "gzip:1",
    {"name": "zstd", "configuration": {"level": 2, "checksum": True}},
    {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "bitshuffle"}},
    {"name": "crc32c"},
    ["zstd", {"name": "crc32c"}],
    ZstdCodec(level=4),
    BloscCodec(cname="zstd", shuffle="shuffle"),
    GzipCodec(level=2),
    [GzipCodec(level=2), "zstd"],
    numcodecs.Zstd(level=3),
    numcodecs.Blosc(cname="lz4", clevel=3, shuffle=numcodecs.Blosc.BITSHUFFLE),
    numcodecs.GZip(level=3),
]
PIPELINES = [resolve_compressor(each, itemsize=4) for each in ACCEPTED]
PIPELINES += [[{"name": f"numcodecs.{name}", "configuration": {}}] for name in ("zlib", "lz4", "bz2", "fletcher32")]


@pytest.mark.parametrize("documents", PIPELINES, ids=str)
@given(data=st.one_of(st.binary(min_size=1, max_size=300), st.integers(1, 5000).map(bytes)))
def test_a_pipeline_gives_back_what_it_was_given(documents: list[dict[str, Any]], data: bytes) -> None:
    pipeline = Pipeline.from_documents(documents)
    encoded = pipeline.encode(data)
    assert pipeline.decode(encoded) == data
    assert pipeline.decode(np.frombuffer(encoded, np.uint8), len(data)) == data
    assert pipeline.decoded_size(encoded) in (len(data), None)


@pytest.mark.parametrize("documents", [each for each in PIPELINES if "numcodecs" not in str(each)], ids=str)
def test_nothing_stays_nothing(documents: list[dict[str, Any]]) -> None:
    pipeline = Pipeline.from_documents(documents)
    for nothing in (b"", np.zeros(0, np.uint8)):
        encoded = pipeline.encode(nothing)
        assert bytes(pipeline.decode(encoded, 0)) == b""
        for length in range(1, len(encoded)):
            with pytest.raises(ArrayError):
                pipeline.decode(encoded[:length], 0)


@pytest.mark.parametrize("documents", [PIPELINES[2], PIPELINES[4], PIPELINES[13]], ids=str)
def test_sizes_are_known_from_headers(documents: list[dict[str, Any]]) -> None:
    pipeline = Pipeline.from_documents(documents)
    for size in (0, 1, 255, 256, 257, 65_535, 65_791, 65_792, 300_000):
        assert pipeline.decoded_size(pipeline.encode(bytes(size))) == size


@pytest.mark.parametrize("documents", [each for each in PIPELINES if "fletcher" not in str(each)], ids=str)
def test_zarr_reads_what_a_pipeline_wrote_and_the_reverse(documents: list[dict[str, Any]]) -> None:
    store = zarr.storage.MemoryStore()
    values = np.random.default_rng(0).integers(0, 9, 1000).astype("<i4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)
        array = zarr.create_array(store, shape=1000, dtype="<i4", compressors=_zarr_codecs(documents))
        array[:] = values
        pipeline = Pipeline.from_documents(documents)
        stored = asyncio.run(_get(store, "c/0"))
        assert pipeline.decode(stored) == values.tobytes()
        asyncio.run(_set(store, "c/0", pipeline.encode(values[::-1].copy())))
        np.testing.assert_array_equal(array[:], values[::-1])


def _zarr_codecs(documents: list[dict[str, Any]]) -> list[Any]:
    return [zarr.registry.get_codec_class(each["name"]).from_dict(each) for each in documents]


async def _get(store: Any, key: str) -> bytes:
    found = await store.get(key, zarr.core.buffer.default_buffer_prototype())
    return bytes(found.to_bytes())


async def _set(store: Any, key: str, data: bytes) -> None:
    await store.set(key, zarr.core.buffer.default_buffer_prototype().buffer.from_bytes(data))


def test_documents_are_those_of_zarr() -> None:
    assert resolve_compressor("zstd:3") == [ZstdCodec(level=3).to_dict()]
    assert resolve_compressor("gzip") == [GzipCodec(level=5).to_dict()]
    expected = BloscCodec(typesize=4, cname="lz4", clevel=5, shuffle="shuffle").to_dict()
    assert resolve_compressor("lz4", itemsize=4) == [expected]


def test_the_default_shuffles_numbers_and_not_bytes() -> None:
    assert resolve_compressor("auto") == [{"name": "zstd", "configuration": {"level": 1, "checksum": False}}]
    (document,) = resolve_compressor("auto", itemsize=8)
    assert document["name"] == "blosc"
    assert document["configuration"]["typesize"] == 8
    assert document["configuration"]["shuffle"] == "shuffle"


def test_a_codec_object_without_an_item_size_takes_that_of_the_array() -> None:
    (document,) = resolve_compressor(BloscCodec(cname="zstd", shuffle="shuffle"), itemsize=4)
    assert document["configuration"]["typesize"] == 4
    (document,) = resolve_compressor(BloscCodec(typesize=2, shuffle="shuffle"), itemsize=4)
    assert document["configuration"]["typesize"] == 2


@pytest.mark.parametrize(
    "refused",
    [
        *("snappy", "zstd:99", "zstd:x", "auto:1", "none:1", "gzip:10", 3, b"zstd", {"level": 3}, [7]),
        {"name": "made_up"},
        {"name": "zstd", "configuration": {"speed": 1}},
        {"name": "blosc", "configuration": {"cname": "made_up"}},
    ],
    ids=str,
)
def test_what_is_no_compressor_is_refused_by_name(refused: Any) -> None:
    with pytest.raises(ArgumentError, match="compressor"):
        resolve_compressor(refused)


def test_a_refusal_names_what_is_accepted() -> None:
    with pytest.raises(ArgumentError, match=r"'snappy' is not known; use one of 'auto', 'none', 'zstd'"):
        resolve_compressor("snappy")


def test_an_unknown_codec_of_a_store_is_named() -> None:
    with pytest.raises(UnsupportedFeatureError, match=r"'vendor\.magic' is not known"):
        Pipeline.from_documents([{"name": "vendor.magic"}])
    with pytest.raises(UnsupportedFeatureError, match="'zstd' cannot be set up"):
        Pipeline.from_documents([{"name": "zstd", "configuration": {"made_up": 1}}])


@pytest.mark.parametrize("documents", [each for each in PIPELINES if each], ids=str)
def test_every_truncation_is_noticed(documents: list[dict[str, Any]]) -> None:
    pipeline = Pipeline.from_documents(documents)
    whole = np.arange(40, dtype="<i4").tobytes()
    encoded = pipeline.encode(whole)
    for length in range(len(encoded)):
        with pytest.raises(ArrayError):
            pipeline.decode(encoded[:length], len(whole))


@pytest.mark.parametrize("documents", PIPELINES, ids=str)
@given(data=st.data())
def test_damage_raises_nothing_else(documents: list[dict[str, Any]], data: st.DataObject) -> None:
    pipeline = Pipeline.from_documents(documents)
    whole = np.arange(400, dtype="<i4").tobytes()
    damaged = bytearray(pipeline.encode(whole))
    place = data.draw(st.integers(0, min(len(damaged), 60) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    with suppress(ArrayError):
        assert len(pipeline.decode(damaged, len(whole), limit=10_000)) == len(whole)


def test_a_checksum_catches_every_changed_byte() -> None:
    pipeline = Pipeline.from_documents([{"name": "crc32c"}])
    encoded = pipeline.encode(b"points")
    assert encoded == b"points" + crc32c(b"points").to_bytes(4, "little")
    for place in range(len(encoded)):
        damaged = bytearray(encoded)
        damaged[place] ^= 1
        with pytest.raises(ArrayError, match="checksum"):
            pipeline.decode(damaged)


@pytest.mark.parametrize("name", ["none", "zstd", "blosc", "gzip"])
def test_a_limit_is_kept(name: str) -> None:
    pipeline = Pipeline.from_documents(resolve_compressor(name))
    encoded = pipeline.encode(bytes(1000))
    assert pipeline.decode(encoded, limit=1000) == bytes(1000)
    with pytest.raises(ArrayError, match="999"):
        pipeline.decode(encoded, limit=999)
    with pytest.raises(ArrayError, match="1000 bytes"):
        pipeline.decode(encoded, 1001)


def test_a_size_that_no_frame_can_hold_is_refused_before_memory_is_taken() -> None:
    frame = (0xFD2FB528).to_bytes(4, "little") + bytes([0xE0]) + (2**60).to_bytes(8, "little") + bytes(3)
    pipeline = Pipeline.from_documents(resolve_compressor("zstd"))
    for ask in (pipeline.decoded_size, pipeline.decode):
        with pytest.raises(ArrayError, match="cannot decode"):
            ask(frame)


def test_gzip_members_follow_one_another() -> None:
    pipeline = Pipeline.from_documents(resolve_compressor("gzip"))
    assert pipeline.decode(gzip.compress(b"first ") + gzip.compress(b"second")) == b"first second"


def test_generic_codecs_are_those_of_numcodecs() -> None:
    pipeline = Pipeline.from_documents([{"name": "numcodecs.zlib", "configuration": {"level": 2}}])
    assert zlib.decompress(pipeline.encode(b"rows" * 9)) == b"rows" * 9


def test_threads_share_a_pipeline() -> None:
    random = np.random.default_rng(0)
    cells = [random.integers(0, 5, 20_000).astype("<i4").tobytes() for _ in range(24)]
    pipeline = Pipeline.from_documents(resolve_compressor("auto", itemsize=4))
    with ThreadPoolExecutor(4) as pool:
        encoded = list(pool.map(pipeline.encode, cells))
        assert list(pool.map(pipeline.decode, encoded)) == cells
    assert encoded == [pipeline.encode(cell) for cell in cells]


def test_crc32c_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytearray(32)) == 0x8A9136AA
    assert crc32c(memoryview(b"\xff" * 32)) == 0x62A8AB43
    assert crc32c(np.arange(32, dtype=np.uint8)) == 0x46DD794E
    assert crc32c(b"") == 0
