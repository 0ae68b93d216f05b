"""Coarse levels of paths: ordered, ends kept, attributes aggregated, linked to the level below."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.polylines.walks import REVISIONS, STRATEGIES, Walks, make_walks
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.paths import read_paths
from zarr_vectors.read.query import Query
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

BIN = 5.0


def merged(path: Any, edge: float) -> list[tuple[int, int]]:
    """Return first and end vertex of every run of a path in one coarse bin; the halves of a path within one."""
    bins = np.floor(path.astype(np.float64) / edge)
    cuts = [0, *(np.flatnonzero((bins[1:] != bins[:-1]).any(axis=1)) + 1).tolist(), len(path)]
    if len(cuts) == 2 and len(path) > 1:
        cuts.insert(1, (len(path) + 1) // 2)
    return list(itertools.pairwise(cuts)) if len(path) else []


def centroids(path: Any, runs: list[tuple[int, int]]) -> Any:
    points = np.array([path[a:b].astype(np.float64).mean(axis=0) for a, b in runs]).reshape(-1, path.shape[1])
    points[:1], points[-1:] = path[:1], path[-1:]
    return points


def build(path: Path, made: Walks, revision: str, crossings: str = "explicit_links", **options: Any) -> None:
    write_polylines(
        path,
        made.positions,
        offsets=made.offsets,
        object_ids=made.ids,
        chunk_shape=20,
        bin_shape=BIN,
        attributes={"fa": made.positions[:, 0], "color": np.arange(len(made.positions)) % 3},
        object_attributes={"length": made.lengths},
        groups={"some": made.ids[:4]},
        format_version=revision,
        cross_chunk_strategy=crossings,
    )
    build_pyramid(path, [(2.0, 1.0), (4.0, 2.0)], sparsity_seed=1, **options)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("crossings", STRATEGIES)
def test_levels_keep_paths(tmp_path: Path, revision: str, crossings: str) -> None:
    made = make_walks(11)
    made = Walks(made.positions, made.offsets, made.ids * 3 + 7)
    path = tmp_path / "walks.zv"
    build(path, made, revision, crossings, agg_mode={"members": "count", "color": "max"})
    for level, fold in ((1, 2), (2, 4)):
        result = read_polylines(path, level=level)
        numbers = (result.object_ids - 7) // 3
        assert result.polyline_count == (29 if level == 1 else np.isin(numbers, np.flatnonzero(made.lengths)).sum())
        assert result.object_attributes["length"].tolist() == made.lengths[numbers].tolist()
        for place, number in enumerate(numbers.tolist()):
            source = made.path(number)
            runs = merged(source, BIN * fold)
            coarse = result.polylines[place]
            np.testing.assert_allclose(coarse, centroids(source, runs), rtol=1e-4, atol=1e-4)
            assert coarse[0].tobytes() == source[0].tobytes()
            assert coarse[-1].tobytes() == source[-1].tobytes()
            assert result.split("members")[place].tolist() == [b - a for a, b in runs]
            means = [source[a:b, 0].astype(np.float64).mean() for a, b in runs]
            np.testing.assert_allclose(result.split("fa")[place], means, rtol=1e-4, atol=1e-4)
            colors = (np.arange(len(made.positions)) % 3)[made.offsets[number] : made.offsets[number + 1]]
            assert result.split("color")[place].tolist() == [colors[a:b].max() for a, b in runs]
    thinned = read_polylines(path, level=2).object_ids
    everyone = read_polylines(path, level=2, object_ids=made.ids)
    assert everyone.object_ids[np.diff(everyone.offsets) > 0].tolist() == thinned.tolist()
    group = read_polylines(path, level=2, group_ids="some").object_ids
    assert group.tolist() == [i for i in made.ids[:4] if i in thinned]
    report = validate(path, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("crossings", STRATEGIES)
@pytest.mark.parametrize("storage", ["implicit", "explicit"])
def test_links_lead_up_and_down(tmp_path: Path, revision: str, crossings: str, storage: str) -> None:
    made = make_walks(12)
    path = tmp_path / "walks.zv"
    build(path, made, revision, crossings, cross_level_storage=storage, cross_level_depth=2)
    store = open_reader(path)
    levels = [read_paths(store.level(number), Query()) for number in (0, 1, 2)]
    numbers = []
    for paths, number in zip(levels, (0, 1, 2), strict=True):
        chunk, row = paths.places()
        counts = np.zeros(len(store.level(number).chunks), np.int64)
        counts[paths.chunks_read] = np.diff(paths.row_offsets)
        numbers.append((np.cumsum(counts) - counts)[chunk] + row)
    for fine, coarse in ((0, 1), (0, 2), (1, 2)):
        up = {tuple(pair) for pair in read_cross_level_links(path, fine, coarse - fine).tolist()}
        down = {tuple(pair) for pair in read_cross_level_links(path, coarse, fine - coarse).tolist()}
        assert up == {(a, b) for b, a in down}
        joined = dict(up)
        assert len(joined) == len(up)
        parents = np.array([joined.get(number, -1) for number in numbers[fine].tolist()])
        place = np.full(int(numbers[coarse].max()) + 1, -1)
        place[numbers[coarse]] = np.arange(len(numbers[coarse]))
        parents = np.where(parents >= 0, place[parents], -1)
        below, above = levels[fine], levels[coarse]
        for row, object_id in enumerate(above.object_ids.tolist()):
            at = below.object_ids.tolist().index(object_id)
            mine = parents[below.offsets[at] : below.offsets[at + 1]]
            expected = np.arange(above.offsets[row], above.offsets[row + 1])
            if len(mine):
                assert (np.diff(mine) >= 0).all()
                assert sorted(set(mine.tolist())) == expected.tolist()
        dropped = ~np.isin(below.object_ids, above.object_ids[np.diff(above.offsets) > 0])
        assert (parents[np.repeat(dropped, np.diff(below.offsets))] == -1).all()


def test_chunks_grow_where_bins_no_longer_divide_them(tmp_path: Path) -> None:
    made = make_walks(13)
    path = tmp_path / "walks.zv"
    write_polylines(path, made.positions, offsets=made.offsets, chunk_shape=20, bin_shape=5)
    summary = build_pyramid(path, [(3.0, 1.0)], cross_level_storage="explicit")
    assert summary.levels[0].chunk_shape == (60.0, 60.0, 60.0)
    result = read_polylines(path, level=1)
    for place, number in enumerate(result.object_ids.tolist()):
        source = made.path(number)
        np.testing.assert_allclose(
            result.polylines[place], centroids(source, merged(source, 15.0)), rtol=1e-4, atol=1e-4
        )
    assert len(read_cross_level_links(path, 1, -1)) == len(made.positions)
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_longest_stay(tmp_path: Path, revision: str) -> None:
    made = make_walks(14)
    path = tmp_path / "walks.zv"
    write_polylines(path, made.positions, offsets=made.offsets, chunk_shape=20, format_version=revision)
    build_pyramid(path, [(2.0, 5.0)], sparsity_strategy="size")
    longest = np.lexsort((np.arange(made.count), -made.lengths))[: round(made.count / 5)]
    assert read_polylines(path, level=1).object_ids.tolist() == sorted(longest.tolist())


@pytest.mark.parametrize("crossings", STRATEGIES)
@pytest.mark.parametrize(("source", "target"), [("0.7", "0.9"), ("0.9", "0.7")])
def test_migration_keeps_every_path(tmp_path: Path, source: str, target: str, crossings: str) -> None:
    made = make_walks(15)
    build(tmp_path / "a.zv", made, source, crossings, cross_level_storage="explicit")
    migrate(tmp_path / "a.zv", tmp_path / "b.zv", format_version=target)
    for level in (0, 1, 2):
        before, after = (read_polylines(tmp_path / name, level=level) for name in ("a.zv", "b.zv"))
        assert after.positions.tobytes() == before.positions.tobytes()
        assert after.offsets.tolist() == before.offsets.tolist()
        assert after.object_ids.tolist() == before.object_ids.tolist()
        for name, values in before.attributes.items():
            assert after.attributes[name].tolist() == values.tolist()
