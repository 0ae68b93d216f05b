"""The attributes of a group as a mapping that reads and writes its metadata document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from zarr_vectors.core.given import as_mapping
from zarr_vectors.core.handle import StoreHandle
from zarr_vectors.core.nodes import attributes_of, read_document, write_documents
from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.documents import group_document
from zarr_vectors.typing import Document


class GroupAttributes(MutableMapping[str, Any]):
    """Attributes of one group.

    Every look reads the document as it is at that moment; every change writes it at once. Use
    :meth:`to_dict` to look at several attributes, and :meth:`update` to change several, in one request each.
    Values that are lists or mappings are copies: assign them back to change them.

    Parameters
    ----------
    handle : StoreHandle
        The open store.
    path : str
        Path of the group below the root of the store.

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
        given = as_mapping("attributes", attributes)
        self._handle.require_writable()
        write_documents(self._handle, {self._path: {**self._document(), "attributes": given}})

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
        document = read_document(self._handle, self._path)
        if document is None:
            return group_document({})
        if document.get("node_type") != "group":
            raise StoreError(f"{self._handle.storage.url}: {self._path!r} is not a group any more")
        return document
