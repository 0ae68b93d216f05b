"""Stores edited here read there, also with levels that are marked as stale; stores written there are edited here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graphs.networks import ends, make_graph
from zarr_vectors import edit
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

pytestmark = pytest.mark.peer

SHARDS = pytest.mark.parametrize("shard_shape", ["auto", None])


@SHARDS
def test_the_reference_reads_edited_points(run_peer: Any, tmp_path: Path, shard_shape: Any) -> None:
    path, rng = tmp_path / "p.zv", np.random.default_rng(0)
    write_points(
        path,
        rng.uniform(0, 100, (500, 3)),
        chunk_shape=25,
        bounds=([0] * 3, [100] * 3),
        object_ids=np.arange(500) // 10,
        object_attributes={"volume": np.arange(50.0)},
        shard_shape=shard_shape,
    )
    build_pyramid(path, [(2.0, 1.0)])
    edit.add_attribute(path, "depth", np.arange(500.0))
    edit.append_vertices(path, rng.uniform(0, 100, (20, 3)), object_ids=70, object_attributes={"volume": [9.0]})
    edit.delete_objects(path, [3, 4])
    edit.move_vertices(path, [[1, 1, 1]], rows=[0])
    edit.set_groups(path, {0: [1, 70], 1: [2]})
    jobs: list[dict[str, Any]] = [
        {"do": "check", "store": str(path)},
        {"do": "read", "store": str(path), "out": str(tmp_path / "all.npz"), "attributes": ["depth"]},
        {"do": "read", "store": str(path), "out": str(tmp_path / "coarse.npz"), "level": 1},
        {
            "do": "read_tables",
            "store": str(path),
            "out": str(tmp_path / "t.npz"),
            "objects": ["volume"],
            "groups": [],
        },
    ]
    answer = run_peer(jobs)[0]
    assert answer["errors"] == []
    wanted = read_points(path)
    with np.load(tmp_path / "all.npz") as found:
        np.testing.assert_array_equal(np.sort(found["positions"], axis=0), np.sort(wanted.positions, axis=0))
        np.testing.assert_array_equal(np.sort(found["attribute:depth"]), np.sort(wanted.attributes["depth"]))
    with np.load(tmp_path / "coarse.npz") as found:
        assert len(found["positions"]) == len(read_points(path, level=1).positions)
    with np.load(tmp_path / "t.npz") as found:
        assert found["object_ids"].tolist() == [i for i in range(50) if i not in (3, 4)] + [70]
        assert found["object:volume"].tolist() == [i for i in range(50) if i not in (3, 4)] + [9]


@SHARDS
def test_the_reference_reads_edited_graphs(run_peer: Any, tmp_path: Path, shard_shape: Any) -> None:
    path = tmp_path / "g.zv"
    positions, edges = make_graph(200, 500)
    write_graph(path, positions, edges, chunk_shape=30.0, shard_shape=shard_shape)
    build_pyramid(path, [(2.0, 1.0)], cross_level_storage="explicit")
    edit.add_links(path, [[0, 150], [7, 3]])
    edit.remove_links(path, [5, 6])
    edit.move_vertices(path, read_graph(path).positions[1:2], rows=[0])
    answers = run_peer(
        [{"do": "check", "store": str(path)}, {"do": "read", "store": str(path), "out": str(tmp_path / "g.npz")}],
        "peer_graphs.py",
    )
    assert answers[0]["errors"] == []
    wanted = read_graph(path)
    with np.load(tmp_path / "g.npz") as found:
        got = ends(found["positions"], found["edges"], directed=False)
        assert got == ends(wanted.positions, wanted.edges, directed=False)
    assert len(wanted.edges) == len(edges)


def test_points_of_the_reference_are_edited(run_peer: Any, tmp_path: Path) -> None:
    rng, path = np.random.default_rng(1), tmp_path / "p.zv"
    given = {"positions": rng.uniform(0, 100, (300, 3)).astype("f4"), "object_ids": np.arange(300) // 10}
    np.savez(tmp_path / "in.npz", **given, **{"attribute:depth": np.arange(300.0), "object:volume": np.arange(30.0)})
    options = {"chunk_shape": [50.0] * 3, "bin_shape": [50.0] * 3}
    run_peer([{"do": "write", "store": str(path), "arrays": str(tmp_path / "in.npz"), **options}])
    edit.add_attribute(path, "twice", read_points(path).attributes["depth"] * 2)
    edit.append_vertices(path, given["positions"][:5], object_ids=40)
    edit.delete_objects(path, [0])
    found = read_points(path)
    assert len(found.positions) == 295
    np.testing.assert_array_equal(found.attributes["twice"], found.attributes["depth"] * 2)
    assert validate(path, level=5).is_valid
    jobs = [{"do": "check", "store": str(path)}, {"do": "read", "store": str(path), "out": str(tmp_path / "o.npz")}]
    assert run_peer(jobs)[0]["errors"] == []
    with np.load(tmp_path / "o.npz") as there:
        np.testing.assert_array_equal(np.sort(there["positions"], axis=0), np.sort(found.positions, axis=0))


@pytest.mark.parametrize("objects", [True, False])
def test_coarse_points_of_the_reference_are_made_anew(run_peer: Any, tmp_path: Path, objects: bool) -> None:
    """They are marked as sharing fragments, which only paths can."""
    rng, path = np.random.default_rng(1), tmp_path / "p.zv"
    owners = {"object_ids": np.arange(300) // 10} if objects else {}
    write_points(path, rng.uniform(0, 100, (300, 3)), chunk_shape=50.0, bounds=([0] * 3, [100] * 3), **owners)  # type: ignore[arg-type]
    run_peer([{"do": "pyramid", "store": str(path), "factors": [(2.0, 1.0)]}])
    write_points(path, np.full((5, 3), 3.0), mode="a", **({"object_ids": [40] * 5} if objects else {}))  # type: ignore[arg-type]
    edit.move_vertices(path, [[9.0, 9.0, 9.0]], rows=[0], refresh=True)
    assert read_points(path).vertex_count == 305
    assert 0 < read_points(path, level=1).vertex_count < 305
    report = validate(path, level=5)
    assert report.is_valid, report.report()
