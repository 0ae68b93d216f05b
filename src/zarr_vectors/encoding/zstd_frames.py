"""Many zstd frames decoded by one call.

A call of the library makes and drops a decompressor, which takes ten times as long as decoding a frame of a few hundred
bytes; frames that stand one after another are decoded with one (RFC 8878, 3: several frames may be concatenated).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numcodecs.zstd
import numpy as np

from zarr_vectors.encoding.flat import byte_view, gather, join_flat, offsets_of, split_flat
from zarr_vectors.typing import ByteArray, Bytes, IntArray

_MAGIC: Final = np.frombuffer(bytes.fromhex("28b52ffd"), np.uint8)
_HEAD: Final = 18
"""Bytes of the longest header of a frame."""
_SMALL: Final = 1 << 14
"""Decoded bytes below which, on average, frames are decoded together."""


def decode_together(frames: Sequence[Bytes], largest_ratio: int) -> list[memoryview] | None:
    """Decode many small frames.

    Parameters
    ----------
    frames : sequence of bytes-like
        Zstd frames.
    largest_ratio : int
        No frame decodes to more bytes for each of its own.

    Returns
    -------
    list of memoryview or None
        What each frame holds; None where that is better found out one by one: for large frames, those that do not
        state their size, damaged ones, and versions of numcodecs before 0.16, which decode the first frame only.
    """
    decoded = decode_flat(frames, largest_ratio)
    return None if decoded is None else split_flat(*decoded)


def decode_flat(frames: Sequence[Bytes], largest_ratio: int) -> tuple[ByteArray, IntArray] | None:
    """As :func:`decode_together`, with what the frames hold one after another, and where it starts and ends."""
    if len(frames) < 2 or sum(map(len, frames)) > _SMALL * len(frames):
        return None
    padded, offsets = join_flat([*frames, bytes(_HEAD)])
    offsets = offsets[:-1]
    heads = gather(padded, offsets[:-1], np.dtype(f"V{_HEAD}")).view(np.uint8).reshape(-1, _HEAD)
    sizes = _sizes_in(heads, np.diff(offsets), largest_ratio)
    if sizes is None or int(sizes.sum()) > _SMALL * len(frames):
        return None
    ends = offsets_of(sizes)
    decoded = np.empty(int(ends[-1]), np.uint8)
    try:
        numcodecs.zstd.decompress(byte_view(padded)[: int(offsets[-1])], decoded)
    except (RuntimeError, ValueError, MemoryError):
        return None
    return decoded, ends


def stated_sizes(frames: Sequence[Bytes], largest_ratio: int) -> IntArray | None:
    """Return how many bytes each of many frames states to hold; None where some do not, or state none or too many.

    Parameters
    ----------
    frames, largest_ratio
        As of :func:`decode_together`.
    """
    views = [byte_view(frame) for frame in frames]
    heads = b"".join([bytes(view[:_HEAD]).ljust(_HEAD, b"\0") for view in views])
    lengths = np.fromiter(map(len, views), np.int64, len(views))
    return _sizes_in(np.frombuffer(heads, np.uint8).reshape(-1, _HEAD), lengths, largest_ratio)


def _sizes_in(heads: ByteArray, lengths: IntArray, largest_ratio: int) -> IntArray | None:
    """Return the content sizes in the headers ``(n, 18)`` of frames (RFC 8878, 3.1.1.1)."""
    descriptors = heads[:, 4].astype(np.int64)
    single = descriptors >> 5 & 1
    widths = np.array([0, 2, 4, 8])[descriptors >> 6]
    widths[widths == 0] = single[widths == 0]
    starts = 6 - single + np.array([0, 1, 2, 4])[descriptors & 3]
    magic = (heads[:, :4] == _MAGIC).all(axis=1)
    if not (magic & (widths > 0) & (starts + widths <= lengths)).all():
        return None
    values = np.zeros((len(heads), 8), np.uint8)
    for width in np.unique(widths).tolist():
        rows = np.flatnonzero(widths == width)
        values[rows, :width] = heads[rows[:, None], starts[rows, None] + np.arange(width)]
    sizes: IntArray = values.view("<i8").reshape(-1) + 256 * (widths == 2)
    return sizes if ((sizes > 0) & (sizes <= largest_ratio * lengths)).all() else None
