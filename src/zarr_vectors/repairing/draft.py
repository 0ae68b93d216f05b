"""A store as it would be after a repair: changes are kept in memory, and only where they change something."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.layers import Layer, changed_listing
from zarr_vectors.storage.port import (
    INTERNAL_PREFIX,
    Blob,
    BlobParts,
    Listing,
    Range,
    Storage,
    ZarrStore,
    check_prefix,
    get_whole,
    joined,
)
from zarr_vectors.typing import Bytes, Document


@dataclass(slots=True)
class Draft(Layer):
    """A storage whose writes and deletions stay in memory, on top of another that is only read.

    An object that is written as it was before counts as unchanged; so does a ``zarr.json`` that says the same.

    Attributes
    ----------
    inner : Storage
        The store as it is.
    written : dict of str to bytes
        Objects that differ from those of the store.
    deleted : set of str
        Objects of the store that are to go.
    """

    inner: Storage
    written: dict[str, bytes] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    @property
    def read_only(self) -> bool:
        """False: the store itself is not written to."""
        return False

    def state(self) -> tuple[dict[str, bytes], frozenset[str]]:
        """Return what is changed so far, to be compared with later."""
        return dict(self.written), frozenset(self.deleted)

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read what is written here where there is something, else from the store."""
        asked = [r for r in requests if r.address not in self.written and r.address not in self.deleted]
        found = iter(self.inner.get_many(asked) if asked else [])
        blobs: list[Blob | None] = []
        for request in requests:
            if request.address in self.written:
                blobs.append(_part(self.written[request.address], request))
            else:
                blobs.append(None if request.address in self.deleted else next(found))
        return blobs

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix, with what is written and without what is deleted."""
        tops = [check_prefix(prefix) for prefix in prefixes]
        return [self._merged(top, one) for top, one in zip(tops, self.inner.list_folders(tops), strict=True)]

    def _merged(self, top: str, listing: Listing) -> Listing:
        if top.startswith(INTERNAL_PREFIX):
            return Listing([], [])  # journals and locks are no part of the store
        return changed_listing(self, top, listing, self.written, self.deleted)

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth, with what is written and without what is deleted."""
        top = check_prefix(prefix)
        start = f"{top}/" if top else ""
        inner = (one for one in self.inner.list_all(top) if not one.startswith(INTERNAL_PREFIX))
        found = {one for one in inner if one not in self.deleted}
        return sorted(found | {one for one in self.written if one.startswith(start)})

    def exists(self, address: str) -> bool:
        """Say whether there is an object at an address."""
        return address in self.written or (address not in self.deleted and self.inner.exists(address))

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Keep objects that differ from those of the store."""
        given = [(address, bytes(joined(data))) for address, data in items]
        before = get_whole(self.inner, [address for address, _ in given]) if given else []
        for (address, data), old in zip(given, before, strict=True):
            self.deleted.discard(address)
            if old is not None and _same(address, bytes(old), data):
                self.written.pop(address, None)
            else:
                self.written[address] = data

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Keep one object unless there is one."""
        if self.exists(address):
            return False
        self.put_many([(address, data)])
        return True

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Take objects back, and mark those of the store for deletion."""
        for address in addresses:
            self.written.pop(address, None)
            if address not in self.deleted and self.inner.exists(address):
                self.deleted.add(address)

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete everything below a prefix."""
        self.delete_many(self.list_all(prefix))

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Move objects."""
        blobs = get_whole(self, [source for source, _ in pairs])
        self.delete_many([source for source, _ in pairs])
        self.put_many((target, blob) for (_, target), blob in zip(pairs, blobs, strict=True) if blob is not None)

    def zarr_store(self) -> ZarrStore:
        """Give the store as it is, as a zarr-python store."""
        return self.inner.zarr_store()

    def document(self, path: str) -> Document | None:
        """Return the ``zarr.json`` of a node, None where there is none that can be read."""
        blob = get_whole(self, [node_address(path)])[0]
        try:
            found: Any = None if blob is None else json.loads(bytes(blob))
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def put_document(self, path: str, document: Document) -> None:
        """Write the ``zarr.json`` of a node."""
        self.put_many([(node_address(path), json.dumps(document).encode())])


def node_address(path: str) -> str:
    """Return the address of the ``zarr.json`` of a node; ``""`` is the root."""
    return f"{path}/{DOCUMENT_NAME}" if path else DOCUMENT_NAME


def _same(address: str, old: bytes, new: bytes) -> bool:
    if old == new:
        return True
    if address.rpartition("/")[2] != DOCUMENT_NAME:
        return False
    try:
        return bool(json.loads(old) == json.loads(new))
    except (ValueError, RecursionError):
        return False


def _part(data: bytes, request: Range) -> bytes:
    start, stop = request.start, request.stop
    return data[slice(start, stop)]
