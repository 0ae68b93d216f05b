"""Chunking by an attribute: its values become the first component of every chunk key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.formats.documents import plain_value
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.axes import NgffAxis
from zarr_vectors.spatial.partition import Leading

MAX_BINS = 1 << 20


@dataclass(frozen=True, slots=True)
class AttributeChunks:
    """How a level is chunked by an attribute.

    Parameters
    ----------
    name : str
        The attribute.
    values : tuple
        Value of every bin.
    leading : Leading
        Bin of every vertex.
    """

    name: str
    values: tuple[Any, ...]
    leading: Leading

    def level_keys(self, axes: tuple[NgffAxis, ...]) -> dict[str, Any]:
        """Return what the level's metadata says of it."""
        return {
            "chunk_dims": (self.name, *(axis.name for axis in axes)),
            "chunk_attribute_name": self.name,
            "chunk_attribute_values": self.values,
        }


def chunk_by(name: str | None, columns: Mapping[str, Column]) -> tuple[AttributeChunks | None, dict[str, Column]]:
    """Take an attribute out of the columns and make it the leading component of chunks.

    Parameters
    ----------
    name : str, optional
        Value of ``chunk_by_attribute``.
    columns : mapping of str to Column
        Vertex attributes.

    Returns
    -------
    chunks : AttributeChunks or None
        How vertices are chunked.
    columns : dict
        The other attributes; the values of this one stand in the chunk keys.

    Raises
    ------
    ArgumentError
        When there is no such attribute, or it is not a scalar without missing values.
    """
    rest = dict(columns)
    if name is None:
        return None, rest
    if name not in rest:
        raise ArgumentError(f"chunk_by_attribute: there is no vertex attribute {name!r}; there are {sorted(rest)}")
    column = rest.pop(name)
    values = decode_column(column)
    if values.ndim != 1 or values.dtype.kind not in "biufU":
        raise ArgumentError(
            f"chunk_by_attribute: {name!r} must be a scalar number, boolean or string without missing values, "
            f"got {values.dtype} of shape {values.shape}"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ArgumentError(f"chunk_by_attribute: {name!r} holds values that are not finite")
    distinct, codes = np.unique(values, return_inverse=True)
    require_few(name, len(distinct))
    listed = tuple(plain_value(value) for value in distinct)
    return AttributeChunks(name, listed, Leading(codes.reshape(-1), max(1, len(listed)))), rest


def require_few(name: str, count: int) -> None:
    """Refuse an attribute with more values than there may be bins."""
    if count > MAX_BINS:
        raise ArgumentError(
            f"chunk_by_attribute: {name!r} has {count} distinct values, more than {MAX_BINS} chunks can carry"
        )


def leading_of(chunks: AttributeChunks | None) -> Leading | None:
    """Return the leading components of chunks, or None where chunks are spatial only."""
    return None if chunks is None else chunks.leading
