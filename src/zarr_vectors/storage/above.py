"""What a place lies in: the groups whose folders, or prefixes, lead to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.icechunk.sessions import IcechunkStorage
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.object import ObjectStorage
from zarr_vectors.storage.port import Blob, Storage, get_whole, join
from zarr_vectors.storage.zarr_backed import ZarrStorage


def documents_above(storage: Storage) -> list[tuple[str, Blob]]:
    """Return where the groups above a place are and their ``zarr.json``, the nearest first, in one round of requests.

    What may not be read is left out, and so is what is above a place that tells only of itself (the root of a
    zarr-python store in memory, a backend of somebody's own).
    """
    if isinstance(storage, IcechunkStorage):
        place = storage.place
        return [] if place is None or place.family != "local" else documents_above(LocalStorage(Path(place.target)))
    if isinstance(storage, LocalStorage):
        *folders, _ = Path(os.path.realpath(storage.root)).parents
        return [one for folder in folders for one in _read(LocalStorage(folder, read_only=True), [""])]
    if isinstance(storage, ObjectStorage):
        within = str(getattr(storage.store, "prefix", None) or "").strip("/")
        path = join(within, storage.prefix) if storage.prefix else within
        top = storage.url.removesuffix(path).rstrip("/")
        return _read(ObjectStorage(_of_all(storage.store, within), "", top, read_only=True), _above(path))
    if isinstance(storage, ZarrStorage):
        store: Any = storage.store
        found = _read(ZarrStorage(store, refuse_writes=True), _above(storage.path))
        paths = _above(str(store.path).strip("/")) if hasattr(store, "fs") else []
        stores = [type(store)(store.fs, read_only=True, path=path) for path in paths if path]
        return [*found, *(one for place in stores for one in _read(ZarrStorage(place), [""]))]
    return []


def _above(path: str) -> list[str]:
    """Return the paths above a path, the nearest first, ``""`` last."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(len(parts) - 1, -1, -1)] if path else []


def _of_all(store: Any, within: str) -> Any:
    """Return a connection to all of a bucket, of which there is one to the keys below a prefix."""
    if not within:
        return store
    names = ("config", "client_options", "retry_config", "credential_provider")
    options = {name: getattr(store, name, None) for name in names}
    return type(store)(**{name: option for name, option in options.items() if option is not None})


def _read(storage: Storage, paths: list[str]) -> list[tuple[str, Blob]]:
    try:
        blobs = get_whole(storage, [join(path, DOCUMENT_NAME) for path in paths]) if paths else []
    except StoreError:
        return []  # who may not read there, or reaches nothing, may write below nevertheless
    return [
        (f"{storage.url.rstrip('/')}/{path}".rstrip("/"), blob)
        for path, blob in zip(paths, blobs, strict=True)
        if blob is not None
    ]
