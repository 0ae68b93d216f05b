"""Readers that know a store by its path, while another process changes it over and over."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors
from tests.servers import s3_server
from zarr_vectors import edit
from zarr_vectors.exceptions import ArrayError, MetadataError, StoreChangedError
from zarr_vectors.read import opening
from zarr_vectors.read import steady as steadily
from zarr_vectors.read.openings import Opening
from zarr_vectors.storage.journal import Transaction
from zarr_vectors.storage.layers import ReadingLayer
from zarr_vectors.storage.lock import JOURNAL_FOLDER, MARKER_NAME
from zarr_vectors.storage.port import Blob, Listing, Range, Storage, put_one
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.crashes import contents_of
from zarr_vectors.testing.faults import FaultyStorage
from zarr_vectors.testing.scenarios import write_some_points
from zarr_vectors.testing.storage import RecordingStorage
from zarr_vectors.types.points import read_points, write_points

ROWS = 3000
SAME_PACKAGE = {**os.environ, "PYTHONPATH": str(Path(zarr_vectors.__file__).parents[1])}
WRITERS = {
    "replace": "write_points(path, positions, attributes={'state': np.full(len(positions), k)}, **space)",
    "edit": "edit.set_attribute(path, 'state', np.full(len(positions), k))",
}


@pytest.mark.parametrize("change", sorted(WRITERS))
@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_a_reading_is_of_one_state(tmp_path: Path, change: str, revision: str) -> None:
    store = tmp_path / "s.zv"
    prologue = (
        "import sys, numpy as np; from zarr_vectors import edit; from zarr_vectors.types.points import write_points\n"
        f"path, rng = {str(store)!r}, np.random.default_rng(0)\n"
        f"positions = rng.uniform(0, 100, ({ROWS}, 3))\n"
        "space = dict(chunk_shape=25, bounds=([0] * 3, [100] * 3), compressor=None, "
        f"format_version={revision!r})\n"
        "k = 0\n"
    )
    subprocess.run([sys.executable, "-c", prologue + WRITERS["replace"]], check=True)
    program = f"import time\n{prologue}for k in range(1, 13):\n    time.sleep(0.03)\n    {WRITERS[change]}\n"
    with subprocess.Popen([sys.executable, "-c", program]) as writer:
        seen: list[int] = []
        while writer.poll() is None:
            states = np.unique(read_points(store).attributes["state"])
            assert len(states) == 1
            seen.append(int(states[0]))
        assert writer.wait() == 0
    seen.append(int(read_points(store).attributes["state"][0]))
    assert seen == sorted(seen)
    assert seen[-1] == 12
    assert len(set(seen)) > 1


@pytest.mark.parametrize(("change", "revision"), [("edit", "0.9"), ("replace", "0.7")])
def test_a_reading_from_an_object_store_is_of_one_state(change: str, revision: str) -> None:
    with s3_server() as server:
        server.make_bucket("bucket")
        url = f"s3://bucket/{uuid.uuid4().hex}"
        prologue = (
            "import sys, functools, numpy as np; from zarr_vectors import edit\n"
            "from zarr_vectors.types import points\n"
            f"path, rng, options = {url!r}, np.random.default_rng(0), {server.options!r}\n"
            "positions = rng.uniform(0, 100, (200, 3))\n"
            "space = dict(chunk_shape=50, bounds=([0] * 3, [100] * 3), compressor=None, "
            f"format_version={revision!r}, **options)\n"
            "write_points = points.write_points\n"
            "k = 0\n"
        )
        writing = {**WRITERS, "edit": "edit.set_attribute(path, 'state', np.full(len(positions), k), **options)"}
        subprocess.run([sys.executable, "-c", prologue + writing["replace"]], check=True, env=SAME_PACKAGE)
        program = f"{prologue}for k in range(1, 6):\n    {writing[change]}\n"
        seen: list[int] = []
        with subprocess.Popen([sys.executable, "-c", program], env=SAME_PACKAGE) as writer:
            while writer.poll() is None:
                states = np.unique(read_points(url, **server.options).attributes["state"])
                assert len(states) == 1
                seen.append(int(states[0]))
            assert writer.wait() == 0
        seen.append(int(read_points(url, **server.options).attributes["state"][0]))
    assert seen == sorted(seen)
    assert seen[-1] == 5
    assert len(set(seen)) > 1


@dataclass(slots=True)
class Interrupted(ReadingLayer):
    """A storage to which something happens before some of the calls that read it."""

    inner: Storage
    happens: dict[int, Callable[[], None]]
    calls: int = 0
    guard: threading.RLock = field(default_factory=threading.RLock)

    def meanwhile(self) -> None:
        with self.guard:
            self.calls += 1
            self.happens.pop(self.calls, lambda: None)()

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        self.meanwhile()
        return self.inner.get_many(requests)

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        self.meanwhile()
        return self.inner.list_folders(prefixes)

    def list_all(self, prefix: str = "") -> list[str]:
        self.meanwhile()
        return self.inner.list_all(prefix)

    def exists(self, address: str) -> bool:
        self.meanwhile()
        return self.inner.exists(address)


CHANGES: dict[str, Callable[[Any, str], Any]] = {
    "edit": lambda place, revision: edit.set_attribute(place, "tag", np.arange(40) + 1000),
    "append": lambda place, revision: write_some_points(place, revision, 1, "a"),
    "replace": lambda place, revision: write_some_points(place, revision, 1),
    "delete": lambda place, revision: edit.delete_objects(place, [2]),
}


def same_rows(first: Any, second: Any) -> bool:
    columns = [{"": one.positions, "owner": one.object_ids, **one.attributes} for one in (first, second)]
    return columns[0].keys() == columns[1].keys() and all(
        np.array_equal(columns[0][name], columns[1][name]) for name in columns[0]
    )


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize("revision", ["0.7", "0.9"])
def test_a_change_at_any_request_of_a_reader(change: str, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a change is made before one request of the reader, the rest of it before a later one."""
    inner = resolve_storage(f"memory://{uuid.uuid4().hex}", mode="w")
    write_some_points(inner, revision)
    before, old = contents_of(inner), read_points(inner)
    steps = RecordingStorage(inner)
    CHANGES[change](FaultyStorage(steps), revision)
    new = read_points(inner)
    place = Interrupted(inner, {})
    monkeypatch.setattr(opening, "resolve_storage", lambda *arguments, **options: place)
    read_points("memory://by-its-url")
    calls, mixed = place.calls, 0
    unsteady = read_points.__wrapped__  # type: ignore[attr-defined]
    assert calls > 5

    def make(log: list[tuple[str, bytes | None]]) -> Callable[[], None]:
        return lambda: [inner.delete_many([a]) if b is None else put_one(inner, a, b) for a, b in log] and None

    rng = np.random.default_rng(0)
    cases = [(at, at + 1, len(steps.log)) for at in range(1, calls + 1)]
    cases += [(*sorted(rng.choice(calls, 2, replace=False) + 1), rng.integers(1, len(steps.log))) for _ in range(60)]
    for first, second, cut in cases:
        for read in (read_points, unsteady):
            inner.delete_prefix()
            inner.put_many(before.items())
            place.happens = {int(first): make(steps.log[:cut]), int(second): make(steps.log[cut:])}
            place.calls = 0
            try:
                is_one = any(same_rows(read("memory://by-its-url"), state) for state in (old, new))
            except (ArrayError, MetadataError):
                is_one = False
            assert is_one or read is unsteady, (first, second, cut)
            mixed += not is_one
    assert mixed > 0 or change == "edit"  # which is of one array, read at once


def test_large_documents_are_compared_to_their_end() -> None:
    """They may be older than the record that was read at the same time; of the root all but copies of the others."""
    inner = resolve_storage(f"memory://{uuid.uuid4().hex}", mode="w")
    root = b'{"attributes": {}, "consolidated_metadata": '
    held = {"zarr.json": root + b"1" * 99_999, "0/zarr.json": b"0" * 99_999, "0/vertices/zarr.json": None}
    inner.put_many((name, blob) for name, blob in held.items() if blob is not None)
    found = Opening.of(inner, held, None, frozenset())
    assert found.holds()
    for name, blob, same in (
        ("zarr.json", root + b"2", True),
        ("zarr.json", b'{"attributes": {}, "consolidated": 1}', False),
        ("0/zarr.json", b"0" * 99_998 + b"1", False),
        ("0/zarr.json", b"0" * 100_000, False),
        ("0/zarr.json", b"0" * 99_998, False),
        ("0/vertices/zarr.json", b"", False),
    ):
        put_one(inner, name, blob)
        assert found.holds() == same
        before = held[name]
        inner.delete_many([name])
        if before is not None:
            put_one(inner, name, before)
        assert found.holds()


def test_a_store_that_never_rests_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steadily, "PATIENCE", 0.2)
    write_points(tmp_path / "s.zv", np.zeros((3, 3)))
    asked = []

    @steadily.steady
    def read(path: Path) -> int:
        asked.append(path)
        (path / f"{len(asked)}").touch()
        return len(asked)

    with pytest.raises(StoreChangedError, match=r"whenever it was read, for 0\.2 seconds"):
        read(tmp_path / "s.zv")
    assert len(asked) > 2


def test_a_journal_that_becomes_final_is_noticed_however_coarse_the_clock_is(tmp_path: Path) -> None:
    store = tmp_path / "s.zv"
    write_points(store, np.zeros((3, 3)))
    transaction = Transaction(resolve_storage(store, mode="r+"))
    put_one(transaction, "0/x", b"new")
    journal = store / JOURNAL_FOLDER / transaction.identifier
    before, times = steadily.generation(store), journal.stat()
    (journal / MARKER_NAME).write_bytes(b"{}")
    os.utime(journal, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert steadily.generation(store) != before
    (journal / MARKER_NAME).unlink()
    os.utime(journal, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert steadily.generation(store) == before


def test_damage_stays_damage(tmp_path: Path) -> None:
    tries = []

    @steadily.steady
    def read(path: str) -> None:
        tries.append(path)
        raise ArrayError("broken")

    with pytest.raises(ArrayError, match="broken"):
        read(str(tmp_path))
    with pytest.raises(ArrayError, match="broken"):
        read("memory://nowhere")
    assert len(tries) == 1 + 2
