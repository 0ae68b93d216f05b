"""Chunking by an attribute: its values become the first component of every chunk key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.chunk_attribute import keyed_metadata
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.axes import NgffAxis
from zarr_vectors.ordering import ordered_bits
from zarr_vectors.spatial.partition import MAX_BINS, Leading, check_bins
from zarr_vectors.typing import AnyArray, IntArray


@dataclass(frozen=True, slots=True)
class AttributeChunks:
    """How a level is chunked by an attribute.

    Parameters
    ----------
    name : str
        The attribute.
    bins : Column
        Value of every bin, ascending, in the form in which the attribute would be stored.
    leading : Leading
        Bin of every vertex.
    """

    name: str
    bins: Column
    leading: Leading

    def level_keys(self, axes: tuple[NgffAxis, ...]) -> dict[str, Any]:
        """Return what the level's metadata says of it."""
        return {"chunk_dims": (self.name, *(axis.name for axis in axes)), **keyed_metadata(self.name, self.bins)}

    def codes(self, values: AnyArray) -> IntArray:
        """Return the bins of stored values, all of which have one."""
        return np.asarray(np.searchsorted(ordered_bits(self.bins.values), ordered_bits(values)), np.int64)


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
        When there is no such attribute, it is not a scalar without missing values, or nearly all of many values differ.
    """
    rest = dict(columns)
    if name is None:
        return None, rest
    bins = distinct_values(name, columns)
    check_bins(f"chunk_by_attribute: {name!r}", len(bins), len(columns[name]))
    made = AttributeChunks(name, bins, Leading(np.zeros(0, np.int64), max(1, len(bins))))
    return replace(made, leading=replace(made.leading, codes=made.codes(rest.pop(name).values))), rest


def distinct_values(name: str, columns: Mapping[str, Column], known: Column | None = None) -> Column:
    """Return the values of an attribute that chunks are to go by, each once, ascending.

    Parameters
    ----------
    name : str
        Value of ``chunk_by_attribute``.
    columns : mapping of str to Column
        Vertex attributes.
    known : Column, optional
        Values that other vertices have.

    Raises
    ------
    ArgumentError
        As :func:`chunk_by` does, whose caller looks how many vertices there are for these values.
    """
    if not isinstance(name, str):
        raise ArgumentError(f"chunk_by_attribute: expected the name of one vertex attribute, got {name!r}")
    if name not in columns:
        raise ArgumentError(f"chunk_by_attribute: there is no vertex attribute {name!r}; there are {sorted(columns)}")
    column = columns[name]
    values = np.asarray(column.values)
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        raise ArgumentError(
            f"chunk_by_attribute: {name!r} must be a scalar number, boolean, text, category or time, "
            f"got {values.dtype} of shape {values.shape}"
        )
    missing = column.missing()
    if missing is not None and missing.any():
        raise ArgumentError(f"chunk_by_attribute: {name!r} must be without missing values; {_REMEDY}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ArgumentError(f"chunk_by_attribute: {name!r} holds values that are not finite; {_REMEDY}")
    if known is not None:
        values = np.concatenate([known.values, values])
    distinct = values[np.unique(ordered_bits(values), return_index=True)[1]]
    if len(distinct) > MAX_BINS:
        check_bins(f"chunk_by_attribute: {name!r}", len(distinct), 0)
    return Column(distinct, column.spec)


_REMEDY = "give those vertices a value of their own, or leave them out"


def leading_of(chunks: AttributeChunks | None) -> Leading | None:
    """Return the leading components of chunks, or None where chunks are spatial only."""
    return None if chunks is None else chunks.leading
