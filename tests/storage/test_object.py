"""What is particular to object stores: errors, credentials, plain HTTP, and how many requests are made."""

from __future__ import annotations

import datetime
import os
import uuid
from pathlib import Path
from typing import Any

import obstore
import obstore.exceptions
import pytest

from tests.servers import S3Server, http_server
from zarr_vectors.exceptions import ReadOnlyStoreError, StoreError, StoreNotFoundError
from zarr_vectors.storage import ObjectStorage, Range, Storage, get_one, get_whole, put_one, resolve_storage
from zarr_vectors.storage.failures import explain, without_secrets

IMPATIENT: dict[str, Any] = {
    "retry_config": {"max_retries": 1, "retry_timeout": datetime.timedelta(seconds=2)},
    "timeout": "2s",
}


def fresh(server: S3Server, **options: Any) -> Storage:
    return resolve_storage(f"s3://bucket/{uuid.uuid4().hex}", mode="w", **{**server.options, **options})


def test_large_objects_go_up_and_down(s3: S3Server) -> None:
    storage = fresh(s3)
    data = os.urandom(13_000_000)
    put_one(storage, "big", [data[:5_000_000], data[5_000_000:]])
    assert get_one(storage, "big") == data
    assert get_one(storage, "big", 5_999_990, 6_000_010) == data[5_999_990:6_000_010]


def test_close_ranges_share_a_request(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = fresh(s3)
    data = os.urandom(2_000_000)
    put_one(storage, "x", data)
    asked: list[tuple[int, int]] = []
    get = obstore.get

    def counted(store: Any, path: str, *, options: Any) -> Any:
        asked.append(options["range"])
        return get(store, path, options=options)

    monkeypatch.setattr(obstore, "get", counted)
    starts = [1_500_000, 0, 100_000, 300_000, 1_600_000]
    blobs = storage.get_many([Range("x", start, start + 10) for start in starts])
    assert [bytes(blob or b"") for blob in blobs] == [data[start : start + 10] for start in starts]
    assert sorted(asked) == [(0, 300_010), (1_500_000, 1_600_010)]


def test_storages_of_one_place_see_each_other(s3: S3Server) -> None:
    storage = fresh(s3)
    put_one(storage, "a", b"1")
    again = resolve_storage(storage.url, **s3.options)
    assert get_one(again, "a") == b"1"
    with pytest.raises(ReadOnlyStoreError, match="opened for reading only"):
        put_one(again, "b", b"")


def test_fsspec_names_of_options_work(s3: S3Server) -> None:
    storage = resolve_storage(
        "s3://bucket/fsspec-names",
        mode="w",
        key=s3.options["access_key_id"],
        secret=s3.options["secret_access_key"],
        endpoint_url=s3.endpoint,
    )
    put_one(storage, "a", b"1")
    assert storage.list_all() == ["a"]


def test_a_missing_bucket_is_named(s3: S3Server) -> None:
    storage = resolve_storage("s3://no-such-bucket/x", mode="w", **s3.options, **IMPATIENT)
    for ask in (
        lambda: get_one(storage, "a"),
        lambda: get_one(storage, "a", 0, 3),
        lambda: put_one(storage, "a", b"1"),
        lambda: storage.list_all("a"),
        lambda: storage.list_folders(["a"]),
    ):
        with pytest.raises(StoreNotFoundError, match=r"'a' in s3://no-such-bucket/x: its bucket .* does not exist"):
            ask()


def test_an_unreachable_server_is_named_with_the_attempts_and_without_credentials() -> None:
    options = {"endpoint": "http://127.0.0.1:9", "key": "MYKEY", "secret": "MYSECRET", "token": "MYTOKEN"}
    storage = resolve_storage("s3://bucket/x", mode="w", **options, **IMPATIENT)
    for ask in (
        lambda: get_one(storage, "a/b"),
        lambda: get_one(storage, "a/b", -5),
        lambda: get_one(storage, "a/b", 1, 5),
        lambda: put_one(storage, "a/b", b"1"),
        lambda: storage.put_if_absent("a/b", b"1"),
        lambda: storage.exists("a/b"),
        lambda: storage.list_folders(["a/b"]),
        lambda: storage.list_all("a/b"),
        lambda: storage.delete_many(["a/b"]),
        lambda: storage.move_many([("a/b", "c")]),
    ):
        with pytest.raises(StoreError, match=r"'a/b' in s3://bucket/x \(given up after 2 attempts\)") as caught:
            ask()
        assert not any(secret in repr(caught.value) for secret in ("MYKEY", "MYSECRET", "MYTOKEN"))
        assert caught.value.__cause__ is None


def test_denied_permission_is_named() -> None:
    denied = obstore.exceptions.PermissionDeniedError("The operation lacked the necessary privileges")
    error = explain(denied, "write", "a", "s3://bucket/x")
    assert isinstance(error, ReadOnlyStoreError)
    assert str(error).startswith("cannot write 'a' in s3://bucket/x: permission denied")
    unknown = obstore.exceptions.UnauthenticatedError("The operation lacked valid credentials")
    error = explain(unknown, "read", "a", "s3://bucket/x")
    assert type(error) is StoreError
    assert "permission denied" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:SECRET@host/x",
        "GET https://host/x?X-Amz-Signature=SECRET&a=b",
        "X-Amz-Credential=SECRET",
        "secret_access_key: 'SECRET'",
        '{"token": "SECRET"}',
        "x-amz-security-token: SECRET",
        "AccessKeyId=SECRET",
        "sig=SECRET",
        "password=SECRET",
    ],
)
def test_secrets_are_blotted_out(text: str) -> None:
    assert "SECRET" not in without_secrets(text)
    assert "***" in without_secrets(text)


def test_other_text_is_kept() -> None:
    text = "Error performing GET http://host/bucket/0/vertices/c/0 in 3ms - HTTP error: refused"
    assert without_secrets(text) == text


def test_plain_http_is_read_but_neither_listed_nor_written(tmp_path: Path) -> None:
    data = os.urandom(1000)
    folder = tmp_path / "store" / "a b"
    folder.mkdir(parents=True)
    (folder / "x+1").write_bytes(data)
    (folder / "empty").write_bytes(b"")
    with http_server(tmp_path) as url:
        with pytest.raises(ReadOnlyStoreError, match="over HTTP stores can only be read"):
            resolve_storage(f"{url}/store/", mode="r+")
        storage = resolve_storage(f"{url}/store/", mode="r")
        assert isinstance(storage, ObjectStorage)
        assert not storage.can_list
        assert storage.name == "store"
        asked = [Range("a b/x+1"), Range("a b/x+1", 5, 9), Range("a b/x+1", -4), Range("a b/x+1", 990, 2000)]
        expected = [data, data[5:9], data[-4:], data[990:]]
        assert [bytes(blob or b"") for blob in storage.get_many(asked)] == expected
        assert get_whole(storage, ["absent", "a b/empty"]) == [None, b""]
        assert get_one(storage, "a b/x+1", 1000, 1010) == b""
        assert get_one(storage, "a b/empty", -4) == b""
        for ask in (lambda: storage.list_folders([""]), lambda: storage.list_all()):
            with pytest.raises(StoreError, match=r"cannot list its folders.*consolidate_metadata"):
                ask()
        with pytest.raises(ReadOnlyStoreError):
            put_one(storage, "b", b"")
