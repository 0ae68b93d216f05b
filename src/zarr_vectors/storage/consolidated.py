"""Consolidated metadata: copies of the ``zarr.json`` of all nodes inside that of the root.

The block has the form that zarr-python 3 gives it (``consolidated_metadata`` with the kind ``inline``). It is no
source of truth: whoever changes a node without the block leaves it stale, so writers remove it before they change
anything, and readers compare it with what they read anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zarr_vectors.exceptions import StoreError, StoreNotFoundError
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, parse_document
from zarr_vectors.storage.port import INTERNAL_PREFIX, Storage, get_one, get_whole, is_address, put_one
from zarr_vectors.typing import Document

CONSOLIDATED = "consolidated_metadata"
"""Key of the block in the root's ``zarr.json``."""

_KIND = "inline"
_COMPARED = ("node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding")


def consolidated_nodes(root: Document) -> dict[str, Document]:
    """Return the documents that a root's block holds, by path; empty without a block, or one of another kind."""
    block = root.get(CONSOLIDATED)
    nodes = block.get("metadata") if isinstance(block, dict) and block.get("kind") == _KIND else None
    if not isinstance(nodes, dict):
        return {}
    return {path: node for path, node in nodes.items() if isinstance(node, dict) and is_address(path)}


def same_node(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> bool:
    """Return whether two documents describe the same node: what writers add by default makes no difference."""
    if first is None or second is None:
        return first is second
    alike = all(first.get(key) == second.get(key) for key in _COMPARED)
    return alike and (first.get("attributes") or {}) == (second.get("attributes") or {})


def consolidate(storage: Storage) -> int:
    """Put copies of all documents of a store into that of its root, in one write.

    The caller holds the lock of the store.

    Parameters
    ----------
    storage : Storage
        The store, open for writing.

    Returns
    -------
    int
        Number of nodes, without the root.

    Raises
    ------
    StoreNotFoundError
        No store is there.
    StoreError
        The storage cannot list what it holds.
    """
    if not storage.can_list:
        raise StoreError(f"{storage.url} cannot list what it holds, so that its metadata cannot be consolidated")
    root = _root(storage)
    if root is None:
        raise StoreNotFoundError(f"{storage.url}: no store is there")
    ending = f"/{DOCUMENT_NAME}"
    addresses = [a for a in storage.list_all() if a.endswith(ending) and not a.startswith(INTERNAL_PREFIX)]
    nodes = {
        address.removesuffix(ending): parse_document(blob, address)
        for address, blob in zip(addresses, get_whole(storage, addresses), strict=True)
        if blob is not None
    }
    block = {"kind": _KIND, "must_understand": False, "metadata": nodes}
    put_one(storage, DOCUMENT_NAME, document_bytes({**root, CONSOLIDATED: block}))
    return len(nodes)


def without_consolidated(storage: Storage) -> bytes | None:
    """Return the root's document without the block, for a store that is about to change; None where it has none.

    Costs one request.
    """
    blob = get_one(storage, DOCUMENT_NAME)
    if blob is None or CONSOLIDATED.encode() not in bytes(blob):
        return None
    root = parse_document(blob, DOCUMENT_NAME)
    if CONSOLIDATED not in root:
        return None
    return document_bytes({k: v for k, v in root.items() if k != CONSOLIDATED})


def _root(storage: Storage) -> Document | None:
    blob = get_one(storage, DOCUMENT_NAME)
    return None if blob is None else parse_document(blob, DOCUMENT_NAME)
