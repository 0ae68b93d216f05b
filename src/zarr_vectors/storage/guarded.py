"""A storage that refuses writes, whatever the one below it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zarr_vectors.storage.layers import ReadingLayer
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.port import Blob, Listing, Range, Storage


@dataclass(frozen=True, slots=True)
class ReadOnlyStorage(ReadingLayer):
    """A view of a storage for reading.

    Attributes
    ----------
    inner : Storage
        Does the reading.
    """

    inner: Storage

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


def for_reading(storage: Storage) -> Storage:
    """Give a storage that refuses writes: the same one where it does already, else a view of it."""
    if storage.read_only:
        return storage
    if isinstance(storage, LocalStorage):
        return replace(storage, read_only=True)
    return ReadOnlyStorage(storage)
