"""CRC-32C, the checksum of Zarr's ``crc32c`` codec and of shard indexes."""

from __future__ import annotations

from collections.abc import Sequence

import google_crc32c
import numpy as np

from zarr_vectors.encoding.flat import byte_view
from zarr_vectors.typing import Bytes

CHECKSUM_LENGTH = 4
"""Bytes of a stored checksum, a little-endian unsigned integer."""

CHECKSUM_NAME = "crc32c"
"""What Zarr v3 calls the codec."""

_RESIDUE = 0x48674BC7
"""The CRC-32C of any bytes that their own CRC-32C follows: one pass tells whether they are sound, without cutting."""

_SMALL = 2048


def crc32c(data: Bytes) -> int:
    """Give the CRC-32C (Castagnoli) of some bytes.

    Parameters
    ----------
    data : bytes-like
        Contiguous bytes of any length.

    Returns
    -------
    int
        In ``[0, 2**32)``. ``crc32c(b"123456789") == 0xE3069283`` (RFC 3720, appendix B.4).
    """
    return int(google_crc32c.value(data if isinstance(data, bytes) else np.frombuffer(data, np.uint8)))


def checksum_bytes(*parts: Bytes) -> bytes:
    """Give the CRC-32C of bytes that stand one after another, as the four bytes in which Zarr stores it."""
    found = 0
    for part in parts:
        small = type(part) is bytes or len(part) < _SMALL
        found = google_crc32c.extend(found, bytes(part) if small else np.frombuffer(part, np.uint8))
    return found.to_bytes(CHECKSUM_LENGTH, "little")


def without_checksums(cells: Sequence[Bytes]) -> list[Bytes] | None:
    """Give what stands before the checksums of many cells; None where one of them does not fit."""
    value = google_crc32c.value  # takes bytes and arrays, no views; to copy few bytes takes less time than an array
    flat = [
        cell if type(cell) is bytes else bytes(cell) if len(cell) < _SMALL else np.frombuffer(cell, np.uint8)
        for cell in cells
    ]
    if any(value(cell) != _RESIDUE for cell in flat):
        return None
    return [
        one[:-CHECKSUM_LENGTH] if len(one) < _SMALL else byte_view(cell)[:-CHECKSUM_LENGTH]
        for one, cell in zip(flat, cells, strict=True)
    ]


def is_sound(data: Bytes) -> bool:
    """Say whether some bytes end with the CRC-32C of those before."""
    return len(data) >= CHECKSUM_LENGTH and crc32c(data) == _RESIDUE
