"""Reading through a dataset gives what the reader of the kind gives; levels are chosen as they are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.lazy.stores import BOX, KINDS, READERS, REVISIONS, SPATIAL, WITH_OBJECTS, same, store
from zarr_vectors.lazy import open_zv
from zarr_vectors.types.points import write_points
from zarr_vectors.types.polylines import write_polylines


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_dataset_reads_as_the_reader_of_its_kind(kind: str, revision: str) -> None:
    path = store(kind, revision)
    with open_zv(path) as dataset:
        assert same(dataset.read(), READERS[kind](path))
        if kind in SPATIAL:
            found = dataset[0].read(bbox=BOX)
            assert same(found, READERS[kind](path, bbox=BOX))
            assert not same(found, dataset.read())
        for level in dataset:
            if kind in SPATIAL and level.index:
                assert same(level.read(), READERS[kind](path, level=level.index))


@pytest.mark.parametrize("kind", WITH_OBJECTS)
def test_objects_groups_and_attributes_are_passed_on(kind: str) -> None:
    path = store(kind)
    with open_zv(path) as dataset:
        ids = list(dataset[0].objects)[-2:]
        assert same(dataset.read(object_ids=ids), READERS[kind](path, object_ids=ids))
        if len(dataset[0].groups):
            group = next(iter(dataset[0].groups))
            assert same(dataset.read(group_ids=group), READERS[kind](path, group_ids=group))
        for names in ([], dataset[0].attribute_names[:1]):
            assert same(dataset.read(attributes=names), READERS[kind](path, attributes=names))


def test_conditions_and_options_of_a_kind_are_passed_on() -> None:
    with open_zv(store("points")) as dataset:
        found = dataset.read(bbox=BOX, attribute_filter={"height": (0.0, 10.0)}, chunks=dataset[0].chunks[:40])
        assert same(
            found,
            READERS["points"](
                store("points"), bbox=BOX, attribute_filter={"height": (0.0, 10.0)}, chunks=dataset[0].chunks[:40]
            ),
        )
        assert 0 < len(found) < len(dataset.read(bbox=BOX))
    with open_zv(store("polylines")) as dataset:
        assert same(dataset.read(bbox=BOX, clip=True), READERS["polylines"](store("polylines"), bbox=BOX, clip=True))
    with open_zv(store("parametric")) as dataset:
        assert dataset.read(types="sphere").object_count == dataset.parametric(types="sphere").object_count == 2
        assert dataset.read(attribute_filter={"score": 3.0}).object_ids.tolist() == [2]


@pytest.mark.parametrize(
    ("kind", "arguments", "match"),
    [
        ("points", {"clip": True}, r"clip.*point_cloud.*restore_order"),
        ("points", {"backend": "local"}, "backend"),
        ("lines", {"face_attributes": []}, r"face_attributes.*line"),
        ("parametric", {"bbox": BOX}, "bbox"),
        ("points", {"level": 0, "max_vertices": 9}, "level and max_vertices"),
        ("points", {"target_resolution": 9, "max_vertices": 9}, "target_resolution and max_vertices"),
        ("points", {"max_vertices": -1}, "max_vertices"),
        ("points", {"max_vertices": 2.5}, "max_vertices"),
        ("points", {"max_vertices": 1}, r"coarsest level, 2, has \d+ vertices"),
        ("points", {"target_resolution": [1, 2]}, "target_resolution"),
        ("points", {"target_resolution": 0}, "target_resolution"),
        ("points", {"target_resolution": "fine"}, "target_resolution"),
        ("points", {"bbox": ([0, 0], [1, 1])}, "bbox"),
    ],
)
def test_what_cannot_be_read_is_refused(kind: str, arguments: dict[str, Any], match: str) -> None:
    with open_zv(store(kind)) as dataset, pytest.raises(zv.ArgumentError, match=match):
        dataset.read(**arguments)


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_resolution_chooses_the_coarsest_level_that_is_fine_enough(revision: str) -> None:
    with open_zv(store("points", revision)) as dataset:
        shapes = [np.array(dataset.bin_shape_at(number)) for number in dataset.levels]
        for number, shape in enumerate(shapes):
            assert dataset.read(target_resolution=shape).level == number
            assert dataset.read(target_resolution=shape.max() * 1.001).level == number
            assert dataset.read(target_resolution=shape * 0.999).level == max(0, number - 1)
            one_axis = np.where(np.arange(3) == 1, shape * 0.999, 1e9)
            assert dataset.read(target_resolution=one_axis).level == max(0, number - 1)
        assert dataset.read(target_resolution=1e9).level == 2


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("bbox", [None, ([-49, -50, -50], [30, 40, 45]), ([-50, -50, -50], [0.1, 0.1, 0.1])])
def test_a_number_of_vertices_chooses_the_finest_level_that_has_no_more(revision: str, bbox: Any) -> None:
    with open_zv(store("points", revision)) as dataset:
        counts = [len(dataset.read(number, bbox=bbox)) for number in dataset.levels]
        assert counts[0] > counts[1] > counts[2] > 0
        for number, count in enumerate(counts):
            assert dataset.read(max_vertices=count, bbox=bbox).level == number
        for number, count in enumerate(counts[:2]):
            assert dataset.read(max_vertices=count - 1, bbox=bbox).level == number + 1
        with pytest.raises(zv.ArgumentError, match="coarser level"):
            dataset.read(max_vertices=counts[2] - 1, bbox=bbox)


def size(result: Any) -> int:
    for name in ("vertices", "positions"):
        if hasattr(result, name):
            return len(getattr(result, name))
    return 2 * len(result.endpoints)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", SPATIAL)
def test_no_kind_returns_more_vertices_than_were_asked_for(kind: str, revision: str) -> None:
    """Of paths, faces and boundary edges those vertices too that are outside of the box."""
    extra: list[dict[str, Any]] = [{}]
    if READERS[kind] is READERS["polylines"]:
        extra.append({"clip": True})
    if READERS[kind] is READERS["graph"]:
        extra.append({"include_boundary_edges": True})
    with open_zv(store(kind, revision)) as dataset:
        for bbox, options in [(None, {}), *((BOX, more) for more in extra)]:
            sizes = [size(level.read(bbox=bbox, **options)) for level in dataset]
            held = [level.count(bbox) for level in dataset]
            assert sizes[0] > 0
            for limit in {*sizes, *held, *(max(0, n - 1) for n in (*sizes, *held)), sizes[0] // 2, 10**6}:
                fitting = [number for number, most in enumerate(map(max, sizes, held)) if most <= limit]
                if fitting:
                    found = dataset.read(max_vertices=limit, bbox=bbox, **options)
                    assert found.level == fitting[0]
                    assert size(found) <= limit
                else:
                    with pytest.raises(zv.ArgumentError, match="coarsest level"):
                        dataset.read(max_vertices=limit, bbox=bbox, **options)


def test_a_long_path_counts_whole() -> None:
    path = "memory://lazy-long-path"
    line = np.stack([np.linspace(0, 99, 1000), np.full(1000, 5), np.full(1000, 5)], 1)
    write_polylines(path, [line], chunk_shape=25, bounds=([0] * 3, [100] * 3))
    box = ([0] * 3, [2, 10, 10])
    with open_zv(path) as dataset:
        with pytest.raises(zv.ArgumentError, match="whole objects"):
            dataset.read(bbox=box, max_vertices=30)
        assert size(dataset.read(bbox=box, max_vertices=30, clip=True)) <= 30
        assert size(dataset.read(bbox=box, max_vertices=1000)) == 1000
    with open_zv(store("parametric")) as dataset, pytest.raises(zv.ArgumentError, match="parametric"):
        dataset.read(max_vertices=3)


def test_a_store_without_a_pyramid_has_one_level_to_choose() -> None:
    with open_zv(store("lines")) as dataset:
        assert dataset.read(target_resolution=1e6).level == dataset.read(max_vertices=10**6).level == 0


def test_axes_and_units_are_those_that_were_written() -> None:
    path = "memory://lazy-axes"
    write_points(path, np.ones((3, 2)), axes=["t", "x"], axis_units=["second", "micrometer"])
    with open_zv(path) as dataset:
        assert [axis.name for axis in dataset.axes] == ["t", "x"]
        assert dataset.units == ("second", "micrometer")
        assert dataset.spatial_dims == 2


def test_a_stored_array_opens_as_zarr_has_it() -> None:
    with open_zv(store("points", "0.9")) as dataset:
        array = dataset[0].raw_array("vertices")
        assert array.shape == (4, 4, 4)
        assert array.path == dataset.raw_array("/0/vertices/").path == "0/vertices"
        assert bytes(array[0, 0, 0])
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = b""
        with pytest.raises(zv.UnknownNameError, match="0/nothing"):
            dataset.raw_array("0/nothing")
        with pytest.raises(zv.ArrayError, match=r"group.*height"):
            dataset[0].raw_array("vertex_attributes")
        with pytest.raises(zv.ArgumentError):
            dataset.raw_array("../elsewhere")
    with open_zv(store("points", "0.7")) as dataset:
        key = ".".join(map(str, dataset[0].chunks[0].tolist()))
        with pytest.raises(zv.ArrayError, match="group"):
            dataset.raw_array("0/vertices")
        assert dataset.raw_array(f"0/vertices/{key}").shape
