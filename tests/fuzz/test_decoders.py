"""Decoders of payloads on damaged input: an answer or a documented error, in bounded time and memory."""

from __future__ import annotations

import random
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zarr_vectors.encoding import codecs, fragment_index, manifests, ragged
from zarr_vectors.encoding.compression import Pipeline, resolve_compressor
from zarr_vectors.exceptions import ArgumentError, ArrayError, ZarrVectorsError
from zarr_vectors.storage.dense import encode_dense
from zarr_vectors.storage.documents import parse_document
from zarr_vectors.testing.fuzz.decoders import DECODERS
from zarr_vectors.testing.fuzz.mutation import dump, mutate_bytes, mutate_document
from zarr_vectors.testing.fuzz.running import Campaign, OvertimeError, deadline

ALLOWANCE = 160 << 20
"""Bytes that any small input may take: what every decoder needs for itself."""


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a decoder and a payload that was valid before it was changed."""
    name = draw(st.sampled_from(sorted(DECODERS)))
    data = draw(st.sampled_from(DECODERS[name][1]))
    rng = random.Random(draw(st.integers(0, 2**32)))
    if data.startswith(b"{") and draw(st.booleans()):
        return name, dump(mutate_document(parse_document(data, name), rng))
    return name, mutate_bytes(data, rng)


def decode(name: str, data: bytes) -> None:
    try:
        with deadline(10):
            DECODERS[name][0](data)
    except ZarrVectorsError:
        pass


@given(damaged())
@settings(max_examples=1500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_damaged_payloads(case: tuple[str, bytes]) -> None:
    decode(*case)


@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=200))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_any_bytes(name: str, data: bytes) -> None:
    decode(name, data)


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_valid_payloads_are_decoded(name: str) -> None:
    function, valid = DECODERS[name]
    if "metadata" not in name:  # documents are of several kinds, each right for one reader
        for data in valid:
            function(data)


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_memory_is_bounded(name: str) -> None:
    rng = random.Random(name)
    _, valid = DECODERS[name]
    for data in valid:
        decode(name, data)  # what is imported or set up on first use does not count
    tracemalloc.start()
    try:
        for _ in range(25):
            data = rng.choice(valid)
            changed = bytearray(mutate_bytes(data, rng))
            if len(changed) >= 8:
                place = rng.randrange(0, len(changed) - 7, 4)
                changed[place : place + 8] = rng.choice((2**60, 2**31, 2**40, 2**63)).to_bytes(8, "little")
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            decode(name, bytes(changed))
            assert tracemalloc.get_traced_memory()[1] - before < ALLOWANCE + codecs.LARGEST_RATIO * len(changed)
    finally:
        tracemalloc.stop()


def header(count: int, ranges: int) -> bytes:
    return fragment_index.FRAGMENT_INDEX_MAGIC.to_bytes(4, "little") + b"\1\0\0\0" + (
        count.to_bytes(4, "little") + ranges.to_bytes(4, "little")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("fragment index", header(2**32 - 1, 2**32 - 1)),
        ("fragment index", header(2**32 - 1, 0) + bytes(64)),
        ("manifests", (2**32 - 1).to_bytes(4, "little") + bytes(64)),
        ("manifests", b"\1\0\0\0" + bytes(24) + b"\2" + (2**32 - 1).to_bytes(4, "little") + bytes(8)),
        ("manifests", b"\1\0\0\0" + bytes(24) + b"\1" + bytes(8) + (2**32).to_bytes(8, "little")),
        ("ragged", (2**60).to_bytes(8, "little") + bytes(64)),
        ("vlen", (2**32 - 1).to_bytes(4, "little") + bytes(64)),
        ("cell", b"\1\0\0\0" + (2**32 - 1).to_bytes(4, "little") + bytes(8)),
        (
            "blosc",
            b"\2\1\x31\1" + (2**31 - 20).to_bytes(4, "little") + bytes(4) + (40).to_bytes(4, "little") + bytes(24),
        ),
        ("dense blosc", b"\2\1\x31\1" + (2**31 - 20).to_bytes(4, "little") + bytes(4) + b"\x28\0\0\0" + bytes(24)),
        ("zstd", b"\x28\xb5\x2f\xfd\xe0" + (2**60).to_bytes(8, "little") + b"\1\0\0"),
        ("dense zstd", b"\x28\xb5\x2f\xfd\xe0" + (2**60).to_bytes(8, "little") + b"\1\0\0"),
        ("numcodecs.lz4", (2**31 - 1).to_bytes(4, "little") + bytes(16)),
    ],
)
def test_counts_that_lie_take_no_memory(name: str, data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ArrayError):
            DECODERS[name][0](data)
        assert tracemalloc.get_traced_memory()[1] < ALLOWANCE
    finally:
        tracemalloc.stop()


def dense_document(**changed: Any) -> bytes:
    data = encode_dense("array", np.zeros((12, 2)), chunks=(12, 2))[0][1]
    return dump({**parse_document(data, "zarr.json"), **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"shape": [10**12, 2]},
        {"shape": [2, 10**12]},
        {"shape": [10**18, 10**18]},
        {"shape": [10**12, 2], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**12, 2]}}},
        {"shape": [12, 2], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 0]}}},
        {"codecs": [{"name": "numcodecs.pickle"}]},
        {"codecs": [{"name": "pickle"}]},
        {"data_type": "object"},
        {"data_type": {"name": "fixed_length_utf32", "configuration": {"length_bytes": 2**40}}},
    ],
)
def test_documents_that_lie_take_no_memory(changed: dict[str, Any]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ZarrVectorsError):
            DECODERS["dense metadata"][0](dense_document(**changed))
        assert tracemalloc.get_traced_memory()[1] < ALLOWANCE
    finally:
        tracemalloc.stop()


def test_decompression_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (codecs, __import__("zarr_vectors.encoding.compression", fromlist=["x"])):
        monkeypatch.setattr(module, "DECODED_LIMIT", 1000)
    for name in ("zstd", "blosc", "gzip", [{"id": "lz4"}], [{"id": "bz2"}], ["gzip", "zstd"], ["zstd", "gzip"]):
        pipeline = Pipeline.from_documents(resolve_compressor(name))
        assert len(pipeline.decode(pipeline.encode(bytes(1000)))) == 1000
        with pytest.raises(ArrayError, match=r"1001 bytes where at most 1000 are allowed"):
            pipeline.decode(pipeline.encode(bytes(1001)))


def test_sizes_beyond_32_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ragged, "ITEM_LIMIT", 20)
    monkeypatch.setattr(fragment_index, "_OFFSET_LIMIT", 3)
    monkeypatch.setattr(manifests, "_COUNT_LIMIT", 3)
    assert len(ragged.frame_cell(bytes(20))) == 28
    with pytest.raises(ArgumentError, match="21 bytes and a cell holds 20; use smaller chunks"):
        ragged.frame_cell(bytes(21))
    with pytest.raises(ArgumentError, match="21 items or bytes of an item do not fit"):
        ragged.frame_vlen(np.zeros(21, np.uint8), np.array([0, 21]))
    for explicit in (False, True):
        zeros = np.zeros(4, np.int64)
        table = fragment_index.FragmentIndex(np.array([0, 4]), np.full(4, not explicit), zeros, zeros, zeros[:0])
        with pytest.raises(ArgumentError, match="a chunk has 4 fragments and the format counts up to 3"):
            fragment_index.encode_fragment_indexes(table)
    objects = manifests.Manifests(np.array([0, 1, 5]), np.zeros((5, 3), np.int64), np.array([0, 9, 3, 5, 4]))
    for merge in (False, True):
        with pytest.raises(ArgumentError, match="4 fragments and the format counts up to 3"):
            manifests.encode_manifests(objects, merge=merge)


def test_a_campaign_finds_what_is_wrong() -> None:
    campaign = Campaign()
    campaign.payload("sound", b"12", len)
    assert not campaign.faults
    campaign.payload("broken", b"x", int)
    assert "1 × ValueError" in campaign.summary()
    with pytest.raises(OvertimeError), deadline(0.01):
        time.sleep(9)
