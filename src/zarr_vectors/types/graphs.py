"""Graphs and skeletons: nodes joined by edges, one or many.

``write_graph`` stores them, ``read_graph`` reads all of them, the nodes and edges of a box, objects, groups or chunks,
at any level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from zarr_vectors.constants import GRAPH_KEY, LINKS_BRANCHES, LINKS_EXPLICIT, OBJECTS_IDENTITY, ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.axes import AxesLike, UnitsLike
from zarr_vectors.model.elements import Elements, Links
from zarr_vectors.read.elements import read_linked_elements
from zarr_vectors.read.linked import Linked, read_linked
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.query import Query, parse_chunks, parse_names
from zarr_vectors.read.steady import steady
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.spatial.branches import along_branches
from zarr_vectors.spatial.partition import FragmentRule, partition
from zarr_vectors.types.appending import append_elements, append_options, refuse_fragment_attributes
from zarr_vectors.types.attribute_chunks import chunk_by, leading_of
from zarr_vectors.types.choosing import chosen_objects
from zarr_vectors.types.completing import completed
from zarr_vectors.types.edges import as_child_parent, require_forest, settle_self_loops
from zarr_vectors.types.graph_results import GraphResult as GraphResult
from zarr_vectors.types.graph_results import GraphSummary as GraphSummary
from zarr_vectors.types.kinds import refused_by
from zarr_vectors.types.linked import (
    given_objects,
    in_input_order,
    renumbered_objects,
    wanted_links,
    with_original_index,
    without_vertices,
)
from zarr_vectors.types.linked_inputs import GRAPHS, join_linked
from zarr_vectors.types.single_chunk import in_one_chunk, require_identity, settle_object_index, vertices_of_objects
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
from zarr_vectors.types.tables import Attributes, Specs, check_specs, make_columns, make_groups, only_one
from zarr_vectors.typing import Document
from zarr_vectors.write.options import Progress, WriteOptions
from zarr_vectors.write.positions import column_names

GRAPH, SKELETON = "graph", "skeleton"
GEOMETRY_TYPES = (GRAPH, SKELETON)
"""Key of the root's own block that says whether edges were found to form trees, and whether they have a direction."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What is said about a graph beside its elements."""

    options: WriteOptions
    said: StoreOptions
    geometry_type: str
    block: Document
    numbered: bool = False
    dropped: int = 0
    object_index: str | None = None


def write_graph(
    path: Any,
    positions: Any,
    edges: Any,
    *,
    geometry_type: str | None = None,
    kind: str | None = None,
    is_directed: bool = False,
    is_tree: bool | None = None,
    self_loops: str = "keep",
    store: str = "canonical",
    chunk_shape: float | Sequence[float] | None = None,
    bin_shape: float | Sequence[float] | None = None,
    chunk_by_attribute: str | None = None,
    object_index_convention: str | None = None,
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    attributes: Attributes = None,
    vertex_attributes: Attributes = None,
    node_attributes: Attributes = None,
    edge_attributes: Attributes = None,
    link_attributes: Attributes = None,
    object_ids: npt.ArrayLike | None = None,
    object_attributes: Attributes = None,
    groups: Mapping[Any, Sequence[int]] | None = None,
    group_attributes: Attributes = None,
    attribute_specs: Specs = None,
    dtype: npt.DTypeLike | None = None,
    axes: AxesLike | None = None,
    axis_units: UnitsLike | None = None,
    coordinate_system: str | None = None,
    crs: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
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
) -> GraphSummary:
    """Write a graph or skeleton, or many.

    Arguments that are not described here mean what they mean in ``write_points``.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        Where to write.
    positions : (N, D) array of numbers, or list of (n_i, D) arrays
        Nodes of one graph, or of every graph.
    edges : (M, 2) integers, or list of (m_i, 2) arrays
        Rows of nodes. In a list they count within their own graph. Edges that are given twice are stored twice.
    geometry_type, kind : {"graph", "skeleton"}
        A skeleton is a forest whose edges run from child to parent. Its nodes are stored along its branches, so that
        only edges at branch points and chunk faces need to be stored. Two names for one argument.
    is_directed : bool
        Whether the order of the two nodes of an edge carries meaning. In a skeleton True says that edges are
        (child, parent); otherwise edges in which every node is the first at most once are taken so too, and others
        are turned away from the lowest row of their component. Several roots in one object are legal.
    is_tree : bool, optional
        True refuses a graph with cycles; skeletons always do. Components, each a tree, may be many.
    self_loops : {"keep", "drop", "raise"}
        What happens to edges that join a node with itself. To a tree they are cycles.
    store : {"canonical", "duplicate"}
        Whether an edge is filed once, or once under every chunk that it touches. Readers of revision 0.9 that came
        before this package (zarr-vectors 0.9.2) take every copy for an edge of its own: use ``"canonical"`` for them.
    attributes, vertex_attributes, node_attributes : mapping of str to (N,) or (N, C) array, optional
        One row per node; for lists also a list of arrays, one per graph. Three names for one argument.
    edge_attributes, link_attributes : mapping of str to (M,) or (M, C) array, optional
        One row per edge; for lists as above. A skeleton with edge attributes stores all its edges. Two names for
        one argument.
    object_ids : integers, optional
        Object of every node (by default all are object 0); for lists one id per graph (by default 0, 1, …), which
        exists whether it has nodes or not. Ids are not negative.
        Where nodes are appended without ids, the ids that the store holds are counted on from.
    object_index_convention : {"standard", "identity"}, optional
        Under ``"identity"`` everything lies in one chunk, objects are numbered ``0, 1, …`` and need no index.
    object_attributes : mapping of str to (O,) or (O, C) array, optional
        One row per object: for a list one per graph in the order of the list, whatever the ids; for one graph a single
        row; where ``object_ids`` says the object of every node, per id in ascending order, or per id ``0 … O - 1``.
        Rows that name their objects may be in any order, as in ``write_points``.
    groups, group_attributes
        As in ``write_points``.
    out_of_bounds : {"raise", "ignore", "expand"}
        Under ``"ignore"`` nodes outside the bounds are left out with the edges that name them; both are counted.
    mode : {"w", "w-", "a"}
        Replace, refuse what exists, or append nodes and edges. Appended edges count within what is appended;
        ``store`` and ``is_directed`` must be those of the store.
    keep_order : bool
        Store the input row of every node (and of every edge of a graph) as attribute ``original_index``.

    Returns
    -------
    GraphSummary
        Counts and shapes of what was written.

    Raises
    ------
    ArgumentError
        For an argument that cannot be used; nothing is left behind.
    StoreError
        When something other than a Zarr Vectors store is at the path, or it cannot be written.

    Examples
    --------
    >>> nodes = [[0, 0, 0], [9, 0, 0], [18, 0, 0], [9, 9, 0]]
    >>> summary = write_graph(
    ...     "memory://doc-skeleton", nodes, [[1, 0], [2, 1], [3, 1]], geometry_type="skeleton", chunk_shape=50
    ... )
    >>> summary.edge_count, summary.stored_edge_count
    (3, 1)
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
    chosen = _geometry_type(only_one("geometry_type", geometry_type, "kind", kind))
    given = only_one("vertex_attributes", vertex_attributes, "node_attributes", node_attributes)
    given = only_one("attributes", attributes, "vertex_attributes or node_attributes", given)
    of_edges = only_one("edge_attributes", edge_attributes, "link_attributes", link_attributes)
    joined = join_linked(GRAPHS, positions, edges, object_ids, given, of_edges, axes)
    count = len(joined.positions)
    check_space(said, joined.positions.shape[1])
    check_specs(attribute_specs, joined.attributes, joined.link_attributes, object_attributes, group_attributes)
    columns = make_columns("attributes", joined.attributes, count, "node", attribute_specs)
    described = make_columns("edge_attributes", joined.link_attributes, len(joined.links), "edge", attribute_specs)
    if keep_order:
        columns = with_original_index(columns, count)
        described = described if chosen == SKELETON else with_original_index(described, len(joined.links))
    objects = given_objects(joined.object_ids, count, joined.offsets, object_attributes, attribute_specs, "graph")
    table = make_groups(groups, group_attributes, objects.ids, attribute_specs)
    links = _make_links(Links(joined.links, described, bool(is_directed), store), count, chosen, is_tree, self_loops)
    with Destination.open(path, options, backend, backend_kwargs, [chosen]) as destination:
        stored = stored_positions(destination, "positions", joined.positions, dtype, said)
        block = {"is_tree": True} if is_tree or chosen == SKELETON else {}
        dropped = len(joined.links) - len(links.rows)
        job = _Job(
            options,
            said,
            chosen,
            block,
            numbered=object_ids is None,
            dropped=dropped,
            object_index=object_index_convention,
        )
        elements = Elements(stored, columns, objects, table, links)
        if destination.appending and destination.store is not None:
            elements, job = _appended(destination.store, elements, job)
        return _write(destination, elements, job)


def _geometry_type(given: str | None) -> str:
    chosen = GRAPH if given is None else given
    if chosen not in GEOMETRY_TYPES:
        raise ArgumentError(f"geometry_type: expected one of {', '.join(GEOMETRY_TYPES)}, got {given!r}")
    return chosen


def _make_links(links: Links, count: int, geometry_type: str, is_tree: bool | None, self_loops: str) -> Links:
    """Return the edges to be stored, those of a skeleton from child to parent."""
    if links.store not in ("canonical", "duplicate"):
        raise ArgumentError(f"store: expected 'canonical' or 'duplicate', got {links.store!r}")
    keep = settle_self_loops(links.rows, self_loops)
    if keep is not None:
        columns = {name: column.take(keep) for name, column in links.attributes.items()}
        links = replace(links, rows=links.rows[keep], attributes=columns)
    if geometry_type == SKELETON:
        return replace(links, rows=as_child_parent(count, links.rows, links.directed), directed=True)
    if is_tree:
        require_forest(count, links.rows, "is_tree=True refuses it")
    return links


def _appended(store: StoreReader, elements: Elements, job: _Job) -> tuple[Elements, _Job]:
    """Return the elements of the store with the new ones behind them."""
    if job.geometry_type not in store.root.geometry_types:
        raise ArgumentError(
            f"mode='a': {store.storage.url} holds {', '.join(store.root.geometry_types)}, not {job.geometry_type}"
        )
    said, options = append_options(store, job.said, job.options, elements.positions)
    old = read_linked_elements(store.level(0), keyed=True)
    if job.numbered and old.objects is not None and old.objects.count:
        elements = renumbered_objects(elements, int(old.objects.ids[-1]) + 1)
    held = store.root.extra.get(GRAPH_KEY)
    tree = isinstance(held, dict) and bool(held.get("is_tree")) and bool(job.block.get("is_tree"))
    refuse_fragment_attributes(store, None)
    joined = append_elements(old, elements)
    said = replace(said, kept_rows=old.count)
    return joined, replace(job, said=said, options=options, block={"is_tree": True} if tree else {})


def _write(destination: Destination, elements: Elements, job: _Job) -> GraphSummary:
    """Write a store of one level from checked elements."""
    shell = destination.kept_root
    object_index = settle_object_index(job.object_index, shell)
    identity = object_index == OBJECTS_IDENTITY
    said = in_one_chunk(job.said, elements.positions, shell) if identity else job.said
    space = plan_space(said, elements, shell)
    space, outside = settle_bounds(space, elements.positions, job.options.out_of_bounds, "positions")
    assert elements.links is not None
    given = len(elements.links.rows)
    if len(outside):
        elements = without_vertices(elements, outside)
    if job.geometry_type == SKELETON:
        elements = along_branches(elements)
    assert elements.links is not None
    edge_count = len(elements.links.rows)
    by_attribute, columns = chunk_by(job.said.chunk_by_attribute, elements.attributes)
    elements = replace(elements, attributes=columns)
    cells = partition(elements, space.grid, FragmentRule.OBJECTS, leading=leading_of(by_attribute))
    if identity:
        cells = require_identity(cells, vertices_of_objects(elements), "graph")
    del elements
    root = new_root(
        space,
        cells,
        geometry_type=job.geometry_type,
        links_convention=LINKS_BRANCHES if job.geometry_type == SKELETON else LINKS_EXPLICIT,
        shell=shell,
        name=destination.storage.name,
        object_index_convention=object_index,
    )
    others = {key: value for key, value in root.extra.items() if key != GRAPH_KEY}
    root = replace(root, extra={**others, GRAPH_KEY: job.block} if job.block else others)
    keys = {} if by_attribute is None else by_attribute.level_keys(space.axes)
    store_elements(destination, root, cells, level_zero(space, cells, **keys), job.options, job.said.metadata)
    chunks = cells.links[0].chunks
    return GraphSummary(
        node_count=cells.count,
        edge_count=edge_count,
        stored_edge_count=len(chunks),
        cross_chunk_edge_count=int((chunks[:, 0] != chunks[:, 1]).sum()),
        chunk_count=len(cells.chunks),
        object_count=0 if cells.objects is None else len(cells.objects.ids),
        group_count=0 if cells.groups is None else cells.groups.count,
        chunk_shape=space.grid.chunk_shape,
        bin_shape=space.grid.bin_shape or space.grid.chunk_shape,
        bounds=space.bounds,
        ignored_count=len(outside),
        ignored_edge_count=given - edge_count,
        dropped_edge_count=job.dropped,
    )


@steady
@completed
def read_graph(
    path: Any,
    *,
    level: int = 0,
    bbox: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    include_boundary_edges: bool = False,
    attributes: Sequence[str] | None = None,
    edge_attributes: Sequence[str] | None = None,
    object_ids: npt.ArrayLike | None = None,
    group_ids: int | str | Sequence[int | str] | None = None,
    attribute_filter: Mapping[str, Any] | None = None,
    chunks: Sequence[Sequence[int]] | None = None,
    return_object_ids: bool = True,
    restore_order: bool = False,
    own_level_only: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> GraphResult:
    """Read a graph or skeleton; conditions combine.

    Parameters
    ----------
    path : str, path, zarr Store or open Group
        The store. An open group is read without opening it anew.
    level : int
        Resolution level, 0 the finest.
    bbox : pair of D numbers, optional
        Only nodes in the half-open box ``[lower, upper)`` and the edges between them.
    include_boundary_edges : bool
        Whether edges with one node among those asked for are returned too, with their other node: those nodes come
        last and are not ``inside``.
    attributes, edge_attributes : sequence of str, optional
        Node and edge attributes to read; all by default.
    object_ids : integers, optional
        Only nodes of these objects and the edges between them.
    group_ids : int, str or sequence, optional
        Only objects in any of these groups, by number or name.
    attribute_filter : mapping, optional
        Only objects whose attributes meet these conditions: a value, a list of values, or a tuple
        ``(lower, upper)`` (half-open).
    chunks : sequence of chunk coordinates, optional
        Only nodes of these chunks and the edges between them.
    return_object_ids : bool
        Whether the object of every node is returned.
    restore_order : bool
        Sort nodes (and the edges of a graph) by ``original_index``, stored under ``keep_order=True``; the edges of a
        skeleton then come by child.
    own_level_only : bool
        Whether of an additive level only what it itself stores is read, not what the coarser ones complete it by.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    GraphResult
        Nodes by chunk, then object, then input order (along branches in a skeleton). Edges of a graph as the store
        files them: by the offset between their chunks in ASCII order, then by the key of the chunk they are filed
        under, then object and input order; those of a skeleton by child. Edge attributes in the same order.

    Raises
    ------
    StoreNotFoundError, StoreError
        When no store is at the path, or it holds neither a graph nor a skeleton.
    UnknownNameError
        For a level, attribute, object or group that is not there.
    ArgumentError
        For a box, filter or chunk list that cannot be used.
    ArrayError
        When the bytes of a chunk are damaged; names the array and the chunk.
    """
    opened = open_reader(path, backend, **backend_kwargs)
    held = opened.root.geometry_types
    if held and not set(held) & set(GEOMETRY_TYPES):
        raise refused_by(opened, "a graph or skeleton")
    reader = opened.level(level, own=own_level_only)
    names, of_edges = parse_names("attributes", attributes), parse_names("edge_attributes", edge_attributes)
    extra = [ORIGINAL_INDEX_ATTRIBUTE] if restore_order else []
    by_child = opened.root.links_convention == LINKS_BRANCHES
    query = Query(
        box=None if bbox is None else Box.parse(bbox, opened.root.ndim),
        object_ids=chosen_objects(reader, object_ids, group_ids, attribute_filter),
        attributes=None if names is None else [*names, *(n for n in extra if n not in names)],
        chunks=parse_chunks(chunks, reader.chunks.shape[1]),
    )
    wanted = wanted_links(reader, "edge_attributes", of_edges, with_order=restore_order and not by_child)
    linked = read_linked(reader, query, include_boundary=include_boundary_edges, link_attributes=wanted)
    if restore_order:
        linked = _in_input_order(linked, by_child=by_child)
    columns = {n: c for n, c in linked.attributes.items() if names is None or n in names}
    described = {n: c for n, c in linked.link_attributes.items() if of_edges is None or n in of_edges}
    return GraphResult(
        positions=linked.positions,
        edges=linked.links,
        attributes={name: decode_column(column) for name, column in columns.items()},
        edge_attributes={name: decode_column(column) for name, column in described.items()},
        object_ids=linked.object_ids if return_object_ids else None,
        inside=linked.inside,
        is_directed=linked.directed,
        level=level,
        channel_names=_channel_names({**described, **columns}),
    )


def _channel_names(columns: Mapping[str, Column]) -> dict[str, tuple[str, ...]]:
    return {n: c.spec.channel_names for n, c in columns.items() if c.spec.channel_names is not None}


def _in_input_order(linked: Linked, *, by_child: bool) -> Linked:
    """Sort nodes and edges by their input rows; edges of trees by their child."""
    if not by_child:
        return in_input_order(linked)
    if ORIGINAL_INDEX_ATTRIBUTE in linked.attributes:
        of_child = linked.attributes[ORIGINAL_INDEX_ATTRIBUTE].take(linked.links[:, 0])
        linked = replace(linked, link_attributes={**linked.link_attributes, ORIGINAL_INDEX_ATTRIBUTE: of_child})
    ordered = in_input_order(linked)
    kept = {n: c for n, c in ordered.link_attributes.items() if n != ORIGINAL_INDEX_ATTRIBUTE}
    return replace(ordered, link_attributes=kept)
