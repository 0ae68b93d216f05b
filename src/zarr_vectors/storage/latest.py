"""Which change was made to a store last, and whether it is in place: a record at an address of its own.

Whoever has read from an object store learns from it, in one request, whether the store was changed meanwhile; and a
journal that a change left behind is found by its name there, even where listings lag behind. The record is written
before the marker that makes a change final and once more when the change is in place. Only what holds the right to
commit writes it, so that there is one at a time. It has the form of an empty Zarr group, so that other programs
that list the root know what it is. Folders have none: the file system tells the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from zarr_vectors.exceptions import MetadataError
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, group_document, parse_document
from zarr_vectors.storage.layers import Layer
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.port import INTERNAL_PREFIX, Blob, Storage, get_one, put_one
from zarr_vectors.storage.versioned import versions_of

LATEST_FOLDER = f"{INTERNAL_PREFIX}latest"
"""Group of the root that is the record."""

LATEST_ADDRESS = f"{LATEST_FOLDER}/{DOCUMENT_NAME}"
"""Where the record is."""

_IDENTIFIER = re.compile(r"\w[\w.%-]{0,199}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Latest:
    """The last change of a store.

    Attributes
    ----------
    identifier : str
        Of its journal.
    is_in_place : bool
        Whether all of it is where it belongs; otherwise it is about to become final, or is being put there.
    """

    identifier: str
    is_in_place: bool


def keeps_latest(storage: Storage) -> bool:
    """Say whether changes of a storage are recorded: neither those of folders nor of storages that keep versions."""
    while isinstance(storage, Layer):
        storage = storage.inner
    return not isinstance(storage, LocalStorage) and versions_of(storage) is None


def read_latest(storage: Storage) -> Latest | None:
    """Read the record of a store, in one request; None where no change has been recorded."""
    return parse_latest(get_one(storage, LATEST_ADDRESS)) if keeps_latest(storage) else None


def parse_latest(blob: Blob | None) -> Latest | None:
    """Read a record; None for one that is absent or damaged."""
    if blob is None:
        return None
    try:
        attributes = parse_document(blob, LATEST_ADDRESS).get("attributes")
    except MetadataError:
        return None
    attributes = attributes if isinstance(attributes, dict) else {}
    identifier = attributes.get("change")
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        return None
    return Latest(identifier, attributes.get("in_place") is True)


def write_latest(storage: Storage, identifier: str, *, is_in_place: bool) -> None:
    """Record a change, where changes are recorded."""
    if keeps_latest(storage):
        attributes = {"change": identifier, "in_place": is_in_place}
        put_one(storage, LATEST_ADDRESS, document_bytes(group_document(attributes)))
