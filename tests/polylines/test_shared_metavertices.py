"""Coarse levels whose paths share the metavertices of the bins that they go through."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.polylines.walks import REVISIONS, STRATEGIES
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.multiresolution.coarsen import build_pyramid, coarsen_level
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.points import write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

BIN = 2.5


def bundle(seed: int = 0) -> list[Any]:
    """Return three bundles of ten random walks each, one path of one vertex and one of none."""
    rng = np.random.default_rng(seed)
    cores = [np.cumsum(rng.normal(0, 3, (60, 3)), axis=0) for _ in range(3)]
    paths = [(core + rng.normal(0, 0.5, core.shape)).astype(np.float32) for core in cores for _ in range(10)]
    return [*paths, np.zeros((1, 3), np.float32), np.zeros((0, 3), np.float32)]


def visited(path: Any, edge: float) -> list[tuple[int, ...]]:
    """Return the bins that a path goes through, one after another."""
    bins = [tuple(row) for row in np.floor(path.astype(np.float64) / edge).astype(int).tolist()]
    return [key for key, _ in itertools.groupby(bins)]


def means(columns: list[Any], paths: list[Any], edge: float) -> dict[tuple[int, ...], Any]:
    """Return the mean of the rows of every bin, over all paths."""
    rows: dict[tuple[int, ...], list[Any]] = {}
    keys = np.floor(np.concatenate(paths).astype(np.float64) / edge).astype(int).tolist()
    for key, value in zip(map(tuple, keys), np.concatenate(columns), strict=True):
        rows.setdefault(key, []).append(value)
    return {key: np.mean(np.array(values, np.float64), axis=0) for key, values in rows.items()}


def write(path: Path, paths: list[Any], revision: str, crossings: str = "explicit_links") -> list[Any]:
    weights = [p[:, 0] * 2 for p in paths]
    write_polylines(
        path,
        paths,
        chunk_shape=20,
        bin_shape=BIN,
        vertex_attributes={"w": weights},
        object_attributes={"length": [len(p) for p in paths]},
        groups={"first": list(range(10))},
        format_version=revision,
        cross_chunk_strategy=crossings,
    )
    return weights


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("crossings", STRATEGIES)
def test_paths_name_the_metavertices_of_their_bins(tmp_path: Path, revision: str, crossings: str) -> None:
    paths, store = bundle(), tmp_path / "bundles.zv"
    weights = write(store, paths, revision, crossings)
    build_pyramid(
        store, [(2, 1), (4, 1)], share_metavertices=True, cross_level_storage="explicit", agg_mode={"n": "count"}
    )
    for level, fold in ((1, 2), (2, 4)):
        edge = BIN * fold
        centres, sums = means(paths, paths, edge), means(weights, paths, edge)
        result = read_polylines(store, level=level, return_object_ids=True)
        assert result.object_ids.tolist() == list(range(31))
        for number in range(31):
            bins = visited(paths[number], edge)
            expected = np.array([centres[key] for key in bins])
            np.testing.assert_allclose(result.polylines[number], expected, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(result.split("w")[number], [sums[key] for key in bins], rtol=1e-4, atol=1e-4)
        if crossings == "explicit_links":
            assert open_reader(store).level(level).metadata.vertex_count == len(centres)
        assert read_polylines(store, level=level, group_ids="first").polyline_count == 10
        assert read_polylines(store, level=level, object_ids=[7]).polylines[0].tolist() == result.polylines[7].tolist()
    assert "shared_fragments" in open_reader(store).root.format_capabilities
    report = validate(store, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("crossings", STRATEGIES)
def test_links_join_vertices_and_the_metavertices_of_their_bins(tmp_path: Path, revision: str, crossings: str) -> None:
    paths, store = bundle(1), tmp_path / "bundles.zv"
    write(store, paths, revision, crossings)
    build_pyramid(store, [(2, 1), (4, 1)], share_metavertices=True, cross_level_storage="explicit", cross_level_depth=2)
    reader = open_reader(store)
    stored = [stored_positions(reader.level(level)) for level in range(3)]
    for finer, coarser in ((0, 1), (0, 2), (1, 2)):
        up = read_cross_level_links(store, finer, coarser - finer)
        centres = means(paths, paths, BIN * 2**coarser)
        below = np.floor(stored[finer][up[:, 0]] / (BIN * 2**coarser)).astype(int).tolist()
        expected = np.array([centres[tuple(key)] for key in below])
        np.testing.assert_allclose(stored[coarser][up[:, 1]], expected, rtol=1e-4, atol=1e-4)
        assert len(np.unique(up[:, 0])) == len(up)
        down = read_cross_level_links(store, coarser, finer - coarser)
        assert sorted(map(tuple, up.tolist())) == sorted((b, a) for a, b in down.tolist())
    if crossings == "explicit_links":
        assert len(read_cross_level_links(store, 0, 1)) == len(np.concatenate(paths))


def stored_positions(level: Any) -> Any:
    """Return the vertices of a level as they are stored, chunk after chunk."""
    return read_chunks(level, np.arange(len(level.chunks)), fragment_attributes=False).positions.astype(np.float64)


def test_levels_are_shared_again_after_an_append(tmp_path: Path) -> None:
    paths, store = bundle(2), tmp_path / "bundles.zv"
    write(store, paths[:20], "0.9")
    build_pyramid(store, [(4, 1)], share_metavertices=True)
    more = paths[20:30]
    write_polylines(
        store,
        more,
        vertex_attributes={"w": [p[:, 0] * 2 for p in more]},
        object_attributes={"length": [len(p) for p in more]},
        mode="a",
        out_of_bounds="expand",
    )
    centres = means(paths[:30], paths[:30], BIN * 4)
    assert open_reader(store).level(1).metadata.vertex_count == len(centres)
    np.testing.assert_allclose(
        read_polylines(store, level=1).polylines[25],
        [centres[key] for key in visited(paths[25], BIN * 4)],
        rtol=1e-4,
        atol=1e-4,
    )


def test_only_paths_share(tmp_path: Path) -> None:
    write_points(tmp_path / "points.zv", np.random.default_rng(0).random((50, 3)), chunk_shape=1.0)
    with pytest.raises(ArgumentError, match="share_metavertices: only paths"):
        build_pyramid(tmp_path / "points.zv", [(2, 1)], share_metavertices=True)
    write_polylines(tmp_path / "identity.zv", [np.abs(p) for p in bundle()[:3]], object_index_convention="identity")
    with pytest.raises(ArgumentError, match="share_metavertices: under object_index_convention 'identity'"):
        coarsen_level(tmp_path / "identity.zv", 0, 1, share_metavertices=True)
