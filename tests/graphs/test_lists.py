"""Lists of graphs and of meshes: ids in any order, members without vertices, one array for edges of the same number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graphs.networks import REVISIONS
from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.objects import read_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

KINDS = ("graph", "skeleton", "mesh")


def write(kind: str, path: Any, parts: list[Any], **options: Any) -> Any:
    """Write parts of three nodes, or none, each with two edges or one face."""
    links = [[[0, 1, 2]] if kind == "mesh" else [[1, 0], [2, 1]]] * len(parts)
    width = 3 if kind == "mesh" else 2
    given = [link if len(part) else np.zeros((0, width), np.int64) for part, link in zip(parts, links, strict=True)]
    if kind == "mesh":
        return write_mesh(path, parts, given, **options)
    return write_graph(path, parts, given, kind=kind, **options)


def read(kind: str, path: Any, **query: Any) -> Any:
    return read_mesh(path, **query) if kind == "mesh" else read_graph(path, **query)


def parts_at(numbers: Any) -> list[Any]:
    """Return triangles of distinct places, by which an object is known."""
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    return [corner + np.float32(10 * number) for number in numbers]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("revision", REVISIONS)
@given(ids=st.lists(st.integers(0, 2**40), min_size=1, max_size=5, unique=True), empty=st.integers(0, 5))
def test_rows_of_attributes_go_with_the_list(kind: str, revision: str, ids: list[int], empty: int) -> None:
    path = f"memory://list-order-{kind}"
    parts = parts_at(range(len(ids)))
    if empty < len(ids):
        parts[empty] = parts[empty][:0]
    order = np.arange(len(ids))
    written = write(
        kind, path, parts, object_ids=ids, object_attributes={"place": order}, chunk_shape=7, format_version=revision
    )
    assert written.object_count == len(ids)
    for place, object_id in enumerate(ids):
        found = read(kind, path, attribute_filter={"place": place})
        assert set(found.object_ids.tolist()) == ({object_id} if len(parts[place]) else set())
        by_id = read(kind, path, object_ids=[object_id])
        first = "vertices" if kind == "mesh" else "positions"
        expected = sorted(map(tuple, parts[place].tolist()))
        assert sorted(map(tuple, by_id[first].tolist())) == expected
        assert sorted(map(tuple, found[first].tolist())) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_members_without_vertices_exist(tmp_path: Path, kind: str, revision: str) -> None:
    path = tmp_path / "a"
    first, second = parts_at([0, 1])
    written = write(
        kind,
        path,
        [first, first[:0], second],
        object_ids=[30, 20, 10],
        object_attributes={"v": [3.0, 2.0, 1.0]},
        groups={"some": [20, 30], "none": [20]},
        chunk_shape=7,
        bounds=([0, 0, 0], [40, 40, 40]),
        format_version=revision,
    )
    assert (written.object_count, written.group_count) == (3, 2)
    report = validate(path, level=5)
    assert report.is_valid, report.report()
    assert len(read(kind, path, object_ids=[20]).object_ids) == 0
    assert len(read(kind, path, group_ids="none").object_ids) == 0
    assert set(read(kind, path, group_ids="some").object_ids) == {30}
    more = parts_at([2, 3])
    write(
        kind, path, [more[0], more[1][:0]], object_ids=[15, 5], object_attributes={"v": [1.5, 0.5]},
        groups={"some": [5], "none": []}, mode="a",
    )  # fmt: skip
    ids = read_object_ids(open_reader(path).level(0))
    assert ids is not None
    assert sorted(ids.tolist()) == [5, 10, 15, 20, 30]
    build_pyramid(path, [(2.0, 1.0)])
    for level in (0, 1):
        for object_id, value in ((30, 3.0), (20, 2.0), (10, 1.0), (15, 1.5), (5, 0.5)):
            found = read(kind, path, level=level, attribute_filter={"v": value})
            assert set(found.object_ids) == ({object_id} if object_id in (10, 15, 30) else set())
    report = validate(path, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("kind", KINDS)
def test_links_may_be_one_array(tmp_path: Path, kind: str) -> None:
    parts = parts_at([0, 1])
    links = np.array([[[0, 1, 2]]] * 2) if kind == "mesh" else np.array([[[1, 0], [2, 1]]] * 2)
    writer: Any = write_mesh if kind == "mesh" else write_graph
    options = {} if kind == "mesh" else {"kind": kind}
    writer(tmp_path / "a", parts, links, **options)
    assert set(read(kind, tmp_path / "a", object_ids=[1]).object_ids) == {1}
    for wrong, message in ((links[:1], "list of 2 arrays.*got 1"), (links[0], r"one array of shape \(")):
        with pytest.raises(ShapeError, match=message):
            writer(tmp_path / "b", parts, wrong, **options)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_one_geometry_has_one_row_of_attributes(tmp_path: Path, kind: str) -> None:
    (corner,) = parts_at([0])
    links = [[0, 1, 2]] if kind == "mesh" else [[1, 0]]
    writer: Any = write_mesh if kind == "mesh" else write_graph
    with pytest.raises(ShapeError, match=r"object_attributes: 'v'.*2"):
        writer(tmp_path / "a", corner, links, object_attributes={"v": [1, 2]})
    assert not (tmp_path / "a").exists()
    assert writer(tmp_path / "a", corner, links, object_attributes={"v": [1]}).object_count == 1
    said = writer(tmp_path / "a", corner, links, object_ids=[0, 0, 0], object_attributes={"v": [1, 2]})
    assert said.object_count == 2  # ids per vertex: a row per id 0 … n - 1


def test_negative_ids_are_refused(tmp_path: Path) -> None:
    parts = parts_at([0, 1])
    for kind in KINDS:
        with pytest.raises(ArgumentError, match="object_ids: ids count from 0, got -1 at 1"):
            write(kind, tmp_path / "a", parts, object_ids=[3, -1])
    with pytest.raises(ArgumentError, match="got -2 at 1"):
        write_graph(tmp_path / "a", parts[0], [[0, 1]], object_ids=[0, -2, 1])
    with pytest.raises(ArgumentError, match="got -7 at 0"):
        write_polylines(tmp_path / "a", parts, object_ids=[-7, 1])
    with pytest.raises(ArgumentError, match="got -7 at 1"):
        write_lines(tmp_path / "a", np.zeros((2, 2, 3)), object_ids=[1, -7])
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("revision", REVISIONS)
def test_rows_go_with_paths_and_lines_too(tmp_path: Path, revision: str) -> None:
    ids, values = [9, 3, 6], [90.0, 30.0, 60.0]
    write_polylines(
        tmp_path / "p", parts_at(range(3)), object_ids=ids, object_attributes={"v": values}, format_version=revision
    )
    ends = np.stack([part[:2] for part in parts_at(range(3))])
    write_lines(tmp_path / "l", ends, object_ids=ids, line_attributes={"v": values}, format_version=revision)
    for object_id, value in zip(ids, values, strict=True):
        assert read_polylines(tmp_path / "p", attribute_filter={"v": value}).object_ids.tolist() == [object_id]
        assert read_lines(tmp_path / "l", attribute_filter={"v": value}).object_ids.tolist() == [object_id]
