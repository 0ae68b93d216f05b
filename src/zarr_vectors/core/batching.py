"""Writing payloads and metadata of per-chunk arrays: collected, merged with what is stored, put at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zarr_vectors.constants import SHELL_KEY, VERTICES
from zarr_vectors.core.given import as_bytes, as_extents, as_mapping
from zarr_vectors.core.handle import StoreHandle
from zarr_vectors.core.nodes import missing_groups, parents_of, read_documents, require_group
from zarr_vectors.core.payloads import (
    Prefetched,
    derive_chunks,
    fetch_plan,
    known_chunks,
    level_metadata,
    parse_chunks,
    require_components,
)
from zarr_vectors.encoding.compression import resolve_compressor, with_checksum, without_checksum
from zarr_vectors.exceptions import ArgumentError, MetadataError, StoreError, UnsupportedFeatureError
from zarr_vectors.formats.cell_access import (
    CellUpdate,
    GridExtent,
    is_grid,
    new_cell_array,
    open_cell_array,
    stored_layout,
    update_cells,
)
from zarr_vectors.formats.documents import LEVEL_KEY, parse_attribute
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.grid import grid_extent
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, group_document
from zarr_vectors.storage.port import BlobParts, join
from zarr_vectors.typing import Bytes, Document, IntArray


@dataclass(frozen=True, slots=True)
class NativeShards:
    """How per-chunk arrays are to be allocated while ``native_sharded_arrays`` is in force.

    Parameters
    ----------
    grid_shape : tuple of int
        Chunks along every axis.
    shard_shape : tuple of int, optional
        Chunks of a shard along every axis; None for one object a chunk.
    """

    grid_shape: tuple[int, ...]
    shard_shape: tuple[int, ...] | None

    @classmethod
    def parse(cls, grid_shape: Sequence[int], shard_shape: Sequence[int] | None) -> NativeShards:
        """Check shapes that a user gave.

        Raises
        ------
        ArgumentError
            When a number is not positive, or the lengths differ.
        """
        grid = as_extents("grid_shape", grid_shape)
        shard = None if shard_shape is None else as_extents("shard_shape", shard_shape)
        if shard is not None and len(shard) != len(grid):
            raise ArgumentError(f"shard_shape {list(shard)} and grid_shape {list(grid)} must be equally long")
        return cls(grid, shard)

    def extent(self, level: GridExtent | None, attributes: Mapping[str, Any]) -> GridExtent:
        """Return the grid of an array: its first chunk is stated, or that of the level's, or zeros."""
        origin = attributes.get("chunk_grid_origin")
        if origin is None and level is not None and len(level.origin) == len(self.grid_shape):
            origin = level.origin
        return GridExtent(tuple(int(o) for o in origin or (0,) * len(self.grid_shape)), self.grid_shape)


@dataclass(frozen=True, slots=True)
class Allocation:
    """An array that is to be there.

    Parameters
    ----------
    attributes : dict
        Its own metadata.
    native : NativeShards, optional
        Grid and shards asked for.
    must_be_new : bool
        Whether an array that holds something may not be there already.
    """

    attributes: Document
    native: NativeShards | None = None
    must_be_new: bool = False


@dataclass(slots=True)
class WriteQueue:
    """Writes that go out together.

    Parameters
    ----------
    codecs : sequence of dict
        Compression of arrays allocated here.
    lays_out : bool
        Whether arrays that hold nothing yet are laid out anew with these codecs.
    allocations : dict of str to Allocation
        Arrays to be made where they are not there, by path.
    metadata : dict of str to dict
        Attributes to be merged into those of arrays, by path.
    payloads : dict of str to dict
        Payloads by path and chunk.
    """

    codecs: Sequence[Document]
    lays_out: bool = False
    allocations: dict[str, Allocation] = field(default_factory=dict)
    metadata: dict[str, Document] = field(default_factory=dict)
    payloads: dict[str, dict[tuple[int, ...], Bytes]] = field(default_factory=dict)

    def put(self, path: str, chunk: tuple[int, ...], data: Bytes) -> None:
        """Queue the payload of one chunk; a later one of the same chunk takes its place.

        Raises
        ------
        ArgumentError
            When the data is not bytes, nor anything that holds some.
        """
        self.payloads.setdefault(path, {})[chunk] = as_bytes(f"data of {path}", data)

    def describe(self, path: str, attributes: Mapping[str, Any]) -> None:
        """Queue attributes of an array."""
        self.metadata.setdefault(path, {}).update(as_mapping("meta", attributes))

    def flush(self, handle: StoreHandle) -> None:
        """Write everything that is queued in one gather of requests.

        Reading comes before it: metadata in one round, and shards of which some cells are replaced in another.

        Raises
        ------
        ArgumentError
            When a chunk lies outside its array's grid; nothing is written then.
        StoreError
            When an array that must be new is there.
        """
        paths = sorted({*self.allocations, *self.metadata, *self.payloads})
        if not paths:
            return
        storage = handle.require_writable()
        found = self._found(handle, paths)
        documents, groups = self._settled(handle, paths, found)
        updates = {path: self._update(handle, path, documents[path], found) for path in self.payloads}
        plans = {path: update.requests() for path, update in updates.items()}
        requests = [request for plan in plans.values() for request in plan]
        blobs = storage.get_many(requests) if requests else []
        items: list[tuple[str, BlobParts]] = []
        emptied: list[str] = []
        start = 0
        for path, update in updates.items():
            objects, gone = update.objects(blobs[start : start + len(plans[path])])
            start += len(plans[path])
            items += objects
            emptied += gone
            documents[path] = update.metadata()
        levels = self._levels(handle, found, documents)
        storage.put_many([*items, *_encoded({**groups, **documents, **levels})])
        if emptied:
            storage.delete_many(emptied)
        handle.invalidate()

    def _found(self, handle: StoreHandle, paths: list[str]) -> dict[str, Document]:
        """Return the documents that are there of the arrays, of the groups above them and of their levels' vertices."""
        above = {parent for path in paths for parent in parents_of(path)}
        levels = {path.partition("/")[0] for path in paths}
        return read_documents(handle, {*paths, *above, *(f"{level}/{VERTICES}" for level in levels)})

    def _settled(
        self, handle: StoreHandle, paths: list[str], found: Mapping[str, Document]
    ) -> tuple[dict[str, Document], dict[str, Document]]:
        """Return the documents of the arrays, and those of groups above them that are missing or change."""
        above = {parent for path in paths for parent in parents_of(path)}
        for parent in above & set(found):
            require_group(handle, parent, found[parent])
        groups = {parent: group_document({}) for parent in sorted(above - set(found))}
        documents = {path: self._document(handle, path, found) for path in paths}
        for path, attributes in self.metadata.items():
            merged = {**(documents[path].get("attributes") or {}), **attributes}
            documents[path] = {**documents[path], "attributes": merged}
        return documents, groups | _unmarked(found)

    def _document(self, handle: StoreHandle, path: str, found: Mapping[str, Document]) -> Document:
        """Return the document of one array: the one that is there, or one that allocates it."""
        present = found.get(path)
        asked = self.allocations.get(path, Allocation({}))
        if present is not None and asked.must_be_new and has_cells(handle, path, present):
            raise StoreError(f"{handle.storage.url}: {path!r} is there already and is not an empty array")
        if present is not None and (path not in self.allocations or has_cells(handle, path, present)):
            _require_same(path, present.get("attributes") or {}, asked.attributes)
            return present
        kept = {} if present is None else dict(present.get("attributes") or {})
        if present is not None and not self.lays_out and asked.native is None:
            return {**present, "attributes": kept | asked.attributes}
        attributes = {key: kept[key] for key in kept if key not in _GRID_KEYS} | asked.attributes
        extent = level_extent(handle, path.partition("/")[0], found)
        codecs = self._beside(found.get(f"{path.partition('/')[0]}/{VERTICES}"))
        if asked.native is not None:
            _require_grids(handle, path)
        if asked.native is None:
            return new_cell_array(extent, codecs, None, attributes)
        return new_cell_array(asked.native.extent(extent, attributes), codecs, asked.native.shard_shape, attributes)

    def _beside(self, vertices: Document | None) -> Sequence[Document]:
        """Return the codecs of an array of a level, without checksums where its vertices are stored without."""
        if vertices is None or not is_grid(vertices) or stored_layout(vertices, 1).checksum:
            return self.codecs
        return without_checksum(self.codecs)

    def _levels(
        self, handle: StoreHandle, found: Mapping[str, Document], documents: Mapping[str, Document]
    ) -> dict[str, Document]:
        """Return the documents of the levels that are written to, with the counts and arrays that they have then."""
        revision = revision_of(handle)
        changed: dict[str, Document] = {}
        for level in {path.partition("/")[0] for path in documents if "/" in path} & set(found):
            attributes = found[level].get("attributes") or {}
            if revision is None or not level.isdecimal() or LEVEL_KEY not in attributes:
                continue
            metadata = level_metadata(level, found)
            inside = [path[len(level) + 1 :] for path in documents if path.startswith(f"{level}/")]
            present = {*metadata.arrays_present, *(path.partition("/")[0] for path in inside)}
            nodes = {*inside, *(parent for path in inside for parent in parents_of(path)[1:]), *metadata.nodes}
            written = replace(
                metadata,
                vertex_count=metadata.vertex_count + self._rows_more(handle, level, metadata.vertex_count, documents),
                arrays_present=tuple(sorted(present)),
                nodes=tuple(sorted(nodes)) if metadata.nodes else (),
            )
            if written != metadata:
                changed[level] = {**found[level], "attributes": revision.level_attributes(written, attributes)}
        return changed

    def _rows_more(self, handle: StoreHandle, level: str, count: int, documents: Mapping[str, Document]) -> int:
        """Return how many vertices more a level of so many has with the payloads in place of those that are stored."""
        path = f"{level}/{VERTICES}"
        payloads = self.payloads.get(path, {})
        spec = parse_attribute(documents[path].get("attributes") or {}, path) if payloads else None
        if spec is None or spec.encoding == "draco":
            return 0
        stride = spec.row_stride * handle.reader.root.ndim
        before = fetch_plan(handle, [(path, list(payloads))]) if count else Prefetched()
        replaced = sum(len(before.payload(path, chunk) or b"") for chunk in payloads)
        return (sum(memoryview(data).nbytes for data in payloads.values()) - replaced) // stride

    def _update(self, handle: StoreHandle, path: str, document: Document, found: Mapping[str, Document]) -> CellUpdate:
        wanted = self.payloads[path]
        chunks = parse_chunks(path, list(wanted))
        array = open_cell_array(path, document, chunks.shape[1])
        if is_grid(document):
            require_components(path, chunks, len(document["shape"]))
            if array.chunks is None:
                derive_chunks(handle.storage, array)
        else:
            _require_room(handle, path, chunks, found)
        return update_cells(array, document, chunks, list(wanted.values()), self.codecs)


def _require_room(handle: StoreHandle, path: str, chunks: IntArray, found: Mapping[str, Document]) -> None:
    """Refuse chunks that a level has no room for, where its arrays have no grid that says so.

    Chunks outside the bounds in which the array, or the level, holds something already can be written.

    Raises
    ------
    ArgumentError
        Naming the first of them.
    """
    level = path.partition("/")[0]
    extent = level_bounds(handle, level, found)
    if extent is None:
        return
    require_components(path, chunks, len(extent.shape))
    last = [first + count - 1 for first, count in zip(extent.origin, extent.shape, strict=True)]
    low, high = (np.array([max(-_FAR, min(_FAR, corner)) for corner in side]) for side in (extent.origin, last))
    outside = chunks[((chunks < low) | (chunks > high)).any(axis=1)]
    if not len(outside):
        return
    arrays = [array for array in (path, f"{level}/{VERTICES}") if array in found]
    known = {tuple(row) for array in arrays for row in known_chunks(handle, array, found[array]).tolist()}
    new = [row for row in outside.tolist() if tuple(row) not in known]
    if new:
        raise ArgumentError(
            f"{path}: chunk {'.'.join(map(str, new[0]))} lies outside the bounds, which hold chunks from "
            f"{low.tolist()} to {high.tolist()}; grow the bounds of the store with set_bounds first"
        )


def _require_grids(handle: StoreHandle, path: str) -> None:
    """Refuse a grid array in a store whose revision has none."""
    revision = revision_of(handle)
    if revision is not None and revision.keyed_by_chunk:
        raise UnsupportedFeatureError(
            f"{path}: revision {revision.name} keeps an array for every chunk and has no shards; write the store "
            "in a later revision"
        )


def revision_of(handle: StoreHandle) -> Revision | None:
    """Return the format revision of a store, or None where the root is not that of a store."""
    try:
        return handle.reader.revision
    except (StoreError, MetadataError):
        return None


def _require_same(path: str, present: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to describe an array that holds something as one of another type."""
    for key in ("dtype", "encoding", "channel_names"):
        if key in asked and present.get(key, asked[key]) != asked[key]:
            raise ArgumentError(
                f"{path}: holds chunks of {key} {present[key]!r}, so it cannot become one of {asked[key]!r}"
            )


_FAR = (1 << 63) - 1
_GRID_KEYS = ("chunk_grid_origin", "nonempty_chunks")


def session_codecs(compressor: Any, checksum: bool = True) -> list[Document]:
    """Return the codecs of a batch: ``None`` means Zarr v3's own default, bytes and zstd; with a checksum or not."""
    codecs = resolve_compressor("zstd" if compressor is None else compressor)
    return with_checksum(codecs) if checksum else codecs


def _encoded(documents: Mapping[str, Document]) -> list[tuple[str, BlobParts]]:
    return [(join(path, DOCUMENT_NAME), document_bytes(document)) for path, document in documents.items()]


def _unmarked(found: Mapping[str, Document]) -> dict[str, Document]:
    """Return the root's document without the mark of a shell, if it has the mark: the store holds data now."""
    root = found.get("", {})
    attributes = dict(root.get("attributes") or {})
    if attributes.pop(SHELL_KEY, None) is None:
        return {}
    return {"": {**root, "attributes": attributes}}


def level_extent(handle: StoreHandle, level: str, found: Mapping[str, Document]) -> GridExtent | None:
    """Return the grid that all per-chunk arrays of a level share, or None where arrays have no grid.

    Parameters
    ----------
    handle : StoreHandle
        The open store.
    level : str
        Path of the level.
    found : mapping of str to dict
        The ``zarr.json`` of the level and of its vertices, as far as they exist.
    """
    vertices = found.get(f"{level}/{VERTICES}")
    if vertices is not None and is_grid(vertices):
        shape = tuple(int(s) for s in vertices["shape"])
        origin = (vertices.get("attributes") or {}).get("chunk_grid_origin") or [0] * len(shape)
        return GridExtent(tuple(int(o) for o in origin), shape)
    revision = revision_of(handle)
    return None if revision is None or revision.keyed_by_chunk else level_bounds(handle, level, found)


def level_bounds(handle: StoreHandle, level: str, found: Mapping[str, Document]) -> GridExtent | None:
    """Return the chunks that the bounds of a store give a level, or None for what is no level of a store.

    Parameters
    ----------
    handle : StoreHandle
        The open store.
    level : str
        Path of the level.
    found : mapping of str to dict
        The ``zarr.json`` of the level, where it exists.
    """
    if revision_of(handle) is None or not level.isdecimal():
        return None
    root, metadata = handle.reader.root, level_metadata(level, found)
    low, shape = grid_extent(root.bounds, metadata.chunk_shape or root.chunk_shape)
    if not metadata.leads(root.ndim):
        return GridExtent(low, shape)
    return GridExtent((0, *low), (max(1, len(metadata.chunk_attribute_values or ())), *shape))


def has_cells(handle: StoreHandle, path: str, document: Document) -> bool:
    """Return whether an array that is there holds something."""
    if not is_grid(document):
        return True
    array = open_cell_array(path, document, 0)
    if array.chunks is None:
        derive_chunks(handle.storage, array)
    return array.chunks is not None and len(array.chunks) > 0


def remove_node(handle: StoreHandle, path: str) -> None:
    """Remove an array, if one is there.

    Parameters
    ----------
    handle : StoreHandle
        The open store.
    path : str
        Path of the array below the root of the store.

    Raises
    ------
    StoreError
        A group is there.
    """
    document = read_documents(handle, [path]).get(path)
    _refuse_group(handle, path, document)
    if document is not None:
        handle.require_writable().delete_prefix(path)
        handle.invalidate()


def _refuse_group(handle: StoreHandle, path: str, document: Document | None) -> None:
    if document is not None and document.get("node_type") == "group":
        raise StoreError(f"{handle.storage.url}: {path!r} is a group, which an array does not replace")


def write_node(handle: StoreHandle, path: str, objects: Sequence[tuple[str, BlobParts]]) -> None:
    """Write all objects of a node, metadata last, in the place of what is there.

    Parameters
    ----------
    handle : StoreHandle
        The open store.
    path : str
        Path of the node below the root of the store.
    objects : sequence of (str, bytes)
        Addresses and data.

    Raises
    ------
    StoreError
        A group is there.
    """
    storage = handle.require_writable()
    above = missing_groups(handle, parents_of(path))
    found = read_documents(handle, ["", path])
    _refuse_group(handle, path, found.get(path))
    storage.delete_prefix(path)
    storage.put_many([*_encoded(above), *objects, *_encoded(_unmarked(found))])
    handle.invalidate()
