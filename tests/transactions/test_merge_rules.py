"""What two branches changed in different places merges only where it goes together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.transactions.repositories import REVISIONS, content
from zarr_vectors import edit
from zarr_vectors.core.group import Group
from zarr_vectors.core.store import (
    add_resolution_level,
    branch,
    commit,
    consolidate_metadata,
    merge_branch,
    open_store,
    read_level_metadata,
    rebase,
    remove_resolution_level,
    session_for,
    set_bounds,
    switch_branch,
)
from zarr_vectors.exceptions import ArgumentError, StoreError
from zarr_vectors.formats.merge_rules import StoreRules
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage.port import get_whole
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

pytest.importorskip("icechunk", reason="install zarr-vectors[icechunk]")

LOW = np.random.default_rng(0).uniform(0, 50, (40, 3))
HIGH = np.random.default_rng(1).uniform(50, 100, (20, 3))
MIXED = HIGH - [50, 0, 0]

pytestmark = pytest.mark.parametrize("revision", REVISIONS)


def plain(revision: str) -> dict[str, Any]:
    return {"format_version": revision, "backend": "icechunk"} | ({"shard_shape": None} if revision == "0.9" else {})


@pytest.fixture
def points(tmp_path: Path, revision: str) -> tuple[Group, Group]:
    """A cloud in one of eight chunks, opened on ``main`` and on the branch ``work``."""
    write_points(tmp_path / "a", LOW, bounds=([0] * 3, [100] * 3), chunk_shape=50, **plain(revision))
    return fork(tmp_path / "a")


@pytest.fixture
def graph(tmp_path: Path, revision: str) -> tuple[Group, Group]:
    """A graph with three vertices in each of four chunks, opened on ``main`` and on the branch ``work``."""
    positions = np.array([[x + i, 5.0, 5.0] for x in (5, 15, 25, 35) for i in (0, 1, 2)])
    edges = [[0, 1], [3, 4], [6, 7]]
    write_graph(tmp_path / "a", positions, edges, bounds=([0] * 3, [40] * 3), chunk_shape=10, **plain(revision))
    return fork(tmp_path / "a")


def fork(place: Path) -> tuple[Group, Group]:
    main, work = open_store(place, "r+"), open_store(place, "r+")
    branch(main, "work")
    switch_branch(work, "work")
    return main, work


def refuse(main: Group, work: Group, match: str) -> None:
    """Commit both, and see that they merge in neither direction, nor by a rebase, and nothing changes."""
    commit(main, "on main")
    commit(work, "on work")
    before = content(main), content(work)
    for root, name in ((main, "work"), (work, "main")):
        with pytest.raises(StoreError, match=match):
            merge_branch(root, name)
    with pytest.raises(StoreError, match=match):
        rebase(work, "main")
    assert (content(main), content(work)) == before


def test_an_attribute_that_the_others_rows_lack_is_a_conflict(points: tuple[Group, Group], revision: str) -> None:
    main, work = points
    edit.add_attribute(work, "height", np.arange(40.0))
    write_points(main, HIGH, mode="a")
    refuse(main, work, "0/vertex_attributes/height")
    assert len(read_points(main).positions) == 60


def test_an_attribute_that_the_others_links_lack_is_a_conflict(graph: tuple[Group, Group], revision: str) -> None:
    main, work = graph
    edit.add_attribute(work, "weight", np.arange(3.0), kind="link")
    edit.add_links(main, [[9, 10]])
    refuse(main, work, "0/link_attributes/weight")


def test_a_level_made_of_what_the_other_changed_is_stale(points: tuple[Group, Group], revision: str) -> None:
    main, work = points
    build_pyramid(work, factors=[(2, 1), (2, 1)])
    commit(work, "levels")
    write_points(main, HIGH, mode="a")
    commit(main, "rows")
    merge_branch(main, "work")
    assert [read_level_metadata(main, level).stale for level in range(3)] == [False, True, True]
    assert len(read_points(main).positions) == 60
    assert validate(main).is_valid
    edit.refresh_levels(main)
    assert not read_level_metadata(main, 2).stale
    assert validate(main).is_valid


def test_a_level_made_anew_of_what_the_other_changed_stays_stale(points: tuple[Group, Group], revision: str) -> None:
    main, _ = points
    build_pyramid(main, factors=[(2, 1)])
    edit.append_vertices(main, HIGH)
    commit(main, "stale")
    branch(main, "other")
    other = open_store(main.backend.url, "r+")
    switch_branch(other, "other")
    edit.refresh_levels(other)
    commit(other, "level made anew")
    edit.append_vertices(main, MIXED)
    commit(main, "more rows")
    rebase(other, "main")
    assert read_level_metadata(other, 1).stale
    assert len(read_points(other).positions) == 80
    assert validate(other).is_valid


def test_a_level_made_of_one_that_the_other_removed_is_a_conflict(points: tuple[Group, Group], revision: str) -> None:
    main, work = points
    add_resolution_level(main, 1, (2, 2, 2))
    commit(main, "a level")
    rebase(work, "main")
    remove_resolution_level(main, 1)
    source = work["1"]
    add_resolution_level(work, 2, (4, 4, 4), parent_level=1)
    work["2"].write_bytes("vertices", (0, 0, 0), np.ones(3, np.float32).tobytes())
    assert source.name == "1"
    refuse(main, work, r"2/zarr\.json|zarr\.json")


def test_a_branch_is_merged_again_and_again(points: tuple[Group, Group], revision: str) -> None:
    main, work = points
    work.attrs["one"] = 1
    write_points(work, HIGH, mode="a")
    commit(work, "one")
    main.attrs["mine"] = 0
    commit(main, "mine")
    assert merge_branch(main, "work") is not None
    assert merge_branch(main, "work") is None
    work.attrs["two"] = 2
    write_points(work, MIXED, mode="a")
    commit(work, "two")
    main.attrs["mine"] = 1
    commit(main, "mine too")
    assert merge_branch(main, "work") is not None
    assert {name: main.attrs[name] for name in ("one", "two", "mine")} == {"one": 1, "two": 2, "mine": 1}
    assert read_level_metadata(main, 0).vertex_count == len(read_points(main).positions) == 80
    assert validate(main).is_valid
    switch_branch(work, "work")
    assert merge_branch(work, "main") == session_for(main).snapshot_id  # which has all of it: no version of its own


def test_a_branch_that_merged_the_other_is_rebased_onto_it(points: tuple[Group, Group], revision: str) -> None:
    main, work = points
    write_points(main, HIGH, mode="a")
    commit(main, "rows")
    work.attrs["one"] = 1
    commit(work, "one")
    merge_branch(work, "main")
    work.attrs["two"] = 2
    commit(work, "two")
    main.attrs["mine"] = 0
    commit(main, "mine")
    rebase(work, "main")
    assert {name: work.attrs[name] for name in ("one", "two", "mine")} == {"one": 1, "two": 2, "mine": 0}
    assert read_level_metadata(work, 0).vertex_count == len(read_points(work).positions) == 60
    assert merge_branch(main, "work") == session_for(work).snapshot_id


def test_branches_that_merged_each_other_lose_nothing(points: tuple[Group, Group], revision: str) -> None:
    main, work = points
    third = open_store(main.backend.url, "r+")
    write_points(work, HIGH, mode="a")
    commit(work, "rows")
    write_points(main, MIXED, mode="a")
    commit(main, "other rows")
    branch(main, "main-before")
    merge_branch(main, "work")
    merge_branch(work, "main-before")
    switch_branch(third, "main")
    before = content(main), content(work)
    with pytest.raises(StoreError, match="both sides changed"):  # nobody can say which of the equal chunks is newer
        merge_branch(third, "work")
    assert (content(main), content(work)) == before


def test_links_add_up(graph: tuple[Group, Group], revision: str) -> None:
    main, work = graph
    edit.add_links(main, [[1, 2]])
    commit(main, "a link")
    edit.add_links(work, [[4, 5], [7, 8]])
    commit(work, "two links")
    merge_branch(main, "work")
    assert len(read_graph(main).edges) == 6
    assert validate(main).errors == []


def test_the_first_links_of_both_add_up(tmp_path: Path, revision: str) -> None:
    positions = np.array([[x + i, 5.0, 5.0] for x in (5, 15, 25, 35) for i in (0, 1)])
    none = np.empty((0, 2), int)
    write_graph(tmp_path / "a", positions, none, bounds=([0] * 3, [40] * 3), chunk_shape=10, **plain(revision))
    main, work = fork(tmp_path / "a")
    edit.add_links(main, [[0, 1]])
    commit(main, "a link")
    edit.add_links(work, [[4, 5]])
    commit(work, "a link")
    merge_branch(main, "work")
    assert len(read_graph(main).edges) == 2
    assert validate(main).errors == []


@pytest.mark.parametrize("link", [[4, 5], [2, 3]])
def test_a_link_to_a_chunk_that_the_other_changed_is_a_conflict(
    graph: tuple[Group, Group], revision: str, link: list[int]
) -> None:
    main, work = graph
    edit.add_links(main, [link])
    edit.move_vertices(work, [[15.5, 6.0, 5.0]], rows=[3])
    refuse(main, work, "0/(cross_chunk_)?links/0/")


def test_the_origin_of_the_grid_under_new_chunks_is_a_conflict(points: tuple[Group, Group], revision: str) -> None:
    main, work = points
    write_points(work, HIGH, mode="a")
    set_bounds(main, ([-50, 0, 0], [100, 100, 100]))
    commit(main, "bounds")
    commit(work, "rows")
    if revision == "0.9":
        with pytest.raises(StoreError, match="both sides changed"):
            merge_branch(main, "work")
        return
    merge_branch(main, "work")  # chunks are named by their coordinates here, so nothing moves
    assert len(read_points(main).positions) == 60
    assert validate(main).is_valid


def test_copies_of_documents_do_not_outlive_a_merge(points: tuple[Group, Group], revision: str) -> None:
    main, work = points
    consolidate_metadata(main)
    commit(main, "consolidated")
    write_points(work, HIGH, mode="a")
    commit(work, "rows")
    merge_branch(main, "work")
    assert validate(main).is_valid
    assert len(read_points(main).positions) == 60
    assert "consolidated_metadata" not in str(get_whole(main.handle.storage, ["zarr.json"])[0])


def test_functions_given_a_path_do_not_merge_levels(points: tuple[Group, Group], revision: str) -> None:
    main, other = points
    switch_branch(other, "main")
    storage = main.handle.storage
    assert storage.list_all()  # the session has begun
    write_points(other, HIGH, mode="a")
    commit(other, "meanwhile")
    with pytest.raises(StoreError, match="both sides changed"):
        build_pyramid(replace(storage, commits=True), factors=[(2, 1)])
    assert open_store(main.backend.url).children() == ["0"]


def test_what_only_validation_finds_is_refused(
    points: tuple[Group, Group], revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, work = points
    monkeypatch.setattr(StoreRules, "conflicts", lambda self, mine, theirs: set())
    for root in (main, work):
        root.attrs["note"] = "alike"
        root["0"].attrs["note"] = root.handle.storage.state.branch
    commit(work, "note")
    commit(main, "note")
    with pytest.raises(StoreError, match=r"0/zarr\.json"):
        merge_branch(main, "work")


def test_emptied_chunks_are_gone(points: tuple[Group, Group], revision: str) -> None:
    main, _ = points
    level = main["0"]
    level.write_bytes("vertices", (0, 0, 0), b"")
    assert level.read_bytes("vertices", (0, 0, 0)) == b""
    commit(main, "emptied")
    assert open_store(main.backend.url)["0"].read_bytes("vertices", (0, 0, 0)) == b""
    assert not [key for key in open_store(main.backend.url).handle.storage.list_all("0/vertices") if "/c/" in key]


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_names_and_messages_are_text(points: tuple[Group, Group], revision: str, name: Any) -> None:
    main, _ = points
    for call in (branch, switch_branch):
        with pytest.raises(ArgumentError, match="name: expected the name of the branch"):
            call(main, name)
    with pytest.raises(ArgumentError, match="message: say in a few words"):
        commit(main, name)
    with pytest.raises(ArgumentError, match="message: say in a few words"):
        merge_branch(main, "work", message=name)
    assert set(main.handle.storage.state.repository.list_branches()) == {"main", "work"}


def test_versions_stay_what_they_are(points: tuple[Group, Group], revision: str) -> None:
    main, work = points
    start = session_for(main).snapshot_id
    main.handle.storage.state.repository.create_tag("first", snapshot_id=start)
    for version in ({"snapshot_id": start}, {"tag": "first"}):
        with pytest.raises(StoreError, match=r"opened with .*branch='work'"):
            switch_branch(open_store(main.backend.url, **version), "work")
    reader = open_store(main.backend.url)
    work.attrs["note"] = 1
    commit(work, "note")
    switch_branch(reader, "work")
    assert reader.attrs["note"] == 1
    for version, match in (({"snapshot_id": "none"}, "snapshot_id 'none'"), ({"tag": "none"}, "the tags are first")):
        with pytest.raises(StoreError, match=match) as caught:
            open_store(main.backend.url, **version)
        assert "\n" not in str(caught.value)
