"""Branches that changed different things merge; those that changed the same conflict, and lose nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers import S3Server, s3_server
from tests.transactions.repositories import REVISIONS, chunk_rows, content, make_points, put_chunk, rows_of
from zarr_vectors.core.arrays import create_attribute_array, write_chunk_attributes
from zarr_vectors.core.group import Group
from zarr_vectors.core.store import (
    add_resolution_level,
    branch,
    commit,
    merge_branch,
    open_store,
    read_level_metadata,
    rebase,
    remove_resolution_level,
    session_for,
    set_bounds,
    switch_branch,
)
from zarr_vectors.exceptions import StoreError
from zarr_vectors.formats.merging import merge_documents
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.points import read_points
from zarr_vectors.validate import validate

icechunk = pytest.importorskip("icechunk", reason="install zarr-vectors[icechunk]")

THREE = ((0, 0), (1, 0), (2, 0))


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


@pytest.fixture(params=[("local", "0.9"), ("local", "0.7"), ("s3", "0.9")], ids="-".join)
def forked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Group, Group]:
    """One store opened twice: on ``main``, and on the branch ``work`` that starts at the same version."""
    where, revision = request.param
    options: dict[str, Any] = {}
    place = str(tmp_path / "repository")
    if where == "s3":
        options, place = request.getfixturevalue("s3").options, f"icechunk+s3://bucket/{tmp_path.name}"
    return fork(make_points(place, revision, THREE, **options), options)


def fork(root: Group, options: dict[str, Any] | None = None) -> tuple[Group, Group]:
    branch(root, "work")
    other = open_store(root.backend.url, "r+", backend="icechunk", **(options or {}))
    switch_branch(other, "work")
    return root, other


def test_different_chunks_merge(forked: tuple[Group, Group]) -> None:
    main, work = forked
    put_chunk(main, (0, 0), 5)
    put_chunk(main, (3, 3), 2)
    commit(main, "on main")
    put_chunk(work, (1, 0), 7)
    put_chunk(work, (2, 2), 4)
    identifier = commit(work, "on work")
    merged = merge_branch(main, "work", message="both")
    assert merged == session_for(main).snapshot_id != identifier
    for chunk, count in {(0, 0): 5, (1, 0): 7, (2, 0): 3, (3, 3): 2, (2, 2): 4}.items():
        assert np.array_equal(chunk_rows(main, chunk), rows_of(chunk, count))
    assert read_level_metadata(main, 0).vertex_count == len(read_points(main).positions) == 21
    assert len(read_points(main).attributes["weight"]) == 21
    assert validate(main).is_valid
    assert [info.message for info in history(main)][:3] == ["both", "on main", "start"]
    assert len(read_points(work).positions) == 3 + 7 + 3 + 4


def history(root: Group, name: str = "main") -> list[Any]:
    return list(root.handle.storage.state.repository.ancestry(branch=name))


def test_the_same_chunk_conflicts_and_nothing_is_lost(forked: tuple[Group, Group]) -> None:
    main, work = forked
    put_chunk(main, (1, 0), 3, shift=1)
    put_chunk(main, (3, 3))
    commit(main, "on main")
    put_chunk(work, (1, 0), 3, shift=2)
    put_chunk(work, (2, 2))
    commit(work, "on work")
    before, tips = (content(main), content(work)), (history(main)[0].id, history(main, "work")[0].id)
    with pytest.raises(StoreError, match=r"both sides changed .*0/vertices/.*1.0.*Nothing was merged"):
        merge_branch(main, "work")
    assert (content(main), content(work)) == before
    assert (history(main)[0].id, history(main, "work")[0].id) == tips
    assert np.array_equal(chunk_rows(main, (1, 0)), rows_of((1, 0), shift=1))
    assert np.array_equal(chunk_rows(open_again(main, "work"), (1, 0)), rows_of((1, 0), shift=2))
    put_chunk(main, (0, 0), 9)
    commit(main, "main goes on")


def open_again(root: Group, name: str) -> Group:
    place = root.handle.storage.place
    return open_store(place.url, backend="icechunk", branch=name, **place.options)


def test_sides_that_added_as_much_did_not_add_the_same(forked: tuple[Group, Group]) -> None:
    main, work = forked
    for root, chunk in ((main, (2, 2)), (work, (3, 3))):
        root.attrs["note"] = "alike"
        put_chunk(root, chunk, 4)
        commit(root, "four")
    merge_branch(main, "work")
    assert main.attrs["note"] == "alike"
    assert read_level_metadata(main, 0).vertex_count == len(read_points(main).positions) == 17


def test_one_chunk_seen_through_two_arrays_conflicts(tmp_path: Path) -> None:
    main, work = fork(make_points(tmp_path / "a", chunks=THREE))
    put_chunk(main, (1, 0), 8)  # rows come to chunk 1.0 ...
    commit(main, "rows")
    create_attribute_array(work["0"], "colour")
    write_chunk_attributes(work["0"], "colour", (1, 0), [np.zeros(3, np.float32)])  # ... that get no colour here
    commit(work, "an attribute")
    with pytest.raises(StoreError, match="0/vertex_attributes/colour"):
        merge_branch(main, "work")


def test_documents_merge_entry_by_entry_or_conflict(forked: tuple[Group, Group]) -> None:
    main, work = forked
    main.attrs["mine"] = 1
    work.attrs["yours"] = {"deep": [2]}
    commit(main, "mine")
    commit(work, "yours")
    merge_branch(main, "work")
    assert (main.attrs["mine"], main.attrs["yours"]) == (1, {"deep": [2]})
    main.attrs["note"] = "a"
    commit(main, "a")
    work.attrs["note"] = "b"
    commit(work, "b")
    with pytest.raises(StoreError, match=r"both sides changed zarr\.json"):
        merge_branch(main, "work")
    assert (main.attrs["note"], work.attrs["note"]) == ("a", "b")


def test_removing_what_the_other_side_changes_conflicts(tmp_path: Path) -> None:
    main = make_points(tmp_path / "a", chunks=THREE)
    add_resolution_level(main, 1, (2, 2))
    commit(main, "a level")
    _, work = fork(main)
    remove_resolution_level(main, 1)
    commit(main, "level removed")
    work["1"].attrs["note"] = "still wanted"
    commit(work, "level annotated")
    for root, name in ((main, "work"), (work, "main")):
        with pytest.raises(StoreError, match=r"1/zarr\.json"):
            merge_branch(root, name)
    assert work["1"].attrs["note"] == "still wanted"


def test_removals_merge(tmp_path: Path) -> None:
    main = make_points(tmp_path / "a", chunks=THREE)
    add_resolution_level(main, 1, (2, 2))
    commit(main, "a level")
    _, work = fork(main)
    remove_resolution_level(work, 1)
    commit(work, "level removed")
    put_chunk(main, (2, 0), 6)
    commit(main, "rows")
    merge_branch(main, "work")
    assert main.children() == ["0"]
    assert len(read_points(main).positions) == 12
    assert validate(main).is_valid


def test_moving_the_grid_under_changed_chunks_conflicts(tmp_path: Path) -> None:
    main, work = fork(make_points(tmp_path / "a", chunks=THREE))
    set_bounds(main, ([-50, 0], [100, 100]))  # the first chunk is another one now
    commit(main, "bounds")
    put_chunk(work, (1, 0), 4)
    commit(work, "rows")
    with pytest.raises(StoreError, match=r"0/vertices/"):
        merge_branch(main, "work")
    with pytest.raises(StoreError, match=r"0/vertices/"):
        merge_branch(work, "main")
    assert len(read_points(work).positions) == 10


def test_a_branch_without_changes_of_its_own_is_moved(forked: tuple[Group, Group]) -> None:
    main, work = forked
    put_chunk(work, (2, 2))
    identifier = commit(work, "on work")
    assert merge_branch(main, "work") == identifier == session_for(main).snapshot_id
    assert merge_branch(work, "main") is None


def test_two_writers_of_one_branch(forked: tuple[Group, Group]) -> None:
    main, other = forked
    switch_branch(other, "main")
    put_chunk(main, (0, 0), 5)
    put_chunk(other, (1, 0), 6)
    commit(main, "first")
    with pytest.raises(StoreError, match=r"another version meanwhile.*rebase\(group, 'main'\)"):
        commit(other, "second")
    rebase(other)
    assert session_for(other).has_uncommitted_changes
    assert len(read_points(other).positions) == 14
    commit(other, "second")
    assert [info.message for info in history(other)][:2] == ["second", "first"]
    put_chunk(main, (1, 0), 9)  # main is behind now, and changes what the other changed
    with pytest.raises(StoreError, match=r"0/vertices/"):
        rebase(main)
    assert np.array_equal(chunk_rows(main, (1, 0)), rows_of((1, 0), 9))
    assert session_for(main).has_uncommitted_changes


def try_to_commit(root: Group, message: str) -> bool:
    try:
        commit(root, message)
    except StoreError as error:
        if "another version meanwhile" not in str(error):
            raise
        return False
    return True


def test_many_writers_of_one_branch_lose_nothing(tmp_path: Path, s3: S3Server) -> None:
    url = f"icechunk+s3://bucket/{tmp_path.name}"
    make_points(url, **s3.options)

    def add(number: int) -> bool:
        """Add a chunk, rebasing until the commit is taken; each refusal means that another writer's was."""
        root = open_store(url, "r+", **s3.options)
        put_chunk(root, (number, 1), number + 2)
        taken = False
        for _ in range(10):
            taken = try_to_commit(root, f"writer {number}")
            if taken:
                break
            rebase(root)
        return taken

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(add, range(4))) == [True] * 4
    root = open_store(url, **s3.options)
    assert read_level_metadata(root, 0).vertex_count == len(read_points(root).positions) == 3 + 2 + 3 + 4 + 5
    assert validate(root).is_valid


def test_rebasing_a_branch_keeps_its_commits(forked: tuple[Group, Group]) -> None:
    main, work = forked
    put_chunk(work, (1, 0), 4)
    commit(work, "one")
    put_chunk(work, (1, 0), 5)
    put_chunk(work, (2, 2))
    commit(work, "two")
    work.attrs["pending"] = True
    put_chunk(main, (0, 0), 6)
    commit(main, "on main")
    rebase(work, "main")
    assert work.attrs["pending"] is True
    assert [info.message for info in history(work, "work")][:4] == ["two", "one", "on main", "start"]
    assert session_for(work).branch == "work"
    commit(work, "three")
    assert read_level_metadata(work, 0).vertex_count == len(read_points(work).positions) == 6 + 5 + 3 + 3
    assert merge_branch(main, "work") == session_for(work).snapshot_id
    assert main.handle.storage.state.repository.list_branches() == {"main", "work"}


def test_a_rebase_that_conflicts_changes_nothing(forked: tuple[Group, Group]) -> None:
    main, work = forked
    put_chunk(work, (1, 0), 4)
    commit(work, "one")
    put_chunk(work, (0, 0), 5)
    put_chunk(main, (0, 0), 6)
    commit(main, "on main")
    before, tip = content(work), history(work, "work")[0].id
    with pytest.raises(StoreError, match="both sides changed"):
        rebase(work, "main")
    assert content(work) == before
    assert history(work, "work")[0].id == tip
    assert main.handle.storage.state.repository.list_branches() == {"main", "work"}
    commit(work, "still possible")


@pytest.mark.parametrize("revision", REVISIONS)
def test_functions_given_a_path_commit_on_top_of_others_or_not_at_all(tmp_path: Path, revision: str) -> None:
    make_points(tmp_path / "a", revision, THREE)
    slow = open_store(tmp_path / "a", "r+").handle.storage
    storage = replace(slow, commits=True)
    assert len(storage.list_all()) > 0  # the session has begun
    other = open_store(tmp_path / "a", "r+")
    other.create_group("notes")
    commit(other, "meanwhile")
    build_pyramid(storage, factors=[(2, 1)])
    assert [info.message for info in history(other)][:2] == ["zarr-vectors write", "meanwhile"]
    other = open_store(tmp_path / "a", "r+")
    assert other.children() == ["0", "1", "notes"]
    other.attrs["note"] = "meanwhile"
    commit(other, "again")
    with pytest.raises(StoreError, match=r"both sides changed zarr\.json"):
        build_pyramid(storage, factors=[(2, 1), (2, 1)], overwrite=True)
    assert open_store(tmp_path / "a").children() == ["0", "1", "notes"]
    assert validate(tmp_path / "a").is_valid


def test_counts_bounds_and_lists_add_up() -> None:
    def merged(before: Any, ours: Any, theirs: Any) -> Any:
        blob = merge_documents("zarr.json", *(json.dumps(one).encode() for one in (before, ours, theirs)))
        return None if blob is None else json.loads(blob)

    assert merged({"vertex_count": 5}, {"vertex_count": 8}, {"vertex_count": 4}) == {"vertex_count": 7}
    chunks = [["0.2", "0.10"], ["0.2", "0.10", "0.11"], ["0.3", "0.10"]]
    assert merged(*({"nonempty_chunks": c} for c in chunks)) == {"nonempty_chunks": ["0.3", "0.10", "0.11"]}
    bounds = [[[0, 0], [5, 5]], [[-1, 0], [5, 5]], [[0, 0], [5, 9]]]
    assert merged(*({"bounds": b} for b in bounds)) == {"bounds": [[-1, 0], [5, 9]]}
    assert merged({"bounds": bounds[1]}, {"bounds": bounds[0]}, {"bounds": bounds[2]}) is None
    assert merged({"a": 1, "b": 1}, {"b": 1}, {"a": 1, "b": 2}) == {"b": 2}
    assert merged({"a": 1}, {}, {"a": 2}) is None
    assert merged({}, {"a": {"x": 1}}, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}}
    assert merged({"a": [1]}, {"a": [2]}, {"a": [3]}) is None
    assert merged({"num_links": 2}, {"num_links": 3}, {"num_links": 3}) == {"num_links": 4}
    assert merged({}, {"num_links": 3}, {"num_links": 3}) is None
    assert merged({}, {"fragments_tile": True}, {"b": 1}) == {"b": 1}
    assert merged({"shared_fragments": False}, {"shared_fragments": True}, {"b": 1}) == {
        "shared_fragments": True,
        "b": 1,
    }
    made = [json.dumps({"num_links": n, "nonempty_chunks": [str(n)]}).encode() for n in (1, 2)]
    both = merge_documents("zarr.json", None, *made)
    assert both is not None
    assert json.loads(both) == {"num_links": 3, "nonempty_chunks": ["1", "2"]}


@settings(max_examples=8)
@given(
    st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.integers(1, 4), max_size=4),
    st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.integers(5, 9), max_size=4),
)
def test_chunks_merge_if_and_only_if_they_differ(
    ours: dict[tuple[int, int], int], theirs: dict[tuple[int, int], int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        main, work = fork(make_points(f"{folder}/a", chunks=THREE))
        for root, chunks in ((main, ours), (work, theirs)):
            for chunk, count in chunks.items():
                put_chunk(root, chunk, count, shift=0.5)
            commit(root, "mine")
        if ours.keys() & theirs.keys():
            with pytest.raises(StoreError, match="both sides changed"):
                merge_branch(main, "work")
            theirs = {}
        else:
            merge_branch(main, "work")
        expected = dict.fromkeys(THREE, 3) | ours | theirs
        assert {chunk: len(chunk_rows(main, chunk)) for chunk in expected} == expected
        assert read_level_metadata(main, 0).vertex_count == sum(expected.values()) == len(read_points(main).positions)
