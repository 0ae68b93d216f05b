"""Cells ⇄ one shard of Zarr v3's ``sharding_indexed`` codec, with the index at its end.

A shard is its cells in any order, then one (u64 offset, u64 nbytes) pair per cell of the shard in C order,
both 2**64 - 1 for an empty cell, then the CRC-32C of these pairs (Zarr v3 specification, sharding codec).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from zarr_vectors.encoding.checksum import CHECKSUM_LENGTH, checksum_bytes, crc32c
from zarr_vectors.encoding.flat import byte_array
from zarr_vectors.exceptions import ArrayError
from zarr_vectors.typing import Bytes

ShardIndex: TypeAlias = npt.NDArray[np.uint64]
"""Place of every cell in its shard, ``(n, 2)``: offset and length in bytes."""

EMPTY_CELL: Final = 2**64 - 1
"""Stands for offset and length of a cell that a shard does not hold."""

_PAIR_LENGTH: Final = 16
_NUMBER: Final = np.dtype("<u8")


def shard_index_length(n_cells: int, checksum: bool = True) -> int:
    """Give the bytes that the index of a shard takes.

    Parameters
    ----------
    n_cells : int
        Cells of a shard, empty ones included.
    checksum : bool, optional
        Whether the index codecs end with ``crc32c``.
    """
    return _PAIR_LENGTH * n_cells + (CHECKSUM_LENGTH if checksum else 0)


def encode_shard(cells: Sequence[Bytes | None], *, checksum: bool = True) -> list[Bytes]:
    """Arrange cells as a shard.

    Parameters
    ----------
    cells : sequence of bytes-like or None
        The stored bytes of every cell in C order; None for an empty one.
    checksum : bool, optional
        End the index with its CRC-32C.

    Returns
    -------
    list of bytes-like
        The buffers of the shard, to be written one after another; the index is the last. No cell is copied.
        A shard of empty cells only has its index alone: writers store nothing for it.
    """
    held = [cell for cell in cells if cell is not None]
    present = np.fromiter((cell is not None for cell in cells), np.bool_, len(cells))
    lengths = np.fromiter((len(cell) for cell in held), np.uint64, len(held))
    index = np.full((len(cells), 2), EMPTY_CELL, _NUMBER)
    index[present, 0] = np.cumsum(lengths) - lengths
    index[present, 1] = lengths
    pairs = index.tobytes()
    return [*held, pairs + checksum_bytes(pairs) if checksum else pairs]


def decode_shard_index(
    data: Bytes, n_cells: int, shard_size: int | None = None, *, checksum: bool = True
) -> ShardIndex:
    """Read the index of a shard.

    Parameters
    ----------
    data : bytes-like
        The last ``shard_index_length(n_cells, checksum)`` bytes of the shard.
    n_cells : int
        Cells of the shard, empty ones included.
    shard_size : int, optional
        Bytes of the whole shard, against which every cell's place is checked.
    checksum : bool, optional
        Whether the index ends with its CRC-32C.

    Returns
    -------
    (n_cells, 2) uint64
        Offset and length of every cell in C order; ``EMPTY_CELL`` twice for an empty one.

    Raises
    ------
    ArrayError
        The index has another length or checksum, or a cell lies outside the shard's data.
    """
    raw = byte_array(data)
    length = shard_index_length(n_cells, checksum)
    if raw.size != length:
        raise ArrayError(
            f"the index of a shard of {n_cells} cells takes {length} bytes and {raw.size} are present; "
            "the shard is truncated, or of another shape than its metadata says"
        )
    pairs = raw[: _PAIR_LENGTH * n_cells]
    if checksum:
        stored = int.from_bytes(raw[len(pairs) :].tobytes(), "little")
        found = crc32c(pairs)
        if stored != found:
            raise ArrayError(f"the index of a shard has checksum {found:#010x}, but {stored:#010x} is stored")
    index = np.frombuffer(pairs, _NUMBER).astype(np.uint64).reshape(n_cells, 2)
    _check_places(index, None if shard_size is None else shard_size - length)
    return index


def _check_places(index: ShardIndex, data_size: int | None) -> None:
    empty = index == EMPTY_CELL
    bad = empty[:, 0] != empty[:, 1]
    if data_size is not None:
        room = np.uint64(max(data_size, 0))
        outside = (index[:, 0] > room) | (index[:, 1] > room - np.minimum(index[:, 0], room))
        bad |= outside & ~empty.any(axis=1)
    if bad.any():
        cell = int(np.argmax(bad))
        offset, nbytes = index[cell].tolist()
        raise ArrayError(
            f"the index of a shard is damaged: cell {cell} is {nbytes} bytes at {offset}"
            + ("" if data_size is None else f", and the shard holds {data_size} bytes of cells")
        )
