"""What has been read, kept up to a budget of bytes, and a storage that asks only for what is not kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from zarr_vectors.exceptions import ArgumentError, StoreError
from zarr_vectors.storage.guarded import ReadOnlyStorage
from zarr_vectors.storage.port import Blob, Range

DEFAULT_CACHE_SIZE: Final = 128 << 20
"""Bytes that a dataset keeps unless told otherwise."""

ENTRY_COST: Final = 256
"""Bytes that an entry counts for besides its data: its key and its place."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry of the cache; ``blob`` is None where the store has nothing at the address."""

    blob: bytes | None

    @property
    def cost(self) -> int:
        """Bytes that the entry counts for."""
        return ENTRY_COST + (0 if self.blob is None else len(self.blob))


class RangeCache:
    """Byte ranges as they were read, the least recently used leaving first; safe between threads.

    Parameters
    ----------
    budget : int
        Bytes that are kept at most, :data:`ENTRY_COST` an entry included; 0 keeps nothing.

    Raises
    ------
    ArgumentError
        When the budget is not a whole number of bytes.
    """

    def __init__(self, budget: int = DEFAULT_CACHE_SIZE) -> None:
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 0:
            raise ArgumentError(f"cache_size: expected a number of bytes, 0 or more, got {budget!r}")
        self._budget = budget
        self._entries: OrderedDict[Range, Kept] = OrderedDict()
        self._lock = Lock()
        self._size = self._hits = self._misses = 0
        self._closed = False

    @property
    def budget(self) -> int:
        """Bytes that are kept at most."""
        return self._budget

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._size

    @property
    def hits(self) -> int:
        """Number of ranges that were answered without a request."""
        return self._hits

    @property
    def misses(self) -> int:
        """Number of ranges that had to be requested."""
        return self._misses

    @property
    def closed(self) -> bool:
        """Whether the dataset that this belongs to was closed."""
        return self._closed

    def __len__(self) -> int:
        """Return the number of ranges kept."""
        return len(self._entries)

    def __repr__(self) -> str:
        """Say how full the cache is."""
        return (
            f"<RangeCache: {len(self)} ranges, {self._size:,} of {self._budget:,} bytes, "
            f"{self._hits} hits, {self._misses} misses>"
        )

    def find(self, requests: Sequence[Range]) -> list[Kept | None]:
        """Return what is kept for each request, None for what is not."""
        with self._lock:
            found = [self._entries.get(request) for request in requests]
            for request, kept in zip(requests, found, strict=True):
                if kept is not None:
                    self._entries.move_to_end(request)
            missing = found.count(None)
            self._hits += len(found) - missing
            self._misses += missing
            return found

    def keep(self, read: Iterable[tuple[Range, Blob | None]]) -> None:
        """Keep what one round has read; a round that is larger than the budget is not kept at all."""
        if not self._budget:
            return
        pairs = list(read)
        if sum(ENTRY_COST + (0 if blob is None else len(blob)) for _, blob in pairs) > self._budget:
            return
        # A view would keep alive the larger buffer that it looks into.
        entries = [(request, Kept(None if blob is None else bytes(blob))) for request, blob in pairs]
        with self._lock:
            if self._closed:
                return
            for request, kept in entries:
                self._put(request, kept)

    def _put(self, request: Range, kept: Kept) -> None:
        old = self._entries.pop(request, None)
        self._size -= 0 if old is None else old.cost
        while self._entries and self._size + kept.cost > self._budget:
            self._size -= self._entries.popitem(last=False)[1].cost
        self._entries[request] = kept
        self._size += kept.cost

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._size = 0

    def close(self) -> None:
        """Forget everything and keep nothing any more; storages that use the cache refuse to read from now on."""
        with self._lock:
            self._closed = True
            self._entries.clear()
            self._size = 0


@dataclass(frozen=True, slots=True)
class CachedStorage(ReadOnlyStorage):
    """A view of a storage for reading that asks only for what its cache does not hold.

    Attributes
    ----------
    cache : RangeCache
        What has been read.
    """

    cache: RangeCache = field(default_factory=RangeCache)

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges: those that are kept without a request, the others in one round.

        Raises
        ------
        StoreError
            When the dataset was closed.
        """
        if self.cache.closed:
            raise StoreError(f"{self.url}: the dataset that this was read through is closed; open it again")
        asked = [Range(*request) for request in requests]
        found = self.cache.find(asked)
        results: list[Blob | None] = [None if kept is None else kept.blob for kept in found]
        missing = [place for place, kept in enumerate(found) if kept is None]
        if missing:
            wanted = [asked[place] for place in missing]
            blobs = self.inner.get_many(wanted)
            for place, blob in zip(missing, blobs, strict=True):
                results[place] = blob
            self.cache.keep(zip(wanted, blobs, strict=True))
        return results
