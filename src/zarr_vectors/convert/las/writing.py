"""Points of a store to LAS and LAZ files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.constants import ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.convert.headers import kept_metadata
from zarr_vectors.convert.las.dimensions import COLOUR, COORDINATES, Dimension
from zarr_vectors.convert.las.header import APPENDED_KEY, METADATA_KEY, WAVE_ATTRIBUTE, make_header
from zarr_vectors.convert.las.placing import Placed, place_columns
from zarr_vectors.convert.las.records import Record, write_behind
from zarr_vectors.convert.las.reference import state_crs
from zarr_vectors.convert.las.scaling import (
    Scaling,
    choose_scaling,
    given_scaling,
    measure_loss,
    parse_scale,
    scalings_of,
)
from zarr_vectors.convert.paths import as_path, whole_file
from zarr_vectors.exceptions import (
    ArgumentError,
    LossWarning,
    PrecisionWarning,
    StoreError,
    UnsupportedFeatureError,
)
from zarr_vectors.extras import require
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.types.points import read_points
from zarr_vectors.typing import AnyArray, Document, FloatArray
from zarr_vectors.write.options import Progress

POINTS_A_CHUNK = 1_000_000
PLAIN_FORMAT = {"version": "1.4", "point_format": 7}
"""Version and point format for stores that do not come from a LAS file: GPS time and colour."""
CHANNEL_ATTRIBUTE = "scanner_channel"
_EXTERNAL_WAVEFORMS = 4
"""Bit of the global encoding."""
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
    made with ``keep_order=True``. Of several files in one store the first gives the header. Every value is written
    exactly, else the export is refused:

    - Coordinates keep the scale of the file where it gives all of them back, else get one that does; where 32 bits
      allow none, the finest, with a ``PrecisionWarning`` where places fall together.
    - Classes and returns that an older point format has no bits for are written in the newer one that is like it.
    - Extra dimensions keep type and scale where those give the values back, else get a wider type, else that of the
      attribute: values that are no multiple of the scale, or NaN without a no-data value, make it a plain float.
    - Attributes that the point format has no place for become extra dimensions; one whose name is taken by a
      dimension that cannot keep its values is called ``<name>_stored``.

    What a LAS file cannot say (objects, groups, a reference system without well-known text, units without a
    reference system), a dimension that is left 0 for another, and waveforms in a file of their own are named by a
    ``LossWarning``.

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
        Resolution of the stored coordinates, in place of the one that keeps them; a ``PrecisionWarning`` says how far
        points move.
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
        For an attribute that LAS cannot hold (texts, dates), and for COPC files; names it.
    StoreError
        When the file cannot be written; what was there is there as before.
    """
    require("laspy", "las", "LAS files")
    place = _target(target)
    scales = parse_scale(scale)
    store = open_reader(source)
    if store.root.ndim != 3:
        raise ArgumentError(f"{store.storage.url}: LAS points have three axes, the store has {store.root.ndim}")
    ordered = ORIGINAL_INDEX_ATTRIBUTE in store.level(level).arrays.vertex_attributes
    points = read_points(store, level=level, bbox=bbox, attributes=attributes, restore_order=ordered)
    columns = {name: values for name, values in points.attributes.items() if name != ORIGINAL_INDEX_ATTRIBUTE}
    origin = kept_metadata(store, METADATA_KEY)
    files = [origin, *origin.get(APPENDED_KEY, [])]
    scaling = [_scaling(points.positions[:, axis], files, axis, scales) for axis in range(3)]
    document = {**PLAIN_FORMAT, **origin}
    document |= {"scales": [one.scale for one in scaling], "offsets": [one.offset for one in scaling]}
    document, lost = state_crs(document, store.root.crs, [axis.unit for axis in store.root.axes])
    placed = place_columns(document, columns, files)
    _refuse_lossy_laz(place, placed)
    _warn(place, store, placed, lost, has_objects=points.object_ids is not None)
    _warn_of_moves(points.positions, scaling, store, given=scales is not None)
    _write(place, placed, points.positions, scaling, progress)
    extra = tuple(dimension["name"] for dimension in placed.document["extra_dimensions"])
    return LasSummary(len(points), int(placed.document["point_format"]), extra)


def _target(target: str | os.PathLike[str]) -> Path:
    place = as_path("target", target)
    if place.suffix.lower() not in _SUFFIXES:
        raise ArgumentError(f"target: expected a name that ends in .las or .laz, got {os.fspath(target)!r}")
    if place.name.lower().endswith(".copc.laz"):
        raise UnsupportedFeatureError(
            f"target: {os.fspath(target)!r} names a COPC file, whose points lie in an octree: these are not written; "
            "end the name in .laz for a plain LAZ file"
        )
    return place


def _refuse_lossy_laz(place: Path, placed: Placed) -> None:
    """Refuse what lazrs 0.8.2 changes: it compresses the waveforms of a channel after those of another."""
    columns = {dimension.attribute: values for dimension, values in placed.pairs}
    channels = columns.get(CHANNEL_ATTRIBUTE, np.zeros(0))
    if place.suffix.lower() == ".laz" and WAVE_ATTRIBUTE in columns and len(np.unique(channels)) > 1:
        raise UnsupportedFeatureError(
            f"target: {place}: the waveforms of several scanner channels ({CHANNEL_ATTRIBUTE}) do not survive the "
            "compression of LAZ as it is written here; end the name in .las"
        )


def _scaling(values: FloatArray, files: Sequence[Document], axis: int, given: Sequence[float] | None) -> Scaling:
    return choose_scaling(values, scalings_of(files, axis)) if given is None else given_scaling(values, given[axis])


def _warn(place: Path, store: StoreReader, placed: Placed, lost: list[str], *, has_objects: bool) -> None:
    """Name what the file does not say."""
    lost = list(lost)
    if has_objects:
        lost.append("the object of every point, and groups of objects")
    lost += [
        f"values of {name!r}, which the dimension of that name cannot keep and leaves 0: they are in {extra!r}"
        for name, extra in placed.renamed.items()
    ]
    if placed.document.get("global_encoding", 0) & _EXTERNAL_WAVEFORMS and any(
        dimension.attribute == WAVE_ATTRIBUTE for dimension, _ in placed.pairs
    ):
        beside = Path(placed.document.get("file", "the original")).with_suffix(".wdp").name
        lost.append(f"the waveforms of its points, which are in {beside}: copy it to {place.with_suffix('.wdp').name}")
    if lost:
        warnings.warn(
            f"{place}: what the file does not hold of {store.storage.url}: {'; '.join(lost)}", LossWarning, stacklevel=3
        )


def _warn_of_moves(positions: FloatArray, scaling: Sequence[Scaling], store: StoreReader, *, given: bool) -> None:
    """Say how far coordinates move where that can be noticed."""
    said = []
    for axis, one, values in zip(store.root.axes, scaling, positions.T, strict=True):
        loss = measure_loss(values, one, f"axis {axis.name}")
        if loss is not None and (given or loss.noticeable):
            unit = f" {axis.unit}" if axis.unit else ""
            said.append(
                f"{axis.name} by up to {loss.moved:.3g}{unit} at scale {one.scale:g} ({loss.before:,} different "
                f"coordinates become {loss.after:,})"
            )
    if said:
        remedy = "leave out scale= to keep them" if given else "export parts of the space, which get finer scales"
        warnings.warn(f"points move: {', '.join(said)}; {remedy}", PrecisionWarning, stacklevel=3)


def _write(
    place: Path, placed: Placed, positions: FloatArray, scaling: Sequence[Scaling], progress: Progress | None
) -> None:
    """Write the file, whole or not at all."""
    laspy = require("laspy", "las", "LAS files")
    header = make_header(placed.document)
    with whole_file(place) as file:
        try:
            writer = laspy.LasWriter(
                file,
                header,
                do_compress=place.suffix.lower() == ".laz",
                closefd=False,
                encoding_errors="surrogateescape",
            )
            _write_points(laspy, writer, header, positions, placed.pairs, scaling, progress)
            write_behind(writer, map(Record.of, placed.document.get("extended_records", [])))
            writer.close()
        except (laspy.errors.LaspyException, RuntimeError) as error:
            raise StoreError(f"{place}: cannot be written: {error}") from error


def _write_points(
    laspy: Any,
    writer: Any,
    header: Any,
    positions: FloatArray,
    pairs: list[tuple[Dimension, AnyArray]],
    scaling: Sequence[Scaling],
    progress: Progress | None,
) -> None:
    count = len(positions)
    for start in range(0, count, POINTS_A_CHUNK):
        rows = slice(start, min(start + POINTS_A_CHUNK, count))
        record = laspy.ScaleAwarePointRecord.zeros(rows.stop - start, header=header)
        for axis, (name, one) in enumerate(zip(COORDINATES, scaling, strict=True)):
            record.array[name] = one.encode(positions[rows, axis], f"axis {name}")
        for dimension, values in pairs:
            _fill(record, dimension, values[rows])
        writer.write_points(record)
        if progress is not None:
            progress(rows.stop, count)


def _fill(record: Any, dimension: Dimension, values: AnyArray) -> None:
    stored = dimension.encode(values)
    assert stored is not None
    if dimension.sources == COLOUR:
        for channel, name in enumerate(COLOUR):
            record.array[name] = stored[:, channel]
    elif dimension.bits is None:
        record.array[dimension.sources[0]] = stored
    else:
        record[dimension.sources[0]] = stored
