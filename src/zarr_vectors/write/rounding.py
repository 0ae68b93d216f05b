"""What storing positions in fewer digits does to them, measured on what they resolve."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from zarr_vectors.exceptions import PrecisionWarning
from zarr_vectors.model.axes import NgffAxis
from zarr_vectors.typing import AnyArray, FloatArray

_SAMPLE = 10_000
_NOTICEABLE = 5e-4
"""Part of the distance between neighbours by which a position may move unnoticed."""
_ALONG_A_LINE = 1e-2
"""The same of places on a line, which stand much closer than as many in a space."""
_IN_DIGITS = 1e-5
"""The same where a position loses digits that all of them are given with, as survey coordinates to the millimetre."""
_DIGITS = 9
_NOISE = 1e-12


@dataclass(frozen=True, slots=True)
class Rounding:
    """How far storing positions moved them.

    Parameters
    ----------
    moved : (D,) float64
        The largest distance along every axis.
    count : int
        Number of positions.
    sample : (n, D) float64
        Some of them as they were given; none where nothing moved.
    """

    moved: FloatArray
    count: int
    sample: FloatArray

    @classmethod
    def none(cls, ndim: int) -> Self:
        """Return that of no positions."""
        return cls(np.zeros(ndim), 0, np.zeros((0, ndim)))

    @classmethod
    def of(cls, given: AnyArray, moved: AnyArray) -> Self:
        """Take a sample of positions that were moved by up to some distance along every axis."""
        step = max(1, len(given) // _SAMPLE)
        rows = given[::step].astype(np.float64) if moved.any() else np.zeros((0, given.shape[1]))
        return cls(moved, len(given), rows)

    def __add__(self, other: Self) -> Self:
        """Return that of these positions and others, with no larger a sample."""
        sample = np.concatenate([self.sample, other.sample])
        sample = sample[:: max(1, len(sample) // _SAMPLE)]
        return type(self)(np.maximum(self.moved, other.moved), self.count + other.count, sample)

    @property
    def largest(self) -> float:
        """The largest distance."""
        return float(self.moved.max(initial=0.0))

    def spacing(self) -> FloatArray:
        """Return the distance between neighbours along every axis, as if they were spread evenly; 0 where all agree.

        The extent of the middle 98 %, so that a stray position counts for nothing, over the number of neighbours in a
        row.
        """
        if len(self.sample) < 2:
            return np.zeros(len(self.moved))
        low, high = np.percentile(self.sample, (1, 99), axis=0)
        extent = np.where(high - low > _NOISE * np.abs(self.sample).max(axis=0), high - low, 0.0)
        neighbours = float(self.count) ** (1 / max(1, int(np.count_nonzero(extent))))
        return np.asarray(extent / neighbours)

    def noticed(self) -> AnyArray:
        """Return along which axes positions moved further than they resolve."""
        spacing = self.spacing()
        parts = np.divide(self.moved, spacing, out=np.zeros(len(spacing)), where=spacing > 0)
        digits = [_digits(self.sample[:, axis]) for axis in range(len(spacing))]
        lost = np.array([n is not None and m > 0.5 * 10.0**-n for n, m in zip(digits, self.moved, strict=True)])
        few = np.array([n is not None and n <= 3 for n in digits])
        noticeable = _NOTICEABLE if np.count_nonzero(spacing) > 1 else _ALONG_A_LINE
        return np.asarray((parts > noticeable) | (lost & ((parts > _IN_DIGITS) | ((spacing == 0) & few))))

    def warn(self, dtype: np.dtype[Any], axes: Sequence[NgffAxis], *, kept: bool = False) -> None:
        """Warn where storing moved positions further than they resolve.

        Parameters
        ----------
        dtype : numpy.dtype
            What they are stored as.
        axes : sequence of NgffAxis
            Their axes, whose units the distance has.
        kept : bool
            Whether a store that is there has that type already.
        """
        if not self.largest:
            return
        noticed = self.noticed()
        if not noticed.any():
            return
        axis = int(np.where(noticed, self.moved, 0.0).argmax())
        unit = f" {axes[axis].unit}" if axes[axis].unit else ""
        apart = self.spacing()[axis]
        remedy = "write the store anew with dtype=np.float64" if kept else "pass dtype=np.float64"
        warnings.warn(
            f"storing positions as {dtype}{', as the store does,' if kept else ''} moved some by up to "
            f"{self.moved[axis]:.3g}{unit} along {axes[axis].name!r}"
            + (f", where neighbours are about {apart:.3g}{unit} apart" if apart else "")
            + f"; {remedy} to keep them as they are",
            PrecisionWarning,
            stacklevel=5,
        )


def _digits(values: FloatArray) -> int | None:
    """Return how many decimal places values are given with; None where they fill their type."""
    largest = float(np.abs(values).max(initial=0.0))
    for places in range(_DIGITS + 1) if len(values) else ():
        scaled = values * 10.0**places
        tolerance = 4 * np.finfo(np.float64).eps * max(1.0, largest * 10.0**places)
        if tolerance > 1e-2:
            return None
        if bool((np.abs(scaled - np.round(scaled)) <= tolerance).all()):
            return places
    return None
