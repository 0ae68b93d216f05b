"""What a query asks of the storage, counted in revision 0.9 with an object a cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.graphs.networks import inside, make_forest, make_graph
from zarr_vectors.read.opening import open_storage
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.graphs import read_graph, write_graph

CHUNK = 25.0
BOX = ([-20.0, -20.0, -20.0], [20.0, 20.0, 20.0])


def open_counted(path: Any) -> tuple[CountingStorage, Any]:
    storage = CountingStorage(resolve_storage(path, mode="r"))
    reader = open_storage(storage)
    reader.level(0)
    storage.reset()
    return storage, reader


def cell_of(address: str) -> tuple[str, tuple[int, ...]]:
    array, _, key = address.partition("/c/")
    return array, tuple(int(part) for part in key.split("/"))


@pytest.fixture(scope="module", params=["graph", "skeleton"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    positions, edges = make_graph(600, 1800) if request.param == "graph" else make_forest(600)
    path = tmp_path_factory.mktemp("counted") / "g.zv"
    ids = np.repeat(np.arange(60), 10)
    write_graph(
        path,
        positions,
        edges,
        geometry_type=request.param,
        object_ids=ids,
        chunk_shape=CHUNK,
        bin_shape=CHUNK,
        shard_shape=None,
    )
    return path, positions, edges, ids, request.param


def fetched_chunks(storage: CountingStorage, origin: Any) -> dict[str, set[tuple[int, ...]]]:
    found: dict[str, set[tuple[int, ...]]] = {}
    for address in storage.addresses():
        if "/c/" in address and "object_index" not in address:
            array, cell = cell_of(address)
            found.setdefault(array, set()).add(tuple(np.add(cell, origin).tolist()))
    return found


def test_a_box_reads_only_cells_whose_edges_can_be_inside(stored: Any) -> None:
    path, positions, _, _, kind = stored
    storage, reader = open_counted(path)
    result = read_graph(reader, bbox=BOX)
    assert result.node_count == inside(positions, BOX).sum()
    origin = np.floor(positions.astype(float) / CHUNK).min(axis=0).astype(int)
    met = {tuple(c) for c in np.floor(positions[np.abs(positions).max(axis=1) < CHUNK] / CHUNK).astype(int).tolist()}
    fetched = fetched_chunks(storage, origin)
    assert fetched["0/vertices"] == met
    links = {array: cells for array, cells in fetched.items() if array.startswith("0/links/0/")}
    assert links
    for array, cells in links.items():
        offset = tuple(int(part) for part in array.rsplit("/", 1)[1].split("."))
        assert cells <= met
        if kind == "graph":
            assert {tuple(np.add(cell, offset).tolist()) for cell in cells} <= met
    assert storage.rounds <= 2


def test_an_object_costs_its_own_chunks(stored: Any) -> None:
    path, positions, edges, ids, kind = stored
    storage, reader = open_counted(path)
    result = read_graph(reader, object_ids=[17])
    mine = ids == 17
    assert result.node_count == mine.sum()
    assert result.edge_count == mine[edges].all(axis=1).sum()
    chunks = {tuple(c) for c in np.floor(positions[mine].astype(float) / CHUNK).astype(int).tolist()}
    origin = np.floor(positions.astype(float) / CHUNK).min(axis=0).astype(int)
    fetched = fetched_chunks(storage, origin)
    assert fetched["0/vertices"] == chunks
    assert all(cells <= chunks for array, cells in fetched.items() if array.startswith("0/links/0/"))
    assert kind == "skeleton" or len(storage.addresses()) < 10 * len(chunks)
