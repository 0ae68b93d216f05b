from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graphs.networks import REVISIONS, make_graph
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.types.graphs import read_graph, write_graph


@pytest.fixture(scope="module", params=[(revision, directed) for revision in REVISIONS for directed in (False, True)])
def pyramid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    revision, directed = request.param
    positions, pairs = make_graph(400, 1500, 2)
    path = tmp_path_factory.mktemp("levels") / "g.zv"
    write_graph(
        path,
        positions,
        pairs,
        chunk_shape=20,
        is_directed=directed,
        object_ids=np.arange(400) // 100,
        edge_attributes={"weight": np.arange(1500.0), "flow": np.ones(1500)},
        attributes={"mass": np.ones(400)},
        object_attributes={"name": ["a", "b", "c", "d"]},
        groups={"first": [0, 1]},
        format_version=revision,
    )
    build_pyramid(
        path,
        [(2, 1), (4, 2)],
        agg_mode={"flow": "sum", "mass": "sum"},
        sparsity_seed=1,
        cross_level_storage="explicit",
    )
    return path, directed


def test_edges_are_contracted_and_aggregated(pyramid: Any) -> None:
    path, directed = pyramid
    fine = read_graph(path)
    up = read_cross_level_links(path, 0, 1)
    joined = np.full(fine.node_count, -1)
    joined[up[:, 0]] = up[:, 1]
    assert (joined >= 0).all()
    mapped = joined[fine.edges]
    alive = mapped[:, 0] != mapped[:, 1]
    wanted: dict[tuple[int, int], list[int]] = {}
    for row in np.flatnonzero(alive).tolist():
        pair = tuple(mapped[row].tolist()) if directed else tuple(sorted(mapped[row].tolist()))
        wanted.setdefault(pair, []).append(row)
    coarse = read_graph(path, level=1)
    assert coarse.is_directed == directed
    assert coarse.edge_count == len(wanted)
    for edge, many, weight, flow in zip(
        coarse.edges.tolist(),
        coarse.edge_attributes["multiplicity"],
        coarse.edge_attributes["weight"],
        coarse.edge_attributes["flow"],
        strict=True,
    ):
        rows = wanted[tuple(edge) if directed else tuple(sorted(edge))]
        assert many == len(rows) == flow
        assert weight == pytest.approx(fine.edge_attributes["weight"][rows].mean())


def test_nodes_are_centroids_per_object_and_bin(pyramid: Any) -> None:
    path, _ = pyramid
    fine, coarse = read_graph(path), read_graph(path, level=1)
    up = read_cross_level_links(path, 0, 1)
    assert coarse.object_ids is not None
    np.testing.assert_array_equal(fine.object_ids[up[:, 0]], coarse.object_ids[up[:, 1]])
    bins = np.floor(fine.positions.astype(float) / 10)
    assert len(np.unique(np.column_stack([bins, fine.object_ids]), axis=0)) == coarse.node_count
    for d in range(2):
        sums = np.bincount(up[:, 1], weights=fine.positions[up[:, 0], d])
        np.testing.assert_allclose(coarse.positions[:, d], sums / np.bincount(up[:, 1]), atol=1e-3)
    assert coarse.attributes["mass"].sum() == 400


def test_thinned_objects_take_their_edges_along(pyramid: Any) -> None:
    path, _ = pyramid
    coarse = read_graph(path, level=2)
    assert len(set(coarse.object_ids.tolist())) == 2
    assert coarse.edge_count > 0
    assert (coarse.edges[:, 0] != coarse.edges[:, 1]).all()


def test_levels_migrate(pyramid: Any, tmp_path: Path) -> None:
    path, _ = pyramid
    version = "0.9" if (path / "0" / "cross_chunk_links").exists() else "0.7"
    migrate(path, tmp_path / "moved.zv", format_version=version)
    for level in range(3):
        before, after = read_graph(path, level=level), read_graph(tmp_path / "moved.zv", level=level)
        np.testing.assert_array_equal(before.positions, after.positions)
        pairs = [sorted(zip(*r.edges.T.tolist(), r.edge_attributes["weight"], strict=True)) for r in (before, after)]
        assert pairs[0] == pairs[1]
