"""Aggregating attribute values of vertices and links that merge: mean, sum, minimum, maximum, mode, count.

What is missing is left out; where everything is missing, so is the result. Integers are summed and averaged exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors.encoding.categorical import MISSING_CODE
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import is_nullable_boolean
from zarr_vectors.model.attributes import TIMES, AttributeSpec, Column
from zarr_vectors.multiresolution.modes import COUNT, is_colour
from zarr_vectors.ordering import offsets_of, stable_order
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

_DENSE_HISTOGRAM = 1 << 24
_CODE_SPAN = 1 << 20
_HALF = np.uint64(32)
COUNT_DTYPE = np.dtype(np.uint32)

COLOURS = (("red", "green", "blue"), ("r", "g", "b"), ("R", "G", "B"))
"""Names of attributes that are the channels of one colour."""
_Reducer = Callable[[AnyArray, "Merging"], AnyArray]


def aggregated_spec(spec: AttributeSpec, mode: str) -> AttributeSpec:
    """Return the spec of an aggregated attribute, which states the mode.

    A sum has the widest type of its kind: ``int64``, ``uint64`` or ``float64``. What is missing is NaN in floats,
    whatever stands for it below; sums of integers have a value of their own for it, since theirs may be any.
    """
    if mode == COUNT:
        return AttributeSpec(
            COUNT_DTYPE.name,
            description=spec.description,
            channel_names=spec.channel_names,
            aggregation=mode,
            extra=spec.extra,
        )
    dtype = np.dtype(spec.dtype)
    fill = None if dtype.kind == "f" else spec.fill
    if mode == "sum" and is_nullable_boolean(spec):
        spec = replace(spec, encoding=None, categories=None, value_dtype=None, categorical=None)
    if mode == "sum" and spec.encoding is None:
        wide = {"f": "float64", "u": "uint64"}.get(dtype.kind, "int64")
        limits = None if fill is None else np.iinfo(wide)
        fill = None if limits is None else limits.max if wide == "uint64" else limits.min
        return replace(spec, dtype=wide, fill=fill, aggregation=mode)
    return replace(spec, fill=fill, aggregation=mode)


def count_column(sizes: IntArray) -> Column:
    """Return the attribute that holds how many vertices or links merged."""
    return Column(sizes.astype(COUNT_DTYPE), AttributeSpec(dtype=COUNT_DTYPE.name, aggregation=COUNT))


def missing_values(column: Column) -> BoolArray | None:
    """Return which values of a column are missing, shaped like them; None where none is."""
    values, spec = column.values, column.spec
    if spec.fill is None:
        if values.dtype.kind == "f" and (values.size == 0 or not np.isnan(values.min())):
            return None  # which is cheaper to see than to mark
        if spec.encoding == "dictionary":
            column = Column(values, replace(spec, fill=MISSING_CODE))
    missing = column.missing()
    return missing if missing is not None and missing.any() else None


def missing_sign(spec: AttributeSpec) -> Any:
    """Return the stored value that means "missing"; None where only NaN does, or nothing."""
    if spec.encoding in TIMES:
        return np.iinfo(np.int64).min
    return MISSING_CODE if spec.fill is None and spec.encoding == "dictionary" else spec.fill


@dataclass(frozen=True)
class Merging:
    """Which vertices merge: runs of consecutive rows of an order, and which metavertex each run joins.

    Parameters
    ----------
    starts : (R,) int64
        First row of every run.
    counts : (R,) int64
        Rows of every run.
    target : (R,) int64
        Metavertex that each run joins, ``0 … n - 1``, every one met.
    n : int
        Number of metavertices.
    """

    starts: IntArray
    counts: IntArray
    target: IntArray
    n: int

    @cached_property
    def sizes(self) -> IntArray:
        """Vertices that merge into each metavertex, ``(n,)``."""
        return np.bincount(self.target, weights=self.counts, minlength=self.n).astype(np.int64)

    @cached_property
    def rows(self) -> IntArray:
        """The metavertex of every row."""
        return np.repeat(self.target, self.counts)

    @cached_property
    def _by_target(self) -> tuple[IntArray, IntArray] | None:
        """The order of the runs by metavertex and where each one's start in it; None where each is one run in order."""
        if self.n == len(self.target) and bool((self.target[1:] > self.target[:-1]).all()):
            return None
        order = stable_order([self.target.astype(np.uint32)])
        ordered = self.target[order]
        return order, np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))

    def total(self, values: AnyArray) -> AnyArray:
        """Sum ``(N,)`` values per metavertex, in float64 (int64 for integers, modulo 2**64)."""
        wide = values.astype(np.float64 if values.dtype.kind == "f" else np.int64, copy=False)
        return self._reduced(np.add, wide)

    def extreme(self, values: AnyArray, *, largest: bool) -> AnyArray:
        """Return the largest or smallest of ``(N,)`` values per metavertex."""
        return self._reduced(np.maximum if largest else np.minimum, values)

    def _reduced(self, reduce: np.ufunc, values: AnyArray) -> AnyArray:
        if len(self.starts) == 0:
            return values[:0]
        with np.errstate(over="ignore", invalid="ignore"):
            runs: AnyArray = reduce.reduceat(values, self.starts)
            if self._by_target is None:
                return runs
            order, heads = self._by_target
            return np.asarray(reduce.reduceat(runs[order], heads))

    def without(self, missing: BoolArray) -> tuple[Merging, IntArray]:
        """Return how the rows that are not missing merge, and the metavertices that have any, ascending."""
        counts = np.add.reduceat(~missing, self.starts, dtype=np.int64)
        left = np.flatnonzero(counts)
        counts, target = counts[left], self.target[left]
        filled = np.unique(target)
        number = np.zeros(self.n, np.int64)
        number[filled] = np.arange(len(filled))
        return Merging(offsets_of(counts)[:-1], counts, number[target], len(filled)), filled


def merge_positions(positions: AnyArray, merging: Merging) -> AnyArray:
    """Return the centroids ``(n, D)`` of merging vertices: means in float64, cast to the stored type."""
    merged = np.empty((merging.n, positions.shape[1]), positions.dtype)
    for d in range(positions.shape[1]):
        merged[:, d] = merging.total(np.ascontiguousarray(positions[:, d])) / merging.sizes
    return merged


def merge_columns(
    columns: Mapping[str, Column],
    merging: Merging,
    modes: Mapping[str, str],
    taken: Callable[[Column], Column] = lambda column: column,
) -> dict[str, Column]:
    """Aggregate attributes, each by its mode; those without one are left out.

    Parameters
    ----------
    columns : mapping of str to Column
        What there is.
    merging : Merging
        Which rows merge.
    modes : mapping of str to str
        ``mean``, ``sum``, ``min``, ``max``, ``mode`` or ``count`` by name.
    taken : callable, optional
        Gives the rows of a column in the order of the runs.

    Raises
    ------
    ArgumentError
        When a sum does not fit in 64 bits.
    """
    merged: dict[str, Column] = {}
    for names in _together(columns, modes):
        parts = [taken(columns[name]) for name in names]
        merged |= zip(names, _merge(names, parts, merging, modes[names[0]]), strict=True)
    return {name: merged[name] for name in columns if name in modes}


def merge_column(name: str, column: Column, merging: Merging, mode: str) -> Column:
    """Aggregate one attribute; see :func:`merge_columns`."""
    return _merge([name], [column], merging, mode)[0]


def _together(columns: Mapping[str, Column], modes: Mapping[str, str]) -> Iterator[Sequence[str]]:
    """Yield names of attributes that are aggregated as one: the most frequent colour is that of three at once."""
    done: set[str] = set()
    for names in COLOURS:
        found = [columns[name] for name in names if modes.get(name) == "mode" and name in columns]
        if len(found) == len(names) and all(column.values.ndim == 1 for column in found):
            done |= {*names}
            yield names
    yield from ([name] for name in columns if name in modes and name not in done)


def _merge(names: Sequence[str], columns: Sequence[Column], merging: Merging, mode: str) -> list[Column]:
    specs = [aggregated_spec(column.spec, mode) for column in columns]
    shapes = [(merging.n, *column.values.shape[1:]) for column in columns]
    merged = [np.empty(shape, spec.numpy_dtype) for shape, spec in zip(shapes, specs, strict=True)]
    if mode == COUNT:
        for part in merged:
            part.T[...] = merging.sizes
        return [Column(part, spec) for part, spec in zip(merged, specs, strict=True)]
    places = [(part, spec) for part, spec in zip(merged, specs, strict=True) for _ in _channels(part)]
    outs = [out for part in merged for out in _channels(part)]
    values = [np.ascontiguousarray(channel) for column in columns for channel in _channels(column.values)]
    missing = [mask for column in columns for mask in _masks(column)]
    joint = len(columns) > 1 or is_colour(names[0], specs[0])
    if joint and any(mask is not None for mask in missing):
        missing = [np.logical_or.reduce([mask for mask in missing if mask is not None])] * len(missing)
    if joint and mode == "mode":
        _fill_rows(outs, values, missing[0], merging, [missing_sign(spec) for _, spec in places])
    else:
        for out, channel, mask, (_, spec) in zip(outs, values, missing, places, strict=True):
            _fill_channel(names[0], out, channel, mask, merging, mode, missing_sign(spec))
    return [Column(part, spec) for part, spec in zip(merged, specs, strict=True)]


def _channels(values: AnyArray) -> list[AnyArray]:
    return [values] if values.ndim == 1 else [values[:, channel] for channel in range(values.shape[1])]


def _masks(column: Column) -> list[BoolArray | None]:
    missing = missing_values(column)
    if missing is None:
        return [None] * len(_channels(column.values))
    return [mask if mask.any() else None for mask in _channels(missing)]


def _fill_channel(
    name: str, out: AnyArray, values: AnyArray, missing: BoolArray | None, merging: Merging, mode: str, sign: Any
) -> None:
    """Write the aggregated values of one channel where the level has them."""
    reducers: dict[str, _Reducer] = {
        "mean": _mean,
        "sum": lambda channel, some: _sum(name, channel, some, sign),
        "min": lambda channel, some: some.extreme(channel, largest=False),
        "max": lambda channel, some: some.extreme(channel, largest=True),
        "mode": lambda channel, some: channel[most_frequent([channel], some)],
    }
    filled: IntArray | slice = slice(None)
    if missing is not None:
        out[:] = np.nan if sign is None else sign
        merging, filled = merging.without(missing)
        values = values[~missing]
    made = reducers[mode](values, merging).astype(out.dtype, copy=False)
    if mode == "mean" and sign is not None and made.dtype.kind in "iu":
        # The value for "missing" is no mean: the next one is the nearest that can be stored.
        made = np.where(made == sign, made + 1 if sign < np.iinfo(made.dtype).max else made - 1, made)
    out[filled] = made


def _fill_rows(
    outs: Sequence[AnyArray],
    values: Sequence[AnyArray],
    missing: BoolArray | None,
    merging: Merging,
    signs: Sequence[Any],
) -> None:
    """Write the most frequent rows of several channels, of those that lack no channel.

    Where every row lacks one, all channels are missing, but those in which nothing can be: they are counted alone.
    """
    filled: IntArray | slice = slice(None)
    if missing is not None:
        full = [
            (out, c) for out, c, sign in zip(outs, values, signs, strict=True) if sign is None and c.dtype.kind != "f"
        ]
        alone = most_frequent([channel for _, channel in full], merging) if full else None
        for out, channel in full:
            out[:] = channel[alone]
        for out, sign in zip(outs, signs, strict=True):
            if sign is not None or out.dtype.kind == "f":
                out[:] = np.nan if sign is None else sign
        merging, filled = merging.without(missing)
        values = [channel[~missing] for channel in values]
    rows = most_frequent(values, merging)
    for out, channel in zip(outs, values, strict=True):
        out[filled] = channel[rows]


def _mean(values: AnyArray, merging: Merging) -> AnyArray:
    if values.dtype.kind != "f":
        return _whole_mean(values.view(np.uint8) if values.dtype == np.bool_ else values, merging)
    mean = merging.total(values) / merging.sizes
    far = np.isinf(mean)
    if values.dtype.itemsize == 8 and far.any():  # sums may be out of range where means are not
        mean[far] = np.ldexp(merging.total(np.ldexp(values, -32)) / merging.sizes, 32)[far]
    return mean


def _whole_mean(values: AnyArray, merging: Merging) -> AnyArray:
    """Return exact means of whole numbers, rounded to the nearest, to the even one of two."""
    if len(values) == 0:
        return values
    sizes, largest = merging.sizes, int(merging.sizes.max())
    low, high = _range(values)
    if low * largest >= -(2**63) and high * largest < 2**63:
        mean, rest = np.divmod(merging.total(values), sizes)
        mean, rest, parts = mean.astype(np.uint64), rest.astype(np.uint64), sizes.astype(np.uint64)
    else:  # Sums of both halves of the numbers; what the upper ones leave over goes to the lower ones.
        parts = sizes.astype(np.uint64)
        upper, over = np.divmod(merging.total(values >> values.dtype.type(32)), sizes)
        lower = merging.total(values & values.dtype.type(0xFFFFFFFF)).astype(np.uint64)
        mean, rest = np.divmod((over.astype(np.uint64) << _HALF) + lower, parts)
        mean += upper.astype(np.uint64) << _HALF
    twice = rest + rest
    mean += (twice > parts) | ((twice == parts) & (mean % np.uint64(2) == 1))
    return mean.view(np.int64) if values.dtype.kind == "i" else mean


def _range(values: AnyArray) -> tuple[int, int]:
    """Return the least and largest number: those of the type where it is small, which costs nothing."""
    if values.dtype.itemsize <= 4:
        limits = np.iinfo(values.dtype)
        return limits.min, limits.max
    return int(values.min()), int(values.max())


def _sum(name: str, values: AnyArray, merging: Merging, sign: Any) -> AnyArray:
    if values.dtype.kind == "f":
        total = merging.total(values)
        wrong = np.isinf(total)
        if wrong.any():
            wrong &= np.isfinite(merging.extreme(np.abs(values), largest=True))
        _require_fit(name, wrong, merging, "float64")
        return total
    values = values.view(np.uint8) if values.dtype == np.bool_ else values
    kind = np.dtype(np.uint64 if values.dtype.kind == "u" else np.int64)
    wrong = _overflowing(values, merging, signed=kind.kind == "i")
    total = merging.total(values).astype(kind, copy=False)
    _require_fit(name, wrong if sign is None else wrong | (total == sign), merging, kind.name)
    return total


def _overflowing(values: AnyArray, merging: Merging, *, signed: bool) -> BoolArray:
    """Return which sums do not fit in 64 bits: this is found from the sums of both halves of the numbers."""
    wrong = np.zeros(merging.n, np.bool_)
    if len(values) == 0:
        return wrong
    least, most = (-(2**63), 2**63 - 1) if signed else (0, 2**64 - 1)
    low, high = _range(values)
    largest = int(merging.sizes.max())
    if least <= low * largest and high * largest <= most:
        return wrong
    upper = merging.total(values >> values.dtype.type(32))
    upper = upper + (merging.total(values & values.dtype.type(0xFFFFFFFF)) >> 32)
    return np.asarray((upper < least >> 32) | (upper > most >> 32))


def _require_fit(name: str, wrong: BoolArray, merging: Merging, kind: str) -> None:
    if wrong.any():
        remedy = "choose 'mean'" if kind == "float64" else "choose 'mean', or store it as float64"
        raise ArgumentError(
            f"agg_mode: the sum of {name!r} over {int(merging.sizes[wrong.argmax()])} vertices or links that merge "
            f"does not fit in {kind}; {remedy}"
        )


def most_frequent(channels: Sequence[AnyArray], merging: Merging) -> IntArray:
    """Return, per metavertex, a row with the values that most of its rows have; of several, those that come first.

    Parameters
    ----------
    channels : sequence of (N,) arrays
        One value of every channel per row; a row counts as a whole.
    merging : Merging
        Which rows merge.
    """
    if len(channels[0]) == 0:
        return np.zeros(0, np.int64)
    codes, span = _codes(channels[0])
    for channel in channels[1:]:
        more, wide = _codes(channel)
        if span * wide >= 2**62:
            table, codes = np.unique(codes, return_inverse=True)
            span = len(table)
        codes, span = codes * wide + more, span * wide
    if merging.n * span > _DENSE_HISTOGRAM:
        return _most_frequent_sorted(codes, merging)
    keys = merging.rows * span + codes
    histogram = np.bincount(keys, minlength=merging.n * span).reshape(merging.n, span)
    tops = (histogram == histogram.max(axis=1)[:, None]).reshape(-1)
    rows = np.flatnonzero(tops[keys])[::-1]
    first = np.empty(merging.n, np.int64)
    first[merging.rows[rows]] = rows  # of equal places the last assignment counts
    return first


def _codes(values: AnyArray) -> tuple[IntArray, int]:
    """Return small non-negative codes, the same for the same value, and how many there may be."""
    if values.dtype.kind in "biu":
        low, high = int(values.min()), int(values.max())
        if high - low < _CODE_SPAN:
            numbers = values.view(np.uint8) if values.dtype == np.bool_ else values
            above = numbers - numbers.dtype.type(low) if numbers.dtype.itemsize == 8 else numbers.astype(np.int64) - low
            return above.astype(np.int64, copy=False), high - low + 1
    table, codes = np.unique(values, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), len(table)


def _most_frequent_sorted(codes: IntArray, merging: Merging) -> IntArray:
    target = merging.rows
    order = stable_order([target.astype(np.uint32), codes.astype(np.uint64)])
    owner, code = target[order], codes[order]
    heads = np.flatnonzero(np.append(True, (owner[1:] != owner[:-1]) | (code[1:] != code[:-1])))
    lengths = np.diff(np.append(heads, len(owner)))
    owner, first = owner[heads], order[heads]
    starts = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    most = np.maximum.reduceat(lengths, starts)
    first = np.where(lengths == most[owner], first, len(target))
    return np.asarray(np.minimum.reduceat(first, starts))
