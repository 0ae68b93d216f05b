"""Which stores this process has changed, so that what keeps something of one knows when to forget it."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Final

from zarr_vectors.storage.port import Storage

_changes: Final[Counter[str]] = Counter()
_guard: Final = Lock()


def note_change(storage: Storage) -> None:
    """Note that a store may have been changed by this process."""
    with _guard:
        _changes[storage.url] += 1


def changes_of(storage: Storage) -> int:
    """Return how often changes of a store have been noted, of any storage with the same URL."""
    return _changes[storage.url]
