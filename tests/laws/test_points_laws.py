"""Laws that hold for any cloud, grid, revision and query."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws.strategies import Cloud, boxes, clouds, grids
from zarr_vectors.encoding.compression import resolve_compressor
from zarr_vectors.model.elements import bounding_box
from zarr_vectors.types.points import read_points, write_points

LAYOUTS = st.sampled_from(
    [
        {},
        {"compressor": None},
        {"compressor": None, "shard_shape": None},
        {"compressor": "zstd", "shard_shape": 2},
        {"compressor": "zstd", "shard_shape": None},
    ]
)
REVISIONS = st.sampled_from(["0.9", "0.7"])


def written(cloud: Cloud, revision: str = "0.9", **layout: Any) -> str:
    if revision == "0.7":
        layout.pop("shard_shape", None)
    path = f"memory://laws-{uuid.uuid4().hex}"
    write_points(path, **cloud.arguments(revision), **layout)
    return path


def assert_rows(result: Any, cloud: Cloud, rows: Any) -> None:
    """Check that a result holds exactly some input rows, each with all that belongs to it."""
    np.testing.assert_array_equal(result.attributes["row"], rows)
    np.testing.assert_array_equal(result.positions, cloud.positions[rows])
    assert result.positions.dtype == cloud.positions.dtype
    for name, values in cloud.attributes.items():
        np.testing.assert_array_equal(result.attributes[name], values[rows])
    if cloud.object_ids is None:
        assert result.object_ids is None
    else:
        np.testing.assert_array_equal(result.object_ids, cloud.object_ids[rows])


def stored_order(cloud: Cloud) -> Any:
    """Return the input rows in the order that a store has them, by the arithmetic of the format."""
    bins = np.floor(cloud.positions.astype(np.float64) / np.array(cloud.bin_shape)).astype(np.int64)
    per_chunk = np.array([round(c / b) for c, b in zip(cloud.chunk_shape, cloud.bin_shape, strict=True)])
    chunks, inner = bins // per_chunk, bins % per_chunk
    within = inner.T[::-1] if cloud.object_ids is None else [cloud.object_ids]
    return np.lexsort([np.arange(len(bins)), *within, *chunks.T[::-1]])


@given(clouds(), REVISIONS, LAYOUTS)
def test_reading_gives_what_was_written_in_stored_order(cloud: Cloud, revision: str, layout: dict[str, Any]) -> None:
    assert_rows(read_points(written(cloud, revision, **layout)), cloud, stored_order(cloud))


@given(clouds(), st.data())
def test_grids_do_not_change_what_is_stored(cloud: Cloud, data: st.DataObject) -> None:
    bins, chunks = data.draw(grids(cloud.ndim))
    other = Cloud(cloud.positions, bins, chunks, cloud.object_ids)
    assert_rows(read_points(written(other)), other, stored_order(other))
    assert set(stored_order(other)) == set(stored_order(cloud))


@given(clouds(), LAYOUTS)
def test_revisions_hold_the_same(cloud: Cloud, layout: dict[str, Any]) -> None:
    new, old = read_points(written(cloud, "0.9", **layout)), read_points(written(cloud, "0.7", **layout))
    np.testing.assert_array_equal(new.positions, old.positions)
    assert_rows(old, cloud, new.attributes["row"])


@settings(max_examples=150)
@given(clouds(), REVISIONS, LAYOUTS, st.data())
def test_queries_filter_what_reading_all_gives(
    cloud: Cloud, revision: str, layout: dict[str, Any], data: st.DataObject
) -> None:
    path = written(cloud, revision, **layout)
    everything = read_points(path)
    rows = everything.attributes["row"]
    keep = np.ones(len(rows), bool)
    query: dict[str, Any] = {}
    if data.draw(st.booleans()):
        query["bbox"] = data.draw(boxes(cloud))
        exact = everything.positions.astype(np.float64)
        keep &= ((exact >= query["bbox"][0]) & (exact < query["bbox"][1])).all(axis=1)
    if data.draw(st.booleans()):
        condition = data.draw(st.sampled_from([3, [0, 4], (1, 3)]))
        query["attribute_filter"] = {"label": condition}
        label = everything.attributes["label"]
        if isinstance(condition, tuple):
            keep &= (label >= condition[0]) & (label < condition[1])
        else:
            keep &= np.isin(label, condition)
    if cloud.object_ids is not None and len(rows) and data.draw(st.booleans()):
        wanted = data.draw(st.lists(st.sampled_from(cloud.object_ids.tolist()), max_size=3))
        query["object_ids"] = wanted
        assert everything.object_ids is not None
        keep &= np.isin(everything.object_ids, np.array(wanted, np.int64))
    if data.draw(st.booleans()):
        chunks = cloud.grid.chunks_of(everything.positions)
        asked = data.draw(st.lists(st.sampled_from(chunks.tolist()), max_size=3)) if len(rows) else []
        query["chunks"] = [*asked, [99] * cloud.ndim]
        keep &= (chunks[:, None] == np.array(query["chunks"])[None]).all(axis=2).any(axis=1)
    assert_rows(read_points(path, **query), cloud, rows[keep])


@given(clouds(objects=True, max_ndim=2), REVISIONS, st.data())
def test_groups_unite_their_objects(cloud: Cloud, revision: str, data: st.DataObject) -> None:
    ids = np.unique(cloud.object_ids)
    members = st.lists(st.sampled_from(ids.tolist()), unique=True) if len(ids) else st.just([])
    groups = {name: data.draw(members) for name in ("a", "b", "c")}
    path = f"memory://laws-{uuid.uuid4().hex}"
    write_points(path, **cloud.arguments(revision), groups=groups)
    asked = data.draw(st.lists(st.sampled_from(["a", "b", "c", 0, 1, 2]), min_size=1, max_size=3))
    wanted = [i for name in asked for i in groups[name if isinstance(name, str) else "abc"[name]]]
    expected = stored_order(cloud)
    expected = expected[np.isin(cloud.object_ids[expected], np.array(wanted, np.int64))]
    assert_rows(read_points(path, group_ids=asked), cloud, expected)


@given(clouds(objects=False), REVISIONS, st.integers(0, 60))
def test_appending_is_writing_both(cloud: Cloud, revision: str, cut: int) -> None:
    path = f"memory://laws-{uuid.uuid4().hex}"
    arguments = cloud.arguments(revision)
    attributes = arguments.pop("attributes")
    positions = arguments.pop("positions")
    low, high = bounding_box(positions)
    for part in (slice(0, cut), slice(cut, None)):
        some = {name: values[part] for name, values in attributes.items()}
        write_points(path, positions[part], mode="a", attributes=some, bounds=(low, high), **arguments)
    assert_rows(read_points(path), cloud, stored_order(cloud))


@given(clouds(), st.integers(1, 700))
def test_bounding_boxes_hold_every_row(cloud: Cloud, repeats: int) -> None:
    positions = np.tile(cloud.positions, (repeats, 1))[: len(cloud.positions) * repeats // 2 + 1]
    for laid in (positions, np.asfortranarray(positions)):
        low, high = bounding_box(laid)
        if len(positions):
            np.testing.assert_array_equal(low, positions.min(axis=0))
            np.testing.assert_array_equal(high, positions.max(axis=0))


@given(st.sampled_from(["auto", "zstd", "blosc", "lz4", "gzip", None]), st.integers(1, 8))
def test_compressors_resolve_to_themselves(name: str | None, itemsize: int) -> None:
    documents = resolve_compressor(name, itemsize=itemsize)
    assert resolve_compressor(documents, itemsize=itemsize) == documents
