"""Level 3: the arrays of a chunk fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from zarr_vectors.constants import OBJECT_ID_ATTRIBUTE, PARAMETRIC, VERTEX_FRAGMENTS
from zarr_vectors.read.objects import read_column
from zarr_vectors.read.parametric import read_parametric_table
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.blocks import Block, Rows, has_object_ids
from zarr_vectors.validate.rules import Problem, error, warning
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject, StoreSubject


def tables_readable(level: LevelSubject) -> Iterator[Problem]:
    """Check that object index, object attributes, groups and group attributes can be decoded."""
    arrays = level.reader.arrays
    try:
        if arrays.object_index is not None:
            assert level.manifests is not None
            assert level.object_ids is not None
        assert arrays.groups is None or level.groups is not None
    except DAMAGE as failure:
        yield error(level.path, str(failure))
    for columns in (arrays.object_attributes, arrays.group_attributes):
        for array in columns.values():
            try:
                read_column(level.reader, array)
            except DAMAGE as failure:
                yield error(level.path, str(failure))


def parametric_readable(store: StoreSubject) -> Iterator[Problem]:
    """Check that the parametric objects can be decoded."""
    try:
        read_parametric_table(store.storage)
    except DAMAGE as failure:
        yield error(PARAMETRIC, str(failure))


def _first(block: Block, bad: BoolArray) -> str:
    """Return how many chunks are affected and the first of them."""
    row = int(np.flatnonzero(bad)[0])
    return f"chunk {block.key(row)}" + (f" and {int(bad.sum()) - 1} more" if bad.sum() > 1 else "")


def _row_counts(block: Block, tables: Mapping[str, Rows], counts: IntArray, what: str) -> Iterator[Problem]:
    for rows in tables.values():
        found = np.diff(rows.offsets)
        bad = found != counts
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            yield error(rows.path, f"{_first(block, bad)}: {found[row]} rows, but the chunk has {counts[row]} {what}")


def attribute_rows(block: Block) -> Iterator[Problem]:
    """Check that vertex attributes have a row per vertex."""
    yield from _row_counts(block, block.attributes, block.counts, "vertices")


def fragment_attribute_rows(block: Block) -> Iterator[Problem]:
    """Check that fragment attributes have a row per fragment."""
    yield from _row_counts(block, block.fragment_attributes, np.diff(block.fragments.offsets), "fragments")


def fragments_present(block: Block) -> Iterator[Problem]:
    """Check that every chunk of vertices has a fragment index."""
    bad = block.unindexed & (block.counts > 0)
    if bad.any():
        yield error(f"{block.level.path}/{VERTEX_FRAGMENTS}", f"{_first(block, bad)}: the fragment index is missing")


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
    return not any(True for _ in fragment_rows(block))


def fragments_tile(block: Block) -> Iterator[Problem]:
    """Check that where the level says so, fragments are ranges that cover the rows of their chunk once, in order."""
    bad = ~tiling_chunks(block) & ~block.unindexed
    if bad.any():
        yield error(
            f"{block.level.path}/{VERTEX_FRAGMENTS}",
            f"{_first(block, bad)}: fragments do not cover the rows once, in order, as fragments_tile says",
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


def fragments_cover(block: Block) -> Iterator[Problem]:
    """Check that every vertex belongs to a fragment."""
    rows, _ = block.fragment_rows()
    used = np.zeros(len(block.positions), bool)
    used[rows] = True
    if not used.all():
        row = int(np.flatnonzero(~used)[0])
        chunk = int(np.searchsorted(block.row_offsets, row, side="right")) - 1
        yield warning(
            f"{block.level.path}/{VERTEX_FRAGMENTS}",
            f"{int((~used).sum())} vertices belong to no fragment; the first is row {row - block.row_offsets[chunk]} "
            f"of chunk {block.key(chunk)}",
        )


def states_tiling(block: Block) -> bool:
    """Return whether the level says that its fragments tile."""
    return block.level.reader.metadata.fragments_tile


def is_not_tiling(block: Block) -> bool:
    """Return whether rows must be looked at one by one to know that all belong to a fragment."""
    return has_legal_fragments(block) and not bool(tiling_chunks(block).all())


def has_objects(level: LevelSubject) -> bool:
    """Return whether a level has an object index that can be read."""
    if level.reader.arrays.object_index is None:
        return False
    try:
        return len(level.object_ids) == len(level.manifests.offsets) - 1
    except DAMAGE:
        return False


def has_owned_fragments(block: Block) -> bool:
    """Return whether fragments belong to objects, by manifests."""
    return has_objects(block.level)


def names_owners(block: Block) -> bool:
    """Return whether fragments say whose they are, one row each."""
    if not has_owned_fragments(block) or not has_object_ids(block.level):
        return False
    rows = block.fragment_attributes[OBJECT_ID_ATTRIBUTE]
    return not block.level.reader.metadata.shared_fragments and np.array_equal(rows.offsets, block.fragments.offsets)


def owns_alone(block: Block) -> bool:
    """Return whether no fragment may belong to several objects."""
    return has_owned_fragments(block) and not block.level.reader.metadata.shared_fragments


def vertex_count(level: LevelSubject) -> Iterator[Problem]:
    """Check that ``vertex_count`` is the number of vertices in the chunks."""
    stated = level.reader.metadata.vertex_count
    if level.counted is not None and level.counted != stated:
        yield error(level.path, f"vertex_count is {stated}, but the chunks hold {level.counted} vertices")


def manifest_fragments(block: Block) -> Iterator[Problem]:
    """Check that manifests name fragments that their chunk has."""
    places, fragments, objects = block.level.references.to(block.chunk_rows)
    counts = np.diff(block.fragments.offsets)
    bad = fragments >= counts[places]
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        place = int(places[at])
        yield error(
            f"{block.level.path}/object_index",
            f"the manifest of object {block.level.object_ids[objects[at]]} names fragment {fragments[at]} of chunk "
            f"{block.key(place)}, which has {counts[place]} ({int(bad.sum())} such references)",
        )


def fragments_owned(block: Block) -> Iterator[Problem]:
    """Check that every fragment that holds vertices belongs to an object."""
    owners, _ = block.owners
    bad = (owners < 0) & (block.fragments.counts > 0)
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        chunk = int(block.fragments.chunk_of[number])
        message = (
            f"{int(bad.sum())} fragments belong to no object; the first is fragment "
            f"{number - block.fragments.offsets[chunk]} of chunk {block.key(chunk)}"
        )
        path = f"{block.level.path}/object_index"
        yield error(path, message) if block.level.is_ours else warning(path, message)


def fragments_shared(block: Block) -> Iterator[Problem]:
    """Check that a fragment belongs to one object, unless the level says that fragments are shared."""
    _, shared = block.owners
    if shared.any():
        number = int(np.flatnonzero(shared)[0])
        chunk = int(block.fragments.chunk_of[number])
        yield error(
            f"{block.level.path}/object_index",
            f"{int(shared.sum())} fragments belong to several objects, but shared_fragments is not set; the first is "
            f"fragment {number - block.fragments.offsets[chunk]} of chunk {block.key(chunk)}",
        )


def fragment_owners(block: Block) -> Iterator[Problem]:
    """Check that the fragment attribute ``object_id`` names the object whose manifest names the fragment."""
    owners, shared = block.owners
    stated = block.fragment_attributes[OBJECT_ID_ATTRIBUTE].column.values.astype(np.int64)
    ids = np.append(block.level.object_ids, -1)
    bad = (owners >= 0) & (stated != ids[owners]) & ~shared
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        chunk = int(block.fragments.chunk_of[number])
        yield error(
            block.fragment_attributes[OBJECT_ID_ATTRIBUTE].path,
            f"fragment {number - block.fragments.offsets[chunk]} of chunk {block.key(chunk)} says object "
            f"{stated[number]}, but object {ids[owners[number]]} names it ({int(bad.sum())} such fragments)",
        )
