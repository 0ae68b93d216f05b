"""LAS and LAZ files to stores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors.convert.headers import with_header
from zarr_vectors.convert.las.file import LasFile, open_las
from zarr_vectors.convert.las.header import METADATA_KEY, join_headers
from zarr_vectors.convert.las.reading import POINTS_A_CHUNK
from zarr_vectors.core.arguments import as_mapping
from zarr_vectors.types.point_streams import write_points_stream
from zarr_vectors.types.points import PointsSummary, write_points
from zarr_vectors.typing import Document
from zarr_vectors.write.budget import MEMORY_BUDGET, parse_budget
from zarr_vectors.write.options import Progress
from zarr_vectors.write.streaming import rows_within

_AT_ONCE = ("object_ids", "object_attributes", "fragment_attributes", "groups", "group_attributes")
"""Options that want all points at once."""


def ingest_las(
    source: str | os.PathLike[str],
    target: Any,
    *,
    attributes: list[str] | None = None,
    axis_units: Any = None,
    attribute_specs: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    read_progress: Progress | None = None,
    memory_budget: int = MEMORY_BUDGET,
    temporary_folder: Any = None,
    **options: Any,
) -> PointsSummary:
    """Make a store of a LAS, LAZ or COPC file, with every dimension of its points; it need not fit into memory.

    Values of extra dimensions with a scale become 64-bit floats, except those of scale 1 and offset 0, which keep
    their type. A dimension's no-data value is missing in the store: NaN, or a masked whole number.

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
        Your own metadata; the header of the file is kept beside it, under ``las``; with ``mode="a"`` that of the
        first file stays, and those of later ones follow under ``appended``.
    read_progress : callable, optional
        Called with ``(points read, points)``; ``progress`` is called while the store is written.
    memory_budget : int
        Bytes of points to hold at once, as in :func:`~zarr_vectors.types.point_streams.write_points_stream`: a file
        with more waits in temporary files. The store does not depend on it. Appending (``mode="a"``) and options with
        a value for every point or object (``object_ids``, …) hold all points whatever the budget.
    temporary_folder : path, optional
        Where those files go.
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
        As :func:`read_las`; what was at the target is there as before.
    ArgumentError, StoreError
        As :func:`~zarr_vectors.types.points.write_points`; also when a file is appended whose coordinate reference
        system or GPS times are others than those of the store, or whose points name waveforms.
    """
    budget = parse_budget(memory_budget)
    with open_las(source) as file:
        names = file.names(attributes)
        specs: dict[str, Any] = {name: spec for name, spec in file.attribute_specs.items() if name in names}
        specs |= as_mapping("attribute_specs", {} if attribute_specs is None else attribute_specs)

        def join(held: Mapping[str, Any], given: Mapping[str, Any]) -> Document:
            return join_headers(held, given, names)

        options.setdefault("dtype", np.float64)
        options.setdefault("crs", file.crs)
        options |= {
            "attribute_specs": specs,
            "axis_units": file.axis_units if axis_units is None else axis_units,
            "metadata": with_header(metadata, METADATA_KEY, file.document, join),
        }
        held = rows_within(budget, file.row_bytes(names))
        if _at_once(options) or file.count <= held:
            return _write_at_once(file, target, names, read_progress, options)
        batches = file.batches(min(held, POINTS_A_CHUNK), names, read_progress)
        return write_points_stream(target, batches, memory_budget=budget, temporary_folder=temporary_folder, **options)


def _at_once(options: Mapping[str, Any]) -> bool:
    return str(options.get("mode")) == "a" or any(options.get(name) is not None for name in _AT_ONCE)


def _write_at_once(
    file: LasFile, target: Any, names: list[str], progress: Progress | None, options: Mapping[str, Any]
) -> PointsSummary:
    """Write all points of a file in one call."""
    points = file.read(names, POINTS_A_CHUNK, progress)
    return write_points(target, points["positions"], attributes=points["attributes"], **options)
