"""The ``zarr.json`` documents of a level's nodes, made anew from those of other levels and of arrays beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
from zarr_vectors.exceptions import ZarrVectorsError
from zarr_vectors.formats.cell_access import is_grid, open_cell_array
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.dense_array import encode_values
from zarr_vectors.formats.documents import LEVEL_KEY, group_document, parse_attribute
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.formats.link_names import parse_delta
from zarr_vectors.formats.objects import MANIFESTS_PER_CHUNK
from zarr_vectors.formats.revision import Revision
from zarr_vectors.formats.vlen_array import encode_vlen
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.read.fetch import fetch_cells
from zarr_vectors.repairing.context import Context
from zarr_vectors.repairing.root import level_numbers
from zarr_vectors.storage.port import list_folder
from zarr_vectors.typing import Document, IntArray
from zarr_vectors.validate.subjects import DAMAGE, find_documents

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
_CELLS = (VERTICES, VERTEX_FRAGMENTS, LINK_FRAGMENTS, VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES)
_FAMILIES = (VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES, OBJECT_ATTRIBUTES, GROUP_ATTRIBUTES)
_TRIED_CELLS = 8
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
        grids = [self.documents[p] for p in sorted(self.documents) if is_grid(self.documents[p]) and _is_cells(self, p)]
        votes: dict[str, list[Document]] = {}
        for document in grids:
            votes.setdefault(_place(document), []).append(document)
        return max(votes.values(), key=len)[0] if votes else None


def _place(document: Document) -> str:
    attributes = document.get("attributes") or {}
    return f"{document.get('shape')} {attributes.get('chunk_grid_origin')}"


def _is_cells(nodes: Nodes, path: str) -> bool:
    return path[len(nodes.path) + 1 :].split("/")[0] in (*_CELLS, LINKS, LINK_ATTRIBUTES)


def repair_nodes(context: Context, revision: Revision, number: int, ndim: int, specs: Document) -> None:
    """Give every array of a level a document that can be read, and grids one shape and the lists of their chunks."""
    found, folders = find_documents(context.draft, revision, str(number))
    good = {path: document for path, document in found.items() if isinstance(document, dict)}
    nodes = Nodes(context, revision, number, ndim, specs, good)
    vertices = f"{number}/{VERTICES}"
    for path in sorted(_expected(nodes, found, folders), key=lambda path: (path != vertices, path)):
        _repair_node(nodes, path, unreadable=isinstance(found.get(path), str))
        if vertices not in nodes.documents:
            return
    if not revision.keyed_by_chunk:
        _repair_grids(nodes)
        _repair_lists(nodes)
    _repair_object_index(nodes)


def _expected(nodes: Nodes, found: dict[str, Any], folders: dict[str, list[str]]) -> list[str]:
    level = nodes.path
    expected = {f"{level}/{VERTICES}", f"{level}/{VERTEX_FRAGMENTS}", *found} - {level}
    for family in _FAMILIES:
        expected |= {f"{level}/{family}/{name}" for name in folders.get(f"{level}/{family}", [])}
    expected |= {f"{level}/{name}" for name in folders.get(level, []) if name in (OBJECT_INDEX, GROUPS)}
    expected |= {f"{path}/{name}" for path, names in folders.items() if path != level for name in names}
    block = (nodes.documents.get(level, {}).get("attributes") or {}).get(LEVEL_KEY)
    named = block.get("nodes") if isinstance(block, dict) else None
    expected |= {
        f"{level}/{name}" for name in (named if isinstance(named, list) else []) if isinstance(name, str) and name
    }
    return sorted(path for path in expected if ".." not in path)


def _repair_node(nodes: Nodes, path: str, *, unreadable: bool) -> None:
    """Give one node a document that can be read, where it has none."""
    document = nodes.documents.get(path)
    name = path[len(nodes.path) + 1 :]
    if document is not None:
        document = _relabelled(nodes, name, document)
        if document != nodes.documents[path] and _fits(nodes, path, document):
            nodes.put(path, document, "its node type and what it calls itself are right again")
            return
        if _fits(nodes, path, nodes.documents[path]):
            return
    below = [one for one in nodes.context.draft.list_all(path) if one != f"{path}/zarr.json"]
    for made in _candidates(nodes, path, document) if below or name != VERTICES else ():
        if _fits(nodes, path, made):
            nodes.put(path, made, "its zarr.json was made anew")
            return
    if name == VERTICES:
        _lose_vertices(nodes, path)
        return
    what = "its metadata is lost, and nothing tells its data type" if below else "it is listed, but all of it is gone"
    if (unreadable or document is not None or below or name) and nodes.context.lost(nodes.check(), path, what):
        nodes.context.draft.delete_prefix(path)
        nodes.documents.pop(path, None)
        _unlist(nodes, name)


def _lose_vertices(nodes: Nodes, path: str) -> None:
    """A coarse level without vertices can be dropped, full resolution cannot."""
    said = "the vertices, or what they are stored as, are lost"
    if nodes.number == 0:
        nodes.context.hopeless("arrays-present", path, said)
    elif nodes.context.lost("arrays-present", path, f"{said}, and with them the level"):
        nodes.context.draft.delete_prefix(nodes.path)
        nodes.documents.clear()


def _unlist(nodes: Nodes, name: str) -> None:
    document = nodes.context.draft.document(nodes.path)
    block = (document or {}).get("attributes", {}).get(LEVEL_KEY)
    if document is not None and isinstance(block, dict) and isinstance(block.get("nodes"), list):
        block["nodes"] = [n for n in block["nodes"] if n != name and not str(n).startswith(f"{name}/")]
        nodes.context.draft.put_document(nodes.path, document)


def node_type(revision: Revision, name: str) -> str | None:
    """Return what a node of a level must be, by its path below the level; None where either may be."""
    family, *rest = name.split("/")
    cells = "group" if revision.keyed_by_chunk else "array"
    if not rest:
        return cells if family in (VERTICES, VERTEX_FRAGMENTS, LINK_FRAGMENTS, GROUPS) else "group"
    if family == OBJECT_INDEX:
        return "array"
    if family in _FAMILIES and len(rest) == 1:
        return cells
    if family == LINKS and not revision.keyed_by_chunk:
        return "group" if len(rest) == 1 else "array"
    if family == LINK_ATTRIBUTES and not revision.keyed_by_chunk:
        return "group" if len(rest) < 3 else "array"
    return "group" if revision.keyed_by_chunk else None


def _relabelled(nodes: Nodes, name: str, document: Document) -> Document:
    """Return a document with the node type and the names that belong to its place."""
    wanted = node_type(nodes.revision, name)
    made = dict(document)
    if wanted is not None and made.get("node_type") != wanted:
        made["node_type"] = wanted
    if made.get("zarr_format") != 3:
        made["zarr_format"] = 3
    family, *rest = name.split("/")
    attributes = made.get("attributes")
    if not isinstance(attributes, dict):
        return made
    kind = KINDS.get(family)
    named = len(rest) == 1 and family in _FAMILIES
    plain = not rest and family not in _FAMILIES
    if kind is not None and (named or (plain and (family != LINK_FRAGMENTS or attributes))):
        if attributes.get("zv_array") != kind:
            made["attributes"] = attributes = {**attributes, "zv_array": kind}
        if named and attributes.get("name", rest[0]) != rest[0]:
            made["attributes"] = {**attributes, "name": rest[0]}
    return made


def _fits(nodes: Nodes, path: str, document: Document) -> bool:
    """Return whether a node can be opened by a document, and what it holds can be decoded."""
    name = path[len(nodes.path) + 1 :]
    if document.get("node_type") not in ("group", "array"):
        return False
    family, *rest = name.split("/")
    try:
        if document.get("node_type") != (node_type(nodes.revision, name) or document["node_type"]):
            return False
        if is_grid(document) and _is_cells(nodes, path):
            return _grid_fits(nodes, path, document)
        trial = {**nodes.documents, path: document}
        if path != f"{nodes.path}/{VERTICES}" and f"{nodes.path}/{VERTICES}" not in trial:
            return True
        columns = nodes.ndim
        nodes.revision.open_level(nodes.path, _only(nodes, trial, path), None, columns, columns)
    except (ZarrVectorsError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError, SyntaxError):
        return False
    if family == VERTICES and nodes.revision.keyed_by_chunk:
        return isinstance(document.get("attributes"), dict) and "dtype" in document["attributes"]
    return True


def _only(nodes: Nodes, documents: dict[str, Document], path: str) -> dict[str, Document]:
    """Return the documents of the vertices and of one node, with the groups above it."""
    wanted = {f"{nodes.path}/{VERTICES}", path, path.rpartition("/")[0]}
    if path == f"{nodes.path}/{OBJECT_INDEX}":
        wanted |= {one for one in documents if one.startswith(f"{path}/")}
    return {one: documents[one] for one in wanted if one in documents}


def _grid_fits(nodes: Nodes, path: str, document: Document) -> bool:
    array = open_cell_array(path, document, nodes.ndim)
    attributes = document.get("attributes") or {}
    name = path[len(nodes.path) + 1 :]
    family = name.split("/")[0]
    spec = AttributeSpec(dtype="uint8")
    if family in (VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES):
        spec = parse_attribute(attributes, path)
    elif family == VERTICES:
        if attributes.get("encoding", "raw") != "raw":
            return True
        dtype = parse_attribute({"dtype": attributes.get("dtype", "float32")}, path).dtype
        spec = AttributeSpec(dtype=dtype, channel_names=tuple(map(str, range(nodes.ndim))))
        if spec.numpy_dtype.kind != "f":
            return False
    chunks = _used(nodes, path, document)
    if chunks is None:
        return False
    cells = fetch_cells(nodes.context.draft, [array], chunks[:_TRIED_CELLS])[0] if len(chunks) else None
    decoded = 0
    for row in range(0 if cells is None else len(cells.chunks)):
        try:
            size = memoryview(cells.payload(row)).nbytes  # type: ignore[union-attr]
        except DAMAGE:
            continue
        decoded += size % max(1, spec.row_stride) == 0
    return decoded > 0 or not len(chunks)


def _used(nodes: Nodes, path: str, document: Document) -> IntArray | None:
    """Return the chunks of a grid array for which something is stored; None where that cannot be told."""
    bare = {**document, "attributes": {**(document.get("attributes") or {})}}
    bare["attributes"].pop(NONEMPTY_CHUNKS, None)
    try:
        array = open_cell_array(path, bare, nodes.ndim)
        everything = array.all_chunks() if document["codecs"][0]["name"] == "sharding_indexed" else None
        if everything is not None:
            requests = array.index_requests(everything)
            array.accept_indexes(requests, nodes.context.draft.get_many(requests))
        array.list_chunks([one for one in nodes.context.draft.list_all(path) if not one.endswith("zarr.json")])
    except (ZarrVectorsError, TypeError, ValueError, LookupError):
        return None
    return array.chunks


def _candidates(nodes: Nodes, path: str, own: Document | None) -> Iterator[Document]:
    """Yield documents that a node may have had."""
    name = path[len(nodes.path) + 1 :]
    wanted = node_type(nodes.revision, name)
    copies = [copy for n in level_numbers(nodes.context.draft) if n != nodes.number
              for copy in [nodes.context.draft.document(f"{n}/{name}")] if copy is not None]  # fmt: skip
    described = list(_attribute_candidates(nodes, path, own, copies))
    if wanted == "group":
        yield from (group_document(attributes) for attributes in described)
        if name.split("/")[0] not in (*_CELLS, GROUPS) and not _named(name) and not name.startswith(f"{LINKS}/"):
            yield group_document({})
        return
    if _is_cells(nodes, path):
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
    return family in _FAMILIES and bool(rest)


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
        yield {"zv_array": "object_index", "num_objects": 0, "sid_ndim": _key_length(nodes), "layout": layout}
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
                   "store": "canonical", "sid_ndim": _key_length(nodes)}  # fmt: skip
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
        if attributes.get("dtype") in ("float32", "float64"):
            found.append(attributes["dtype"])
    return list(dict.fromkeys(found))


def _key_length(nodes: Nodes) -> int:
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


def _repair_grids(nodes: Nodes) -> None:
    """Give the grid arrays of a level the shape and origin that most of them have."""
    reference = nodes.grid()
    if reference is None or not nodes.context.has("grids", "level-readable", level=nodes.number):
        return
    for path in sorted(nodes.documents):
        document = nodes.documents[path]
        if not is_grid(document) or not _is_cells(nodes, path) or _place(document) == _place(reference):
            continue
        origin = (reference.get("attributes") or {}).get("chunk_grid_origin")
        attributes = {**(document.get("attributes") or {}), "chunk_grid_origin": origin}
        made = {**document, "shape": reference["shape"], "attributes": attributes}
        if _fits(nodes, path, made):
            nodes.put(path, made, "its grid is that of the other arrays again")


def _repair_lists(nodes: Nodes) -> None:
    """Make every grid array list the chunks for which something is stored."""
    for path in sorted(nodes.documents):
        document = nodes.documents[path]
        if not is_grid(document) or not _is_cells(nodes, path):
            continue
        chunks = _used(nodes, path, document)
        attributes = document.get("attributes")
        if chunks is None or not isinstance(attributes, dict):
            continue
        keys = sorted(format_keys(chunks))
        if attributes.get(NONEMPTY_CHUNKS) != keys:
            made = {**document, "attributes": {**attributes, NONEMPTY_CHUNKS: keys}}
            nodes.put(path, made, f"nonempty_chunks lists the {len(keys)} chunks that are stored again")


def _repair_object_index(nodes: Nodes) -> None:
    """Make the object index count its manifests."""
    path = f"{nodes.path}/{OBJECT_INDEX}"
    document = nodes.documents.get(path)
    manifests = nodes.documents.get(f"{path}/manifests") or {}
    shape = manifests.get("shape")
    attributes = (document or {}).get("attributes")
    if document is None or not isinstance(attributes, dict) or not isinstance(shape, list) or not shape:
        return
    made = {**attributes, "num_objects": shape[0], "sid_ndim": _key_length(nodes)}
    if made != attributes:
        nodes.put(
            path, group_document(made), f"it counts {shape[0]} manifests of chunks with {made['sid_ndim']} components"
        )
