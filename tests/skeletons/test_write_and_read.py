from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graphs.networks import REVISIONS, ends, inside, make_forest
from zarr_vectors.types.graphs import read_graph, write_graph

BOX = ([-20.0, -10.0, -30.0], [45.0, 50.0, 20.0])


@settings(max_examples=30)
@given(
    nodes=st.integers(0, 80),
    roots=st.integers(1, 4),
    ndim=st.integers(1, 4),
    revision=st.sampled_from(REVISIONS),
    store=st.sampled_from(["canonical", "duplicate"]),
    chunk=st.sampled_from([12.0, 40.0, 500.0]),
    objects=st.integers(1, 4),
    described=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_what_was_written_is_read(
    nodes: int,
    roots: int,
    ndim: int,
    revision: str,
    store: str,
    chunk: float,
    objects: int,
    described: bool,
    seed: int,
) -> None:
    positions, edges = make_forest(nodes, roots=roots, ndim=ndim, seed=seed)
    ids = np.random.default_rng(seed).integers(0, objects, nodes) * 7
    lengths = np.arange(len(edges), dtype=np.float64)
    path = f"memory://skeleton-law-{seed}"
    write_graph(
        path,
        positions,
        edges,
        geometry_type="skeleton",
        store=store,
        chunk_shape=max(chunk, 40.0) if ndim == 4 else chunk,
        format_version=revision,
        object_ids=ids,
        attributes={"radius": np.arange(nodes)},
        edge_attributes={"length": lengths} if described else None,
        keep_order=True,
    )
    result = read_graph(path, restore_order=True)
    np.testing.assert_array_equal(result.positions, positions)
    np.testing.assert_array_equal(result.attributes["radius"], np.arange(nodes))
    np.testing.assert_array_equal(result.object_ids, ids)
    by_child = np.argsort(edges[:, 0])
    np.testing.assert_array_equal(result.edges, edges[by_child])
    if described and len(edges):
        np.testing.assert_array_equal(result.edge_attributes["length"], lengths[by_child])
    box = ([-20.0] * ndim, [35.0] * ndim)
    mask = inside(positions, box)
    for boundary, wanted in ((False, mask[edges].all(axis=1)), (True, mask[edges].any(axis=1))):
        found = read_graph(path, bbox=box, include_boundary_edges=boundary)
        assert ends(found.positions, found.edges, directed=True) == ends(positions, edges[wanted], directed=True)
        assert found.inside.sum() == mask.sum()
    for number in set(ids.tolist()):
        mine = ids == number
        found = read_graph(path, object_ids=[number])
        kept = edges[mine[edges].all(axis=1)]
        assert ends(found.positions, found.edges, directed=True) == ends(positions, kept, directed=True)


@pytest.mark.parametrize("revision", REVISIONS)
def test_few_edges_are_stored(tmp_path: Path, revision: str) -> None:
    steps = np.random.default_rng(0).normal(0, 1, (5, 400, 3))
    positions = np.cumsum(steps, axis=1).reshape(-1, 3)
    rows = np.arange(2000)
    edges = np.stack([rows, rows - 1], axis=1)[rows % 400 > 0]
    edges[edges[:, 0] == 900] = [900, 850]
    summary = write_graph(
        tmp_path / "s.zv",
        positions,
        edges,
        kind="skeleton",
        object_ids=rows // 400,
        chunk_shape=1000,
        bounds=([-500] * 3, [499] * 3),
        format_version=revision,
        dtype="float64",
    )
    assert summary.chunk_count <= 8
    assert summary.stored_edge_count <= summary.cross_chunk_edge_count * 2 + 1
    assert summary.edge_count == 1995
    result = read_graph(tmp_path / "s.zv")
    assert ends(result.positions, result.edges, directed=True) == ends(positions, edges, directed=True)


def test_a_straight_path_in_one_chunk_stores_nothing(tmp_path: Path) -> None:
    positions = np.arange(30.0).reshape(10, 3)
    summary = write_graph(
        tmp_path / "s.zv",
        positions,
        np.stack([np.arange(1, 10), np.arange(9)], axis=1),
        kind="skeleton",
        chunk_shape=99,
    )
    assert summary.stored_edge_count == 0
    assert read_graph(tmp_path / "s.zv").edges.tolist() == [[i, i - 1] for i in range(1, 10)]


def test_edges_without_direction_are_rooted_at_the_lowest_row(tmp_path: Path) -> None:
    positions = np.arange(18.0).reshape(6, 3)
    edges = [[1, 3], [1, 5], [1, 0], [2, 4]]
    write_graph(tmp_path / "s.zv", positions, edges, kind="skeleton", keep_order=True, chunk_shape=8)
    assert read_graph(tmp_path / "s.zv", restore_order=True).edges.tolist() == [[1, 0], [3, 1], [4, 2], [5, 1]]


@pytest.mark.parametrize("revision", REVISIONS)
def test_append(tmp_path: Path, revision: str) -> None:
    first, edges = make_forest(40)
    second, others = make_forest(30, roots=3, seed=4)
    write_graph(tmp_path / "s.zv", first, edges, kind="skeleton", chunk_shape=30, format_version=revision)
    write_graph(tmp_path / "s.zv", second, others, kind="skeleton", mode="a", out_of_bounds="expand")
    result = read_graph(tmp_path / "s.zv")
    wanted = sorted(ends(first, edges, directed=True) + ends(second, others, directed=True))
    assert ends(result.positions, result.edges, directed=True) == wanted
    assert read_graph(tmp_path / "s.zv", object_ids=[1]).edge_count == len(others)


def test_children_of_nodes_outside_become_roots(tmp_path: Path) -> None:
    positions, edges = make_forest(200)
    mask = ((positions >= -30) & (positions <= 40)).all(axis=1)
    write_graph(
        tmp_path / "s.zv",
        positions,
        edges,
        kind="skeleton",
        bounds=([-30] * 3, [40] * 3),
        out_of_bounds="ignore",
        chunk_shape=35,
    )
    result = read_graph(tmp_path / "s.zv")
    assert result.node_count == mask.sum()
    kept = edges[mask[edges].all(axis=1)]
    assert ends(result.positions, result.edges, directed=True) == ends(positions, kept, directed=True)


def test_chunked_by_an_attribute(tmp_path: Path) -> None:
    positions, edges = make_forest(120)
    options: dict[str, Any] = {"attributes": {"kind": np.arange(120) % 3}, "chunk_by_attribute": "kind"}
    write_graph(tmp_path / "s.zv", positions, edges, kind="skeleton", chunk_shape=50, **options)
    for query, mask in (({}, np.ones(120, bool)), ({"bbox": BOX}, inside(positions, BOX))):
        result = read_graph(tmp_path / "s.zv", **query)
        kept = edges[mask[edges].all(axis=1)]
        assert ends(result.positions, result.edges, directed=True) == ends(positions, kept, directed=True)
