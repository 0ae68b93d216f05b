"""A store as it was when it was opened: its root, its levels, its cache."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from threading import Lock

from zarr_vectors.constants import PARAMETRIC
from zarr_vectors.lazy.cache import CachedStorage, RangeCache
from zarr_vectors.lazy.kinds import Kind, kind_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.opening import as_allowed
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.changes import changes_of
from zarr_vectors.storage.journal import overlay
from zarr_vectors.storage.lock import JOURNAL_FOLDER
from zarr_vectors.storage.port import Listing, Storage, get_whole


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open store as it was; changes to it are seen by opening it anew.

    Parameters
    ----------
    store : StoreReader
        The open store, which reads through the cache.
    levels : tuple of int
        Levels, ascending.
    kind : Kind
        How its geometry is read.
    cache : RangeCache
        What has been read.
    changes : int
        How many changes of the store this process had noted before.
    opening : dict of int to Lock
        Held while a level is opened, so that each is opened once, and others at the same time.
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
        """Return a level, opened on first use; ``own`` as :meth:`StoreReader.level` takes it.

        Raises
        ------
        UnknownNameError
            When the store has no such level.
        """
        with self.opening[number]:
            return self.store.level(number, own=own)
