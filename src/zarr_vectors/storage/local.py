"""Storage in a folder of the local file system."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zarr.storage

from zarr_vectors.exceptions import ReadOnlyStoreError, StoreError
from zarr_vectors.storage import files
from zarr_vectors.storage.answers import too_large
from zarr_vectors.storage.concurrency import each_parallel
from zarr_vectors.storage.documents import check_document_size
from zarr_vectors.storage.port import (
    Blob,
    BlobParts,
    Listing,
    Range,
    check_address,
    check_prefix,
    parts_of,
)
from zarr_vectors.storage.ranges import by_address, check_range, plan_reads, scatter
from zarr_vectors.typing import Bytes

READ_GAP = 32 * 1024
"""Ranges of one file that lie closer than this are read together: a local read call costs about as much
as copying this many bytes."""

TEMPORARY = ".zv-tmp-"
"""Names of files that are being written start with this; they are never listed."""

_ROOT_IS_OURS = ""
"""Entry among the known folders of a storage whose root was not there before its first write."""

_ATTEMPTS = 100
"""How often a file is put that others keep from being put by removing its folder or exchanging the root."""

_FILES_AT_ONCE = 32
"""Files that are open together while buffers are filled: a process may have few more."""

_NUMBERS = itertools.count()
_LINKS_ARE_SEEN = hasattr(os, "O_NOFOLLOW")
_REFUSED_LINKS = {errno.ELOOP, errno.EMLINK}


@dataclass(frozen=True, slots=True)
class LocalStorage:
    """Files below a folder.

    Attributes
    ----------
    root : Path
        The folder, made absolute and freed of symbolic links at construction. It need not exist; the first
        write creates it. Links inside it are followed only where they lead to something inside it.
    read_only : bool
        Refuse writes.
    fsync : bool
        Wait until written data is on the disk before it appears at its address.
    atomic : bool
        Write each file under another name and rename it. Without it a file may be seen half written, which
        is harmless where nobody looks yet: in a folder that is itself renamed when it is complete.
    """

    root: Path
    read_only: bool = False
    fsync: bool = False
    atomic: bool = True
    _folders: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    _inside: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Resolve the root once, so that a later change of the working folder does not move the store."""
        object.__setattr__(self, "root", Path(self.root).expanduser().resolve())

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self.root)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.root.name

    @property
    def can_list(self) -> bool:
        """Always true."""
        return True

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges; each file is opened once.

        Raises
        ------
        ArgumentError
            An address that would leave the folder, or a range without meaning.
        StoreError
            The operating system refuses to read.
        """
        grouped = by_address(requests)
        for address in grouped:
            check_address(address)
        for request in requests:
            check_range(request)
        results: list[Blob | None] = [None] * len(requests)

        def read(item: tuple[str, list[int]]) -> int:
            return self._read_file(item[0], item[1], requests, results)

        each_parallel(read, iter(grouped.items()))
        return results

    def _read_file(self, address: str, places: list[int], requests: Sequence[Range], results: list[Blob | None]) -> int:
        """Answer the requests of one file; give the number of bytes read."""
        try:
            handle = self._open(address)
        except NotADirectoryError:
            if self.root.is_file():
                raise StoreError(f"{self.url}: a file is there, not the folder of a store") from None
            return 0
        except (FileNotFoundError, IsADirectoryError):
            return 0
        except OSError as error:
            raise self._explained(error, address, "read") from error
        amount = 0
        try:
            size = files.size(handle)
            if size is None:
                return 0
            for planned in plan_reads(requests, READ_GAP, places):
                first, last = _within(size, planned.start, planned.stop)
                check_document_size(address, last - first)
                try:
                    blob = files.read(handle, first, last - first)
                except (MemoryError, ValueError):
                    raise too_large(address, last - first) from None
                amount += len(blob)
                scatter(results, planned, blob)
        except OSError as error:
            raise self._explained(error, address, "read") from error
        finally:
            os.close(handle)
        return amount

    def fill_many(self, requests: Sequence[Range], targets: Sequence[memoryview]) -> bool:
        """Read ranges with a start and a stop into buffers; those that follow each other in a file are read together.

        Returns
        -------
        bool
            Whether all ranges could be read. Where not, the buffers hold nothing in particular, and :meth:`get_many`
            says what is wrong.

        Raises
        ------
        ArgumentError, StoreError
            An address that leads out of the folder.
        """
        grouped = list(by_address(requests).items())
        batches = (grouped[first : first + _FILES_AT_ONCE] for first in range(0, len(grouped), _FILES_AT_ONCE))
        try:
            return all(self._fill_files(batch, requests, targets) for batch in batches)
        except OSError:
            return False

    def _fill_files(
        self, files_and_places: list[tuple[str, list[int]]], requests: Sequence[Range], targets: Sequence[memoryview]
    ) -> bool:
        """Read ranges of a few files, which are open at the same time; say whether all were there."""
        with contextlib.ExitStack() as opened:
            wanted = []
            for address, places in files_and_places:
                handle = self._open(check_address(address))
                opened.callback(os.close, handle)
                if files.size(handle) is None:
                    return False
                wanted.append((handle, requests, places))
            return files.fill(wanted, targets)

    def _open(self, address: str) -> int:
        """Open a file for reading, through a link only where that leads to a file inside the folder."""
        path = self._path(address)
        self._check_folder(os.path.dirname(path))
        if not _LINKS_ARE_SEEN and os.path.islink(path):
            self._target(path)
        try:
            return os.open(path, files.READ)
        except OSError as error:
            if error.errno not in _REFUSED_LINKS or not os.path.islink(path):
                raise
            return os.open(self._target(path), files.READ)  # a link among files of the store is fine

    def _target(self, path: str) -> str:
        """Give the place that a link leads to.

        Raises
        ------
        StoreError
            It is outside the folder.
        """
        target = os.path.realpath(path)
        if target != str(self.root) and not target.startswith(f"{self.root}{os.sep}"):
            inside = os.path.relpath(path, self.root).replace(os.sep, "/")
            raise StoreError(
                f"{self.url}: {inside!r} is a symbolic link to something outside the store, which is not followed"
            )
        return target

    def _check_folder(self, folder: str) -> None:
        """Refuse a folder that is reached through a link to the outside; those seen before are not looked at again."""
        if folder in self._inside or len(folder) <= len(str(self.root)):
            return
        self._check_folder(os.path.dirname(folder))
        try:
            mode = os.lstat(folder).st_mode
        except OSError:
            return
        if stat.S_ISLNK(mode):
            self._target(folder)
        self._inside.add(folder)

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write files; missing folders are created, and data is written without joining its buffers.

        Raises
        ------
        ReadOnlyStoreError
            The storage was opened for reading, or the operating system denies permission.
        StoreError
            The operating system refuses to write, for example because the disk is full.
        """
        self._check_writable()

        def write(item: tuple[str, BlobParts]) -> int:
            return self._write_file(check_address(item[0]), parts_of(item[1]))

        each_parallel(write, iter(items))

    def _write_file(self, address: str, parts: list[memoryview]) -> int:
        path = self._path(address)
        try:
            if not self.atomic:
                return self._create(path, parts)
            temporary = os.path.join(os.path.dirname(path), _temporary_name())
            amount = self._create(temporary, parts)
            try:
                os.replace(temporary, path)
            except BaseException:
                _remove(temporary)
                raise
        except OSError as error:
            self._prune({os.path.dirname(path)})
            raise self._explained(error, address, "write") from error
        return amount

    def _create(self, target: str, parts: list[memoryview]) -> int:
        """Write a file and whatever folders it needs; give its size in bytes."""
        folder = os.path.dirname(target)
        self._check_folder(folder)
        handle = self._open_new(target, folder)
        try:
            amount = files.write(handle, parts)
            if self.fsync:
                os.fsync(handle)
        except BaseException:
            os.close(handle)
            _remove(target)
            raise
        os.close(handle)
        return amount

    def _open_new(self, target: str, folder: str) -> int:
        """Open a file for writing, and make its folder as often as other processes remove it, being empty."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                if folder not in self._folders:
                    self._make_folder(folder)
                return os.open(target, files.WRITE, 0o666)
            except (FileNotFoundError, FileExistsError):
                self._folders.clear()
                if not left or (os.path.lexists(folder) and not os.path.isdir(folder)):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _make_folder(self, folder: str) -> None:
        if not self._folders and not self.root.exists():
            self._folders.add(_ROOT_IS_OURS)
        os.makedirs(folder, exist_ok=True)
        self._folders.add(folder)
        self._check_folder(folder)

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write one file unless it exists; whoever loses a race is told so."""
        self._check_writable()
        path = self._path(check_address(address))
        for left in reversed(range(_ATTEMPTS)):
            try:
                return self._put_new(path, parts_of(data))
            except FileNotFoundError as error:
                self._folders.clear()  # another process has removed the folder, or exchanged the root, meanwhile
                if not left:
                    raise self._explained(error, address, "write") from error
            except OSError as error:
                self._prune({os.path.dirname(path)})
                raise self._explained(error, address, "write") from error
        raise AssertionError("the last attempt returns or raises")

    def _put_new(self, path: str, parts: list[memoryview]) -> bool:
        temporary = os.path.join(os.path.dirname(path), _temporary_name())
        self._create(temporary, parts)
        try:
            return files.link_if_absent(temporary, path)
        finally:
            _remove(temporary)

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix."""
        return [self._list_folder(check_prefix(prefix)) for prefix in prefixes]

    def _list_folder(self, prefix: str) -> Listing:
        folders: list[str] = []
        names: list[str] = []
        self._check_folder(self._path(prefix))
        try:
            with os.scandir(self._path(prefix)) as entries:
                for entry in entries:
                    if entry.is_dir():
                        folders.append(entry.name)
                    elif not entry.name.startswith(TEMPORARY):
                        names.append(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return Listing([], [])
        except OSError as error:
            raise self._explained(error, prefix, "list") from error
        return Listing(sorted(folders), sorted(names))

    def list_all(self, prefix: str = "") -> list[str]:
        """List every file at any depth below a prefix, sorted."""
        top = self._path(check_prefix(prefix))
        self._check_folder(top)
        found: list[str] = []
        for folder, _, names in os.walk(top):
            inside = os.path.relpath(folder, self.root).replace(os.sep, "/")
            start = "" if inside == "." else inside + "/"
            found += [start + name for name in names if not name.startswith(TEMPORARY)]
        return sorted(found)

    def exists(self, address: str) -> bool:
        """Say whether there is a file at an address."""
        path = self._path(check_address(address))
        self._check_folder(os.path.dirname(path))
        return os.path.isfile(self._target(path) if os.path.islink(path) else path)

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete files, and the folders that become empty by it; the root only if this storage made it."""
        self._check_writable()
        folders = set()
        for address in addresses:
            path = self._path(check_address(address))
            self._check_folder(os.path.dirname(path))
            try:
                _remove(path)
            except OSError as error:
                raise self._explained(error, address, "delete") from error
            folders.add(os.path.dirname(path))
        self._prune(folders)

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete a folder with all that is in it; ``""`` deletes the root folder too."""
        self._check_writable()
        path = self._path(check_prefix(prefix))
        self._folders.clear()
        self._inside.clear()
        self._check_folder(os.path.dirname(path))
        try:
            if os.path.islink(path):
                os.unlink(path)
            elif os.path.isdir(path):
                shutil.rmtree(path)
        except OSError as error:
            raise self._explained(error, prefix, "delete") from error
        if path != str(self.root):
            self._prune({os.path.dirname(path)})

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Rename files, replacing what is at their new addresses."""
        self._check_writable()
        folders = set()
        for source, target in pairs:
            old, new = self._path(check_address(source)), self._path(check_address(target))
            self._check_folder(os.path.dirname(old))
            self._check_folder(os.path.dirname(new))
            if not os.path.isfile(old):
                continue
            try:
                self._make_folder(os.path.dirname(new))
                os.replace(old, new)
            except OSError as error:
                if not os.path.lexists(old):
                    continue  # somebody else has moved it at this moment
                raise self._explained(error, source, "move") from error
            folders.add(os.path.dirname(old))
        self._prune(folders)

    def bury_many(self, addresses: Sequence[str], folder: str) -> None:
        """Delete files by way of a folder, and only as long as that is there; absent files are skipped.

        A file is first moved into the folder, which fails when somebody has removed that: so who is interrupted here,
        and goes on later, deletes nothing that others have written since.
        """
        self._check_writable()
        grave = self._path(check_address(folder))
        folders = set()
        for address in addresses:
            path = self._path(check_address(address))
            self._check_folder(os.path.dirname(path))
            buried = os.path.join(grave, _temporary_name())
            if os.path.isdir(path):
                continue  # what is here now is no file any more: the file has been deleted before
            try:
                os.rename(path, buried)
                _remove(buried)
            except (FileNotFoundError, NotADirectoryError):
                if not os.path.isdir(grave):
                    break
            except OSError as error:
                raise self._explained(error, address, "delete") from error
            folders.add(os.path.dirname(path))
        self._prune(folders)

    def zarr_store(self) -> zarr.storage.LocalStore:
        """Give the folder as a zarr-python store."""
        return zarr.storage.LocalStore(self.root, read_only=self.read_only)

    def _prune(self, folders: set[str]) -> None:
        """Remove folders that are empty, and those above them that become empty by it."""
        shortest = len(str(self.root)) + (_ROOT_IS_OURS not in self._folders)
        for folder in sorted(folders, key=len, reverse=True):
            while len(folder) >= shortest:
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    pass  # it was not made, but maybe those above it were
                except OSError:
                    break
                self._folders.discard(folder)
                folder = os.path.dirname(folder)

    def _path(self, address: str) -> str:
        return f"{self.root}{os.sep}{address}" if address else str(self.root)

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyStoreError(
                f"cannot write to {self.url}: it was opened for reading only; open it with mode='r+'"
            )

    def _explained(self, error: OSError, address: str, verb: str) -> StoreError:
        """Turn an error of the operating system into ours, with what was tried and where."""
        what = f"cannot {verb} {address[:200]!r} in {self.url}"
        if isinstance(error, PermissionError):
            kind = StoreError if verb in ("read", "list") else ReadOnlyStoreError
            return kind(f"{what}: permission denied")
        return StoreError(f"{what}: {error.strerror or error}")


def _within(size: int, start: int | None, stop: int | None) -> tuple[int, int]:
    """Give the ends of a range inside a file of `size` bytes."""
    if start is not None and start < 0:
        return max(size + start, 0), size
    first = min(start or 0, size)
    return first, size if stop is None else max(first, min(stop, size))


def _temporary_name() -> str:
    return f"{TEMPORARY}{os.getpid()}-{threading.get_ident()}-{next(_NUMBERS)}"


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)
