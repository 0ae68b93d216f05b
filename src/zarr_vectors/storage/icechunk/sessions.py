"""Storage in an Icechunk repository: versions, branches, and changes that nobody sees before they are committed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from zarr_vectors.exceptions import ArgumentError, StoreError, StoreLockedError, StoreNotFoundError
from zarr_vectors.storage.failures import explain
from zarr_vectors.storage.icechunk.keys import Change, SessionKeys, change_between
from zarr_vectors.storage.icechunk.merge import Branches, apply_change
from zarr_vectors.storage.icechunk.repository import Place, icechunk
from zarr_vectors.storage.keyed import KeyedStorage
from zarr_vectors.storage.port import Blob, BlobParts, Listing, Range, Storage, check_address, get_whole
from zarr_vectors.storage.versioned import MergeRules
from zarr_vectors.typing import Bytes

DEFAULT_MESSAGE = "zarr-vectors write"
_TRIES = 5


@dataclass(slots=True)
class _State:
    """What changes while a repository is open."""

    branch: str
    repository: Any = None
    keys: SessionKeys | None = None
    depth: int = 0
    writer: int = 0


@dataclass(frozen=True, slots=True)
class IcechunkStorage(KeyedStorage):
    """The keys of an Icechunk repository at one version, and the changes made to it.

    `place` is None for a session that its owner handed over. All copies that are to see the same share `state`.
    `version` holds the ``tag`` or ``snapshot_id`` that is read instead of the tip of the branch. Unless the storage
    `commits` at the end of a unit, with `message`, changes stay pending until :meth:`commit`.
    """

    place: Place | None
    state: _State = field(repr=False)
    read_only: bool = False
    version: Mapping[str, str] = field(default_factory=dict, hash=False)
    message: str = DEFAULT_MESSAGE
    commits: bool = True

    @classmethod
    def at(
        cls,
        place: Place,
        *,
        read_only: bool,
        branch: str = "main",
        message: str = DEFAULT_MESSAGE,
        version: Mapping[str, str] | None = None,
    ) -> IcechunkStorage:
        """Give the storage of a place, without asking it anything."""
        return cls(place, _State(branch), read_only, dict(version or {}), message)

    @classmethod
    def of(cls, store: Any, *, read_only: bool) -> IcechunkStorage:
        """Give the storage of an Icechunk store that its owner opened, and will commit."""
        session = store.session
        state = _State(session.branch or "main", keys=SessionKeys(session, "icechunk session"))
        return cls(None, state, read_only or session.read_only, commits=False)

    @property
    def url(self) -> str:
        """Where the repository is, without credentials."""
        return "icechunk session" if self.place is None else self.place.url

    @property
    def name(self) -> str:
        """Last segment of the path."""
        return "icechunk" if self.place is None else self.place.name

    @property
    def session(self) -> Any:
        """The ``icechunk.Session`` that is written to and read from."""
        return self._required().session

    # The port

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges, all at the same time, pending changes included."""
        keys = self._keys()
        if keys is None:
            for request in requests:
                check_address(request.address)
            return [None] * len(requests)
        return keys.get_many(requests)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write objects; they are pending until a commit."""
        self._writable().put_many(items)

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write one object unless its address is taken in this session."""
        keys = self._writable()
        if keys.exists(address):
            return False
        keys.put_many([(address, data)])
        return True

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix."""
        keys = self._keys()
        return [Listing([], []) for _ in prefixes] if keys is None else keys.list_folders(prefixes)

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth below a prefix, sorted."""
        keys = self._keys()
        return [] if keys is None else keys.list_all(prefix)

    def exists(self, address: str) -> bool:
        """Say whether there is an object at an address."""
        keys = self._keys()
        return False if keys is None else keys.exists(address)

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete objects; with the metadata of a node goes all that is in it."""
        self._check_writable()
        if addresses and self._keys() is not None:
            self._writable().delete_many(addresses)

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Read objects, write them to their new addresses, and delete them at the old ones."""
        blobs = get_whole(self, [source for source, _ in pairs])
        found = [(pair, blob) for pair, blob in zip(pairs, blobs, strict=True) if blob is not None]
        self.put_many((target, blob) for (_, target), blob in found)
        targets = {target for _, target in pairs}
        self.delete_many([source for (source, _), _ in found if source not in targets])

    # Versions

    def commit(self, message: str) -> str:
        """Make pending changes a version of the branch."""
        self._check_writable()
        keys = self._required()
        keys.settle()
        if not keys.changed:
            return str(keys.session.snapshot_id)
        module = icechunk()
        try:
            identifier = str(keys.session.commit(message))
        except module.ConflictError as error:
            raise StoreError(
                f"{self.url}: branch {self.state.branch!r} has got another version meanwhile; the changes are still "
                f"pending: call rebase(group, {self.state.branch!r}), then commit again"
            ) from error
        except module.IcechunkError as error:
            raise explain(error, "write", "", self.url) from error
        self._renew()
        return identifier

    def discard_changes(self) -> None:
        """Forget pending changes; what follows starts at the tip of the branch."""
        if self.state.keys is None or self.read_only:
            return
        if self.place is None:
            self.state.keys.session.discard_changes()
            self.state.keys = SessionKeys(self.state.keys.session, self.url)
        else:
            self._renew()

    def branch(self, name: str, from_snapshot_id: str | None = None) -> str:
        """Make a branch at a version, that of this session by default."""
        _check_text("name", name, "the name of the branch")
        if from_snapshot_id is not None:
            _check_text("from_snapshot_id", from_snapshot_id, "the identifier of a version, as commit() returns it")
        self._check_writable()
        repository = self._repository()
        identifier = str(from_snapshot_id or self._required().session.snapshot_id)
        if name in repository.list_branches():
            raise StoreError(f"{self.url}: there is a branch {name!r} already; choose another name, or switch to it")
        try:
            repository.create_branch(name, identifier)
        except (icechunk().IcechunkError, ValueError) as error:
            raise StoreError(
                f"{self.url}: cannot make branch {name!r} at version {identifier!r}: {_reason(error)}"
            ) from error
        return identifier

    def switch_branch(self, name: str) -> None:
        """Go on at the tip of a branch; pending changes are forgotten."""
        _check_text("name", name, "the name of the branch")
        if self.version:
            chosen = ", ".join(f"{key}={value!r}" for key, value in self.version.items())
            raise StoreError(
                f"{self.url}: opened with {chosen}, which stays what it is: open the store with branch={name!r} to "
                "read that branch"
            )
        self._require_branch(name)
        self.state.branch = name
        self._renew()

    def merge_branch(self, name: str, message: str, rules: MergeRules | None = None) -> str | None:
        """Bring what was changed on a branch into this one, and commit it."""
        self._check_writable()
        self._require_branch(name)
        keys = self._required()
        if keys.changed:
            raise StoreError(f"{self.url}: changes are pending; commit or discard them before merging {name!r}")
        merged = self._branches(rules).bring_over(name, self.state.branch, message)
        self._renew()
        return merged

    def rebase(self, base: str, rules: MergeRules | None = None) -> None:
        """Put this branch and its pending changes on top of the tip of a branch; pending changes stay pending."""
        self._check_writable()
        self._require_branch(base)
        keys = self._required()
        keys.settle()
        self.state.keys = self._branches(rules).move_onto(keys, self.state.branch, base)

    def _branches(self, rules: MergeRules | None) -> Branches:
        return Branches(self._repository(), self.url, rules, self._seen)

    def _seen(self, keys: SessionKeys) -> IcechunkStorage:
        """Give what a session holds as a storage for reading."""
        return IcechunkStorage(None, _State(self.state.branch, keys=keys), read_only=True, commits=False)

    # All or nothing

    def gathering(self) -> IcechunkStorage:
        """Give the same open repository with changes that stay pending until `commit`."""
        return replace(self, commits=False)

    @contextmanager
    def unit(self) -> Iterator[None]:
        """Make the changes of a block all or nothing, and commit them at its end unless they are gathered."""
        self._check_writable()
        state, thread = self.state, threading.get_ident()
        if state.depth and state.writer != thread:
            raise StoreLockedError(f"{self.url} is being written by another thread through the same open store")
        before = self._keys()
        if before is not None and self.place is None:
            before = before.clone()
        elif before is not None:
            state.keys = before.clone()
        state.depth, state.writer = state.depth + 1, thread
        try:
            yield
        except BaseException:
            self._restore(before)
            raise
        finally:
            state.depth -= 1
        self._finish_or_restore(before)

    def _finish_or_restore(self, before: SessionKeys | None) -> None:
        """Commit if that is due, and empty the session that was replaced, so that nobody commits it by mistake."""
        try:
            self._finish()
        except BaseException:
            self._restore(before)
            raise
        if self.place is not None and before is not None and before is not self.state.keys and before.changed:
            before.session.discard_changes()

    def _restore(self, before: SessionKeys | None) -> None:
        """Go back to what was held before; a session of somebody else stays the same object."""
        if self.place is not None or before is None or self.state.keys is None:
            at_tip = self.commits and not self.state.depth
            self.state.keys = None if at_tip else before  # without changes to keep, the next access begins at the tip
            return
        session = self.state.keys.session
        session.discard_changes()
        self.state.keys = SessionKeys(session, self.url)
        self._take(before)

    def _take(self, other: SessionKeys) -> None:
        """Make the pending changes of another session in this one."""
        keys = self._required()
        other.settle()
        change = change_between(keys, other, other.session.status())
        apply_change(change, Change(keys, keys, frozenset()), keys, None)

    def fork(self) -> IcechunkStorage:
        """Give a storage with the same content, to be changed without this one changing."""
        keys = self._keys()
        state = _State(self.state.branch, self.state.repository, None if keys is None else keys.clone())
        return replace(self, state=state, commits=False)

    def adopt(self, fork: Storage) -> None:
        """Take over the content of a fork, and commit it unless within a unit, or changes are gathered."""
        assert isinstance(fork, IcechunkStorage)
        if self.place is None and fork.state.keys is not None:
            self._required().session.discard_changes()
            self.state.keys = SessionKeys(self.session, self.url)
            self._take(fork.state.keys)
            return
        before = self.state.keys
        self.state.repository, self.state.keys = fork.state.repository, fork.state.keys
        self._finish_or_restore(before)

    def _finish(self) -> None:
        """Commit at the end of the outermost unit, on top of what others committed meanwhile."""
        keys = self.state.keys
        if not self.commits or self.state.depth or keys is None:
            return
        for left in reversed(range(_TRIES)):
            try:
                self.commit(self.message)
                return
            except StoreError as error:
                if not left or not isinstance(error.__cause__, icechunk().ConflictError):
                    raise
                self.rebase(self.state.branch)

    # Sessions

    def _keys(self) -> SessionKeys | None:
        """Give what the session holds; None where there is no repository."""
        if self.state.keys is None and self.place is not None:
            if self.state.repository is None:
                self.state.repository = self.place.open()
            if self.state.repository is not None:
                self._renew()
        return self.state.keys

    def _required(self) -> SessionKeys:
        keys = self._keys()
        if keys is None:
            raise StoreNotFoundError(f"{self.url}: no Icechunk repository is there")
        return keys

    def _writable(self) -> SessionKeys:
        """Give what the session holds, for writing; a repository is made where there is none."""
        self._check_writable()
        keys = self._keys()
        if keys is None:
            assert self.place is not None
            self.state.repository = self.place.create()
            keys = self._required()
        return keys

    def _repository(self) -> Any:
        self._required()
        if self.state.repository is None:
            raise StoreError(
                "the store was opened from a session, which does not tell its repository: open it by its path for "
                "branches, or use the icechunk.Repository itself"
            )
        return self.state.repository

    def _renew(self) -> None:
        """Begin a session at the tip of the branch, or at the version that was asked for."""
        repository, module = self.state.repository, icechunk()
        if repository is None:
            return
        try:
            if not self.read_only:
                session = repository.writable_session(self.state.branch)
            elif self.version:
                session = repository.readonly_session(**self.version)
            else:
                session = repository.readonly_session(self.state.branch)
        except (module.IcechunkError, ValueError) as error:
            self._require_branch(self.state.branch)
            wanted = ", ".join(f"{name} {value!r}" for name, value in self.version.items())
            found = f"{self.url}: cannot open {wanted or self.state.branch!r}: {_reason(error)}"
            raise StoreError(f"{found}{self._choices()}") from error
        self.state.keys = SessionKeys(session, self.url)

    def _choices(self) -> str:
        """Say what there is instead of a version that is not there."""
        if "tag" in self.version:
            tags = ", ".join(sorted(self.state.repository.list_tags()))
            return f"; the tags are {tags}" if tags else "; there are no tags"
        return "; commit() returns identifiers of versions" if self.version else ""

    def _require_branch(self, name: str) -> None:
        if self.state.repository is None:
            self._repository()
        branches = self.state.repository.list_branches()
        if name not in branches:
            raise StoreError(f"{self.url}: no branch {name!r}; there are {', '.join(sorted(branches))}")


def _check_text(argument: str, value: object, meaning: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ArgumentError(f"{argument}: expected {meaning}, got {value!r}")


def _reason(error: Exception) -> str:
    """Give the first line of an error of Icechunk; what follows tells where it happened in its own code."""
    lines = [line.strip(" |×x\t") for line in str(error).strip().splitlines()]
    return next((line for line in lines if line), type(error).__name__)
