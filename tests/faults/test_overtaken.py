"""Writers that are suspended, whose lock expires, and that go on after another has written."""

from __future__ import annotations

import importlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zarr_vectors import edit
from zarr_vectors.core.bounds import set_bounds
from zarr_vectors.core.store import open_store
from zarr_vectors.distributed import append_partition, partitions
from zarr_vectors.exceptions import ZarrVectorsError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage.port import Storage, get_whole
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.faults import FaultyStorage
from zarr_vectors.testing.syscalls import file_faults
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

POINTS = np.random.default_rng(5).uniform(0, 80, (60, 3)).astype(np.float32)
MORE = np.array([[1.5, 2.5, 3.5], [41.5, 42.5, 43.5], [79.5, 1.5, 40.5]], np.float32)
OTHERS = MORE + np.float32(0.25)
LAST = np.array([[60.5, 40.5, 40.5]], np.float32)

Change = Callable[[Any], object]


def replace(place: Any) -> None:
    write_points(place, OTHERS, bounds=([0] * 3, [80] * 3), chunk_shape=20)


CHANGES: dict[str, Change] = {
    "append by an edit": lambda place: edit.append_vertices(place, OTHERS),
    "append by mode='a'": lambda place: write_points(place, OTHERS, mode="a"),
    "shrink": lambda place: set_bounds(open_store(place, mode="r+"), ([0] * 3, [80, 50, 50]), force=True),
    "set an attribute": lambda place: edit.add_attribute(place, "height", np.arange(float(len(read_points(place))))),
    "pyramid": lambda place: build_pyramid(place, [(2.0, 1.0)], overwrite=True),
    "partition": lambda place: append_partition(place, partitions(place)[0], OTHERS[:1]),
    "replace": replace,
}
ACKNOWLEDGED, REFUSED = "acknowledged", "refused"


@contextmanager
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the clock of locks show a time at which every lock that is held has expired."""
    clock = SimpleNamespace(**{**vars(time), "time": lambda: time.time() + 7200})
    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("zarr_vectors.storage.lock"), "time", clock)
        yield


@dataclass(slots=True)
class Suspended(FaultyStorage):
    """A storage at one request of which somebody else does something."""

    meanwhile: Callable[[], None] | None = None

    def _meets(self, kind: str) -> bool:
        with self._guard:
            self.requests += 1
            first = self.at is not None and self.requests >= self.at
        # Between its last look at the marker and a deletion nothing but the store itself could hold a writer up.
        if first and self.meanwhile is not None and kind != "delete":
            self.at = None
            self.meanwhile()
        return False


def rows(place: Any) -> set[bytes]:
    return {row.tobytes() for row in read_points(place).positions}


def attempt(change: Change, place: Any) -> str:
    """Make a change; say whether it was acknowledged or refused by name."""
    try:
        change(place)
    except ZarrVectorsError:
        return REFUSED
    return ACKNOWLEDGED


def judge(place: Any, name: str, outcome: str, before: set[bytes]) -> None:
    """Hold a store to the promise: what was acknowledged is there, and all of it is of one piece."""
    edit.append_vertices(place, LAST)  # completes or discards what was left
    found = rows(place)
    mine, theirs = ({row.tobytes() for row in each} for each in (OTHERS, MORE))
    assert {LAST.tobytes()} <= found
    if name == "replace" and outcome == ACKNOWLEDGED and not theirs & found:
        assert found == mine | {LAST.tobytes()}  # as if it had come after the other writer
    else:
        assert theirs <= found
        changes = {"append by an edit": mine, "append by mode='a'": mine, "partition": {OTHERS[0].tobytes()}}
        if outcome == ACKNOWLEDGED:
            assert changes.get(name, set()) <= found
        elif name not in ("partition",):
            assert found == before | theirs | {LAST.tobytes()}
    assert validate(place, level=5).is_valid


def prepare(place: Any) -> set[bytes]:
    write_points(place, POINTS, bounds=([0] * 3, [80] * 3), chunk_shape=20, shard_shape=2)
    build_pyramid(place, [(2.0, 1.0)])
    return rows(place)


@pytest.mark.parametrize("name", CHANGES)
def test_on_an_object_store(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    template = resolve_storage(f"memory://overtaken-{uuid.uuid4().hex}/s", mode="w")
    before = prepare(template)
    objects = contents(template)

    def run(at: int | None) -> tuple[int, str]:
        inner = resolve_storage(f"memory://overtaken-{uuid.uuid4().hex}/s", mode="w")
        inner.put_many(objects.items())

        def meanwhile() -> None:
            with later(monkeypatch):
                edit.append_vertices(inner, MORE)

        storage = Suspended(inner, at, meanwhile=meanwhile)
        outcome = attempt(CHANGES[name], storage)
        if storage.at is not None:
            meanwhile()  # there was nothing left but deletions
        if at is not None:
            judge(inner, name, outcome, before)
        return storage.requests, outcome

    count, _ = run(None)
    outcomes = [run(at)[1] for at in moments(count)]
    assert {ACKNOWLEDGED, REFUSED} == set(outcomes)


@pytest.mark.parametrize("name", CHANGES)
def test_in_a_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = tmp_path / "template"
    before = prepare(template)

    def run(at: int | None) -> tuple[int, str]:
        place = tmp_path / uuid.uuid4().hex / "s"
        place.parent.mkdir()
        shutil.copytree(template, place)
        calls = 0
        is_inside = False

        def count() -> None:
            nonlocal calls, is_inside
            if is_inside:
                return
            calls += 1
            if calls == at:
                is_inside = True
                with later(monkeypatch):
                    edit.append_vertices(place, MORE)
                is_inside = False

        with file_faults(place.parent, before=count):
            outcome = attempt(CHANGES[name], place)
        if at is not None:
            judge(place, name, outcome, before)
        shutil.rmtree(place.parent)
        return calls, outcome

    count, _ = run(None)
    outcomes = [run(at)[1] for at in moments(count)]
    assert {ACKNOWLEDGED, REFUSED} == set(outcomes)


def moments(count: int) -> list[int]:
    """Return at which requests to suspend: the first, the last and some between; all of them where that is wanted."""
    steps = count if "ZARR_VECTORS_EVERY_MOMENT" in os.environ else 9
    return sorted(set(np.linspace(1, count, steps).astype(int).tolist()))


def contents(storage: Storage) -> dict[str, bytes]:
    addresses = storage.list_all()
    blobs = get_whole(storage, addresses)
    return {address: bytes(blob or b"") for address, blob in zip(addresses, blobs, strict=True)}
