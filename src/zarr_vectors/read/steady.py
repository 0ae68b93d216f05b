"""Reading a store while others change it: all of the old one or all of the new one."""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from zarr_vectors.exceptions import ArrayError, MetadataError, StoreChangedError, ZarrVectorsError
from zarr_vectors.storage.journal import JOURNAL_FOLDER
from zarr_vectors.storage.resolve import local_folder

Reader = TypeVar("Reader", bound=Callable[..., Any])

PATIENCE = 10.0
"""Seconds for which a folder that keeps changing is read anew."""

_PAUSE = 0.002


def steady(function: Reader) -> Reader:
    """Let a function that opens a store by its path read it anew when it was changed meanwhile.

    A folder is looked at before and after: every change of a store gives the folder another identity (a swap), or
    another time of modification, or leaves something in its journal. Elsewhere, where that would cost requests, a
    reading that fails is tried once more. Stores that are open already stay as they are.
    """

    @functools.wraps(function)
    def read(path: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(path, (str, os.PathLike)):
            return function(path, *args, **kwargs)
        folder = local_folder(path)
        if folder is None:
            return _twice(function, path, args, kwargs)
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
        raise StoreChangedError(f"{path}: the store was changed whenever it was read, for {PATIENCE:g} seconds")

    return cast("Reader", read)


def _twice(function: Callable[..., Any], path: Any, args: Any, kwargs: Any) -> Any:
    try:
        return function(path, *args, **kwargs)
    except (ArrayError, MetadataError):
        return function(path, *args, **kwargs)


def generation(folder: Path) -> tuple[Any, ...]:
    """Return what tells one state of the folder of a store from another: it changes with every change of the store.

    The folder of the journals counts by itself: while one writer of a partition keeps it there, the journals of others
    come and go in it.
    """
    try:
        found = os.stat(folder)
        journals = _journals(folder / JOURNAL_FOLDER)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, journals


def _journals(folder: Path) -> tuple[tuple[str, int], ...]:
    while True:
        try:
            changed = os.stat(folder).st_mtime_ns
            with os.scandir(folder) as entries:
                held = sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries)
        except FileNotFoundError:
            if folder.exists():
                continue  # one of the journals went at this moment
            return ()
        return (("", changed), *held)
