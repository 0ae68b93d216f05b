"""What all groups of one open store share: its storage, and readers that are opened once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zarr_vectors.exceptions import ReadOnlyStoreError, StoreLockedError
from zarr_vectors.read.opening import open_storage
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.changes import note_change
from zarr_vectors.storage.consolidated import without_consolidated
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.journal import Transaction, has_journals
from zarr_vectors.storage.lock import lock
from zarr_vectors.storage.port import Storage, put_one
from zarr_vectors.storage.replace import recover

if TYPE_CHECKING:
    from zarr_vectors.core.batching import NativeShards, WriteQueue
    from zarr_vectors.core.payloads import Prefetched


class StoreHandle:
    """An open store, shared by its groups.

    Parameters
    ----------
    storage : Storage
        Rooted at the root of the store.
    reader : StoreReader, optional
        An open reader of it; one is opened on first use otherwise.
    """

    def __init__(self, storage: Storage, reader: StoreReader | None = None) -> None:
        self.storage = storage
        self._reader = reader
        self._handed_out = False
        self._unconsolidated = False
        self.writes: WriteQueue | None = None
        """Writes that a block collects."""
        self.prefetched: Prefetched | None = None
        """Cells that a block fetched ahead."""
        self.native: NativeShards | None = None
        """How a block wants per-chunk arrays to be allocated."""

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self.storage.read_only

    @property
    def reader(self) -> StoreReader:
        """The reader of the store.

        It is opened once while nothing is written; where the storage has been handed out for writing, what
        is written to it is not seen here, so each access opens the store anew.
        """
        if self._reader is None or self._handed_out:
            self._reader = open_storage(self.storage)
        return self._reader

    @property
    def has_grids(self) -> bool:
        """Whether it is known, without reading, that per-chunk arrays of the store are grids."""
        known = None if self._handed_out else self._reader
        return known is not None and not known.revision.keyed_by_chunk

    def hand_out(self) -> Storage:
        """Give the storage to somebody who may write to it."""
        if not self.read_only:
            self._unconsolidate()
        self._handed_out = self._handed_out or not self.read_only
        return self.storage

    def invalidate(self) -> None:
        """Forget what was read: the store has changed."""
        self._reader = None
        note_change(self.storage)

    def rebind(self, storage: Storage) -> None:
        """Reach the store through another storage from now on."""
        self._unconsolidated = False
        self.storage = storage
        self.invalidate()

    def require_writable(self) -> Storage:
        """Give the storage for writing.

        Raises
        ------
        ReadOnlyStoreError
            When the store was opened for reading.
        """
        self.check_writable()
        self._unconsolidate()
        return self.storage

    def check_writable(self) -> None:
        """Refuse a store that was opened for reading.

        Raises
        ------
        ReadOnlyStoreError
            It was.
        """
        if self.read_only:
            raise ReadOnlyStoreError(
                f"cannot write to {self.storage.url}: it was opened for reading only; open it with mode='r+'"
            )

    def forget_consolidated(self) -> None:
        """Look again for consolidated metadata before the next change: somebody may have written it."""
        self._unconsolidated = False
        self.invalidate()

    def _unconsolidate(self) -> None:
        """Remove consolidated metadata, once, before the first change that makes it stale."""
        if not self._unconsolidated:
            if self._reader is None or self._reader.is_consolidated:
                stripped = without_consolidated(self.storage)
                if stripped is not None:
                    put_one(self.storage, DOCUMENT_NAME, stripped)
            self._unconsolidated = True

    @contextmanager
    def changing(self) -> Iterator[Storage]:
        """Change the store in place: all of the block, or nothing of it.

        The store is locked; what the block writes is staged in a journal and made final at its end. Where the
        storage keeps versions itself, its own transaction does this.

        Yields
        ------
        Storage
            To be written to and read from.

        Raises
        ------
        ReadOnlyStoreError
            The store was opened for reading.
        StoreLockedError
            Another writer holds it.
        """
        storage = self.require_writable()
        try:
            with lock(storage):
                recover(storage)
                with Transaction(storage) as transaction:
                    yield transaction
        finally:
            self.invalidate()


def put_right(storage: Storage) -> None:
    """Complete or undo what an interruption left behind, unless another writer is at work.

    Parameters
    ----------
    storage : Storage
        The store, open for writing.
    """
    if not has_journals(storage):
        recover(storage, discard_unmarked=False)
        return
    try:
        with lock(storage):
            recover(storage)
    except StoreLockedError:
        return  # its holder completes what is final
