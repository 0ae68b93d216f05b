"""Elements → cells: order vertices by chunk and fragment, and gather every column once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_DEDUPLICATED, CROSS_CHUNK_LINKED, OBJECT_ID_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells, Fragments, Manifests, ObjectTable
from zarr_vectors.model.elements import Elements, Objects
from zarr_vectors.model.grid import Grid
from zarr_vectors.ordering import expand_ranges, offsets_of, stable_order
from zarr_vectors.parallel import gather_rows
from zarr_vectors.spatial.linking import crossing_links, place_links
from zarr_vectors.spatial.locating import Located, locate, put_before
from zarr_vectors.typing import AnyArray, IntArray

_DENSE_COUNTS = 1 << 20
_MAX_FRAGMENTS = 1 << 27
"""Entries of the index of bins, empty ones included: 2 GiB of it."""


MAX_BINS = 1 << 20
"""Most values of an attribute that chunks can go by."""
_MANY_BINS = 1 << 12
_ROWS_PER_BIN = 10
"""So many rows there must be for each of many values: below that, chunks cost far more than they hold."""


def check_bins(argument: str, count: int, rows: int) -> None:
    """Refuse an attribute of which too many values would have chunks of their own.

    Parameters
    ----------
    argument : str
        What asked for it, for the message.
    count : int
        Distinct values.
    rows : int
        Vertices that have them.

    Raises
    ------
    ArgumentError
        When there are more values than chunks can carry, or many of which most have few vertices.
    """
    remedy = "choose an attribute of fewer values, or rechunk by ranges: RechunkSpec('attribute:…', bins=[…])"
    if count > MAX_BINS:
        raise ArgumentError(f"{argument} has more than {MAX_BINS} values, more than chunks can go by; {remedy}")
    if count > _MANY_BINS and rows < _ROWS_PER_BIN * count:
        raise ArgumentError(
            f"{argument} has {count} distinct values for {rows} vertices, and each would have its own chunks; {remedy}"
        )


class FragmentRule(Enum):
    """What a fragment of a level is."""

    BINS = "one range per bin of the chunk, empty ones included"
    OBJECTS = "one range per object and chunk"
    RUNS = "one range per run of consecutive vertices of one object inside one chunk"


@dataclass(frozen=True, slots=True)
class Leading:
    """A leading component of chunk keys: the bin of a vertex attribute.

    Parameters
    ----------
    codes : (N,) non-negative integers
        Bin of every vertex.
    count : int
        Number of bins.
    """

    codes: AnyArray
    count: int


def partition(
    elements: Elements,
    grid: Grid,
    rule: FragmentRule,
    *,
    crossings: str = CROSS_CHUNK_LINKED,
    leading: Leading | None = None,
) -> Cells:
    """File every vertex of some elements under its chunk.

    Parameters
    ----------
    elements : Elements
        Vertices with finite positions. Under ``RUNS`` the vertices of an object stand together, in path order.
    grid : Grid
        Chunk and bin shapes.
    rule : FragmentRule
        What a fragment is.
    crossings : {"explicit_links", "boundary_deduplication", "both"}
        Under ``RUNS``, how paths go on in another chunk: by a link from the last vertex of a fragment to the
        first of the next, by repeating that last vertex as the first of the next, or both.
    leading : Leading, optional
        Attribute bins that become the first component of every chunk.

    Returns
    -------
    Cells
        Chunks in numeric order; rows in bin order (or object order, or along paths) and then input order.
    """
    located = locate(elements.positions, grid, bins=rule is FragmentRule.BINS)
    if leading is not None:
        located = put_before(located, leading.codes, leading.count)
    if rule is FragmentRule.BINS:
        return _by_bins(elements, located)
    if elements.objects is None:
        raise AssertionError(f"fragments by {rule.name.lower()} need objects")
    if rule is FragmentRule.RUNS:
        return _by_runs(elements, elements.objects, located, crossings)
    return _by_objects(elements, elements.objects, located)


def _by_bins(elements: Elements, located: Located) -> Cells:
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
    if len(numbers) * n_bins > _MAX_FRAGMENTS:
        raise ArgumentError(
            f"bin_shape: {len(numbers)} chunks of {n_bins} bins each need an index of {len(numbers) * n_bins} entries, "
            f"more than {_MAX_FRAGMENTS}; use larger bins or smaller chunks"
        )
    counts = np.zeros((len(numbers), n_bins), np.int64)
    counts[chunk_row.reshape(-1), keys % n_bins] = occurrences
    return numbers, counts


def _by_objects(elements: Elements, objects: Objects, located: Located) -> Cells:
    """Make one fragment per object and chunk, and one more at every break."""
    order = stable_order([located.keys, objects.of_vertex])
    chunk, owner = located.keys[order], objects.of_vertex[order]
    breaks = None if elements.breaks is None else elements.breaks[order]
    starts = _run_starts(chunk, owner, breaks)
    counts = np.diff(np.append(starts, len(order)))
    return _assemble_cells(elements, objects, located, order, starts, counts, chunk[starts], owner[starts])


def _by_runs(elements: Elements, objects: Objects, located: Located, crossings: str) -> Cells:
    """Make one fragment per run of consecutive vertices, and keep the runs of a chunk in path order."""
    begins = _run_starts(located.keys, objects.of_vertex, elements.breaks)
    lengths = np.diff(np.append(begins, elements.count))
    owner, chunk = objects.of_vertex[begins], located.keys[begins]
    continues = np.zeros(len(begins), bool)
    continues[1:] = owner[1:] == owner[:-1]
    repeated = continues.astype(np.int64) if crossings != CROSS_CHUNK_LINKED else np.zeros(len(begins), np.int64)
    by_chunk = stable_order([chunk])
    order = expand_ranges((begins - repeated)[by_chunk], (lengths + repeated)[by_chunk])
    lengths = lengths + repeated
    path_order = np.empty_like(by_chunk)
    path_order[by_chunk] = np.arange(len(by_chunk))
    starts = offsets_of(lengths[by_chunk])[:-1]
    unlinked = replace(elements, links=None)
    cells = _assemble_cells(
        unlinked, objects, located, order, starts, lengths[by_chunk], chunk[by_chunk], owner[by_chunk], path_order
    )
    if crossings == CROSS_CHUNK_DEDUPLICATED:
        return cells
    return replace(cells, links=crossing_links(cells, path_order, continues))


def _run_starts(chunk: AnyArray, owner: AnyArray, breaks: AnyArray | None) -> IntArray:
    first = np.ones(len(chunk), bool)
    np.logical_or(chunk[1:] != chunk[:-1], owner[1:] != owner[:-1], out=first[1:])
    if breaks is not None:
        first |= breaks
    return np.flatnonzero(first)


def _assemble_cells(
    elements: Elements,
    objects: Objects,
    located: Located,
    order: IntArray,
    starts: IntArray,
    counts: IntArray,
    chunk: AnyArray,
    owner: AnyArray,
    path_order: IntArray | None = None,
) -> Cells:
    """Make cells from an order of the rows and its fragments, which are sorted by chunk."""
    numbers, first_fragment = np.unique(chunk, return_index=True)
    fragment_offsets = np.append(first_fragment, len(starts)).astype(np.int64)
    row_offsets = np.append(starts[first_fragment], len(order)).astype(np.int64)
    per_chunk = np.diff(fragment_offsets)
    fragments = Fragments(fragment_offsets, starts - np.repeat(row_offsets[:-1], per_chunk), counts)
    chunks = located.chunk_coordinates(numbers)
    table = ObjectTable(
        objects.ids, _manifests(chunks, fragments, owner, objects.count, path_order), objects.attributes
    )
    positions, attributes = _gather(elements, order)
    cells = Cells(
        chunks,
        row_offsets,
        positions,
        fragments,
        attributes,
        {OBJECT_ID_ATTRIBUTE: object_id_column(objects.ids[owner])},
        table,
        elements.groups,
    )
    return cells if elements.links is None else place_links(cells, elements.links, order)


def object_id_column(ids: IntArray) -> Column:
    """Return the fragment attribute that names the object of every fragment."""
    return Column(np.ascontiguousarray(ids, np.int64), AttributeSpec(dtype="int64"))


def _manifests(
    chunks: IntArray, fragments: Fragments, owner: AnyArray, n_objects: int, path_order: IntArray | None
) -> Manifests:
    """List each object's fragments in numeric chunk order, or in path order."""
    key = owner.astype(np.uint32) if n_objects < 1 << 32 else owner
    order = stable_order([key]) if path_order is None else path_order[stable_order([key[path_order]])]
    chunk_row = fragments.chunk_of[order]
    local = order - fragments.offsets[chunk_row]
    offsets = offsets_of(np.bincount(owner, minlength=n_objects))
    return Manifests(offsets, chunks[chunk_row], local)


def _gather(elements: Elements, order: IntArray) -> tuple[AnyArray, Mapping[str, Column]]:
    """Take the rows of every column in a new order, several columns at a time."""
    columns = [elements.positions, *(column.values for column in elements.attributes.values())]
    positions, *values = gather_rows(columns, order)
    specs = elements.attributes.items()
    return positions, {name: Column(taken, column.spec) for (name, column), taken in zip(specs, values, strict=True)}


def take_rows(values: AnyArray, rows: IntArray) -> AnyArray:
    """Return ``values[rows]`` for rows known to exist; twice as fast as indexing rows of several channels."""
    return np.take(values, rows, axis=0, mode="clip")
