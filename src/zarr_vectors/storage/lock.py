"""Locks that keep writers of one store, or of one partition of it, from each other.

A lock is an object below ``.zv-lock/`` that is created only if it is absent, and that names who holds it and
until when; one whose holder was a process of this computer that runs no more is over at once. Readers, and writers
of other programs, ignore it.

Who holds the store holds it alone. Partitions are held at the same time, by different writers; what concerns the
store as a whole these change one after another, under a lock for a short turn
(:mod:`~zarr_vectors.storage.turns`).
"""

from __future__ import annotations

import getpass
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from zarr_vectors.exceptions import ArgumentError, MetadataError, StoreError, StoreLockedError
from zarr_vectors.storage.changes import note_change
from zarr_vectors.storage.consolidated import drop_consolidated
from zarr_vectors.storage.documents import parse_document
from zarr_vectors.storage.port import INTERNAL_PREFIX, Storage, get_one, get_whole, put_one
from zarr_vectors.storage.processes import describe_process, is_dead
from zarr_vectors.storage.versioned import versions_of
from zarr_vectors.typing import Document

LOCK_FOLDER = f"{INTERNAL_PREFIX}lock"
"""Folder of the root that holds the locks."""

DEFAULT_SECONDS = 3600.0
"""For how long a lock holds unless it is renewed, as it is while its process runs."""

TURN_SECONDS = 600.0
"""The same for a turn."""

_STORE = "store"
_TURN = "turn"
_PARTITION = "partition-"
_CLAIM_SECONDS = 30.0
_RENEWALS = 3
"""How often a lock is renewed before it would expire."""
_LEAST_PAUSE = 1.0
"""Seconds between two renewals, at least."""
_ATTEMPTS = 20
_LAST_SECOND = 253402300800
"""The year 10000, beyond which no lock is believed to hold."""


@dataclass(slots=True)
class Lock:
    """A lock that is held.

    Attributes
    ----------
    storage : Storage
        The store.
    address : str
        Where the lock is.
    document : dict
        ``owner``, ``host``, ``pid``, ``pid_space``, ``token`` (this holder's alone), ``expires`` (seconds since 1970).
    ttl : float
        Seconds for which taking or renewing it holds.
    """

    storage: Storage
    address: str
    document: Document
    ttl: float

    def renew(self) -> None:
        """Hold the lock for another `ttl` seconds from now.

        Raises
        ------
        StoreLockedError
            It had expired and somebody else took it over, or it was broken.
        """
        if not self._is_ours():
            raise self._loss()
        self.document = {**self.document, "expires": time.time() + self.ttl}
        put_one(self.storage, self.address, _encoded(self.document))

    def confirm(self) -> None:
        """Renew the lock of a partition, and make sure that nobody holds the store.

        Raises
        ------
        StoreLockedError
            The lock was lost, or the store was taken after it had expired.
        """
        self.renew()
        _refuse_conflicts(self, is_partition=True)
        if not self._is_ours():
            raise self._loss()

    def release(self) -> None:
        """Give the lock up, unless somebody else has taken it over."""
        if self._is_ours():
            self.storage.delete_many([self.address])

    def _loss(self) -> StoreLockedError:
        return StoreLockedError(f"the lock {self.address!r} of {self.storage.url} was lost; stop writing")

    def _is_ours(self) -> bool:
        found = read_lock(self.storage, self.address)
        return found is not None and found.get("token") == self.document["token"]


class _NoLock(Lock):
    """What stands for a lock where a storage's own transactions keep writers apart."""

    def renew(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


@contextmanager
def lock(
    storage: Storage, partition: str | None = None, owner: str | None = None, ttl: float = DEFAULT_SECONDS
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

    Yields
    ------
    Lock
        Released at the end of the block.

    Raises
    ------
    StoreLockedError
        Somebody else holds it; the message names the holder and the expiry.
    """
    held = acquire(storage, partition, owner, ttl)
    versions = versions_of(storage)
    try:
        if versions is not None:
            with versions.unit():
                yield held
            return
        try:
            with kept(held):
                yield held
        finally:
            held.release()
    finally:
        note_change(storage)


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
    storage: Storage, partition: str | None = None, owner: str | None = None, ttl: float = DEFAULT_SECONDS
) -> Lock:
    """Take a lock without a block; parameters and errors as :func:`lock`."""
    if ttl <= 0:
        raise ArgumentError(f"a lock of {ttl} seconds would have expired already: give a positive ttl")
    held = _new_lock(storage, lock_address(partition), owner, ttl)
    if isinstance(held, _NoLock):
        return held
    for _ in range(_ATTEMPTS):
        if _take_alone(held, is_partition=partition is not None):
            return held
    raise StoreLockedError(f"{storage.url} is being replaced again and again by other writers; try again later")


def acquire_turn(storage: Storage, owner: str | None = None) -> Lock:
    """Take the lock of a turn, which who holds a partition needs to change what concerns the store as a whole.

    Raises
    ------
    StoreLockedError
        Somebody else holds it.
    """
    held = _new_lock(storage, f"{LOCK_FOLDER}/{_TURN}.json", owner, TURN_SECONDS)
    _take(held)
    try:
        drop_consolidated(storage)
    except BaseException:
        held.release()
        raise
    return held


def lock_address(partition: str | None = None) -> str:
    """Return the address of the lock of a partition, or of the store."""
    name = _STORE if partition is None else _PARTITION + quote(partition, safe="")
    return f"{LOCK_FOLDER}/{name}.json"


def _new_lock(storage: Storage, address: str, owner: str | None, ttl: float) -> Lock:
    document = {
        "owner": owner or _user(),
        **describe_process(),
        "token": uuid.uuid4().hex,
        "expires": time.time() + ttl,
    }
    kind = Lock if versions_of(storage) is None else _NoLock
    return kind(storage, address, document, ttl)


def break_lock(storage: Storage) -> list[Document]:
    """Remove every lock of a store, whoever holds it; give what they said.

    Only sensible when their holders are known to be dead.
    """
    addresses = storage.list_all(LOCK_FOLDER)
    found = [_parsed(blob, address) for address, blob in zip(addresses, get_whole(storage, addresses), strict=True)]
    storage.delete_many(addresses)
    return [document for document in found if document is not None]


def refuse_held(storage: Storage) -> None:
    """Refuse a store that somebody holds; nothing is taken.

    Raises
    ------
    StoreLockedError
        Naming the holder.
    """
    for address in storage.list_all(LOCK_FOLDER):
        found = read_lock(storage, address) if address.endswith(".json") else None
        if found is not None and not _is_over(found):
            raise _locked(storage, found)


def _take_alone(held: Lock, *, is_partition: bool) -> bool:
    """Take a lock with which no other conflicts; say whether it is there, and not in a store replaced meanwhile."""
    _take(held)
    try:
        _refuse_conflicts(held, is_partition=is_partition)
        if not held._is_ours():
            return False
        if not is_partition:
            drop_consolidated(held.storage)  # who takes the lock changes the nodes that the block holds copies of
    except BaseException:
        held.release()
        raise
    return True


def _take(held: Lock) -> None:
    """Create the lock, or take over one that is over; only one of those who try at once succeeds."""
    storage, address = held.storage, held.address
    for _ in range(_ATTEMPTS):
        if storage.put_if_absent(address, _encoded(held.document)):
            return
        found = read_lock(storage, address)
        if found is None:
            continue  # released since
        if not _is_over(found) or not _take_over(held, found):
            raise _locked(storage, found)
        return
    raise StoreLockedError(f"{storage.url} is being locked again and again by other writers; try again later")


def _take_over(held: Lock, expired: Document) -> bool:
    """Put our lock in the place of one that is over, under a claim to that very lock."""
    storage = held.storage
    claim = f"{held.address}.{expired.get('token', 'unknown')}.claim"
    if not storage.put_if_absent(claim, _encoded({**held.document, "expires": time.time() + _CLAIM_SECONDS})):
        if not _is_over(read_lock(storage, claim) or {"expires": 0}):
            return False
        storage.delete_many([claim])
        return False
    try:
        now = read_lock(storage, held.address) or {}
        if now.get("token") != expired.get("token"):
            return False
        put_one(storage, held.address, _encoded(held.document))
    finally:
        storage.delete_many([claim])
    return True


def _refuse_conflicts(held: Lock, *, is_partition: bool) -> None:
    """Refuse a partition of a store that is held, and a store of which a partition is held.

    Who has the store removes what the dead left. One that is taken over at this moment is given up again: who takes
    a partition looks for the lock of the store afterwards.
    """
    storage = held.storage
    others = [lock_address()] if is_partition else storage.list_all(LOCK_FOLDER)
    over = []
    for address, blob in zip(others, get_whole(storage, others) if others else [], strict=True):
        found = _parsed(blob, address)
        if found is None or address == held.address:
            continue
        if _is_over(found):
            over.append(address)
        elif address.endswith(".json"):
            raise _locked(storage, found)
    if over and not is_partition:
        storage.delete_many(over)


def _locked(storage: Storage, found: Document) -> StoreLockedError:
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found.get("expires", 0)))
    who = f"{found.get('owner', 'somebody')} on {found.get('host', '?')} (process {found.get('pid', '?')})"
    return StoreLockedError(
        f"{storage.url} is being written by {who} until {until}; wait, or break the lock if that "
        f"process is known to be dead"
    )


def _is_over(document: Document) -> bool:
    """Say whether a lock or claim holds no longer: it has expired, or its holder on this computer is dead."""
    return bool(document.get("expires", 0) <= time.time()) or is_dead(document)


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
