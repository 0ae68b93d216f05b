"""The redo journal: changes to a store that become final all at once.

New objects are staged under ``.zv-journal/<id>/data/``. One marker, ``.zv-journal/<id>/commit.json``, makes
the change final; it lists what is to be moved into place and what is to be deleted. Applying it may be
interrupted anywhere and done again, and gives the same result. Without a marker a journal means nothing.

A storage that keeps versions has transactions of its own, which take the place of all this.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import zarr.abc.store

from zarr_vectors.exceptions import MetadataError, ReadOnlyStoreError, StoreError, StoreLockedError
from zarr_vectors.storage.adapter import StorageStore
from zarr_vectors.storage.concurrency import together
from zarr_vectors.storage.documents import DOCUMENT_NAME, parse_document
from zarr_vectors.storage.latest import Latest, keeps_latest, read_latest, write_latest
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

JOURNAL_FOLDER = f"{INTERNAL_PREFIX}journal"
"""Folder of the root that holds the journals."""

MARKER_NAME = "commit.json"
"""Name of the object that makes a journal final."""

_DATA = "data"


def new_identifier() -> str:
    """Return the beginning of an identifier of a journal; those of later ones sort after it."""
    return f"{time.time_ns():020d}"


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
    identifier : str
        Name of the journal's folder; later journals sort after earlier ones.
    """

    storage: Storage
    replaces: bool = False
    identifier: str = field(default_factory=lambda: f"{new_identifier()}-{uuid.uuid4().hex[:8]}")
    _view: OverlayStorage = field(init=False, repr=False)
    _fork: Storage | None = field(default=None, init=False, repr=False)
    _is_open: bool = field(default=True, init=False, repr=False)

    def __post_init__(self) -> None:
        """Look through what will be staged."""
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
        else:
            self.storage.put_many(self._staging(items))

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
        deleted = set(view.deleted)
        if self.replaces:
            kept = (one for one in self.storage.list_all("") if not one.startswith(INTERNAL_PREFIX))
            deleted.update(kept)
        marker = {"version": 1, "moves": sorted(view.staged), "deletions": sorted(deleted - view.staged)}
        if view.staged or marker["deletions"]:
            self._require_staged()
            write_latest(self.storage, self.identifier, is_in_place=False)
            self._put_marker(marker)
            self._is_open = False
            try:
                _apply(self.storage, self.identifier, marker)
            except StoreError as error:
                raise StoreError(
                    f"{error}; the change as a whole is final all the same: readers see it, and the next writer, or "
                    "zarr_vectors.repair.repair, completes it"
                ) from error
        self._is_open = False

    def _require_staged(self) -> None:
        """Refuse to make final what is not there any more; who discards a journal discards all of it."""
        last = max(self._view.staged, default="")
        if last and not self.storage.exists(join(self._view.folder, last)):
            self.abort()
            raise StoreLockedError(
                f"{self.url}: another writer took the store over, and what was to be written has been discarded; "
                "make the change again"
            )

    def _put_marker(self, marker: Document) -> None:
        """Make the change final; where that fails, forget it, so that nobody finds it final later on."""
        address = _marker_address(self.identifier)
        try:
            put_one(self.storage, address, json.dumps(marker).encode())
        except StoreError:
            with suppress(StoreError):  # without storage that works, the next writer does this
                self.storage.delete_many([address])
                self.abort()
            raise

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
    for identifier, marker in _marked(storage, _identifiers(storage)):
        if marker is not None:
            write_latest(storage, identifier, is_in_place=False)
            _apply(storage, identifier, marker)
            completed.append(identifier)
        elif discard_unmarked:
            storage.delete_prefix(f"{JOURNAL_FOLDER}/{identifier}")
    return completed


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
        if marker is not None:
            folder = f"{JOURNAL_FOLDER}/{identifier}/{_DATA}"
            view = OverlayStorage(view or storage, folder, set(marker["moves"]), set(marker["deletions"]))
            final.append(identifier)
    return view, frozenset(final)


def is_final(storage: Storage, identifier: str) -> bool:
    """Say whether a change is final and not in place yet."""
    return storage.exists(_marker_address(identifier))


def has_journals(storage: Storage) -> bool:
    """Say whether changes of a store are under way, or were interrupted."""
    return versions_of(storage) is None and bool(_identifiers(storage))


def list_journals(storage: Storage) -> list[str]:
    """List the journals of a store, as far as listings know; none where there is no listing."""
    return list_folder(storage, JOURNAL_FOLDER).folders if storage.can_list else []


def _marker_address(identifier: str) -> str:
    return f"{JOURNAL_FOLDER}/{identifier}/{MARKER_NAME}"


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
    """Give some journals, earliest first, each with its marker if it has one."""
    names = sorted(identifiers)
    addresses = [_marker_address(identifier) for identifier in names]
    blobs = get_whole(storage, addresses) if names else []
    return [
        (identifier, None if blob is None else parse_marker(blob, f"{storage.url}/{address}"))
        for identifier, address, blob in zip(names, addresses, blobs, strict=True)
    ]


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
    for key in ("moves", "deletions"):
        named = marker.get(key)
        if not isinstance(named, list) or not all(is_address(a) and not a.startswith(INTERNAL_PREFIX) for a in named):
            raise MetadataError(
                f"{where}: the commit marker is damaged: {key!r} must list addresses of the store's data; nothing of "
                "it was applied. repair(path, drop_damaged=True) gives the interrupted change up"
            )
    return marker


def _apply(storage: Storage, identifier: str, marker: Document) -> None:
    """Do what a marker says. What has been done already is skipped, so this may be repeated.

    Payload moves first, then documents from the innermost to the root's, so that a reader who ignores
    journals sees the new root last; deletions follow, and the marker goes at the end.
    """
    folder = f"{JOURNAL_FOLDER}/{identifier}/{_DATA}"
    stages: dict[int, list[tuple[str, str]]] = {}
    for address in marker["moves"]:
        depth = -address.count("/") if address.rpartition("/")[2] == DOCUMENT_NAME else _PAYLOAD
        stages.setdefault(depth, []).append((join(folder, address), address))
    for depth in sorted(stages):
        storage.move_many(stages[depth])
    if marker["deletions"]:
        storage.delete_many(marker["deletions"])
    write_latest(storage, identifier, is_in_place=True)
    storage.delete_many([_marker_address(identifier)])


_PAYLOAD = -1_000_000
"""Sorts what is not a document before all documents."""
