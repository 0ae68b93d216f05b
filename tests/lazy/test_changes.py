"""A dataset sees what this process changes, and says so when another process has changed what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.lazy.stores import BOX, REVISIONS, fresh, same
from zarr_vectors import edit
from zarr_vectors.core.store import open_store
from zarr_vectors.lazy import ZVDataset, open_zv
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage import resolve_storage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.points import read_points, write_points


class Elsewhere(CountingStorage):
    """A storage under another URL: what this process changes below it counts as the work of another."""

    @property
    def url(self) -> str:
        return "elsewhere://store"


EDITS: dict[str, Callable[[Any], Any]] = {
    "delete objects": lambda store: edit.delete_objects(store, [7]),
    "move vertices": lambda store: edit.move_vertices(store, [[49.0, 49, 49]], rows=[0]),
    "append": lambda store: write_points(store, np.ones((3, 3), np.float32), **_new_objects(), mode="a"),
    "add an attribute": lambda store: edit.add_attribute(store, "new", np.arange(1500.0)),
    "build a pyramid": lambda store: build_pyramid(store, factors=[(4.0, 1.0)], overwrite=True),
    "replace": lambda store: write_points(store, np.ones((9, 3)), object_ids=np.arange(9), mode="w"),
}


def _new_objects() -> dict[str, Any]:
    return {
        "object_ids": [1000, 1000, 1001],
        "attributes": {"height": np.ones(3, np.float32)},
        "object_attributes": {"size": [1.0, 2.0]},
    }


def everything(dataset: ZVDataset) -> tuple[Any, ...]:
    """What is read in every way."""
    level = dataset[0]
    chunks = [chunk.positions for chunk in level.iter_chunks(prefetch=2, n_workers=2)]
    return (
        dataset.read(),
        level.read(bbox=BOX),
        dataset.levels,
        dataset.bin_shape_at(dataset.levels[-1]),
        dataset[dataset.levels[-1]].read(),
        dataset.vertex_count(),
        dataset.count(BOX),
        np.concatenate(chunks),
        list(level.objects),
        dataset.n_objects,
        list(level.groups),
        level.attribute_names,
        read_points(dataset, bbox=BOX),
    )


def alike(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    def one(a: Any, b: Any) -> bool:
        if isinstance(a, np.ndarray):
            return np.array_equal(a, b)
        return same(a, b) if hasattr(a, "positions") else bool(a == b)

    return all(map(one, first, second))


@pytest.mark.parametrize(("given", "cache_size"), [("dataset", 1 << 27), ("path", 0), ("group", 1 << 27)])
@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_changes_by_this_process_are_seen(revision: str, name: str, given: str, cache_size: int) -> None:
    """Whether the function was given the dataset itself or not."""
    path = fresh("objects", revision)
    with open_zv(path, "r+" if given == "dataset" else "r", cache_size=cache_size) as dataset:
        before = everything(dataset)
        EDITS[name]({"dataset": dataset, "path": path, "group": open_store(path, "r+")}[given])
        after = everything(dataset)
        with open_zv(path) as anew:
            assert alike(after, everything(anew))
    assert not alike(before, after)


def test_a_change_of_another_store_changes_nothing() -> None:
    with open_zv(fresh("points")) as dataset:
        snapshot = dataset.snapshot
        edit.delete_objects(fresh("objects"), [7])
        assert dataset.snapshot is snapshot


def test_writes_through_a_group_are_seen() -> None:
    path = fresh("points", "0.7")
    with open_zv(path) as dataset:
        chunk = tuple(dataset[0].chunks[0].tolist())
        before = dataset.read()
        level = open_store(path, "r+")["0"]
        held = level.read_bytes("vertices", chunk)
        level.write_bytes("vertices", chunk, held[:12])
        with pytest.raises(zv.ArrayError):
            dataset.read()  # attributes have more rows than there are vertices now: damaged, and not only changed
        level.write_bytes("vertices", chunk, held)
        assert same(dataset.read(), before)


def test_a_dataset_that_is_changed_while_its_chunks_are_read_says_so() -> None:
    path = fresh("objects")
    with open_zv(path) as dataset:
        chunks = dataset.iter_chunks(prefetch=0)
        next(chunks)
        edit.delete_objects(path, [7])
        with pytest.raises(zv.StoreChangedError, match="reloaded"):
            next(chunks)
        assert sum(len(chunk) for chunk in dataset.iter_chunks()) == dataset.count()


READS: dict[str, Callable[[ZVDataset], Any]] = {
    "read": lambda dataset: dataset.read(),
    "box": lambda dataset: dataset.read(bbox=BOX),
    "chosen": lambda dataset: dataset.read(bbox=BOX, max_vertices=10**6),
    "count": lambda dataset: dataset.count(BOX),
    "chunks": lambda dataset: list(dataset.iter_chunks(prefetch=0)),
    "object": lambda dataset: dataset[0].objects[14],
}


@pytest.mark.parametrize("cache_size", [0, 1 << 27])
@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_what_another_process_changed_is_told_from_damage(revision: str, name: str, cache_size: int) -> None:
    """Indexes are remembered, then every cell grows: reading either works, or says that the store has changed."""
    path = fresh("objects", revision)
    with open_zv(Elsewhere(resolve_storage(path)), cache_size=cache_size) as dataset:
        dataset.count(([-20, -20, -20], [1, 1, 1]))
        dataset.read(bbox=([-50] * 3, [-30] * 3))
        for _ in range(2):
            edit.delete_objects(path, list(open_zv(path)[0].objects)[-12:])
        with suppress(zv.StoreChangedError):
            READS[name](dataset)
        dataset.reload()
        with open_zv(path) as anew:
            assert alike((dataset.read(),), (anew.read(),))


def test_another_writer_is_noticed_when_indexes_no_longer_fit() -> None:
    path = fresh("objects", "0.9")
    with open_zv(Elsewhere(resolve_storage(path)), cache_size=1 << 27) as dataset:
        dataset.read(bbox=([-50] * 3, [0] * 3))
        edit.delete_objects(path, [7, 14, 21])
        with pytest.raises(zv.StoreChangedError, match=r"elsewhere.*reload\(\)"):
            dataset.read()
        assert isinstance(zv.StoreChangedError("x"), zv.StoreError)
        dataset.reload()
        assert 7 not in dataset.read().object_ids


def test_damage_is_still_damage(tmp_path: Path) -> None:
    write_points(tmp_path / "store", np.random.default_rng(0).uniform(0, 99, (500, 3)), chunk_shape=50)
    with open_zv(tmp_path / "store") as dataset:
        for file in (tmp_path / "store" / "0" / "vertices").rglob("*"):
            if file.is_file() and file.name != "zarr.json":
                file.write_bytes(bytes(byte ^ 255 for byte in file.read_bytes()))
        for use in (dataset.read, lambda: list(dataset.iter_chunks()), lambda: dataset.count(([0] * 3, [30] * 3))):
            with pytest.raises(zv.ArrayError):
                use()


@pytest.mark.parametrize("kind", ["r", "r+"])
def test_a_repository_is_read_as_of_its_opening_unless_the_dataset_changes_it(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("icechunk")
    path = tmp_path / "repository"
    write_points(path, np.ones((20, 3)), object_ids=np.arange(20) % 4, backend="icechunk")
    with open_zv(path, kind) as dataset:
        assert dataset.count() == 20
        edit.delete_objects(path if kind == "r" else dataset, [3])
        with open_zv(path) as anew:
            assert anew.count() == 15
        assert (dataset.count(), len(dataset.read())) == ((15, 15) if kind == "r+" else (20, 20))
