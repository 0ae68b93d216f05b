"""A storage that fails, delays, truncates or kills at a chosen request, and one whose listings lag."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.storage.adapter import StorageStore
from zarr_vectors.storage.layers import Layer
from zarr_vectors.storage.port import Blob, BlobParts, Listing, Range, Storage, ZarrStore, parts_of
from zarr_vectors.testing.storage import WRITES, SimulatedCrashError
from zarr_vectors.typing import Bytes

Action: TypeAlias = Literal["fail", "delay", "truncate", "kill"]
"""What becomes of the chosen request."""

ACTIONS: tuple[Action, ...] = ("fail", "delay", "truncate", "kill")
KINDS = frozenset({"get", "list", "put", "delete", "move"})
"""The kinds of request."""


def die() -> None:
    """End this process at once, as ``kill -9`` does; nothing is cleaned up."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)


@dataclass(slots=True)
class FaultyStorage(Layer):
    """A storage in which something happens to the k-th request of some kinds.

    Calls with many items are made one item at a time, so that they can be cut in their middle.

    Attributes
    ----------
    inner : Storage
        Does the work.
    at : int, optional
        The request, counted from 1; ``None`` lets all pass, to count them.
    kinds : collection of str
        Which requests count: ``"get"``, ``"list"``, ``"put"``, ``"delete"``, ``"move"``.
    action : {"fail", "delay", "truncate", "kill"}
        Raise `error`; wait `seconds` first; hand over half of the bytes (of what is read; of what is written, and raise
        `error` then); end the process.
    error : function
        Makes what is raised; a :class:`SimulatedCrashError` by default.
    times : int, optional
        To how many requests it happens, from the chosen one on; ``None`` for all of them. A storage that crashed stays
        so for requests of all kinds.
    seconds : float
        For ``"delay"``.
    requests : int
        How many have been counted.
    """

    inner: Storage
    at: int | None = None
    kinds: Collection[str] = WRITES
    action: Action = "fail"
    error: Callable[[], Exception] | None = None
    times: int | None = 1
    seconds: float = 0.05
    requests: int = 0
    crashed: bool = False
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        """Check the names."""
        if self.action not in ACTIONS:
            raise ArgumentError(f"action: {self.action!r} is not one of {', '.join(ACTIONS)}")
        if unknown := set(self.kinds) - KINDS:
            raise ArgumentError(f"kinds: {sorted(unknown)} are not among {', '.join(sorted(KINDS))}")

    def _meets(self, kind: str) -> bool:
        """Count a request; say whether its bytes are to be truncated."""
        with self._guard:
            if self.crashed:
                raise SimulatedCrashError(f"crashed at request {self.at}")
            if kind not in self.kinds:
                return False
            self.requests += 1
            if self.at is None or self.requests < self.at:
                return False
            if self.times is not None and self.requests >= self.at + self.times:
                return False
        if self.action == "kill":
            die()
        if self.action == "delay":
            time.sleep(self.seconds)
        elif self.action == "fail":
            raise self._failure(kind)
        return self.action == "truncate"

    def _failure(self, kind: str) -> Exception:
        if self.error is not None:
            return self.error()
        self.crashed = True
        return SimulatedCrashError(f"crash at request {self.requests} ({kind})")

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read, one request an item."""
        cut = [self._meets("get") for _ in requests]
        blobs = self.inner.get_many(requests)
        return [half(blob) if short else blob for blob, short in zip(blobs, cut, strict=True)]

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List, as one request."""
        self._meets("list")
        return self.inner.list_folders(prefixes)

    def list_all(self, prefix: str = "") -> list[str]:
        """List, as one request."""
        self._meets("list")
        return self.inner.list_all(prefix)

    def exists(self, address: str) -> bool:
        """Look, as one reading request."""
        self._meets("get")
        return self.inner.exists(address)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write, one request an item."""
        for address, data in items:
            if self._meets("put"):
                self.inner.put_many([(address, half(b"".join(parts_of(data))) or b"")])
                raise self._failure("put")
            self.inner.put_many([(address, data)])

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write, as one request."""
        if self._meets("put"):
            self.inner.put_if_absent(address, bytes(half(bytes(data)) or b""))
            raise self._failure("put")
        return self.inner.put_if_absent(address, data)

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete, one request an item."""
        for address in addresses:
            self._meets("delete")
            self.inner.delete_many([address])

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete, one request an object."""
        self.delete_many(self.inner.list_all(prefix))

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Move, in two requests an item: where the second of them is the chosen one, the copy has been made."""
        for source, target in pairs:
            self._meets("move")
            blob = self.inner.get_many([Range(source)])[0]
            if blob is not None:
                self.inner.put_many([(target, blob)])
            self._meets("move")
            self.inner.delete_many([source])

    def zarr_store(self) -> ZarrStore:
        """Give a zarr-python store whose requests count here."""
        return StorageStore(self)


def half(blob: Blob | None) -> Blob | None:
    """Give the first half of what was read."""
    return None if blob is None else blob[: len(blob) // 2]


@dataclass(slots=True)
class LaggingStorage(FaultyStorage):
    """A storage whose listings do not know the last requests yet: new objects are hidden, deleted ones still shown.

    Attributes
    ----------
    lag : int
        How many of the last requests that write, move or delete the listings do not know.
    """

    lag: int = 8
    _recent: deque[tuple[str, bool]] = field(default_factory=deque, repr=False)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write what listings hide for a while."""
        for address, data in items:
            is_new = not self.inner.exists(address)
            self.inner.put_many([(address, data)])
            if is_new:
                self._note(address, True)

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write what listings hide for a while; the condition is about what is there."""
        done = self.inner.put_if_absent(address, data)
        if done:
            self._note(address, True)
        return done

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete what listings show for a while."""
        for address in addresses:
            if self.inner.exists(address):
                self.inner.delete_many([address])
                self._note(address, False)

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Move what listings show at its old place for a while."""
        for source, target in pairs:
            if self.inner.exists(source):
                self.inner.move_many([(source, target)])
                self._note(target, True)
                self._note(source, False)

    def list_all(self, prefix: str = "") -> list[str]:
        """List what was there a few requests ago."""
        found = set(self.inner.list_all(""))
        for address, was_put in reversed(self._recent):
            (found.discard if was_put else found.add)(address)
        start = f"{prefix}/" if prefix else ""
        return sorted(address for address in found if address.startswith(start))

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List what was there a few requests ago."""
        found = self.list_all()
        listings = []
        for prefix in prefixes:
            start = f"{prefix}/" if prefix else ""
            rest = [address[len(start) :].partition("/") for address in found if address.startswith(start)]
            folders, files = {name for name, mark, _ in rest if mark}, {name for name, mark, _ in rest if not mark}
            listings.append(Listing(sorted(folders), sorted(files)))
        return listings

    def _note(self, address: str, was_put: bool) -> None:
        self._recent.append((address, was_put))
        while len(self._recent) > self.lag:
            self._recent.popleft()
