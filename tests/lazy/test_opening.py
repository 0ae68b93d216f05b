"""Opening reads the root and nothing else; what a dataset says about itself is true; a closed one says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.lazy.stores import BOX, KINDS, READERS, REVISIONS, counted, fresh, store
from zarr_vectors.core.store import create_store, open_store
from zarr_vectors.lazy import ZVDataset, ZVLevel, open_zv
from zarr_vectors.storage import Transaction, get_one, resolve_storage
from zarr_vectors.testing.storage import CountingStorage, FailingStorage, SimulatedCrashError
from zarr_vectors.types.points import write_points
from zarr_vectors.validate import validate


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_opening_takes_two_rounds_and_reads_metadata_only(kind: str, revision: str) -> None:
    dataset, storage = counted(store(kind, revision))
    assert storage.rounds <= 2
    assert all(address.endswith("zarr.json") for address in storage.addresses())
    storage.reset()
    assert dataset.spatial_dims == 3
    assert dataset.axes == dataset.root.axes
    assert len(dataset.units) == len(dataset.chunk_shape) == len(dataset.bin_shape) == 3
    assert dataset.bounding_box == dataset.bounds
    assert dataset.format_version == revision
    assert dataset.levels[0] == 0
    assert 0 in dataset
    assert 9 not in dataset
    assert repr(dataset)
    assert repr(dataset[0])
    assert dataset.geometry_type
    assert storage.rounds == 0


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_dataset_describes_its_levels(revision: str) -> None:
    with open_zv(store("points", revision)) as dataset:
        assert dataset.geometry_type == "point_cloud"
        assert dataset.levels == [0, 1, 2] == [level.index for level in dataset]
        assert len(dataset) == 3
        assert dataset.chunk_shape == (25, 25, 25)
        assert dataset.bin_shape == dataset.bin_shape_at(0) == dataset[0].bin_shape == (12.5, 12.5, 12.5)
        assert dataset.bin_ratio_at(0) == dataset[0].bin_ratio == (1, 1, 1)
        for level in dataset:
            read = READERS["points"](store("points", revision), level=level.index)
            assert dataset.vertex_count(level.index) == level.vertex_count == len(read.positions)
            assert dataset.bin_shape_at(level.index) == level.bin_shape
            assert dataset.bin_ratio_at(level.index) == level.bin_ratio
            assert level.bin_shape == tuple(12.5 * ratio for ratio in level.bin_ratio)
            assert level.chunk_count == len(level.chunks) > 0
            assert level.attribute_names == ["height", "row"]
            assert level.dtype == np.float32
            assert level.object_count == dataset.object_count_at(level.index) == 0
            assert not level.is_stale
        assert dataset[1].bin_ratio > (1, 1, 1)
        assert dataset[1].parent_level == 0
        assert dataset.stale_levels == []
        assert dataset.n_objects == 0


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize(
    ("kind", "geometry_type", "count"),
    [
        ("objects", "point_cloud", 40),
        ("polylines", "polyline", 20),
        ("identity", "polyline", 8),
        ("lines", "line", 60),
        ("graph", "graph", 3),
        ("skeleton", "skeleton", 1),
        ("mesh", "mesh", 1),
        ("parametric", "parametric", 3),
    ],
)
def test_objects_are_counted(kind: str, geometry_type: str, count: int, revision: str) -> None:
    with open_zv(store(kind, revision)) as dataset:
        assert dataset.geometry_type == geometry_type
        assert dataset.n_objects == dataset[0].object_count == len(dataset[0].objects) == count


def test_an_empty_shell_can_be_opened(tmp_path: Path) -> None:
    create_store(tmp_path / "shell")
    with open_zv(tmp_path / "shell") as dataset:
        assert dataset.geometry_type is None
        assert dataset.n_objects == dataset.count() == dataset.count(([0, 0, 0], [9, 9, 9])) == 0
        assert list(dataset.iter_chunks()) == []
        assert len(dataset.read()) == 0
        assert "empty" in repr(dataset)


def test_what_takes_a_store_takes_a_dataset() -> None:
    path = store("points")
    with open_zv(path) as dataset, open_zv(dataset) as again, open_zv(open_store(path)) as third:
        assert again.levels == third.levels == dataset.levels
        before = dataset.cache.hits + dataset.cache.misses
        assert len(READERS["points"](dataset, level=1)) == dataset.vertex_count(1)
        assert dataset.cache.hits + dataset.cache.misses > before
        assert validate(dataset, level=2).is_valid


def test_levels_and_names_at_the_top() -> None:
    assert zv.ZVLevel is ZVLevel
    with open_zv(store("points")) as dataset:
        assert isinstance(dataset, ZVDataset)
        assert isinstance(dataset[np.int64(1)], ZVLevel)
        assert dataset[1].dataset is dataset
        for wrong in (3, -1, True, np.True_, "1", 1.5, 1.0, 0.0, None):
            assert wrong not in dataset
            with pytest.raises(zv.UnknownNameError, match="level"):
                dataset[wrong]
        for wrong in (True, 1.0, "1"):
            for use in (dataset.read, dataset.iter_chunks, dataset.vertex_count, dataset.bin_shape_at):
                with pytest.raises(zv.UnknownNameError, match="level"):
                    use(wrong)
        assert dataset[np.int64(1)] is dataset[1]
        assert dataset.read(np.int64(1)).level == 1
        assert type(dataset[1].index) is int


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"mode": "w"}, "mode"),
        ({"cache_size": -1}, "cache_size"),
        ({"cache_size": 1.5}, "cache_size"),
        ({"cache_size": True}, "cache_size"),
        ({"cache_size": np.int64(-1)}, "cache_size"),
        ({"n_workers": 0}, "n_workers"),
        ({"n_workers": True}, "n_workers"),
        ({"backend": "carrier pigeon"}, "backend"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(zv.ArgumentError, match=match):
        open_zv(store("points"), **arguments)


def test_sizes_may_be_numbers_of_numpy() -> None:
    with open_zv(store("points"), cache_size=np.int64(5000), n_workers=np.int32(2)) as dataset:
        assert (dataset.cache.budget, dataset.n_workers) == (5000, 2)
        assert len(dataset.read()) == dataset.vertex_count()


def test_what_is_not_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(zv.StoreNotFoundError):
        open_zv(tmp_path / "nothing")
    with pytest.raises(zv.ArgumentError, match="options"):
        open_zv(tmp_path, storage_options={"region": "x"})


def test_a_closed_dataset_refuses_everything() -> None:
    with open_zv(store("objects")) as dataset:
        level = dataset[0]
        level.read()
        cache = dataset.cache
        assert cache.size > 0
        chunks = dataset.iter_chunks(prefetch=1)
        next(chunks)
        array = dataset.raw_array("0/vertices")
    assert dataset.closed
    assert cache.size == 0
    assert "closed" in repr(dataset)
    assert "closed" in repr(level)
    assert "closed" in dataset._repr_html_()
    for use in (
        dataset.read,
        level.read,
        dataset.count,
        dataset.reload,
        dataset.iter_chunks,
        dataset.__enter__,
        dataset.summary,
        lambda: dataset.levels,
        lambda: dataset.storage,
        lambda: dataset[0],
        lambda: level.vertex_count,
        lambda: level.objects[0],
        lambda: len(level.groups),
        lambda: list(chunks),
        lambda: array[...],
        lambda: READERS["objects"](dataset),
    ):
        with pytest.raises(zv.StoreError, match="closed"):
            use()
    dataset.close()


def test_writing_needs_a_dataset_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    write_points(path, np.ones((3, 3)))
    with open_zv(path) as dataset, pytest.raises(zv.ReadOnlyStoreError, match=r"r\+"):
        dataset[0].writer()
    with open_zv(path) as dataset:
        assert dataset.mode == "r"
        with pytest.raises(zv.ReadOnlyStoreError):
            dataset.storage.put_many([("x", b"y")])
    with open_zv(path, "r+") as dataset:
        assert dataset.mode == "r+"
        dataset.storage.put_many([("x", b"y")])
    with pytest.raises(zv.ReadOnlyStoreError, match=r"r\+"):
        open_zv(resolve_storage(path, mode="r"), mode="r+")


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_change_is_seen_after_reloading(revision: str) -> None:
    path = fresh("points", revision)
    with open_zv(path, "r+") as dataset:
        level, coarse = dataset[0], dataset[2]
        assert coarse.vertex_count > 0
        held = level.objects
        assert (level.vertex_count, len(held)) == (1500, 0)
        level.read()
        write_points(path, np.ones((4, 3)), object_ids=[3, 3, 5, 5], format_version=revision)
        dataset.reload()
        assert (level.vertex_count, len(level.read()), list(held), dataset.levels) == (4, 4, [3, 5], [0])
        with pytest.raises(zv.UnknownNameError, match="level 2"):
            assert coarse.vertex_count


def test_iterating_over_a_store_that_was_reloaded_stops() -> None:
    with open_zv(store("points")) as dataset:
        chunks = dataset.iter_chunks(prefetch=0)
        next(chunks)
        dataset.reload()
        with pytest.raises(zv.StoreError, match="reloaded"):
            next(chunks)


def test_a_final_change_is_looked_through_and_completed() -> None:
    """A writer that died between its marker and the end: reading sees the new state, ``r+`` completes it."""
    path = fresh("points")
    storage = resolve_storage(path, mode="r+")
    data = get_one(storage, "zarr.json")
    assert data is not None
    changed = bytes(data).replace(b"point_cloud", b"line")
    transaction = Transaction(FailingStorage(storage, 4, half_moves=False))  # staging, record, marker, move
    transaction.put_many([("zarr.json", changed)])
    with pytest.raises(SimulatedCrashError):
        transaction.commit()
    assert get_one(storage, "zarr.json") == data
    with open_zv(path) as dataset:
        assert dataset.geometry_type == "line"
        assert dataset.levels == [0, 1, 2]
    assert get_one(storage, "zarr.json") == data
    with open_zv(path, "r+") as dataset:
        assert dataset.geometry_type == "line"
    assert get_one(storage, "zarr.json") == changed


def test_a_folder_of_finished_journals_costs_no_further_round(tmp_path: Path) -> None:
    write_points(tmp_path / "store", np.ones((3, 3)))
    (tmp_path / "store" / ".zv-journal").mkdir()
    storage = CountingStorage(resolve_storage(tmp_path / "store"))
    with open_zv(storage) as dataset:
        assert storage.rounds == 2
        assert dataset.count(BOX) == 3
