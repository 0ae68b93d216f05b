"""Stores within the folders of others, which the next writer of the outer one would delete."""

from __future__ import annotations

import json

from zarr_vectors.constants import ARRAY_FAMILIES, PARAMETRIC
from zarr_vectors.exceptions import StoreExistsError
from zarr_vectors.formats.documents import ROOT_KEY
from zarr_vectors.read.store import ROOT_ADDRESS, StoreReader
from zarr_vectors.storage.above import documents_above
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.port import INTERNAL_PREFIX, Blob, Storage, get_whole


def refuse_within(storage: Storage) -> None:
    """Refuse to make a store in the folder of another.

    Raises
    ------
    StoreExistsError
        Naming the other.
    """
    for url, blob in documents_above(storage):
        if _is_root(blob):
            raise StoreExistsError(
                f"{storage.url}: lies in the folder of another store, {url}, whose next writer would delete it; choose "
                "a path beside that store"
            )


def refuse_around(store: StoreReader) -> None:
    """Refuse to replace a store whose folder holds another.

    Raises
    ------
    StoreExistsError
        Naming the other.
    """
    storage = store.storage
    if not storage.can_list:
        return
    levels = [str(number) for number in store.level_numbers()]
    top, *below = storage.list_folders(["", *levels])
    foreign = [name for name in top.folders if name not in levels and not name.startswith(INTERNAL_PREFIX)]
    for level, listing in zip(levels, below, strict=True):
        foreign += [f"{level}/{name}" for name in listing.folders if name not in ARRAY_FAMILIES]
    if isinstance(storage, LocalStorage):  # what a link leads to stays where it is
        foreign = [name for name in foreign if not (storage.root / name).is_symlink()]
    addresses = [one for name in foreign if name != PARAMETRIC for one in storage.list_all(name)]
    addresses = [one for one in addresses if one.endswith(f"/{ROOT_ADDRESS}")]
    for address, blob in zip(addresses, get_whole(storage, addresses) if addresses else [], strict=True):
        if blob is not None and _is_root(blob):
            inner = address.removesuffix(f"/{ROOT_ADDRESS}")
            raise StoreExistsError(
                f"{storage.url}: its folder holds another store, {inner!r}, which would be deleted with what is "
                "replaced; move that one elsewhere first, or choose another path"
            )


def _is_root(blob: Blob) -> bool:
    """Return whether a ``zarr.json`` is that of a store's root."""
    try:
        document = json.loads(bytes(blob))
        return ROOT_KEY in document["attributes"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
