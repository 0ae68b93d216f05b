"""Bringing together what was changed in two versions of an Icechunk repository since the one they share.

Icechunk's own rebase compares names, and may let the last writer win. Here what both sides changed is compared by
content, so that nothing is overwritten silently.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.documents import DOCUMENT_NAME, parse_document
from zarr_vectors.storage.port import join
from zarr_vectors.storage.session_keys import SessionKeys, chunk_address, chunk_of, is_document, node_of
from zarr_vectors.storage.versioned import MergeDocuments
from zarr_vectors.typing import Document

_AT_ONCE = 256
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Change:
    """What one side changed.

    Attributes
    ----------
    before, after : SessionKeys
        The store without the changes, and with them.
    keys : frozenset of str
        Addresses whose content may differ.
    """

    before: SessionKeys
    after: SessionKeys
    keys: frozenset[str]


def change_between(before: SessionKeys, after: SessionKeys, differences: Any) -> Change:
    """Find the addresses that a change may have touched.

    Parameters
    ----------
    before, after : SessionKeys
        The store without the changes, and with them.
    differences : icechunk.Diff
        What Icechunk noted of them.
    """
    nodes = {_plain(path) for path in (*differences.new_groups, *differences.new_arrays)}
    nodes |= {_plain(path) for path in (*differences.updated_groups, *differences.updated_arrays)}
    gone = {_plain(path) for path in (*differences.deleted_groups, *differences.deleted_arrays)}
    gone |= {_plain(path) for pair in getattr(differences, "moved_nodes", ()) for path in pair}
    keys = {join(node, DOCUMENT_NAME) for node in nodes | gone}
    for path, chunks in differences.updated_chunks.items():
        keys.update(chunk_address(_plain(path), chunk) for chunk in chunks)
    for node in gone:
        keys.update(before.list_all(node))
        keys.update(after.list_all(node))
    return Change(before, after, frozenset(keys))


def _plain(path: str) -> str:
    return str(path).strip("/")


def apply_change(change: Change, other: Change, target: SessionKeys, merge_documents: MergeDocuments | None) -> None:
    """Make a change in a store that another change has been made in.

    Parameters
    ----------
    change : Change
        What is to be brought over.
    other : Change
        What was changed in the target since both had the same content.
    target : SessionKeys
        Receives the change. It has the content of ``other.after``, and maybe more of this side.
    merge_documents : callable, optional
        Merges documents that both changed; without one they exclude each other.

    Raises
    ------
    StoreError
        Both changed the same; the target is then as it was.
    """
    shared = sorted(change.keys & other.keys)
    merged, settled, conflicts = _compare(change, other, shared, target, merge_documents)
    conflicts |= _below_removed(change, other) | _below_removed(other, change)
    conflicts |= _reshaped(change, other, merged) | _reshaped(other, change, merged)
    conflicts |= _same_places(change, other)
    if conflicts:
        named = ", ".join(sorted(conflicts)[:_NAMED])
        more = f" and {len(conflicts) - _NAMED} more" if len(conflicts) > _NAMED else ""
        raise StoreError(
            f"{target.url}: both sides changed {named}{more} since the version that they share. Nothing was merged, "
            "and both are as they were; make one of the changes anew on top of the other"
        )
    _copy(change, sorted(change.keys - settled), target)
    target.put_many(merged.items())


def _compare(
    change: Change, other: Change, shared: list[str], target: SessionKeys, merge_documents: MergeDocuments | None
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
    for part in _parts(shared):
        columns = _whole(change.before, part), _whole(change.after, part), _whole(target, part)
        for address, before, mine, theirs in zip(part, *columns, strict=True):
            if mine == before:
                settled.add(address)
            elif theirs != before:
                result = _merged(address, before, theirs, mine, merge_documents) if is_document(address) else None
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
    address: str, before: bytes | None, theirs: bytes | None, mine: bytes | None, merge_documents: MergeDocuments | None
) -> bytes | None:
    """Merge a document. One that both made alike is fine; one that both changed alike may hold a total."""
    if before is None and theirs == mine:
        return mine
    if before is None or theirs is None or mine is None or merge_documents is None:
        return None
    return merge_documents(address, before, theirs, mine)


def _below_removed(remover: Change, other: Change) -> set[str]:
    """Give what one side changed in nodes that the other side removed."""
    gone: set[str] = set()
    for part in _parts([address for address in remover.keys if is_document(address)]):
        columns = zip(part, _whole(remover.before, part), _whole(remover.after, part), strict=True)
        gone.update(node_of(address) for address, one, two in columns if one is not None and two is None)
    if not gone:
        return set()
    below = [key for key in other.keys if any(above in gone for above in _nodes_above(node_of(key)))]
    return {key for key in below if other.after.exists(key) and _differs(other, key)}


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
        if address not in shaper.keys or address in merged:
            continue
        one, two = _whole(shaper.before, [address])[0], _whole(shaper.after, [address])[0]
        if one is not None and two is not None and _described(one, address) != _described(two, address):
            found.add(address)
    return found


def _described(blob: bytes, address: str) -> Document:
    """Give a document without the list of chunks that are there, which changes with every new chunk."""
    document = parse_document(blob, address)
    attributes = {k: v for k, v in (document.get("attributes") or {}).items() if k != "nonempty_chunks"}
    return {**document, "attributes": attributes}


def _same_places(change: Change, other: Change) -> set[str]:
    """Give what this side changed in chunks that the other side changed, too, in any array of the same level."""
    ours, theirs = _places(change), _places(other)
    found: set[str] = set()
    for place in ours.keys() & theirs.keys():
        if any(_differs(other, key) for key in theirs[place]):
            found.update(key for key in ours[place] if _differs(change, key))
    return found


def _places(change: Change) -> dict[tuple[str, tuple[int, ...]], list[str]]:
    """Sort chunks by level and place; an array that is named by its place (revision 0.7) stands for a chunk."""
    places: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for key in change.keys:
        level, _, rest = key.partition("/")
        chunk = chunk_of(key)
        name = node_of(rest).rpartition("/")[2].split(".")
        if all(part.isdecimal() for part in name) and len(name) > 1:
            chunk = tuple(map(int, name))
        if chunk is not None and rest:
            places.setdefault((level, chunk), []).append(key)
    return places


def _differs(change: Change, key: str) -> bool:
    return _whole(change.before, [key]) != _whole(change.after, [key])


def _copy(change: Change, keys: list[str], target: SessionKeys) -> None:
    """Bring over what only this side changed: removals first, then documents, then chunks."""
    removed: list[str] = []
    for wanted in (True, False):
        for part in _parts([key for key in keys if is_document(key) == wanted]):
            blobs = list(zip(part, _whole(change.after, part), strict=True))
            target.put_many((address, blob) for address, blob in blobs if blob is not None)
            removed += [address for address, blob in blobs if blob is None]
    target.delete_many(removed)


def _parts(keys: list[str]) -> Iterable[list[str]]:
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


def _whole(keys: SessionKeys, addresses: list[str]) -> list[bytes | None]:
    return [None if blob is None else bytes(blob) for blob in keys.read_whole(addresses)]
