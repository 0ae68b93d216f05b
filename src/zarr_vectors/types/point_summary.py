"""The end of every writer of points: its level, what it did, and which points it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKED, LINKS_SEQUENTIAL
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.elements import Elements, Objects
from zarr_vectors.types.attribute_chunks import AttributeChunks
from zarr_vectors.types.results import Result
from zarr_vectors.types.storing import Destination, Space, level_zero, new_root, store_elements
from zarr_vectors.typing import IntArray
from zarr_vectors.write.options import WriteOptions

GEOMETRY_TYPE = "point_cloud"


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

    @classmethod
    def of(
        cls, space: Space, vertex_count: int, chunk_count: int, object_count: int, group_count: int, ignored_count: int
    ) -> PointsSummary:
        """Return what is said of some counts, in the space of a store."""
        return cls(
            vertex_count,
            chunk_count,
            object_count,
            group_count,
            bins_per_chunk=space.grid.n_bins,
            chunk_shape=space.grid.chunk_shape,
            bin_shape=space.grid.bin_shape or space.grid.chunk_shape,
            bounds=space.bounds,
            ignored_count=ignored_count,
        )


def store_points(
    destination: Destination,
    space: Space,
    cells: Cells,
    by_attribute: AttributeChunks | None,
    options: WriteOptions,
    metadata: Mapping[str, Any] | None,
    ignored_count: int,
) -> PointsSummary:
    """Write a store of one level of points from its cells.

    Parameters
    ----------
    destination : Destination
        Where to write.
    space : Space
        Axes, grid and bounds.
    cells : Cells
        The points.
    by_attribute : AttributeChunks, optional
        How chunks go by an attribute.
    options : WriteOptions
        Revision, compression, shards.
    metadata : mapping, optional
        Metadata of the user.
    ignored_count : int
        How many points have been left out.
    """
    kept = destination.kept_root
    root = new_root(
        space,
        cells,
        geometry_type=GEOMETRY_TYPE,
        links_convention=LINKS_SEQUENTIAL,
        shell=kept,
        name=destination.storage.name,
        cross_chunk_strategy=(kept and kept.cross_chunk_strategy) or CROSS_CHUNK_LINKED,
    )
    keys = {} if by_attribute is None else by_attribute.level_keys(space.axes)
    store_elements(destination, root, cells, level_zero(space, cells, **keys), options, metadata)
    objects = 0 if cells.objects is None else len(cells.objects.ids)
    groups = 0 if cells.groups is None else cells.groups.count
    return PointsSummary.of(space, cells.count, len(cells.chunks), objects, groups, ignored_count)


def without_rows(elements: Elements, rows: IntArray) -> Elements:
    """Return elements without some vertices; objects stay, with fewer vertices."""
    keep = np.ones(elements.count, bool)
    keep[rows] = False
    objects = elements.objects
    if objects is not None:
        objects = Objects(objects.ids, objects.of_vertex[keep], objects.attributes)
    columns = {name: column.take(keep) for name, column in elements.attributes.items()}
    return replace(elements, positions=elements.positions[keep], attributes=columns, objects=objects)
