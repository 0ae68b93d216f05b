"""Bins: which first component of a chunk key every object, or every vertex, gets."""

from __future__ import annotations

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
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.chunk_values import chunk_values
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_column, read_groups
from zarr_vectors.rechunking.source import Source, SourceRows
from zarr_vectors.rechunking.spec import GROUP, OBJECT_ID, SPATIAL, RechunkSpec
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

FEW_VALUES = 10
"""Most values that get a bin each without being asked for."""
MAX_BINS = 1 << 20

OBJECT, VERTEX = "object", "vertex"
_QUARTERS = 4
_DIGIT = 16


@dataclass(frozen=True, slots=True)
class Values:
    """Bins of values.

    Parameters
    ----------
    edges : (B,) float64, optional
        Lower edges, where bins are ranges.
    distinct : (B,) array, optional
        The values, ascending, where every value has its own bin.
    """

    edges: AnyArray | None = None
    distinct: AnyArray | None = None

    @property
    def labels(self) -> tuple[Any, ...]:
        """Value, or lower edge, of every bin."""
        shown = self.distinct if self.distinct is not None else self.edges
        assert shown is not None
        return tuple(plain_value(value) for value in shown)

    def codes(self, values: AnyArray) -> IntArray:
        """Return the bin of every value; those that are missing, or have no bin, get the number of bins."""
        known = _present(values)
        codes = np.full(len(values), len(self.labels), np.int64)
        some = values[known]
        if self.edges is not None:
            places = np.searchsorted(self.edges, some.astype(np.float64), side="right") - 1
            codes[known] = np.maximum(places, 0)
            return codes
        assert self.distinct is not None
        if len(self.distinct) and len(some):
            plain = np.array(some.tolist()) if values.dtype.kind == "O" else some
            places = np.minimum(np.searchsorted(self.distinct, plain), len(self.distinct) - 1)
            codes[known] = np.where(self.distinct[places] == plain, places, len(self.distinct))
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
    scope : {"object", "vertex"}
        Whether all vertices of an object have one bin.
    labels : tuple
        What each bin holds: a value, a lower edge, or a group.
    exact : bool
        Whether the labels are the values themselves.
    ids, codes : (O,) int64
        Under ``"object"``: the objects of level 0, ascending, and their bins.
    values : Values, optional
        Under ``"vertex"``: bins of values.
    overlapping : int
        Objects that belong to several groups.
    """

    spec: RechunkSpec
    scope: str
    labels: tuple[Any, ...]
    exact: bool
    ids: IntArray
    codes: IntArray
    values: Values | None = None
    overlapping: int = 0

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
    bins = _bins(spec, lambda: iter([values]))
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
    if source.count:
        _require_scalar(spec, _read_column(source, name, np.arange(1)))

    def parts() -> Iterator[AnyArray]:
        return (comparable(_read_column(source, name, rows)) for rows in source.batches(rows_at_once))

    bins = _bins(spec, parts)
    none = np.zeros(0, np.int64)
    return Binning(spec, VERTEX, bins.labels, bins.distinct is not None, none, none, bins)


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
    """Return values that can be ordered: categories as themselves, times as their counts."""
    return column.values if column.spec.encoding in TIMES else decode_column(column)


def _present(values: AnyArray) -> AnyArray:
    if values.dtype.kind == "O":
        return np.array([value is not None for value in values.tolist()], bool)
    return ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), bool)


def _bins(spec: RechunkSpec, parts: Callable[[], Iterable[AnyArray]]) -> Values:
    """Return the bins of values that come in parts, as often as they are asked for."""
    if spec.bins is not None:
        for part in parts():
            if _present_values(part).dtype.kind not in "biuf":
                raise ArgumentError(f"bins: the values of by={spec.by!r} are not numbers; leave the edges out")
        return Values(edges=np.array(spec.bins, np.float64))
    distinct: AnyArray | None = None
    for part in parts():
        found = np.unique(_present_values(part))
        distinct = found if distinct is None else np.union1d(distinct, found)
        if distinct.dtype.kind in "iuf" and not spec.categorical and len(distinct) > FEW_VALUES:
            return Values(edges=quarters(parts))
        if len(distinct) > MAX_BINS:
            raise ArgumentError(f"by={spec.by!r}: there are more than {MAX_BINS} values; pass bins with edges")
    return Values(distinct=np.zeros(0) if distinct is None else distinct)


def _present_values(values: AnyArray) -> AnyArray:
    some = values[_present(values)]
    return np.array(some.tolist()) if some.dtype.kind == "O" else some


def quarters(parts: Callable[[], Iterable[AnyArray]]) -> AnyArray:
    """Return lower edges of bins that hold about a quarter of some numbers each, without holding all of them.

    An edge is the smallest of the numbers that is not below a quarter, a half, or three quarters of them; equal
    edges become one.

    Parameters
    ----------
    parts : function
        Gives the numbers in parts, every time it is called.
    """
    count = sum(len(_present_values(part)) for part in parts())
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
    return np.unique(_keys_as_numbers(found))


_SIGN = np.uint64(1 << 63)


def _ordered_keys(values: AnyArray) -> AnyArray:
    """Return unsigned integers in the order of float64 numbers."""
    bits = (values.astype(np.float64) + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _keys_as_numbers(keys: AnyArray) -> AnyArray:
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float64)
