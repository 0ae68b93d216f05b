"""Readers who may get objects but not list them, as many public buckets have it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.flaky import Flaky, flaky
from tests.servers import S3Server, http_server
from zarr_vectors import edit
from zarr_vectors.core.store import consolidate_metadata
from zarr_vectors.exceptions import StoreError, StoreNotFoundError
from zarr_vectors.lazy import open_zv
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.points import read_points, write_points


@pytest.fixture(scope="module")
def guarded(s3: S3Server) -> Iterator[Flaky]:
    with flaky(s3.endpoint) as server:
        server.denies_listing = True
        yield server


def cloud(place: str, options: dict[str, Any], **more: Any) -> Any:
    positions = np.random.default_rng(0).uniform(0, 100, (3000, 3)).astype(np.float32)
    write_points(place, positions, attributes={"row": np.arange(3000)}, chunk_shape=25, bin_shape=5, **more, **options)
    build_pyramid(place, factors=[(2, 1.0), (4, 1.0)], **options)
    return positions


@pytest.mark.parametrize("more", [{}, {"compressor": None, "shard_shape": None}, {"shard_shape": 2}])
def test_a_store_is_read_without_listing(s3: S3Server, guarded: Flaky, more: dict[str, Any]) -> None:
    place = f"s3://bucket/{uuid.uuid4().hex}"
    positions = cloud(place, s3.options, **more)
    edit.add_attribute(place, "height", np.arange(3000.0), **s3.options)
    options = {**s3.options, "endpoint": guarded.url}
    found = read_points(place, bbox=([10] * 3, [60] * 3), **options)
    inside = ((positions >= 10) & (positions < 60)).all(axis=1)
    assert sorted(found.attributes["row"].tolist()) == np.flatnonzero(inside).tolist()
    assert "height" in found.attributes
    assert read_points(place, level=1, **options).vertex_count == read_points(place, level=1, **s3.options).vertex_count
    with open_zv(place, **options) as dataset:
        assert dataset[0].read().vertex_count == 3000
    root = zv.open_store(place, **options)
    assert read_points(root, level=2).vertex_count == read_points(place, level=2, **s3.options).vertex_count
    with pytest.raises(StoreError, match=r"cannot list its folders, since the right to list is missing"):
        root.reader.storage.list_folders([""])


@pytest.mark.parametrize("kind", ["graph", "skeleton"])
def test_links_and_objects_are_read_without_listing(s3: S3Server, guarded: Flaky, kind: str) -> None:
    place = f"s3://bucket/{uuid.uuid4().hex}"
    positions = np.random.default_rng(1).uniform(0, 100, (400, 3)).astype(np.float32)
    first = np.arange(399)
    edges = np.stack([first, first + 1] if kind == "graph" else [first + 1, first], axis=1)
    write_graph(
        place, positions, edges, geometry_type=kind, object_ids=np.repeat([3], 400), chunk_shape=25, **s3.options
    )
    found = read_graph(place, object_ids=[3], **{**s3.options, "endpoint": guarded.url})
    expected = read_graph(place, object_ids=[3], **s3.options)
    assert found.positions.tobytes() == expected.positions.tobytes()
    assert found.edges.tolist() == expected.edges.tolist()


def test_who_may_read_nothing_is_told_so(s3: S3Server, guarded: Flaky) -> None:
    place = f"s3://bucket/{uuid.uuid4().hex}"
    options = {**s3.options, "endpoint": guarded.url}
    with pytest.raises(StoreError, match="permission denied") as caught:
        read_points(place, **options)
    assert not isinstance(caught.value, StoreNotFoundError)
    write_points(place, np.zeros((3, 3)), **s3.options)
    guarded.always = "403"
    with pytest.raises(StoreError, match="permission denied"):
        read_points(place, **options)
    guarded.always = ""
    assert read_points(place, **options).vertex_count == 3


def test_writers_need_to_list(s3: S3Server, guarded: Flaky) -> None:
    place = f"s3://bucket/{uuid.uuid4().hex}"
    cloud(place, s3.options)
    with pytest.raises(StoreError, match="permission denied"):
        edit.add_attribute(place, "height", np.arange(3000.0), **{**s3.options, "endpoint": guarded.url})
    assert "height" not in read_points(place, **s3.options).attributes


@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_servers_that_refuse_what_is_not_there(tmp_path: Path, revision: str) -> None:
    """Over plain HTTP, as what stands before a bucket that may not be listed does."""
    place = tmp_path / "s.zv"
    write_points(place, np.arange(90.0).reshape(30, 3), chunk_shape=25, format_version=revision)
    consolidate_metadata(place)
    with http_server(tmp_path) as url, flaky(url) as server:
        server.denies_listing = True
        assert read_points(f"{server.url}/s.zv").vertex_count == 30
        with pytest.raises(StoreError, match="permission denied"):
            read_points(f"{server.url}/none.zv")
        for status in ("401", "403"):
            server.always = status
            with pytest.raises(StoreError, match="permission denied"):
                read_points(f"{server.url}/s.zv")
