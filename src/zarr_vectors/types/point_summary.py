"""What a writer of points did, and which points it leaves out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.model.elements import Elements, Objects
from zarr_vectors.types.results import Result
from zarr_vectors.typing import IntArray


@dataclass(frozen=True, slots=True)
class PointsSummary(Result):
    """What ``write_points`` wrote.

    Attributes
    ----------
    vertex_count, chunk_count, object_count, group_count : int
        How many of each the store holds.
    bins_per_chunk : int
        Bins of a chunk.
    chunk_shape, bin_shape : tuple of float
        Edge lengths, as chosen or given.
    bounds : pair of tuple of float
        Corners of the store's bounds.
    ignored_count : int
        Points left out under ``out_of_bounds="ignore"``.
    """

    vertex_count: int
    chunk_count: int
    object_count: int
    group_count: int
    bins_per_chunk: int
    chunk_shape: tuple[float, ...]
    bin_shape: tuple[float, ...]
    bounds: tuple[tuple[float, ...], tuple[float, ...]]
    ignored_count: int = 0


def without_rows(elements: Elements, rows: IntArray) -> Elements:
    """Return elements without some vertices; objects stay, with fewer vertices."""
    keep = np.ones(elements.count, bool)
    keep[rows] = False
    objects = elements.objects
    if objects is not None:
        objects = Objects(objects.ids, objects.of_vertex[keep], objects.attributes)
    columns = {name: column.take(keep) for name, column in elements.attributes.items()}
    return replace(elements, positions=elements.positions[keep], attributes=columns, objects=objects)
