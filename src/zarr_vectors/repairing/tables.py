"""Attributes of objects and groups, and the members of groups."""

from __future__ import annotations

import numpy as np

from zarr_vectors.constants import GROUP_ATTRIBUTES, GROUPS, OBJECT_ATTRIBUTES
from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.layout import DenseArray
from zarr_vectors.formats.objects import DENSE_ROWS_PER_CHUNK, absent_value
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import ObjectTable
from zarr_vectors.model.elements import Groups
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.repairing.context import Context
from zarr_vectors.typing import AnyArray, BoolArray
from zarr_vectors.validate.subjects import DAMAGE


def repair_columns(context: Context, level: LevelReader, count: int, kept: set[str]) -> dict[str, Column]:
    """Return the object attributes with a row per object; those that stay as they are are added to ``kept``."""
    found = {}
    for name, array in level.arrays.object_attributes.items():
        path = f"{OBJECT_ATTRIBUTES}/{name}"
        column = _column(context, level, array, f"{level.metadata.level}/{path}", count, "object-attribute-rows")
        if column is None:
            kept.add(path)
        else:
            found[name] = column
    return found


def _column(
    context: Context, level: LevelReader, array: DenseArray, path: str, count: int, check: str
) -> Column | None:
    """Return an attribute whose lost rows are absent; None where they may not be dropped."""
    values, known = _salvaged(level, array)
    lost = int((~known[:count]).sum()) + max(0, count - len(known))
    if lost or len(values) > count:
        said = f"the values of {lost} of {count} are lost" if lost else f"{len(values)} values for {count}"
        rule = check if len(values) != count else "cells-readable"
        if not context.lost(rule, path, said):
            return None
    made = _absent(array.spec, count)
    rows = np.flatnonzero(known[:count])
    made[rows] = values[rows]
    return Column(values if np.array_equal(known, np.ones(count, bool)) else made, array.spec)


def _salvaged(level: LevelReader, array: DenseArray) -> tuple[AnyArray, BoolArray]:
    """Return the rows of a dense array, and which of them could be decoded."""
    try:
        values = array.decode(level.storage.get_many(array.requests(None)), None)
        return values, np.ones(len(values), bool)
    except DAMAGE:
        pass
    values, known = _absent(array.spec, array.count), np.zeros(array.count, bool)
    for start in range(0, array.count, DENSE_ROWS_PER_CHUNK):
        rows = np.arange(start, min(array.count, start + DENSE_ROWS_PER_CHUNK))
        try:
            values[rows] = array.decode(level.storage.get_many(array.requests(rows)), rows)
            known[rows] = True
        except DAMAGE:
            continue
    return values, known


def _absent(spec: AttributeSpec, count: int) -> AnyArray:
    shape = (count,) if spec.channels is None else (count, spec.channels)
    dtype = spec.numpy_dtype.newbyteorder("=")
    return np.full(shape, absent_value(dtype), dtype)


def repair_groups(context: Context, level: LevelReader, objects: ObjectTable | None, kept: set[str]) -> Groups | None:
    """Return the groups with members that the level has; where they stay as they are they are added to ``kept``."""
    array = level.arrays.groups
    if array is None:
        if level.arrays.group_attributes:
            kept.add(GROUP_ATTRIBUTES)
        return None
    path = f"{level.metadata.level}/{GROUPS}"
    try:
        buffer, offsets = array.decode(level.storage.get_many(array.requests(None)), None)
        if len(buffer) % 8 or bool((offsets % 8).any()):
            raise ArrayError("not whole numbers")
        members = np.frombuffer(np.ascontiguousarray(buffer), "<i8").astype(np.int64)
        offsets = offsets // 8
    except DAMAGE:
        if not context.lost("cells-readable", path, f"the members of {array.count} groups are lost"):
            kept |= {GROUPS, GROUP_ATTRIBUTES}
            return None
        members, offsets = np.zeros(0, np.int64), np.zeros(array.count + 1, np.int64)
    known = np.isin(members, objects.ids) if objects is not None else np.zeros(len(members), bool)
    if not known.all():
        said = f"{int((~known).sum())} members are objects that the level does not have"
        if not context.lost("group-members", path, said):
            kept |= {GROUPS, GROUP_ATTRIBUTES}
            return None
        group = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[known]
        offsets = offsets_of(np.bincount(group, minlength=len(offsets) - 1))
        members = members[known]
    columns = {}
    for name, dense in level.arrays.group_attributes.items():
        where = f"{GROUP_ATTRIBUTES}/{name}"
        column = _column(
            context, level, dense, f"{level.metadata.level}/{where}", len(offsets) - 1, "group-attribute-rows"
        )
        if column is None:
            kept.add(where)
        else:
            columns[name] = column
    return Groups(members, offsets, columns)
