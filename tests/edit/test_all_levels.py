"""Attributes of objects and groups, which every level has, where levels have different objects."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from zarr_vectors import edit
from zarr_vectors.exceptions import ShapeError, UnknownNameError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.objects import read_column, read_groups, read_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.points import write_points
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])


def place(revision: str) -> str:
    """Write six objects, make a coarse level, and delete the first object at level 0."""
    path = f"memory://levels-{uuid.uuid4().hex}"
    write_points(
        path,
        np.random.default_rng(1).uniform(0, 100, (30, 3)),
        object_ids=np.arange(30) // 5,
        object_attributes={"z": np.arange(6), "name": list("abcdef")},
        groups={"low": [0, 1, 2], "high": [3, 4]},
        chunk_shape=50,
        bounds=([0] * 3, [100] * 3),
        format_version=revision,
    )
    build_pyramid(path, [(2.0, 2.0)])
    edit.delete_objects(path, [0])
    return path


def values(path: str, name: str, level: int) -> dict[int, Any]:
    reader = open_reader(path).level(level)
    ids, column = read_object_ids(reader), read_column(reader, reader.arrays.object_attributes[name])
    assert ids is not None
    return dict(zip(ids.tolist(), column.values.tolist(), strict=True))


@pytest.mark.parametrize("level", [0, 1])
@REVISIONS
def test_values_are_set_at_all_levels_when_an_object_is_gone(revision: str, level: int) -> None:
    path = place(revision)
    edit.set_attribute(path, "z", np.arange(5) + 50, kind="object", level=level)
    expected = {number: 49 + number for number in range(1, 6)}
    assert values(path, "z", 0) == expected
    assert values(path, "z", 1) == {0: 0, **expected}
    edit.set_attribute(path, "z", [7], kind="object", rows=[0], level=level)
    assert values(path, "z", 1) == {0: 0, **expected, 1: 7}
    assert validate(path, level=5).is_valid


@REVISIONS
def test_text_keeps_all_of_its_letters(revision: str) -> None:
    path = place(revision)
    edit.set_attribute(path, "name", ["longer", "b", "c", "d", "e"], kind="object")
    assert values(path, "name", 1) == {0: "a", 1: "longer", 2: "b", 3: "c", 4: "d", 5: "e"}
    edit.set_attribute(path, "name", np.arange(5.0), kind="object")
    assert np.isnan(values(path, "name", 1)[0])
    edit.set_attribute(path, "name", ["x"] * 5, kind="object")
    assert values(path, "name", 1)[0] == ""
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("level", [0, 1])
@REVISIONS
def test_new_attributes_are_there_at_all_levels(revision: str, level: int) -> None:
    path = place(revision)
    edit.add_attribute(path, "size", np.arange(5.0), kind="object", level=level)
    found = values(path, "size", 1)
    assert np.isnan(found.pop(0))
    assert found == values(path, "size", 0) == {1: 0, 2: 1, 3: 2, 4: 3, 5: 4}
    edit.remove_attribute(path, "size", kind="object", level=level)
    for number in (0, 1):
        assert "size" not in open_reader(path).level(number).arrays.object_attributes
    assert validate(path, level=5).is_valid


def test_values_are_those_of_the_objects_of_level_0() -> None:
    path = place("0.9")
    with pytest.raises(ShapeError, match="5"):
        edit.set_attribute(path, "z", np.arange(6), kind="object", level=1)
    with pytest.raises(UnknownNameError, match="level 7"):
        edit.set_attribute(path, "z", np.arange(5), kind="object", level=7)


@REVISIONS
def test_groups_are_set_at_all_levels_when_an_object_is_gone(revision: str) -> None:
    path = place(revision)
    edit.append_vertices(path, [[1, 1, 1]], object_ids=9, object_attributes={"z": [1], "name": ["g"]})
    edit.set_groups(path, {"new": [1, 9], "other": [5]})
    for number, expected in ((0, [[1, 9], [5]]), (1, [[1], [5]])):
        groups = read_groups(open_reader(path).level(number))
        assert groups is not None
        assert [groups.of(g).tolist() for g in range(groups.count)] == expected
        assert groups.attributes["name"].values.tolist() == ["new", "other"]
    assert validate(path, level=5).is_valid
    edit.set_groups(path, None)
    assert all(read_groups(open_reader(path).level(number)) is None for number in (0, 1))
