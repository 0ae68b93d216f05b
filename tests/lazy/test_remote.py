"""Datasets on local files, an S3 server, and an HTTP server that cannot list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lazy.stores import BOX, BUILDERS, READERS, same
from tests.servers import S3Server, http_server, s3_server
from zarr_vectors.lazy import open_zv
from zarr_vectors.storage import resolve_storage
from zarr_vectors.testing.storage import CountingStorage

CASES = [("points", "0.9"), ("identity", "0.7"), ("polylines", "0.9"), ("parametric", "0.9")]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


@pytest.mark.parametrize(("kind", "revision"), CASES)
def test_stores_on_s3(kind: str, revision: str, tmp_path: Path, s3: S3Server) -> None:
    local = tmp_path / "store"
    BUILDERS[kind](str(local), revision)
    url = f"s3://bucket/{kind}-{revision}"
    files = [path for path in sorted(local.rglob("*")) if path.is_file()]
    remote = resolve_storage(url, mode="w", **s3.options)
    remote.put_many([(path.relative_to(local).as_posix(), path.read_bytes()) for path in files])
    storage = CountingStorage(resolve_storage(url, **s3.options))
    with open_zv(storage, n_workers=4) as dataset:
        assert storage.rounds <= 2
        whole = dataset.read()
        assert same(whole, READERS[kind](str(local)))
        storage.reset()
        assert same(dataset.read(), whole)
        assert storage.rounds == 0
        if kind != "parametric":
            assert dataset.count(BOX) == sum(len(chunk) for chunk in dataset.iter_chunks(bbox=BOX, prefetch=4))
    with open_zv(url, storage_options=s3.options) as dataset, open_zv(url, **s3.options) as again:
        assert dataset.levels == again.levels


@pytest.mark.parametrize(("kind", "revision"), [case for case in CASES if case[1] == "0.9"])
def test_stores_on_a_server_that_cannot_list(kind: str, revision: str, tmp_path: Path) -> None:
    BUILDERS[kind](str(tmp_path / "store"), revision)
    with http_server(tmp_path) as url, open_zv(f"{url}/store") as dataset, open_zv(tmp_path / "store") as local:
        assert dataset.geometry_type == local.geometry_type
        assert dataset.levels == local.levels
        assert dataset.n_objects == local.n_objects
        assert same(dataset.read(), local.read())
        assert kind == "parametric" or dataset.count(BOX) == local.count(BOX)
