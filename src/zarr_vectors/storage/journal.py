"""The redo journal: changes to a store that become final all at once.

New objects are staged under ``.zv-journal/<id>/data/``. One marker, ``.zv-journal/<id>/commit.json``, makes
the change final; it lists what is to be moved into place and what is to be deleted. Applying it may be
interrupted anywhere and done again, and gives the same result. Without a marker, or with a void one, a journal means
nothing. The marker is created only if it is absent: who takes the store over from a writer makes that writer's void
(:mod:`~zarr_vectors.storage.lock`).

A writer that is suspended while it applies its journal, and goes on after others have completed it, does no harm:
what it would move is gone, and it deletes nothing once its marker is gone.

A storage that keeps versions has transactions of its own, which take the place of all this.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import zarr.abc.store

from zarr_vectors.exceptions import MetadataError, ReadOnlyStoreError, StoreError
from zarr_vectors.storage.adapter import StorageStore
from zarr_vectors.storage.concurrency import together
from zarr_vectors.storage.consolidated import without_consolidated
from zarr_vectors.storage.documents import DOCUMENT_NAME, parse_document
from zarr_vectors.storage.latest import Latest, keeps_latest, read_latest, write_latest
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.lock import (
    JOURNAL_FOLDER,
    Lock,
    held_lock,
    is_void,
    lost,
    marker_address,
    new_identifier,
)
from zarr_vectors.storage.overlay import OverlayStorage
from zarr_vectors.storage.port import (
    INTERNAL_PREFIX,
    Blob,
    BlobParts,
    Listing,
    Range,
    Storage,
    check_address,
    check_prefix,
    get_whole,
    is_address,
    join,
    list_folder,
    put_one,
)
from zarr_vectors.storage.versioned import versions_of
from zarr_vectors.typing import Bytes, Document

REPLACED = "replaced"
"""Key of a marker under which a folder stands that takes the place of the whole store."""

_DATA = "data"
_WEEK = 7 * 24 * 3600 * 10**9


@dataclass(slots=True)
class Transaction:
    """A storage whose writes and deletions are staged until `commit`, and seen by its own reads at once.

    As a context manager it commits at the end of the block, and aborts when the block raises.

    Attributes
    ----------
    storage : Storage
        The store to be changed.
    replaces : bool
        The staged objects are to be all that the store holds: everything else is deleted by the commit,
        and not seen through this transaction.
    locks : list of Lock
        Locks without which the change must not become final; by default that of the whole store, where it is held.
    keeps_consolidated : bool
        Leave consolidated metadata as they are; otherwise they go with the change, which may make them wrong.
    identifier : str
        Name of the journal's folder; later journals sort after earlier ones.
    """

    storage: Storage
    replaces: bool = False
    locks: list[Lock] = field(default_factory=list)
    keeps_consolidated: bool = False
    identifier: str = field(default="", init=False)
    _view: OverlayStorage = field(init=False, repr=False)
    _fork: Storage | None = field(default=None, init=False, repr=False)
    _is_open: bool = field(default=True, init=False, repr=False)

    def __post_init__(self) -> None:
        """Look through what will be staged."""
        held = held_lock(self.storage)
        if not self.locks and held is not None:
            self.locks = [held]
        self.identifier = self.locks[0].take_journal() if self.locks else f"{new_identifier()}-{uuid.uuid4().hex[:8]}"
        folder = f"{JOURNAL_FOLDER}/{self.identifier}/{_DATA}"
        self._view = OverlayStorage(self.storage, folder, hides_inner=self.replaces)
        versions = versions_of(self.storage)
        if versions is not None and not self.storage.read_only:
            self._fork = versions.fork()
            if self.replaces:
                self._fork.delete_prefix("")

    @property
    def url(self) -> str:
        """The URL of the store."""
        return self.storage.url

    @property
    def name(self) -> str:
        """The name of the store."""
        return self.storage.name

    @property
    def read_only(self) -> bool:
        """As the store."""
        return self.storage.read_only

    @property
    def can_list(self) -> bool:
        """As the store."""
        return self.storage.can_list

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read staged objects where there are any, else those of the store."""
        return (self._fork or self._view).get_many(requests)

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix, with what is staged and without what is deleted."""
        return (self._fork or self._view).list_folders(prefixes)

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth, with what is staged and without what is deleted."""
        return (self._fork or self._view).list_all(prefix)

    def exists(self, address: str) -> bool:
        """Say whether an object is staged, or there and not deleted."""
        return (self._fork or self._view).exists(address)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Stage objects."""
        self._check_open()
        if self._fork is not None:
            self._fork.put_many(items)
            return
        try:
            self.storage.put_many(self._staging(items))
        except StoreError as error:
            if any(blob is None for blob in get_whole(self.storage, [one.address for one in self.locks])):
                raise lost(self.storage) from error
            raise

    def _staging(self, items: Iterable[tuple[str, BlobParts]]) -> Iterator[tuple[str, BlobParts]]:
        for address, data in items:
            self._view.staged.add(check_address(address))
            self._view.deleted.discard(address)
            yield join(self._view.folder, address), data

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Stage one object unless there is one; atomic only against this transaction's own threads."""
        if self.exists(address):
            return False
        put_one(self, address, data)
        return True

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Take staged objects back, and mark those of the store for deletion."""
        self._check_open()
        if self._fork is not None:
            self._fork.delete_many(addresses)
            return
        chosen = {check_address(address) for address in addresses}
        unstaged = chosen & self._view.staged
        self._view.staged.difference_update(unstaged)
        self._view.deleted.update(chosen)
        if unstaged:
            self.storage.delete_many([join(self._view.folder, address) for address in sorted(unstaged)])

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete what is below a prefix, as seen through this transaction; a node there even if no listing knows it."""
        top = check_prefix(prefix)
        found = self.list_all(top)
        document = join(top, DOCUMENT_NAME)
        unlisted = keeps_latest(self.storage) and document not in found and self.exists(document)
        self.delete_many([*found, document] if unlisted else found)

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Stage copies under the new addresses and delete the old ones."""
        blobs = get_whole(self, [source for source, _ in pairs])
        found = [(pair, blob) for pair, blob in zip(pairs, blobs, strict=True) if blob is not None]
        self.put_many((target, blob) for (_, target), blob in found)
        targets = {target for _, target in pairs}
        self.delete_many([source for (source, _), _ in found if source not in targets])

    def zarr_store(self) -> zarr.abc.store.Store:
        """Give the same view as a zarr-python store that stages what it writes."""
        return StorageStore(self)

    def commit(self) -> None:
        """Make the change final, then apply it.

        Once the marker is written the change is final: if applying it is interrupted, `recover` completes it.

        Raises
        ------
        StoreLockedError
            Another writer, who took the store over when the lock had expired, has discarded what was staged.
        StoreError
            The transaction is closed already, or the store fails.
        """
        self._check_open()
        versions = versions_of(self.storage)
        if versions is not None and self._fork is not None:
            self._is_open = False
            versions.adopt(self._fork)
            return
        view = self._view
        if not self.keeps_consolidated and not self.replaces and (view.staged or view.deleted):
            self._drop_consolidated()
        deleted = set(view.deleted)
        if self.replaces:
            kept = (one for one in self.storage.list_all("") if not one.startswith(INTERNAL_PREFIX))
            deleted.update(kept)
        marker = {"version": 1, "moves": sorted(view.staged), "deletions": sorted(deleted - view.staged)}
        if view.staged or marker["deletions"]:
            self._require_staged()
            write_latest(self.storage, self.identifier, is_in_place=False)
            make_final(self.storage, self.identifier, marker, self.locks, self.abort)
            self._is_open = False
            try:
                latest = read_latest(self.storage)
                if latest is not None and latest.identifier != self.identifier:  # of a writer that was overtaken
                    write_latest(self.storage, self.identifier, is_in_place=False)
                _apply(self.storage, self.identifier, marker)
            except StoreError as error:
                raise StoreError(
                    f"{error}; the change as a whole is final all the same: readers see it, and the next writer, or "
                    "zarr_vectors.repair.repair, completes it"
                ) from error
        self._is_open = False

    def _drop_consolidated(self) -> None:
        """Stage the root without consolidated metadata, where it has some."""
        stripped = without_consolidated(self._view)
        if stripped is not None:
            put_one(self.storage, join(self._view.folder, DOCUMENT_NAME), stripped)
            self._view.staged.add(DOCUMENT_NAME)

    def _require_staged(self) -> None:
        """Refuse to make final what is not all there any more; who overtakes a writer discards what it staged."""
        folder = self._view.folder
        staged = {join(folder, address) for address in self._view.staged}
        missing = staged.difference(self.storage.list_all(folder) if self.storage.can_list else ())
        if not all(self.storage.exists(address) for address in sorted(missing)):  # a listing may lag behind
            self.abort()
            raise lost(self.storage)

    def abort(self) -> None:
        """Forget the change; nothing of it stays behind. Does nothing once committed."""
        if self._is_open:
            self._is_open = False
            staged = [join(self._view.folder, address) for address in sorted(self._view.staged)]
            self.storage.delete_many(staged)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit, or abort when the block raised."""
        if kind is None:
            if self._is_open:
                self.commit()
        else:
            self.abort()

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreError(f"the change to {self.url} has been committed or aborted already; begin another one")
        if self.storage.read_only:
            raise ReadOnlyStoreError(f"cannot write to {self.url}: it was opened for reading only; use mode='r+'")


def make_final(
    storage: Storage, identifier: str, marker: Document, locks: Sequence[Lock], forget: Callable[[], None]
) -> None:
    """Write the marker that makes a change final, unless its writer has been overtaken.

    Parameters
    ----------
    storage : Storage
        The store.
    identifier : str
        Name of the journal.
    marker : dict
        What is to be done.
    locks : sequence of Lock
        Locks that must be there still.
    forget : function
        Called where the change does not become final.

    Raises
    ------
    StoreLockedError
        A lock has been lost.
    StoreError
        The storage fails.
    """
    address = marker_address(identifier)
    holders = [one.address for one in locks]
    try:
        is_ours = all(one.journal == identifier for one in locks) and storage.put_if_absent(
            address, json.dumps({**marker, "locks": holders}).encode()
        )
    except StoreError:
        with suppress(StoreError):  # without storage that works, the next writer does this
            storage.delete_many([address])
            forget()
        raise
    if is_ours:
        there = all(blob is not None for blob in (get_whole(storage, holders) if holders else []))
        if there or not storage.exists(address):
            return  # or who took the store over has found the marker, and completed the change
    storage.delete_many([address])  # a void one has done what it was made for
    forget()
    raise lost(storage)


def recover(storage: Storage, *, discard_unmarked: bool = True) -> list[str]:
    """Complete changes that were final when they were interrupted, and discard the others.

    Parameters
    ----------
    storage : Storage
        The store, open for writing.
    discard_unmarked : bool
        Discard journals without a marker. Other writers may be filling theirs at this moment: only who
        holds the lock of the whole store may discard.

    Returns
    -------
    list of str
        Identifiers of the journals that were completed, in order.
    """
    completed = []
    held = held_lock(storage)
    inherited = {} if held is None else held.inherited
    mine = None if held is None else held.journal
    names = {*_identifiers(storage), *inherited} - {mine}
    for identifier, marker in _marked(storage, names):
        over = [inherited.pop(identifier)] if identifier in inherited else []
        if marker is not None and REPLACED not in marker:
            write_latest(storage, identifier, is_in_place=False)
            _apply(storage, identifier, marker, [*marker.get("locks", ()), *over])
            completed.append(identifier)
        elif marker is None and discard_unmarked:
            _discard(storage, identifier)
            storage.delete_many(over)
    return completed


def _discard(storage: Storage, identifier: str) -> None:
    """Remove what is not final; a void marker stays for a while, since it keeps who was overtaken from its change."""
    folder = f"{JOURNAL_FOLDER}/{identifier}"
    is_kept = new_identifier() < _outdated(identifier) and storage.exists(marker_address(identifier))
    storage.delete_prefix(f"{folder}/{_DATA}" if is_kept else folder)


def _outdated(identifier: str) -> str:
    """Return the identifier from which on nobody waits for the fate of a journal any more: a week later."""
    made = identifier.partition("-")[0]
    return f"{int(made) + _WEEK:020d}" if made.isdecimal() else ""


def overlay(storage: Storage) -> Storage | None:
    """Look through changes that are final but not applied yet.

    Parameters
    ----------
    storage : Storage
        The store.

    Returns
    -------
    Storage or None
        A view for reading; ``None`` when there is nothing to look through. Costs one round of requests.
    """
    return look_through(storage, _identifiers(storage))[0]


def look_through(storage: Storage, identifiers: Iterable[str]) -> tuple[Storage | None, frozenset[str]]:
    """Look through those of some journals that are final.

    Parameters
    ----------
    storage : Storage
        The store.
    identifiers : iterable of str
        Names of the journals.

    Returns
    -------
    view : Storage or None
        For reading; None where none of them is final.
    final : frozenset of str
        Which are.
    """
    view: Storage | None = None
    final = []
    for identifier, marker in _marked(storage, identifiers):
        if marker is not None and REPLACED not in marker:
            folder = f"{JOURNAL_FOLDER}/{identifier}/{_DATA}"
            view = OverlayStorage(view or storage, folder, set(marker["moves"]), set(marker["deletions"]))
            final.append(identifier)
    return view, frozenset(final)


def is_final(storage: Storage, identifier: str) -> bool:
    """Say whether a change is final and not in place yet."""
    return _marked(storage, [identifier])[0][1] is not None


def swaps(storage: Storage) -> list[tuple[str, str]]:
    """Name the journals whose change is an exchange of the whole folder, and the folders that take its place."""
    found = [(name, marker) for name, marker in _marked(storage, list_journals(storage)) if marker is not None]
    return [(name, str(marker[REPLACED])) for name, marker in found if REPLACED in marker]


def has_journals(storage: Storage) -> bool:
    """Say whether changes of a store are under way, or were interrupted."""
    return versions_of(storage) is None and bool(_identifiers(storage))


def list_journals(storage: Storage) -> list[str]:
    """List the journals of a store, as far as listings know; none where there is no listing."""
    return list_folder(storage, JOURNAL_FOLDER).folders if storage.can_list else []


def _identifiers(storage: Storage) -> list[str]:
    """Name the journals of a store: those listed, and the one of the last change if that is not in place."""
    if versions_of(storage) is not None:
        return []
    if not keeps_latest(storage):
        return list_journals(storage)
    listed, latest = together(lambda: list_journals(storage), lambda: read_latest(storage))
    return with_latest(listed, latest)


def with_latest(listed: Iterable[str], latest: Latest | None) -> list[str]:
    """Add the journal of the last change to those that listings know, unless it is in place."""
    return sorted({*listed, *([] if latest is None or latest.is_in_place else [latest.identifier])})


def _marked(storage: Storage, identifiers: Iterable[str]) -> list[tuple[str, Document | None]]:
    """Give some journals, earliest first, each with its marker if it is final, which a void one is not."""
    names = sorted(identifiers)
    addresses = [marker_address(identifier) for identifier in names]
    blobs = get_whole(storage, addresses) if names else []
    markers = [
        None if blob is None or is_void(blob) else parse_marker(blob, f"{storage.url}/{address}")
        for address, blob in zip(addresses, blobs, strict=True)
    ]
    return list(zip(names, markers, strict=True))


def parse_marker(blob: Blob, where: str) -> Document:
    """Read a commit marker.

    Parameters
    ----------
    blob : bytes or memoryview
        What is stored.
    where : str
        Where it was found, for the message.

    Raises
    ------
    MetadataError
        It is damaged, or names something outside the store's data; nothing of it is then applied.
    """
    marker = parse_document(blob, where)
    for key in ("moves", "deletions", "locks"):
        named = marker.get(key, [] if key == "locks" or REPLACED in marker else None)
        internal = key == "locks"
        if not isinstance(named, list) or not all(
            is_address(a) and a.startswith(INTERNAL_PREFIX) == internal for a in named
        ):
            raise MetadataError(
                f"{where}: the commit marker is damaged: {key!r} must list addresses of the store's data; nothing of "
                "it was applied. repair(path, drop_damaged=True) gives the interrupted change up"
            )
    folder = marker.get(REPLACED, "x")
    if not isinstance(folder, str) or not is_address(folder) or "/" in folder:
        raise MetadataError(f"{where}: the commit marker is damaged: {REPLACED!r} must be the name of a folder")
    return marker


def _apply(storage: Storage, identifier: str, marker: Document, over: Sequence[str] = ()) -> None:
    """Do what a marker says. What has been done already is skipped, so this may be repeated.

    Payload moves first, then documents from the innermost to the root's, so that a reader who ignores
    journals sees the new root last; deletions follow, and the marker goes at the end, with the locks of former holders.
    """
    folder = f"{JOURNAL_FOLDER}/{identifier}/{_DATA}"
    stages: dict[int, list[tuple[str, str]]] = {}
    for address in marker["moves"]:
        depth = -address.count("/") if address.rpartition("/")[2] == DOCUMENT_NAME else _PAYLOAD
        stages.setdefault(depth, []).append((join(folder, address), address))
    first = _in_the_way(marker["moves"], marker["deletions"])
    _delete(storage, identifier, sorted(first))
    for depth in sorted(stages):
        storage.move_many(stages[depth])
    _delete(storage, identifier, sorted(set(marker["deletions"]) - first))
    write_latest(storage, identifier, is_in_place=True)
    storage.delete_many([marker_address(identifier)])
    if over:  # later, so that a former holder without both knows that its change is complete
        storage.delete_many(over)
        storage.delete_prefix(f"{JOURNAL_FOLDER}/{identifier}")


def _in_the_way(moves: Iterable[str], deletions: Iterable[str]) -> set[str]:
    """Return what must be deleted before others can be moved: file systems have no file where a folder is."""
    going, coming = set(deletions), set(moves)
    if not going:
        return going
    above = {part for address in coming for part in _folders_of(address)}
    return {address for address in going if address in above or not coming.isdisjoint(_folders_of(address))}


def _folders_of(address: str) -> list[str]:
    parts = address.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _delete(storage: Storage, identifier: str, addresses: Sequence[str]) -> None:
    """Delete what a marker names, unless somebody else has completed this, and may have written there again."""
    if addresses and isinstance(storage, LocalStorage):
        storage.bury_many(addresses, f"{JOURNAL_FOLDER}/{identifier}")
    elif addresses and storage.exists(marker_address(identifier)):
        storage.delete_many(addresses)


_PAYLOAD = -1_000_000
"""Sorts what is not a document before all documents."""
