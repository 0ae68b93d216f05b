"""The ``identity`` object index convention: everything in one chunk, object id = fragment number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.constants import OBJECTS_STANDARD, VALID_OBJECT_INDEX_CONVENTIONS
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.cells import Cells, ObjectTable
from zarr_vectors.model.elements import Elements, bounding_box
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.types.storing import StoreOptions
from zarr_vectors.typing import FloatArray, IntArray


def single_chunk_shape(positions: FloatArray, bounds: Any) -> tuple[float, ...]:
    """Return a chunk shape for which all positions, and the bounds where given, lie in one chunk.

    Chunks count from the origin, so that positions on both sides of 0 are never in one chunk.

    Raises
    ------
    ArgumentError
        When positions lie on both sides of 0 on an axis; names it.
    """
    corners = list(bounding_box(positions))
    if bounds is not None:
        corners += [np.asarray(corner, np.float64) for corner in bounds]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    both = np.flatnonzero((low < 0) & (high >= 0))
    if len(both):
        axis = int(both[0])
        raise ArgumentError(
            f"object_index_convention: 'identity' needs everything in one chunk, but positions on axis {axis} reach "
            f"from {low[axis]:g} to {high[axis]:g} and 0 is always a chunk face; shift them, or use 'standard'"
        )
    reach = np.where(high >= 0, np.nextafter(high, np.inf), -low)
    return tuple(float(np.ceil(r)) if r >= 1 else float(r) if r > 1e-300 else 1.0 for r in reach)


def settle_object_index(given: str | None, kept: RootMetadata | None) -> str:
    """Return the object index convention: as asked, else that of a shell or of what is appended to.

    Raises
    ------
    ArgumentError
        When it is none, or not that of the store.
    """
    if given is not None and given not in VALID_OBJECT_INDEX_CONVENTIONS:
        raise ArgumentError(
            f"object_index_convention: expected one of {', '.join(VALID_OBJECT_INDEX_CONVENTIONS)}, got {given!r}"
        )
    held = None if kept is None else kept.object_index_convention
    if given is not None and held is not None and given != held:
        raise ArgumentError(f"object_index_convention: {given!r} given, but the store has {held!r}")
    return given or held or OBJECTS_STANDARD


def in_one_chunk(said: StoreOptions, positions: FloatArray, kept: RootMetadata | None) -> StoreOptions:
    """Return what was said of a store, with one chunk for everything unless chunks are given."""
    if said.chunk_shape is not None or said.bin_shape is not None or kept is not None:
        return said
    return replace(said, chunk_shape=single_chunk_shape(positions, said.bounds))


def vertices_of_objects(elements: Elements) -> IntArray:
    """Return how many vertices every object has."""
    assert elements.objects is not None
    return np.bincount(elements.objects.of_vertex, minlength=elements.objects.count)


def require_identity(cells: Cells, vertex_counts: IntArray, what: str) -> Cells:
    """Return cells without manifests, in which object id equals fragment number.

    Parameters
    ----------
    cells : Cells
        Partitioned objects.
    vertex_counts : (O,) int64
        Vertices of every object.
    what : str
        Name of an object, for messages.

    Raises
    ------
    ArgumentError
        When there is more than one chunk, ids are not ``0, 1, …`` in order, or an object has no vertices.
    """
    assert cells.objects is not None
    assert cells.objects.manifests is not None
    start = "object_index_convention: 'identity' needs"
    if len(cells.chunks) != 1:
        raise ArgumentError(
            f"{start} everything in exactly one chunk, got {len(cells.chunks)}; use a larger chunk_shape, or 'standard'"
        )
    empty = np.flatnonzero(vertex_counts == 0)
    if len(empty):
        raise ArgumentError(f"{start} at least one vertex in every {what}; number {empty[0]} has none")
    ids = cells.objects.ids
    if not (np.array_equal(ids, np.arange(len(ids))) and np.array_equal(cells.objects.manifests.fragments, ids)):
        raise ArgumentError(f"{start} the object ids 0, 1, … in the order of the {what}s; leave object_ids out")
    return replace(cells, objects=ObjectTable(ids, None, cells.objects.attributes))
