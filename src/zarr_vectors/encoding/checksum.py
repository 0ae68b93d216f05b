"""CRC-32C, the checksum of Zarr's ``crc32c`` codec and of shard indexes."""

from __future__ import annotations

import google_crc32c
import numpy as np

from zarr_vectors.typing import Bytes

CHECKSUM_LENGTH = 4
"""Bytes of a stored checksum, a little-endian unsigned integer."""


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


def checksum_bytes(data: Bytes) -> bytes:
    """Give the CRC-32C of some bytes as the four bytes in which Zarr stores it (little-endian)."""
    return crc32c(data).to_bytes(CHECKSUM_LENGTH, "little")
