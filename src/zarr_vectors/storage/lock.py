"""Locks that keep writers of one store, or of one partition of it, from each other, and fence off who was overtaken.

A lock is two objects below ``.zv-lock/``. The gate, ``<what>.json``, is created only if it is absent, so that of those
who come at once one gets through. What counts is the second, ``<what>.<token>.json``: it is its holder's alone, is
written once, and names the holder, the expiry, and the one journal that the holder may make final. Who takes a lock
writes it first and looks at all others afterwards, so that of two holders at least one sees the other. A lock whose
holder was a process of this computer that runs no more is over at once.

A holder whose lock has expired may only be suspended. So before anybody goes on in its place

the marker of its journal is created, as void, only if it is absent. Of the two who create it one is refused: so either
the change was final before, and is completed, or it never becomes final. A void marker stays for a week, unless its
writer wakes up before and takes it away. A writer also looks for its lock once it has made its change final, so that
one that sleeps for longer learns of it.

Readers, and writers of other programs, ignore locks. Who holds the store holds it alone. Partitions are held at the
same time, by different writers; what concerns the store as a whole these change one after another, under a lock for a
short turn (:mod:`~zarr_vectors.storage.turns`).
"""

from __future__ import annotations

import getpass
import json
import random
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from zarr_vectors.exceptions import ArgumentError, MetadataError, StoreError, StoreLockedError
from zarr_vectors.storage.changes import note_change
from zarr_vectors.storage.documents import parse_document
from zarr_vectors.storage.port import INTERNAL_PREFIX, Storage, get_one, get_whole, put_one
from zarr_vectors.storage.processes import describe_process, is_dead
from zarr_vectors.storage.versioned import versions_of
from zarr_vectors.typing import Document

LOCK_FOLDER = f"{INTERNAL_PREFIX}lock"
"""Folder of the root that holds the locks."""

JOURNAL_FOLDER = f"{INTERNAL_PREFIX}journal"
"""Folder of the root that holds the journals."""

MARKER_NAME = "commit.json"
"""Name of the object that makes a journal final."""

DEFAULT_SECONDS = 3600.0
"""For how long a lock holds unless it is renewed, as it is while its process runs."""

TURN_SECONDS = 600.0
"""The same for a turn."""

STORE = "store"
TURN = "turn"
_PARTITION = "partition-"
_RENEWALS = 3
"""How often a lock is renewed before it would expire."""
_LEAST_PAUSE = 1.0
"""Seconds between two renewals, at least."""
_ATTEMPTS = 20
_LONGEST_PAUSE = 0.01
_LAST_SECOND = 253402300800
"""The year 10000, beyond which no lock is believed to hold."""

_NAME: Final = re.compile(r"(.+?)(?:\.([0-9a-f]{32})(\.alive)?)?\.json", re.ASCII)
_JOURNAL: Final = re.compile(r"[\w.%~-]{1,400}", re.ASCII)
VOID: Final = b'{"version": 1, "void": true}'
"""A marker that makes nothing final."""


@dataclass(slots=True)
class Lock:
    """A lock that is held.

    Attributes
    ----------
    storage : Storage
        The store.
    what : str
        What is held: the store, a partition, or the turn.
    document : dict
        ``owner``, what describes the process, ``token`` (this holder's alone), ``journal`` (what it may make final),
        ``expires`` (seconds since 1970).
    ttl : float
        Seconds for which taking or renewing it holds.
    inherited : dict of str to str
        Journals of former holders that were final when their locks were found to be over, and where these locks are.
    """

    storage: Storage
    what: str
    document: Document
    ttl: float
    inherited: dict[str, str] = field(default_factory=dict)
    _is_spent: bool = False

    @property
    def address(self) -> str:
        """Where the holder is named."""
        return _holder_address(self.what, self.document["token"])

    @property
    def journal(self) -> str:
        """Name of the journal that the holder may make final."""
        return str(self.document["journal"])

    def renew(self) -> None:
        """Hold the lock for another `ttl` seconds from now.

        The expiry goes into an object of its own, since writing that which names the holder again would bring back
        one that somebody has removed at this moment.

        Raises
        ------
        StoreLockedError
            It had expired and somebody else took it over, or it was broken.
        """
        if not self._is_there():
            raise self._loss()
        self.document = {**self.document, "expires": time.time() + self.ttl}
        put_one(self.storage, _alive(self.address), _encoded({"expires": self.document["expires"]}))

    def take_journal(self) -> str:
        """Return the journal for the next change; a lock is held anew, under another token, for each after the first.

        Raises
        ------
        StoreLockedError
            The lock was lost.
        """
        if self._is_spent:
            former = self.address
            self.document = _new_document(self.what, self.document["owner"], self.ttl)
            try:
                self._enter(also=former)
            except StoreLockedError:
                self.storage.delete_many([self.address])
                raise
            self.storage.delete_many([former, _alive(former)])
        self._is_spent = True
        return self.journal

    def release(self) -> None:
        """Give the lock up, unless somebody else has taken it over."""
        if self._is_there():
            self.storage.delete_many([self.address, _alive(self.address), _gate_address(self.what)])
        elif (blob := get_one(self.storage, marker_address(self.journal))) is not None and is_void(blob):
            self.storage.delete_many([marker_address(self.journal)])  # it has done what it was made for

    def _enter(self, also: str = "") -> bool:
        """Name the holder, and then look at all others; say whether the lock is in the store that is there now."""
        put_one(self.storage, self.address, _encoded(self.document))
        names = self.storage.list_all(LOCK_FOLDER)
        _refuse_others(self, [name for name in names if name not in (self.address, also)])
        return self.address in names or self._is_there()

    def _loss(self) -> StoreLockedError:
        return lost(self.storage)

    def _is_there(self) -> bool:
        return self.storage.exists(self.address)


class _NoLock(Lock):
    """What stands for a lock where a storage's own transactions keep writers apart."""

    def renew(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


def lost(storage: Storage) -> StoreLockedError:
    """Return the error for a writer whose lock was lost: somebody else went on in its place."""
    return StoreLockedError(
        f"{storage.url}: the lock was lost, since it had expired and another writer took the store over; what was to "
        "be written has been discarded; make the change again"
    )


_held: Final[dict[str, Lock]] = {}
"""Locks of whole stores that this process holds during a block, by URL."""


def held_lock(storage: Storage) -> Lock | None:
    """Return the lock of a whole store that this process holds, if it does."""
    return _held.get(storage.url)


@contextmanager
def lock(
    storage: Storage,
    partition: str | None = None,
    owner: str | None = None,
    ttl: float = DEFAULT_SECONDS,
    journal: str | None = None,
) -> Iterator[Lock]:
    """Hold a store, or one partition of it, for writing during a block, however long that takes.

    At its end the change is noted (:func:`~zarr_vectors.storage.changes.note_change`).

    A storage that keeps versions is not locked: the block is a unit of its own transactions, all or nothing, and
    writers that changed the same learn of it when they commit.

    Parameters
    ----------
    storage : Storage
        The store.
    partition : str, optional
        Hold this partition only: other partitions may be held at the same time, the store may not.
    owner : str, optional
        Who is writing, for the message others get; the user's name by default.
    ttl : float
        Seconds after which others may take the lock over, should this process die.
    journal : str, optional
        The journal of another lock, where several are held for one change.

    Yields
    ------
    Lock
        Released at the end of the block.

    Raises
    ------
    StoreLockedError
        Somebody else holds it; the message names the holder and the expiry.
    """
    held = acquire(storage, partition, owner, ttl, journal)
    versions = versions_of(storage)
    try:
        if versions is not None:
            with versions.unit():
                yield held
            return
        try:
            with _noted(held), kept(held):
                yield held
        finally:
            held.release()
    finally:
        note_change(storage)


@contextmanager
def _noted(held: Lock) -> Iterator[None]:
    """Let the changes that are made to a store during a block know its lock."""
    if held.what != STORE:
        yield
        return
    url = held.storage.url
    former = _held.get(url)  # of this process as well, and overtaken
    _held[url] = held
    try:
        yield
    finally:
        if former is None:
            _held.pop(url, None)
        else:
            _held[url] = former


@contextmanager
def kept(held: Lock) -> Iterator[None]:
    """Renew a lock from time to time during a block, so that it outlasts its `ttl` while its process runs."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(max(held.ttl / _RENEWALS, _LEAST_PAUSE)):
            try:
                held.renew()
            except StoreLockedError:
                return
            except StoreError:
                continue  # the storage may answer again before the lock expires

    thread = threading.Thread(target=renew, name="zarr-vectors-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def acquire(
    storage: Storage,
    partition: str | None = None,
    owner: str | None = None,
    ttl: float = DEFAULT_SECONDS,
    journal: str | None = None,
) -> Lock:
    """Take a lock without a block; parameters and errors as :func:`lock`."""
    if ttl <= 0:
        raise ArgumentError(f"a lock of {ttl} seconds would have expired already: give a positive ttl")
    what = STORE if partition is None else _PARTITION + quote(partition, safe="")
    return _acquire(storage, what, owner, ttl, journal)


def acquire_turn(storage: Storage, journal: str, owner: str | None = None) -> Lock:
    """Take the lock of a turn, which who holds a partition needs to change what concerns the store as a whole.

    Parameters
    ----------
    storage : Storage
        The store.
    journal : str
        The journal of who holds the partition.
    owner : str, optional
        As for :func:`lock`.

    Raises
    ------
    StoreLockedError
        Somebody else holds it.
    """
    return _acquire(storage, TURN, owner, TURN_SECONDS, journal)


def _acquire(storage: Storage, what: str, owner: str | None, ttl: float, journal: str | None) -> Lock:
    document = _new_document(what, owner, ttl, journal)
    if versions_of(storage) is not None:
        return _NoLock(storage, what, document, ttl)
    for left in reversed(range(_ATTEMPTS)):
        held = Lock(storage, what, document, ttl)
        if not storage.put_if_absent(_gate_address(what), _encoded(document)):
            _open_gate(held)
            continue
        try:
            if held._enter():
                return held
        except BaseException as error:
            storage.delete_many([held.address, _gate_address(what)])
            if left < _ATTEMPTS // 2 or not isinstance(error, _SameLockedError):
                raise
            time.sleep(random.uniform(0, _LONGEST_PAUSE))  # both may have come through a gate that was removed twice
    raise StoreLockedError(f"{storage.url} is being locked again and again by other writers; try again later")


def _open_gate(held: Lock) -> None:
    """Remove a gate whose maker is over.

    Raises
    ------
    StoreLockedError
        It is not.
    """
    storage, gate = held.storage, _gate_address(held.what)
    found = read_lock(storage, gate)
    if found is None:
        return  # released since
    address = _holder_address(held.what, str(found.get("token")))
    current = read_lock(storage, address)
    if current is None:
        current = found if read_lock(storage, gate) == found else None
    if current is None:
        return
    if not is_over(storage, address, current):
        raise _locked(storage, current)
    settle(held, address, current)
    storage.delete_many([gate])
    time.sleep(random.uniform(0, _LONGEST_PAUSE))  # others may do the same at this moment


def _refuse_others(held: Lock, names: list[str]) -> None:
    """Refuse a lock with which one that is there conflicts; those that are over are fenced off and removed."""
    storage = held.storage
    parsed = {name: _NAME.fullmatch(name.removeprefix(f"{LOCK_FOLDER}/")) for name in names}
    others = [name for name, part in parsed.items() if part and part[2] and not part[3]]
    chosen = [name for name in others if _conflict(held.what, parsed[name][1])]  # type: ignore[index]
    blobs = get_whole(storage, chosen) if chosen else []
    found = {name: _parsed(blob, name) for name, blob in zip(chosen, blobs, strict=True) if blob is not None}
    for name, document in found.items():
        if document is not None and not is_over(storage, name, document):
            same = parsed[name][1] == held.what  # type: ignore[index]
            raise _locked(storage, document, _SameLockedError if same else StoreLockedError)
    for name, document in found.items():
        settle(held, name, document or {})
    if held.what == STORE:
        known = {*found, held.address}
        gone = [
            name for name, part in parsed.items() if not part or (part[3] and name.replace(".alive", "") not in known)
        ]
        gates = [name for name, part in parsed.items() if part and not part[2] and part[1] != STORE]
        if gone or gates:
            storage.delete_many(sorted({*gone, *gates}))


def _conflict(wanted: str, other: str) -> bool:
    """Say whether a lock cannot be taken while somebody else holds another."""
    if wanted == STORE:
        return True
    # Who takes a turn has a partition; where the store was taken over since, the change does not become final.
    return wanted == other or (other == STORE and wanted != TURN)


def settle(held: Lock, address: str, found: Document) -> None:
    """Fence off who held a lock that is over: what it has not made final it never does.

    Its lock stays where its change is final: whoever holds the store now completes it.

    Parameters
    ----------
    held : Lock
        The lock of who goes on in its place, which learns of what is final.
    address : str
        Where the former holder is named.
    found : dict
        What its lock says.
    """
    storage, journal = held.storage, found.get("journal")
    if isinstance(journal, str) and _JOURNAL.fullmatch(journal):
        marker = marker_address(journal)
        if not storage.put_if_absent(marker, VOID) and not is_void(get_one(storage, marker)):
            held.inherited[journal] = address
            return
        storage.delete_many([address, _alive(address)])
        folder = f"{JOURNAL_FOLDER}/{journal}"
        storage.delete_prefix(folder if is_dead(found) else f"{folder}/data")  # the dead need no void marker
        return
    storage.delete_many([address, _alive(address)])


def marker_address(journal: str) -> str:
    """Return the address of what makes a journal final."""
    return f"{JOURNAL_FOLDER}/{journal}/{MARKER_NAME}"


def is_void(marker: bytes | memoryview | None) -> bool:
    """Say whether a marker makes nothing final, or is not there any more."""
    return marker is None or bytes(marker) == VOID


def new_identifier() -> str:
    """Return the beginning of an identifier of a journal; those of later ones sort after it."""
    return f"{time.time_ns():020d}"


def _new_document(what: str, owner: str | None, ttl: float, journal: str | None = None) -> Document:
    token = uuid.uuid4().hex
    return {
        "owner": owner or _user(),
        **describe_process(),
        "token": token,
        "journal": journal or f"{new_identifier()}-{token}-{what}",
        "expires": time.time() + ttl,
    }


def _gate_address(what: str) -> str:
    return f"{LOCK_FOLDER}/{what}.json"


def _holder_address(what: str, token: str) -> str:
    return f"{LOCK_FOLDER}/{what}.{token}.json"


def _alive(address: str) -> str:
    return address.removesuffix(".json") + ".alive.json"


def break_lock(storage: Storage) -> list[Document]:
    """Remove every lock of a store, whoever holds it; give what they said.

    Only sensible when their holders are known to be dead. The lock of one whose change is final stays, expired, until
    the next writer has completed that change.
    """
    addresses = storage.list_all(LOCK_FOLDER)
    told: dict[str, Document] = {}
    kept_back: dict[str, Document] = {}
    for address, blob in zip(addresses, get_whole(storage, addresses), strict=True):
        part = _NAME.fullmatch(address.removeprefix(f"{LOCK_FOLDER}/"))
        document = _parsed(blob, address)
        if document is None or (part and part[3]):
            continue
        told[str(document.get("token", address))] = document
        journal = document.get("journal")
        named = part and part[2] and isinstance(journal, str) and _JOURNAL.fullmatch(journal)
        if named and not is_void(get_one(storage, marker_address(str(journal)))):
            kept_back[address] = {**document, "expires": 0}
    storage.delete_many([address for address in addresses if address not in kept_back])
    storage.put_many((address, _encoded(document)) for address, document in kept_back.items())
    return list(told.values())


def refuse_held(storage: Storage) -> None:
    """Refuse a store that somebody holds; nothing is taken.

    Raises
    ------
    StoreLockedError
        Naming the holder.
    """
    for address in storage.list_all(LOCK_FOLDER):
        found = None if address.endswith(".alive.json") else read_lock(storage, address)
        if found is not None and not is_over(storage, address, found):
            raise _locked(storage, found)


def is_held(storage: Storage, what: str, token: str) -> bool:
    """Say whether a lock is there, whose holder is not known to be dead."""
    found = read_lock(storage, _holder_address(what, token))
    return found is not None and not is_dead(found)


class _SameLockedError(StoreLockedError):
    """The very lock that is wanted has another holder."""


def _locked(storage: Storage, found: Document, kind: type[StoreLockedError] = StoreLockedError) -> StoreLockedError:
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found.get("expires", 0)))
    who = f"{found.get('owner', 'somebody')} on {found.get('host', '?')} (process {found.get('pid', '?')})"
    return kind(
        f"{storage.url} is being written by {who} until {until}; wait, or break the lock if that "
        f"process is known to be dead"
    )


def is_over(storage: Storage, address: str, document: Document) -> bool:
    """Say whether a lock holds no longer: it has expired unrenewed, or its holder on this computer is dead."""
    if is_dead(document):
        return True
    expires = document.get("expires", 0)
    if not isinstance(expires, int | float) or expires > time.time():
        return not isinstance(expires, int | float)
    renewed = read_lock(storage, _alive(address)) or {}
    return bool(renewed.get("expires", 0) <= time.time())


def _encoded(document: Document) -> bytes:
    return json.dumps(document).encode()


def read_lock(storage: Storage, address: str) -> Document | None:
    """Return what a lock says, None where there is none; one that cannot be read is over."""
    return _parsed(get_one(storage, address), address)


def _parsed(blob: bytes | memoryview | None, address: str) -> Document | None:
    if blob is None:
        return None
    try:
        document = parse_document(blob, address)
    except MetadataError:
        document = {}
    expires, token = document.get("expires"), document.get("token", "unknown")
    sound = isinstance(expires, int | float) and 0 <= expires < _LAST_SECOND
    if not sound or not isinstance(token, str) or not re.fullmatch(r"[\w-]{1,64}", token, re.ASCII):
        return {"owner": "an unreadable lock", "expires": 0}
    return document


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown user"
