"""The per-chunk arrays of an open store: payloads read one by one or ahead, written at once or gathered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zarr_vectors.constants import SHELL_KEY, VERTICES
from zarr_vectors.core.arguments import as_bytes, as_extents, as_mapping
from zarr_vectors.core.handle import StoreHandle, encode_documents, parents_of
from zarr_vectors.encoding.compression import resolve_compressor, with_checksum, without_checksum
from zarr_vectors.exceptions import ArgumentError, ArrayError, StoreError, UnsupportedFeatureError
from zarr_vectors.formats.cell_access import (
    CellUpdate,
    GridExtent,
    is_grid,
    new_cell_array,
    open_cell_array,
    stored_layout,
    update_cells,
)
from zarr_vectors.formats.chunk_keys import parse_key, parse_keys
from zarr_vectors.formats.documents import LEVEL_KEY, ROOT_KEY, parse_attribute, parse_level, parse_root
from zarr_vectors.model.grid import grid_extent
from zarr_vectors.model.metadata import LevelMetadata
from zarr_vectors.read.fetch import FetchedCells, fetch_many
from zarr_vectors.read.level import derive_chunks
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.documents import group_document
from zarr_vectors.storage.port import BlobParts, Storage, list_folder
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.typing import Bytes, Document, IntArray

ChunkKey = str | Sequence[int]
"""A chunk as a key (``"0.1.2"``) or as its coordinates."""

Plan = Sequence[tuple[str, Iterable[ChunkKey]]]
"""Arrays and the chunks of each that will be read."""

_KEY = re.compile(r"-?\d+(\.-?\d+)*")
_FAR = (1 << 63) - 1
_GRID_KEYS = ("chunk_grid_origin", "nonempty_chunks")


@dataclass(slots=True)
class Prefetched:
    """Undecoded cells that were fetched ahead, by path of the array, and which row each chunk is in."""

    cells: dict[str, FetchedCells] = field(default_factory=dict)
    rows: dict[tuple[str, tuple[int, ...]], int] = field(default_factory=dict)

    def payload(self, path: str, chunk: tuple[int, ...]) -> bytes | None:
        """Return a payload that was fetched, ``b""`` for an empty cell; None where it was not fetched."""
        row = self.rows.get((path, chunk))
        if row is None:
            return None
        cells = self.cells[path]
        return b"" if all(blob is None for blob in cells.cell(row)) else bytes(cells.payload(row))

    def forget(self, path: str, chunk: tuple[int, ...]) -> None:
        """Drop a payload that has been written anew."""
        self.rows.pop((path, chunk), None)


@dataclass(frozen=True, slots=True)
class NativeShards:
    """Chunks of the grid and of a shard along every axis that per-chunk arrays are allocated with."""

    grid_shape: tuple[int, ...]
    shard_shape: tuple[int, ...] | None

    @classmethod
    def parse(cls, grid_shape: Sequence[int], shard_shape: Sequence[int] | None) -> NativeShards:
        """Check the shapes that a user wants; without a shard shape every chunk is an object."""
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
    """An array that is to be there: its own metadata, and whether one that holds something may not be there."""

    attributes: Document
    native: NativeShards | None = None
    must_be_new: bool = False


class ChunkStore(StoreHandle):
    """An open store with what the blocks (``batched_writes`` and the like) that a caller is in have gathered."""

    def __init__(self, storage: Storage, reader: StoreReader | None = None) -> None:
        super().__init__(storage, reader)
        self.writes: WriteQueue | None = None
        self.prefetched: Prefetched | None = None
        self.native: NativeShards | None = None

    @contextmanager
    def block(self, name: str, part: str, value: Any) -> Iterator[None]:
        """Set one of the three in a block, which cannot be inside another of its name."""
        if getattr(self, part) is not None:
            raise StoreError(f"{name} blocks cannot be nested")
        setattr(self, part, value)
        try:
            yield
        finally:
            setattr(self, part, None)

    @contextmanager
    def queue(self) -> Iterator[WriteQueue]:
        """Give the queue of the block that a caller is in, else one that is written at once."""
        self.require_writable()
        if self.writes is not None:
            yield self.writes
            return
        queue = WriteQueue(self, session_codecs(None))
        yield queue
        queue.flush()

    def fetch(self, plan: Plan) -> Prefetched:
        """Fetch the cells of a plan: metadata in one round, shard indexes in another, all cells in a third.

        Arrays are named by their paths below the root of the store; one that is not there is left out.
        """
        wanted = {path: list(dict.fromkeys(parse_key(key, path) for key in keys)) for path, keys in plan}
        above = set() if self.has_grids else {"", *(path.partition("/")[0] for path in wanted)}
        documents = self.documents({*wanted, *above})
        requests = []
        for path, keys in wanted.items():
            if keys and path in documents:
                array = open_cell_array(path, documents[path], len(keys[0]))
                chunks = parse_chunks(path, keys)
                expected = _components(path, documents)
                require_components(path, chunks, len(keys[0]) if expected is None else expected)
                requests.append((array, chunks))
        cells = {cells.array.path: cells for cells in fetch_many(self.storage, requests)}
        rows = {(path, chunk): row for path in cells for row, chunk in enumerate(wanted[path])}
        return Prefetched(cells, rows)

    def read(self, path: str, key: ChunkKey) -> bytes:
        """Return the payload of one chunk, fetched ahead or now; ``b""`` for an empty cell."""
        chunk = parse_key(key, path)
        payload = None if self.prefetched is None else self.prefetched.payload(path, chunk)
        if payload is None:
            payload = self.fetch([(path, [chunk])]).payload(path, chunk)
        if payload is None:
            raise ArrayError(f"{self.storage.url}: there is no array {path!r}")
        return payload

    def attributes(self, path: str) -> Document:
        """Return the metadata of a per-chunk array: as queued in the block this is in, fetched ahead, or stored."""
        queued = None if self.writes is None else self.writes.allocations.get(path)
        if queued is not None and queued.attributes:
            return queued.attributes
        if self.prefetched is not None and path in self.prefetched.cells:
            return self.prefetched.cells[path].array.document
        document = self.document(path)
        if document is None:
            raise ArrayError(f"{self.storage.url}: there is no array {path!r}; make it first")
        return document.get("attributes") or {}

    def chunks_of(self, path: str, document: Document | None) -> IntArray:
        """Return the chunks ``(n, S)`` of an array that hold something, in numeric order.

        They are derived by listing, and from the indexes of shards, where the metadata does not name them.
        """
        if document is None:
            raise ArrayError(f"{self.storage.url}: there is no array {path!r}")
        if not is_grid(document):
            names = [name for name in list_folder(self.storage, path).folders if _KEY.fullmatch(name)]
            ndim = max((name.count(".") + 1 for name in names), default=1)
            return parse_keys([name for name in names if name.count(".") + 1 == ndim], ndim, path)
        array = open_cell_array(path, document, 0)
        return derive_chunks(self.storage, array) if array.chunks is None else array.chunks

    def has_cells(self, path: str, document: Document) -> bool:
        """Return whether an array that is there holds something."""
        return not is_grid(document) or len(self.chunks_of(path, document)) > 0

    def level_extent(self, level: str, found: Mapping[str, Document]) -> GridExtent | None:
        """Return the grid that all per-chunk arrays of a level share, or None where arrays have no grid.

        `found` holds the ``zarr.json`` of the level and of its vertices, as far as they exist.
        """
        vertices = found.get(f"{level}/{VERTICES}")
        if vertices is not None and is_grid(vertices):
            shape = tuple(int(s) for s in vertices["shape"])
            origin = (vertices.get("attributes") or {}).get("chunk_grid_origin") or [0] * len(shape)
            return GridExtent(tuple(int(o) for o in origin), shape)
        revision = self.revision
        return None if revision is None or revision.keyed_by_chunk else self.level_bounds(level, found)

    def level_bounds(self, level: str, found: Mapping[str, Document]) -> GridExtent | None:
        """Return the chunks that the bounds of a store give a level, or None for what is no level of a store."""
        if self.revision is None or not level.isdecimal():
            return None
        root, metadata = self.reader.root, _level_metadata(level, found)
        low, shape = grid_extent(root.bounds, metadata.chunk_shape or root.chunk_shape)
        if not metadata.leads(root.ndim):
            return GridExtent(low, shape)
        return GridExtent((0, *low), (max(1, len(metadata.chunk_attribute_values or ())), *shape))

    def remove_node(self, path: str) -> None:
        """Remove an array, if one is there."""
        document = self.document(path)
        self._refuse_group(path, document)
        if document is not None:
            self.require_writable().delete_prefix(path)
            self.invalidate()

    def write_node(self, path: str, objects: Sequence[tuple[str, BlobParts]]) -> None:
        """Write all objects of an array, metadata last, in the place of what is there."""
        storage = self.require_writable()
        above = self.missing_groups(parents_of(path))
        found = self.documents(["", path])
        self._refuse_group(path, found.get(path))
        storage.delete_prefix(path)
        storage.put_many([*encode_documents(above), *objects, *encode_documents(_unmarked(found))])
        self.invalidate()

    def _refuse_group(self, path: str, document: Document | None) -> None:
        if document is not None and document.get("node_type") == "group":
            raise StoreError(f"{self.storage.url}: {path!r} is a group, which an array does not replace")


@dataclass(slots=True)
class WriteQueue:
    """Writes that go out together.

    Arrays are allocated with `codecs` where they are not there; where `lays_out`, also those that hold nothing yet.
    All else is by path of the array: arrays to be made, attributes to be merged into theirs, payloads by chunk.
    """

    store: ChunkStore
    codecs: Sequence[Document]
    lays_out: bool = False
    allocations: dict[str, Allocation] = field(default_factory=dict)
    metadata: dict[str, Document] = field(default_factory=dict)
    payloads: dict[str, dict[tuple[int, ...], Bytes]] = field(default_factory=dict)

    def put(self, path: str, chunk: tuple[int, ...], data: Bytes) -> None:
        """Queue the payload of one chunk; a later one of the same chunk takes its place."""
        self.payloads.setdefault(path, {})[chunk] = as_bytes(f"data of {path}", data)

    def describe(self, path: str, attributes: Mapping[str, Any]) -> None:
        """Queue attributes of an array."""
        self.metadata.setdefault(path, {}).update(as_mapping("meta", attributes))

    def flush(self) -> None:
        """Write everything that is queued in one gather of requests.

        Reading comes before it: metadata in one round, and shards of which some cells are replaced in another. A
        chunk outside its array's grid, or an array that must be new and is there, leaves all unwritten.
        """
        paths = sorted({*self.allocations, *self.metadata, *self.payloads})
        if not paths:
            return
        storage = self.store.require_writable()
        above = {parent for path in paths for parent in parents_of(path)}
        vertices = {f"{path.partition('/')[0]}/{VERTICES}" for path in paths}
        found = self.store.documents({*paths, *above, *vertices})
        documents, groups = self._settled(paths, above, found)
        updates = {path: self._update(path, documents[path], found) for path in self.payloads}
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
        levels = self._levels(found, documents)
        storage.put_many([*items, *encode_documents({**groups, **documents, **levels})])
        if emptied:
            storage.delete_many(emptied)
        self.store.invalidate()

    def _settled(
        self, paths: list[str], above: set[str], found: Mapping[str, Document]
    ) -> tuple[dict[str, Document], dict[str, Document]]:
        """Return the documents of the arrays, and those of groups above them that are missing or change."""
        for parent in above & set(found):
            self.store.require_group(parent, found[parent])
        groups = {parent: group_document({}) for parent in sorted(above - set(found))}
        documents = {path: self._document(path, found) for path in paths}
        for path, attributes in self.metadata.items():
            merged = {**(documents[path].get("attributes") or {}), **attributes}
            documents[path] = {**documents[path], "attributes": merged}
        return documents, groups | _unmarked(found)

    def _document(self, path: str, found: Mapping[str, Document]) -> Document:
        """Return the document of one array: the one that is there, or one that allocates it."""
        present, wanted = found.get(path), self.allocations.get(path, Allocation({}))
        stated = {} if present is None else dict(present.get("attributes") or {})
        if present is not None:
            if wanted.must_be_new and self.store.has_cells(path, present):
                raise StoreError(f"{self.store.storage.url}: {path!r} is there already and is not an empty array")
            if path not in self.allocations or self.store.has_cells(path, present):
                _require_same(path, stated, wanted.attributes)
                return present
            if not self.lays_out and wanted.native is None:
                return {**present, "attributes": stated | wanted.attributes}
        attributes = {key: stated[key] for key in stated if key not in _GRID_KEYS} | wanted.attributes
        level = path.partition("/")[0]
        extent = self.store.level_extent(level, found)
        codecs = self._codecs_beside(found.get(f"{level}/{VERTICES}"))
        if wanted.native is None:
            return new_cell_array(extent, codecs, None, attributes)
        revision = self.store.revision
        if revision is not None and revision.keyed_by_chunk:
            raise UnsupportedFeatureError(
                f"{path}: revision {revision.name} keeps an array for every chunk and has no shards; write the store "
                "in a later revision"
            )
        return new_cell_array(wanted.native.extent(extent, attributes), codecs, wanted.native.shard_shape, attributes)

    def _codecs_beside(self, vertices: Document | None) -> Sequence[Document]:
        """Return the codecs of an array of a level, without checksums where its vertices are stored without."""
        if vertices is None or not is_grid(vertices) or stored_layout(vertices, 1).checksum:
            return self.codecs
        return without_checksum(self.codecs)

    def _levels(self, found: Mapping[str, Document], documents: Mapping[str, Document]) -> dict[str, Document]:
        """Return the documents of the levels that are written to, with the counts and arrays that they have then."""
        revision = self.store.revision
        changed: dict[str, Document] = {}
        for level in {path.partition("/")[0] for path in documents if "/" in path} & set(found):
            attributes = found[level].get("attributes") or {}
            if revision is None or not level.isdecimal() or LEVEL_KEY not in attributes:
                continue
            metadata = _level_metadata(level, found)
            inside = [path[len(level) + 1 :] for path in documents if path.startswith(f"{level}/")]
            present = {*metadata.arrays_present, *(path.partition("/")[0] for path in inside)}
            nodes = {*inside, *(parent for path in inside for parent in parents_of(path)[1:]), *metadata.nodes}
            written = replace(
                metadata,
                vertex_count=metadata.vertex_count + self._rows_more(level, metadata.vertex_count, documents),
                arrays_present=tuple(sorted(present)),
                nodes=tuple(sorted(nodes)) if metadata.nodes else (),
            )
            if written != metadata:
                changed[level] = {**found[level], "attributes": revision.level_attributes(written, attributes)}
        return changed

    def _rows_more(self, level: str, count: int, documents: Mapping[str, Document]) -> int:
        """Return how many vertices more a level of so many has with the payloads in place of those that are stored."""
        path = f"{level}/{VERTICES}"
        payloads = self.payloads.get(path, {})
        spec = parse_attribute(documents[path].get("attributes") or {}, path) if payloads else None
        if spec is None or spec.encoding == "draco":
            return 0
        stride = spec.row_stride * self.store.reader.root.ndim
        before = self.store.fetch([(path, list(payloads))]) if count else Prefetched()
        replaced = sum(len(before.payload(path, chunk) or b"") for chunk in payloads)
        return (sum(memoryview(data).nbytes for data in payloads.values()) - replaced) // stride

    def _update(self, path: str, document: Document, found: Mapping[str, Document]) -> CellUpdate:
        wanted = self.payloads[path]
        chunks = parse_chunks(path, list(wanted))
        array = open_cell_array(path, document, chunks.shape[1])
        if is_grid(document):
            require_components(path, chunks, len(document["shape"]))
            if array.chunks is None:
                derive_chunks(self.store.storage, array)
        else:
            self._require_room(path, chunks, found)
        return update_cells(array, document, chunks, list(wanted.values()), self.codecs)

    def _require_room(self, path: str, chunks: IntArray, found: Mapping[str, Document]) -> None:
        """Refuse chunks that a level has no room for, where its arrays have no grid that says so.

        Chunks outside the bounds in which the array, or the level, holds something already can be written.
        """
        level = path.partition("/")[0]
        extent = self.store.level_bounds(level, found)
        if extent is None:
            return
        require_components(path, chunks, len(extent.shape))
        last = [first + count - 1 for first, count in zip(extent.origin, extent.shape, strict=True)]
        low, high = (np.array([max(-_FAR, min(_FAR, corner)) for corner in side]) for side in (extent.origin, last))
        outside = chunks[((chunks < low) | (chunks > high)).any(axis=1)]
        if not len(outside):
            return
        arrays = [array for array in (path, f"{level}/{VERTICES}") if array in found]
        known = {tuple(row) for array in arrays for row in self.store.chunks_of(array, found[array]).tolist()}
        new = [row for row in outside.tolist() if tuple(row) not in known]
        if new:
            raise ArgumentError(
                f"{path}: chunk {'.'.join(map(str, new[0]))} lies outside the bounds, which hold chunks from "
                f"{low.tolist()} to {high.tolist()}; grow the bounds of the store with set_bounds first"
            )


def open_for_changes(path: Any, backend: str | None, options: Mapping[str, Any]) -> ChunkStore:
    """Return the open store of a group, or that of anything else that names a store, which must be writable."""
    storage = resolve_storage(path, mode="r+", backend=backend, **options)  # type: ignore[arg-type]
    handle = getattr(path, "handle", None)
    if not isinstance(handle, ChunkStore):
        handle = ChunkStore(storage)
    handle.check_writable()
    return handle


def as_plan(plan: Any) -> list[tuple[str, list[ChunkKey]]]:
    """Return a plan of a user as a list of its own, refusing what is not a sequence of pairs."""
    try:
        pairs = [(name, list(keys)) for name, keys in plan if not isinstance(keys, str)]
        if len(pairs) == len(plan):
            return pairs
    except (TypeError, ValueError):
        pass
    raise ArgumentError(f"plan: expected pairs of the name of an array and a list of chunk keys, got {plan!r:.80}")


def parse_chunks(path: str, keys: Sequence[tuple[int, ...]]) -> IntArray:
    """Return chunk coordinates ``(n, S)`` in their order, refusing some with more components than others."""
    if len({len(key) for key in keys}) > 1:
        raise ArrayError(f"{path}: chunks {keys[0]} and others have different numbers of components")
    return np.array(keys, np.int64)


def require_components(path: str, chunks: IntArray, expected: int) -> None:
    """Refuse chunk keys of another number of components than those of an array."""
    if len(chunks) and chunks.shape[1] != expected:
        first = tuple(chunks[0].tolist())
        raise ArgumentError(f"{path}: chunk keys have {expected} components, one for each axis, got {first}")


def session_codecs(compressor: Any, checksum: bool = True) -> list[Document]:
    """Return the codecs of a batch: ``None`` means Zarr v3's own default, bytes and zstd; with a checksum or not."""
    codecs = resolve_compressor("zstd" if compressor is None else compressor)
    return with_checksum(codecs) if checksum else codecs


def _level_metadata(level: str, documents: Mapping[str, Document]) -> LevelMetadata:
    """Return the metadata of a level by its ``zarr.json``, or that of a new one where it has none."""
    attributes = documents.get(level, {}).get("attributes") or {}
    return parse_level(attributes, int(level), f"level {level}")


def _components(path: str, documents: Mapping[str, Document]) -> int | None:
    """Return the number of components of an array's chunk keys, or None where nothing says it."""
    if is_grid(documents[path]):
        return len(documents[path]["shape"])
    level = path.partition("/")[0]
    attributes = documents.get("", {}).get("attributes") or {}
    if ROOT_KEY not in attributes or not level.isdecimal():
        return None
    ndim = parse_root(attributes, "root").ndim
    return ndim + _level_metadata(level, documents).leads(ndim)


def _require_same(path: str, present: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to describe an array that holds something as one of another type."""
    for key in ("dtype", "encoding", "channel_names"):
        if key in wanted and present.get(key, wanted[key]) != wanted[key]:
            raise ArgumentError(
                f"{path}: holds chunks of {key} {present[key]!r}, so it cannot become one of {wanted[key]!r}"
            )


def _unmarked(found: Mapping[str, Document]) -> dict[str, Document]:
    """Return the root's document without the mark of a shell, if it has the mark: the store holds data now."""
    root = found.get("", {})
    attributes = dict(root.get("attributes") or {})
    if attributes.pop(SHELL_KEY, None) is None:
        return {}
    return {"": {**root, "attributes": attributes}}
