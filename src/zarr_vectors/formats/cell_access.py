"""Per-chunk arrays one by one, whichever the layout: opening, allocating, changing single cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from zarr_vectors.constants import (
    FRAGMENT_ATTRIBUTES,
    LINK_ATTRIBUTES,
    LINK_FRAGMENTS,
    LINKS,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.documents import group_document
from zarr_vectors.formats.layout import Blobs, CellArray, LevelOptions
from zarr_vectors.formats.v07.chunk_group import ChunkGroup
from zarr_vectors.formats.v07.group_update import ChunkGroupUpdate
from zarr_vectors.formats.v09.grid_array import GridArray
from zarr_vectors.formats.v09.grid_encoding import GridExtent as GridExtent
from zarr_vectors.formats.v09.grid_encoding import choose_shard_shape
from zarr_vectors.formats.v09.grid_update import GridUpdate, new_grid_document
from zarr_vectors.formats.v09.regrid import Regrid as Regrid
from zarr_vectors.formats.v09.regrid import covering_extent
from zarr_vectors.formats.v09.repack import Repack as Repack
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.storage.port import BlobParts, Range
from zarr_vectors.typing import Bytes, Document, IntArray

_PER_CHUNK = frozenset(
    (
        VERTICES,
        VERTEX_FRAGMENTS,
        VERTEX_ATTRIBUTES,
        FRAGMENT_ATTRIBUTES,
        LINKS,
        LINK_FRAGMENTS,
        LINK_ATTRIBUTES,
    )
)
_BYTES = AttributeSpec(dtype="uint8")


class CellUpdate(Protocol):
    """New payloads for some cells of an array, to be merged with what is stored."""

    def requests(self) -> list[Range]:
        """Return what must be read before."""

    def objects(self, blobs: Blobs) -> tuple[list[tuple[str, BlobParts]], list[str]]:
        """Return what is to be written and the addresses to be deleted."""

    def metadata(self) -> Document:
        """Return the array's document after the change."""


def is_grid(document: Document) -> bool:
    """Return whether a node is a grid array, by its ``zarr.json``."""
    return document.get("node_type") == "array" and document.get("data_type") == "variable_length_bytes"


def open_cell_array(path: str, document: Document | None, sid_ndim: int) -> CellArray:
    """Open a per-chunk array by the metadata of its node.

    Parameters
    ----------
    path : str
        Path of the array below the root of the store.
    document : dict, optional
        Its ``zarr.json``.
    sid_ndim : int
        Components of a chunk key.

    Raises
    ------
    ArrayError
        When nothing is there, or an array of another kind.
    """
    if document is None:
        raise ArrayError(f"{path}: there is no such array")
    if is_grid(document):
        return GridArray(path, document, _BYTES)
    if document.get("node_type") != "group":
        raise ArrayError(f"{path}: is an ordinary Zarr array of {document.get('data_type')!r}, without cells by chunk")
    return ChunkGroup(path, document.get("attributes") or {}, _BYTES, sid_ndim, None)


def update_cells(
    array: CellArray, document: Document, chunks: IntArray, payloads: Sequence[Bytes], codecs: Sequence[Document]
) -> CellUpdate:
    """Return the change that gives some chunks of an array new payloads.

    Parameters
    ----------
    array : CellArray
        The array, opened by :func:`open_cell_array`.
    document : dict
        Its ``zarr.json``.
    chunks : (n, S) int64
        The chunks, each once.
    payloads : sequence of bytes
        Their payloads.
    codecs : sequence of dict
        Compression, where the array itself does not fix it.

    Raises
    ------
    ArgumentError
        When a chunk lies outside the array's grid.
    """
    if isinstance(array, GridArray):
        return GridUpdate(array, document, chunks, payloads)
    return ChunkGroupUpdate(array.path, document, chunks, payloads, codecs)


def new_cell_array(
    extent: GridExtent | None,
    codecs: Sequence[Document],
    shard_shape: tuple[int, ...] | None,
    attributes: Mapping[str, Any],
) -> Document:
    """Return the ``zarr.json`` of a per-chunk array without cells.

    Parameters
    ----------
    extent : GridExtent, optional
        Its grid; None makes a group of one small array a chunk, which needs none.
    codecs : sequence of dict
        Compression of a cell.
    shard_shape : tuple of int, optional
        Chunks of a shard along every axis.
    attributes : mapping
        The array's own metadata.
    """
    if extent is None:
        return group_document(dict(attributes))
    return new_grid_document(extent, codecs, shard_shape, attributes)


def regrids(
    documents: Mapping[str, Document],
    bounds: tuple[Sequence[float], Sequence[float]],
    chunk_shape: Sequence[float],
    chunks: IntArray,
) -> list[Regrid]:
    """Return the arrays of a level whose grid does not fit some bounds, with the grid that does.

    Parameters
    ----------
    documents : mapping of str to dict
        ``zarr.json`` of the level's nodes by path below the root; those without a chunk grid are passed over.
    bounds : pair of (D,) sequences
        Corners.
    chunk_shape : (D,) sequence
        Chunk edge lengths of the level.
    chunks : (C, S) int64
        Chunks of the level that hold vertices.
    """
    changed = []
    for array in grid_arrays(documents):
        present = GridExtent(tuple(array.origin.tolist()), array.shape)
        extent = covering_extent(bounds, chunk_shape, chunks, present)
        if extent != present:
            changed.append(Regrid(array, documents[array.path], extent))
    return changed


def grid_arrays(documents: Mapping[str, Document]) -> list[GridArray]:
    """Return the arrays of a level that have a chunk grid, by their ``zarr.json``, in the order of their paths.

    Parameters
    ----------
    documents : mapping of str to dict
        ``zarr.json`` of the level's nodes by path below the root.
    """
    return [
        GridArray(path, document, _BYTES)
        for path, document in sorted(documents.items())
        if is_grid(document) and path.split("/")[1] in _PER_CHUNK
    ]


def repack(array: GridArray, document: Document, shard_shape: Any, payload_bytes: int, ndim: int) -> Repack:
    """Return the change that gives an array other shards.

    Parameters
    ----------
    array : GridArray
        The array, whose chunks are known.
    document : dict
        Its ``zarr.json``.
    shard_shape : tuple of int, int, "auto" or None
        Chunks of a shard along every axis; None stores one object a chunk. In an array with an axis more, that of an
        attribute, a tuple without it keeps the values of the attribute apart.
    payload_bytes : int
        Uncompressed size that ``"auto"`` goes by.
    ndim : int
        Axes of space.

    Raises
    ------
    ArgumentError
        When the shape does not fit the array.
    """
    assert array.chunks is not None
    extent = GridExtent(tuple(int(o) for o in array.origin), array.shape)
    if isinstance(shard_shape, Sequence) and not isinstance(shard_shape, str):
        leading = len(array.shape) - ndim if len(shard_shape) == ndim else 0
        shard_shape = (1,) * leading + tuple(shard_shape)
    shape = choose_shard_shape(shard_shape, extent, payload_bytes, array.chunks - array.origin)
    return Repack(array, document, shape)


def stored_layout(document: Document | None, itemsize: int) -> LevelOptions:
    """Return the compression and shards of an array, so that another can be written alike.

    Parameters
    ----------
    document : dict, optional
        ``zarr.json`` of the array. One that does not say (a group of small arrays) gives the defaults.
    itemsize : int
        Bytes of a number of the array.
    """
    if document is None or not is_grid(document):
        return LevelOptions()
    codecs, shards = document["codecs"], None
    if codecs[0]["name"] == "sharding_indexed":
        shards = tuple(int(n) for n in document["chunk_grid"]["configuration"]["chunk_shape"])
        codecs = codecs[0]["configuration"]["codecs"]
    return LevelOptions.stored(codecs[1:], shards, itemsize)


def has_chosen_shards(array: CellArray, payload_bytes: int) -> bool:
    """Return whether an array has the shards that ``"auto"`` chooses for its chunks.

    Parameters
    ----------
    array : CellArray
        The array.
    payload_bytes : int
        Uncompressed size of the array.
    """
    if not isinstance(array, GridArray) or array.chunks is None:
        return False
    extent = GridExtent(tuple(int(o) for o in array.origin), array.shape)
    return choose_shard_shape("auto", extent, payload_bytes, array.chunks - array.origin) == array.shard_shape
