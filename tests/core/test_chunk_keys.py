"""Which chunks the low-level functions take: keys of one component for each axis, inside the bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.constants import VERTICES
from zarr_vectors.core.arrays import create_vertices_array, write_chunk_vertices
from zarr_vectors.core.group import Group
from zarr_vectors.core.store import create_store, open_store, set_bounds
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.storage.port import put_one
from zarr_vectors.types.points import read_points, write_points

BOUNDS = ([0.0, 0.0, 0.0], [100.0, 100.0, 100.0])
ROW = np.array([[1.0, 2.0, 3.0]], np.float32)


@pytest.fixture(params=["0.9", "0.7"])
def level(request: pytest.FixtureRequest, tmp_path: Path) -> Group:
    path = tmp_path / "a.zv"
    return create_store(path, bounds=BOUNDS, chunk_shape=(50, 50, 50), format_version=request.param)["0"]


@pytest.mark.parametrize("key", [(0, 0), (0, 0, 0, 0), (), "0.0"])
def test_keys_have_a_component_for_each_axis(level: Group, key: Any) -> None:
    write_chunk_vertices(level, (0, 0, 0), [ROW])
    with pytest.raises(ArgumentError, match=r"0/vertices: (chunk keys have 3 components|'' is not|.*number)"):
        level.write_bytes(VERTICES, key, b"x" * 12)
    with pytest.raises(ArgumentError, match=r"0/vertices: chunk keys have 3 components, one for each axis, got \("):
        level.read_bytes(VERTICES, key)
    with pytest.raises(ArgumentError, match="3 components"):
        level.batched_reads([(VERTICES, [key])]).__enter__()
    assert level.list_chunk_keys(VERTICES) == ["0.0.0"]
    assert np.array_equal(read_points(level).positions, ROW)


@pytest.mark.parametrize("key", [(99, 0, 0), (-1, 0, 0), "0.3.0", (0, 0, 2**63 - 1)])
def test_chunks_outside_the_bounds_are_refused(level: Group, key: Any) -> None:
    write_chunk_vertices(level, (0, 0, 0), [ROW])
    with pytest.raises(ArgumentError, match=r"0/vertices: chunk [-\d.]+ lies outside .*set_bounds"):
        level.write_bytes(VERTICES, key, b"x" * 12)
    block = level.batched_writes()
    block.__enter__()
    level.write_bytes(VERTICES, (1, 1, 1), b"x" * 12)
    level.write_bytes(VERTICES, key, b"x" * 12)
    with pytest.raises(ArgumentError, match="outside"):
        block.__exit__(None, None, None)
    assert level.read_bytes(VERTICES, key) == b""
    assert level.list_chunk_keys(VERTICES) == ["0.0.0"]


def test_chunks_within_grown_bounds_are_taken(level: Group) -> None:
    set_bounds(level, ([0, 0, 0], [200, 100, 100]))
    write_chunk_vertices(level, (3, 1, 2), [[[151.0, 52.0, 100.0]]])
    assert level.list_chunk_keys(VERTICES) == ["3.1.2"]


def test_chunks_that_lie_outside_already_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.zv"
    write_points(path, [[260.0, 1.0, 1.0]], chunk_shape=50, bounds=([0] * 3, [300] * 3), format_version="0.7")
    root = open_store(path, "r+")
    narrow = {**root.attrs["zarr_vectors"], "bounds": [[0, 0, 0], [100, 100, 100]]}
    root.attrs["zarr_vectors"] = narrow
    write_chunk_vertices(root["0"], (5, 0, 0), [[[270.0, 2.0, 2.0]]])
    root["0"].write_bytes("vertex_attributes/new", (5, 0, 0), b"12345678")
    with pytest.raises(ArgumentError, match="outside"):
        root["0"].write_bytes(VERTICES, (4, 0, 0), b"x" * 12)
    assert read_points(path).positions.tolist() == [[270.0, 2.0, 2.0]]


def test_levels_that_lead_with_a_value_have_a_component_more(tmp_path: Path) -> None:
    values = np.array([0, 1, 1])
    points = np.array([[1.0, 1, 1], [2, 2, 2], [60, 1, 1]])
    for version in ("0.9", "0.7"):
        path = tmp_path / f"{version}.zv"
        write_points(path, points, attributes={"kind": values}, chunk_shape=50, chunk_by_attribute="kind",
                     bounds=BOUNDS, format_version=version)  # fmt: skip
        level = open_store(path, "r+")["0"]
        held = level.read_bytes(VERTICES, (1, 0, 0, 0))
        assert np.frombuffer(held, np.float32).tolist() == [2, 2, 2]
        for key in ((0, 0, 0), (0, 0, 0, 0, 0)):
            with pytest.raises(ArgumentError, match="4 components"):
                level.read_bytes(VERTICES, key)
            with pytest.raises(ArgumentError, match="4 components"):
                level.write_bytes(VERTICES, key, held)
        with pytest.raises(ArgumentError, match="outside"):
            level.write_bytes(VERTICES, (2, 0, 0, 0), held)


@pytest.mark.parametrize("key", [5, None, "", "a.b.c", (0.5, 0, 0), (2**70, 0, 0), object()])
def test_what_is_no_key_is_named(level: Group, key: Any) -> None:
    for call in (lambda: level.read_bytes(VERTICES, key), lambda: level.write_bytes(VERTICES, key, b"")):
        with pytest.raises(ArgumentError, match=r"0/vertices: .*(not a chunk key|64 bits)"):
            call()


@pytest.mark.parametrize("data", ["text", 5, None, [1, 2]])
def test_what_is_no_payload_is_named(level: Group, data: Any) -> None:
    with pytest.raises(ArgumentError, match=r"data of 0/vertices: expected a bytes-like object, got \w+"):
        level.write_bytes(VERTICES, (0, 0, 0), data)
    level.write_bytes(VERTICES, (0, 0, 0), np.arange(12, dtype=np.float32).reshape(4, 3)[::2])
    assert np.frombuffer(level.read_bytes(VERTICES, (0, 0, 0)), np.float32).tolist() == [0, 1, 2, 6, 7, 8]


def test_groups_that_are_no_stores_have_no_bounds(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv", format_version="0.7")
    put_one(root.storage, "zarr.json", b'{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    create_vertices_array(root["0"])
    root["0"].write_bytes(VERTICES, (7, 7), b"x")
    assert root["0"].read_bytes(VERTICES, (7, 7)) == b"x"
