"""An open level: its metadata, its arrays, and the chunks that hold something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.exceptions import ArgumentError, MetadataError, StoreError, UnknownNameError, ZarrVectorsError
from zarr_vectors.formats.channel_cells import OneChannel
from zarr_vectors.formats.documents import parse_level
from zarr_vectors.formats.layout import CellArray, LevelArrays
from zarr_vectors.formats.revision import Revision
from zarr_vectors.formats.unknown_keys import unknown_keys
from zarr_vectors.model.grid import Grid
from zarr_vectors.model.links import LinkCellList
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.read.nodes import FindNodes, find_nodes
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.storage.port import Storage
from zarr_vectors.typing import Document, IntArray

_MALFORMED = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, SyntaxError)
"""What parsing JSON of the wrong shape raises (SyntaxError: data types that NumPy parses as expressions)."""

_MAX_NDIM = 64
_MAX_BINS = 1 << 31


@dataclass(slots=True)
class LevelReader:
    """An open level.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    root : RootMetadata
        The store's metadata.
    metadata : LevelMetadata
        The level's own.
    attributes : dict
        The level group's attributes as they stand.
    arrays : LevelArrays
        Every array, ready to be read.
    chunks : (C, S) int64
        Chunks that hold vertices, in numeric order.
    lookup : ChunkLookup
        Finds the row of a chunk in ``chunks``.
    object_ids : (O,) int64, optional
        Object ids by manifest row, once they have been read.
    link_cells : dict of int to LinkCellList
        By level difference the cells of the level's links, once they have been listed.
    documents : mapping of str to dict
        The ``zarr.json`` of every node by path below the root.
    """

    storage: Storage
    root: RootMetadata
    metadata: LevelMetadata
    attributes: Document
    arrays: LevelArrays
    chunks: IntArray
    lookup: ChunkLookup = field(repr=False)
    object_ids: IntArray | None = field(default=None, repr=False)
    link_cells: dict[int, LinkCellList] = field(default_factory=dict, repr=False)
    documents: Mapping[str, Document] = field(default_factory=dict, repr=False)

    @property
    def grid(self) -> Grid:
        """The level's chunk and bin shapes."""
        return self.metadata.grid(self.root)

    @property
    def name(self) -> str:
        """The store and level, for messages."""
        return f"{self.storage.url}: level {self.metadata.level}"

    @property
    def chunk_scale(self) -> IntArray:
        """The level's chunk shape over the root's, as whole numbers ``(D,)``."""
        own = self.metadata.chunk_shape or self.root.chunk_shape
        return np.array([max(1, round(a / b)) for a, b in zip(own, self.root.chunk_shape, strict=True)], np.int64)

    @property
    def leads(self) -> bool:
        """Whether chunk keys start with a component before the spatial ones."""
        return self.metadata.leads(self.root.ndim)

    @property
    def unknown(self) -> dict[str, Document]:
        """What the nodes hold under keys that the format does not know, by path below the level."""
        start = len(str(self.metadata.level)) + 1
        found = {p[start:]: unknown_keys(d.get("attributes")) for p, d in self.documents.items() if len(p) > start}
        return {node: kept for node, kept in found.items() if kept}

    @property
    def keyed_attribute(self) -> str | None:
        """Vertex attribute that is kept in the chunk keys and in no array, if any."""
        name = self.metadata.keyed_attribute
        return None if name in self.arrays.vertex_attributes else name

    @property
    def attribute_names(self) -> list[str]:
        """Names of all vertex attributes, with the one that is kept in chunk keys only, if any."""
        chunked_by = self.keyed_attribute
        return [*self.arrays.vertex_attributes, *([] if chunked_by is None else [chunked_by])]

    def stored_attributes(self, names: Iterable[str]) -> dict[str, CellArray]:
        """Return the arrays of some vertex attributes; the one that chunks go by has none.

        Raises
        ------
        UnknownNameError
            Naming the attributes that the level has.
        """
        chunked_by = self.keyed_attribute
        return {name: self.attribute(name) for name in dict.fromkeys(names) if name != chunked_by}

    def attribute(self, name: str) -> CellArray:
        """Return a vertex attribute's array, or that of one channel as ``"attribute/channel"``.

        Raises
        ------
        UnknownNameError
            Naming the attributes that the level has.
        """
        if name not in self.arrays.vertex_attributes:
            base, _, channel = name.partition("/")
            several = self.arrays.vertex_attributes.get(base)
            names = None if several is None else several.spec.channel_names
            if several is not None and channel in (names or ()):
                return OneChannel(several, (names or ()).index(channel))
            has = f"{self.name} has no vertex attribute {name!r}; it has {sorted(self.attribute_names)}"
            if name in self.arrays.object_attributes:
                has = (
                    f"{self.name}: {name!r} is an attribute of objects, and this asks for one of vertices, which have "
                    f"{sorted(self.attribute_names)}; ask for those objects by object_ids or group_ids"
                )
            elif name == self.keyed_attribute:
                has = f"{self.name} has no array of vertex attribute {name!r}: its values stand in the chunk keys"
            raise UnknownNameError(has)
        return self.arrays.vertex_attributes[name]


def open_level_reader(
    storage: Storage, root: RootMetadata, revision: Revision, number: int, find: FindNodes | None = None
) -> LevelReader | None:
    """Open a level; None when the store has no such level.

    Parameters
    ----------
    storage, root, revision
        The store.
    number : int
        The level.
    find : function, optional
        Finds the documents of its nodes as :func:`~zarr_vectors.read.nodes.find_nodes` does.
    """
    level = str(number)
    documents, keys = find_nodes(storage, revision, level) if find is None else find(level)
    if not documents:
        return None
    attributes: Document = (documents.get(level) or {}).get("attributes") or {}
    where = f"{storage.url}: level {number}"
    if not isinstance(attributes, dict):
        raise MetadataError(f"{where}: attributes must be a JSON object, got {type(attributes).__name__}")
    metadata = parse_level(attributes, number, where)
    _check_grid(metadata, root, where)
    sid_ndim = root.ndim + metadata.leads(root.ndim)
    try:
        arrays = revision.open_level(level, documents, keys, sid_ndim, root.ndim)
    except _MALFORMED as error:
        if isinstance(error, ZarrVectorsError):
            raise
        raise MetadataError(
            f"{where}: malformed metadata of an array: {type(error).__name__}: {error}; validate() says which"
        ) from error
    for family in arrays.links.values():
        if family.width < 1 or any(len(links.offsets) != family.width - 1 for links in family.arrays):
            raise MetadataError(
                f"{where}: links/{family.delta}: link_width {family.width} does not fit the offsets of its arrays"
            )
    if arrays.object_index is not None and not 0 < arrays.object_index.sid_ndim <= _MAX_NDIM:
        raise MetadataError(
            f"{where}: object_index: sid_ndim must be the number of components of a chunk key, "
            f"got {arrays.object_index.sid_ndim}"
        )
    chunks = arrays.vertices.chunks
    if chunks is None:
        chunks = derive_chunks(storage, arrays.vertices)
    lookup = ChunkLookup.of(chunks)
    return LevelReader(storage, root, metadata, attributes, arrays, chunks, lookup, documents=documents)


def _check_grid(metadata: LevelMetadata, root: RootMetadata, where: str) -> None:
    """Refuse chunk and bin shapes that are not positive numbers, one per axis."""
    try:
        grid = metadata.grid(root)
    except ArgumentError as error:
        raise MetadataError(f"{where}: {error}") from error
    ndim = grid.ndim
    if grid.n_bins > _MAX_BINS:
        raise MetadataError(f"{where}: chunks of {grid.chunk_shape} hold {grid.n_bins} bins of {grid.bin_shape}")
    if ndim != root.ndim:
        raise MetadataError(f"{where}: chunk_shape has {ndim} numbers for {root.ndim} axes")


def derive_chunks(storage: Storage, array: CellArray) -> IntArray:
    """Find the chunks of an array whose metadata does not list them, and let it know of them.

    Raises
    ------
    StoreError
        When the storage cannot list.
    """
    if not storage.can_list:
        raise StoreError(
            f"{storage.url}: {array.path} does not list its chunks, and this storage cannot be "
            "listed; run consolidate_metadata on the store where it is kept, or open it where it can be listed"
        )
    addresses = storage.list_all(array.path)
    requests = array.index_requests(array.stored_chunks(addresses))
    array.accept_indexes(requests, storage.get_many(requests))
    array.list_chunks(addresses)
    assert array.chunks is not None
    return np.asarray(array.chunks)
