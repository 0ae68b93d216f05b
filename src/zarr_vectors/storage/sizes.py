"""How large the objects of a store are, as far as the place tells without reading them."""

from __future__ import annotations

import os

import obstore

from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.object import ObjectStorage
from zarr_vectors.storage.port import Storage, join


def object_sizes(storage: Storage) -> dict[str, int | None]:
    """Return the size in bytes of every object of a store, by address.

    Parameters
    ----------
    storage : Storage
        Where to look; it must be able to list.

    Returns
    -------
    dict of str to int or None
        None for an object whose size the place does not tell; local files and object stores tell it.
    """
    if isinstance(storage, LocalStorage):
        return {address: os.path.getsize(storage.root / address) for address in storage.list_all()}
    if isinstance(storage, ObjectStorage):
        skip = len(storage.prefix) + 1 if storage.prefix else 0
        batches = obstore.list(storage.store, join(storage.prefix, "").rstrip("/") or None, chunk_size=1000)
        return {item["path"][skip:]: int(item["size"]) for batch in batches for item in batch}
    return dict.fromkeys(storage.list_all())
