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

from zarr_vectors.storage.journal import is_final
from zarr_vectors.storage.latest import LATEST_ADDRESS, Latest, parse_latest, read_latest
from zarr_vectors.storage.port import Blob, Range, Storage

_COMPARED_BYTES = 64 * 1024
"""How much of a document is compared: more than what changes write, less than consolidated metadata may take."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a store was found when it was opened.

    Attributes
    ----------
    storage : Storage
        The store, without the changes that are looked through.
    beginnings : dict of str to bytes or None
        The first bytes of the documents that were read together with the record.
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
        return cls(storage, {} if final else {name: _beginning(blob) for name, blob in first.items()}, latest, final)

    def holds(self) -> bool:
        """Say whether all that was read since is of one state; costs one round, or three during a change."""
        requests = [Range(LATEST_ADDRESS), *(Range(name, 0, _COMPARED_BYTES) for name in self.beginnings)]
        record, *blobs = self.storage.get_many(requests)
        latest = parse_latest(record)
        if latest is not None and latest.identifier in self.final:
            return True
        if latest != self.latest:
            return False
        if any(_beginning(blob) != old for blob, old in zip(blobs, self.beginnings.values(), strict=True)):
            return False
        if latest is None or latest.is_in_place:
            return True
        return not is_final(self.storage, latest.identifier) and read_latest(self.storage) == latest


def _beginning(blob: Blob | None) -> bytes | None:
    return None if blob is None else bytes(blob[:_COMPARED_BYTES])


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
