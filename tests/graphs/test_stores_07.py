"""Graphs and skeletons of revision 0.7 against the arrays that they were written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graphs.networks import ends, inside
from zarr_vectors.types.graphs import read_graph

BOX = ([10.0] * 3, [70.0] * 3)


@pytest.mark.parametrize("name", ["skeleton", "skeleton_pyr"])
def test_skeletons(stores_07: Path, name: str) -> None:
    with np.load(stores_07 / "expected.npz") as arrays:
        positions, edges, radius = (arrays[f"skel_{key}"] for key in ("pos", "edges", "radius"))
    result = read_graph(stores_07 / f"{name}.zv")
    assert result.is_directed
    assert ends(result.positions, result.edges, directed=True) == ends(positions, edges, directed=True)
    by_place = {tuple(row): value for row, value in zip(positions.tolist(), radius.tolist(), strict=True)}
    assert [by_place[tuple(row)] for row in result.positions.tolist()] == result.attributes["radius"].tolist()
    mask = inside(positions, BOX)
    found = read_graph(stores_07 / f"{name}.zv", bbox=BOX)
    wanted = edges[mask[edges].all(axis=1)]
    assert ends(found.positions, found.edges, directed=True) == ends(positions, wanted, directed=True)


def test_coarse_levels_of_skeletons_are_read(stores_07: Path) -> None:
    counts = [read_graph(stores_07 / "skeleton_pyr.zv", level=level).node_count for level in range(3)]
    assert counts[0] == 400 > counts[1] > 0


def test_graph_with_attributes_of_some_edges(stores_07: Path) -> None:
    with np.load(stores_07 / "expected.npz") as arrays:
        positions, edges, weights = (arrays[f"graph_{key}"] for key in ("pos", "edges", "w"))
    result = read_graph(stores_07 / "graph.zv")
    assert ends(result.positions, result.edges) == ends(positions, edges)
    found = result.edge_attributes["weight"]
    chunks = np.floor(result.positions[result.edges].astype(np.float64) / 30)
    crossing = (chunks[:, 0] != chunks[:, 1]).any(axis=1)
    np.testing.assert_array_equal(np.isnan(found), crossing)
    known: dict[Any, list[float]] = {}
    for pair, weight in zip(positions[edges].tolist(), weights.tolist(), strict=True):
        known.setdefault(tuple(map(tuple, sorted(pair))), []).append(weight)
    for pair, weight in zip(result.positions[result.edges].tolist(), found.tolist(), strict=True):
        assert np.isnan(weight) or weight in known[tuple(map(tuple, sorted(pair)))]
