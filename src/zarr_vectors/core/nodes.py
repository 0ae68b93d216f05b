"""The nodes of a store's tree by path: their metadata documents, their children, the groups above them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zarr_vectors.core.handle import StoreHandle
from zarr_vectors.exceptions import ArgumentError, MetadataError, StoreError
from zarr_vectors.storage.consolidated import CONSOLIDATED
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, group_document, parse_document
from zarr_vectors.storage.port import INTERNAL_PREFIX, check_address, get_whole, join, list_folder
from zarr_vectors.typing import Document

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HEXADECIMAL = re.compile("0x([0-9a-fA-F]{4}|[0-9a-fA-F]{8}|[0-9a-fA-F]{16})")
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def node_path(base: str, name: str) -> str:
    """Return the path of a node below a group, refusing names that would leave it.

    Parameters
    ----------
    base : str
        Path of the group, ``""`` for the root of the store.
    name : str
        Name of a child, or several joined by slashes.

    Raises
    ------
    ArgumentError
        The name is not a relative path of a node, or one that is kept for other things: ``zarr.json``, and what starts
        with ``.zv-`` below the root.
    """
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


def read_documents(handle: StoreHandle, paths: Iterable[str]) -> dict[str, Document]:
    """Return the ``zarr.json`` of nodes by path, in one round; nodes that have none are left out."""
    wanted = sorted(set(paths))
    addresses = [join(path, DOCUMENT_NAME) for path in wanted]
    blobs = get_whole(handle.storage, addresses) if wanted else []
    return {
        path: parse_document(blob, address)
        for path, address, blob in zip(wanted, addresses, blobs, strict=True)
        if blob is not None
    }


def attributes_of(document: Document, path: str) -> Document:
    """Return the attributes of a node by its ``zarr.json``.

    Raises
    ------
    MetadataError
        When they are no JSON object.
    """
    attributes = document.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise MetadataError(f"{path or '/'}: attributes must be a JSON object, got {type(attributes).__name__}")
    return dict(attributes)


def read_document(handle: StoreHandle, path: str) -> Document | None:
    """Return the ``zarr.json`` of one node, or None where it has none."""
    return read_documents(handle, [path]).get(path)


def write_documents(handle: StoreHandle, documents: Mapping[str, Document]) -> None:
    """Write the ``zarr.json`` of nodes, by path."""
    kept = {
        path: {key: v for key, v in document.items() if key != CONSOLIDATED} for path, document in documents.items()
    }
    items = [(join(path, DOCUMENT_NAME), document_bytes(document)) for path, document in kept.items()]
    handle.require_writable().put_many(items)
    handle.invalidate()


def parents_of(path: str) -> list[str]:
    """Return the paths of the groups above a node, the root first."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(len(parts))]


def missing_groups(handle: StoreHandle, paths: Iterable[str]) -> dict[str, Document]:
    """Return documents for those groups of some paths that have none yet, found in one round.

    Raises
    ------
    StoreError
        One of the paths is an array.
    """
    wanted = set(paths)
    found = read_documents(handle, wanted)
    for path, document in found.items():
        require_group(handle, path, document)
    return {path: group_document({}) for path in sorted(wanted - set(found))}


def require_group(handle: StoreHandle, path: str, document: Document) -> None:
    """Refuse a node that is not a group.

    Raises
    ------
    StoreError
        Naming the node.
    """
    if document.get("node_type") != "group":
        raise StoreError(f"{handle.storage.url}: {path!r} is an array, so that no group can be there")


def children(handle: StoreHandle, path: str) -> list[str]:
    """Return the names of the nodes directly below a group, sorted.

    Where folders cannot be listed (plain HTTP), these are the levels that the root names and the nodes that a
    level names.
    """
    if handle.storage.can_list:
        folders = list_folder(handle.storage, path).folders
        return [name for name in folders if not name.startswith(INTERNAL_PREFIX)]
    if not path:
        return [str(entry.level) for entry in handle.reader.root.levels]
    level, _, inside = path.partition("/")
    start = f"{inside}/" if inside else ""
    named = handle.reader.level(int(level), own=True).metadata.nodes if level.isdecimal() else ()
    return sorted({name[len(start) :].split("/")[0] for name in named if name.startswith(start)})


def child_groups(handle: StoreHandle, path: str) -> list[str]:
    """Return the names of the groups directly below a group; folders without a document are groups."""
    names = children(handle, path)
    documents = read_documents(handle, [join(path, name) for name in names])
    kinds = {name: documents.get(join(path, name), {}).get("node_type", "group") for name in names}
    return [name for name in names if kinds[name] == "group"]


def group_exists(handle: StoreHandle, path: str) -> bool:
    """Return whether a group is at a path; a folder that holds something is one without a document, too."""
    document = read_document(handle, path)
    if document is not None:
        return document.get("node_type") == "group"
    return handle.storage.can_list and any(list_folder(handle.storage, path))


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
