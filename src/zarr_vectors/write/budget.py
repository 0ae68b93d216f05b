"""Working within a budget of memory: how much, and the folder in which the rest waits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError

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
    """Give a folder that is deleted afterwards.

    Parameters
    ----------
    temporary_folder : path, optional
        Where to make it; where the system has its temporary files by default.

    Raises
    ------
    ArgumentError
        When that is not a folder.
    """
    if temporary_folder is not None and not Path(temporary_folder).is_dir():
        raise ArgumentError(f"temporary_folder: {temporary_folder} is not a folder")
    with tempfile.TemporaryDirectory(prefix="zarr-vectors-", dir=temporary_folder, ignore_cleanup_errors=True) as made:
        yield Path(made)
