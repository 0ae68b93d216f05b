"""Shared fragments: stored once, named by every path that has them, and read back bit for bit."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.migration import migrate
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.objects import read_manifests
from zarr_vectors.read.opening import open_reader
from zarr_vectors.spatial import sharing
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

REVISIONS = ("0.7", "0.9")
STRATEGIES = ("explicit_links", "boundary_deduplication", "both")
BOUNDS = ([0.0, 0.0], [30.0, 10.0])


def bundle() -> list[Any]:
    """Return paths along the x axis that join and leave a common core, two of them equal, one without vertices."""
    x = np.arange(0.5, 30)
    core = np.stack([x, np.full(30, 5.0)], axis=1)
    heads = [np.array([[core[a, 0], 1.0], [core[a, 0], 3.0]]) for a in (2, 4, 4)]
    tails = [np.array([[core[b - 1, 0], 7.0]]) for b in (14, 26, 26)]
    spans = ((2, 14), (4, 26), (4, 26))
    joined = [np.concatenate([h, core[a:b], t]) for h, (a, b), t in zip(heads, spans, tails, strict=True)]
    return [path.astype(np.float32) for path in [*joined, core, np.zeros((0, 2))]]


def same(found: Any, paths: list[Any]) -> bool:
    pairs = zip(found.polylines, paths, strict=True)
    return all(one.shape == other.shape and one.tobytes() == other.tobytes() for one, other in pairs)


def cells_of(path: Any) -> Any:
    level = open_reader(path).level(0)
    return read_chunks(level, np.arange(len(level.chunks)))


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_paths_come_back_bit_for_bit(tmp_path: Path, revision: str, strategy: str) -> None:
    paths = bundle()
    store = tmp_path / "shared"
    summary = write_polylines(
        store,
        paths,
        chunk_shape=10,
        bounds=BOUNDS,
        share_fragments=True,
        cross_chunk_strategy=strategy,
        attributes={"depth": [path[:, 0] * 3 for path in paths]},
        format_version=revision,
    )
    found = read_polylines(store)
    assert same(found, paths)
    assert np.array_equal(found.attributes["depth"], np.concatenate(paths)[:, 0] * 3)
    assert summary.vertex_count == sum(map(len, paths))
    assert same(read_polylines(store, object_ids=[3, 1]), [paths[3], paths[1]])
    box = read_polylines(store, bbox=((0, 4), (3, 6)))
    assert box.object_ids is not None
    assert box.object_ids.tolist() == [0, 3]
    assert open_reader(store).level(0).metadata.shared_fragments
    assert open_reader(store).root.format_capabilities == ("fragment_index", "shared_fragments")
    report = validate(store, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_core_is_stored_once(tmp_path: Path, revision: str) -> None:
    store = tmp_path / "shared"
    write_polylines(store, bundle(), chunk_shape=10, bounds=BOUNDS, share_fragments=True, format_version=revision)
    cells = cells_of(store)
    assert cells.count == len(np.unique(np.concatenate(bundle()), axis=0))
    manifests = read_manifests(open_reader(store).level(0), None)
    first, second = (slice(manifests.offsets[n], manifests.offsets[n + 1]) for n in (1, 2))
    assert np.array_equal(manifests.fragments[first], manifests.fragments[second])
    assert np.array_equal(manifests.chunks[first], manifests.chunks[second])
    assert "object_id" not in cells.fragment_attributes


@pytest.mark.parametrize("revision", REVISIONS)
def test_manifests_use_all_modes_of_blocks(tmp_path: Path, revision: str) -> None:
    store = tmp_path / "shared"
    paths = [*bundle(), np.array([[1.5, 9.0], [2.5, 9.0]])]
    write_polylines(store, paths, chunk_shape=10, bounds=BOUNDS, share_fragments=True, format_version=revision)
    level = open_reader(store).level(0)
    index = level.arrays.object_index
    assert index is not None
    buffer, offsets = index.manifests.decode(level.storage.get_many(index.manifests.requests(None)), None)
    modes = set()
    for start, end in pairwise(offsets):
        blocks = int(buffer[start : start + 4].view("<u4")[0])
        place = start + 4
        for _ in range(blocks):
            mode = int(buffer[place + 16])
            modes.add(mode)
            listed = int(buffer[place + 17 : place + 21].view("<u4")[0])
            place += 17 + {0: 8, 1: 16, 2: 4 + 8 * listed}[mode]
        assert place == end
    assert modes == {0, 1, 2}


def test_crossings_that_are_shared_are_linked_once(tmp_path: Path) -> None:
    store = tmp_path / "shared"
    paths = [bundle()[3]] * 3
    write_polylines(store, paths, chunk_shape=10, bounds=BOUNDS, share_fragments=True)
    assert open_reader(store).level(0).arrays.links[0].document["num_links"] == 2


def test_nothing_in_common_is_said_so(tmp_path: Path) -> None:
    store = tmp_path / "alone"
    write_polylines(store, bundle()[:1], chunk_shape=10, bounds=BOUNDS, share_fragments=True)
    assert not open_reader(store).level(0).metadata.shared_fragments
    assert open_reader(store).root.format_capabilities == ("fragment_index",)
    assert "object_id" in cells_of(store).fragment_attributes


def test_other_attributes_are_not_shared(tmp_path: Path) -> None:
    core = bundle()[3]
    same_place = {"run": [np.zeros(30, np.uint8), np.ones(30, np.uint8)]}
    write_polylines(
        tmp_path / "two", [core, core], chunk_shape=10, bounds=BOUNDS, share_fragments=True, attributes=same_place
    )
    assert cells_of(tmp_path / "two").count == 60


def test_appending_goes_on_sharing(tmp_path: Path) -> None:
    store, paths = tmp_path / "grown", bundle()
    write_polylines(store, paths[:2], chunk_shape=10, bounds=BOUNDS, share_fragments=True)
    write_polylines(store, paths[2:], mode="a")
    assert same(read_polylines(store), paths)
    assert cells_of(store).count == len(np.unique(np.concatenate(paths), axis=0))


def test_migration_keeps_shared_fragments(tmp_path: Path) -> None:
    write_polylines(tmp_path / "new", bundle(), chunk_shape=10, bounds=BOUNDS, share_fragments=True)
    migrate(tmp_path / "new", tmp_path / "old", format_version="0.7")
    assert same(read_polylines(tmp_path / "old"), bundle())
    assert cells_of(tmp_path / "old").count == cells_of(tmp_path / "new").count
    assert open_reader(tmp_path / "old").level(0).metadata.shared_fragments


def test_identity_cannot_share(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="share_fragments: under object_index_convention 'identity'"):
        write_polylines(
            tmp_path / "x", bundle()[:3], share_fragments=True, object_index_convention="identity", bounds=BOUNDS
        )
    assert not (tmp_path / "x").exists()


def test_rows_with_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_hashes", lambda columns: np.zeros(len(next(iter(columns))), np.uint64))
    write_polylines(tmp_path / "clash", bundle(), chunk_shape=10, bounds=BOUNDS, share_fragments=True)
    assert same(read_polylines(tmp_path / "clash"), bundle())
    assert cells_of(tmp_path / "clash").count == len(np.unique(np.concatenate(bundle()), axis=0))


lattice_paths = st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=12), min_size=1, max_size=8)


@given(lattice_paths, st.sampled_from(STRATEGIES), st.sampled_from(REVISIONS))
def test_any_paths_survive_sharing(paths: Any, strategy: str, revision: str) -> None:
    """Walks on a small lattice meet, cross, repeat vertices and run in circles."""
    arrays = [np.array(path, np.float32).reshape(-1, 2) for path in paths]
    store = "memory://sharing-law"
    write_polylines(
        store,
        arrays,
        chunk_shape=2,
        bin_shape=1,
        bounds=([0, 0], [4, 4]),
        share_fragments=True,
        cross_chunk_strategy=strategy,
        format_version=revision,
    )
    assert same(read_polylines(store), arrays)
    cells = cells_of(store)
    if strategy == "explicit_links":
        rows = np.column_stack([np.repeat(cells.chunks, cells.row_counts, axis=0), cells.positions])
        assert len(np.unique(rows, axis=0)) == cells.count
    assert validate(store, level=5).is_valid
