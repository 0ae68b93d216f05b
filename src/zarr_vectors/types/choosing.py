"""Which objects a reader is asked for: by id, by group, by what their attributes say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import as_object_ids, objects_of_groups, read_object_ids
from zarr_vectors.read.ordered_objects import rows_meeting_conditions
from zarr_vectors.read.query import parse_filter
from zarr_vectors.typing import IntArray


def chosen_objects(
    level: LevelReader, object_ids: Any, group_ids: Any, attribute_filter: Mapping[str, Any] | None
) -> IntArray | None:
    """Return the ids that meet every condition, ascending and unique; None where there are no conditions.

    Parameters
    ----------
    level : LevelReader
        An open level.
    object_ids : integers, optional
        These objects.
    group_ids : int, str or sequence, optional
        Objects in any of these groups, by number or name.
    attribute_filter : mapping, optional
        Conditions on object attributes.

    Raises
    ------
    ArgumentError
        When conditions are no mapping, or a group is neither a number nor a name.
    UnknownNameError
        When a group or attribute is not there.
    """
    wanted = None if object_ids is None else np.unique(as_object_ids(object_ids))
    if group_ids is not None:
        members = objects_of_groups(level, group_ids)
        wanted = members if wanted is None else np.intersect1d(wanted, members)
    if parse_filter(attribute_filter):
        ids = read_object_ids(level)
        rows = rows_meeting_conditions(level, parse_filter(attribute_filter), None)
        met = rows if ids is None else ids[rows]
        wanted = np.unique(met) if wanted is None else np.intersect1d(wanted, met)
    return wanted
