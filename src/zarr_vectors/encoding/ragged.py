"""Byte strings of different lengths inside one payload: Zarr's ``vlen-bytes`` chunks, cells, and link blobs.

A ``vlen-bytes`` chunk is a u32 number of items, then per item a u32 length and its bytes, all little-endian.
A cell of a grid array is such a chunk with one item. A ragged link blob is i64 k, i64 byte_offset[k] counted
from the end of this header, then the bytes of its k groups (Zarr Vectors specification, links).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import numcodecs.vlen
import numpy as np

from zarr_vectors.encoding.checksum import checksum_bytes
from zarr_vectors.encoding.flat import byte_array, byte_view, offsets_of, scatter
from zarr_vectors.exceptions import ArgumentError, ArrayError
from zarr_vectors.typing import ByteArray, Bytes, IntArray

CELL_HEADER_LENGTH: Final = 8
"""Bytes before the payload of a cell: the number of items, which is 1, and the length of the payload."""

ITEM_LIMIT: Final = 2**32 - 1
"""Largest number of bytes of an item, and of items."""

_COUNT: Final = np.dtype("<u4")
_NUMBER: Final = np.dtype("<i8")


def frame_vlen(buffer: ByteArray, offsets: IntArray) -> ByteArray:
    """Build one ``vlen-bytes`` chunk.

    Parameters
    ----------
    buffer : (B,) uint8
        The items, one after another.
    offsets : (n + 1,) int64
        Item ``i`` is ``buffer[offsets[i]:offsets[i + 1]]``.

    Returns
    -------
    (4 + 4 n + B,) uint8

    Raises
    ------
    ArgumentError
        An item, or the number of items, does not fit in 32 bits.
    """
    lengths = np.diff(offsets)
    count = len(lengths)
    largest = max(count, int(lengths.max(initial=0)))
    if largest > ITEM_LIMIT:
        raise ArgumentError(f"{largest} items or bytes of an item do not fit in 32 bits; use smaller chunks")
    framed = np.empty(4 + 4 * count + int(lengths.sum()), np.uint8)
    framed[:4] = np.array([count], _COUNT).view(np.uint8)
    starts = 4 + 4 * np.arange(count) + offsets[:-1] - offsets[0]
    scatter(framed, starts, lengths.astype(_COUNT))
    is_body = np.ones(len(framed), np.bool_)
    is_body[:4] = False
    is_body[starts[:, None] + np.arange(4)] = False
    framed[is_body] = buffer[offsets[0] : offsets[-1]]
    return framed


def unframe_vlen(data: Bytes) -> tuple[ByteArray, IntArray]:
    """Take one ``vlen-bytes`` chunk apart.

    Parameters
    ----------
    data : bytes-like
        The decompressed chunk.

    Returns
    -------
    buffer : (B,) uint8
        The items, one after another.
    offsets : (n + 1,) int64
        Item ``i`` is ``buffer[offsets[i]:offsets[i + 1]]``.

    Raises
    ------
    ArrayError
        The bytes present are not what the lengths say.
    """
    array = byte_array(data)
    if array.size < 4:
        raise ArrayError(f"a vlen-bytes chunk is damaged: its header takes 4 bytes, {array.size} are present")
    count = int.from_bytes(array[:4].tobytes(), "little")
    if 4 * count > array.size - 4:
        raise ArrayError(f"a vlen-bytes chunk is damaged: {count} items need more than the {array.size} bytes present")
    lengths = _equal_lengths(array, count)
    if lengths is None:
        lengths = _walk_lengths(array, count)
    offsets = offsets_of(lengths)
    starts = 8 + 4 * np.arange(count) + offsets[:-1]
    is_body = np.ones(array.size, np.bool_)
    is_body[:4] = False
    is_body[(starts - 4)[:, None] + np.arange(4)] = False
    return array[is_body], offsets


def _equal_lengths(array: ByteArray, count: int) -> IntArray | None:
    """Give the lengths of items that are all as long as the first; None where they are not."""
    if count == 0:
        if array.size != 4:
            raise ArrayError(f"a vlen-bytes chunk is damaged: {array.size - 4} bytes follow its last item")
        return np.zeros(0, np.int64)
    stride, rest = divmod(array.size - 4, count)
    if rest or (array[4:].reshape(count, stride)[:, :4].copy().view(_COUNT) != stride - 4).any():
        return None
    return np.full(count, stride - 4, np.int64)


def _walk_lengths(array: ByteArray, count: int) -> IntArray:
    """Give the lengths of items of any length; each says where the next one is."""
    try:
        items = numcodecs.vlen.VLenBytes().decode(array)
    except (ValueError, IndexError, RuntimeError, MemoryError) as error:
        raise ArrayError(f"a vlen-bytes chunk of {array.size} bytes is damaged: {error}") from error
    lengths = np.fromiter(map(len, items), np.int64, count)
    if 4 + 4 * count + int(lengths.sum()) != array.size:
        raise ArrayError(
            f"a vlen-bytes chunk is damaged: its {count} items take {4 + 4 * count + int(lengths.sum())} "
            f"bytes and {array.size} are present"
        )
    return lengths


def frame_cell(payload: Bytes, *, checksum: bool = False) -> bytes:
    """Frame the payload of one chunk as the cell of a grid array.

    Parameters
    ----------
    payload : bytes-like
        Less than 4 GiB.
    checksum : bool, optional
        End it with its CRC-32C.

    Raises
    ------
    ArgumentError
        The payload is too long for its 32-bit length.
    """
    view = byte_view(payload)
    if view.nbytes > ITEM_LIMIT:
        raise ArgumentError(
            f"the payload of a chunk takes {view.nbytes} bytes and a cell holds {ITEM_LIMIT}; use smaller chunks"
        )
    header = b"\1\0\0\0" + view.nbytes.to_bytes(4, "little")
    return b"".join((header, view, checksum_bytes(header, view) if checksum else b""))


def cell_headers(sizes: IntArray) -> ByteArray:
    """Give what stands before payloads of some sizes in cells of a grid array.

    Parameters
    ----------
    sizes : (n,) int64
        Bytes of each payload, below 2**32.

    Returns
    -------
    (n, 8) uint8
    """
    headers = np.ones((len(sizes), 2), _COUNT)
    headers[:, 1] = sizes
    return headers.view(np.uint8)


def unframe_cell(data: Bytes) -> memoryview:
    """Give the payload of one cell of a grid array, without a copy.

    Parameters
    ----------
    data : bytes-like
        The decompressed cell.

    Raises
    ------
    ArrayError
        The cell does not hold exactly one item of the stated length.
    """
    view = byte_view(data)
    if int.from_bytes(view[:CELL_HEADER_LENGTH], "little") == (view.nbytes - CELL_HEADER_LENGTH << 32) + 1:
        return view[CELL_HEADER_LENGTH:]
    if view.nbytes < CELL_HEADER_LENGTH:
        raise ArrayError(f"a cell is damaged: its header takes 8 bytes, {view.nbytes} are present")
    count = int.from_bytes(view[:4], "little")
    length = int.from_bytes(view[4:8], "little")
    if count != 1 or length != view.nbytes - CELL_HEADER_LENGTH:
        raise ArrayError(
            f"a cell is damaged: it states {count} items, the first of {length} bytes, "
            f"and {view.nbytes - CELL_HEADER_LENGTH} bytes follow its header"
        )
    return view[CELL_HEADER_LENGTH:]


def unframe_cells(cells: Sequence[Bytes]) -> list[memoryview]:
    """Give the payloads of many cells, without a copy; as :func:`unframe_cell`."""
    views = [byte_view(cell) for cell in cells]
    sizes = np.fromiter(map(len, views), np.int64, len(views)) - CELL_HEADER_LENGTH
    if len(views) and sizes.min() >= 0 and sizes.max() <= ITEM_LIMIT:
        heads = b"".join([view[:CELL_HEADER_LENGTH] for view in views])
        if heads == cell_headers(sizes).tobytes():
            return [view[CELL_HEADER_LENGTH:] for view in views]
    return [unframe_cell(view) for view in views]


def encode_ragged(groups: Sequence[Bytes]) -> bytes:
    """Build a ragged link blob.

    Parameters
    ----------
    groups : sequence of bytes-like
        The rows of each group; writers give one.
    """
    lengths = np.fromiter(map(len, groups), np.int64, len(groups))
    header = np.concatenate([[len(groups)], offsets_of(lengths)[:-1]]).astype(_NUMBER)
    return b"".join((header.tobytes(), *cast("Sequence[bytes]", groups)))


def decode_ragged(data: Bytes) -> memoryview:
    """Give the rows of all groups of a ragged link blob, one group after another, without a copy.

    Parameters
    ----------
    data : bytes-like
        The payload of one link cell.

    Raises
    ------
    ArrayError
        The header does not fit the bytes present, or the groups do not follow one another.
    """
    view = byte_view(data)
    count = int.from_bytes(view[:8], "little", signed=True)
    if view.nbytes < _NUMBER.itemsize or not 0 <= count <= view.nbytes // _NUMBER.itemsize - 1:
        raise ArrayError(f"a ragged link cell is damaged: {count} groups in {view.nbytes} bytes")
    body = view[_NUMBER.itemsize * (count + 1) :]
    starts = np.frombuffer(view, _NUMBER, count, _NUMBER.itemsize)
    ordered = (starts[1:] >= starts[:-1]).all() and (count == 0 or (starts[0] == 0 and starts[-1] <= body.nbytes))
    if not ordered or (count == 0 and body.nbytes):
        raise ArrayError(
            f"a ragged link cell is damaged: its {count} groups start at {starts[:4].tolist()}… of {body.nbytes} bytes"
        )
    return body


def join_ragged(payloads: Sequence[Bytes]) -> tuple[Bytes, IntArray]:
    """Give the rows of many ragged link blobs, one blob after another.

    Parameters
    ----------
    payloads : sequence of bytes-like
        Payloads of link cells; those of no bytes hold no rows.

    Returns
    -------
    rows : bytes-like
        The rows of all blobs.
    sizes : (n,) int64
        How many bytes are those of each blob.

    Raises
    ------
    ArrayError
        A blob is damaged.
    """
    sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
    filled = sizes[sizes > 0]
    if len(filled) and bool((filled % _NUMBER.itemsize == 0).all()) and int(filled.min()) >= 2 * _NUMBER.itemsize:
        words = np.frombuffer(b"".join(cast("Sequence[bytes]", payloads)), _NUMBER)
        heads = (np.cumsum(filled) - filled) // _NUMBER.itemsize
        if bool((words[heads] == 1).all()) and not words[heads + 1].any():
            rows = np.ones(len(words), bool)  # every blob is one group, as all known writers make them
            rows[heads] = rows[heads + 1] = False
            return words[rows].view(np.uint8), np.maximum(sizes - 2 * _NUMBER.itemsize, 0)
    bodies = [decode_ragged(payload) if size else b"" for payload, size in zip(payloads, sizes.tolist(), strict=True)]
    return b"".join(bodies), np.fromiter(map(len, bodies), np.int64, len(bodies))
