"""Elements: the neutral columns every geometry is made of, in the order of the user's input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.model.attributes import Column
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Groups:
    """Named or numbered sets of objects.

    Parameters
    ----------
    members : (K,) int64
        Object ids, group after group.
    offsets : (G + 1,) int64
        Where each group's members start.
    attributes : mapping of str to Column
        One row per group; column ``name`` holds the names.
    """

    members: IntArray
    offsets: IntArray
    attributes: Mapping[str, Column] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(self.offsets) - 1

    def of(self, group: int) -> IntArray:
        """Return the object ids of one group."""
        return self.members[self.offsets[group] : self.offsets[group + 1]]


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of a level: their ids, their attributes, and which vertices are theirs.

    Parameters
    ----------
    ids : (O,) int64
        Object ids, ascending and unique.
    of_vertex : (N,) int64
        For every vertex the *row* of its object in ``ids``.
    attributes : mapping of str to Column
        One row per object.
    """

    ids: IntArray
    of_vertex: IntArray
    attributes: Mapping[str, Column] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Links:
    """Links between vertices of one level.

    Parameters
    ----------
    rows : (M, L) int64
        Vertex rows of the endpoints.
    attributes : mapping of str to Column
        One row per link.
    directed : bool
        Whether the order of the endpoints carries meaning.
    store : {"canonical", "duplicate"}
        Whether a link is filed once, or once under every chunk that it touches.
    implied : bool
        Whether links from a row to the one before it in its fragment are left out of the store, since the order of
        rows implies them.
    """

    rows: IntArray
    attributes: Mapping[str, Column] = field(default_factory=dict)
    directed: bool = False
    store: str = "canonical"
    implied: bool = False

    @property
    def width(self) -> int:
        """Number of endpoints of a link."""
        return int(self.rows.shape[1])


@dataclass(frozen=True, slots=True)
class Elements:
    """Vertices, objects, groups and links as columns.

    Parameters
    ----------
    positions : (N, D) float
        Vertex positions in stored precision; column i is measured along axis i.
    attributes : mapping of str to Column
        One row per vertex.
    objects : Objects, optional
        None for geometry without identity.
    groups : Groups, optional
        Sets of objects.
    links : Links, optional
        Explicit connectivity.
    breaks : (N,) bool, optional
        Vertices that start a fragment of their own (roots of trees).
    """

    positions: FloatArray
    attributes: Mapping[str, Column] = field(default_factory=dict)
    objects: Objects | None = None
    groups: Groups | None = None
    links: Links | None = None
    breaks: BoolArray | None = None

    @property
    def count(self) -> int:
        """Number of vertices."""
        return len(self.positions)

    @property
    def ndim(self) -> int:
        """Number of columns of the positions."""
        return int(self.positions.shape[1])


def bounding_box(positions: FloatArray) -> tuple[AnyArray, AnyArray]:
    """Return the float64 corners ``(D,)`` and ``(D,)`` of the smallest box that holds the positions."""
    if len(positions) == 0:
        zeros = np.zeros(positions.shape[1])
        return zeros, zeros.copy()
    whole = len(positions) // _FOLD * _FOLD if positions.flags.c_contiguous else 0
    parts: list[list[FloatArray]] = [[], []]
    for start in range(0, whole, _BLOCK):  # both extremes of a block while it is in the cache
        rows = positions[start : min(start + _BLOCK, whole)].reshape(-1, _FOLD * positions.shape[1])
        for part, extreme in zip(parts, (np.minimum, np.maximum), strict=True):
            part.append(extreme.reduce(rows, axis=0).reshape(_FOLD, -1))
    corners = []
    for part, extreme in zip(parts, (np.minimum, np.maximum), strict=True):
        folded = np.concatenate([*part, positions[whole:]])
        corners.append(np.array([extreme.reduce(folded[:, d]) for d in range(folded.shape[1])], np.float64))
    return corners[0], corners[1]


_FOLD = 256
"""Rows that are reduced side by side, so that the inner loop is long."""
_BLOCK = _FOLD * 64
