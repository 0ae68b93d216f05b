from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zarr.storage

from tests.azurite import AzureServer
from tests.servers import S3Server, s3_server
from zarr_vectors.storage import Storage, Transaction, resolve_storage

MakeStorage = Callable[[], Storage]


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


def make(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Open an empty storage of one kind."""
    fresh = uuid.uuid4().hex
    if kind == "local":
        return resolve_storage(tmp_path / "deep" / "store", mode="w")
    if kind == "memory":
        return resolve_storage(f"memory://{fresh}/some/store", mode="w")
    if kind == "s3":
        server: S3Server = request.getfixturevalue("s3")
        return resolve_storage(f"s3://bucket/{fresh}/a store", mode="w", **server.options)
    if kind == "azure":
        emulator: AzureServer = request.getfixturevalue("azure")
        return resolve_storage(f"az://bucket/{fresh}/a store", mode="w", **emulator.options)
    if kind == "zarr-fsspec":
        return resolve_storage(f"memory://{fresh}/store", mode="w", backend="fsspec")
    if kind == "transaction":
        return Transaction(resolve_storage(f"memory://{fresh}", mode="w"))
    return resolve_storage(zarr.storage.MemoryStore(), mode="w")


@pytest.fixture(params=["local", "memory", "s3", "azure", "zarr-memory", "zarr-fsspec", "transaction"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return make(request.param, request, tmp_path)


@pytest.fixture(params=["local", "memory", "zarr-memory"])
def fast_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return make(request.param, request, tmp_path)
