"""What queries fetch: rounds of requests, and cells of the chunks that they need."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.polylines.walks import REVISIONS, Walks, make_walks
from zarr_vectors.read.opening import open_storage
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.polylines import read_polylines, write_polylines

BOX = ([-18.0] * 3, [8.0] * 3)


def open_counted(path: Path) -> tuple[CountingStorage, StoreReader]:
    storage = CountingStorage(resolve_storage(path))
    store = open_storage(storage)
    store.level(0)
    storage.reset()
    return storage, store


def write(path: Path, made: Walks, **options: Any) -> None:
    write_polylines(
        path,
        made.positions,
        offsets=made.offsets,
        chunk_shape=20,
        attributes={"fa": made.positions[:, 0]},
        object_attributes={"length": made.lengths},
        **options,
    )


def chunks_of(made: Walks, numbers: Any) -> set[tuple[int, ...]]:
    rows = np.concatenate([made.path(number) for number in numbers])
    return {tuple(chunk) for chunk in np.floor(rows.astype(np.float64) / 20).astype(int).tolist()}


@pytest.mark.parametrize("options", [{}, {"compressor": None}, {"shard_shape": 4}, {"shard_shape": None}], ids=str)
def test_one_object_takes_three_rounds(tmp_path: Path, options: dict[str, Any]) -> None:
    made = make_walks(21, count=60)
    write(tmp_path / "a.zv", made, **options)
    storage, store = open_counted(tmp_path / "a.zv")
    assert read_polylines(store, object_ids=[17]).polyline_count == 1
    assert storage.rounds <= 3


@pytest.mark.parametrize("options", [{}, {"compressor": None}, {"shard_shape": 4}, {"shard_shape": None}], ids=str)
@pytest.mark.parametrize("clip", [False, True])
def test_the_paths_of_a_box_take_six_rounds(tmp_path: Path, options: dict[str, Any], clip: bool) -> None:
    made = make_walks(21, count=60)
    write(tmp_path / "a.zv", made, **options)
    storage, store = open_counted(tmp_path / "a.zv")
    found = read_polylines(store, bbox=BOX, clip=clip)
    assert set(found.object_ids.tolist()) == set(made.meeting(*BOX))
    assert storage.rounds <= 6


def cells(storage: CountingStorage, array: str) -> Counter[str]:
    return Counter(a for a in storage.addresses() if a.startswith(f"0/{array}/c/"))


def test_an_object_costs_its_chunks(tmp_path: Path) -> None:
    made = make_walks(22, count=60)
    write(tmp_path / "a.zv", made, shard_shape=None)
    storage, store = open_counted(tmp_path / "a.zv")
    read_polylines(store, object_ids=[3, 40])
    expected = len(chunks_of(made, [3, 40]))
    assert expected < len(store.level(0).chunks) / 2
    for array in ("vertices", "vertex_fragments", "vertex_attributes/fa"):
        assert len(cells(storage, array)) == cells(storage, array).total() == expected
    assert not [address for address in storage.addresses() if address.startswith("0/links")]


def test_a_box_costs_its_chunks_and_those_of_its_paths(tmp_path: Path) -> None:
    made = make_walks(23, count=60)
    write(tmp_path / "a.zv", made, shard_shape=None)
    storage, store = open_counted(tmp_path / "a.zv")
    found = read_polylines(store, bbox=BOX)
    theirs = chunks_of(made, found.object_ids.tolist())
    held = {tuple(chunk) for chunk in store.level(0).chunks.tolist()}
    met = {chunk for chunk in held if all(-1 <= c <= 0 for c in chunk)}
    assert len(theirs | met) < len(held)
    assert len(cells(storage, "vertices")) == cells(storage, "vertices").total() == len(theirs | met)
    assert cells(storage, "vertex_attributes/fa").total() == len(theirs)
    assert cells(storage, "fragment_attributes/object_id").total() == len(met)
    assert not [address for address in storage.addresses() if address.startswith("0/links")]


def write_tracks(path: Path, revision: str, **options: Any) -> None:
    """Write 12 tracks over six chunks of time, the first six over all of them, the others within one each."""
    rng = np.random.default_rng(3)
    frames = [np.arange(0.25, 60, 0.5)] * 6 + [np.arange(10.0 * i + 0.25, 10 * i + 9, 0.5) for i in range(6)]
    write_polylines(
        path,
        [np.column_stack([rng.uniform(1, 99, (len(t), 3)), t]) for t in frames],
        chunk_shape=(100, 100, 100, 10),
        axes=["x", "y", "z", {"name": "t", "type": "time"}],
        attributes={"v": list(frames)},
        format_version=revision,
        **options,
    )


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_box_in_time_reads_its_chunks_and_those_of_whole_paths(tmp_path: Path, revision: str) -> None:
    write_tracks(tmp_path / "a", revision, shard_shape=None)
    storage, store = open_counted(tmp_path / "a")
    late = ([0, 0, 0, 30], [100, 100, 100, 40])

    def times_read(array: str) -> list[int]:
        keys = {address.removeprefix(f"0/{array}/") for address in storage.addresses() if f"0/{array}/" in address}
        chunks = {
            key.removeprefix("c/").removesuffix("/c/0").replace("/", ".") for key in keys if "zarr.json" not in key
        }
        return sorted(int(chunk.split(".")[-1]) for chunk in chunks)

    def read(**options: Any) -> Any:
        storage.reset()
        return read_polylines(store, **options)

    for array in ("vertices", "vertex_attributes/v", "vertex_fragments"):
        assert read(bbox=late).polyline_count == 7
        assert times_read(array) == [0, 1, 2, 3, 4, 5]
        assert set(read(bbox=late, clip=True).object_ids.tolist()) == {*range(6), 9}
        assert times_read(array) == [2, 3, 4]  # the segments through both faces end in the chunks beside
        assert set(read(bbox=late, clip=True, object_ids=[9, 4]).object_ids.tolist()) == {9, 4}
        assert times_read(array) == [2, 3, 4]
        within = ([0, 0, 0, 31], [100, 100, 100, 33])
        assert len(read(bbox=within, clip=True).positions)
        assert times_read(array) == [3]
        assert read(bbox=late, object_ids=[9]).polyline_count == 1
        assert times_read(array) == [3]


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_empty_box_reads_no_path(tmp_path: Path, revision: str) -> None:
    made = make_walks(24)
    write(tmp_path / "a.zv", made, format_version=revision)
    storage, store = open_counted(tmp_path / "a.zv")
    assert read_polylines(store, bbox=([5000] * 3, [5001] * 3)).polyline_count == 0
    assert not [address for address in storage.addresses() if "/vertices/" in address]


def test_manifests_are_decoded_once_per_open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zarr_vectors.formats import vlen_array  # noqa: PLC0415 - counted here

    made = make_walks(25)
    write(tmp_path / "a.zv", made)
    calls = []
    unframe = vlen_array.unframe_vlen
    monkeypatch.setattr(vlen_array, "unframe_vlen", lambda data: (calls.append(1), unframe(data))[1])
    _, store = open_counted(tmp_path / "a.zv")
    for number in (1, 2, 3):
        read_polylines(store, object_ids=[number])
    assert len(calls) == 1
    monkeypatch.setattr(vlen_array, "KEPT_BYTES", 0)
    _, store = open_counted(tmp_path / "a.zv")
    for number in (1, 2, 3):
        read_polylines(store, object_ids=[number])
    assert len(calls) == 4
