"""Doubles of storages: one counts what is asked of it, one dies in the middle of its work, one is far away."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from zarr_vectors.storage.adapter import StorageStore
from zarr_vectors.storage.layers import Layer, PassingLayer
from zarr_vectors.storage.port import Blob, BlobParts, Listing, Range, Storage, ZarrStore, parts_of
from zarr_vectors.typing import Bytes


class Request(NamedTuple):
    """One entry of the log of a `CountingStorage`.

    Attributes
    ----------
    kind : str
        ``"get"``, ``"put"``, ``"list"``, ``"exists"``, ``"delete"`` or ``"move"``.
    address : str
        What was asked for; for a listing, its prefix.
    start, stop : int, optional
        The byte range, for reads.
    """

    kind: str
    address: str
    start: int | None = None
    stop: int | None = None


@dataclass(slots=True)
class CountingStorage(Layer):
    """A storage that keeps account of what is asked of another one.

    Attributes
    ----------
    inner : Storage
        Does the work.
    log : list of Request
        Every request, in order.
    rounds : int
        Number of calls that read or list: each is one round of requests that overlap each other.
    bytes_read, bytes_written : int
        Amount of data handed over.
    """

    inner: Storage
    log: list[Request] = field(default_factory=list)
    rounds: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def counts(self) -> Counter[str]:
        """Number of requests of each kind."""
        return Counter(request.kind for request in self.log)

    def addresses(self, kind: str = "get") -> list[str]:
        """Give the addresses of all requests of one kind, in order, with repetitions."""
        return [request.address for request in self.log if request.kind == kind]

    def reset(self) -> None:
        """Forget what was counted."""
        self.log.clear()
        self.rounds = self.bytes_read = self.bytes_written = 0

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Count a round and its reads."""
        self.rounds += 1
        self.log += [Request("get", *request) for request in requests]
        blobs = self.inner.get_many(requests)
        self.bytes_read += sum(len(blob) for blob in blobs if blob is not None)
        return blobs

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Count writes."""
        self.inner.put_many([self._noted(address, data) for address, data in items])

    def _noted(self, address: str, data: BlobParts) -> tuple[str, BlobParts]:
        self.log.append(Request("put", address))
        self.bytes_written += sum(map(len, parts_of(data)))
        return address, data

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Count a write."""
        self.log.append(Request("put", address))
        return self.inner.put_if_absent(address, data)

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """Count a round and its listings."""
        self.rounds += 1
        self.log += [Request("list", prefix) for prefix in prefixes]
        return self.inner.list_folders(prefixes)

    def list_all(self, prefix: str = "") -> list[str]:
        """Count a round and a listing."""
        self.rounds += 1
        self.log.append(Request("list", prefix))
        return self.inner.list_all(prefix)

    def exists(self, address: str) -> bool:
        """Count a round."""
        self.rounds += 1
        self.log.append(Request("exists", address))
        return self.inner.exists(address)

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Count deletions."""
        self.log += [Request("delete", address) for address in addresses]
        self.inner.delete_many(addresses)

    def delete_prefix(self, prefix: str = "") -> None:
        """Count a deletion."""
        self.log.append(Request("delete", prefix))
        self.inner.delete_prefix(prefix)

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Count moves."""
        self.log += [Request("move", source) for source, _ in pairs]
        self.inner.move_many(pairs)

    def zarr_store(self) -> ZarrStore:
        """Give a zarr-python store whose requests are counted here."""
        return StorageStore(self)


@dataclass(slots=True)
class RecordingStorage(PassingLayer):
    """A storage that notes every change of a single object of another one, with its bytes.

    Attributes
    ----------
    inner : Storage
        Does the work.
    log : list of (str, bytes or None)
        Address and new content of every change, in order; None for a deletion.
    """

    inner: Storage
    log: list[tuple[str, bytes | None]] = field(default_factory=list)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write and note it."""
        for address, data in items:
            self.inner.put_many([(address, data)])
            self.log.append((address, b"".join(parts_of(data))))

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write and note it, where it is done."""
        done = self.inner.put_if_absent(address, data)
        if done:
            self.log.append((address, bytes(data)))
        return done

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete and note it."""
        for address in addresses:
            self.inner.delete_many([address])
            self.log.append((address, None))

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete and note it, object by object."""
        self.delete_many(self.inner.list_all(prefix))

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Move and note it as a copy and a deletion."""
        for source, target in pairs:
            blob = self.inner.get_many([Range(source)])[0]
            if blob is not None:
                self.put_many([(target, blob)])
                self.delete_many([source])

    def zarr_store(self) -> ZarrStore:
        """Give a zarr-python store whose changes are noted here."""
        return StorageStore(self)


class SimulatedCrashError(Exception):
    """What a `FailingStorage` raises; nothing in the package catches it on purpose."""


WRITES = frozenset({"put", "delete", "move"})
"""The kinds of operation that change something."""


@dataclass(slots=True)
class FailingStorage(Layer):
    """A storage that dies at one operation and stays dead.

    Calls with many items are done one item at a time, so that they can be cut in their middle.

    Attributes
    ----------
    inner : Storage
        Does the work until then; what it holds afterwards is what a crash leaves.
    fail_at : int, optional
        The operation that fails, counted from 1; ``None`` never fails, to count the operations.
    kinds : collection of str
        Which operations count: ``"get"``, ``"list"``, ``"put"``, ``"delete"``, ``"move"``.
    half_moves : bool
        Where a move fails, the object has been copied but not deleted yet.
    operations : int
        How many operations have been counted.
    """

    inner: Storage
    fail_at: int | None = None
    kinds: Collection[str] = WRITES
    half_moves: bool = True
    operations: int = 0
    crashed: bool = False

    def _count(self, kind: str) -> None:
        if not self.crashed and kind in self.kinds:
            self.operations += 1
            self.crashed = self.operations == self.fail_at
        if self.crashed:
            raise SimulatedCrashError(f"crash at operation {self.operations} ({kind})")

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read, as one operation."""
        self._count("get")
        return self.inner.get_many(requests)

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List, as one operation."""
        self._count("list")
        return self.inner.list_folders(prefixes)

    def list_all(self, prefix: str = "") -> list[str]:
        """List, as one operation."""
        self._count("list")
        return self.inner.list_all(prefix)

    def exists(self, address: str) -> bool:
        """Look, as one operation."""
        self._count("get")
        return self.inner.exists(address)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write, one operation an item."""
        for item in items:
            self._count("put")
            self.inner.put_many([item])

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write, as one operation."""
        self._count("put")
        return self.inner.put_if_absent(address, data)

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete, one operation an item."""
        for address in addresses:
            self._count("delete")
            self.inner.delete_many([address])

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete, one operation an object."""
        self.delete_many(self.inner.list_all(prefix))

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Move, one operation an item."""
        for source, target in pairs:
            try:
                self._count("move")
            except SimulatedCrashError:
                blob = self.inner.get_many([Range(source)])[0]
                if self.half_moves and blob is not None:
                    self.inner.put_many([(target, blob)])
                raise
            self.inner.move_many([(source, target)])

    def zarr_store(self) -> ZarrStore:
        """Give a zarr-python store whose operations count here."""
        return StorageStore(self)


@dataclass(slots=True)
class DelayedStorage(Layer):
    """A storage as far away as an object store: every call that reads or lists takes a round trip, or several.

    Attributes
    ----------
    inner : Storage
        Does the work.
    delay : float
        Seconds of one round trip.
    in_flight : int, optional
        Requests that share a round trip; those of a call beyond it wait for the next. By default all of a call do.
    rounds : int
        Round trips that were waited for one after another. Calls that overlap in time share theirs.
    requests : int
        Number of single requests.
    """

    inner: Storage
    delay: float = 0.05
    in_flight: int | None = None
    rounds: int = 0
    requests: int = 0
    _active: int = field(default=0, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def reset(self) -> None:
        """Forget what was counted."""
        self.rounds = self.requests = 0

    @contextmanager
    def _away(self, requests: int) -> Iterator[None]:
        trips = 1 if self.in_flight is None else max(1, math.ceil(requests / self.in_flight))
        with self._lock:
            self.rounds += trips if self._active == 0 else trips - 1
            self.requests += requests
            self._active += 1
        try:
            time.sleep(self.delay * trips)
            yield
        finally:
            with self._lock:
                self._active -= 1

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Wait, then read."""
        with self._away(len(requests)):
            return self.inner.get_many(requests)

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """Wait, then list."""
        with self._away(len(prefixes)):
            return self.inner.list_folders(prefixes)

    def list_all(self, prefix: str = "") -> list[str]:
        """Wait, then list."""
        with self._away(1):
            return self.inner.list_all(prefix)

    def exists(self, address: str) -> bool:
        """Wait, then look."""
        with self._away(1):
            return self.inner.exists(address)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write at once."""
        self.inner.put_many(items)

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write at once."""
        return self.inner.put_if_absent(address, data)

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete at once."""
        self.inner.delete_many(addresses)

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete at once."""
        self.inner.delete_prefix(prefix)

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Move at once."""
        self.inner.move_many(pairs)

    def zarr_store(self) -> ZarrStore:
        """Give a zarr-python store that is as far away."""
        return StorageStore(self)
