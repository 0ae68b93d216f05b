"""Storages that keep versions of what they hold: commits and branches."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from zarr_vectors.storage.icechunk.keys import Change, SessionKeys
from zarr_vectors.storage.port import Storage


class MergeRules(Protocol):
    """What belongs together in a store, so that changes of two sides may not be brought together blindly."""

    def merged(self, address: str, before: bytes | None, ours: bytes, theirs: bytes) -> bytes | None:
        """Merge a metadata document that two sides changed or made; None where the changes exclude each other."""

    def conflicts(self, mine: Change, theirs: Change) -> set[str]:
        """Give addresses of what either side changed that does not go with what the other changed elsewhere."""

    def finish(self, mine: Change, theirs: Change, target: SessionKeys) -> None:
        """Bring up to date what follows from the changes of both sides together."""

    def problems(self, storage: Storage) -> list[str]:
        """Say what is wrong with a store, as far as that is known without reading all of it."""


class VersionedStorage(Storage, Protocol):
    """What a storage with transactions of its own offers besides the port."""

    @property
    def session(self) -> Any:
        """The session of the transactional library, for what is not offered here."""

    def commit(self, message: str) -> str:
        """Make pending changes a version; give its identifier. Writing may go on afterwards."""

    def discard_changes(self) -> None:
        """Forget pending changes."""

    def branch(self, name: str, from_snapshot_id: str | None = None) -> str:
        """Make a branch at a version (that of this session by default); give the version's identifier."""

    def switch_branch(self, name: str) -> None:
        """Go on at the tip of a branch; pending changes are forgotten."""

    def merge_branch(self, name: str, message: str, rules: MergeRules | None = None) -> str | None:
        """Bring the changes of a branch into this one; give the new version's identifier, if there is one."""

    def rebase(self, base: str, rules: MergeRules | None = None) -> None:
        """Put the pending changes on top of the tip of a branch."""

    def gathering(self) -> Storage:
        """Give the same place with changes that stay pending until `commit`, whoever makes them."""

    def unit(self) -> AbstractContextManager[None]:
        """Make the changes of a block all or nothing: undone where it raises.

        At the end of the outermost block they are committed, unless the storage gathers changes.
        """

    def fork(self) -> Storage:
        """Give a storage with the same content, to be changed without this one changing."""

    def adopt(self, fork: Storage) -> None:
        """Take over the content of a fork; outside of a unit it is committed, unless the storage gathers changes."""


_OFFERED = ("session", "commit", "branch", "merge_branch", "unit", "fork", "adopt")


def versions_of(storage: object) -> VersionedStorage | None:
    """Give a storage that keeps versions as such, else ``None``; nothing is asked of it."""
    kind = type(storage)
    return storage if all(hasattr(kind, name) for name in _OFFERED) else None  # type: ignore[return-value]


def gathering(storage: Storage) -> Storage:
    """Give a storage whose changes stay pending until they are committed, where it keeps versions."""
    versions = versions_of(storage)
    return storage if versions is None else versions.gathering()
