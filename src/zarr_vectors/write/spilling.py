"""Rows kept in local files while they wait to be put in order, so that memory holds only some of them at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.typing import AnyArray, IntArray

Within = Callable[[int, dict[str, AnyArray]], IntArray]
"""From the first row of a block and its columns to the order in which its rows are kept."""


@dataclass(slots=True)
class Spill:
    """Columns of rows in files of a folder, one file a column.

    Parameters
    ----------
    folder : Path
        An empty folder, or one that does not exist yet.
    count : int
        Rows so far.
    """

    folder: Path
    count: int = 0
    _kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = field(default_factory=dict)

    def append(self, columns: Mapping[str, AnyArray]) -> None:
        """Add rows; every call names the same columns, with the same data types and channels."""
        self.folder.mkdir(parents=True, exist_ok=True)
        length = 0
        for name, values in columns.items():
            kind = self._kinds.setdefault(name, (values.dtype, values.shape[1:]))
            with self._path(name).open("ab") as file:
                file.write(memoryview(np.ascontiguousarray(values, kind[0])).cast("B") if values.size else b"")
            length = len(values)
        self.count += length

    def columns(self) -> dict[str, AnyArray]:
        """Return every column as an array over its file."""
        return {name: self.column(name) for name in self._kinds}

    def column(self, name: str) -> AnyArray:
        """Return one column as an array over its file."""
        dtype, inner = self._kinds[name]
        return mapped(self._path(name), dtype, (self.count, *inner))

    def delete(self) -> None:
        """Delete the files."""
        for name in self._kinds:
            self._path(name).unlink(missing_ok=True)

    def gather(
        self,
        folder: Path,
        starts: IntArray,
        counts: IntArray,
        rows_at_once: int,
        *,
        cuts: IntArray | None = None,
        within: Within | None = None,
    ) -> Spill:
        """Return the rows of some ranges, one range after another, in files of their own.

        Parameters
        ----------
        folder : Path
            Where the files go.
        starts, counts : (P,) int64
            First row and length of every range.
        rows_at_once : int
            Most rows to hold in memory; a block between two cuts may be larger.
        cuts : (K + 1,) int64, optional
            Row numbers of the result, from 0 to its end, between which rows are held together; anywhere by default.
        within : function, optional
            Puts the rows of a block in order.
        """
        target = Spill(folder)
        for name, (dtype, inner) in self._kinds.items():
            target.append({name: np.zeros((0, *inner), dtype)})
        sources = self.columns()
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        for first, last in blocks(total, rows_at_once, cuts):
            rows = _rows_between(starts, counts, ends, first, last)
            block = {name: np.asarray(values[rows]) for name, values in sources.items()}
            if within is not None:
                order = within(first, block)
                block = {name: values[order] for name, values in block.items()}
            target.append(block)
        return target

    def _path(self, name: str) -> Path:
        return self.folder / f"{list(self._kinds).index(name)}.rows"


def mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], *, mode: str = "r") -> AnyArray:
    """Return an array over a file; ``mode`` ``"w+"`` makes it, filled with zeros.

    Raises
    ------
    OSError
        The disk has no room for the file.
    """
    if 0 in shape:
        return np.zeros(shape, dtype)
    if mode == "w+":
        _allocate(path, math.prod(shape) * dtype.itemsize)
        mode = "r+"
    return np.asarray(np.memmap(path, dtype, mode, shape=shape))  # type: ignore[call-overload]


def _allocate(path: Path, size: int) -> None:
    """Make a file of zeros that has its place on the disk: writing to a hole of a full one would kill the process."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
            return
        for start in range(0, size, _ZEROS_AT_ONCE):
            file.write(bytes(min(_ZEROS_AT_ONCE, size - start)))


_ZEROS_AT_ONCE = 1 << 24


def blocks(total: int, rows_at_once: int, cuts: IntArray | None = None) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows that cover ``[0, total)``, each of some cuts' rows and of few enough rows if it can be.

    Parameters
    ----------
    total : int
        Number of rows.
    rows_at_once : int
        Most rows of a range, unless two cuts lie further apart.
    cuts : (K + 1,) int64, optional
        Rows at which ranges may start or end, from 0 to ``total``; any by default.
    """
    first = 0
    while first < total:
        last = min(total, first + rows_at_once)
        if cuts is not None:
            place = int(np.searchsorted(cuts, last, side="right")) - 1
            last = int(cuts[place])
            if last <= first:
                last = int(cuts[int(np.searchsorted(cuts, first, side="right"))])
        yield first, last
        first = last


def _rows_between(starts: IntArray, counts: IntArray, ends: IntArray, first: int, last: int) -> IntArray:
    """Return the rows that stand at ``[first, last)`` when ranges follow each other."""
    low = int(np.searchsorted(ends, first, side="right"))
    high = int(np.searchsorted(ends, last, side="left")) + 1
    begins, lengths = starts[low:high].copy(), counts[low:high].copy()
    skipped = first - int(ends[low] - counts[low])
    begins[0] += skipped
    lengths[0] -= skipped
    lengths[-1] -= int(offsets_of(lengths)[-1]) - (last - first)
    return expand_ranges(begins, lengths)
