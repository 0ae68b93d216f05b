"""Links between levels name rows in stored order, which readers of every kind can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.polylines.walks import REVISIONS, make_walks
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

FACTORS = [(2.0, 1.0), (4.0, 2.0)]


def assert_links_join(path: Path, fine: Any, coarse: Any, levels: tuple[int, int]) -> None:
    """Check that links up and down join vertices of one object, all of the finer level, one way as the other.

    ``fine`` and ``coarse`` are pairs of objects and positions of all vertices, by the row that links call them.
    """
    lower, upper = levels
    up = read_cross_level_links(path, lower, upper - lower)
    down = read_cross_level_links(path, upper, lower - upper)
    assert set(map(tuple, up.tolist())) == {(below, above) for above, below in down.tolist()}
    assert len(up) > 0
    assert (fine[0][up[:, 0]] == coarse[0][up[:, 1]]).all()
    distance = np.abs(fine[1][up[:, 0]] - coarse[1][up[:, 1]]).max()
    assert distance <= 5 * 2**upper


def by_row(rows: Any, *columns: Any) -> list[Any]:
    """Return columns of all vertices, each once, by the rows that they are stored in."""
    assert sorted(rows.tolist()) == list(range(len(rows)))
    return [column[np.argsort(rows)] for column in columns]


def of_paths(path: Path, level: int) -> Any:
    found = read_polylines(path, level=level, return_stored_rows=True)
    return by_row(found.stored_rows, np.repeat(np.asarray(found.object_ids), np.diff(found.offsets)), found.positions)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("storage", ["implicit", "explicit"])
def test_paths(tmp_path: Path, revision: str, storage: str) -> None:
    made = make_walks(3)
    path = tmp_path / "a.zv"
    ids = np.random.default_rng(0).permutation(made.count) * 7
    write_polylines(
        path, made.positions, offsets=made.offsets, object_ids=ids, chunk_shape=20, bin_shape=5, format_version=revision
    )
    build_pyramid(path, FACTORS, cross_level_storage=storage, cross_level_depth=2)
    for levels in ((0, 1), (1, 2), (0, 2)):
        assert_links_join(path, of_paths(path, levels[0]), of_paths(path, levels[1]), levels)
    for level in (0, 1):
        everything = read_points(path, level=level).positions
        queries: list[dict[str, Any]] = [{}, {"object_ids": ids[[11, 3]]}, {"bbox": ([-9] * 3, [9] * 3)}]
        for query in queries:
            some = read_polylines(path, level=level, return_stored_rows=True, **query)
            assert some.stored_rows is not None
            assert some.vertex_count > 0
            assert some.positions.tobytes() == everything[some.stored_rows].tobytes()
    assert read_polylines(path).stored_rows is None
    nothing = read_polylines(path, bbox=([900] * 3, [901] * 3), return_stored_rows=True).stored_rows
    assert nothing is not None
    assert len(nothing) == 0
    with pytest.raises(ArgumentError, match="return_stored_rows: not together with clip"):
        read_polylines(path, bbox=([0] * 3, [9] * 3), clip=True, return_stored_rows=True)


@pytest.mark.parametrize("revision", REVISIONS)
def test_lines(tmp_path: Path, revision: str) -> None:
    lines = np.random.default_rng(1).uniform(-40, 40, (40, 2, 3))
    path = tmp_path / "a.zv"
    write_lines(path, lines, chunk_shape=20, bin_shape=5, format_version=revision)
    build_pyramid(path, FACTORS[:1], cross_level_storage="implicit")
    sides = []
    for level in (0, 1):
        found = read_lines(path, level=level, return_stored_rows=True)
        assert found.stored_rows is not None
        owners = np.repeat(np.asarray(found.object_ids), 2)
        sides.append(by_row(found.stored_rows.reshape(-1), owners, found.endpoints.reshape(-1, 3)))
    assert_links_join(path, sides[0], sides[1], (0, 1))
    one = read_lines(path, object_ids=[7], return_stored_rows=True)
    assert np.array_equal(read_points(path).positions[one.stored_rows], one.endpoints)


def make_tubes() -> tuple[list[Any], list[Any]]:
    """Return two strips of points along x, far from each other, and the edges along each."""
    strips = [np.stack([np.linspace(0, 60, 50), np.full(50, y), np.zeros(50)], axis=1) for y in (1.0, 41.0)]
    return strips, [np.stack([np.arange(1, 50), np.arange(49)], axis=1)] * 2


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["graph", "skeleton"])
def test_graphs_are_read_in_stored_order(tmp_path: Path, revision: str, kind: str) -> None:
    nodes, edges = make_tubes()
    path = tmp_path / "a.zv"
    write_graph(
        path, nodes, edges, geometry_type=kind, object_ids=[4, 9], chunk_shape=20, bin_shape=5, format_version=revision
    )
    build_pyramid(path, FACTORS[:1], cross_level_storage="implicit")
    sides = [(found.object_ids, found.positions) for found in (read_graph(path, level=level) for level in (0, 1))]
    assert_links_join(path, sides[0], sides[1], (0, 1))


@pytest.mark.parametrize("revision", REVISIONS)
def test_meshes_are_read_in_stored_order(tmp_path: Path, revision: str) -> None:
    nodes, _ = make_tubes()
    ribbons = [np.concatenate([strip, strip + np.array([0, 3, 0])]) for strip in nodes]
    near = np.stack([np.arange(49), np.arange(1, 50), np.arange(50, 99)], axis=1)
    path = tmp_path / "a.zv"
    write_mesh(path, ribbons, [near] * 2, object_ids=[4, 9], chunk_shape=20, bin_shape=5, format_version=revision)
    build_pyramid(path, FACTORS[:1], cross_level_storage="implicit")
    sides = [(found.object_ids, found.vertices) for found in (read_mesh(path, level=level) for level in (0, 1))]
    assert_links_join(path, sides[0], sides[1], (0, 1))
