"""Links across levels: from every vertex to the metavertex that it joins, and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from zarr_vectors.constants import XLEVEL_EXPLICIT
from zarr_vectors.exceptions import UnknownNameError
from zarr_vectors.model.links import LinkTable
from zarr_vectors.multiresolution.plan import CrossLevel
from zarr_vectors.ordering import stable_order
from zarr_vectors.read.links import read_links, row_numbers
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.row_offsets import read_row_offsets
from zarr_vectors.read.store import StoreReader
from zarr_vectors.typing import AnyArray, IntArray

Placed = tuple[IntArray, IntArray]
"""Chunk row and row in its chunk, of every vertex of a level."""


def link_up(
    fine: int, coarse: int, parents: IntArray, places: dict[int, Placed], chunks: dict[int, IntArray]
) -> LinkTable:
    """Return the links from every vertex of a level to the metavertex that it joins, by where the vertex is.

    Parameters
    ----------
    fine, coarse : int
        The levels.
    parents : (n,) integers
        Metavertex that each vertex of the fine level joins, -1 for none.
    places : dict of int to (chunk rows, rows)
        Where the vertices of both levels are stored.
    chunks : dict of int to (C, S) int64
        Chunks of both levels.
    """
    linked = np.flatnonzero(parents >= 0)
    order = linked[stable_order([places[fine][0][linked].astype(np.uint32)])]
    del linked
    joined = parents[order]
    pairs: list[AnyArray] = [np.empty((len(order), 2), np.int32) for _ in range(2)]
    for pair, below, above in zip(pairs, places[fine], places[coarse], strict=True):
        pair[:, 0] = below[order]
        pair[:, 1] = above[joined]
    return LinkTable(coarse - fine, pairs[0], pairs[1], chunks[fine], chunks[coarse], directed=True)


def link_down(
    fine: int, coarse: int, parents: IntArray, places: dict[int, Placed], chunks: dict[int, IntArray]
) -> LinkTable:
    """Return the same links from every metavertex to the vertices that joined it, by where the metavertex is."""
    up = link_up(fine, coarse, parents, places, chunks)
    order = stable_order([up.chunks[:, 1].astype(np.uint32), up.rows[:, 1].astype(np.uint32)])
    return LinkTable(
        fine - coarse, up.chunks[order, ::-1], up.rows[order, ::-1], chunks[coarse], chunks[fine], directed=True
    )


def link_levels(
    fine: int, coarse: int, parents: IntArray, places: dict[int, Placed], chunks: dict[int, IntArray], cross: CrossLevel
) -> list[tuple[int, Callable[[], LinkTable]]]:
    """Return the link tables between two levels, each with the level that stores it, made when they are called."""
    tables = [(fine, partial(link_up, fine, coarse, parents, places, chunks))]
    if cross.storage == XLEVEL_EXPLICIT:
        tables.append((coarse, partial(link_down, fine, coarse, parents, places, chunks)))
    return list(tables)


def read_cross_level_links(path: Any, level: int, delta: int, **open_options: Any) -> IntArray:
    """Read which vertices of two levels belong together.

    Stored links are read where they are; a direction that is not stored is the inverse of the other.

    Parameters
    ----------
    path : str, path, zarr Store or open Group
        The store.
    level : int
        Level of the first endpoints.
    delta : int
        Level of the second endpoints minus ``level``, not 0.
    **open_options
        ``backend`` and options of the object store.

    Returns
    -------
    (M, 2) int64
        Row of a vertex of ``level`` and row of a vertex of ``level + delta``; by the first, then the second. Rows
        count the vertices of a whole level in stored order: ``read_points``, ``read_graph`` and ``read_mesh`` return
        whole levels so; for paths and lines ask their readers for ``return_stored_rows=True``.

    Raises
    ------
    UnknownNameError
        When neither direction is stored.
    """
    store = open_reader(path, **open_options)
    return _resolve(store, level, delta)


def _resolve(store: StoreReader, level: int, delta: int) -> IntArray:
    here, there = store.level(level), store.level(level + delta)
    starts = {number: read_row_offsets(reader) for number, reader in ((level, here), (level + delta, there))}
    if delta in here.arrays.links:
        pairs = row_numbers(read_links(here, there, delta, []), starts[level], starts[level + delta])
    elif -delta in there.arrays.links:
        pairs = row_numbers(read_links(there, here, -delta, []), starts[level + delta], starts[level])[:, ::-1]
    else:
        raise UnknownNameError(
            f"{here.name} stores no links to level {level + delta}; build the pyramid with "
            "cross_level_storage='implicit' or 'explicit'"
        )
    return np.ascontiguousarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))])
