"""Objects and groups of a level: ids, manifests, attributes, membership."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from zarr_vectors.constants import GROUP_NAME_ATTRIBUTE, OBJECTS_IDENTITY
from zarr_vectors.exceptions import ArgumentError, ArrayError, UnknownNameError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.formats.layout import DenseArray, DenseManifests, ObjectIndex
from zarr_vectors.formats.objects import parse_manifests
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Fragments, Manifests
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.ids import parse_ids
from zarr_vectors.read.fetch import decode_fragments, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.query import parse_groups
from zarr_vectors.typing import IntArray


def read_object_ids(level: LevelReader) -> IntArray | None:
    """Return the object ids of a level by manifest row, or None where it has no object index."""
    index = level.arrays.object_index
    if index is None:
        return None
    if index.ids is None:
        _check_count(level, index)
        return np.arange(index.count, dtype=np.int64)
    if level.object_ids is None:
        blobs = level.storage.get_many(index.ids.requests(None))
        level.object_ids = index.ids.decode(blobs, None).astype(np.int64)
    return level.object_ids


_MANY_OBJECTS = 2**24
"""Objects from which on a count in the metadata is compared with what is stored before memory is taken for it."""


def _check_count(level: LevelReader, index: ObjectIndex) -> None:
    """Refuse a count of objects that have no manifests."""
    if index.count > _MANY_OBJECTS:
        read_manifests(level, None)


def has_identity(level: LevelReader) -> bool:
    """Return whether the objects of a level are the fragments of its only chunk, in order."""
    return level.arrays.object_index is None and level.root.object_index_convention == OBJECTS_IDENTITY


def identity_count(level: LevelReader) -> int:
    """Return the number of objects under the ``identity`` convention: that of the fragments of the only chunk."""
    if level.arrays.vertex_fragments is None or len(level.chunks) > 1:
        raise ArrayError(
            f"{level.name}: object_index_convention is {OBJECTS_IDENTITY!r}, which needs fragments in one chunk; "
            f"there are {len(level.chunks)} chunks"
        )
    return decode_fragments(fetch_cells(level.storage, [level.arrays.vertex_fragments], level.chunks)[0]).count


def object_rows(level: LevelReader, object_ids: Any) -> IntArray:
    """Return the manifest row of every object id asked for.

    Raises
    ------
    UnknownNameError
        Naming the ids that the level does not have.
    """
    wanted = as_object_ids(object_ids)
    index = level.arrays.object_index
    count = index.count if index is not None else identity_count(level) if has_identity(level) else -1
    if count < 0:
        raise UnknownNameError(f"object_ids: {level.name} has no objects")
    if index is None or index.ids is None:
        known = (wanted >= 0) & (wanted < count)
        rows = wanted
    else:
        ids = read_object_ids(level)
        assert ids is not None
        order = None if bool((ids[1:] > ids[:-1]).all()) else np.argsort(ids, kind="stable")
        places = np.minimum(np.searchsorted(ids, wanted, sorter=order), max(0, len(ids) - 1))
        rows = places if order is None else order[places]
        known = ids[rows] == wanted if len(ids) else np.zeros(len(wanted), bool)
    if not known.all():
        missing = wanted[~known]
        listed = ", ".join(map(str, missing[:5].tolist())) + (", …" if len(missing) > 5 else "")
        raise UnknownNameError(f"object_ids: {level.name} has no object {listed} ({count} objects)")
    return rows


def as_object_ids(object_ids: Any) -> IntArray:
    """Check ids that a user gave, a number or a sequence of them."""
    ids = np.atleast_1d(parse_ids("object_ids", object_ids))
    if ids.size == 0:
        return np.zeros(0, np.int64)
    if ids.ndim != 1:
        raise ArgumentError(f"object_ids: expected whole numbers one after another, got shape {ids.shape}")
    return ids


def read_manifests(level: LevelReader, rows: IntArray | None) -> Manifests:
    """Return the manifests of some objects (None: all): in one round, two where they are dense, none at hand."""
    index = level.arrays.object_index
    if has_identity(level):
        asked = np.arange(identity_count(level)) if rows is None else rows
        return Manifests(np.arange(len(asked) + 1), np.repeat(level.chunks[:1], len(asked), axis=0), asked)
    if index is None:
        raise UnknownNameError(f"{level.name} has no object index")
    if index.dense is not None:
        return _read_dense(level, index.dense, rows)
    assert index.manifests is not None
    requests, decode = index.manifests.plan(rows)
    buffer, offsets = decode(level.storage.get_many(requests) if requests else [])
    try:
        return parse_manifests(buffer, offsets, index.sid_ndim)
    except ArrayError as error:
        raise ArrayError(f"{level.name}: object_index: {error}") from error


def _read_dense(level: LevelReader, dense: DenseManifests, rows: IntArray | None) -> Manifests:
    """Read the spans of some objects, then the blocks that these name."""
    spans = dense.spans.decode(level.storage.get_many(dense.spans.requests(rows)), rows)
    named, offsets = dense.rows(spans)
    return dense.parse(dense.blocks.decode(level.storage.get_many(dense.blocks.requests(named)), named), offsets)


def fragment_owners(level: LevelReader, fragments: Fragments, chunk_rows: IntArray) -> tuple[IntArray, bool]:
    """Return the manifest row of the object that each fragment of some chunks belongs to.

    Parameters
    ----------
    level : LevelReader
        The level.
    fragments : Fragments
        Fragments of the chunks ``level.chunks[chunk_rows]``.
    chunk_rows : (n,) int64
        Rows of the chunks in ``level.chunks``, ascending.

    Returns
    -------
    owners : (F,) int64
        -1 for fragments of no object.
    shared : bool
        Whether some fragment belongs to several objects (its owner is then one of them).
    """
    owners = np.full(fragments.count, -1, np.int64)
    if has_identity(level):
        return np.arange(fragments.count, dtype=np.int64), False
    manifests = read_manifests(level, None)
    objects = np.repeat(np.arange(len(manifests.offsets) - 1), np.diff(manifests.offsets))
    place_of = np.full(len(level.chunks), -1, np.int64)
    place_of[chunk_rows] = np.arange(len(chunk_rows))
    rows = level.lookup.rows(manifests.chunks)
    places = np.where(rows >= 0, place_of[rows], -1)
    used = places >= 0
    numbers = fragments.offsets[places[used]] + manifests.fragments[used]
    legal = numbers < fragments.offsets[places[used] + 1]
    if not legal.all():
        raise ArrayError(f"{level.name}: a manifest names a fragment that its chunk does not have")
    owners[numbers] = objects[used]
    pairs = np.unique(np.stack([numbers, objects[used]], axis=1), axis=0) if len(numbers) else numbers
    return owners, len(pairs) > len(np.unique(numbers))


def read_column(level: LevelReader, array: DenseArray, rows: IntArray | None = None) -> Column:
    """Return a dense attribute, of some rows or all."""
    return Column(array.decode(level.storage.get_many(array.requests(rows)), rows), array.spec)


def read_columns(level: LevelReader, arrays: dict[str, DenseArray], rows: IntArray | None) -> dict[str, Column]:
    """Return several dense attributes in one round."""
    plans = {name: array.requests(rows) for name, array in arrays.items()}
    blobs = level.storage.get_many([request for plan in plans.values() for request in plan])
    columns, start = {}, 0
    for name, plan in plans.items():
        values = arrays[name].decode(blobs[start : start + len(plan)], rows)
        columns[name] = Column(values, arrays[name].spec)
        start += len(plan)
    return columns


def read_groups(level: LevelReader) -> Groups | None:
    """Return the groups of a level with their attributes, or None where it has none."""
    array = level.arrays.groups
    if array is None:
        return None
    buffer, offsets = array.decode(level.storage.get_many(array.requests(None)), None)
    if len(buffer) % 8 or bool((offsets % 8).any()):
        raise ArrayError(f"{level.name}: groups: member lists must be whole int64 numbers")
    members = np.frombuffer(np.ascontiguousarray(buffer), "<i8").astype(np.int64)
    return Groups(members, offsets // 8, read_columns(level, dict(level.arrays.group_attributes), None))


def group_numbers(level: LevelReader, groups: Groups, group_ids: Any) -> list[int]:
    """Return the numbers of groups asked for by number or name.

    Raises
    ------
    ArgumentError
        When one is neither a number nor a name.
    UnknownNameError
        Naming the group that the level does not have.
    """
    names: list[str] | None = None
    numbers = []
    for group in parse_groups(group_ids):
        if isinstance(group, str):
            names = _group_names(groups) if names is None else names
            if group not in names:
                raise UnknownNameError(f"group_ids: {level.name} has no group named {group!r}; it has {names[:20]}")
            numbers.append(names.index(group))
        elif 0 <= group < groups.count:
            numbers.append(group)
        else:
            raise UnknownNameError(f"group_ids: {level.name} has no group {group!r}; it has {groups.count} groups")
    return numbers


def _group_names(groups: Groups) -> list[str]:
    column = groups.attributes.get(GROUP_NAME_ATTRIBUTE)
    return [] if column is None else [str(name) for name in decode_column(column).tolist()]


def objects_of_groups(level: LevelReader, group_ids: Any) -> IntArray:
    """Return the ids of the objects in any of some groups, ascending and unique."""
    groups = read_groups(level)
    if groups is None:
        raise UnknownNameError(f"group_ids: {level.name} has no groups")
    members: Iterable[IntArray] = [groups.of(number) for number in group_numbers(level, groups, group_ids)]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *members]))
