"""Growing and shrinking the bounds of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.core.store import create_store, open_store, read_level_metadata, read_root_metadata, set_bounds
from zarr_vectors.edit import refresh_levels
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells, Fragments, Manifests, ObjectTable
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.ordering import offsets_of
from zarr_vectors.spatial.pruning import keep_rows
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.testing.storage import FailingStorage, SimulatedCrashError
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

LAYOUTS: dict[str, dict[str, Any]] = {
    "single": {"shard_shape": None, "compressor": None},
    "sharded": {"shard_shape": (2, 3, 2)},
    "one chunk an array": {"format_version": "0.7"},
}


@pytest.fixture(params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


def write(path: Path, layout: dict[str, Any], *, objects: bool = False, levels: bool = True) -> Any:
    generator = np.random.default_rng(5)
    points = (generator.random((600, 3)) * 400).astype(np.float32)
    more: dict[str, Any] = {}
    if objects:
        more = {
            "object_ids": generator.integers(0, 30, len(points)) * 2,
            "object_attributes": {"weight": np.arange(30.0)},
            "groups": {0: [0, 2], 1: [4]},
        }
        more["object_ids"][:30] = np.arange(30) * 2
    write_points(path, points, chunk_shape=100.0, bin_shape=25.0, attributes={"x": points[:, 0]}, **layout, **more)
    if levels:
        build_pyramid(path, factors=[(2, 1), (4, 1)], shard_shape=layout.get("shard_shape"))
    return points


@pytest.mark.parametrize("objects", [False, True])
def test_growing_keeps_everything_where_it_is_found(tmp_path: Path, layout: dict[str, Any], objects: bool) -> None:
    write(tmp_path / "a.zv", layout, objects=objects)
    root = open_store(tmp_path / "a.zv", "r+")
    before = [read_points(root, level=level) for level in range(3)]
    new = ((-120.0, -60.0, 0.0), (500.0, 600.0, 700.0))
    set_bounds(root, new)
    assert read_root_metadata(root).bounds == new
    for level, old in enumerate(before):
        now = read_points(tmp_path / "a.zv", level=level)
        assert np.array_equal(now.positions, old.positions)
        assert np.array_equal(now.attributes["x"], old.attributes["x"])
        assert np.array_equal(now.object_ids, old.object_ids) if objects else now.object_ids is None
        box = read_points(root, level=level, bbox=([10, 20, 30], [200, 220, 240]))
        inside = ((old.positions >= [10, 20, 30]) & (old.positions < [200, 220, 240])).all(axis=1)
        assert len(box.positions) == inside.sum()
    report = validate(tmp_path / "a.zv", level=5)
    assert report.is_valid, report.summary()
    if "format_version" not in layout:
        array = root["0"].zarr_group["vertices"]
        assert array.shape == (8, 8, 8)
        assert array.attrs["chunk_grid_origin"] == [-2, -1, 0]
        assert array.shards == layout["shard_shape"]


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
def test_growing_upwards_changes_metadata_only(tmp_path: Path) -> None:
    write(tmp_path / "a.zv", LAYOUTS["sharded"], levels=False)
    files = [path for path in (tmp_path / "a.zv").rglob("c/*/*/*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in files}
    set_bounds(open_store(tmp_path / "a.zv", "r+"), ([0, 0, 0], [4000, 400, 400]))
    assert before == {path: path.stat().st_mtime_ns for path in files}
    assert open_store(tmp_path / "a.zv")["0"].zarr_group["vertices"].shape == (41, 5, 5)


@pytest.mark.parametrize("objects", [False, True])
def test_shrinking_removes_what_lies_outside(tmp_path: Path, layout: dict[str, Any], objects: bool) -> None:
    write(tmp_path / "a.zv", layout, objects=objects)
    root = open_store(tmp_path / "a.zv", "r+")
    before = [read_points(root, level=level) for level in range(3)]
    new = ((0.0, 0.0, -100.0), (300.0, 600.0, 200.0))
    with pytest.raises(ArgumentError, match="force=True"):
        set_bounds(root, new)
    assert np.array_equal(read_points(root).positions, before[0].positions)
    set_bounds(root, new, force=True)
    for level, old in enumerate(before):
        now = read_points(tmp_path / "a.zv", level=level)
        inside = ((old.positions >= new[0]) & (old.positions <= new[1])).all(axis=1)
        assert 0 < inside.sum() < len(inside)
        assert np.array_equal(now.positions, old.positions[inside])
        assert np.array_equal(now.attributes["x"], old.attributes["x"][inside])
        assert read_level_metadata(root, level).vertex_count == inside.sum()
        assert not read_level_metadata(root, level).stale
        if objects:
            assert old.object_ids is not None
            assert np.array_equal(now.object_ids, old.object_ids[inside])
            chosen = read_points(root, level=level, object_ids=[4, 8])
            assert len(chosen.positions) == np.isin(old.object_ids[inside], [4, 8]).sum()
            assert len(read_points(root, level=level, group_ids=[1]).positions) == ((old.object_ids[inside] == 4).sum())
    assert read_root_metadata(root).bounds == new
    report = validate(tmp_path / "a.zv", level=5)
    assert report.is_valid, report.summary()


def test_levels_whose_bins_are_cut_are_stale(tmp_path: Path) -> None:
    write(tmp_path / "a.zv", LAYOUTS["single"])
    root = open_store(tmp_path / "a.zv", "r+")
    set_bounds(root, ([0, 0, 0], [350, 400, 400]), force=True)
    assert [read_level_metadata(root, level).stale for level in range(3)] == [False, False, True]


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
@pytest.mark.parametrize(
    ("points", "upper", "stale"),
    [
        ([[5, 5], [18, 5], [25, 5]], 19.0, False),  # the second bin goes as a whole
        ([[5, 5], [18, 5], [25, 5]], 12.0, True),  # the first loses a vertex, and its centroid is inside
        ([[5, 5], [18, 5], [25, 5]], 11.0, True),  # it loses a vertex and its centroid
        ([[5, 5], [20, 5], [31, 5]], 20.0, True),  # bounds at a face hold a vertex at it, but not its centroid
        ([[21, 5], [27, 5], [5, 5]], 20.001, False),
    ],
)
def test_a_coarse_level_follows_level_0_or_is_stale(
    tmp_path: Path, revision: str, points: list[list[float]], upper: float, stale: bool
) -> None:
    path = tmp_path / "a.zv"
    write_points(path, points, chunk_shape=40.0, bin_shape=10.0, bounds=([0, 0], [40, 40]), format_version=revision)
    build_pyramid(path, [(2, 1)])
    root = open_store(path, "r+")
    set_bounds(root, ([0, 0], [upper, 40]), force=True)
    assert read_level_metadata(root, 1).stale == stale
    assert bool(validate(path, level=5).warnings) == stale
    refresh_levels(path)
    report = validate(path, level=5)
    assert report.is_valid, report.summary()
    assert not report.warnings


def test_compression_and_shards_stay(tmp_path: Path) -> None:
    points = np.random.default_rng(1).random((500, 2)) * 100
    for name, options in (("a", {"compressor": None}), ("b", {"compressor": "gzip:3", "shard_shape": (2, 2)})):
        write_points(tmp_path / name, points, chunk_shape=20.0, **options)  # type: ignore[arg-type]
        document = {}
        for _ in range(2):
            document[_] = (tmp_path / name / "0" / "vertices" / "zarr.json").read_text()
            set_bounds(open_store(tmp_path / name, "r+"), ([0, 0], [50, 50]), force=True)
        codecs = [text.partition('"codecs"')[2].partition('"attributes"')[0] for text in document.values()]
        assert codecs[0] == codecs[1]


def test_links_between_levels_go_with_their_ends(tmp_path: Path) -> None:
    write(tmp_path / "a.zv", LAYOUTS["single"], levels=False)
    build_pyramid(tmp_path / "a.zv", factors=[(2, 1)], cross_level_storage="implicit")
    root = open_store(tmp_path / "a.zv", "r+")
    summary = set_bounds(root, ([0, 0, 0], [100, 100, 100]), force=True)
    assert summary["links_removed"][0] == summary["vertices_removed"][0] > 0
    set_bounds(root, ([-400, -400, -400], [400, 400, 400]))
    assert validate(tmp_path / "a.zv", level=5).is_valid
    assert not (tmp_path / "a.zv" / ".zv-journal").exists()


def test_an_empty_store_takes_any_bounds(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv", ndim=2, chunk_shape=(10, 10))
    set_bounds(root, ([-20, -20], [-15, 5]), force=True)
    assert root["0"].read_array_attrs("vertices")["chunk_grid_origin"] == [-2, -2]
    for bad in (([0], [1]), ([0, 0], [1, np.nan]), ([5, 5], [1, 9]), None, 3):
        with pytest.raises(ArgumentError):
            set_bounds(root, bad)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_death_leaves_the_old_store_or_the_new_one(tmp_path: Path) -> None:
    def fresh(name: str) -> Path:
        write(tmp_path / name, LAYOUTS["sharded"], objects=True, levels=False)
        return tmp_path / name

    new = ([-60, 0, 0], [300, 300, 300])
    counter = FailingStorage(LocalStorage(fresh("counted")))
    old = read_points(tmp_path / "counted")
    set_bounds(open_store(counter, "r+"), new, force=True)
    inside = ((old.positions >= new[0]) & (old.positions <= new[1])).all(axis=1)
    for moment in range(1, counter.operations + 1, 9):
        path = fresh(f"a{moment}")
        with pytest.raises(SimulatedCrashError):
            set_bounds(open_store(FailingStorage(LocalStorage(path), fail_at=moment), "r+"), new, force=True)
        for lock in path.glob(".zv-lock/*"):
            lock.unlink()
        seen = read_points(open_store(path))
        assert len(seen.positions) in (len(old.positions), inside.sum())
        root = open_store(path, "r+")
        assert np.array_equal(read_points(root).positions, seen.positions)
        assert validate(path, level=3).is_valid


@st.composite
def cells_of_objects(draw: st.DrawFn) -> tuple[Cells, Any]:
    """Make chunks whose fragments are ranges and lists, with manifests, and a choice of rows."""
    chunk_sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    count = sum(chunk_sizes)
    rows: list[int] = []
    starts, counts, explicit, per_chunk = [], [], [], []
    for size in chunk_sizes:
        fragments = draw(st.lists(st.booleans(), min_size=1, max_size=3))
        per_chunk.append(len(fragments))
        for listed in fragments:
            if listed:
                chosen = draw(st.lists(st.integers(0, size - 1), max_size=4))
                starts.append(len(rows))
                rows += chosen
                counts.append(len(chosen))
            else:
                first = draw(st.integers(0, size))
                starts.append(first)
                counts.append(draw(st.integers(0, size - first)))
            explicit.append(listed)
    chunks = np.array([[n, -n] for n in range(len(chunk_sizes))], np.int64)
    table = Fragments(
        offsets_of(np.array(per_chunk)),
        np.array(starts, np.int64),
        np.array(counts, np.int64),
        np.array(explicit),
        np.array(rows, np.int64),
    )
    owners = np.array(draw(st.lists(st.integers(0, 2), min_size=table.count, max_size=table.count)), np.int64)
    order = np.argsort(owners, kind="stable")
    chunk_rows = table.chunk_of[order]
    manifests = Manifests(
        offsets_of(np.bincount(owners, minlength=3)), chunks[chunk_rows], order - table.offsets[chunk_rows]
    )
    numbers = Column(np.arange(count), AttributeSpec("int64"))
    cells = Cells(
        chunks,
        offsets_of(np.array(chunk_sizes)),
        np.arange(2.0 * count).reshape(count, 2),
        table,
        {"number": numbers},
        {"owner": Column(owners, AttributeSpec("int64"))},
        ObjectTable(np.arange(3), manifests),
    )
    return cells, np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))


def vertices_of_objects(cells: Cells) -> list[list[list[int]]]:
    """List, by object and fragment, the numbers of the vertices, in plain Python."""
    assert cells.objects is not None
    assert cells.objects.manifests is not None
    table, manifests = cells.fragments, cells.objects.manifests
    explicit = np.zeros(table.count, bool) if table.explicit is None else table.explicit
    chunk_row = {tuple(chunk): row for row, chunk in enumerate(cells.chunks.tolist())}
    found = []
    for a, b in zip(manifests.offsets[:-1], manifests.offsets[1:], strict=True):
        parts = []
        for chunk, fragment in zip(manifests.chunks[a:b].tolist(), manifests.fragments[a:b], strict=True):
            row = chunk_row[tuple(chunk)]
            number = table.offsets[row] + fragment
            first, size = table.starts[number], table.counts[number]
            local = table.rows[first : first + size] if explicit[number] else np.arange(first, first + size)
            parts.append(cells.attributes["number"].values[cells.row_offsets[row] + local].tolist())
        found.append(parts)
    return found


@given(cells_of_objects(), st.booleans())
def test_pruned_cells_hold_the_kept_vertices_of_every_object(case: tuple[Cells, Any], keep_fragments: bool) -> None:
    cells, keep = case
    pruned = keep_rows(cells, keep, keep_fragments=keep_fragments)
    numbers = pruned.attributes["number"].values
    assert numbers.tolist() == np.flatnonzero(keep).tolist()
    assert np.array_equal(pruned.positions[:, 0], 2.0 * numbers)
    assert (pruned.row_counts > 0).all()
    kept = [[[n for n in part if keep[n]] for part in parts] for parts in vertices_of_objects(cells)]
    found = vertices_of_objects(pruned)
    assert [[part for part in parts if part] for parts in found] == [[p for p in parts if p] for parts in kept]
    assert len(pruned.fragment_attributes["owner"].values) == pruned.fragments.count
    if not keep_fragments:
        assert (pruned.fragments.counts > 0).all()
        assert all(part for parts in found for part in parts)
