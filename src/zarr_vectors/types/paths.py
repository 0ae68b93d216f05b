"""What writers and readers of ordered paths share: from input to cells, and from a query to paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import (
    CAP_FRAGMENT_INDEX,
    CAP_SHARED_FRAGMENTS,
    CROSS_CHUNK_LINKED,
    LINKS_SEQUENTIAL,
    OBJECTS_IDENTITY,
    OBJECTS_STANDARD,
    VALID_CROSS_CHUNK_STRATEGIES,
    VALID_OBJECT_INDEX_CONVENTIONS,
)
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.elements import Elements, Groups, Objects
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import as_object_ids, objects_of_groups, read_groups
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.paths import Paths, read_paths
from zarr_vectors.read.query import Query, parse_chunks, parse_names
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.spatial.partition import FragmentRule, partition
from zarr_vectors.spatial.sharing import share_fragments
from zarr_vectors.types.appending import append_elements, append_options, merged_metadata, refuse_fragment_attributes
from zarr_vectors.types.attribute_chunks import chunk_by
from zarr_vectors.types.kinds import require_ordered
from zarr_vectors.types.path_inputs import path_columns, path_objects
from zarr_vectors.types.results import Result
from zarr_vectors.types.single_chunk import in_one_chunk, require_identity
from zarr_vectors.types.storing import (
    Destination,
    StoreOptions,
    check_space,
    level_zero,
    new_root,
    plan_space,
    settle_bounds,
    store_elements,
    stored_positions,
)
from zarr_vectors.types.tables import Attributes, Specs, check_specs, has_columns, make_fragment_columns, make_groups
from zarr_vectors.typing import AnyArray, IntArray
from zarr_vectors.write.options import WriteOptions


@dataclass(frozen=True, slots=True)
class PathsSummary(Result):
    """What a writer of paths wrote.

    Attributes
    ----------
    vertex_count, chunk_count, fragment_count, object_count, group_count : int
        How many of each the store holds; a vertex that is stored twice at a crossing counts once.
    crossing_count : int
        How often paths go on in another chunk.
    bins_per_chunk : int
        Bins of a chunk.
    chunk_shape, bin_shape : tuple of float
        Edge lengths, as chosen or given.
    bounds : pair of tuple of float
        Corners of the store's bounds.
    ignored_count : int
        Paths left out under ``out_of_bounds="ignore"``.
    """

    vertex_count: int
    chunk_count: int
    fragment_count: int
    object_count: int
    group_count: int
    crossing_count: int
    bins_per_chunk: int
    chunk_shape: tuple[float, ...]
    bin_shape: tuple[float, ...]
    bounds: tuple[tuple[float, ...], tuple[float, ...]]
    ignored_count: int = 0


@dataclass(frozen=True, slots=True)
class PathArguments:
    """What a user says of paths besides their vertices; arguments of the writers by the same names.

    Parameters
    ----------
    geometry_types : tuple of str
        The geometry type to be written, then others that may be appended to.
    what, argument : str
        Name of a path, and of the argument that has their vertices, for messages.
    root_attributes : dict
        What goes beside the format's own attributes of the root.
    share_fragments : bool
        Whether runs of equal vertices are stored once.
    """

    geometry_types: tuple[str, ...]
    what: str
    argument: str
    attributes: Attributes
    object_ids: Any
    object_attributes: Attributes
    fragment_attributes: Attributes
    groups: Mapping[Any, Sequence[int]] | None
    group_attributes: Attributes
    attribute_specs: Specs
    dtype: npt.DTypeLike | None
    cross_chunk_strategy: str | None
    object_index_convention: str | None
    root_attributes: Mapping[str, Any]
    share_fragments: bool = False


@dataclass(frozen=True, slots=True)
class _Conventions:
    geometry_type: str
    crossings: str
    object_index: str


def write_paths(
    path: Any,
    positions: AnyArray,
    offsets: IntArray,
    arguments: PathArguments,
    said: StoreOptions,
    options: WriteOptions,
    backend: str | None,
    backend_kwargs: dict[str, Any],
) -> PathsSummary:
    """Write paths, one object each, into a new store or one that is there.

    Parameters
    ----------
    path : store location
        Where to write.
    positions : (N, D) array
        Vertices, path after path.
    offsets : (P + 1,) int64
        Where each path starts.
    arguments, said, options, backend, backend_kwargs
        What the user said of the paths, of the store, and of how it is written.
    """
    check_space(said, positions.shape[1])
    _check_choices(arguments)
    check_specs(
        arguments.attribute_specs,
        arguments.attributes,
        arguments.object_attributes,
        arguments.fragment_attributes,
        arguments.group_attributes,
    )
    columns = path_columns(arguments.attributes, offsets, arguments.attribute_specs)
    with Destination.open(path, options, backend, backend_kwargs, arguments.geometry_types) as destination:
        stored = stored_positions(destination, arguments.argument, positions, arguments.dtype, said)
        appending = destination.appending
        old = None
        if appending:
            assert destination.store is not None
            _require_kind(destination.store, arguments)
            old = read_path_elements(destination.store)
        objects = _new_objects(arguments, offsets, old)
        known = objects.ids if old is None or old.objects is None else np.union1d(old.objects.ids, objects.ids)
        groups = make_groups(arguments.groups, arguments.group_attributes, known, arguments.attribute_specs)
        elements = Elements(stored, columns, objects, groups)
        del stored, columns
        root_attributes = arguments.root_attributes
        if old is not None and destination.store is not None:
            refuse_fragment_attributes(destination.store, arguments.fragment_attributes)
            said, options = append_options(destination.store, said, options, positions)
            elements = append_elements(old, elements)
            said = replace(said, kept_rows=old.count)
            held = destination.store.attributes
            root_attributes = {
                **held,
                **{key: merged_metadata(held.get(key), block) for key, block in root_attributes.items()},
            }
            shared = arguments.share_fragments or destination.store.level(0).metadata.shared_fragments
            arguments = replace(arguments, share_fragments=shared)
        arguments = replace(arguments, root_attributes=root_attributes)
        honoured = destination.kept_root
        return _write(destination, elements, arguments, _conventions(honoured, arguments), said, options)


def _check_choices(arguments: PathArguments) -> None:
    choices = (
        ("cross_chunk_strategy", arguments.cross_chunk_strategy, VALID_CROSS_CHUNK_STRATEGIES),
        ("object_index_convention", arguments.object_index_convention, VALID_OBJECT_INDEX_CONVENTIONS),
    )
    for argument, value, accepted in choices:
        if value is not None and value not in accepted:
            raise ArgumentError(f"{argument}: expected one of {', '.join(accepted)}, got {value!r}")


def _require_kind(store: StoreReader, arguments: PathArguments) -> None:
    held = store.root.geometry_types
    if not set(held) & set(arguments.geometry_types):
        asked = arguments.geometry_types[0]
        why = "".join(f"; {name} is of {asked}s" for name in arguments.root_attributes)
        raise ArgumentError(f"mode='a': {store.storage.url} holds {', '.join(held)}, not {asked}{why}")
    fixed = (
        ("cross_chunk_strategy", arguments.cross_chunk_strategy, store.root.cross_chunk_strategy),
        ("object_index_convention", arguments.object_index_convention, store.root.object_index_convention),
    )
    for argument, given, kept in fixed:
        if given is not None and given != kept:
            raise ArgumentError(f"{argument}: {given!r} given, but the store has {kept!r}; appending cannot change it")


def _new_objects(arguments: PathArguments, offsets: IntArray, old: Elements | None) -> Objects:
    held = np.zeros(0, np.int64) if old is None or old.objects is None else old.objects.ids
    first = int(held.max(initial=-1)) + 1
    objects = path_objects(
        arguments.object_ids, offsets, arguments.object_attributes, arguments.attribute_specs, first, arguments.what
    )
    twice = np.intersect1d(held, objects.ids) if len(held) else held
    if len(twice):
        raise ArgumentError(
            f"object_ids: the store has an object {twice[0]} already; a path is appended as an object of its own"
        )
    return objects


def _conventions(root: RootMetadata | None, arguments: PathArguments) -> _Conventions:
    """Settle what the user left open by what the shell or the store appended to says."""
    crossings, object_index = arguments.cross_chunk_strategy, arguments.object_index_convention
    geometry_type = arguments.geometry_types[0]
    if root is not None:
        crossings = crossings or root.cross_chunk_strategy
        object_index = object_index or root.object_index_convention
        held = [kind for kind in root.geometry_types if kind in arguments.geometry_types]
        geometry_type = held[0] if held else geometry_type
    if object_index == OBJECTS_IDENTITY and arguments.share_fragments:
        raise ArgumentError(
            f"share_fragments: under object_index_convention {OBJECTS_IDENTITY!r} every fragment is an object of its "
            f"own; use {OBJECTS_STANDARD!r}"
        )
    return _Conventions(geometry_type, crossings or CROSS_CHUNK_LINKED, object_index or OBJECTS_STANDARD)


def _write(
    destination: Destination,
    elements: Elements,
    arguments: PathArguments,
    chosen: _Conventions,
    said: StoreOptions,
    options: WriteOptions,
) -> PathsSummary:
    """Write a store of one level from checked elements."""
    shell = destination.kept_root
    identity = chosen.object_index == OBJECTS_IDENTITY
    if identity:
        said = in_one_chunk(said, elements.positions, shell)
    space = plan_space(said, elements, shell)
    space, outside = settle_bounds(space, elements.positions, options.out_of_bounds, arguments.argument)
    before = elements.objects.count if elements.objects is not None else 0
    elements = _without_objects_of(elements, outside)
    objects = elements.objects
    assert objects is not None
    by_attribute, columns = chunk_by(said.chunk_by_attribute, elements.attributes)
    if by_attribute is not None and chosen.crossings != CROSS_CHUNK_LINKED:
        raise ArgumentError(
            f"chunk_by_attribute: with cross_chunk_strategy {chosen.crossings!r} a vertex would be stored under two "
            f"values of {by_attribute.name!r}; use {CROSS_CHUNK_LINKED!r}"
        )
    leading = None if by_attribute is None else by_attribute.leading
    elements = replace(elements, attributes=columns)
    cells = partition(elements, space.grid, FragmentRule.RUNS, crossings=chosen.crossings, leading=leading)
    vertex_counts = np.bincount(objects.of_vertex, minlength=objects.count)
    if identity:
        cells = require_identity(cells, vertex_counts, arguments.what)
    del elements, columns
    runs = cells
    cells = share_fragments(runs) if arguments.share_fragments else runs
    shared = cells is not runs
    if has_columns("fragment_attributes", arguments.fragment_attributes):
        made = make_fragment_columns(arguments.fragment_attributes, cells, arguments.attribute_specs)
        cells = replace(cells, fragment_attributes={**made, **cells.fragment_attributes})
    root = new_root(
        space,
        cells,
        geometry_type=chosen.geometry_type,
        links_convention=LINKS_SEQUENTIAL,
        shell=shell,
        name=destination.storage.name,
        capabilities=(CAP_FRAGMENT_INDEX, CAP_SHARED_FRAGMENTS) if shared else (CAP_FRAGMENT_INDEX,),
        cross_chunk_strategy=chosen.crossings,
        object_index_convention=chosen.object_index,
    )
    keys = {} if by_attribute is None else by_attribute.level_keys(space.axes)
    level = level_zero(space, cells, shared_fragments=shared, **keys)
    store_elements(destination, root, cells, level, options, said.metadata, arguments.root_attributes)
    return PathsSummary(
        vertex_count=int(vertex_counts.sum()),
        chunk_count=len(cells.chunks),
        fragment_count=cells.fragments.count,
        object_count=objects.count,
        group_count=0 if cells.groups is None else cells.groups.count,
        crossing_count=runs.fragments.count - int((vertex_counts > 0).sum()),
        bins_per_chunk=space.grid.n_bins,
        chunk_shape=space.grid.chunk_shape,
        bin_shape=space.grid.bin_shape or space.grid.chunk_shape,
        bounds=space.bounds,
        ignored_count=before - objects.count,
    )


def _without_objects_of(elements: Elements, rows: IntArray) -> Elements:
    """Return elements without the objects of some vertices, as if they had not been given."""
    objects = elements.objects
    if len(rows) == 0 or objects is None:
        return elements
    keep = np.ones(objects.count, bool)
    keep[objects.of_vertex[rows]] = False
    kept = keep[objects.of_vertex]
    number = np.cumsum(keep) - 1
    left = Objects(
        objects.ids[keep],
        number[objects.of_vertex[kept]],
        {name: column.take(keep) for name, column in objects.attributes.items()},
    )
    columns = {name: column.take(kept) for name, column in elements.attributes.items()}
    groups = elements.groups
    if groups is not None:
        stays = np.isin(groups.members, left.ids)
        groups = Groups(groups.members[stays], offsets_of(stays)[groups.offsets], groups.attributes)
    return Elements(elements.positions[kept], columns, left, groups)


def read_path_elements(store: StoreReader, level: int = 0) -> Elements:
    """Read all paths of a level as elements, path after path; objects in ascending id order."""
    reader = store.level(level)
    paths = read_paths(reader, Query(), keep_empty=True)
    order = np.argsort(paths.object_ids, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    attributes = {name: column.take(order) for name, column in paths.object_attributes.items()}
    objects = Objects(paths.object_ids[order], np.repeat(place, np.diff(paths.offsets)), attributes)
    return Elements(paths.positions, dict(paths.attributes), objects, read_groups(reader))


@dataclass(frozen=True, slots=True)
class PathRequest:
    """What a user asks for; arguments of the readers by the same names."""

    level: int
    bbox: tuple[npt.ArrayLike, npt.ArrayLike] | None
    object_ids: npt.ArrayLike | None
    group_ids: Any
    attribute_filter: Mapping[str, Any] | None
    attributes: Sequence[str] | str | None
    chunks: Sequence[Sequence[int]] | None
    object_attributes: bool | Sequence[str] | str
    own_level_only: bool = False


@dataclass(frozen=True, slots=True)
class PathsFound:
    """Paths that a reader found, and the store they are in.

    Parameters
    ----------
    store : StoreReader
        The store.
    box : Box, optional
        The box asked for.
    paths : Paths
        The paths.
    reader : LevelReader
        The level that they are on.
    """

    store: StoreReader
    box: Box | None
    paths: Paths
    reader: LevelReader


def find_paths(
    path: Any,
    request: PathRequest,
    needed: str,
    backend: str | None,
    backend_kwargs: dict[str, Any],
    *,
    near: bool = False,
) -> PathsFound:
    """Read the paths that a user asks for, or under `near` only the parts of them that a cut at the box goes by.

    Raises
    ------
    StoreError
        When the store does not hold paths, ``needed`` by their kind; names the function to read it with.
    UnknownNameError
        For a level, attribute, object or group that is not there.
    ArgumentError
        For a box, filter or chunk list that cannot be used.
    """
    store = open_reader(path, backend, **backend_kwargs)
    require_ordered(store, needed)
    reader = store.level(request.level, own=request.own_level_only)
    box = None if request.bbox is None else Box.parse(request.bbox, store.root.ndim)
    wanted = None if request.object_ids is None else as_object_ids(request.object_ids)
    keep_empty = None
    if request.group_ids is not None:
        members = objects_of_groups(reader, request.group_ids)
        if wanted is None:
            keep_empty = reader.metadata.level == 0
        wanted = members if wanted is None else wanted[np.isin(wanted, members)]
    names: list[str] | None = None
    if not isinstance(request.object_attributes, bool):
        names = parse_names("include_object_attributes", request.object_attributes)
    elif not request.object_attributes:
        names = []
    query = Query(
        box=box,
        object_ids=wanted,
        attributes=parse_names("attributes", request.attributes),
        attribute_filter=request.attribute_filter,
        chunks=parse_chunks(request.chunks, reader.chunks.shape[1]),
    )
    paths = read_paths(reader, query, object_attributes=names, keep_empty=keep_empty, near=near)
    return PathsFound(store, box, paths, reader)
