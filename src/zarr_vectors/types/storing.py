"""From elements to a store: what every ``write_*`` shares below its own geometry."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import (
    CAP_FRAGMENT_INDEX,
    CAP_FRAGMENT_LINK_GROUPS,
    CHECKSUM_KEY,
    CROSS_CHUNK_LINKED,
    DECLARED_KEY,
    OBJECTS_STANDARD,
    SHELL_KEY,
)
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, StoreExistsError
from zarr_vectors.formats.documents import merge_capabilities
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.axes import AxesLike, NgffAxis, UnitsLike, make_axes
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.elements import Elements, bounding_box
from zarr_vectors.model.grid import Grid, as_shape
from zarr_vectors.model.metadata import Bounds, LevelEntry, LevelMetadata, RootMetadata
from zarr_vectors.multiresolution.rebuilding import pyramid_of, stage_rebuilt
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.chunking import choose_bin_shape, choose_chunk_shape
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.replace import put_back
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.types.attribute_chunks import distinct_values
from zarr_vectors.typing import AnyArray, Document, FloatArray, IntArray
from zarr_vectors.write.bounds import as_stored, holding_rounded, outside_rows, parse_bounds
from zarr_vectors.write.changing import hold_place, require_changeable
from zarr_vectors.write.options import WriteOptions
from zarr_vectors.write.positions import cast_positions, in_axis_order, stored_dtype
from zarr_vectors.write.store import existing_store, refuse_existing, write_store

FINEST = 0


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a writer writes, and what is there.

    Parameters
    ----------
    storage : Storage
        The place.
    store : StoreReader, optional
        The store that is there.
    shell : bool
        Whether that store is a warm shell without vertices, whose bounds, axes and conventions hold.
    appending : bool
        Whether vertices are added to that store.
    held : bool
        Whether its bounds, axes and conventions hold although its vertices are replaced: it was made by
        ``create_store``, or is named by an open group.
    """

    storage: Storage
    store: StoreReader | None = None
    shell: bool = False
    appending: bool = False
    held: bool = False

    @property
    def kept(self) -> StoreReader | None:
        """The store whose metadata goes on: a shell, one that is held, or what is appended to."""
        return self.store if self.shell or self.appending or self.held else None

    @property
    def kept_root(self) -> RootMetadata | None:
        """Root metadata of :attr:`kept`."""
        return None if self.kept is None else self.kept.root

    @property
    def vertex_dtype(self) -> np.dtype[Any] | None:
        """Data type of the positions of :attr:`kept`; None where nothing is kept."""
        if self.kept is None or FINEST not in self.kept.level_numbers():
            return None
        return self.kept.level(FINEST).arrays.vertices.spec.numpy_dtype.newbyteorder("=")

    def revision(self, options: WriteOptions) -> Revision:
        """Return the revision to write: as asked, else that of the store that is kept, else the default."""
        if self.kept is not None and not options.revision_given:
            return self.kept.revision
        return options.revision

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Any,
        options: WriteOptions,
        backend: str | None,
        backend_kwargs: dict[str, Any],
        kinds: Collection[str],
    ) -> Iterator[Destination]:
        """Look at the place that a user named, and hold the lock of the store that is there until the block ends.

        Parameters
        ----------
        path, options, backend, backend_kwargs
            What the user said.
        kinds : collection of str
            Geometry types that a store which is replaced may hold.

        Raises
        ------
        StoreExistsError
            When something is there and the mode is ``"w-"``, or a store of another kind and it is ``"w"``; when the
            place lies in the folder of another store, or that of a store which is there holds another.
        StoreLockedError
            When another writer holds the store.
        StoreError
            When something other than a Zarr Vectors store is there.
        """
        storage = resolve_storage(path, mode=options.mode, backend=backend, **backend_kwargs)  # type: ignore[arg-type]
        put_back(storage)
        if options.mode == "w-":
            there = existing_store(storage)
            if there is None or not is_shell(there):
                refuse_existing(storage)
        with hold_place(storage) as store:
            if store is None:
                yield cls(storage)
                return
            shell = is_shell(store)
            if options.mode == "w-" and not shell:
                refuse_existing(storage)  # which somebody else has made since
            appending = options.mode == "a" and not shell
            if appending:
                require_changeable(store)
            elif not shell:
                _require_kind(store, kinds)
            held = DECLARED_KEY in store.attributes or isinstance(getattr(type(path), "storage", None), property)
            yield cls(storage, store, shell, appending, held)


def _require_kind(store: StoreReader, kinds: Collection[str]) -> None:
    """Refuse to replace a store that holds geometry of other kinds only."""
    held = store.root.geometry_types
    if held and not set(held) & set(kinds):
        raise StoreExistsError(
            f"{store.storage.url}: holds {', '.join(held)}, and only a store of the same kind is ever replaced, not by "
            f"{' or '.join(sorted(kinds))}; delete it first, or choose another path"
        )


def stored_positions(
    destination: Destination, argument: str, given: AnyArray, dtype: npt.DTypeLike | None, said: StoreOptions
) -> FloatArray:
    """Return positions in the precision that they are stored in; warns where that moves them further than they resolve.

    Raises
    ------
    ArgumentError
        When one is not finite, or that precision cannot hold it.
    """
    axes = settled_axes(destination, given.shape[1], said)
    given = in_axis_order(argument, given, said.columns, [axis.name for axis in axes])
    stored, rounding = cast_positions(argument, given, stored_dtype(dtype, destination.vertex_dtype))
    rounding.warn(stored.dtype, axes, kept=destination.appending)
    return stored


def settled_axes(destination: Destination, ndim: int, said: StoreOptions) -> tuple[NgffAxis, ...]:
    """Return the axes of what is written: as said, or of the store that is kept, or the default."""
    kept = destination.kept_root
    held = kept.axes if kept is not None and kept.ndim == ndim else None
    return make_axes(ndim, held if said.axes is None else said.axes, said.axis_units)


def is_shell(store: StoreReader) -> bool:
    """Return whether a store is a warm shell: a single level without vertices, marked by its maker."""
    return bool(store.attributes.get(SHELL_KEY))


def as_declared(options: WriteOptions, store: StoreReader) -> WriteOptions:
    """Return options without checksums, where a store was created to have none."""
    declared = store.attributes.get(DECLARED_KEY)
    if not isinstance(declared, Mapping) or declared.get(CHECKSUM_KEY, True):
        return options
    return replace(options, layout=replace(options.layout, checksum=False))


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """What a user may say of a store as a whole; None leaves it to the shell, or to the data.

    Parameters
    ----------
    chunk_shape, bin_shape : number or sequence of numbers, optional
        Edge lengths.
    bounds : pair of sequences, optional
        Lower and upper corner.
    axes : sequence, optional
        One axis per column.
    axis_units : str, sequence or mapping, optional
        Units of the axes.
    coordinate_system : str, optional
        Name of the coordinate system, kept as ``crs["name"]``.
    crs : mapping, optional
        Coordinate reference system.
    metadata : mapping, optional
        The user's own metadata, kept under ``user_metadata``.
    chunk_by_attribute : str, optional
        Vertex attribute whose values become the first component of chunk keys.
    kept_rows : int
        Leading vertices that were in the store before and stay whatever the bounds are.
    columns : sequence, optional
        Names of the columns of the positions, where they have names.
    """

    chunk_shape: Any = None
    bin_shape: Any = None
    bounds: Any = None
    axes: AxesLike | None = None
    axis_units: UnitsLike | None = None
    coordinate_system: str | None = None
    crs: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    chunk_by_attribute: str | None = None
    kept_rows: int = 0
    columns: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """Axes, bounds and grid of a store to be written.

    Parameters
    ----------
    axes : tuple of NgffAxis
        One per column of the positions.
    bounds : pair of tuple of float
        Corners.
    grid : Grid
        Chunk and bin shapes of level 0.
    crs : dict, optional
        Coordinate reference system.
    kept_rows : int
        Leading vertices that stay whatever the bounds are.
    """

    axes: tuple[NgffAxis, ...]
    bounds: Bounds
    grid: Grid
    crs: Document | None
    kept_rows: int = 0


def check_space(options: StoreOptions, ndim: int) -> None:
    """Check shapes, bounds and axes before any work is done; raises as :func:`plan_space` does."""
    chunk_shape = as_shape("chunk_shape", options.chunk_shape, ndim)
    bin_shape = as_shape("bin_shape", options.bin_shape, ndim)
    if chunk_shape is not None and bin_shape is not None:
        Grid(chunk_shape, bin_shape).require_nesting()
    parse_bounds(options.bounds, ndim)
    make_axes(ndim, options.axes, options.axis_units)
    for argument, given in (("metadata", options.metadata), ("crs", options.crs)):
        _check_json(argument, given)
    _crs(options)


def _check_json(argument: str, given: Any) -> None:
    """Refuse what is no mapping, or cannot be kept as JSON."""
    if given is not None and not isinstance(given, Mapping):
        raise ArgumentError(f"{argument}: expected a mapping, got {type(given).__name__}")
    try:
        json.dumps(None if given is None else dict(given), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"{argument}: cannot be kept as JSON: {error}; use text, finite numbers, booleans, lists and mappings "
            "(tolist() of arrays)"
        ) from error


def plan_space(options: StoreOptions, elements: Elements, shell: RootMetadata | None) -> Space:
    """Settle axes, bounds and grid from what the user said, the shell says, and the data needs.

    Where chunks go by an attribute too, a chunk holds one of its values: there are fewer chunks of space then.

    Raises
    ------
    ArgumentError
        When shapes do not nest, or axes, bounds or dimensions do not fit.
    """
    low, high = bounding_box(elements.positions)
    count, name = elements.count, options.chunk_by_attribute
    if name is not None:
        count //= max(1, len(distinct_values(name, elements.attributes)))
    return plan_space_of(options, (tuple(low.tolist()), tuple(high.tolist())), count, shell)


def plan_space_of(options: StoreOptions, extent: Bounds, count: int, shell: RootMetadata | None) -> Space:
    """Settle axes, bounds and grid as :func:`plan_space` does, for positions whose number and extent are known.

    Raises
    ------
    ArgumentError
        When shapes do not nest, or axes, bounds or dimensions do not fit.
    """
    ndim = len(extent[0])
    if shell is not None and shell.ndim != ndim:
        raise ArgumentError(f"positions have {ndim} columns, but the store was created with {shell.ndim} axes")
    axes = make_axes(ndim, options.axes, options.axis_units)
    bounds = parse_bounds(options.bounds, ndim)
    chunk_shape = as_shape("chunk_shape", options.chunk_shape, ndim)
    bin_shape = as_shape("bin_shape", options.bin_shape, ndim)
    crs = _crs(options)
    if shell is not None:
        if options.axes is None:
            axes = make_axes(ndim, shell.axes, options.axis_units)
        _require_same(shell, axes, bounds, chunk_shape, bin_shape, crs)
        bounds, crs, chunk_shape = bounds or shell.bounds, crs or shell.crs, shell.chunk_shape
        bin_shape = bin_shape or shell.base_bin_shape or shell.chunk_shape
    if bounds is None:
        bounds = extent
    if chunk_shape is None and bin_shape is not None:
        chunk_shape = tuple(4 * b for b in bin_shape)
    if chunk_shape is None:
        chunk_shape = choose_chunk_shape(bounds, count)
    if bin_shape is None:
        bin_shape = choose_bin_shape(chunk_shape)
    grid = Grid(chunk_shape, bin_shape)
    grid.require_nesting()
    return Space(axes, bounds, grid, crs, options.kept_rows)


def _require_same(
    shell: RootMetadata,
    axes: tuple[NgffAxis, ...],
    bounds: Bounds | None,
    chunk_shape: tuple[float, ...] | None,
    bin_shape: tuple[float, ...] | None,
    crs: Document | None,
) -> None:
    """Refuse what is said of a store otherwise than the store says it; its bounds may grow, and units be added."""
    units = tuple(replace(axis, unit=axis.unit or given.unit) for axis, given in zip(shell.axes, axes, strict=True))
    told = (
        ("chunk_shape", chunk_shape, shell.chunk_shape),
        ("bin_shape", bin_shape, shell.base_bin_shape or bin_shape),
        ("axes", axes, units),
        ("crs", None if crs is None else json.loads(json.dumps(crs)), crs if shell.crs is None else dict(shell.crs)),
    )
    for argument, given, held in told:
        if given is not None and given != held:
            raise ArgumentError(
                f"{argument}: {given} given, but the store was made with {held}, which holds for all that is written "
                "to it; leave it out, or make another store"
            )
    if bounds is not None and not _holds(as_stored(bounds, np.dtype(np.float32)), shell.bounds):
        raise ArgumentError(
            f"bounds: {bounds} given, which do not hold those of the store, {shell.bounds}; change them by set_bounds"
        )


def _holds(outer: Bounds, inner: Bounds) -> bool:
    return bool((np.array(outer[0]) <= inner[0]).all() and (np.array(outer[1]) >= inner[1]).all())


def _crs(options: StoreOptions) -> Document | None:
    crs = None if options.crs is None else dict(options.crs)
    if options.coordinate_system is None:
        return crs
    if not isinstance(options.coordinate_system, str):
        raise ArgumentError(f"coordinate_system: expected a name such as 'RAS', got {options.coordinate_system!r}")
    if crs is not None and crs.get("name", options.coordinate_system) != options.coordinate_system:
        raise ArgumentError(f"coordinate_system={options.coordinate_system!r} and crs name {crs['name']!r} disagree")
    return (crs or {}) | {"name": options.coordinate_system}


def settle_bounds(space: Space, positions: FloatArray, policy: str, what: str) -> tuple[Space, IntArray]:
    """Apply an ``out_of_bounds`` policy.

    Returns
    -------
    space : Space
        With bounds grown under ``"expand"``.
    outside : (n,) int64
        Rows to leave out under ``"ignore"``.

    Raises
    ------
    OutOfBoundsError
        Under ``"raise"``; names how many rows are outside and the first.
    """
    new = positions[space.kept_rows :]
    if not len(new):
        return space, np.zeros(0, np.int64)
    low, high = bounding_box(new)
    outside = outside_rows(new, as_stored(space.bounds, positions.dtype))
    if len(outside) == 0 or policy == "ignore":
        held = holding_rounded(space.bounds, (low, high), positions.dtype)
        return replace(space, bounds=held), outside + space.kept_rows
    if policy == "raise":
        row = int(outside[0])
        raise OutOfBoundsError(
            f"{what}: {len(outside)} of {len(new)} lie outside the bounds {space.bounds}; row {row} is "
            f"{new[row].tolist()}. Pass out_of_bounds='expand' to grow the bounds or 'ignore' to leave them out"
        )
    low, high = bounding_box(positions)
    grown = (
        tuple(np.minimum(low, space.bounds[0]).tolist()),
        tuple(np.maximum(high, space.bounds[1]).tolist()),
    )
    return replace(space, bounds=grown), np.zeros(0, np.int64)


def new_root(
    space: Space,
    cells: Cells,
    *,
    geometry_type: str,
    links_convention: str,
    shell: RootMetadata | None,
    name: str,
    capabilities: Sequence[str] = (CAP_FRAGMENT_INDEX,),
    cross_chunk_strategy: str = CROSS_CHUNK_LINKED,
    object_index_convention: str = OBJECTS_STANDARD,
) -> RootMetadata:
    """Return the root metadata of a store with level 0 only; that of a shell or of what is appended to goes on.

    Raises
    ------
    ArgumentError
        When a shell was made for another kind of geometry or another convention.
    """
    if shell is not None:
        _require_conventions(shell, geometry_type, links_convention, object_index_convention, cross_chunk_strategy)
    base = (
        {
            "reduction_factor": shell.reduction_factor,
            "cross_level_depth": shell.cross_level_depth,
            "cross_level_storage": shell.cross_level_storage,
            "extra": shell.extra,
        }
        if shell is not None
        else {}
    )
    ones = tuple(1.0 for _ in space.axes)
    held = None if shell is None else shell.entry(0)
    entry = LevelEntry(
        0, ones, space.grid.bin_shape or space.grid.chunk_shape, extra={} if held is None else held.extra
    )
    return RootMetadata(
        zv_version="",
        axes=space.axes,
        chunk_shape=space.grid.chunk_shape,
        bounds=space.bounds,
        geometry_types=(geometry_type,),
        base_bin_shape=space.grid.bin_shape,
        links_convention=links_convention,
        object_index_convention=object_index_convention,
        cross_chunk_strategy=cross_chunk_strategy,
        crs=space.crs,
        format_capabilities=tuple(capabilities),
        attribute_specs=described_specs(cells),
        name=name,
        levels=(entry,),
        **base,  # type: ignore[arg-type]
    )


def _require_conventions(
    kept: RootMetadata,
    geometry_type: str,
    links_convention: str,
    object_index_convention: str,
    cross_chunk_strategy: str,
) -> None:
    """Refuse geometry that a store was not made for."""
    if kept.geometry_types and geometry_type not in kept.geometry_types:
        raise ArgumentError(f"the store was made for {', '.join(kept.geometry_types)}, not for {geometry_type}")
    if kept.links_convention not in (None, links_convention):
        raise ArgumentError(
            f"the store was made with links_convention {kept.links_convention!r}; {geometry_type} needs "
            f"{links_convention!r}"
        )
    if kept.object_index_convention not in (None, object_index_convention):
        raise ArgumentError(
            f"the store was made with object_index_convention {kept.object_index_convention!r}, which {geometry_type} "
            "is not written with; make it with 'standard'"
        )
    if kept.cross_chunk_strategy not in (None, cross_chunk_strategy):
        raise ArgumentError(
            f"the store was made with cross_chunk_strategy {kept.cross_chunk_strategy!r}; {geometry_type} is written "
            f"with {cross_chunk_strategy!r}"
        )


def described_specs(cells: Cells) -> dict[tuple[str, str], AttributeSpec]:
    """Return the specs of all attributes for the root's ``attribute_specs``."""
    scopes: list[tuple[str, Mapping[str, Column]]] = [("vertex", cells.attributes)]
    if cells.objects is not None:
        scopes.append(("object", cells.objects.attributes))
    if cells.groups is not None:
        scopes.append(("group", cells.groups.attributes))
    scopes += [("link", table.attributes) for table in cells.links if table.delta == 0]
    return {(scope, name): column.spec for scope, columns in scopes for name, column in columns.items()}


def level_zero(space: Space, cells: Cells, **more: Any) -> LevelMetadata:
    """Return the metadata of level 0."""
    return LevelMetadata(
        level=0,
        vertex_count=cells.count,
        bin_shape=space.grid.bin_shape,
        bin_ratio=tuple(1.0 for _ in space.axes),
        fragments_tile=cells.fragments.explicit is None,
        **more,
    )


def store_elements(
    destination: Destination,
    root: RootMetadata,
    cells: Cells,
    level: LevelMetadata,
    options: WriteOptions,
    metadata: Mapping[str, Any] | None,
    root_attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write a store of one level; ``root_attributes`` stand beside the format's own.

    A store that is appended to gets the coarse levels that it had, made anew, in the same step.
    """
    attributes: Document = {}
    if destination.kept is not None:
        attributes = {k: v for k, v in destination.kept.attributes.items() if k != SHELL_KEY}
    if destination.shell and destination.store is not None:
        declared = destination.store.root.format_capabilities
        root = replace(root, format_capabilities=tuple(dict.fromkeys([*root.format_capabilities, *declared])))
    attributes |= dict(root_attributes or {})
    if metadata is not None:
        attributes["user_metadata"] = dict(metadata)
    if destination.kept is not None:
        options = as_declared(options, destination.kept)
    is_known = not destination.revision(options).keyed_by_chunk  # older than the token
    if is_known and cells.link_fragments is not None and (cells.links or cells.filed):
        tokens = merge_capabilities(root.format_capabilities, [CAP_FRAGMENT_LINK_GROUPS])
        root = replace(root, format_capabilities=tokens)
    pyramid = pyramid_of(destination.store) if destination.appending and destination.store is not None else None
    write_store(
        destination.storage,
        destination.revision(options),
        root,
        [(level, cells)],
        options,
        attributes=attributes,
        beside=destination.kept,
        replaced=destination.store,
        finish=None if pyramid is None else partial(stage_rebuilt, pyramid=pyramid),
    )
