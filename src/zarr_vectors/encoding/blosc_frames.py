"""Many small blosc frames decoded together, where blosc would make and drop a zstd decompressor for each.

A frame that is one zstd block consists of a header of 16 bytes (u8 version, u8 compressor version, u8 flags, u8 item
size, u32 decoded bytes, u32 block size, u32 bytes of the frame), u32 where the block starts, u32 bytes of its zstd
frame, and that; under flag 1 the decoded bytes are the first byte of every item, then the second of every item, and so
on (c-blosc 1.x, README_CHUNK_FORMAT).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from zarr_vectors.encoding.flat import byte_view, split_flat
from zarr_vectors.encoding.zstd_frames import decode_flat
from zarr_vectors.typing import BoolArray, ByteArray, Bytes, IntArray

_HEAD: Final = 16
_BLOCK_HEAD: Final = 24
"""Bytes before the zstd frame of a frame of one block."""
_KIND: Final = bytes([2, 1])
"""Version of the format, and of what zstd's blocks are."""
_ZSTD: Final = 0x90
"""Flags of frames that zstd packed, in blocks that are not split."""
_SHUFFLED: Final = 0x01
_COPIED: Final = 0x02
_SMALL: Final = 1 << 12
"""Decoded bytes above which blosc, which unshuffles faster, takes no longer."""


def decode_small(frames: Sequence[Bytes], largest_ratio: int) -> list[Bytes | None] | None:
    """Decode those of many frames that are one small zstd block, or hold their bytes as they are.

    Parameters
    ----------
    frames : sequence of bytes-like
        Blosc frames.
    largest_ratio : int
        No frame decodes to more bytes for each of its own.

    Returns
    -------
    list of bytes-like or None
        What they hold, and None for every other frame; None where there are not several such frames, or one of them is
        damaged, which is better found out one by one.
    """
    views = [byte_view(frame) for frame in frames]
    heads = [view[:_BLOCK_HEAD] for view in views if len(view) >= _BLOCK_HEAD]
    if len(heads) < len(views) or len(views) < 2:
        return None
    header = np.frombuffer(b"".join(heads), np.uint8).reshape(-1, _BLOCK_HEAD)
    words = header.view("<u4").astype(np.int64)
    lengths = np.fromiter(map(len, views), np.int64, len(views))
    sound = (header[:, :2] == np.frombuffer(_KIND, np.uint8)).all(axis=1) & (words[:, 3] == lengths)
    sound &= (header[:, 3] > 0) & (words[:, 2] > 0) & (words[:, 2] <= words[:, 1])
    flags = header[:, 2] & ~np.uint8(_SHUFFLED)
    widths = np.where(header[:, 2] & _SHUFFLED, header[:, 3], 1)
    blocks = sound & (flags == _ZSTD) & _is_small_block(words) & (words[:, 1] % np.maximum(widths, 1) == 0)
    packed = np.flatnonzero(blocks).tolist()
    decoded = decode_flat([views[row][_BLOCK_HEAD:] for row in packed], largest_ratio)
    if decoded is None or not np.array_equal(np.diff(decoded[1]), words[packed, 1]):
        return None
    found: list[Bytes | None] = [None] * len(views)
    for row in np.flatnonzero(sound & (flags == _ZSTD | _COPIED) & (words[:, 1] == lengths - _HEAD)).tolist():
        found[row] = views[row][_HEAD:]
    for row, data in zip(packed, _unshuffled(*decoded, widths[packed].tolist()), strict=True):
        found[row] = data
    return found


def _is_small_block(words: IntArray) -> BoolArray:
    """Return for header words ``(n, 6)`` which frames are one block of few bytes that zstd made smaller."""
    _, decoded, blocksize, total, start, packed = words.T
    whole = (start == _BLOCK_HEAD - 4) & (packed == total - _BLOCK_HEAD)
    small: BoolArray = whole & (decoded == blocksize) & (decoded <= _SMALL) & (packed < decoded)
    return small


def _unshuffled(mixed: ByteArray, offsets: IntArray, widths: list[int]) -> list[memoryview]:
    """Put the bytes of every item together again, for cells one after another whose items have some widths."""
    items = np.empty_like(mixed)
    for (start, end), width in zip(pairwise(offsets.tolist()), widths, strict=True):
        items[start:end].reshape(-1, width)[...] = mixed[start:end].reshape(width, -1).T
    return split_flat(items, offsets)
