"""Consolidated metadata of a store: all its documents in one, so that opening needs no others."""

from __future__ import annotations

from typing import Any

from zarr_vectors.core.handle import StoreHandle
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.consolidated import consolidate, without_consolidated
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.journal import Transaction
from zarr_vectors.storage.lock import lock
from zarr_vectors.storage.port import put_one
from zarr_vectors.storage.replace import recover
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.storage.versioned import versions_of


def consolidate_metadata(path: Any, *, remove: bool = False, backend: str | None = None, **backend_kwargs: Any) -> int:
    """Put copies of the metadata of all nodes into the root's, in the form of zarr-python 3.

    A store is then opened by reading one document more than the root and three of the level asked for, which are
    compared with their copies: where they differ the copies are not used. Worthwhile for stores that are finished
    and read from afar, and needed by stores of many folders behind plain HTTP, which cannot be listed. Whatever
    this package changes in a store removes the copies first.

    Parameters
    ----------
    path : str, path, Group or zarr Store
        The store.
    remove : bool
        Remove the copies instead.
    backend : str, optional
        Library to use for the storage.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    int
        Number of nodes copied; 0 where the copies were removed.

    Raises
    ------
    StoreNotFoundError, StoreError
        No store is there, or the storage cannot list what it holds.
    ReadOnlyStoreError
        The store was opened for reading.
    StoreLockedError
        Another writer holds it.
    """
    storage = resolve_storage(path, mode="r+", backend=backend, **backend_kwargs)  # type: ignore[arg-type]
    handle = getattr(path, "handle", None)
    if not isinstance(handle, StoreHandle):
        handle = StoreHandle(storage)
    handle.check_writable()
    StoreReader.open(storage)
    try:
        if remove:
            with lock(storage):
                recover(storage)
                with Transaction(storage, keeps_consolidated=True) as staged:
                    stripped = without_consolidated(staged)
                    if stripped is not None:
                        put_one(staged, DOCUMENT_NAME, stripped)
            return 0
        if versions_of(storage) is not None:
            return consolidate(storage)
        with lock(storage):
            recover(storage)
            with Transaction(storage, keeps_consolidated=True) as staged:
                return consolidate(staged)
    finally:
        handle.forget_consolidated()
