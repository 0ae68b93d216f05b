"""What the ``zarr.json`` of a node may have been: as in other levels, as in arrays beside it, as in every store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zarr_vectors.constants import (
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    GROUPS,
    LINK_ATTRIBUTES,
    LINK_FRAGMENTS,
    LINKS,
    NONEMPTY_CHUNKS,
    OBJECT_ATTRIBUTES,
    OBJECT_ID_ATTRIBUTE,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.encoding.compression import resolve_compressor
from zarr_vectors.formats.cell_access import is_grid
from zarr_vectors.formats.dense_array import encode_values
from zarr_vectors.formats.documents import group_document
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.formats.link_names import parse_delta
from zarr_vectors.formats.objects import MANIFESTS_PER_CHUNK
from zarr_vectors.formats.revision import Revision
from zarr_vectors.formats.vlen_array import encode_vlen
from zarr_vectors.repairing.context import Context
from zarr_vectors.repairing.root import level_numbers
from zarr_vectors.storage.port import list_folder
from zarr_vectors.typing import Document

FIXED: dict[str, Document] = {
    VERTEX_FRAGMENTS: {"zv_array": "vertex_fragments", "encoding": "fragment_index_v1"},
    LINK_FRAGMENTS: {"zv_array": "link_fragments", "encoding": "fragment_index_v1"},
    f"{FRAGMENT_ATTRIBUTES}/{OBJECT_ID_ATTRIBUTE}": {
        "zv_array": "fragment_attribute", "name": OBJECT_ID_ATTRIBUTE, "dtype": "int64", "row_shape": [],
    },
}  # fmt: skip
"""Attributes of arrays that are the same in every store."""

KINDS = {
    VERTICES: "vertices",
    VERTEX_FRAGMENTS: "vertex_fragments",
    LINK_FRAGMENTS: "link_fragments",
    OBJECT_INDEX: "object_index",
    GROUPS: "groups",
    VERTEX_ATTRIBUTES: "attribute",
    FRAGMENT_ATTRIBUTES: "fragment_attribute",
    OBJECT_ATTRIBUTES: "object_attribute",
    GROUP_ATTRIBUTES: "groupings_attribute",
}
CELLS = (VERTICES, VERTEX_FRAGMENTS, LINK_FRAGMENTS, VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES)
FAMILIES = (VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES, OBJECT_ATTRIBUTES, GROUP_ATTRIBUTES)
_CHECKS = (
    "documents-readable", "nodes-complete", "node-types", "zv-array", "arrays-present", "grids", "level-readable",
    "chunks-stated", "chunk-sets", "object-index",
)  # fmt: skip


@dataclass(slots=True)
class Nodes:
    """The nodes of one level.

    Parameters
    ----------
    context : Context
        The pass.
    revision : Revision
        Format revision of the store.
    number : int
        The level.
    ndim : int
        Number of axes.
    specs : dict
        The root's ``attribute_specs``.
    documents : dict
        Documents by path below the root, as they can be read.
    """

    context: Context
    revision: Revision
    number: int
    ndim: int
    specs: Document
    documents: dict[str, Document]

    @property
    def path(self) -> str:
        """Path of the level."""
        return str(self.number)

    def check(self) -> str:
        """Return the rule whose damage this is."""
        return next((c for c in _CHECKS if self.context.has(c, level=self.number)), "documents-readable")

    def put(self, path: str, document: Document, message: str) -> None:
        """Write a document and note it."""
        self.documents[path] = document
        self.context.draft.put_document(path, document)
        self.context.repaired(self.check(), path, message)

    def grid(self) -> Document | None:
        """Return the document of the array whose grid most arrays of the level have."""
        grids = [self.documents[p] for p in sorted(self.documents) if is_grid(self.documents[p]) and is_cells(self, p)]
        votes: dict[str, list[Document]] = {}
        for document in grids:
            votes.setdefault(place_of(document), []).append(document)
        return max(votes.values(), key=len)[0] if votes else None


def place_of(document: Document) -> str:
    """Return shape and origin of a grid as one word."""
    attributes = document.get("attributes") or {}
    origin = attributes.get("chunk_grid_origin") if isinstance(attributes, dict) else None
    return f"{document.get('shape')} {origin}"


def is_cells(nodes: Nodes, path: str) -> bool:
    """Return whether a node holds cells of chunks."""
    return path[len(nodes.path) + 1 :].split("/")[0] in (*CELLS, LINKS, LINK_ATTRIBUTES)


def node_type(revision: Revision, name: str) -> str | None:
    """Return what a node of a level must be, by its path below the level; None where either may be."""
    family, *rest = name.split("/")
    cells = "group" if revision.keyed_by_chunk else "array"
    if not rest:
        return cells if family in (VERTICES, VERTEX_FRAGMENTS, LINK_FRAGMENTS, GROUPS) else "group"
    if family == OBJECT_INDEX:
        return "array"
    if family in FAMILIES and len(rest) == 1:
        return cells
    if family == LINKS and not revision.keyed_by_chunk:
        return "group" if len(rest) == 1 else "array"
    if family == LINK_ATTRIBUTES and not revision.keyed_by_chunk:
        return "group" if len(rest) < 3 else "array"
    return "group" if revision.keyed_by_chunk else None


def candidates(nodes: Nodes, path: str, own: Document | None) -> Iterator[Document]:
    """Yield documents that a node may have had, the likeliest first; ``own`` is what it has now."""
    name = path[len(nodes.path) + 1 :]
    wanted = node_type(nodes.revision, name)
    copies = [copy for n in level_numbers(nodes.context.draft) if n != nodes.number
              for copy in [nodes.context.draft.document(f"{n}/{name}")] if copy is not None]  # fmt: skip
    described = list(_attribute_candidates(nodes, path, own, copies))
    if wanted == "group":
        yield from (group_document(attributes) for attributes in described)
        if name.split("/")[0] not in (*CELLS, GROUPS) and not _named(name) and not name.startswith(f"{LINKS}/"):
            yield group_document({})
        return
    if is_cells(nodes, path):
        yield from _grid_candidates(nodes, path, own, copies, described)
        return
    for copy in copies:
        yield copy
        if isinstance(copy.get("shape"), list) and own is not None and isinstance(own.get("shape"), list):
            yield {**copy, "shape": own["shape"]}
    yield from _empty_tables(nodes, path)


def _empty_tables(nodes: Nodes, path: str) -> Iterator[Document]:
    """Yield documents of manifests and object ids by the number of rows that others of the level have."""
    index, name = f"{nodes.path}/{OBJECT_INDEX}", path.rpartition("/")[2]
    beside = [f"{index}/object_ids", f"{index}/manifests"]
    beside += [one for one in nodes.documents if one.startswith(f"{nodes.path}/{OBJECT_ATTRIBUTES}/")]
    shapes = [(nodes.documents.get(one) or {}).get("shape") for one in beside if one != path]
    counts = [shape[0] for shape in shapes if isinstance(shape, list) and shape and isinstance(shape[0], int)]
    stated = ((nodes.documents.get(index) or {}).get("attributes") or {}).get("num_objects")
    counts += [stated] if isinstance(stated, int) else []
    if not counts or not path.startswith(f"{index}/"):
        return
    count = counts[0]
    for codecs in (resolve_compressor("zstd"), []):
        if name == "manifests":
            none = np.zeros(0, np.uint8)
            yield parsed(encode_vlen(path, none, np.zeros(count + 1, np.int64), MANIFESTS_PER_CHUNK, codecs, {})[-1][1])
        elif name == "object_ids":
            options = LevelOptions(codecs or None, None)
            yield parsed(encode_values(path, np.zeros(count, np.int64), options, 0, {})[-1][1])


def parsed(blob: bytes) -> Document:
    """Return a document that was encoded here."""
    found: Document = json.loads(blob)
    return found


def _named(name: str) -> bool:
    family, *rest = name.split("/")
    return family in FAMILIES and bool(rest)


def _attribute_candidates(nodes: Nodes, path: str, own: Document | None, copies: list[Document]) -> Iterator[Document]:
    name = path[len(nodes.path) + 1 :]
    family, *rest = name.split("/")
    documents = [one for one in (own, *copies) if one is not None]
    for document in documents:
        attributes = document.get("attributes")
        if isinstance(attributes, dict):
            bare = {k: v for k, v in attributes.items() if k not in (NONEMPTY_CHUNKS, "chunk_grid_origin")}
            yield (
                {**bare, "zv_array": KINDS[family], **({"name": rest[0]} if _named(name) else {})}
                if (family in KINDS and (not rest or _named(name)))
                else bare
            )
    if family in (LINKS, LINK_ATTRIBUTES) and not nodes.revision.keyed_by_chunk:
        yield from _link_candidates(nodes, path, name)
    if name in FIXED:
        yield FIXED[name]
    if name == OBJECT_INDEX:
        layout = "vlen_manifests_v1" if nodes.revision.keyed_by_chunk else "vlen_manifests_v2"
        yield {"zv_array": "object_index", "num_objects": 0, "sid_ndim": key_length(nodes), "layout": layout}
    if family == VERTICES:
        yield from ({"zv_array": "vertices", "dtype": dtype, "encoding": "raw"} for dtype in _float_types(nodes))
    scope = {VERTEX_ATTRIBUTES: "vertex"}.get(family)
    spec = (nodes.specs.get(scope) or {}).get(rest[0]) if scope and rest else None
    if isinstance(spec, dict) and spec.get("dtype"):
        yield {"zv_array": KINDS[family], "name": rest[0], **spec, "row_shape": []}


def _link_candidates(nodes: Nodes, path: str, name: str) -> Iterator[Document]:
    """Yield what links or their attributes may have said of themselves, from those with other offsets."""
    family, *rest = name.split("/")
    parent, _, segment = path.rpartition("/")
    beside = [nodes.documents[p] for p in sorted(nodes.documents) if p.rpartition("/")[0] == parent and p != path]
    if family == LINKS and len(rest) == 1:
        below = [nodes.documents[p] for p in sorted(nodes.documents) if p.startswith(f"{path}/")]
        said = [a for a in ((d.get("attributes") or {}) for d in below) if any(map(any, a.get("offsets") or []))]
        delta = parse_delta(rest[0])
        if delta is not None and (delta or said):
            directed = bool(delta) or not any(a.get("has_perm") for a in said)
            width = 2 if not said else 1 + len(said[0]["offsets"])
            yield {"zv_array": "links_family", "level_delta": delta, "link_width": width, "directed": directed,
                   "store": "canonical", "sid_ndim": key_length(nodes)}  # fmt: skip
        return
    for document in beside:
        attributes = document.get("attributes")
        if not isinstance(attributes, dict):
            continue
        bare = {k: v for k, v in attributes.items() if k not in (NONEMPTY_CHUNKS, "chunk_grid_origin")}
        if family == LINK_ATTRIBUTES:
            yield bare
            continue
        try:
            offsets = [[int(part) for part in one.split(".")] for one in segment.split("_")]
        except ValueError:
            return
        crossing, like = any(map(any, offsets)), any(map(any, bare.get("offsets") or []))
        if crossing == like or not crossing or rest[0] != "0":
            yield {**bare, "offsets": offsets, "has_perm": bool(bare.get("has_perm")) and crossing}


def _float_types(nodes: Nodes) -> list[str]:
    """Return the data type of the positions of other levels."""
    found = []
    for number in level_numbers(nodes.context.draft):
        attributes = (nodes.context.draft.document(f"{number}/{VERTICES}") or {}).get("attributes") or {}
        if isinstance(attributes, dict) and attributes.get("dtype") in ("float32", "float64"):
            found.append(attributes["dtype"])
    return list(dict.fromkeys(found))


def key_length(nodes: Nodes) -> int:
    """Return the number of components of a chunk key."""
    vertices = nodes.documents.get(f"{nodes.path}/{VERTICES}") or {}
    shape = vertices.get("shape")
    if isinstance(shape, list) and shape and not nodes.revision.keyed_by_chunk:
        return len(shape)
    names = list_folder(nodes.context.draft, f"{nodes.path}/{VERTICES}").folders
    return names[0].count(".") + 1 if names else nodes.ndim


def _grid_candidates(
    nodes: Nodes, path: str, own: Document | None, copies: list[Document], described: list[Document]
) -> Iterator[Document]:
    """Yield documents on the grid of the level, stored as other arrays are."""
    reference = nodes.grid()
    if reference is None:
        return
    origin = (reference.get("attributes") or {}).get("chunk_grid_origin")
    siblings = [nodes.documents[p] for p in sorted(nodes.documents) if is_grid(nodes.documents[p])]
    layouts = {
        f"{d.get('chunk_grid')} {d.get('codecs')}": d
        for d in (own, *siblings, *copies)
        if d is not None and isinstance(d.get("codecs"), list) and isinstance(d.get("chunk_grid"), dict)
    }
    for attributes in described:
        for layout in layouts.values():
            yield {
                **reference, "chunk_grid": layout["chunk_grid"], "codecs": layout["codecs"],
                "attributes": {**attributes, "chunk_grid_origin": origin},
            }  # fmt: skip
