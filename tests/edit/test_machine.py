"""Any sequence of edits does to a store what it does to plain dictionaries."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.edit.oracle import KINDS, LINKED, Plain, Seen, see, start, tables_of
from zarr_vectors import edit
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.rechunking.running import rechunk
from zarr_vectors.rechunking.spec import RechunkSpec
from zarr_vectors.validate import validate

numbers = st.integers(0, 1 << 30)
SPECS: dict[str, list[float] | None] = {
    "group": None,
    "object_id": [0, 4],
    "attribute:weight": [0, 3, 6],
    "attribute:tag": [0, 20, 1002],
}
"""What stores are rechunked by, and edges of bins."""


class Editing(RuleBasedStateMachine):
    """A store beside its oracle."""

    kind: str = ""
    by: str | None = None
    plain: Plain
    path: str
    next_tag: int

    @initialize(
        kind=st.sampled_from(KINDS),
        revision=st.sampled_from(["0.9", "0.7"]),
        seed=numbers,
        levels=st.booleans(),
        strategy=st.sampled_from(["explicit_links", "boundary_deduplication", "both"]),
        shards=st.booleans(),
        by=st.sampled_from([None, *SPECS]),
    )
    def begin(
        self, kind: str, revision: str, seed: int, levels: bool, strategy: str, shards: bool, by: str | None
    ) -> None:
        self.kind, self.path, self.next_tag = kind, f"memory://edit-{uuid.uuid4().hex}", 1000
        options: dict[str, Any] = {"cross_chunk_strategy": strategy} if kind in ("paths", "lines") else {}
        if revision == "0.9":
            options["shard_shape"] = "auto" if shards else None
        self.plain = start(kind, revision, self.path, seed, **options)
        self.by = "attribute:tag" if by is not None and kind == "cloud" else by
        if self.by is not None:
            rechunk(self.path, RechunkSpec(self.by, bins=SPECS[self.by]))
        if levels:
            build_pyramid(self.path, [(2.0, 1.0)], cross_level_storage="explicit")

    def look(self) -> Seen:
        return see(self.kind, self.path)

    def some_object(self, seed: int) -> int:
        ids = sorted(self.plain.objects)
        return ids[seed % len(ids)]

    def fresh(self, seed: int, count: int) -> tuple[list[int], np.ndarray[Any, Any]]:
        tags = list(range(self.next_tag, self.next_tag + count))
        self.next_tag += count
        return tags, np.random.default_rng(seed).uniform(0, 100, (count, 3))

    def add(self, tags: list[int], positions: Any, owner: int | None) -> None:
        for tag, position in zip(tags, positions.tolist(), strict=True):
            self.plain.positions[tag] = tuple(position)
            if owner is not None:
                self.plain.owners[tag] = owner
            for name, column in self.plain.values.items():
                column[tag] = float(tag) if name == "tag" else np.nan

    @rule(seed=numbers, count=st.integers(1, 5))
    def append(self, seed: int, count: int) -> None:
        count = 2 if self.kind == "lines" else count
        tags, positions = self.fresh(seed, count)
        owner = None if self.kind == "cloud" else max(self.plain.objects, default=-1) + 1 + seed % 3
        edit.append_vertices(
            self.path,
            positions,
            object_ids=owner,
            attributes={"tag": tags},
            object_attributes=None if owner is None else {"weight": [seed % 7]},
        )
        self.add(tags, positions, owner)
        if owner is not None:
            self.plain.objects[owner] = float(seed % 7)

    @precondition(lambda self: self.plain.objects)
    @rule(seed=numbers)
    def delete(self, seed: int) -> None:
        gone = self.some_object(seed)
        edit.delete_objects(self.path, [gone])
        self.plain.drop({tag for tag, owner in self.plain.owners.items() if owner == gone})
        del self.plain.objects[gone]
        for members in self.plain.groups.values():
            members.discard(gone)

    @precondition(lambda self: self.plain.objects)
    @rule(seed=numbers, count=st.integers(3, 6))
    def replace(self, seed: int, count: int) -> None:
        owner = self.some_object(seed)
        tags, positions = self.fresh(seed, 2 if self.kind == "lines" else count)
        rows = {"mesh": [[0, 2, 1]], "graph": [[2, 0]], "skeleton": [[1, 0], [2, 0]]}.get(self.kind)
        marks = {"mark": [9.0]} if self.kind in ("mesh", "graph") else None
        edit.replace_objects(self.path, positions, owner, attributes={"tag": tags}, links=rows, link_attributes=marks)
        self.plain.drop({tag for tag, held in self.plain.owners.items() if held == owner})
        self.add(tags, positions, owner)
        for row in rows or ():
            self.plain.links[tuple(tags[r] for r in row), 9.0 if marks else 0.0] += 1

    @precondition(lambda self: self.plain.positions)
    @rule(seed=numbers, refresh=st.booleans())
    def move(self, seed: int, refresh: bool) -> None:
        rng, tags = np.random.default_rng(seed), self.look().tags
        rows = rng.choice(len(tags), min(len(tags), 3), replace=False)
        positions = rng.uniform(0, 100, (len(rows), 3))
        edit.move_vertices(self.path, positions, rows=rows, refresh=refresh)
        for row, position in zip(rows.tolist(), positions.tolist(), strict=True):
            self.plain.positions[tags[row]] = tuple(position)

    @precondition(lambda self: self.kind in LINKED and len(self.plain.positions) > 3)
    @rule(seed=numbers)
    def link(self, seed: int) -> None:
        rng, seen = np.random.default_rng(seed), self.look()
        rows = rng.choice(len(seen.tags), 3 if self.kind == "mesh" else 2, replace=False)
        if self.kind == "skeleton":
            owners = seen.plain.owners
            children = {link[0] for link in seen.links}
            free = [row for row, tag in enumerate(seen.tags) if tag not in children]
            child = free[seed % len(free)]
            below = self.below(seen, seen.tags[child])
            near = [r for r, t in enumerate(seen.tags) if owners[t] == owners[seen.tags[child]] and t not in below]
            if not near:
                return
            rows = np.array([child, near[seed % len(near)]])
        marks = None if self.kind == "skeleton" else {"mark": [4.0]}
        edit.add_links(self.path, rows[None], attributes=marks)
        self.plain.links[tuple(seen.tags[r] for r in rows), 4.0 if marks else 0.0] += 1

    def below(self, seen: Seen, tag: int) -> set[int]:
        found, frontier = {tag}, {tag}
        while frontier:
            frontier = {child for child, parent in seen.links if parent in frontier} - found
            found |= frontier
        return found

    @precondition(lambda self: self.plain.links.total() > 0)
    @rule(seed=numbers)
    def unlink(self, seed: int) -> None:
        seen = self.look()
        row = seed % len(seen.links)
        edit.remove_links(self.path, [row])
        tags = seen.links[row]
        after = self.look().plain.links
        lost = self.plain.links - after
        assert lost.total() == 1
        assert next(iter(lost))[0] == tags
        self.plain.links = after

    @rule(seed=numbers)
    def describe(self, seed: int) -> None:
        tags = self.look().tags
        edit.set_attribute(self.path, "score", [tag * 0.25 + seed % 5 for tag in tags])
        self.plain.values["score"] = {tag: tag * 0.25 + seed % 5 for tag in tags}

    @precondition(lambda self: "score" in self.plain.values and self.plain.positions)
    @rule(seed=numbers)
    def correct(self, seed: int) -> None:
        tags = self.look().tags
        row = seed % len(tags)
        edit.set_attribute(self.path, "score", -1.0, rows=[row])
        self.plain.values["score"][tags[row]] = -1.0

    @precondition(lambda self: "score" in self.plain.values)
    @rule()
    def forget(self) -> None:
        edit.remove_attribute(self.path, "score")
        del self.plain.values["score"]

    @precondition(lambda self: self.plain.objects and self.by != "group")
    @rule(seed=numbers)
    def group(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        ids = sorted(self.plain.objects)
        groups = {name: set(rng.choice(ids, rng.integers(1, len(ids) + 1), replace=False).tolist()) for name in "ab"}
        edit.set_groups(self.path, {name: sorted(members) for name, members in groups.items()})
        self.plain.groups = groups

    @rule()
    def clean(self) -> None:
        edit.vacuum(self.path)

    @rule()
    def refresh(self) -> None:
        edit.refresh_levels(self.path)
        store = open_reader(self.path)
        assert not any(store.level(number).metadata.stale for number in store.level_numbers())

    @invariant()
    def holds_what_it_should(self) -> None:
        if not self.kind:
            return
        report = validate(self.path, level=5)
        assert report.is_valid, report.errors[:5]
        assert open_reader(self.path).level(0).chunks.shape[1] == 3 + (self.by is not None)
        seen = self.look().plain
        assert seen.positions == self.plain.positions
        assert seen.links == Counter({key: n for key, n in self.plain.links.items() if n})
        np.testing.assert_equal(seen.values, self.plain.values)
        if self.kind == "cloud":
            return
        assert seen.owners == self.plain.owners
        if self.kind in ("paths", "lines"):
            seen.objects = self.plain.objects
            assert seen.paths() == self.plain.paths()
        assert tables_of(self.path) == (self.plain.objects, self.plain.groups)


Editing.TestCase.settings = settings(
    max_examples=20, stateful_step_count=7, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
TestEditing = Editing.TestCase
