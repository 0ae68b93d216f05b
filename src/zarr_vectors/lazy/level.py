"""One level of a dataset, with its objects by id and its groups by name, each read when it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from zarr_vectors.constants import GROUP_NAME_ATTRIBUTE, VERTICES
from zarr_vectors.exceptions import ArgumentError, ReadOnlyStoreError, StoreChangedError, UnknownNameError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.lazy.chunks import (
    ZVChunk,
    batch_sizes,
    chunks_met,
    default_prefetch,
    iterate,
    read_ahead,
    read_chunks,
)
from zarr_vectors.lazy.kinds import GeometryResult, Kind
from zarr_vectors.lazy.snapshot import OpenStore, Snapshot
from zarr_vectors.lazy.writer import ZVWriter
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.metadata import LevelMetadata
from zarr_vectors.read.counting import count_vertices
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import as_object_ids, read_groups, read_manifests
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.read.parametric import read_parametric_table
from zarr_vectors.read.query import parse_names
from zarr_vectors.read.store import StoreReader
from zarr_vectors.read.vertices import holds_faces
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.storage.arrays import ZarrArray
from zarr_vectors.typing import AnyArray, IntArray

K = TypeVar("K")
T = TypeVar("T")


class _Part(Mapping[K, GeometryResult], Generic[K, T]):
    """What is read of a level by key; the table of the keys is read once while the dataset stays as it is."""

    _noun: ClassVar[str]

    def __init__(self, level: ZVLevel) -> None:
        self._level = level
        self._known: tuple[StoreReader, T] | None = None

    def _once(self, read: Callable[[], T]) -> T:
        store = self._level.dataset.reader
        if self._known is None or self._known[0] is not store:
            self._known = store, read()
        return self._known[1]

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        """Two of them are equal when they are the same."""
        return self is other

    def __repr__(self) -> str:
        """Name the level, without reading anything."""
        return f"<{self._noun} of level {self._level.index} of {self._level.dataset.url!r}>"


class ZVObjects(_Part[int, IntArray]):
    """Objects of a level by id: ``objects[42]`` reads one, ``objects[[1, 2, 3]]`` several at once.

    Iterating gives the ids, ascending. Level 0 has all objects, coarser levels those that still have vertices there.
    Reading gives the same result class as the reader of the store's kind.

    Parameters
    ----------
    level : ZVLevel
        The level.
    """

    _noun = "objects"

    @property
    def ids(self) -> IntArray:
        """Ids of the objects, ``(n,)``, ascending."""
        return self._once(lambda: self._level.dataset.reading(self._read_ids))

    def _read_ids(self, dataset: OpenStore) -> IntArray:
        snapshot = dataset.snapshot
        if not snapshot.kind.has_levels:
            table = read_parametric_table(snapshot.store.storage)
            return np.arange(0 if table is None else table.count, dtype=np.int64)
        return present_ids(snapshot.level(self._level.index))

    def __getitem__(self, key: Any) -> GeometryResult:
        """Read one object or several.

        Parameters
        ----------
        key : int or sequence of int
            Id, or ids in the order in which paths are to be returned (vertices of other kinds come in stored order).

        Raises
        ------
        UnknownNameError
            When there is no such object.
        ArgumentError
            When the key is something else.
        """
        if isinstance(key, (bool, str, bytes, slice, float)) or key is None:
            raise ArgumentError(f"objects[...]: expected an object id or a sequence of them, got {key!r}")
        return self._level.read(object_ids=as_object_ids(key))

    def __iter__(self) -> Iterator[int]:
        """Iterate over the ids."""
        return iter(self.ids.tolist())

    def __len__(self) -> int:
        """Return the number of objects."""
        return self._level.object_count if self._known is None else len(self.ids)

    def __contains__(self, key: object) -> bool:
        """Say whether there is an object with an id."""
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
            return False
        place = int(np.searchsorted(self.ids, int(key)))
        return place < len(self.ids) and bool(self.ids[place] == key)


def present_ids(level: LevelReader) -> IntArray:
    """Return the ids of the objects of a level, ascending: all at level 0, elsewhere those that have vertices."""
    ids = ordered_object_ids(level)
    if ids is None:
        return np.zeros(0, np.int64)
    if level.metadata.level > 0 and level.arrays.object_index is not None:
        ids = ids[np.diff(read_manifests(level, None).offsets) > 0]
    return np.unique(ids)


def count_objects(level: LevelReader) -> int:
    """Return the number of :func:`present_ids`, from the metadata where that says it."""
    index = level.arrays.object_index
    if index is not None and level.metadata.level == 0:
        return index.count
    stated = None if index is None else index.document.get("num_present")
    return stated if isinstance(stated, int) else len(present_ids(level))


class _Table(NamedTuple):
    """Groups of one level with the names that they go by."""

    keys: list[int | str]
    groups: Groups | None

    @classmethod
    def of(cls, groups: Groups | None) -> _Table:
        """Name groups by their attribute ``name``, else by number."""
        if groups is None:
            return cls([], None)
        column = groups.attributes.get(GROUP_NAME_ATTRIBUTE)
        if column is None:
            return cls(list(range(groups.count)), groups)
        return cls([str(name) for name in decode_column(column).tolist()], groups)


class ZVGroups(_Part["int | str", _Table]):
    """Groups of a level: ``groups["motor"]`` and ``groups[0]`` read the objects of one, a list those of any of several.

    Iterating gives their names, or their numbers where they have no names; both find a group.

    Parameters
    ----------
    level : ZVLevel
        The level.
    """

    _noun = "groups"

    def _table(self) -> _Table:
        return self._once(lambda: _Table.of(self._level.dataset.reading(self._read)))

    def _read(self, dataset: OpenStore) -> Groups | None:
        snapshot = dataset.snapshot
        if snapshot.kind.has_levels:
            return read_groups(snapshot.level(self._level.index))
        parametric = read_parametric_table(snapshot.store.storage)
        return None if parametric is None else parametric.groups

    def __getitem__(self, key: Any) -> GeometryResult:
        """Read the objects of one group, or of any of several.

        Parameters
        ----------
        key : int, str or sequence of them
            Number or name.

        Raises
        ------
        UnknownNameError
            When there is no such group.
        """
        return self._level.read(group_ids=key)

    def members(self, key: int | str) -> IntArray:
        """Return the ids of the objects of a group, in the order that they were given.

        Raises
        ------
        UnknownNameError
            When there is no such group.
        """
        table = self._table()
        number = self._number(key)
        if table.groups is None or number is None:
            shown = ", ".join(map(repr, table.keys[:20])) or "none"
            raise UnknownNameError(f"level {self._level.index} has no group {key!r}; it has {shown}")
        return table.groups.of(number)

    @property
    def attributes(self) -> dict[str, AnyArray]:
        """Attributes of the groups by name, one row per group in the order of iteration."""
        groups = self._table().groups
        if groups is None:
            return {}
        return {name: decode_column(column) for name, column in groups.attributes.items()}

    def _number(self, key: object) -> int | None:
        table = self._table()
        if isinstance(key, str):
            return table.keys.index(key) if key in table.keys else None
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
            return None
        return int(key) if 0 <= key < len(table.keys) else None

    def __iter__(self) -> Iterator[int | str]:
        """Iterate over names, or numbers where there are no names."""
        return iter(self._table().keys)

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._table().keys)

    def __contains__(self, key: object) -> bool:
        """Say whether there is a group of a name or number."""
        return self._number(key) is not None


class ZVLevel:
    """One level of a dataset, as ``dataset[0]`` gives it; its metadata is read on first use.

    Parameters
    ----------
    dataset : ZVDataset
        The dataset.
    index : int
        Number of the level, 0 the finest.
    """

    def __init__(self, dataset: OpenStore, index: int) -> None:
        self._dataset = dataset
        self._index = index
        self._objects = ZVObjects(self)
        self._groups = ZVGroups(self)

    @property
    def dataset(self) -> OpenStore:
        """The dataset that this is a level of."""
        return self._dataset

    @property
    def index(self) -> int:
        """Number of the level, 0 the finest."""
        return self._index

    @property
    def reader(self) -> LevelReader:
        """The open level, read through the cache of the dataset."""
        return self._dataset.snapshot.level(self._index)

    @property
    def _own(self) -> LevelReader:
        """The open level as it is stored, which is not all of an additive one."""
        return self._dataset.snapshot.level(self._index, own=True)

    @property
    def kind(self) -> Kind:
        """How the geometry is read."""
        return self._dataset.snapshot.kind

    @property
    def metadata(self) -> LevelMetadata:
        """Metadata of the level."""
        return self._own.metadata

    @property
    def vertex_count(self) -> int:
        """Number of vertices that the level itself stores, with copies where paths repeat one before a crossing."""
        return self.metadata.vertex_count

    @property
    def object_count(self) -> int:
        """Number of objects: all at level 0, elsewhere those that have vertices there."""
        if not self.kind.has_levels:
            return len(self._objects.ids)
        return count_objects(self._own)

    @property
    def group_count(self) -> int:
        """Number of groups."""
        groups = self._own.arrays.groups
        return len(self._groups) if groups is None else groups.count

    @property
    def chunks(self) -> IntArray:
        """Coordinates of the chunks that hold something, ``(C, S)``, in numeric order."""
        return self._own.chunks.copy()

    @property
    def chunk_count(self) -> int:
        """Number of chunks that hold something."""
        return len(self._own.chunks)

    @property
    def chunk_shape(self) -> tuple[float, ...]:
        """Chunk edge lengths."""
        return self._own.grid.chunk_shape

    @property
    def bin_shape(self) -> tuple[float, ...]:
        """Bin edge lengths."""
        grid = self._own.grid
        return grid.bin_shape or grid.chunk_shape

    @property
    def bin_ratio(self) -> tuple[float, ...]:
        """Bin shape over that of level 0, a number per axis."""
        entry = self._own.root.entry(self._index)
        stated = self.metadata.bin_ratio or (None if entry is None else entry.bin_ratio)
        base = self._own.root.base_bin
        return stated or tuple(width / own for width, own in zip(self.bin_shape, base, strict=True))

    @property
    def object_sparsity(self) -> float:
        """Fraction of the objects that the level keeps."""
        return self.metadata.object_sparsity

    @property
    def parent_level(self) -> int | None:
        """Level that this was made from."""
        return self.metadata.parent_level

    @property
    def is_stale(self) -> bool:
        """Whether the level that this was made from has changed since."""
        return self.metadata.stale

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the positions."""
        return self._own.arrays.vertices.spec.numpy_dtype

    @property
    def attribute_names(self) -> list[str]:
        """Names of the vertex attributes."""
        return sorted(self._own.attribute_names)

    @property
    def object_attribute_names(self) -> list[str]:
        """Names of the object attributes."""
        return sorted(self._own.arrays.object_attributes)

    @property
    def objects(self) -> ZVObjects:
        """Objects by id: ``level.objects[42]``."""
        return self._objects

    @property
    def groups(self) -> ZVGroups:
        """Groups by name or number: ``level.groups["motor"]``."""
        return self._groups

    def read(
        self,
        *,
        bbox: Any = None,
        attributes: Sequence[str] | None = None,
        object_ids: Any = None,
        group_ids: Any = None,
        attribute_filter: Any = None,
        **options: Any,
    ) -> GeometryResult:
        """Read the level with the reader of the store's kind; arguments as in :meth:`ZVDataset.read`."""
        query = {
            "bbox": bbox,
            "attributes": attributes,
            "object_ids": object_ids,
            "group_ids": group_ids,
            "attribute_filter": attribute_filter,
        }
        self.kind.check(options, bbox)
        return self._dataset.reading(lambda store: store.read_level(self._index, query, options))

    async def aread(self, **arguments: Any) -> GeometryResult:
        """Read without blocking the event loop; arguments as in :meth:`read`."""
        return await asyncio.to_thread(self.read, **arguments)

    def iter_chunks(
        self,
        bbox: Any = None,
        prefetch: int | None = None,
        n_workers: int | None = None,
        *,
        attributes: Sequence[str] | str | None = None,
        links: bool = True,
    ) -> Generator[ZVChunk, None, None]:
        """Iterate over the chunks that hold vertices (in a box), in numeric order, in bounded memory.

        Every vertex comes once, in the chunk that it lies in.

        While one chunk is worked on the next ones are read by threads, several at once; at most ``prefetch + 1`` are in
        memory.

        Parameters
        ----------
        bbox : pair of D numbers, optional
            Only vertices in the half-open box ``[lower, upper)``.
        prefetch : int, optional
            Chunks that are read ahead; about 64 MB of them by default, and no more than 64. 0 reads each when it is
            asked for.
        n_workers : int, optional
            Threads; those of the dataset unless given.
        attributes : sequence of str, optional
            Vertex attributes to read; all by default.
        links : bool
            Whether the edges or faces inside the chunks are read too. Those between chunks are never returned here.

        Yields
        ------
        ZVChunk
            One chunk; those without a vertex (in the box) are left out.

        Raises
        ------
        UnknownNameError
            For an attribute that is not there.
        ArgumentError
            For an argument that cannot be used.
        StoreChangedError
            When the store is changed, or the dataset reloaded, before the end.
        StoreError
            When the dataset is closed before the end.
        """
        workers = self._dataset.n_workers if n_workers is None else check_count("n_workers", n_workers, least=1)
        snapshot, reader = self._dataset.snapshot, self.reader
        ahead = default_prefetch(reader, workers) if prefetch is None else check_count("prefetch", prefetch, least=0)
        names = parse_names("attributes", attributes)
        reader.stored_attributes(names or [])
        box = None if bbox is None else Box.parse(bbox, reader.root.ndim)
        linked = snapshot.kind.linked and (links or holds_faces(reader))

        def read(rows: IntArray) -> list[ZVChunk]:
            self._check_same(snapshot)

            def read_from(dataset: OpenStore) -> list[ZVChunk]:
                if dataset is self._dataset:
                    return read_chunks(reader, rows, box, names, linked=linked)
                anew = dataset.snapshot.level(self._index)
                found = anew.lookup.rows(reader.chunks[rows])
                return read_chunks(anew, found[found >= 0], box, names, linked=linked)

            return self._dataset.reading(read_from)

        size, batches = batch_sizes(ahead, workers)
        rows = chunks_met(reader, box)
        parts = (rows[first : first + size] for first in range(0, len(rows), size))
        return self._one_by_one(read_ahead(read, parts, batches, workers), snapshot, links=links)

    def _one_by_one(
        self, batches: Generator[list[ZVChunk], None, None], snapshot: Snapshot, *, links: bool
    ) -> Generator[ZVChunk, None, None]:
        """Yield the chunks of batches, without links that were not asked for, while the dataset stays as it is."""
        try:
            for batch in batches:
                while batch:
                    self._check_same(snapshot)
                    chunk = batch.pop(0)
                    yield chunk if links or chunk.links is None else replace(chunk, links=None, link_attributes={})
        finally:
            batches.close()

    def _check_same(self, snapshot: Snapshot) -> None:
        if self._dataset.snapshot is not snapshot:
            raise StoreChangedError(
                f"{self._dataset.url}: the store was changed and reloaded while its chunks were read"
            )

    def aiter_chunks(self, bbox: Any = None, **arguments: Any) -> AsyncIterator[ZVChunk]:
        """Iterate over chunks without blocking the event loop; arguments as in :meth:`iter_chunks`."""
        return iterate(partial(self.iter_chunks, bbox, **arguments))

    def count(self, bbox: Any = None) -> int:
        """Return how many vertices lie in a box, all where there is none.

        The number follows from the index where bins (of objects: chunks) lie wholly inside; only positions of chunks
        on the boundary are read. Where paths repeat the vertex before a crossing (``boundary_deduplication``,
        ``both``) each vertex is counted once, which takes the positions of all chunks that the box meets.

        Parameters
        ----------
        bbox : pair of D numbers, optional
            Half-open box ``[lower, upper)``.

        Raises
        ------
        ArgumentError
            For a box that cannot be used.
        """

        def count(dataset: OpenStore) -> int:
            reader = dataset.snapshot.level(self._index)
            return count_vertices(reader, None if bbox is None else Box.parse(bbox, reader.root.ndim))

        return self._dataset.reading(count)

    async def acount(self, bbox: Any = None) -> int:
        """Count without blocking the event loop."""
        return await asyncio.to_thread(self.count, bbox)

    async def aobjects(self, object_ids: Any) -> GeometryResult:
        """Read one object or several, as ``level.objects[object_ids]``, without blocking the event loop."""
        return await asyncio.to_thread(self._objects.__getitem__, object_ids)

    async def agroups(self, group_ids: Any) -> GeometryResult:
        """Read the objects of groups, as ``level.groups[group_ids]``, without blocking the event loop."""
        return await asyncio.to_thread(self._groups.__getitem__, group_ids)

    def raw_array(self, name: str = VERTICES) -> ZarrArray:
        """Open one of the level's arrays with zarr-python; see :meth:`ZVDataset.raw_array`.

        Parameters
        ----------
        name : str
            Path below the level, for example ``"vertices"`` or ``"attributes/intensity"``.
        """
        return self._dataset.raw_array(f"{self._index}/{name.strip('/')}")

    def writer(self) -> ZVWriter:
        """Return a writer of the level, for a ``with`` or ``async with`` block.

        Raises
        ------
        ReadOnlyStoreError
            When the dataset was opened for reading only.
        """
        if self._dataset.mode == "r":
            raise ReadOnlyStoreError(
                f"cannot write to {self._dataset.url}: it was opened for reading only; use open_zv(…, mode='r+')"
            )
        return ZVWriter(self)

    def __repr__(self) -> str:
        """Say what the level is; without a request unless it has been opened."""
        if self._dataset.closed:
            return f"<ZVLevel {self._index} of {self._dataset.url!r}: closed>"
        return f"<ZVLevel {self._index} of {self._dataset.url!r}: {self._dataset.geometry_type or 'empty'}>"


def check_count(argument: str, value: Any, *, least: int) -> int:
    """Return a whole number that a user gave."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{argument}: expected a whole number, {least} or more, got {value!r}")
    return int(value)
