"""The array algorithms on forests against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.graphs.networks import make_forest
from zarr_vectors.model.cells import Fragments
from zarr_vectors.ordering import offsets_of
from zarr_vectors.spatial.branches import branch_order, implied_links, links_by_child, parents_of_rows
from zarr_vectors.spatial.forests import Chains, cycle_through, rank_lists, root_forest, roots_of, span

forests = st.builds(
    lambda nodes, roots, seed: (nodes, make_forest(nodes, roots=roots, seed=seed)[1]),
    st.integers(1, 120),
    st.integers(1, 5),
    st.integers(0, 10_000),
)


def parents_of(nodes: int, edges: Any) -> Any:
    parents = np.full(nodes, -1, np.int64)
    parents[edges[:, 0]] = edges[:, 1]
    return parents


def root_of(parents: Any, node: int) -> int:
    while parents[node] >= 0:
        node = int(parents[node])
    return node


@given(forests)
def test_roots(forest: Any) -> None:
    nodes, edges = forest
    parents = parents_of(nodes, edges)
    assert roots_of(parents).tolist() == [root_of(parents, node) for node in range(nodes)]


@given(st.lists(st.integers(1, 80), max_size=6), st.integers(0, 1000))
def test_lists_are_ranked(lengths: list[int], seed: int) -> None:
    names = np.random.default_rng(seed).permutation(sum(lengths))
    following, heads, ranks = (np.full(len(names), -1, np.int64) for _ in range(3))
    start = 0
    for length in lengths:
        part = names[start : start + length]
        following[part[:-1]] = part[1:]
        heads[part], ranks[part] = part[0], np.arange(length)
        start += length
    found = rank_lists(following)
    assert found.heads.tolist() == heads.tolist()
    assert found.ranks.tolist() == ranks.tolist()


@given(st.lists(st.integers(20, 60), min_size=1, max_size=8), st.integers(0, 1000), st.booleans())
def test_lists_of_consecutive_numbers_are_ranked(lengths: list[int], seed: int, circle: bool) -> None:
    random = np.random.default_rng(seed)
    runs = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
    runs = [runs[number] for number in random.permutation(len(runs))]
    cuts = sorted(random.integers(0, len(runs) + 1, 2).tolist())
    groups = [runs[: cuts[0]], runs[cuts[0] : cuts[1]], runs[cuts[1] :]]
    following, heads, ranks = (np.full(sum(lengths), -1, np.int64) for _ in range(3))
    for number, group in enumerate(groups):
        part = np.concatenate([np.zeros(0, np.int64), *group])
        following[part[:-1]] = part[1:]
        if circle and number == 0 and len(part):
            following[part[-1]] = part[0]
            ranks[part] = 0
        else:
            heads[part], ranks[part] = part[:1].repeat(len(part)), np.arange(len(part))
    found = rank_lists(following)
    assert found.heads.tolist() == heads.tolist()
    assert found.ranks.tolist() == ranks.tolist()


def test_a_circle_has_no_head() -> None:
    circle = np.roll(np.arange(1000), -1)
    assert (rank_lists(circle).heads == -1).all()
    assert (roots_of(np.append(circle, 0)) == -1).all()


@given(forests)
def test_branch_order_follows_chains(forest: Any) -> None:
    nodes, edges = forest
    parents = parents_of(nodes, edges)
    order = branch_order(parents, Chains.of(parents), np.zeros(nodes, np.int64))
    assert sorted(order.tolist()) == list(range(nodes))
    place = np.argsort(order)
    adjacent = sum(place[child] == place[parent] + 1 for child, parent in edges.tolist())
    has_child = len(set(edges[:, 1].tolist()))
    assert adjacent == has_child  # every node that has children stands before one of them


@given(forests, st.data())
def test_rooting_finds_the_parents(forest: Any, data: st.DataObject) -> None:
    nodes, edges = forest
    parents = parents_of(nodes, edges)
    turned = np.array(data.draw(st.lists(st.booleans(), min_size=len(edges), max_size=len(edges))), bool)
    mixed = np.where(turned[:, None], edges[:, ::-1], edges)
    assert root_forest(nodes, mixed, np.flatnonzero(parents < 0)).tolist() == parents.tolist()


@given(forests, st.integers(0, 10_000))
def test_one_edge_more_closes_a_cycle(forest: Any, seed: int) -> None:
    nodes, edges = forest
    assert span(nodes, edges).spans.all()
    parents = parents_of(nodes, edges)
    roots = np.array([root_of(parents, node) for node in range(nodes)])
    assert len(set(span(nodes, edges).components.tolist())) == len(set(roots.tolist()))
    random = np.random.default_rng(seed)
    first = int(random.integers(nodes))
    second = int(random.choice(np.flatnonzero(roots == roots[first])))
    more = np.concatenate([edges, [[first, second]]])
    found = span(nodes, more)
    assert (~found.spans).sum() == 1
    cycle = cycle_through(nodes, more, found)
    assert len(set(cycle)) == len(cycle)
    known = {tuple(sorted(pair)) for pair in more.tolist()}
    assert {tuple(sorted((a, b))) for a, b in zip(cycle, cycle[1:] + cycle[:1], strict=True)} <= known


@st.composite
def chunks_of_fragments(draw: st.DrawFn) -> tuple[Fragments, Any]:
    """Draw range fragments that tile the rows of some chunks, and where the rows of each chunk start."""
    chunks = draw(st.lists(st.lists(st.integers(0, 6), max_size=4), min_size=1, max_size=4))
    counts = np.array([count for chunk in chunks for count in chunk], np.int64)
    starts = [start for chunk in chunks for start in (np.cumsum(chunk) - chunk if chunk else [])]
    offsets = offsets_of(np.array([len(chunk) for chunk in chunks]))
    row_offsets = offsets_of(np.array([sum(chunk) for chunk in chunks]))
    return Fragments(offsets, np.array(starts, np.int64), counts), row_offsets


@given(chunks_of_fragments(), st.data())
def test_parents_of_rows_are_those_of_implied_and_stored_links(table: Any, data: st.DataObject) -> None:
    fragments, row_offsets = table
    count = int(row_offsets[-1])
    children = data.draw(st.lists(st.integers(0, count - 1), unique=True, max_size=8) if count else st.just([]))
    stored = np.array([(child, data.draw(st.integers(0, count - 1))) for child in children], np.int64).reshape(-1, 2)
    has_own = np.zeros(count, bool)
    has_own[stored[:, 0]] = True
    implied = implied_links(fragments, row_offsets, has_own)
    wanted = sorted(map(tuple, np.concatenate([implied, stored]).tolist()))
    leading_out = np.array([[-1, 0]], np.int64)[: min(count, 1)]
    parents = parents_of_rows(fragments, row_offsets, np.concatenate([stored, leading_out]))
    assert parents is not None
    assert list(map(tuple, links_by_child(parents).tolist())) == wanted


def test_links_are_made_some_rows_at_a_time() -> None:
    parents = np.arange(-1, 150_000)
    parents[::1000] = -1
    links = links_by_child(parents)
    assert np.array_equal(links[:, 0], np.flatnonzero(parents >= 0))
    assert np.array_equal(links[:, 1], links[:, 0] - 1)


def test_rows_with_several_parents_are_left_alone() -> None:
    table, row_offsets = Fragments(np.array([0, 1]), np.array([0]), np.array([3])), np.array([0, 3])
    assert parents_of_rows(table, row_offsets, np.array([[1, 0], [1, 2]])) is None
    overlapping = Fragments(np.array([0, 2]), np.array([0, 1]), np.array([2, 2]))
    assert parents_of_rows(overlapping, row_offsets, np.zeros((0, 2), np.int64)) is None
    listed = Fragments(np.array([0, 1]), np.array([0]), np.array([3]), np.array([True]), np.array([2, 1, 0]))
    assert parents_of_rows(listed, row_offsets, np.zeros((0, 2), np.int64)) is None
