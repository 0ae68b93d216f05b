"""From what users name a store by to an open reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from zarr_vectors.exceptions import StoreError, StoreNotFoundError, ZarrVectorsError
from zarr_vectors.read.openings import Opening, note
from zarr_vectors.read.store import FIRST_ADDRESSES, StoreReader
from zarr_vectors.storage.concurrency import together
from zarr_vectors.storage.journal import list_journals, look_through, overlay, with_latest
from zarr_vectors.storage.latest import LATEST_ADDRESS, keeps_latest, parse_latest
from zarr_vectors.storage.port import Storage, get_whole
from zarr_vectors.storage.replace import set_aside
from zarr_vectors.storage.resolve import resolve_storage

_Opened = TypeVar("_Opened")


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

    Whether there is such a change is asked in the same round as the root. Where changes are recorded, what was found
    is noted for who wants to know whether the store was changed since (:func:`~zarr_vectors.read.openings.noted`).
    Who turns out to have no right to list opens it as over plain HTTP, without listing.
    """
    return as_allowed(storage, lambda: _open(storage))


def as_allowed(storage: Storage, attempt: Callable[[], _Opened]) -> _Opened:
    """Open something, once more where it turns out that the storage may not be listed.

    Raises
    ------
    StoreError
        That listing is denied, where without it nothing is found.
    """
    could_list = storage.can_list
    try:
        return attempt()
    except StoreError as error:
        if storage.can_list == could_list:
            raise
        denied = error
    try:
        return attempt()
    except StoreNotFoundError:
        raise denied from None


def _open(storage: Storage) -> StoreReader:
    if keeps_latest(storage):
        return _open_recorded(storage)
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


def _open_recorded(storage: Storage) -> StoreReader:
    """Open a store whose changes are recorded."""
    addresses = [*FIRST_ADDRESSES, LATEST_ADDRESS]
    if storage.can_list:
        blobs, listed = together(lambda: get_whole(storage, addresses), lambda: list_journals(storage))
    else:
        blobs, listed = get_whole(storage, addresses), []
    first = dict(zip(addresses, blobs, strict=True))
    latest = parse_latest(first.pop(LATEST_ADDRESS))
    view, final = look_through(storage, with_latest(listed, latest))
    store = StoreReader.open(storage, first) if view is None else StoreReader.open(view)
    note(Opening.of(storage, first, latest, final))
    return store


def _opened(storage: Storage) -> StoreReader | ZarrVectorsError:
    """Open the store as it is; what prevents it counts only where no change is to be looked through."""
    try:
        return StoreReader.open(storage)
    except ZarrVectorsError as error:
        return error
