"""An open store: what all its groups share. Its storage, a reader that is opened once, and its nodes by path."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from zarr_vectors.core.arguments import as_mapping
from zarr_vectors.exceptions import ArgumentError, MetadataError, ReadOnlyStoreError, StoreError, StoreLockedError
from zarr_vectors.formats.revision import Revision
from zarr_vectors.read.opening import open_storage
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.changes import note_change
from zarr_vectors.storage.consolidated import CONSOLIDATED, without_consolidated
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, group_document, parse_document
from zarr_vectors.storage.journal import Transaction, has_journals
from zarr_vectors.storage.lock import lock
from zarr_vectors.storage.port import (
    INTERNAL_PREFIX,
    BlobParts,
    Storage,
    check_address,
    get_whole,
    join,
    list_folder,
    put_one,
)
from zarr_vectors.storage.replace import recover
from zarr_vectors.typing import Document

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HEXADECIMAL = re.compile("0x([0-9a-fA-F]{4}|[0-9a-fA-F]{8}|[0-9a-fA-F]{16})")
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class StoreHandle:
    """An open store, shared by its groups; `storage` is rooted at the root of the store."""

    def __init__(self, storage: Storage, reader: StoreReader | None = None) -> None:
        self.storage = storage
        self._reader = reader
        self._handed_out = False
        self._unconsolidated = False

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self.storage.read_only

    @property
    def reader(self) -> StoreReader:
        """The reader of the store.

        It is opened once while nothing is written; where the storage has been handed out for writing, what
        is written to it is not seen here, so each access opens the store anew.
        """
        if self._reader is None or self._handed_out:
            self._reader = open_storage(self.storage)
        return self._reader

    @property
    def revision(self) -> Revision | None:
        """The format revision of the store, or None where the root is not that of a store."""
        try:
            return self.reader.revision
        except (StoreError, MetadataError):
            return None

    @property
    def has_grids(self) -> bool:
        """Whether it is known, without reading, that per-chunk arrays of the store are grids."""
        known = None if self._handed_out else self._reader
        return known is not None and not known.revision.keyed_by_chunk

    def hand_out(self) -> Storage:
        """Give the storage to somebody who may write to it."""
        if not self.read_only:
            self._unconsolidate()
        self._handed_out = self._handed_out or not self.read_only
        return self.storage

    def invalidate(self) -> None:
        """Forget what was read: the store has changed."""
        self._reader = None
        note_change(self.storage)

    def rebind(self, storage: Storage) -> None:
        """Reach the store through another storage from now on."""
        self._unconsolidated = False
        self.storage = storage
        self.invalidate()

    def check_writable(self) -> None:
        """Refuse a store that was opened for reading."""
        if self.read_only:
            raise ReadOnlyStoreError(
                f"cannot write to {self.storage.url}: it was opened for reading only; open it with mode='r+'"
            )

    def require_writable(self) -> Storage:
        """Give the storage for writing, after it lost consolidated metadata, which the change would make stale."""
        self.check_writable()
        self._unconsolidate()
        return self.storage

    def forget_consolidated(self) -> None:
        """Look again for consolidated metadata before the next change: somebody may have written it."""
        self._unconsolidated = False
        self.invalidate()

    def _unconsolidate(self) -> None:
        if not self._unconsolidated:
            if self._reader is None or self._reader.is_consolidated:
                stripped = without_consolidated(self.storage)
                if stripped is not None:
                    put_one(self.storage, DOCUMENT_NAME, stripped)
            self._unconsolidated = True

    @contextmanager
    def changing(self) -> Iterator[Storage]:
        """Change the store in place under its lock, all of the block or nothing of it; gives what is to be written to.

        What the block writes is staged in a journal and made final at its end. Where the storage keeps versions
        itself, its own transaction does this.
        """
        storage = self.require_writable()
        try:
            with lock(storage):
                recover(storage)
                with Transaction(storage) as transaction:
                    yield transaction
        finally:
            self.invalidate()

    # The tree

    def documents(self, paths: Iterable[str]) -> dict[str, Document]:
        """Return the ``zarr.json`` of nodes by path, in one round; nodes that have none are left out."""
        wanted = sorted(set(paths))
        addresses = [join(path, DOCUMENT_NAME) for path in wanted]
        blobs = get_whole(self.storage, addresses) if wanted else []
        return {
            path: parse_document(blob, address)
            for path, address, blob in zip(wanted, addresses, blobs, strict=True)
            if blob is not None
        }

    def document(self, path: str) -> Document | None:
        """Return the ``zarr.json`` of one node, or None where it has none."""
        return self.documents([path]).get(path)

    def write_documents(self, documents: Mapping[str, Document]) -> None:
        """Write the ``zarr.json`` of nodes, by path."""
        plain = {
            path: {key: value for key, value in document.items() if key != CONSOLIDATED}
            for path, document in documents.items()
        }
        self.require_writable().put_many(encode_documents(plain))
        self.invalidate()

    def missing_groups(self, paths: Iterable[str]) -> dict[str, Document]:
        """Return documents for those groups of some paths that have none yet, found in one round."""
        wanted = set(paths)
        found = self.documents(wanted)
        for path, document in found.items():
            self.require_group(path, document)
        return {path: group_document({}) for path in sorted(wanted - set(found))}

    def require_group(self, path: str, document: Document) -> None:
        """Refuse a node that is not a group."""
        if document.get("node_type") != "group":
            raise StoreError(f"{self.storage.url}: {path!r} is an array, so that no group can be there")

    def children(self, path: str) -> list[str]:
        """Return the names of the nodes directly below a group, sorted.

        Where folders cannot be listed (plain HTTP), these are the levels that the root names and the nodes that a
        level names.
        """
        if self.storage.can_list:
            folders = list_folder(self.storage, path).folders
            return [name for name in folders if not name.startswith(INTERNAL_PREFIX)]
        if not path:
            return [str(entry.level) for entry in self.reader.root.levels]
        level, _, inside = path.partition("/")
        start = f"{inside}/" if inside else ""
        named = self.reader.level(int(level), own=True).metadata.nodes if level.isdecimal() else ()
        return sorted({name[len(start) :].split("/")[0] for name in named if name.startswith(start)})

    def child_groups(self, path: str) -> list[str]:
        """Return the names of the groups directly below a group; folders without a document are groups."""
        names = self.children(path)
        documents = self.documents([join(path, name) for name in names])
        return [name for name in names if documents.get(join(path, name), {}).get("node_type", "group") == "group"]

    def group_exists(self, path: str) -> bool:
        """Return whether a group is at a path; a folder that holds something is one without a document, too."""
        document = self.document(path)
        if document is not None:
            return document.get("node_type") == "group"
        return self.storage.can_list and any(list_folder(self.storage, path))


class GroupAttributes(MutableMapping[str, Any]):
    """Attributes of one group.

    Every look reads the document as it is at that moment; every change writes it at once. Use
    :meth:`to_dict` to look at several attributes, and :meth:`update` to change several, in one request each.
    Values that are lists or mappings are copies: assign them back to change them.

    Raises
    ------
    ReadOnlyStoreError
        On a change, where the store was opened for reading.
    MetadataError
        On a change to a value that JSON does not know.
    ArgumentError
        On a change to a key that is not a string.
    """

    def __init__(self, handle: StoreHandle, path: str) -> None:
        self._handle = handle
        self._path = path

    def to_dict(self) -> Document:
        """Return all attributes."""
        return attributes_of(self._document(), self._path)

    asdict = to_dict

    def put(self, attributes: Mapping[str, Any]) -> None:
        """Replace all attributes by others."""
        replaced = as_mapping("attributes", attributes)
        self._handle.require_writable()
        self._handle.write_documents({self._path: {**self._document(), "attributes": replaced}})

    def update(self, *others: Any, **more: Any) -> None:
        """Set several attributes with one write; arguments as those of ``dict.update``."""
        self.put(self.to_dict() | dict(*others, **more))

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        attributes = self.to_dict()
        del attributes[key]
        self.put(attributes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())

    def __repr__(self) -> str:
        """Show the attributes."""
        return f"{type(self).__name__}({self.to_dict()!r})"

    def _document(self) -> Document:
        document = self._handle.document(self._path)
        if document is None:
            return group_document({})
        if document.get("node_type") != "group":
            raise StoreError(f"{self._handle.storage.url}: {self._path!r} is not a group any more")
        return document


def put_right(storage: Storage) -> None:
    """Complete or undo what an interruption left behind, unless another writer is at work."""
    if not has_journals(storage):
        recover(storage, discard_unmarked=False)
        return
    try:
        with lock(storage):
            recover(storage)
    except StoreLockedError:
        return  # its holder completes what is final


def encode_documents(documents: Mapping[str, Document]) -> list[tuple[str, BlobParts]]:
    """Return the addresses and bytes of documents by path."""
    return [(join(path, DOCUMENT_NAME), document_bytes(document)) for path, document in documents.items()]


def node_path(base: str, name: str) -> str:
    """Return the path of a node below the group at `base`, refusing names that would leave it, and reserved ones."""
    if not isinstance(name, str) or not name.strip("/"):
        raise ArgumentError(f"name: expected the path of a node below the group, got {name!r}")
    path = check_address(join(base, name.strip("/")))
    if path.startswith(INTERNAL_PREFIX) or DOCUMENT_NAME in path.split("/"):
        raise ArgumentError(
            f"name: {name!r} cannot be that of a node: {DOCUMENT_NAME} holds metadata, and what starts with "
            f"{INTERNAL_PREFIX} locks and journals"
        )
    if _CONTROL.search(path):
        raise ArgumentError(f"name: {name!r} holds a control character, which object stores refuse")
    return path


def parents_of(path: str) -> list[str]:
    """Return the paths of the groups above a node, the root first."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(len(parts))]


def attributes_of(document: Document, path: str) -> Document:
    """Return the attributes of a node by its ``zarr.json``, refusing what is no JSON object."""
    attributes = document.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise MetadataError(f"{path or '/'}: attributes must be a JSON object, got {type(attributes).__name__}")
    return dict(attributes)


def fill_value_of(document: Document) -> Any:
    """Return the fill value that an array's document states, as a number of Python where it is one.

    Floats that JSON has no numbers for are words, or their bytes as ``"0x7fc00000"``; complex numbers are pairs of
    floats (Zarr v3 specification, fill value).
    """
    value, kind = document.get("fill_value"), str(document.get("data_type", ""))
    if kind.startswith("complex") and isinstance(value, list) and len(value) == 2:
        return complex(*(_float_of(part) for part in value))
    return _float_of(value) if kind.startswith("float") else value


def _float_of(value: Any) -> Any:
    if isinstance(value, str) and _HEXADECIMAL.fullmatch(value):
        return float(np.frombuffer(bytes.fromhex(value[2:]), f">f{len(value) // 2 - 1}")[0])
    return _SPECIAL_FLOATS.get(value, value) if isinstance(value, str) else value
