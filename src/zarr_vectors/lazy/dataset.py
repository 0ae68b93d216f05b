"""A store that is open to be read in parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Self

from zarr_vectors.exceptions import StoreError
from zarr_vectors.lazy.cache import RangeCache
from zarr_vectors.lazy.choosing import choose_level
from zarr_vectors.lazy.chunks import ZVChunk
from zarr_vectors.lazy.display import dataset_html, dataset_summary
from zarr_vectors.lazy.freshness import reading
from zarr_vectors.lazy.kinds import PARAMETRIC_TYPE, GeometryResult
from zarr_vectors.lazy.level import ZVLevel
from zarr_vectors.lazy.snapshot import Snapshot
from zarr_vectors.model.axes import NgffAxis
from zarr_vectors.model.grid import is_level
from zarr_vectors.model.metadata import Bounds, RootMetadata
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.parametric import read_parametric_table
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.arrays import ZarrArray, open_array
from zarr_vectors.storage.changes import changes_of
from zarr_vectors.storage.port import Storage
from zarr_vectors.types.parametric import ParametricResult, read_parametric


class ZVDataset:
    """A store whose parts are read when they are asked for; made by :func:`~zarr_vectors.lazy.open_zv`.

    ``dataset[1]`` is level 1; iterating gives the levels. Everything that takes a store takes a dataset too
    (``read_points(dataset)``), and then reads through its cache. Several threads may use one dataset.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    cache_size : int
        Bytes that are kept of what was read.
    n_workers : int
        Threads that read ahead.

    Raises
    ------
    StoreNotFoundError, StoreError, MetadataError
        When there is no store, or it cannot be read.
    """

    def __init__(self, storage: Storage, *, cache_size: int, n_workers: int) -> None:
        self._storage = storage
        self._cache_size = cache_size
        self._n_workers = n_workers
        self._reloading = Lock()
        self._snapshot: Snapshot | None = Snapshot.open(storage, cache_size)
        self._levels: dict[int, ZVLevel] = {}

    @property
    def snapshot(self) -> Snapshot:
        """The store as it was when it was opened or reloaded, which a change by this process makes it do.

        Raises
        ------
        StoreError
            When the dataset was closed, or there is no store any more.
        """
        snapshot = self._open_snapshot()
        if snapshot.changes == changes_of(self._storage):
            return snapshot
        with self._reloading:
            if self._snapshot is snapshot:
                self._snapshot = Snapshot.open(self._storage, self._cache_size)
        return self._open_snapshot()

    def _open_snapshot(self) -> Snapshot:
        if self._snapshot is None:
            raise StoreError(f"{self.url}: this dataset is closed; open it again with open_zv")
        return self._snapshot

    @property
    def reader(self) -> StoreReader:
        """The open store, read through the cache."""
        return self.snapshot.store

    @property
    def storage(self) -> Storage:
        """Where the store is, past the cache; call :meth:`reload` after changing anything there."""
        self._open_snapshot()
        return self._storage

    @property
    def root(self) -> RootMetadata:
        """Metadata of the root."""
        return self.reader.root

    @property
    def url(self) -> str:
        """Where the store is, without credentials."""
        return self._storage.url

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.root.name

    @property
    def mode(self) -> str:
        """``"r"``, or ``"r+"`` where the store can be changed."""
        return "r" if self._storage.read_only else "r+"

    @property
    def closed(self) -> bool:
        """Whether the dataset was closed."""
        return self._snapshot is None

    @property
    def cache(self) -> RangeCache:
        """What has been read and is kept."""
        return self.snapshot.cache

    @property
    def n_workers(self) -> int:
        """Threads that read ahead."""
        return self._n_workers

    @property
    def geometry_type(self) -> str | None:
        """What the store holds: the first of :attr:`geometry_types`, ``"parametric"``, or None for an empty shell."""
        if self.geometry_types or not self.snapshot.kind.has_levels:
            return self.snapshot.kind.name
        return None

    @property
    def geometry_types(self) -> tuple[str, ...]:
        """Geometry types that the root names."""
        return self.root.geometry_types

    @property
    def format_version(self) -> str:
        """Revision of the format."""
        return self.reader.revision.name

    @property
    def spatial_dims(self) -> int:
        """Number of axes."""
        return self.root.ndim

    @property
    def axes(self) -> tuple[NgffAxis, ...]:
        """Axes; ``axes[i]`` describes column i of the positions."""
        return self.root.axes

    @property
    def units(self) -> tuple[str | None, ...]:
        """Unit of every axis, None where none is stated."""
        return tuple(axis.unit for axis in self.root.axes)

    @property
    def chunk_shape(self) -> tuple[float, ...]:
        """Chunk edge lengths of level 0."""
        return self.root.chunk_shape

    @property
    def bin_shape(self) -> tuple[float, ...]:
        """Bin edge lengths of level 0."""
        return self.root.base_bin

    @property
    def bounding_box(self) -> Bounds:
        """Lower and upper corner of the space that the store covers; positions on the upper faces belong to it."""
        return self.root.bounds

    @property
    def bounds(self) -> Bounds:
        """Another name of :attr:`bounding_box`."""
        return self.root.bounds

    @property
    def levels(self) -> list[int]:
        """Levels that the store holds, ascending."""
        return list(self.snapshot.levels)

    @property
    def stale_levels(self) -> list[int]:
        """Levels that are older than the level they were made from."""
        opened = zip(self.levels, self.open_levels(), strict=True)
        return [number for number, level in opened if level.metadata.stale]

    @property
    def n_objects(self) -> int:
        """Number of objects that the store holds (of parametric ones, where it holds nothing else)."""
        if self.geometry_type == PARAMETRIC_TYPE:
            table = read_parametric_table(self.reader.storage)
            return 0 if table is None else table.count
        return self[0].object_count if 0 in self.snapshot.levels else 0

    def vertex_count(self, level: int = 0) -> int:
        """Return the number of vertices that a level stores, with copies where paths repeat them at crossings."""
        return self[level].vertex_count

    def object_count_at(self, level: int) -> int:
        """Return the number of objects of a level: all at level 0, elsewhere those that have vertices there."""
        return self[level].object_count

    def bin_shape_at(self, level: int) -> tuple[float, ...]:
        """Return the bin edge lengths of a level."""
        entry = self.root.entry(level)
        if level == 0:
            return self.bin_shape
        return self[level].bin_shape if entry is None or level not in self else entry.bin_shape

    def bin_ratio_at(self, level: int) -> tuple[float, ...]:
        """Return the bin shape of a level over that of level 0, a number per axis."""
        entry = self.root.entry(level)
        return self[level].bin_ratio if entry is None or level not in self else entry.bin_ratio

    def __getitem__(self, level: int) -> ZVLevel:
        """Return a level; nothing of it is read yet.

        Raises
        ------
        UnknownNameError
            When the store has no such level.
        """
        if level not in self:
            self.reader.level(level, own=True)  # says what is there, or finds a level that the root does not list
        number = int(level)
        return self._levels.setdefault(number, ZVLevel(self, number))

    def __contains__(self, level: object) -> bool:
        """Say whether the store has a level."""
        return is_level(level) and level in self.snapshot.levels

    def __iter__(self) -> Iterator[ZVLevel]:
        """Iterate over the levels, the finest first."""
        return (self[number] for number in self.levels)

    def __len__(self) -> int:
        """Return the number of levels."""
        return len(self.snapshot.levels)

    def open_levels(self) -> list[LevelReader]:
        """Return every level opened, in the order of :attr:`levels`; those that are not yet are opened together."""
        snapshot = self.snapshot
        if len(snapshot.levels) < 2 or self._n_workers == 1:
            return [snapshot.level(number, own=True) for number in snapshot.levels]
        with ThreadPoolExecutor(min(self._n_workers, len(snapshot.levels))) as pool:
            return list(pool.map(partial(snapshot.level, own=True), snapshot.levels))

    def read(
        self,
        level: int | None = None,
        *,
        target_resolution: float | Sequence[float] | None = None,
        max_vertices: int | None = None,
        bbox: Any = None,
        attributes: Sequence[str] | None = None,
        object_ids: Any = None,
        group_ids: Any = None,
        attribute_filter: Any = None,
        **options: Any,
    ) -> GeometryResult:
        """Read what the store holds with the reader of its kind; conditions combine.

        Parameters
        ----------
        level : int, optional
            Level to read; 0, the finest, unless one of the next two chooses another.
        target_resolution : number or D numbers, optional
            The coarsest level whose bins are on no axis larger than this, in the units of the axes; the finest level
            where all bins are.
        max_vertices : int, optional
            The finest level of which no more vertices are returned: in ``bbox`` where that is given, with those outside
            that belong to objects, faces or edges which are returned whole. Levels with more vertices in ``bbox`` are
            not taken either; other conditions are not looked at.
        bbox : pair of D numbers, optional
            Half-open box ``[lower, upper)``: what it returns is said by the reader of the kind.
        attributes : sequence of str, optional
            Vertex attributes to read (of the objects, for parametric ones); all by default.
        object_ids, group_ids
            Only these objects; only objects in any of these groups, by number or name.
        attribute_filter : mapping, optional
            Conditions on attributes: of the vertices for points, of the objects for other kinds.
        **options
            Further arguments of the reader of the kind, for example ``clip=True`` for polylines.

        Returns
        -------
        PointsResult, LinesResult, PolylinesResult, GraphResult, MeshResult or ParametricResult
            As ``read_points``, ``read_lines``, … return it.

        Raises
        ------
        UnknownNameError
            For a level, attribute, object or group that is not there.
        ArgumentError
            For an argument that cannot be used, or that this kind does not have; when two arguments choose the level,
            or every level has more than ``max_vertices``.
        StoreChangedError
            When another process has changed the store, so that what was read before no longer fits.
        StoreError
            When the dataset was closed.
        """
        query = {
            "bbox": bbox,
            "attributes": attributes,
            "object_ids": object_ids,
            "group_ids": group_ids,
            "attribute_filter": attribute_filter,
        }

        def read(dataset: ZVDataset) -> GeometryResult:
            number = choose_level(dataset, level, target_resolution, max_vertices, bbox, options)
            return dataset._read(number, query, options)

        self.snapshot.kind.check(options, bbox)
        return reading(self, read)

    def _read(self, level: int, query: Mapping[str, Any], options: Mapping[str, Any]) -> GeometryResult:
        number = self[level].index
        snapshot = self.snapshot
        if snapshot.kind.has_levels:
            snapshot.level(number, own=True)  # one at a time, where several threads read
        return snapshot.kind.read(snapshot.store, number, query, options)

    async def aread(self, level: int | None = None, **arguments: Any) -> GeometryResult:
        """Read without blocking the event loop; arguments as in :meth:`read`."""
        return await asyncio.to_thread(self.read, level, **arguments)

    def parametric(self, **arguments: Any) -> ParametricResult:
        """Read the parametric objects of the store, also beside other geometry; arguments of ``read_parametric``."""
        return reading(self, lambda dataset: read_parametric(dataset.reader, **arguments))

    async def aparametric(self, **arguments: Any) -> ParametricResult:
        """Read parametric objects without blocking the event loop."""
        return await asyncio.to_thread(self.parametric, **arguments)

    def iter_chunks(
        self,
        level: int = 0,
        bbox: Any = None,
        prefetch: int | None = None,
        n_workers: int | None = None,
        *,
        attributes: Sequence[str] | str | None = None,
        links: bool = True,
    ) -> Generator[ZVChunk, None, None]:
        """Iterate over the chunks of a level in bounded memory; see :meth:`ZVLevel.iter_chunks`."""
        return self[level].iter_chunks(bbox, prefetch, n_workers, attributes=attributes, links=links)

    def aiter_chunks(self, level: int = 0, bbox: Any = None, **arguments: Any) -> AsyncIterator[ZVChunk]:
        """Iterate over the chunks of a level without blocking the event loop."""
        return self[level].aiter_chunks(bbox, **arguments)

    def count(self, bbox: Any = None, level: int = 0) -> int:
        """Return how many vertices of a level lie in a box; see :meth:`ZVLevel.count`."""
        return self[level].count(bbox)

    async def acount(self, bbox: Any = None, level: int = 0) -> int:
        """Count without blocking the event loop."""
        return await asyncio.to_thread(self.count, bbox, level)

    async def aobjects(self, object_ids: Any, level: int = 0) -> GeometryResult:
        """Read one object or several, as ``dataset[level].objects[object_ids]``, without blocking the event loop."""
        return await asyncio.to_thread(lambda: self[level].objects[object_ids])

    async def agroups(self, group_ids: Any, level: int = 0) -> GeometryResult:
        """Read the objects of groups, as ``dataset[level].groups[group_ids]``, without blocking the event loop."""
        return await asyncio.to_thread(lambda: self[level].groups[group_ids])

    def raw_array(self, path: str) -> ZarrArray:
        """Open a stored array with zarr-python: for experts, without any meaning of the format.

        Parameters
        ----------
        path : str
            Path below the root, for example ``"0/vertices"`` (revision 0.9) or ``"0/vertices/0.0.0"`` (0.7).

        Returns
        -------
        zarr.Array
            Read through the cache; zarr-python raises its own ``ValueError`` for writes. Under ``mode="r+"`` it can be
            written to, past the cache: call :meth:`reload` after.

        Raises
        ------
        UnknownNameError, ArrayError
            When nothing, or a group, is at the path.
        """
        snapshot = self.snapshot
        return open_array(snapshot.store.storage if self._storage.read_only else self._storage, path)

    def reload(self) -> None:
        """Forget what was read, and open the store anew: it has changed. Levels that are held see the change.

        Changes that functions of this package make in this process need no call; those of other processes do, and
        what is written to :attr:`storage` or :meth:`raw_array` directly.

        Raises
        ------
        StoreError
            When the dataset was closed, or there is no store any more.
        """
        self._open_snapshot()
        with self._reloading:
            self._snapshot = Snapshot.open(self._storage, self._cache_size)

    def opened_anew(self) -> ZVDataset:
        """Return another dataset of the same store as it is now, which keeps nothing of what it reads."""
        return ZVDataset(self._storage, cache_size=0, n_workers=self._n_workers)

    def summary(self) -> str:
        """Return what the store holds, a line per fact and level."""
        return dataset_summary(self)

    def close(self) -> None:
        """Free the cache; what is used afterwards raises ``StoreError``. Closing twice does nothing."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.cache.close()

    async def aclose(self) -> None:
        """Close; for symmetry, as nothing waits."""
        self.close()

    def __enter__(self) -> Self:
        """Give the dataset itself."""
        assert self.snapshot
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    async def __aenter__(self) -> Self:
        """Give the dataset itself."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Say what is open, without a request."""
        if self._snapshot is None:
            return f"<ZVDataset {self.url!r}: closed>"
        shape = " × ".join(f"{edge:g}" for edge in self.chunk_shape)
        return (
            f"<ZVDataset {self.url!r}: {self.geometry_type or 'empty'}, {self.spatial_dims} axes, "
            f"levels {self.levels}, chunks of {shape}, mode {self.mode!r}>"
        )

    def _repr_html_(self) -> str:
        """Return a table of the levels for notebooks."""
        return dataset_html(self)
