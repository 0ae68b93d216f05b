"""Objects and groups of a level: their tables can be read, and fit together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKED, GROUPS, LINE, OBJECT_INDEX, OBJECTS_IDENTITY
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.fetch import decode_fragments, fetch_cells
from zarr_vectors.read.objects import read_column, read_columns
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.rechunking.binning import OBJECT
from zarr_vectors.rechunking.described import read_description
from zarr_vectors.validate.rule import DROP, HARMLESS, REWRITE, Problem, cells, error, note
from zarr_vectors.validate.rules.level import LEVEL_RULES
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject

RECHUNK = "rechunk the store by='spatial', then as it was"


def _has_objects(level: LevelSubject) -> bool:
    return level.has_objects


def _has_object_index(level: LevelSubject) -> bool:
    return level.reader.arrays.object_index is not None


def _has_groups(level: LevelSubject) -> bool:
    try:
        return level.groups is not None
    except DAMAGE:
        return False


@LEVEL_RULES.rule(3, DROP, cells("see fragments and manifests; other cells: none"))
def cells_readable(level: LevelSubject) -> Iterator[Problem]:
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


@LEVEL_RULES.rule(3, DROP, cells("manifests; object ids of other levels or of fragments"), applies=_has_objects)
def object_counts(level: LevelSubject) -> Iterator[Problem]:
    """Check that object ids are unique, and ``num_present`` counts the manifests that are not empty."""
    index = level.reader.arrays.object_index
    assert index is not None
    path = f"{level.path}/{OBJECT_INDEX}"
    ids, times = np.unique(level.object_ids, return_counts=True)
    if (times > 1).any():
        repeated = ids[times > 1]
        yield error(
            path, f"object id {repeated[0]} stands there {times[times > 1][0]} times ({len(repeated)} such ids)"
        )
    stated = index.document.get("num_present")
    if stated is not None and stated != len(level.present):
        yield error(path, f"num_present is {stated}, but {len(level.present)} manifests are not empty")


@LEVEL_RULES.rule(3, DROP, cells(), applies=_has_object_index)
def object_attribute_rows(level: LevelSubject) -> Iterator[Problem]:
    """Check that object attributes have a row per object."""
    index = level.reader.arrays.object_index
    assert index is not None
    for name, array in level.reader.arrays.object_attributes.items():
        if array.count != index.count:
            yield error(
                f"{level.path}/object_attributes/{name}", f"{array.count} rows, but there are {index.count} objects"
            )


@LEVEL_RULES.rule(3, DROP, cells(), applies=_has_groups)
def group_attribute_rows(level: LevelSubject) -> Iterator[Problem]:
    """Check that group attributes have a row per group."""
    groups = level.groups
    assert groups is not None
    for name, array in level.reader.arrays.group_attributes.items():
        if array.count != groups.count:
            yield error(
                f"{level.path}/group_attributes/{name}", f"{array.count} rows, but there are {groups.count} groups"
            )


@LEVEL_RULES.rule(3, DROP, cells(), applies=_has_groups)
def group_members(level: LevelSubject) -> Iterator[Problem]:
    """Check that groups name objects that the level has."""
    groups = level.groups
    assert groups is not None
    ids = ordered_object_ids(level.reader)
    if ids is None:
        if len(groups.members):
            yield error(f"{level.path}/{GROUPS}", "there are groups of objects, but no objects")
        return
    known = np.isin(groups.members, ids)
    if not known.all():
        at = int(np.flatnonzero(~known)[0])
        group = int(np.searchsorted(groups.offsets, at, side="right")) - 1
        yield error(
            f"{level.path}/{GROUPS}",
            f"group {group} names object {groups.members[at]}, which the level does not have "
            f"({int((~known).sum())} such members)",
        )


@LEVEL_RULES.rule(3, DROP, cells("the objects that fragments name"), applies=_has_objects)
def manifest_chunks(level: LevelSubject) -> Iterator[Problem]:
    """Check that manifests name chunks that hold vertices."""
    strays = level.references.strays
    if len(strays):
        yield error(
            f"{level.path}/{OBJECT_INDEX}",
            f"manifests name chunk {format_keys(strays[:1])[0]}, which holds nothing ({len(strays)} such references)",
        )


@LEVEL_RULES.rule(3, HARMLESS, applies=lambda level: level.number == 0 and level.has_objects)
def objects_used(level: LevelSubject) -> Iterator[Problem]:
    """Check that objects of full resolution have vertices."""
    empty = len(level.object_ids) - len(level.present)
    if empty:
        yield note(f"{level.path}/{OBJECT_INDEX}", f"{empty} of {len(level.object_ids)} objects have no vertices")


def _has_lines(level: LevelSubject) -> bool:
    stored = level.reader.arrays.vertex_fragments is not None
    return LINE in level.store.root.geometry_types and level.has_objects and stored


@LEVEL_RULES.rule(4, REWRITE, applies=_has_lines)
def line_ends(level: LevelSubject) -> Iterator[Problem]:
    """Check that lines have two vertices; in coarse levels, which may merge them, at most two."""
    array, manifests = level.reader.arrays.vertex_fragments, level.manifests
    assert array is not None
    fragments = decode_fragments(fetch_cells(level.reader.storage, [array], level.reader.chunks)[0])
    chunks = level.reader.lookup.rows(manifests.chunks)
    if (chunks < 0).any():
        return  # manifest-chunks reports it
    numbers = fragments.offsets[chunks] + manifests.fragments
    if ((manifests.fragments < 0) | (numbers >= fragments.offsets[1:][chunks])).any():
        return  # manifest-fragments reports it
    most = np.diff(offsets_of(fragments.counts[numbers])[manifests.offsets])
    least = most
    if level.store.root.cross_chunk_strategy not in (CROSS_CHUNK_LINKED, None):
        least = most - np.maximum(np.diff(manifests.offsets) - 1, 0)  # vertices that repeat one across a crossing
    wrong = np.flatnonzero((least > 2) | ((most == 1) & (level.number == 0)))
    if len(wrong):
        yield error(
            f"{level.path}/{OBJECT_INDEX}",
            f"object {level.object_ids[wrong[0]]} has {most[wrong[0]]} vertices, but a line has two ({len(wrong)} such "
            "objects)",
        )


def _states_sorted(level: LevelSubject) -> bool:
    index = level.reader.arrays.object_index
    return level.has_objects and index is not None and index.sorted


@LEVEL_RULES.rule(4, REWRITE, cells("the object ids"), applies=_states_sorted)
def object_ids_sorted(level: LevelSubject) -> Iterator[Problem]:
    """Check that object ids ascend where the object index says so."""
    if not bool((np.diff(level.object_ids) > 0).all()):
        at = int(np.flatnonzero(np.diff(level.object_ids) <= 0)[0])
        yield error(
            f"{level.path}/{OBJECT_INDEX}",
            f"object_ids_sorted is set, but id {level.object_ids[at]} stands before {level.object_ids[at + 1]}",
        )


def has_leading_bin(level: LevelSubject) -> bool:
    """Return whether chunk keys start with a bin of something else than space."""
    return bool(level.reader.chunks.shape[1] == level.reader.root.ndim + 1)


def _goes_by_objects(level: LevelSubject) -> bool:
    described = read_description(level.reader.metadata)
    if described is None or described.scope != OBJECT or not level.has_objects:
        return False
    return has_leading_bin(level) and not level.reader.metadata.stale


@LEVEL_RULES.rule(4, RECHUNK, applies=_goes_by_objects)
def object_bins(level: LevelSubject) -> Iterator[Problem]:
    """Check that objects are in the chunks of the bin that their id, their attribute or their group is in."""
    reader = level.reader
    described = read_description(reader.metadata)
    assert described is not None
    ids = level.object_ids
    columns = read_columns(reader, dict(reader.arrays.object_attributes), None)
    found = described.of_objects(ids, columns, level.groups)
    if found is None or any(len(column.values) != len(ids) for column in columns.values()):
        return
    codes = np.repeat(found[0], np.diff(level.manifests.offsets))
    bad = np.flatnonzero(codes != level.manifests.chunks[:, 0])
    if len(bad):
        owner = ids[np.searchsorted(level.manifests.offsets, bad[0], side="right") - 1]
        key = format_keys(level.manifests.chunks[bad[:1]])[0]
        yield error(
            f"{level.path}/{OBJECT_INDEX}",
            f"object {owner} is in chunk {key}, but by {described.spec.by!r} its bin is {codes[bad[0]]} "
            f"({len(bad)} such references)",
        )


def _is_identity(level: LevelSubject) -> bool:
    return level.store.root.object_index_convention == OBJECTS_IDENTITY and level.number == 0


@LEVEL_RULES.rule(4, REWRITE, cells("whether there is an object index"), applies=_is_identity)
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
