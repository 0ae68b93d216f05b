"""Graphs and skeletons written here read there, and the other way round. The reference is zarr-vectors 0.9.2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graphs.networks import ends, inside, make_forest, make_graph
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph

pytestmark = pytest.mark.peer

CASES: dict[str, dict[str, Any]] = {
    "graph": {},
    "directed": {"is_directed": True},
    "duplicate": {"store": "duplicate"},
    "objects": {"object_ids": np.arange(200) % 5},
    "sharded": {"compressor": "zstd", "shard_shape": 2},
    "plain": {"compressor": None, "shard_shape": None},
    "skeleton": {"kind": "skeleton"},
    "skeleton-objects": {"kind": "skeleton", "object_ids": np.arange(200) // 40},
    "skeleton-described": {"kind": "skeleton", "edge_attributes": {"weight": np.arange(198.0)}},
    "skeleton-one-chunk": {"kind": "skeleton", "chunk_shape": 400.0},
}


def arrays_of(options: dict[str, Any]) -> tuple[Any, Any]:
    return (
        make_forest(200, roots=options.get("roots", 2)) if options.get("kind") == "skeleton" else make_graph(200, 500)
    )


def test_the_reference_reads_what_is_written_here(run_peer: Any, tmp_path: Path) -> None:
    jobs: list[dict[str, Any]] = []
    for name, options in CASES.items():
        positions, edges = arrays_of(options)
        path = tmp_path / f"{name}.zv"
        write_graph(path, positions, edges, attributes={"radius": np.arange(200.0)}, **{"chunk_shape": 30.0, **options})
        jobs.append({"do": "check", "store": str(path)})
        jobs.append({"do": "read", "store": str(path), "out": str(tmp_path / f"{name}.npz")})
    answers = run_peer(jobs, "peer_graphs.py")
    for name, options in CASES.items():
        positions, edges = arrays_of(options)
        answer = answers[2 * list(CASES).index(name)]
        assert answer["errors"] == [], name
        assert answer["warnings"] == [], name
        with np.load(tmp_path / f"{name}.npz") as found:
            directed = options.get("kind") == "skeleton" or options.get("is_directed", False)
            assert len(found["positions"]) == 200
            got = ends(found["positions"], found["edges"], directed=directed)
            wanted = ends(positions, edges, directed=directed)
            if name == "duplicate":  # the reference returns every copy
                assert set(got) == set(wanted)
            else:
                assert got == wanted, name


def test_what_the_reference_writes_is_read_here(run_peer: Any, tmp_path: Path) -> None:
    cases: dict[str, dict[str, Any]] = {
        "graph": {"kind": "graph"},
        "objects": {"kind": "graph"},
        "skeleton": {"kind": "skeleton"},
        "levels": {"kind": "skeleton"},
    }
    jobs: list[dict[str, Any]] = []
    one = {"roots": 1}  # the reference takes one root an object
    for name, options in cases.items():
        positions, edges = arrays_of(options | one)
        arrays = {"positions": positions, "edges": edges, "radius": np.arange(200.0, dtype=np.float32)}
        if name == "objects":
            arrays["object_ids"] = np.arange(200) % 5
        if options["kind"] == "graph":
            arrays["weight"] = np.arange(500, dtype=np.float32)
        np.savez(tmp_path / f"{name}.npz", **arrays)
        store = str(tmp_path / f"{name}.zv")
        shapes = {"chunk_shape": [30.0] * 3, "bin_shape": [15.0] * 3}
        jobs.append({"do": "write", "store": store, "arrays": str(tmp_path / f"{name}.npz"), **shapes, **options})
    jobs.append({"do": "pyramid", "store": str(tmp_path / "levels.zv"), "factors": [[2.0, 1.0]]})
    run_peer(jobs, "peer_graphs.py")
    box = ([-20.0] * 3, [35.0] * 3)
    for name, options in cases.items():
        positions, edges = arrays_of(options | one)
        path = tmp_path / f"{name}.zv"
        tree = options["kind"] == "skeleton"
        result = read_graph(path)
        assert ends(result.positions, result.edges, directed=tree) == ends(positions, edges, directed=tree), name
        rows = result.attributes["radius"].astype(int)
        np.testing.assert_array_equal(result.positions, positions[rows])
        if not tree:
            written = edges[result.edge_attributes["weight"].astype(int)]
            np.testing.assert_array_equal(np.sort(rows[result.edges], axis=1), np.sort(written, axis=1))
        mask = inside(positions, box)
        found = read_graph(path, bbox=box)
        assert ends(found.positions, found.edges) == ends(positions, edges[mask[edges].all(axis=1)]), name
    objects = read_graph(tmp_path / "objects.zv", object_ids=[3])
    mine = np.arange(200) % 5 == 3
    positions, edges = arrays_of({})
    assert ends(objects.positions, objects.edges) == ends(positions, edges[mine[edges].all(axis=1)])
    assert 0 < read_graph(tmp_path / "levels.zv", level=1).node_count < 200


def test_pyramids_built_here_pass_there(run_peer: Any, tmp_path: Path) -> None:
    stores = []
    for kind in ("graph", "skeleton"):
        positions, edges = arrays_of({"kind": kind})
        stores.append(str(tmp_path / f"{kind}.zv"))
        write_graph(stores[-1], positions, edges, kind=kind, chunk_shape=30, object_ids=np.arange(200) // 50)
        build_pyramid(stores[-1], [(2, 1), (4, 2)], cross_level_storage="explicit", sparsity_seed=0)
    for answer in run_peer([{"do": "check", "store": store} for store in stores], "peer_graphs.py"):
        assert answer["errors"] == []
