"""The attribute by which a level is chunked: its values stand in the chunk keys, not in an array."""

from __future__ import annotations

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.chunk_attribute import keyed_column
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.read.level import LevelReader
from zarr_vectors.typing import IntArray


def bin_values(level: LevelReader) -> Column | None:
    """Return the value of every bin of the attribute that a level is chunked by; None where bins are the values."""
    name = level.metadata.chunk_attribute_name
    stored = level.arrays.vertex_attributes.get(name or "")
    spec = level.root.attribute_specs.get(("vertex", name or "")) if stored is None else stored.spec
    return keyed_column(level.metadata, spec, level.name)


def vertex_specs(level: LevelReader) -> dict[str, AttributeSpec]:
    """Return how every vertex attribute of a level is stored, the one in its chunk keys included."""
    specs = {name: array.spec for name, array in level.arrays.vertex_attributes.items()}
    if level.keyed_attribute is not None:
        specs[level.keyed_attribute] = chunk_values(level, np.zeros(0, np.int64)).spec
    return specs


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
    codes = level.chunks[:, 0][chunk_rows]
    bins = bin_values(level)
    if bins is None:
        return Column(np.asarray(codes, np.int64), AttributeSpec(dtype="int64"))
    if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < len(bins):
        raise ArrayError(
            f"{level.name}: a chunk key starts beyond the {len(bins)} values of {level.metadata.chunk_attribute_name!r}"
        )
    return bins.take(codes)
