"""A storage that refuses writes, whatever the one below it takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import zarr.abc.store

from zarr_vectors.exceptions import ReadOnlyStoreError
from zarr_vectors.storage.adapter import StorageStore
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.port import Blob, BlobParts, Listing, Range, Storage
from zarr_vectors.typing import Bytes


@dataclass(frozen=True, slots=True)
class ReadOnlyStorage:
    """A view of a storage for reading.

    Attributes
    ----------
    inner : Storage
        Does the reading.
    """

    inner: Storage

    @property
    def url(self) -> str:
        """As the inner storage."""
        return self.inner.url

    @property
    def name(self) -> str:
        """As the inner storage."""
        return self.inner.name

    @property
    def read_only(self) -> bool:
        """Always true."""
        return True

    @property
    def can_list(self) -> bool:
        """As the inner storage."""
        return self.inner.can_list

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges in one round."""
        return self.inner.get_many(requests)

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix."""
        return self.inner.list_folders(prefixes)

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth below a prefix."""
        return self.inner.list_all(prefix)

    def exists(self, address: str) -> bool:
        """Say whether there is an object at an address."""
        return self.inner.exists(address)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Refuse."""
        raise self._refusal()

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Refuse."""
        raise self._refusal()

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Refuse."""
        raise self._refusal()

    def delete_prefix(self, prefix: str = "") -> None:
        """Refuse."""
        raise self._refusal()

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Refuse."""
        raise self._refusal()

    def zarr_store(self) -> zarr.abc.store.Store:
        """Give the same view as a zarr-python store."""
        return StorageStore(self)

    def _refusal(self) -> ReadOnlyStoreError:
        return ReadOnlyStoreError(f"cannot write to {self.url}: it was opened for reading only; open it with mode='r+'")


def for_reading(storage: Storage) -> Storage:
    """Give a storage that refuses writes: the same one where it does already, else a view of it."""
    if storage.read_only:
        return storage
    if isinstance(storage, LocalStorage):
        return replace(storage, read_only=True)
    return ReadOnlyStorage(storage)
