"""What the arrays of a level hold: read as far as it can be, made anew where it follows from the rest, written back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from zarr_vectors.constants import (
    FRAGMENT_ATTRIBUTES,
    OBJECT_ATTRIBUTES,
    OBJECT_ID_ATTRIBUTE,
    OBJECT_INDEX,
    OBJECTS_IDENTITY,
    VERTEX_ATTRIBUTES,
)
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.absent import absent_values
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.documents import LEVEL_KEY
from zarr_vectors.formats.joining import joined_with_absent
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells, Fragments, Manifests, ObjectTable
from zarr_vectors.model.links import LinkTable
from zarr_vectors.model.metadata import LevelMetadata
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.links import read_links
from zarr_vectors.read.store import StoreReader
from zarr_vectors.repairing.cells import (
    SalvagedRows,
    joined_fragments,
    salvage_fragments,
    salvage_rows,
    split_fragments,
)
from zarr_vectors.repairing.context import Context
from zarr_vectors.repairing.fragments import Evidence, repair_fragments
from zarr_vectors.repairing.objects import (
    ObjectEvidence,
    decode_ids,
    decode_manifests,
    owner_ids,
    repair_manifests,
)
from zarr_vectors.repairing.rewriting import rewrite_level
from zarr_vectors.repairing.tables import repair_columns, repair_groups
from zarr_vectors.spatial.linking import inside_chunks, link_fragments
from zarr_vectors.storage.port import list_folder
from zarr_vectors.typing import AnyArray, BoolArray, IntArray
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject

OBJECT_ID = OBJECT_ID_ATTRIBUTE
LINK_FAMILIES = ("links", "link_attributes", "link_fragments", "cross_chunk_links", "cross_chunk_link_attributes")


@dataclass(slots=True)
class _Parts:
    """A level as far as it has been read, and what of it is left alone.

    Parameters
    ----------
    chunks, positions, row_offsets, fragments
        As in :class:`~zarr_vectors.model.cells.Cells`.
    kept : set of str
        Paths below the level that are to stay as they are.
    """

    chunks: IntArray
    positions: AnyArray
    row_offsets: IntArray
    fragments: Fragments
    kept: set[str] = field(default_factory=set)


def repair_contents(context: Context, store: StoreReader, subject: LevelSubject) -> None:
    """Repair fragments, attributes, objects, groups, lists of chunks and counts of a level.

    A level of which something would have to be dropped that everything else hangs on (vertices of a chunk) stays as
    it is unless that is asked for; damaged attributes and groups stay alone.
    """
    level = subject.reader
    number = level.metadata.level
    if level.arrays.vertices.spec.encoding not in (None, "raw"):
        context.hopeless("cells-readable", f"{number}/vertices", "vertices that are encoded are not repaired")
        return
    if level.arrays.object_index is None and OBJECT_INDEX in list_folder(level.storage, str(number)).folders:
        said = "there is an object index that cannot be opened; which fragments are whose is lost with it"
        context.hopeless("cells-readable", f"{number}/{OBJECT_INDEX}", said)
        return
    vertices = salvage_rows(level.storage, level.arrays.vertices, level.chunks)
    gone = _gone_chunks(context, level, vertices)
    if gone is None:
        return
    table = _readable_links(level)
    manifests = decode_manifests(level)
    parts = _with_fragments(context, subject, vertices, ~gone, manifests, table)
    if parts is None:
        return
    attributes = _attributes(context, level, parts)
    described, stated = _fragment_attributes(context, level, parts)
    objects = _objects(context, store, level, parts, described, stated, table)
    if objects is _UNKNOWN:
        return
    groups = repair_groups(context, level, objects, parts.kept)
    links, link_table = _links(level, store, parts)
    cells = Cells(
        parts.chunks, parts.row_offsets, parts.positions, parts.fragments, attributes, described, objects, groups, links
    )
    if link_table is not None:
        cells = with_link_fragments(level, cells, link_table, parts.kept)
    metadata = _metadata(subject, parts)
    rewrite_level(context.draft, store, level, metadata, cells, parts.kept)


_UNKNOWN = ObjectTable(np.zeros(0, np.int64), None)


def _gone_chunks(context: Context, level: LevelReader, vertices: SalvagedRows) -> BoolArray | None:
    """Return which chunks have lost their vertices; None where they may not be dropped."""
    number = level.metadata.level
    gone = (vertices.counts < 0) | _emptied(level, vertices)
    may = True
    for key in format_keys(level.chunks[gone]):
        may &= context.lost("cells-readable", f"{number}/vertices", f"chunk {key}: its vertices cannot be decoded")
    extra = _extra_chunks(level)
    for path, keys in extra.items():
        said = f"chunk {', '.join(keys)}: there are no vertices to what this holds"
        may &= context.lost("chunk-sets", path, said)
    return gone if may else None


def _emptied(level: LevelReader, vertices: SalvagedRows) -> BoolArray:
    """Return which chunks hold nothing although fragments name vertices of theirs."""
    emptied = np.zeros(len(vertices.counts), bool)
    rows = np.flatnonzero(vertices.counts == 0)
    if len(rows):
        fragments, _ = salvage_fragments(level.storage, level.arrays.vertex_fragments, level.chunks[rows])
        emptied[rows[fragments.chunk_of[fragments.counts > 0]]] = True
    return emptied


def _extra_chunks(level: LevelReader) -> dict[str, list[str]]:
    """Return the chunks of other arrays that the vertices do not have, by array."""
    arrays = level.arrays
    others = [*arrays.vertex_attributes.values(), *arrays.fragment_attributes.values()]
    if arrays.vertex_fragments is not None:
        others.insert(0, arrays.vertex_fragments)
    found = {}
    for array in others:
        chunks = listed_chunks(level, array)
        keys = format_keys(chunks[level.lookup.rows(chunks) < 0]) if len(chunks) else []
        if keys:
            found[array.path] = keys
    return found


def listed_chunks(level: LevelReader, array: CellArray) -> IntArray:
    """Return the chunks that an array has, by its own list or its folders."""
    if array.chunks is None and level.storage.can_list:
        names = level.storage.list_folders([array.path])[0].folders
        array.list_chunks([f"{array.path}/{name}/" for name in names])
    return level.chunks[:0] if array.chunks is None else array.chunks


def _readable_links(level: LevelReader) -> LinkTable | None:
    if 0 not in level.arrays.links:
        return None
    try:
        return read_links(level, level, 0)
    except DAMAGE:
        return None


def _with_fragments(
    context: Context,
    subject: LevelSubject,
    vertices: SalvagedRows,
    good: BoolArray,
    manifests: Manifests | None,
    links: LinkTable | None,
) -> _Parts | None:
    """Return vertices and fragments of the chunks that stay; None where some may not be dropped."""
    level, number = subject.reader, subject.number
    rows = np.flatnonzero(good)
    named = level.arrays.fragment_attributes.get(OBJECT_ID)
    counts = np.full(len(rows), -1, np.int64)
    if named is not None:
        counts = salvage_rows(level.storage, named, level.chunks[rows]).counts
    offsets = offsets_of(vertices.counts[rows])
    evidence = Evidence(subject, level.chunks[rows], vertices.values(rows), offsets, counts, manifests, links)
    fragments, lost = repair_fragments(context, evidence)
    may = True
    for key in format_keys(level.chunks[rows][lost]):
        said = f"chunk {key}: which of its vertices belong to which object is lost"
        may &= context.lost("cells-readable", f"{number}/vertex_fragments", said)
    if not may:
        return None
    if lost.any():
        tables = split_fragments(fragments)
        rows = rows[~lost]
        fragments = joined_fragments([table for table, bad in zip(tables, lost.tolist(), strict=True) if not bad])
    offsets = offsets_of(vertices.counts[rows])
    return _Parts(level.chunks[rows], vertices.values(rows), offsets, fragments)


def _attributes(context: Context, level: LevelReader, parts: _Parts) -> dict[str, Column]:
    found = {}
    for name, array in level.arrays.vertex_attributes.items():
        column = _column(context, level, array, parts.chunks, np.diff(parts.row_offsets), "attribute-rows")
        if column is _KEPT:
            parts.kept.add(f"{VERTEX_ATTRIBUTES}/{name}")
        elif column is not None:
            found[name] = column
    return found


_KEPT = Column(np.zeros(0), AttributeSpec())


def _column(
    context: Context, level: LevelReader, array: CellArray, chunks: IntArray, counts: IntArray, check: str
) -> Column | None:
    """Return an attribute with its lost values absent; None where it is dropped, `_KEPT` where it stays as it is."""
    rows = salvage_rows(level.storage, array, chunks)
    bad = rows.counts != counts
    spec = array.spec
    fillable = spec.fill is not None or (spec.numpy_dtype.kind in "iuf" and spec.categories is None)
    may = True
    for row in np.flatnonzero(bad).tolist():
        key = format_keys(chunks[row : row + 1])[0]
        what = (
            "its values are lost" if fillable else "its values are lost, and with them the attribute (it has no fill)"
        )
        known = "cells-readable" if rows.counts[row] < 0 else check
        may &= context.lost(known, array.path, f"chunk {key}: {what}")
    if not may:
        return _KEPT
    if bad.any() and not fillable:
        return None
    if bad.any() and check == "attribute-rows" and level.metadata.level == 0:
        _outdate_levels(context)
    if not bad.any():
        return Column(rows.values(np.arange(len(chunks))), spec)
    there = [rows.values(np.array([row])) for row in np.flatnonzero(~bad).tolist()]
    column = Column(np.concatenate([absent_values(spec, 0), *there]), spec)
    has = np.repeat(~bad, counts)
    return joined_with_absent(column, int((~has).sum())).take(np.where(has, np.cumsum(has) - 1, len(column)))


def _outdate_levels(context: Context) -> None:
    """Mark coarse levels as stale, since values that they were made of are gone."""
    for number in StoreReader.open(context.draft).level_numbers():
        document = context.draft.document(str(number)) or {}
        block = (document.get("attributes") or {}).get(LEVEL_KEY)
        if number and isinstance(block, dict) and not block.get("stale"):
            block["stale"] = True
            context.draft.put_document(str(number), document)
            context.repaired("fresh", str(number), "the level is marked as stale: values that it was made of are lost")


def _fragment_attributes(
    context: Context, level: LevelReader, parts: _Parts
) -> tuple[dict[str, Column], IntArray | None]:
    """Return the fragment attributes besides the object ids, and those where every one can be decoded."""
    counts, found = np.diff(parts.fragments.offsets), {}
    stated = None
    for name, array in level.arrays.fragment_attributes.items():
        if name == OBJECT_ID:
            rows = salvage_rows(level.storage, array, parts.chunks)
            if np.array_equal(rows.counts, counts) and array.spec.channels is None:
                stated = rows.values(np.arange(len(parts.chunks))).astype(np.int64)
                found[name] = Column(rows.values(np.arange(len(parts.chunks))), array.spec)
            continue
        column = _column(context, level, array, parts.chunks, counts, "fragment-attribute-rows")
        if column is _KEPT:
            parts.kept.add(f"{FRAGMENT_ATTRIBUTES}/{name}")
        elif column is not None:
            found[name] = column
    return found, stated


def _objects(
    context: Context,
    store: StoreReader,
    level: LevelReader,
    parts: _Parts,
    described: dict[str, Column],
    stated: IntArray | None,
    links: LinkTable | None,
) -> ObjectTable | None:
    """Return the objects, with the ids of fragments put right; `_UNKNOWN` where they cannot be made anew."""
    if level.arrays.object_index is None:
        if not level.arrays.object_attributes:
            return None
        count = parts.fragments.count if level.root.object_index_convention == OBJECTS_IDENTITY else None
        ids, manifests = np.arange(count or 0, dtype=np.int64), None
        if count is None:
            parts.kept.add(OBJECT_ATTRIBUTES)
            return None
        return ObjectTable(ids, manifests, repair_columns(context, level, count, parts.kept))
    evidence = ObjectEvidence(level, parts.chunks, parts.positions, parts.row_offsets, parts.fragments, stated, links)
    found_ids = decode_ids(context, store, level, stated)
    if found_ids is None:
        context.hopeless("cells-readable", evidence.path, "object ids are lost, and nothing else names them all")
        return _UNKNOWN
    made = repair_manifests(context, evidence, found_ids)
    if made is None:
        return _UNKNOWN
    if OBJECT_ID in level.arrays.fragment_attributes:
        _name_owners(context, evidence, made, found_ids, described)
    columns = repair_columns(context, level, len(found_ids), parts.kept)
    return ObjectTable(found_ids, made, columns)


def _name_owners(
    context: Context, evidence: ObjectEvidence, made: Manifests, ids: IntArray, described: dict[str, Column]
) -> None:
    """Make fragments name the objects whose manifests name them."""
    level = evidence.level
    owners = owner_ids(evidence, made, ids)
    path = f"{level.metadata.level}/{FRAGMENT_ATTRIBUTES}/{OBJECT_ID}"
    if owners is None:
        return
    if evidence.stated is None or not np.array_equal(owners, evidence.stated):
        order = ("fragment-owners", "fragment-attribute-rows", "cells-readable")
        check = next((name for name in order if context.has(name, level=level.metadata.level)), "fragment-owners")
        context.repaired(check, path, "fragments name the objects again whose manifests name them")
        spec = level.arrays.fragment_attributes[OBJECT_ID].spec
        described[OBJECT_ID] = Column(owners.astype(spec.numpy_dtype.newbyteorder("=")), spec)


def _links(level: LevelReader, store: StoreReader, parts: _Parts) -> tuple[tuple[LinkTable, ...], LinkTable | None]:
    """Return the links that can be read whole; where some cannot, all of them stay as they are."""
    tables = []
    for delta in sorted(level.arrays.links):
        table = _link_table(level, store, delta, parts.chunks)
        if table is None:
            parts.kept |= set(LINK_FAMILIES)
            return (), None
        tables.append(table)
    return tuple(tables), next((table for table in tables if table.delta == 0), None)


def _link_table(level: LevelReader, store: StoreReader, delta: int, chunks: IntArray) -> LinkTable | None:
    try:
        other = level if delta == 0 else store.level(level.metadata.level + delta)
        table = read_links(level, other, delta)
    except (*DAMAGE, KeyError, ArgumentError):
        return None
    return table if len(chunks) == len(level.chunks) else None


def with_link_fragments(level: LevelReader, cells: Cells, table: LinkTable, kept: set[str]) -> Cells:
    """Return cells with the table of which links belong to which fragment, where links are stored by fragment."""
    if level.arrays.link_fragments is None:
        return cells
    kept.add("link_fragments")
    if cells.fragments.explicit is not None or not tiles(cells):
        return cells
    starts = cells.row_offsets[:-1][table.chunks[:, 0]] + table.rows[:, 0]
    legal = (table.rows[:, 0] >= 0) & (starts < cells.count)
    if not legal.all():
        return cells
    fragment = np.repeat(np.arange(cells.fragments.count), cells.fragments.counts)[starts]
    inside = inside_chunks(table)
    order = np.lexsort([np.arange(int(inside.sum())), table.chunks[inside, 0]])
    if (np.diff(fragment[inside][order]) < 0).any():
        return cells
    kept.discard("link_fragments")
    return replace(cells, link_fragments=link_fragments(cells, table, fragment))


def tiles(cells: Cells) -> bool:
    """Return whether the fragments of all chunks cover their rows once, in order."""
    counts, fragments = np.diff(cells.row_offsets), cells.fragments
    if fragments.explicit is not None:
        return False
    total = np.concatenate([[0], np.cumsum(fragments.counts)])
    sums = total[fragments.offsets[1:]] - total[fragments.offsets[:-1]]
    running = total[:-1] - np.repeat(total[fragments.offsets[:-1]], np.diff(fragments.offsets))
    return bool(np.array_equal(sums, counts) and np.array_equal(running, fragments.starts))


def _metadata(subject: LevelSubject, parts: _Parts) -> LevelMetadata:
    level = subject.reader
    block = subject.block or {}
    cells = Cells(parts.chunks, parts.row_offsets, parts.positions, parts.fragments)
    tiled = tiles(cells)
    metadata = level.metadata
    if metadata.fragments_tile and not tiled:
        metadata = replace(metadata, fragments_tile=False)
    if "fragments_tile" not in block and "coarsening_method" in block and tiled:
        metadata = replace(metadata, fragments_tile=True)
    return metadata
