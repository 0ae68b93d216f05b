"""Users' edges: self-loops, cycles, and how they are turned from child to parent."""

from __future__ import annotations

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.spatial.forests import cycle_through, root_forest, roots_of, span
from zarr_vectors.typing import BoolArray, IntArray

SELF_LOOP_CHOICES = ("keep", "drop", "raise")
_LISTED = 12


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
        # Where every parent comes before its child, there is no cycle.
        if (parents < np.arange(count)).all() or (roots_of(parents) >= 0).all():
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
