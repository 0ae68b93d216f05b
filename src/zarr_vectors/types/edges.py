"""Users' graphs and skeletons: one or many, joined, checked, and turned from child to parent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.ordering import offsets_of
from zarr_vectors.spatial.forests import cycle_through, root_forest, roots_of, span
from zarr_vectors.types.parts import ids_of_parts, is_list_of_arrays, join_parts, parts_of
from zarr_vectors.types.positions import as_array, as_positions
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

SELF_LOOP_CHOICES = ("keep", "drop", "raise")
_LISTED = 12


@dataclass(frozen=True, slots=True)
class JoinedGraphs:
    """One or several graphs as one.

    Parameters
    ----------
    positions : (N, D) array
        Nodes of all graphs, one after another.
    edges : (M, 2) int64
        Rows of ``positions``.
    object_ids : (N,) or (G,) integers, optional
        Object of every node, or, where there are ``offsets``, of every graph.
    attributes, edge_attributes : mapping, optional
        One row per node, and per edge.
    offsets : (G + 1,) int64, optional
        Where the nodes of each graph of a list start.
    """

    positions: AnyArray
    edges: IntArray
    object_ids: Any
    attributes: Mapping[str, Any] | None
    edge_attributes: Mapping[str, Any] | None
    offsets: IntArray | None = None


def join_graphs(
    positions: Any, edges: Any, object_ids: Any, attributes: Any = None, edge_attributes: Any = None
) -> JoinedGraphs:
    """Take one graph as it is, or join lists of graphs whose edges count within each graph.

    Parameters
    ----------
    positions : (N, D) array or list of (n_i, D) arrays
        Nodes of one graph, or of every graph.
    edges : (M, 2) array, or list of (m_i, 2) arrays or one (G, M, 2) array
        Rows of the graph's own nodes.
    object_ids : integers, optional
        One per node; for a list one per graph, ``0, 1, …`` by default.
    attributes, edge_attributes : mapping, optional
        By name one array for everything or, for a list, a list with one array per graph.

    Raises
    ------
    ShapeError, ArgumentError
        When shapes do not fit, or an edge names a node that is not there; names the edge.
    """
    if not is_list_of_arrays("positions", positions):
        nodes = as_positions("positions", positions)
        made = as_edges("edges", edges, len(nodes))
        return JoinedGraphs(nodes, made, object_ids, attributes, edge_attributes)
    parts = [as_positions(f"positions[{i}]", part) for i, part in enumerate(positions)]
    ndims = {part.shape[1] for part in parts}
    if len(ndims) > 1:
        raise ShapeError(f"positions: graphs have {sorted(ndims)} columns; all need the same number")
    edges = parts_of("edges", edges, len(parts), "graph", "positions")
    counts = [len(part) for part in parts]
    first = np.cumsum(counts) - counts
    shifted = [as_edges(f"edges[{i}]", part, counts[i]) + first[i] for i, part in enumerate(edges)]
    return JoinedGraphs(
        np.concatenate(parts),
        np.concatenate(shifted),
        ids_of_parts(object_ids, len(parts), "graph"),
        join_parts("attributes", attributes, len(parts), "graph"),
        join_parts("edge_attributes", edge_attributes, len(parts), "graph"),
        offsets_of(np.array(counts, np.int64)),
    )


def as_edges(argument: str, edges: Any, node_count: int) -> IntArray:
    """Return edges as ``(M, 2)`` int64 rows of nodes.

    Raises
    ------
    ShapeError
        When they are not pairs.
    ArgumentError
        When they are not whole numbers, or one names a node that is not there; names the edge.
    """
    given = as_array(argument, edges)
    if given.size == 0 and given.ndim < 2:
        return np.zeros((0, 2), np.int64)
    if given.ndim != 2 or given.shape[1] != 2:
        raise ShapeError(f"{argument}: expected an (M, 2) array, got shape {given.shape}")
    if given.dtype.kind not in "iu" and given.size:
        raise ArgumentError(f"{argument}: expected whole numbers, got dtype {given.dtype}")
    if given.size and (int(given.min()) < 0 or int(given.max()) >= node_count):
        row = int(np.flatnonzero(((given < 0) | (given >= node_count)).any(axis=1))[0])
        raise ArgumentError(
            f"{argument}: edge {row} is {given[row].tolist()}, but there are {node_count} nodes "
            f"(rows 0 to {node_count - 1})"
        )
    return given.astype(np.int64, copy=False)


def settle_self_loops(edges: IntArray, choice: str) -> BoolArray | None:
    """Say which edges stay, by what is to happen to those that join a node with itself; None: all.

    Raises
    ------
    ArgumentError
        Under ``"raise"``; names how many there are and the first.
    """
    if choice not in SELF_LOOP_CHOICES:
        raise ArgumentError(f"self_loops: expected one of {', '.join(SELF_LOOP_CHOICES)}, got {choice!r}")
    loops = edges[:, 0] == edges[:, 1]
    if choice == "keep" or not loops.any():
        return None
    if choice == "raise":
        row = int(np.flatnonzero(loops)[0])
        raise ArgumentError(
            f"edges: {int(loops.sum())} of {len(edges)} join a node with itself; edge {row} is {edges[row].tolist()}. "
            "Pass self_loops='drop' to leave them out or 'keep' to store them"
        )
    return np.asarray(~loops)


def require_forest(count: int, edges: IntArray, why: str) -> None:
    """Refuse edges that close a cycle; two edges between the same nodes do, and so does a self-loop.

    Parameters
    ----------
    count : int
        Number of nodes.
    edges : (M, 2) int64
        Edges, in any direction.
    why : str
        What asks for it and what to do, for the message.

    Raises
    ------
    ArgumentError
        Naming the nodes of one cycle.
    """
    forest = span(count, edges)
    if forest.spans.all():
        return
    nodes = cycle_through(count, edges, forest)
    listed = ", ".join(map(str, nodes[:_LISTED])) + (", …" if len(nodes) > _LISTED else "")
    raise ArgumentError(f"edges: a cycle runs through the {len(nodes)} node(s) {listed}; {why}")


_NO_CYCLES = "a skeleton has none: leave out an edge, or write it with geometry_type='graph'"


def as_child_parent(count: int, edges: IntArray, directed: bool) -> IntArray:
    """Return the edges of a forest as (child, parent) rows.

    Edges in which every node is a child at most once are that already and stay as they are. Others are turned away
    from the lowest row of their component, which becomes its root.

    Parameters
    ----------
    count : int
        Number of nodes.
    edges : (M, 2) int64
        Edges of a forest.
    directed : bool
        Whether the edges must be (child, parent) as they are.

    Raises
    ------
    ArgumentError
        When the edges close a cycle, or are directed and give a node two parents; names the nodes.
    """
    uses = np.bincount(edges[:, 0], minlength=count)
    if len(edges) == 0 or int(uses.max()) == 1:
        parents = np.full(count, -1, np.int64)
        parents[edges[:, 0]] = edges[:, 1]
        if (roots_of(parents) >= 0).all():
            return edges
        require_forest(count, edges, _NO_CYCLES)
    if directed:
        node = int(uses.argmax())
        found = edges[edges[:, 0] == node, 1].tolist()
        raise ArgumentError(
            f"edges: node {node} has the parents {found[:5]}, but a directed skeleton is given as (child, parent) with "
            "one parent each; pass is_directed=False to root it at the lowest row"
        )
    require_forest(count, edges, _NO_CYCLES)
    forest = span(count, edges)
    parents = root_forest(count, edges, np.unique(forest.components))
    turned = parents[edges[:, 0]] != edges[:, 1]
    return np.where(turned[:, None], edges[:, ::-1], edges)
