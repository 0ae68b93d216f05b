"""Storage in an object store: S3, Google Cloud, Azure, plain HTTP, or the memory of this process.

Requests go through obstore's blocking functions on a pool of threads, which wait outside Python's lock. They
cost a few microseconds each, where an awaitable costs over a hundred, so memory and nearby servers profit,
and calling from inside a running event loop needs no precaution. Retries with back-off are obstore's, and those of
:mod:`zarr_vectors.storage.retrying` where obstore has none.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import obstore
import obstore.store
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError, UnauthenticatedError

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.answers import take_answer
from zarr_vectors.storage.concurrency import each_in_flight
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.failures import check_bucket, explain, is_denied
from zarr_vectors.storage.keyed import KeyedStorage
from zarr_vectors.storage.port import (
    Blob,
    BlobParts,
    Listing,
    Range,
    check_address,
    check_prefix,
    join,
    joined,
)
from zarr_vectors.storage.ranges import Read, check_range, plan_reads, scatter
from zarr_vectors.storage.retrying import GivenUpError, Patience, persist
from zarr_vectors.typing import Bytes

READ_GAP = 256 * 1024
"""Ranges of one object that lie closer than this are read in one request: as long as a request's latency."""

REQUESTS_IN_FLIGHT = 96
"""Largest number of requests that are under way at the same time."""

_DELETIONS_A_REQUEST = 1000

_used = threading.Event()
_forked_since = threading.Event()
"""The threads that make obstore's requests do not live on in a fork, where requests would wait for ever."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _forked_since.set() if _used.is_set() else None)

_RANGE = re.compile(r"\b416\b|[Rr]ange")

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class ObjectStorage(KeyedStorage):
    """Objects below a prefix of an obstore store.

    Attributes
    ----------
    store : obstore store
        Connection to the bucket, container, server or memory.
    prefix : str
        Key of the root within `store`, without slashes at its ends; ``""`` is the root of `store` itself.
    url : str
        Where the root is, without credentials.
    read_only : bool
        Refuse writes.
    lists : bool
        Whether the store can list keys, for who has the right to.
    """

    store: Any = field(repr=False)
    prefix: str
    url: str
    read_only: bool = False
    lists: bool = True
    _may_not_list: threading.Event = field(default_factory=threading.Event, init=False, repr=False, compare=False)

    @property
    def can_list(self) -> bool:
        """Whether keys can be listed; no longer for a reader that was found not to have the right."""
        return self.lists and not self._may_not_list.is_set()

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges, all objects at the same time, close ranges of one object together.

        Raises
        ------
        ArgumentError
            An address that would leave the prefix, or a range without meaning.
        StoreError
            The store denies permission, cannot be reached, or fails after the retries.
        """
        for request in requests:
            check_address(request.address)
            check_range(request)
        results: list[Blob | None] = [None] * len(requests)

        def work(read: Read) -> None:
            scatter(results, read, self._read(read.address, read.start, read.stop))

        self._each(work, plan_reads(requests, READ_GAP))
        return results

    def _read(self, address: str, start: int | None, stop: int | None) -> Blob | None:
        key, place = join(self.prefix, address), f"{self.url}/{address}"

        def ask() -> Blob:
            if stop is None and not start:
                return take_answer(obstore.get(self.store, key), place)
            if stop is None and start is not None:
                return self._read_end(key, place, start)
            return self._read_bounded(key, place, start or 0, stop or 0)

        return self._persist(ask, "read", address)

    def _read_end(self, key: str, place: str, start: int) -> Blob:
        """Read from `start` (or from ``-start`` bytes before the end) to the end of an object."""
        option: Any = {"offset": start} if start > 0 else {"suffix": -start}
        try:
            answer = obstore.get(self.store, key, options={"range": option})
        except BaseError as error:
            if not _is_about_range(error):
                raise
            size = obstore.head(self.store, key)["size"]
            first = start if start > 0 else max(0, size + start)
            return self._read_range(key, place, first, size) if first < size else b""
        return take_answer(answer, place, -start if start < 0 else None)

    def _read_bounded(self, key: str, place: str, start: int, stop: int) -> Blob:
        if start < stop:
            try:
                return self._read_range(key, place, start, stop)
            except BaseError as error:
                if not _is_about_range(error) or start < obstore.head(self.store, key)["size"]:
                    raise
                return b""
        obstore.head(self.store, key)
        return b""

    def _read_range(self, key: str, place: str, start: int, stop: int) -> Blob:
        if isinstance(self.store, obstore.store.MemoryStore):
            return memoryview(obstore.get_range(self.store, key, start=start, end=stop))
        return take_answer(obstore.get(self.store, key, options={"range": (start, stop)}), place, stop - start)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write objects; large ones go up in several parts and appear when all are there.

        Raises
        ------
        ReadOnlyStoreError
            The storage was opened for reading, or the store denies permission.
        StoreError
            The store cannot be reached, or fails after the retries.
        """
        self._check_writable()
        self._each(self._write, items)

    def _write(self, item: tuple[str, BlobParts]) -> None:
        key = join(self.prefix, check_address(item[0]))
        data = joined(item[1])
        self._persist(lambda: obstore.put(self.store, key, data), "write", item[0])

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write one object unless its key is taken, by a conditional request.

        A request whose answer was lost may have written the object, and its repetition then finds the key taken. So
        where exactly these bytes are there, they count as written now: who wants to be the only one writes bytes
        that nobody else does.
        """
        self._check_writable()
        key = join(self.prefix, check_address(address))

        def ask() -> bool:
            try:
                obstore.put(self.store, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile: somebody else's all the same
                    return take_answer(obstore.get(self.store, key), address) == memoryview(data)
                return False
            return True

        return bool(self._persist(ask, "write", address))

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix, all at the same time.

        Raises
        ------
        StoreError
            The store cannot list, as plain HTTP servers cannot.
        """
        self._check_listable()
        results: list[Listing] = [Listing([], [])] * len(prefixes)

        def work(item: tuple[int, str]) -> None:
            results[item[0]] = self._list_folder(item[1])

        self._each(work, enumerate(map(check_prefix, prefixes)))
        return results

    def _list_folder(self, prefix: str) -> Listing:
        top = join(self.prefix, prefix).rstrip("/")
        found: Any = self._persist(lambda: obstore.list_with_delimiter(self.store, top or None), "list", prefix)
        skip = len(top) + 1 if top else 0
        folders = sorted(str(folder)[skip:].rstrip("/") for folder in found["common_prefixes"])
        return Listing(folders, sorted(item["path"][skip:] for item in found["objects"]))

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth below a prefix, sorted."""
        self._check_listable()
        top = join(self.prefix, check_prefix(prefix)).rstrip("/")
        skip = len(self.prefix) + 1 if self.prefix else 0

        def ask() -> list[str]:
            batches = obstore.list(self.store, top or None, chunk_size=1000)
            return sorted(item["path"][skip:] for batch in batches for item in batch)

        return self._persist(ask, "list", prefix) or []

    def exists(self, address: str) -> bool:
        """Say whether there is an object at an address."""
        key = join(self.prefix, check_address(address))
        return self._persist(lambda: obstore.head(self.store, key), "read", address) is not None

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete objects, up to a thousand a request where the store takes that."""
        self._check_writable()
        keys = [join(self.prefix, check_address(address)) for address in addresses]
        batches = [keys[first : first + _DELETIONS_A_REQUEST] for first in range(0, len(keys), _DELETIONS_A_REQUEST)]
        self._each(self._delete, batches)

    def _delete(self, keys: list[str]) -> None:
        address = keys[0][len(self.prefix) + 1 :] if self.prefix else keys[0]

        def ask() -> None:
            try:
                obstore.delete(self.store, keys)
            except FileNotFoundError:
                for key in keys:
                    with contextlib.suppress(FileNotFoundError):
                        obstore.delete(self.store, key)

        self._persist(ask, "delete", address)

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Copy objects within the store, without transferring them, then delete the sources."""
        self._check_writable()
        self._each(self._move, pairs)

    def _move(self, pair: tuple[str, str]) -> None:
        source, target = (join(self.prefix, check_address(address)) for address in pair)

        def ask() -> None:
            with contextlib.suppress(FileNotFoundError):
                obstore.copy(self.store, source, target, overwrite=True)
                obstore.delete(self.store, source)

        self._persist(ask, "move", pair[0])

    def _each(self, work: Callable[[_Item], None], items: Iterable[_Item]) -> None:
        """Do the work of every item, on threads unless the store is this process's memory."""
        source = iter(items)
        if isinstance(self.store, obstore.store.MemoryStore):
            for item in source:
                work(item)
            return
        each_in_flight(work, source, REQUESTS_IN_FLIGHT)

    def _check_listable(self) -> None:
        if not self.can_list:
            reason = "the right to list is missing" if self.lists else "it is reached over plain HTTP"
            raise StoreError(
                f"{self.url} cannot list its folders, since {reason}; run consolidate_metadata on "
                f"the store where it is kept, so that nothing is listed, or open it through its object store's own URL"
            )

    def _may_be_absent(self, error: Exception, address: str) -> bool:
        """Say whether a refusal may mean that nothing is there, as for who may not list.

        Over plain HTTP it may, except at the root, without which there is no store.
        """
        if self._may_not_list.is_set():
            return True
        return not self.lists and address != DOCUMENT_NAME and not isinstance(error, UnauthenticatedError)

    def _persist(self, ask: Callable[[], _Answer], verb: str, address: str) -> _Answer | None:
        """Make a request until it is answered; None where nothing is there.

        Raises
        ------
        StoreError
            What the last failure means, with the address, the store and the number of attempts; or this process is a
            fork of one that has made requests.
        """
        if _forked_since.is_set() and not isinstance(self.store, obstore.store.MemoryStore):
            raise StoreError(
                f"{self.url}: this process was forked from one that has used an object store before, whose connections "
                "do not live on here; start processes with multiprocessing.get_context('spawn') or 'forkserver'"
            )
        _used.set()
        try:
            return persist(ask, Patience.of(self.store), reads=verb == "read")
        except FileNotFoundError as error:
            check_bucket(error, verb, address, self.url)
            return None
        except GivenUpError as failure:
            if is_denied(failure.error) and self.read_only:
                if verb == "list":
                    self._may_not_list.set()
                elif self._may_be_absent(failure.error, address):
                    return None
            raise explain(failure.error, verb, address, self.url, attempts=failure.attempts) from None


def _is_about_range(error: BaseError) -> bool:
    """Say whether an error is about the bytes asked, not about the object, the rights or the connection."""
    return isinstance(error, NotSupportedError) or bool(_RANGE.search(str(error)))
