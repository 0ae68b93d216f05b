"""Names, links and servers that lead out of a store; secrets that must not be told."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.core.store import create_store, open_store
from zarr_vectors.exceptions import ArgumentError, StoreError, ZarrVectorsError
from zarr_vectors.storage.failures import explain, without_secrets
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.port import get_one, put_one
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.fuzz.mutation import HOSTILE_NAMES
from zarr_vectors.types.points import read_points, write_points

POSITIONS = np.random.default_rng(0).uniform(0, 20, (30, 3)).astype(np.float32)
REFUSED = [name for name in HOSTILE_NAMES if name not in ("c", "-1.0.0", "a/./b", "aux.txt")]
LEAVING = [
    name for name in HOSTILE_NAMES if ".." in name.split("/") or "\\" in name or "\0" in name or name == "\ud800"
]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("argument", ["attributes", "object_attributes"])
def test_names_of_attributes_are_refused(name: str, argument: str, tmp_path: Path) -> None:
    objects = {"object_ids": np.zeros(30, int)} if argument == "object_attributes" else {}
    values = np.zeros(1 if objects else 30)
    with pytest.raises(ArgumentError):
        write_points(tmp_path / "deep" / "store", POSITIONS, chunk_shape=10.0, **{argument: {name: values}}, **objects)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("name", LEAVING)
def test_names_through_groups_are_refused(name: str, tmp_path: Path) -> None:
    create_store(tmp_path / "store", bounds=([0, 0, 0], [9, 9, 9]), chunk_shape=[3.0] * 3)
    root = open_store(tmp_path / "store", "r+")
    before = sorted(tmp_path.rglob("*"))
    for action in (
        lambda: root.create_group(name),
        lambda: root.write_array(name, np.zeros(3)),
        lambda: root.write_bytes(name, "0.0.0", b"1"),
        lambda: root.create_chunk_array(name, {}),
        lambda: put_one(root.storage, name, b"1"),
    ):
        with pytest.raises(ArgumentError):
            action()
    assert [path for path in sorted(tmp_path.rglob("*")) if ".zv-" not in str(path)] == before


@pytest.fixture
def linked(tmp_path: Path) -> tuple[LocalStorage, Path]:
    """A store with links that lead out of it, and the folder where they lead."""
    write_points(tmp_path / "store", POSITIONS, chunk_shape=10.0, shard_shape=None)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (tmp_path / "store" / "folder").symlink_to(outside)
    (tmp_path / "store" / "file").symlink_to(outside / "secret")
    (tmp_path / "store" / "up").symlink_to("..")
    return LocalStorage(tmp_path / "store"), outside


def test_links_out_of_a_store_are_not_followed(linked: tuple[LocalStorage, Path]) -> None:
    storage, outside = linked
    for address in ("folder/secret", "file", "up/outside/secret"):
        with pytest.raises(StoreError, match="symbolic link to something outside the store"):
            get_one(storage, address)
        with pytest.raises(StoreError, match="symbolic link to something outside the store"):
            storage.exists(address)
    for address in ("folder/secret", "folder/deep/new", "up/new"):
        for action in (
            lambda address=address: put_one(storage, address, b"1"),
            lambda address=address: storage.put_if_absent(address, b"1"),
            lambda address=address: storage.delete_many([address]),
            lambda address=address: storage.move_many([("zarr.json", address)]),
            lambda address=address: storage.move_many([(address, "taken")]),
            lambda address=address: storage.delete_prefix(address),
        ):
            with pytest.raises(StoreError, match="symbolic link to something outside the store"):
                action()
    for prefix in ("folder", "up"):
        with pytest.raises(StoreError, match="symbolic link"):
            storage.list_all(prefix)
        with pytest.raises(StoreError, match="symbolic link"):
            storage.list_folders([prefix])
    assert not [one for one in storage.list_all() if one.startswith(("folder", "up"))]
    assert (outside / "secret").read_bytes() == b"secret"
    assert sorted(outside.parent.iterdir()) == [outside, storage.root]


def test_deleting_and_replacing_do_not_follow_links(linked: tuple[LocalStorage, Path]) -> None:
    storage, outside = linked
    put_one(storage, "file", b"mine")
    assert get_one(storage, "file") == b"mine"
    storage.delete_prefix("folder")
    assert not os.path.lexists(storage.root / "folder")
    write_points(storage.root, POSITIONS, chunk_shape=10.0)
    assert not os.path.lexists(storage.root / "up")
    storage.delete_prefix("")
    assert [path.name for path in outside.parent.iterdir()] == ["outside"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_links_inside_and_to_a_store_are_fine(tmp_path: Path) -> None:
    write_points(tmp_path / "store", POSITIONS, chunk_shape=10.0, shard_shape=None)
    root = tmp_path / "store"
    (root / "elsewhere").mkdir()
    (root / "0" / "vertices" / "c").rename(root / "elsewhere" / "c")
    (root / "0" / "vertices" / "c").symlink_to(root / "elsewhere" / "c")
    document = root / "0" / "zarr.json"
    document.rename(root / "elsewhere" / "level.json")
    document.symlink_to("../elsewhere/level.json")
    (tmp_path / "link").symlink_to(root)
    for path in (root, tmp_path / "link"):
        assert len(read_points(path)) == 30


def test_pipes_do_not_hang(tmp_path: Path) -> None:
    write_points(tmp_path / "store", POSITIONS, chunk_shape=10.0)
    document = tmp_path / "store" / "0" / "vertices" / "zarr.json"
    document.unlink()
    os.mkfifo(document)
    with pytest.raises(ZarrVectorsError):
        read_points(tmp_path / "store")


class _Redirecting(BaseHTTPRequestHandler):
    target = ""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def redirecting(target: str) -> Iterator[tuple[str, list[str]]]:
    """Run a server that sends every request to another place, and notes what it was asked."""
    asked: list[str] = []

    class Handler(_Redirecting):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    Handler.target = target
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


RETRIES = {"max_retries": 0}


@pytest.mark.parametrize(
    "scheme", ["file:///{path}", "ftp://localhost{path}", "data:application/json,%7B%7D", "gopher://x/"]
)
def test_redirects_to_other_schemes_are_refused(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "zarr.json").write_text("{}")
    with redirecting(scheme.format(path=tmp_path / "zarr.json")) as (host, _):
        storage = resolve_storage(f"http://{host}/store", retry_config=RETRIES)
        with pytest.raises(StoreError):
            get_one(storage, "zarr.json")


def test_redirects_are_bounded() -> None:
    with redirecting("/again") as (host, asked):
        with pytest.raises(StoreError):
            get_one(resolve_storage(f"http://{host}/store", retry_config=RETRIES), "zarr.json")
        assert 1 < len(asked) <= 25


SECRETS = ("hunter2secret", "AKIAHUNTERSECRET")


def told(action: Any) -> str:
    """Return everything that is said of a failure, tracebacks of all causes included."""
    try:
        action()
    except Exception as error:
        return "".join(traceback.format_exception(error)) + repr(error) + str(error.args)
    return ""


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://user:hunter2secret@127.0.0.1:9/store", {}),
        ("http://user:hunter2@secret:hunter2secret@127.0.0.1:9/store", {}),
        ("http://127.0.0.1:9/store?X-Amz-Signature=hunter2secret&X-Amz-Credential=AKIAHUNTERSECRET", {}),
        ("http://127.0.0.1:9/store#token=hunter2secret", {}),
        ("s3://AKIAHUNTERSECRET:hunter2secret@bucket/store", {"endpoint": "http://127.0.0.1:9"}),
        (
            "s3://bucket/store",
            {
                "access_key_id": SECRETS[1],
                "secret_access_key": SECRETS[0],
                "session_token": SECRETS[0],
                "endpoint": "http://127.0.0.1:9",
                "region": "x",
            },
        ),
        ("s3://bucket/store", {"secret_access_key": SECRETS[0], "nonsense": SECRETS[1]}),
        ("az://bucket/store", {"account_name": "a", "account_key": SECRETS[0], "endpoint": "http://127.0.0.1:9"}),
        ("file://user:hunter2secret@host/store", {}),
        ("gopher://user:hunter2secret@host/store", {}),
    ],
)
def test_secrets_are_not_told(url: str, options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    if options or url.startswith("http"):
        options = {**options, "retry_config": RETRIES}
    said = told(lambda: read_points(url, **options))
    assert said
    try:
        storage = resolve_storage(url, **options)
        said += repr(storage) + str(storage) + storage.url + storage.name
    except ZarrVectorsError:
        pass
    said += caplog.text
    found = [line for line in said.splitlines() for secret in SECRETS if secret in line]
    assert [line for line in found if not line.startswith("    ")] == []  # lines of this test's own source are indented


def test_secrets_in_the_words_of_others_are_not_told() -> None:
    for text in (
        "GET https://u:hunter2secret@host/x failed",
        "GET https://u:hunter2/secret:hunter2secret@host/x failed",
        "https://host/x?sig=hunter2secret&se=1",
        "https://host/x?X-Amz-Security-Token=hunter2secret",
        "{'secret_access_key': 'hunter2secret'}",
        "Authorization: Bearer hunter2secret",
        "password=hunter2secret",
    ):
        assert "hunter2secret" not in without_secrets(text)
        assert "hunter2secret" not in str(explain(OSError(text), "read", "a", "http://host"))
    assert without_secrets("http://host:8080/store") == "http://host:8080/store"
    assert without_secrets("s3://bucket/a@b") == "s3://bucket/a@b"
