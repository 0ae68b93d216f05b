"""Coarsening surfaces: vertices cluster by object and coarse bin, and faces follow them.

Bins are absolute, so that vertices on both sides of a chunk face join the same metavertex and no crack opens
there. A face that loses an edge is dropped, and faces that come to lie on each other with opposite winding cancel:
both keep the boundary of the surface as it was, so that a closed surface stays closed (every edge belongs to an
even number of faces, and where the source is wound consistently, equally often in both directions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Links
from zarr_vectors.model.links import LinkTable
from zarr_vectors.multiresolution.aggregation import Merging, merge_columns
from zarr_vectors.multiresolution.linked import coarsen_linked
from zarr_vectors.multiresolution.points import Coarsened, Recipe
from zarr_vectors.ordering import stable_order
from zarr_vectors.read.level import LevelReader
from zarr_vectors.typing import BoolArray, IntArray

SIMPLEX_KEY = "face_shape"
TETRAHEDRON = "tetrahedron"
_ABSENT = np.iinfo(np.int64).max


def coarsen_faces(level: LevelReader, recipe: Recipe) -> Coarsened:
    """Make the metavertices and faces of every level from the vertices and faces of level 0.

    Metavertices are the centroids of what joins them, those that no face names any more included. Faces keep
    their winding and come in the order of the faces they stem from.
    """
    described = level.root.extra.get("mesh")
    solid = isinstance(described, dict) and described.get(SIMPLEX_KEY) == TETRAHEDRON

    def contract(rows: IntArray, table: LinkTable) -> Links:
        cyclic = rows.shape[1] == 4 and not solid
        faces, columns = contract_faces(rows, table.attributes, recipe.link_modes, cyclic=cyclic)
        return Links(faces, columns, table.directed, table.store)

    return coarsen_linked(level, recipe, contract)


def contract_faces(
    faces: IntArray, attributes: Mapping[str, Column], modes: Mapping[str, str], *, cyclic: bool = False
) -> tuple[IntArray, dict[str, Column]]:
    """Return what is left of faces whose vertices merged.

    Parameters
    ----------
    faces : (M, L) int64
        Metavertices of every face; -1 where a vertex is gone, and the face with it.
    attributes : mapping of str to Column
        One row per face.
    modes : mapping of str to str
        Aggregation of every attribute over faces that merge.
    cyclic : bool
        Whether faces are polygons of four vertices, of which a triangle may be left (its last vertex then stands
        twice); otherwise they are triangles or tetrahedra.

    Returns
    -------
    faces : (m, L) int64
        Faces that are left. Of those with the same vertices, one for each that no opposite one cancels.
    attributes : dict of str to Column
        Aggregated over the faces of the same vertices and winding.
    """
    shapes = _cycles(faces) if cyclic else _simplices(faces)
    order = stable_order([*shapes.keys.T])
    keys, signs = shapes.keys[order], shapes.signs[order]
    heads = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(axis=1))) if len(order) else np.zeros(0, int)
    sizes = np.diff(np.append(heads, len(order)))
    net = np.add.reduceat(signs, heads) if len(heads) else np.zeros(0, np.int64)
    group = np.repeat(np.arange(len(heads)), sizes)
    lasting = (signs == np.sign(net)[group]) & (net[group] != 0)
    order, group = order[lasting], group[lasting]
    starts = np.flatnonzero(np.append(True, group[1:] != group[:-1])) if len(group) else np.zeros(0, np.int64)
    counts = np.diff(np.append(starts, len(group)))
    rank = np.arange(len(group)) - np.repeat(starts, counts)
    chosen = np.flatnonzero(rank < np.abs(net)[group])
    chosen = chosen[np.argsort(order[chosen], kind="stable")]
    merging = Merging(starts, counts, np.arange(len(starts)), len(starts))
    merged_of = np.repeat(np.arange(len(starts)), counts)[chosen]
    source = shapes.rows[order]
    columns = merge_columns(attributes, merging, modes, lambda column: column.take(source))
    return shapes.faces[order[chosen]], {name: column.take(merged_of) for name, column in columns.items()}


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Faces that are still faces.

    Parameters
    ----------
    rows : (n,) int64
        Which faces of the input they are.
    faces : (n, L) int64
        Their vertices in order.
    keys : (n, L) int64
        The same for faces of the same vertices, whatever their winding.
    signs : (n,) int64
        1 or -1, opposite for opposite windings.
    """

    rows: IntArray
    faces: IntArray
    keys: IntArray
    signs: IntArray


def _simplices(faces: IntArray) -> _Shapes:
    """Keep triangles and tetrahedra of distinct vertices; their winding is the parity of their order."""
    width = faces.shape[1]
    alive: BoolArray = np.asarray((faces >= 0).all(axis=1))
    odd = np.zeros(len(faces), bool)
    for first in range(width):
        for second in range(first + 1, width):
            alive &= faces[:, first] != faces[:, second]
            odd ^= faces[:, first] > faces[:, second]
    rows = np.flatnonzero(alive)
    kept = faces[rows]
    return _Shapes(rows, kept, np.sort(kept, axis=1), np.where(odd[rows], -1, 1))


def _cycles(faces: IntArray) -> _Shapes:
    """Keep quads that are quads or triangles still, the latter with their last vertex twice."""
    same_as_next = faces == np.roll(faces, -1, axis=1)
    folded = (faces[:, 0] == faces[:, 2]) | (faces[:, 1] == faces[:, 3])
    alive = (faces >= 0).all(axis=1) & ~folded & (same_as_next.sum(axis=1) <= 1)
    rows = np.flatnonzero(alive)
    kept, same = faces[rows], same_as_next[rows]
    triangle = same.any(axis=1)
    turn = np.where(triangle, same.argmax(axis=1) - 2, 0)
    kept = np.take_along_axis(kept, (np.arange(4) + turn[:, None]) % 4, axis=1)
    corners = np.where(triangle, 3, 4)
    lowest = kept.argmin(axis=1)
    lowest = np.where(triangle & (lowest == 3), 2, lowest)
    pick = np.arange(len(kept))
    after = kept[pick, (lowest + 1) % corners]
    before = kept[pick, (lowest - 1) % corners]
    across = np.where(triangle, _ABSENT, kept[pick, (lowest + 2) % corners])
    keys = np.stack([kept[pick, lowest], np.minimum(after, before), np.maximum(after, before), across], axis=1)
    return _Shapes(rows, kept, keys, np.where(after < before, 1, -1))
