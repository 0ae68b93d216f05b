"""A level as elements: the columns that its cells were made from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.constants import LINKS_BRANCHES
from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.joining import joined_with_absent
from zarr_vectors.formats.layout import LevelArrays
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.model.cells import Fragments
from zarr_vectors.model.elements import Elements, Links, Objects
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import stable_order
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.chunk_values import chunk_values
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.links import read_links, require_parent_links, row_numbers
from zarr_vectors.read.objects import fragment_owners, read_columns, read_groups
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.spatial.branches import implied_links
from zarr_vectors.typing import IntArray


def read_linked_elements(level: LevelReader, *, keyed: bool = False) -> Elements:
    """Read all vertices of a level with their objects, groups and the links between them, in stored order.

    Objects come in ascending id order, links in reading order.

    Parameters
    ----------
    level : LevelReader
        An open level.
    keyed : bool
        Whether an attribute that stands in the chunk keys, and in no array, is among the attributes.

    Raises
    ------
    ArrayError
        When a vertex belongs to several objects or to none, which elements cannot say.
    MetadataError
        When rows imply links, and those that are stored have other than two endpoints.
    """
    chunk_rows = np.arange(len(level.chunks))
    cells = read_chunks(level, chunk_rows, fragment_attributes=False)
    attributes = dict(cells.attributes)
    if keyed and level.keyed_attribute is not None:
        attributes[level.keyed_attribute] = chunk_values(level, np.repeat(chunk_rows, np.diff(cells.row_offsets)))
    ids = ordered_object_ids(level)
    objects = None
    if ids is not None:
        owners, shared = fragment_owners(level, cells.fragments, chunk_rows)
        if shared or cells.fragments.explicit is not None or (owners[cells.fragments.counts > 0] < 0).any():
            raise ArrayError(f"{level.name}: some vertices belong to several objects, or to none")
        order = np.argsort(ids, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        columns = read_columns(level, dict(level.arrays.object_attributes), None)
        described = {name: column.take(order) for name, column in columns.items()}
        objects = Objects(ids[order], np.repeat(place[owners], cells.fragments.counts), described)
    links = None
    require_parent_links(level)
    if 0 in level.arrays.links:
        links = as_links(read_links(level, level, 0), cells.row_offsets)
    if level.root.links_convention == LINKS_BRANCHES:
        links = with_implied_links(links, cells.fragments, cells.row_offsets)
    return Elements(cells.positions, attributes, objects, read_groups(level), links)


def as_links(table: LinkTable, row_offsets: IntArray) -> Links:
    """Return links of one level by rows of the whole level, whose chunks start at ``row_offsets``."""
    rows = row_numbers(table, row_offsets, row_offsets)
    return Links(rows, table.attributes, table.directed, table.store)


def with_implied_links(links: Links | None, fragments: Fragments, row_offsets: IntArray) -> Links:
    """Return the stored links (child, parent) of trees with those that the order of rows implies, by child.

    Parameters
    ----------
    links : Links, optional
        Stored links by rows of the whole level.
    fragments : Fragments
        Fragments of the level.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk start.
    """
    stored = Links(np.zeros((0, 2), np.int64)) if links is None else links
    has_own = np.zeros(int(row_offsets[-1]), bool)
    has_own[stored.rows[:, 0]] = True
    implied = implied_links(fragments, row_offsets, has_own)
    rows = np.concatenate([implied, stored.rows])
    order = stable_order([rows[:, 0].astype(np.uint64)])
    columns = {
        name: joined_with_absent(column, len(implied), first=True).take(order)
        for name, column in stored.attributes.items()
    }
    return replace(stored, rows=rows[order], attributes=columns, directed=True)


def link_specs(arrays: LevelArrays, delta: int = 0) -> dict[str, AttributeSpec]:
    """Return the specs of the attributes of one family of links, by name."""
    family = arrays.links.get(delta)
    if family is None:
        return {}
    known = {name: cells.spec for array in family.arrays for name, cells in array.attributes.items()}
    known = {**family.without_rows, **known}
    return known | ({} if family.blob is None else {name: table.spec for name, table in family.blob.attributes.items()})
