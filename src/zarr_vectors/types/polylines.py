"""Polylines and streamlines: ordered paths, each an object of its own.

``write_polylines`` stores them, ``read_polylines`` reads all of them, some by id, group or attribute, or those that
have a vertex in a box, whole or cut at its faces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.axes import AxesLike, UnitsLike
from zarr_vectors.read.paths import Paths
from zarr_vectors.read.steady import steady
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.spatial.clipping import clip_paths, clipped_positions, interpolate
from zarr_vectors.types.completing import completed
from zarr_vectors.types.path_inputs import join_paths
from zarr_vectors.types.paths import PathArguments, PathRequest, PathsSummary, find_paths, write_paths
from zarr_vectors.types.results import Result
from zarr_vectors.types.sequences import RaggedSequence
from zarr_vectors.types.storing import StoreOptions
from zarr_vectors.types.tables import Attributes, Specs, only_one
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.write.options import Progress, WriteOptions
from zarr_vectors.write.positions import column_names

GEOMETRY_TYPES = ("polyline", "streamline")
STREAMLINE_METADATA = "streamline_metadata"
"""Root attribute that says how streamlines were made."""


@dataclass(frozen=True, slots=True)
class PolylinesSummary(PathsSummary):
    """What ``write_polylines`` wrote; see :class:`~zarr_vectors.types.paths.PathsSummary`."""

    @property
    def polyline_count(self) -> int:
        """Number of paths that the store holds."""
        return self.object_count


@dataclass(frozen=True, slots=True, eq=False)
class PolylinesResult(Result):
    """Paths that ``read_polylines`` found; fields also answer to ``result["positions"]``.

    Attributes
    ----------
    positions : (N, D) float
        Vertices, path after path, each in its order.
    offsets : (P + 1,) int64
        Where the vertices of each path start.
    attributes : dict of str to array
        Vertex attributes, ``(N,)`` or ``(N, C)``.
    object_ids : (P,) int64, optional
        Id of every path; under ``clip`` several pieces may have one id.
    object_attributes : dict of str to array
        Attributes of the paths, ``(P,)`` or ``(P, C)``.
    level : int
        Level that was read.
    channel_names : dict of str to tuple of str
        Channels of the attributes that have several.
    axis_names : tuple of str
        Names of the columns of the positions.
    streamline_metadata : dict, optional
        How the streamlines were made, as it was given.
    stored_rows : (N,) int64, optional
        Number of every vertex among all of its level in stored order, as ``read_cross_level_links`` counts them;
        None unless asked for.
    """

    _aliases: ClassVar[dict[str, str]] = {"vertex_attributes": "attributes"}

    positions: FloatArray
    offsets: IntArray
    attributes: dict[str, AnyArray]
    object_ids: IntArray | None
    object_attributes: dict[str, AnyArray]
    level: int = 0
    channel_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    axis_names: tuple[str, ...] = ()
    streamline_metadata: dict[str, Any] | None = None
    stored_rows: IntArray | None = None

    @property
    def polylines(self) -> RaggedSequence:
        """The paths, a sequence of ``(n, D)`` views."""
        return RaggedSequence.of(self.positions, self.offsets)

    @property
    def polyline_count(self) -> int:
        """Number of paths (or pieces) found."""
        return len(self.offsets) - 1

    @property
    def vertex_count(self) -> int:
        """Number of vertices found."""
        return len(self.positions)

    def split(self, name: str) -> RaggedSequence:
        """Return a vertex attribute as a sequence with one array per path."""
        return RaggedSequence.of(self.attributes[name], self.offsets)

    def keys(self) -> list[str]:
        """Return the names that ``result[...]`` answers to."""
        return [
            "polylines",
            "positions",
            "offsets",
            "polyline_count",
            "vertex_count",
            "object_ids",
            "attributes",
            "object_attributes",
            "level",
            "channel_names",
            "streamline_metadata",
            "stored_rows",
        ]

    def __len__(self) -> int:
        return self.polyline_count


def write_polylines(
    path: Any,
    polylines: Any,
    *,
    offsets: npt.ArrayLike | None = None,
    geometry_type: str | None = None,
    streamline_metadata: Mapping[str, Any] | None = None,
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
    cross_chunk_strategy: str | None = None,
    object_index_convention: str | None = None,
    share_fragments: bool = False,
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
) -> PolylinesSummary:
    """Write polylines or streamlines.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        Where to write, as in ``write_points``.
    polylines : sequence of (n_i, D) arrays, or (N, D) array with ``offsets``
        The paths. One vertex is a path; a path without vertices is an object without vertices.
    offsets : (P + 1,) integers, optional
        Where each path starts in one array of all vertices, and its end; needs no list, however many paths.
    geometry_type : {"polyline", "streamline"}, optional
        What the store says it holds; polylines by default, streamlines where ``streamline_metadata`` is given.
    streamline_metadata : mapping, optional
        How streamlines were made: step size and unit, seeding, algorithm, reference affine, … Kept as root
        attribute ``streamline_metadata``; arrays become lists. Keys are text. When appending, keys given anew replace
        those of the store and others stay; a store of polylines takes none.
    chunk_shape, bin_shape, bounds, dtype, axes, axis_units, coordinate_system, crs, metadata
        As in ``write_points``.
    attributes, vertex_attributes : mapping, optional
        One row per vertex: one ``(N,)`` or ``(N, C)`` array, a list with one array per path, or ``(P, n)`` and
        ``(P, n, C)`` arrays of paths of one length.
    object_ids : (P,) integers, optional
        Id of every path, each once and not negative; ``0, 1, …`` by default, and on from the highest when appending.
    object_attributes : mapping of str to (P,) or (P, C) array, optional
        One row per path, in the order of the paths, or named by its id as in ``write_points``.
    fragment_attributes : mapping, optional
        One row per fragment in stored order, or ``{chunk: array}``; a fragment is a run of vertices in one chunk.
    groups : mapping of int or str to object ids, optional
        Sets of paths by name, for example ``{"CST": [0, 4, 7]}``, or by number from 0; numbers that are left out are
        groups without paths.
    group_attributes : mapping of str to (G,) or (G, C) array, optional
        One row per group. When appending, groups of the store keep attributes that are not given; new ones need all.
    attribute_specs : mapping of str to AttributeSpec or dict, optional
        ``unit``, ``description``, ``channel_names`` by attribute name.
    cross_chunk_strategy : {"explicit_links", "boundary_deduplication", "both"}, optional
        How a path goes on in another chunk: by a stored link, by storing the vertex before the crossing a second
        time, or both. Links by default.
    object_index_convention : {"standard", "identity"}, optional
        ``identity`` leaves out the object index: everything lies in one chunk, object id = fragment number.
    share_fragments : bool
        Store runs of vertices that several paths have in common (same positions and attributes, bit for bit, in one
        chunk) once, as fragments that the manifests of all of them name. A store that shares goes on so when
        appended to.
    chunk_by_attribute : str, optional
        Vertex attribute whose values become the first component of every chunk key.
    out_of_bounds : {"raise", "ignore", "expand"}
        What happens to paths with a vertex outside the bounds: refuse, leave the whole path out (counted in the
        summary), or grow the bounds.
    compressor, shard_shape, checksum, format_version, progress, backend, **backend_kwargs
        As in ``write_points``.
    mode : {"w", "w-", "a"}
        Replace, refuse what exists, or append paths.

    Returns
    -------
    PolylinesSummary
        Counts and shapes of what was written.

    Raises
    ------
    ShapeError
        For a path, offsets or an attribute of the wrong shape; names which.
    ArgumentError
        For an argument that cannot be used, an id that is given twice or, when appending, is in the store; nothing
        is left behind.
    StoreError
        When something other than a Zarr Vectors store is at the path, or it cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> walks = [np.cumsum(np.ones((n, 3)), axis=0) for n in (5, 30)]
    >>> summary = write_polylines("memory://doc-polylines", walks, chunk_shape=10, groups={"long": [1]})
    >>> summary.polyline_count, summary.vertex_count, summary.crossing_count
    (2, 35, 3)
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
        columns=column_names("polylines", polylines),
    )
    given, starts = join_paths("polylines", polylines, offsets, axes)
    arguments = PathArguments(
        geometry_types=_geometry_types(geometry_type, streamline_metadata),
        what="path",
        argument="polylines",
        attributes=only_one("attributes", attributes, "vertex_attributes", vertex_attributes),
        object_ids=object_ids,
        object_attributes=object_attributes,
        fragment_attributes=fragment_attributes,
        groups=groups,
        group_attributes=group_attributes,
        attribute_specs=attribute_specs,
        dtype=dtype,
        cross_chunk_strategy=cross_chunk_strategy,
        object_index_convention=object_index_convention,
        root_attributes=_streamline_metadata(streamline_metadata),
        share_fragments=share_fragments,
    )
    written = write_paths(path, given, starts, arguments, said, options, backend, backend_kwargs)
    return PolylinesSummary(*astuple(written))


def _geometry_types(geometry_type: str | None, streamline_metadata: Any) -> tuple[str, ...]:
    """Return the types that a store may have, that of a new one first."""
    if geometry_type is None:
        return GEOMETRY_TYPES if streamline_metadata is None else ("streamline",)
    if geometry_type not in GEOMETRY_TYPES:
        raise ArgumentError(f"geometry_type: expected one of {', '.join(GEOMETRY_TYPES)}, got {geometry_type!r}")
    return (geometry_type,)


def _streamline_metadata(given: Mapping[str, Any] | None) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ArgumentError(f"{STREAMLINE_METADATA}: expected a mapping, got {type(given).__name__}")
    _require_text_keys(given)
    try:
        text = json.dumps(dict(given), default=_as_list, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{STREAMLINE_METADATA}: cannot be kept as JSON: {error}") from error
    return {STREAMLINE_METADATA: json.loads(text)}


def _require_text_keys(given: Any) -> None:
    """Refuse keys that are no text, which JSON would make text of, one like another."""
    if isinstance(given, Mapping):
        wrong = [key for key in given if not isinstance(key, str)]
        if wrong:
            raise ArgumentError(f"{STREAMLINE_METADATA}: keys must be text, got {wrong[0]!r}")
    if isinstance(given, (list, tuple, Mapping)):
        for value in given.values() if isinstance(given, Mapping) else given:
            _require_text_keys(value)


def _as_list(value: Any) -> Any:
    """Return arrays and NumPy numbers as what JSON knows."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r} is not a number, text, list or mapping")


@steady
@completed
def read_polylines(
    path: Any,
    *,
    level: int = 0,
    bbox: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    clip: bool = False,
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
) -> PolylinesResult:
    """Read polylines or streamlines.

    Parameters
    ----------
    path : str, path, zarr Store or open Group
        The store.
    level : int
        Level to read.
    bbox : pair of D numbers, optional
        Half-open box: whole paths with a vertex inside.
    clip : bool
        Cut those paths at the box: pieces end on its faces, at positions and with float attributes that are
        interpolated linearly (other attributes are those of the nearer vertex). A path may give several pieces. Only
        the chunks that the box meets are read, and those that hold the other ends of segments which leave it.
    attributes : sequence of str, optional
        Vertex attributes wanted; all by default.
    object_ids : integers, optional
        Only these paths, in this order.
    group_ids : int, str or sequence, optional
        Only paths of these groups, by number or name.
    attribute_filter : mapping, optional
        Conditions on object attributes: a value, a list of values, or a half-open range ``(lower, upper)``.
    chunks : sequence of chunk coordinates, optional
        Only whole paths with a vertex stored in these chunks.
    include_object_attributes : bool, str or sequence of str
        Object attributes wanted: all, none, or some by name.
    return_object_ids : bool
        Whether the result names the object of every path.
    return_stored_rows : bool
        Whether the result says which row of the level every vertex is, as ``read_cross_level_links`` counts them. Not
        together with ``clip``. A part of a level then costs one more round of requests, for the vertices of all.
    own_level_only : bool
        Whether of an additive level only what it itself stores is read, not what the coarser ones complete it by.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    PolylinesResult
        Paths in the order of ``object_ids``, else in that of the object index (ascending ids in stores written
        here). Paths without vertices come at level 0 and where they are asked for by id; coarse levels keep the
        ids of objects that were thinned out, which are left out elsewhere.

    Raises
    ------
    StoreNotFoundError, StoreError
        When no store is at the path, or it holds neither paths nor lines; names the function to read it with.
    UnknownNameError
        For a level, attribute, object or group that is not there.
    ArgumentError
        For a box, filter or chunk list that cannot be used, ``clip`` without a box, or ``clip`` together with
        ``return_stored_rows``.
    ArrayError
        When the bytes of a chunk or manifest are damaged.
    """
    if clip and bbox is None:
        raise ArgumentError("clip: needs bbox, the box at which paths are cut")
    if clip and return_stored_rows:
        raise ArgumentError("return_stored_rows: not together with clip, which makes vertices that are not stored")
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
    found = find_paths(path, request, "paths", backend, backend_kwargs, near=clip)
    paths = found.paths
    if clip and found.box is not None:
        paths = _cut(paths, found.box)
    described: Any = found.store.attributes.get(STREAMLINE_METADATA)
    return PolylinesResult(
        positions=paths.positions,
        offsets=paths.offsets,
        attributes=_decoded(paths.attributes),
        object_ids=paths.object_ids if return_object_ids else None,
        object_attributes=_decoded(paths.object_attributes),
        level=level,
        channel_names={
            name: column.spec.channel_names
            for name, column in paths.attributes.items()
            if column.spec.channel_names is not None
        },
        axis_names=tuple(axis.name for axis in found.store.root.axes),
        streamline_metadata=None if described is None else dict(described),
        stored_rows=paths.stored_rows(found.reader) if return_stored_rows else None,
    )


def _decoded(columns: Mapping[str, Column]) -> dict[str, AnyArray]:
    return {name: decode_column(column) for name, column in columns.items()}


def _cut(paths: Paths, box: Box) -> Paths:
    """Return the pieces of paths inside a box, as paths of their own."""
    clipped = clip_paths(box, paths.positions, paths.offsets)
    return replace(
        paths,
        positions=clipped_positions(box, paths.positions, clipped),
        offsets=clipped.offsets,
        attributes={name: Column(interpolate(c.values, clipped), c.spec) for name, c in paths.attributes.items()},
        object_ids=paths.object_ids[clipped.paths],
        object_attributes={name: column.take(clipped.paths) for name, column in paths.object_attributes.items()},
        rows=paths.rows[clipped.rows],
    )
