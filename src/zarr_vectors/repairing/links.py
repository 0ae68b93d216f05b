"""Links that name what is there: the others are made anew from manifests or from the level they lead to, or dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_DEDUPLICATED, LINKS, LINKS_SEQUENTIAL
from zarr_vectors.formats.absent import absent_values
from zarr_vectors.formats.joining import joined_with_absent
from zarr_vectors.formats.layout import LinkFamily
from zarr_vectors.formats.link_names import delta_name
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.links import LinkTable
from zarr_vectors.read.cells import read_cells
from zarr_vectors.read.fetch import fetch_cells, fetch_many
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.link_cells import FetchedArray, Records, decode_records
from zarr_vectors.read.links import LinkPlan, plan_links
from zarr_vectors.read.store import StoreReader
from zarr_vectors.read.vertices import decode_vertices
from zarr_vectors.repairing.contents import with_link_fragments
from zarr_vectors.repairing.context import Context
from zarr_vectors.repairing.rewriting import rewrite_level
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.rules.root import PATHS
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject

_UNREADABLE = (*DAMAGE, KeyError)


def repair_links(context: Context, store: StoreReader, subject: LevelSubject) -> None:
    """Repair the links of a level whose other arrays are sound."""
    level, number = subject.reader, subject.number
    tables = []
    try:
        cells = read_cells(replace_links(level))
    except DAMAGE:
        return
    for delta in sorted(level.arrays.links):
        path = f"{number}/{LINKS}/{delta_name(delta)}"
        try:
            other = level if delta == 0 else store.level(number + delta)
        except _UNREADABLE:
            if number + delta in store.level_numbers():
                return
            if not context.lost("link-levels", path, f"its links lead to level {number + delta}, which is gone"):
                return
            continue
        table, damaged = salvage_links(level, other, delta)
        table, missing = _inside(table, _row_counts(level), _row_counts(other))
        if damaged or missing:
            made = _made_anew(store, level, other, delta, cells)
            if made is not None and made.count >= table.count + max(missing, damaged):
                context.repaired("link-endpoints", path, f"{made.count} links were made anew")
                table = made
            else:
                said = f"{missing} links name rows that are not there, {damaged} cells of links cannot be decoded"
                if not context.lost("link-endpoints", path, said):
                    return
        tables.append(table)
    kept: set[str] = set()
    cells = replace(cells, links=tuple(tables))
    zero = next((table for table in tables if table.delta == 0), None)
    if zero is not None:
        cells = with_link_fragments(level, cells, zero, kept)
    rewrite_level(context.draft, store, level, level.metadata, cells, kept)


def replace_links(level: LevelReader) -> LevelReader:
    """Return a level as if it stored no links."""
    return replace(level, arrays=replace(level.arrays, links={}))


def _row_counts(level: LevelReader) -> IntArray:
    _, offsets, _ = decode_vertices(fetch_cells(level.storage, [level.arrays.vertices], level.chunks)[0])
    return np.diff(offsets)


def _inside(table: LinkTable, here: IntArray, there: IntArray) -> tuple[LinkTable, int]:
    """Return the links whose rows are there, and how many others there are."""
    good: BoolArray = np.ones(table.count, bool)
    for endpoint in range(table.width):
        limits = (here if endpoint == 0 else there)[table.chunks[:, endpoint]]
        good &= (table.rows[:, endpoint] >= 0) & (table.rows[:, endpoint] < limits)
    return take_links(table, good), int((~good).sum())


def take_links(table: LinkTable, good: BoolArray) -> LinkTable:
    """Return some of the links."""
    if good.all():
        return table
    attributes = {name: column.take(good) for name, column in table.attributes.items()}
    return replace(table, chunks=table.chunks[good], rows=table.rows[good], attributes=attributes)


def salvage_links(level: LevelReader, other: LevelReader, delta: int) -> tuple[LinkTable, int]:
    """Return the links of a family that can be decoded, and how many cells cannot."""
    plan = plan_links(level, other, delta)
    try:
        return plan.decode(fetch_many(level.storage, plan.wanted)), 0
    except DAMAGE:
        pass
    parts, lost = _cell_by_cell(plan)
    if plan.family.blob is not None:
        part, bad = _of_blob(level, other, plan.family, plan.names)
        parts.append(part)
        lost += bad
    width, names = plan.family.width, plan.names
    chunks = np.concatenate([np.zeros((0, width), np.int64), *(part.chunks for part in parts)])
    rows = np.concatenate([np.zeros((0, width), np.int64), *(part.rows for part in parts)])
    known = {name: array for links in plan.family.arrays for name, array in links.attributes.items()}
    columns = {}
    for name in (name for name in names if name in known):
        spec = known[name].spec
        there = [part.attributes[name] for part in parts if name in part.attributes]
        column = Column(np.concatenate([absent_values(spec, 0), *there]), spec)
        has = np.repeat([name in part.attributes for part in parts], [len(part.rows) for part in parts]).astype(bool)
        lacking = int((~has).sum())
        columns[name] = joined_with_absent(column, lacking).take(np.where(has, np.cumsum(has) - 1, len(column)))
    family = plan.family
    return LinkTable(delta, chunks, rows, level.chunks, other.chunks, family.directed, family.store, columns), lost


def _cell_by_cell(plan: LinkPlan) -> tuple[list[Records], int]:
    parts: list[Records] = []
    lost = 0
    for number, mine in plan.cells.parts():
        array, listed = plan.family.arrays[number], plan.cells.select(mine)
        named = {name: array.attributes[name] for name in plan.names if name in array.attributes}
        for row in range(len(listed.arrays)):
            one = listed.select(slice(row, row + 1))
            try:
                cells, *others = fetch_cells(plan.level.storage, [array.cells, *named.values()], one.corners[:, 0])
                fetched = FetchedArray(array, cells, one, dict(zip(named, others, strict=True)))
                parts += decode_records(plan.level, plan.other, plan.family, [fetched])
            except DAMAGE:
                lost += 1
    return parts, lost


def _of_blob(level: LevelReader, other: LevelReader, family: LinkFamily, names: list[str]) -> tuple[Records, int]:
    """Return the records of a table of links whose chunks are there, and whether the others are lost."""
    blob, width = family.blob, family.width
    assert blob is not None
    none = np.zeros((0, width), np.int64)
    try:
        coordinates, rows = blob.decode(level.storage.get_many(blob.requests()))
        tables = {name: blob.attributes[name] for name in names if name in blob.attributes}
        attributes = {n: t.decode(level.storage.get_many(t.requests(None)), None) for n, t in tables.items()}
    except DAMAGE:
        return Records(none, none, {}), 1
    chunks = np.empty(rows.shape, np.int64)
    for endpoint in range(width):
        chunks[:, endpoint] = (level if endpoint == 0 else other).lookup.rows(coordinates[:, endpoint])
    good: BoolArray = np.asarray((chunks >= 0).all(axis=1))
    kept = {name: values[good] for name, values in attributes.items() if len(values) == len(good)}
    return Records(chunks[good], rows[good], kept), int((~good).sum())


def _made_anew(
    store: StoreReader, level: LevelReader, other: LevelReader, delta: int, cells: Cells
) -> LinkTable | None:
    """Return the links of a family from what else says them; None where nothing does."""
    if delta == 0:
        return _crossings(store, level, cells)
    if -delta not in other.arrays.links or level.arrays.links[delta].width != 2:
        return None
    mirror, damaged = salvage_links(other, level, -delta)
    mirror, missing = _inside(mirror, _row_counts(other), _row_counts(level))
    if damaged or missing or mirror.width != 2 or mirror.attributes:
        return None
    chunks, rows = mirror.chunks[:, ::-1], mirror.rows[:, ::-1]
    order = np.lexsort([rows[:, 0], chunks[:, 0]])
    family = level.arrays.links[delta]
    return LinkTable(delta, chunks[order], rows[order], level.chunks, other.chunks, family.directed, family.store)


def _crossings(store: StoreReader, level: LevelReader, cells: Cells) -> LinkTable | None:
    """Return the links by which paths go on in another chunk, from their manifests."""
    root = store.root
    paths = bool(root.geometry_types) and set(root.geometry_types) <= set(PATHS)
    manifests = None if cells.objects is None else cells.objects.manifests
    family = level.arrays.links[0]
    named = any(array.attributes for array in family.arrays)
    if not paths or root.links_convention != LINKS_SEQUENTIAL or manifests is None or named or family.width != 2:
        return None
    if root.cross_chunk_strategy == CROSS_CHUNK_DEDUPLICATED or level.metadata.shared_fragments:
        return None
    chunk = ChunkLookup.of(cells.chunks).rows(manifests.chunks)
    if (chunk < 0).any() or (manifests.fragments >= np.diff(cells.fragments.offsets)[chunk]).any():
        return None
    fragment = cells.fragments.offsets[chunk] + manifests.fragments
    objects = np.repeat(np.arange(len(manifests.offsets) - 1), np.diff(manifests.offsets))
    later = np.flatnonzero(objects[1:] == objects[:-1]) + 1
    before, after = fragment[later - 1], fragment[later]
    starts, counts = cells.fragments.starts, cells.fragments.counts
    rows = np.stack([starts[before] + counts[before] - 1, starts[after]], axis=1)
    chunks = np.stack([chunk[later - 1], chunk[later]], axis=1)
    return LinkTable(0, chunks, rows, cells.chunks, cells.chunks, family.directed, family.store)
