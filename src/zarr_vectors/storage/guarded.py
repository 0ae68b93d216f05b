"""A storage that refuses writes, whatever the one below it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zarr_vectors.storage.layers import PassingLayer, ReadingLayer
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.port import Storage


@dataclass(frozen=True, slots=True)
class ReadOnlyStorage(PassingLayer, ReadingLayer):
    """A view of a storage for reading.

    Attributes
    ----------
    inner : Storage
        Does the reading.
    """

    inner: Storage


def for_reading(storage: Storage) -> Storage:
    """Give a storage that refuses writes: the same one where it does already, else a view of it."""
    if storage.read_only:
        return storage
    if isinstance(storage, LocalStorage):
        return replace(storage, read_only=True)
    return ReadOnlyStorage(storage)
