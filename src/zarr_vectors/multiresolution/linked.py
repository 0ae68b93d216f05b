"""Coarsening vertices with links: metavertices as of points, links mapped to them, the same links merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Links
from zarr_vectors.model.links import LinkTable
from zarr_vectors.multiresolution.aggregation import Merging, count_column, merge_columns
from zarr_vectors.multiresolution.points import Coarsened, Recipe, coarsen_points
from zarr_vectors.ordering import offsets_of, stable_order
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.links import read_links, row_numbers
from zarr_vectors.typing import IntArray

MULTIPLICITY = "multiplicity"
"""Link attribute of coarse levels: how many links of level 0 each stands for."""

Contraction: TypeAlias = Callable[[IntArray, LinkTable], Links]
"""From links by metavertices ``(M, L)``, -1 for vertices that are gone, and the table they were read from."""


def coarsen_linked(level: LevelReader, recipe: Recipe, contract: Contraction) -> Coarsened:
    """Make the metavertices of every level from the vertices of level 0, and links between them from its links.

    Parameters
    ----------
    level : LevelReader
        Level 0.
    recipe : Recipe
        How levels are made.
    contract : function
        What becomes of links whose vertices merged.
    """
    far = max(plan.level for plan in recipe.plans)
    result = coarsen_points(level, replace(recipe, reach=max(recipe.reach, far)))
    if 0 in level.arrays.links:
        nothing = np.zeros(0, np.int32)
        chunk = np.concatenate([nothing, *result.chunk_rows])
        offsets = offsets_of(np.bincount(chunk, minlength=len(level.chunks)))
        stored = offsets[chunk] + np.concatenate([nothing, *result.rows])
        table = read_links(level, level, 0)
        rows = row_numbers(table, offsets, offsets)
        for coarse in result.levels:
            joined = np.full(len(stored), -1, np.int64)
            joined[stored] = np.concatenate([nothing, *coarse.parents.get(0, [])])
            coarse.links = contract(joined[rows], table)
    for plan, coarse in zip(recipe.plans, result.levels, strict=True):
        for finer in [number for number in coarse.parents if plan.level - number > recipe.reach]:
            del coarse.parents[finer]
    if not recipe.reach:
        result.chunk_rows.clear()
        result.rows.clear()
    return result


def coarsen_graph(level: LevelReader, recipe: Recipe) -> Coarsened:
    """Contract a graph: nodes of one object and coarse bin merge, and edges follow them."""

    def contract(rows: IntArray, table: LinkTable) -> Links:
        edges, columns = contract_edges(rows, table.attributes, recipe.link_modes, directed=table.directed)
        return Links(edges, columns, table.directed, table.store)

    return coarsen_linked(level, recipe, contract)


def contract_edges(
    edges: IntArray, attributes: Mapping[str, Column], modes: Mapping[str, str], *, directed: bool
) -> tuple[IntArray, dict[str, Column]]:
    """Return what is left of edges whose nodes merged.

    Parameters
    ----------
    edges : (M, 2) int64
        Metavertices of every edge; -1 where a node is gone, and the edge with it.
    attributes : mapping of str to Column
        One row per edge.
    modes : mapping of str to str
        Aggregation of every attribute over edges that merge.
    directed : bool
        Whether edges of opposite directions are kept apart.

    Returns
    -------
    edges : (m, 2) int64
        Distinct edges, none from a node to itself, in the order of the first edge of each and turned as that is.
    attributes : dict of str to Column
        Aggregated; with ``multiplicity``, the number of edges that merged, unless there is one already.
    """
    alive = np.flatnonzero((edges >= 0).all(axis=1) & (edges[:, 0] != edges[:, 1]))
    kept = edges[alive]
    keys = kept if directed else np.sort(kept, axis=1)
    sort = stable_order([keys[:, 0].astype(np.uint64), keys[:, 1].astype(np.uint64)])
    ordered = keys[sort]
    heads = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1)) if len(sort) else np.zeros(0, bool)
    starts = np.flatnonzero(heads)
    merging = Merging(starts, np.diff(np.append(starts, len(sort))), np.arange(len(starts)), len(starts))
    source, first = alive[sort], sort[starts]
    order = np.argsort(first, kind="stable")
    columns = merge_columns(attributes, merging, modes, lambda column: column.take(source))
    columns.setdefault(MULTIPLICITY, count_column(merging.sizes))
    return kept[first[order]], {name: column.take(order) for name, column in columns.items()}
