"""Numbers of levels and their ratios are whole numbers; anything else is refused before something is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from zarr_vectors.core.store import (
    Group,
    add_resolution_level,
    create_store,
    get_resolution_level,
    list_resolution_levels,
    remove_resolution_level,
)

WRONG = (True, np.True_, 1.0, "1", None, -1)


@pytest.fixture
def root(tmp_path: Any) -> Group:
    return create_store(tmp_path / "store")


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    "use",
    [
        lambda root, wrong: add_resolution_level(root, wrong, (2, 2, 2)),
        lambda root, wrong: remove_resolution_level(root, wrong),
    ],
)
def test_what_is_no_level_is_refused(root: Group, use: Callable[[Group, Any], Any], wrong: Any) -> None:
    before = sorted(root.storage.list_all(""))
    with pytest.raises(zv.ArgumentError, match=r"level_index: expected the number of a level, 0 or more, got"):
        use(root, wrong)
    assert sorted(root.storage.list_all("")) == before
    with pytest.raises(zv.UnknownNameError, match="level"):
        get_resolution_level(root, wrong)


@pytest.mark.parametrize("wrong", [(1.5, 2, 2), 2.5, (2, 2, 0.5), None])
def test_a_ratio_that_is_no_whole_number_is_refused(root: Group, wrong: Any) -> None:
    with pytest.raises(zv.ArgumentError, match=r"bin_ratio: expected 3 whole numbers"):
        add_resolution_level(root, 1, wrong)
    assert list_resolution_levels(root) == [0]


def test_numbers_of_numpy_are_numbers(root: Group) -> None:
    add_resolution_level(root, np.int64(1), np.array([2, 2, 2]))
    add_resolution_level(root, 2, (4.0, 4, 4), parent_level=np.int32(1))
    assert list_resolution_levels(root) == [0, 1, 2]
    with pytest.raises(zv.ArgumentError, match="parent_level"):
        add_resolution_level(root, 3, (8, 8, 8), parent_level=True)
    remove_resolution_level(root, np.uint8(1))
    assert list_resolution_levels(root) == [0, 2]
