"""Working within a budget of memory: how much, and the folder in which the rest waits."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, StoreError, ZarrVectorsError
from zarr_vectors.storage.processes import is_abandoned, signature

MEMORY_BUDGET = 256 << 20
"""Bytes of rows that are held at once unless it is said otherwise."""

_LEAST_BUDGET = 1


def parse_budget(memory_budget: Any) -> int:
    """Return a budget that a user gave, in bytes.

    Raises
    ------
    ArgumentError
        When it is not a whole number of at least 1.
    """
    whole = isinstance(memory_budget, (int, np.integer)) and not isinstance(memory_budget, bool)
    if not whole or memory_budget < _LEAST_BUDGET:
        raise ArgumentError(f"memory_budget: expected a number of bytes of at least 1, got {memory_budget!r}")
    return int(memory_budget)


@contextmanager
def working_folder(temporary_folder: Any) -> Iterator[Path]:
    """Give a folder that is deleted afterwards; those that killed processes left beside it are deleted first.

    Parameters
    ----------
    temporary_folder : path, optional
        Where to make it; where the system has its temporary files by default.

    Raises
    ------
    ArgumentError
        When that is not a folder.
    StoreError
        Files cannot be made in it, or the disk is full.
    """
    if temporary_folder is not None and not Path(temporary_folder).is_dir():
        raise ArgumentError(f"temporary_folder: {temporary_folder} is not a folder")
    try:
        remove_abandoned(tempfile.gettempdir() if temporary_folder is None else temporary_folder)
        made = tempfile.TemporaryDirectory(
            prefix=f"{_PREFIX}{signature()}", dir=temporary_folder, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise _unusable(temporary_folder, error) from error
    try:
        with made as folder:
            yield Path(folder)
    except OSError as error:
        if isinstance(error, ZarrVectorsError) or error.errno not in _FULL:
            raise
        raise _unusable(temporary_folder, error) from error


def remove_abandoned(place: Any) -> None:
    """Remove working folders whose processes were killed: only real folders of this user, made on this computer.

    Parameters
    ----------
    place : path
        Where working folders are made.
    """
    with os.scandir(place) as entries:
        left = [one for one in entries if one.name.startswith(_PREFIX) and is_abandoned(one.name[len(_PREFIX) :])]
    for entry in left:
        with contextlib.suppress(OSError):  # another process removes it at this moment
            if entry.is_dir(follow_symlinks=False) and _is_own(entry.stat(follow_symlinks=False)):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_own(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


_PREFIX = "zarr-vectors-"
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def _unusable(temporary_folder: Any, error: OSError) -> StoreError:
    where = "the temporary folder" if temporary_folder is None else temporary_folder
    return StoreError(
        f"cannot keep files in {where}: {error.strerror or error}; pass temporary_folder=, or set TMPDIR, to a folder "
        "that can be written to and has room"
    )
