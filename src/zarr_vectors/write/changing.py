"""Opening a store that is there for a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.lock import lock
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.replace import recover
from zarr_vectors.storage.resolve import resolve_storage


@contextmanager
def open_for_change(
    path: Any, backend: str | None, options: Mapping[str, Any]
) -> Iterator[tuple[Storage, StoreReader]]:
    """Open a store under its lock, with interrupted changes completed first.

    Raises
    ------
    StoreNotFoundError, StoreError
        When no store is at the path.
    StoreLockedError
        When another writer holds it.
    """
    storage = resolve_storage(path, mode="r+", backend=backend, **options)  # type: ignore[arg-type]
    StoreReader.open(storage)  # a place without a store is refused before a lock is put there
    with lock(storage):
        recover(storage)
        yield storage, StoreReader.open(storage)
