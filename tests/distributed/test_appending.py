"""Points added to partitions: the same as under the lock of the store, and nothing where they are refused."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers import s3_server
from zarr_vectors import edit
from zarr_vectors.core.store import consolidate_metadata, create_store
from zarr_vectors.distributed import append_partition, appending, partitions
from zarr_vectors.exceptions import (
    ArgumentError,
    OutOfBoundsError,
    ShapeError,
    StoreError,
    StoreLockedError,
    StoreNotFoundError,
    UnknownNameError,
    UnsupportedFeatureError,
    ZarrVectorsError,
)
from zarr_vectors.lazy import open_zv
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read import steady
from zarr_vectors.read.opening import open_reader
from zarr_vectors.storage import Storage, acquire, break_lock, lock, resolve_storage
from zarr_vectors.storage.latest import LATEST_ADDRESS
from zarr_vectors.storage.lock import LOCK_FOLDER, acquire_turn
from zarr_vectors.storage.turns import turn
from zarr_vectors.testing.crashes import contents_of
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

REVISIONS = ["0.7", "0.9"]
SPACE: dict[str, Any] = {"chunk_shape": 25, "bin_shape": 12.5, "bounds": ([0.0] * 3, [99.0] * 3)}


def fresh() -> str:
    return f"memory://{uuid.uuid4().hex}/points"


def objects_of(place: Any) -> dict[str, bytes]:
    """Return all objects of a store but the record of its last change."""
    storage = resolve_storage(place)
    return {name: blob for name, blob in contents_of(storage).items() if name != LATEST_ADDRESS}


def make(place: Any, revision: str, count: int = 60, *, objects: bool = True, **options: Any) -> None:
    rng = np.random.default_rng(5)
    owners = np.arange(count) // 6
    described = {"object_ids": owners, "object_attributes": {"weight": np.unique(owners) * 0.5}} if objects else {}
    types = pd.Categorical.from_codes(np.arange(count) % 2, categories=["soma", "axon"])
    write_points(
        place,
        rng.uniform(0, 99, (count, 3)),
        attributes={"tag": np.arange(count), "type": types},
        **SPACE,
        **({"shard_shape": 2} if revision == "0.9" else {}),
        format_version=revision,
        **described,
        **options,
    )


def more(place: Any, key: str, count: int, seed: int, *, objects: bool = True, ids: int = 100) -> dict[str, Any]:
    """Return points inside a partition, with the arguments that go with them."""
    part = partitions(place).named(key)
    rng = np.random.default_rng(seed)
    low, high = (np.clip(corner, 0, 99) for corner in part.box)
    owners = ids + np.sort(rng.integers(0, 3, count))
    described = {"object_ids": owners, "object_attributes": {"weight": np.unique(owners) * 2.0}} if objects else {}
    return {
        "positions": rng.uniform(low, np.nextafter(high, low) - 0.01, (count, 3)),
        "attributes": {"tag": np.arange(count) + 1000 * ids, "type": np.full(count, "axon")},
        **described,
    }


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(REVISIONS), st.booleans(), st.integers(0, 12), st.lists(st.integers(0, 7), max_size=4))
def test_as_if_the_store_had_been_held(revision: str, objects: bool, start: int, places: list[int]) -> None:
    """Partition after partition gives bit for bit what ``append_vertices`` gives."""
    here, there = fresh(), fresh()
    for place in (here, there):
        make(place, revision, max(6, 6 * start), objects=objects)
    every = partitions(here)
    for number, place in enumerate(places):
        key = every[place].key
        given_ = more(here, key, 5 + number, number, objects=objects, ids=100 + 10 * number)
        mine = append_partition(here, key, **given_)
        theirs = edit.append_vertices(there, **given_)
        assert mine == theirs
    assert objects_of(here) == objects_of(there)
    assert validate(here, level=5).is_valid


@pytest.mark.parametrize("objects", [True, False])
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_store_may_begin_empty(revision: str, objects: bool) -> None:
    place = fresh()
    make(place, revision, 0, objects=objects)
    keys = [part.key for part in partitions(place)]
    first, last = (more(place, key, 20, n, objects=objects, ids=10 * n) for n, key in enumerate([keys[0], keys[-1]]))
    append_partition(place, keys[0], **first)
    append_partition(place, keys[-1], **last)
    result = read_points(place)
    assert result.vertex_count == 40
    given_ = np.concatenate([first["positions"], last["positions"]]).astype(np.float32)
    assert sorted(result.positions.tolist()) == sorted(given_.tolist())
    report = validate(place, level=5)
    assert report.is_valid, report.report()


def test_several_partitions_at_once() -> None:
    place = fresh()
    make(place, "0.7")
    every = partitions(place)
    positions = np.random.default_rng(1).uniform(0, 40, (50, 3))
    mine = [every[number] for number in np.unique(every.of(positions)).tolist()]
    assert len(mine) > 1
    arguments = {"object_ids": np.full(50, 77), "attributes": {"tag": np.arange(50), "type": ["axon"] * 50}}
    done = append_partition(place, mine, positions, **arguments, object_attributes={"weight": [1.0]})
    assert (done.vertices_added, done.new_objects, done.chunks_touched) == (50, 1, len(mine))
    assert read_points(place, object_ids=[77]).vertex_count == 50
    with pytest.raises(OutOfBoundsError, match=r"of 50 lie outside partition .*; row \d+ is .*, in partition '"):
        append_partition(place, mine[:1], positions, **{**arguments, "object_ids": np.full(50, 78)})
    assert [part.key for part in mine] == sorted(part.key for part in mine)


@pytest.mark.parametrize("revision", REVISIONS)
def test_coarse_levels_are_marked_and_made_anew(revision: str) -> None:
    place = fresh()
    make(place, revision)
    build_pyramid(place, [(2.0, 1.0)], cross_level_storage="explicit", cross_level_depth=1)
    consolidate_metadata(place)
    key = partitions(place)[0].key
    append_partition(place, key, **more(place, key, 9, 0))
    with open_zv(place) as dataset:
        assert dataset.stale_levels == [1]
    assert validate(place, level=5).is_valid
    edit.refresh_levels(place)
    report = validate(place, level=5)
    assert report.is_valid, report.report()


def some_paths(rng: np.random.Generator, count: int, low: float, high: float) -> list[np.ndarray]:
    return [rng.uniform(low, high, (rng.integers(1, 9), 3)).astype(np.float32) for _ in range(count)]


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(REVISIONS),
    st.sampled_from(["explicit_links", "boundary_deduplication", "both"]),
    st.integers(0, 6),
    st.lists(st.integers(0, 2), max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_paths(revision: str, crossings: str, start: int, halves: list[int], seed: int) -> None:
    """Whole paths come back bit for bit, with their attributes, however often they go from chunk to chunk."""
    rng, place, expected = np.random.default_rng(seed), fresh(), {}
    first = some_paths(rng, start, 0, 99)
    expected |= dict(enumerate(first))
    options = {"shard_shape": 2} if revision == "0.9" else {}
    write_polylines(
        place,
        np.concatenate([np.zeros((0, 3), np.float32), *first]),
        offsets=np.cumsum([0, *map(len, first)]),
        attributes={"step": np.concatenate([np.zeros(0), *(np.arange(len(path)) for path in first)])},
        object_attributes={"weight": np.arange(start) * 1.0},
        chunk_shape=25,
        bounds=SPACE["bounds"],
        format_version=revision,
        cross_chunk_strategy=crossings,
        **options,
    )
    every = partitions(place)
    for number, half in enumerate(halves):
        ends = [(0, 49.9), (50, 98.9), (0, 98.9)][half]
        new = dict(enumerate(some_paths(rng, 3, *ends), start=100 - 10 * number))
        positions = np.concatenate(list(new.values()))
        done = append_partition(
            place,
            [every[n] for n in np.unique(every.of(positions)).tolist()],
            positions,
            object_ids=np.repeat(list(new), list(map(len, new.values()))),
            attributes={"step": np.concatenate([np.arange(float(len(path))) for path in new.values()])},
            object_attributes={"weight": np.array(list(new)) * 1.0},
        )
        assert (done.vertices_added, done.new_objects) == (len(positions), 3)
        expected |= new
    result = read_polylines(place, return_object_ids=True, include_object_attributes=True)
    assert result.object_ids is not None
    assert sorted(result.object_ids.tolist()) == sorted(expected)
    for row, number in enumerate(result.object_ids.tolist()):
        np.testing.assert_array_equal(result.polylines[row], expected[number])
        steps = result.attributes["step"][result.offsets[row] : result.offsets[row + 1]]
        np.testing.assert_array_equal(steps, np.arange(len(expected[number])))
    np.testing.assert_array_equal(result.object_attributes["weight"], result.object_ids)
    report = validate(place, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("revision", REVISIONS)
def test_lines(revision: str) -> None:
    place, rng = fresh(), np.random.default_rng(0)
    options = {"shard_shape": 2} if revision == "0.9" else {}
    old = rng.uniform(0, 99, (10, 2, 3)).astype(np.float32)
    write_lines(place, old, chunk_shape=25, bounds=SPACE["bounds"], format_version=revision, **options)
    new = rng.uniform(50, 98, (6, 2, 3)).astype(np.float32)
    keys = [part.key for part in partitions(place) if part.key.count("0") == 0]
    given_ = {"positions": new.reshape(-1, 3), "object_ids": np.repeat(np.arange(20, 26), 2)}
    append_partition(place, keys, **given_)
    np.testing.assert_array_equal(read_lines(place).endpoints, np.concatenate([old, new]))
    assert validate(place, level=5).is_valid
    with pytest.raises(ArgumentError, match="a line has two vertices"):
        append_partition(place, keys, new[0, :1], object_ids=30)


def test_paths_whose_links_have_attributes_are_refused() -> None:
    place = fresh()
    write_polylines(place, [np.array([[1.0, 1, 1], [60, 60, 60]])], chunk_shape=25, bounds=SPACE["bounds"])
    edit.add_attribute(place, "strength", [1.0], kind="link")
    before = objects_of(place)
    with pytest.raises(UnsupportedFeatureError, match="append_vertices"):
        append_partition(place, partitions(place)[0], [[1.0, 2.0, 3.0]], object_ids=[7])
    assert objects_of(place) == before


def test_no_points_change_nothing() -> None:
    place = fresh()
    make(place, "0.9")
    before = objects_of(place)
    done = append_partition(
        place, "0.0.0", np.zeros((0, 3)), object_ids=np.zeros(0, int), attributes={"tag": np.zeros(0, int)}
    )
    assert done.vertices_added == 0
    assert objects_of(place) == before


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "another partition": ({"positions": [[80.0, 1, 1]]}, OutOfBoundsError, r"row 0 is \[80.*in partition '2.0.0'"),
    "out of bounds": ({"positions": [[200.0, 1, 1]]}, OutOfBoundsError, "outside the bounds.*set_bounds"),
    "shape": ({"positions": [1.0, 2.0]}, ShapeError, r"positions: expected shape \(n, 3\)"),
    "not finite": ({"positions": [[np.nan, 1, 1]]}, ArgumentError, "finite"),
    "dtype": ({"dtype": "float64"}, ArgumentError, "dtype: .* float32"),
    "no ids": ({"object_ids": None}, ArgumentError, "object_ids: .*give ids of your own"),
    "an id that is there": ({"object_ids": [3]}, ArgumentError, "an object 3 already"),
    "too many ids": ({"object_ids": [100, 101]}, ShapeError, "object_ids: expected 1"),
    "a new category": ({"attributes": {"tag": [1], "type": ["glia"]}}, ArgumentError, r"new categories \['glia'\]"),
    "an unknown attribute": ({"attributes": {"tog": [1]}}, ArgumentError, "tog"),
    "a missing attribute": ({"attributes": {"type": ["axon"]}}, ArgumentError, "'tag'.*give values"),
    "object attributes": ({"object_attributes": {"weight": [1.0, 2.0]}}, ArgumentError, "object_attributes"),
    "no such partition": ({"partition": "1.0.0"}, UnknownNameError, "no partition is called '1.0.0'"),
    "no partition": ({"partition": []}, ArgumentError, "partition: expected a partition"),
    "a number": ({"partition": 3}, ArgumentError, "partition: expected a partition.*got 3"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_nothing_left_behind(name: str) -> None:
    changed, kind, message = REFUSED[name]
    place = fresh()
    make(place, "0.9")
    before = objects_of(place)
    arguments: dict[str, Any] = {
        "partition": "0.0.0",
        "positions": [[1.0, 2.0, 3.0]],
        "object_ids": [100],
        "attributes": {"tag": [1], "type": ["soma"]},
        "object_attributes": {"weight": [1.0]},
        **changed,
    }
    with pytest.raises(kind, match=message):
        append_partition(place, **arguments)
    assert objects_of(place) == before


def test_stores_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        append_partition(fresh(), "0.0", [[1.0, 2.0]])
    paths = fresh()
    write_polylines(paths, [np.arange(6.0).reshape(3, 2)], object_index_convention="identity")
    with pytest.raises(UnsupportedFeatureError, match="paths without an object index"):
        append_partition(paths, "0.0", [[1.0, 2.0]])
    graph = fresh()
    write_graph(graph, [[1.0, 2.0], [3.0, 4.0]], [[0, 1]])
    with pytest.raises(UnsupportedFeatureError, match="holds graph, and only points and paths"):
        append_partition(graph, "0.0", [[1.0, 2.0]])
    shell = fresh()
    create_store(shell, bounds=([0, 0], [9, 9]), chunk_shape=[5, 5])
    with pytest.raises(StoreError, match="a shell that nothing has been written to"):
        append_partition(shell, "0.0", [[1.0, 2.0]])
    bare = fresh()
    make(bare, "0.9", objects=False)
    arguments = {"attributes": {"tag": [1], "type": ["soma"]}}
    with pytest.raises(ArgumentError, match=r"object_ids: .*points without objects"):
        append_partition(bare, "0.0.0", [[1.0, 2.0, 3.0]], object_ids=[1], **arguments)
    repository = str(tmp_path / "repository")
    write_points(repository, [[1.0, 2.0]], backend="icechunk")
    with pytest.raises(UnsupportedFeatureError, match=r"branch.*merge_branch"):
        append_partition(repository, "0.0", [[1.0, 2.0]], backend="icechunk")
    for place in (paths, graph, shell, bare):
        assert not [one for one in objects_of(place) if one.startswith(".zv-")]


def test_who_holds_what() -> None:
    place = fresh()
    make(place, "0.9")
    storage: Storage = resolve_storage(place, mode="r+")
    given_ = more(place, "0.0.0", 5, 0)
    before = objects_of(storage)
    with lock(storage, "0.0.0", owner="ada"), pytest.raises(StoreLockedError, match="written by ada on"):
        append_partition(place, "0.0.0", **given_)
    with lock(storage, owner="grace"), pytest.raises(StoreLockedError, match="written by grace on"):
        append_partition(place, "0.0.0", **given_)
    assert objects_of(storage) == before
    with lock(storage, "2.0.0", owner="ada"):
        with pytest.raises(StoreLockedError, match="written by ada on"):
            edit.set_groups(place, {"all": [1]})
        append_partition(place, "0.0.0", **given_)
    assert read_points(place).vertex_count == 65


def test_a_turn_is_waited_for() -> None:
    place = fresh()
    make(place, "0.9")
    given_ = more(place, "0.0.0", 5, 0)
    before = objects_of(place)
    held = acquire_turn(resolve_storage(place, mode="r+"), "somebody-s", owner="ada")
    with pytest.raises(StoreLockedError, match="written by ada on"):
        append_partition(place, "0.0.0", **given_, wait=0.05)
    waiting = threading.Thread(target=append_partition, args=(place, "0.0.0"), kwargs=given_)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    held.release()
    assert objects_of(place).keys() >= before.keys()
    waiting.join()
    assert read_points(place).vertex_count == 65


@contextmanager
def before_last_turns(monkeypatch: pytest.MonkeyPatch, act: Any) -> Iterator[None]:
    """Do something whenever a writer has staged its chunks, before it takes the turn that makes them final."""
    turns = threading.local()

    @contextmanager
    def counted(storage: Any, wait: float, journal: str) -> Iterator[Any]:
        turns.taken = getattr(turns, "taken", 0) + 1
        if turns.taken % 2 == 0:
            act()
        with turn(storage, wait, journal) as held:
            yield held

    with monkeypatch.context() as patch:
        patch.setattr(appending, "turn", counted)
        yield


def test_an_id_given_by_two_is_refused_to_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    place, failed = fresh(), []
    make(place, "0.9")
    keys = ["0.0.0", "2.2.2"]
    given_ = [more(place, key, 4, 1, ids=100) for key in keys]
    both_have_staged = threading.Barrier(2, timeout=60)

    def work(number: int) -> None:
        try:
            append_partition(place, keys[number], **given_[number])
        except ArgumentError as error:
            failed.append((number, str(error)))

    with before_last_turns(monkeypatch, both_have_staged.wait):
        threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(failed) == 1
    loser, message = failed[0]
    assert "the store has an object 10" in message
    alone = fresh()
    make(alone, "0.9")
    append_partition(alone, keys[1 - loser], **given_[1 - loser])
    assert objects_of(place) == objects_of(alone)


def test_a_lock_that_was_lost_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another writer took the store meanwhile, nothing of what was staged counts."""
    place = fresh()
    make(place, "0.9")
    storage = resolve_storage(place, mode="r+")

    def interfere() -> None:
        break_lock(storage)
        edit.delete_objects(place, [0])

    with before_last_turns(monkeypatch, interfere), pytest.raises(StoreLockedError, match="was lost"):
        append_partition(place, "0.0.0", **more(place, "0.0.0", 4, 1))
    assert read_points(place).vertex_count == 54
    assert not [one for one in objects_of(storage) if one.startswith(".zv-")]


def test_a_turn_that_was_lost_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that was suspended in its turn, until another had it, does not make its change final."""
    place = fresh()
    make(place, "0.9")
    storage = resolve_storage(place, mode="r+")
    put_added = appending.put_added

    def overtaken(*arguments: Any) -> None:
        put_added(*arguments)
        turns = [one for one in storage.list_all(LOCK_FOLDER) if one.startswith(f"{LOCK_FOLDER}/turn.")]
        if turns:
            storage.delete_many(turns)
            with monkeypatch.context() as patch:
                patch.setattr(appending, "put_added", put_added)
                append_partition(place, "2.2.2", **more(place, "2.2.2", 4, 1, ids=200))

    monkeypatch.setattr(appending, "put_added", overtaken)
    with pytest.raises(StoreLockedError, match="was lost"):
        append_partition(place, "0.0.0", **more(place, "0.0.0", 4, 1))
    assert read_points(place).vertex_count == 64
    assert validate(place, level=5).is_valid
    assert not [one for one in objects_of(storage) if one.startswith(".zv-")]


def test_an_expired_lock_that_nobody_took_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    place = fresh()
    make(place, "0.9")
    monkeypatch.setattr(appending, "lock", lambda storage, key, journal: lock(storage, key, ttl=0.001, journal=journal))
    append_partition(place, "0.0.0", **more(place, "0.0.0", 4, 1))
    assert read_points(place).vertex_count == 64


def test_an_expired_lock_gives_way_to_who_holds_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    place = fresh()
    make(place, "0.9")
    storage = resolve_storage(place, mode="r+")
    held = []
    monkeypatch.setattr(appending, "lock", lambda storage, key, journal: lock(storage, key, ttl=0.001, journal=journal))
    before = objects_of(storage)
    given_ = more(place, "0.0.0", 4, 1)

    def take() -> None:
        held.append(acquire(storage, owner="ada"))

    with before_last_turns(monkeypatch, take), pytest.raises(StoreLockedError, match="was lost"):
        append_partition(place, "0.0.0", **given_)
    held[0].release()
    assert objects_of(storage) == before


def test_what_the_dead_left_is_cleared_by_the_next_and_by_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    place = fresh()
    make(place, "0.9")
    storage = resolve_storage(place, mode="r+")
    live = more(place, "2.2.2", 4, 1, ids=200)
    staged: list[set[str]] = []

    def die() -> None:
        raise KeyboardInterrupt

    given_ = more(place, "0.0.0", 4, 1)
    with before_last_turns(monkeypatch, die), monkeypatch.context() as patch:
        patch.setattr(appending.SparingTransaction, "abort", lambda self: None)
        with pytest.raises(KeyboardInterrupt):
            append_partition(place, "0.0.0", **given_)

    def look() -> None:
        staged.append({one.split("/")[1] for one in storage.list_all(".zv-journal")})
        append_partition(place, "0.0.2", **more(place, "0.0.2", 4, 1, ids=300))
        staged.append({one.split("/")[1] for one in storage.list_all(".zv-journal")})

    assert len({one.split("/")[1] for one in storage.list_all(".zv-journal")}) == 1
    once = iter([look])
    with before_last_turns(monkeypatch, lambda: next(once, lambda: None)()):
        append_partition(place, "2.2.2", **live)
    assert [len(some) for some in staged] == [1, 1]
    assert staged[0] == staged[1]
    assert "partition-2.2.2" in staged[0].pop()
    assert read_points(place).vertex_count == 68
    assert not [one for one in objects_of(storage) if one.startswith(".zv-")]


@pytest.mark.parametrize("revision", REVISIONS)
def test_readers_of_an_object_store_see_whole_calls(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While two writers add until the reader has seen some states."""
    monkeypatch.setattr(steady, "PATIENCE", 120.0)
    place, rows, apart = fresh(), 7, 10_000
    make(place, revision, 0)
    failed: list[ZarrVectorsError] = []
    keys, calls, enough = ["0.0.0", "2.2.2"], [0, 0], threading.Event()

    def work(number: int) -> None:
        try:
            while not enough.wait(0.05):
                ids = 100 * (1 + apart * number + calls[number])
                append_partition(place, keys[number], **more(place, keys[number], rows, calls[number], ids=ids))
                calls[number] += 1
        except ZarrVectorsError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    seen: set[int] = set()
    try:
        while len(seen) < 5 and not failed:
            result = read_points(place)
            ids, counts = np.unique(np.asarray(result.object_ids) // 100, return_counts=True)
            assert (counts == rows).all()
            per_writer = [ids[ids <= apart], ids[ids > apart] - apart]
            assert all(some.tolist() == list(range(1, len(some) + 1)) for some in per_writer)
            seen.add(len(ids))
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert read_points(place).vertex_count == sum(calls) * rows
    report = validate(place, level=5)
    assert report.is_valid, report.report()


def test_on_an_s3_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers on S3 have both staged before either makes its change final."""
    both_have_staged = threading.Barrier(2, timeout=120)
    with s3_server() as server, before_last_turns(monkeypatch, both_have_staged.wait):
        server.make_bucket("bucket")
        place, options = "s3://bucket/points", server.options
        make(place, "0.9", **options)
        given_ = [
            {**more(open_reader(place, **options), key, 8, n, ids=100 + 10 * n), "partition": key}
            for n, key in enumerate(["0.0.0", "2.0.2"])
        ]
        failed: list[ZarrVectorsError] = []

        def work(number: int) -> None:
            try:
                for again in range(3):
                    ids = given_[number]["object_ids"] + 100 * again
                    append_partition(place, **{**given_[number], "object_ids": ids}, **options)
            except ZarrVectorsError as error:
                failed.append(error)
                both_have_staged.abort()

        threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        result = read_points(place, **options)
        assert result.vertex_count == 60 + 2 * 3 * 8
        for one in given_:
            rows = np.isin(result.attributes["tag"], one["attributes"]["tag"])
            expected = np.repeat(one["positions"].astype(np.float32), 3, axis=0)
            assert sorted(result.positions[rows].tolist()) == sorted(expected.tolist())
        storage = resolve_storage(place, mode="r+", **options)
        assert validate(storage, level=5).is_valid
        assert not [one for one in objects_of(storage) if one.startswith(".zv-")]
