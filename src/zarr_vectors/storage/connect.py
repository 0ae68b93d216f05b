"""URLs and options → connections to object stores."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import obstore.store
from obstore.exceptions import BaseError, UnknownConfigurationKeyError

from zarr_vectors.exceptions import ArgumentError, StoreError
from zarr_vectors.storage.failures import without_secrets
from zarr_vectors.storage.object import ObjectStorage

OBJECT_SCHEMES = frozenset({"s3", "s3a", "gs", "gcs", "az", "adl", "azure", "abfs", "abfss", "http", "https", "memory"})
"""Schemes that obstore opens."""

_CLIENT_OPTIONS = frozenset(
    [
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "default_content_type",
        "default_headers",
        "http1_only",
        "http2_keep_alive_interval",
        "http2_keep_alive_timeout",
        "http2_keep_alive_while_idle",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_url",
        "proxy_ca_certificate",
        "proxy_excludes",
        "randomize_addresses",
        "read_timeout",
        "root_certificate",
        "timeout",
        "user_agent",
    ]
)
_FSSPEC_NAMES = {
    "endpoint_url": "endpoint",
    "key": "access_key_id",
    "secret": "secret_access_key",
    "token": "session_token",
    "anon": "skip_signature",
    "region_name": "region",
    "requester_pays": "request_payer",
}
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
        Refuse writes. Plain HTTP is always read only.
    options : mapping
        Options of obstore's store (``region``, ``endpoint``, ``access_key_id``, ``account_name``, …), of its
        HTTP client (``allow_http``, ``timeout``, …), ``retry_config``, or fsspec's names for the commonest
        (``endpoint_url``, ``key``, ``secret``, ``token``, ``anon``, ``client_kwargs``).

    Returns
    -------
    ObjectStorage
        Nothing is asked of the store yet.

    Raises
    ------
    ArgumentError
        An option is not known, or the URL names no bucket.
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
    config, settings = _sorted_options(url, options)
    try:
        store = obstore.store.from_url(_known_to_obstore(url, scheme), **settings, **config)
    except UnknownConfigurationKeyError as error:
        name = re.search(r"key: '([^']*)'", str(error))
        raise ArgumentError(f"{plain}: the storage option {name[1] if name else '?'!r} is not known") from None
    except (BaseError, TypeError, ValueError) as error:
        reason = without_secrets(str(error).split("\n\n", 1)[0])
        raise StoreError(f"cannot connect to {plain}: {reason}") from None
    by_http = isinstance(store, obstore.store.HTTPStore)
    return ObjectStorage(store, "", plain, read_only=read_only or by_http, can_list=not by_http)


def _known_to_obstore(url: str, scheme: str) -> str:
    rest = url.partition(":")[2]
    return f"gs:{rest}" if scheme == "gcs" else f"{scheme}:{rest}"


def _sorted_options(url: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort options into those of the store and the keyword arguments beside them."""
    given = {**options.get("client_kwargs", {}), **options}
    given.pop("client_kwargs", None)
    settings = {name: given.pop(name) for name in ("retry_config", "credential_provider") if name in given}
    client = dict(given.pop("client_options", None) or {})
    config: dict[str, Any] = {**(given.pop("config", None) or {})}
    for name, value in given.items():
        if name in _CLIENT_OPTIONS:
            client[name] = value
        elif value is not None:
            config[_FSSPEC_NAMES.get(name, name)] = value
    endpoint = str(next((value for name, value in config.items() if "endpoint" in name), url))
    if endpoint.lower().startswith("http://"):
        client.setdefault("allow_http", True)
    if client:
        settings["client_options"] = client
    return config, settings
