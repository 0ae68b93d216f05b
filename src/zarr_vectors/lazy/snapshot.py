"""An open store: a cache of what was read of it, what it was when it was opened, and opening it anew."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from zarr_vectors.constants import PARAMETRIC
from zarr_vectors.exceptions import (
    ArgumentError,
    ArrayError,
    MetadataError,
    StoreChangedError,
    StoreError,
    ZarrVectorsError,
)
from zarr_vectors.lazy.kinds import GeometryResult, Kind, kind_of
from zarr_vectors.model.grid import is_level
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.opening import as_allowed
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.arrays import ZarrArray, open_array
from zarr_vectors.storage.changes import changes_of
from zarr_vectors.storage.guarded import ReadOnlyStorage
from zarr_vectors.storage.journal import overlay
from zarr_vectors.storage.lock import JOURNAL_FOLDER
from zarr_vectors.storage.port import Blob, Listing, Range, Storage, get_whole

DEFAULT_CACHE_SIZE: Final = 128 << 20
"""Bytes that a dataset keeps unless told otherwise."""

ENTRY_COST: Final = 256
"""Bytes that an entry counts for besides its data: its key and its place."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """An entry of the cache; ``blob`` is None where the store has nothing at the address."""

    blob: bytes | None

    @property
    def cost(self) -> int:
        """Bytes that the entry counts for."""
        return ENTRY_COST + (0 if self.blob is None else len(self.blob))


class RangeCache:
    """Byte ranges as they were read, the least recently used leaving first; safe between threads.

    At most `budget` bytes are kept, :data:`ENTRY_COST` an entry included; 0 keeps nothing.
    """

    def __init__(self, budget: int = DEFAULT_CACHE_SIZE) -> None:
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 0:
            raise ArgumentError(f"cache_size: expected a number of bytes, 0 or more, got {budget!r}")
        self._budget = budget
        self._entries: OrderedDict[Range, CacheEntry] = OrderedDict()
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

    def find(self, requests: Sequence[Range]) -> list[CacheEntry | None]:
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
        entries = [(request, CacheEntry(None if blob is None else bytes(blob))) for request, blob in pairs]
        with self._lock:
            if self._closed:
                return
            for request, kept in entries:
                self._put(request, kept)

    def _put(self, request: Range, kept: CacheEntry) -> None:
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
    """A view of a storage for reading that asks only for what its cache does not hold."""

    cache: RangeCache = field(default_factory=RangeCache)

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges: those that are kept without a request, the others in one round."""
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open store as it was; changes to it are seen by opening it anew.

    `changes` counts those that this process had noted before. A lock of `opening` is held while its level is opened,
    so that each is opened once, and others at the same time.
    """

    store: StoreReader
    levels: tuple[int, ...]
    kind: Kind
    cache: RangeCache
    changes: int
    opening: dict[int, Lock]

    @classmethod
    def open(cls, storage: Storage, cache_size: int) -> Snapshot:
        """Open a store: one round lists its root and its journals, a second reads its metadata.

        A store of parametric objects on a server that cannot list costs one more.
        """
        return as_allowed(storage, lambda: cls._open(storage, cache_size))

    @classmethod
    def _open(cls, storage: Storage, cache_size: int) -> Snapshot:
        cache, changes = RangeCache(cache_size), changes_of(storage)
        listing, view = Listing([], []), storage
        if storage.can_list:
            listing, journals = storage.list_folders(["", JOURNAL_FOLDER])
            if journals.folders and (through := overlay(storage)) is not None:
                view = through
                listing = view.list_folders([""])[0]
        store = StoreReader.open(CachedStorage(view, cache))
        if storage.can_list:
            levels = sorted(int(name) for name in listing.folders if name.isdecimal() and name.isascii())
        else:
            levels = store.level_numbers() or [0]
        parametric = PARAMETRIC in listing.folders
        if not storage.can_list and not store.root.geometry_types:
            parametric = get_whole(store.storage, [f"{PARAMETRIC}/zarr.json"])[0] is not None
        kind = kind_of(store.root.geometry_types, parametric=parametric)
        opening = defaultdict(Lock, {number: Lock() for number in levels})
        return cls(store, tuple(levels), kind, cache, changes, opening)

    def level(self, number: int, *, own: bool = False) -> LevelReader:
        """Return a level, opened on first use; ``own`` as :meth:`StoreReader.level` takes it."""
        with self.opening[number]:
            return self.store.level(number, own=own)


T = TypeVar("T")


class OpenStore:
    """An open store, which a dataset and its levels share: as it was when it was opened, and opened anew after changes.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    cache_size : int
        Bytes that are kept of what was read.
    n_workers : int
        Threads that read ahead.

    Raises
    ------
    StoreNotFoundError, StoreError, MetadataError
        When there is no store, or it cannot be read.
    """

    def __init__(self, storage: Storage, *, cache_size: int, n_workers: int) -> None:
        self._storage = storage
        self._cache_size = cache_size
        self._n_workers = n_workers
        self._reloading = Lock()
        self._snapshot: Snapshot | None = Snapshot.open(storage, cache_size)

    @property
    def snapshot(self) -> Snapshot:
        """The store as it was when it was opened or reloaded, which a change by this process makes it do.

        Raises
        ------
        StoreError
            When the dataset was closed, or there is no store any more.
        """
        snapshot = self._open_snapshot()
        if snapshot.changes == changes_of(self._storage):
            return snapshot
        with self._reloading:
            if self._snapshot is snapshot:
                self._snapshot = Snapshot.open(self._storage, self._cache_size)
        return self._open_snapshot()

    def _open_snapshot(self) -> Snapshot:
        if self._snapshot is None:
            raise StoreError(f"{self.url}: this dataset is closed; open it again with open_zv")
        return self._snapshot

    @property
    def reader(self) -> StoreReader:
        """The open store, read through the cache."""
        return self.snapshot.store

    @property
    def storage(self) -> Storage:
        """Where the store is, past the cache; call :meth:`reload` after changing anything there."""
        self._open_snapshot()
        return self._storage

    @property
    def root(self) -> RootMetadata:
        """Metadata of the root."""
        return self.reader.root

    @property
    def url(self) -> str:
        """Where the store is, without credentials."""
        return self._storage.url

    @property
    def mode(self) -> str:
        """``"r"``, or ``"r+"`` where the store can be changed."""
        return "r" if self._storage.read_only else "r+"

    @property
    def closed(self) -> bool:
        """Whether the dataset was closed."""
        return self._snapshot is None

    @property
    def cache(self) -> RangeCache:
        """What has been read and is kept."""
        return self.snapshot.cache

    @property
    def n_workers(self) -> int:
        """Threads that read ahead."""
        return self._n_workers

    @property
    def geometry_type(self) -> str | None:
        """What the store holds: the first of :attr:`geometry_types`, ``"parametric"``, or None for an empty shell."""
        if self.geometry_types or not self.snapshot.kind.has_levels:
            return self.snapshot.kind.name
        return None

    @property
    def geometry_types(self) -> tuple[str, ...]:
        """Geometry types that the root names."""
        return self.root.geometry_types

    def open_levels(self) -> list[LevelReader]:
        """Return every level opened, in the order of :attr:`levels`; those that are not yet are opened together."""
        snapshot = self.snapshot
        if len(snapshot.levels) < 2 or self._n_workers == 1:
            return [snapshot.level(number, own=True) for number in snapshot.levels]
        with ThreadPoolExecutor(min(self._n_workers, len(snapshot.levels))) as pool:
            return list(pool.map(partial(snapshot.level, own=True), snapshot.levels))

    def read_level(self, level: int, query: Mapping[str, Any], options: Mapping[str, Any]) -> GeometryResult:
        """Read a level with the reader of the kind; `query` holds what every kind has, `options` what this one has."""
        number = self.check_level(level)
        snapshot = self.snapshot
        if snapshot.kind.has_levels:
            snapshot.level(number, own=True)  # one at a time, where several threads read
        return snapshot.kind.read(snapshot.store, number, query, options)

    def raw_array(self, path: str) -> ZarrArray:
        """Open a stored array with zarr-python: for experts, without any meaning of the format.

        Parameters
        ----------
        path : str
            Path below the root, for example ``"0/vertices"`` (revision 0.9) or ``"0/vertices/0.0.0"`` (0.7).

        Returns
        -------
        zarr.Array
            Read through the cache; zarr-python raises its own ``ValueError`` for writes. Under ``mode="r+"`` it can be
            written to, past the cache: call :meth:`reload` after.

        Raises
        ------
        UnknownNameError, ArrayError
            When nothing, or a group, is at the path.
        """
        snapshot = self.snapshot
        return open_array(snapshot.store.storage if self._storage.read_only else self._storage, path)

    def reload(self) -> None:
        """Forget what was read, and open the store anew: it has changed. Levels that are held see the change.

        Changes that functions of this package make in this process need no call; those of other processes do, and
        what is written to :attr:`storage` or :meth:`raw_array` directly.

        Raises
        ------
        StoreError
            When the dataset was closed, or there is no store any more.
        """
        self._open_snapshot()
        with self._reloading:
            self._snapshot = Snapshot.open(self._storage, self._cache_size)

    def opened_anew(self) -> Self:
        """Return another of the same store as it is now, which keeps nothing of what it reads."""
        return type(self)(self._storage, cache_size=0, n_workers=self._n_workers)

    def close(self) -> None:
        """Free the cache; what is used afterwards raises ``StoreError``. Closing twice does nothing."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.cache.close()

    def __enter__(self) -> Self:
        """Give the dataset itself."""
        assert self.snapshot
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def check_level(self, level: int) -> int:
        """Return the number of a level, refusing one that the store does not have."""
        if not (is_level(level) and level in self.snapshot.levels):
            self.reader.level(level, own=True)  # says what is there, or finds a level that the root does not list
        return int(level)

    def reading(self, function: Callable[[Self], T]) -> T:
        """Return what a function reads, telling a store that is damaged from one that another process has changed.

        Where the store looks damaged the same is tried with the store opened anew: when that works, what is remembered
        (indexes, cells) was out of date. Nothing is asked as long as reading works.
        """
        try:
            return function(self)
        except (ArrayError, MetadataError) as error:
            if self._reads_anew(function):
                raise StoreChangedError(
                    f"{self.url}: the store has changed since it was opened, and what was read before no longer fits; "
                    "call reload() and read again"
                ) from error
            raise

    def _reads_anew(self, function: Callable[[Self], Any]) -> bool:
        """Return whether a function can read from the store as it is now."""
        try:
            with self.opened_anew() as anew:
                function(anew)
        except ZarrVectorsError:
            return False
        return True
