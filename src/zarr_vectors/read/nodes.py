"""Finding the nodes of a level: list its folders, take its own list as a hint, read every ``zarr.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from zarr_vectors.constants import VERTEX_FRAGMENTS, VERTICES
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.formats.documents import LEVEL_KEY
from zarr_vectors.formats.revision import Revision
from zarr_vectors.storage.concurrency import together
from zarr_vectors.storage.consolidated import same_node
from zarr_vectors.storage.port import Blob, Listing, Range, Storage, is_address
from zarr_vectors.typing import Document

FindNodes: TypeAlias = Callable[[str], tuple[dict[str, Document], list[str] | None]]
"""From the path of a level to the documents of its nodes, as :func:`find_nodes` gives them."""


def known_nodes(level: str) -> list[str]:
    """Return the paths of the nodes that every level has."""
    return [level, f"{level}/{VERTICES}", f"{level}/{VERTEX_FRAGMENTS}"]


@dataclass(frozen=True, slots=True)
class LevelNodes:
    """What was read of the levels of a store before they are opened.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    revision : Revision
        Its format revision.
    consolidated : mapping
        Documents that consolidated metadata holds, by path.
    seen : mapping
        By level what is stored of its :func:`known_nodes`.
    """

    storage: Storage
    revision: Revision
    consolidated: Mapping[str, Document]
    seen: Mapping[str, Mapping[str, Blob | None]]

    def find(self, level: str) -> tuple[dict[str, Document], list[str] | None]:
        """Return the nodes of a level, as :func:`find_nodes` does.

        Consolidated metadata is taken where it agrees with the documents of the level, its vertices and their
        fragments, which are read anyway; not where a revision keeps a node per chunk, which those do not tell of,
        unless folders cannot be listed.
        """
        copies = {path: d for path, d in self.consolidated.items() if path == level or path.startswith(f"{level}/")}
        seen = self.seen.get(level)
        if copies and (not self.revision.keyed_by_chunk or not self.storage.can_list):
            if seen is None:
                seen = _fetch(self.storage, known_nodes(level))
            known = parse_nodes(seen)
            named = _hinted(known.get(level), level)
            if all(same_node(copies.get(path), known.get(path)) for path in seen) and copies.keys() >= set(named):
                return self._split({**copies, **known}, level)
        return find_nodes(self.storage, self.revision, level, seen)

    def _split(self, documents: dict[str, Document], level: str) -> tuple[dict[str, Document], list[str] | None]:
        """Take the nodes of single chunks out of the documents of a level; give the chunks of its vertices."""
        if not self.revision.keyed_by_chunk:
            return documents, None
        inside = {path: path[len(level) + 1 :] for path in documents}
        keys = [name.removeprefix(f"{VERTICES}/") for name in inside.values() if name.startswith(f"{VERTICES}/")]
        kept = {path: d for path, d in documents.items() if not self.revision.is_chunk_node(inside[path])}
        return kept, sorted(key for key in keys if "/" not in key)


def find_nodes(
    storage: Storage, revision: Revision, level: str, seen: Mapping[str, Blob | None] | None = None
) -> tuple[dict[str, Document], list[str] | None]:
    """Return the ``zarr.json`` of every node of a level, and the names below its vertices.

    Every round reads the documents of all nodes heard of so far and lists the folders that may hold more. The level's
    own document names its nodes, so that two rounds do for a level, and one where that document was seen before.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    revision : Revision
        Its format revision, which knows the folders that hold nodes.
    level : str
        Path of the level.
    seen : mapping, optional
        What was stored of :func:`known_nodes` a while ago. It is read again in the same round, and where it has
        changed only what is there now counts.

    Returns
    -------
    documents : dict
        By path below the root; the level's own document is among them when it exists.
    keys : list of str or None
        Names of the folders below ``vertices`` where revisions keep a node per chunk and listing is possible.
    """
    hinted = _hinted(parse_nodes(seen).get(level), level) if seen else []
    folders = {level, *(f"{level}/{name}" for name in revision.node_folders())}
    blobs: dict[str, Blob | None] = {}
    listings: dict[str, Listing] = {}
    found, keyed = {*known_nodes(level), *hinted}, f"{level}/{VERTICES}"
    while True:
        folders.update(path.rpartition("/")[0] for path in hinted)
        unread, unlisted = sorted(found - set(blobs)), sorted(folders - set(listings)) if storage.can_list else []
        if not unread and not unlisted:
            break
        if unlisted and revision.keyed_by_chunk and keyed not in listings:
            unlisted.append(keyed)
        more, listed = _round(storage, unread, unlisted)
        blobs |= more
        listings |= listed
        hinted = _hinted(parse_nodes({level: blobs[level]}).get(level), level)
        found.update(hinted)
        for folder in set(listed) - {keyed}:
            below = {f"{folder}/{name}" for name in listed[folder].folders}
            found |= below
            folders |= {path for path in below if revision.holds_nodes(path[len(level) + 1 :])}
    return parse_nodes(blobs), listings[keyed].folders if keyed in listings else None


def _round(
    storage: Storage, unread: Sequence[str], unlisted: Sequence[str]
) -> tuple[dict[str, Blob | None], dict[str, Listing]]:
    """Read documents and list folders at the same time."""
    if not unlisted:
        return _fetch(storage, unread), {}
    if not unread:
        return {}, dict(zip(unlisted, storage.list_folders(unlisted), strict=True))
    blobs, listings = together(lambda: _fetch(storage, unread), lambda: storage.list_folders(unlisted))
    return blobs, dict(zip(unlisted, listings, strict=True))


def _hinted(document: Document | None, level: str) -> list[str]:
    attributes = (document or {}).get("attributes")
    block = attributes.get(LEVEL_KEY) if isinstance(attributes, dict) else None
    names = block.get("nodes") if isinstance(block, dict) else None
    if not isinstance(names, list):
        return []
    return [f"{level}/{name}" for name in names if is_address(name)]


def _fetch(storage: Storage, paths: Sequence[str]) -> dict[str, Blob | None]:
    return dict(zip(paths, storage.get_many([Range(f"{path}/zarr.json") for path in paths]), strict=True))


def parse_nodes(blobs: Mapping[str, Blob | None]) -> dict[str, Document]:
    """Return the documents of nodes by path, without those that do not exist.

    Raises
    ------
    MetadataError
        A document is not a JSON object.
    """
    documents = {}
    for path, blob in blobs.items():
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
