"""Level 4: vertices are where the spatial index says, and conventions fit the geometry."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.constants import (
    CROSS_CHUNK_BOTH,
    CROSS_CHUNK_DEDUPLICATED,
    LINKS_BRANCHES,
    LINKS_EXPLICIT,
    LINKS_SEQUENTIAL,
    OBJECTS_IDENTITY,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.ordering import expand_ranges
from zarr_vectors.typing import BoolArray, FloatArray, IntArray
from zarr_vectors.validate.blocks import Block, extents_of
from zarr_vectors.validate.consistency import has_legal_fragments, tiling_chunks
from zarr_vectors.validate.rules import Problem, error, note, warning
from zarr_vectors.validate.subjects import LevelSubject, StoreSubject

LINKS_OF_GEOMETRY = {
    "point_cloud": (LINKS_SEQUENTIAL,),
    "line": (LINKS_SEQUENTIAL,),
    "polyline": (LINKS_SEQUENTIAL,),
    "streamline": (LINKS_SEQUENTIAL,),
    "skeleton": (LINKS_BRANCHES, LINKS_EXPLICIT),
    "graph": (LINKS_EXPLICIT, LINKS_BRANCHES),
    "mesh": (LINKS_EXPLICIT,),
}
"""Links conventions that a geometry type may go by (Zarr Vectors specification, links)."""

PATHS = ("line", "polyline", "streamline")
POINTS = ("point_cloud",)
BOUNDS_ULPS = 4


_SHORT = 15
"""Bytes of a text that NumPy's StringDType holds in place; longer ones it took for each other."""


def conventions_legal(store: StoreSubject) -> Iterator[Problem]:
    """Check that conventions of links and of crossings fit the geometry."""
    root = store.root
    for kind in root.geometry_types:
        allowed = LINKS_OF_GEOMETRY.get(kind, ())
        if root.links_convention is not None and allowed and root.links_convention not in allowed:
            yield error(
                "zarr.json", f"links_convention {root.links_convention!r} does not fit {kind} ({' or '.join(allowed)})"
            )
    repeating = root.cross_chunk_strategy in (CROSS_CHUNK_DEDUPLICATED, CROSS_CHUNK_BOTH)
    if repeating and not set(root.geometry_types) <= set(PATHS):
        yield error(
            "zarr.json",
            f"cross_chunk_strategy {root.cross_chunk_strategy!r} is for paths, not {', '.join(root.geometry_types)}",
        )


def identity_convention(level: LevelSubject) -> Iterator[Problem]:
    """Check that under the ``identity`` convention there is one chunk, and no object index."""
    if len(level.reader.chunks) > 1:
        yield error(
            level.path, f"object_index_convention is 'identity', but there are {len(level.reader.chunks)} chunks"
        )
    if level.reader.arrays.object_index is not None:
        yield error(
            f"{level.path}/object_index", "object_index_convention is 'identity', so there must be no object index"
        )


def is_identity(level: LevelSubject) -> bool:
    """Return whether objects are numbered by their fragments."""
    return level.store.root.object_index_convention == OBJECTS_IDENTITY and level.number == 0


def vertices_finite(block: Block) -> Iterator[Problem]:
    """Check that positions are numbers, neither NaN nor infinite."""
    if not is_finite(block):
        rows = np.flatnonzero(~np.isfinite(block.positions).all(axis=1))
        if not len(rows):
            return
        chunk = int(np.searchsorted(block.row_offsets, rows[0], side="right")) - 1
        yield error(
            f"{block.level.path}/{VERTICES}",
            f"{len(rows)} positions are not finite; the first is row {rows[0] - block.row_offsets[chunk]} of chunk "
            f"{block.key(chunk)}: {block.positions[rows[0]].tolist()}",
        )


def is_finite(block: Block) -> bool:
    """Return whether all positions are finite; NaN passes through minima and maxima."""
    low, high, _ = extents_of(block.positions, block.row_offsets)
    return bool(np.isfinite(low).all() and np.isfinite(high).all())


def has_positions(block: Block) -> bool:
    """Return whether positions can be located."""
    return is_finite(block) and (len(block.filed[0]) == len(block.positions) or has_legal_fragments(block))


def vertices_in_chunk(block: Block) -> Iterator[Problem]:
    """Check that every vertex lies in the chunk it is filed under.

    ``bin = floor(float64(position) / bin_shape)`` and ``chunk = bin // bins_per_chunk`` ascend with the position,
    so that the lowest and highest coordinate of a chunk decide for all of its vertices.
    """
    grid = block.level.reader.grid
    spatial = block.chunks[:, block.chunks.shape[1] - grid.ndim :]
    low, high, rows = block.extents
    filed = spatial[rows]
    bad = ((grid.chunks_of(low) != filed) | (grid.chunks_of(high) != filed)).any(axis=1)
    if not bad.any():
        return
    first = int(np.flatnonzero(bad)[0])
    positions, offsets = block.filed
    inside = positions[offsets[rows[first]] : offsets[rows[first] + 1]]
    wrong = (grid.chunks_of(inside) != filed[first]).any(axis=1)
    example = inside[np.flatnonzero(wrong)[0]]
    belongs = ".".join(map(str, grid.chunks_of(example[None])[0].tolist()))
    yield error(
        f"{block.level.path}/{VERTICES}",
        f"chunk {block.key(int(rows[first]))}: {int(wrong.sum())} vertices lie outside; {example.tolist()} belongs "
        f"into chunk {belongs} ({int(bad.sum())} such chunks)",
    )


def is_locatable(block: Block) -> bool:
    """Return whether chunk numbers of the positions can be counted."""
    if not has_positions(block):
        return False
    low, high, _ = block.extents
    cell = np.array(block.level.reader.grid.cell_shape)
    return not len(low) or bool(max(np.abs(low / cell).max(), np.abs(high / cell).max()) < 2**62)


def inside_bounds(block: Block) -> Iterator[Problem]:
    """Check that every vertex lies inside the bounds of the store."""
    low, high, rows = extents_of(block.positions, block.row_offsets)
    bounds = np.array(block.level.store.root.bounds, np.float64)
    slack = BOUNDS_ULPS * np.finfo(low.dtype).eps * np.abs(bounds).max(axis=0, initial=0)
    below = low.astype(np.float64) < bounds[0] - slack
    above = high.astype(np.float64) > bounds[1] + slack
    bad = (below | above).any(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        yield error(
            f"{block.level.path}/{VERTICES}",
            f"chunk {block.key(int(rows[first]))} reaches from {low[first].tolist()} to {high[first].tolist()}, "
            f"outside the bounds {bounds[0].tolist()} to {bounds[1].tolist()} ({int(bad.sum())} such chunks)",
        )


def has_bins(block: Block) -> bool:
    """Return whether fragments ought to be the bins of their chunk."""
    level = block.level
    points = set(level.store.root.geometry_types) <= set(POINTS)
    nests = level.reader.grid.nests and level.reader.grid.bin_shape is not None
    identity = level.store.root.object_index_convention == OBJECTS_IDENTITY
    return points and nests and not identity and level.reader.arrays.object_index is None and is_locatable(block)


def bin_fragments(block: Block) -> Iterator[Problem]:
    """Check that fragments of points without objects are the bins of the chunk, in C order."""
    path = f"{block.level.path}/{VERTEX_FRAGMENTS}"
    n_bins = block.level.reader.grid.n_bins
    other = (np.diff(block.fragments.offsets) != n_bins) & ~block.unindexed
    if other.any():
        row = int(np.flatnonzero(other)[0])
        message = (
            f"chunk {block.key(row)} has {np.diff(block.fragments.offsets)[row]} fragments, not one for each of its "
            f"{n_bins} bins ({int(other.sum())} such chunks)"
        )
        yield error(path, message) if block.level.is_ours else note(path, message)
    rows = np.flatnonzero(~other & ~block.unindexed & tiling_chunks(block))
    yield from _wrong_bins(block, rows, path)


def _wrong_bins(block: Block, rows: IntArray, path: str) -> Iterator[Problem]:
    """Compare the bin of every fragment's lowest and highest coordinates with its number."""
    n_bins = block.level.reader.grid.n_bins
    numbers = (block.fragments.offsets[rows][:, None] + np.arange(n_bins)).reshape(-1)
    numbers = numbers[block.fragments.counts[numbers] > 0]
    if not len(numbers):
        return
    starts = (block.fragments.starts + block.fragment_base)[numbers]
    counts = block.fragments.counts[numbers]
    low, high = _run_extents(block.positions, starts, counts)
    number = numbers - block.fragments.offsets[block.fragments.chunk_of[numbers]]
    bad = (_bins_in_chunk(block, low) != number) | (_bins_in_chunk(block, high) != number)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        chunk = int(block.fragments.chunk_of[numbers[first]])
        yield error(
            path,
            f"chunk {block.key(chunk)}: fragment {number[first]} holds vertices from {low[first].tolist()} to "
            f"{high[first].tolist()}, which are not all in bin {number[first]} ({int(bad.sum())} such fragments)",
        )


def _run_extents(positions: FloatArray, starts: IntArray, counts: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return lowest and highest coordinates of runs of rows."""
    offsets = np.concatenate([[0], np.cumsum(counts)])
    if not np.array_equal(starts, offsets[:-1]) or offsets[-1] != len(positions):
        positions = positions[expand_ranges(starts, counts)]
    low, high, _ = extents_of(positions, offsets)
    return low, high


def _bins_in_chunk(block: Block, positions: FloatArray) -> IntArray:
    """Return the C-order number of each position's bin inside its own chunk."""
    grid = block.level.reader.grid
    number = np.zeros(len(positions), np.int64)
    for d, per_chunk in enumerate(grid.bins_per_chunk):
        number = number * per_chunk + np.mod(grid.bins_of(positions[:, d], d), per_chunk)
    return number


def category_codes(block: Block) -> Iterator[Problem]:
    """Check that codes of categorical attributes stand for a category or for a missing value."""
    for rows in block.attributes.values():
        spec = rows.column.spec
        if spec.categories is None:
            continue
        codes = rows.column.values.astype(np.int64)
        bad = codes_outside(codes, len(spec.categories), spec.fill)
        used = block.level.used_codes.setdefault(rows.path, np.zeros(len(spec.categories), bool))
        used[codes[(codes >= 0) & (codes < len(used))]] = True
        if bad.any():
            code = rows.column.values.reshape(-1)[np.flatnonzero(bad.reshape(-1))[0]]
            yield error(
                rows.path, f"code {code} stands for none of {len(spec.categories)} categories ({bad.sum()} rows)"
            )


def texts_used(level: LevelSubject) -> Iterator[Problem]:
    """Check that every text that an attribute lists is that of a row, where they may have been taken for each other.

    NumPy's search among texts of more than 15 bytes went wrong (numpy#31533) in versions that did not say yet whether
    an attribute is a categorical; texts whose rows got other ones are left over.
    """
    for name, array in level.reader.arrays.vertex_attributes.items():
        spec, used = array.spec, level.used_codes.get(array.path)
        listed = spec.categories or ()
        if used is None or spec.categorical is not None or spec.ordered or used.all():
            continue
        texts = [category for category in listed if isinstance(category, str)]
        if len(texts) < len(listed) or texts != sorted(texts) or max(len(text.encode()) for text in texts) <= _SHORT:
            continue
        first = listed[int(np.flatnonzero(~used)[0])]
        yield warning(
            array.path,
            f"{int((~used).sum())} of the {len(listed)} texts of {name!r} are those of no row, the first {first!r}; "
            "earlier versions took texts of more than 15 bytes for each other. Unless they came as a categorical, "
            "or their rows were removed, write the attribute anew from its source",
        )


def may_hold_wrong_texts(level: LevelSubject) -> bool:
    """Return whether all chunks of full resolution were looked at and some attribute has categories."""
    return level.number == 0 and level.counted is not None and bool(level.used_codes)


def codes_outside(codes: IntArray, count: int, fill: object) -> BoolArray:
    """Return which codes stand for no category."""
    bad = (codes < 0) | (codes >= count)
    if isinstance(fill, (int, np.integer)):
        bad &= codes != int(fill)
    return bad


def has_categories(block: Block) -> bool:
    """Return whether some vertex attribute is categorical."""
    return any(rows.column.spec.categories is not None for rows in block.attributes.values())
