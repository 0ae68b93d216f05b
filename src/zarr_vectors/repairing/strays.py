"""Objects that nothing refers to."""

from __future__ import annotations

import json

from zarr_vectors.exceptions import ZarrVectorsError
from zarr_vectors.formats.cell_access import is_grid
from zarr_vectors.repairing.draft import Draft
from zarr_vectors.repairing.report import RepairItem
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.port import get_whole
from zarr_vectors.typing import Document

MAX_STRAYS = 100
"""Strays that are named one by one."""


def find_strays(draft: Draft) -> list[RepairItem]:
    """Return the objects that belong to no array, or lie outside the grid of theirs."""
    try:
        addresses = draft.list_all("")
    except ZarrVectorsError:
        return []
    named = [one for one in addresses if one.rpartition("/")[2] == DOCUMENT_NAME]
    documents = {
        address.rpartition("/")[0]: _document(blob)
        for address, blob in zip(named, get_whole(draft, named) if named else [], strict=True)
    }
    arrays = {path for path, found in documents.items() if found is None or found.get("node_type") == "array"}
    strays = [
        one for one in addresses if one.rpartition("/")[2] != DOCUMENT_NAME and not _owned(one, arrays, documents)
    ]
    items = [
        RepairItem("stray", "strays", one, "belongs to no array of the store; left where it is")
        for one in strays[:MAX_STRAYS]
    ]
    if len(strays) > MAX_STRAYS:
        items.append(RepairItem("stray", "strays", "", f"and {len(strays) - MAX_STRAYS} more objects of no array"))
    return items


def _document(blob: object) -> Document | None:
    try:
        found = json.loads(bytes(blob))  # type: ignore[call-overload]
    except (ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _owned(address: str, arrays: set[str], documents: dict[str, Document | None]) -> bool:
    parts = address.split("/")
    for depth in range(len(parts) - 1, 0, -1):
        path = "/".join(parts[:depth])
        if path in arrays:
            return _inside(parts[depth:], documents[path])
    return False


def _inside(rest: list[str], document: Document | None) -> bool:
    """Return whether a cell or shard lies on the grid of its array."""
    if document is None or not is_grid(document) or rest[0] != "c":
        return True
    try:
        shape, outer = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
        places = [int(part) for part in rest[1:]]
        return len(places) == len(shape) and all(
            0 <= place < -(-size // step) for place, size, step in zip(places, shape, outer, strict=True)
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return True
