"""Points of a store to LAS and LAZ files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.constants import ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.convert.las.dimensions import COLOUR, COORDINATES, Dimension, list_dimensions
from zarr_vectors.convert.las.header import METADATA_KEY, make_header
from zarr_vectors.exceptions import ArgumentError, UnsupportedFeatureError
from zarr_vectors.extras import require
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.points import PointsResult, read_points
from zarr_vectors.typing import AnyArray, Document, FloatArray
from zarr_vectors.write.options import Progress

POINTS_A_CHUNK = 1_000_000
PLAIN_FORMAT = {"version": "1.4", "point_format": 7}
"""Version and point format for stores that do not come from a LAS file: GPS time and colour."""
FINEST_SCALE = 1e-3
_SUFFIXES = (".las", ".laz")


@dataclass(frozen=True, slots=True)
class LasSummary:
    """What ``export_las`` wrote.

    Attributes
    ----------
    point_count : int
        Points of the file.
    point_format : int
        Point data record format.
    extra_dimensions : tuple of str
        Names of the dimensions beyond those of the format.
    """

    point_count: int
    point_format: int
    extra_dimensions: tuple[str, ...]


def export_las(
    source: Any,
    target: str | os.PathLike[str],
    *,
    level: int = 0,
    bbox: Any = None,
    attributes: Sequence[str] | None = None,
    scale: float | Sequence[float] | None = None,
    progress: Progress | None = None,
) -> LasSummary:
    """Write points of a store to a LAS file, or to a LAZ file where the name ends so.

    A store that ``ingest_las`` made gets its header, point format, scales and records back, so that the file
    holds the same numbers as the one it came from; the points are in the original order where the store was
    made with ``keep_order=True``. Attributes that the point format has no place for become extra dimensions;
    one whose name is taken by a dimension that cannot keep its values is called ``<name>_stored``.

    Parameters
    ----------
    source : str, path, zarr Store or Group
        A store of points with three axes.
    target : str or path
        The file; replaced once the new one is complete.
    level : int
        Resolution level.
    bbox : pair of 3 numbers, optional
        Only points in the half-open box.
    attributes : sequence of str, optional
        Attributes to write; all by default.
    scale : number or 3 numbers, optional
        Resolution of the stored coordinates; by default that of the original file, else 0.001 or the finest
        that the extent allows.
    progress : callable, optional
        Called with ``(points written, points)``.

    Raises
    ------
    MissingExtraError
        When laspy is not installed.
    ArgumentError
        When the points do not have three axes, the target is named otherwise, or coordinates do not fit into
        32 bits at the scale.
    UnsupportedFeatureError
        For an attribute that LAS cannot hold (texts, dates); names it.
    """
    laspy = require("laspy", "las", "LAS files")
    place = Path(target)
    if place.suffix.lower() not in _SUFFIXES:
        raise ArgumentError(f"target: expected a name that ends in .las or .laz, got {os.fspath(target)!r}")
    store = open_reader(source)
    if store.root.ndim != 3:
        raise ArgumentError(f"{store.storage.url}: LAS points have three axes, the store has {store.root.ndim}")
    ordered = ORIGINAL_INDEX_ATTRIBUTE in store.level(level).arrays.vertex_attributes
    points = read_points(store, level=level, bbox=bbox, attributes=attributes, restore_order=ordered)
    columns = {name: values for name, values in points.attributes.items() if name != ORIGINAL_INDEX_ATTRIBUTE}
    origin = (store.attributes.get("user_metadata") or {}).get(METADATA_KEY) or {}
    document = _document(origin, points, columns, scale)
    header = make_header(document)
    pairs = _pairs(list_dimensions(header.point_format), document, columns)
    temporary = place.with_name(f".{place.stem}-{os.getpid()}{place.suffix.lower()}")
    try:
        with laspy.open(temporary, mode="w", header=header) as writer:
            _write_points(laspy, writer, header, points.positions, pairs, progress)
            if header.evlrs:
                writer.write_evlrs(header.evlrs)
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    extra = tuple(dimension["name"] for dimension in document["extra_dimensions"])
    return LasSummary(len(points), int(document["point_format"]), extra)


def _document(
    origin: Document,
    points: PointsResult,
    columns: dict[str, AnyArray],
    scale: float | Sequence[float] | None,
) -> Document:
    """Return the header's document: that of the original file, with what the columns need added."""
    document: Document = {**PLAIN_FORMAT, **origin}
    if scale is not None or "scales" not in document:
        document |= _quantisation(points.positions, scale)
    everything = {dim.attribute: dim for dim in list_dimensions(make_header(document).point_format)}
    placed = {name for name, values in columns.items() if name in everything and everything[name].holds(values)}
    kept = [extra for extra in document.get("extra_dimensions", []) if extra["attribute"] in placed]
    added = [
        _extra_dimension(name, f"{name}_stored" if name in everything else name, values)
        for name, values in columns.items()
        if name not in placed
    ]
    document["extra_dimensions"] = kept + added
    return document


def _quantisation(positions: FloatArray, scale: float | Sequence[float] | None) -> Document:
    """Return scales and offsets with which coordinates fit into signed 32-bit numbers."""
    if len(positions) == 0:
        return {"scales": [FINEST_SCALE] * 3, "offsets": [0.0] * 3}
    low, high = positions.min(axis=0).astype(np.float64), positions.max(axis=0).astype(np.float64)
    if scale is None:
        needed = np.maximum((high - low) / np.iinfo(np.int32).max, np.finfo(np.float64).tiny)
        scales = [max(FINEST_SCALE, 10.0 ** math.ceil(math.log10(float(size)))) for size in needed]
    else:
        scales = np.broadcast_to(np.asarray(scale, np.float64), 3).tolist()
    return {"scales": scales, "offsets": np.floor(low).tolist()}


def _extra_dimension(attribute: str, name: str, values: AnyArray) -> Document:
    """Describe a dimension for an attribute that LAS does not know; table 24 of LAS 1.4 R15 has the types."""
    kind = np.dtype(np.uint8) if values.dtype.kind == "b" else values.dtype
    if kind.kind not in "iuf" or kind.itemsize > 8 or kind == np.float16:
        raise UnsupportedFeatureError(
            f"attribute {attribute!r} of {values.dtype} has no place in LAS, which holds numbers of "
            "8 to 64 bits; leave it out of attributes="
        )
    if len(name.encode()) > 32:
        raise UnsupportedFeatureError(f"attribute {attribute!r}: names of LAS dimensions have at most 32 bytes")
    elements = 1 if values.ndim == 1 else values.shape[1]
    return {
        "attribute": attribute,
        "name": name,
        "type": kind.str.lstrip("<>=|"),
        "elements": elements,
        "description": "",
    }


def _pairs(
    dimensions: list[Dimension], document: Document, columns: dict[str, AnyArray]
) -> list[tuple[Dimension, AnyArray]]:
    """Match the dimensions of the file with the columns."""
    extras = {extra["name"]: extra["attribute"] for extra in document["extra_dimensions"]}
    taken = set(extras.values())
    pairs = []
    for dimension in dimensions:
        if dimension.raw is not None:
            pairs.append((dimension, columns[extras[dimension.sources[0]]]))
        elif dimension.attribute in columns and dimension.attribute not in taken:
            pairs.append((dimension, columns[dimension.attribute]))
    return pairs


def _write_points(
    laspy: Any,
    writer: Any,
    header: Any,
    positions: FloatArray,
    pairs: list[tuple[Dimension, AnyArray]],
    progress: Progress | None,
) -> None:
    count = len(positions)
    for start in range(0, count, POINTS_A_CHUNK):
        rows = slice(start, min(start + POINTS_A_CHUNK, count))
        record = laspy.ScaleAwarePointRecord.zeros(rows.stop - start, header=header)
        for d, name in enumerate(COORDINATES):
            record.array[name] = _quantised(positions[rows, d], header.scales[d], header.offsets[d], f"axis {name}")
        for dimension, values in pairs:
            _fill(record, dimension, values[rows])
        writer.write_points(record)
        if progress is not None:
            progress(rows.stop, count)


def _fill(record: Any, dimension: Dimension, values: AnyArray) -> None:
    if dimension.sources == COLOUR:
        for channel, name in enumerate(COLOUR):
            record[name] = values[:, channel]
    elif dimension.raw is None:
        record[dimension.sources[0]] = values.astype(np.uint8) if values.dtype.kind == "b" else values
    elif dimension.scales is None or dimension.offsets is None:
        record.array[dimension.sources[0]] = values
    else:
        scales = dimension.scales if values.ndim == 2 else dimension.scales[0]
        offsets = dimension.offsets if values.ndim == 2 else dimension.offsets[0]
        record.array[dimension.sources[0]] = np.rint((values - offsets) / scales)


def _quantised(values: FloatArray, scale: float, offset: float, what: str) -> AnyArray:
    """Return ``round((value - offset) / scale)``, the inverse of how LAS coordinates are read."""
    raw = np.rint((values.astype(np.float64) - offset) / scale)
    limits = np.iinfo(np.int32)
    if len(raw) and not (limits.min <= raw.min() and raw.max() <= limits.max):
        raise ArgumentError(
            f"{what}: coordinates from {values.min()} to {values.max()} do not fit into 32 bits at scale {scale} "
            f"and offset {offset}; pass a coarser scale="
        )
    return raw.astype(np.int32)
