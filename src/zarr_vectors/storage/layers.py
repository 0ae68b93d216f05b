"""Storages on top of others: what they take over from the one below, and how changes alter its listings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import zarr.abc.store

from zarr_vectors.exceptions import ReadOnlyStoreError
from zarr_vectors.storage.adapter import StorageStore
from zarr_vectors.storage.port import INTERNAL_PREFIX, Blob, BlobParts, Listing, Range, Storage
from zarr_vectors.typing import Bytes


class Layer:
    """What a storage on top of another takes over from it.

    Attributes
    ----------
    inner : Storage
        The one below.
    """

    __slots__ = ()
    inner: Storage

    @property
    def url(self) -> str:
        """The URL of the store."""
        return self.inner.url

    @property
    def name(self) -> str:
        """The name of the store."""
        return self.inner.name

    @property
    def read_only(self) -> bool:
        """As the storage below."""
        return self.inner.read_only

    @property
    def can_list(self) -> bool:
        """As the storage below."""
        return self.inner.can_list


class PassingLayer(Layer):
    """A storage on top of another through which what is below is read as it is."""

    __slots__ = ()

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


class ReadingLayer(Layer):
    """A storage on top of another that refuses writes, each with the error that `_refusal` gives."""

    __slots__ = ()

    @property
    def read_only(self) -> bool:
        """Always true."""
        return True

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
        return StorageStore(self)  # type: ignore[arg-type]

    def _refusal(self) -> ReadOnlyStoreError:
        return ReadOnlyStoreError(f"cannot write to {self.url}: it was opened for reading only; open it with mode='r+'")


def changed_listing(
    storage: Storage, top: str, listing: Listing, added: Iterable[str], deleted: Collection[str]
) -> Listing:
    """Return one level of a prefix with changes on top of what is there; journals and locks are left out.

    Parameters
    ----------
    storage : Storage
        The storage with the changes, asked whether folders that lost objects hold others still.
    top : str
        The prefix.
    listing : Listing
        What the storage below lists.
    added, deleted : addresses
        The changes.
    """
    start = f"{top}/" if top else ""
    folders = {name for name in listing.folders if top or not name.startswith(INTERNAL_PREFIX)}
    files = {name for name in listing.files if start + name not in deleted}
    emptied = {gone[len(start) :].partition("/")[0] for gone in deleted if gone.startswith(start)}
    folders -= {name for name in emptied & folders if not storage.list_all(start + name)}
    for address in added:
        if address.startswith(start):
            name, mark, _ = address[len(start) :].partition("/")
            (folders if mark else files).add(name)
    return Listing(sorted(folders), sorted(files))
