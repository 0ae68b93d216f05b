"""Paths and lines written here read there, and the other way round. The reference is zarr-vectors 0.9.2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.polylines.walks import Walks, assert_paths, make_walks
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.polylines import read_polylines, write_polylines

pytestmark = pytest.mark.peer

SCRIPT = "peer_paths.py"
GROUPS = [[0, 1, 2], [3, 9]]


def make_nonempty(seed: int) -> Walks:
    """Return walks of at least one vertex each: the reference keeps no empty ones."""
    made = make_walks(seed)
    keep = np.flatnonzero(made.lengths)
    lengths = made.lengths[keep]
    return Walks(made.positions, np.append(0, np.cumsum(lengths)), np.arange(len(keep)))


LAYOUTS: dict[str, dict[str, Any]] = {
    "default": {},
    "plain": {"compressor": None, "shard_shape": None},
    "sharded": {"compressor": "zstd", "shard_shape": 2},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("coarse", [False, True])
def test_the_reference_reads_our_paths(
    tmp_path: Path, run_peer: Callable[..., list[Any]], layout: str, coarse: bool
) -> None:
    made = make_nonempty(31)
    path = tmp_path / "ours.zv"
    write_polylines(
        path,
        made.positions,
        offsets=made.offsets,
        geometry_type="streamline",
        chunk_shape=20,
        bin_shape=5,
        attributes={"fa": made.positions[:, 0]},
        object_attributes={"length": made.lengths},
        groups=dict(enumerate(GROUPS)),
        **LAYOUTS[layout],
    )
    if coarse:
        build_pyramid(path, [(2.0, 1.0)], cross_level_storage="explicit")
    lines = made.positions[: len(made.positions) // 2 * 2].reshape(-1, 2, 3)
    write_lines(tmp_path / "lines.zv", lines, chunk_shape=20, **LAYOUTS[layout])
    jobs = [
        {"do": "read", "store": path, "out": tmp_path / "all.npz"},
        {"do": "read", "store": path, "out": tmp_path / "some.npz", "object_ids": [7, 2]},
        {"do": "read", "store": path, "out": tmp_path / "group.npz", "group_ids": [1]},
        {"do": "check", "store": path},
        {"do": "get_lines", "store": tmp_path / "lines.zv", "out": tmp_path / "lines.npz"},
        {"do": "check", "store": tmp_path / "lines.zv"},
    ]
    if coarse:
        jobs.append({"do": "read", "store": path, "out": tmp_path / "coarse.npz", "level": 1})
    everything, _, group, valid, _, lines_valid, *_ = run_peer(jobs, SCRIPT)
    for verdict in (valid, lines_valid):
        assert verdict["errors"] == []
        assert "PASS" in verdict["summary"]
    assert everything["ids"] == list(range(made.count))
    assert group["ids"] == GROUPS[1]
    with np.load(tmp_path / "all.npz") as found:
        assert found["positions"].tobytes() == made.positions.tobytes()
        assert found["offsets"].tolist() == made.offsets.tolist()
    with np.load(tmp_path / "some.npz") as found:
        assert sorted(map(tuple, found["positions"].tolist())) == sorted(
            map(tuple, np.concatenate([made.path(7), made.path(2)]).tolist())
        )
    with np.load(tmp_path / "lines.npz") as found:
        assert found["endpoints"].tobytes() == lines.tobytes()
    if coarse:
        ours = read_polylines(path, level=1)
        with np.load(tmp_path / "coarse.npz") as found:
            assert found["positions"].tobytes() == ours.positions.tobytes()
            assert found["offsets"].tolist() == ours.offsets.tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_we_read_the_paths_of_the_reference(tmp_path: Path, run_peer: Callable[..., list[Any]], layout: str) -> None:
    made = make_nonempty(32)
    lines = made.positions[: len(made.positions) // 2 * 2].reshape(-1, 2, 3)
    fa = np.arange(len(made.positions), dtype=np.float32)
    np.savez(
        tmp_path / "in.npz",
        positions=made.positions,
        offsets=made.offsets,
        fa=fa,
        length=made.lengths.astype(np.float32),
        endpoints=lines,
    )
    write: dict[str, Any] = {"do": "write", "store": tmp_path / "theirs.zv", "arrays": tmp_path / "in.npz"}
    options = {"groups": GROUPS, "chunk_shape": [20] * 3, "bin_shape": [5] * 3, **LAYOUTS[layout]}
    put = {"do": "put_lines", "store": tmp_path / "lines.zv", "arrays": tmp_path / "in.npz", "chunk_shape": [20] * 3}
    run_peer([write | options, put], SCRIPT)
    path = tmp_path / "theirs.zv"
    result = read_polylines(path)
    assert_paths(result, made, range(made.count))
    assert result.attributes["fa"].tolist() == fa.tolist()
    assert result.object_attributes["length"].tolist() == made.lengths.tolist()
    assert_paths(read_polylines(path, group_ids=[1, 0]), made, [0, 1, 2, 3, 9])
    assert_paths(read_polylines(path, object_ids=[11, 0]), made, [11, 0])
    low, high = [-20.0] * 3, [10.0] * 3
    assert_paths(read_polylines(path, bbox=(low, high)), made, made.meeting(low, high))
    assert read_lines(tmp_path / "lines.zv").endpoints.tobytes() == lines.tobytes()
    write_polylines(
        path, [np.ones((3, 3))], mode="a", attributes={"fa": np.zeros(3)}, object_attributes={"length": [3]}
    )
    assert read_polylines(path).polyline_count == made.count + 1


def test_sparse_ids_are_read_by_id_and_by_group(tmp_path: Path, run_peer: Callable[..., list[Any]]) -> None:
    """Asked for everything, the reference gives the paths whose ids are below the number of paths, and no others."""
    ids = [3, 7, 50, 51]
    paths = [np.cumsum(np.random.default_rng(seed).normal(0, 3, (20, 3)), 0).astype(np.float32) for seed in range(4)]
    path = tmp_path / "sparse.zv"
    write_polylines(path, paths, object_ids=ids, chunk_shape=8, groups={0: [7, 51]})
    jobs: list[dict[str, Any]] = [
        {"do": "read", "store": path, "out": tmp_path / "all.npz"},
        {"do": "read", "store": path, "out": tmp_path / "asked.npz", "object_ids": ids},
        {"do": "read", "store": path, "out": tmp_path / "group.npz", "group_ids": [0]},
        {"do": "check", "store": path},
    ]
    everything, asked, group, verdict = run_peer(jobs, SCRIPT)
    assert everything["ids"] == [3]
    assert asked["ids"] == ids
    assert group["ids"] == [7, 51]
    assert verdict["errors"] == []
    with np.load(tmp_path / "asked.npz") as found:
        assert found["positions"].tobytes() == np.concatenate(paths).tobytes()


@pytest.mark.parametrize("strategy", ["boundary_deduplication", "both"])
def test_the_reference_keeps_repeated_vertices(
    tmp_path: Path, run_peer: Callable[..., list[Any]], strategy: str
) -> None:
    """It gives the vertex before every crossing twice, as it is stored; readers here drop the second."""
    made = make_nonempty(33)
    path = tmp_path / "repeated.zv"
    summary = write_polylines(path, made.positions, offsets=made.offsets, chunk_shape=20, cross_chunk_strategy=strategy)
    assert summary.crossing_count > 0
    jobs = [{"do": "read", "store": path, "out": tmp_path / "all.npz"}, {"do": "check", "store": path}]
    _, verdict = run_peer(jobs, SCRIPT)
    assert verdict["errors"] == []
    chunks = np.floor(made.positions / np.float32(20))
    crossing = (chunks[1:] != chunks[:-1]).any(axis=1)
    crossing[made.offsets[1:-1] - 1] = False
    repeats = np.ones(len(made.positions), np.int64)
    repeats[:-1] += crossing
    with np.load(tmp_path / "all.npz") as found:
        assert found["positions"].tobytes() == np.repeat(made.positions, repeats, axis=0).tobytes()
    assert read_polylines(path).positions.tobytes() == made.positions.tobytes()
