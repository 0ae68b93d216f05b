"""What a store is to be chunked by."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError

SPATIAL, GROUP, OBJECT_ID = "spatial", "group", "object_id"
ATTRIBUTE_PREFIX = "attribute:"


@dataclass(frozen=True, slots=True)
class RechunkSpec:
    """What the chunks of a store go by.

    Parameters
    ----------
    by : str
        ``"spatial"``: by space alone. ``"group"``: first by the group of an object. ``"object_id"``: first by
        ranges of object ids. ``"attribute:<name>"``: first by the values of an attribute of objects or, where
        objects have none of that name, of vertices. Channels of an attribute of vertices that has several get chunks
        of their own, while all else stays in the chunks of the first.
    bins : list of float, optional
        Edges for ``"object_id"`` and ``"attribute:<name>"``, increasing: bin i holds ``[bins[i], bins[i + 1])``. The
        outer bins are open: the first also holds what is below ``bins[0]``, the last all from ``bins[-1]`` on.
        Without edges every value has a bin of its own where there are at most ten (or under ``categorical``, or
        where values are text), else bins hold a quarter of the values each. Of channels they are the numbers at which
        bins start; without them every channel has its own.
    spatial_chunk_shape : tuple of float, optional
        Edge lengths of a chunk; those of the source by default.
    prefix_dim_name : str, optional
        Name of the first component of chunk keys; by default ``"group"``, ``"object_id"``, or the attribute's name.
    categorical : bool
        Whether every value gets a bin of its own, however many there are. Has no effect beside ``bins``.

    Raises
    ------
    ArgumentError
        When ``by`` is not one of these, or ``bins`` are not increasing finite numbers.
    """

    by: str
    bins: list[float] | None = None
    spatial_chunk_shape: tuple[float, ...] | None = None
    prefix_dim_name: str | None = None
    categorical: bool = False

    def __post_init__(self) -> None:
        if self.by not in (SPATIAL, GROUP, OBJECT_ID) and self.attribute is None:
            raise ArgumentError(f"by: expected 'spatial', 'group', 'object_id' or 'attribute:<name>', got {self.by!r}")
        if self.prefix_dim_name is not None and (not isinstance(self.prefix_dim_name, str) or not self.prefix_dim_name):
            raise ArgumentError(f"prefix_dim_name: expected a name, got {self.prefix_dim_name!r}")
        if self.bins is not None:
            _check_bins(self.by, self.bins)

    @property
    def attribute(self) -> str | None:
        """Name of the attribute that chunks go by, if any."""
        if not isinstance(self.by, str) or not self.by.startswith(ATTRIBUTE_PREFIX):
            return None
        return self.by[len(ATTRIBUTE_PREFIX) :] or None

    @property
    def dim_name(self) -> str:
        """Name of the first component of chunk keys."""
        return self.prefix_dim_name or self.attribute or self.by


def _check_bins(by: str, bins: Any) -> None:
    if by in (SPATIAL, GROUP):
        raise ArgumentError(f"bins: by={by!r} has no edges; they are for 'object_id' and 'attribute:<name>'")
    listed = isinstance(bins, (Sequence, np.ndarray)) and not isinstance(bins, (str, bytes))
    numbers = list(bins) if listed else []
    plain = all(isinstance(n, (int, float, np.integer, np.floating)) and not isinstance(n, bool) for n in numbers)
    if not numbers or not plain or not all(math.isfinite(n) for n in numbers):
        raise ArgumentError(f"bins: expected a list of finite numbers, got {bins!r}")
    if any(not low < high for low, high in itertools.pairwise(numbers)):
        raise ArgumentError(f"bins: edges must be increasing, got {list(map(float, numbers))}")
