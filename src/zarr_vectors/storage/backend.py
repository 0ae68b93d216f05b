"""Third-party backends: a handful of methods on keys, adapted to the port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from zarr_vectors.storage.concurrency import each_in_flight
from zarr_vectors.storage.failures import explained
from zarr_vectors.storage.keyed import KeyedStorage
from zarr_vectors.storage.port import (
    Blob,
    BlobParts,
    Listing,
    Range,
    check_address,
    check_prefix,
    joined,
)
from zarr_vectors.storage.ranges import check_range
from zarr_vectors.typing import Bytes

REQUESTS_IN_FLIGHT = 16
"""Largest number of calls to a backend at the same time."""


@runtime_checkable
class StorageBackend(Protocol):
    """A place that keeps bytes at keys, rooted at one URL.

    What a class must offer so that stores can be kept in it: hand an instance wherever a path is taken. Keys are
    relative to the root, with forward slashes; the empty string is the root itself. Methods are called from
    several threads at the same time.
    """

    @property
    def url(self) -> str:
        """Where the root is, without credentials; the name of the store is its last segment."""

    def get(self, key: str) -> bytes | None:
        """Return the bytes at a key; None, ``KeyError`` or ``FileNotFoundError`` where nothing is."""

    def put(self, key: str, data: bytes) -> None:
        """Write bytes at a key, replacing what is there, so that readers see all of them or none."""

    def exists(self, key: str) -> bool:
        """Return whether something is at a key."""

    def delete(self, key: str) -> None:
        """Delete what is at a key; nothing happens where nothing is."""

    def delete_prefix(self, prefix: str) -> None:
        """Delete every key that starts with a prefix, which ends in a slash or is empty."""

    def ensure_prefix(self, prefix: str) -> None:
        """Make the container at a prefix where the backend has containers; nothing elsewhere."""

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterable[str]:
        """Yield keys below a prefix, which does not end in a slash, relative to the root.

        With ``recursive=True`` every key at any depth; otherwise the immediate children, those that hold
        further keys with a slash at their end. What starts with the prefix but is not below it does no harm.
        """


@dataclass(frozen=True, slots=True)
class BackendStorage(KeyedStorage):
    """A third-party backend as a storage.

    Attributes
    ----------
    backend : StorageBackend
        Keeps the bytes.
    refuse_writes : bool
        Refuse writes.
    """

    backend: StorageBackend
    refuse_writes: bool = False

    @property
    def url(self) -> str:
        """As the backend says."""
        return self.backend.url

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self.refuse_writes

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges; each key is asked for once, as a whole."""
        for request in requests:
            check_address(request.address)
            check_range(request)
        whole: dict[str, Blob | None] = {}

        def read(address: str) -> None:
            whole[address] = self._get(address)

        each_in_flight(read, iter(dict.fromkeys(r.address for r in requests)), REQUESTS_IN_FLIGHT)
        return [_part(whole[request.address], request) for request in requests]

    def _get(self, address: str) -> Blob | None:
        with explained("read", address, self.url), contextlib.suppress(KeyError, FileNotFoundError):
            return self.backend.get(address)
        return None

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write objects."""
        self._check_writable()
        each_in_flight(self._put, iter(items), REQUESTS_IN_FLIGHT)

    def _put(self, item: tuple[str, BlobParts]) -> None:
        address = check_address(item[0])
        with explained("write", address, self.url):
            self.backend.ensure_prefix(address.rpartition("/")[0])
            self.backend.put(address, bytes(joined(item[1])))

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write one object unless its key is taken; not atomic, since backends offer nothing for it."""
        if self.exists(address):
            return False
        self.put_many([(address, data)])
        return True

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix."""
        return [self._list_folder(check_prefix(prefix)) for prefix in prefixes]

    def _list_folder(self, prefix: str) -> Listing:
        start = _below(prefix)
        keys = self._list(prefix, recursive=False)
        if prefix and start in keys:  # it lists what starts with the prefix, up to the next slash
            keys = self._list(start, recursive=False)
        names = {key.removeprefix(start) for key in keys if key.startswith(start)} - {""}
        return Listing(
            sorted(name[:-1] for name in names if name.endswith("/")),
            sorted(name for name in names if not name.endswith("/")),
        )

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth below a prefix, sorted."""
        start = _below(check_prefix(prefix))
        return sorted(key for key in self._list(prefix, recursive=True) if key.startswith(start))

    def _list(self, prefix: str, *, recursive: bool) -> list[str]:
        with explained("list", prefix, self.url):
            return list(self.backend.list_prefix(prefix, recursive=recursive))

    def exists(self, address: str) -> bool:
        """Say whether there is an object at an address."""
        with explained("read", address, self.url):
            return bool(self.backend.exists(check_address(address)))

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete objects; absent ones are skipped."""
        self._check_writable()
        each_in_flight(self._delete, iter(addresses), REQUESTS_IN_FLIGHT)

    def _delete(self, address: str) -> None:
        with explained("delete", address, self.url), contextlib.suppress(KeyError, FileNotFoundError):
            self.backend.delete(check_address(address))

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete everything below a prefix, one by one what a backend leaves that takes no slash at its end."""
        self._check_writable()
        with explained("delete", prefix, self.url):
            self.backend.delete_prefix(_below(check_prefix(prefix)))
        self.delete_many(self.list_all(prefix))

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Read objects, write them to their new addresses, and delete them at the old ones."""
        self._check_writable()
        each_in_flight(self._move, iter(pairs), REQUESTS_IN_FLIGHT)

    def _move(self, pair: tuple[str, str]) -> None:
        blob = self._get(check_address(pair[0]))
        if blob is not None:
            self._put((pair[1], blob))
            self._delete(pair[0])


def _below(prefix: str) -> str:
    """Return how all keys below a prefix start."""
    return f"{prefix}/" if prefix else ""


def _part(blob: Blob | None, request: Range) -> Blob | None:
    if blob is None or (request.start is None and request.stop is None):
        return blob
    view = memoryview(blob)
    if request.start is not None and request.start < 0:
        return view[max(0, len(view) + request.start) :]
    return view[request.start or 0 : request.stop]
