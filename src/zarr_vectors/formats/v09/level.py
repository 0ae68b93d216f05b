"""The arrays of a level in revision 0.9, opened for reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from zarr_vectors.constants import (
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
from zarr_vectors.exceptions import ArrayError, MetadataError
from zarr_vectors.formats.channel_cells import channels_apart
from zarr_vectors.formats.dense_array import ZarrDense
from zarr_vectors.formats.dense_manifests import open_dense_manifests
from zarr_vectors.formats.documents import parse_attribute
from zarr_vectors.formats.layout import CellArray, LevelArrays, ObjectIndex
from zarr_vectors.formats.tokens import require_tokens
from zarr_vectors.formats.v09.grid_array import GridArray
from zarr_vectors.formats.v09.links import open_links
from zarr_vectors.formats.vlen_array import VlenArray
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.typing import Document

T = TypeVar("T")
Documents = Mapping[str, Document]

_BYTES = AttributeSpec(dtype="uint8")


def open_level(level: str, documents: Documents, ndim: int) -> LevelArrays:
    """Open every array of a level.

    Parameters
    ----------
    level : str
        Path of the level's group.
    documents : mapping of str to dict
        ``zarr.json`` of every node below the level, by path below the root.
    ndim : int
        Columns of the positions.

    Raises
    ------
    ArrayError
        When the level has no vertices.
    """
    vertices_path = f"{level}/{VERTICES}"
    if vertices_path not in documents:
        raise ArrayError(f"{vertices_path}: the level has no vertices array")
    for family in (VERTICES, VERTEX_FRAGMENTS, LINK_FRAGMENTS, OBJECT_INDEX):
        require_tokens(family, documents, [f"{level}/{family}"])
    vertices_document = documents[vertices_path]
    vertices = GridArray(
        vertices_path,
        vertices_document,
        parse_vertices(vertices_path, vertices_document.get("attributes") or {}, ndim),
    )
    fragments_path = f"{level}/{VERTEX_FRAGMENTS}"
    fragments = documents.get(fragments_path)
    groups_path = f"{level}/{GROUPS}"
    link_path = f"{level}/{LINK_FRAGMENTS}"
    arrays = LevelArrays(
        vertices=vertices,
        vertex_fragments=GridArray(fragments_path, fragments, _BYTES) if fragments else None,
        vertex_attributes=_members(level, VERTEX_ATTRIBUTES, documents, _attribute),
        fragment_attributes=_members(level, FRAGMENT_ATTRIBUTES, documents, _attribute),
        object_index=_object_index(level, documents),
        object_attributes=_members(level, OBJECT_ATTRIBUTES, documents, ZarrDense),
        groups=VlenArray(groups_path, documents[groups_path]) if groups_path in documents else None,
        group_attributes=_members(level, GROUP_ATTRIBUTES, documents, ZarrDense),
        link_fragments=GridArray(link_path, documents[link_path], _BYTES) if link_path in documents else None,
        links=open_links(level, documents),
    )
    _check_grids(arrays, len(vertices.shape))
    return arrays


def _check_grids(arrays: LevelArrays, ndim: int) -> None:
    """Refuse grids that have not as many dimensions as that of the vertices."""
    links = [array for family in arrays.links.values() for array in family.arrays]
    grids = [
        arrays.vertex_fragments,
        arrays.link_fragments,
        *arrays.vertex_attributes.values(),
        *arrays.fragment_attributes.values(),
        *(array.cells for array in links),
        *(column for array in links for column in array.attributes.values()),
    ]
    for grid in grids:
        if isinstance(grid, GridArray) and len(grid.shape) != ndim:
            raise MetadataError(f"{grid.path}: a grid of {len(grid.shape)} dimensions, where the vertices have {ndim}")


def parse_vertices(path: str, attributes: Document, ndim: int) -> AttributeSpec:
    """Return the spec of the vertices: their data type and one channel per axis."""
    spec = parse_attribute({"dtype": attributes.get("dtype", "float32")}, path)
    if spec.numpy_dtype.kind != "f":
        raise MetadataError(f"{path}: vertices must be floats, got dtype {spec.dtype!r}")
    return AttributeSpec(
        dtype=spec.dtype,
        channel_names=tuple(f"axis{d}" for d in range(ndim)),
        encoding=attributes.get("encoding", "raw"),
    )


def _members(level: str, family: str, documents: Documents, make: Callable[[str, Document], T]) -> dict[str, T]:
    prefix = f"{level}/{family}/"
    return {
        path[len(prefix) :]: make(path, document)
        for path, document in sorted(documents.items())
        if path.startswith(prefix) and document.get("node_type") == "array" and "/" not in path[len(prefix) :]
    }


def _attribute(path: str, document: Document) -> CellArray:
    return channels_apart(GridArray(path, document, parse_attribute(document.get("attributes") or {}, path)))


def _object_index(level: str, documents: Documents) -> ObjectIndex | None:
    path = f"{level}/{OBJECT_INDEX}"
    manifests_path = f"{path}/manifests"
    dense = open_dense_manifests(level, documents)
    manifests = VlenArray(manifests_path, documents[manifests_path]) if manifests_path in documents else None
    manifests = manifests if dense is None else None
    known = dense or manifests
    if known is None:
        return None
    attributes = (documents.get(path) or {}).get("attributes") or {}
    ids_document = documents.get(f"{path}/object_ids")
    ids = ZarrDense(f"{path}/object_ids", ids_document) if ids_document else None
    if ids is not None and ids.count != known.count:
        raise ArrayError(f"{path}: {ids.count} object ids for {known.count} manifests")
    sid_ndim = int(attributes.get("sid_ndim", 0)) or len(documents[f"{level}/{VERTICES}"].get("shape", ()))
    ascending = bool(attributes.get("object_ids_sorted", ids is None))
    return ObjectIndex(known.count, sid_ndim, manifests, ids, ascending, attributes, dense)
