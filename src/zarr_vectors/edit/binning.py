"""First components of chunk keys: which bin new vertices go to, and what cannot change without moving old ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.formats.documents import plain_value
from zarr_vectors.formats.joining import join_column
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.metadata import CHUNKED_BY
from zarr_vectors.ordering import ordered_bits
from zarr_vectors.read.chunk_values import bin_values
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_groups, read_object_ids
from zarr_vectors.rechunking.binning import CHANNEL, OBJECT, VERTEX, group_codes, group_labels
from zarr_vectors.rechunking.described import Described, read_description
from zarr_vectors.rechunking.spec import GROUP, RechunkSpec
from zarr_vectors.typing import BoolArray, IntArray

LEADING = "\x00leading"
"""Column that carries the first component of every vertex's chunk, in levels whose chunks go by more than space."""

_ANEW = "rechunk the store by='spatial', change it, and rechunk it again"


def leading_column(codes: IntArray) -> Column:
    """Return the column of first components."""
    return Column(np.asarray(codes, np.int64), AttributeSpec(dtype="int64"))


def bins_of_vertices(level: LevelReader, columns: Mapping[str, Column]) -> Column | None:
    """Return the bins of vertices by their attributes; None where chunks go by space alone, or by objects.

    Raises
    ------
    ArgumentError
        When there is no bin for a value, or the level does not say what its bins are.
    """
    if not level.leads:
        return None
    described = read_description(level.metadata)
    if goes_by_channels(level):
        return leading_column(np.zeros(len(next(iter(columns.values()))), np.int64))
    if described is None:
        name = level.metadata.chunk_attribute_name
        if name is None or name not in columns:
            raise _unknown(level)
        return leading_column(codes_by_value(level, name, columns[name]))
    if described.scope == OBJECT:
        return None
    column = columns.get(described.spec.attribute or "")
    if column is None or not described.fits(column):
        raise _unknown(level)
    codes, without = described.of_column(column)
    _require_bins(level, "attributes", described, without, column)
    return leading_column(codes)


def goes_by_channels(level: LevelReader) -> bool:
    """Return whether the chunks of a level go by the channels of an attribute; all vertices are in the first bin."""
    said = level.metadata.extra.get(CHUNKED_BY)
    return isinstance(said, dict) and said.get("scope") == CHANNEL


def codes_by_value(level: LevelReader, name: str, column: Column) -> IntArray:
    """Return the bins of values of an attribute of vertices by the values that the format's own metadata list."""
    bins = bin_values(level)
    if bins is None:
        if column.values.dtype.kind not in "iu" or column.spec.encoding is not None:
            raise _unknown(level)
        return np.asarray(column.values, np.int64)
    joined = join_column("attributes", name, bins, column).values
    held, given = ordered_bits(joined[: len(bins)]), ordered_bits(joined[len(bins) :])
    order = np.argsort(held, kind="stable")
    codes = np.append(order, 0)[np.searchsorted(held, given, sorter=order)]
    unknown = np.flatnonzero(held[codes] != given) if len(held) else np.arange(len(given))
    if len(unknown):
        values = level.metadata.chunk_attribute_values or ()
        value = decode_column(column.take(unknown[:1])).tolist()[0]
        raise ArgumentError(
            f"attributes: {level.name} is chunked by {name!r}, which has no value {value!r}; it has "
            f"{list(values)[:10]}. Write the store anew to add values"
        )
    return np.asarray(codes, np.int64)


def bins_of_objects(
    level: LevelReader, ids: IntArray, attributes: Mapping[str, Column], groups: Groups | None
) -> IntArray:
    """Return the bins of objects, in a level whose chunks go by them.

    Parameters
    ----------
    level : LevelReader
        The level.
    ids : (O,) int64
        The objects.
    attributes : mapping of str to Column
        Their attributes.
    groups : Groups, optional
        Groups that they may be in.

    Raises
    ------
    ArgumentError
        When there is no bin for a value, or the level does not say what its bins are.
    """
    described = read_description(level.metadata)
    found = None if described is None else described.of_objects(ids, dict(attributes), groups)
    if found is None or described is None:
        raise _unknown(level)
    codes, without = found
    name = described.spec.attribute
    argument, column = ("object_ids", None) if name is None else ("object_attributes", attributes[name])
    _require_bins(level, argument, described, without, column or leading_column(ids))
    return codes


def _require_bins(level: LevelReader, argument: str, described: Described, without: BoolArray, column: Column) -> None:
    if without.any():
        value = plain_value(decode_column(column)[int(np.flatnonzero(without)[0])])
        raise ArgumentError(
            f"{argument}: the chunks of {level.name} go by {described.spec.by!r}, and there is no bin for {value!r}; "
            f"there are {list(described.labels)[:10]}. To add one, {_ANEW}"
        )


def _unknown(level: LevelReader) -> ArgumentError:
    first = level.metadata.chunk_attribute_name or (level.metadata.chunk_dims or ("",))[0]
    return ArgumentError(
        f"positions: the chunks of {level.name} go by {first!r} before space, and which bin new vertices belong to "
        f"cannot be derived; {_ANEW}"
    )


def require_unbound(level: LevelReader, kind: str, name: str) -> None:
    """Refuse to change the attribute that the chunks of a level go by.

    Raises
    ------
    ArgumentError
        When `name` is that attribute.
    """
    described = read_description(level.metadata)
    bound = (VERTEX, level.metadata.chunk_attribute_name)
    if goes_by_channels(level):
        bound = (VERTEX, RechunkSpec(level.metadata.extra[CHUNKED_BY]["by"]).attribute)
    if described is not None:
        bound = (described.scope, described.spec.attribute)
    if (kind, name) == bound:
        raise ArgumentError(
            f"name: the chunks of {level.name} go by {kind} attribute {name!r}, so that it cannot be changed or "
            f"removed; {_ANEW}"
        )


def require_same_bins(level: LevelReader, groups: Groups | None) -> None:
    """Refuse other groups where the chunks of a level go by groups and vertices would belong in other chunks.

    Raises
    ------
    ArgumentError
        Naming an object whose bin would be another one.
    """
    described = read_description(level.metadata)
    ids = read_object_ids(level)
    if described is None or described.spec.by != GROUP or ids is None:
        return
    ids = np.sort(ids)
    held, labels = read_groups(level), () if groups is None else group_labels(groups)
    if held is not None and groups is not None and labels == described.labels:
        other = ids[group_codes(groups, ids)[0] != group_codes(held, ids)[0]]
        if not len(other):
            return
        what = f"object {other[0]} would have another first group"
    else:
        what = f"they would be {list(labels)[:10]}, not {list(described.labels)[:10]}"
    raise ArgumentError(f"groups: the chunks of {level.name} go by groups, and {what}; {_ANEW}")
