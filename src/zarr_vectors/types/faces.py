"""Users' faces: one mesh or many, joined, checked and described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.ordering import offsets_of
from zarr_vectors.types.parts import ids_of_parts, is_list_of_arrays, join_parts, parts_of
from zarr_vectors.types.positions import as_array, as_positions
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

DEGENERATE_CHOICES = ("raise", "drop", "keep")
WINDING_ORDERS = ("ccw", "cw")
FACE_WIDTHS = (3, 4)
FACE_SHAPES = {3: ("triangle",), 4: ("quad", "tetrahedron")}


@dataclass(frozen=True, slots=True)
class Joined:
    """One or several meshes as one.

    Parameters
    ----------
    vertices : (N, D) array
        Vertices of all meshes, one after another.
    faces : (M, L) int64
        Rows of ``vertices``.
    object_ids : (N,) or (G,) integers, optional
        Object of every vertex, or, where there are ``offsets``, of every mesh.
    attributes, face_attributes : mapping, optional
        One row per vertex, and per face.
    offsets : (G + 1,) int64, optional
        Where the vertices of each mesh of a list start.
    """

    vertices: AnyArray
    faces: IntArray
    object_ids: Any
    attributes: Mapping[str, Any] | None
    face_attributes: Mapping[str, Any] | None
    offsets: IntArray | None = None


def join_meshes(
    vertices: Any, faces: Any, object_ids: Any, attributes: Any = None, face_attributes: Any = None
) -> Joined:
    """Take one mesh as it is, or join lists of meshes whose faces count within each mesh.

    Parameters
    ----------
    vertices : (N, D) array or list of (n_i, D) arrays
        Vertices of one mesh, or of every mesh.
    faces : (M, L) array, or list of (m_i, L) arrays or one (G, M, L) array
        Rows of the mesh's own vertices.
    object_ids : integers, optional
        One per vertex; for a list one per mesh, ``0, 1, …`` by default.
    attributes, face_attributes : mapping, optional
        By name one array for everything or, for a list, a list with one array per mesh.

    Raises
    ------
    ShapeError, ArgumentError
        When shapes do not fit, or a face names a vertex that is not there; names the face.
    """
    if not is_list_of_arrays("vertices", vertices):
        points = as_positions("vertices", vertices)
        made = as_faces("faces", faces, len(points))
        return Joined(points, made, object_ids, attributes, face_attributes)
    parts = [as_positions(f"vertices[{i}]", part) for i, part in enumerate(vertices)]
    ndims = {part.shape[1] for part in parts}
    if len(ndims) > 1:
        raise ShapeError(f"vertices: meshes have {sorted(ndims)} columns; all need the same number")
    faces = parts_of("faces", faces, len(parts), "mesh", "vertices")
    lists = [
        as_faces(f"faces[{i}]", part, len(points)) for i, (part, points) in enumerate(zip(faces, parts, strict=True))
    ]
    widths = {part.shape[1] for part in lists if len(part)}
    if len(widths) > 1:
        raise ShapeError(f"faces: meshes have faces of {sorted(widths)} vertices; write each width to its own store")
    width = widths.pop() if widths else 3
    counts = [len(part) for part in parts]
    first = np.cumsum(counts) - counts
    shifted = [part + start for part, start in zip(lists, first, strict=True) if len(part)]
    return Joined(
        np.concatenate(parts),
        np.concatenate([np.zeros((0, width), np.int64), *shifted]),
        ids_of_parts(object_ids, len(parts), "mesh"),
        join_parts("attributes", attributes, len(parts), "mesh"),
        join_parts("face_attributes", face_attributes, len(parts), "mesh"),
        offsets_of(np.array(counts, np.int64)),
    )


def as_faces(argument: str, faces: Any, vertex_count: int) -> IntArray:
    """Return faces as ``(M, L)`` int64 rows of vertices.

    Raises
    ------
    ShapeError
        When they are not triangles or faces of four vertices.
    ArgumentError
        When they are not whole numbers, or one names a vertex that is not there; names the face.
    """
    given = as_array(argument, faces)
    if given.size == 0 and given.ndim < 2:
        return np.zeros((0, 3), np.int64)
    if given.ndim != 2 or given.shape[1] not in FACE_WIDTHS:
        raise ShapeError(f"{argument}: expected an (M, 3) or (M, 4) array, got shape {given.shape}")
    if given.dtype.kind not in "iu" and given.size:
        raise ArgumentError(f"{argument}: expected whole numbers, got dtype {given.dtype}")
    if given.size and (int(given.min()) < 0 or int(given.max()) >= vertex_count):
        row = int(np.flatnonzero(((given < 0) | (given >= vertex_count)).any(axis=1))[0])
        raise ArgumentError(
            f"{argument}: face {row} is {given[row].tolist()}, but there are {vertex_count} vertices "
            f"(rows 0 to {vertex_count - 1})"
        )
    return given.astype(np.int64, copy=False)


def settle_degenerate(faces: IntArray, choice: str) -> BoolArray | None:
    """Say which faces stay, by what is to happen to those that name a vertex twice; None: all.

    Raises
    ------
    ArgumentError
        Under ``"raise"``; names how many there are and the first.
    """
    if choice not in DEGENERATE_CHOICES:
        raise ArgumentError(f"degenerate_faces: expected one of {', '.join(DEGENERATE_CHOICES)}, got {choice!r}")
    if choice == "keep":
        return None
    bad = degenerate(faces)
    if not bad.any():
        return None
    if choice == "raise":
        row = int(np.flatnonzero(bad)[0])
        raise ArgumentError(
            f"faces: {int(bad.sum())} of {len(faces)} name a vertex more than once; face {row} is "
            f"{faces[row].tolist()}. Pass degenerate_faces='drop' to leave them out or 'keep' to store them"
        )
    return ~bad


def degenerate(faces: IntArray) -> BoolArray:
    """Return which faces name a vertex more than once."""
    bad = np.zeros(len(faces), bool)
    for first in range(faces.shape[1]):
        for second in range(first + 1, faces.shape[1]):
            bad |= faces[:, first] == faces[:, second]
    return bad


def edge_uses(faces: IntArray) -> tuple[IntArray, IntArray]:
    """Return the distinct edges ``(E, 2)`` of polygons, lower vertex first, and how many faces use each."""
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    ends.sort(axis=1)
    if len(ends) == 0:
        return ends, np.zeros(0, np.int64)
    span = int(ends.max()) + 1
    keys, uses = np.unique(ends[:, 0] * span + ends[:, 1], return_counts=True)
    return np.stack([keys // span, keys % span], axis=1), uses


def settle_shape(face_shape: str | None, width: int) -> str:
    """Return what faces of some number of vertices are.

    Raises
    ------
    ArgumentError
        When they cannot be what was asked for.
    """
    shapes = FACE_SHAPES[width]
    if face_shape is None:
        return shapes[0]
    if face_shape not in shapes:
        raise ArgumentError(f"face_shape: faces of {width} vertices are {' or '.join(shapes)}, got {face_shape!r}")
    return face_shape


def require_closed(faces: IntArray, face_shape: str) -> None:
    """Refuse a surface with an edge that is not shared by exactly two faces.

    Raises
    ------
    ArgumentError
        Naming how many edges are not, and the first; or when faces are tetrahedra, which make no surface.
    """
    if face_shape == "tetrahedron":
        raise ArgumentError("closed_surface: tetrahedra fill a volume; only triangles and quads make a surface")
    edges, uses = edge_uses(faces)
    wrong = np.flatnonzero(uses != 2)
    if len(wrong):
        first = int(wrong[0])
        raise ArgumentError(
            f"closed_surface: {len(wrong)} of {len(edges)} edges are not shared by exactly two faces; the first "
            f"joins vertices {edges[first].tolist()} and has {int(uses[first])}. Pass closed_surface=None to write "
            "the mesh as it is"
        )


def require_winding(winding_order: str) -> None:
    """Refuse a winding order other than ``"ccw"`` and ``"cw"``."""
    if winding_order not in WINDING_ORDERS:
        raise ArgumentError(f"winding_order: expected 'ccw' or 'cw', got {winding_order!r}")
