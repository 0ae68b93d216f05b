"""Reading a store while others change it: all of the old one or all of the new one."""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from zarr_vectors.exceptions import ArrayError, MetadataError, StoreChangedError, StoreError, ZarrVectorsError
from zarr_vectors.read.openings import noted
from zarr_vectors.storage.failures import without_secrets
from zarr_vectors.storage.lock import JOURNAL_FOLDER, MARKER_NAME
from zarr_vectors.storage.resolve import local_folder

Reader = TypeVar("Reader", bound=Callable[..., Any])

PATIENCE = 10.0
"""Seconds for which a store that keeps changing is read anew."""

_PAUSE = 0.002
_PAUSE_AWAY = 0.05


def steady(function: Reader) -> Reader:
    """Let a function that opens a store by its path read it anew when it was changed meanwhile.

    A folder is looked at before and after: every change of a store gives the folder another identity (a swap), or
    another time of modification, or leaves something in its journal. Elsewhere the record of the last change is read
    when the store is opened and again at the end, which costs one round of requests. Stores that are open already stay
    as they are.
    """

    @functools.wraps(function)
    def read(path: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(path, (str, os.PathLike)):
            return function(path, *args, **kwargs)
        folder = local_folder(path)
        if folder is None:
            return _of_record(function, path, args, kwargs)
        return _of_folder(folder, function, path, args, kwargs)

    return cast("Reader", read)


def _of_folder(folder: Path, function: Callable[..., Any], path: Any, args: Any, kwargs: Any) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before = generation(folder)
        try:
            result = function(path, *args, **kwargs)
        except ZarrVectorsError:
            if generation(folder) == before:
                raise
        else:
            if generation(folder) == before:
                return result
        time.sleep(random.uniform(0, _PAUSE))
    raise _never_rests(path)


def _of_record(function: Callable[..., Any], path: Any, args: Any, kwargs: Any) -> Any:
    """Read a store that is known by its URL; what fails before it is open is tried once more."""
    deadline, failures = time.monotonic() + PATIENCE, 0
    while time.monotonic() < deadline:
        with noted() as openings:
            try:
                result = function(path, *args, **kwargs)
            except ZarrVectorsError as error:
                if not openings:
                    failures += 1
                    if failures > 1 or not isinstance(error, (ArrayError, MetadataError)):
                        raise
                elif type(error) is StoreError or all(opening.holds() for opening in openings):
                    raise
                continue
        if all(opening.holds() for opening in openings):
            return result
        time.sleep(random.uniform(0, _PAUSE_AWAY))
    raise _never_rests(path)


def _never_rests(path: Any) -> StoreChangedError:
    shown = without_secrets(os.fspath(path))
    return StoreChangedError(f"{shown}: the store was changed whenever it was read, for {PATIENCE:g} seconds")


def generation(folder: Path) -> tuple[Any, ...]:
    """Return what tells one state of the folder of a store from another: it changes with every change of the store.

    The folder of the journals counts by itself: while one writer of a partition keeps it there, the journals of others
    come and go in it. So does whether a journal is final, which the clock of a file system may be too coarse to tell.
    """
    try:
        found = os.stat(folder)
        journals = _journals(folder / JOURNAL_FOLDER)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, journals


def _journals(folder: Path) -> tuple[tuple[str, int, bool], ...]:
    while True:
        try:
            changed = os.stat(folder).st_mtime_ns
            with os.scandir(folder) as entries:
                found = [(entry.name, entry.stat().st_mtime_ns, entry.path) for entry in entries]
        except FileNotFoundError:
            if folder.exists():
                continue  # one of the journals went at this moment
            return ()
        held = [(name, time_ns, os.path.exists(os.path.join(path, MARKER_NAME))) for name, time_ns, path in found]
        return (("", changed, False), *sorted(held))
