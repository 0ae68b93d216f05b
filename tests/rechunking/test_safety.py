"""A crash at any moment leaves the old store or the new one; memory holds few rows; the budget changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from zarr_vectors import ArrayError, RechunkSpec, StoreError, rechunk
from zarr_vectors.model.elements import Elements
from zarr_vectors.model.grid import Grid
from zarr_vectors.read import cells as reading
from zarr_vectors.read.opening import open_reader
from zarr_vectors.rechunking import links, running, source
from zarr_vectors.spatial.partition import FragmentRule, partition
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.replace import recover
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import FailingStorage, SimulatedCrashError
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate
from zarr_vectors.write.spilling import Spill, blocks
from zarr_vectors.write.streaming import BIN, POSITIONS, RowStream

from .stores import assert_same, contents, make

SPEC = RechunkSpec("object_id", bins=[0, 2])


def small(place, version):
    walks = [np.array([[1, 1], [3, 1], [5, 5]], np.float32), np.array([[7, 7], [2, 7]], np.float32)] * 2
    write_polylines(place, walks, chunk_shape=4.0, attributes={"r": [w[:, 0] for w in walks]}, format_version=version)


@pytest.mark.parametrize("version", ["0.9", "0.7"])
def test_a_crash_at_any_operation_leaves_the_old_or_the_new_store(version):
    def run(fail_at):
        storage = resolve_storage(MemoryStore(), mode="w")
        small(storage, version)
        failing = FailingStorage(storage, fail_at=fail_at)
        try:
            rechunk(failing, SPEC, verify=False)
        except SimulatedCrashError:
            for lock in storage.list_all(".zv-lock"):
                storage.delete_many([lock])
        return storage, failing.operations

    whole, operations = run(None)
    expected = read_polylines(whole).positions
    outcomes = set()
    for fail_at in range(1, operations + 1, 1 if version == "0.9" else 5):
        storage, _ = run(fail_at)
        recover(storage)
        found = read_polylines(storage)
        np.testing.assert_array_equal(found.positions, expected)
        outcomes.add(open_reader(storage).level(0).chunks.shape[1])
        assert validate(storage, level=5).is_valid
    assert outcomes == {2, 3}


def test_a_folder_is_swapped_only_when_the_new_store_is_complete(tmp_path, monkeypatch):
    small(tmp_path / "a", "0.9")
    before = contents(tmp_path / "a")

    def fail(*arguments, **options):
        raise SimulatedCrashError("in the middle")

    monkeypatch.setattr(running, "write_root", fail)
    with pytest.raises(SimulatedCrashError):
        rechunk(tmp_path / "a", SPEC)
    assert_same(before, contents(tmp_path / "a"))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    monkeypatch.undo()
    rechunk(tmp_path / "a", SPEC)
    recover(LocalStorage(tmp_path / "a"))
    assert_same(before, contents(tmp_path / "a"))


@pytest.mark.parametrize("what", ["positions", "attribute", "links"])
def test_what_does_not_read_back_the_same_is_not_put_in_place(tmp_path, monkeypatch, what):
    source_path = make("graph", tmp_path / "a", "0.9", pyramid=False)
    before = contents(source_path)
    original = links.LinkMover.cells

    def damaged(self, number):
        cells = original(self, number)
        if what == "positions":
            object.__setattr__(cells, "positions", cells.positions + np.float32(1e-3))
        elif what == "attribute":
            column = cells.attributes["r"]
            object.__setattr__(column, "values", column.values[::-1])
        else:
            object.__setattr__(cells, "filed", ())
            object.__setattr__(cells, "link_fragments", None)
        return cells

    monkeypatch.setattr(links.LinkMover, "cells", damaged)
    for output in (None, tmp_path / "b"):
        with pytest.raises(StoreError, match="does not read back as it was"):
            rechunk(source_path, SPEC, output)
    monkeypatch.undo()
    assert_same(before, contents(source_path))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_damaged_source_is_refused_and_stays(tmp_path):
    small(tmp_path / "a", "0.9")
    victim = next(p for p in (tmp_path / "a" / "0" / "vertices" / "c").rglob("*") if p.is_file())
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.raises((ArrayError, StoreError)):
        rechunk(tmp_path / "a", SPEC)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_few_rows_are_held_at_once_whatever_the_size_of_the_store(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    n = 6000
    positions = rng.uniform(0, 100, (n, 3)).astype(np.float32)
    edges = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    write_graph(tmp_path / "a", positions, edges, chunk_shape=12.5, geometry_type="graph", shard_shape=None)
    held: list[int] = []
    read, append = reading.read_chunks, Spill.append

    def counting_read(level, chunk_rows, **options):
        cells = read(level, chunk_rows, **options)
        held.append(cells.count)
        return cells

    def counting_append(self, columns):
        held.extend(len(values) for values in columns.values())
        append(self, columns)

    monkeypatch.setattr(source, "read_chunks", counting_read)
    monkeypatch.setattr(Spill, "append", counting_append)
    row_bytes = 3 * 4 + 48
    budget = 200 * 6 * row_bytes
    assert n * row_bytes > 4 * budget
    rechunk(tmp_path / "a", RechunkSpec("spatial", spatial_chunk_shape=25.0), tmp_path / "b", memory_budget=budget)
    assert max(held) <= 200
    assert sum(held) > 10 * n


@pytest.mark.parametrize("kind", ["points", "point objects", "polylines", "both", "graph", "skeleton"])
def test_the_budget_changes_nothing(tmp_path, kind):
    make(kind, tmp_path / "a", "0.9", pyramid=False)
    spec = RechunkSpec("spatial", spatial_chunk_shape=(25.0, 50.0, 35.0))
    found = []
    for budget in (8_000, 40_000, 1 << 30):
        rechunk(tmp_path / "a", spec, tmp_path / "b", memory_budget=budget, overwrite=True, verify=False)
        files = sorted(p for p in (tmp_path / "b").rglob("*") if p.is_file())
        found.append({str(p.relative_to(tmp_path)): p.read_bytes() for p in files})
    assert found[0] == found[1] == found[2]


@settings(max_examples=25)
@given(st.data())
def test_a_stream_of_points_is_their_partition(tmp_path_factory, data):
    n = data.draw(st.integers(0, 60))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    positions = rng.uniform(-20, 20, (n, 2))
    grid = Grid((8.0, 8.0), (4.0, 2.0))
    expected = partition(Elements(positions), grid, FragmentRule.BINS)
    stream = RowStream(tmp_path_factory.mktemp("stream"), data.draw(st.integers(1, 40)), 2, {})
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    for start, stop in zip([0, *cuts], [*cuts, n], strict=True):
        part = positions[start:stop]
        bins = grid.bins_of(part[:, 0], 0) % 2 * 4 + grid.bins_of(part[:, 1], 1) % 4
        columns = {POSITIONS: part, BIN: bins.astype(np.uint32)}
        stream.add(grid.chunks_of(part), np.zeros(len(part), np.int64), columns, ordered=False)
    made = stream.bin_cells(grid.n_bins).cells
    for name in ("chunks", "row_offsets", "positions"):
        np.testing.assert_array_equal(getattr(made, name), getattr(expected, name))
    np.testing.assert_array_equal(made.fragments.starts, expected.fragments.starts)
    np.testing.assert_array_equal(made.fragments.counts, expected.fragments.counts)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(1, 12))
def test_blocks_cover_all_rows_and_end_at_cuts(counts, rows_at_once):
    cuts = np.concatenate([[0], np.cumsum(counts)])
    total = int(cuts[-1])
    found = list(blocks(total, rows_at_once, cuts))
    assert [row for first, last in found for row in range(first, last)] == list(range(total))
    for first, last in found:
        assert first in cuts
        assert last in cuts
        assert last - first <= rows_at_once or not [cut for cut in cuts if first < cut < last]


def test_points_written_while_rechunked_elsewhere_are_not_touched(tmp_path):
    positions = np.random.default_rng(0).uniform(0, 10, (20, 2))
    write_points(tmp_path / "a", positions, chunk_shape=5.0, dtype=np.float64)
    rechunk(tmp_path / "a", RechunkSpec("spatial", spatial_chunk_shape=2.5), tmp_path / "b")
    write_points(tmp_path / "a", positions + 5, mode="a", out_of_bounds="expand", dtype=np.float64)
    assert read_points(tmp_path / "b").positions.shape == (20, 2)
    write_points(tmp_path / "b", positions + 5, mode="a", out_of_bounds="expand", dtype=np.float64)
    assert read_points(tmp_path / "b").positions.shape == (40, 2)
