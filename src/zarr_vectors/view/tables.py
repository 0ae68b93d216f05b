"""Results as tables (extra ``pandas``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from zarr_vectors.constants import DEFAULT_AXES_NAMES
from zarr_vectors.extras import require
from zarr_vectors.typing import AnyArray, FloatArray, IntArray


class PointsLike(Protocol):
    """What a table of points is made from: for example a ``PointsResult``."""

    @property
    def positions(self) -> FloatArray:
        """Coordinates ``(N, D)``."""

    @property
    def attributes(self) -> dict[str, AnyArray]:
        """Attributes ``(N,)`` or ``(N, C)`` by name."""

    @property
    def object_ids(self) -> IntArray | None:
        """Object of every point, where there are objects."""

    @property
    def channel_names(self) -> dict[str, tuple[str, ...]]:
        """Names of the channels of attributes that have several."""

    @property
    def categories(self) -> dict[str, tuple[tuple[Any, ...], bool]]:
        """Categories of the attributes that have some, and whether they are ordered."""

    @property
    def time_zones(self) -> dict[str, str]:
        """Time zones of the attributes that have one; their values are in UTC."""

    @property
    def axis_names(self) -> tuple[str, ...]:
        """One name per column of the positions."""


def points_frame(points: PointsLike) -> Any:
    """Return a ``pandas.DataFrame`` with one row per point.

    Parameters
    ----------
    points : PointsLike
        What ``read_points`` returned.

    Returns
    -------
    pandas.DataFrame
        A column per axis under its name, ``object_id`` where there are objects, then the attributes: scalar
        ones under their name, the channels of others as ``name_channel``. Categoricals come back as
        ``pandas.Categorical`` with all categories in their type and order, whole numbers and booleans of which some
        are missing in pandas' nullable types, times of a zone in their zone, texts in pandas' type for them.
        A column whose name is taken gets ``_2``, ``_3``, … behind it.

    Raises
    ------
    MissingExtraError
        When pandas is not installed.
    """
    pandas = require("pandas", "pandas", "tables")
    columns: dict[str, Any] = {}
    for d, name in enumerate(_axis_names(points)):
        _add(columns, name, points.positions[:, d])
    if points.object_ids is not None:
        _add(columns, "object_id", points.object_ids)
    for name, values in points.attributes.items():
        for label, column in _channels(name, values, points.channel_names):
            made = _series(pandas, column, points.categories.get(name), points.time_zones.get(name))
            _add(columns, label, made)
    return pandas.DataFrame(columns)


def _axis_names(points: PointsLike) -> list[str]:
    names = list(points.axis_names or DEFAULT_AXES_NAMES)[: points.positions.shape[1]]
    return [*names, *(f"axis{d}" for d in range(len(names), points.positions.shape[1]))]


def _channels(name: str, values: Any, channel_names: Mapping[str, tuple[str, ...]]) -> list[tuple[str, Any]]:
    if values.ndim == 1:
        return [(name, values)]
    channels = channel_names.get(name) or [str(c) for c in range(values.shape[1])]
    return [(f"{name}_{channel}", values[:, c]) for c, channel in enumerate(channels)]


def _series(pandas: Any, values: Any, categories: tuple[tuple[Any, ...], bool] | None, zone: str | None) -> Any:
    """Return values as pandas holds what they are, which does not depend on which of them there are."""
    kind, mask = values.dtype.kind, np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    if categories is not None:
        listed = list(categories[0])
        index = pandas.Index(listed if kind in "OUS" else np.array(listed, values.dtype))
        plain = values
        if mask is not None:
            plain = np.array(values.data, object)
            plain[mask] = None
        made = pandas.Categorical(plain if kind not in "M" else pandas.Series(values), index, ordered=categories[1])
        return made.rename_categories(pandas.Index(_zoned(pandas.Series(index), zone))) if zone else made
    if mask is not None:
        holder = pandas.arrays.BooleanArray if kind == "b" else pandas.arrays.IntegerArray
        return holder(np.array(values.data), mask)
    if kind == "U" or (kind == "O" and all(isinstance(value, str | None) for value in values.tolist())):
        return pandas.Series(values.astype(object), dtype=pandas.Series(["text"]).dtype)
    return values if zone is None else _zoned(pandas.Series(values), zone)


def _zoned(times: Any, zone: str) -> Any:
    """Return times in UTC in a time zone."""
    return times.dt.tz_localize("UTC").dt.tz_convert(zone)


def _add(columns: dict[str, Any], name: str, values: Any) -> None:
    unique, number = name, 2
    while unique in columns:
        unique, number = f"{name}_{number}", number + 1
    columns[unique] = values
