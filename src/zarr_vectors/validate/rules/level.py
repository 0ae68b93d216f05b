"""What levels and their arrays say of themselves: nodes of the right type, metadata, grids and lists of chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    CAP_ADDITIVE_LEVELS,
    CAP_FRAGMENT_INDEX,
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    GROUPS,
    LINK_FRAGMENTS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.formats.chunk_keys import format_keys, is_key
from zarr_vectors.formats.documents import LEVEL_KEY, parse_level
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.formats.tokens import REQUIRED_KEY
from zarr_vectors.ordering import lexicographic_order
from zarr_vectors.read.level import LevelReader
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.typing import Document, IntArray
from zarr_vectors.validate.rule import DROP, REBUILD, REWRITE, Fix, Problem, Rules, cells, error, note, warning
from zarr_vectors.validate.rules.root import ROOT
from zarr_vectors.validate.subjects import LevelSubject

ZV_ARRAYS = {
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
"""What arrays call themselves, by their folder."""

FAMILIES = (VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES, OBJECT_ATTRIBUTES, GROUP_ATTRIBUTES)
"""Folders whose children are attribute arrays."""

_CELLS = (VERTICES, VERTEX_FRAGMENTS, LINK_FRAGMENTS, GROUPS)
_TOLERANCE = 1e-9

NODE_RULES: Rules[LevelSubject] = Rules()
"""Rules of the ``zarr.json`` documents of a level."""

LEVEL_RULES: Rules[LevelSubject] = Rules()
"""Rules of an open level."""

_OPENING: Rules[LevelSubject] = Rules()


def _is_grid(level: LevelSubject) -> bool:
    return not level.store.revision.keyed_by_chunk


@NODE_RULES.rule(1, DROP, cells("the root's entry, the finer levels, the arrays"))
def level_group(level: LevelSubject) -> Iterator[Problem]:
    """Check that every level is a Zarr v3 group."""
    document = level.documents.get(level.path)
    if document is None:
        yield error(level.path, "the level's folder has no zarr.json")
    elif isinstance(document, str):
        yield error(f"{level.path}/zarr.json", document)
    elif document.get("node_type") != "group":
        yield error(level.path, f"a level must be a group, found node_type {document.get('node_type')!r}")


@NODE_RULES.rule(1, DROP, cells("other levels, arrays beside, attribute_specs"))
def documents_readable(level: LevelSubject) -> Iterator[Problem]:
    """Check that every ``zarr.json`` below a level is a JSON object that says its node type."""
    for path, document in level.documents.items():
        if path == level.path:
            continue
        if isinstance(document, str):
            yield error(f"{path}/zarr.json", document)
        elif document.get("node_type") not in ("group", "array"):
            found = document.get("node_type")
            yield error(f"{path}/zarr.json", f"node_type must be 'group' or 'array', found {found!r}")


@NODE_RULES.rule(1, REWRITE, cells("fragments as in fragments-present; vertices: none", warnings=True))
def arrays_present(level: LevelSubject) -> Iterator[Problem]:
    """Check that vertices and their fragments are there."""
    if f"{level.path}/{VERTICES}" not in level.documents:
        yield error(f"{level.path}/{VERTICES}", "the level has no vertices array")
    fragments = f"{level.path}/{VERTEX_FRAGMENTS}"
    if fragments not in level.documents:
        message = "the level has no fragment index, so nothing says which vertices belong together"
        stated = CAP_FRAGMENT_INDEX in level.store.root.format_capabilities
        yield error(fragments, message) if stated else warning(fragments, message)


@NODE_RULES.rule(1, DROP, cells("other levels, arrays beside, attribute_specs"))
def nodes_complete(level: LevelSubject) -> Iterator[Problem]:
    """Check that every array folder has its ``zarr.json``, and every node that the level lists exists."""
    expected = {
        f"{level.path}/{family}/{name}"
        for family in FAMILIES
        for name in level.folders.get(f"{level.path}/{family}", [])
    }
    present = level.folders.get(level.path, [])
    expected |= {f"{level.path}/{name}" for name in (OBJECT_INDEX, GROUPS) if name in present}
    listed = (level.block or {}).get("nodes")
    for name in listed if isinstance(listed, list) else []:
        expected.add(f"{level.path}/{name}")
    required = {f"{level.path}/{VERTICES}", f"{level.path}/{VERTEX_FRAGMENTS}"}
    for path in sorted(expected - set(level.documents) - required):
        yield error(path, "its zarr.json is missing, so that the array cannot be read")


@NODE_RULES.rule(1, DROP, Fix("the place of the node"))
def node_types(level: LevelSubject) -> Iterator[Problem]:
    """Check that arrays are arrays and groups are groups, as the revision of the store has them."""
    revision = level.store.revision
    cells = "group" if revision.keyed_by_chunk else "array"
    for path, document in sorted(level.documents.items()):
        if not isinstance(document, dict) or path == level.path:
            continue
        expected = _expected_type(path[len(level.path) + 1 :].split("/"), cells)
        found = document.get("node_type")
        if expected is not None and found in ("group", "array") and found != expected:
            yield error(path, f"must be a Zarr {expected} in revision {revision.name}, found node_type {found!r}")


def _expected_type(parts: list[str], cells: str) -> str | None:
    family = parts[0]
    if len(parts) == 1:
        return cells if family in _CELLS else "group" if family in (*FAMILIES, OBJECT_INDEX) else None
    if family == OBJECT_INDEX and len(parts) == 2:
        return "array" if parts[1] in ("manifests", "object_ids", "data", "offsets") else None
    return cells if family in FAMILIES and len(parts) == 2 else None


@NODE_RULES.rule(2, DROP, cells("the root's entry, the finer levels, the arrays"))
def level_metadata(level: LevelSubject) -> Iterator[Problem]:
    """Check that a level has a block of metadata whose values are legal."""
    if level.block is None:
        yield error(level.path, f"the attributes have no {LEVEL_KEY!r} block")
        return
    try:
        parse_level(level.attributes_of(level.path), level.number, level.path)
    except MetadataError as failure:
        yield error(level.path, str(failure))
        return
    if level.block.get("level", level.number) != level.number:
        yield error(level.path, f"the block says level {level.block['level']!r}")


@NODE_RULES.rule(2, DROP, Fix("the place of the node", warnings=True))
def zv_array(level: LevelSubject) -> Iterator[Problem]:
    """Check that every array says what it is, and attributes say their own name."""
    for path, expected in _expected_kinds(level):
        document = level.documents[path]
        if not isinstance(document, dict):
            continue
        attributes = level.attributes_of(path)
        found = attributes.get("zv_array")
        if found is None:
            yield warning(path, f"zv_array is missing; expected {expected!r}")
        elif found != expected:
            yield error(path, f"zv_array is {found!r}; expected {expected!r}")
        name = path.rsplit("/", 1)[1]
        if expected.endswith("attribute") and attributes.get("name", name) != name:
            yield warning(path, f"the attribute calls itself {attributes['name']!r}")


def _expected_kinds(level: LevelSubject) -> Iterator[tuple[str, str]]:
    for path in sorted(level.documents):
        family, *names = path[len(level.path) + 1 :].split("/")
        is_named = family in FAMILIES and len(names) == 1
        is_plain = family not in FAMILIES and not names and (family != LINK_FRAGMENTS or level.attributes_of(path))
        if family in ZV_ARRAYS and (is_named or is_plain):
            yield path, ZV_ARRAYS[family]


@NODE_RULES.rule(2, DROP, cells("the arrays", warnings=True))
def arrays_stated(level: LevelSubject) -> Iterator[Problem]:
    """Check that every array that ``arrays_present`` names is there."""
    stated = (level.block or {}).get("arrays_present")
    have = set(level.folders.get(level.path, [])) | {
        path[len(level.path) + 1 :].split("/")[0] for path in level.documents
    }
    for name in stated if isinstance(stated, list) else []:
        if not isinstance(name, str) or name not in have:
            yield warning(level.path, f"arrays_present names {name!r}, which the level does not have")


@NODE_RULES.rule(2, DROP, Fix("the grid that most arrays of the level have"), applies=_is_grid)
def grids(level: LevelSubject) -> Iterator[Problem]:
    """Check that all grid arrays of a level have the same shape and origin."""
    reference: tuple[Any, Any] | None = None
    for path, document in _grid_documents(level):
        attributes = level.attributes_of(path)
        shape = document.get("shape")
        origin = attributes.get("chunk_grid_origin") or [0] * len(shape or [])
        if reference is None:
            reference = (shape, origin)
        elif (shape, origin) != reference:
            yield error(
                path,
                f"the grid has shape {shape} and origin {origin}, that of the vertices "
                f"{reference[0]} and {reference[1]}",
            )


@NODE_RULES.rule(2, DROP, Fix("the cells that are stored", warnings=True), applies=_is_grid)
def chunks_stated(level: LevelSubject) -> Iterator[Problem]:
    """Check that all grid arrays list the chunks that hold something."""
    for path, _ in _grid_documents(level):
        if not isinstance(level.attributes_of(path).get("nonempty_chunks"), list):
            yield warning(path, "nonempty_chunks is missing: readers of release 0.9.2 find nothing in this array")


def _grid_documents(level: LevelSubject) -> Iterator[tuple[str, Document]]:
    names = [f"{level.path}/{VERTICES}", f"{level.path}/{VERTEX_FRAGMENTS}"]
    prefixes = tuple(f"{level.path}/{family}/" for family in (VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES))
    names += sorted(path for path in level.documents if path.startswith(prefixes))
    for path in names:
        document = level.documents.get(path)
        if isinstance(document, dict) and document.get("node_type") == "array":
            yield path, document


@_OPENING.rule(2, DROP, cells("the root, other levels, attribute_specs"))
def level_readable(level: LevelSubject) -> Iterator[Problem]:
    """Check that the metadata of a level and of its arrays can be understood."""
    if level.opened is None:
        yield error(level.path, level.obstacle)


@LEVEL_RULES.rule(2, REBUILD, Fix("what most statements of bin ratio and bin shape say; the objects kept"))
def level_shapes(level: LevelSubject) -> Iterator[Problem]:
    """Check that bin and chunk shapes have one number per axis, and agree with the root's ``multiscales`` entry."""
    metadata, root = level.reader.metadata, level.store.root
    shapes = {key: getattr(metadata, key) for key in ("bin_shape", "bin_ratio", "chunk_shape")}
    for key, shape in shapes.items():
        if shape is not None and len(shape) != root.ndim:
            yield error(level.path, f"{key} has {len(shape)} numbers for {root.ndim} axes")
            return
    entry = root.entry(level.number)
    if entry is None or not level.store.sound:
        return
    for key, expected in (("bin_shape", entry.bin_shape), ("bin_ratio", entry.bin_ratio)):
        shape = shapes[key]
        if shape is not None and not np.allclose(shape, expected, rtol=_TOLERANCE, atol=0):
            yield error(level.path, f"{key} is {list(shape)}, but the root says {list(expected)}")
    if level.is_ours and abs(metadata.object_sparsity - entry.object_sparsity) > _TOLERANCE:
        yield error(
            level.path, f"object_sparsity is {metadata.object_sparsity}, but the root says {entry.object_sparsity}"
        )


@LEVEL_RULES.rule(
    2,
    "restore the coarser level from a copy; without it an additive level is not complete",
    applies=lambda level: level.reader.metadata.is_additive,
)
def refinement(level: LevelSubject) -> Iterator[Problem]:
    """Check that an additive level has one that completes it, and that the root warns readers of it."""
    root, following = level.store.root, level.number + 1
    if following not in level.store.reader.level_numbers():
        yield error(level.path, f"refinement is 'add', but there is no level {following} to complete it")
    if CAP_ADDITIVE_LEVELS not in root.extra.get(REQUIRED_KEY, ()):
        yield error(ROOT, f"{REQUIRED_KEY} must list {CAP_ADDITIVE_LEVELS!r}: level {level.path} is additive")
    if CAP_ADDITIVE_LEVELS not in root.format_capabilities:
        yield warning(ROOT, f"format_capabilities lacks {CAP_ADDITIVE_LEVELS!r}: level {level.path} is additive")


@LEVEL_RULES.rule(2, DROP, cells("the cells that are stored; fragments as in fragments-present"))
def chunk_sets(level: LevelSubject) -> Iterator[Problem]:
    """Check that vertices and their fragments are there for the same chunks, attributes for no others."""
    reader = level.reader
    for array in arrays_of_chunks(reader):
        chunks = array.chunks if _is_grid(level) else stored_chunks(reader, array)
        if chunks is None:
            continue
        extra = chunks[reader.lookup.rows(chunks) < 0]
        if len(extra):
            yield error(array.path, f"has chunks without vertices: {_some(extra)}")
        if array is reader.arrays.vertex_fragments:
            missing = reader.chunks[ChunkLookup.of(chunks[lexicographic_order(chunks)]).rows(reader.chunks) < 0]
            if len(missing):
                yield error(array.path, f"lacks chunks that have vertices: {_some(missing)}")


def arrays_of_chunks(level: LevelReader) -> list[CellArray]:
    """Return the per-chunk arrays of an open level besides the vertices."""
    arrays = level.arrays
    index = [] if arrays.vertex_fragments is None else [arrays.vertex_fragments]
    return [*index, *arrays.vertex_attributes.values(), *arrays.fragment_attributes.values()]


def stored_chunks(level: LevelReader, array: CellArray) -> IntArray | None:
    """Return the chunks of an array as it lists them, or as the folders below it are named; None if neither is so."""
    if array.chunks is None and level.storage.can_list:
        names = level.storage.list_folders([array.path])[0].folders
        array.list_chunks([f"{array.path}/{name}/" for name in names])
    return array.chunks


def _some(chunks: IntArray) -> str:
    keys = format_keys(chunks[:5])
    return ", ".join(keys) + (f" and {len(chunks) - 5} more" if len(chunks) > 5 else "")


@LEVEL_RULES.rule(2, REWRITE)
def chunk_keys(level: LevelSubject) -> Iterator[Problem]:
    """Check that chunk keys have the components that the level says they have."""
    reader = level.reader
    width, names = _width(level), reader.metadata.chunk_dims
    if width is None:
        return
    expected = reader.root.ndim + reader.leads
    if names is not None and width != len(names):
        yield error(level.path, f"chunk keys have {width} components, but chunk_dims names {len(names)}: {list(names)}")
    elif width != expected:
        attribute = reader.metadata.chunk_attribute_name
        before = "" if attribute is None else f" and chunk_attribute_name is {attribute!r}"
        yield error(level.path, f"chunk keys have {width} components, but there are {reader.root.ndim} axes{before}")


def _width(level: LevelSubject) -> int | None:
    """Return the number of components of chunk keys; None without chunks."""
    if len(level.reader.chunks):
        return int(level.reader.chunks.shape[1])
    storage, path = level.store.storage, level.reader.arrays.vertices.path
    if level.store.revision.keyed_by_chunk and storage.can_list:  # folders with keys of another width are no chunks
        names = storage.list_folders([path])[0].folders
        return next((width for name in names if is_key(name, width := len(name.split(".")))), None)
    return None


@LEVEL_RULES.rule(2, DROP, cells("the manifests"), applies=lambda level: level.reader.arrays.object_index is not None)
def object_index(level: LevelSubject) -> Iterator[Problem]:
    """Check that the object index states dimensions and counts that fit its manifests."""
    index = level.reader.arrays.object_index
    assert index is not None
    path = f"{level.path}/{OBJECT_INDEX}"
    stated = index.document.get("num_objects")
    if stated != index.count:
        yield error(path, f"num_objects is {stated!r}, but there are {index.count} manifests")
    if index.sid_ndim != level.reader.chunks.shape[1]:
        yield error(
            path, f"sid_ndim is {index.sid_ndim}, but chunk keys have {level.reader.chunks.shape[1]} components"
        )
    if "layout" not in index.document:
        yield note(path, "layout is missing (an early writer)")


@LEVEL_RULES.rule(
    2,
    "describe the attribute anew",
    applies=lambda level: level.number == 0 and bool(level.store.root.attribute_specs),
)
def attribute_specs(level: LevelSubject) -> Iterator[Problem]:
    """Check that attributes that the root describes are there and have the data type it states."""
    arrays = level.reader.arrays
    scopes: dict[str, dict[str, Any]] = {
        "vertex": dict(arrays.vertex_attributes),
        "object": dict(arrays.object_attributes),
        "group": dict(arrays.group_attributes),
    }
    for (scope, name), spec in level.store.root.attribute_specs.items():
        if scope not in scopes:
            continue
        array = scopes[scope].get(name)
        if array is None:
            yield warning(ROOT, f"attribute_specs describes {scope} attribute {name!r}, which level 0 lacks")
        elif spec.dtype and spec.dtype != array.spec.dtype and array.spec.numpy_dtype.kind != "U":
            yield warning(
                f"{level.path}", f"{scope} attribute {name!r} has dtype {array.spec.dtype}, the root says {spec.dtype}"
            )
