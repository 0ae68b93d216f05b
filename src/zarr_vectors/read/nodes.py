"""Finding the nodes of a level: list its folders, take its own list as a hint, read every ``zarr.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable

from zarr_vectors.constants import VERTEX_FRAGMENTS, VERTICES
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.formats.documents import LEVEL_KEY
from zarr_vectors.formats.revision import Revision
from zarr_vectors.storage.port import Range, Storage
from zarr_vectors.typing import Document


def find_nodes(storage: Storage, revision: Revision, level: str) -> tuple[dict[str, Document], list[str] | None]:
    """Return the ``zarr.json`` of every node of a level, and the names below its vertices.

    One round lists the level's folders while the documents that every level has are read; a second reads
    those that the listing or the level's own list of nodes names.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    revision : Revision
        Its format revision, which knows the folders that hold nodes.
    level : str
        Path of the level.

    Returns
    -------
    documents : dict
        By path below the root; the level's own document is among them when it exists.
    keys : list of str or None
        Names of the folders below ``vertices`` where revisions keep a node per chunk and listing is possible.
    """
    known = [level, f"{level}/{VERTICES}", f"{level}/{VERTEX_FRAGMENTS}"]
    documents = _read(storage, known)
    hinted = _hinted(documents.get(level), level)
    if not storage.can_list:
        documents |= _read(storage, [path for path in hinted if path not in documents])
        return documents, None
    keys = None
    parents = {path.rpartition("/")[0] for path in hinted}
    frontier = {level, *(f"{level}/{name}" for name in revision.node_folders()), *parents}
    listed: set[str] = set()
    found: set[str] = set(hinted)
    while frontier:
        folders = sorted(frontier)
        keyed = revision.keyed_by_chunk and not listed
        listings = storage.list_folders([*folders, f"{level}/{VERTICES}"] if keyed else folders)
        keys = listings.pop().folders if keyed else keys
        listed |= frontier
        frontier = set()
        for folder, listing in zip(folders, listings, strict=True):
            below = {f"{folder}/{name}" for name in listing.folders}
            found |= below
            frontier |= {path for path in below if revision.holds_nodes(path[len(level) + 1 :])} - listed
    documents |= _read(storage, found - set(documents))
    return documents, keys


def _hinted(document: Document | None, level: str) -> list[str]:
    attributes = (document or {}).get("attributes")
    block = attributes.get(LEVEL_KEY) if isinstance(attributes, dict) else None
    names = block.get("nodes") if isinstance(block, dict) else None
    if not isinstance(names, list):
        return []
    return [f"{level}/{name}" for name in names if isinstance(name, str) and ".." not in name and name]


def _read(storage: Storage, paths: Iterable[str]) -> dict[str, Document]:
    paths = sorted(paths)
    blobs = storage.get_many([Range(f"{path}/zarr.json") for path in paths])
    documents = {}
    for path, blob in zip(paths, blobs, strict=True):
        if blob is None:
            continue
        try:
            document = json.loads(bytes(blob))
        except (ValueError, RecursionError) as error:
            raise MetadataError(f"{path}/zarr.json: not valid JSON: {error}") from error
        if not isinstance(document, dict):
            raise MetadataError(f"{path}/zarr.json: expected a JSON object, got {type(document).__name__}")
        documents[path] = document
    return documents
