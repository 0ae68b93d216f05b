"""Level 2: what levels and their arrays say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    CAP_ADDITIVE_LEVELS,
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
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.documents import LEVEL_KEY, parse_level
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.formats.tokens import REQUIRED_KEY
from zarr_vectors.ordering import lexicographic_order
from zarr_vectors.typing import Document, IntArray
from zarr_vectors.validate.rules import Problem, error, note, warning
from zarr_vectors.validate.structure import FAMILIES
from zarr_vectors.validate.subjects import LevelSubject

_ZV_ARRAYS = {
    VERTICES: "vertices",
    VERTEX_FRAGMENTS: "vertex_fragments",
    LINK_FRAGMENTS: "link_fragments",
    OBJECT_INDEX: "object_index",
    GROUPS: "groups",
}
_ZV_FAMILIES = {
    VERTEX_ATTRIBUTES: "attribute",
    FRAGMENT_ATTRIBUTES: "fragment_attribute",
    OBJECT_ATTRIBUTES: "object_attribute",
    GROUP_ATTRIBUTES: "groupings_attribute",
}
_GRID_FAMILIES = (VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES)
_TOLERANCE = 1e-9


def level_block(level: LevelSubject) -> Iterator[Problem]:
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


def is_additive(level: LevelSubject) -> bool:
    """Return whether a level is complete only together with the next coarser one."""
    return level.reader.metadata.is_additive


def refinement(level: LevelSubject) -> Iterator[Problem]:
    """Check that an additive level has one that completes it, and that the root warns readers of it."""
    root, following = level.store.root, level.number + 1
    assert level.store.reader is not None
    if following not in level.store.reader.level_numbers():
        yield error(level.path, f"refinement is 'add', but there is no level {following} to complete it")
    if CAP_ADDITIVE_LEVELS not in root.extra.get(REQUIRED_KEY, ()):
        yield error("zarr.json", f"{REQUIRED_KEY} must list {CAP_ADDITIVE_LEVELS!r}: level {level.path} is additive")
    if CAP_ADDITIVE_LEVELS not in root.format_capabilities:
        yield warning("zarr.json", f"format_capabilities lacks {CAP_ADDITIVE_LEVELS!r}: level {level.path} is additive")


def arrays_stated(level: LevelSubject) -> Iterator[Problem]:
    """Check that every array that ``arrays_present`` names is there."""
    stated = (level.block or {}).get("arrays_present")
    have = set(level.folders.get(level.path, [])) | {
        path[len(level.path) + 1 :].split("/")[0] for path in level.documents
    }
    for name in stated if isinstance(stated, list) else []:
        if not isinstance(name, str) or name not in have:
            yield warning(level.path, f"arrays_present names {name!r}, which the level does not have")


def level_readable(level: LevelSubject) -> Iterator[Problem]:
    """Check that the metadata of a level and of its arrays can be understood."""
    if level.opened is None:
        yield error(level.path, level.obstacle)


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
        parts = path[len(level.path) + 1 :].split("/")
        if len(parts) == 1 and parts[0] in _ZV_ARRAYS:
            if parts[0] != LINK_FRAGMENTS or level.attributes_of(path):
                yield path, _ZV_ARRAYS[parts[0]]
        elif len(parts) == 2 and parts[0] in FAMILIES:
            yield path, _ZV_FAMILIES[parts[0]]


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


def chunks_stated(level: LevelSubject) -> Iterator[Problem]:
    """Check that all grid arrays list the chunks that hold something."""
    for path, _ in _grid_documents(level):
        if not isinstance(level.attributes_of(path).get("nonempty_chunks"), list):
            yield warning(path, "nonempty_chunks is missing: readers of release 0.9.2 find nothing in this array")


def _grid_documents(level: LevelSubject) -> Iterator[tuple[str, Document]]:
    names = [f"{level.path}/{VERTICES}", f"{level.path}/{VERTEX_FRAGMENTS}"]
    prefixes = tuple(f"{level.path}/{family}/" for family in _GRID_FAMILIES)
    names += sorted(path for path in level.documents if path.startswith(prefixes))
    for path in names:
        document = level.documents.get(path)
        if isinstance(document, dict) and document.get("node_type") == "array":
            yield path, document


def is_grid(level: LevelSubject) -> bool:
    """Return whether per-chunk arrays of the store are cells of one grid array."""
    return not level.store.revision.keyed_by_chunk


def chunk_sets(level: LevelSubject) -> Iterator[Problem]:
    """Check that vertices and their fragments are there for the same chunks, attributes for no others."""
    reader = level.reader
    for array in cell_arrays(level):
        chunks = _chunks_of(level, array)
        if chunks is None:
            continue
        extra = chunks[reader.lookup.rows(chunks) < 0]
        if len(extra):
            yield error(array.path, f"has chunks without vertices: {_some(extra)}")
        if array is reader.arrays.vertex_fragments:
            both = np.concatenate([reader.chunks, chunks])
            missing = _singles(both, len(reader.chunks))
            if len(missing):
                yield error(array.path, f"lacks chunks that have vertices: {_some(missing)}")


def cell_arrays(level: LevelSubject) -> list[CellArray]:
    """Return the per-chunk arrays of an open level besides the vertices."""
    arrays = level.reader.arrays
    index = [] if arrays.vertex_fragments is None else [arrays.vertex_fragments]
    return [*index, *arrays.vertex_attributes.values(), *arrays.fragment_attributes.values()]


def _chunks_of(level: LevelSubject, array: CellArray) -> IntArray | None:
    """Return the chunks of an array as it lists them, or as the folders below it are named."""
    if array.chunks is None and level.store.revision.keyed_by_chunk and level.store.storage.can_list:
        names = level.store.storage.list_folders([array.path])[0].folders
        array.list_chunks([f"{array.path}/{name}/" for name in names])
    return array.chunks


def _singles(both: IntArray, split: int) -> IntArray:
    """Return the rows of the first part that the second part does not have."""
    order = lexicographic_order(both)
    ordered = both[order]
    same = (ordered[1:] == ordered[:-1]).all(axis=1)
    alone = np.ones(len(both), bool)
    alone[1:] &= ~same
    alone[:-1] &= ~same
    return both[np.sort(order[alone & (order < split)])]


def _some(chunks: IntArray) -> str:
    keys = format_keys(chunks[:5])
    return ", ".join(keys) + (f" and {len(chunks) - 5} more" if len(chunks) > 5 else "")


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


def is_described(level: LevelSubject) -> bool:
    """Return whether the root describes attributes, which it does for full resolution."""
    return level.number == 0 and bool(level.store.root.attribute_specs)


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
            yield warning("zarr.json", f"attribute_specs describes {scope} attribute {name!r}, which level 0 lacks")
        elif spec.dtype and spec.dtype != array.spec.dtype and array.spec.numpy_dtype.kind != "U":
            yield warning(
                f"{level.path}", f"{scope} attribute {name!r} has dtype {array.spec.dtype}, the root says {spec.dtype}"
            )
