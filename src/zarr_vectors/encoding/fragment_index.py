"""Which rows of each chunk form its fragments ⇄ ``fragment_index_v1`` payloads, many chunks at once.

One payload, little-endian (Zarr Vectors specification, fragment index):

==============  ==========================================================================================
part            bytes
==============  ==========================================================================================
header          u32 magic, u16 version, u16 flags, u32 F fragments, u32 R range fragments
bitmap          ceil(F / 8) bytes, padded to a multiple of 8; bit f, least significant first: f is a range
range table     R × (i64 start, i64 count), in fragment order
explicit lists  u32 offsets[F - R + 1] into the rows, then i64 rows[offsets[F - R]]
==============  ==========================================================================================
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from zarr_vectors.encoding.flat import byte_array, byte_view, gather, join_flat, offsets_of, positions_in_runs, scatter
from zarr_vectors.exceptions import ArgumentError, ArrayError, UnsupportedFeatureError
from zarr_vectors.typing import AnyArray, BoolArray, ByteArray, Bytes, IntArray

FRAGMENT_INDEX_MAGIC: Final = 0x5A564647
FRAGMENT_INDEX_VERSION: Final = 1

_HEADER: Final = np.dtype([("magic", "<u4"), ("version", "<u2"), ("flags", "<u2"), ("count", "<u4"), ("ranges", "<u4")])
_HEADER_STRUCT: Final = struct.Struct("<IHHII")
_RANGE: Final = np.dtype([("start", "<i8"), ("count", "<i8")])
_OFFSET_LIMIT: Final = 2**32 - 1


@dataclass(frozen=True, slots=True, eq=False)
class FragmentIndex:
    """The fragments of ``C`` chunks, ``F`` in all.

    Attributes
    ----------
    offsets : (C + 1,) int64
        The fragments of chunk ``c`` are ``offsets[c]:offsets[c + 1]``.
    is_range : (F,) bool
        Whether the fragment is a range of rows of its chunk; otherwise it lists its rows.
    starts : (F,) int64
        Of a range, its first row in the chunk; of a list, where it starts in `rows`.
    counts : (F,) int64
        Vertices of the fragment.
    rows : (E,) int64
        Rows of the listing fragments, local to their chunks.
    """

    offsets: IntArray
    is_range: BoolArray
    starts: IntArray
    counts: IntArray
    rows: IntArray

    def tiles(self, row_counts: IntArray) -> bool:
        """Tell whether the fragments of every chunk are ranges that cover its rows once, in order.

        Parameters
        ----------
        row_counts : (C,) int64
            Vertices of each chunk.
        """
        if not self.is_range.all():
            return False
        ends = offsets_of(self.counts)
        totals = np.diff(ends[self.offsets])
        running = ends[:-1] - np.repeat(ends[self.offsets[:-1]], np.diff(self.offsets))
        return bool(np.array_equal(totals, row_counts) and np.array_equal(self.starts, running))


def encode_fragment_indexes(index: FragmentIndex) -> tuple[ByteArray, IntArray]:
    """Build the payloads of all chunks.

    Parameters
    ----------
    index : FragmentIndex
        Trusted to be consistent, with rows that are not negative.

    Returns
    -------
    buffer : (B,) uint8
    offsets : (C + 1,) int64
        The payload of chunk ``c`` is ``buffer[offsets[c]:offsets[c + 1]]``.

    Raises
    ------
    ArgumentError
        A chunk has more fragments, or its explicit fragments list more rows, than the format's u32 can count.
    """
    counts = np.diff(index.offsets)
    if counts.size and counts.max() > _OFFSET_LIMIT:
        raise ArgumentError(
            f"a chunk has {counts.max()} fragments and the format counts up to {_OFFSET_LIMIT}; use smaller chunks"
        )
    if len(counts) and (counts == counts[0]).all() and index.is_range.all():
        return _encode_alike(index, int(counts[0]))
    ranges = np.diff(offsets_of(index.is_range)[index.offsets])
    listed = np.where(index.is_range, 0, index.counts)
    listed_ends = offsets_of(listed)
    listed_counts = np.diff(listed_ends[index.offsets])
    if listed_counts.size and listed_counts.max() > _OFFSET_LIMIT:
        raise ArgumentError(
            f"a chunk's explicit fragments list {listed_counts.max()} rows "
            f"and the format counts up to {_OFFSET_LIMIT}; use smaller chunks"
        )
    bitmap_lengths = (counts + 63) // 64 * 8
    tables = _HEADER.itemsize + bitmap_lengths + _RANGE.itemsize * ranges
    lengths = tables + 4 * (counts - ranges + 1) + 8 * listed_counts
    offsets = offsets_of(lengths)
    buffer = np.zeros(int(offsets[-1]), np.uint8)
    headers = np.zeros(len(counts), _HEADER)
    headers["magic"], headers["version"] = FRAGMENT_INDEX_MAGIC, FRAGMENT_INDEX_VERSION
    headers["count"], headers["ranges"] = counts, ranges
    scatter(buffer, offsets[:-1], headers)
    _fill_bitmaps(buffer, offsets[:-1] + _HEADER.itemsize, index, counts)
    _fill_ranges(buffer, offsets[:-1] + _HEADER.itemsize + bitmap_lengths, index, ranges)
    if len(index.is_range) > ranges.sum():
        _fill_lists(buffer, offsets[:-1] + tables, index, counts - ranges, listed, listed_ends)
    return buffer, offsets


def _encode_alike(index: FragmentIndex, count: int) -> tuple[ByteArray, IntArray]:
    """Build payloads that hold the same number of ranges and nothing else, as the rows of one table."""
    chunks = len(index.offsets) - 1
    bitmap_at = _HEADER.itemsize
    table_at = bitmap_at + (count + 63) // 64 * 8
    payloads = np.zeros((chunks, table_at + _RANGE.itemsize * count + 4), np.uint8)
    header = np.array([(FRAGMENT_INDEX_MAGIC, FRAGMENT_INDEX_VERSION, 0, count, count)], _HEADER)
    payloads[:, :bitmap_at] = header.view(np.uint8)
    bitmap = np.packbits(np.ones(count, np.bool_), bitorder="little")
    payloads[:, bitmap_at : bitmap_at + len(bitmap)] = bitmap
    table = np.stack([index.starts, index.counts], axis=1).astype("<i8", copy=False)
    payloads[:, table_at:-4] = table.view(np.uint8).reshape(chunks, _RANGE.itemsize * count)
    return payloads.reshape(-1), np.arange(chunks + 1, dtype=np.int64) * payloads.shape[1]


def _fill_bitmaps(buffer: ByteArray, places: IntArray, index: FragmentIndex, counts: IntArray) -> None:
    within = positions_in_runs(counts)
    byte = np.repeat(places, counts) + within // 8
    bits = (index.is_range.astype(np.uint8) << (within % 8).astype(np.uint8)).astype(np.uint8)
    if len(bits):
        heads = np.flatnonzero(within % 8 == 0)
        buffer[byte[heads]] = np.bitwise_or.reduceat(bits, heads)


def _fill_ranges(buffer: ByteArray, places: IntArray, index: FragmentIndex, ranges: IntArray) -> None:
    table = np.empty(len(index.starts), _RANGE)
    table["start"], table["count"] = index.starts, index.counts
    at = np.repeat(places, ranges) + _RANGE.itemsize * positions_in_runs(ranges)
    scatter(buffer, at, table[index.is_range])


def _fill_lists(
    buffer: ByteArray,
    places: IntArray,
    index: FragmentIndex,
    lists: IntArray,
    listed: IntArray,
    ends: IntArray,
) -> None:
    """Put the explicit offsets and rows of every chunk; chunks that list nothing keep four zero bytes."""
    explicit = ~index.is_range
    chunk = np.repeat(np.arange(len(lists)), lists)
    row_base = ends[index.offsets[:-1]]
    relative = (ends[1:][explicit] - row_base[chunk]).astype("<u4")
    at = places[chunk] + 4 * (positions_in_runs(lists) + 1)
    scatter(buffer, at, relative)
    counts = listed[explicit]
    taken = np.repeat(index.starts[explicit], counts) + positions_in_runs(counts)
    rows = index.rows[taken].astype("<i8", copy=False)
    row_chunk = np.repeat(chunk, counts)
    first = np.repeat(ends[:-1][explicit] - row_base[chunk], counts) + positions_in_runs(counts)
    at = places[row_chunk] + 4 * (lists[row_chunk] + 1) + 8 * first
    scatter(buffer, at, rows)


def decode_fragment_indexes(payloads: Sequence[Bytes]) -> FragmentIndex:
    """Take the payloads of many chunks apart.

    Parameters
    ----------
    payloads : sequence of bytes-like
        One payload a chunk.

    Returns
    -------
    FragmentIndex

    Raises
    ------
    ArrayError
        A payload is damaged or truncated; the message gives its position in `payloads`.
    UnsupportedFeatureError
        A payload is of another version, or sets flags.
    """
    decoded = _decode_alike(payloads)
    if decoded is None:
        decoded = _decode_ranges(payloads)
    if decoded is not None:
        return decoded
    parts = [_Payload.parse(chunk, payload) for chunk, payload in enumerate(payloads)]
    counts = np.fromiter((len(part.is_range) for part in parts), np.int64, len(parts))
    is_range = _joined([part.is_range for part in parts], np.bool_)
    table = _joined([part.table for part in parts], np.int64).reshape(-1, 2)
    rows = _joined([part.rows for part in parts], np.int64)
    starts = np.empty(len(is_range), np.int64)
    sizes = np.empty(len(is_range), np.int64)
    starts[is_range], sizes[is_range] = table[:, 0], table[:, 1]
    list_counts = _joined([np.diff(part.list_offsets.astype(np.int64)) for part in parts], np.int64)
    sizes[~is_range] = list_counts
    starts[~is_range] = np.cumsum(list_counts) - list_counts
    index = FragmentIndex(offsets_of(counts), is_range, starts, sizes, rows)
    _check_signs(index)
    return index


def take_ranges(payload: Bytes, numbers: IntArray) -> IntArray | None:
    """Take some fragments out of one payload.

    Parameters
    ----------
    payload : bytes-like
        The fragment index of one chunk.
    numbers : (n,) int64
        Which fragments.

    Returns
    -------
    (n, 2) int64 or None
        First row and count of each; None where the payload holds anything but ranges, or not all of these fragments,
        or is damaged, which :func:`decode_fragment_indexes` tells apart.
    """
    view = byte_view(payload)
    if len(view) < _HEADER.itemsize:
        return None
    magic, version, flags, count, ranges = _HEADER_STRUCT.unpack_from(view)
    table_at = _HEADER.itemsize + (count + 63) // 64 * 8
    if (magic, version, flags, ranges) != (FRAGMENT_INDEX_MAGIC, FRAGMENT_INDEX_VERSION, 0, count):
        return None
    if len(view) != table_at + _RANGE.itemsize * count + 4 or any(view[-4:]):
        return None
    if int.from_bytes(view[_HEADER.itemsize : table_at], "little") != (1 << count) - 1:
        return None
    if ((numbers < 0) | (numbers >= count)).any():
        return None
    taken = np.frombuffer(view, "<i8", 2 * count, table_at).reshape(-1, 2)[numbers]
    return None if (taken < 0).any() or (taken.sum(axis=1) < 0).any() else taken


def _decode_alike(payloads: Sequence[Bytes]) -> FragmentIndex | None:
    """Decode payloads that all hold as many ranges as the first and nothing else; None for any others."""
    length = len(payloads[0]) if len(payloads) > 1 else 0
    if not length or any(len(payload) != length for payload in payloads):
        return None
    first = _Payload.parse(0, payloads[0])
    count = len(first.is_range)
    if not first.is_range.all():
        return None
    table_at = _HEADER.itemsize + (count + 63) // 64 * 8
    data = byte_array(b"".join(cast("Sequence[bytes]", payloads))).reshape(len(payloads), length)
    if (data[:, :table_at] != data[0, :table_at]).any() or data[:, -4:].any():
        return None
    table = np.ascontiguousarray(data[:, table_at:-4]).view("<i8").reshape(-1, 2)
    offsets = np.arange(len(payloads) + 1, dtype=np.int64) * count
    starts, counts = np.ascontiguousarray(table.T)
    index = FragmentIndex(offsets, np.ones(len(starts), np.bool_), starts, counts, np.zeros(0, np.int64))
    _check_signs(index)
    return index


def _decode_ranges(payloads: Sequence[Bytes]) -> FragmentIndex | None:
    """Decode sound payloads that hold ranges only, all at once; None for any others."""
    buffer, offsets = join_flat(payloads)
    sizes = np.diff(offsets)
    if len(payloads) < 2 or int(sizes.min()) < _HEADER.itemsize:
        return None
    headers = gather(buffer, offsets[:-1], _HEADER)
    counts = headers["count"].astype(np.int64)
    bitmap_lengths = (counts + 63) // 64 * 8
    tables = offsets[:-1] + _HEADER.itemsize + bitmap_lengths
    sound = (
        (headers["magic"] == FRAGMENT_INDEX_MAGIC)
        & (headers["version"] == FRAGMENT_INDEX_VERSION)
        & (headers["flags"] == 0)
        & (headers["ranges"] == headers["count"])
        & (sizes == _HEADER.itemsize + bitmap_lengths + _RANGE.itemsize * counts + 4)
    )
    if not sound.all() or gather(buffer, offsets[1:] - 4, np.dtype("<u4")).any():
        return None
    within = positions_in_runs(bitmap_lengths)
    bits = np.clip(np.repeat(counts, bitmap_lengths) - 8 * within, 0, 8)
    found = buffer[np.repeat(offsets[:-1] + _HEADER.itemsize, bitmap_lengths) + within]
    if (found != (1 << bits) - 1).any():
        return None
    table = gather(buffer, np.repeat(tables, counts) + _RANGE.itemsize * positions_in_runs(counts), _RANGE)
    starts, lengths = (np.ascontiguousarray(table[name], np.int64) for name in ("start", "count"))
    index = FragmentIndex(offsets_of(counts), np.ones(len(table), np.bool_), starts, lengths, np.zeros(0, np.int64))
    _check_signs(index)
    return index


def _joined(arrays: list[AnyArray], dtype: type) -> AnyArray:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)


def _check_signs(index: FragmentIndex) -> None:
    bad = np.flatnonzero(
        index.is_range & ((index.starts < 0) | (index.counts < 0) | (index.starts + index.counts < index.starts))
    )
    if bad.size:
        chunk = int(np.searchsorted(index.offsets, bad[0], "right")) - 1
        raise ArrayError(
            f"fragment index {chunk} is damaged: fragment {bad[0] - index.offsets[chunk]} is a range with "
            f"start {index.starts[bad[0]]}, count {index.counts[bad[0]]}"
        )
    if index.rows.size and index.rows.min() < 0:
        raise ArrayError(f"a fragment index is damaged: an explicit fragment lists row {index.rows.min()}")


@dataclass(frozen=True, slots=True, eq=False)
class _Payload:
    """The tables of one payload, as views of its bytes."""

    is_range: BoolArray
    table: IntArray
    list_offsets: AnyArray
    rows: IntArray

    @classmethod
    def parse(cls, chunk: int, payload: Bytes) -> _Payload:
        data = byte_array(payload)
        count, ranges = _check_header(chunk, data)
        table_at = _HEADER.itemsize + (count + 63) // 64 * 8
        lists_at = table_at + _RANGE.itemsize * ranges
        rows_at = lists_at + 4 * (count - ranges + 1)
        if rows_at > data.size:
            raise _damage(chunk, f"its {count} fragments, {ranges} of them ranges, need {rows_at} bytes", data)
        is_range = np.unpackbits(data[_HEADER.itemsize : table_at], count=count, bitorder="little").view(np.bool_)
        if int(is_range.sum()) != ranges:
            raise _damage(chunk, f"its bitmap marks {is_range.sum()} ranges and its header says {ranges}", data)
        table = np.frombuffer(data, "<i8", 2 * ranges, table_at)
        list_offsets = np.frombuffer(data, "<u4", count - ranges + 1, lists_at)
        row_count = int(list_offsets[-1])
        if list_offsets[0] or (list_offsets[1:] < list_offsets[:-1]).any():
            raise _damage(chunk, "the offsets of its explicit fragments do not ascend from 0", data)
        if rows_at + 8 * row_count != data.size:
            raise _damage(chunk, f"with {row_count} listed rows it takes {rows_at + 8 * row_count} bytes", data)
        return cls(is_range, table, list_offsets, np.frombuffer(data, "<i8", row_count, rows_at))


def _check_header(chunk: int, data: ByteArray) -> tuple[int, int]:
    if data.size < _HEADER.itemsize:
        raise _damage(chunk, f"its header takes {_HEADER.itemsize} bytes", data)
    magic, version, flags, count, ranges = np.frombuffer(data, _HEADER, 1)[0].item()
    if magic != FRAGMENT_INDEX_MAGIC:
        raise _damage(chunk, f"it starts with {magic:#010x}, not {FRAGMENT_INDEX_MAGIC:#010x}", data)
    if version != FRAGMENT_INDEX_VERSION or flags:
        raise UnsupportedFeatureError(
            f"fragment index {chunk} has version {version} and flags {flags:#x}; "
            f"version {FRAGMENT_INDEX_VERSION} without flags can be read"
        )
    if ranges > count:
        raise _damage(chunk, f"it declares {ranges} ranges among {count} fragments", data)
    return count, ranges


def _damage(chunk: int, reason: str, data: ByteArray) -> ArrayError:
    return ArrayError(f"fragment index {chunk} is damaged: {reason}; {data.size} bytes are present")
