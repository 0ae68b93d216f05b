"""Parametric objects: shapes that a few coefficients describe, without vertices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Groups
from zarr_vectors.typing import Document, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class ParametricTypeDef:
    """One type of parametric object.

    Parameters
    ----------
    type_id : int
        Number by which rows of objects name the type.
    name : str
        For example ``"plane"``.
    coefficients : sequence of str
        Names of the coefficients, in the order in which rows hold them.
    """

    type_id: int
    name: str
    coefficients: Sequence[str]

    def __post_init__(self) -> None:
        if isinstance(self.type_id, bool) or not isinstance(self.type_id, int) or self.type_id < 0:
            raise ArgumentError(f"type_id: expected a whole number from 0, got {self.type_id!r}")
        if not isinstance(self.name, str) or not self.name:
            raise ArgumentError(f"name: expected the name of the type, got {self.name!r}")
        if isinstance(self.coefficients, str) or not all(isinstance(c, str) for c in self.coefficients):
            raise ArgumentError(f"coefficients: expected a sequence of names, got {self.coefficients!r}")
        object.__setattr__(self, "coefficients", list(self.coefficients))

    def document(self) -> Document:
        """Return the definition as a JSON object."""
        return {"name": self.name, "coefficients": list(self.coefficients)}


PLANE: Final = ParametricTypeDef(0, "plane", ("A", "B", "C", "D"))
"""``A x + B y + C z + D = 0``."""

LINE: Final = ParametricTypeDef(1, "line", ("x0", "y0", "z0", "dx", "dy", "dz"))
"""A point of the line and its direction."""

SPHERE: Final = ParametricTypeDef(2, "sphere", ("cx", "cy", "cz", "r"))
"""Centre and radius."""

ELLIPSOID: Final = ParametricTypeDef(3, "ellipsoid", ("cx", "cy", "cz", "rx", "ry", "rz", "qw", "qx", "qy", "qz"))
"""Centre, semi-axes, and the unit quaternion that turns the coordinate axes into those of the ellipsoid."""

FORMAT_TYPES: Final = (PLANE, LINE, SPHERE)
"""The types that the format itself knows (Zarr Vectors specification, parametric objects)."""

KNOWN_TYPES: Final = (*FORMAT_TYPES, ELLIPSOID)


@dataclass(frozen=True, slots=True)
class ParametricTable:
    """The parametric objects of a store; an object's id is its row.

    Parameters
    ----------
    types : tuple of ParametricTypeDef
        Every type that rows may name, by ascending id.
    type_ids : (n,) int64
        Type of every object.
    coefficients : (n, K) float64
        Coefficients in the order of the type, zeros behind them; K is that of the longest type in use.
    names : tuple of str, optional
        Name of every object.
    attributes : mapping of str to Column
        One row per object.
    groups : Groups, optional
        Sets of objects.
    """

    types: tuple[ParametricTypeDef, ...]
    type_ids: IntArray
    coefficients: FloatArray
    names: tuple[str, ...] | None = None
    attributes: Mapping[str, Column] = field(default_factory=dict)
    groups: Groups | None = None

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.type_ids)

    def lengths(self) -> IntArray:
        """Return how many coefficients every object has, ``(n,)``."""
        ids = np.array([one.type_id for one in self.types], np.int64)
        lengths = np.array([len(one.coefficients) for one in self.types], np.int64)
        if len(ids) == 0 or self.count == 0:
            return np.zeros(self.count, np.int64)
        return lengths[np.searchsorted(ids, self.type_ids)]
