"""Cells that are taken apart many at a time give what each gives alone, and damage is found all the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding.fragment_index import decode_fragment_indexes
from zarr_vectors.encoding.links import permutation_codes, permutations_from_codes
from zarr_vectors.encoding.ragged import decode_ragged, encode_ragged, join_ragged
from zarr_vectors.exceptions import ArrayError

_ROWS = st.integers(0, 4).map(lambda n: bytes(range(8 * n)))
_BLOBS = st.one_of(st.just(b""), st.lists(_ROWS, min_size=1, max_size=3).map(encode_ragged))


@given(st.lists(_BLOBS, max_size=6))
def test_ragged_blobs_are_joined(blobs: list[bytes]) -> None:
    bodies = [bytes(decode_ragged(blob)) if blob else b"" for blob in blobs]
    rows, sizes = join_ragged(blobs)
    assert bytes(memoryview(rows)) == b"".join(bodies)
    assert sizes.tolist() == [len(body) for body in bodies]


@pytest.mark.parametrize("damage", [b"\2" + bytes(15), (1).to_bytes(8, "little"), (1).to_bytes(8, "little") * 2])
def test_a_damaged_blob_among_others_is_found(damage: bytes) -> None:
    with pytest.raises(ArrayError, match="ragged"):
        join_ragged([encode_ragged([bytes(16)]), damage])


def _ranges(counts: list[int]) -> bytes:
    """Return the payload of consecutive range fragments, built by hand from the specification."""
    bitmap = np.packbits(np.ones(len(counts), np.uint8), bitorder="little").tobytes()
    bitmap += bytes(-len(bitmap) % 8)
    table = np.stack([np.cumsum(counts) - counts, counts], axis=1).astype("<i8") if counts else np.zeros((0, 2), "<i8")
    header = np.array([0x5A564647], "<u4").tobytes() + np.array([1, 0], "<u2").tobytes()
    return header + np.array([len(counts)] * 2, "<u4").tobytes() + bitmap + table.tobytes() + bytes(4)


@given(st.lists(st.lists(st.integers(0, 9), max_size=140), min_size=2, max_size=5))
def test_ranges_of_many_chunks(chunks: list[list[int]]) -> None:
    index = decode_fragment_indexes([_ranges(counts) for counts in chunks])
    assert np.diff(index.offsets).tolist() == [len(counts) for counts in chunks]
    assert index.counts.tolist() == [n for counts in chunks for n in counts]
    assert index.starts.tolist() == [n for counts in chunks for n in (np.cumsum(counts) - counts).tolist()]
    assert index.is_range.all()


@pytest.mark.parametrize("place", [0, 4, 8, 16, -1])
def test_a_damaged_fragment_index_among_others_is_found(place: int) -> None:
    damaged = bytearray(_ranges([1, 2, 3]))
    damaged[place] ^= 0x55
    with pytest.raises(Exception, match="fragment index 1 "):
        decode_fragment_indexes([_ranges([5]), bytes(damaged)])


@pytest.mark.parametrize("width", [2, 3, 4])
def test_permutations_of_many_links(width: int) -> None:
    random = np.random.default_rng(width)
    wanted = np.argsort(random.random((200, width)), axis=1)
    assert np.array_equal(permutations_from_codes(permutation_codes(wanted), width), wanted)
