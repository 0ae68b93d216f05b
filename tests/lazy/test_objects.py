"""Objects by id and groups by name, one or several, at every level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.lazy.stores import READERS, REVISIONS, WITH_OBJECTS, counted, same, store
from zarr_vectors.lazy import open_zv


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", WITH_OBJECTS)
def test_objects_are_read_by_id(kind: str, revision: str) -> None:
    path = store(kind, revision)
    with open_zv(path) as dataset:
        objects = dataset[0].objects
        ids = list(objects)
        assert ids == sorted(ids) == objects.ids.tolist() == list(objects.keys())
        assert len(objects) == len(ids) == dataset.n_objects
        for one in (ids[0], np.int64(ids[-1])):
            assert one in objects
            assert same(objects[one], READERS[kind](path, object_ids=[one]))
        for several in (ids[:3], np.array(ids[-2:]), tuple(ids[:1]), range(ids[0], ids[0] + 1)):
            assert same(objects[several], READERS[kind](path, object_ids=list(several)))
        absent = max(ids) + 1
        assert absent not in objects
        assert objects.get(absent) is None
        with pytest.raises(KeyError, match=str(absent)):
            objects[absent]
        with pytest.raises(zv.UnknownNameError, match=str(absent)):
            objects[[ids[0], absent]]


@pytest.mark.parametrize("key", ["1", None, 1.0, True, slice(0, 2), [0.5], [[1]]])
def test_what_is_no_id_is_refused(key: Any) -> None:
    with open_zv(store("objects")) as dataset:
        with pytest.raises(zv.ArgumentError, match="object"):
            dataset[0].objects[key]
        assert not isinstance(key, (str, float)) or key not in dataset[0].objects


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_coarse_level_has_the_objects_that_are_left(revision: str) -> None:
    with open_zv(store("objects", revision)) as dataset:
        coarse = dataset[1]
        left = np.unique(coarse.read().object_ids)
        assert 0 < len(left) < 40
        assert list(coarse.objects) == left.tolist()
        assert len(coarse.objects) == coarse.object_count == dataset.object_count_at(1) == len(left)
        gone = sorted(set(dataset[0].objects) - set(coarse.objects))[0]
        assert gone not in coarse.objects
        one = coarse.objects[int(left[0])]
        assert (one.level, set(one.object_ids.tolist())) == (1, {int(left[0])})


@pytest.mark.parametrize("revision", REVISIONS)
def test_points_without_objects_have_none(revision: str) -> None:
    with open_zv(store("points", revision)) as dataset:
        assert (len(dataset[0].objects), list(dataset[0].objects), 0 in dataset[0].objects) == (0, [], False)
        assert (len(dataset[0].groups), list(dataset[0].groups), dataset[0].groups.attributes) == (0, [], {})
        with pytest.raises(zv.UnknownNameError, match="no objects"):
            dataset[0].objects[0]
        with pytest.raises(zv.UnknownNameError, match="no groups"):
            dataset[0].groups["a"]
        with pytest.raises(zv.UnknownNameError, match="no group"):
            dataset[0].groups.members("a")


@pytest.mark.parametrize("revision", REVISIONS)
def test_groups_are_read_by_name_or_number(revision: str) -> None:
    path = store("objects", revision)
    with open_zv(path) as dataset:
        groups = dataset[0].groups
        assert list(groups) == ["first", "odd <b>"]
        assert len(groups) == dataset[0].group_count == 2
        assert "first" in groups
        assert 1 in groups
        assert not {2, -1, "none", None, True} & {key for key in (2, -1, "none", None, True) if key in groups}
        assert groups.members("first").tolist() == groups.members(0).tolist() == [0, 7, 14]
        assert groups.attributes["weight"].tolist() == [1.5, 2.5]
        for key in ("first", 0, ["first"]):
            assert same(groups[key], READERS["objects"](path, object_ids=[0, 7, 14]))
        assert same(groups[["first", 1]], READERS["objects"](path, object_ids=[0, 7, 14, 21]))
        with pytest.raises(KeyError, match="nobody"):
            groups["nobody"]
        with pytest.raises(zv.UnknownNameError, match="'first'"):
            groups.members("nobody")
    with open_zv(store("polylines", revision)) as dataset:
        assert dataset[0].groups["some"].polyline_count == 4
    with open_zv(store("parametric", revision)) as dataset:
        assert list(dataset[0].groups) == ["round"]
        assert dataset[0].group_count == 1
        assert dataset[0].groups["round"].object_ids.tolist() == dataset[0].groups.members(0).tolist() == [0, 1]


def test_ids_and_names_are_read_once() -> None:
    dataset, storage = counted(store("objects"), cache_size=0)
    level = dataset[1]
    assert list(level.objects)
    assert list(level.groups)
    storage.reset()
    assert 7 in level.objects or 0 in level.objects or len(level.objects)
    assert list(level.objects)
    assert level.groups.members("first") is not None
    assert storage.rounds == 0


def test_views_are_named_and_told_apart() -> None:
    with open_zv(store("objects")) as dataset:
        level = dataset[0]
        assert repr(level.objects).startswith("<objects of level 0")
        assert repr(level.groups).startswith("<groups of level 0")
        assert level.objects == level.objects != dataset[1].objects
        assert level.groups == level.groups != dataset[1].groups
        assert len({level.objects, level.groups, dataset[1].objects}) == 3
        assert level.object_attribute_names == ["size"]
