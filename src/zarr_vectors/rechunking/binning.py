"""Bins: which first component of a chunk key every object, or every vertex, gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.constants import GROUP_NAME_ATTRIBUTE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.formats.documents import plain_value
from zarr_vectors.model.attributes import TIMES, Column
from zarr_vectors.model.elements import Groups
from zarr_vectors.ordering import offsets_of, ordered_bits
from zarr_vectors.read.chunk_values import chunk_values
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_column, read_groups
from zarr_vectors.rechunking.source import Source, SourceRows
from zarr_vectors.rechunking.spec import GROUP, OBJECT_ID, SPATIAL, RechunkSpec
from zarr_vectors.spatial.partition import MAX_BINS, check_bins
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

FEW_VALUES = 10
"""Most values that get a bin each without being asked for."""

OBJECT, VERTEX, CHANNEL = "object", "vertex", "channel"
_QUARTERS = 4
_DIGIT = 16


@dataclass(frozen=True, slots=True)
class Values:
    """Bins of values.

    Parameters
    ----------
    edges : tuple of numbers, optional
        Lower edges, ascending, where bins are ranges.
    distinct : (B,) array, optional
        The values, ascending, where every value has its own bin.
    """

    edges: tuple[Any, ...] | None = None
    distinct: AnyArray | None = None

    @property
    def labels(self) -> tuple[Any, ...]:
        """Value, or lower edge, of every bin."""
        if self.edges is not None:
            return self.edges
        assert self.distinct is not None
        return tuple(plain_value(value) for value in self.distinct)

    def codes(self, values: AnyArray) -> IntArray:
        """Return the bin of every value; those that are missing, or have no bin, get the number of bins."""
        known = _present(values)
        codes = np.full(len(values), len(self.labels), np.int64)
        some = _present_values(values)
        if self.edges is not None:
            some = some.view(np.uint8) if some.dtype.kind == "b" else some
            codes[known] = np.maximum(np.searchsorted(_edges_in(self.edges, some), some, side="right") - 1, 0)
            return codes
        assert self.distinct is not None
        if len(self.distinct) and len(some):
            alike = some
            if some.dtype != self.distinct.dtype and some.dtype.kind + self.distinct.dtype.kind in ("iu", "ui"):
                alike = some.astype(self.distinct.dtype)  # NumPy would compare them as floats
            places = np.minimum(np.searchsorted(self.distinct, alike), len(self.distinct) - 1)
            held = (self.distinct[places] == alike) & (alike == some)
            codes[known] = np.where(held, places, len(self.distinct))
        return codes

    @staticmethod
    def known(values: AnyArray) -> BoolArray:
        """Return which values are not missing."""
        return np.asarray(_present(values), bool)


@dataclass(frozen=True, slots=True)
class Binning:
    """How the vertices of a store are binned.

    Parameters
    ----------
    spec : RechunkSpec
        What was asked for.
    scope : {"object", "vertex", "channel"}
        Whether all vertices of an object have one bin; or bins are of the channels of an attribute.
    labels : tuple
        What each bin holds: a value, a lower edge, a group, or its first channel.
    exact : bool
        Whether the labels are the values themselves.
    ids, codes : (O,) int64
        Under ``"object"``: the objects of level 0, ascending, and their bins.
    values : Values, optional
        Under ``"vertex"``: bins of values.
    overlapping : int
        Objects that belong to several groups.
    channels : tuple of int
        Under ``"channel"``: first channel of every bin, and the number of channels.
    """

    spec: RechunkSpec
    scope: str
    labels: tuple[Any, ...]
    exact: bool
    ids: IntArray
    codes: IntArray
    values: Values | None = None
    overlapping: int = 0
    channels: tuple[int, ...] = ()

    @property
    def rest(self) -> int:
        """Bin of what has no value, or is in no group: after all others."""
        return len(self.labels)

    def of_objects(self, ids: IntArray) -> IntArray:
        """Return the bins of some objects, by id."""
        if len(self.ids) == 0:
            return np.full(len(ids), self.rest, np.int64)
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[places] == ids, self.codes[places], self.rest)

    def of_rows(self, source: Source, batch: SourceRows, owners: IntArray) -> IntArray:
        """Return the bins of some rows of a level, of whose fragments the owners are given by manifest row."""
        if self.scope == CHANNEL:
            return np.zeros(len(batch.rows), np.int64)
        if self.scope != OBJECT:
            return self.of_columns(len(batch.rows), dict(batch.attributes))
        if source.ids is None:
            return np.full(len(batch.rows), self.rest, np.int64)
        return np.append(self.of_objects(source.ids), self.rest)[owners[batch.fragments]]

    def of_columns(self, count: int, columns: dict[str, Column]) -> IntArray:
        """Return the bins of some vertices, by their attributes."""
        assert self.values is not None
        column = columns.get(self.spec.attribute or "")
        if column is None:
            return np.full(count, self.rest, np.int64)
        return self.values.codes(comparable(column))


@dataclass(frozen=True, slots=True)
class KeptBins:
    """The bins that the chunk keys of a store start with already."""

    def of_rows(self, source: Source, batch: SourceRows, owners: IntArray) -> IntArray:
        """Return the bins of some rows of a level."""
        chunk = np.searchsorted(source.row_offsets, batch.rows, side="right") - 1
        bins: IntArray = source.level.chunks[chunk, 0]
        return bins


def make_binning(spec: RechunkSpec, source: Source, rows_at_once: int) -> Binning | None:
    """Say how a store is binned, from its finest level; None for ``by="spatial"``.

    Raises
    ------
    ArgumentError
        When the store has no objects, groups, or attribute of that name; names those that there are.
    """
    if spec.by == SPATIAL:
        return None
    level = source.level
    if spec.attribute is not None and spec.attribute not in level.arrays.object_attributes:
        return _of_vertices(spec, source, rows_at_once)
    if source.ids is None:
        raise ArgumentError(f"by={spec.by!r}: {level.name} has no objects")
    order = np.argsort(source.ids, kind="stable")
    ids = source.ids[order]
    if spec.by == GROUP:
        return _of_groups(spec, level, ids)
    if spec.by == OBJECT_ID:
        values = source.ids
    else:
        assert spec.attribute is not None
        column = read_column(level, level.arrays.object_attributes[spec.attribute])
        _require_scalar(spec, column)
        values = comparable(column)
    bins = _bins(spec, lambda: iter([values]), source.count)
    return Binning(spec, OBJECT, bins.labels, bins.distinct is not None, ids, bins.codes(values)[order])


def _of_groups(spec: RechunkSpec, level: LevelReader, ids: IntArray) -> Binning:
    groups = read_groups(level)
    if groups is None or groups.count == 0:
        raise ArgumentError(f"by='group': {level.name} has no groups")
    codes, overlapping = group_codes(groups, ids)
    return Binning(spec, OBJECT, group_labels(groups), False, ids, codes, overlapping=overlapping)


def group_codes(groups: Groups, ids: IntArray) -> tuple[IntArray, int]:
    """Return the bin of every object, ids ascending: its first group; and how many objects are in several groups."""
    numbers = np.repeat(np.arange(groups.count), np.diff(groups.offsets))
    places = np.minimum(np.searchsorted(ids, groups.members), max(0, len(ids) - 1))
    there = ids[places] == groups.members if len(ids) else np.zeros(len(places), bool)
    pairs = np.unique(np.stack([places[there], numbers[there]], axis=1), axis=0)
    codes = np.full(len(ids), groups.count, np.int64)
    codes[pairs[::-1, 0]] = pairs[::-1, 1]  # the lowest number is written last, and stays
    return codes, int((np.bincount(pairs[:, 0], minlength=len(ids)) > 1).sum())


def group_labels(groups: Groups) -> tuple[Any, ...]:
    """Return the name, or number, of every group."""
    column = groups.attributes.get(GROUP_NAME_ATTRIBUTE)
    return tuple(range(groups.count)) if column is None else tuple(map(str, decode_column(column).tolist()))


def _of_vertices(spec: RechunkSpec, source: Source, rows_at_once: int) -> Binning:
    level, name = source.level, spec.attribute or ""
    if name not in level.attribute_names:
        raise ArgumentError(
            f"by={spec.by!r}: {level.name} has no attribute {name!r}; objects have "
            f"{sorted(level.arrays.object_attributes)}, vertices have {sorted(level.attribute_names)}"
        )
    channels = None if name == level.keyed_attribute else level.attribute(name).spec.channel_names
    if channels is not None:
        edges = _channel_edges(spec, len(channels))
        none = np.zeros(0, np.int64)
        labels = tuple(channels[edge] for edge in edges[:-1])
        return Binning(spec, CHANNEL, labels, False, none, none, channels=edges)
    if source.count:
        _require_scalar(spec, _read_column(source, name, np.arange(1)))

    def parts() -> Iterator[AnyArray]:
        return (comparable(_read_column(source, name, rows)) for rows in source.batches(rows_at_once))

    bins = _bins(spec, parts, source.count)
    none = np.zeros(0, np.int64)
    return Binning(spec, VERTEX, bins.labels, bins.distinct is not None, none, none, bins)


def _channel_edges(spec: RechunkSpec, count: int) -> tuple[int, ...]:
    """Return the first channel of every bin, and their number: a bin of its own for each, unless edges are given."""
    if spec.bins is None:
        return tuple(range(count + 1))
    inner = [int(edge) for edge in spec.bins[1:]]
    if any(edge != int(edge) for edge in spec.bins) or any(not 0 < edge < count for edge in inner):
        raise ArgumentError(
            f"bins: by={spec.by!r} has {count} channels, and bins of them start at whole numbers below that, got "
            f"{list(spec.bins)}"
        )
    return (0, *inner, count)


def _read_column(source: Source, name: str, chunk_rows: IntArray) -> Column:
    """Return one attribute of the rows of some chunks."""
    level = source.level
    if name == level.keyed_attribute:
        return chunk_values(level, np.repeat(chunk_rows, np.diff(source.row_offsets)[chunk_rows]))
    from_arrays = source.read(chunk_rows)
    return from_arrays.attributes[name]


def _require_scalar(spec: RechunkSpec, column: Column) -> None:
    if column.values.ndim != 1:
        raise ArgumentError(f"by={spec.by!r}: the attribute has {column.values.shape[1]} channels; it must have one")


def comparable(column: Column) -> AnyArray:
    """Return values that can be ordered: categories as themselves, times as their counts; missing ones are masked."""
    if column.spec.encoding not in TIMES:
        return decode_column(column)
    return np.ma.masked_array(column.values, column.values == np.iinfo(np.int64).min)


def _present(values: AnyArray) -> AnyArray:
    if isinstance(values, np.ma.MaskedArray):
        return ~np.ma.getmaskarray(values)
    if values.dtype.kind == "O":
        return np.array([value is not None for value in values.tolist()], bool)
    return ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), bool)


def _bins(spec: RechunkSpec, parts: Callable[[], Iterable[AnyArray]], count: int) -> Values:
    """Return the bins of values, of so many vertices, that come in parts as often as they are asked for."""
    if spec.bins is not None:
        for part in parts():
            if _present_values(part).dtype.kind not in "biuf":
                raise ArgumentError(f"bins: the values of by={spec.by!r} are not numbers; leave the edges out")
        return Values(edges=tuple(plain_value(edge) for edge in spec.bins))
    distinct: AnyArray | None = None
    for part in parts():
        some = _present_values(part)
        if some.dtype.kind not in "biufU":
            raise ArgumentError(f"by={spec.by!r}: the attribute holds {some.dtype} values; numbers or texts are needed")
        found = np.unique(some)
        distinct = found if distinct is None else np.union1d(distinct, found)
        if distinct.dtype.kind in "iuf" and not spec.categorical and len(distinct) > FEW_VALUES:
            return Values(edges=tuple(quarters(parts).tolist()))
        if len(distinct) > MAX_BINS:
            break
    check_bins(f"by={spec.by!r}: the attribute", 0 if distinct is None else len(distinct), count)
    return Values(distinct=np.zeros(0) if distinct is None else distinct)


def _present_values(values: AnyArray) -> AnyArray:
    some = np.ma.getdata(values)[_present(values)]
    return np.array(some.tolist()) if some.dtype.kind == "O" else some


def _edges_in(edges: tuple[Any, ...], values: AnyArray) -> AnyArray:
    """Return edges in the type of some numbers, so that the same numbers are not below them as of the edges given."""
    if values.dtype.kind == "f":
        found = np.array(edges, np.float64)
        below = [float(edge) < edge for edge in edges]  # whole numbers that no float is
        return np.where(below, np.nextafter(found, np.inf), found)
    limits = np.iinfo(values.dtype)
    whole = [max(math.ceil(edge), limits.min) for edge in edges]
    return np.array([edge for edge in whole if edge <= limits.max], values.dtype)


def quarters(parts: Callable[[], Iterable[AnyArray]]) -> AnyArray:
    """Return lower edges of bins that hold about a quarter of some numbers each, without holding all of them.

    An edge is the smallest of the numbers that is not below a quarter, a half, or three quarters of them; equal
    edges become one.

    Parameters
    ----------
    parts : function
        Gives the numbers in parts, every time it is called.

    Returns
    -------
    (B,) array
        Of the type of the numbers; float64 where they are floats.
    """
    count, dtype = 0, np.dtype(np.float64)
    for part in parts():
        count, dtype = count + len(_present_values(part)), part.dtype
    ranks = np.array([count * quarter // _QUARTERS for quarter in range(_QUARTERS)], np.int64)
    found = np.zeros(len(ranks), np.uint64)
    for shift in range(64 - _DIGIT, -1, -_DIGIT):
        histogram = np.zeros((len(ranks), 1 << _DIGIT), np.int64)
        for part in parts():
            keys = _ordered_keys(_present_values(part))
            for place, prefix in enumerate(found):
                mine = keys if shift == 64 - _DIGIT else keys[keys >> np.uint64(shift + _DIGIT) == prefix]
                digits = (mine >> np.uint64(shift)) & np.uint64((1 << _DIGIT) - 1)
                histogram[place] += np.bincount(digits.astype(np.int64), minlength=1 << _DIGIT)
        for place in range(len(ranks)):
            sums = offsets_of(histogram[place])
            digit = int(np.searchsorted(sums, ranks[place], side="right")) - 1
            ranks[place] -= sums[digit]
            found[place] = (found[place] << np.uint64(_DIGIT)) | np.uint64(digit)
    return np.unique(_keys_as_numbers(found, dtype))


_SIGN = np.uint64(1 << 63)


def _ordered_keys(values: AnyArray) -> AnyArray:
    """Return unsigned integers of 64 bits in the order of some numbers."""
    if values.dtype.kind == "u":
        return values.astype(np.uint64)
    if values.dtype.kind == "i":
        return values.astype(np.int64).view(np.uint64) ^ _SIGN
    return ordered_bits(values.astype(np.float64) + 0.0)


def _keys_as_numbers(keys: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    if dtype.kind == "u":
        return keys
    if dtype.kind == "i":
        return (keys ^ _SIGN).view(np.int64)
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float64)
