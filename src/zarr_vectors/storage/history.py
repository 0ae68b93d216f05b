"""Merging and rebasing branches of an Icechunk repository."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.differences import Change, change_between
from zarr_vectors.storage.merging import apply_change
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.repository import icechunk
from zarr_vectors.storage.session_keys import SessionKeys
from zarr_vectors.storage.versioned import MergeRules

View: TypeAlias = Callable[[SessionKeys], Storage]
"""Gives what a session holds as a storage for reading."""

_MERGED = "zarr_vectors_merged"
"""Entry of a version's metadata: the versions of other branches whose changes it brought in."""


def bring_over(
    repository: Any, url: str, name: str, into: str, message: str, rules: MergeRules | None, view: View
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
    rules : MergeRules, optional
        What belongs together in the store.
    view : callable
        Gives a session as a storage for reading.

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
    apply_change(change, other, target, rules)
    target.settle()
    if not target.changed:
        return None
    _check(target, (change.after, other.after), rules, view)
    try:
        return str(target.session.commit(message, metadata={_MERGED: [str(theirs)]}))
    except icechunk().ConflictError as error:
        raise StoreError(f"{url}: branch {into!r} got another version meanwhile; merge again") from error


def move_onto(
    repository: Any, url: str, pending: SessionKeys, branch: str, base: str, rules: MergeRules | None, view: View
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
    rules : MergeRules, optional
        What belongs together in the store.
    view : callable
        Gives a session as a storage for reading.

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
        for identifier, message, merged in own:
            target = SessionKeys(repository.writable_session(scratch), url)
            apply_change(_committed(repository, url, before, identifier), other, target, rules)
            target.settle()
            if target.changed:
                target.session.commit(message, metadata={_MERGED: merged} if merged else None)
            before = identifier
        moved = SessionKeys(repository.writable_session(scratch if base != branch else branch), url)
        change = change_between(_at(repository, url, start), pending, pending.session.status())
        apply_change(change, other, moved, rules)
        _check(moved, (pending, other.after), rules, view)
        if base != branch:
            repository.reset_branch(branch, repository.lookup_branch(scratch), from_snapshot_id=start)
            moved = SessionKeys(repository.writable_session(branch), url)
            apply_change(change, other, moved, rules)
    return moved


def _at(repository: Any, url: str, identifier: str) -> SessionKeys:
    return SessionKeys(repository.readonly_session(snapshot_id=identifier), url)


def _committed(repository: Any, url: str, start: str, stop: str) -> Change:
    """Give what was changed between two versions, the first of which is in the past of the other."""
    before, after = _at(repository, url, start), _at(repository, url, stop)
    line = {str(info.id) for info in _line(repository, start)}
    fork = next((str(info.id) for info in _line(repository, stop) if info.id in line), None)
    if fork is None:
        raise StoreError(f"{url}: the version that {start} and {stop} started from is gone, so they cannot be compared")
    keys: frozenset[str] = frozenset()
    for end in {start, stop} - {fork}:  # Icechunk compares versions of one line, and merges lead to others
        differences = repository.diff(from_snapshot_id=fork, to_snapshot_id=end)
        keys |= change_between(_at(repository, url, fork), _at(repository, url, end), differences).keys
    return Change(before, after, keys)


def _shared(repository: Any, one: str, two: str) -> str:
    """Give the latest version that two versions have in their past, through merges too."""
    parents: dict[str, list[str]] = {}
    pasts = [_past(repository, tip, parents) for tip in (one, two)]
    common = [identifier for identifier in pasts[1] if identifier in pasts[0]]
    older = {above for identifier in common for above in parents[identifier]}
    shared = next((identifier for identifier in common if identifier not in older), None)
    if shared is None:
        raise StoreError(f"versions {one} and {two} share no earlier version that is still there")
    return shared


def _past(repository: Any, tip: str, parents: dict[str, list[str]]) -> dict[str, None]:
    """Give all versions that a version follows from, itself and those of the branch first; note their parents."""
    known: dict[str, None] = {}
    tips = [tip]
    while tips:
        start = tips.pop(0)
        if start in known:
            continue
        for info in _line(repository, start):
            if info.id in known:
                break
            known[str(info.id)] = None
            merged = _merged_into(info)
            parents[str(info.id)] = [*merged, *([] if info.parent_id is None else [str(info.parent_id)])]
            tips += merged
    return known


def _line(repository: Any, tip: str) -> Iterator[Any]:
    """Give a version and those before it; none where it was removed, as by garbage collection."""
    try:
        yield from repository.ancestry(snapshot_id=tip)
    except icechunk().IcechunkError:
        return


def _merged_into(info: Any) -> list[str]:
    """Give the versions of other branches whose changes a version brought in."""
    merged = dict(info.metadata or {}).get(_MERGED)
    return [str(one) for one in merged] if isinstance(merged, list) else []


def _between(repository: Any, start: str, stop: str) -> list[tuple[str, str, list[str]]]:
    """Give identifiers and messages of the versions after one up to another, and what they merged, earliest first.

    Where the first came into the line of the other by a merge, what followed from it is one version.
    """
    found: list[tuple[str, str, list[str]]] = []
    for info in repository.ancestry(snapshot_id=stop):
        if info.id == start:
            return found[::-1]
        found.append((str(info.id), str(info.message), _merged_into(info)))
    return [(stop, found[0][1], sorted({one for _, _, merged in found for one in merged if one != start}))]


def _check(merged: SessionKeys, sides: tuple[SessionKeys, ...], rules: MergeRules | None, view: View) -> None:
    """Refuse what has problems that neither side has.

    Raises
    ------
    StoreError
        Naming the first of them.
    """
    if rules is None:
        return
    found = rules.problems(view(merged))
    if found:
        known = {problem for side in sides for problem in rules.problems(view(side))}
        new = [problem for problem in found if problem not in known]
        if new:
            raise StoreError(
                f"{merged.url}: both sides changed what does not go together: {new[0]}. Nothing was merged, and both "
                "are as they were; make one of the changes anew on top of the other"
            )


@contextmanager
def _scratch_branch(repository: Any, identifier: str) -> Iterator[str]:
    name = f"zarr-vectors-rebase-{uuid.uuid4().hex[:12]}"
    repository.create_branch(name, identifier)
    try:
        yield name
    finally:
        repository.delete_branch(name)
