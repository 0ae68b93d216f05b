"""Attributes of links where there are none, and names that are not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graphs.networks import REVISIONS
from zarr_vectors.exceptions import UnknownNameError
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.validate import validate

NODES = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
COLUMNS: dict[str, Any] = {
    "w": np.zeros(0, np.float32),
    "rgb": np.zeros((0, 3), np.uint8),
    "kind": np.zeros(0, "U3"),
}


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["graph", "skeleton"])
def test_attributes_of_no_edges_are_there(tmp_path: Path, kind: str, revision: str) -> None:
    path = tmp_path / "a"
    write_graph(path, NODES, np.zeros((0, 2), int), kind=kind, edge_attributes=COLUMNS, format_version=revision)
    for query in ({}, {"bbox": ([0, 0, 0], [1, 1, 1])}, {"object_ids": [0]}, {"edge_attributes": ["rgb", "w"]}):
        found = read_graph(path, **query)  # type: ignore[arg-type]
        assert set(found.edge_attributes) == set(query.get("edge_attributes", COLUMNS))
        assert found.edge_attributes["w"].dtype == np.float32
        assert found.edge_attributes["rgb"].shape == (0, 3)
        assert found.edge_attributes["rgb"].dtype == np.uint8
    report = validate(path, level=5)
    assert report.is_valid, report.report()
    other = tmp_path / "b"
    migrate(path, other, format_version="0.7" if revision == "0.9" else "0.9")
    assert set(read_graph(other).edge_attributes) == set(COLUMNS)
    build_pyramid(path, [(2.0, 1.0)])
    assert set(read_graph(path, level=1).edge_attributes) >= {"w", "rgb"}
    rows = {"w": [0.5], "rgb": [[1, 2, 3]], "kind": ["abc"]}
    write_graph(path, NODES, [[1, 0]], kind=kind, edge_attributes=rows, mode="a")
    assert read_graph(path).edge_attributes["rgb"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("revision", REVISIONS)
def test_attributes_of_collapsed_faces_are_there(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "a"
    write_mesh(path, NODES, [[0, 1, 2]], face_attributes={"w": [2.5]}, chunk_shape=64, bin_shape=1,
               format_version=revision)  # fmt: skip
    build_pyramid(path, [(16.0, 1.0)])
    coarse = read_mesh(path, level=1)
    assert coarse.face_count == 0
    assert coarse.face_attributes["w"].shape == (0,)
    assert read_mesh(path).face_attributes["w"].tolist() == [2.5]


@pytest.mark.parametrize("revision", REVISIONS)
def test_names_are_checked_before_cells_are_chosen(tmp_path: Path, revision: str) -> None:
    write_graph(
        tmp_path / "g", NODES, [[0, 1]], edge_attributes={"w": [1]}, chunk_shape=2, keep_order=True,
        format_version=revision,
    )  # fmt: skip
    write_mesh(tmp_path / "m", NODES, [[0, 1, 2]], face_attributes={"w": [1]}, format_version=revision)
    for query in ({}, {"chunks": [[4, 4, 4]]}, {"bbox": ([50] * 3, [60] * 3)}):
        with pytest.raises(UnknownNameError, match=r"edge_attributes: .* no link attribute 'zz'; it has \[.*'w'\]"):
            read_graph(tmp_path / "g", edge_attributes=["w", "zz"], **query)  # type: ignore[arg-type]
        with pytest.raises(UnknownNameError, match=r"face_attributes: .* no link attribute 'zz'; it has \['w'\]"):
            read_mesh(tmp_path / "m", face_attributes=["zz"], **query)  # type: ignore[arg-type]
    ordered = read_graph(tmp_path / "g", edge_attributes=["w"], restore_order=True)
    assert list(ordered.edge_attributes) == ["w"]
    with pytest.raises(UnknownNameError, match="keep_order=True"):
        read_mesh(tmp_path / "m", face_attributes=["w"], restore_order=True)


def test_a_group_that_says_nothing_is_passed_over(tmp_path: Path) -> None:
    write_graph(tmp_path / "g", NODES, np.zeros((0, 2), int), edge_attributes={"w": []})
    document = tmp_path / "g" / "0" / "link_attributes" / "w" / "0" / "zarr.json"
    said = json.loads(document.read_text())
    said["attributes"] = {key: said["attributes"][key] for key in ("zv_array", "name", "num_links")}
    for consolidated in (tmp_path / "g").rglob("zarr.json"):
        assert "consolidated_metadata" not in json.loads(consolidated.read_text())
    document.write_text(json.dumps(said))
    assert read_graph(tmp_path / "g").edge_attributes == {}
