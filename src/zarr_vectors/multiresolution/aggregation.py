"""Aggregating attribute values of vertices that merge: mean, sum, minimum, maximum, mode, count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.ordering import stable_order
from zarr_vectors.typing import AnyArray, IntArray

_DENSE_HISTOGRAM = 1 << 24
_LARGEST = np.nextafter(2.0**64, 0)
COUNT_DTYPE = np.dtype(np.uint32)


def chosen_mode(name: str, spec: AttributeSpec, everywhere: str | None, named: Mapping[str, str]) -> str:
    """Return the mode by which an attribute is aggregated.

    Means are the default for floats, modes for everything else. A mode for all attributes leaves categories at
    ``mode``, since codes have no mean; one that is named for such an attribute must make sense for it.

    Raises
    ------
    ArgumentError
        When a mode is named that the attribute's values do not have.
    """
    categorical = spec.categories is not None
    if name in named:
        if categorical and named[name] not in ("mode", "count"):
            raise ArgumentError(
                f"agg_mode: {name!r} holds categories, which have a 'mode' or 'count', no {named[name]!r}"
            )
        return named[name]
    if everywhere == "count":
        return "count"
    if categorical:
        return "mode"
    if everywhere is not None:
        return everywhere
    return "mean" if np.dtype(spec.dtype).kind == "f" else "mode"


def aggregated_spec(spec: AttributeSpec, mode: str) -> AttributeSpec:
    """Return the spec of an aggregated attribute: sums and counts of integers need wider types."""
    if mode == "count":
        return replace(spec, dtype=COUNT_DTYPE.name, encoding=None, categories=None, fill=None, unit=None)
    if mode == "sum" and np.dtype(spec.dtype).kind in "biu":
        return replace(spec, dtype="uint64" if np.dtype(spec.dtype).kind == "u" else "int64")
    return spec


@dataclass(frozen=True, slots=True)
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

    @property
    def sizes(self) -> IntArray:
        """Vertices that merge into each metavertex, ``(n,)``."""
        return np.bincount(self.target, weights=self.counts, minlength=self.n).astype(np.int64)

    def of_rows(self) -> IntArray:
        """Return the metavertex of every row."""
        return np.repeat(self.target, self.counts)

    def total(self, values: AnyArray) -> AnyArray:
        """Sum ``(N,)`` values per metavertex, in float64 (int64 for integers)."""
        wide = values.astype(np.float64 if values.dtype.kind == "f" else np.int64, copy=False)
        return self._reduced(np.add, wide)

    def extreme(self, values: AnyArray, *, largest: bool) -> AnyArray:
        """Return the largest or smallest of ``(N,)`` values per metavertex."""
        return self._reduced(np.maximum if largest else np.minimum, values)

    def _reduced(self, reduce: np.ufunc, values: AnyArray) -> AnyArray:
        if len(self.starts) == 0:
            return values[:0]
        runs: AnyArray = reduce.reduceat(values, self.starts)
        order = stable_order([self.target.astype(np.uint32)])
        ordered = self.target[order]
        heads = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        return np.asarray(reduce.reduceat(runs[order], heads))


def merge_positions(positions: AnyArray, merging: Merging) -> AnyArray:
    """Return the centroids ``(n, D)`` of merging vertices: means in float64, cast to the stored type."""
    merged = np.empty((merging.n, positions.shape[1]), positions.dtype)
    sizes = merging.sizes
    for d in range(positions.shape[1]):
        merged[:, d] = merging.total(np.ascontiguousarray(positions[:, d])) / sizes
    return merged


def merge_column(name: str, column: Column, merging: Merging, mode: str) -> Column:
    """Aggregate one attribute, channel by channel.

    Parameters
    ----------
    name : str
        What it is called, for messages.
    column : Column
        One row per vertex, in the order of the runs.
    merging : Merging
        Which rows merge.
    mode : str
        ``mean``, ``sum``, ``min``, ``max``, ``mode`` (ties: the smallest value) or ``count``.

    Raises
    ------
    ArgumentError
        When a sum of whole numbers does not fit in 64 bits.
    """
    spec = aggregated_spec(column.spec, mode)
    values = column.values
    if mode == "sum" and values.dtype.kind in "biu":
        _refuse_overflow(name, values, merging)
    if values.ndim == 1:
        return Column(_merged(values, merging, mode, np.dtype(spec.dtype)), spec)
    merged = np.empty((merging.n, values.shape[1]), spec.dtype)
    for channel in range(values.shape[1]):
        part = np.ascontiguousarray(values[:, channel])
        merged[:, channel] = _merged(part, merging, mode, np.dtype(spec.dtype))
    return Column(merged, spec)


def _merged(values: AnyArray, merging: Merging, mode: str, dtype: np.dtype[np.generic]) -> AnyArray:
    if mode == "count":
        return merging.sizes.astype(dtype)
    if mode in ("min", "max"):
        return merging.extreme(values, largest=mode == "max").astype(dtype)
    if mode == "sum":
        return merging.total(values).astype(dtype)
    if mode == "mean":
        return _mean(values, merging, dtype)
    return most_frequent(values, merging).astype(dtype)


def _mean(values: AnyArray, merging: Merging, dtype: np.dtype[np.generic]) -> AnyArray:
    if values.dtype.kind == "f":
        return (merging.total(values) / merging.sizes).astype(dtype)
    # Whole numbers: measured from the smallest, so that dates in nanoseconds keep every digit.
    if len(values) == 0:
        return values
    # Both steps count modulo 2**64, so that any range of 64-bit numbers is measured right.
    least = np.uint64(int(values.min()) % 2**64)
    offset = values.astype(np.uint64) - least
    most = offset.max()
    if int(most) * int(merging.sizes.max()) >= 2**63:
        offset = offset.astype(np.float64)
    mean = np.minimum(np.rint(merging.total(offset) / merging.sizes), _LARGEST).astype(np.uint64)
    return np.asarray((np.minimum(mean, most) + least).astype(dtype))


def _refuse_overflow(name: str, values: AnyArray, merging: Merging) -> None:
    """Refuse sums that do not fit in 64 bits, which are found from the sums of both halves of the numbers."""
    if values.size == 0:
        return
    low, high = int(values.min()), int(values.max())
    unsigned = values.dtype.kind == "u"
    least, most = (0, 2**64 - 1) if unsigned else (-(2**63), 2**63 - 1)
    largest = int(merging.sizes.max())
    if least <= low * largest and high * largest <= most:
        return
    for channel in values.reshape(len(values), -1).T:
        upper = merging.total(channel >> 32)
        lower = merging.total(channel & 0xFFFFFFFF)
        upper = upper + (lower >> 32)
        wrong = (upper < least >> 32) | (upper > most >> 32)
        if wrong.any():
            raise ArgumentError(
                f"agg_mode: the sum of {name!r} over {int(merging.sizes[wrong.argmax()])} vertices or links that merge "
                f"does not fit in {'uint64' if unsigned else 'int64'}; choose 'mean', or store it as float64"
            )


def most_frequent(values: AnyArray, merging: Merging) -> AnyArray:
    """Return the most frequent value per metavertex; the smallest of several."""
    if len(values) == 0:
        return values
    codes, table = _codes(values)
    span = int(codes.max()) + 1
    target = merging.of_rows()
    if merging.n * span <= _DENSE_HISTOGRAM:
        histogram = np.bincount(target * span + codes, minlength=merging.n * span)
        winners = histogram.reshape(merging.n, span).argmax(axis=1)
    else:
        winners = _most_frequent_sorted(codes, target, merging.n)
    return np.asarray(table[winners] if isinstance(table, np.ndarray) else (winners + table).astype(values.dtype))


def _codes(values: AnyArray) -> tuple[IntArray, AnyArray | int]:
    """Return small non-negative codes and what turns them back: an offset, or a table."""
    if values.dtype.kind in "biu":
        low, high = int(values.min()), int(values.max())
        if high - low < 1 << 20:
            return values.astype(np.int64) - low, low
    table, codes = np.unique(values, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), table


def _most_frequent_sorted(codes: IntArray, target: IntArray, n: int) -> IntArray:
    order = stable_order([target.astype(np.uint32), codes.astype(np.uint64)])
    owner, code = target[order], codes[order]
    heads = np.flatnonzero(np.append(True, (owner[1:] != owner[:-1]) | (code[1:] != code[:-1])))
    lengths = np.diff(np.append(heads, len(owner)))
    # Of each owner's runs the longest, the first of equals: sort by owner, then falling length.
    best = np.lexsort((np.arange(len(heads)), -lengths, owner[heads]))
    first = np.flatnonzero(np.append(True, np.diff(owner[heads][best]) != 0))
    winners = np.zeros(n, np.int64)
    winners[owner[heads][best][first]] = code[heads][best][first]
    return winners
