"""What differs between two readings of a level, array by array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from zarr_vectors.constants import (
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    GROUPS,
    LINKS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.formats.link_names import delta_name
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.links import LinkTable
from zarr_vectors.read.cells import read_cells
from zarr_vectors.read.store import StoreReader
from zarr_vectors.typing import AnyArray

_Compared = tuple[str, AnyArray, AnyArray]


def read_level(store: StoreReader, number: int) -> Cells:
    """Read what a level itself stores, with its links to all levels that are there."""
    level, numbers = store.level(number, own=True), store.level_numbers()
    reached = {number + delta for delta in level.arrays.links} & set(numbers)
    return read_cells(level, {other: store.level(other, own=True) for other in reached})


def differences(before: Cells, after: Cells, *, ulps: int = 0) -> dict[str, str]:
    """Return the paths below a level of what differs, and how.

    Links are compared as multisets: revisions keep them in different order.

    Parameters
    ----------
    before, after : Cells
        Two readings of one level.
    ulps : int
        Rounding that floats may differ by, in units in the last place; by default all bits must be the same.
    """
    found: dict[str, str] = {}
    for path, one, other in _arrays(before, after):
        message = _unlike(one, other, ulps)
        if message and path not in found:
            found[path] = message
            if one is before.chunks or one is before.row_offsets:
                break  # the rows of other chunks cannot be compared
    return found


def _arrays(before: Cells, after: Cells) -> Iterator[_Compared]:
    yield VERTICES, before.chunks, after.chunks
    yield VERTICES, before.row_offsets, after.row_offsets
    yield VERTICES, before.positions, after.positions
    for name in ("offsets", "counts", "starts"):
        yield VERTEX_FRAGMENTS, getattr(before.fragments, name), getattr(after.fragments, name)
    yield from _columns(VERTEX_ATTRIBUTES, before.attributes, after.attributes)
    yield from _columns(FRAGMENT_ATTRIBUTES, before.fragment_attributes, after.fragment_attributes)
    yield OBJECT_INDEX, _there(before.objects), _there(after.objects)
    yield GROUPS, _there(before.groups), _there(after.groups)
    if before.objects is not None and after.objects is not None:
        yield OBJECT_INDEX, before.objects.ids, after.objects.ids
        one, other = before.objects.manifests, after.objects.manifests
        if one is not None and other is not None:
            for name in ("offsets", "chunks", "fragments"):
                yield OBJECT_INDEX, getattr(one, name), getattr(other, name)
        yield from _columns(OBJECT_ATTRIBUTES, before.objects.attributes, after.objects.attributes)
    if before.groups is not None and after.groups is not None:
        yield GROUPS, before.groups.offsets, after.groups.offsets
        yield GROUPS, before.groups.members, after.groups.members
        yield from _columns(GROUP_ATTRIBUTES, before.groups.attributes, after.groups.attributes)
    tables, others = ({table.delta: table for table in cells.links if table.count} for cells in (before, after))
    for delta in sorted({*tables, *others}):
        path, table, other_table = f"{LINKS}/{delta_name(delta)}", tables.get(delta), others.get(delta)
        if table is None or other_table is None:
            yield path, _there(table), _there(other_table)
        else:
            yield path, _kind(table), _kind(other_table)
            yield path, _sorted_links(table), _sorted_links(other_table)


def _there(part: object) -> AnyArray:
    """Return a row for what is there, so that what is there in one of two differs."""
    return np.zeros(0 if part is None else 1)


def _columns(family: str, before: Mapping[str, Column], after: Mapping[str, Column]) -> Iterator[_Compared]:
    for name in sorted({*before, *after}):
        path, one, other = f"{family}/{name}", before.get(name), after.get(name)
        if one is None or other is None:
            yield path, _there(one), _there(other)
        else:
            yield path, one.values, other.values
            yield path, np.array(one.spec.categories, object), np.array(other.spec.categories, object)


def _kind(table: LinkTable) -> AnyArray:
    return np.array([table.width, table.directed, table.store, *sorted(table.attributes)], object)


def _sorted_links(table: LinkTable) -> AnyArray:
    """Return endpoints and attributes, attributes as the ranks of their values, in an order of their own."""
    endpoints = np.concatenate([table.chunks, table.rows], axis=1).astype(np.int64)
    columns = [
        np.unique(column.values, axis=0, return_inverse=True)[1].reshape(-1, 1)
        for _, column in sorted(table.attributes.items())
    ]
    everything = np.concatenate([endpoints, *columns], axis=1)
    return everything[np.lexsort(everything.T[::-1])]


def _unlike(before: AnyArray, after: AnyArray, ulps: int) -> str:
    """Say how two arrays differ; empty where they do not."""
    if before.shape != after.shape or before.dtype != after.dtype:
        return f"{len(before)} rows of {before.dtype} and {len(after)} of {after.dtype}"
    if before.dtype.kind == "O":
        near = before == after
    elif ulps and before.dtype.kind == "f":
        near = np.isclose(before, after, rtol=ulps * np.finfo(after.dtype).eps, atol=0.0, equal_nan=True)
    else:
        one, other = (np.ascontiguousarray(values).view(np.uint8) for values in (before, after))
        if np.array_equal(one, other):
            return ""
        near = (one == other).reshape(len(before), -1)
    wrong = int((~near.all(axis=tuple(range(1, near.ndim)))).sum())
    return f"{wrong} of {len(before)} rows differ" if wrong else ""
