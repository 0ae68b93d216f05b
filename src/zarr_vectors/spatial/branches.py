"""Trees as rows: an order in which most parents stand right before their children, and what that order implies.

Inside a fragment the parent of row i is row i − 1 unless a stored link says otherwise, and the first row has no
implied parent (Zarr Vectors specification, links convention ``implicit_sequential_with_branches``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.model.cells import Fragments
from zarr_vectors.model.elements import Elements
from zarr_vectors.ordering import offsets_of, stable_order
from zarr_vectors.spatial.forests import Chains
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

_ROWS_AT_ONCE = 1 << 16
"""Rows whose links are made at once: so few that what is made on the way stays in the processor's cache."""


def implied_links(fragments: Fragments, row_offsets: IntArray, has_own: BoolArray) -> IntArray:
    """Return the (child, parent) rows ``(m, 2)`` that the order of rows inside fragments implies.

    Parameters
    ----------
    fragments : Fragments
        Fragments of some chunks.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk start.
    has_own : (N,) bool
        Rows whose parent is stored.
    """
    base = np.repeat(row_offsets[:-1], np.diff(fragments.offsets))
    offsets = offsets_of(fragments.counts)
    places = np.arange(int(offsets[-1]), dtype=np.int64)
    rows = places + np.repeat(fragments.starts - offsets[:-1], fragments.counts)
    if fragments.explicit is not None:
        listed = np.repeat(fragments.explicit, fragments.counts)
        rows[listed] = fragments.rows[rows[listed]]
    rows += np.repeat(base, fragments.counts)
    follows = np.ones(len(rows), bool)
    follows[offsets[:-1][fragments.counts > 0]] = False
    later = np.flatnonzero(follows)
    later = later[~has_own[rows[later]]]
    return np.stack([rows[later], rows[later - 1]], axis=1)


def parents_of_rows(fragments: Fragments, row_offsets: IntArray, stored: IntArray) -> IntArray | None:
    """Return the parent of every row, implied or stored, -1 where there is none.

    Parameters
    ----------
    fragments : Fragments
        Fragments of some chunks.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk start.
    stored : (m, 2) int64
        Stored (child, parent) rows; those with a negative row lead out of these chunks.

    Returns
    -------
    (N,) int64 or None
        None where a row may have several parents: where fragments do not cover the rows once, in order, or two stored
        links have the same child.
    """
    if not fragments.tile(row_offsets):
        return None
    count = int(row_offsets[-1])
    children, parents = stored[stored[:, 0] >= 0].T
    has_own = np.zeros(count, bool)
    has_own[children] = True
    if np.count_nonzero(has_own) != len(children):
        return None
    found = np.arange(-1, count - 1)
    found[offsets_of(fragments.counts)[:-1][fragments.counts > 0]] = -1
    found[children] = parents
    return found


def links_by_child(parents: IntArray) -> IntArray:
    """Return (child, parent) rows ``(m, 2)`` by child, for the parent of every row, negative where there is none."""
    firsts = range(0, len(parents), _ROWS_AT_ONCE)
    counts = [np.count_nonzero(parents[first : first + _ROWS_AT_ONCE] >= 0) for first in firsts]
    filled = offsets_of(np.array(counts, np.int64)).tolist()
    links = np.empty((filled[-1], 2), np.int64)
    for first, start, stop in zip(firsts, filled[:-1], filled[1:], strict=True):
        part = parents[first : first + _ROWS_AT_ONCE]
        children = np.flatnonzero(part >= 0)
        np.add(children, first, out=links[start:stop, 0])
        links[start:stop, 1] = part[children]
    return links


def branch_order(parents: IntArray, chains: Chains, owners: AnyArray) -> IntArray:
    """Return an order of the nodes of a forest in which most parents stand right before a child.

    Objects come one after another; inside each its chains by their first node, inside each chain parents before
    children. Input that follows its branches already keeps its order.

    Parameters
    ----------
    parents : (n,) int64
        Parent of every node, -1 for roots.
    chains : Chains
        The forest cut into chains.
    owners : (n,) integers
        Object of every node.

    Returns
    -------
    (n,) int64
        Rows.
    """
    lengths = np.bincount(chains.heads, minlength=len(parents))
    heads = np.flatnonzero(lengths)
    by_owner = heads[stable_order([owners[heads].astype(np.uint64)])]
    first = np.empty(len(parents), np.int64)
    first[by_owner] = offsets_of(lengths[by_owner])[:-1]
    order = np.empty(len(parents), np.int64)
    order[first[chains.heads] + chains.ranks] = np.arange(len(parents))
    return order


def along_branches(elements: Elements) -> Elements:
    """Return a forest with its nodes in branch order, so that its rows imply most links.

    Parameters
    ----------
    elements : Elements
        With objects, and links (child, parent) in which every node is the child of at most one, without cycles.

    Returns
    -------
    Elements
        Links of nodes, in the order of the children, marked as implied; roots start fragments.
    """
    links, objects = elements.links, elements.objects
    assert links is not None
    assert objects is not None
    parents = np.full(elements.count, -1, np.int64)
    parents[links.rows[:, 0]] = links.rows[:, 1]
    order = branch_order(parents, Chains.of(parents), objects.of_vertex)
    if (order[1:] > order[:-1]).all():
        children, rows = links.rows[:, 0], links.rows
    else:
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        rows = place[links.rows]
        children = rows[:, 0]
        elements = replace(
            elements,
            positions=np.take(elements.positions, order, axis=0, mode="clip"),
            attributes={name: column.take(order) for name, column in elements.attributes.items()},
        )
        objects = replace(objects, of_vertex=objects.of_vertex[order])
    columns = links.attributes
    if not (children[1:] > children[:-1]).all():
        by_child = np.full(elements.count, -1, np.int64)
        by_child[children] = np.arange(len(children))
        kept = by_child[by_child >= 0]
        rows = np.take(rows, kept, axis=0, mode="clip")
        columns = {name: column.take(kept) for name, column in columns.items()}
    breaks = np.ones(elements.count, bool)
    breaks[children] = False
    return replace(
        elements,
        objects=objects,
        links=replace(links, rows=rows, attributes=columns, directed=True, implied=not columns),
        breaks=breaks,
    )
