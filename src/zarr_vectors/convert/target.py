"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from zarr_vectors.exceptions import StoreError, ZarrVectorsError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name once it is complete; until then the old one is there.

    Parameters
    ----------
    path : str or path
        The file.

    Raises
    ------
    StoreError
        When it cannot be written: a full disk, a folder that is not there or may not be written to. What was written
        is gone.
    """
    place = Path(path)
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
