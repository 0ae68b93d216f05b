"""Writing a level into the draft again, without touching what is to be left as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from zarr_vectors.constants import (
    CROSS_CHUNK_LINK_ATTRIBUTES,
    CROSS_CHUNK_LINKS,
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    GROUPS,
    LINK_ATTRIBUTES,
    LINK_FRAGMENTS,
    LINKS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.formats.documents import LEVEL_KEY
from zarr_vectors.formats.link_names import delta_name
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.metadata import LevelMetadata
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.repairing.draft import Draft, node_address
from zarr_vectors.storage.port import BlobParts, joined
from zarr_vectors.typing import Document
from zarr_vectors.write.level import write_level

FAMILIES = (
    VERTICES, VERTEX_FRAGMENTS, VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES, OBJECT_INDEX, OBJECT_ATTRIBUTES, GROUPS,
    GROUP_ATTRIBUTES, LINKS, LINK_ATTRIBUTES, LINK_FRAGMENTS, CROSS_CHUNK_LINKS, CROSS_CHUNK_LINK_ATTRIBUTES,
)  # fmt: skip
"""Folders of a level that a rewrite looks after; others are left alone."""


@dataclass(slots=True)
class Selective(Draft):
    """A draft that takes only some of what is written.

    Attributes
    ----------
    target : Draft
        Where the rest goes.
    kept : frozenset of str
        Paths below the root that are left as they are.
    addresses : set of str
        What was written.
    """

    target: Draft = field(kw_only=True)
    kept: frozenset[str] = frozenset()
    addresses: set[str] = field(default_factory=set)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write what is not to be left as it is; metadata keeps keys that are not known here."""
        chosen = [(address, data) for address, data in items if not is_below(address, self.kept)]
        self.addresses.update(address for address, _ in chosen)
        self.target.put_many([(address, self._with_known_keys(address, data)) for address, data in chosen])

    def _with_known_keys(self, address: str, data: BlobParts) -> BlobParts:
        if not address.endswith("/zarr.json"):
            return data
        old = self.target.document(address.removesuffix("/zarr.json"))
        known = old.get("attributes") if old is not None else None
        if not isinstance(known, dict):
            return data
        new: Document = json.loads(bytes(joined(data)))
        new["attributes"] = {**known, **(new.get("attributes") or {})}
        return json.dumps(new).encode()


def is_below(address: str, paths: Iterable[str]) -> bool:
    """Return whether an address is that of some paths or lies below them."""
    return any(address == path or address.startswith(f"{path}/") for path in paths)


def rewrite_level(
    draft: Draft, store: StoreReader, level: LevelReader, metadata: LevelMetadata, cells: Cells, kept: Iterable[str]
) -> None:
    """Write a level; objects that come out as they were stay untouched, those that are no part of it go.

    Parameters
    ----------
    draft : Draft
        Where to.
    store, level : StoreReader, LevelReader
        The store and the level as they are.
    metadata : LevelMetadata
        The level's metadata.
    cells : Cells
        What it holds.
    kept : iterable of str
        Paths below the level that are left as they are, damaged or not.
    """
    path = str(level.metadata.level)
    left = frozenset(f"{path}/{name}" for name in kept)
    before = [one for one in draft.list_all(path) if one.split("/")[1] in FAMILIES]
    target = Selective(draft.inner, target=draft, kept=left)
    written = write_level(
        target,
        store.revision,
        store.root,
        metadata,
        cells,
        store.stored_options(level.metadata.level),
        previous=level.attributes,
    )
    above = {node_address(node) for one in left for node in _parents(one)}
    opened = [f"{path}/{name}" for name in opened_nodes(level)]
    stale = [one for one in before if one not in target.addresses and one not in above and not is_below(one, left)]
    draft.delete_many([one for one in stale if is_below(one, opened)])
    nodes = set(written.nodes)
    for one in before:
        node = one[len(path) + 1 : -len("/zarr.json")]
        if one.endswith("/zarr.json") and is_below(one, left) and not store.revision.is_chunk_node(node):
            nodes |= {"/".join(node.split("/")[: depth + 1]) for depth in range(node.count("/") + 1)}
    present = sorted({node for node in nodes if draft.exists(node_address(f"{path}/{node}"))})
    document = draft.document(path)
    assert document is not None
    block = document["attributes"][LEVEL_KEY]
    if level.metadata.nodes or not level.attributes.get(LEVEL_KEY):
        block["nodes"] = present
    else:
        block.pop("nodes", None)
    block["arrays_present"] = sorted({node.split("/")[0] for node in present})
    draft.put_document(path, document)


def opened_nodes(level: LevelReader) -> list[str]:
    """Return the paths below a level of everything that was opened, and is therefore written again or dropped."""
    arrays = level.arrays
    nodes = [VERTICES]
    nodes += [] if arrays.vertex_fragments is None else [VERTEX_FRAGMENTS]
    nodes += [] if arrays.link_fragments is None else [LINK_FRAGMENTS]
    nodes += [] if arrays.object_index is None else [OBJECT_INDEX]
    nodes += [] if arrays.groups is None else [GROUPS]
    families = {
        VERTEX_ATTRIBUTES: arrays.vertex_attributes,
        FRAGMENT_ATTRIBUTES: arrays.fragment_attributes,
        OBJECT_ATTRIBUTES: arrays.object_attributes,
        GROUP_ATTRIBUTES: arrays.group_attributes,
    }
    nodes += [f"{family}/{name}" for family, named in families.items() for name in named]
    for delta, links in arrays.links.items():
        step = delta_name(delta)
        nodes += [f"{LINKS}/{step}", f"{CROSS_CHUNK_LINKS}/{step}"]
        nodes += [f"{LINK_ATTRIBUTES}/{name}/{step}" for array in links.arrays for name in array.attributes]
        tables = {} if links.blob is None else links.blob.attributes
        nodes += [f"{CROSS_CHUNK_LINK_ATTRIBUTES}/{name}/{step}" for name in tables]
    return nodes


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
