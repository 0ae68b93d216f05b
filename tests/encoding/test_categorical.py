"""Strings, categoricals and datetimes as integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_vectors.encoding.categorical import (
    Categories,
    decode_categories,
    decode_times,
    encode_times,
    free_value,
)
from zarr_vectors.exceptions import ArgumentError, ArrayError, UnsupportedFeatureError
from zarr_vectors.formats.columns import decode_column, make_column

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
GENES = ["Slc17a7", "Gad1", "Slc17a7", "Éno2"]


def encode_categories(values: Any) -> Categories:
    made = make_column("attributes", "text", values, len(values), "row")
    assert made.spec.categories is not None
    return Categories(made.values, list(made.spec.categories), made.spec.ordered, made.spec.fill)


def decoded(values: Any) -> np.ndarray:
    return decode_column(make_column("attributes", "text", values, len(values), "row"))


@given(st.lists(text, max_size=12))
def test_strings_come_back(values: list[str]) -> None:
    array = np.array(values, dtype=str)
    found = decoded(array)
    assert found.dtype.kind == "U"
    assert found.tolist() == array.tolist()


@settings(max_examples=40)
@given(st.lists(st.one_of(st.text(max_size=40), st.none()), min_size=1, max_size=12), st.booleans())
def test_texts_of_any_length_and_script_come_back_or_are_refused(values: list[str | None], dictionary: bool) -> None:
    halves = any(0xD800 <= ord(letter) < 0xE000 for text in values if text for letter in text)
    ending = not dictionary and any(text.endswith("\0") for text in values if text)
    if halves or ending:
        with pytest.raises(ArgumentError, match=r"surrogates|NUL"):
            make_column("attributes", "text", values, len(values), "row", dictionary=dictionary)
        return
    holders: list[Any] = [values, pd.Series(values, dtype="string"), pa.array(values), pl.Series(values)]
    for holder in holders:
        made = make_column("attributes", "text", holder, len(values), "row", dictionary=dictionary)
        assert decode_column(made).tolist() == values


@given(st.lists(st.one_of(text, st.none()), max_size=12))
def test_strings_and_missing_values_come_back(values: list[str | None]) -> None:
    array = np.empty(len(values), object)
    array[:] = values
    assert decoded(array).tolist() == values
    assert decoded(values).tolist() == values


@pytest.mark.parametrize(
    "values",
    [
        np.array(GENES),
        np.array(GENES, object),
        np.array(GENES, np.dtypes.StringDType()),
        np.array([each.encode() for each in GENES]),
        pd.Series(GENES),
        pd.Series(GENES, dtype=object),
        pd.Categorical(GENES),
        pd.Series(GENES, dtype="category"),
        pd.CategoricalIndex(GENES),
        GENES,
    ],
    ids=lambda values: f"{type(values).__name__} {getattr(values, 'dtype', '')}",
)
def test_every_holder_of_strings_gives_the_same_codes(values: Any) -> None:
    made = encode_categories(values)
    assert made.categories == ["Gad1", "Slc17a7", "Éno2"]
    assert made.codes.tolist() == [1, 0, 1, 2]
    assert made.codes.dtype == np.int8
    assert not made.ordered
    assert made.fill == -1


@pytest.mark.parametrize(
    "values",
    [
        np.array(["a", None, "b"], object),
        np.array(["a", np.nan, "b"], object),
        np.array(["a", None, "b"], np.dtypes.StringDType(na_object=None)),
        pd.Series(["a", None, "b"]),
        pd.Series(["a", pd.NA, "b"], dtype="string"),
        pd.Categorical(["a", None, "b"]),
    ],
    ids=lambda values: f"{type(values).__name__} {getattr(values, 'dtype', '')}",
)
def test_missing_values_become_none(values: Any) -> None:
    made = encode_categories(values)
    assert made.codes.tolist() == [0, -1, 1]
    assert decode_categories(made.codes, made.categories).tolist() == ["a", None, "b"]


def test_a_categorical_keeps_its_order_and_its_unused_categories() -> None:
    made = encode_categories(pd.Categorical(["low", "high"], ["high", "mid", "low"], ordered=True))
    assert made.categories == ["high", "mid", "low"]
    assert made.codes.tolist() == [2, 0]
    assert made.ordered


@pytest.mark.parametrize(
    ("categories", "kind"),
    [([3, 1], "i"), ([0.5, 2.5], "f"), ([False, True], "b"), (["1", "2"], "U")],
    ids=str,
)
def test_categories_keep_their_type(categories: list[Any], kind: str) -> None:
    made = encode_categories(pd.Categorical([categories[1], categories[0]], categories))
    assert made.categories == categories
    found = decode_categories(made.codes, made.categories)
    assert found.dtype.kind == kind
    assert found.tolist() == [categories[1], categories[0]]


def test_categories_of_mixed_types_and_of_dates() -> None:
    assert decode_categories(np.array([1, 0]), ["a", 3]).tolist() == [3, "a"]
    made = encode_categories(pd.Categorical(pd.to_datetime(["2026-01-02", "2025-01-01"])))
    assert [each[:10] for each in made.categories] == ["2025-01-01", "2026-01-02"]
    mixed = pd.Categorical(["a", 3, None], ["a", 3])
    assert decoded(mixed).tolist() == ["a", 3, None]


@pytest.mark.parametrize(("count", "dtype"), [(1, np.int8), (128, np.int8), (129, np.int16), (32_768, np.int16)])
def test_codes_take_the_smallest_type(count: int, dtype: type) -> None:
    texts = [*np.char.zfill(np.arange(count).astype(str), 6).tolist(), None]
    made = encode_categories(texts)
    assert made.codes.dtype == dtype
    assert made.codes.tolist() == [*range(count), -1]
    assert decode_categories(made.codes, made.categories).tolist() == texts


def test_channels_keep_their_shape() -> None:
    values = np.array([["a", "b"], ["b", "c"]])
    assert encode_categories(values).codes.tolist() == [[0, 1], [1, 2]]
    assert decoded(values).tolist() == values.tolist()
    holes = np.array([["a", None], ["b", "c"]], object)
    assert decoded(holes).tolist() == holes.tolist()


def test_nothing_and_nothing_but_missing_values() -> None:
    assert decoded(np.zeros(0, "U1")).tolist() == []
    assert decoded(np.array([None, None], object)).tolist() == [None, None]


@pytest.mark.parametrize(
    "refused",
    [np.arange(3) * 1j, np.array(["a", 3], object), np.array([b"\xff"]), pd.Categorical([(1, 2)])],
    ids=str,
)
def test_what_is_neither_is_refused(refused: Any) -> None:
    with pytest.raises(ArgumentError):
        encode_categories(refused)


@pytest.mark.parametrize("codes", [[0, 2], [-1, 0], [0, -2]], ids=str)
def test_codes_without_a_category_are_refused(codes: list[int]) -> None:
    fill = None if codes == [-1, 0] else -1
    with pytest.raises(ArrayError, match="there are 2 categories"):
        decode_categories(np.array(codes), ["a", "b"], fill)


def test_codes_may_be_unsigned() -> None:
    assert decode_categories(np.array([1, 255, 0], np.uint8), ["a", "b"], 255).tolist() == ["b", None, "a"]


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s", "D", "M", "Y"])
def test_datetimes_come_back(unit: str) -> None:
    values = np.array(["2026-11-21", "1969-01-01", "NaT"], f"M8[{unit}]")
    counts, found_unit = encode_times(values)
    assert counts.dtype == np.int64
    assert found_unit == unit
    np.testing.assert_array_equal(decode_times(counts, unit), values)


def test_datetimes_of_other_forms() -> None:
    counts, unit = encode_times(np.array(["1970-01-01T00:00:00.020"], "M8[10ms]"))
    assert (counts.tolist(), unit) == ([20], "ms")
    with pytest.raises(ArgumentError, match="beyond"):
        encode_times(np.array([2**62], "M8[10ms]"))
    assert encode_times(np.array(["1970-01-02"], ">M8[D]"))[0].tolist() == [1]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64], ids=str)
def test_a_value_that_none_has_means_missing(dtype: type) -> None:
    limits = np.iinfo(dtype)
    near, far = (limits.min, limits.max) if limits.min else (limits.max, limits.min)
    step = 1 if limits.min else -1
    assert free_value(np.array([0, 1, far], dtype)) == near
    assert free_value(np.array([near, near + step, near + 3 * step], dtype)) == near + 2 * step
    if limits.bits == 8:
        with pytest.raises(ArgumentError, match="wider type"):
            free_value(np.arange(limits.min, limits.max + 1).astype(dtype))
    assert free_value(np.array(["", "a"])) == "<missing>"


def test_what_is_no_datetime_is_refused() -> None:
    with pytest.raises(ArgumentError, match="int64"):
        encode_times(np.arange(3))
    with pytest.raises(ArgumentError, match="generic"):
        encode_times(np.array(["NaT"], "M8"))
    with pytest.raises(UnsupportedFeatureError, match="'fortnight' is not known"):
        decode_times(np.arange(3), "fortnight")
