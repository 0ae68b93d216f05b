"""Decoded chunks: the rows of their arrays fit together, and vertices are where the spatial index says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from zarr_vectors.constants import OBJECT_ID_ATTRIBUTE, OBJECT_INDEX, OBJECTS_IDENTITY, VERTEX_FRAGMENTS, VERTICES
from zarr_vectors.model.grid import Grid
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.rechunking.binning import VERTEX
from zarr_vectors.rechunking.described import read_description
from zarr_vectors.typing import BoolArray, FloatArray, IntArray
from zarr_vectors.validate.blocks import Block, Rows, extents_of
from zarr_vectors.validate.rule import DROP, REWRITE, Fix, Problem, Rules, cells, error, note, warning
from zarr_vectors.validate.rules.objects import RECHUNK, has_leading_bin
from zarr_vectors.validate.rules.root import POINTS
from zarr_vectors.validate.subjects import LevelSubject

BLOCK_RULES: Rules[Block] = Rules()
"""Rules of decoded chunks, some at a time."""

COUNT_RULES: Rules[LevelSubject] = Rules()
"""Rules of what was counted in the chunks of a level, run after them."""

BOUNDS_ULPS = 4
_FRAGMENTS = "as in fragments-present"
_NAMED = "the objects that fragments name"
_SHORT_TEXT = 15
"""Bytes of a text that NumPy's StringDType holds in place; longer ones it took for each other."""


def _owned(block: Block) -> bool:
    return block.level.has_objects


def _some(block: Block, bad: BoolArray) -> str:
    """Return the first of the chunks that are affected, and how many others there are."""
    row = int(np.flatnonzero(bad)[0])
    return f"chunk {block.key(row)}" + (f" and {int(bad.sum()) - 1} more" if bad.sum() > 1 else "")


def _fragment(block: Block, number: int) -> str:
    """Return number and chunk of a fragment of the block."""
    chunk = int(block.fragments.chunk_of[number])
    return f"fragment {number - block.fragments.offsets[chunk]} of chunk {block.key(chunk)}"


def _row(block: Block, row: int) -> str:
    """Return number and chunk of a row of the block."""
    chunk = int(np.searchsorted(block.row_offsets, row, side="right")) - 1
    return f"row {row - block.row_offsets[chunk]} of chunk {block.key(chunk)}"


def _row_counts(block: Block, tables: Mapping[str, Rows], counts: IntArray, what: str) -> Iterator[Problem]:
    for rows in tables.values():
        found = np.diff(rows.offsets)
        bad = found != counts
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            yield error(rows.path, f"{_some(block, bad)}: {found[row]} rows, but the chunk has {counts[row]} {what}")


@BLOCK_RULES.rule(3, DROP, cells())
def attribute_rows(block: Block) -> Iterator[Problem]:
    """Check that vertex attributes have a row per vertex."""
    yield from _row_counts(block, block.attributes, block.counts, "vertices")


@BLOCK_RULES.rule(3, DROP, cells("manifests, for object_id"))
def fragment_attribute_rows(block: Block) -> Iterator[Problem]:
    """Check that fragment attributes have a row per fragment."""
    yield from _row_counts(block, block.fragment_attributes, np.diff(block.fragments.offsets), "fragments")


@BLOCK_RULES.rule(
    3,
    DROP,
    cells("bins of points; a chunk of one object; where links between chunks begin and end; which links are whose"),
)
def fragments_present(block: Block) -> Iterator[Problem]:
    """Check that every chunk of vertices has a fragment index."""
    bad = block.unindexed & (block.counts > 0)
    if bad.any():
        yield error(f"{block.level.path}/{VERTEX_FRAGMENTS}", f"{_some(block, bad)}: the fragment index is missing")


def highest_rows(block: Block) -> tuple[IntArray, IntArray]:
    """Return the lowest and highest row that each fragment names, counted in its chunk; 0 and -1 where none."""
    fragments = block.fragments
    low, high = fragments.starts.copy(), fragments.starts + fragments.counts - 1
    if fragments.explicit is not None:
        filled = np.flatnonzero(fragments.explicit & (fragments.counts > 0))
        if len(filled):
            places = fragments.starts[filled]
            low[filled] = np.minimum.reduceat(fragments.rows, places)
            high[filled] = np.maximum.reduceat(fragments.rows, places)
    empty = fragments.counts <= 0
    low[empty], high[empty] = 0, -1
    return low, high


@BLOCK_RULES.rule(3, DROP, cells(_FRAGMENTS))
def fragment_rows(block: Block) -> Iterator[Problem]:
    """Check that fragments name rows that their chunk has."""
    low, high = highest_rows(block)
    fragments = block.fragments
    limits = np.repeat(block.counts, np.diff(fragments.offsets))
    bad = (low < 0) | (high >= limits) | (fragments.counts < 0)
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        chunk = int(fragments.chunk_of[number])
        yield error(
            f"{block.level.path}/{VERTEX_FRAGMENTS}",
            f"chunk {block.key(chunk)}: fragment {number - fragments.offsets[chunk]} names rows {low[number]} to "
            f"{high[number]}, but the chunk has {limits[number]} ({int(bad.sum())} such fragments)",
        )


def has_legal_fragments(block: Block) -> bool:
    """Return whether every fragment stays inside its chunk, so that rows can be looked up."""
    return not any(True for _ in fragment_rows.check(block))


@BLOCK_RULES.rule(
    3,
    DROP,
    cells(f"{_FRAGMENTS}; else the statement is taken back"),
    applies=lambda block: block.level.reader.metadata.fragments_tile,
)
def fragments_tile(block: Block) -> Iterator[Problem]:
    """Check that where the level says so, fragments are ranges that cover the rows of their chunk once, in order."""
    bad = ~tiling_chunks(block) & ~block.unindexed
    if bad.any():
        yield error(
            f"{block.level.path}/{VERTEX_FRAGMENTS}",
            f"{_some(block, bad)}: fragments do not cover the rows once, in order, as fragments_tile says",
        )


def tiling_chunks(block: Block) -> BoolArray:
    """Return which chunks have range fragments that cover their rows once, in order."""
    fragments = block.fragments
    total = np.cumsum(fragments.counts)
    before = np.concatenate([[0], total])[fragments.offsets[:-1]]
    running = total - fragments.counts - np.repeat(before, np.diff(fragments.offsets))
    wrong = running != fragments.starts
    if fragments.explicit is not None:
        wrong |= fragments.explicit
    covered = np.concatenate([[0], total])[fragments.offsets[1:]] - before
    faults = np.concatenate([[0], np.cumsum(wrong)])
    return np.asarray((covered == block.counts) & (faults[fragments.offsets[1:]] == faults[fragments.offsets[:-1]]))


@BLOCK_RULES.rule(
    3,
    DROP,
    cells(_FRAGMENTS),
    applies=lambda block: has_legal_fragments(block) and not bool(tiling_chunks(block).all()),
)
def fragments_cover(block: Block) -> Iterator[Problem]:
    """Check that every vertex belongs to a fragment."""
    rows, _ = block.fragment_rows()
    used = np.zeros(len(block.positions), bool)
    used[rows] = True
    if not used.all():
        first = _row(block, int(np.flatnonzero(~used)[0]))
        message = f"{int((~used).sum())} vertices belong to no fragment; the first is {first}"
        yield warning(f"{block.level.path}/{VERTEX_FRAGMENTS}", message)


@BLOCK_RULES.rule(3, DROP, cells(_NAMED), applies=_owned)
def manifest_fragments(block: Block) -> Iterator[Problem]:
    """Check that manifests name fragments that their chunk has."""
    places, fragments, objects = block.level.references.to(block.chunk_rows)
    counts = np.diff(block.fragments.offsets)
    bad = fragments >= counts[places]
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        place = int(places[at])
        yield error(
            f"{block.level.path}/{OBJECT_INDEX}",
            f"the manifest of object {block.level.object_ids[objects[at]]} names fragment {fragments[at]} of chunk "
            f"{block.key(place)}, which has {counts[place]} ({int(bad.sum())} such references)",
        )


@BLOCK_RULES.rule(3, DROP, cells(_NAMED), applies=_owned)
def fragments_owned(block: Block) -> Iterator[Problem]:
    """Check that every fragment that holds vertices belongs to an object."""
    owners, _ = block.owners
    bad = (owners < 0) & (block.fragments.counts > 0)
    if bad.any():
        first = _fragment(block, int(np.flatnonzero(bad)[0]))
        message = f"{int(bad.sum())} fragments belong to no object; the first is {first}"
        path = f"{block.level.path}/{OBJECT_INDEX}"
        yield error(path, message) if block.level.is_ours else warning(path, message)


def _owned_alone(block: Block) -> bool:
    return _owned(block) and not block.level.reader.metadata.shared_fragments


@BLOCK_RULES.rule(3, DROP, cells(_NAMED), applies=_owned_alone)
def fragments_shared(block: Block) -> Iterator[Problem]:
    """Check that a fragment belongs to one object, unless the level says that fragments are shared."""
    _, shared = block.owners
    if shared.any():
        first = _fragment(block, int(np.flatnonzero(shared)[0]))
        message = f"{int(shared.sum())} fragments belong to several objects, but shared_fragments is not set; "
        yield error(f"{block.level.path}/{OBJECT_INDEX}", f"{message}the first is {first}")


def _names_owners(block: Block) -> bool:
    rows = block.fragment_attributes.get(OBJECT_ID_ATTRIBUTE)
    return rows is not None and _owned_alone(block) and np.array_equal(rows.offsets, block.fragments.offsets)


@BLOCK_RULES.rule(3, DROP, cells("manifests that name every fragment once"), applies=_names_owners)
def fragment_owners(block: Block) -> Iterator[Problem]:
    """Check that the fragment attribute ``object_id`` names the object whose manifest names the fragment."""
    owners, shared = block.owners
    stated = block.fragment_attributes[OBJECT_ID_ATTRIBUTE].column.values.astype(np.int64)
    ids = np.append(block.level.object_ids, -1)
    bad = (owners >= 0) & (stated != ids[owners]) & ~shared
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        yield error(
            block.fragment_attributes[OBJECT_ID_ATTRIBUTE].path,
            f"{_fragment(block, number)} says object {stated[number]}, but object {ids[owners[number]]} names it "
            f"({int(bad.sum())} such fragments)",
        )


@BLOCK_RULES.rule(4, f"the position is lost; {REWRITE}")
def vertices_finite(block: Block) -> Iterator[Problem]:
    """Check that positions are numbers, neither NaN nor infinite."""
    if not is_finite(block):
        rows = np.flatnonzero(~np.isfinite(block.positions).all(axis=1))
        if not len(rows):
            return
        yield error(
            f"{block.level.path}/{VERTICES}",
            f"{len(rows)} positions are not finite; the first is {_row(block, int(rows[0]))}: "
            f"{block.positions[rows[0]].tolist()}",
        )


def is_finite(block: Block) -> bool:
    """Return whether all positions are finite; NaN passes through minima and maxima."""
    low, high, _ = extents_of(block.positions, block.row_offsets)
    return bool(np.isfinite(low).all() and np.isfinite(high).all())


def _is_locatable(block: Block) -> bool:
    """Return whether chunk numbers of the positions can be counted."""
    if not is_finite(block) or (len(block.filed[0]) < len(block.positions) and not has_legal_fragments(block)):
        return False
    low, high, _ = block.extents
    cell = np.array(block.level.reader.grid.cell_shape)
    return not len(low) or bool(max(np.abs(low / cell).max(), np.abs(high / cell).max()) < 2**62)


@BLOCK_RULES.rule(4, f"the position is damaged, or filed wrongly; {REWRITE}", applies=_is_locatable)
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


@BLOCK_RULES.rule(4, REWRITE, Fix("the vertices"), applies=is_finite)
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


def _has_bins(block: Block) -> bool:
    """Return whether fragments ought to be the bins of their chunk."""
    root, reader = block.level.store.root, block.level.reader
    points = set(root.geometry_types) <= set(POINTS) and root.object_index_convention != OBJECTS_IDENTITY
    nests = reader.grid.nests and reader.grid.bin_shape is not None
    return points and nests and reader.arrays.object_index is None and _is_locatable(block)


@BLOCK_RULES.rule(4, REWRITE, cells("the bins that vertices lie in"), applies=_has_bins)
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
    grid = block.level.reader.grid
    n_bins = grid.n_bins
    numbers = (block.fragments.offsets[rows][:, None] + np.arange(n_bins)).reshape(-1)
    numbers = numbers[block.fragments.counts[numbers] > 0]
    if not len(numbers):
        return
    starts = (block.fragments.starts + block.fragment_base)[numbers]
    counts = block.fragments.counts[numbers]
    low, high = _run_extents(block.positions, starts, counts)
    number = numbers - block.fragments.offsets[block.fragments.chunk_of[numbers]]
    bad = (bins_in_chunks(grid, low) != number) | (bins_in_chunks(grid, high) != number)
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


def bins_in_chunks(grid: Grid, positions: FloatArray) -> IntArray:
    """Return the C-order number of each position's bin inside its own chunk."""
    number = np.zeros(len(positions), np.int64)
    for d, per_chunk in enumerate(grid.bins_per_chunk):
        number = number * per_chunk + np.mod(grid.bins_of(positions[:, d], d), per_chunk)
    return number


def _goes_by_vertices(block: Block) -> bool:
    """Return whether chunks go by an attribute of vertices that is stored; at coarse levels that is aggregated."""
    level = block.level
    described = read_description(level.reader.metadata)
    if described is None or described.scope != VERTEX or level.number:
        return False
    return described.spec.attribute in block.attributes and has_leading_bin(level)


@BLOCK_RULES.rule(4, RECHUNK, applies=_goes_by_vertices)
def vertex_bins(block: Block) -> Iterator[Problem]:
    """Check that vertices are in the chunks of the bin that their attribute is in."""
    described = read_description(block.level.reader.metadata)
    assert described is not None
    rows = block.attributes[described.spec.attribute or ""]
    counts = np.diff(rows.offsets)
    if not described.fits(rows.column):
        return
    codes, filed = described.of_column(rows.column)[0], np.repeat(block.chunks[:, 0], counts)
    bad = np.flatnonzero(codes != filed)
    if len(bad):
        chunk = int(np.searchsorted(offsets_of(counts), bad[0], side="right")) - 1
        yield error(
            f"{block.level.path}/{VERTICES}",
            f"chunk {block.key(chunk)} holds vertices whose bin by {described.spec.by!r} is {codes[bad[0]]} "
            f"({len(bad)} such vertices)",
        )


def _has_categories(block: Block) -> bool:
    return any(rows.column.spec.categories is not None for rows in block.attributes.values())


@BLOCK_RULES.rule(4, f"the category is lost; {REWRITE}", applies=_has_categories)
def category_codes(block: Block) -> Iterator[Problem]:
    """Check that codes of categorical attributes stand for a category or for a missing value."""
    for rows in block.attributes.values():
        spec = rows.column.spec
        if spec.categories is None:
            continue
        codes = rows.column.values.astype(np.int64)
        bad = (codes < 0) | (codes >= len(spec.categories))
        if isinstance(spec.fill, (int, np.integer)):
            bad &= codes != int(spec.fill)
        used = block.level.used_codes.setdefault(rows.path, np.zeros(len(spec.categories), bool))
        used[codes[(codes >= 0) & (codes < len(used))]] = True
        if bad.any():
            code = rows.column.values.reshape(-1)[np.flatnonzero(bad.reshape(-1))[0]]
            yield error(
                rows.path, f"code {code} stands for none of {len(spec.categories)} categories ({bad.sum()} rows)"
            )


def _may_have_wrong_texts(level: LevelSubject) -> bool:
    """Return whether all chunks of full resolution were looked at and some attribute has categories."""
    return level.number == 0 and level.counted is not None and bool(level.used_codes)


@COUNT_RULES.rule(4, REWRITE, applies=_may_have_wrong_texts)
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
        if (
            len(texts) < len(listed)
            or texts != sorted(texts)
            or max(len(text.encode()) for text in texts) <= _SHORT_TEXT
        ):
            continue
        first = listed[int(np.flatnonzero(~used)[0])]
        yield warning(
            array.path,
            f"{int((~used).sum())} of the {len(listed)} texts of {name!r} are those of no row, the first {first!r}; "
            "earlier versions took texts of more than 15 bytes for each other. Unless they came as a categorical, "
            "or their rows were removed, write the attribute anew from its source",
        )


@COUNT_RULES.rule(3, DROP, cells("the vertices"))
def vertex_count(level: LevelSubject) -> Iterator[Problem]:
    """Check that ``vertex_count`` is the number of vertices in the chunks."""
    stated = level.reader.metadata.vertex_count
    if level.counted is not None and level.counted != stated:
        yield error(level.path, f"vertex_count is {stated}, but the chunks hold {level.counted} vertices")
