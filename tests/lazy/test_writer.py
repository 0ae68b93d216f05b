"""Writing to a level of an open dataset."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors
from zarr_vectors.edit.attributes import put_attribute
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, ShapeError, StoreError, StoreLockedError
from zarr_vectors.lazy import open_zv
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.objects import read_column
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])


def cloud(revision: str, **more: Any) -> str:
    path = f"memory://writer-{uuid.uuid4().hex}"
    positions = np.random.default_rng(0).uniform(0, 100, (200, 3))
    write_points(
        path, positions, chunk_shape=50, bounds=([0] * 3, [100] * 3), dtype="float64", format_version=revision, **more
    )
    return path


@REVISIONS
def test_attributes_are_added_in_a_block_and_seen_after_it(revision: str) -> None:
    path = cloud(revision, object_ids=np.arange(200) // 20)
    with open_zv(path, mode="r+") as dataset:
        heights = dataset.read().positions[:, 2]
        with dataset[0].writer() as writer:
            assert isinstance(writer, zarr_vectors.ZVWriter)
            writer.add_attribute_sync("height", heights)
            writer.add_node_attribute_sync("code", np.arange(200), dtype="int16")
            writer.add_object_attribute_sync("volume", np.arange(10) * 0.1)
            assert dataset.read().attributes == {}
        found = dataset.read()
        assert found.attributes["height"].dtype == np.float64
        assert found.attributes["code"].dtype == np.int16
        np.testing.assert_array_equal(found.attributes["height"], found.positions[:, 2])
    assert validate(path, level=5).is_valid


@REVISIONS
def test_the_same_without_blocking_an_event_loop(revision: str) -> None:
    path = cloud(revision)

    async def work() -> dict[str, int]:
        with open_zv(path, mode="r+") as dataset:
            async with dataset[0].writer() as writer:
                await writer.add_attribute("value", np.arange(200.0))
                await writer.add_node_attribute("again", np.arange(200.0))
                added: dict[str, int] = await writer.append_vertices([[1, 1, 1], [99, 99, 99]])
                await writer.commit()
                assert dataset.vertex_count(0) == 202
            return added

    assert asyncio.run(work()) == {"vertices_added": 2, "new_objects": 0, "chunks_touched": 2}
    values = read_points(path).attributes["value"]
    assert len(values) == 202
    assert np.isnan(values).sum() == 2


@REVISIONS
def test_faces_and_edges_get_values_in_the_order_of_their_reader(revision: str) -> None:
    rng = np.random.default_rng(1)
    mesh, graph = (f"memory://writer-{uuid.uuid4().hex}" for _ in range(2))
    faces = np.array([rng.choice(60, 3, replace=False) for _ in range(80)])
    positions = rng.uniform(0, 100, (60, 3))
    write_mesh(mesh, positions, faces, chunk_shape=30, format_version=revision, face_attributes={"n": np.arange(80)})
    write_graph(graph, positions, faces[:, :2], chunk_shape=30, format_version=revision, store="duplicate")
    for path in (mesh, graph):
        with open_zv(path, mode="r+") as dataset, dataset[0].writer() as writer:
            before = read_mesh(path).faces if path == mesh else read_graph(path).edges
            writer.add_face_attribute_sync("first", before[:, 0])
    found = read_mesh(mesh)
    np.testing.assert_array_equal(found.face_attributes["first"], found.faces[:, 0])
    edges = read_graph(graph)
    np.testing.assert_array_equal(edges.edge_attributes["first"], edges.edges[:, 0])
    assert validate(mesh, level=5).is_valid
    assert validate(graph, level=5).is_valid


@REVISIONS
def test_asynchronous_methods_do_what_their_twins_do(revision: str) -> None:
    path, rng = f"memory://writer-{uuid.uuid4().hex}", np.random.default_rng(2)
    faces = np.array([rng.choice(60, 3, replace=False) for _ in range(80)])
    owners = np.arange(60) // 20
    write_mesh(path, rng.uniform(0, 100, (60, 3)), faces, chunk_shape=30, format_version=revision, object_ids=owners)
    whole = read_mesh(path)

    async def work() -> None:
        zv = open_zv(path, mode="r+")
        async with zv[0].writer() as w:
            await w.add_attribute("normal", whole.vertices / 2)
            await w.add_node_attribute("code", np.arange(60), dtype="int16")
            await w.add_face_attribute("first", whole.faces[:, 0], dtype="float32")
            await w.add_object_attribute("rank", np.arange(3) * 2)
            assert read_mesh(path).attributes == {}
        with suppress(RuntimeError):
            async with zv[0].writer() as w:
                await w.add_attribute("lost", np.arange(60))
                raise RuntimeError("enough")
        writer = zv[0].writer()
        await writer.add_face_attribute("last", whole.faces[:, 2])
        assert set(read_mesh(path).face_attributes) == {"first", "last"}
        await writer.commit()
        with pytest.raises(ShapeError, match="'x' has 3 rows, but there must be 80, one per link"):
            await writer.add_face_attribute("x", np.arange(3))

    asyncio.run(work())
    found = read_mesh(path)
    np.testing.assert_array_equal(found.vertices, whole.vertices)
    assert set(found.attributes) == {"normal", "code"}
    np.testing.assert_array_equal(found.attributes["normal"], found.vertices / 2)
    assert found.attributes["code"].dtype == np.int16
    np.testing.assert_array_equal(found.face_attributes["first"], found.faces[:, 0])
    np.testing.assert_array_equal(found.face_attributes["last"], found.faces[:, 2])
    assert found.face_attributes["first"].dtype == np.float32
    level = open_reader(path).level(0)
    assert read_column(level, level.arrays.object_attributes["rank"]).values.tolist() == [0, 2, 4]
    assert validate(path, level=5).is_valid


def test_a_block_that_raises_changes_nothing() -> None:
    path = cloud("0.9")
    with open_zv(path, mode="r+") as dataset:
        with suppress(RuntimeError), dataset[0].writer() as writer:
            writer.add_attribute_sync("value", np.arange(200.0))
            raise RuntimeError("enough")
        assert dataset.read().attributes == {}
        with dataset[0].writer() as writer:
            with pytest.raises(ShapeError, match="'value' has 3 rows, but there must be 200, one per vertex"):
                writer.add_attribute_sync("value", np.arange(3.0))
            writer.add_attribute_sync("other", np.arange(200.0))
        assert set(dataset.read().attributes) == {"other"}


def test_outside_of_a_block_every_step_is_final() -> None:
    path = cloud("0.9")
    with open_zv(path, mode="r+") as dataset:
        writer = dataset[0].writer()
        writer.add_attribute_sync("value", np.arange(200.0))
        assert set(read_points(path).attributes) == {"value"}
        writer.append_vertices_sync([[1, 2, 3]])
        writer.commit_sync()
        assert dataset.vertex_count(0) == len(read_points(path).positions) == 201


def test_a_block_keeps_other_writers_out_until_it_ends() -> None:
    path = cloud("0.9")
    with open_zv(path, mode="r+") as dataset:
        with dataset[0].writer() as writer:
            writer.add_attribute_sync("value", np.arange(200.0))
            with pytest.raises(StoreLockedError):
                write_points(path, [[1, 2, 3]], mode="a", attributes={"value": [1.0]})
            with pytest.raises(StoreError, match="in a block already"), writer:
                pass
        write_points(path, [[1, 2, 3]], mode="a", attributes={"value": [1.0]})


@REVISIONS
def test_rows_without_a_value_get_the_declared_fill_or_are_refused(revision: str) -> None:
    attributes = {"depth": np.arange(200.0), "name": ["a", "b"] * 100, "two": np.ones((200, 2), np.float32)}
    path = cloud(revision, attributes=attributes)
    with open_zv(path, mode="r+") as dataset, dataset[0].writer() as writer:
        writer.append_vertices_sync([[1, 1, 1]])
        writer.append_vertices_sync([[1, 1, 1]], attributes={"name": ["new"]})
    found = read_points(path, bbox=([1, 1, 1], [1.5, 1.5, 1.5]))
    assert np.isnan(found.attributes["depth"]).all()
    assert np.isnan(found.attributes["two"]).all()
    assert found.attributes["name"].tolist() == [None, "new"]
    path = cloud(revision, attributes={"count": np.arange(200)})
    writer = open_zv(path, mode="r+")[0].writer()
    with pytest.raises(ArgumentError, match=r"'count' \(int64\) declares no value for rows without one"):
        writer.append_vertices_sync([[1, 1, 1]])
    assert len(read_points(path).positions) == 200


@REVISIONS
def test_positions_outside_the_bounds(revision: str) -> None:
    path = cloud(revision)
    writer = open_zv(path, mode="r+")[0].writer()
    far = [[1, 1, 1], [200, 1, 1], [-60, 1, 1]]
    with pytest.raises(OutOfBoundsError, match="2 of 3 lie outside the bounds"):
        writer.append_vertices_sync(far)
    assert writer.append_vertices_sync(far, out_of_bounds="ignore")["vertices_added"] == 1
    assert writer.append_vertices_sync(far, out_of_bounds="expand")["vertices_added"] == 3
    assert open_reader(path).root.bounds == ((-60, 0, 0), (200, 100, 100))
    assert len(read_points(path).positions) == 204
    assert validate(path, level=5).is_valid


@REVISIONS
def test_new_objects(revision: str) -> None:
    path = cloud(revision, object_ids=np.arange(200) // 20 * 3, object_attributes={"volume": np.arange(10.0)})
    writer = open_zv(path, mode="r+")[0].writer()
    with pytest.raises(ArgumentError, match="the store has an object 27 already"):
        writer.append_vertices_sync([[1, 1, 1]], object_ids=[27])
    assert writer.append_vertices_sync([[1, 1, 1], [2, 2, 2]])["new_objects"] == 2
    assert writer.append_vertices_sync([[3, 3, 3]] * 2, object_ids=[1, 1])["new_objects"] == 1
    np.testing.assert_array_equal(read_points(path, object_ids=[29]).positions, [[2, 2, 2]])
    np.testing.assert_array_equal(read_points(path, object_ids=[1]).positions, [[3, 3, 3]] * 2)
    assert validate(path, level=5).is_valid


def test_coarse_levels_become_stale_and_are_built_anew() -> None:
    path = cloud("0.9", attributes={"depth": np.arange(200.0)})
    build_pyramid(path, [(2.0, 1.0)], agg_mode={"depth": "max"}, cross_level_storage="implicit")
    with open_zv(path, mode="r+") as dataset:
        with dataset[0].writer() as writer:
            writer.append_vertices_sync([[1, 1, 1]], attributes={"depth": [999.0]})
        assert dataset.stale_levels == [1]
        assert dataset[1].is_stale
        assert len(dataset[1].read().positions) > 0
        assert [finding.check for finding in validate(path, level=5).warnings] == ["fresh"]
        dataset[0].writer().commit_sync(refresh=True)
        assert dataset.stale_levels == []
        assert dataset[1].read().attributes["depth"].max() == 999
    report = validate(path, level=5)
    assert report.is_valid
    assert not report.warnings


def test_levels_above_0_take_attributes_and_vertices(tmp_path: Path) -> None:
    write_points(tmp_path / "p", np.random.default_rng(0).uniform(0, 100, (500, 3)), chunk_shape=50)
    build_pyramid(tmp_path / "p", [(2.0, 1.0)])
    with open_zv(tmp_path / "p", mode="r+") as dataset:
        writer = dataset[1].writer()
        writer.add_attribute_sync("rank", np.arange(dataset.vertex_count(1)))
        assert dataset[1].read().attributes["rank"].tolist() == list(range(dataset.vertex_count(1)))
        count = dataset.vertex_count(1)
        low = np.array(dataset[1].read().positions).min(axis=0)
        writer.append_vertices_sync([low], attributes={"rank": [-1]})
        assert dataset.vertex_count(1) == count + 1
        assert -1 in dataset[1].read().attributes["rank"]


def test_a_step_that_fails_halfway_takes_its_block_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    path = cloud("0.9")

    def fail_halfway(change: Any, name: str, *arguments: Any, **more: Any) -> None:
        put_attribute(change, name, *arguments, **more)
        if name == "second":
            raise ArgumentError("after part of it was staged")

    monkeypatch.setattr("zarr_vectors.lazy.writer.put_attribute", fail_halfway)
    with open_zv(path, mode="r+") as dataset:
        writer = dataset[0].writer()
        writer.__enter__()
        writer.add_attribute_sync("first", np.arange(200.0))
        with pytest.raises(ArgumentError, match="after part"):
            writer.add_attribute_sync("second", np.arange(200.0))
        with pytest.raises(StoreError, match="nothing of the block was kept"):
            writer.add_attribute_sync("third", np.arange(200.0))
        with pytest.raises(StoreError, match="nothing of the block was kept"):
            writer.__exit__(None, None, None)
        assert read_points(path).attributes == {}
        with dataset[0].writer() as another:  # the lock was given up
            another.add_attribute_sync("fourth", np.arange(200.0))
        assert set(dataset.read().attributes) == {"fourth"}
