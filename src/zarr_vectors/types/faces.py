"""Users' faces: degenerate ones, what they are called, and closed surfaces."""

from __future__ import annotations

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.typing import BoolArray, IntArray

DEGENERATE_CHOICES = ("raise", "drop", "keep")
WINDING_ORDERS = ("ccw", "cw")
FACE_SHAPES = {3: ("triangle",), 4: ("quad", "tetrahedron")}


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
