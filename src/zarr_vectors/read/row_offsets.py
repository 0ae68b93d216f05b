"""Where the rows of every chunk start, when the vertices of a level are numbered chunk after chunk."""

from __future__ import annotations

from zarr_vectors.read.fetch import fetch_cells, stated_row_offsets
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.vertices import decode_vertices, holds_faces
from zarr_vectors.typing import IntArray


def read_row_offsets(level: LevelReader) -> IntArray:
    """Return where the rows of every chunk of a level start, and the end of the last, in one round of requests.

    Parameters
    ----------
    level : LevelReader
        An open level.

    Returns
    -------
    (C + 1,) int64
        In the order of ``level.chunks``; the order in which ``read_points`` returns a whole level.

    Raises
    ------
    ArrayError
        When a cell is damaged, or holds no whole number of rows; names the array and the chunk.
    """
    cells = fetch_cells(level.storage, [level.arrays.vertices], level.chunks)[0]
    stated = None if holds_faces(level) else stated_row_offsets(cells)
    return decode_vertices(cells)[1] if stated is None else stated
