"""Uncompressed rows are read straight into the arrays that are returned, and come out as they do otherwise."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zarr_vectors.encoding.checksum import checksum_bytes
from zarr_vectors.encoding.shard import shard_index_length
from zarr_vectors.exceptions import ArrayError
from zarr_vectors.read import straight
from zarr_vectors.storage import Range, files, resolve_storage
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.points import read_points, write_points


def cloud(count: int, seed: int = 0) -> tuple[Any, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    values = {"v": rng.normal(size=count), "rgb": rng.integers(0, 255, (count, 3)).astype(np.uint8)}
    return rng.uniform(0, 100, (count, 3)).astype(np.float32), values


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of ranges that were read straight, one a round; small stores are read so, too."""
    rounds: list[int] = []
    fill_many = LocalStorage.fill_many

    def counting(self: LocalStorage, requests: Sequence[Range], targets: Sequence[memoryview]) -> bool:
        rounds.append(len(requests))
        return fill_many(self, requests, targets)

    monkeypatch.setattr(LocalStorage, "fill_many", counting)
    monkeypatch.setattr(straight, "WORTHWHILE", 1)
    return rounds


def same(found: Any, expected: Any) -> None:
    assert found.positions.dtype == expected.positions.dtype
    assert found.positions.tobytes() == expected.positions.tobytes()
    assert found.attributes.keys() == expected.attributes.keys()
    for name, column in expected.attributes.items():
        assert found.attributes[name].dtype == column.dtype
        assert found.attributes[name].shape == column.shape
        assert found.attributes[name].tobytes() == column.tobytes()
        assert found.attributes[name].flags.writeable


@given(
    count=st.integers(1, 300),
    edge=st.sampled_from([10.0, 34.0, 100.0]),
    shard=st.sampled_from([None, 2, 3]),
    names=st.sampled_from([None, [], ["rgb"]]),
    box=st.sampled_from([None, ([20.0] * 3, [70.0] * 3)]),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_straight_is_as_cell_by_cell(
    tmp_path_factory: pytest.TempPathFactory,
    filled: list[int],
    count: int,
    edge: float,
    shard: Any,
    names: Any,
    box: Any,
) -> None:
    path = tmp_path_factory.mktemp("straight") / "s.zv"
    positions, attributes = cloud(count)
    bounds = ([0.0] * 3, [100.0] * 3)
    write_points(
        path, positions, attributes=attributes, chunk_shape=edge, bounds=bounds, compressor=None, shard_shape=shard
    )
    filled.clear()
    found = read_points(path, attributes=names)
    assert bool(filled) == (shard is not None)
    through = CountingStorage(resolve_storage(path))
    same(found, read_points(through, attributes=names))
    same(read_points(path, attributes=names, bbox=box), read_points(through, attributes=names, bbox=box))


def test_what_is_large_is_read_straight_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    positions, attributes = cloud(300_000)
    write_points(tmp_path / "s.zv", positions, attributes=attributes, chunk_shape=25, compressor=None)
    calls: list[int] = []
    preadv = os.preadv

    def counting(handle: int, buffers: Sequence[memoryview], start: int) -> int:
        calls.append(sum(map(len, buffers)))
        return preadv(handle, buffers, start)

    monkeypatch.setattr(os, "preadv", counting)
    found = read_points(tmp_path / "s.zv")
    assert found.vertex_count == 300_000
    assert sum(calls) == 300_000 * (12 + 8 + 3) + 3 * (8 + 4) * 64
    assert len(calls) <= 6


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_short_reads_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled: list[int], most: int
) -> None:
    positions, attributes = cloud(500)
    write_points(tmp_path / "s.zv", positions, attributes=attributes, chunk_shape=50, compressor=None)
    expected = read_points(CountingStorage(resolve_storage(tmp_path / "s.zv")))
    preadv = os.preadv

    def short(handle: int, buffers: Sequence[memoryview], start: int) -> int:
        first = next(buffer for buffer in buffers if len(buffer))
        return preadv(handle, [first[:most]], start)

    monkeypatch.setattr(os, "preadv", short)
    same(read_points(tmp_path / "s.zv"), expected)
    assert filled


def shard_of(path: Path, array: str) -> Path:
    return next(one for one in (path / "0" / array / "c").rglob("*") if one.is_file())


def test_a_damaged_header_is_named(tmp_path: Path, filled: list[int]) -> None:
    positions, attributes = cloud(500)
    write_points(tmp_path / "s.zv", positions, attributes=attributes, chunk_shape=50, compressor=None, checksum=False)
    shard = shard_of(tmp_path / "s.zv", "vertices")
    shard.write_bytes(b"\7" + shard.read_bytes()[1:])
    with pytest.raises(ArrayError, match=r"vertices: chunk \d\.\d\.\d: a cell is damaged: it states 7 items"):
        read_points(tmp_path / "s.zv")
    assert filled


@pytest.mark.parametrize("place", [0, 8, -1])
def test_a_damaged_cell_is_named(tmp_path: Path, filled: list[int], place: int) -> None:
    positions, attributes = cloud(500)
    write_points(tmp_path / "s.zv", positions, attributes=attributes, chunk_shape=50, compressor=None)
    shard = shard_of(tmp_path / "s.zv", "vertices")
    data = bytearray(shard.read_bytes())
    end = int(np.frombuffer(data[-4 - 16 * 8 :], "<u8", 2)[1])
    data[place % end] ^= 4
    shard.write_bytes(data)
    with pytest.raises(ArrayError, match=r"0/vertices: chunk 0\.0\.0: its \d+ bytes are damaged"):
        read_points(tmp_path / "s.zv")
    assert filled


def test_rows_that_are_missing_are_named(tmp_path: Path, filled: list[int]) -> None:
    positions, attributes = cloud(500)
    for name, some in (("s.zv", attributes), ("other.zv", {**attributes, "v": attributes["v"].astype(np.float32)})):
        write_points(tmp_path / name, positions, attributes=some, chunk_shape=50, compressor=None)
    wrong = shard_of(tmp_path / "other.zv", "vertex_attributes/v").read_bytes()
    shard_of(tmp_path / "s.zv", "vertex_attributes/v").write_bytes(wrong)
    filled.clear()
    with pytest.raises(ArrayError, match=r"vertex_attributes/v: chunk \d\.\d\.\d holds \d+ bytes, expected \d+"):
        read_points(tmp_path / "s.zv")
    assert not filled


def test_ranges_beyond_a_file_and_absent_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    storage = LocalStorage(tmp_path)
    target = bytearray(8)
    view = memoryview(target)
    assert storage.fill_many([Range("a", 4, 6), Range("a", 6, 8), Range("a", 0, 4)], [view[:2], view[2:4], view[4:]])
    assert bytes(target) == b"45670123"
    assert not storage.fill_many([Range("a", 4, 12)], [view])
    assert not storage.fill_many([Range("b", 0, 8)], [view])


def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").write_bytes(b"0123456789")
    storage, view = LocalStorage(tmp_path), memoryview(bytearray(8))
    assert not storage.fill_many([Range("folder", 0, 8)], [view])
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert not storage.fill_many([Range("pipe", 0, 8)], [view])

    def broken(handle: int, buffers: Sequence[memoryview], start: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    assert not storage.fill_many([Range("a", 0, 8)], [view])


def test_few_files_are_open_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled: list[int]) -> None:
    positions, attributes = cloud(2000)
    path = tmp_path / "s.zv"
    write_points(path, positions, attributes=attributes, chunk_shape=10, bin_shape=10, compressor=None, shard_shape=2)
    expected = read_points(CountingStorage(resolve_storage(path)))
    batches: list[int] = []
    fill = files.fill

    def counting(wanted: Sequence[Any], targets: Sequence[memoryview]) -> bool:
        batches.append(len({handle for handle, _, _ in wanted}))
        return fill(wanted, targets)

    monkeypatch.setattr(files, "fill", counting)
    same(read_points(path), expected)
    assert sum(batches) == 3 * 125
    assert max(batches) <= 32


@pytest.mark.parametrize("length", [2**33, 2**44, 2**62], ids=hex)
def test_no_memory_is_taken_for_a_cell_that_a_damaged_index_makes_huge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    positions, _ = cloud(500)
    write_points(tmp_path / "s.zv", positions, chunk_shape=50, compressor=None)
    shard = shard_of(tmp_path / "s.zv", "vertices")
    count = 8
    data = shard.read_bytes()
    start = len(data) - shard_index_length(count, checksum=True)
    index = np.frombuffer(data[start:-4], "<u8").copy()
    index[1] = length
    shard.write_bytes(data[:start] + index.tobytes() + checksum_bytes(index.tobytes()))
    asked: list[int] = []
    empty = np.empty

    def counting(shape: Any, *given: Any, **named: Any) -> Any:
        asked.append(int(np.prod(shape)))
        return empty(shape, *given, **named)

    monkeypatch.setattr(np, "empty", counting)
    with pytest.raises(ArrayError, match=r"vertices: chunk 0\.0\.0: its \d+ bytes are damaged"):
        read_points(tmp_path / "s.zv")
    assert max(asked, default=0) < 2**33
