"""Level 3: links name vertices that are there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.constants import LINKS, LINKS_SEQUENTIAL
from zarr_vectors.read.links import read_links
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.rules import Problem, error, note
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject


def link_levels(level: LevelSubject) -> Iterator[Problem]:
    """Check that links across levels lead to levels of the store."""
    for delta in sorted(level.reader.arrays.links):
        if other_level(level, delta) is None:
            yield error(
                f"{level.path}/{LINKS}/{delta:+d}",
                f"links lead to level {level.number + delta}, which cannot be opened",
            )


def other_level(level: LevelSubject, delta: int) -> LevelSubject | None:
    """Return the level of the other endpoints of links, where it is open."""
    found = (other for other in level.store.levels if other.number == level.number + delta)
    return next((other for other in found if other.opened is not None), None)


def link_endpoints(level: LevelSubject) -> Iterator[Problem]:
    """Check that the endpoints of links are chunks of their levels and rows of those chunks."""
    for delta in sorted(level.reader.arrays.links):
        other = other_level(level, delta)
        if other is None:
            continue
        path = f"{level.path}/{LINKS}/{delta:+d}" if delta else f"{level.path}/{LINKS}/0"
        # Paths are joined by their manifests; early writers filed crossings of theirs under other rows.
        tolerated = delta == 0 and level.store.root.links_convention == LINKS_SEQUENTIAL and not level.is_ours
        message = _wrong_endpoints(level, other, delta)
        if message:
            yield note(path, message) if tolerated else error(path, message)


def _wrong_endpoints(level: LevelSubject, other: LevelSubject, delta: int) -> str:
    """Return what is wrong with the endpoints of one family; empty where nothing is."""
    try:
        table = read_links(level.reader, other.reader, delta, [])
    except DAMAGE as failure:
        return str(failure)
    counts = [level.row_counts, *[other.row_counts] * (table.width - 1)]
    for endpoint, rows_of_chunk in enumerate(counts):
        bad = _outside(table.chunks[:, endpoint], table.rows[:, endpoint], rows_of_chunk)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            chunk = table.chunks[first, endpoint]
            listed = table.here if endpoint == 0 else table.there
            key = ".".join(map(str, listed[chunk].tolist()))
            return (
                f"{int(bad.sum())} of {table.count} links name rows that are not there; endpoint {endpoint} of link "
                f"{first} is row {table.rows[first, endpoint]} of chunk {key}, which has {rows_of_chunk[chunk]}"
            )
    return ""


def _outside(chunks: IntArray, rows: IntArray, counts: IntArray) -> BoolArray:
    limits = counts[chunks]
    return np.asarray((rows < 0) | ((rows >= limits) & (limits >= 0)))


def has_links(level: LevelSubject) -> bool:
    """Return whether a level stores links and all of its chunks were looked at."""
    return bool(level.reader.arrays.links) and not level.is_sampled
