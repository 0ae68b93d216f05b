"""Changing which groups there are, and which objects are in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.constants import GROUP_ATTRIBUTES, GROUPS
from zarr_vectors.edit.binning import require_same_bins
from zarr_vectors.edit.change import Change, changing
from zarr_vectors.edit.tables import bare_cells, known_object_ids, object_ids_of
from zarr_vectors.model.elements import Groups
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.typing import IntArray
from zarr_vectors.write.tables import Attributes, make_groups


def set_groups(
    path: Any,
    groups: Mapping[Any, Sequence[int]] | None,
    *,
    attributes: Attributes = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> int:
    """Put other groups in the place of those that a store has, at all levels, with the members that each level has.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    groups : mapping of int or str to object ids, or None
        Sets of objects by number or name; None or an empty mapping leaves no groups.
    attributes : mapping of str to (G,) or (G, C) array, optional
        One row per group, in the order of ``groups``, or named by an index as in ``write_points``.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    int
        Number of groups.

    Raises
    ------
    ArgumentError
        When a group names an object that does not exist; nothing is changed then.
    UnknownNameError
        When the store has no objects.
    """
    with changing(path, backend, backend_kwargs) as change:
        return put_groups(change, groups, attributes)


def put_groups(change: Change, groups: Mapping[Any, Sequence[int]] | None, attributes: Attributes = None) -> int:
    """Stage what :func:`set_groups` does."""
    ids = object_ids_of(change.level(0))
    table = _with_unknown(make_groups(groups, attributes, ids), change.level(0))
    require_same_bins(change.level(0), table)
    before = list(change.level(0).arrays.group_attributes)
    for number in change.store.level_numbers():
        level = change.level(number)
        theirs = known_object_ids(level)
        if theirs is None:
            continue
        with change.replacing(f"{number}/{GROUPS}", f"{number}/{GROUP_ATTRIBUTES}"):
            cells = bare_cells(level, groups=_among(table, theirs))
            change.staged.put_many(change.store.revision.encode_tables(str(number), cells, change.layout(level)))
        change.reopen()
        change.put_level(number)
    change.describe("group", {} if table is None else table.attributes, before)
    return 0 if table is None else table.count


def _with_unknown(groups: Groups | None, level: LevelReader) -> Groups | None:
    """Return groups whose attributes keep what those of the level have under keys that the format does not know."""
    if groups is None:
        return None
    columns = dict(groups.attributes)
    for name in columns.keys() & level.arrays.group_attributes.keys():
        kept = level.arrays.group_attributes[name].spec.extra
        columns[name] = replace(columns[name], spec=replace(columns[name].spec, extra=dict(kept)))
    return replace(groups, attributes=columns)


def _among(groups: Groups | None, ids: IntArray) -> Groups | None:
    """Return groups with the members that a level has."""
    if groups is None:
        return None
    member = np.isin(groups.members, ids)
    return Groups(groups.members[member], offsets_of(member)[groups.offsets], groups.attributes)
