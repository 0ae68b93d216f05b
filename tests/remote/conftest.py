from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.azurite import AzureServer
from tests.servers import S3Server, http_server, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


@dataclass(frozen=True, slots=True)
class Place:
    """Where a test writes a store, and where it reads it.

    Attributes
    ----------
    written : str
        URL or folder to write to.
    read : str
        URL to read from; a server's view of the same for HTTP.
    options : dict
        Keyword arguments for both.
    """

    written: str
    read: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_http(self) -> bool:
        return self.read != self.written


@contextmanager
def served(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """Give a fresh place on one kind of server."""
    fresh = f"{uuid.uuid4().hex}/a store"
    if kind == "http":
        with http_server(folder) as url:
            yield Place(str(folder / "a store"), f"{url}/a store")
        return
    server: S3Server | AzureServer = request.getfixturevalue(kind)
    scheme = "s3" if kind == "s3" else "az"
    yield Place(f"{scheme}://bucket/{fresh}", f"{scheme}://bucket/{fresh}", server.options)


@pytest.fixture(params=["s3", "azure", "http"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with served(request.param, request, tmp_path) as found:
        yield found
