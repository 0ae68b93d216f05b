from __future__ import annotations

import builtins
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import obstore.store
import pytest
import zarr.storage

from zarr_vectors.exceptions import ArgumentError, MissingExtraError, StoreError, UnsupportedFeatureError
from zarr_vectors.storage import (
    LocalStorage,
    ObjectStorage,
    Transaction,
    ZarrStorage,
    detect_scheme,
    get_one,
    put_one,
    resolve_storage,
)


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("s3://bucket/x", "s3"),
        ("S3://bucket/x", "s3"),
        ("https://host/x", "https"),
        ("file:///x", "file"),
        ("memory://name", "memory"),
        ("/a/b", ""),
        ("a/b", ""),
        ("C:/data", ""),
        ("c:\\data", ""),
        ("C://data", ""),
        ("", ""),
        ("a:b", ""),
        ("with space://x", ""),
        (Path("x"), ""),
    ],
)
def test_detect_scheme(url: str | Path, scheme: str) -> None:
    assert detect_scheme(url) == scheme


def test_paths_and_file_urls_are_local(tmp_path: Path) -> None:
    odd = tmp_path / "a b%é"
    for place in (str(odd), odd, odd.as_uri(), f"file://{tmp_path}/a%20b%25%C3%A9"):
        assert resolve_storage(place) == LocalStorage(odd, read_only=True)
    assert not resolve_storage(odd, mode="r+").read_only
    assert not odd.exists()
    with pytest.raises(ArgumentError, match="another host"):
        resolve_storage("file://server/share")


def test_memory_is_found_again_by_name() -> None:
    put_one(resolve_storage("memory://found/a/b", mode="w"), "x", b"1")
    assert get_one(resolve_storage("memory://found/a/b"), "x") == b"1"
    assert get_one(resolve_storage("memory://found"), "a/b/x") == b"1"
    assert get_one(resolve_storage("memory://other/a/b"), "x") is None
    assert resolve_storage("memory://found/a/b").name == "b"
    with pytest.raises(ArgumentError, match="takes no options, but region"):
        resolve_storage("memory://found", region="x")


def test_stores_of_zarr(tmp_path: Path) -> None:
    memory = zarr.storage.MemoryStore()
    assert resolve_storage(memory, mode="r+") == ZarrStorage(memory)
    assert resolve_storage(memory).read_only
    local = resolve_storage(zarr.storage.LocalStore(tmp_path), mode="w")
    assert local == LocalStorage(tmp_path)
    assert resolve_storage(local.zarr_store(), mode="w") == local
    assert resolve_storage(zarr.storage.LocalStore(tmp_path, read_only=True), mode="w").read_only
    objects = resolve_storage(zarr.storage.ObjectStore(obstore.store.MemoryStore()), mode="w")
    assert isinstance(objects, ObjectStorage)
    put_one(objects, "a", b"1")
    assert get_one(resolve_storage(objects.zarr_store()), "a") == b"1"


def test_storages_and_what_has_one() -> None:
    storage = resolve_storage("memory://group", mode="w")
    assert resolve_storage(storage) is storage
    assert resolve_storage(SimpleNamespace(storage=storage)) is storage
    transaction = Transaction(storage)
    assert resolve_storage(transaction) is transaction
    assert resolve_storage(transaction.zarr_store(), mode="r+") is transaction


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("x", {"mode": "rw"}, "mode 'rw' is not known"),
        ("x", {"backend": "magic"}, "backend 'magic' is not known"),
        ("x", {"region": "eu"}, "takes no storage options: region"),
        ("", {}, "the path is empty"),
        ("a\0b", {}, "NUL"),
        (3, {}, "type int cannot be opened"),
        ("x", {"backend": "zarr"}, "takes a zarr-python Store"),
        ("x", {"backend": "obstore"}, "obstore does not open 'x'"),
        ("s3://b/x", {"backend": "local"}, "backend='local' opens paths"),
        ("s3:///x", {}, "names no bucket"),
        ("https://host/x?sig=SECRET", {}, "has a query"),
        ("s3://b/x", {"colour": "red"}, "option 'colour' is not known"),
        (zarr.storage.MemoryStore(), {"region": "eu"}, "a MemoryStore takes no storage options"),
    ],
)
def test_bad_arguments(path: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        resolve_storage(path, **options)
    assert "SECRET" not in str(caught.value)


def test_options_of_object_stores() -> None:
    options: dict[str, Any] = {
        "endpoint_url": "http://localhost:1",
        "key": "MYKEY",
        "secret": "MYSECRET",
        "client_kwargs": {"region_name": "eu-central-1"},
        "timeout": "5s",
    }
    storage = resolve_storage("s3://bucket/a/b", **options)
    assert isinstance(storage, ObjectStorage)
    config = storage.store.config
    assert config["endpoint"] == "http://localhost:1"
    assert config["access_key_id"] == "MYKEY"
    assert config["secret_access_key"] == "MYSECRET"
    assert config["region"] == "eu-central-1"
    assert "allow_http" in storage.store.client_options
    assert "timeout" in storage.store.client_options
    assert storage.url == "s3://bucket/a/b"
    assert storage.name == "b"
    assert "MYSECRET" not in repr(storage)
    assert "MYKEY" not in repr(storage)
    anonymous = resolve_storage("s3://bucket/a", anon=True)
    assert isinstance(anonymous, ObjectStorage)
    assert anonymous.store.config["skip_signature"] in (True, "true")
    for url in ("gs://bucket/a", "gcs://bucket/a"):
        assert isinstance(resolve_storage(url, anon=True), ObjectStorage)
    assert isinstance(resolve_storage("az://container/a", account_name="me", anon=True), ObjectStorage)
    with pytest.raises(StoreError, match="cannot connect to az://container/a"):
        resolve_storage("az://container/a")


def test_other_schemes_go_through_fsspec(tmp_path: Path) -> None:
    storage = resolve_storage("memory://fsspec-only/x", backend="fsspec", mode="w")
    assert isinstance(storage, ZarrStorage)
    local = resolve_storage(f"local://{tmp_path}", mode="r")
    assert isinstance(local, ZarrStorage)
    (tmp_path / "a").write_bytes(b"1")
    assert get_one(local, "a") == b"1"


def test_unknown_schemes_are_named() -> None:
    with pytest.raises(UnsupportedFeatureError, match=r"neither obstore nor fsspec knows the scheme 'gopher'"):
        resolve_storage("gopher://user:SECRET@host/x")
    with pytest.raises(UnsupportedFeatureError) as caught:
        resolve_storage("gopher://user:SECRET@host/x")
    assert "SECRET" not in str(caught.value)


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "fsspec":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"zarr-vectors\[fsspec\]"):
        resolve_storage("ftp://host/x")
