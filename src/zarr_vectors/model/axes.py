"""Axes: what column i of the positions measures (NGFF axes of the root's ``multiscales`` block)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from zarr_vectors.constants import DEFAULT_AXES_NAMES, VALID_AXIS_TYPES
from zarr_vectors.exceptions import ArgumentError, MetadataError
from zarr_vectors.typing import Document

AxisType: TypeAlias = Literal["space", "time", "channel"]


@dataclass(frozen=True, slots=True)
class NgffAxis:
    """One axis, as OME-Zarr (NGFF 0.4) describes it.

    Parameters
    ----------
    name : str
        Unique name, for example ``"x"``.
    type : {"space", "time", "channel"}
        What the axis measures.
    unit : str, optional
        UDUNITS-2 name such as ``"micrometer"``; None when not stated.
    """

    name: str
    type: str = "space"
    unit: str | None = None

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise MetadataError(f"axis name must be a non-empty string, got {self.name!r}")
        if self.type not in VALID_AXIS_TYPES:
            raise MetadataError(f"axis {self.name!r}: type must be one of {VALID_AXIS_TYPES}, got {self.type!r}")

    def document(self) -> Document:
        """Return the axis as a JSON object."""
        document: Document = {"name": self.name, "type": self.type}
        if self.unit is not None:
            document["unit"] = self.unit
        return document


AxesLike: TypeAlias = Sequence[NgffAxis | Mapping[str, Any] | str]
UnitsLike: TypeAlias = str | Sequence[str | None] | Mapping[str, str]


def default_axes(ndim: int) -> tuple[NgffAxis, ...]:
    """Return space axes x, y, z, w (then ``axis4``, …) for ``ndim`` dimensions."""
    names = [*DEFAULT_AXES_NAMES, *(f"axis{d}" for d in range(len(DEFAULT_AXES_NAMES), ndim))]
    return tuple(NgffAxis(name) for name in names[:ndim])


def make_axes(ndim: int, axes: AxesLike | None = None, units: UnitsLike | None = None) -> tuple[NgffAxis, ...]:
    """Build the axes of ``ndim`` dimensions from what a user gave.

    Parameters
    ----------
    ndim : int
        Number of columns of the positions.
    axes : sequence of NgffAxis, mapping or str, optional
        One per column; names such as ``"t"`` or ``"time"`` alone mean a time axis.
    units : str, sequence or mapping, optional
        One unit for every space axis, or one per axis, or ``{axis name: unit}``.

    Raises
    ------
    ArgumentError
        When the number of axes or units differs from ``ndim``, or names repeat.
    """
    if axes is not None and (isinstance(axes, (bytes, Mapping)) or not isinstance(axes, Iterable)):
        raise ArgumentError(f"axes: expected one axis per column, each a name, mapping or NgffAxis, got {axes!r}")
    made = default_axes(ndim) if axes is None else tuple(_axis(axis) for axis in axes)
    if len(made) != ndim:
        raise ArgumentError(f"axes: {len(made)} given, but the positions have {ndim} columns")
    if len({axis.name for axis in made}) != ndim:
        raise ArgumentError(f"axes: names must differ, got {[axis.name for axis in made]}")
    if units is None:
        return made
    given = _units(made, units)
    wrong = [unit for unit in given if unit is not None and not isinstance(unit, str)]
    if wrong:
        raise ArgumentError(f"axis_units: a unit is a text such as 'micrometer', got {wrong[0]!r}")
    return tuple(
        NgffAxis(axis.name, axis.type, unit if unit is not None else axis.unit)
        for axis, unit in zip(made, given, strict=True)
    )


def _axis(axis: NgffAxis | Mapping[str, Any] | str) -> NgffAxis:
    if isinstance(axis, NgffAxis):
        return axis
    if isinstance(axis, str):
        return NgffAxis(axis, "time" if axis in ("t", "time") else "space")
    if isinstance(axis, Mapping) and "name" in axis:
        return NgffAxis(axis["name"], axis.get("type", "space"), axis.get("unit"))
    raise ArgumentError(f"axes: expected NgffAxis, a name or a mapping with 'name', got {axis!r}")


def _units(axes: tuple[NgffAxis, ...], units: UnitsLike) -> Sequence[str | None]:
    if isinstance(units, str):
        return [units if axis.type == "space" else None for axis in axes]
    if not isinstance(units, Iterable) or isinstance(units, bytes):
        raise ArgumentError(f"axis_units: expected a unit, one per axis, or a mapping of names to units, got {units!r}")
    if isinstance(units, Mapping):
        unknown = set(units) - {axis.name for axis in axes}
        if unknown:
            raise ArgumentError(f"axis_units: no axis named {sorted(unknown)}; axes are {[a.name for a in axes]}")
        return [units.get(axis.name) for axis in axes]
    listed = list(units)
    if len(listed) != len(axes):
        raise ArgumentError(f"axis_units: {len(listed)} given for {len(axes)} axes")
    return listed
