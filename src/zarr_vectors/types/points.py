"""Point clouds: positions with attributes, optionally grouped into objects.

``write_points`` stores them, ``read_points`` reads all of them, a box, objects, groups, chunks, or what meets a
condition, at any level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import categories_of, decode_column
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.axes import AxesLike, UnitsLike
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.elements import Elements
from zarr_vectors.read.objects import as_object_ids, objects_of_groups
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.query import Query, parse_chunks, parse_names
from zarr_vectors.read.rows import read_rows
from zarr_vectors.read.steady import steady
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.spatial.partition import FragmentRule, partition
from zarr_vectors.types.appending import (
    append_elements,
    append_options,
    read_elements,
    refuse_fragment_attributes,
)
from zarr_vectors.types.attribute_chunks import chunk_by, leading_of
from zarr_vectors.types.completing import completed
from zarr_vectors.types.local_appending import append_points, goes_locally
from zarr_vectors.types.point_summary import GEOMETRY_TYPE, store_points, without_rows
from zarr_vectors.types.point_summary import PointsSummary as PointsSummary
from zarr_vectors.types.results import Result
from zarr_vectors.types.storing import (
    Destination,
    StoreOptions,
    check_space,
    plan_space,
    settle_bounds,
    stored_positions,
)
from zarr_vectors.types.tables import (
    Attributes,
    Specs,
    check_specs,
    has_columns,
    make_columns,
    make_fragment_columns,
    make_groups,
    make_objects,
    only_one,
)
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.write.frames import require_same_rows
from zarr_vectors.write.options import Progress, WriteOptions
from zarr_vectors.write.positions import as_positions, column_names


@dataclass(frozen=True, slots=True, eq=False)
class PointsResult(Result):
    """Points that ``read_points`` found; fields also answer to ``result["positions"]``.

    Attributes
    ----------
    positions : (N, D) float
        Coordinates; column i is measured along axis i.
    attributes : dict of str to array
        ``(N,)`` or ``(N, C)`` by attribute name.
    object_ids : (N,) int64, optional
        Object of every point (-1 for none); None where the store has no objects.
    level : int
        Level that was read.
    channel_names : dict of str to tuple of str
        Channels of the attributes that have several.
    axis_names : tuple of str
        One name per column of the positions.
    categories : dict of str to (tuple, bool)
        Categories, in their order, of the attributes that are categoricals, and whether that order means something.
    time_zones : dict of str to str
        Time zones of the attributes that have one; their values are in UTC.
    """

    _aliases: ClassVar[dict[str, str]] = {"vertex_attributes": "attributes"}

    positions: FloatArray
    attributes: dict[str, AnyArray]
    object_ids: IntArray | None = None
    level: int = 0
    channel_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    axis_names: tuple[str, ...] = ()
    categories: dict[str, tuple[tuple[Any, ...], bool]] = field(default_factory=dict)
    time_zones: dict[str, str] = field(default_factory=dict)

    @property
    def vertex_count(self) -> int:
        """Number of points found."""
        return len(self.positions)

    def keys(self) -> list[str]:
        """Return the names that ``result[...]`` answers to."""
        return ["positions", "attributes", "vertex_count", "level", "object_ids", "channel_names", "categories"]

    def __len__(self) -> int:
        return len(self.positions)

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame`` with a column per axis, object id, and attribute channel.

        Raises
        ------
        MissingExtraError
            When pandas is not installed.
        """
        from zarr_vectors.view.tables import points_frame  # noqa: PLC0415 - pandas is an extra

        return points_frame(self)


def write_points(
    path: Any,
    positions: npt.ArrayLike,
    *,
    chunk_shape: float | Sequence[float] | None = None,
    bin_shape: float | Sequence[float] | None = None,
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    attributes: Attributes = None,
    vertex_attributes: Attributes = None,
    object_ids: npt.ArrayLike | None = None,
    object_attributes: Attributes = None,
    fragment_attributes: Attributes = None,
    groups: Mapping[Any, Sequence[int]] | None = None,
    group_attributes: Attributes = None,
    attribute_specs: Specs = None,
    dtype: npt.DTypeLike | None = None,
    axes: AxesLike | None = None,
    axis_units: UnitsLike | None = None,
    coordinate_system: str | None = None,
    crs: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    chunk_by_attribute: str | None = None,
    out_of_bounds: str = "raise",
    compressor: Any = "auto",
    shard_shape: Any = "auto",
    checksum: bool = True,
    format_version: str | None = None,
    mode: str = "w",
    keep_order: bool = False,
    progress: Progress | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> PointsSummary:
    """Write a point cloud.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        Where to write. A store of points that is there is replaced once the new one is complete; bounds, shapes, axes
        and conventions of one that ``create_store`` made, or that is given as an open group, hold for what is written.
        Anything else that is there is refused, and so is a place in the folder of another store.
    positions : (N, D) array of numbers, data frame, or D arrays of N numbers
        Coordinates in the units of the axes; finite. A frame has a column per axis, in any order where
        columns are named after the axes. Arrays one after another, as ``(x, y, z)``, are columns where rows of so many
        numbers could not be points, so that of four points or fewer they are rows unless ``axes`` says otherwise: give
        ``np.column_stack((x, y, z))``. Columns of pandas, polars or Arrow in a tuple are columns, however few.
    chunk_shape : number or D numbers, optional
        Chunk edge lengths. By default such that a chunk holds about 50,000 points.
    bin_shape : number or D numbers, optional
        Bin edge lengths; must divide the chunk shape. By default a quarter of the chunk on every axis.
    bounds : pair of D numbers, optional
        Lower and upper corner of the space; by default the extent of the data. Points inside of them as they are given
        are inside, also where storing them in fewer digits takes them a rounding further out.
    attributes, vertex_attributes : mapping of str to (N,) or (N, C) array, or data frame, optional
        One row per point: numbers, booleans, strings, categoricals, datetimes. Two names for one argument. Rows go by
        their place, whatever an index says, but two indexes that differ are refused.
    object_ids : (N,) integers, optional
        Object of every point; any int64, sparse or not. Points of no object have -1, which stands for None, NA and
        masked ids too; they are kept together under that id.
    object_attributes : mapping of str to (O,) or (O, C) array, optional
        One row per object in ascending id order, or one per id ``0 … O - 1`` (then objects without points exist).
        Rows that name their objects, by the index of pandas or column ``object_id`` of a frame, may be in any order.
    fragment_attributes : mapping, optional
        One row per fragment in stored order, or ``{chunk: array}``.
    groups : mapping of int or str to object ids, optional
        Sets of objects by name, or by number from 0; numbers that are left out are groups without objects.
    group_attributes : mapping of str to (G,) or (G, C) array, optional
        One row per group, in the order of ``groups`` or named by an index. When appending, groups of the store keep
        attributes that are not given; new ones need all.
    attribute_specs : mapping of str to AttributeSpec or dict, optional
        ``unit``, ``description``, ``channel_names`` by attribute name.
    dtype : float type, optional
        Stored precision of positions; float32 unless given. Warns where that moves positions by more than they resolve:
        by a noticeable part of the distance between neighbours, or by digits that all of them are given with.
    axes : sequence of NgffAxis, dict or str, optional
        One per column; x, y, z, w by default.
    axis_units : str, sequence or mapping, optional
        Units, for example ``"micrometer"``.
    coordinate_system : str, optional
        For example ``"RAS"``; kept as the name of the coordinate reference system.
    crs : mapping, optional
        Coordinate reference system.
    metadata : mapping, optional
        Your own metadata (JSON), kept under the root attribute ``user_metadata``; merged by key when appending.
    chunk_by_attribute : str, optional
        Vertex attribute whose values become the first component of every chunk key, so that the points of one
        value lie together (a gene, a label); it must be a scalar without missing values. The more values it has,
        the fewer chunks of space there are by default.
    out_of_bounds : {"raise", "ignore", "expand"}
        What happens to points outside the bounds: refuse, leave out (counted in the summary), or grow the bounds.
    compressor : str, dict, list, codec or None
        ``"auto"``, ``"zstd"``, ``"blosc"``, a codec document or list of them; None stores plain bytes.
    shard_shape : tuple of int, "auto" or None
        Chunks of a shard; ``"auto"`` makes one file per array and 128 MB; None one file a chunk.
    checksum : bool
        Store a checksum with every chunk and table, by which readers notice damage. A store that is appended to goes on
        without where it has none.
    format_version : {"0.9", "0.7"}, optional
        Format revision; 0.9, or that of the shell, unless given.
    mode : {"w", "w-", "a"}
        Replace, refuse what exists, or append points and objects.
    keep_order : bool
        Store the row of every point as attribute ``original_index``, so that reading can restore the order.
    progress : callable, optional
        Called with ``(done, total)`` while arrays are written.
    backend : str, optional
        Storage library: ``"local"``, ``"obstore"``, ``"fsspec"`` or ``"zarr"``.
    **backend_kwargs
        Options of the object store (credentials, endpoint, …).

    Returns
    -------
    PointsSummary
        Counts and shapes of what was written.

    Raises
    ------
    ArgumentError
        For an argument that cannot be used; nothing is left behind.
    StoreError
        When something other than a store of points is at the path, the path lies in another store or that of another
        lies in it, or it cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> summary = write_points("memory://doc-points", rng.uniform(0, 100, (1000, 3)), chunk_shape=50, bin_shape=25)
    >>> summary.vertex_count, summary.bins_per_chunk
    (1000, 8)
    """
    options = WriteOptions.parse(
        format_version=format_version,
        compressor=compressor,
        shard_shape=shard_shape,
        checksum=checksum,
        mode=mode,
        out_of_bounds=out_of_bounds,
        progress=progress,
    )
    said = StoreOptions(
        chunk_shape,
        bin_shape,
        bounds,
        axes,
        axis_units,
        coordinate_system,
        crs,
        metadata,
        chunk_by_attribute,
        columns=column_names("positions", positions),
    )
    given = as_positions("positions", positions, axes=axes)
    check_space(said, given.shape[1])
    per_point = only_one("attributes", attributes, "vertex_attributes", vertex_attributes)
    check_specs(attribute_specs, per_point, object_attributes, fragment_attributes, group_attributes)
    require_same_rows("attributes", positions, per_point, object_ids)
    columns = make_columns("attributes", per_point, len(given), "point", attribute_specs)
    objects = make_objects(object_ids, len(given), object_attributes, attribute_specs)
    table = make_groups(groups, group_attributes, None if objects is None else objects.ids, attribute_specs)
    if keep_order:
        columns = _with_order(columns, len(given))
    with Destination.open(path, options, backend, backend_kwargs, [GEOMETRY_TYPE]) as destination:
        stored = stored_positions(destination, "positions", given, dtype, said)
        elements = Elements(stored, columns, objects, table)
        if destination.appending:
            return _append(destination, elements, said, options, fragment_attributes, attribute_specs)
        return _write_new(destination, elements, said, options, fragment_attributes, attribute_specs)


def _with_order(columns: dict[str, Column], count: int) -> dict[str, Column]:
    if ORIGINAL_INDEX_ATTRIBUTE in columns:
        raise ArgumentError(f"keep_order: an attribute named {ORIGINAL_INDEX_ATTRIBUTE!r} was given as well")
    order = Column(np.arange(count, dtype=np.int64), AttributeSpec(dtype="int64"))
    return {**columns, ORIGINAL_INDEX_ATTRIBUTE: order}


def _write_new(
    destination: Destination,
    elements: Elements,
    said: StoreOptions,
    options: WriteOptions,
    fragment_attributes: Attributes,
    specs: Specs,
) -> PointsSummary:
    """Write a store of one level from checked elements."""
    shell = destination.kept_root
    space = plan_space(said, elements, shell)
    space, outside = settle_bounds(space, elements.positions, options.out_of_bounds, "positions")
    if len(outside):
        elements = without_rows(elements, outside)
    rule = FragmentRule.BINS if elements.objects is None else FragmentRule.OBJECTS
    by_attribute, columns = chunk_by(said.chunk_by_attribute, elements.attributes)
    elements = replace(elements, attributes=columns)
    cells = partition(elements, space.grid, rule, leading=leading_of(by_attribute))
    del elements
    cells = _with_fragment_columns(cells, fragment_attributes, specs)
    return store_points(destination, space, cells, by_attribute, options, said.metadata, len(outside))


def _with_fragment_columns(cells: Cells, attributes: Attributes, specs: Specs) -> Cells:
    if not has_columns("fragment_attributes", attributes):
        return cells
    columns = make_fragment_columns(attributes, cells, specs)
    return replace(cells, fragment_attributes={**columns, **cells.fragment_attributes})


def _append(
    destination: Destination,
    elements: Elements,
    said: StoreOptions,
    options: WriteOptions,
    fragment_attributes: Attributes,
    specs: Specs,
) -> PointsSummary:
    """Add points to the chunks that they are in, or write the store anew with them; what was there comes first."""
    store = destination.store
    assert store is not None
    if GEOMETRY_TYPE not in store.root.geometry_types:
        raise ArgumentError(
            f"mode='a': {store.storage.url} holds {', '.join(store.root.geometry_types)}, not {GEOMETRY_TYPE}"
        )
    local = not has_columns("fragment_attributes", fragment_attributes) and goes_locally(
        store, GEOMETRY_TYPE, elements, options
    )
    kept, options = append_options(store, said, options, elements.positions)
    refuse_fragment_attributes(store, fragment_attributes)
    if local:
        summary = append_points(destination, elements, kept, options)
        if summary is not None:
            return summary
    old = read_elements(store)
    joined = append_elements(old, elements)
    kept = replace(kept, kept_rows=old.count)
    return _write_new(destination, joined, kept, options, fragment_attributes, specs)


@steady
@completed
def read_points(
    path: Any,
    *,
    level: int = 0,
    bbox: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    attributes: Sequence[str] | None = None,
    object_ids: npt.ArrayLike | None = None,
    group_ids: int | str | Sequence[int | str] | None = None,
    attribute_filter: Mapping[str, Any] | None = None,
    chunks: Sequence[Sequence[int]] | None = None,
    restore_order: bool = False,
    own_level_only: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> PointsResult:
    """Read points, or the vertices of a store of any other kind; conditions combine.

    Parameters
    ----------
    path : str, path, zarr Store or open Group
        The store. An open group is read without opening it anew.
    level : int
        Resolution level, 0 the finest.
    bbox : pair of D numbers, optional
        Only points in the half-open box ``[lower, upper)``.
    attributes : sequence of str, optional
        Attributes to read, one channel of several as ``"name/channel"``; all by default.
    object_ids : integers, optional
        Only points of these objects.
    group_ids : int, str or sequence, optional
        Only points of objects in any of these groups, by number or name.
    attribute_filter : mapping, optional
        Conditions on attributes: a value, a list of values, or a tuple ``(lower, upper)`` (half-open).
    chunks : sequence of chunk coordinates, optional
        Only these chunks.
    restore_order : bool
        Sort by ``original_index`` (stored under ``keep_order=True``) instead of stored order.
    own_level_only : bool
        Whether of an additive level only what it itself stores is read, not what the coarser ones complete it by.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    PointsResult
        In stored order: chunk, then bin, then input order; with objects chunk, object, input order. The order
        is the same in every revision and layout.

    Raises
    ------
    StoreNotFoundError, StoreError
        When no store is at the path.
    UnknownNameError
        For a level, attribute, object or group that is not there.
    ArgumentError
        For a box, filter or chunk list that cannot be used.
    ArrayError
        When the bytes of a chunk are damaged; names the array and the chunk.
    """
    store = open_reader(path, backend, **backend_kwargs)
    reader = store.level(level, own=own_level_only)
    if restore_order and level > 0:
        raise ArgumentError(f"restore_order: only level 0 has the order of the input, not level {level}")
    names = parse_names("attributes", attributes)
    wanted = None if object_ids is None else np.unique(as_object_ids(object_ids))
    if group_ids is not None:
        members = objects_of_groups(reader, group_ids)
        wanted = members if wanted is None else np.intersect1d(wanted, members)
    order_read = names is not None and restore_order and ORIGINAL_INDEX_ATTRIBUTE not in names
    query = Query(
        box=None if bbox is None else Box.parse(bbox, store.root.ndim),
        object_ids=wanted,
        attributes=[*(names or []), ORIGINAL_INDEX_ATTRIBUTE] if order_read else names,
        attribute_filter=attribute_filter,
        chunks=parse_chunks(chunks, reader.chunks.shape[1]),
    )
    rows = read_rows(reader, query)
    columns = dict(rows.attributes)
    if restore_order:
        reader.attribute(ORIGINAL_INDEX_ATTRIBUTE)
        order = np.argsort(columns[ORIGINAL_INDEX_ATTRIBUTE].values, kind="stable")
        rows = replace(
            rows,
            positions=rows.positions[order],
            object_ids=None if rows.object_ids is None else rows.object_ids[order],
        )
        columns = {name: column.take(order) for name, column in columns.items()}
        if order_read:
            del columns[ORIGINAL_INDEX_ATTRIBUTE]
    return PointsResult(
        positions=rows.positions,
        attributes={name: decode_column(column) for name, column in columns.items()},
        object_ids=rows.object_ids,
        level=level,
        channel_names={n: c.spec.channel_names for n, c in columns.items() if c.spec.channel_names is not None},
        axis_names=tuple(axis.name for axis in store.root.axes),
        categories={
            name: categories
            for name, column in columns.items()
            if (categories := categories_of(column.spec)) is not None
        },
        time_zones={n: c.spec.time_zone for n, c in columns.items() if c.spec.time_zone is not None},
    )
