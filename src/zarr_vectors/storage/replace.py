"""Replacing a store as a whole: the old one is there until the new one is complete.

In a folder the new store is written beside the old one and the two are exchanged, once a marker in the old one says so:
who overtakes a writer before the exchange takes the new one away. Where nothing was it only gets its name, which fails
where somebody else has made a store meanwhile. Elsewhere it is staged in a journal; where nothing was, it is written in
place, with a note that says so until it is complete.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from zarr_vectors.exceptions import ReadOnlyStoreError, StoreError, StoreLockedError
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.exchange import exchange
from zarr_vectors.storage.journal import REPLACED, Transaction, make_final, swaps
from zarr_vectors.storage.journal import recover as recover_journals
from zarr_vectors.storage.latest import keeps_latest
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.lock import JOURNAL_FOLDER, LOCK_FOLDER, held_lock, lost, refuse_held
from zarr_vectors.storage.port import INTERNAL_PREFIX, Storage, get_whole, list_folder, put_one
from zarr_vectors.storage.processes import describe_process, is_abandoned, signature
from zarr_vectors.storage.versioned import versions_of

UNFINISHED_NOTE = f"{INTERNAL_PREFIX}unfinished.json"
"""Object of the root that says that what is beside it is incomplete."""

_NEW = ".zv-new-"
_OLD = ".zv-old-"
_LONGEST_KEPT = 160
"""Bytes of a store's name that names beside it can hold, with all else that they say: file systems take 255."""
_LETTERS_KEPT = 20
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


class _Way(Protocol):
    """How a replacement is carried out in one kind of storage."""

    def commit(self) -> None: ...
    def abort(self) -> None: ...


@dataclass(slots=True)
class Replacement:
    """A new store that will take the place of what is at an address.

    As a context manager it commits at the end of the block, and aborts when the block raises.

    Attributes
    ----------
    staging : Storage
        Where to write the new store; empty at first. Its root metadata must be written last.
    """

    staging: Storage
    _way: _Way
    _is_open: bool = True

    def commit(self) -> None:
        """Put the new store in place of the old one, which is deleted.

        Raises
        ------
        StoreError
            The replacement is closed already, or the storage fails; the old store is then still there, or
            the new one complete.
        """
        if not self._is_open:
            raise StoreError(f"the replacement of {self.staging.url} has been committed or aborted already")
        self._is_open = False
        self._way.commit()

    def abort(self) -> None:
        """Forget the new store; nothing of it stays behind. Does nothing once committed."""
        if self._is_open:
            self._is_open = False
            self._way.abort()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit, or abort when the block raised."""
        if kind is not None:
            self.abort()
        elif self._is_open:
            self.commit()


def begin_replacement(storage: Storage) -> Replacement:
    """Begin to write a store that will replace what is in a storage as a whole.

    Parameters
    ----------
    storage : Storage
        The place, empty or not. Whether what is there may be replaced is for the caller to judge.

    Returns
    -------
    Replacement
        With a `staging` storage that is empty.

    Raises
    ------
    ReadOnlyStoreError
        The storage refuses writes.
    """
    if storage.read_only:
        raise ReadOnlyStoreError(f"cannot write to {storage.url}: it was opened for reading only; use mode='w'")
    if isinstance(storage, LocalStorage):
        way = _Beside(storage)
        return Replacement(way.staging, way)
    if versions_of(storage) is not None:
        transaction = Transaction(storage, replaces=True)
        return Replacement(transaction, transaction)
    finish_or_clear(storage)
    if is_vacant(storage):
        put_one(storage, UNFINISHED_NOTE, json.dumps(describe_process()).encode())
        return Replacement(storage, _InPlace(storage))
    transaction = Transaction(storage, replaces=True)
    return Replacement(transaction, transaction)


def is_vacant(storage: Storage) -> bool:
    """Say whether a place holds nothing but locks and journals."""
    listing = list_folder(storage)
    if not all(name.startswith(INTERNAL_PREFIX) for name in [*listing.folders, *listing.files]):
        return False
    return not (keeps_latest(storage) and storage.exists(DOCUMENT_NAME))  # a listing may lag behind


def is_unfinished(storage: Storage) -> bool:
    """Say whether a place holds what an interrupted replacement of nothing left behind."""
    return storage.exists(UNFINISHED_NOTE)


def finish_or_clear(storage: Storage) -> str:
    """Settle what an interrupted replacement of nothing left behind.

    The root is written last: where it is there the store is complete, and only the note goes; else all of it goes.
    The caller knows that its writer is not at work any more, as who holds the lock does.

    Returns
    -------
    str
        ``"finished"``, ``"cleared"``, or ``""`` where there was nothing to settle.
    """
    if not is_unfinished(storage):
        return ""
    way = _InPlace(storage)
    if storage.exists(DOCUMENT_NAME):
        way.commit()
        return "finished"
    way.abort()
    return "cleared"


def put_back(storage: Storage) -> None:
    """Undo a swap by two renames that was interrupted between them, and remove what dead writers were writing.

    Raises
    ------
    StoreLockedError
        The swap's writer is at work.
    """
    if isinstance(storage, LocalStorage) and not storage.read_only and not storage.root.exists():
        restore_old(storage)
        remove_abandoned(storage)


def set_aside(storage: Storage) -> LocalStorage | None:
    """Return the old store that a swap by two renames has put aside at this moment, for reading; usually None."""
    if not isinstance(storage, LocalStorage) or storage.root.exists():
        return None
    kept = _siblings(storage, _OLD)
    return _NamedStorage(kept[-1], read_only=True, final=storage.root) if kept else None


def recover(storage: Storage, *, discard_unmarked: bool = True) -> list[str]:
    """Put a store right after an interruption: complete what was final, discard or undo the rest.

    Parameters
    ----------
    storage : Storage
        The store, open for writing.
    discard_unmarked : bool
        As :func:`zarr_vectors.storage.journal.recover`.

    Returns
    -------
    list of str
        Identifiers of the journals that were completed.
    """
    if isinstance(storage, LocalStorage):
        restore_old(storage)
        if discard_unmarked:
            _undo_swaps(storage)
        remove_abandoned(storage)
    elif versions_of(storage) is None and storage.exists(DOCUMENT_NAME):
        finish_or_clear(storage)
    return recover_journals(storage, discard_unmarked=discard_unmarked)


@dataclass(frozen=True, slots=True)
class _InPlace:
    """A new store written where nothing was."""

    storage: Storage

    def commit(self) -> None:
        self.storage.delete_many([UNFINISHED_NOTE])

    def abort(self) -> None:
        kept = [one for one in self.storage.list_all("") if not one.startswith(INTERNAL_PREFIX)]
        self.storage.delete_many(kept)
        self.storage.delete_many([UNFINISHED_NOTE])


class _Beside:
    """A new store in a folder beside the old one."""

    def __init__(self, target: LocalStorage) -> None:
        if os.path.exists(target.root) and not os.path.isdir(target.root):
            raise StoreError(f"{target.url}: a file is there, which a store does not replace; choose another path")
        remove_abandoned(target)
        self.target = target
        self.lock = held_lock(target)
        self.journal = None if self.lock is None else self.lock.take_journal()
        self._is_vacant = self.lock is None
        if self._is_vacant and _holds_anything(target.root):
            raise _taken(target.root)
        folder = target.root.parent / _beside(target.root.name)
        self._made = [parent for parent in folder.parents if not parent.exists()]
        self.staging = _NamedStorage(folder, fsync=target.fsync, atomic=False, final=target.root)

    def commit(self) -> None:
        new, final = self.staging.root, self.target.root
        try:
            new.mkdir(parents=True, exist_ok=True)
            if self._is_vacant or not final.exists():
                _name_new(new, final)
                return
            if self.lock is not None and self.journal is not None:
                _keep_locks(self.target, self.staging)
                marker = {"version": 1, REPLACED: new.name}
                make_final(self.target, self.journal, marker, [self.lock], self.abort)
            left = _put_in_place(new, final, self.target)
        except StoreError:
            self.abort()
            raise
        except OSError as error:
            if final.exists():
                shutil.rmtree(self.staging.root, ignore_errors=True)
            raise StoreError(f"cannot put the new store in place at {final}: {error.strerror or error}") from error
        shutil.rmtree(left, ignore_errors=True)  # the change is final; what is left goes with a later writer

    def abort(self) -> None:
        self.staging.delete_prefix("")
        for parent in self._made:
            with contextlib.suppress(OSError):  # not there, or in use by others
                parent.rmdir()


def _holds_anything(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _name_new(new: Path, final: Path) -> None:
    """Give a new store its name, where nothing is.

    Raises
    ------
    StoreLockedError
        Somebody else has made something there since.
    """
    try:
        os.rename(new, final)  # also over a folder that is empty, and over no other
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        raise _taken(final) from error


def _taken(final: Path) -> StoreLockedError:
    return StoreLockedError(
        f"{final}: another writer has made a store there meanwhile, which is not replaced; what was to be written has "
        "been discarded. Write again to replace it or to add to it"
    )


def _put_in_place(new: Path, final: Path, storage: LocalStorage) -> Path:
    """Exchange a new store and the old one; give the folder of the old one, which can go.

    Raises
    ------
    StoreLockedError
        The new one is not there: somebody else took the store over, and has removed it.
    """
    try:
        if exchange(new, final):
            return new
        if new.exists():
            old = final.parent / new.name.replace(_NEW, _OLD)
            os.rename(final, old)
            os.rename(new, final)
            return old
    except FileNotFoundError:
        if new.exists():
            raise
    raise lost(storage)


def _keep_locks(source: LocalStorage, target: LocalStorage) -> None:
    """Copy the locks of an old store into the new one, whose folder takes its place."""
    addresses = source.list_all(LOCK_FOLDER)
    pairs = zip(addresses, get_whole(source, addresses), strict=True)
    target.put_many((address, blob) for address, blob in pairs if blob is not None)


def _undo_swaps(storage: LocalStorage) -> None:
    """Forget the exchanges that were about to be made when their writers were interrupted, or overtaken.

    The new folder gets another name before it goes: who wakes up before the exchange does not find it any more.
    """
    for identifier, name in swaps(storage):
        folder = storage.root.parent / name
        claimed = folder.with_name(_beside(storage.root.name))
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, claimed)
            shutil.rmtree(claimed, ignore_errors=True)
        storage.delete_prefix(f"{JOURNAL_FOLDER}/{identifier}")


@dataclass(frozen=True, slots=True)
class _NamedStorage(LocalStorage):
    """A folder that goes by the URL and the name of the folder it will become."""

    final: Path = Path()

    @property
    def url(self) -> str:
        """Path of the folder that this one will become."""
        return str(self.final)

    @property
    def name(self) -> str:
        """Name of the folder that this one will become."""
        return self.final.name


def _start(name: str, kind: str) -> str:
    """Return how names beside a store begin: with that of the store, of which a long one is cut and told by a hash."""
    if len(os.fsencode(name)) > _LONGEST_KEPT:
        name = f"{name[:_LETTERS_KEPT]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return f".{name}{kind}"


def _beside(name: str) -> str:
    """Return a new name beside a store: whose it is, and a random number."""
    return f"{_start(name, _NEW)}{signature()}{uuid.uuid4().hex[:8]}"


def _siblings(storage: LocalStorage, kind: str) -> list[Path]:
    """Return the folders beside a store that carry the mark of one kind: whose they are, and a random number."""
    mark = re.compile(re.escape(_start(storage.root.name, kind)) + r"[0-9a-f]{8}-\d+-\d+-[0-9a-f]{8}")
    try:
        with os.scandir(storage.root.parent) as entries:
            return sorted(Path(entry.path) for entry in entries if mark.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove_abandoned(storage: LocalStorage) -> None:
    """Remove staging folders beside a store whose writers on this computer do not run any more."""
    named = {name for _, name in swaps(storage)}
    for path in _siblings(storage, _NEW):
        if path.name not in named and is_abandoned(path.name.rpartition(_NEW)[2]):
            shutil.rmtree(path, ignore_errors=True)


def restore_old(storage: LocalStorage) -> None:
    """Put the old store back where a swap by two renames was interrupted between them.

    Raises
    ------
    StoreLockedError
        Its writer is at work, and about to make the second.
    """
    kept = _siblings(storage, _OLD)
    if kept and not storage.root.exists():
        refuse_held(LocalStorage(kept[-1], read_only=True))
        os.rename(kept.pop(), storage.root)
    for path in kept:
        shutil.rmtree(path, ignore_errors=True)
