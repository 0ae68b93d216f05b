"""Links as rows of integers ⇄ bytes, and the codes of the permutations that filing applies to endpoints."""

from __future__ import annotations

from functools import cache
from math import factorial
from typing import Final

import numpy as np

from zarr_vectors.encoding.flat import byte_array
from zarr_vectors.exceptions import ArgumentError, ArrayError
from zarr_vectors.typing import AnyArray, ByteArray, Bytes, IntArray

PERMUTATION_WIDTH_LIMIT: Final = 8
"""Most endpoints of a link that permutation codes are worked out for."""

_ROW: Final = np.dtype("<i8")


def permutation_codes(permutations: AnyArray) -> IntArray:
    """Give the Lehmer codes of permutations.

    Parameters
    ----------
    permutations : (M, L) int
        Each row a permutation σ of ``0 … L - 1``, such that ``stored[i] = input[σ[i]]``.

    Returns
    -------
    (M,) int64
        ``Σ_i #{j > i : σ[j] < σ[i]} · (L - 1 - i)!``, in ``[0, L!)``; the identity is 0 (Zarr Vectors
        specification, links; D. H. Lehmer 1960).

    Raises
    ------
    ArgumentError
        `permutations` has no columns, more than 8, or a row that is no permutation.
    """
    _check_width(permutations.shape[1])
    width = permutations.shape[1]
    if width == 2 and ((permutations[:, 0] == 1 - permutations[:, 1]) & (permutations[:, 0] >> 1 == 0)).all():
        return permutations[:, 0].astype(np.int64)
    if (np.sort(permutations, axis=1) != np.arange(width)).any():
        raise ArgumentError(f"permutations holds a row that does not contain each of 0 to {width - 1} once")
    codes = np.zeros(len(permutations), np.int64)
    for place in range(width - 1):
        smaller = (permutations[:, place + 1 :] < permutations[:, place, None]).sum(axis=1)
        codes += smaller * factorial(width - 1 - place)
    return codes


def permutations_from_codes(codes: IntArray, width: int) -> IntArray:
    """Give the permutations of Lehmer codes, the inverse of :func:`permutation_codes`.

    Parameters
    ----------
    codes : (M,) int
        Codes in ``[0, width!)``.
    width : int
        Endpoints of a link, 1 to 8.

    Returns
    -------
    (M, width) int64
        Each row σ, such that ``stored[i] = input[σ[i]]``.

    Raises
    ------
    ArgumentError
        `width` is not in 1 to 8.
    ArrayError
        A code is out of range.
    """
    _check_width(width)
    values = np.asarray(codes, np.int64)
    bad = np.flatnonzero((values < 0) | (values >= factorial(width)))
    if bad.size:
        raise ArrayError(
            f"link {bad[0]} has permutation code {values[bad[0]]}; "
            f"with {width} endpoints codes are 0 to {factorial(width) - 1}"
        )
    return np.take(_all_permutations(width), values, axis=0)


@cache
def _all_permutations(width: int) -> IntArray:
    """Give every permutation, in the order of their codes."""
    values = np.arange(factorial(width))
    permutations = np.zeros((len(values), width), np.int64)
    for place in range(width):
        permutations[:, place] = values // factorial(width - 1 - place) % (width - place)
    for place in range(width - 2, -1, -1):
        later = permutations[:, place + 1 :]
        later += later >= permutations[:, place, None]
    return permutations


def _check_width(width: int) -> None:
    if not 1 <= width <= PERMUTATION_WIDTH_LIMIT:
        raise ArgumentError(f"links have 1 to {PERMUTATION_WIDTH_LIMIT} endpoints here, not {width}")


def encode_link_rows(rows: IntArray, codes: IntArray | None = None) -> ByteArray:
    """Lay links out as stored.

    Parameters
    ----------
    rows : (M, L) int64
        Vertex rows of the endpoints, each local to its own chunk.
    codes : (M,) int64, optional
        Permutation codes, which go in front of each row.

    Returns
    -------
    (M · (L or L + 1) · 8,) uint8
        Links of many cells may be laid out at once and cut afterwards.

    Raises
    ------
    ArgumentError
        `rows` is not two-dimensional, `codes` has another length, or a row is negative.
    """
    if rows.ndim != 2 or (codes is not None and codes.shape != rows.shape[:1]):
        found = None if codes is None else codes.shape
        raise ArgumentError(f"link rows take shape (M, L) and codes (M,); got {rows.shape} and {found}")
    if rows.size and rows.min() < 0:
        raise ArgumentError(f"link {np.flatnonzero((rows < 0).any(axis=1))[0]} names a negative row")
    table = rows if codes is None else np.concatenate([codes[:, None], rows], axis=1)
    return byte_array(memoryview(np.ascontiguousarray(table, _ROW)))


def decode_link_rows(data: Bytes, width: int, *, has_perm: bool = False) -> tuple[IntArray, IntArray | None]:
    """Take stored links apart.

    Parameters
    ----------
    data : bytes-like
        The rows of one cell, or of many one after another.
    width : int
        Endpoints of a link, L.
    has_perm : bool, optional
        Whether a permutation code precedes each row.

    Returns
    -------
    rows : (M, L) int64
    codes : (M,) int64 or None
        The permutation codes, where there are any.

    Raises
    ------
    ArrayError
        The bytes are not a whole number of rows, or a row or code is negative.
    """
    columns = width + has_perm
    raw = byte_array(data)
    if raw.size % (_ROW.itemsize * columns):
        raise ArrayError(
            f"a link cell is damaged: {raw.size} bytes are not a whole number of rows of {_ROW.itemsize * columns}"
        )
    table = np.frombuffer(raw, _ROW).astype(np.int64, copy=False).reshape(-1, columns)
    if table.size and table.min() < 0:
        bad = np.flatnonzero((table < 0).any(axis=1))[0]
        raise ArrayError(f"a link cell is damaged: its link {bad} has a negative number, {table[bad].tolist()}")
    return (table[:, 1:], table[:, 0]) if has_perm else (table, None)
