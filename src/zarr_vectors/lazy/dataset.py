"""A store that is open to be read in parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from zarr_vectors.core.handle import put_right
from zarr_vectors.exceptions import ArgumentError, ReadOnlyStoreError
from zarr_vectors.lazy.chunks import ZVChunk
from zarr_vectors.lazy.kinds import PARAMETRIC_TYPE, GeometryResult, Kind, size_of
from zarr_vectors.lazy.level import ZVLevel, check_count
from zarr_vectors.lazy.snapshot import DEFAULT_CACHE_SIZE, OpenStore
from zarr_vectors.model.axes import NgffAxis
from zarr_vectors.model.grid import as_shape, is_level
from zarr_vectors.model.metadata import Bounds
from zarr_vectors.parallel import worker_count
from zarr_vectors.read.copies import may_repeat
from zarr_vectors.read.counting import count_doubtful, count_vertices, tally
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.parametric import read_parametric_table
from zarr_vectors.read.path_sizes import count_path_vertices
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.storage.guarded import for_reading
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.types.parametric import ParametricResult, read_parametric

if TYPE_CHECKING:
    from zarr_vectors.lazy.level import ZVLevel


class ZVDataset(OpenStore):
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
        super().__init__(storage, cache_size=cache_size, n_workers=n_workers)
        self._levels: dict[int, ZVLevel] = {}

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.root.name

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
        number = self.check_level(level)
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
            return dataset.read_level(number, query, options)

        self.snapshot.kind.check(options, bbox)
        return self.reading(read)

    async def aread(self, level: int | None = None, **arguments: Any) -> GeometryResult:
        """Read without blocking the event loop; arguments as in :meth:`read`."""
        return await asyncio.to_thread(self.read, level, **arguments)

    def parametric(self, **arguments: Any) -> ParametricResult:
        """Read the parametric objects of the store, also beside other geometry; arguments of ``read_parametric``."""
        return self.reading(lambda dataset: read_parametric(dataset.reader, **arguments))

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

    def summary(self) -> str:
        """Return what the store holds, a line per fact and level."""
        return dataset_summary(self)

    async def aclose(self) -> None:
        """Close; for symmetry, as nothing waits."""
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


MODES: Final = ("r", "r+")


def open_zv(
    path: Any,
    mode: str = "r",
    *,
    cache_size: int = DEFAULT_CACHE_SIZE,
    n_workers: int | None = None,
    backend: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> ZVDataset:
    """Open a store to be read in parts: nothing but its root metadata is read, in at most two rounds of requests.

    Parameters
    ----------
    path : str, path, zarr Store, Storage, Group or ZVDataset
        The store.
    mode : {"r", "r+"}
        ``"r+"`` allows ``dataset[0].writer()``, and first completes a change that was final when it was interrupted.
    cache_size : int
        Bytes, as they are stored, that are kept of what was read; all levels share them. 0 keeps nothing.
    n_workers : int, optional
        Threads that read ahead; as many as there are processors by default, at most 8. More help on object stores.
    backend : str, optional
        Storage library; chosen by the path unless given.
    storage_options : mapping, optional
        Options of the object store, the same as keyword arguments.
    **options
        Options of the object store (credentials, endpoint, …).

    Returns
    -------
    ZVDataset
        Use it in a ``with`` block, or close it: that frees the cache.

    Raises
    ------
    StoreNotFoundError, StoreError
        Nothing is at the path, or something else.
    MetadataError, UnsupportedFeatureError
        The root metadata cannot be read, or is of a revision that is not known.
    ReadOnlyStoreError
        ``mode="r+"`` with a storage that refuses writes.
    ArgumentError
        An argument or option cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from zarr_vectors.types.points import write_points
    >>> _ = write_points("memory://doc-lazy", np.arange(300.0).reshape(100, 3), chunk_shape=100, bin_shape=50)
    >>> with open_zv("memory://doc-lazy") as dataset:
    ...     dataset.count(([0, 0, 0], [100, 100, 100])), len(dataset.read(bbox=([0, 0, 0], [30, 30, 30])))
    (33, 10)
    """
    if mode not in MODES:
        raise ArgumentError(f"mode: expected one of {', '.join(map(repr, MODES))}, got {mode!r}")
    workers = worker_count() if n_workers is None else check_count("n_workers", n_workers, least=1)
    budget = check_count("cache_size", cache_size, least=0)
    merged = {**dict(storage_options or {}), **options}
    storage = resolve_storage(path, mode=mode, backend=backend, **merged)  # type: ignore[arg-type]
    if mode == "r":
        return ZVDataset(for_reading(storage), cache_size=budget, n_workers=workers)
    if storage.read_only:
        raise ReadOnlyStoreError(f"{storage.url}: mode 'r+' was asked for, but it was opened for reading only")
    put_right(storage)
    return ZVDataset(storage, cache_size=budget, n_workers=workers)


async def aopen_zv(path: Any, mode: str = "r", **arguments: Any) -> ZVDataset:
    """Open a store without blocking the event loop; arguments as in :func:`open_zv`."""
    return await asyncio.to_thread(open_zv, path, mode, **arguments)


_TOLERANCE: Final = 1e-6
_NO_ATTRIBUTES: Final = ("attributes", "edge_attributes", "face_attributes", "line_attributes", "object_attributes")


def choose_level(
    dataset: ZVDataset,
    level: int | None,
    target_resolution: float | Sequence[float] | None,
    max_vertices: int | None,
    bbox: Any = None,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Return the level that a read is from; the finest where nothing is said."""
    given = {"level": level, "target_resolution": target_resolution, "max_vertices": max_vertices}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ArgumentError(f"{' and '.join(named)}: give only one of them, each chooses the level")
    if target_resolution is not None:
        return level_of_resolution(dataset, target_resolution)
    if max_vertices is not None:
        return level_of_count(dataset, max_vertices, bbox, options or {})
    return 0 if level is None else level


def level_of_resolution(dataset: ZVDataset, target_resolution: float | Sequence[float]) -> int:
    """Return the coarsest level whose bins are on no axis larger than a resolution; the finest where all are."""
    try:
        wanted = as_shape("target_resolution", target_resolution, dataset.spatial_dims)
    except (TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(
            f"target_resolution: expected a number or {dataset.spatial_dims} numbers, got {target_resolution!r}"
        ) from error
    assert wanted is not None
    limit = np.array(wanted) * (1 + _TOLERANCE)
    fine = [number for number in dataset.levels if (np.array(dataset.bin_shape_at(number)) <= limit).all()]
    return max(fine, default=min(dataset.levels, default=0))


def level_of_count(dataset: ZVDataset, max_vertices: int, bbox: Any, options: Mapping[str, Any]) -> int:
    """Return the finest level of which a read returns at most so many vertices, in a box if there is one."""
    if isinstance(max_vertices, bool) or not isinstance(max_vertices, (int, np.integer)) or max_vertices < 0:
        raise ArgumentError(f"max_vertices: expected a whole number, 0 or more, got {max_vertices!r}")
    kind, limit = dataset.snapshot.kind, int(max_vertices)
    if not kind.has_levels:
        raise ArgumentError("max_vertices: parametric objects have no vertices and no levels to choose from")
    box = None if bbox is None else Box.parse(bbox, dataset.spatial_dims)
    for number, reader in zip(dataset.levels, dataset.open_levels(), strict=True):
        dataset.reader.level(number)  # refuses levels of which the index does not tell all
        if _at_most(reader, box, limit) and _returns_at_most(dataset.reader, kind, number, limit, bbox, options):
            return number
    coarsest = max(dataset.levels, default=0)
    held = dataset.count(bbox, level=coarsest)
    where = "in bbox " if box else ""
    found = f"has {held} vertices {where}" if held > limit else f"returns whole objects {where}with more vertices "
    raise ArgumentError(
        f"max_vertices: even the coarsest level, {coarsest}, {found}where {max_vertices} are asked for; give a smaller "
        "bbox, or build a coarser level"
    )


def _at_most(level: LevelReader, box: Box | None, limit: int) -> bool:
    """Return whether a level has no more vertices than a limit; positions are read only where the index is unsure."""
    if may_repeat(level):  # a vertex has at most one copy
        stored = level.metadata.vertex_count
        return stored <= limit or ((box is not None or stored <= 2 * limit) and count_vertices(level, box) <= limit)
    if box is None:
        return level.metadata.vertex_count <= limit
    found = tally(level, box)
    if found.certain > limit:
        return False
    if found.most is not None and found.most <= limit:
        return True
    return found.certain + count_doubtful(level, box, found) <= limit


def _returns_at_most(
    store: StoreReader, kind: Kind, number: int, limit: int, bbox: Any, options: Mapping[str, Any]
) -> bool:
    """Return whether reading a level, which has no more vertices in the box than a limit, returns no more either.

    Objects are read whole, and faces and boundary edges with vertices outside of the box.
    """
    level = store.level(number)
    if kind.ordered and not options.get("clip"):
        if bbox is None and not level.metadata.shared_fragments:
            return True
        fewest, most = count_path_vertices(level, None if bbox is None else Box.parse(bbox, level.root.ndim))
        if fewest > limit or most <= limit:
            return most <= limit
    elif bbox is None or not (kind.ordered or kind.linked):
        return True
    bare: dict[str, Any] = {name: [] for name in _NO_ATTRIBUTES if name in kind.options}
    return size_of(kind.read(store, number, {"bbox": bbox, "attributes": []}, {**options, **bare})) <= limit


_HEADINGS = ("level", "vertices", "objects", "chunks", "bin ratio", "bin shape", "chunk shape", "")


def dataset_summary(dataset: ZVDataset) -> str:
    """Return what a dataset holds: a line per fact, then one per level."""
    dataset.open_levels()
    lines = [
        f"geometry_type: {dataset.geometry_type}",
        f"spatial_dims: {dataset.spatial_dims}",
        f"chunk_shape: {list(dataset.chunk_shape)}",
        f"bin_shape: {list(dataset.bin_shape)}",
        *(f"objects: {count}" for count in [dataset.n_objects] if count),
        *(f"{level.index}: {level.vertex_count} vertices, {level.chunk_count} chunks" for level in dataset),
    ]
    return "\n".join(lines)


def dataset_html(dataset: ZVDataset) -> str:
    """Return a dataset as HTML: its facts and a table of its levels; everything stored is escaped."""
    if dataset.closed:
        return f"<p>{escape(repr(dataset))}</p>"
    dataset.open_levels()
    lower, upper = dataset.bounding_box
    axes = ", ".join(axis.name + (f" ({axis.unit})" if axis.unit else "") for axis in dataset.axes)
    facts = {
        "geometry type": dataset.geometry_type or "none yet",
        "axes": axes,
        "bounding box": f"{_numbers(lower)} to {_numbers(upper)}",
        "objects": f"{dataset.n_objects:,}",
        "format": dataset.format_version,
    }
    listed = "".join(f"<tr>{_cell(name, 'th')}{_cell(value)}</tr>" for name, value in facts.items())
    headings = "".join(_cell(name, "th") for name in _HEADINGS)
    rows = "".join(f"<tr>{''.join(map(_cell, _row(level)))}</tr>" for level in dataset)
    return (
        f"<div><strong>{escape(dataset.name)}</strong> <code>{escape(dataset.url)}</code>"
        f"<table><tbody>{listed}</tbody></table>"
        f"<table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(level: ZVLevel) -> tuple[str, ...]:
    return (
        str(level.index),
        f"{level.vertex_count:,}",
        f"{level.object_count:,}",
        f"{level.chunk_count:,}",
        _numbers(level.bin_ratio),
        _numbers(level.bin_shape),
        _numbers(level.chunk_shape),
        "stale" if level.is_stale else "",
    )


def _numbers(values: Sequence[float]) -> str:
    return " × ".join(f"{value:g}" for value in values)


def _cell(text: str, tag: str = "td") -> str:
    return f"<{tag}>{escape(text)}</{tag}>"
