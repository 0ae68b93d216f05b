"""The documented functions on real repositories: what is visible when, who commits, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.servers import S3Server, s3_server
from tests.transactions.repositories import REVISIONS, chunk_rows, make_points, put_chunk, rows_of
from zarr_vectors.core.store import (
    branch,
    commit,
    create_store,
    discard_changes,
    merge_branch,
    open_store,
    rebase,
    session_for,
    switch_branch,
)
from zarr_vectors.exceptions import (
    ArgumentError,
    MissingExtraError,
    OutOfBoundsError,
    ReadOnlyStoreError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
)
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

icechunk = pytest.importorskip("icechunk", reason="install zarr-vectors[icechunk]")


def append_points(place: Any, positions: Any, **options: Any) -> None:
    write_points(place, positions, attributes={"weight": np.zeros(len(positions))}, mode="a", **options)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """A place without anything, and the keyword arguments that open it."""
    if request.param == "local":
        return str(tmp_path / "repository"), {"backend": "icechunk"}
    server: S3Server = request.getfixturevalue("s3")
    return f"s3://bucket/{tmp_path.name}/a store", {"backend": "icechunk", **server.options}


def log(root: Any, name: str = "main") -> list[str]:
    """Give the messages of a branch, the latest first, without that of the repository's beginning."""
    repository = root.handle.storage.state.repository
    return [info.message for info in repository.ancestry(branch=name)][:-1]


@pytest.mark.parametrize("revision", REVISIONS)
def test_kinds_make_the_round_trip(place: tuple[str, dict[str, Any]], revision: str) -> None:
    path, options = place
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 100, (300, 3)).astype(np.float32)
    made = {"chunk_shape": (50, 50, 50), "format_version": revision, **options}
    write_points(f"{path}/points", positions, attributes={"a": positions[:, 0]}, **made)
    build_pyramid(f"{path}/points", factors=[(2, 1)], **options)
    found = read_points(f"{path}/points", **options)
    assert np.array_equal(np.sort(found.positions[:, 0]), np.sort(positions[:, 0]))
    assert np.array_equal(found.positions[:, 0], found.attributes["a"])
    lines = [rng.uniform(0, 100, (20, 3)).astype(np.float32) for _ in range(5)]
    write_polylines(f"{path}/lines", lines, **made)
    for line, back in zip(lines, read_polylines(f"{path}/lines", **options).polylines, strict=True):
        assert np.array_equal(line, back)
    faces = rng.integers(0, 300, (50, 3))
    write_mesh(f"{path}/mesh", positions, faces, **made)
    mesh = read_mesh(f"{path}/mesh", **options)
    assert np.array_equal(np.sort(mesh.vertices[mesh.faces].sum((1, 2))), np.sort(positions[faces].sum((1, 2))))
    for kind in ("points", "lines", "mesh"):
        if kind != "mesh":
            assert validate(f"{path}/{kind}", **options).is_valid
        assert log(open_store(f"{path}/{kind}", **options)) == ["zarr-vectors write"] * (1 + (kind == "points"))


def test_nothing_is_visible_before_a_commit(place: tuple[str, dict[str, Any]]) -> None:
    path, options = place
    root = create_store(path, ndim=2, **options)
    with pytest.raises(StoreNotFoundError):
        open_store(path, **options)
    first = commit(root, "a store")
    reader = open_store(path, **options)
    write_points(root, np.zeros((5, 2)))
    assert len(read_points(root).positions) == 5
    assert len(read_points(path, **options).positions) == 0
    second = commit(root, "points")
    assert first != second
    assert len(read_points(reader).positions) == 0  # a reader stays at its version
    assert len(read_points(path, **options).positions) == 5
    assert len(read_points(path, **options, snapshot_id=first).positions) == 0
    assert commit(root, "nothing more") == second
    assert log(root) == ["points", "a store"]


def test_discarded_changes_are_gone(place: tuple[str, dict[str, Any]]) -> None:
    path, options = place
    root = make_points(path, **{k: v for k, v in options.items() if k != "backend"})
    root.attrs["note"] = "kept"
    commit(root, "note")
    root.attrs["note"] = "lost"
    put_chunk(root, (2, 2))
    discard_changes(root)
    assert root.attrs["note"] == "kept"
    assert len(read_points(root).positions) == 3
    put_chunk(root, (1, 1))
    commit(root, "another chunk")
    assert len(read_points(path, **options).positions) == 6


def test_a_function_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    root = make_points(tmp_path / "a")
    before = root.handle.storage.list_all()
    with pytest.raises(OutOfBoundsError):
        append_points(tmp_path / "a", np.full((2, 2), 500.0))
    assert log(root) == ["start"]
    root.attrs["note"] = "pending"
    with pytest.raises(OutOfBoundsError):
        append_points(root, np.full((2, 2), 500.0))
    assert root.attrs["note"] == "pending"
    assert root.handle.storage.list_all() == before


def test_functions_given_a_group_leave_committing_to_its_owner(tmp_path: Path) -> None:
    root = make_points(tmp_path / "a")
    append_points(root, rows_of((3, 3)))
    build_pyramid(root, factors=[(2, 1)])
    assert log(root) == ["start"]
    assert len(read_points(tmp_path / "a").positions) == 3
    assert len(read_points(root).positions) == 6
    commit(root, "more, and a level")
    assert len(read_points(tmp_path / "a").positions) == 6
    assert open_store(tmp_path / "a").children() == ["0", "1"]
    append_points(tmp_path / "a", rows_of((3, 2)), message="by path")
    assert log(open_store(tmp_path / "a"))[-3:] == ["by path", "more, and a level", "start"]


def test_a_repository_is_recognised(place: tuple[str, dict[str, Any]]) -> None:
    path, options = place
    make_points(path, **{k: v for k, v in options.items() if k != "backend"})
    plain = {name: value for name, value in options.items() if name != "backend"}
    url = path if not plain else f"icechunk+{path}"
    root = open_store(url, **plain)
    assert root.backend.name == "icechunk"
    assert root.backend.scheme == ("s3" if plain else "")
    assert open_store(root.backend.url, **plain).backend == root.backend
    assert "verysecret" not in repr(root.handle.storage) + root.backend.url
    assert len(read_points(url, **plain).positions) == 3


def test_local_urls_name_the_same_place(tmp_path: Path) -> None:
    make_points(tmp_path / "a")
    for url in (f"icechunk://{tmp_path}/a", f"file://{tmp_path}/a", f"icechunk+file://{tmp_path}/a"):
        assert open_store(url).backend.url == str(tmp_path / "a")


def test_migrating_and_overwriting_keep_the_history(tmp_path: Path) -> None:
    make_points(tmp_path / "a", "0.7")
    migrate(tmp_path / "a", tmp_path / "b", backend="icechunk")
    assert np.array_equal(read_points(tmp_path / "b").positions, read_points(tmp_path / "a").positions)
    first = session_for(open_store(tmp_path / "a")).snapshot_id
    write_points(tmp_path / "a", np.ones((7, 2)), mode="w")
    assert len(read_points(tmp_path / "a").positions) == 7
    assert len(read_points(tmp_path / "a", snapshot_id=first).positions) == 3
    assert validate(tmp_path / "a").is_valid


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_session_of_somebody_else_is_written_to_but_not_committed(tmp_path: Path, revision: str) -> None:
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "a")))
    session = repository.writable_session("main")
    write_points(session.store, np.ones((7, 3)), chunk_shape=(5, 5, 5), format_version=revision)
    assert session.has_uncommitted_changes
    assert len(read_points(session.store).positions) == 7
    with pytest.raises(StoreExistsError):
        write_points(session.store, np.ones((8, 3)), mode="w-", chunk_shape=(5, 5, 5))
    session.commit("by its owner")
    assert len(read_points(repository.readonly_session("main").store).positions) == 7
    with pytest.raises(ReadOnlyStoreError):
        write_points(repository.readonly_session("main").store, np.ones((8, 3)), mode="w", chunk_shape=(5, 5, 5))
    assert len(read_points(tmp_path / "a").positions) == 7


def test_readers_are_refused(tmp_path: Path) -> None:
    make_points(tmp_path / "a")
    root = open_store(tmp_path / "a")
    assert session_for(root["0"]).read_only
    for call in (
        lambda: commit(root, "no"),
        lambda: branch(root, "no"),
        lambda: merge_branch(root, "main"),
        lambda: root.attrs.update({"a": 1}),
        lambda: append_points(root, rows_of((1, 1))),
    ):
        with pytest.raises(ReadOnlyStoreError):
            call()


def test_the_session_is_at_hand_and_goes_on(tmp_path: Path) -> None:
    root = make_points(tmp_path / "a")
    session = session_for(root["0"])
    assert isinstance(session, icechunk.Session)
    assert session.branch == "main"
    root["0"].attrs["note"] = 1
    assert session_for(root).has_uncommitted_changes
    identifier = commit(root, "note")
    assert session_for(root).snapshot_id == identifier
    assert not session_for(root).read_only
    group = root.zarr_group
    root.attrs["more"] = 2
    commit(root, "more")
    group.attrs["last"] = 3
    assert root.attrs["last"] == 3


def test_a_session_that_was_replaced_holds_nothing(tmp_path: Path) -> None:
    root = make_points(tmp_path / "a")
    root.attrs["note"] = "pending"
    session = session_for(root)
    assert session.has_uncommitted_changes
    build_pyramid(root, factors=[(2, 1)])
    assert session_for(root) is not session
    assert not session.has_uncommitted_changes
    assert (root.attrs["note"], root.children()) == ("pending", ["0", "1"])


def test_branches_go_their_own_way(place: tuple[str, dict[str, Any]]) -> None:
    path, options = place
    root = make_points(path, **{k: v for k, v in options.items() if k != "backend"})
    start = session_for(root).snapshot_id
    assert branch(root, "work") == start
    level = root["0"]
    switch_branch(root, "work")
    put_chunk(root, (1, 1))
    commit(root, "on work")
    assert np.array_equal(chunk_rows(root, (1, 1)), rows_of((1, 1)))
    assert len(read_points(path, **options).positions) == 3
    assert len(read_points(path, **options, branch="work").positions) == 6
    root.attrs["pending"] = True
    switch_branch(root, "main")
    assert "pending" not in root.attrs
    assert len(level.reader.level(0).arrays.vertices.chunks) == 1
    assert branch(root, "again", from_snapshot_id=start) == start
    assert merge_branch(root, "work") is not None
    assert len(read_points(path, **options).positions) == 6
    assert merge_branch(root, "work") is None


def test_mistakes_are_named(tmp_path: Path) -> None:
    root = make_points(tmp_path / "a")
    branch(root, "work")
    with pytest.raises(StoreError, match="a branch 'work' already"):
        branch(root, "work")
    with pytest.raises(StoreError, match="version 'nonsense'"):
        branch(root, "new", from_snapshot_id="nonsense")
    for call in (switch_branch, merge_branch, rebase):
        with pytest.raises(StoreError, match="no branch 'none'; there are main, work"):
            call(root, "none")
    with pytest.raises(StoreError, match="no branch 'none'"):
        open_store(tmp_path / "a", branch="none")
    root.attrs["a"] = 1
    with pytest.raises(StoreError, match="pending"):
        merge_branch(root, "work")
    with pytest.raises(ArgumentError, match="message"):
        commit(root, "")
    with pytest.raises(ArgumentError, match="can only be read"):
        open_store(tmp_path / "a", "r+", tag="v1")
    with pytest.raises(ArgumentError, match="one of them"):
        open_store(tmp_path / "a", tag="v1", branch="main")
    with pytest.raises(ArgumentError, match="no storage options: region"):
        open_store(tmp_path / "a", region="x")
    with pytest.raises(ArgumentError, match="'colour' is not known"):
        open_store("s3://bucket/a", backend="icechunk", colour="red")
    with pytest.raises(ArgumentError, match="https"):
        open_store("https://host/a", backend="icechunk")
    with pytest.raises(StoreNotFoundError):
        open_store(tmp_path / "none", backend="icechunk")
    create_store(tmp_path / "plain")
    with pytest.raises(StoreExistsError, match=r"zarr\.json"):
        write_points(tmp_path / "plain", np.ones((3, 3)), mode="w", backend="icechunk")


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "icechunk", None)
    with pytest.raises(MissingExtraError, match=r"zarr-vectors\[icechunk\]"):
        create_store(tmp_path / "a", backend="icechunk")
