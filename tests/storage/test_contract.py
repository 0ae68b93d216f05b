"""What every storage promises, whatever is behind it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import zarr

from zarr_vectors.exceptions import ArgumentError, ReadOnlyStoreError
from zarr_vectors.storage import (
    Listing,
    Range,
    Storage,
    get_one,
    get_whole,
    list_folder,
    put_one,
    resolve_storage,
)
from zarr_vectors.testing.storage import CountingStorage, FailingStorage

TEXT = b"0123456789"


def whole(storage: Storage, *addresses: str) -> list[bytes | None]:
    return [None if blob is None else bytes(blob) for blob in get_whole(storage, addresses)]


def test_keeps_what_is_put(storage: Storage) -> None:
    storage.put_many([("a/b", b"1"), ("a/c/d", b""), ("zarr.json", b"{}")])
    assert whole(storage, "zarr.json", "a/b", "a/c/d", "a", "a/c", "b") == [
        b"{}",
        b"1",
        b"",
        None,
        None,
        None,
    ]


def test_replaces_what_is_there(storage: Storage) -> None:
    put_one(storage, "a", b"long and old")
    put_one(storage, "a", b"new")
    assert whole(storage, "a") == [b"new"]


def test_takes_buffers_of_any_kind_and_several_of_them(storage: Storage) -> None:
    numbers = np.arange(6, dtype="<i4").reshape(2, 3)
    storage.put_many(
        [
            ("one", memoryview(b"abc")[1:]),
            ("many", [b"ab", b"", bytearray(b"c"), np.frombuffer(b"de", np.uint8), numbers.view(np.uint8)]),
            ("tuple", (b"x", b"y")),
            ("none", []),
            ("thousand", [b"ab"] * 1500),
        ]
    )
    expected = [b"bc", b"abcde" + numbers.tobytes(), b"xy", b"", b"ab" * 1500]
    assert whole(storage, "one", "many", "tuple", "none", "thousand") == expected


def test_takes_items_from_a_generator(storage: Storage) -> None:
    storage.put_many((f"c/{i}", bytes([i])) for i in range(70))
    assert whole(storage, *(f"c/{i}" for i in range(70))) == [bytes([i]) for i in range(70)]


def test_empty_calls_do_nothing(storage: Storage) -> None:
    storage.put_many([])
    storage.delete_many([])
    storage.move_many([])
    storage.delete_prefix("nothing/there")
    assert storage.get_many([]) == []
    assert storage.list_folders([]) == []
    assert storage.list_all() == []
    assert storage.list_folders(["", "x/y"]) == [Listing([], [])] * 2


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (None, None, TEXT),
        (0, None, TEXT),
        (4, None, TEXT[4:]),
        (-3, None, TEXT[-3:]),
        (-30, None, TEXT),
        (2, 5, TEXT[2:5]),
        (None, 5, TEXT[:5]),
        (5, 5, b""),
        (8, 30, TEXT[8:]),
        (10, 12, b""),
        (20, 30, b""),
        (20, None, b""),
    ],
)
def test_ranges(storage: Storage, start: int | None, stop: int | None, expected: bytes) -> None:
    put_one(storage, "x", TEXT)
    put_one(storage, "empty", b"")
    blob = get_one(storage, "x", start, stop)
    assert blob is not None
    assert bytes(blob) == expected
    nothing = get_one(storage, "empty", start, stop)
    assert nothing is not None
    assert bytes(nothing) == b""
    assert get_one(storage, "absent", start, stop) is None


def test_many_ranges_of_one_object_come_back_in_order(storage: Storage) -> None:
    rng = np.random.default_rng(1)
    data = rng.integers(0, 256, 2_000_000, dtype=np.uint8).tobytes()
    put_one(storage, "big", data)
    starts = rng.integers(0, len(data), 150)
    stops = starts + rng.integers(0, 5000, 150)
    requests = [Range("big", int(a), int(b)) for a, b in zip(starts, stops, strict=True)]
    requests += [Range("big", -7), Range("absent", 0, 3), Range("big", -7), Range("big")]
    expected = [data[a:b] for a, b in zip(starts, stops, strict=True)] + [data[-7:], None, data[-7:], data]
    found = [None if blob is None else bytes(blob) for blob in storage.get_many(requests)]
    assert found == expected


@pytest.mark.parametrize("bad", [(-3, 5), (5, 3), (0, -1)])
def test_ranges_without_meaning_are_refused(storage: Storage, bad: tuple[int, int]) -> None:
    put_one(storage, "x", TEXT)
    with pytest.raises(ArgumentError, match="no meaning"):
        storage.get_many([Range("x", *bad)])


@pytest.mark.parametrize(
    "bad", ["", "/a", "a//b", "../a", "a/../b", "a/..", ".", "a/./b", "a\\b", "a\0b", "C:/a", "c:", "a/"]
)
def test_addresses_that_would_leave_the_store_are_refused(storage: Storage, bad: str) -> None:
    for ask in (
        lambda: storage.get_many([Range(bad)]),
        lambda: storage.put_many([(bad, b"1")]),
        lambda: storage.put_if_absent(bad, b"1"),
        lambda: storage.exists(bad),
        lambda: storage.delete_many([bad]),
    ):
        with pytest.raises(ArgumentError, match="not an address"):
            ask()
    assert storage.list_all() == []


def test_prefixes_that_would_leave_the_store_are_refused(storage: Storage) -> None:
    for bad in ("..", "/", "/etc", "a/../.."):
        with pytest.raises(ArgumentError, match="not an address"):
            storage.list_folders([bad])
        with pytest.raises(ArgumentError, match="not an address"):
            storage.delete_prefix(bad)


NAMES = [
    "0.0.+1_0.+1.0",
    "-1",
    "a b",
    "é",
    "50%",
    "x#y",
    "q?r",
    "a{b}",
    "..a",
    "a..",
    "~",
    "[1]",
    "a&b=c",
    "a:b",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_kept_as_they_are(storage: Storage, name: str) -> None:
    put_one(storage, f"k/{name}/{name}", b"1")
    assert whole(storage, f"k/{name}/{name}") == [b"1"]
    assert storage.list_all() == [f"k/{name}/{name}"]
    assert storage.list_folders(["k", f"k/{name}"]) == [Listing([name], []), Listing([], [name])]


def test_listing(storage: Storage) -> None:
    storage.put_many([(one, b"1") for one in ("0/c/0", "0/zarr.json", "0a/x", "10/y", "zarr.json", "b")])
    root, level, absent, file = storage.list_folders(["", "0/", "nope", "b"])
    assert root == Listing(["0", "0a", "10"], ["b", "zarr.json"])
    assert level == Listing(["c"], ["zarr.json"])
    assert absent == file == Listing([], [])
    assert storage.list_all() == sorted(["0/c/0", "0/zarr.json", "0a/x", "10/y", "zarr.json", "b"])
    assert storage.list_all("0") == ["0/c/0", "0/zarr.json"]


def test_exists_is_about_objects_not_folders(storage: Storage) -> None:
    put_one(storage, "a/b", b"")
    assert storage.exists("a/b")
    assert not storage.exists("a")
    assert not storage.exists("a/c")


def test_deleting(storage: Storage) -> None:
    storage.put_many([(one, b"1") for one in ("a/b/c", "a/b/d", "a/e", "ab/f", "g")])
    storage.delete_many(["a/b/c", "absent", "a/absent", "a/b/d"])
    assert storage.list_all() == ["a/e", "ab/f", "g"]
    assert list_folder(storage, "a") == Listing([], ["e"])
    storage.delete_prefix("a")
    assert storage.list_all() == ["ab/f", "g"]
    storage.delete_prefix("")
    assert storage.list_all() == []
    put_one(storage, "a/b/c", b"again")
    assert whole(storage, "a/b/c") == [b"again"]


def test_deleting_more_than_one_request_takes(fast_storage: Storage) -> None:
    addresses = [f"a/{number}" for number in range(1203)]
    fast_storage.put_many([(address, b"") for address in addresses])
    fast_storage.delete_many(addresses)
    assert fast_storage.list_all() == []


def test_moving(storage: Storage) -> None:
    storage.put_many([("a/b", b"1"), ("c", b"2"), ("d", b"old")])
    storage.move_many([("a/b", "x/y/z"), ("c", "d"), ("absent", "e")])
    assert storage.list_all() == ["d", "x/y/z"]
    assert whole(storage, "d", "x/y/z", "e") == [b"2", b"1", None]


def test_put_if_absent(storage: Storage) -> None:
    assert storage.put_if_absent("locks/a", b"first")
    assert not storage.put_if_absent("locks/a", b"second")
    assert whole(storage, "locks/a") == [b"first"]


def test_works_inside_a_running_event_loop(storage: Storage) -> None:
    async def inside() -> bytes:
        put_one(storage, "a", b"1")
        blob = get_one(storage, "a")
        assert blob is not None
        return bytes(blob)

    assert asyncio.run(inside()) == b"1"


def test_zarr_reads_and_writes_the_same_place(storage: Storage) -> None:
    array = zarr.create_array(storage.zarr_store(), name="g/x", data=np.arange(10), chunks=(4,))
    assert "g/x/c/2" in storage.list_all()
    assert array[:].tolist() == list(range(10))
    group = zarr.open_group(storage.zarr_store(), path="g", mode="r")
    assert list(group.array_keys()) == ["x"]
    storage.delete_many(["g/x/c/0"])
    assert zarr.open_array(storage.zarr_store(), path="g/x", mode="r")[:5].tolist() == [0, 0, 0, 0, 4]


def test_doubles_are_storages(fast_storage: Storage) -> None:
    for double in (CountingStorage(fast_storage), FailingStorage(fast_storage), fast_storage):
        assert isinstance(double, Storage)
        assert double.url == fast_storage.url
        assert double.name == fast_storage.name
        assert not double.read_only
        assert double.can_list


def test_reading_only(storage: Storage) -> None:
    put_one(storage, "a", b"1")
    readers = [resolve_storage(storage.zarr_store(), mode="r")]
    for reader in readers:
        assert reader.read_only
        assert whole(reader, "a") == [b"1"]
        for write in (
            lambda reader=reader: put_one(reader, "b", b""),
            lambda reader=reader: reader.put_if_absent("b", b""),
            lambda reader=reader: reader.delete_many(["a"]),
            lambda reader=reader: reader.delete_prefix(""),
            lambda reader=reader: reader.move_many([("a", "b")]),
        ):
            with pytest.raises(ReadOnlyStoreError, match="reading only"):
                write()
    assert storage.list_all() == ["a"]
