"""Files that are read, and files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from zarr_vectors.exceptions import ArgumentError, StoreError, StoreNotFoundError, ZarrVectorsError


def as_path(argument: str, given: Any) -> Path:
    """Return the path of a file.

    Raises
    ------
    ArgumentError
        When something else is given.
    """
    if not isinstance(given, (str, os.PathLike)) or not Path(given).name or "\0" in os.fspath(given):
        raise ArgumentError(f"{argument}: expected the path of a file, got {given!r}")
    return Path(given)


def existing_file(argument: str, given: Any) -> Path:
    """Return the path of a file that is there.

    Raises
    ------
    ArgumentError
        When no path is given.
    StoreNotFoundError
        When there is no file.
    """
    path = as_path(argument, given)
    try:
        if path.is_file():
            return path
    except OSError as error:
        raise StoreNotFoundError(f"{path}: there is no such file: {error.strerror or error}") from error
    raise StoreNotFoundError(f"{path}: there is no such file")


@contextmanager
def whole_file(place: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name once it is complete; until then the old one is there.

    Parameters
    ----------
    place : path
        The file.

    Raises
    ------
    StoreError
        When it cannot be written: a full disk, a folder that is not there or may not be written to. What was written
        is gone.
    """
    temporary = place.with_name(f".{place.name}-{os.getpid()}")
    try:
        with _create(temporary) as file:
            yield file
        temporary.replace(place)
    except OSError as error:
        if isinstance(error, ZarrVectorsError):
            raise
        raise StoreError(f"{place}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _create(path: Path) -> BinaryIO:
    return path.open("wb")
