"""Forests by whole arrays: list ranking, spanning forests, roots and cycles, without a loop over nodes.

A list is followed from many random splitters at once, and only the splitters are ranked by pointer jumping, so that
the work is linear in the number of nodes (Helman and JáJá 1999). Edges without a direction are rooted by ranking the
Euler tour of their tree (Tarjan and Vishkin 1985).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.ordering import stable_order
from zarr_vectors.typing import BoolArray, IntArray

_SPACING = 16


@dataclass(frozen=True, slots=True)
class Ranked:
    """Where every node stands in its list.

    Parameters
    ----------
    heads : (n,) int64
        First node of the list of every node, -1 for nodes of cycles.
    ranks : (n,) int64
        Steps from that head.
    """

    heads: IntArray
    ranks: IntArray


def rank_lists(following: IntArray) -> Ranked:
    """Rank the nodes of lists.

    Parameters
    ----------
    following : (n,) int64
        The node after each, -1 at the end of a list; no node follows two others.
    """
    n = len(following)
    starts = np.flatnonzero(np.append(True, following[:-1] != np.arange(1, n)))
    if n and _SPACING // 2 * len(starts) <= n:
        return _rank_runs(following, starts)
    is_head = np.ones(n, bool)
    is_head[following[following >= 0]] = False
    splits = is_head | (np.random.default_rng(0).random(n) < 1 / _SPACING)
    splitters = np.flatnonzero(splits)
    number = np.full(n, -1, np.int64)
    number[splitters] = np.arange(len(splitters))
    section, offset = number.copy(), np.zeros(n, np.int64)
    before = np.arange(len(splitters))
    distance = np.zeros(len(splitters), np.int64)
    current, owner, step = splitters, np.arange(len(splitters)), 0
    while len(current):
        current, step = following[current], step + 1
        alive = current >= 0
        reached = alive & splits[np.where(alive, current, 0)]
        later = number[current[reached]]
        before[later], distance[later] = owner[reached], step
        alive &= ~reached
        current, owner = current[alive], owner[alive]
        section[current], offset[current] = owner, step
    heads_of_sections, distance = _jump(before, distance, is_head[splitters])
    known = section >= 0
    heads = np.where(known, np.append(heads_of_sections, -1)[section], -1)
    heads = np.where(heads >= 0, np.append(splitters, -1)[heads], -1)
    return Ranked(heads, np.where(heads >= 0, np.append(distance, 0)[section] + offset, 0))


def _rank_runs(following: IntArray, starts: IntArray) -> Ranked:
    """Rank the nodes of lists that mostly go on with the next number, by ranking their runs of such numbers."""
    n, runs = len(following), np.arange(len(starts))
    lengths = np.diff(np.append(starts, n))
    after = following[starts + lengths - 1]
    goes_on = after >= 0
    later = np.searchsorted(starts, after[goes_on])
    is_head = np.ones(len(starts), bool)
    is_head[later] = False
    before, distance = runs.copy(), np.zeros(len(starts), np.int64)
    before[later], distance[later] = runs[goes_on], lengths[goes_on]
    top, distance = _jump(before, distance, is_head)
    heads = np.where(top >= 0, starts[top], -1)
    shift = np.where(top >= 0, distance - starts, 0)
    ranks = np.repeat(shift, lengths)
    ranks += np.arange(n)
    if (top < 0).any():
        ranks[np.repeat(top < 0, lengths)] = 0
    return Ranked(np.repeat(heads, lengths), ranks)


def _jump(before: IntArray, distance: IntArray, is_head: BoolArray) -> tuple[IntArray, IntArray]:
    """Follow pointers to their heads, adding up distances; -1 where there is no head."""
    before = np.where(is_head, np.arange(len(before)), before)
    distance = np.where(is_head, 0, distance)
    for _ in range(max(1, len(before)).bit_length()):
        if is_head[before].all():
            break
        distance = distance + distance[before]
        before = before[before]
    return np.where(is_head[before], before, -1), distance


def roots_of(parents: IntArray) -> IntArray:
    """Return the root of every node, -1 for nodes from which a cycle is reached.

    Parameters
    ----------
    parents : (n,) int64
        Parent of every node, -1 for roots.
    """
    return Chains.of(parents).roots


@dataclass(frozen=True, slots=True)
class Chains:
    """A forest cut into chains, each from a node along its first children to an end.

    Parameters
    ----------
    heads : (n,) int64
        First node of the chain of every node, -1 for nodes of cycles.
    ranks : (n,) int64
        Steps from that head.
    roots : (n,) int64
        Root of the tree of every node, -1 for nodes from which a cycle is reached.
    """

    heads: IntArray
    ranks: IntArray
    roots: IntArray

    @classmethod
    def of(cls, parents: IntArray) -> Chains:
        """Cut a forest, given the parent of every node (-1 for roots), into chains."""
        n = len(parents)
        children = np.flatnonzero(parents >= 0)
        following = np.full(n, -1, np.int64)
        following[parents[children[::-1]]] = children[::-1]  # the lowest child goes on
        ranked = rank_lists(following)
        heads = np.flatnonzero(ranked.heads == np.arange(n))
        chain = np.full(n + 1, -1, np.int64)
        chain[heads] = np.arange(len(heads))
        is_root = parents[heads] < 0
        above = chain[ranked.heads[parents[heads]]]
        lost = ~is_root & (above < 0)
        above = np.where(is_root | lost, np.arange(len(heads)), above)
        top, _ = _jump(above, np.zeros(len(heads), np.int64), is_root)
        top_of_node = np.append(top, -1)[chain[ranked.heads]]
        return cls(ranked.heads, ranked.ranks, np.where(top_of_node >= 0, np.append(heads, -1)[top_of_node], -1))


@dataclass(frozen=True, slots=True)
class SpanningForest:
    """Which edges of a graph span it.

    Parameters
    ----------
    components : (n,) int64
        Lowest node of the component of every node.
    spans : (m,) bool
        Edges that join what no earlier one does; the others close a cycle.
    """

    components: IntArray
    spans: BoolArray


def span(count: int, edges: IntArray) -> SpanningForest:
    """Return the components of a graph and a spanning forest of its lowest edges (Borůvka's algorithm).

    Parameters
    ----------
    count : int
        Number of nodes.
    edges : (m, 2) int64
        Nodes that each edge joins.
    """
    labels = np.arange(count, dtype=np.int64)
    spans = np.zeros(len(edges), bool)
    alive = np.flatnonzero(edges[:, 0] != edges[:, 1])
    first, second = edges[alive, 0], edges[alive, 1]
    while len(alive):
        best = np.full(count, -1, np.int64)
        backwards = np.arange(len(alive))[::-1]
        best[np.stack([first, second], axis=1)[::-1]] = backwards[:, None]  # the lowest edge is written last
        hooks = np.flatnonzero(best >= 0)
        chosen = best[hooks]
        spans[alive[chosen]] = True
        target = np.where(first[chosen] == hooks, second[chosen], first[chosen])
        parent = np.arange(count, dtype=np.int64)
        parent[hooks] = target
        mutual = (parent[target] == hooks) & (hooks < target)
        parent[hooks[mutual]] = hooks[mutual]
        while True:
            jumped = parent[parent]
            if np.array_equal(jumped, parent):
                break
            parent = jumped
        labels = parent[labels]
        first, second = parent[first], parent[second]
        apart = first != second
        alive, first, second = alive[apart], first[apart], second[apart]
    lowest = np.full(count, -1, np.int64)
    lowest[labels[::-1]] = np.arange(count)[::-1]
    return SpanningForest(lowest[labels], spans)


def root_forest(count: int, edges: IntArray, roots: IntArray) -> IntArray:
    """Return the parent ``(n,)`` of every node of a forest, -1 for roots.

    Parameters
    ----------
    count : int
        Number of nodes.
    edges : (m, 2) int64
        Edges of a forest, in any direction.
    roots : (r,) int64
        One node of every tree.
    """
    parents = np.full(count, -1, np.int64)
    if len(edges) == 0:
        return parents
    source = edges.reshape(-1)
    target = edges[:, ::-1].reshape(-1)
    order = stable_order([source.astype(np.uint64)])
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    degree = np.bincount(source, minlength=count)
    ends = np.cumsum(degree)
    twin = np.arange(len(source)) ^ 1
    after = place[twin] + 1  # around the target, the half-edge after the one that leads back
    after = np.where(after == ends[target], ends[target] - degree[target], after)
    following = order[after]
    with_edges = roots[degree[roots] > 0]
    last = order[ends[with_edges] - 1] ^ 1
    following[last] = -1
    ranks = rank_lists(following).ranks
    down = ranks < ranks[twin]
    parents[target[down]] = source[down]
    return parents


def cycle_through(count: int, edges: IntArray, forest: SpanningForest) -> list[int]:
    """Return the nodes of one cycle of a graph, which has at least one edge that does not span.

    Parameters
    ----------
    count : int
        Number of nodes.
    edges : (m, 2) int64
        Edges.
    forest : SpanningForest
        Of these edges.
    """
    closing = int(np.flatnonzero(~forest.spans)[0])
    parents = root_forest(count, edges[forest.spans], np.unique(forest.components))
    above = []
    for end in edges[closing].tolist():
        path = [end]
        while parents[path[-1]] >= 0:
            path.append(int(parents[path[-1]]))
        above.append(path)
    first, second = above
    while len(first) > 1 and len(second) > 1 and first[-2] == second[-2]:
        first.pop()
        second.pop()
    return first + second[-2::-1]
