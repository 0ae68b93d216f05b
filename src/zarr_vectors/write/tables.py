"""Users' attributes and groups → columns of elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.constants import GROUP_NAME_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError, ShapeError, ZarrVectorsError
from zarr_vectors.formats.columns import make_column
from zarr_vectors.formats.descriptions import SpecLike
from zarr_vectors.formats.given import join_values
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.ids import parse_ids
from zarr_vectors.ordering import offsets_of
from zarr_vectors.typing import IntArray
from zarr_vectors.write.frames import aligned_columns, as_columns
from zarr_vectors.write.positions import as_array

Attributes = Mapping[str, Any] | Any | None
"""A mapping of names to arrays, a data frame of pandas or polars, or an Arrow table."""
Specs = Mapping[str, SpecLike] | None
_MAX_GROUPS = 10_000_000


def make_columns(
    argument: str,
    attributes: Attributes,
    count: int,
    per: str,
    specs: Specs = None,
    *,
    dictionary: bool = True,
    ids: IntArray | None = None,
) -> dict[str, Column]:
    """Turn named arrays, or the columns of a frame, into columns of ``count`` rows each.

    Rows that name the objects that they are about are put in the order of ``ids``; see
    :func:`~zarr_vectors.write.frames.aligned_columns`.
    """
    if attributes is None:
        return {}
    given = as_columns(argument, attributes) if ids is None else aligned_columns(argument, attributes, ids, per)
    columns = {
        name: make_column(argument, name, values, count, per, (specs or {}).get(name), dictionary=dictionary)
        for name, values in given.items()
    }
    folded: dict[str, str] = {}
    for name in columns:
        if folded.setdefault(name.lower(), name) != name:
            raise ArgumentError(
                f"{argument}: {folded[name.lower()]!r} and {name!r} differ only in case, which some file systems "
                "cannot tell apart"
            )
    return columns


def has_columns(argument: str, attributes: Attributes) -> bool:
    """Return whether attributes were given, be it without rows."""
    return bool(as_columns(argument, attributes))


def joined_parts(argument: str, name: str, part: str, values: Sequence[Any]) -> Any:
    """Return the values of an attribute that are given apart, for example path by path, one after another.

    Raises
    ------
    ShapeError
        When the rows of a part differ in length; names the part.
    ArgumentError
        When no type holds the values of all.
    """
    try:
        return join_values(values)
    except ZarrVectorsError as error:
        raise ArgumentError(f"{argument}: {name!r} cannot be stored: {error}") from error
    except ValueError as error:
        for number, one in enumerate(values):
            as_array(f"{argument}: {name!r} of {part} {number}", one)
        raise ShapeError(f"{argument}: {name!r}: its {part}s do not go together: {error}") from error


def make_groups(
    groups: Mapping[Any, Sequence[int]] | None,
    attributes: Attributes,
    object_ids: IntArray | None,
    specs: Specs = None,
) -> Groups | None:
    """Make the group table from ``{number or name: object ids}``.

    Raises
    ------
    ArgumentError
        When a group names an object that does not exist, or keys are neither whole numbers nor names.
    """
    if groups is not None and not isinstance(groups, Mapping):
        raise ArgumentError(
            f"groups: expected a mapping of numbers or names to object ids, got {type(groups).__name__}"
        )
    if not groups:
        if has_columns("group_attributes", attributes):
            raise ArgumentError("group_attributes: given without groups")
        return None
    if object_ids is None:
        raise ArgumentError("groups: given without object_ids, so there are no objects to group")
    if all(isinstance(key, str) for key in groups):
        given = aligned_columns("group_attributes", attributes, list(groups), "group", GROUP_NAME_ATTRIBUTE)
        if GROUP_NAME_ATTRIBUTE in given:
            raise ArgumentError("groups: names are given as keys and also as group attribute 'name'")
        given[GROUP_NAME_ATTRIBUTE] = np.array(list(groups), dtype=np.str_)
        members = [_members(key, ids, object_ids) for key, ids in groups.items()]
    elif all(isinstance(key, (int, np.integer)) and not isinstance(key, bool) and key >= 0 for key in groups):
        count = int(max(groups)) + 1
        if count > _MAX_GROUPS:
            raise ArgumentError(f"groups: group number {count - 1} is too large; numbers count from 0 without gaps")
        given = aligned_columns("group_attributes", attributes, np.arange(count), "group", "group_id")
        members = [np.zeros(0, np.int64)] * count
        for key, ids in groups.items():
            members[int(key)] = _members(key, ids, object_ids)
    else:
        raise ArgumentError(f"groups: keys must all be numbers from 0 or all be names, got {list(groups)[:5]}")
    columns = make_columns("group_attributes", given, len(members), "group", specs, dictionary=False)
    return Groups(np.concatenate(members), offsets_of(np.array([len(m) for m in members])), columns)


def _members(key: Any, ids: Any, object_ids: IntArray) -> IntArray:
    members = parse_ids(f"groups: group {key!r} must list object ids", ids)
    if members.size == 0:
        return np.zeros(0, np.int64)
    if members.ndim != 1:
        raise ArgumentError(f"groups: group {key!r} must list object ids, got shape {members.shape}")
    unknown = members[~np.isin(members, object_ids)]
    if len(unknown):
        raise ArgumentError(f"groups: group {key!r} names object {unknown[0]}, which does not exist")
    return members
