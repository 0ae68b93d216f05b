"""Small good stores, made once and copied by every test that damages one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.validate.damage import Files
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.points import write_points
from zarr_vectors.types.polylines import write_polylines

REVISIONS = ("0.7", "0.9")
FACTORS = [(2, 1.0), (4, 1.0)]


def make(
    path: Path,
    revision: str,
    *,
    objects: bool,
    extent: float = 100.0,
    seed: int = 0,
    links: str = "explicit",
    diagonal: bool = False,
) -> None:
    """Write 400 points of a square of four chunks of 2 by 2 bins, and two coarse levels."""
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0, extent, (400, 2)).astype(np.float32)
    if diagonal:
        positions = positions[(positions[:, 0] < 50) == (positions[:, 1] < 50)]
    ids = rng.permutation(np.repeat(np.arange(20) * 3 + 1, 20))
    extra = {
        "object_ids": ids,
        "object_attributes": {"volume": np.arange(20.0)},
        "groups": {"left": np.unique(ids)[:8], "right": np.unique(ids)[8:]},
        "group_attributes": {"region": np.array([5, 6])},
    }
    write_points(
        path, positions, chunk_shape=50, bin_shape=25, bounds=([0, 0], [100, 100]), compressor=None, checksum=False,
        shard_shape=None, format_version=revision,
        attributes={
            "intensity": positions[:, 0].astype(np.float64),
            "label": np.array(["a", "b", "c"])[(positions[:, 1] // 34).astype(int)],
        },
        **(extra if objects else {}),
    )  # fmt: skip
    factors = [(2, 1.0), (4, 2.0)] if objects else FACTORS
    build_pyramid(
        path, factors=factors, cross_level_storage=links, compressor=None, shard_shape=None,
        agg_mode={"merged": "count"}, sparsity_seed=seed,
    )  # fmt: skip


def make_tracks(path: Path, revision: str) -> None:
    """Write 20 walks of 30 vertices in the same square, and a coarse level."""
    rng = np.random.default_rng(3)
    walks = [np.clip(np.cumsum(rng.normal(0, 6, (30, 2)), axis=0) + 50, 1, 99) for _ in range(20)]
    write_polylines(
        path, walks, chunk_shape=50, bin_shape=12.5, bounds=([0, 0], [100, 100]), compressor=None, checksum=False,
        shard_shape=None, format_version=revision, vertex_attributes={"fa": [walk[:, 0] for walk in walks]},
    )  # fmt: skip
    build_pyramid(path, factors=[(2, 1.0)], compressor=None, shard_shape=None)


def make_network(path: Path, revision: str) -> None:
    """Write a graph of 300 nodes and 500 edges in the same square, and a coarse level."""
    rng = np.random.default_rng(4)
    edges = rng.integers(0, 300, (500, 2))
    write_graph(
        path, rng.uniform(0, 100, (300, 2)), edges[edges[:, 0] != edges[:, 1]], chunk_shape=50, bin_shape=12.5,
        bounds=([0, 0], [100, 100]), compressor=None, checksum=False, shard_shape=None, format_version=revision,
    )  # fmt: skip
    build_pyramid(path, factors=[(2, 1.0)], compressor=None, shard_shape=None)


@pytest.fixture(scope="session")
def good_stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of good stores, ``points-0.9`` and the like."""
    folder = tmp_path_factory.mktemp("good")
    for revision in REVISIONS:
        make(folder / f"points-{revision}", revision, objects=False)
        make(folder / f"objects-{revision}", revision, objects=True)
        make(folder / f"corner-{revision}", revision, objects=True, extent=49.0)
        make(folder / f"bare-{revision}", revision, objects=False, links="none")
        make(folder / f"diagonal-{revision}", revision, objects=False, links="none", diagonal=True)
        make_tracks(folder / f"tracks-{revision}", revision)
        make_network(folder / f"network-{revision}", revision)
    return folder


@pytest.fixture
def copied(good_stores: Path, tmp_path: Path) -> Callable[[str], Files]:
    """Copy a good store and give its files."""

    def copy(name: str) -> Files:
        shutil.copytree(good_stores / name, tmp_path / name)
        return Files(tmp_path / name)

    return copy
