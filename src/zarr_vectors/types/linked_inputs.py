"""Users' vertices with links between them: one geometry or a list of them, joined and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.model.ids import parse_ids
from zarr_vectors.ordering import offsets_of
from zarr_vectors.types.parts import ids_of_parts, is_list_of_arrays, join_parts, parts_of
from zarr_vectors.typing import AnyArray, IntArray
from zarr_vectors.write.frames import require_same_rows
from zarr_vectors.write.positions import as_array, as_first, as_positions


@dataclass(frozen=True, slots=True)
class LinkedNames:
    """What vertices and links are called where users see them.

    Parameters
    ----------
    whole : str
        One geometry of a list, as ``"graph"``.
    vertices, links, link_attributes : str
        Arguments, as ``"positions"``, ``"edges"`` and ``"edge_attributes"``.
    vertex, link : str
        One of each, as ``"node"`` and ``"edge"``.
    several : str
        More than one vertex, as ``"nodes"``.
    widths : tuple of int
        How many vertices a link may have; the first where there are no links.
    """

    whole: str
    vertices: str
    links: str
    link_attributes: str
    vertex: str
    link: str
    several: str
    widths: tuple[int, ...]


_NO_VERTEX = -1
"""What fills up the rows of triangles among quads."""
GRAPHS = LinkedNames("graph", "positions", "edges", "edge_attributes", "node", "edge", "nodes", (2,))
MESHES = LinkedNames("mesh", "vertices", "faces", "face_attributes", "vertex", "face", "vertices", (3, 4))


@dataclass(frozen=True, slots=True)
class LinkedInput:
    """One or several geometries as one.

    Parameters
    ----------
    positions : (N, D) array
        Vertices of all of them, one after another.
    links : (M, L) int64
        Rows of ``positions``.
    object_ids : (N,) or (G,) integers, optional
        Object of every vertex, or, where there are ``offsets``, of every member of the list.
    attributes, link_attributes : mapping, optional
        One row per vertex, and per link.
    offsets : (G + 1,) int64, optional
        Where the vertices of each member of a list start.
    """

    positions: AnyArray
    links: IntArray
    object_ids: Any
    attributes: Mapping[str, Any] | None
    link_attributes: Mapping[str, Any] | None
    offsets: IntArray | None = None


def join_linked(
    names: LinkedNames,
    vertices: Any,
    links: Any,
    object_ids: Any,
    attributes: Any = None,
    link_attributes: Any = None,
    axes: Any = None,
) -> LinkedInput:
    """Take one geometry as it is, or join lists of them whose links count within each.

    Parameters
    ----------
    names : LinkedNames
        What things are called.
    vertices : (N, D) array or list of (n_i, D) arrays
        Vertices of one geometry, or of every one.
    links : (M, L) array, or list of (m_i, L) arrays or one (G, M, L) array
        Rows of the geometry's own vertices.
    object_ids : integers, optional
        One per vertex; for a list one per member, ``0, 1, …`` by default.
    attributes, link_attributes : mapping, optional
        By name one array for everything or, for a list, a list with one array per member.
    axes : sequence, optional
        Axes that the user named.

    Raises
    ------
    ShapeError, ArgumentError
        When shapes do not fit, or a link names a vertex that is not there; names the link.
    """
    if not is_list_of_arrays(names.vertices, vertices):
        points = as_positions(names.vertices, vertices, axes=axes)
        require_same_rows("attributes", vertices, attributes, object_ids)
        made = as_rows(names, names.links, links, len(points))
        return LinkedInput(points, made, object_ids, attributes, link_attributes)
    parts = [as_positions(f"{names.vertices}[{i}]", part, axes=axes) for i, part in enumerate(vertices)]
    parts = as_first(f"{names.vertices}: array", vertices, parts)
    ndims = {part.shape[1] for part in parts}
    if len(ndims) > 1:
        raise ShapeError(f"{names.vertices}: the list has arrays of {sorted(ndims)} columns; all need the same number")
    given = parts_of(names.links, links, len(parts), names.whole, names.vertices)
    lists = [
        as_rows(names, f"{names.links}[{i}]", part, len(points))
        for i, (part, points) in enumerate(zip(given, parts, strict=True))
    ]
    widths = {part.shape[1] for part in lists if len(part)} or {names.widths[0]}
    if len(widths) > 1:
        raise ShapeError(
            f"{names.links}: the list has {names.link}s of {sorted(widths)} {names.several}; write each width to its "
            "own store"
        )
    offsets = offsets_of(np.array([len(part) for part in parts], np.int64))
    shifted = [part + start for part, start in zip(lists, offsets[:-1], strict=True) if len(part)]
    return LinkedInput(
        np.concatenate(parts),
        np.concatenate([np.zeros((0, *widths), np.int64), *shifted]),
        ids_of_parts(object_ids, len(parts), names.whole),
        join_parts("attributes", attributes, len(parts), names.whole),
        join_parts(names.link_attributes, link_attributes, len(parts), names.whole),
        offsets,
    )


def as_rows(names: LinkedNames, argument: str, links: Any, vertex_count: int) -> IntArray:
    """Return links as ``(M, L)`` int64 rows of vertices.

    Raises
    ------
    ShapeError
        When they have another number of vertices than they may have.
    ArgumentError
        When they are not whole numbers, or one names a vertex that is not there; names the link.
    """
    given = _unpadded(names, argument, _even_rows(names, argument, links))
    if given.size == 0 and given.ndim < 2:
        return np.zeros((0, names.widths[0]), np.int64)
    if given.ndim != 2 or given.shape[1] not in names.widths:
        shapes = " or ".join(f"(M, {width})" for width in names.widths)
        raise ShapeError(f"{argument}: expected an {shapes} array, got shape {given.shape}")
    given = parse_ids(argument, given)
    if given.size and (int(given.min()) < 0 or int(given.max()) >= vertex_count):
        row = int(np.flatnonzero(((given < 0) | (given >= vertex_count)).any(axis=1))[0])
        raise ArgumentError(
            f"{argument}: {names.link} {row} is {given[row].tolist()}, but there are {vertex_count} {names.several} "
            f"(rows 0 to {vertex_count - 1})"
        )
    return given


def _even_rows(names: LinkedNames, argument: str, links: Any) -> AnyArray:
    """Return links as an array; refuses rows of several lengths that a link may have each."""
    if isinstance(links, np.ma.MaskedArray) and len(names.widths) > 1 and links.dtype.kind == "i":
        return links.filled(_NO_VERTEX)
    try:
        return as_array(argument, links)
    except ShapeError:
        rows = [row if np.ndim(row[:1]) == 1 else () for row in links if isinstance(row, (list, tuple, np.ndarray))]
        lengths = np.array([len(row) for row in rows], np.int64)
        if len(rows) < len(links) or not np.isin(lengths, names.widths).all():
            raise
        raise _uneven(names, argument, lengths) from None


def _unpadded(names: LinkedNames, argument: str, given: AnyArray) -> AnyArray:
    """Return links without columns that are -1 in all of them; refuses those that are so in some."""
    shortest = min(names.widths)
    if given.ndim != 2 or given.shape[1] not in names.widths[1:] or given.dtype.kind not in "if":
        return given
    padded = np.asarray((given[:, shortest:] == _NO_VERTEX).all(axis=1))
    if len(given) and padded.all():
        return given[:, :shortest]
    if padded.any():
        raise _uneven(names, argument, np.where(padded, shortest, given.shape[1]))
    return given


def _uneven(names: LinkedNames, argument: str, lengths: IntArray) -> ShapeError:
    widths = [(width, int((lengths == width).sum())) for width in np.unique(lengths).tolist()]
    counts = " and ".join(f"{count} of {width} vertices" for width, count in widths)
    return ShapeError(
        f"{argument}: {counts}; the {names.link}s of a store have the same number of them: cut every quad [a, b, c, d] "
        "into the triangles [a, b, c] and [a, c, d], or write each number to its own store"
    )
