"""Stable orderings by radix passes, and ranges of rows.

NumPy's stable argsort of ``uint16`` is a radix sort (linear); wider keys are sorted in several such passes,
low digits first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zarr_vectors.typing import AnyArray, IntArray

_DIGIT_BITS = 16


def stable_order(keys: Sequence[AnyArray]) -> IntArray:
    """Return the order that sorts by the first key, then the second, …, then the input order.

    Parameters
    ----------
    keys : sequence of (N,) non-negative integer arrays
        Most significant first.

    Returns
    -------
    (N,) int64
        Row numbers.
    """
    order: IntArray | None = None
    for key in reversed(keys):
        for digit in _digits(key):
            if order is None:
                order = np.argsort(digit, kind="stable")
            else:
                order = order[np.argsort(digit[order], kind="stable")]
    if order is None:
        return np.arange(len(keys[0]), dtype=np.int64)
    return order


def _digits(key: AnyArray) -> list[AnyArray]:
    """Split a non-negative integer key into ``uint16`` digits, low first; none when it is already sorted."""
    if len(key) == 0 or bool((key[1:] >= key[:-1]).all()):
        return [np.zeros(len(key), np.uint16)] if len(key) == 0 else _sorted_digits(key)
    high = int(key.max())
    digits = []
    shift = 0
    while shift == 0 or high >> shift:
        part = key if shift == 0 else key >> key.dtype.type(shift)
        digits.append(part if part.dtype == np.uint16 else part.astype(np.uint16))
        shift += _DIGIT_BITS
    return digits


def _sorted_digits(key: AnyArray) -> list[AnyArray]:
    high = int(key[-1])
    if high >> _DIGIT_BITS == 0:
        return [key.astype(np.uint16)]
    # The ranks of a sorted key are as good as the key and may need fewer digits.
    ranks = np.zeros(len(key), np.int64)
    np.cumsum(key[1:] != key[:-1], out=ranks[1:])
    return [((ranks >> s) & 0xFFFF).astype(np.uint16) for s in range(0, max(1, int(ranks[-1]).bit_length()), 16)]


def ordered_bits(values: AnyArray) -> AnyArray:
    """Return whole numbers in the order of some numbers or booleans, which differ wherever bits of those do.

    Parameters
    ----------
    values : (n,) bool, integers or floats
        Without NaN.
    """
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    if values.dtype.kind != "f":
        return values.view(np.uint8) if values.dtype.kind == "b" else values
    bits = values.view(f"u{values.dtype.itemsize}")
    sign = bits.dtype.type(1 << (8 * values.dtype.itemsize - 1))
    return np.where(bits & sign, ~bits, bits | sign)


def expand_ranges(starts: AnyArray, counts: AnyArray) -> IntArray:
    """Return ``concatenate([arange(s, s + n) for s, n in zip(starts, counts)])`` without a loop.

    Parameters
    ----------
    starts, counts : (R,) integer arrays
        First row and length of each range.
    """
    counts, starts = np.asarray(counts, np.int64), np.asarray(starts, np.int64)
    if len(counts) and counts.min() == 0:
        filled = counts > 0
        counts, starts = counts[filled], starts[filled]
    if len(counts) == 0:
        return np.zeros(0, np.int64)
    ends = np.cumsum(counts)
    steps = np.ones(int(ends[-1]), np.int64)  # running sums of steps are several times faster than repeats
    steps[0] = starts[0]
    steps[ends[:-1]] = starts[1:] - (starts[:-1] + counts[:-1] - 1)
    return np.cumsum(steps, out=steps)


def offsets_of(counts: AnyArray) -> IntArray:
    """Return ``[0, cumsum(counts)...]`` as int64."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def lexicographic_order(coordinates: IntArray) -> IntArray:
    """Return the order that sorts chunk coordinates ``(C, S)`` numerically, first axis slowest."""
    if coordinates.shape[1] == 0:
        return np.arange(len(coordinates))
    return np.lexsort(coordinates.T[::-1])
