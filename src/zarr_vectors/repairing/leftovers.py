"""What interrupted changes leave behind: journals, locks of dead processes, folders of swaps, temporary files."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zarr_vectors.exceptions import MetadataError
from zarr_vectors.repairing.report import Kind, RepairItem
from zarr_vectors.storage.documents import parse_document
from zarr_vectors.storage.journal import parse_marker
from zarr_vectors.storage.local import TEMPORARY, LocalStorage
from zarr_vectors.storage.lock import JOURNAL_FOLDER, LOCK_FOLDER, MARKER_NAME, is_over
from zarr_vectors.storage.port import INTERNAL_PREFIX, Storage, get_whole, list_folder
from zarr_vectors.storage.processes import is_dead, runs
from zarr_vectors.storage.replace import UNFINISHED_NOTE
from zarr_vectors.typing import Document

CHECK = "leftovers"
TEMPORARY_SECONDS = 3600.0
"""Age from which a temporary file whose process does not run is removed; it may be another computer's before."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What was found beside the data of a store.

    Parameters
    ----------
    items : tuple of RepairItem
        What is to be said of it.
    addresses : tuple of str
        Objects of the store that can go.
    files : tuple of Path
        Temporary files that can go.
    unreadable : tuple of str
        Journals whose marker cannot be read.
    folders : tuple of Path
        Folders in which nothing is, innermost first.
    """

    items: tuple[RepairItem, ...]
    addresses: tuple[str, ...]
    files: tuple[Path, ...]
    unreadable: tuple[str, ...]
    folders: tuple[Path, ...] = ()


def find_leftovers(storage: Storage, *, drop: bool) -> Leftovers:
    """Look for what interrupted changes left behind; nothing is changed.

    Parameters
    ----------
    storage : Storage
        The store.
    drop : bool
        Whether journals that cannot be read are to be forgotten.
    """
    if not storage.can_list:
        return Leftovers((), (), (), ())
    items, unreadable, addresses = _journals(storage, drop)
    locks = _stale_locks(storage)
    items += [_item("repaired", address, f"{why}; removed") for address, why in locks]
    if storage.exists(UNFINISHED_NOTE):
        items.append(_item("repaired", UNFINISHED_NOTE, "the store is complete, the note that it is not was removed"))
        addresses.append(UNFINISHED_NOTE)
    files = _temporary_files(storage)
    items += [_item("repaired", path.name, "a temporary file of a process that is gone; removed") for path in files]
    folders = _empty_folders(storage)
    tops = [path for path in folders if path.parent not in folders]
    items += [_item("repaired", _below(storage, path), "a folder without anything in it; removed") for path in tops]
    return Leftovers(tuple(items), tuple(addresses), tuple(files), tuple(unreadable), tuple(folders))


def remove_leftovers(storage: Storage, found: Leftovers) -> None:
    """Remove what was found; journals that can be read are completed or discarded elsewhere."""
    storage.delete_many(found.addresses)
    for path in found.files:
        path.unlink(missing_ok=True)
    _remove_folders(found.folders)


def remove_empty_folders(storage: Storage) -> None:
    """Remove folders in which nothing is: others see them as chunks and levels."""
    _remove_folders(_empty_folders(storage))


def _remove_folders(folders: Iterable[Path]) -> None:
    for path in folders:
        with contextlib.suppress(OSError):  # somebody has put something there
            path.rmdir()


def _journals(storage: Storage, drop: bool) -> tuple[list[RepairItem], list[str], list[str]]:
    """Return what is to be said of the journals, those that cannot be read, and objects of theirs to be removed."""
    names = list_folder(storage, JOURNAL_FOLDER).folders
    markers = [f"{JOURNAL_FOLDER}/{name}/{MARKER_NAME}" for name in names]
    items: list[RepairItem] = []
    unreadable, gone = [], []
    for name, address, blob in zip(names, markers, get_whole(storage, markers) if markers else [], strict=True):
        path = f"{JOURNAL_FOLDER}/{name}"
        if blob is None:
            items.append(_item("repaired", path, "an interrupted change that was not final was discarded"))
            continue
        if _is_marker(blob, address):
            items.append(_item("repaired", path, "an interrupted change that was final was completed"))
            continue
        what = "the marker of an interrupted change cannot be read, so what it was to change is not known"
        if drop:
            items.append(_item("dropped", path, f"{what}; the change was discarded"))
            gone += storage.list_all(path)
        else:
            unreadable.append(name)
            items.append(_item("unrepairable", path, f"{what}; drop_damaged=True discards the change"))
    return items, unreadable, gone


def _is_marker(blob: bytes | memoryview, address: str) -> bool:
    try:
        parse_marker(blob, address)
    except MetadataError:
        return False
    return True


def _stale_locks(storage: Storage) -> list[tuple[str, str]]:
    """Return locks that hold no longer, and why; they go when the store is locked."""
    addresses = [address for address in storage.list_all(LOCK_FOLDER) if not address.endswith(".alive.json")]
    found: list[tuple[str, str]] = []
    tokens = set()
    for address, blob in zip(addresses, get_whole(storage, addresses) if addresses else [], strict=True):
        if blob is None:
            continue
        try:
            document = parse_document(blob, address)
        except MetadataError:
            found.append((address, "a lock that cannot be read"))
            continue
        why = _why_over(storage, address, document)
        if why and str(document.get("token")) not in tokens:
            found.append((address, why))
        tokens.add(str(document.get("token")))
    return found


def _why_over(storage: Storage, address: str, document: Document) -> str:
    who = f"{document.get('owner', 'somebody')} on {document.get('host', '?')}"
    if is_dead(document):
        return f"a lock of {who}, whose process {document.get('pid')} does not run any more"
    return f"a lock of {who} that has expired" if is_over(storage, address, document) else ""


def _temporary_files(storage: Storage) -> list[Path]:
    if not isinstance(storage, LocalStorage):
        return []
    found = []
    for folder, _, names in os.walk(storage.root):
        for name in names:
            if not name.startswith(TEMPORARY):
                continue
            path, pid = Path(folder, name), name.removeprefix(TEMPORARY).partition("-")[0]
            if pid.isdecimal() and not runs(int(pid)) and path.stat().st_mtime < time.time() - TEMPORARY_SECONDS:
                found.append(path)
    return found


def _empty_folders(storage: Storage) -> list[Path]:
    """Return folders in which nothing is, innermost first."""
    if not isinstance(storage, LocalStorage):
        return []
    empty: dict[Path, None] = {}
    for folder, below, names in os.walk(storage.root, topdown=False):
        path = Path(folder)
        internal = path.relative_to(storage.root).parts[:1]
        if names or path == storage.root or (internal and internal[0].startswith(INTERNAL_PREFIX)):
            continue
        if all(path / name in empty for name in below):
            empty[path] = None
    return list(empty)


def _below(storage: Storage, path: Path) -> str:
    return path.relative_to(storage.root).as_posix() if isinstance(storage, LocalStorage) else str(path)


def _item(kind: Kind, path: str, message: str) -> RepairItem:
    return RepairItem(kind, CHECK, path, message)
