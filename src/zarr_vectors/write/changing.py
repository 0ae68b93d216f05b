"""Opening a store that is there for a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zarr_vectors.constants import CAP_ADDITIVE_LEVELS
from zarr_vectors.exceptions import UnsupportedFeatureError
from zarr_vectors.formats.detection import DEFAULT_REVISION, REVISIONS, revision_of
from zarr_vectors.formats.tokens import REQUIRED_KEY
from zarr_vectors.read.opening import open_storage
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.lock import lock
from zarr_vectors.storage.port import Storage, list_folder
from zarr_vectors.storage.replace import put_back, recover
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.storage.versioned import versions_of
from zarr_vectors.write.nesting import refuse_around, refuse_within
from zarr_vectors.write.store import existing_store


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
    put_back(storage)
    require_changeable(open_storage(storage))  # a place without a store is refused before a lock is put there
    with lock(storage):
        recover(storage)
        yield storage, StoreReader.open(storage)


def require_changeable(store: StoreReader) -> None:
    """Refuse to change a store of which a change here would not keep what only newer writers know.

    Raises
    ------
    UnsupportedFeatureError
        When it is of a revision that is only read, or some of its levels complete each other.
    """
    where, stamp = store.storage.url, store.root.zv_version
    if revision_of(stamp) not in REVISIONS:
        raise UnsupportedFeatureError(
            f"{where}: zv_version is {stamp!r}, which is read but not changed here; migrate(path, new_path, "
            f"format_version={DEFAULT_REVISION!r}) makes a store that can be"
        )
    tokens = {*store.root.format_capabilities, *store.root.extra.get(REQUIRED_KEY, ())}
    if CAP_ADDITIVE_LEVELS in tokens:
        raise UnsupportedFeatureError(
            f"{where}: has additive levels ({CAP_ADDITIVE_LEVELS!r}), which complete each other; they are read but not "
            "changed here: write what the reader of its kind returns of level 0 into a new store"
        )


@contextmanager
def hold_place(storage: Storage) -> Iterator[StoreReader | None]:
    """Hold a place that is to be written as a whole, with interrupted changes settled first.

    No store is written in the folder of another, nor in the place of one whose folder holds another.

    A folder that is not there, or in which nothing is, is not locked: of two that write there at once the second finds
    the name taken, and is refused.

    Yields
    ------
    StoreReader or None
        The store that is there.

    Raises
    ------
    StoreLockedError
        When another writer holds it.
    StoreExistsError
        When it lies in the folder of another store, or that of a store which is there holds another.
    StoreError
        When something else is there.
    """
    put_back(storage)
    if existing_store(storage) is None:  # a place where something else is is refused before a lock is put there
        refuse_within(storage)
        if versions_of(storage) is not None or (isinstance(storage, LocalStorage) and not any(list_folder(storage))):
            yield None
            return
    with lock(storage):
        recover(storage)
        store = existing_store(storage)
        if store is not None:
            refuse_around(store)
        yield store
