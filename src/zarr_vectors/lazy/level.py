"""One level of a dataset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zarr_vectors.constants import VERTICES
from zarr_vectors.exceptions import ArgumentError, ReadOnlyStoreError, StoreChangedError
from zarr_vectors.lazy.asynchronous import iterate
from zarr_vectors.lazy.chunks import ZVChunk, batch_sizes, chunks_met, default_prefetch, read_ahead, read_chunks
from zarr_vectors.lazy.freshness import reading
from zarr_vectors.lazy.groups import ZVGroups
from zarr_vectors.lazy.kinds import GeometryResult, Kind
from zarr_vectors.lazy.objects import ZVObjects, count_objects
from zarr_vectors.lazy.writer import ZVWriter
from zarr_vectors.model.metadata import LevelMetadata
from zarr_vectors.read.counting import count_vertices
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.query import parse_names
from zarr_vectors.read.vertices import holds_faces
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.storage.arrays import ZarrArray
from zarr_vectors.typing import IntArray

if TYPE_CHECKING:
    from zarr_vectors.lazy.dataset import ZVDataset
    from zarr_vectors.lazy.snapshot import Snapshot


class ZVLevel:
    """One level of a dataset, as ``dataset[0]`` gives it; its metadata is read on first use.

    Parameters
    ----------
    dataset : ZVDataset
        The dataset.
    index : int
        Number of the level, 0 the finest.
    """

    def __init__(self, dataset: ZVDataset, index: int) -> None:
        self._dataset = dataset
        self._index = index
        self._objects = ZVObjects(self)
        self._groups = ZVGroups(self)

    @property
    def dataset(self) -> ZVDataset:
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
        return self._dataset.read(
            self._index,
            bbox=bbox,
            attributes=attributes,
            object_ids=object_ids,
            group_ids=group_ids,
            attribute_filter=attribute_filter,
            **options,
        )

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

            def read_from(dataset: ZVDataset) -> list[ZVChunk]:
                if dataset is self._dataset:
                    return read_chunks(reader, rows, box, names, linked=linked)
                anew = dataset[self._index].reader
                found = anew.lookup.rows(reader.chunks[rows])
                return read_chunks(anew, found[found >= 0], box, names, linked=linked)

            return reading(self._dataset, read_from)

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

        def count(dataset: ZVDataset) -> int:
            reader = dataset[self._index].reader
            return count_vertices(reader, None if bbox is None else Box.parse(bbox, reader.root.ndim))

        return reading(self._dataset, count)

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
    """Return a whole number that a user gave.

    Raises
    ------
    ArgumentError
        When it is none, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{argument}: expected a whole number, {least} or more, got {value!r}")
    return int(value)
