"""Links name vertices that are there, are as many as stated, and have their fragments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.constants import LINK_FRAGMENTS, LINKS, LINKS_SEQUENTIAL
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.layout import LinkArray
from zarr_vectors.formats.link_names import delta_name
from zarr_vectors.formats.objects import parse_fragments
from zarr_vectors.model.links import LinkTable
from zarr_vectors.read.fetch import decode_payloads, fetch_cells
from zarr_vectors.read.links import read_links
from zarr_vectors.read.vertices import holds_faces
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.rule import DROP, Problem, Rules, error, links, note
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject

LINK_RULES: Rules[LevelSubject] = Rules()
"""Rules of links, run when the vertices of all levels were counted."""


def _has_links(level: LevelSubject) -> bool:
    """Return whether a level stores links and all of its chunks were looked at."""
    return bool(level.reader.arrays.links) and not level.is_sampled


def _other_level(level: LevelSubject, delta: int) -> LevelSubject | None:
    """Return the level of the other endpoints of links, where it is open."""
    found = (other for other in level.store.levels if other.number == level.number + delta)
    return next((other for other in found if other.opened is not None), None)


@LINK_RULES.rule(3, DROP, links(), applies=_has_links)
def link_levels(level: LevelSubject) -> Iterator[Problem]:
    """Check that links across levels lead to levels of the store."""
    for delta in sorted(level.reader.arrays.links):
        if _other_level(level, delta) is None:
            message = f"links lead to level {level.number + delta}, which cannot be opened"
            yield error(f"{level.path}/{LINKS}/{delta_name(delta)}", message)


@LINK_RULES.rule(
    3, DROP, links("manifests, for paths; the other level's copy of links across levels"), applies=_has_links
)
def link_endpoints(level: LevelSubject) -> Iterator[Problem]:
    """Check that the endpoints of links are chunks of their levels and rows of those chunks."""
    for delta in sorted(level.reader.arrays.links):
        other = _other_level(level, delta)
        if other is None:
            continue
        path = f"{level.path}/{LINKS}/{delta_name(delta)}"
        # Paths are joined by their manifests; early writers filed crossings of theirs under other rows.
        tolerated = delta == 0 and level.store.root.links_convention == LINKS_SEQUENTIAL and not level.is_ours
        message = _wrong_endpoints(level, other, delta)
        if message:
            yield note(path, message) if tolerated else error(path, message)


def _wrong_endpoints(level: LevelSubject, other: LevelSubject, delta: int) -> str:
    """Return what is wrong with the endpoints of one family; empty where nothing is."""
    try:
        table = read_links(level.reader, other.reader, delta)
    except DAMAGE as failure:
        return str(failure)
    level.link_counts[delta] = table.count
    counts = [level.row_counts, *[other.row_counts] * (table.width - 1)]
    for endpoint, rows_of_chunk in enumerate(counts):
        bad = rows_outside(table, endpoint, rows_of_chunk)
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


def rows_outside(table: LinkTable, endpoint: int, row_counts: IntArray) -> BoolArray:
    """Return which links name rows that chunks of so many rows do not have; counts below 0 are not known."""
    rows, limits = table.rows[:, endpoint], row_counts[table.chunks[:, endpoint]]
    return np.asarray((rows < 0) | ((rows >= limits) & (limits >= 0)))


@LINK_RULES.rule(3, DROP, links("the links"), applies=_has_links)
def link_counts(level: LevelSubject) -> Iterator[Problem]:
    """Check that there are as many links as the metadata of their family states."""
    for delta, found in sorted(level.link_counts.items()):
        family = level.reader.arrays.links[delta]
        stated = family.document.get("num_links")
        if family.blob is None and not holds_faces(level.reader) and isinstance(stated, int) and stated != found:
            path = f"{level.path}/{LINKS}/{delta_name(delta)}"
            message = f"num_links is {stated}, but {found} links are there"
            yield error(path, message) if level.is_ours else note(path, message)


def _inside(level: LevelSubject) -> LinkArray | None:
    """Return the links inside chunks, where there are any."""
    family = level.reader.arrays.links.get(0)
    return None if family is None else next((a for a in family.arrays if not np.any(a.offsets) and not a.ragged), None)


def _has_link_fragments(level: LevelSubject) -> bool:
    """Return whether stored links inside chunks have fragments, and all of them could be read."""
    stored = level.reader.arrays.link_fragments is not None and not holds_faces(level.reader)
    return stored and 0 in level.link_counts and _inside(level) is not None


@LINK_RULES.rule(
    3, DROP, links("the links, where they stand in the order of their fragments"), applies=_has_link_fragments
)
def link_fragments(level: LevelSubject) -> Iterator[Problem]:
    """Check that the fragments of the links inside chunks cover all of them."""
    reader = level.reader
    fragments, inside = reader.arrays.link_fragments, _inside(level)
    assert fragments is not None
    assert inside is not None
    path = f"{level.path}/{LINK_FRAGMENTS}"
    chunks = reader.chunks if inside.cells.chunks is None else inside.cells.chunks
    try:
        cells, tables = fetch_cells(reader.storage, [inside.cells, fragments], chunks)
        sizes = np.array([len(payload) for payload in decode_payloads([cells])], np.int64)
        indexes = decode_payloads([tables])
        present = np.flatnonzero([len(index) > 0 for index in indexes])
        found = parse_fragments([indexes[row] for row in present])
    except DAMAGE as failure:
        yield error(path, str(failure))
        return
    rows = sizes // (8 * reader.arrays.links[0].width)
    covered = np.zeros(len(chunks), np.int64)
    np.add.at(covered, present[found.chunk_of], found.counts)
    wrong = covered != rows
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        message = (
            f"{int(wrong.sum())} chunks have fragments that do not cover their links; of the {rows[first]} links of "
            f"chunk {format_keys(chunks[first : first + 1])[0]}, {covered[first]} are covered"
        )
        yield error(path, message) if level.is_ours else note(path, message)
