"""A transaction that stages only what differs from what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from zarr_vectors.formats.unknown_keys import is_described, unknown_keys, with_unknown
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.journal import Transaction
from zarr_vectors.storage.port import Blob, BlobParts, Range, joined, parts_of

_COMPARED_AT_ONCE = 64
_DEPTH = 2
"""Separators in the address of the document of a node below a level, at least."""


@dataclass(slots=True)
class SparingTransaction(Transaction):
    """A transaction in which writing what is there already is no change.

    A level can be encoded anew as a whole, and only the chunks that came out different are written. Metadata of nodes
    keeps the keys that the format does not know.

    Attributes
    ----------
    named : set of str
        Addresses of everything that was to be written, staged or not.
    touched : int
        How often something was staged or deleted.
    """

    named: set[str] = field(default_factory=set, init=False)
    touched: int = field(default=0, init=False)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Stage the objects that differ from those at their addresses."""
        for batch in _batches(items):
            present = self.get_many([Range(address) for address, _ in batch])
            batch = [(address, _kept(address, b, data)) for b, (address, data) in zip(present, batch, strict=True)]
            self.named.update(address for address, _ in batch)
            changed = [item for item, blob in zip(batch, present, strict=True) if not _holds(blob, item[1])]
            if changed:
                self.touched += 1
                Transaction.put_many(self, changed)

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Take staged objects back, and mark those of the store for deletion."""
        self.touched += 1
        Transaction.delete_many(self, addresses)


def _batches(items: Iterable[tuple[str, BlobParts]]) -> Iterator[list[tuple[str, BlobParts]]]:
    rest = iter(items)
    while batch := list(islice(rest, _COMPARED_AT_ONCE)):
        yield batch


def _kept(address: str, blob: Blob | None, data: BlobParts) -> BlobParts:
    """Return the document of a node of a level with the unknown keys that it had; anything else as it is.

    Those of attributes are in their ``AttributeSpec``, and those of levels in their metadata.
    """
    if blob is None or not address.endswith(f"/{DOCUMENT_NAME}") or address.count("/") < _DEPTH or _holds(blob, data):
        return data
    held = json.loads(bytes(blob))
    before = held.get("attributes")
    kept = unknown_keys(before)
    if not kept or is_described(before):
        return data
    document = with_unknown(json.loads(bytes(joined(data))), kept)
    return blob if document == held else json.dumps(document).encode()


def _holds(blob: Blob | None, data: BlobParts) -> bool:
    """Return whether an object consists of the parts given."""
    if blob is None:
        return False
    view, start = memoryview(blob), 0
    for part in parts_of(data):
        stop = start + part.nbytes
        if view[start:stop] != part:
            return False
        start = stop
    return start == view.nbytes
