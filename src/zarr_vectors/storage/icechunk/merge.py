"""Merging and rebasing branches of an Icechunk repository.

Icechunk's own rebase compares names, and may let the last writer win. Here what both sides changed is compared by
content, so that nothing is overwritten silently; what belongs together is for the rules of the format to say.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.documents import DOCUMENT_NAME, parse_document
from zarr_vectors.storage.icechunk.keys import (
    Change,
    SessionKeys,
    change_between,
    in_parts,
    is_document,
    node_of,
    read_bytes,
)
from zarr_vectors.storage.icechunk.repository import icechunk
from zarr_vectors.storage.port import Storage, join
from zarr_vectors.storage.versioned import MergeRules
from zarr_vectors.typing import Document

View: TypeAlias = Callable[[SessionKeys], Storage]
"""Gives what a session holds as a storage for reading."""

_NAMED = 5
_MERGED = "zarr_vectors_merged"
"""Entry of a version's metadata: the versions of other branches whose changes it brought in."""


@dataclass(frozen=True, slots=True)
class Branches:
    """The branches of a repository at `url`; `rules` say what belongs together in the store on them.

    Without rules, all that two sides changed in the levels is a conflict. `view` gives what a session holds as a
    storage for reading.
    """

    repository: Any
    url: str
    rules: MergeRules | None
    view: View

    def bring_over(self, name: str, into: str, message: str) -> str | None:
        """Merge a branch into another one; give the version that `into` is at now, None where nothing was to be merged.

        Where both changed the same, or `into` got another version meanwhile, nothing is changed.
        """
        repository = self.repository
        theirs, ours = repository.lookup_branch(name), repository.lookup_branch(into)
        base = self._shared(theirs, ours)
        if theirs == base:
            return None
        if ours == base:
            repository.reset_branch(into, theirs, from_snapshot_id=ours)
            return str(theirs)
        change = self._committed(base, theirs)
        other = self._committed(base, ours)
        target = SessionKeys(repository.writable_session(into), self.url)
        if target.session.snapshot_id != ours:
            raise StoreError(f"{self.url}: branch {into!r} got another version meanwhile; merge again")
        apply_change(change, other, target, self.rules)
        target.settle()
        if not target.changed:
            return None
        self._check(target, (change.after, other.after))
        try:
            return str(target.session.commit(message, metadata={_MERGED: [str(theirs)]}))
        except icechunk().ConflictError as error:
            raise StoreError(f"{self.url}: branch {into!r} got another version meanwhile; merge again") from error

    def move_onto(self, pending: SessionKeys, branch: str, base: str) -> SessionKeys:
        """Put a branch and changes that are pending on it on top of the tip of a branch, which may be the same.

        Gives a session of `branch` with the same changes pending. Nothing is changed where both sides changed the same.
        """
        repository = self.repository
        start, tip, top = pending.session.snapshot_id, repository.lookup_branch(branch), repository.lookup_branch(base)
        if base != branch and tip != start:
            raise StoreError(
                f"{self.url}: branch {branch!r} has got another version meanwhile: rebase onto {branch!r} first"
            )
        shared = self._shared(start, top)
        own = self._between(shared, start)
        other = self._committed(shared, top)
        with self._scratch_branch(top) as scratch:
            before = shared
            for identifier, message, merged in own:
                target = SessionKeys(repository.writable_session(scratch), self.url)
                apply_change(self._committed(before, identifier), other, target, self.rules)
                target.settle()
                if target.changed:
                    target.session.commit(message, metadata={_MERGED: merged} if merged else None)
                before = identifier
            moved = SessionKeys(repository.writable_session(scratch if base != branch else branch), self.url)
            change = change_between(self._at(start), pending, pending.session.status())
            apply_change(change, other, moved, self.rules)
            self._check(moved, (pending, other.after))
            if base != branch:
                repository.reset_branch(branch, repository.lookup_branch(scratch), from_snapshot_id=start)
                moved = SessionKeys(repository.writable_session(branch), self.url)
                apply_change(change, other, moved, self.rules)
        return moved

    def _at(self, identifier: str) -> SessionKeys:
        return SessionKeys(self.repository.readonly_session(snapshot_id=identifier), self.url)

    def _committed(self, start: str, stop: str) -> Change:
        """Give what was changed between two versions, the first of which is in the past of the other."""
        before, after = self._at(start), self._at(stop)
        line = {str(info.id) for info in self._line(start)}
        fork = next((str(info.id) for info in self._line(stop) if info.id in line), None)
        if fork is None:
            raise StoreError(
                f"{self.url}: the version that {start} and {stop} started from is gone, so they cannot be compared"
            )
        keys: frozenset[str] = frozenset()
        for end in {start, stop} - {fork}:  # Icechunk compares versions of one line, and merges lead to others
            differences = self.repository.diff(from_snapshot_id=fork, to_snapshot_id=end)
            keys |= change_between(self._at(fork), self._at(end), differences).keys
        return Change(before, after, keys)

    def _shared(self, one: str, two: str) -> str:
        """Give the latest version that two versions have in their past, through merges too."""
        parents: dict[str, list[str]] = {}
        pasts = [self._past(tip, parents) for tip in (one, two)]
        common = [identifier for identifier in pasts[1] if identifier in pasts[0]]
        older = {above for identifier in common for above in parents[identifier]}
        shared = next((identifier for identifier in common if identifier not in older), None)
        if shared is None:
            raise StoreError(f"versions {one} and {two} share no earlier version that is still there")
        return shared

    def _past(self, tip: str, parents: dict[str, list[str]]) -> dict[str, None]:
        """Give all versions that a version follows from, itself and those of the branch first; note their parents."""
        known: dict[str, None] = {}
        tips = [tip]
        while tips:
            start = tips.pop(0)
            if start in known:
                continue
            for info in self._line(start):
                if info.id in known:
                    break
                known[str(info.id)] = None
                merged = _merged_into(info)
                parents[str(info.id)] = [*merged, *([] if info.parent_id is None else [str(info.parent_id)])]
                tips += merged
        return known

    def _line(self, tip: str) -> Iterator[Any]:
        """Give a version and those before it; none where it was removed, as by garbage collection."""
        try:
            yield from self.repository.ancestry(snapshot_id=tip)
        except icechunk().IcechunkError:
            return

    def _between(self, start: str, stop: str) -> list[tuple[str, str, list[str]]]:
        """Give identifiers and messages of the versions after one up to another, and what they merged, earliest first.

        Where the first came into the line of the other by a merge, what followed from it is one version.
        """
        found: list[tuple[str, str, list[str]]] = []
        for info in self.repository.ancestry(snapshot_id=stop):
            if info.id == start:
                return found[::-1]
            found.append((str(info.id), str(info.message), _merged_into(info)))
        return [(stop, found[0][1], sorted({one for _, _, merged in found for one in merged if one != start}))]

    def _check(self, merged: SessionKeys, sides: tuple[SessionKeys, ...]) -> None:
        """Refuse what has problems that neither side has."""
        if self.rules is None:
            return
        found = self.rules.problems(self.view(merged))
        if found:
            known = {problem for side in sides for problem in self.rules.problems(self.view(side))}
            new = [problem for problem in found if problem not in known]
            if new:
                raise StoreError(
                    f"{merged.url}: both sides changed what does not go together: {new[0]}. Nothing was merged, and "
                    "both are as they were; make one of the changes anew on top of the other"
                )

    @contextmanager
    def _scratch_branch(self, identifier: str) -> Iterator[str]:
        name = f"zarr-vectors-rebase-{uuid.uuid4().hex[:12]}"
        self.repository.create_branch(name, identifier)
        try:
            yield name
        finally:
            self.repository.delete_branch(name)


def _merged_into(info: Any) -> list[str]:
    """Give the versions of other branches whose changes a version brought in."""
    merged = dict(info.metadata or {}).get(_MERGED)
    return [str(one) for one in merged] if isinstance(merged, list) else []


def apply_change(change: Change, other: Change, target: SessionKeys, rules: MergeRules | None) -> None:
    """Make `change` in a store that `other` has been made in since both had the same content.

    `target` has the content of ``other.after``, and maybe more of this side. Where both changed the same it stays as it
    was; without rules, all that both changed in the levels is a conflict.
    """
    shared = sorted(change.keys & other.keys)
    merged, settled, conflicts = _compare(change, other, shared, target, rules)
    conflicts |= _below_removed(change, other) | _below_removed(other, change)
    conflicts |= _reshaped(change, other, merged) | _reshaped(other, change, merged)
    conflicts |= _same_parts(change, other) if rules is None else rules.conflicts(change, other)
    if conflicts:
        named = ", ".join(sorted(conflicts)[:_NAMED])
        more = f" and {len(conflicts) - _NAMED} more" if len(conflicts) > _NAMED else ""
        raise StoreError(
            f"{target.url}: both sides changed {named}{more} since the version that they share. Nothing was merged, "
            "and both are as they were; make one of the changes anew on top of the other"
        )
    _copy(change, sorted(change.keys - settled), target)
    target.put_many(merged.items())
    if rules is not None:
        rules.finish(change, other, target)


def _compare(
    change: Change, other: Change, shared: list[str], target: SessionKeys, rules: MergeRules | None
) -> tuple[dict[str, bytes], set[str], set[str]]:
    """Compare what both sides changed: documents merged, what is settled (also unchanged after all), conflicts."""
    merged: dict[str, bytes] = {}
    settled: set[str] = set()
    conflicts: set[str] = set()
    for part in in_parts(shared):
        columns = read_bytes(change.before, part), read_bytes(change.after, part), read_bytes(target, part)
        for address, before, local, theirs in zip(part, *columns, strict=True):
            if local == before:
                settled.add(address)
            elif theirs != before:
                result = _merged(address, before, theirs, local, rules) if is_document(address) else None
                if local is None and theirs is None:
                    settled.add(address)
                    continue
                if result is None:
                    conflicts.add(address)
                else:
                    settled.add(address)
                    merged[address] = result
    return merged, settled, conflicts


def _merged(
    address: str, before: bytes | None, theirs: bytes | None, local: bytes | None, rules: MergeRules | None
) -> bytes | None:
    """Merge a document; one that both changed alike may hold a total, to which both have added."""
    if theirs is None or local is None:
        return None
    if rules is None:
        return local if before is None and theirs == local else None
    return rules.merged(address, before, theirs, local)


def _below_removed(remover: Change, other: Change) -> set[str]:
    """Give what one side changed in nodes that the other side removed."""
    _, removed = remover.made_or_removed([address for address in remover.keys if is_document(address)])
    gone = {node_of(address) for address in removed}
    if not gone:
        return set()
    below = [key for key in other.keys if any(above in gone for above in _nodes_above(node_of(key)))]
    return {key for key in other.differing(below) if other.after.exists(key)}


def _nodes_above(node: str) -> list[str]:
    """Give the path of a node and those of all nodes above it, the root too."""
    parts = node.split("/") if node else []
    return ["/".join(parts[:depth]) for depth in range(len(parts) + 1)]


def _reshaped(shaper: Change, writer: Change, merged: Collection[str]) -> set[str]:
    """Give the arrays that one side described anew while the other wrote chunks of them."""
    written = {node_of(key) for key in writer.keys if not is_document(key)}
    found = set()
    for node in written:
        address = join(node, DOCUMENT_NAME)
        if address not in shaper.keys:
            continue
        one, two = read_bytes(shaper.before, [address])[0], read_bytes(shaper.after, [address])[0]
        if one is not None and two is not None:
            described = _laid_out if address in merged else _described
            if described(one, address) != described(two, address):
                found.add(address)
    return found


def _described(blob: bytes, address: str) -> Document:
    """Give a document without the list of chunks that are there, which changes with every new chunk."""
    document = parse_document(blob, address)
    attributes = {k: v for k, v in (document.get("attributes") or {}).items() if k != "nonempty_chunks"}
    return {**document, "attributes": attributes}


def _laid_out(blob: bytes, address: str) -> Document:
    """Give what a document says of where the chunks of an array are and how they are encoded."""
    document = parse_document(blob, address)
    origin = (document.get("attributes") or {}).get("chunk_grid_origin")
    return {**{key: value for key, value in document.items() if key not in ("shape", "attributes")}, "origin": origin}


def _same_parts(change: Change, other: Change) -> set[str]:
    """Give what one side changed in parts of the store that the other changed, too; all levels are one part."""
    theirs = {_part_of(key) for key in other.differing(sorted(other.keys))} - {None}
    return set(change.differing(sorted(key for key in change.keys if _part_of(key) in theirs)))


def _part_of(key: str) -> str | None:
    """Give the part of the store that an address lies in; None for the document of the root."""
    first, mark, _ = key.partition("/")
    return None if not mark else "levels" if first.isdecimal() else first


def _copy(change: Change, keys: list[str], target: SessionKeys) -> None:
    """Bring over what only this side changed: documents, then chunks, then removals."""
    removed: list[str] = []
    for wanted in (True, False):
        for part in in_parts([key for key in keys if is_document(key) == wanted]):
            blobs = list(zip(part, read_bytes(change.after, part), strict=True))
            target.put_many((address, blob) for address, blob in blobs if blob is not None)
            removed += [address for address, blob in blobs if blob is None]
    target.delete_many(removed)
