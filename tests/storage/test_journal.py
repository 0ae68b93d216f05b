"""Changes are all or nothing, wherever they are interrupted."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from zarr_vectors.exceptions import MetadataError, ReadOnlyStoreError, StoreError, StoreLockedError
from zarr_vectors.storage import (
    Listing,
    Range,
    Storage,
    Transaction,
    get_one,
    overlay,
    put_one,
    recover,
    resolve_storage,
)
from zarr_vectors.storage.latest import LATEST_ADDRESS, keeps_latest
from zarr_vectors.storage.lock import JOURNAL_FOLDER
from zarr_vectors.testing.storage import CountingStorage, DelayedStorage, FailingStorage, SimulatedCrashError

Contents = dict[str, bytes]

BEFORE: Contents = {
    "zarr.json": b"root",
    "0/zarr.json": b"level",
    "0/v/zarr.json": b"array",
    "0/v/c/0": b"old 0",
    "0/v/c/1": b"old 1",
    "0/w/c/0": b"goes",
    "1/zarr.json": b"goes too",
}
AFTER: Contents = {
    "zarr.json": b"new root",
    "0/zarr.json": b"level",
    "0/v/zarr.json": b"new array",
    "0/v/c/0": b"old 0",
    "0/v/c/1": b"new 1",
    "0/v/c/2": b"new 2",
    "2/zarr.json": b"new level",
}


def change(storage: Storage) -> None:
    storage.put_many([("0/v/c/1", b"new 1"), ("0/v/c/2", b"new 2"), ("0/v/c/3", b"not wanted after all")])
    storage.delete_many(["0/w/c/0", "absent"])
    storage.delete_prefix("1")
    storage.put_many([("2/zarr.json", b"new level"), ("0/v/zarr.json", b"new array"), ("zarr.json", b"new root")])
    storage.delete_many(["0/v/c/3"])


def contents(storage: Storage) -> Contents:
    addresses = [address for address in storage.list_all() if address != LATEST_ADDRESS]
    blobs = storage.get_many([Range(address) for address in addresses])
    return {address: bytes(blob or b"") for address, blob in zip(addresses, blobs, strict=True)}


@pytest.fixture(params=["memory", "local"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Storage]:
    def make() -> Storage:
        fresh = uuid.uuid4().hex
        place = f"memory://{fresh}" if request.param == "memory" else tmp_path / fresh
        storage = resolve_storage(place, mode="w")
        storage.put_many(BEFORE.items())
        return storage

    return make


def test_a_transaction_shows_what_it_will_do_and_does_it(filled: Callable[[], Storage]) -> None:
    storage = filled()
    with Transaction(storage) as transaction:
        change(transaction)
        assert contents(transaction) == AFTER
        assert transaction.list_folders(["", "0", "0/v/c", "1"]) == [
            Listing(["0", "2"], ["zarr.json"]),
            Listing(["v"], ["zarr.json"]),
            Listing([], ["0", "1", "2"]),
            Listing([], []),
        ]
        assert get_one(transaction, "0/v/c/1", 1, 3) == b"ew"
        assert get_one(transaction, "1/zarr.json") is None
        assert transaction.exists("2/zarr.json")
        assert not transaction.exists("1/zarr.json")
        assert {one: blob for one, blob in contents(storage).items() if not one.startswith(".zv")} == BEFORE
    assert contents(storage) == AFTER


def test_an_error_inside_leaves_nothing_behind(filled: Callable[[], Storage]) -> None:
    storage = filled()

    def fail() -> None:
        with Transaction(storage) as transaction:
            change(transaction)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert contents(storage) == BEFORE
    assert recover(storage) == []


def test_a_closed_transaction_refuses(filled: Callable[[], Storage]) -> None:
    transaction = Transaction(filled())
    transaction.commit()
    for ask in (
        transaction.commit,
        lambda: put_one(transaction, "a", b""),
        lambda: transaction.delete_many(["a"]),
    ):
        with pytest.raises(StoreError, match="committed or aborted already"):
            ask()
    transaction.abort()


def test_what_another_writer_has_discarded_does_not_become_final(filled: Callable[[], Storage]) -> None:
    """As happens to a writer that was suspended until its lock expired."""
    storage = filled()
    transaction = Transaction(storage)
    change(transaction)
    assert recover(storage) == []
    with pytest.raises(StoreLockedError, match="make the change again"):
        transaction.commit()
    assert contents(storage) == BEFORE
    assert not [one for one in storage.list_all() if one.startswith(".zv-")]


def test_moves_within_a_transaction(filled: Callable[[], Storage]) -> None:
    storage = filled()
    with Transaction(storage) as transaction:
        transaction.move_many([("0/v/c/0", "0/v/c/1"), ("0/v/c/1", "0/v/c/0"), ("absent", "x")])
        transaction.move_many([("0/w/c/0", "3/w")])
    swapped = {**BEFORE, "0/v/c/0": b"old 1", "0/v/c/1": b"old 0", "3/w": b"goes"}
    del swapped["0/w/c/0"]
    assert contents(storage) == swapped


def test_a_change_of_nothing_writes_nothing(filled: Callable[[], Storage]) -> None:
    counting = CountingStorage(filled())
    with Transaction(counting):
        pass
    assert counting.log == []


def crash_everywhere(filled: Callable[[], Storage], work: Callable[[Storage], None]) -> list[Storage]:
    """Give the stores that a crash at each of the operations leaves behind."""
    whole = FailingStorage(filled())
    work(whole)
    left = []
    for number in range(1, whole.operations + 1):
        storage = filled()
        failing = FailingStorage(storage, fail_at=number)
        with pytest.raises(SimulatedCrashError):
            work(failing)
        left.append(storage)
    assert len(left) == whole.operations
    return left


def do_change(storage: Storage) -> None:
    transaction = Transaction(storage)
    change(transaction)
    transaction.commit()


def test_a_crash_anywhere_leaves_the_old_or_the_new(filled: Callable[[], Storage]) -> None:
    outcomes = []
    for storage in crash_everywhere(filled, do_change):
        view = overlay(storage)
        seen = contents(view or storage)
        expected = BEFORE if view is None else AFTER
        assert {one: blob for one, blob in seen.items() if not one.startswith(".zv")} == expected
        completed = recover(storage)
        assert len(completed) == (view is not None)
        assert contents(storage) == expected
        assert recover(storage) == []
        assert overlay(storage) is None
        outcomes.append(view is not None)
    assert outcomes == sorted(outcomes)
    assert 5 < sum(outcomes) < len(outcomes)


@pytest.mark.parametrize(("old", "new"), [("1/a/c/0", "1/a/c/0/0"), ("1/a/c/0/0", "1/a/c/0")])
def test_a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file(
    filled: Callable[[], Storage], old: str, new: str
) -> None:
    """As where an array is given another number of dimensions; also where that is interrupted."""

    def begin() -> Storage:
        storage = filled()
        put_one(storage, old, b"old")
        return storage

    def work(storage: Storage) -> None:
        with Transaction(storage) as transaction:
            transaction.delete_many([old])
            put_one(transaction, new, b"new")

    storage = begin()
    work(storage)
    assert contents(storage) == {**BEFORE, new: b"new"}
    for storage in crash_everywhere(begin, work):
        is_final = overlay(storage) is not None
        recover(storage)
        assert contents(storage) == {**BEFORE, **({new: b"new"} if is_final else {old: b"old"})}


def test_recovering_may_crash_anywhere_too(filled: Callable[[], Storage]) -> None:
    marked = 0
    for number, _ in enumerate(crash_everywhere(filled, do_change), 1):
        storage = filled()
        with pytest.raises(SimulatedCrashError):
            do_change(FailingStorage(storage, fail_at=number))
        expected = BEFORE if overlay(storage) is None else AFTER
        marked += expected is AFTER
        again = FailingStorage(storage)
        for attempt in range(1, 100):
            again = FailingStorage(storage, fail_at=attempt)
            try:
                recover(again)
            except SimulatedCrashError:
                assert contents(overlay(storage) or storage).items() >= expected.items()
                continue
            break
        assert contents(storage) == expected
    assert marked > 5


def test_a_reader_keeps_reading_while_the_journal_is_applied(filled: Callable[[], Storage]) -> None:
    left = [storage for storage in crash_everywhere(filled, do_change) if overlay(storage) is not None]
    view = overlay(left[0])
    assert view is not None
    recover(left[0])
    assert contents(view) == AFTER
    assert get_one(view, "0/v/c/2", 0, 3) == b"new"


def test_what_looks_through_a_journal_refuses_writes(filled: Callable[[], Storage]) -> None:
    left = [storage for storage in crash_everywhere(filled, do_change) if overlay(storage) is not None]
    view = overlay(left[0])
    assert view is not None
    assert view.read_only
    assert view.zarr_store().read_only
    for ask in (
        lambda: put_one(view, "a", b""),
        lambda: view.put_if_absent("a", b""),
        lambda: view.delete_many(["a"]),
        lambda: view.delete_prefix(),
        lambda: view.move_many([("a", "b")]),
    ):
        with pytest.raises(ReadOnlyStoreError, match="completes the change"):
            ask()


def test_unmarked_journals_of_others_can_be_left_alone(filled: Callable[[], Storage]) -> None:
    storage = filled()
    transaction = Transaction(storage)
    put_one(transaction, "0/v/c/0", b"new")
    assert recover(storage, discard_unmarked=False) == []
    transaction.commit()
    assert contents(storage) == {**BEFORE, "0/v/c/0": b"new"}


def test_journals_are_completed_in_their_order(filled: Callable[[], Storage]) -> None:
    storage = filled()
    for text in (b"first", b"second"):
        failing = FailingStorage(storage, fail_at=3 + keeps_latest(storage), half_moves=False)
        transaction = Transaction(failing)
        put_one(transaction, "0/v/c/0", text)
        with pytest.raises(SimulatedCrashError):
            transaction.commit()
    view = overlay(storage)
    assert view is not None
    assert get_one(view, "0/v/c/0") == b"second"
    assert len(recover(storage)) == 2
    assert get_one(storage, "0/v/c/0") == b"second"


def test_a_damaged_marker_is_an_error(filled: Callable[[], Storage]) -> None:
    storage = filled()
    put_one(storage, f"{JOURNAL_FOLDER}/1/commit.json", b"{")
    with pytest.raises(MetadataError, match=r"journal/1/commit\.json"):
        overlay(storage)


def test_looking_through_costs_one_round_where_there_is_nothing(filled: Callable[[], Storage]) -> None:
    rounds = 0
    for delay in (0.02, 0.1, 0.4, 2.0):  # a busy machine may start the second request when the first has been answered
        away = DelayedStorage(filled(), delay=delay)
        assert overlay(away) is None
        rounds = away.rounds
        if rounds == 1:
            break
    assert rounds == 1


def test_documents_move_after_payload_and_the_root_last(filled: Callable[[], Storage]) -> None:
    counting = CountingStorage(filled())
    with Transaction(counting) as transaction:
        change(transaction)
        counting.reset()
    moved = [address.partition("/data/")[2] for address in counting.addresses("move")]
    assert set(moved[:2]) == {"0/v/c/1", "0/v/c/2"}
    assert moved[2:] == ["0/v/zarr.json", "2/zarr.json", "zarr.json"]
    marker = counting.addresses("put")
    records = [LATEST_ADDRESS] * keeps_latest(counting)
    assert [one if one in records else one.rpartition("/")[2] for one in marker] == [*records, "commit.json", *records]
