"""Elements → cells: order vertices by chunk and fragment, and gather every column once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import numpy as np

from zarr_vectors.constants import OBJECT_ID_ATTRIBUTE
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells, Fragments, Manifests, ObjectTable
from zarr_vectors.model.elements import Elements
from zarr_vectors.model.grid import Grid
from zarr_vectors.ordering import offsets_of, stable_order
from zarr_vectors.parallel import thread_map
from zarr_vectors.spatial.locating import Located, locate
from zarr_vectors.typing import AnyArray, IntArray

_DENSE_COUNTS = 1 << 20


class FragmentRule(Enum):
    """What a fragment of a level is."""

    BINS = "one range per bin of the chunk, empty ones included"
    OBJECTS = "one range per object and chunk"
    RUNS = "one range per run of consecutive vertices of one object inside one chunk"


def partition(elements: Elements, grid: Grid, rule: FragmentRule) -> Cells:
    """File every vertex of some elements under its chunk.

    Parameters
    ----------
    elements : Elements
        Vertices with finite positions.
    grid : Grid
        Chunk and bin shapes.
    rule : FragmentRule
        What a fragment is.

    Returns
    -------
    Cells
        Chunks in numeric order; rows in bin order (or object order) and then input order.
    """
    if rule is FragmentRule.BINS:
        return _by_bins(elements, grid)
    if elements.objects is None:
        raise AssertionError(f"fragments by {rule.name.lower()} need objects")
    return _by_objects(elements, grid)


def _by_bins(elements: Elements, grid: Grid) -> Cells:
    located = locate(elements.positions, grid, bins=True)
    numbers, counts = _bin_counts(located)
    order = stable_order([located.keys])
    fragments = Fragments(
        offsets=np.arange(len(numbers) + 1, dtype=np.int64) * located.n_bins,
        starts=(np.cumsum(counts, axis=1) - counts).reshape(-1),
        counts=counts.reshape(-1),
    )
    row_offsets = offsets_of(counts.sum(axis=1))
    chunks = located.chunk_coordinates(numbers)
    del located
    positions, attributes = _gather(elements, order)
    return Cells(chunks, row_offsets, positions, fragments, attributes, groups=elements.groups)


def _bin_counts(located: Located) -> tuple[IntArray, IntArray]:
    """Return the numbers ``(C,)`` of the chunks that hold something and their counts ``(C, n_bins)``."""
    n_bins = located.n_bins
    total = int(np.prod(located.shape.astype(object))) * n_bins
    if located.table is None and total <= max(_DENSE_COUNTS, 4 * len(located.keys)):
        counts = np.bincount(located.keys, minlength=total).reshape(-1, n_bins).astype(np.int64, copy=False)
        numbers = np.flatnonzero(counts.any(axis=1))
        return numbers, counts[numbers]
    keys, occurrences = np.unique(located.keys, return_counts=True)
    keys = keys.astype(np.int64)
    numbers, chunk_row = np.unique(keys // n_bins, return_inverse=True)
    counts = np.zeros((len(numbers), n_bins), np.int64)
    counts[chunk_row.reshape(-1), keys % n_bins] = occurrences
    return numbers, counts


def _by_objects(elements: Elements, grid: Grid) -> Cells:
    objects = elements.objects
    assert objects is not None
    located = locate(elements.positions, grid, bins=False)
    chunk_key, owner = located.keys, objects.of_vertex
    order = stable_order([chunk_key, owner])
    sorted_chunk, sorted_owner = chunk_key[order], owner[order]
    first = np.ones(len(order), bool)
    np.logical_or(sorted_chunk[1:] != sorted_chunk[:-1], sorted_owner[1:] != sorted_owner[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, len(order)))
    numbers, first_fragment = np.unique(sorted_chunk[starts], return_index=True)
    fragment_offsets = np.append(first_fragment, len(starts)).astype(np.int64)
    row_offsets = np.append(starts[first_fragment], len(order)).astype(np.int64)
    per_chunk = np.diff(fragment_offsets)
    fragments = Fragments(fragment_offsets, starts - np.repeat(row_offsets[:-1], per_chunk), counts)
    chunks = located.chunk_coordinates(numbers)
    fragment_owner = sorted_owner[starts]
    del located, sorted_chunk, sorted_owner, first
    table = ObjectTable(
        objects.ids, _manifests(chunks, fragments, fragment_owner, objects.count), objects.attributes
    )
    positions, attributes = _gather(elements, order)
    return Cells(
        chunks,
        row_offsets,
        positions,
        fragments,
        attributes,
        {OBJECT_ID_ATTRIBUTE: object_id_column(objects.ids[fragment_owner])},
        table,
        elements.groups,
    )


def object_id_column(ids: IntArray) -> Column:
    """Return the fragment attribute that names the object of every fragment."""
    return Column(np.ascontiguousarray(ids, np.int64), AttributeSpec(dtype="int64"))


def _manifests(chunks: IntArray, fragments: Fragments, owner: IntArray, n_objects: int) -> Manifests:
    """List each object's fragments in numeric chunk order."""
    order = stable_order([owner.astype(np.uint32) if n_objects < 1 << 32 else owner])
    chunk_row = fragments.chunk_of[order]
    local = order - fragments.offsets[chunk_row]
    offsets = offsets_of(np.bincount(owner, minlength=n_objects))
    return Manifests(offsets, chunks[chunk_row], local)


def _gather(elements: Elements, order: IntArray) -> tuple[AnyArray, Mapping[str, Column]]:
    """Take the rows of every column in a new order, two columns at a time."""
    columns = [elements.positions, *(column.values for column in elements.attributes.values())]
    positions, *values = thread_map(lambda column: take_rows(column, order), columns)
    specs = elements.attributes.items()
    return positions, {
        name: Column(taken, column.spec) for (name, column), taken in zip(specs, values, strict=True)
    }


def take_rows(values: AnyArray, rows: IntArray) -> AnyArray:
    """Return ``values[rows]`` for rows known to exist; twice as fast as indexing rows of several channels."""
    return np.take(values, rows, axis=0, mode="clip")
