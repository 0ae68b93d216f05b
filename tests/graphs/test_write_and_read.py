from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graphs.networks import REVISIONS, ends, inside, make_graph
from zarr_vectors.exceptions import StoreError
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.points import write_points

BOX = ([-20.0, -10.0, -30.0], [45.0, 50.0, 20.0])


@settings(max_examples=25)
@given(
    nodes=st.integers(0, 60),
    edges=st.integers(0, 150),
    ndim=st.integers(1, 4),
    directed=st.booleans(),
    store=st.sampled_from(["canonical", "duplicate"]),
    revision=st.sampled_from(REVISIONS),
    chunk=st.sampled_from([9.0, 35.0, 300.0]),
    objects=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_what_was_written_is_read(
    nodes: int,
    edges: int,
    ndim: int,
    directed: bool,
    store: str,
    revision: str,
    chunk: float,
    objects: int,
    seed: int,
) -> None:
    positions, pairs = make_graph(nodes, edges, ndim, seed=seed)
    random = np.random.default_rng(seed)
    weights, radii = random.random(len(pairs)), random.random((nodes, 2)).astype(np.float32)
    ids = random.integers(0, objects, nodes) * 1000
    path = f"memory://graph-law-{seed}"
    summary = write_graph(
        path,
        positions,
        pairs,
        chunk_shape=chunk if ndim < 4 else max(chunk, 35.0),
        is_directed=directed,
        store=store,
        format_version=revision,
        edge_attributes={"weight": weights},
        attributes={"radius": radii},
        object_ids=ids,
        keep_order=True,
    )
    assert (summary.node_count, summary.edge_count) == (nodes, len(pairs))
    result = read_graph(path, restore_order=True)
    np.testing.assert_array_equal(result.positions, positions)
    np.testing.assert_array_equal(result.edges, pairs)
    assert result.edge_attributes.get("weight", np.zeros(0)).tolist() == weights.tolist()
    np.testing.assert_array_equal(result.attributes["radius"], radii)
    np.testing.assert_array_equal(result.object_ids, ids)
    assert result.is_directed == directed
    assert result["edge_count"] == len(pairs)
    box = ([-20.0] * ndim, [35.0] * ndim)
    found = read_graph(path, bbox=box)
    mask = inside(positions, box)
    assert ends(found.positions, found.edges, directed=True) == ends(
        positions, pairs[mask[pairs].all(axis=1)], directed=True
    )
    assert found.node_count == mask.sum()


@pytest.fixture(scope="module", params=REVISIONS)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    positions, pairs = make_graph(300, 900)
    ids = np.arange(300) % 7 * 10
    path = tmp_path_factory.mktemp("graphs") / "graph.zv"
    summary = write_graph(
        path,
        positions,
        pairs,
        chunk_shape=20,
        edge_attributes={"weight": np.arange(900)},
        object_ids=ids,
        object_attributes={"size": np.arange(7.0)},
        groups={"even": [0, 20, 40, 60], "odd": [10, 30, 50]},
        format_version=request.param,
    )
    return path, positions, pairs, ids, summary


def test_hundreds_of_offset_arrays(stored: Any) -> None:
    path, positions, pairs, _, summary = stored
    result = read_graph(path)
    assert ends(result.positions, result.edges, directed=True) == ends(positions, pairs, directed=True)
    assert summary.cross_chunk_edge_count > 800
    if (path / "0" / "links" / "0" / "zarr.json").exists() and not (path / "0" / "cross_chunk_links").exists():
        assert len([folder for folder in (path / "0" / "links" / "0").iterdir() if folder.is_dir()]) > 200


def test_attributes_stay_with_their_edges(stored: Any) -> None:
    path, positions, pairs, _, _ = stored
    for query in ({}, {"bbox": BOX}, {"object_ids": [20]}, {"bbox": BOX, "include_boundary_edges": True}):
        result = read_graph(path, **query)
        written = pairs[result.edge_attributes["weight"]]
        np.testing.assert_array_equal(result.positions[result.edges], positions[written])


def test_boundary_edges_bring_their_other_node(stored: Any) -> None:
    path, positions, pairs, ids, _ = stored
    mask = inside(positions, BOX)
    result = read_graph(path, bbox=BOX, include_boundary_edges=True)
    wanted = pairs[mask[pairs].any(axis=1)]
    assert ends(result.positions, result.edges) == ends(positions, wanted)
    np.testing.assert_array_equal(result.inside, inside(result.positions, BOX))
    outside = np.setdiff1d(wanted, np.flatnonzero(mask))
    assert (~result.inside).sum() == len(outside)
    known = {tuple(row): number for row, number in zip(positions.tolist(), ids.tolist(), strict=True)}
    assert result.object_ids is not None
    assert [known[tuple(row)] for row in result.positions.tolist()] == result.object_ids.tolist()


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"object_ids": [30, 0]}, [0, 30]),
        ({"group_ids": "even"}, [0, 20, 40, 60]),
        ({"group_ids": 1, "object_ids": [10, 20]}, [10]),
        ({"attribute_filter": {"size": (2.0, 4.0)}}, [20, 30]),
    ],
)
def test_objects(stored: Any, query: dict[str, Any], wanted: list[int]) -> None:
    path, positions, pairs, ids, _ = stored
    result = read_graph(path, **query)
    mask = np.isin(ids, wanted)
    assert result.node_count == mask.sum()
    assert ends(result.positions, result.edges) == ends(positions, pairs[mask[pairs].all(axis=1)])
    boxed = read_graph(path, bbox=BOX, **query)
    both = mask & inside(positions, BOX)
    assert ends(boxed.positions, boxed.edges) == ends(positions, pairs[both[pairs].all(axis=1)])


def test_chunks(stored: Any) -> None:
    path, positions, pairs, _, _ = stored
    wanted = [[0, 0, 0], [1, 0, 0], [0, 1, -1], [99, 99, 99]]
    mask = (np.floor(positions.astype(float) / 20)[:, None] == np.array(wanted)).all(axis=2).any(axis=1)
    result = read_graph(path, chunks=wanted)
    assert result.node_count == mask.sum()
    assert ends(result.positions, result.edges) == ends(positions, pairs[mask[pairs].all(axis=1)])


def test_only_what_is_asked_for(stored: Any) -> None:
    path = stored[0]
    result = read_graph(path, edge_attributes=[], attributes=[], return_object_ids=False)
    assert result.edge_attributes == {}
    assert result.object_ids is None


@pytest.mark.parametrize("revision", REVISIONS)
def test_lists_become_objects(tmp_path: Path, revision: str) -> None:
    parts = [make_graph(20, 30, seed=seed) for seed in range(3)]
    path = tmp_path / "many.zv"
    write_graph(
        path,
        [positions for positions, _ in parts],
        [pairs for _, pairs in parts],
        object_ids=[5, 3, 9],
        edge_attributes={"weight": [np.full(30, i) for i in range(3)]},
        chunk_shape=40,
        format_version=revision,
    )
    for number, (positions, pairs) in enumerate(parts):
        result = read_graph(path, object_ids=[[5, 3, 9][number]])
        assert ends(result.positions, result.edges) == ends(positions, pairs)
        assert set(result.edge_attributes["weight"]) == {number}


@pytest.mark.parametrize("revision", REVISIONS)
def test_append(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "grown.zv"
    first, pairs = make_graph(30, 50)
    second, others = make_graph(20, 40, seed=8, low=100)
    write_graph(path, first, pairs, chunk_shape=30, format_version=revision)
    write_graph(path, second, others, mode="a", out_of_bounds="expand")
    result = read_graph(path)
    assert ends(result.positions, result.edges) == sorted(ends(first, pairs) + ends(second, others))
    assert set(result.object_ids.tolist()) == {0, 1}
    assert read_graph(path, object_ids=[1]).edge_count == 40


def test_nodes_outside_are_left_out_with_their_edges(tmp_path: Path) -> None:
    positions, pairs = make_graph(100, 200)
    mask = ((positions >= 0) & (positions <= 50)).all(axis=1)
    summary = write_graph(
        tmp_path / "g.zv", positions, pairs, bounds=([0, 0, 0], [50, 50, 50]), out_of_bounds="ignore", chunk_shape=25
    )
    kept = pairs[mask[pairs].all(axis=1)]
    assert (summary.ignored_count, summary.ignored_edge_count) == ((~mask).sum(), 200 - len(kept))
    result = read_graph(tmp_path / "g.zv")
    assert ends(result.positions, result.edges) == ends(positions, kept)


def test_self_loops_are_kept_or_dropped(tmp_path: Path) -> None:
    positions, _ = make_graph(3, 0)
    pairs = [[0, 0], [0, 1], [0, 1], [2, 2]]
    write_graph(tmp_path / "g.zv", positions, pairs)
    assert ends(positions, np.array(pairs)) == ends(
        *[read_graph(tmp_path / "g.zv")[key] for key in ("positions", "edges")]
    )
    summary = write_graph(tmp_path / "g.zv", positions, pairs, self_loops="drop")
    assert (summary.edge_count, summary.dropped_edge_count) == (2, 2)
    assert read_graph(tmp_path / "g.zv").edge_count == 2


def test_chunked_by_an_attribute(tmp_path: Path) -> None:
    positions, pairs = make_graph(80, 160)
    kind = np.arange(80) % 3
    write_graph(
        tmp_path / "g.zv", positions, pairs, attributes={"kind": kind}, chunk_by_attribute="kind", chunk_shape=40
    )
    result = read_graph(tmp_path / "g.zv", bbox=BOX)
    mask = inside(positions, BOX)
    assert ends(result.positions, result.edges) == ends(positions, pairs[mask[pairs].all(axis=1)])


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    write_points(tmp_path / "p.zv", [[0.0, 1.0]])
    with pytest.raises(StoreError, match="not a graph or skeleton"):
        read_graph(tmp_path / "p.zv")
