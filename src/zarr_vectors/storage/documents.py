"""Metadata documents: ``zarr.json`` files as dictionaries and as bytes."""

from __future__ import annotations

import json

from zarr_vectors.exceptions import MetadataError, StoreError
from zarr_vectors.storage.port import Blob
from zarr_vectors.typing import Document

DOCUMENT_NAME = "zarr.json"
"""Name of the metadata document of every Zarr v3 node (Zarr v3 core specification)."""

DOCUMENT_LIMIT = 2**28
"""Bytes of the largest metadata document that is read."""


def check_document_size(address: str, size: int) -> None:
    """Refuse a metadata document that is too large to be one, before memory is taken for it.

    Raises
    ------
    StoreError
        At `address` is a ``zarr.json`` of more than `DOCUMENT_LIMIT` bytes.
    """
    if size > DOCUMENT_LIMIT and address.endswith(DOCUMENT_NAME):
        raise StoreError(
            f"cannot read {address!r}: {size} bytes are said to be there, and a metadata document has at most "
            f"{DOCUMENT_LIMIT}; the store is damaged or hostile"
        )


def group_document(attributes: Document) -> Document:
    """Give the metadata document of a Zarr v3 group with these attributes (Zarr v3 core specification)."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def document_bytes(document: Document) -> bytes:
    """Write a document as JSON in UTF-8, as it is stored in ``zarr.json``.

    Raises
    ------
    MetadataError
        A value cannot be written as JSON; NaN and infinities are refused too, since JSON has none.
    """
    try:
        return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise MetadataError(
            f"the metadata cannot be written as JSON: {error}; use plain numbers, strings, lists and dicts"
        ) from error


def parse_document(blob: Blob, address: str) -> Document:
    """Read a JSON document.

    Parameters
    ----------
    blob : bytes or memoryview
        What is stored.
    address : str
        Where it was found, for the message.

    Returns
    -------
    dict
        The document.

    Raises
    ------
    MetadataError
        It is not JSON in UTF-8, or not an object.
    """
    try:
        document = json.loads(bytes(blob))
    except (ValueError, RecursionError) as error:
        raise MetadataError(
            f"{address!r} is not valid JSON ({error}): the document is damaged or was cut short"
        ) from error
    if not isinstance(document, dict):
        raise MetadataError(f"{address!r} holds a JSON {type(document).__name__} where an object was expected")
    return document
