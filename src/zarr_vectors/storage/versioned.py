"""Storages that keep versions of what they hold: commits and branches."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class VersionedStorage(Protocol):
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

    def merge_branch(self, name: str, message: str) -> str | None:
        """Bring the changes of a branch into this one; give the new version's identifier, if there is one."""

    def rebase(self, base: str) -> None:
        """Put the pending changes on top of the tip of a branch."""


def versions_of(storage: object) -> VersionedStorage | None:
    """Give a storage that keeps versions as such, else ``None``."""
    return storage if isinstance(storage, VersionedStorage) else None
