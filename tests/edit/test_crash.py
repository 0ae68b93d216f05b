"""An edit that dies anywhere leaves the store as it was, or as it was to be."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.edit.oracle import see, start, tables_of
from zarr_vectors import edit
from zarr_vectors.exceptions import StoreLockedError
from zarr_vectors.storage.lock import break_lock
from zarr_vectors.storage.port import Range, Storage
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import FailingStorage, SimulatedCrashError
from zarr_vectors.validate import validate

Edit = Callable[[Any], Any]

EDITS: dict[str, Edit] = {
    "attribute": lambda path: edit.add_attribute(path, "score", np.arange(40.0)),
    "object attribute": lambda path: edit.set_attribute(path, "weight", np.arange(5), kind="object"),
    "append": lambda path: edit.append_vertices(
        path, [[1.0, 2.0, 3.0]], object_ids=90, attributes={"tag": [99]}, object_attributes={"weight": [5.0]}
    ),
    "delete": lambda path: edit.delete_objects(path, [2]),
    "groups": lambda path: edit.set_groups(path, {"other": [4]}),
}


def copied(contents: dict[str, bytes]) -> Storage:
    storage = resolve_storage(f"memory://crash-{uuid.uuid4().hex}", mode="w")
    storage.put_many(contents.items())
    return storage


def held(path: Any) -> Any:
    plain = see("points", path).plain
    return plain.positions, plain.owners, plain.values, tables_of(path)


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
@pytest.mark.parametrize("name", EDITS)
def test_edits_are_all_or_nothing(name: str, revision: str) -> None:
    path = f"memory://crash-{uuid.uuid4().hex}"
    start("points", revision, path, 3)
    storage = resolve_storage(path, mode="r")
    addresses = storage.list_all()
    blobs = storage.get_many([Range(address) for address in addresses])
    contents = {address: bytes(blob or b"") for address, blob in zip(addresses, blobs, strict=True)}
    counted = FailingStorage(copied(contents))
    EDITS[name](counted)
    before, after = held(path), held(counted.inner)
    steps = sorted({*range(1, counted.operations + 1, max(1, counted.operations // 7)), counted.operations})
    outcomes = set()
    for k in steps:
        inner = copied(contents)
        with pytest.raises(SimulatedCrashError):
            EDITS[name](FailingStorage(inner, fail_at=k))
        seen = held(inner)
        assert seen in (before, after), f"neither old nor new after operation {k} of {counted.operations}"
        outcomes.add(seen == after)
        break_lock(inner)
        edit.vacuum(inner)  # opens for writing, which completes or discards what was left behind
        assert held(inner) == seen
        assert validate(inner, level=5).is_valid
    assert outcomes == {True, False}


def test_a_store_that_another_writer_holds_is_left_alone() -> None:
    path = f"memory://held-{uuid.uuid4().hex}"
    start("points", "0.9", path, 3)
    inner = resolve_storage(path, mode="r+")
    with pytest.raises(SimulatedCrashError):
        EDITS["delete"](FailingStorage(inner, fail_at=3))
    with pytest.raises(StoreLockedError, match="is being written by"):
        EDITS["attribute"](inner)
