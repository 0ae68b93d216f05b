"""Packing the chunks of stores into shards and out of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.every_kind import KINDS, files, write_kind
from zarr_vectors.core import sharding
from zarr_vectors.core.store import open_store, shard_store, unshard_store
from zarr_vectors.exceptions import (
    ArgumentError,
    ReadOnlyStoreError,
    StoreNotFoundError,
    UnknownNameError,
    UnsupportedFeatureError,
)
from zarr_vectors.formats.cell_access import grid_arrays
from zarr_vectors.read.nodes import find_nodes
from zarr_vectors.read.opening import open_reader
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.port import Blob, Range
from zarr_vectors.testing.storage import CountingStorage, FailingStorage, SimulatedCrashError
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")


def parsed(stored: dict[str, bytes]) -> dict[str, Any]:
    """Read documents, which may be laid out otherwise."""
    return {address: json.loads(data) if address.endswith(".json") else data for address, data in stored.items()}


def shards_of(path: Path, level: int = 0) -> set[Any]:
    store = open_reader(path)
    documents, _ = find_nodes(store.storage, store.revision, str(level))
    return {array.shard_shape for array in grid_arrays(documents)}


@pytest.mark.parametrize("kind", list(KINDS))
def test_packing_and_unpacking_gives_every_byte_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.zv"
    write_kind(kind, path, levels=1, shard_shape=None)
    before = files(path)
    cells = sorted(data for address, data in before.items() if "/c/" in address and "object" not in address)
    packed = shard_store(path, (2, 3, 1))
    assert packed["levels"] == [0, 1]
    assert packed["objects_after"] < packed["objects_before"]
    leading = (1,) if kind == "attribute_points" else ()
    assert shards_of(path) == {(*leading, 2, 3, 1)}
    report = validate(path, level=5)
    assert report.is_valid, report.summary()
    shards = b"".join(data for address, data in files(path).items() if "/c/" in address)
    assert all(cell in shards for cell in cells)
    assert shard_store(path, (2, 3, 1))["arrays"] == 0
    again = shard_store(path, 2)
    assert again["objects_before"] == packed["objects_after"]
    unpacked = unshard_store(path)
    assert unpacked["objects_after"] == packed["objects_before"]
    assert unpacked["arrays"] == packed["arrays"]
    assert parsed(files(path)) == parsed(before)
    assert unshard_store(path)["arrays"] == 0


@settings(max_examples=8)
@given(shapes=st.lists(st.tuples(*[st.integers(1, 6)] * 3), min_size=1, max_size=3), sharded=st.booleans())
def test_shards_do_not_change_what_is_stored(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, ...]], sharded: bool
) -> None:
    path = tmp_path_factory.mktemp("law") / "a.zv"
    write_kind("point_objects", path, shard_shape=(3, 1, 2) if sharded else None)
    before = read_points(path)
    for shape in shapes:
        shard_store(path, shape)
        assert shards_of(path) == {tuple(min(n, 4) for n in shape)}
        now = read_points(path)
        assert np.array_equal(now.positions, before.positions)
        assert np.array_equal(now.attributes["n"], before.attributes["n"])
        np.testing.assert_array_equal(now.object_ids, before.object_ids)
    unshard_store(path)
    assert shards_of(path) == {None}
    assert np.array_equal(read_points(path).positions, before.positions)


def test_open_groups_see_other_shards(tmp_path: Path) -> None:
    write_kind("points", tmp_path / "a.zv", shard_shape=None)
    root = open_store(tmp_path / "a.zv", "r+")
    before = read_points(root)
    shard_store(root, 4)
    assert zarr.open_array(tmp_path / "a.zv" / "0" / "vertices", mode="r").shards == (4, 4, 4)
    assert np.array_equal(read_points(root).positions, before.positions)
    key = root["0"].list_chunk_keys("vertices")[0]
    payload = root["0"].read_bytes("vertices", key)
    unshard_store(root)
    assert root["0"].read_bytes("vertices", key) == payload


def test_shards_are_chosen(tmp_path: Path) -> None:
    write_kind("points", tmp_path / "a.zv", shard_shape=None)
    write_kind("points", tmp_path / "b.zv", shard_shape="auto")
    shard_store(tmp_path / "a.zv")
    assert shards_of(tmp_path / "a.zv") == shards_of(tmp_path / "b.zv") == {(4, 4, 4)}


def test_some_levels_are_packed(tmp_path: Path) -> None:
    write_kind("points", tmp_path / "a.zv", levels=2, shard_shape=None)
    assert shard_store(tmp_path / "a.zv", 2, levels=[1])["levels"] == [1]
    assert [shards_of(tmp_path / "a.zv", level) for level in range(2)] == [{None}, {(2, 2, 2)}]
    for level in (7, -1):
        with pytest.raises(UnknownNameError, match=r"levels.*\[0, 1, 2\]"):
            shard_store(tmp_path / "a.zv", 2, levels=[level])
    for odd in ("a", 0.0, True, np.bool_(False)):
        with pytest.raises(ArgumentError, match="levels: expected whole numbers, got"):
            shard_store(tmp_path / "a.zv", 2, levels=[0, odd])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="levels"):
        unshard_store(tmp_path / "a.zv", levels=3)  # type: ignore[arg-type]


def test_arrays_that_do_not_name_their_chunks(tmp_path: Path) -> None:
    write_kind("points", tmp_path / "a.zv", shard_shape=None)
    before = files(tmp_path / "a.zv")
    vertices = open_store(tmp_path / "a.zv", "r+")["0"].zarr_group["vertices"]
    attributes = dict(vertices.attrs)
    del attributes["nonempty_chunks"]
    vertices.attrs.put(attributes)
    shard_store(tmp_path / "a.zv", 2)
    assert len(read_points(tmp_path / "a.zv").positions) == 300
    unshard_store(tmp_path / "a.zv")
    assert files(tmp_path / "a.zv").keys() == before.keys()


@pytest.mark.parametrize(
    "shape", [0, -1, (2, 2), (1, 2, 3, 4, 5), 1.5, "big", None, (2, 2, 0), [2, 2, "x"], True, (2, 2, True)]
)
def test_bad_shapes_are_refused_and_nothing_changes(tmp_path: Path, shape: Any) -> None:
    write_kind("points", tmp_path / "a.zv", shard_shape=None)
    before = files(tmp_path / "a.zv")
    with pytest.raises(ArgumentError, match="shard_shape"):
        shard_store(tmp_path / "a.zv", shape)
    assert files(tmp_path / "a.zv") == before


def test_revision_07_has_no_shards(tmp_path: Path) -> None:
    write_kind("polylines", tmp_path / "a.zv", format_version="0.7")
    before = files(tmp_path / "a.zv")
    with pytest.raises(UnsupportedFeatureError, match=r"0\.7.*migrate"):
        shard_store(tmp_path / "a.zv", 2)
    assert unshard_store(tmp_path / "a.zv") == {"levels": [0], "arrays": 0, "objects_before": 0, "objects_after": 0}
    assert files(tmp_path / "a.zv") == before


def test_stores_that_cannot_be_changed(tmp_path: Path) -> None:
    write_kind("points", tmp_path / "a.zv")
    root = open_store(tmp_path / "a.zv")
    for change in (shard_store, unshard_store):
        with pytest.raises(ReadOnlyStoreError):
            change(root)
        with pytest.raises(StoreNotFoundError):
            change(tmp_path / "b.zv")
    assert not (tmp_path / "b.zv").exists()


@pytest.mark.parametrize("packs", [True, False])
def test_a_death_leaves_the_old_store_or_the_new_one(tmp_path: Path, packs: bool) -> None:
    original = tmp_path / "original.zv"
    positions = np.random.default_rng(0).uniform(0, 40, (60, 2))
    write_points(original, positions, chunk_shape=20.0, shard_shape=None if packs else 2)

    def change(storage: Any) -> None:
        if packs:
            shard_store(storage, 2)
        else:
            unshard_store(storage)

    counted = tmp_path / "counted.zv"
    shutil.copytree(original, counted)
    counter = FailingStorage(LocalStorage(counted))
    change(counter)
    old, new = files(original), files(counted)
    assert old != new
    seen = set()
    for moment in range(1, counter.operations + 1):
        path = tmp_path / f"{moment}.zv"
        shutil.copytree(original, path)
        with pytest.raises(SimulatedCrashError):
            change(FailingStorage(LocalStorage(path), fail_at=moment))
        for lock in path.glob(".zv-lock/*"):
            lock.unlink()
        assert len(read_points(path).positions) == len(positions)
        open_store(path, "r+")
        left = {address: data for address, data in files(path).items() if not address.startswith(".zv")}
        assert left in (old, new)
        seen.add(left == new)
    assert seen == {False, True}


class Weighing(CountingStorage):
    """Knows how much was read at once."""

    largest = 0

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Weigh the answer."""
        blobs = super().get_many(requests)
        self.largest = max(self.largest, sum(len(blob) for blob in blobs if blob is not None))
        return blobs


@pytest.mark.parametrize("packs", [True, False])
def test_memory_holds_few_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packs: bool) -> None:
    positions = np.random.default_rng(0).uniform(0, 100, (40_000, 3))
    sharded = None if packs else 10
    write_points(tmp_path / "a.zv", positions, chunk_shape=10.0, shard_shape=sharded, compressor=None)
    budget = 80_000
    monkeypatch.setattr(sharding, "_BYTES_AT_ONCE", budget)
    storage = Weighing(LocalStorage(tmp_path / "a.zv"))
    if packs:
        shard_store(storage, (2, 2, 2))
    else:
        unshard_store(storage)
    assert storage.bytes_read > positions.nbytes
    assert storage.largest < 2 * budget
