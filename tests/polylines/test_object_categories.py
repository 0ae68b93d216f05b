"""Categoricals of objects keep their list of categories in step with the values that come to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from zarr_vectors.edit import set_attribute
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.polylines import read_polylines, write_polylines

LINES = [np.array([[0.0, 0, 0], [1, 1, 1]])] * 2
DAYS = pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"])
REVISIONS = ("0.9", "0.7")
NEW = {
    "texts": (["a", "b"], ["z", "a"], ("a", "b", "z")),
    "numbers": ([1, 2], [7, 1], (1, 2, 7)),
    "times": (DAYS[:2], DAYS[1:], tuple(DAYS.to_numpy().astype(str).tolist())),
    "missing": (["a", "b"], ["z", None], ("a", "b", "z")),
}


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("case", NEW)
@pytest.mark.parametrize("door", ["append", "set"])
def test_new_values_become_categories_where_these_have_no_order(
    tmp_path: Path, case: str, door: str, revision: str
) -> None:
    path, (values, more, listed) = tmp_path / "s", NEW[case]

    def bring(ordered: bool) -> None:
        held = {"v": pd.Categorical(values, ordered=ordered)}
        write_polylines(path, LINES, object_attributes=held, format_version=revision)
        if door == "append":
            write_polylines(path, LINES, object_attributes={"v": more}, mode="a")
        else:
            set_attribute(path, "v", more, kind="object", rows=[0, 1])

    def vocabulary() -> Any:
        return open_reader(path).level(0).arrays.object_attributes["v"].spec.vocabulary

    with pytest.raises(ArgumentError, match=r"'v' has ordered categories .* is none of them"):
        bring(ordered=True)
    assert vocabulary() == listed[:2]
    bring(ordered=False)
    assert vocabulary() == listed
    found = read_polylines(path).object_attributes["v"]
    assert [None if pd.isna(value) else value for value in pd.Series(found[-2:])] == list(more)


def test_categories_of_several_types_are_refused_outside_vertices(tmp_path: Path) -> None:
    mixed = {"v": pd.Categorical(["a", 1])}
    with pytest.raises(ArgumentError, match="'v' cannot be stored: its categories are of several types, int and str"):
        write_polylines(tmp_path / "s", LINES, object_attributes=mixed)
    assert not (tmp_path / "s").exists()
    write_polylines(tmp_path / "s", LINES, object_attributes={"v": ["a", "b"]})
    with pytest.raises(ArgumentError, match="of several types"):
        write_polylines(tmp_path / "s", LINES, object_attributes=mixed, mode="a")
