"""LAS and LAZ files to arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass

from zarr_vectors.convert.las.file import open_las
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.types.results import Result
from zarr_vectors.typing import AnyArray, Document, FloatArray
from zarr_vectors.write.options import Progress

POINTS_A_CHUNK = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class LasPoints(Result):
    """The points of a LAS file; fields also answer to ``points["positions"]``.

    Attributes
    ----------
    positions : (N, 3) float64
        ``X * scale + offset`` on every axis, in the units of the file.
    attributes : dict of str to array
        Every other dimension: ``color`` ``(N, 3)`` for red, green and blue; booleans for fields of one bit;
        extra dimensions with their scale and offset applied.
    attribute_specs : dict of str to AttributeSpec
        Units, descriptions and channel names.
    crs : dict or None
        Coordinate reference system: ``name``, ``epsg``, ``wkt`` as far as the file states them.
    axis_units : dict of str to str
        Units of x, y and z where the file states them.
    header : dict
        The rest of the header, with its variable length records.
    """

    positions: FloatArray
    attributes: dict[str, AnyArray]
    attribute_specs: dict[str, AttributeSpec]
    crs: Document | None
    axis_units: dict[str, str]
    header: Document

    def __len__(self) -> int:
        return len(self.positions)


def read_las(path: str | os.PathLike[str], *, progress: Progress | None = None) -> LasPoints:
    """Read a LAS or LAZ file.

    Parameters
    ----------
    path : str or path
        The file.
    progress : callable, optional
        Called with ``(points read, points)``.

    Raises
    ------
    MissingExtraError
        When laspy is not installed.
    StoreNotFoundError
        When there is no file.
    ArrayError
        When the file is not LAS, or is damaged or truncated.
    """
    with open_las(path) as file:
        points = file.read(None, POINTS_A_CHUNK, progress)
        return LasPoints(
            points["positions"],
            points["attributes"],
            file.attribute_specs,
            file.crs,
            file.axis_units,
            file.document,
        )
