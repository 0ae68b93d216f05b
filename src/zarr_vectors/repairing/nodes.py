"""The ``zarr.json`` documents of a level's nodes, made anew from those of other levels and of arrays beside them."""

from __future__ import annotations

from typing import Any

from zarr_vectors.constants import (
    FRAGMENT_ATTRIBUTES,
    GROUPS,
    LINK_ATTRIBUTES,
    LINK_FRAGMENTS,
    LINKS,
    NONEMPTY_CHUNKS,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.exceptions import ZarrVectorsError
from zarr_vectors.formats.cell_access import is_grid, open_cell_array
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.documents import LEVEL_KEY, group_document, parse_attribute
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.read.fetch import fetch_cells
from zarr_vectors.repairing.candidates import (
    FAMILIES,
    KINDS,
    Nodes,
    candidates,
    is_cells,
    key_length,
    node_type,
    place_of,
)
from zarr_vectors.repairing.context import Context
from zarr_vectors.typing import Document, IntArray
from zarr_vectors.validate.subjects import DAMAGE, find_documents

_TRIED_CELLS = 8


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
    for family in FAMILIES:
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
    for made in candidates(nodes, path, document) if below or name != VERTICES else ():
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
    named = len(rest) == 1 and family in FAMILIES
    plain = not rest and family not in FAMILIES
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
    family = name.split("/")[0]
    try:
        if document.get("node_type") != (node_type(nodes.revision, name) or document["node_type"]):
            return False
        if is_grid(document) and is_cells(nodes, path):
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
        addresses = [one for one in nodes.context.draft.list_all(path) if not one.endswith("zarr.json")]
        requests = array.index_requests(array.stored_chunks(addresses))
        array.accept_indexes(requests, nodes.context.draft.get_many(requests))
        array.list_chunks(addresses)
    except (ZarrVectorsError, TypeError, ValueError, LookupError):
        return None
    return array.chunks


def _repair_grids(nodes: Nodes) -> None:
    """Give the grid arrays of a level the shape and origin that most of them have."""
    reference = nodes.grid()
    if reference is None or not nodes.context.has("grids", "level-readable", level=nodes.number):
        return
    for path in sorted(nodes.documents):
        document = nodes.documents[path]
        if not is_grid(document) or not is_cells(nodes, path) or place_of(document) == place_of(reference):
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
        if not is_grid(document) or not is_cells(nodes, path):
            continue
        chunks = _used(nodes, path, document)
        attributes = document.get("attributes")
        if chunks is None or not isinstance(attributes, dict):
            continue
        stored = set(format_keys(chunks))
        stated = attributes.get(NONEMPTY_CHUNKS)
        gone = {key for key in stated if isinstance(key, str)} - stored if isinstance(stated, list) else set()
        keys = sorted(stored if not gone or _may_forget(nodes, path, gone) else stored | gone)
        if attributes.get(NONEMPTY_CHUNKS) != keys:
            made = {**document, "attributes": {**attributes, NONEMPTY_CHUNKS: keys}}
            nodes.put(path, made, f"nonempty_chunks lists the {len(keys)} chunks that are stored again")


def _may_forget(nodes: Nodes, path: str, gone: set[str]) -> bool:
    """Return whether chunks that an array lists, but of which nothing is stored, are to be listed no more."""
    family = path[len(nodes.path) + 1 :].split("/")[0]
    if family not in (VERTICES, LINKS, LINK_ATTRIBUTES):
        return False  # what follows from the vertices is looked at chunk by chunk
    check = "chunk-sets" if family == VERTICES else "link-endpoints"
    return nodes.context.lost(check, path, f"chunk {', '.join(sorted(gone)[:5])}: listed, but nothing is stored of it")


def _repair_object_index(nodes: Nodes) -> None:
    """Make the object index count its manifests."""
    path = f"{nodes.path}/{OBJECT_INDEX}"
    document = nodes.documents.get(path)
    manifests = nodes.documents.get(f"{path}/manifests") or {}
    shape = manifests.get("shape")
    attributes = (document or {}).get("attributes")
    if document is None or not isinstance(attributes, dict) or not isinstance(shape, list) or not shape:
        return
    made = {**attributes, "num_objects": shape[0], "sid_ndim": key_length(nodes)}
    if made != attributes:
        nodes.put(
            path, group_document(made), f"it counts {shape[0]} manifests of chunks with {made['sid_ndim']} components"
        )
