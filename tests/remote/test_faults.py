"""What becomes of requests that fail: repeated with growing pauses, then named; refused ones are named at once."""

from __future__ import annotations

import datetime
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.azurite import AzureServer
from tests.flaky import Flaky, flaky
from tests.servers import S3Server
from zarr_vectors.exceptions import ReadOnlyStoreError, StoreError
from zarr_vectors.storage import Storage, get_one, list_folder, put_one, resolve_storage
from zarr_vectors.storage.retrying import Patience
from zarr_vectors.types.points import read_points, write_points

DATA = os.urandom(20_000)
PATIENCE: dict[str, Any] = {
    "retry_config": {
        "max_retries": 3,
        "retry_timeout": datetime.timedelta(seconds=60),
        "backoff": {
            "init_backoff": datetime.timedelta(milliseconds=1),
            "max_backoff": datetime.timedelta(milliseconds=4),
            "base": 2,
        },
    }
}
REQUESTS: dict[str, Callable[[Storage], Any]] = {
    "get": lambda storage: get_one(storage, "a") == DATA,
    "range": lambda storage: get_one(storage, "a", 5, 5000) == DATA[5:5000],
    "end": lambda storage: get_one(storage, "a", -500) == DATA[-500:],
    "exists": lambda storage: storage.exists("a"),
    "put": lambda storage: put_one(storage, "b", DATA) or get_one(storage, "b") == DATA,
    "put_if_absent": lambda storage: storage.put_if_absent(uuid.uuid4().hex, DATA),
    "list_all": lambda storage: "a" in storage.list_all(),
    "list_folders": lambda storage: "a" in list_folder(storage).files,
    "delete": lambda storage: storage.delete_many(["c"]) or not storage.exists("c"),
    "move": lambda storage: storage.move_many([("d", "e")]) or storage.exists("e"),
}
READS = ("get", "range", "end", "exists")


@pytest.fixture(scope="module")
def between(s3: S3Server) -> Iterator[Flaky]:
    with flaky(s3.endpoint) as server:
        yield server


def opened(s3: S3Server, between: Flaky, **options: Any) -> Storage:
    url = f"s3://bucket/{uuid.uuid4().hex}"
    direct = resolve_storage(url, mode="w", **s3.options)
    direct.put_many([(name, DATA) for name in "acd"])
    between.faults, between.always = [], ""
    between.log.clear()
    return resolve_storage(url, mode="r+", **{**s3.options, "endpoint": between.url, **PATIENCE, **options})


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "faults", [["503"], ["500", "429"], ["reset", "reset", "reset"], ["503", "truncate"], ["lost"]]
)
def test_requests_that_fail_are_repeated(s3: S3Server, between: Flaky, name: str, faults: list[str]) -> None:
    storage = opened(s3, between)
    between.faults = list(faults)
    assert REQUESTS[name](storage)
    assert not between.faults
    assert len(between.log) > len(faults) - ("truncate" in faults)


@pytest.mark.parametrize("name", ["get", "put_if_absent", "list_all", "delete"])
def test_requests_without_an_answer_are_repeated(s3: S3Server, between: Flaky, name: str) -> None:
    storage = opened(s3, between, timeout="0.5s")
    between.faults, between.hang = ["hang"], 1.0
    assert REQUESTS[name](storage)


@pytest.mark.parametrize("faults", [["truncate"], ["503", "truncate"], ["truncate", "reset", "truncate"]])
def test_an_answer_that_nothing_is_there_is_asked_for_again(s3: S3Server, between: Flaky, faults: list[str]) -> None:
    storage = opened(s3, between)
    between.faults = list(faults)
    assert get_one(storage, "nowhere") is None
    assert len(between.log) == len(faults) + 1


@pytest.mark.parametrize("name", ["get", "range", "list_all", "list_folders"])
def test_bodies_that_come_too_slowly_are_asked_for_again(s3: S3Server, between: Flaky, name: str) -> None:
    storage = opened(s3, between, timeout="0.5s")
    between.faults, between.hang = ["slow"], 1.5
    assert REQUESTS[name](storage)
    assert len(between.log) == 2


@pytest.mark.parametrize("name", ["get", "put", "list_all"])
@pytest.mark.parametrize("fault", ["hang", "slow"])
def test_a_server_that_goes_on_being_too_slow_is_named(s3: S3Server, between: Flaky, name: str, fault: str) -> None:
    if (name, fault) == ("put", "slow"):
        name = "range"
    storage = opened(s3, between, timeout="0.3s")
    between.always, between.hang = fault, 0.9
    with pytest.raises(StoreError, match=r"cannot \w+ '\w*' in s3://bucket/\w+ \(given up after 4 attempts\)"):
        REQUESTS[name](storage)
    between.always = ""
    assert len(between.log) == 4


BODILESS = ("exists", "put", "put_if_absent")
"""Requests whose answers cannot break off."""


@pytest.mark.parametrize(
    ("name", "fault"),
    [(n, f) for n in REQUESTS for f in ("503", "reset", "truncate") if f != "truncate" or n not in BODILESS],
)
def test_a_request_that_goes_on_failing_is_named(s3: S3Server, between: Flaky, name: str, fault: str) -> None:
    storage = opened(s3, between)
    between.always = fault
    with pytest.raises(StoreError, match=r"in s3://bucket/.* \(given up after 4 attempts\)") as caught:
        REQUESTS[name](storage)
    between.always = ""
    assert len(between.log) == 4
    assert not any(str(value) in repr(caught.value) for key, value in s3.options.items() if "key" in key)


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("status", ["403", "401"])
def test_a_refused_request_is_named_at_once(s3: S3Server, between: Flaky, name: str, status: str) -> None:
    storage = opened(s3, between)
    between.always = status
    kind = StoreError if name in READS or "list" in name else ReadOnlyStoreError
    with pytest.raises(kind, match=r"cannot \w+ '\w*' in s3://bucket/\w+: permission denied") as caught:
        REQUESTS[name](storage)
    between.always = ""
    assert len(between.log) == 1
    assert not any(str(value) in repr(caught.value) for key, value in s3.options.items() if "key" in key)


def test_a_lost_answer_to_a_conditional_write_is_no_refusal(s3: S3Server, between: Flaky) -> None:
    """The object was written; the repetition finds it taken, by the same bytes."""
    storage = opened(s3, between)
    direct = resolve_storage(storage.url, mode="r+", **s3.options)
    between.faults = ["lost"]
    assert storage.put_if_absent("mine", b"token 1")
    assert get_one(direct, "mine") == b"token 1"
    put_one(direct, "theirs", b"token 2")
    between.faults = ["lost"]
    assert not storage.put_if_absent("theirs", b"token 1")
    assert get_one(direct, "theirs") == b"token 2"


def test_a_store_is_written_and_read_through_faults(s3: S3Server, between: Flaky) -> None:
    positions = np.random.default_rng(0).uniform(0, 100, (2000, 3)).astype(np.float32)
    place = f"s3://bucket/{uuid.uuid4().hex}"
    retries = {**PATIENCE["retry_config"], "max_retries": 50}
    options = {**s3.options, "retry_config": retries, "endpoint": between.url}
    between.faults = ["503", "reset", "", "", "500"] * 8
    write_points(place, positions, chunk_shape=25, **options)
    between.faults = ["truncate", "", "503", "reset"] * 8
    found = read_points(place, **options).positions
    between.faults = []
    np.testing.assert_array_equal(found[np.lexsort(found.T)], positions[np.lexsort(positions.T)])


def test_faults_of_azure(azure: AzureServer) -> None:
    place = f"az://bucket/{uuid.uuid4().hex}"
    put_one(resolve_storage(place, mode="w", **azure.options), "a", DATA)
    with flaky(azure.endpoint) as between:
        endpoint = between.url + "/devstoreaccount1"
        storage = resolve_storage(place, mode="r+", **{**azure.options, **PATIENCE, "endpoint": endpoint})
        for fault in ("503", "reset", "truncate"):
            between.faults = [fault]
            assert get_one(storage, "a") == DATA
        between.always = "403"
        with pytest.raises(ReadOnlyStoreError, match=r"cannot write 'b' in az://bucket/\w+: permission denied"):
            put_one(storage, "b", b"")
        between.always = "500"
        with pytest.raises(StoreError, match=r"'a' in az://bucket/\w+ \(given up after 4 attempts\)") as caught:
            get_one(storage, "a")
        assert azure.options["account_key"] not in repr(caught.value)


def test_pauses_grow_up_to_a_bound() -> None:
    patience = Patience(first_pause=1.0, longest_pause=5.0, growth=3.0)
    for attempt, longest in enumerate([1.0, 3.0, 5.0, 5.0], 1):
        assert all(longest / 2 <= patience.pause(attempt) <= longest for _ in range(50))
