from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graphs.networks import make_graph
from zarr_vectors.encoding.ragged import frame_cell
from zarr_vectors.exceptions import ArgumentError, ArrayError, MetadataError, ShapeError, UnknownNameError
from zarr_vectors.read.elements import read_linked_elements
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.meshes import read_mesh, write_mesh

SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
RING = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])


@pytest.mark.parametrize(
    ("edges", "options", "error", "message"),
    [
        ([[0, 4]], {}, ArgumentError, r"edge 0 is \[0, 4\], but there are 4 nodes"),
        ([[0, 1], [-1, 0]], {}, ArgumentError, r"edge 1 is \[-1, 0\]"),
        ([[0, 1, 2]], {}, ShapeError, r"expected an \(M, 2\) array"),
        ([[0.5, 1]], {}, ArgumentError, "whole numbers"),
        (RING, {"is_tree": True}, ArgumentError, r"cycle runs through the 4 node\(s\)"),
        ([[0, 1], [1, 0]], {"is_tree": True}, ArgumentError, r"cycle runs through the 2 node\(s\)"),
        ([[2, 2]], {"is_tree": True}, ArgumentError, r"cycle runs through the 1 node\(s\) 2;"),
        (RING, {"kind": "skeleton"}, ArgumentError, "a skeleton has none"),
        (
            [[1, 0], [1, 2]],
            {"kind": "skeleton", "is_directed": True},
            ArgumentError,
            "node 1 has the parents .0, 2.",
        ),
        ([[0, 0]], {"self_loops": "raise"}, ArgumentError, "edge 0 is .0, 0."),
        ([[0, 0]], {"self_loops": "no"}, ArgumentError, "self_loops: expected one of keep, drop, raise"),
        ([[0, 1]], {"kind": "mesh"}, ArgumentError, "geometry_type: expected one of graph, skeleton"),
        ([[0, 1]], {"kind": "graph", "geometry_type": "graph"}, ArgumentError, "two names for one argument"),
        ([[0, 1]], {"store": "twice"}, ArgumentError, "store: expected"),
        ([[0, 1]], {"edge_attributes": {"w": [1, 2]}}, ShapeError, "one per edge"),
        ([[0, 1]], {"attributes": {"w": [1, 2]}}, ShapeError, "one per node"),
        ([[0, 1]], {"object_ids": [0, 1]}, ShapeError, "object_ids"),
    ],
)
def test_refused_and_nothing_left(
    tmp_path: Path, edges: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        write_graph(tmp_path / "g.zv", SQUARE, edges, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("positions", "edges", "options", "message"),
    [
        ([SQUARE, SQUARE], [RING], {}, "a list of 2 arrays"),
        ([SQUARE, SQUARE], [RING, [[0, 9]]], {}, r"edges\[1\]: edge 0"),
        ([SQUARE, SQUARE[:, :1]], [RING, RING], {}, "all need the same number"),
        ([SQUARE, SQUARE], [RING, RING], {"object_ids": [3, 3]}, "id 3 is given to several graphs"),
        ([SQUARE, SQUARE], [RING, RING], {"attributes": {"a": [np.zeros(4)]}}, "1 arrays for 2 graphs"),
    ],
)
def test_lists_that_do_not_fit(
    tmp_path: Path, positions: Any, edges: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        write_graph(tmp_path / "g.zv", positions, edges, **options)


def test_reading_names_what_is_not_there(tmp_path: Path) -> None:
    write_graph(tmp_path / "g.zv", SQUARE, RING, edge_attributes={"w": np.arange(4)})
    with pytest.raises(UnknownNameError, match="no object 7"):
        read_graph(tmp_path / "g.zv", object_ids=[7])
    with pytest.raises(UnknownNameError, match="no link attribute 'v'"):
        read_graph(tmp_path / "g.zv", edge_attributes=["v"])
    with pytest.raises(UnknownNameError, match="keep_order=True"):
        read_graph(tmp_path / "g.zv", restore_order=True)


def test_appending_needs_the_same_kind(tmp_path: Path) -> None:
    write_mesh(tmp_path / "m.zv", [[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])
    with pytest.raises(ArgumentError, match="holds mesh, not graph"):
        write_graph(tmp_path / "m.zv", np.zeros((1, 3)), [], mode="a")


def test_a_link_whose_chunk_is_gone_is_named(tmp_path: Path) -> None:
    positions, pairs = make_graph(60, 100)
    path = tmp_path / "g.zv"
    write_graph(path, positions, pairs, chunk_shape=30, shard_shape=None)
    document = path / "0" / "vertices" / "zarr.json"
    listed = document.read_text()
    key = "1.0.0"
    assert f'"{key}"' in listed
    document.write_text(listed.replace(f'"{key}", ', "").replace(f', "{key}"', ""))
    with pytest.raises(ArrayError, match=r"a link names chunk \[1, 0, 0\]"):
        read_graph(path)


@pytest.mark.parametrize("row", [2**63 - 1, 2**62, 2**32, 8], ids=hex)
@pytest.mark.parametrize("boundary", [False, True])
def test_a_link_to_a_row_that_no_chunk_can_have_is_named(tmp_path: Path, row: int, boundary: bool) -> None:
    positions = np.array([[1.0, 1], [2, 1], [11, 1], [12, 1]])
    write_graph(
        tmp_path / "g.zv",
        positions,
        [[0, 1], [2, 3]],
        chunk_shape=10,
        compressor=None,
        shard_shape=None,
        checksum=False,
    )
    cell = tmp_path / "g.zv/0/links/0/0.0/c/1/0"
    rows = np.frombuffer(cell.read_bytes()[8:], "<i8").copy()
    rows[1] = row
    cell.write_bytes(frame_cell(rows.tobytes()))
    box = ([0.0, 0.0], [20.0, 20.0])
    for query in ({}, {"bbox": box, "include_boundary_edges": boundary}):
        with pytest.raises(ArrayError, match=rf"a link names row {row} of chunk 1\.0, which has 2 vertices"):
            read_graph(tmp_path / "g.zv", **query)


def test_trees_have_links_of_two_endpoints(tmp_path: Path) -> None:
    path = tmp_path / "m.zv"
    write_mesh(path, SQUARE, [[0, 1, 2], [0, 2, 3]])
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["zarr_vectors"]["links_convention"] = "implicit_sequential_with_branches"
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(MetadataError, match=r"links/0 has link_width 3, and convention .* needs 2"):
        read_mesh(path)
    with pytest.raises(MetadataError, match="links/0 has link_width 3"):
        read_linked_elements(open_reader(path).level(0))
