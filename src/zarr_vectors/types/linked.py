"""What writers and readers of vertices with explicit links share: renumbering, leaving out, input order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.constants import ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError, UnknownNameError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.elements import Elements, Groups, Objects
from zarr_vectors.read.elements import link_specs
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.linked import Linked
from zarr_vectors.types.parts import require_ids
from zarr_vectors.types.path_inputs import path_objects
from zarr_vectors.types.tables import Attributes, Specs, has_columns, make_objects
from zarr_vectors.typing import BoolArray, IntArray


def given_objects(
    object_ids: Any, count: int, offsets: IntArray | None, attributes: Attributes, specs: Specs, what: str
) -> Objects:
    """Make the object table of one geometry, of one with an object per vertex, or of a list.

    Parameters
    ----------
    object_ids : integers, optional
        One per vertex, or, where there are ``offsets``, one per item of the list. None of a single geometry makes it
        object 0.
    count : int
        Number of vertices.
    offsets : (G + 1,) int64, optional
        Where the vertices of each item of a list start.
    attributes : mapping, optional
        One row per item of a list, in its order; of a single geometry one row; else as ``make_objects`` takes them.
    specs : mapping, optional
        Descriptions of attributes.
    what : str
        Name of an item, for messages.

    Raises
    ------
    ShapeError, ArgumentError
        When lengths differ, or ids are negative or not whole numbers within int64.
    """
    if offsets is None and object_ids is None and (count or has_columns("object_attributes", attributes)):
        offsets = np.array([0, count], np.int64)
    if offsets is not None:
        return path_objects(object_ids, offsets, attributes, specs, what=what)
    ids = np.zeros(count, np.int64) if object_ids is None else object_ids
    require_ids(ids)
    objects = make_objects(ids, count, attributes, specs)
    assert objects is not None
    return objects


def with_original_index(columns: dict[str, Column], count: int) -> dict[str, Column]:
    """Return columns with the row of the input each row came from.

    Raises
    ------
    ArgumentError
        When there is an attribute of that name already.
    """
    if ORIGINAL_INDEX_ATTRIBUTE in columns:
        raise ArgumentError(f"keep_order: an attribute named {ORIGINAL_INDEX_ATTRIBUTE!r} was given as well")
    order = Column(np.arange(count, dtype=np.int64), AttributeSpec(dtype="int64"))
    return {**columns, ORIGINAL_INDEX_ATTRIBUTE: order}


def renumbered_objects(elements: Elements, first: int) -> Elements:
    """Return elements whose object ids start at a number."""
    objects, groups = elements.objects, elements.groups
    assert objects is not None
    if groups is not None:
        groups = Groups(groups.members + first, groups.offsets, groups.attributes)
    moved = Objects(objects.ids + first, objects.of_vertex, objects.attributes)
    return replace(elements, objects=moved, groups=groups)


def without_vertices(elements: Elements, rows: IntArray) -> Elements:
    """Return elements without some vertices and the links that name them; objects stay, with fewer vertices."""
    keep: BoolArray = np.ones(elements.count, bool)
    keep[rows] = False
    number = np.cumsum(keep) - 1
    objects, links = elements.objects, elements.links
    if objects is not None:
        objects = Objects(objects.ids, objects.of_vertex[keep], objects.attributes)
    if links is not None:
        whole = np.asarray(keep[links.rows].all(axis=1))
        columns = {name: column.take(whole) for name, column in links.attributes.items()}
        links = replace(links, rows=number[links.rows[whole]], attributes=columns)
    attributes = {name: column.take(keep) for name, column in elements.attributes.items()}
    return replace(elements, positions=elements.positions[keep], attributes=attributes, objects=objects, links=links)


def wanted_links(
    reader: LevelReader, argument: str, names: Sequence[str] | None, *, with_order: bool = False
) -> list[str] | None:
    """Return the link attributes to be read, None for all.

    Parameters
    ----------
    reader : LevelReader
        The level.
    argument : str
        Name of the argument, for messages.
    names : sequence of str, optional
        What the user asked for.
    with_order : bool
        Whether ``original_index`` is wanted too, where it is there.

    Raises
    ------
    UnknownNameError
        When the level has no such link attribute; names those it has.
    """
    if names is None:
        return None
    known = link_specs(reader.arrays)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UnknownNameError(
            f"{argument}: {reader.name} has no link attribute {unknown[0]!r}; it has {sorted(known) or 'none'}"
        )
    more = [ORIGINAL_INDEX_ATTRIBUTE] if with_order and ORIGINAL_INDEX_ATTRIBUTE in known else []
    return list(dict.fromkeys([*names, *more]))


def in_input_order(linked: Linked) -> Linked:
    """Return vertices and links sorted by their attribute ``original_index``.

    Raises
    ------
    UnknownNameError
        When they have none.
    """
    for what, columns in (("vertex", linked.attributes), ("link", linked.link_attributes)):
        if ORIGINAL_INDEX_ATTRIBUTE not in columns and (what == "vertex" or len(linked.links)):
            raise UnknownNameError(
                f"restore_order: there is no {what} attribute {ORIGINAL_INDEX_ATTRIBUTE!r}; write with keep_order=True"
            )
    order = np.argsort(linked.attributes[ORIGINAL_INDEX_ATTRIBUTE].values, kind="stable")
    sort = np.arange(len(linked.links))
    if len(sort):
        sort = np.argsort(linked.link_attributes[ORIGINAL_INDEX_ATTRIBUTE].values, kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return replace(
        linked,
        positions=linked.positions[order],
        attributes={name: column.take(order) for name, column in linked.attributes.items()},
        object_ids=None if linked.object_ids is None else linked.object_ids[order],
        inside=linked.inside[order],
        links=number[linked.links[sort]],
        link_attributes={name: column.take(sort) for name, column in linked.link_attributes.items()},
    )
