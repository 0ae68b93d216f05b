"""Level 3 and 4: objects and groups of a level fit together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.constants import GROUPS, OBJECT_INDEX
from zarr_vectors.formats.chunk_keys import format_keys
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
