"""What was changed between two versions of an Icechunk repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.port import join
from zarr_vectors.storage.session_keys import SessionKeys, chunk_address

_AT_ONCE = 256


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
    _known: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def differing(self, keys: Iterable[str]) -> Iterator[str]:
        """Give those of some addresses whose content does differ, reading some at a time."""
        for part in in_parts([key for key in keys if key in self.keys]):
            new = [key for key in part if key not in self._known]
            pairs = zip(new, read_bytes(self.before, new), read_bytes(self.after, new), strict=True)
            self._known.update((key, one != two) for key, one, two in pairs)
            yield from (key for key in part if self._known[key])

    def made_or_removed(self, keys: Iterable[str]) -> tuple[set[str], set[str]]:
        """Give those of some addresses that were not there before, and those that are not there any more."""
        made: set[str] = set()
        removed: set[str] = set()
        for part in in_parts([key for key in keys if key in self.keys]):
            for key, one, two in zip(part, read_bytes(self.before, part), read_bytes(self.after, part), strict=True):
                if one is None and two is not None:
                    made.add(key)
                elif two is None and one is not None:
                    removed.add(key)
        return made, removed


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


def in_parts(keys: list[str]) -> Iterator[list[str]]:
    """Give some addresses at a time, so that what is read of them fits into memory."""
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


def read_bytes(keys: SessionKeys, addresses: list[str]) -> list[bytes | None]:
    """Read whole objects."""
    return [None if blob is None else bytes(blob) for blob in keys.read_whole(addresses)]
