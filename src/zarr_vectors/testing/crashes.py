"""What must hold after a crash, and the drivers that make crashes in this process."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.core.store import open_store
from zarr_vectors.exceptions import IncompleteStoreError, StoreNotFoundError
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.repair import repair
from zarr_vectors.storage.consolidated import CONSOLIDATED
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.latest import LATEST_ADDRESS
from zarr_vectors.storage.lock import JOURNAL_FOLDER, MARKER_NAME, break_lock
from zarr_vectors.storage.port import INTERNAL_PREFIX, Storage, get_whole
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.faults import FaultyStorage
from zarr_vectors.testing.scenarios import READERS, WRITERS, Scenario, other_revision
from zarr_vectors.testing.storage import RecordingStorage, SimulatedCrashError
from zarr_vectors.testing.syscalls import file_faults
from zarr_vectors.validate.running import validate

OLD, NEW, INCOMPLETE = "old", "new", "incomplete"


class BrokenPromiseError(AssertionError):
    """A store was found in a state that no crash may leave."""


@dataclass(frozen=True, slots=True)
class State:
    """What a store holds.

    Parameters
    ----------
    stored : str
        Digest of the objects that readers see; empty where nothing is.
    rows : str
        Digest of what the reader of its kind gives.
    """

    stored: str = ""
    rows: str = ""


NOTHING = State()


@dataclass(frozen=True, slots=True)
class Known:
    """What has been found out about stores, by the digest of all their objects, so that it is not done twice.

    Attributes
    ----------
    rows : dict of str to str
        Digest of what the reader of their kind gives.
    sound : set of str
        Which are valid at level 5.
    """

    rows: dict[str, str] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)


def state_of(place: Any, kind: str, known: Known | None = None) -> State:
    """Read a store as a user does.

    Parameters
    ----------
    place : str, path or Storage
        The store.
    kind : str
        Its kind.
    known : Known, optional
        Rows of stores with exactly these objects are not read again.

    Raises
    ------
    IncompleteStoreError
        What is there is the beginning of a store.
    """
    try:
        reader = open_reader(place)
    except StoreNotFoundError:
        return NOTHING
    contents = contents_of(reader.storage)
    stored, whole, rows = _digest_of(contents, CONSOLIDATED), _digest_of(contents), {} if known is None else known.rows
    if whole not in rows:
        rows[whole] = _rows_of(reader, kind)
    return State(stored, rows[whole])


def _rows_of(reader: StoreReader, kind: str) -> str:
    rows = hashlib.sha256()
    if reader.level(0).metadata.vertex_count:
        _digest(READERS[kind](reader), rows)
    return rows.hexdigest()


def _digest_of(contents: Mapping[str, bytes], without: str = "") -> str:
    """Give the digest of the objects that readers see, without a key of the root's document."""
    digest = hashlib.sha256()
    for address, data in sorted(contents.items()):
        if address.startswith(INTERNAL_PREFIX):
            continue
        if without and address == DOCUMENT_NAME:
            document = {k: v for k, v in json.loads(data).items() if k != without}
            data = json.dumps(document, sort_keys=True).encode()
        digest.update(f"{address} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _digest(value: Any, into: Any) -> None:
    """Feed whatever a reader gives to a digest, bit for bit."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        into.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            into.update(str(key).encode())
            _digest(value[key], into)
    elif is_dataclass(value):
        for one in fields(value):
            if not one.name.startswith("_"):
                _digest(getattr(value, one.name), into)
    elif isinstance(value, list | tuple | np.ndarray):
        for item in value:
            _digest(item, into)
    else:
        into.update(repr(value).encode())


@dataclass(slots=True)
class Trial:
    """A scenario with what its store holds before and after.

    Attributes
    ----------
    scenario : Scenario
        The case.
    template : dict of str to bytes
        Objects of the old store.
    source : str
        Folder of a store that changes read from.
    old, new : State
        What the store holds before and after.
    outcomes : Counter of str
        How often each state was found after a crash.
    known : Known
        What was found out about stores on the way.
    """

    scenario: Scenario
    template: dict[str, bytes]
    source: str
    old: State
    new: State
    outcomes: Counter[str] = field(default_factory=Counter)
    known: Known = field(default_factory=Known, repr=False)

    @classmethod
    def of(cls, scenario: Scenario, folder: Path) -> Trial:
        """Make the stores of a scenario in a folder, and see what they hold."""
        source = str(folder / "source")
        if not Path(source).exists():
            WRITERS[scenario.kind](source, other_revision(scenario.revision), 3, "w")
        place = folder / "template"
        shutil.rmtree(place, ignore_errors=True)
        template: dict[str, bytes] = {}
        old = NOTHING
        if scenario.prepare is not None:
            scenario.prepare(place)
            template = contents_of(resolve_storage(place))
            if not scenario.is_damaged:
                old = state_of(place, scenario.kind)
        scenario.run(place, source)
        new = state_of(place, scenario.kind)
        shutil.rmtree(place)
        return cls(scenario, template, source, old, new)

    def fill(self, storage: Storage) -> None:
        """Put the old store into an empty storage."""
        if self.template:
            storage.put_many(self.template.items())

    def judge(self, place: Any, *, by_repair: bool, again: bool = True) -> str:
        """Hold a place after a crash to the promise; give the state that it was found in.

        Parameters
        ----------
        place : str, path or Storage
            The store.
        by_repair : bool
            Put it right by ``repair``; otherwise the next change does so.
        again : bool
            Whether to make the change again where it did not happen.

        Raises
        ------
        BrokenPromiseError
            Naming what does not hold.
        """
        found = self.find(place, "after the crash")
        self.outcomes[found] += 1
        if by_repair or found == NEW:
            try:
                repair(place)
            except StoreNotFoundError:
                if self.old != NOTHING or found == NEW:
                    raise
            after = self.find(place, "after repair")
            if after == INCOMPLETE or (found != INCOMPLETE and after != found):
                raise BrokenPromiseError(f"{self.scenario.name}: {found} became {after} by repair")
            self._check(place, is_there=after != OLD or self.old != NOTHING)
        if again and found != NEW:
            self.scenario.run(place, self.source)
            if self.find(place, "after the change was made again") != NEW:
                raise BrokenPromiseError(f"{self.scenario.name}: made again it gave another result")
            self._check(place, is_there=True)
        return found

    def judge_opened(self, place: Any) -> str:
        """Hold a place after a crash to the promise, put right by the next opening for writing; as `judge` otherwise.

        Where there is no store to be opened yet, or one that cannot be trusted, ``repair`` puts it right.
        """
        found = self.find(place, "after the crash")
        if found == INCOMPLETE or (found == OLD and self.old == NOTHING):
            return self.judge(place, by_repair=True, again=False)
        self.outcomes[found] += 1
        open_store(place, mode="r+")
        if (after := self.find(place, "after it was opened for writing")) != found:
            raise BrokenPromiseError(f"{self.scenario.name}: {found} became {after} by opening it")
        self._check(place, is_there=True)
        return found

    def find(self, place: Any, when: str) -> str:
        """Say in which state a store is.

        Raises
        ------
        BrokenPromiseError
            It is in none that a crash may leave, or cannot be read.
        """
        if self.scenario.is_damaged and when == "after the crash":
            return INCOMPLETE
        try:
            state = state_of(place, self.scenario.kind, self.known)
        except IncompleteStoreError as error:
            if "repair" not in str(error):
                raise BrokenPromiseError(f"{self.scenario.name}: {error}") from error
            return INCOMPLETE
        except Exception as error:
            raise BrokenPromiseError(f"{self.scenario.name}, {when}: {type(error).__name__}: {error}") from error
        if state == self.new:
            return NEW
        if state == self.old:
            return OLD
        raise BrokenPromiseError(f"{self.scenario.name}, {when}: neither the old nor the new store")

    def _check(self, place: Any, *, is_there: bool) -> None:
        storage: Storage = resolve_storage(place, mode="r+")
        left = [one for one in storage.list_all() if one.startswith(INTERNAL_PREFIX) and one != LATEST_ADDRESS]
        if isinstance(place, Path):
            left += [one.name for one in place.parent.iterdir() if one.name.startswith(f".{place.name}")]
        if left:
            raise BrokenPromiseError(f"{self.scenario.name}: {left[:3]} were left behind")
        contents = _digest_of(contents_of(storage))
        if is_there and contents not in self.known.sound:
            report = validate(place, level=5)
            if not report.is_valid:
                raise BrokenPromiseError(f"{self.scenario.name}: {report.errors[0]}")
            self.known.sound.add(contents)


def contents_of(storage: Storage) -> dict[str, bytes]:
    """Give all objects of a storage."""
    addresses = storage.list_all()
    blobs = get_whole(storage, addresses)
    return {address: bytes(blob) for address, blob in zip(addresses, blobs, strict=True) if blob is not None}


def crash_in_memory(trial: Trial, at: int | None, kinds: Iterable[str] = ("put", "delete", "move")) -> tuple[int, Any]:
    """Run a scenario on an object store in memory that dies at a request; give the requests made and the place."""
    inner = resolve_storage(f"memory://crash-{uuid.uuid4().hex}/template", mode="w")
    trial.fill(inner)
    storage = FaultyStorage(inner, at, frozenset(kinds))
    try:
        trial.scenario.run(storage, trial.source)
    except SimulatedCrashError:
        break_lock(inner)  # its holder is this very process, which goes on
    return storage.requests, inner


def crash_everywhere_in_memory(trial: Trial) -> Iterator[tuple[int, Storage]]:
    """Give what an object store holds after a scenario died at its k-th request, for every k, ascending.

    The requests are made and recorded once. What a death at the k-th leaves is the old store with those before.

    Yields
    ------
    int, Storage
        The request, from 1 on, and the place, which is the same one every time.
    """
    steps = RecordingStorage(resolve_storage(f"memory://crash-{uuid.uuid4().hex}/template", mode="w"))
    trial.fill(steps.inner)
    trial.scenario.run(FaultyStorage(steps), trial.source)
    held = dict(trial.template)
    place = resolve_storage(f"memory://crash-{uuid.uuid4().hex}/template", mode="w")
    for at, (address, data) in enumerate(steps.log, 1):
        place.delete_prefix("")
        place.put_many(held.items())
        break_lock(place)  # its holder is this very process, which goes on
        yield at, place
        if data is None:
            held.pop(address, None)
        else:
            held[address] = data


def crash_in_folder(trial: Trial, folder: Path, at: int | None) -> tuple[int, Path]:
    """Run a scenario on a folder whose file system dies at a call; give the calls made and the store's folder."""
    place = folder / uuid.uuid4().hex / "template"
    place.parent.mkdir()
    trial.fill(resolve_storage(place, mode="w"))
    with file_faults(folder, at) as faults:
        try:
            trial.scenario.run(place, trial.source)
        except SimulatedCrashError:
            faults.at = None
            _bury(place)
    return faults.calls, place


def crash_everywhere_in_folder(trial: Trial, folder: Path) -> Iterator[tuple[int, Path]]:
    """Give what a folder holds when a scenario dies at its k-th call of the file system, for every k, ascending.

    The change is made once; before each call what is there is noted.

    Yields
    ------
    int, Path
        The call, from 1 on, and the store's folder, which is removed afterwards.
    """
    place = folder / uuid.uuid4().hex / "template"
    place.parent.mkdir()
    trial.fill(resolve_storage(place, mode="w"))
    seen: list[dict[Path, bytes | None]] = []
    with file_faults(folder, before=lambda: seen.append(_tree_of(place.parent))):
        trial.scenario.run(place, trial.source)
    for at, tree in enumerate(seen, 1):
        copy = folder / uuid.uuid4().hex
        for path, data in tree.items():
            if data is None:
                (copy / path).mkdir(parents=True)
            else:
                (copy / path).write_bytes(data)
        _bury(copy / place.name)
        yield at, copy / place.name
        shutil.rmtree(copy)


def _tree_of(folder: Path) -> dict[Path, bytes | None]:
    """Give all that is below a folder, and itself: folders (None) before the files in them (their content)."""
    tree: dict[Path, bytes | None] = {}
    for parent, _, files in os.walk(folder):
        here = Path(parent)
        tree[here.relative_to(folder)] = None
        for name in files:
            tree[(here / name).relative_to(folder)] = (here / name).read_bytes()
    return tree


def _bury(place: Path) -> None:
    """Make what this process left behind look as if it had died."""
    for path in [place, *place.parent.glob(f".{place.name}.zv-old-*")]:
        if path.exists():
            break_lock(resolve_storage(path, mode="r+"))
    for path in place.parent.glob(f".{place.name}.zv-new-*"):
        path.rename(path.with_name(path.name.replace(f"-{os.getpid()}-", f"-{DEAD}-")))
    for path in place.glob(f"{JOURNAL_FOLDER}/*/{MARKER_NAME}"):  # some name such a folder
        path.write_text(path.read_text().replace(f"-{os.getpid()}-", f"-{DEAD}-"))


DEAD = 2**22 + 1
"""A process number that none has."""
