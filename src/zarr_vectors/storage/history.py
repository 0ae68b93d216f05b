"""Merging and rebasing branches of an Icechunk repository."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.merging import Change, apply_change, change_between
from zarr_vectors.storage.repository import icechunk
from zarr_vectors.storage.session_keys import SessionKeys
from zarr_vectors.storage.versioned import MergeDocuments


def bring_over(
    repository: Any, url: str, name: str, into: str, message: str, merge_documents: MergeDocuments | None
) -> str | None:
    """Merge a branch into another one.

    Parameters
    ----------
    repository : icechunk.Repository
        Holds both branches.
    url : str
        Where it is, for messages.
    name, into : str
        The branch to be merged, and the one that receives it.
    message : str
        What the commit says.
    merge_documents : callable, optional
        Merges metadata documents that both changed.

    Returns
    -------
    str or None
        Identifier of the version that `into` is at now; None where there was nothing to merge.

    Raises
    ------
    StoreError
        Both changed the same, or `into` got another version meanwhile; nothing is changed then.
    """
    theirs, ours = repository.lookup_branch(name), repository.lookup_branch(into)
    base = _shared(repository, theirs, ours)
    if theirs == base:
        return None
    if ours == base:
        repository.reset_branch(into, theirs, from_snapshot_id=ours)
        return str(theirs)
    change = _committed(repository, url, base, theirs)
    other = _committed(repository, url, base, ours)
    target = SessionKeys(repository.writable_session(into), url)
    if target.session.snapshot_id != ours:
        raise StoreError(f"{url}: branch {into!r} got another version meanwhile; merge again")
    apply_change(change, other, target, merge_documents)
    target.settle()
    if not target.changed:
        return None
    try:
        return str(target.session.commit(message))
    except icechunk().ConflictError as error:
        raise StoreError(f"{url}: branch {into!r} got another version meanwhile; merge again") from error


def move_onto(
    repository: Any, url: str, pending: SessionKeys, branch: str, base: str, merge_documents: MergeDocuments | None
) -> SessionKeys:
    """Put a branch and changes that are pending on it on top of the tip of a branch.

    Parameters
    ----------
    repository : icechunk.Repository
        Holds both branches.
    url : str
        Where it is, for messages.
    pending : SessionKeys
        The session, maybe with changes.
    branch, base : str
        The session's branch, and the one whose tip is to be the new start; they may be the same.
    merge_documents : callable, optional
        Merges metadata documents that both changed.

    Returns
    -------
    SessionKeys
        A session of `branch` with the same changes pending.

    Raises
    ------
    StoreError
        Both sides changed the same; nothing is changed then.
    """
    start, tip, top = pending.session.snapshot_id, repository.lookup_branch(branch), repository.lookup_branch(base)
    if base != branch and tip != start:
        raise StoreError(f"{url}: branch {branch!r} has got another version meanwhile: rebase onto {branch!r} first")
    shared = _shared(repository, start, top)
    own = _between(repository, shared, start)
    other = _committed(repository, url, shared, top)
    with _scratch_branch(repository, top) as scratch:
        before = shared
        for identifier, message in own:
            target = SessionKeys(repository.writable_session(scratch), url)
            apply_change(_committed(repository, url, before, identifier), other, target, merge_documents)
            target.settle()
            if target.changed:
                target.session.commit(message)
            before = identifier
        moved = SessionKeys(repository.writable_session(scratch if base != branch else branch), url)
        change = change_between(_at(repository, url, start), pending, pending.session.status())
        apply_change(change, other, moved, merge_documents)
        if base != branch:
            repository.reset_branch(branch, repository.lookup_branch(scratch), from_snapshot_id=start)
            moved = SessionKeys(repository.writable_session(branch), url)
            apply_change(change, other, moved, merge_documents)
    return moved


def _at(repository: Any, url: str, identifier: str) -> SessionKeys:
    return SessionKeys(repository.readonly_session(snapshot_id=identifier), url)


def _committed(repository: Any, url: str, start: str, stop: str) -> Change:
    """Give what was changed between two versions."""
    before, after = _at(repository, url, start), _at(repository, url, stop)
    if start == stop:
        return Change(before, after, frozenset())
    return change_between(before, after, repository.diff(from_snapshot_id=start, to_snapshot_id=stop))


def _shared(repository: Any, one: str, two: str) -> str:
    """Give the latest version that two versions have in their past."""
    known = {info.id for info in repository.ancestry(snapshot_id=one)}
    return str(next(info.id for info in repository.ancestry(snapshot_id=two) if info.id in known))


def _between(repository: Any, start: str, stop: str) -> list[tuple[str, str]]:
    """Give identifiers and messages of the versions after one up to another, earliest first."""
    found: list[tuple[str, str]] = []
    for info in repository.ancestry(snapshot_id=stop):
        if info.id == start:
            break
        found.append((str(info.id), str(info.message)))
    return found[::-1]


@contextmanager
def _scratch_branch(repository: Any, identifier: str) -> Iterator[str]:
    name = f"zarr-vectors-rebase-{uuid.uuid4().hex[:12]}"
    repository.create_branch(name, identifier)
    try:
        yield name
    finally:
        repository.delete_branch(name)
