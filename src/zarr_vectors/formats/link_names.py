"""How link cells are spelled and framed alike in both revisions."""

from __future__ import annotations

import numpy as np

from zarr_vectors.typing import ByteArray, IntArray

RAGGED_HEADER = 16
"""Bytes before the rows of a ragged cell of one group: i64 1, i64 0."""


def delta_name(delta: int) -> str:
    """Return the spelling of a level difference: ``0``, ``+1``, ``-1``."""
    return f"{delta:+d}" if delta else "0"


def parse_delta(name: str) -> int | None:
    """Return the level difference that a name spells, or None."""
    digits = name[1:] if name[:1] in "+-" else name
    return int(name) if digits.isdecimal() and digits.isascii() else None


def ragged_cells(rows: IntArray, offsets: IntArray) -> tuple[ByteArray, IntArray]:
    """Put the header of a ragged blob of one group (i64 1, i64 0) before the rows of every cell.

    Parameters
    ----------
    rows : (m, w) int64
        Records of all cells.
    offsets : (C + 1,) int64
        Where the records of each cell start.

    Returns
    -------
    buffer, offsets
        All cells back to back, and where each starts.
    """
    width = rows.shape[1]
    words = np.empty(rows.size + 2 * (len(offsets) - 1), np.int64)
    placed = offsets * width + 2 * np.arange(len(offsets))
    words[placed[:-1]] = 1
    words[placed[:-1] + 1] = 0
    for place, start, stop in zip(placed[:-1].tolist(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        words[place + 2 : place + 2 + (stop - start) * width] = rows[start:stop].reshape(-1)
    return words.view(np.uint8), placed * 8
