"""The attribute by which a level is chunked: its values stand in the chunk keys, not in an array."""

from __future__ import annotations

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.columns import make_column
from zarr_vectors.model.attributes import Column
from zarr_vectors.read.level import LevelReader
from zarr_vectors.typing import IntArray


def chunk_values(level: LevelReader, chunk_rows: IntArray) -> Column:
    """Return the value of the attribute that a level is chunked by, for rows of some chunks.

    Parameters
    ----------
    level : LevelReader
        A level with ``chunk_attribute_name``.
    chunk_rows : (n,) int64
        Chunk of every row, as a row of ``level.chunks``.

    Raises
    ------
    ArrayError
        When a chunk key starts with a bin that has no value.
    """
    name = level.metadata.chunk_attribute_name
    assert name is not None
    codes = level.chunks[:, 0][chunk_rows]
    values = level.metadata.chunk_attribute_values
    if values is None:
        return make_column("attributes", name, codes, len(codes), "vertex")
    if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < len(values):
        raise ArrayError(f"{level.name}: a chunk key starts beyond the {len(values)} values of {name!r}")
    table = np.array(values)
    return make_column("attributes", name, table[codes] if len(table) else table, len(codes), "vertex")
