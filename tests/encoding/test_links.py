"""Link rows and the codes of permutations."""

from __future__ import annotations

import struct
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zarr_vectors.encoding.links import (
    decode_link_rows,
    encode_link_rows,
    permutation_codes,
    permutations_from_codes,
)
from zarr_vectors.exceptions import ArgumentError, ArrayError

tables = hnp.arrays(np.int64, st.tuples(st.integers(0, 6), st.integers(1, 4)), elements=st.integers(0, 2**62))


@pytest.mark.parametrize("width", range(1, 7))
def test_codes_number_permutations_in_lexicographic_order(width: int) -> None:
    every = np.array(list(permutations(range(width))))
    codes = permutation_codes(every)
    assert codes.tolist() == list(range(len(every)))
    np.testing.assert_array_equal(permutations_from_codes(codes, width), every)


@given(st.integers(1, 8).flatmap(lambda width: st.lists(st.permutations(range(width)), min_size=1, max_size=5)))
def test_codes_come_back(rows: list[list[int]]) -> None:
    given_rows = np.array(rows)
    restored = permutations_from_codes(permutation_codes(given_rows), given_rows.shape[1])
    np.testing.assert_array_equal(restored, given_rows)


def test_codes_worked_by_hand() -> None:
    assert permutation_codes(np.array([[1, 0]])).tolist() == [1]
    assert permutation_codes(np.array([[2, 0, 1], [1, 2, 0]])).tolist() == [4, 3]
    assert permutations_from_codes(np.array([4]), 3).tolist() == [[2, 0, 1]]


def test_what_is_no_permutation_or_code_is_refused() -> None:
    with pytest.raises(ArgumentError, match="each of 0 to 2 once"):
        permutation_codes(np.array([[0, 1, 1]]))
    with pytest.raises(ArrayError, match=r"link 1 has permutation code 6; with 3 endpoints codes are 0 to 5"):
        permutations_from_codes(np.array([5, 6]), 3)
    with pytest.raises(ArrayError, match="code -1"):
        permutations_from_codes(np.array([-1]), 3)
    for width in (0, 9):
        with pytest.raises(ArgumentError, match="1 to 8 endpoints"):
            permutations_from_codes(np.zeros(1, np.int64), width)


@given(tables, st.booleans())
def test_rows_come_back(rows: np.ndarray, has_perm: bool) -> None:
    codes = np.arange(len(rows)) if has_perm else None
    data = encode_link_rows(rows, codes)
    found, found_codes = decode_link_rows(data, rows.shape[1], has_perm=has_perm)
    np.testing.assert_array_equal(found, rows)
    np.testing.assert_array_equal([] if found_codes is None else found_codes, [] if codes is None else codes)


def test_rows_are_packed_with_their_code_in_front() -> None:
    assert bytes(encode_link_rows(np.array([[7, 8]]), np.array([1]))) == struct.pack("<3q", 1, 7, 8)
    assert bytes(encode_link_rows(np.array([[7, 8], [9, 1]]))) == struct.pack("<4q", 7, 8, 9, 1)


def test_truncated_or_negative_rows_are_refused() -> None:
    data = bytes(encode_link_rows(np.array([[7, 8]]), np.array([1])))
    for length in range(1, len(data)):
        with pytest.raises(ArrayError, match="whole number of rows of 24"):
            decode_link_rows(data[:length], 2, has_perm=True)
    with pytest.raises(ArrayError, match="its link 1 has a negative number"):
        decode_link_rows(struct.pack("<4q", 0, 1, 2, -1), 2)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ArgumentError, match="link 1 names a negative row"):
        encode_link_rows(np.array([[1, 2], [-1, 2]]))
    with pytest.raises(ArgumentError, match=r"codes \(M,\); got \(1, 2\) and \(2,\)"):
        encode_link_rows(np.array([[1, 2]]), np.array([1, 2]))
    with pytest.raises(ArgumentError, match=r"shape \(M, L\)"):
        encode_link_rows(np.array([1, 2]))
