"""How a store is reached."""

from __future__ import annotations

from dataclasses import dataclass

from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.object import ObjectStorage
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.resolve import detect_scheme
from zarr_vectors.storage.versioned import versions_of


@dataclass(frozen=True, slots=True)
class Backend:
    """How a store is reached.

    Parameters
    ----------
    name : {"local", "obstore", "icechunk", "zarr"}
        The library that reads and writes.
    scheme : str
        Scheme of the URL, ``""`` for a local path.
    url : str
        Where the root of the store is, without credentials.
    """

    name: str
    scheme: str
    url: str


def backend_of(storage: Storage) -> Backend:
    """Return how a storage is reached."""
    if isinstance(storage, LocalStorage):
        name = "local"
    elif isinstance(storage, ObjectStorage):
        name = "obstore"
    else:
        name = "icechunk" if versions_of(storage) is not None else "zarr"
    return Backend(name, detect_scheme(storage.url.removeprefix("icechunk+")), storage.url)
