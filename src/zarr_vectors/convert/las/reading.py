"""LAS and LAZ files to arrays, and to stores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.convert.las.dimensions import Dimension, list_dimensions
from zarr_vectors.convert.las.header import METADATA_KEY, header_document
from zarr_vectors.convert.las.reference import read_reference
from zarr_vectors.exceptions import ArrayError, StoreNotFoundError, UnknownNameError
from zarr_vectors.extras import require
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.types.points import PointsSummary, write_points
from zarr_vectors.types.results import Result
from zarr_vectors.typing import AnyArray, Document, FloatArray
from zarr_vectors.write.options import Progress

POINTS_A_CHUNK = 1_000_000
AXIS_NAMES = ("x", "y", "z")


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
    laspy = require("laspy", "las", "LAS files")
    if not Path(path).is_file():
        raise StoreNotFoundError(f"{os.fspath(path)}: there is no such file")
    try:
        with laspy.open(path) as reader:
            return _read_points(reader, os.fspath(path), progress)
    except (laspy.errors.LaspyException, ValueError, EOFError, RuntimeError) as error:
        if isinstance(error, ArrayError):
            raise
        raise ArrayError(f"{os.fspath(path)}: cannot be read as LAS: {error}") from error


def _read_points(reader: Any, name: str, progress: Progress | None) -> LasPoints:
    header = reader.header
    count = int(header.point_count)
    dimensions = list_dimensions(header.point_format)
    positions = np.empty((count, 3), np.float64)
    attributes = {dim.attribute: np.empty(_shape(dim, count), dim.dtype) for dim in dimensions}
    scales, offsets = np.asarray(header.scales, np.float64), np.asarray(header.offsets, np.float64)
    done = 0
    for points in reader.chunk_iterator(POINTS_A_CHUNK) if count else ():
        rows = slice(done, done + len(points))
        for d, coordinate in enumerate(("X", "Y", "Z")):
            positions[rows, d] = np.asarray(points[coordinate]) * scales[d] + offsets[d]
        for dim in dimensions:
            attributes[dim.attribute][rows] = dim.values(points)
        done += len(points)
        if progress is not None:
            progress(done, count)
    if done != count:
        raise ArrayError(f"{name}: the header promises {count} points, the file holds {done}")
    reference = read_reference([*(header.vlrs or []), *(header.evlrs or [])])
    return LasPoints(
        positions,
        attributes,
        {dim.attribute: dim.spec for dim in dimensions},
        reference.crs,
        {axis: unit for axis, unit in zip(AXIS_NAMES, reference.units, strict=True) if unit is not None},
        header_document(header, dimensions),
    )


def _shape(dimension: Dimension, count: int) -> tuple[int, ...]:
    return (count,) if dimension.channels is None else (count, dimension.channels)


def ingest_las(
    source: str | os.PathLike[str],
    target: Any,
    *,
    attributes: list[str] | None = None,
    axis_units: Any = None,
    attribute_specs: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    read_progress: Progress | None = None,
    **options: Any,
) -> PointsSummary:
    """Make a store of a LAS or LAZ file, with every dimension of its points.

    Parameters
    ----------
    source : str or path
        The file.
    target : str, path, zarr Store or Group
        Where to write.
    attributes : list of str, optional
        Attributes to keep; all by default.
    axis_units : str, sequence or mapping, optional
        Units of the axes; those that the file states by default.
    attribute_specs : mapping, optional
        ``unit``, ``description`` and ``channel_names`` by attribute, before those of the LAS specification.
    metadata : mapping, optional
        Your own metadata; the header of the file is kept beside it, under ``las``.
    read_progress : callable, optional
        Called with ``(points read, points)``; ``progress`` is called while the store is written.
    **options
        Of :func:`~zarr_vectors.types.points.write_points`. Positions are float64 unless ``dtype`` says
        otherwise, so that they are exact.

    Returns
    -------
    PointsSummary
        What was written.

    Raises
    ------
    MissingExtraError, StoreNotFoundError, ArrayError
        As :func:`read_las`.
    ArgumentError, StoreError
        As :func:`~zarr_vectors.types.points.write_points`.
    """
    points = read_las(source, progress=read_progress)
    kept = points.attributes
    if attributes is not None:
        kept = {name: _named(points, name, source) for name in attributes}
    options.setdefault("dtype", np.float64)
    options.setdefault("crs", points.crs)
    return write_points(
        target,
        points.positions,
        attributes=kept,
        attribute_specs={**{n: s for n, s in points.attribute_specs.items() if n in kept}, **(attribute_specs or {})},
        axis_units=points.axis_units if axis_units is None else axis_units,
        metadata={**(metadata or {}), METADATA_KEY: points.header},
        **options,
    )


def _named(points: LasPoints, name: str, source: Any) -> AnyArray:
    if name not in points.attributes:
        raise UnknownNameError(f"attributes: {os.fspath(source)} has no {name!r}; it has {sorted(points.attributes)}")
    return points.attributes[name]
