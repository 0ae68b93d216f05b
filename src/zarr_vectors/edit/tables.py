"""Tables of a level beside its chunks: objects, groups and their attributes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zarr_vectors.constants import OBJECT_ATTRIBUTES, OBJECTS_IDENTITY
from zarr_vectors.edit.change import Change
from zarr_vectors.exceptions import UnknownNameError
from zarr_vectors.formats.joining import absent_column, join_column
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells, Fragments, ObjectTable
from zarr_vectors.model.elements import Groups
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_column, read_object_ids
from zarr_vectors.typing import IntArray


def object_ids_of(level: LevelReader) -> IntArray:
    """Return the ids of the objects of a level in the order of its object index.

    Raises
    ------
    UnknownNameError
        When the level has no objects.
    """
    ids = known_object_ids(level)
    if ids is None:
        raise UnknownNameError(f"{level.name} has no objects")
    return ids


def known_object_ids(level: LevelReader) -> IntArray | None:
    """Return the ids of the objects of a level in the order of its object index, or None where it has none."""
    ids = read_object_ids(level)
    if ids is None and level.root.object_index_convention == OBJECTS_IDENTITY:
        return np.arange(fragments_of(level).count, dtype=np.int64)
    return ids


def put_tables(change: Change, number: int, columns: Mapping[str, Column]) -> None:
    """Write attributes of the objects of a level."""
    level = change.level(number)
    cells = bare_cells(level, ObjectTable(np.zeros(0, np.int64), None, columns))
    objects = change.store.revision.encode_tables(str(number), cells, change.layout(level))
    with change.replacing(*(f"{number}/{OBJECT_ATTRIBUTES}/{name}" for name in columns)):
        change.staged.put_many(objects)
    change.reopen()
    change.put_level(number)


def column_at(level: LevelReader, name: str, column: Column, ids: IntArray, theirs: IntArray) -> Column:
    """Return an attribute of the objects of level 0 with a row for every object of some level.

    Parameters
    ----------
    level : LevelReader
        The level.
    name : str
        Name of the attribute.
    column : Column
        Values of the objects of level 0.
    ids, theirs : int64
        Objects of level 0 and of the level. Those that only the level has keep the value that is stored there, where
        it is of the same kind, and are without a value otherwise.
    """
    order = np.argsort(ids, kind="stable")
    places = np.searchsorted(ids, theirs, sorter=order)
    shared = np.isin(theirs, ids)
    rows = order[places[shared]]
    if shared.all():
        return column.take(rows)
    stored = level.arrays.object_attributes.get(name)
    kept = None if stored is None else read_column(level, stored)
    if kept is None or not _alike(kept, column):
        kept = absent_column(column.spec, len(theirs))
    joined = join_column("object_attributes", name, column, kept)
    places = np.arange(len(column), len(joined))
    places[shared] = rows
    return joined.take(places)


def _alike(some: Column, other: Column) -> bool:
    """Return whether the values of two columns mean the same, so that they can stand in one."""

    def form(column: Column) -> tuple[object, ...]:
        dtype, spec = column.values.dtype, column.spec
        kind = dtype.kind if dtype.kind == "U" else dtype.newbyteorder("=")
        return kind, column.values.shape[1:], spec.encoding, spec.time_unit, spec.categories

    return form(some) == form(other)


def bare_cells(level: LevelReader, objects: ObjectTable | None = None, groups: Groups | None = None) -> Cells:
    """Return cells without chunks, as far as the tables of a level are concerned."""
    none = np.zeros(0, np.int64)
    start = np.zeros(1, np.int64)
    return Cells(
        np.zeros((0, level.chunks.shape[1]), np.int64),
        start,
        np.zeros((0, level.root.ndim), np.float32),
        Fragments(start, none, none),
        objects=objects,
        groups=groups,
    )


def fragments_of(level: LevelReader) -> Fragments:
    """Return the fragments of a whole level."""
    return read_chunks(level, np.arange(len(level.chunks)), fragment_attributes=False).fragments
