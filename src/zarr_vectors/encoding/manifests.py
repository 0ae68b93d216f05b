"""Objects as ordered lists of fragments ⇄ manifests, all objects at once.

One manifest, little-endian (Zarr Vectors specification, object index): u32 number of blocks, then per block
i64 chunk[S], u8 mode, and by mode

====  ==============================  ==========================================
mode  bytes                           fragments of that chunk
====  ==============================  ==========================================
0     i64 fragment                    one
1     i64 start, i64 count            a run of consecutive numbers
2     u32 count, i64 fragment[count]  any, in that order
====  ==============================  ==========================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from zarr_vectors.encoding.flat import gather, offsets_of, positions_in_runs, scatter
from zarr_vectors.exceptions import ArgumentError, ArrayError
from zarr_vectors.typing import AnyArray, BoolArray, ByteArray, IntArray

RANGE_REFERENCE_LIMIT: Final = 2**27
"""Fragment references that ranges may stand for in one decoding, beyond those the bytes themselves hold."""

_FREE_REFERENCES: Final = 2**20
_REFERENCES_A_BYTE: Final = 2**12
"""Fragment references that ranges of a few bytes may stand for, and for each byte more."""

_FRAGMENT_LIMIT: Final = 2**32
"""A chunk numbers its fragments with 32 bits."""

_COUNT_LIMIT: Final = 2**32 - 1
_FEW_OBJECTS: Final = 16
"""From so many objects on, blocks of mixed sizes are found in rounds; fewer objects are taken one by one."""

_COUNT: Final = np.dtype("<u4")
_NUMBER: Final = np.dtype("<i8")
_RUN: Final = np.dtype([("start", "<i8"), ("count", "<i8")])


def _head(ndim: int) -> np.dtype[Any]:
    return np.dtype([("chunk", "<i8", (ndim,)), ("mode", "u1")])


def _single(ndim: int) -> np.dtype[Any]:
    return np.dtype([("chunk", "<i8", (ndim,)), ("mode", "u1"), ("fragment", "<i8")])


@dataclass(frozen=True, slots=True, eq=False)
class Manifests:
    """The fragments of ``O`` objects, ``K`` references in all, in manifest order.

    Attributes
    ----------
    offsets : (O + 1,) int64
        The references of the object in row ``o`` are ``offsets[o]:offsets[o + 1]``.
    chunks : (K, S) int64
        Chunk of each reference.
    fragments : (K,) int64
        Number of the fragment within its chunk.
    """

    offsets: IntArray
    chunks: IntArray
    fragments: IntArray


def encode_manifests(manifests: Manifests, *, merge: bool = False) -> tuple[ByteArray, IntArray]:
    """Build the manifests of all objects.

    Parameters
    ----------
    manifests : Manifests
        Trusted to be consistent.
    merge : bool, optional
        Put consecutive references into one chunk in one block: a run (mode 1) where their numbers are
        consecutive, a list (mode 2) elsewhere. Otherwise every reference is a block of its own (mode 0).

    Returns
    -------
    buffer : (B,) uint8
    offsets : (O + 1,) int64
        The manifest of row ``o`` is ``buffer[offsets[o]:offsets[o + 1]]``.

    Raises
    ------
    ArgumentError
        An object has more fragments than its u32 counts can say.
    """
    if merge:
        return _encode_merged(manifests)
    single = _single(manifests.chunks.shape[1])
    counts = np.diff(manifests.offsets)
    _refuse_uncountable(counts, "names")
    blocks = np.zeros(len(manifests.fragments), single)
    blocks["chunk"], blocks["fragment"] = manifests.chunks, manifests.fragments
    offsets = offsets_of(_COUNT.itemsize + single.itemsize * counts)
    buffer = np.empty(int(offsets[-1]), np.uint8)
    scatter(buffer, offsets[:-1], counts.astype(_COUNT))
    places = np.repeat(offsets[:-1] + _COUNT.itemsize, counts) + single.itemsize * positions_in_runs(counts)
    scatter(buffer, places, blocks)
    return buffer, offsets


def _refuse_uncountable(counts: IntArray, what: str) -> None:
    if counts.size and counts.max() > _COUNT_LIMIT:
        raise ArgumentError(
            f"the object in row {int(np.argmax(counts))} {what} {counts.max()} fragments and the format counts up to "
            f"{_COUNT_LIMIT}; use larger chunks"
        )


def _encode_merged(manifests: Manifests) -> tuple[ByteArray, IntArray]:
    fragments = manifests.fragments
    first = _starts_of_blocks(manifests)
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(fragments)))
    steps = np.ones(len(fragments), np.bool_)
    steps[1:] = fragments[1:] != fragments[:-1] + 1
    breaks = offsets_of(steps & ~first)
    consecutive = breaks[starts + sizes] == breaks[starts]
    modes = np.where(sizes == 1, 0, np.where(consecutive, 1, 2)).astype(np.uint8)
    head = _head(manifests.chunks.shape[1])
    lengths = head.itemsize + np.choose(modes, [np.full_like(sizes, 8), np.full_like(sizes, 16), 4 + 8 * sizes])
    _refuse_uncountable(sizes[modes == 2], "lists")
    block_counts = np.diff(offsets_of(first)[manifests.offsets])
    _refuse_uncountable(block_counts, "names")
    block_ends = offsets_of(lengths)
    block_offsets = offsets_of(block_counts)
    offsets = offsets_of(_COUNT.itemsize + np.diff(block_ends[block_offsets]))
    buffer = np.empty(int(offsets[-1]), np.uint8)
    scatter(buffer, offsets[:-1], block_counts.astype(_COUNT))
    heads = np.empty(len(starts), head)
    heads["chunk"], heads["mode"] = manifests.chunks[starts], modes
    owners = np.repeat(np.arange(len(block_counts)), block_counts)
    places = block_ends[:-1] + _COUNT.itemsize * (owners + 1)
    scatter(buffer, places, heads)
    _fill_bodies(buffer, places + head.itemsize, modes, starts, sizes, fragments)
    return buffer, offsets


def _starts_of_blocks(manifests: Manifests) -> BoolArray:
    """Mark the references whose object or chunk differs from the one before."""
    first = np.ones(len(manifests.fragments), np.bool_)
    first[1:] = (manifests.chunks[1:] != manifests.chunks[:-1]).any(axis=1)
    inner = manifests.offsets[:-1]
    first[inner[inner < len(first)]] = True
    return first


def _fill_bodies(
    buffer: ByteArray,
    places: IntArray,
    modes: AnyArray,
    starts: IntArray,
    sizes: IntArray,
    fragments: IntArray,
) -> None:
    numbers = fragments.astype(_NUMBER, copy=False)
    scatter(buffer, places[modes == 0], numbers[starts[modes == 0]])
    runs = np.empty(int((modes == 1).sum()), _RUN)
    runs["start"], runs["count"] = numbers[starts[modes == 1]], sizes[modes == 1]
    scatter(buffer, places[modes == 1], runs)
    lists = modes == 2
    scatter(buffer, places[lists], sizes[lists].astype(_COUNT))
    within = positions_in_runs(sizes[lists])
    at = np.repeat(places[lists] + _COUNT.itemsize, sizes[lists]) + _NUMBER.itemsize * within
    scatter(buffer, at, numbers[np.repeat(starts[lists], sizes[lists]) + within])


def decode_manifests(buffer: ByteArray, offsets: IntArray, sid_ndim: int) -> Manifests:
    """Take the manifests of many objects apart.

    Parameters
    ----------
    buffer : (B,) uint8
        The manifests, one after another.
    offsets : (O + 1,) int64
        The manifest of row ``o`` is ``buffer[offsets[o]:offsets[o + 1]]``.
    sid_ndim : int
        Components of a chunk key in the object index.

    Returns
    -------
    Manifests

    Raises
    ------
    ArrayError
        A manifest is damaged or truncated; the message gives its row.
    """
    ends = offsets[1:]
    _refuse(np.diff(offsets) < _COUNT.itemsize, "it is shorter than its number of blocks")
    counts = gather(buffer, offsets[:-1], _COUNT).astype(np.int64)
    least = _single(sid_ndim).itemsize - 4
    _refuse(np.diff(offsets) - _COUNT.itemsize < counts * least, "its blocks take more bytes than are present")
    places = offsets[:-1] + _COUNT.itemsize
    singles = _decode_singles(buffer, places, ends, counts, sid_ndim)
    if singles is not None:
        return singles
    blocks = _walk_blocks(buffer, places, ends, counts, _head(sid_ndim))
    return _expand_blocks(buffer, blocks, len(counts))


def _refuse(bad: BoolArray, reason: str, rows: IntArray | None = None) -> None:
    if bad.any():
        at = int(np.argmax(bad))
        row = at if rows is None else int(rows[at])
        raise ArrayError(f"the manifest of object row {row} is damaged: {reason}")


def _decode_singles(
    buffer: ByteArray, places: IntArray, ends: IntArray, counts: IntArray, ndim: int
) -> Manifests | None:
    """Decode manifests that hold single references only; None where any other block is met."""
    single = _single(ndim)
    if not np.array_equal(ends - places, counts * single.itemsize):
        return None
    at = np.repeat(places, counts) + single.itemsize * positions_in_runs(counts)
    blocks = gather(buffer, at, single)
    if blocks["mode"].any():
        return None
    fragments = blocks["fragment"].astype(np.int64)
    _refuse((fragments < 0) | (fragments >= _FRAGMENT_LIMIT), "it names an impossible fragment", _owners(counts))
    return Manifests(offsets_of(counts), blocks["chunk"].astype(np.int64), fragments)


def _owners(counts: IntArray) -> IntArray:
    return np.repeat(np.arange(len(counts)), counts)


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """Blocks in manifest order: whose they are, what they hold, and where their fragment numbers are."""

    rows: IntArray
    chunks: IntArray
    modes: AnyArray
    places: IntArray
    starts: IntArray
    counts: IntArray


def _walk_blocks(buffer: ByteArray, places: IntArray, ends: IntArray, counts: IntArray, head: np.dtype[Any]) -> _Blocks:
    """Find every block: at once for objects whose blocks are all of one fixed size, else the k-th of each."""
    found: list[tuple[IntArray, IntArray]] = []
    rest = np.ones(len(counts), np.bool_)
    for mode, body in ((0, _NUMBER.itemsize), (1, _RUN.itemsize)):
        length = head.itemsize + body
        rows = np.flatnonzero(rest & (ends - places == counts * length))
        owners, ordinals = np.repeat(rows, counts[rows]), positions_in_runs(counts[rows])
        at = places[owners] + length * ordinals
        other = gather(buffer, at + head.itemsize - 1, np.dtype(np.uint8)) != mode
        mixed = np.zeros(len(counts), np.bool_)
        mixed[owners[other]] = True
        found.append((owners[~mixed[owners]], at[~mixed[owners]]))
        rest[rows] = mixed[rows]
    found.extend(_walk_rounds(buffer, np.flatnonzero(rest), places.copy(), ends, counts, head))
    rows, at = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    order = np.lexsort((at, rows))
    return _read_blocks(buffer, rows[order], at[order], ends, head)


def _walk_rounds(
    buffer: ByteArray, rows: IntArray, places: IntArray, ends: IntArray, counts: IntArray, head: np.dtype[Any]
) -> list[tuple[IntArray, IntArray]]:
    """Find blocks of mixed sizes: one block of every object in a round, the last few objects whole."""
    found = []
    done = 0
    finished = rows
    while (rows := rows[counts[rows] > done]).size > _FEW_OBJECTS:
        at = places[rows]
        blocks = _read_blocks(buffer, rows, at, ends, head)
        found.append((rows, at))
        places[rows] = blocks.places + _body_lengths(blocks)
        done += 1
    for row in rows.tolist():
        at = _leap(buffer, int(places[row]), int(ends[row]), int(counts[row]) - done, head)
        same = np.full(len(at), row)
        last = _read_blocks(buffer, same, at, ends, head)
        found.append((same, at))
        places[row] = (last.places + _body_lengths(last))[-1]
    _refuse(places[finished] != ends[finished], "bytes follow its last block", finished)
    return found


def _leap(buffer: ByteArray, start: int, end: int, count: int, head: np.dtype[Any]) -> IntArray:
    """Find the blocks of one manifest by doubling.

    Where a block would end is worked out for every byte at which one might start; following these links from
    the first ``2**k`` blocks, taken ``2**k`` times over, gives as many again. Places past the end are `end`.
    """
    data = buffer[start:end]
    size = len(data)
    possible = np.arange(max(size - head.itemsize - _COUNT.itemsize + 1, 0))
    modes = data[head.itemsize - 1 :][: len(possible)]
    listed = gather(data, possible + head.itemsize, _COUNT).astype(np.int64)
    bodies = np.where(modes == 0, _NUMBER.itemsize, np.where(modes == 1, _RUN.itemsize, size))
    bodies = np.where(modes == 2, _COUNT.itemsize + _NUMBER.itemsize * listed, bodies)
    following = np.full(size + 1, size)
    following[: len(possible)] = np.minimum(possible + head.itemsize + bodies, size)
    found = np.zeros(1, np.int64)
    while len(found) < count:
        found = np.concatenate([found, following[found]])
        following = following[following]
    return start + found[:count]


def _body_lengths(blocks: _Blocks) -> IntArray:
    lengths = np.where(blocks.modes == 0, _NUMBER.itemsize, _RUN.itemsize)
    return np.where(blocks.modes == 2, _NUMBER.itemsize * blocks.counts, lengths)


def _read_blocks(buffer: ByteArray, rows: IntArray, at: IntArray, ends: IntArray, head: np.dtype[Any]) -> _Blocks:
    """Read blocks at known places, checking that each ends inside its manifest."""
    limits = ends[rows]
    _refuse(at + head.itemsize > limits, "it ends inside a block", rows)
    heads = gather(buffer, at, head)
    modes = heads["mode"]
    _refuse(modes > 2, "a block has a mode other than 0, 1 and 2", rows)
    places = at + head.itemsize
    needed = np.choose(modes, [_NUMBER.itemsize, _RUN.itemsize, _COUNT.itemsize])
    _refuse(places + needed > limits, "it ends inside a block", rows)
    starts, counts = np.zeros(len(rows), np.int64), np.ones(len(rows), np.int64)
    starts[modes == 0] = gather(buffer, places[modes == 0], _NUMBER)
    runs = gather(buffer, places[modes == 1], _RUN)
    starts[modes == 1], counts[modes == 1] = runs["start"], runs["count"]
    counts[modes == 2] = gather(buffer, places[modes == 2], _COUNT)
    places = places + np.where(modes == 2, _COUNT.itemsize, 0)
    _refuse((modes == 2) & (places + _NUMBER.itemsize * counts > limits), "it ends inside a list", rows)
    bad = (starts < 0) | (counts < 0) | (starts > _FRAGMENT_LIMIT) | (counts > _FRAGMENT_LIMIT - starts)
    _refuse(bad, "a block names an impossible fragment", rows)
    return _Blocks(rows, heads["chunk"].astype(np.int64), modes, places, starts, counts)


def _expand_blocks(buffer: ByteArray, blocks: _Blocks, objects: int) -> Manifests:
    ranges = blocks.modes == 1
    implied = np.cumsum(np.where(ranges, blocks.counts, 0))
    limit = min(RANGE_REFERENCE_LIMIT, _FREE_REFERENCES + _REFERENCES_A_BYTE * len(buffer))
    reason = f"with the ranges before it, its ranges name more than {limit} fragments, too many for {len(buffer)} bytes"
    _refuse(implied > limit, reason, blocks.rows)
    within = positions_in_runs(blocks.counts)
    fragments = np.repeat(blocks.starts, blocks.counts) + within
    listed = np.repeat(blocks.modes == 2, blocks.counts)
    if listed.any():
        places = np.repeat(blocks.places, blocks.counts)[listed] + _NUMBER.itemsize * within[listed]
        fragments[listed] = gather(buffer, places, _NUMBER)
        owners = np.repeat(blocks.rows, blocks.counts)
        _refuse((fragments < 0) | (fragments >= _FRAGMENT_LIMIT), "it names an impossible fragment", owners)
    totals = np.bincount(blocks.rows, blocks.counts, objects).astype(np.int64)
    return Manifests(offsets_of(totals), np.repeat(blocks.chunks, blocks.counts, axis=0), fragments)
