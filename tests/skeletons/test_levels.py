from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.graphs.networks import REVISIONS
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.spatial.forests import roots_of
from zarr_vectors.types.graphs import read_graph, write_graph


@pytest.fixture(scope="module", params=REVISIONS)
def pyramid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    random = np.random.default_rng(3)
    rows = np.arange(1200)
    jumps = random.integers(0, 25, 1200) * (random.random(1200) < 0.03)
    parents = np.maximum(rows - 1 - jumps, rows // 300 * 300)
    edges = np.stack([rows, parents], axis=1)[rows % 300 > 0]
    positions = np.cumsum(random.normal(0, 1.5, (4, 300, 3)), axis=1).reshape(-1, 3).astype(np.float32)
    path = tmp_path_factory.mktemp("levels") / "s.zv"
    write_graph(
        path,
        positions,
        edges,
        kind="skeleton",
        object_ids=rows // 300 * 5,
        attributes={"radius": random.random(1200)},
        edge_attributes={"steps": np.ones(len(edges), np.int64)},
        chunk_shape=16,
        format_version=request.param,
    )
    build_pyramid(path, [(2, 1), (4, 2)], agg_mode={"steps": "sum"}, cross_level_storage="explicit", sparsity_seed=0)
    return path


def parents_of(result: Any) -> Any:
    parents = np.full(result.node_count, -1, np.int64)
    assert len(set(result.edges[:, 0].tolist())) == result.edge_count
    parents[result.edges[:, 0]] = result.edges[:, 1]
    return parents


def lasting(result: Any) -> Any:
    """Return which nodes are roots, ends or branch points."""
    children = np.bincount(result.edges[:, 1], minlength=result.node_count)
    return (parents_of(result) < 0) | (children != 1)


@pytest.mark.parametrize("level", [1, 2])
def test_trees_stay_trees_with_the_same_branches(pyramid: Any, level: int) -> None:
    fine, coarse = read_graph(pyramid), read_graph(pyramid, level=level)
    kept = sorted(set(coarse.object_ids.tolist()))
    assert len(kept) == (4 if level == 1 else 2)
    assert coarse.node_count < fine.node_count / 2
    assert (roots_of(parents_of(coarse)) >= 0).all()
    for number in kept:
        mine = [lasting(r) & (r.object_ids == number) for r in (fine, coarse)]
        before, after = fine.positions[mine[0]], coarse.positions[mine[1]]
        np.testing.assert_array_equal(before[np.lexsort(before.T)], after[np.lexsort(after.T)])
        branches = [
            np.bincount(r.edges[:, 1], minlength=r.node_count)[m] for r, m in zip((fine, coarse), mine, strict=True)
        ]
        assert sorted(branches[0].tolist()) == sorted(branches[1].tolist())


def test_edges_sum_up_the_path_that_they_stand_for(pyramid: Any) -> None:
    fine, coarse = read_graph(pyramid), read_graph(pyramid, level=1)
    assert coarse.edge_attributes["steps"].sum() == fine.edge_count
    assert set(coarse.attributes) == {"radius"}


def test_links_across_levels_join_neighbours(pyramid: Any) -> None:
    fine, coarse = read_graph(pyramid), read_graph(pyramid, level=1)
    up = read_cross_level_links(pyramid, 0, 1)
    assert len(up) == fine.node_count
    np.testing.assert_array_equal(read_cross_level_links(pyramid, 1, -1), up[np.lexsort(up.T)][:, ::-1])
    joined = np.full(fine.node_count, -1)
    joined[up[:, 0]] = up[:, 1]
    parents = parents_of(coarse)
    below, above = joined[fine.edges[:, 0]], joined[fine.edges[:, 1]]
    assert ((below == above) | (parents[below] == above)).all()


def test_a_box_of_a_coarse_level(pyramid: Any) -> None:
    coarse = read_graph(pyramid, level=1)
    box = ([-10.0] * 3, [12.0] * 3)
    mask = ((coarse.positions >= -10) & (coarse.positions < 12)).all(axis=1)
    result = read_graph(pyramid, level=1, bbox=box)
    assert result.node_count == mask.sum()
    assert result.edge_count == mask[coarse.edges].all(axis=1).sum()
