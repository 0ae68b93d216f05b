"""Meshes: vertices joined by faces of three or four, one or many, open or closed.

``write_mesh`` stores them, ``read_mesh`` reads all of them, the faces of a box, objects, groups or chunks, at any
level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from zarr_vectors.constants import LINKS_EXPLICIT, MESH_KEY, OBJECTS_IDENTITY, ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.axes import AxesLike, UnitsLike
from zarr_vectors.model.elements import Elements, Links
from zarr_vectors.read.elements import read_linked_elements
from zarr_vectors.read.linked import LinkRule, read_linked
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.query import Query, parse_chunks, parse_names
from zarr_vectors.read.steady import steady
from zarr_vectors.read.vertices import holds_faces
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.spatial.partition import FragmentRule, partition
from zarr_vectors.types.appending import append_elements, append_options, refuse_fragment_attributes
from zarr_vectors.types.attribute_chunks import chunk_by, leading_of
from zarr_vectors.types.choosing import chosen_objects
from zarr_vectors.types.completing import completed
from zarr_vectors.types.draco_chunks import check_draco, encode_chunks
from zarr_vectors.types.faces import require_closed, require_winding, settle_degenerate, settle_shape
from zarr_vectors.types.kinds import refused_by
from zarr_vectors.types.linked import (
    given_objects,
    in_input_order,
    renumbered_objects,
    wanted_links,
    with_original_index,
    without_vertices,
)
from zarr_vectors.types.linked_inputs import MESHES, join_linked
from zarr_vectors.types.mesh_results import MeshResult as MeshResult
from zarr_vectors.types.mesh_results import MeshSummary as MeshSummary
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
from zarr_vectors.typing import Document, IntArray
from zarr_vectors.write.options import Progress, WriteOptions
from zarr_vectors.write.positions import column_names

GEOMETRY_TYPE = "mesh"
"""Key of the root's own block that says how faces are wound and whether the surface was found closed."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What is said about a mesh beside its elements."""

    options: WriteOptions
    said: StoreOptions
    block: Document
    numbered: bool = False
    dropped: int = 0
    object_index: str | None = None
    draco: Any = None
    bits: int = 0


def write_mesh(
    path: Any,
    vertices: Any,
    faces: Any,
    *,
    chunk_shape: float | Sequence[float] | None = None,
    bin_shape: float | Sequence[float] | None = None,
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    attributes: Attributes = None,
    vertex_attributes: Attributes = None,
    face_attributes: Attributes = None,
    object_ids: npt.ArrayLike | None = None,
    object_attributes: Attributes = None,
    groups: Mapping[Any, Sequence[int]] | None = None,
    group_attributes: Attributes = None,
    attribute_specs: Specs = None,
    closed_surface: bool | None = None,
    winding_order: str = "ccw",
    face_shape: str | None = None,
    degenerate_faces: str = "raise",
    store: str = "canonical",
    use_draco: bool = False,
    draco_quantization: int = 11,
    dtype: npt.DTypeLike | None = None,
    axes: AxesLike | None = None,
    axis_units: UnitsLike | None = None,
    coordinate_system: str | None = None,
    crs: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    chunk_by_attribute: str | None = None,
    object_index_convention: str | None = None,
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
) -> MeshSummary:
    """Write a mesh, or many.

    Arguments that are not described here mean what they mean in ``write_points``.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        Where to write.
    vertices : (N, D) array of numbers, or list of (n_i, D) arrays
        Coordinates of one mesh, or of every mesh.
    faces : (M, L) integers, or list of (m_i, L) arrays, or one (k, M, L) array for k meshes
        Rows of vertices; L is 3, or 4 for quads and tetrahedra, the same for all; triangles may be padded to four with
        -1. In a list they count within their own mesh.
    attributes, vertex_attributes : mapping of str to (N,) or (N, C) array, optional
        One row per vertex; for lists also a list of arrays, one per mesh. Two names for one argument.
    face_attributes : mapping of str to (M,) or (M, C) array, optional
        One row per face; for lists as above. Stored as link attributes.
    object_ids : integers, optional
        Object of every vertex (by default all are object 0); for lists one id per mesh (by default 0, 1, …), which
        exists whether it has vertices or not. Ids are not negative.
        Where vertices are appended without ids, the ids that the store holds are counted on from.
    object_index_convention : {"standard", "identity"}, optional
        Under ``"identity"`` everything lies in one chunk, objects are numbered ``0, 1, …`` and need no index.
    object_attributes : mapping of str to (O,) or (O, C) array, optional
        One row per object: for a list one per mesh in the order of the list, whatever the ids; for one mesh a single
        row; where ``object_ids`` says the object of every vertex, per id in ascending order, or per id ``0 … O - 1``.
        Rows that name their objects may be in any order, as in ``write_points``.
    groups, group_attributes
        As in ``write_points``.
    closed_surface : bool, optional
        True checks that every edge belongs to exactly two faces and records it; False records that the surface is
        open; None neither.
    winding_order : {"ccw", "cw"}
        How the vertices of a face run round it when looked at from outside; recorded. The order itself is kept.
    face_shape : {"triangle", "quad", "tetrahedron"}, optional
        What faces are; recorded, and heeded by coarsening. Faces of four are quads unless this says otherwise.
    degenerate_faces : {"raise", "drop", "keep"}
        What happens to faces that name a vertex more than once.
    store : {"canonical", "duplicate"}
        Whether a face is filed once, or once under every chunk that it touches. Readers of revision 0.9 that came
        before this package (zarr-vectors 0.9.2) take every copy for a face of its own: use ``"canonical"`` for them.
    use_draco : bool
        Store the vertices of each chunk and the faces inside it as one Draco blob (extra ``draco``): triangles of
        float32 vertices in three dimensions without face attributes. Positions are then rounded.
    draco_quantization : int
        Bits of a coordinate over the extent of a chunk's vertices.
    out_of_bounds : {"raise", "ignore", "expand"}
        Under ``"ignore"`` vertices outside the bounds are left out with the faces that name them; both are counted.
    mode : {"w", "w-", "a"}
        Replace, refuse what exists, or append vertices and faces. Appended faces count within what is appended.
        ``store`` must be the store's own, and nothing can be appended with or to Draco blobs.
    keep_order : bool
        Store the input row of every vertex and face as attribute ``original_index``.

    Returns
    -------
    MeshSummary
        Counts and shapes of what was written.

    Raises
    ------
    ArgumentError
        For an argument that cannot be used; nothing is left behind.
    StoreError
        When something other than a Zarr Vectors store is at the path, or it cannot be written.

    Examples
    --------
    >>> corners = [[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]]
    >>> faces = [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]
    >>> summary = write_mesh("memory://doc-mesh", corners, faces, chunk_shape=5, bin_shape=5, closed_surface=True)
    >>> summary.face_count, summary.chunk_count, summary.cross_chunk_face_count
    (4, 4, 4)
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
    if use_draco and chunk_by_attribute is not None:
        raise ArgumentError("chunk_by_attribute: not together with use_draco")
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
        columns=column_names("vertices", vertices),
    )
    require_winding(winding_order)
    given = only_one("attributes", attributes, "vertex_attributes", vertex_attributes)
    joined = join_linked(MESHES, vertices, faces, object_ids, given, face_attributes, axes)
    check_space(said, joined.positions.shape[1])
    count = len(joined.positions)
    check_specs(attribute_specs, joined.attributes, joined.link_attributes, object_attributes, group_attributes)
    columns = make_columns("attributes", joined.attributes, count, "vertex", attribute_specs)
    of_faces = make_columns("face_attributes", joined.link_attributes, len(joined.links), "face", attribute_specs)
    if keep_order:
        columns, of_faces = with_original_index(columns, count), with_original_index(of_faces, len(joined.links))
    objects = given_objects(joined.object_ids, count, joined.offsets, object_attributes, attribute_specs, "mesh")
    table = make_groups(groups, group_attributes, objects.ids, attribute_specs)
    links = _make_links(joined.links, of_faces, degenerate_faces, store)
    block: Document = {"winding_order": winding_order, "face_shape": settle_shape(face_shape, links.width)}
    if closed_surface is not None:
        block["closed_surface"] = bool(closed_surface)
    if closed_surface:
        require_closed(links.rows, block["face_shape"])
    with Destination.open(path, options, backend, backend_kwargs, [GEOMETRY_TYPE]) as destination:
        stored = stored_positions(destination, "vertices", joined.positions, dtype, said)
        dropped = len(joined.links) - len(links.rows)
        job = _Job(options, said, block, object_ids is None, dropped, object_index_convention)
        elements = Elements(stored, columns, objects, table, links)
        if use_draco:
            job = replace(job, draco=check_draco(elements, draco_quantization), bits=draco_quantization)
        if destination.appending:
            elements, job = _appended(destination, elements, job)
        return _write(destination, elements, job)


def _make_links(faces: IntArray, columns: dict[str, Column], degenerate_faces: str, store: str) -> Links:
    if store not in ("canonical", "duplicate"):
        raise ArgumentError(f"store: expected 'canonical' or 'duplicate', got {store!r}")
    keep = settle_degenerate(faces, degenerate_faces)
    if keep is None:
        return Links(faces, columns, store=store)
    return Links(faces[keep], {name: column.take(keep) for name, column in columns.items()}, store=store)


def _appended(destination: Destination, elements: Elements, job: _Job) -> tuple[Elements, _Job]:
    """Return the elements of the store with the new ones behind them."""
    store = destination.store
    assert store is not None
    if GEOMETRY_TYPE not in store.root.geometry_types:
        raise ArgumentError(
            f"mode='a': {store.storage.url} holds {', '.join(store.root.geometry_types)}, not {GEOMETRY_TYPE}"
        )
    if holds_faces(store.level(0)):
        raise ArgumentError(
            f"mode='a': {store.storage.url} is encoded with Draco, and appending would round every vertex once more; "
            "read it and write it anew"
        )
    if job.draco is not None and len(store.level(0).chunks):
        raise ArgumentError(
            f"use_draco: {store.storage.url} holds vertices as they were given, and Draco would round all of them; "
            "append without use_draco, or read it and write it anew with use_draco=True"
        )
    said, options = append_options(store, job.said, job.options, elements.positions)
    old = read_linked_elements(store.level(0), keyed=True)
    if job.numbered and old.objects is not None and old.objects.count:
        elements = renumbered_objects(elements, int(old.objects.ids[-1]) + 1)
    held = store.root.extra.get(MESH_KEY) or {}
    for key in ("winding_order", "face_shape"):
        if held.get(key, job.block[key]) != job.block[key]:
            raise ArgumentError(f"{key}: the store has {held[key]!r}, given {job.block[key]!r}; they must agree")
    block = {**job.block}
    if not (held.get("closed_surface") and block.get("closed_surface")):
        block.pop("closed_surface", None)
    refuse_fragment_attributes(store, None)
    said = replace(said, kept_rows=old.count)
    return append_elements(old, elements), replace(job, said=said, options=options, block=block)


def _write(destination: Destination, elements: Elements, job: _Job) -> MeshSummary:
    """Write a store of one level from checked elements."""
    shell = destination.kept_root
    object_index = settle_object_index(job.object_index, shell)
    identity = object_index == OBJECTS_IDENTITY
    said = in_one_chunk(job.said, elements.positions, shell) if identity else job.said
    space = plan_space(said, elements, shell)
    space, outside = settle_bounds(space, elements.positions, job.options.out_of_bounds, "vertices")
    assert elements.links is not None
    given = len(elements.links.rows)
    if len(outside):
        elements = without_vertices(elements, outside)
    block = dict(job.block)
    assert elements.links is not None
    face_count = len(elements.links.rows)
    if face_count < given:
        block.pop("closed_surface", None)
    by_attribute, columns = chunk_by(job.said.chunk_by_attribute, elements.attributes)
    elements = replace(elements, attributes=columns)
    cells = partition(elements, space.grid, FragmentRule.OBJECTS, leading=leading_of(by_attribute))
    if identity:
        cells = require_identity(cells, vertices_of_objects(elements), "mesh")
    chunks = cells.links[0].chunks
    if job.draco is not None:
        cells = encode_chunks(job.draco, cells, job.bits)
    root = new_root(
        space,
        cells,
        geometry_type=GEOMETRY_TYPE,
        links_convention=LINKS_EXPLICIT,
        shell=shell,
        name=destination.storage.name,
        object_index_convention=object_index,
    )
    root = replace(root, extra={**root.extra, MESH_KEY: block})
    keys = {} if by_attribute is None else by_attribute.level_keys(space.axes)
    store_elements(destination, root, cells, level_zero(space, cells, **keys), job.options, job.said.metadata)
    return MeshSummary(
        vertex_count=cells.count,
        face_count=face_count,
        chunk_count=len(cells.chunks),
        object_count=0 if cells.objects is None else len(cells.objects.ids),
        group_count=0 if cells.groups is None else cells.groups.count,
        cross_chunk_face_count=int((chunks != chunks[:, :1]).any(axis=1).sum()),
        chunk_shape=space.grid.chunk_shape,
        bin_shape=space.grid.bin_shape or space.grid.chunk_shape,
        bounds=space.bounds,
        ignored_count=len(outside),
        ignored_face_count=given - face_count,
        degenerate_face_count=job.dropped,
    )


@steady
@completed
def read_mesh(
    path: Any,
    *,
    level: int = 0,
    bbox: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    attributes: Sequence[str] | None = None,
    face_attributes: Sequence[str] | None = None,
    object_ids: npt.ArrayLike | None = None,
    group_ids: int | str | Sequence[int | str] | None = None,
    attribute_filter: Mapping[str, Any] | None = None,
    chunks: Sequence[Sequence[int]] | None = None,
    restore_order: bool = False,
    own_level_only: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> MeshResult:
    """Read a mesh; conditions combine.

    Parameters
    ----------
    path : str, path, zarr Store or open Group
        The store. An open group is read without opening it anew.
    level : int
        Resolution level, 0 the finest.
    bbox : pair of D numbers, optional
        Only faces whose centroid (the mean of their vertices) is in the half-open box ``[lower, upper)``, each once,
        with every vertex that they need and no other.
    attributes, face_attributes : sequence of str, optional
        Vertex and face attributes to read; all by default.
    object_ids : integers, optional
        Only vertices of these objects and the faces between them.
    group_ids : int, str or sequence, optional
        Only objects in any of these groups, by number or name.
    attribute_filter : mapping, optional
        Only objects whose attributes meet these conditions: a value, a list of values, or a tuple
        ``(lower, upper)`` (half-open).
    chunks : sequence of chunk coordinates, optional
        Only vertices of these chunks and the faces between them.
    restore_order : bool
        Sort vertices and faces by ``original_index`` (stored under ``keep_order=True``) instead of stored order.
    own_level_only : bool
        Whether of an additive level only what it itself stores is read, not what the coarser ones complete it by.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    MeshResult
        Vertices by chunk, then object, then input order. Faces as the store files them: those inside one chunk and
        those between chunks apart, by the offsets between their chunks in ASCII order, then by the key of the
        chunk they are filed under, then object and input order; face attributes in the same order.

    Raises
    ------
    StoreNotFoundError, StoreError
        When no store is at the path, or it does not hold a mesh.
    UnknownNameError
        For a level, attribute, object or group that is not there.
    ArgumentError
        For a box, filter or chunk list that cannot be used.
    ArrayError
        When the bytes of a chunk are damaged; names the array and the chunk.
    """
    store = open_reader(path, backend, **backend_kwargs)
    if store.root.geometry_types and GEOMETRY_TYPE not in store.root.geometry_types:
        raise refused_by(store, "a mesh")
    reader = store.level(level, own=own_level_only)
    names, of_faces = parse_names("attributes", attributes), parse_names("face_attributes", face_attributes)
    extra = [ORIGINAL_INDEX_ATTRIBUTE] if restore_order else []
    wanted = wanted_links(reader, "face_attributes", of_faces, with_order=restore_order)
    query = Query(
        box=None if bbox is None else Box.parse(bbox, store.root.ndim),
        object_ids=chosen_objects(reader, object_ids, group_ids, attribute_filter),
        attributes=None if names is None else list(dict.fromkeys([*names, *extra])),
        chunks=parse_chunks(chunks, reader.chunks.shape[1]),
    )
    linked = read_linked(
        reader,
        query,
        rule=LinkRule.CENTROID,
        link_attributes=wanted,
    )
    if restore_order:
        linked = in_input_order(linked)
    unasked = {ORIGINAL_INDEX_ATTRIBUTE} if restore_order else set()
    columns = {n: c for n, c in linked.attributes.items() if names is None or n in names or n not in unasked}
    described = {n: c for n, c in linked.link_attributes.items() if of_faces is None or n in of_faces}
    block = store.root.extra.get(MESH_KEY)
    block = block if isinstance(block, dict) else {}
    named = {**described, **columns}
    return MeshResult(
        vertices=linked.positions,
        faces=linked.links,
        attributes={name: decode_column(column) for name, column in columns.items()},
        face_attributes={name: decode_column(column) for name, column in described.items()},
        object_ids=linked.object_ids,
        level=level,
        channel_names={n: c.spec.channel_names for n, c in named.items() if c.spec.channel_names is not None},
        winding_order=block.get("winding_order"),
        closed_surface=block.get("closed_surface") if level == 0 else None,
    )
