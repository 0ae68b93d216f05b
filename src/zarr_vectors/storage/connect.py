"""URLs and options → connections to object stores."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import obstore.store
from obstore.exceptions import BaseError, UnknownConfigurationKeyError

from zarr_vectors.exceptions import ArgumentError, ReadOnlyStoreError, StoreError
from zarr_vectors.storage.failures import without_secrets
from zarr_vectors.storage.object import ObjectStorage
from zarr_vectors.storage.options import sorted_options as sorted_options

OBJECT_SCHEMES = frozenset({"s3", "s3a", "gs", "gcs", "az", "adl", "azure", "abfs", "abfss", "http", "https", "memory"})
"""Schemes that obstore opens."""

_memories: dict[str, obstore.store.MemoryStore] = {}
_memories_lock = threading.Lock()


def memory_storage(url: str, *, read_only: bool) -> ObjectStorage:
    """Open ``memory://NAME/path``: stores of one name are one and the same within this process."""
    parts = urlsplit(url)
    with _memories_lock:
        store = _memories.setdefault(parts.netloc, obstore.store.MemoryStore())
    return ObjectStorage(store, parts.path.strip("/"), url.rstrip("/"), read_only=read_only)


def connect(url: str, *, read_only: bool, options: Mapping[str, Any]) -> ObjectStorage:
    """Open an object store.

    Parameters
    ----------
    url : str
        With one of `OBJECT_SCHEMES`. Its path, if any, becomes the root of the storage.
    read_only : bool
        Refuse writes. Plain HTTP allows none.
    options : mapping
        Options of obstore's store (``region``, ``endpoint``, ``access_key_id``, ``account_name``, …), of its
        HTTP client (``allow_http``, ``timeout``, …), ``retry_config``, or fsspec's names for the commonest
        (``endpoint_url``, ``key``, ``secret``, ``token``, ``anon``, ``connection_string``, ``client_kwargs``). What
        is not given comes from the environment (``AWS_ACCESS_KEY_ID``, ``AZURE_STORAGE_ACCOUNT_KEY``, …).

    Returns
    -------
    ObjectStorage
        Nothing is asked of the store yet.

    Raises
    ------
    ArgumentError
        An option is not known, or the URL names no bucket.
    ReadOnlyStoreError
        The URL is one of plain HTTP, and writing is wanted.
    StoreError
        obstore refuses the options for another reason.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "memory":
        if options:
            raise ArgumentError(f"{url} takes no options, but {', '.join(sorted(options))} was given")
        return memory_storage(url, read_only=read_only)
    plain = without_secrets(url).rstrip("/")
    parts = urlsplit(url)
    if not parts.netloc:
        raise ArgumentError(f"{plain!r} names no bucket or host: write {scheme}://bucket/path")
    if parts.query or parts.fragment:
        shown = plain.partition("?")[0].partition("#")[0]
        raise ArgumentError(f"{shown!r} has a query or fragment, which the addresses below it could not keep")
    config, settings = sorted_options(url, options)
    try:
        store = obstore.store.from_url(_known_to_obstore(url, scheme), **settings, **config)
    except UnknownConfigurationKeyError as error:
        name = re.search(r"key: '([^']*)'", str(error))
        raise ArgumentError(f"{plain}: the storage option {name[1] if name else '?'!r} is not known") from None
    except (BaseError, TypeError, ValueError) as error:
        reason = without_secrets(str(error).split("\n\n", 1)[0])
        raise StoreError(f"cannot connect to {plain}: {reason}") from None
    by_http = isinstance(store, obstore.store.HTTPStore)
    if by_http and not read_only:
        raise ReadOnlyStoreError(
            f"cannot write to {plain}: over HTTP stores can only be read; write to the folder or bucket that the "
            "server serves, by its own path or URL"
        )
    return ObjectStorage(store, "", plain, read_only=read_only, lists=not by_http)


def _known_to_obstore(url: str, scheme: str) -> str:
    rest = url.partition(":")[2]
    return f"gs:{rest}" if scheme == "gcs" else f"{scheme}:{rest}"
