"""Rows that belong together, as a sequence of views that are made when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from zarr_vectors.typing import AnyArray, IntArray


class RaggedSequence(Sequence[AnyArray]):
    """Runs of rows of one array; item i is a view, so that a million runs cost no more than their offsets.

    Parameters
    ----------
    values : (N, …) array
        All rows.
    starts, stops : (P,) int64
        First and end row of every run.
    """

    __slots__ = ("_starts", "_stops", "_values")

    def __init__(self, values: AnyArray, starts: IntArray, stops: IntArray) -> None:
        self._values = values
        self._starts = starts
        self._stops = stops

    @classmethod
    def of(cls, values: AnyArray, offsets: IntArray) -> RaggedSequence:
        """Cut an array at ``offsets`` ``(P + 1,)``."""
        return cls(values, offsets[:-1], offsets[1:])

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, item: int) -> AnyArray: ...

    @overload
    def __getitem__(self, item: slice) -> RaggedSequence: ...

    def __getitem__(self, item: int | slice) -> AnyArray | RaggedSequence:
        if isinstance(item, slice):
            return RaggedSequence(self._values, self._starts[item], self._stops[item])
        if not -len(self) <= item < len(self):
            raise IndexError(f"item {item} of {len(self)}")
        return np.asarray(self._values[self._starts[item] : self._stops[item]])

    def __iter__(self) -> Iterator[AnyArray]:
        for start, stop in zip(self._starts.tolist(), self._stops.tolist(), strict=True):
            yield self._values[start:stop]

    def __repr__(self) -> str:
        return f"<{len(self)} arrays of {self._values.dtype}, {int((self._stops - self._starts).sum())} rows>"
