"""From what users name a store by to an open reader."""

from __future__ import annotations

from typing import Any

from zarr_vectors.exceptions import StoreNotFoundError, ZarrVectorsError
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.concurrency import together
from zarr_vectors.storage.journal import overlay
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.replace import set_aside
from zarr_vectors.storage.resolve import resolve_storage


def open_reader(path: Any, backend: str | None = None, **backend_kwargs: Any) -> StoreReader:
    """Open a store for reading.

    Parameters
    ----------
    path : str, path, Group, zarr Store or StoreReader
        The store; an open group brings its own reader, so that nothing is read twice.
    backend : str, optional
        Library to use for the storage.
    **backend_kwargs
        Options of the object store.
    """
    if isinstance(path, StoreReader):
        return path
    reader = getattr(path, "reader", None)
    if isinstance(reader, StoreReader):
        return reader
    storage = resolve_storage(path, mode="r", backend=backend, **backend_kwargs)  # type: ignore[arg-type]
    return open_storage(storage)


def open_storage(storage: Storage) -> StoreReader:
    """Open the store in a storage, looking through a change that is final but not yet in place.

    Whether there is such a change is asked in the same round as the root.
    """
    if not storage.can_list:
        return StoreReader.open(storage)
    opened, view = together(lambda: _opened(storage), lambda: overlay(storage))
    if view is not None:
        return StoreReader.open(view)
    if isinstance(opened, StoreReader):
        return opened
    if isinstance(opened, StoreNotFoundError) and (kept := set_aside(storage)) is not None:
        return StoreReader.open(kept)
    raise opened


def _opened(storage: Storage) -> StoreReader | ZarrVectorsError:
    """Open the store as it is; what prevents it counts only where no change is to be looked through."""
    try:
        return StoreReader.open(storage)
    except ZarrVectorsError as error:
        return error
