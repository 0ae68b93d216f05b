"""Commits and branches of stores whose storage keeps versions; on others, writes are final at once."""

from __future__ import annotations

from typing import Any

from zarr_vectors.core.group import Group
from zarr_vectors.exceptions import ArgumentError, StoreError
from zarr_vectors.formats.merge_rules import StoreRules
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.versioned import VersionedStorage, versions_of
from zarr_vectors.validate import validate

_STRUCTURE = 2
"""Level of validation that reads documents only."""


def session_for(group: Group) -> Any | None:
    """Return the session of the transactional library behind a group, or None where there is none."""
    versions = versions_of(group.handle.storage)
    return None if versions is None else versions.session


def commit(group: Group, message: str = "zarr-vectors write") -> str | None:
    """Make pending changes a version of the store.

    Parameters
    ----------
    group : Group
        Any group of the store.
    message : str
        What was done; not empty where versions are kept.

    Returns
    -------
    str or None
        Identifier of the version; None on storages without versions, where nothing is pending and nothing is done.

    Raises
    ------
    ArgumentError
        The message is empty or no string.
    ReadOnlyStoreError
        The store was opened for reading.
    """
    versions = versions_of(group.handle.storage)
    if versions is None:
        return None
    _check_message(message, "done")
    group.handle.require_writable()
    try:
        return versions.commit(message)
    finally:
        group.handle.invalidate()


def discard_changes(group: Group) -> None:
    """Forget pending changes; on storages without versions there are none."""
    versions = versions_of(group.handle.storage)
    if versions is not None:
        versions.discard_changes()
        group.handle.invalidate()


def branch(group: Group, name: str, *, from_snapshot_id: str | None = None) -> str:
    """Make a branch.

    Parameters
    ----------
    group : Group
        Any group of the store.
    name : str
        Name of the branch.
    from_snapshot_id : str, optional
        Version that it starts at; that of the group by default.

    Returns
    -------
    str
        Identifier of the version that it starts at.

    Raises
    ------
    ArgumentError
        The name or the identifier is empty or no string.
    StoreError
        The storage keeps no versions, has a branch of the name already, or has no such version.
    """
    return _required(group, "branch").branch(name, from_snapshot_id)


def switch_branch(group: Group, name: str) -> None:
    """Go on at the tip of a branch; all groups of the open store do, and pending changes are forgotten.

    Raises
    ------
    ArgumentError
        The name is empty or no string.
    StoreError
        The storage keeps no versions, has no such branch, or was opened with `snapshot_id` or `tag`.
    """
    _required(group, "switch_branch").switch_branch(name)
    group.handle.invalidate()


def merge_branch(group: Group, name: str, *, message: str = "merge branch") -> str | None:
    """Bring the changes of a branch into the branch of a group; what was merged before is not merged again.

    Returns
    -------
    str or None
        Identifier of the new version; None where the branch has nothing that is not here.

    Raises
    ------
    ArgumentError
        The message is empty or no string.
    StoreError
        The storage keeps no versions, or both branches changed the same, or what does not go together.
    """
    _check_message(message, "merged")
    merged = _required(group, "merge_branch").merge_branch(name, message, _RULES)
    group.handle.invalidate()
    return merged


def rebase(group: Group, base: str = "main") -> None:
    """Put the pending changes of a group on top of the tip of a branch.

    Raises
    ------
    StoreError
        The storage keeps no versions, or the changes conflict.
    """
    _required(group, "rebase").rebase(base, _RULES)
    group.handle.invalidate()


def _check_message(message: object, what: str) -> None:
    if not isinstance(message, str) or not message.strip():
        raise ArgumentError(f"message: say in a few words what was {what}, got {message!r}")


def _problems(storage: Storage) -> list[str]:
    """Say what is wrong with the documents of a store."""
    return [f"{one.path}: {one.message}" for one in validate(storage, level=_STRUCTURE).errors]


_RULES = StoreRules(_problems)


def _required(group: Group, what: str) -> VersionedStorage:
    versions = versions_of(group.handle.storage)
    if versions is None:
        raise StoreError(
            f"{what}: {group.handle.storage.url} is reached through {group.backend.name!r}, which keeps no versions; "
            "branches need a transactional backend"
        )
    return versions
