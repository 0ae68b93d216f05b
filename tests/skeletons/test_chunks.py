"""Some chunks of graphs, skeletons and meshes: the links between their vertices, and those alone."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from tests.meshes.surfaces import icosphere
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.meshes import read_mesh, write_mesh

REVISIONS = ("0.9", "0.7")
CHUNK = 20.0


def tree() -> tuple[Any, Any]:
    """Return a random tree whose branches leave chunks and come back."""
    random = np.random.default_rng(1)
    rows = np.arange(1, 200)
    parents = np.maximum(0, rows - 1 - rows % 3)
    nodes = np.cumsum(random.normal(0, 4, (200, 3)), axis=0).astype(np.float32)
    return nodes, np.stack([rows, parents], axis=1)


def by_position(result: Any) -> set[tuple[Any, ...]]:
    return {tuple(map(tuple, ends)) for ends in result.positions[result.edges].tolist()}


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["graph", "skeleton"])
def test_some_chunks_have_the_edges_between_their_nodes(kind: str, revision: str) -> None:
    path = f"memory://chunks-{uuid.uuid4().hex}"
    write_graph(path, *tree(), kind=kind, chunk_shape=CHUNK, format_version=revision)
    whole = read_graph(path)
    keys = np.floor(whole.positions.astype(np.float64) / CHUNK).astype(int)
    for wanted in (np.unique(keys, axis=0)[:1], np.unique(keys, axis=0)[3:9]):
        mine = (keys[:, None] == wanted).all(axis=2).any(axis=1)
        found = read_graph(path, chunks=wanted)
        assert np.array_equal(found.positions, whole.positions[mine])
        edges = whole.edges[mine[whole.edges].all(axis=1)]
        assert by_position(found) == {tuple(map(tuple, e)) for e in whole.positions[edges].tolist()}
        assert len(found.edges) == len(edges)
        more = read_graph(path, chunks=wanted, include_boundary_edges=True)
        touching = whole.edges[mine[whole.edges].any(axis=1)]
        assert len(touching) > len(edges)
        assert by_position(more) == {tuple(map(tuple, e)) for e in whole.positions[touching].tolist()}
        assert more.inside.sum() == mine.sum()


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_box_of_faces_in_some_chunks_has_no_vertex_of_others(revision: str) -> None:
    path = f"memory://chunks-{uuid.uuid4().hex}"
    vertices, faces = icosphere(3, radius=30)
    write_mesh(path, vertices, faces, chunk_shape=CHUNK, format_version=revision)
    wanted = open_reader(path).level(0).chunks[::2]
    found = read_mesh(path, chunks=wanted, bbox=([-40, -40, -40], [40, 40, 5]))
    keys = np.floor(found.vertices.astype(np.float64) / CHUNK).astype(int)
    assert len(found.faces) > 0
    assert (keys[:, None] == wanted).all(axis=2).any(axis=1).all()
    whole = read_mesh(path)
    corners = whole.vertices[whole.faces].astype(np.float64)
    named = (np.floor(corners / CHUNK)[:, :, None] == wanted).all(axis=3).any(axis=2).all(axis=1)
    inside = (np.abs(corners.mean(axis=1)[:, :2]) < 40).all(axis=1) & (corners.mean(axis=1)[:, 2] < 5)
    assert len(found.faces) == (named & inside).sum()
