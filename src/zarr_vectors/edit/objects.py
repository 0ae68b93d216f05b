"""Deleting objects, and putting others in their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.edit.binning import LEADING, bins_of_objects, leading_column
from zarr_vectors.edit.change import Change, changing
from zarr_vectors.edit.elements import (
    has_links,
    in_object_order,
    is_ordered,
    keep_vertices,
    read_level_elements,
    rewrite,
)
from zarr_vectors.edit.joining import (
    Settled,
    join_vertices,
    new_ids,
    require_known,
    settle_positions,
    vertex_columns,
    whole_lines,
)
from zarr_vectors.edit.linking import Connections, make_links, settled_links
from zarr_vectors.exceptions import ArgumentError, UnknownNameError
from zarr_vectors.model.elements import Elements, Groups, Objects
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import as_object_ids
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.write.tables import Attributes


def delete_objects(
    path: Any,
    object_ids: npt.ArrayLike,
    *,
    refresh: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> int:
    """Delete objects: their vertices with all attributes, the links at them, and their places in groups.

    Ids of other objects stay as they are. Coarse levels hold the objects until they are built anew.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    object_ids : integers
        The objects.
    refresh : bool
        Whether coarse levels are built anew afterwards; otherwise they are marked as stale.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    int
        Number of vertices that went.

    Raises
    ------
    UnknownNameError
        When there is no such object; nothing is changed then.
    StoreLockedError
        When another writer holds the store.
    """
    with changing(path, backend, backend_kwargs, refresh) as change:
        return take_objects(change, as_object_ids(object_ids))


def take_objects(change: Change, ids: IntArray) -> int:
    """Stage what :func:`delete_objects` does."""
    elements, objects = _with_objects(change)
    require_known(ids, objects.ids, change.level(0).name)
    if len(ids) == 0:
        return 0
    gone = np.isin(objects.ids, ids)
    keep = ~gone[objects.of_vertex]
    left = keep_vertices(elements, keep)
    rewrite(change, _without(left, ~gone), change.root.after_links(added=False))
    return int((~keep).sum())


def _with_objects(change: Change) -> tuple[Elements, Objects]:
    elements = read_level_elements(change.store)
    if elements.objects is None:
        raise UnknownNameError(f"object_ids: {change.level(0).name} has no objects")
    return elements, elements.objects


def _without(elements: Elements, stays: BoolArray) -> Elements:
    """Return elements without objects that have no vertices any more."""
    objects = elements.objects
    assert objects is not None
    left = Objects(
        objects.ids[stays],
        (np.cumsum(stays) - 1)[objects.of_vertex],
        {name: column.take(stays) for name, column in objects.attributes.items()},
    )
    groups = elements.groups
    if groups is not None:
        member = np.isin(groups.members, left.ids)
        groups = Groups(groups.members[member], offsets_of(member)[groups.offsets], groups.attributes)
    return replace(elements, objects=left, groups=groups)


def replace_objects(
    path: Any,
    positions: npt.ArrayLike,
    object_ids: npt.ArrayLike,
    *,
    attributes: Attributes = None,
    links: npt.ArrayLike | None = None,
    link_attributes: Attributes = None,
    out_of_bounds: str = "raise",
    refresh: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> int:
    """Give objects that exist other vertices; their ids, their attributes and their places in groups stay.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    positions : (n, D) array
        The new vertices; those of a path in path order, and of a line two.
    object_ids : (n,) integers or one integer
        Object of every new vertex. Every object that is named loses the vertices that it had, and the links at them.
    attributes : mapping of str to array, optional
        Vertex attributes, filled as in :func:`append_vertices` where they are not given.
    links : (m, L) integers, optional
        Edges or faces between the new vertices, by rows of `positions`; (child, parent) in a skeleton.
    link_attributes : mapping of str to array, optional
        Their attributes, filled likewise.
    out_of_bounds : {"raise", "ignore", "expand"}
        What happens to vertices outside the bounds; links to those that are left out go with them, and the other end
        of a line.
    refresh : bool
        Whether coarse levels are built anew afterwards; otherwise they are marked as stale.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    int
        Number of vertices that the objects have now.

    Raises
    ------
    UnknownNameError
        When there is no such object.
    ShapeError, ArgumentError, OutOfBoundsError
        For arguments that do not fit the store, which is then as it was.
    """
    connections = Connections(links, link_attributes)
    with changing(path, backend, backend_kwargs, refresh) as change:
        return exchange_objects(change, positions, object_ids, attributes, connections, out_of_bounds)


def exchange_objects(
    change: Change,
    positions: Any,
    object_ids: Any,
    attributes: Mapping[str, Any] | None,
    connections: Connections,
    out_of_bounds: str = "raise",
) -> int:
    """Stage what :func:`replace_objects` does."""
    level = change.level(0)
    elements, objects = _with_objects(change)
    if object_ids is None:
        raise ArgumentError("object_ids: say which objects are to be replaced, one id per vertex")
    settled = settle_positions(level, positions, None, out_of_bounds)
    count = len(settled.keep)
    ids = new_ids(level, object_ids, count, objects.ids)
    require_known(ids, objects.ids, level.name)
    settled = whole_lines(level, settled, ids)
    columns = vertex_columns(level, attributes, count, _following(elements))
    if level.leads and LEADING not in columns:
        columns[LEADING] = leading_column(_bins_held(level, elements, objects)[np.searchsorted(objects.ids, ids)])
    gone = np.isin(objects.ids, ids)
    left = keep_vertices(elements, ~gone[objects.of_vertex])
    new = Elements(settled.positions, {name: column.take(settled.keep) for name, column in columns.items()})
    if connections.given and not has_links(change.store):
        raise ArgumentError(f"links: vertices of {level.name} are linked by their order; give none")
    if left.links is not None:
        made = make_links(change.store, left.links, connections, count, 0)
        new = replace(new, links=_kept_links(made, settled))
    assert left.objects is not None
    of_vertex = np.concatenate([left.objects.of_vertex, np.searchsorted(objects.ids, ids[settled.keep])])
    joined = join_vertices(left, replace(new, objects=replace(objects, of_vertex=of_vertex)))
    if is_ordered(change.store):
        joined = in_object_order(joined)
    joined = settled_links(change.store, joined)
    rewrite(change, joined, settled.root.after_links(added=connections.given))
    return len(settled.positions)


def _bins_held(level: LevelReader, elements: Elements, objects: Objects) -> IntArray:
    """Return the bin of every object: that of its vertices, else that of what the level says of it."""
    codes = np.full(len(objects.ids), -1, np.int64)
    codes[objects.of_vertex] = elements.attributes[LEADING].values
    bare = np.flatnonzero(codes < 0)
    if len(bare):
        columns = {name: column.take(bare) for name, column in objects.attributes.items()}
        codes[bare] = bins_of_objects(level, objects.ids[bare], columns, elements.groups)
    return codes


def _following(elements: Elements) -> int:
    """Return the number that the order of the input goes on from."""
    column = elements.attributes.get(ORIGINAL_INDEX_ATTRIBUTE)
    return 0 if column is None else int(column.values.max(initial=-1)) + 1


def _kept_links(links: Any, settled: Settled) -> Any:
    keep = np.asarray(settled.keep[links.rows].all(axis=1))
    columns = {name: column.take(keep) for name, column in links.attributes.items()}
    return replace(links, rows=(np.cumsum(settled.keep) - 1)[links.rows[keep]], attributes=columns)
