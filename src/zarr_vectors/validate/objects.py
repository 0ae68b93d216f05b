"""Level 3 and 4: objects and groups of a level fit together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKED, GROUPS, LINE, OBJECT_INDEX
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.fetch import decode_fragments, fetch_cells
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.validate.consistency import has_objects
from zarr_vectors.validate.rules import Problem, error, note
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject


def manifest_chunks(level: LevelSubject) -> Iterator[Problem]:
    """Check that manifests name chunks that hold vertices."""
    strays = level.references.strays
    if len(strays):
        yield error(
            f"{level.path}/{OBJECT_INDEX}",
            f"manifests name chunk {format_keys(strays[:1])[0]}, which holds nothing ({len(strays)} such references)",
        )


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


def object_attribute_rows(level: LevelSubject) -> Iterator[Problem]:
    """Check that object attributes have a row per object."""
    index = level.reader.arrays.object_index
    assert index is not None
    for name, array in level.reader.arrays.object_attributes.items():
        if array.count != index.count:
            yield error(
                f"{level.path}/object_attributes/{name}", f"{array.count} rows, but there are {index.count} objects"
            )


def has_object_index(level: LevelSubject) -> bool:
    """Return whether a level has an object index."""
    return level.reader.arrays.object_index is not None


def has_groups(level: LevelSubject) -> bool:
    """Return whether a level has groups that can be read."""
    try:
        return level.groups is not None
    except DAMAGE:
        return False


def group_attribute_rows(level: LevelSubject) -> Iterator[Problem]:
    """Check that group attributes have a row per group."""
    groups = level.groups
    assert groups is not None
    for name, array in level.reader.arrays.group_attributes.items():
        if array.count != groups.count:
            yield error(
                f"{level.path}/group_attributes/{name}", f"{array.count} rows, but there are {groups.count} groups"
            )


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


def has_lines(level: LevelSubject) -> bool:
    """Return whether the objects of a level are lines whose fragments can be counted."""
    array = level.reader.arrays.vertex_fragments
    return LINE in level.store.root.geometry_types and has_objects(level) and array is not None


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


def object_ids_sorted(level: LevelSubject) -> Iterator[Problem]:
    """Check that object ids ascend where the object index says so."""
    if not bool((np.diff(level.object_ids) > 0).all()):
        at = int(np.flatnonzero(np.diff(level.object_ids) <= 0)[0])
        yield error(
            f"{level.path}/{OBJECT_INDEX}",
            f"object_ids_sorted is set, but id {level.object_ids[at]} stands before {level.object_ids[at + 1]}",
        )


def states_sorted(level: LevelSubject) -> bool:
    """Return whether the object index says that its ids ascend."""
    index = level.reader.arrays.object_index
    return has_objects(level) and index is not None and index.sorted


def is_finest_with_objects(level: LevelSubject) -> bool:
    """Return whether a level is full resolution and has objects."""
    return level.number == 0 and has_objects(level)


def objects_used(level: LevelSubject) -> Iterator[Problem]:
    """Check that objects of full resolution have vertices."""
    empty = len(level.object_ids) - len(level.present)
    if empty:
        yield note(f"{level.path}/{OBJECT_INDEX}", f"{empty} of {len(level.object_ids)} objects have no vertices")
