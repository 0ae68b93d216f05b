"""Bringing together what was changed in two versions of an Icechunk repository since the one they share.

Icechunk's own rebase compares names, and may let the last writer win. Here what both sides changed is compared by
content, so that nothing is overwritten silently; what belongs together is for the rules of the format to say.
"""

from __future__ import annotations

from collections.abc import Collection

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.differences import Change, in_parts, read_bytes
from zarr_vectors.storage.documents import DOCUMENT_NAME, parse_document
from zarr_vectors.storage.port import join
from zarr_vectors.storage.session_keys import SessionKeys, is_document, node_of
from zarr_vectors.storage.versioned import MergeRules
from zarr_vectors.typing import Document

_NAMED = 5


def apply_change(change: Change, other: Change, target: SessionKeys, rules: MergeRules | None) -> None:
    """Make a change in a store that another change has been made in.

    Parameters
    ----------
    change : Change
        What is to be brought over.
    other : Change
        What was changed in the target since both had the same content.
    target : SessionKeys
        Receives the change. It has the content of ``other.after``, and maybe more of this side.
    rules : MergeRules, optional
        What belongs together in the store. Without them, all that both changed in its levels is a conflict.

    Raises
    ------
    StoreError
        Both changed the same; the target is then as it was.
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
    """Compare what both sides changed.

    Returns
    -------
    merged : dict of str to bytes
        Documents that were merged.
    settled : set of str
        What is merged, or was not changed after all.
    conflicts : set of str
        What excludes each other.
    """
    merged: dict[str, bytes] = {}
    settled: set[str] = set()
    conflicts: set[str] = set()
    for part in in_parts(shared):
        columns = read_bytes(change.before, part), read_bytes(change.after, part), read_bytes(target, part)
        for address, before, mine, theirs in zip(part, *columns, strict=True):
            if mine == before:
                settled.add(address)
            elif theirs != before:
                result = _merged(address, before, theirs, mine, rules) if is_document(address) else None
                if mine is None and theirs is None:
                    settled.add(address)
                    continue
                if result is None:
                    conflicts.add(address)
                else:
                    settled.add(address)
                    merged[address] = result
    return merged, settled, conflicts


def _merged(
    address: str, before: bytes | None, theirs: bytes | None, mine: bytes | None, rules: MergeRules | None
) -> bytes | None:
    """Merge a document; one that both changed alike may hold a total, to which both have added."""
    if theirs is None or mine is None:
        return None
    if rules is None:
        return mine if before is None and theirs == mine else None
    return rules.merged(address, before, theirs, mine)


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
