"""Lines: independent segments of two vertices, each an object of its own.

``write_lines`` stores them, ``read_lines`` reads all of them, some by id or attribute, or those with an end in a box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from zarr_vectors.exceptions import ShapeError, StoreError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.formats.given import reshape_values
from zarr_vectors.model.axes import AxesLike, UnitsLike
from zarr_vectors.read.paths import Paths
from zarr_vectors.read.steady import steady
from zarr_vectors.read.store import StoreReader
from zarr_vectors.types.completing import completed
from zarr_vectors.types.paths import PathArguments, PathRequest, PathsSummary, find_paths, write_paths
from zarr_vectors.types.results import Result
from zarr_vectors.types.storing import StoreOptions
from zarr_vectors.types.tables import Attributes, Specs, only_one
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.write.frames import as_columns
from zarr_vectors.write.options import Progress, WriteOptions
from zarr_vectors.write.positions import as_array, as_first, as_positions, column_names

GEOMETRY_TYPE = "line"


@dataclass(frozen=True, slots=True)
class LinesSummary(PathsSummary):
    """What ``write_lines`` wrote; see :class:`~zarr_vectors.types.paths.PathsSummary`."""

    @property
    def line_count(self) -> int:
        """Number of lines that the store holds."""
        return self.object_count


@dataclass(frozen=True, slots=True, eq=False)
class LinesResult(Result):
    """Lines that ``read_lines`` found; fields also answer to ``result["endpoints"]``.

    Attributes
    ----------
    endpoints : (M, 2, D) float
        First and last vertex of every line.
    attributes : dict of str to array
        Attributes of those vertices, ``(M, 2)`` or ``(M, 2, C)``.
    object_ids : (M,) int64, optional
        Id of every line.
    line_attributes : dict of str to array
        Attributes of the lines, ``(M,)`` or ``(M, C)``.
    level : int
        Level that was read.
    channel_names : dict of str to tuple of str
        Channels of the vertex attributes that have several.
    axis_names : tuple of str
        Names of the axes.
    stored_rows : (M, 2) int64, optional
        Number of every vertex among all of its level in stored order, as ``read_cross_level_links`` counts them;
        None unless asked for.
    """

    _aliases: ClassVar[dict[str, str]] = {"vertex_attributes": "attributes", "object_attributes": "line_attributes"}

    endpoints: FloatArray
    attributes: dict[str, AnyArray]
    object_ids: IntArray | None
    line_attributes: dict[str, AnyArray]
    level: int = 0
    channel_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    axis_names: tuple[str, ...] = ()
    stored_rows: IntArray | None = None

    @property
    def line_count(self) -> int:
        """Number of lines found."""
        return len(self.endpoints)

    def keys(self) -> list[str]:
        """Return the names that ``result[...]`` answers to."""
        shown = ["endpoints", "line_count", "attributes", "line_attributes", "object_ids", "level", "channel_names"]
        return [*shown, "stored_rows"]

    def __len__(self) -> int:
        return len(self.endpoints)


def write_lines(
    path: Any,
    endpoints: npt.ArrayLike,
    *,
    chunk_shape: float | Sequence[float] | None = None,
    bin_shape: float | Sequence[float] | None = None,
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    attributes: Attributes = None,
    vertex_attributes: Attributes = None,
    line_attributes: Attributes = None,
    object_attributes: Attributes = None,
    object_ids: npt.ArrayLike | None = None,
    fragment_attributes: Attributes = None,
    groups: Mapping[Any, Sequence[int]] | None = None,
    group_attributes: Attributes = None,
    attribute_specs: Specs = None,
    cross_chunk_strategy: str | None = None,
    object_index_convention: str | None = None,
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
    progress: Progress | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> LinesSummary:
    """Write lines.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        Where to write, as in ``write_points``.
    endpoints : (M, 2, D) array
        First and last vertex of every line; a pair of (M, D) arrays, the first vertices and the last ones, will do
        unless M is 2.
    chunk_shape, bin_shape, bounds, dtype, axes, axis_units, coordinate_system, crs, metadata
        As in ``write_points``.
    attributes, vertex_attributes : mapping of str to (M, 2) or (M, 2, C) array, optional
        One row per vertex; ``(2 M,)`` and ``(2 M, C)`` are taken too, line after line.
    line_attributes, object_attributes : mapping of str to (M,) or (M, C) array, optional
        One row per line, in their order, or named by its id as in ``write_points``. Two names for one argument.
    object_ids : (M,) integers, optional
        Id of every line, each once and not negative; ``0, 1, …`` by default, and on from the highest when appending.
    fragment_attributes, groups, group_attributes, attribute_specs, cross_chunk_strategy, object_index_convention
        As in ``write_polylines``.
    chunk_by_attribute : str, optional
        Vertex attribute whose values become the first component of every chunk key.
    out_of_bounds : {"raise", "ignore", "expand"}
        What happens to lines with an end outside the bounds: refuse, leave the line out (counted in the summary), or
        grow the bounds.
    compressor, shard_shape, checksum, format_version, progress, backend, **backend_kwargs
        As in ``write_points``.
    mode : {"w", "w-", "a"}
        Replace, refuse what exists, or append lines.

    Returns
    -------
    LinesSummary
        Counts and shapes of what was written.

    Raises
    ------
    ShapeError
        When endpoints are not ``(M, 2, D)``, or an attribute has another number of rows.
    ArgumentError
        For an argument that cannot be used; nothing is left behind.
    StoreError
        When something other than a Zarr Vectors store is at the path, or it cannot be written.

    Examples
    --------
    >>> summary = write_lines("memory://doc-lines", [[[0, 0], [3, 4]], [[1, 1], [9, 2]]], chunk_shape=5)
    >>> summary.line_count, summary.crossing_count
    (2, 1)
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
        columns=column_names("endpoints", endpoints),
    )
    if column_names("endpoints", endpoints) is not None and isinstance(endpoints, (list, tuple)):
        ends = [as_array(f"endpoints[{place}]", end) for place, end in enumerate(endpoints)]
        given = as_array("endpoints", as_first("endpoints: part", endpoints, ends))
    else:
        given = as_array("endpoints", endpoints)
    if given.ndim == 3 and isinstance(endpoints, (list, tuple)) and len(given) == 2 != given.shape[1]:
        given = given.swapaxes(0, 1)  # the first vertices of all lines, and the last ones
    if given.ndim != 3 or given.shape[1] != 2:
        raise ShapeError(f"endpoints: expected an array of shape (M, 2, D), got {given.shape}")
    count = len(given)
    arguments = PathArguments(
        geometry_types=(GEOMETRY_TYPE,),
        what="line",
        argument="endpoints",
        attributes=_flat(only_one("attributes", attributes, "vertex_attributes", vertex_attributes), count),
        object_ids=object_ids,
        object_attributes=only_one("line_attributes", line_attributes, "object_attributes", object_attributes),
        fragment_attributes=fragment_attributes,
        groups=groups,
        group_attributes=group_attributes,
        attribute_specs=attribute_specs,
        dtype=dtype,
        cross_chunk_strategy=cross_chunk_strategy,
        object_index_convention=object_index_convention,
        root_attributes={},
    )
    positions = as_positions("endpoints", given.reshape(-1, given.shape[2]), axes=axes)
    offsets = np.arange(0, 2 * count + 1, 2, dtype=np.int64)
    written = write_paths(path, positions, offsets, arguments, said, options, backend, backend_kwargs)
    return LinesSummary(*astuple(written))


def _flat(attributes: Attributes, count: int) -> Attributes:
    """Return vertex attributes ``(M, 2, …)`` with one row per vertex."""
    flat: dict[str, Any] = {}
    for name, values in as_columns("attributes", attributes).items():
        shape = np.shape(values)
        per_line = len(shape) in (2, 3) and shape[:2] == (count, 2)
        flat[name] = reshape_values(values, 2 * count, *shape[2:]) if per_line else values
    return flat


@steady
@completed
def read_lines(
    path: Any,
    *,
    level: int = 0,
    bbox: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    attributes: Sequence[str] | str | None = None,
    object_ids: npt.ArrayLike | None = None,
    group_ids: int | str | Sequence[int | str] | None = None,
    attribute_filter: Mapping[str, Any] | None = None,
    chunks: Sequence[Sequence[int]] | None = None,
    include_object_attributes: bool | Sequence[str] | str = True,
    return_object_ids: bool = True,
    return_stored_rows: bool = False,
    own_level_only: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> LinesResult:
    """Read lines.

    Parameters
    ----------
    path : str, path, zarr Store or open Group
        The store.
    level : int
        Level to read.
    bbox : pair of D numbers, optional
        Half-open box: whole lines with an end inside.
    attributes : sequence of str, optional
        Vertex attributes wanted; all by default.
    object_ids : integers, optional
        Only these lines, in this order.
    group_ids : int, str or sequence, optional
        Only lines of these groups, by number or name.
    attribute_filter : mapping, optional
        Conditions on line attributes: a value, a list of values, or a half-open range ``(lower, upper)``.
    chunks : sequence of chunk coordinates, optional
        Only whole lines with an end stored in these chunks.
    include_object_attributes : bool, str or sequence of str
        Line attributes wanted: all, none, or some by name.
    return_object_ids : bool
        Whether the result names every line.
    return_stored_rows : bool
        Whether the result says which row of the level every vertex is, as ``read_cross_level_links`` counts them. A
        part of a level then costs one more round of requests, for the vertices of all.
    own_level_only : bool
        Whether of an additive level only what it itself stores is read, not what the coarser ones complete it by.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    LinesResult
        Lines in the order of ``object_ids``, else in that of the object index. Ids without vertices (lines thinned
        out of a coarse level) are left out. In coarse levels, where other writers merge the ends of a line, one that
        has a single vertex both starts and ends there.

    Raises
    ------
    StoreNotFoundError, StoreError
        When no store is at the path, or it does not hold lines: objects of two vertices; names the function to
        read it with.
    UnknownNameError
        For a level, attribute, object or group that is not there.
    ArgumentError
        For a box, filter or chunk list that cannot be used.
    ArrayError
        When the bytes of a chunk or manifest are damaged.
    """
    request = PathRequest(
        level,
        bbox,
        object_ids,
        group_ids,
        attribute_filter,
        attributes,
        chunks,
        include_object_attributes,
        own_level_only,
    )
    found = find_paths(path, request, "lines", backend, backend_kwargs)
    paths = found.paths
    _require_two_ends(found.store, paths, level)
    there = np.diff(paths.offsets) > 0
    ends = np.stack([paths.offsets[:-1][there], paths.offsets[1:][there] - 1], axis=1)
    return LinesResult(
        endpoints=paths.positions[ends],
        attributes={name: decode_column(column)[ends] for name, column in paths.attributes.items()},
        object_ids=paths.object_ids[there] if return_object_ids else None,
        line_attributes={name: decode_column(column.take(there)) for name, column in paths.object_attributes.items()},
        level=level,
        channel_names={
            name: column.spec.channel_names
            for name, column in paths.attributes.items()
            if column.spec.channel_names is not None
        },
        axis_names=tuple(axis.name for axis in found.store.root.axes),
        stored_rows=paths.stored_rows(found.reader)[ends] if return_stored_rows else None,
    )


def _require_two_ends(store: StoreReader, paths: Paths, level: int) -> None:
    """Refuse objects with vertices between their ends, or one end only where nothing was merged."""
    counts = np.diff(paths.offsets)
    wrong = np.flatnonzero((counts > 2) | ((counts == 1) & (level == 0)))
    if len(wrong):
        first = int(wrong[0])
        held = "1 vertex" if counts[first] == 1 else f"{counts[first]} vertices"
        raise StoreError(
            f"{store.storage.url}: object {paths.object_ids[first]} has {held}, but lines have two; "
            "read it with read_polylines"
        )
