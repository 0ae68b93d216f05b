"""Lists of byte strings held flat: one buffer and the offsets of its items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np

from zarr_vectors.typing import AnyArray, BoolArray, ByteArray, Bytes, IntArray


def byte_view(data: Bytes) -> memoryview:
    """Give a one-dimensional view of some bytes, without a copy.

    Parameters
    ----------
    data : bytes-like
        Contiguous bytes.
    """
    view = data if type(data) is memoryview else memoryview(cast(Any, data))
    if view.format == "B" and view.ndim == 1:
        return view
    return view.cast("B") if view.nbytes else memoryview(b"")


def byte_array(data: Bytes) -> ByteArray:
    """Give some bytes as a ``uint8`` array, without a copy.

    Parameters
    ----------
    data : bytes-like
        Contiguous bytes.
    """
    return np.frombuffer(byte_view(data), np.uint8)


def offsets_of(counts: IntArray | BoolArray) -> IntArray:
    """Give the running starts of items of the given sizes, and the end of the last.

    Parameters
    ----------
    counts : (n,) int64 or bool
        Sizes; a mask counts its true entries.

    Returns
    -------
    (n + 1,) int64
    """
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def positions_in_runs(counts: IntArray) -> IntArray:
    """Give every item of every run its number within the run.

    Parameters
    ----------
    counts : (n,) int64
        Items of each run.

    Returns
    -------
    (sum(counts),) int64
        ``[2, 3]`` gives ``[0, 1, 0, 1, 2]``.
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) - np.repeat(ends - counts, counts)


def scatter(buffer: ByteArray, places: IntArray, items: AnyArray) -> None:
    """Put items of one size at any bytes of a buffer, whatever their alignment.

    Parameters
    ----------
    buffer : (B,) uint8
        Changed in place.
    places : (n,) int64
        Where each item starts; trusted to leave room for it.
    items : (n,) array
        Structured or plain; its bytes are copied as they are.
    """
    if len(places):
        _windows(buffer, items.dtype.itemsize)[places] = np.ascontiguousarray(items).view(f"V{items.dtype.itemsize}")


def gather(buffer: ByteArray, places: IntArray, dtype: np.dtype[Any]) -> AnyArray:
    """Take items of one size from any bytes of a buffer, whatever their alignment.

    Parameters
    ----------
    buffer : (B,) uint8
        The bytes.
    places : (n,) int64
        Where each item starts; trusted to lie inside the buffer, items included.
    dtype : dtype
        Of the items; structured types are packed.

    Returns
    -------
    (n,) array of `dtype`
    """
    if not len(places):
        return np.zeros(0, dtype)
    return _windows(buffer, dtype.itemsize)[places].view(dtype)


def _windows(buffer: ByteArray, width: int) -> AnyArray:
    """View a buffer as the items of `width` bytes that start at each of its bytes."""
    return np.ndarray((len(buffer) - width + 1,), f"V{width}", buffer, strides=(1,))


def split_flat(buffer: ByteArray, offsets: IntArray) -> list[memoryview]:
    """Cut a flat list into a view per item, without copying.

    Parameters
    ----------
    buffer : (B,) uint8
        The items, one after another.
    offsets : (n + 1,) int64
        Item ``i`` is ``buffer[offsets[i]:offsets[i + 1]]``.
    """
    view = byte_view(buffer)
    bounds = offsets.tolist()
    return [view[start:end] for start, end in pairwise(bounds)]


def join_flat(items: Sequence[Bytes]) -> tuple[ByteArray, IntArray]:
    """Put byte strings one after another.

    Parameters
    ----------
    items : sequence of bytes-like
        The items.

    Returns
    -------
    buffer : (B,) uint8
    offsets : (n + 1,) int64
        Item ``i`` is ``buffer[offsets[i]:offsets[i + 1]]``.
    """
    counts = np.fromiter(map(len, items), np.int64, len(items))
    return byte_array(b"".join(cast("Sequence[bytes]", items))), offsets_of(counts)
