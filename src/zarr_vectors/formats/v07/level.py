"""The arrays of a level in revision 0.7, opened for reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from zarr_vectors.formats.layout import CellArray, LevelArrays, ObjectIndex, RaggedArray
from zarr_vectors.formats.tokens import require_tokens
from zarr_vectors.formats.v07.chunk_group import ChunkGroup
from zarr_vectors.formats.v07.links import open_links
from zarr_vectors.formats.v07.tables import BlobColumn, BlobLists
from zarr_vectors.formats.vlen_array import VlenArray
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.typing import Document

Documents = Mapping[str, Document]

_BYTES = AttributeSpec(dtype="uint8")


def open_level(level: str, documents: Documents, keys: Sequence[str] | None, ndim: int, columns: int) -> LevelArrays:
    """Open every array of a level.

    Parameters
    ----------
    level : str
        Path of the level's group.
    documents : mapping of str to dict
        ``zarr.json`` of every group below the level, by path below the root; tiny arrays may be left out.
    keys : sequence of str, optional
        Names of the children of the vertices group, where they could be listed.
    ndim : int
        Components of a chunk key.
    columns : int
        Columns of the positions.

    Raises
    ------
    ArrayError
        When the level has no vertices.
    """
    path = f"{level}/{VERTICES}"
    if path not in documents:
        raise ArrayError(f"{path}: the level has no vertices array")
    for family in (VERTICES, VERTEX_FRAGMENTS, LINK_FRAGMENTS, OBJECT_INDEX):
        require_tokens(family, documents, [f"{level}/{family}"])
    attributes = _attributes(documents, path)
    spec = parse_attribute({"dtype": attributes.get("dtype", "float32")}, path)
    if spec.numpy_dtype.kind != "f":
        raise MetadataError(f"{path}: vertices must be floats, got dtype {spec.dtype!r}")
    axes = tuple(f"axis{d}" for d in range(columns))
    encoding = attributes.get("encoding", "raw")
    vertices = AttributeSpec(dtype=spec.dtype, channel_names=axes, encoding=encoding)
    fragments = f"{level}/{VERTEX_FRAGMENTS}"
    link_path = f"{level}/{LINK_FRAGMENTS}"
    return LevelArrays(
        vertices=ChunkGroup(path, attributes, vertices, ndim, keys),
        vertex_fragments=_unlisted(fragments, documents, ndim),
        vertex_attributes=_cell_arrays(level, VERTEX_ATTRIBUTES, documents, ndim),
        fragment_attributes=_cell_arrays(level, FRAGMENT_ATTRIBUTES, documents, ndim),
        object_index=_object_index(level, documents, ndim),
        object_attributes=_columns(level, OBJECT_ATTRIBUTES, documents),
        groups=_groups(level, documents),
        group_attributes=_columns(level, GROUP_ATTRIBUTES, documents),
        link_fragments=ChunkGroup(link_path, _attributes(documents, link_path), _BYTES, ndim, None)
        if link_path in documents
        else None,
        links=open_links(level, documents, ndim),
    )


def _attributes(documents: Documents, path: str) -> Document:
    return (documents.get(path) or {}).get("attributes") or {}


def _unlisted(path: str, documents: Documents, ndim: int) -> ChunkGroup | None:
    return ChunkGroup(path, _attributes(documents, path), _BYTES, ndim, None) if path in documents else None


def _members(level: str, family: str, documents: Documents) -> dict[str, str]:
    prefix = f"{level}/{family}/"
    names = {path[len(prefix) :] for path in documents if path.startswith(prefix)}
    return {name: prefix + name for name in sorted(names) if "/" not in name}


def _cell_arrays(level: str, family: str, documents: Documents, ndim: int) -> dict[str, CellArray]:
    opened = {}
    for name, path in _members(level, family, documents).items():
        attributes = _attributes(documents, path)
        opened[name] = channels_apart(ChunkGroup(path, attributes, parse_attribute(attributes, path), ndim, None))
    return opened


def _columns(level: str, family: str, documents: Documents) -> dict[str, BlobColumn]:
    return {
        name: BlobColumn(path, _attributes(documents, path))
        for name, path in _members(level, family, documents).items()
    }


def _groups(level: str, documents: Documents) -> RaggedArray | None:
    path = f"{level}/{GROUPS}"
    if path not in documents:
        return None
    return BlobLists(path, int(_attributes(documents, path).get("num_groups", 0)))


def _object_index(level: str, documents: Documents, ndim: int) -> ObjectIndex | None:
    path = f"{level}/{OBJECT_INDEX}"
    if path not in documents:
        return None
    attributes = _attributes(documents, path)
    sid_ndim = int(attributes.get("sid_ndim", ndim))
    manifests_path, ids_path = f"{path}/manifests", f"{path}/object_ids"
    dense = open_dense_manifests(level, documents)
    manifests: RaggedArray | None
    if dense is not None:
        manifests = None
    elif manifests_path in documents:
        manifests = VlenArray(manifests_path, documents[manifests_path])
    else:
        manifests = BlobLists(path, int(attributes.get("num_objects", 0)))
    ids = ZarrDense(ids_path, documents[ids_path]) if ids_path in documents else None
    known = dense or manifests
    assert known is not None
    if ids is not None and ids.count != known.count:
        raise ArrayError(f"{path}: {ids.count} object ids for {known.count} manifests")
    ascending = bool(attributes.get("object_ids_sorted", ids is None))
    return ObjectIndex(known.count, sid_ndim, manifests, ids, ascending, attributes, dense)
