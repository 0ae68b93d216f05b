"""Attributes: how the values of a column are stored and what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors.typing import AnyArray, BoolArray, Document

TIMES = ("datetime64", "timedelta64")
"""Encodings of times: int64 counts of a unit, of which the smallest is NaT."""

_NAT = np.iinfo(np.int64).min

CHANNEL_BINS = "channel_bins"
"""Key of our own in what is known of an attribute: first channel of every bin of channels that has chunks of its own,
and the number of channels."""


@dataclass(frozen=True, slots=True)
class AttributeSpec:
    """What is known of an attribute besides its values.

    Parameters
    ----------
    dtype : str
        NumPy name of the stored data type, for example ``"float32"`` or ``"bool"``.
    unit : str, optional
        Physical unit, for example ``"microvolt"``.
    description : str, optional
        One sentence for a reader.
    channel_names : tuple of str, optional
        Names of the C channels of an ``(n, C)`` attribute; None for a scalar one.
    encoding : str, optional
        ``"dictionary"`` (codes into ``categories``), ``"datetime64"`` or ``"timedelta64"`` (int64 counts of
        ``time_unit``), ``"fixed_length_utf32"`` (strings of objects and groups), or None for plain numbers.
    categories : tuple, optional
        The values that dictionary codes stand for.
    ordered : bool
        Whether the categories have an order.
    fill : optional
        Stored value that means "missing".
    time_unit : str, optional
        NumPy time unit of ``"datetime64"`` and ``"timedelta64"`` values.
    aggregation : str, optional
        How coarse levels aggregate the values (★): what a writer asks for at level 0, what was done at a coarse level.
    nullable : bool, optional
        Whether some value is missing, so that all readers return a type with a place for it; None where that is not
        said (by other writers), and follows from the rows that are read.
    value_dtype : str, optional
        NumPy's name of the type of the categories, or ``"bytes"``, where it does not follow from them.
    categorical : bool, optional
        Whether the values were given as a categorical, not as texts or numbers; None where that is not said.
    vocabulary : tuple, optional
        The categories of a categorical that is stored as plain values (of objects and groups).
    time_zone : str, optional
        Time zone in which datetimes, which are stored in UTC, are shown.
    extra : dict
        Further metadata, kept as it is.
    """

    dtype: str = ""
    unit: str | None = None
    description: str | None = None
    channel_names: tuple[str, ...] | None = None
    encoding: str | None = None
    categories: tuple[Any, ...] | None = None
    ordered: bool = False
    fill: Any = None
    time_unit: str | None = None
    aggregation: str | None = None
    nullable: bool | None = None
    value_dtype: str | None = None
    categorical: bool | None = None
    vocabulary: tuple[Any, ...] | None = None
    time_zone: str | None = None
    extra: Document = field(default_factory=dict)

    @property
    def channels(self) -> int | None:
        """Number of channels, or None for a scalar attribute."""
        return None if self.channel_names is None else len(self.channel_names)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The stored data type, little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def row_stride(self) -> int:
        """Bytes of one row."""
        return self.numpy_dtype.itemsize * (1 if self.channel_names is None else len(self.channel_names))


@dataclass(frozen=True, slots=True)
class Column:
    """Stored values of one attribute, one row per vertex, fragment, link, object or group.

    Parameters
    ----------
    values : (n,) or (n, C) array
        Values in stored form (codes for categories, counts for datetimes).
    spec : AttributeSpec
        How to understand them.
    """

    values: AnyArray
    spec: AttributeSpec

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> BoolArray | None:
        """Mark the values that are missing; None where none can be."""
        values, fill = self.values, self.spec.fill
        if self.spec.encoding in TIMES:
            return np.asarray(values == _NAT)
        if values.dtype.kind == "f":
            missing = np.isnan(values)
            return missing if fill is None or fill != fill else np.asarray(missing | (values == fill))
        if values.dtype.kind in "iu" and isinstance(fill, (int, np.integer)) and not isinstance(fill, bool):
            limits = np.iinfo(values.dtype)
            return np.asarray(values == fill) if limits.min <= fill <= limits.max else None
        return np.asarray(values == fill) if values.dtype.kind == "U" and isinstance(fill, str) else None

    def take(self, rows: AnyArray | slice) -> Column:
        """Return the column of some rows."""
        return Column(self.values[rows], self.spec)
