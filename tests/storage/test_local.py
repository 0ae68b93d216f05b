from __future__ import annotations

import os
import pickle
import stat
import threading
from pathlib import Path

import pytest

from zarr_vectors.exceptions import ReadOnlyStoreError, StoreError
from zarr_vectors.storage import LocalStorage, Range, get_one, get_whole, put_one
from zarr_vectors.storage import files as files_module


def test_no_partial_file_is_ever_seen(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "s")
    first, second = b"a" * 300_000, b"b" * 200_000
    put_one(storage, "x", first)
    stop = threading.Event()
    seen = set()

    def look() -> None:
        while not stop.is_set():
            blob = get_one(storage, "x")
            assert blob is not None
            seen.add(bytes(blob))
            seen.add(b"".join(name.encode() for name in storage.list_all() if name != "x"))

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(200):
        put_one(storage, "x", second if turn % 2 else first)
    stop.set()
    reader.join()
    assert seen <= {first, second, b""}


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path)
    put_one(storage, "x", b"old")

    def full_disk(handle: int, parts: list[memoryview]) -> int:
        os.write(handle, b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files_module, "write", full_disk)
    with pytest.raises(StoreError, match=r"cannot write 'x' in .*No space left"):
        put_one(storage, "x", b"newer")
    assert get_one(storage, "x") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_folders_that_become_empty_go(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put_many([("a/b/c", b""), ("a/d", b"")])
    storage.delete_many(["a/b/c"])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "d"]
    storage.delete_many(["a/d"])
    assert list(tmp_path.iterdir()) == []


def test_the_root_goes_only_if_it_was_made_here(tmp_path: Path) -> None:
    given, made = LocalStorage(tmp_path / "given"), LocalStorage(tmp_path / "made")
    given.root.mkdir()
    for storage in (given, made):
        put_one(storage, "a/b", b"")
        storage.delete_many(["a/b"])
    assert given.root.exists()
    assert not made.root.exists()


def test_folders_removed_by_others_are_made_again(tmp_path: Path) -> None:
    storage, other = LocalStorage(tmp_path / "s"), LocalStorage(tmp_path / "s")
    put_one(storage, "a/b/c", b"1")
    other.delete_prefix("")
    put_one(storage, "a/b/c", b"2")
    assert get_one(storage, "a/b/c") == b"2"


def test_the_root_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    linked, relative = LocalStorage(Path("link")), LocalStorage(Path("here"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    put_one(relative, "a", b"1")
    assert linked.root == tmp_path / "real"
    assert relative.url == str(tmp_path / "here")
    assert relative.name == "here"
    assert (tmp_path / "here" / "a").read_bytes() == b"1"


def test_large_files_are_read_whole_and_in_ranges(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    data = os.urandom(33_000_001)
    storage.put_many([("big", [data[:7], data[7:]]), ("next", data[:2_000_000])])
    assert get_one(storage, "big") == data
    assert get_one(storage, "next") == data[:2_000_000]
    assert get_one(storage, "big", 3, 30_000_003) == data[3:30_000_003]
    assert get_one(storage, "big", -30_000_000) == data[-30_000_000:]


def test_many_large_files(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, atomic=False, fsync=True)
    blobs = {f"c/{i}": os.urandom(300_000) for i in range(40)}
    storage.put_many(blobs.items())
    assert [bytes(blob or b"") for blob in get_whole(storage, list(blobs))] == list(blobs.values())


@pytest.mark.parametrize("atomic", [True, False])
def test_an_error_among_many_large_writes_is_raised(tmp_path: Path, atomic: bool) -> None:
    storage = LocalStorage(tmp_path, atomic=atomic)
    put_one(storage, "c/30/x", b"")
    with pytest.raises(StoreError, match="'c/30'"):
        storage.put_many((f"c/{i}", bytes(300_000)) for i in range(40))


def test_without_pread_and_writev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pread", "preadv", "writev"):
        monkeypatch.delattr(os, name)
    storage = LocalStorage(tmp_path)
    data = os.urandom(3_000_000)
    put_one(storage, "x", [data[:10], data[10:]])
    asked = [Range("x"), Range("x", 5, 9), Range("x", 1_500_000, 1_500_010), Range("x", -4)]
    expected = [data, data[5:9], data[1_500_000:1_500_010], data[-4:]]
    assert [bytes(blob or b"") for blob in storage.get_many(asked)] == expected


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", cannot)
    storage = LocalStorage(tmp_path)
    assert storage.put_if_absent("a", b"1")
    assert not storage.put_if_absent("a", b"2")
    assert get_one(storage, "a") == b"1"
    assert storage.list_all() == ["a"]


def test_only_one_of_many_puts_if_absent_succeeds(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    won: list[int] = []
    barrier = threading.Barrier(8)

    def attempt(number: int) -> None:
        barrier.wait()
        if storage.put_if_absent("a", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert get_one(storage, "a") == str(won[0]).encode()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_denied_permission_is_named(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    put_one(storage, "a", b"1")
    (tmp_path / "a").chmod(0)
    with pytest.raises(StoreError, match=r"cannot read 'a' in .*: permission denied"):
        get_one(storage, "a")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ReadOnlyStoreError, match=r"cannot write 'b' in .*: permission denied"):
        put_one(storage, "b", b"1")
    tmp_path.chmod(stat.S_IRWXU)


def test_a_denied_permission_becomes_our_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path)
    put_one(storage, "a", b"1")

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(StoreError, match=r"cannot read 'a' in .*: permission denied"):
        get_one(storage, "a")
    with pytest.raises(ReadOnlyStoreError, match=r"cannot write 'b' in .*: permission denied"):
        put_one(storage, "b", b"1")


def test_can_be_sent_to_another_process(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, read_only=True)
    assert pickle.loads(pickle.dumps(storage)) == storage
