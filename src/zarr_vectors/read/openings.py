"""Whether a store was changed since it was opened, where changes are recorded.

A change writes its record before anything of the store is altered, and again when all of it is in place. So what was
read between two readings of the record is of one state where both give the same and no change was under way; the
documents that were read in the same round as the first record are compared, since they may be older than it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from zarr_vectors.storage.consolidated import CONSOLIDATED
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.journal import is_final
from zarr_vectors.storage.latest import LATEST_ADDRESS, Latest, parse_latest, read_latest
from zarr_vectors.storage.port import Blob, Range, Storage

_CONSOLIDATED = f'"{CONSOLIDATED}"'.encode()


@dataclass(frozen=True, slots=True)
class Opening:
    """How a store was found when it was opened.

    Attributes
    ----------
    storage : Storage
        The store, without the changes that are looked through.
    beginnings : dict of str to bytes or None
        The documents that were read together with the record, that of the root without consolidated metadata.
    latest : Latest or None
        The record.
    final : frozenset of str
        Changes that are looked through: all that was read is as they leave it.
    """

    storage: Storage
    beginnings: dict[str, bytes | None]
    latest: Latest | None
    final: frozenset[str]

    @classmethod
    def of(
        cls, storage: Storage, first: Mapping[str, Blob | None], latest: Latest | None, final: frozenset[str]
    ) -> Opening:
        """Note how a store was found; `first` is what was read of it at once."""
        return cls(
            storage, {} if final else {name: _beginning(name, blob) for name, blob in first.items()}, latest, final
        )

    def holds(self) -> bool:
        """Say whether all that was read since is of one state; costs one round, or three during a change."""
        compared = [Range(name, 0, len(old or b"") + 1) for name, old in self.beginnings.items()]
        requests = [Range(LATEST_ADDRESS), *compared]
        record, *blobs = self.storage.get_many(requests)
        latest = parse_latest(record)
        if latest is not None and latest.identifier in self.final:
            return True
        if latest != self.latest:
            return False
        found = {name: _beginning(name, blob) for name, blob in zip(self.beginnings, blobs, strict=True)}
        if found != self.beginnings:
            return False
        if latest is None or latest.is_in_place:
            return True
        return not is_final(self.storage, latest.identifier) and read_latest(self.storage) == latest


def _beginning(name: str, blob: Blob | None) -> bytes | None:
    """Return a document; that of the root up to consolidated metadata, which may be large, and which changes remove."""
    if blob is None:
        return None
    document = bytes(blob)
    if name != DOCUMENT_NAME:
        return document
    before, key, _ = document.partition(_CONSOLIDATED)
    return before + key


_noted: ContextVar[list[Opening] | None] = ContextVar("openings", default=None)


@contextmanager
def noted() -> Iterator[list[Opening]]:
    """Collect how stores are found that are opened during a block."""
    openings: list[Opening] = []
    token = _noted.set(openings)
    try:
        yield openings
    finally:
        _noted.reset(token)


def note(opening: Opening) -> None:
    """Note how a store was found, where anybody wants to know."""
    openings = _noted.get()
    if openings is not None:
        openings.append(opening)
