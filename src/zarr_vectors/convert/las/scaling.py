"""Which scales and offsets the coordinates of a file get: ``coordinate = X * scale + offset`` with 32-bit ``X``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.typing import AnyArray, Document, FloatArray

USUAL_SCALE = 1e-3
_LIMITS = np.iinfo(np.int32)
_BLOCK = 1_000_000
_SAMPLE = 4096
_ROUNDINGS = 4
"""How many steps of 64-bit floats a coordinate may move where it is multiplied and added to."""
_AROUND = 500_000
"""Offsets between the coordinates are rounded to this many steps up or down, so that they are short numbers."""
_STEPS = (1, 2, 5)
_NOTICEABLE = 0.01


@dataclass(frozen=True, slots=True)
class Scaling:
    """How the coordinates of an axis are stored.

    Parameters
    ----------
    scale, offset : float
        ``coordinate = X * scale + offset``.
    exact : bool
        Whether this is known to give the coordinates of the axis back.
    """

    scale: float
    offset: float
    exact: bool = field(default=False, compare=False)

    def encode(self, values: FloatArray, what: str) -> AnyArray:
        """Return ``X``, rounded to the nearest.

        Raises
        ------
        ArgumentError
            When a coordinate does not fit into 32 bits.
        """
        raw = self._raw(values)
        if len(raw) and not (raw.min() >= _LIMITS.min and raw.max() <= _LIMITS.max):
            raise ArgumentError(
                f"{what}: coordinates from {values.min()} to {values.max()} do not fit into 32 bits at scale "
                f"{self.scale} and offset {self.offset}; pass a coarser scale="
            )
        return raw.astype(np.int32)

    def _raw(self, values: FloatArray) -> FloatArray:
        raw: FloatArray = np.rint((values.astype(np.float64) - self.offset) / self.scale)
        return raw

    def moved(self, values: FloatArray) -> FloatArray:
        """Return how far each coordinate moves when it is stored, in its unit; 0 where it is given back."""
        exact = values.astype(np.float64)
        error: FloatArray = np.abs(self._raw(values) * self.scale + self.offset - exact)
        rounding = _ROUNDINGS * np.spacing(max(float(np.abs(exact).max(initial=0)), abs(self.offset)))
        if values.dtype.itemsize < exact.itemsize:
            rounding = np.maximum(rounding, np.spacing(np.abs(values)).astype(np.float64) / 2)
        return np.where(error <= rounding, 0.0, error)

    def keeps(self, values: FloatArray) -> bool:
        """Return whether all coordinates fit and are given back."""
        blocks = [values[:: max(1, len(values) // _SAMPLE)]]  # a few first: most that do not fit show it
        blocks += [values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK)]
        return all(self._fits(block) and not self.moved(block).any() for block in blocks if len(block))

    def _fits(self, values: FloatArray) -> bool:
        ends = self._raw(np.array([values.min(), values.max()]))
        return bool(ends[0] >= _LIMITS.min and ends[1] <= _LIMITS.max)


@dataclass(frozen=True, slots=True)
class Loss:
    """What storing the coordinates of an axis changes.

    Parameters
    ----------
    moved : float
        Largest distance, in the unit of the axis.
    before, after : int
        Different coordinates, and how many of them differ from one another afterwards.
    """

    moved: float
    before: int
    after: int

    @property
    def noticeable(self) -> bool:
        """Whether places fall together that the data hold apart."""
        return self.after < (1 - _NOTICEABLE) * self.before


def choose_scaling(values: FloatArray, known: Sequence[Scaling]) -> Scaling:
    """Return the scaling of an axis.

    Parameters
    ----------
    values : (N,) float
        Coordinates.
    known : sequence of Scaling
        Those of the files that the coordinates came from; the first that gives all of them back is taken.

    Returns
    -------
    Scaling
        Else that of the fewest decimals, three at least, that gives all of them back; else the finest for which
        coordinates fit into 32 bits.
    """
    if not len(values):
        return next(iter(known), Scaling(USUAL_SCALE, 0.0))
    for scaling in known:
        if scaling.keeps(values):
            return replace(scaling, exact=True)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return Scaling(USUAL_SCALE, low, exact=True)
    finest = max((high - low) / 2 / (_LIMITS.max - 2 * _AROUND), float(np.spacing(max(abs(low), abs(high)))))
    decimals = math.floor(-math.log10(max(finest, USUAL_SCALE)))
    while (scale := float(f"1e{-decimals}")) >= finest:
        scaling = Scaling(scale, _offset(low, high, scale))
        if scaling.keeps(values):
            return replace(scaling, exact=True)
        decimals += 1
    magnitude = 10.0 ** math.floor(math.log10(finest))
    scale = next(s for s in (*(step * magnitude for step in _STEPS), 10 * magnitude) if s >= finest)
    scale = float(f"{scale:.0e}")
    return Scaling(scale, _offset(low, high, scale))


def given_scaling(values: FloatArray, scale: float) -> Scaling:
    """Return the scaling of an axis whose scale is given."""
    if not len(values):
        return Scaling(scale, 0.0)
    return Scaling(scale, _offset(float(values.min()), float(values.max()), scale))


def _offset(low: float, high: float, scale: float) -> float:
    """Return a short number from which coordinates fit into 32 bits, if they can."""
    below = float(math.floor(low))
    if max(abs(low - below), abs(high - below)) / scale <= _LIMITS.max:
        return below
    step = _AROUND * scale
    return round((low + high) / 2 / step) * step


def parse_scale(scale: float | Iterable[float] | None) -> list[float] | None:
    """Return one scale per axis.

    Raises
    ------
    ArgumentError
        When it is not one or three numbers above zero.
    """
    if scale is None:
        return None
    try:
        scales = [float(one) for one in np.broadcast_to(np.asarray(scale, np.float64), 3)]
    except (TypeError, ValueError):
        scales = []
    if not scales or not all(math.isfinite(one) and one > 0 for one in scales):
        raise ArgumentError(f"scale: expected one or three numbers above zero, got {scale!r}")
    return scales


def measure_loss(values: FloatArray, scaling: Scaling, what: str) -> Loss | None:
    """Return what storing coordinates changes; None where nothing.

    Parameters
    ----------
    values : (N,) float
        Coordinates.
    scaling : Scaling
        How they are stored.
    what : str
        Name of the axis, for messages.

    Raises
    ------
    ArgumentError
        When a coordinate does not fit into 32 bits.
    """
    if scaling.exact:
        return None
    moved = max(
        (float(scaling.moved(values[start : start + _BLOCK]).max()) for start in range(0, len(values), _BLOCK)),
        default=0.0,
    )
    if moved == 0:
        return None
    places = np.unique(values)
    return Loss(moved, len(places), len(np.unique(scaling.encode(places, what))))


def scalings_of(documents: Iterable[Document], axis: int) -> list[Scaling]:
    """Return the scalings of an axis in the files of a store: that of the first, then from the finest on.

    Scales of later files come with the offset of the first, and with their own.
    """
    pairs = [(d["scales"][axis], d["offsets"][axis]) for d in documents if "scales" in d]
    own = [Scaling(scale, offset) for scale, offset in pairs if math.isfinite(offset) and 0 < abs(scale) < math.inf]
    later = sorted({s for s in own[1:] if s != own[0]}, key=lambda s: s.scale)
    return own[:1] + [one for s in later for one in (Scaling(s.scale, own[0].offset), s)]
