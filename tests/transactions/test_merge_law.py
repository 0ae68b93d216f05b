"""Whatever two branches do, a merge keeps all that either committed in a valid store, or changes nothing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transactions.repositories import REVISIONS, content
from zarr_vectors import edit
from zarr_vectors.core.group import Group
from zarr_vectors.core.store import branch, commit, merge_branch, open_store, read_level_metadata, switch_branch
from zarr_vectors.exceptions import StoreError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.typing import FloatArray
from zarr_vectors.validate import validate

pytest.importorskip("icechunk", reason="install zarr-vectors[icechunk]")

NAMES = ("a", "b")
STEPS = st.one_of(
    st.tuples(st.just("rows"), st.integers(0, 3)),
    st.tuples(st.just("attribute"), st.sampled_from(NAMES)),
    st.tuples(st.just("without"), st.sampled_from(NAMES)),
    st.tuples(st.just("pyramid"), st.just(0)),
    st.tuples(st.just("note"), st.integers(0, 2)),
)
LINKS = st.one_of(
    st.tuples(st.just("links"), st.integers(0, 3)),
    st.tuples(st.just("crossing"), st.integers(0, 2)),
    st.tuples(st.just("weights"), st.just(0)),
    st.tuples(st.just("move"), st.integers(0, 3)),
)
"""What a side does, and where."""


def rounds(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give what both sides do in some rounds, and which of them takes over the other's changes then."""
    some = st.lists(steps, max_size=2)
    return st.lists(st.tuples(some, some, st.booleans()), min_size=1, max_size=3)


def scattered(count: int, seed: int) -> FloatArray:
    """Give positions in the first chunk that single precision holds exactly."""
    return np.random.default_rng(seed).integers(0, 400, (count, 2)) / 8


@dataclass(slots=True)
class Side:
    """A branch, and what was committed on it."""

    root: Group
    name: str
    held: set[Any] = field(default_factory=set)

    def attributes(self) -> list[str]:
        return sorted(what[1] for what in self.held if what[0] == "attribute")

    def rows(self, octant: int, number: int) -> None:
        positions = scattered(4, number) + 50 * np.array([octant // 2, octant % 2])
        values = dict.fromkeys(self.attributes(), positions[:, 0])
        write_points(self.root, positions, attributes=values, mode="a")
        self.held |= {("row", *row) for row in positions.tolist()}

    def take(self, what: str, where: Any, number: int) -> None:
        """Do a step, unless it makes no sense here."""
        there = ("attribute", where) in self.held
        if what == "rows":
            self.rows(where, number)
        elif what == "attribute" and not there:
            edit.add_attribute(self.root, where, read_points(self.root).positions[:, 0])
            self.held.add(("attribute", where))
        elif what == "without" and there:
            edit.remove_attribute(self.root, where)
            self.held.remove(("attribute", where))
        elif what == "pyramid":
            build_pyramid(self.root, factors=[(2, 1)], overwrite=True)
        elif what == "note":
            self.root.attrs[f"note {number}"] = where
            self.held.add(("note", number))
        elif what in ("links", "crossing"):
            link = (
                (3 * where + number % 2, 3 * where + number % 2 + 1)
                if what == "links"
                else (3 * where + 2, 3 * where + 3)
            )
            weights = {"weight": np.array([float(link[0])])} if self.attributes() else None
            edit.add_links(self.root, [link], attributes=weights)
            self.held.add(("link", number, *link))
        elif what == "weights" and not self.attributes():
            edit.add_attribute(self.root, "weight", read_graph(self.root).edges.min(axis=1).astype(float), kind="link")
            self.held.add(("attribute", "weight"))
        elif what == "move":
            edit.move_vertices(self.root, [[10.0 * where + 5, 5.0 + number / 100, 5.0]], rows=[3 * where])

    def check_points(self) -> None:
        read = read_points(self.root)
        assert {("row", *row) for row in read.positions.tolist()} == {what for what in self.held if what[0] == "row"}
        assert read_level_metadata(self.root, 0).vertex_count == len(read.positions)
        assert sorted(read.attributes) == self.attributes()
        assert all(np.array_equal(values, read.positions[:, 0]) for values in read.attributes.values())

    def check_links(self) -> None:
        read = read_graph(self.root)
        expected = [what[2:] for what in self.held if what[0] == "link"]
        assert sorted(map(tuple, read.edges.tolist())) == sorted(expected)
        for values in read.edge_attributes.values():
            assert np.array_equal(values, read.edges.min(axis=1))

    def check(self) -> None:
        """See that all that was committed is there, and nothing is wrong with the store."""
        notes = {("note", int(name.partition(" ")[2])) for name in self.root.attrs if name.startswith("note ")}
        assert notes == {what for what in self.held if what[0] == "note"}
        if any(what[0] == "link" for what in self.held):
            self.check_links()
        else:
            self.check_points()
        assert validate(self.root, level=5).errors == []


def play(place: Path, held: set[Any], played: list[Any]) -> None:
    """Let both sides do what was drawn, and merge after each round."""
    main, work = Side(open_store(place, "r+"), "main", set(held)), Side(open_store(place, "r+"), "work", set(held))
    branch(main.root, "work")
    switch_branch(work.root, "work")
    before, number = set(held), 0
    for ours, theirs, forwards in played:
        for side, steps in ((main, ours), (work, theirs)):
            for step in steps:
                number += 1
                side.take(*step, number)
            commit(side.root, "steps")
        target, source = (main, work) if forwards else (work, main)
        untouched = content(main.root), content(work.root)
        refusal = None
        try:
            merge_branch(target.root, source.name)
        except StoreError as error:
            refusal = str(error)
        if refusal is not None:
            assert "both sides changed" in refusal
            assert (content(main.root), content(work.root)) == untouched
            target.check()
            return
        gone = {what for what in before if what not in main.held or what not in work.held}
        target.held = (target.held | source.held) - gone
        target.check()
        before = set(source.held)  # what both have in common now


@pytest.mark.parametrize("revision", REVISIONS)
@settings(max_examples=10)
@given(played=rounds(STEPS))
def test_points(revision: str, played: list[Any]) -> None:
    options: dict[str, Any] = {"shard_shape": None} if revision == "0.9" else {}
    with tempfile.TemporaryDirectory() as folder:
        rows = scattered(6, 0)
        place, bounds = Path(folder) / "a", ([0, 0], [100, 100])
        write_points(place, rows, bounds=bounds, chunk_shape=50, backend="icechunk", format_version=revision, **options)
        play(place, {("row", *row) for row in rows.tolist()}, played)


@pytest.mark.parametrize("revision", REVISIONS)
@settings(max_examples=10)
@given(played=rounds(LINKS))
def test_links(revision: str, played: list[Any]) -> None:
    options: dict[str, Any] = {"shard_shape": None} if revision == "0.9" else {}
    positions = np.array([[x + i, 5.0, 5.0] for x in (5, 15, 25, 35) for i in (0, 1, 2)])
    with tempfile.TemporaryDirectory() as folder:
        place, bounds = Path(folder) / "a", ([0] * 3, [40] * 3)
        write_graph(
            place,
            positions,
            [[0, 2]],
            bounds=bounds,
            chunk_shape=10,
            backend="icechunk",
            format_version=revision,
            **options,
        )
        play(place, {("link", 0, 0, 2)}, played)
