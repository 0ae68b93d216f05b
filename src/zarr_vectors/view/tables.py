"""Results as tables (extra ``pandas``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

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
        ones under their name, the channels of others as ``name_channel``. Ordered categories, and those of
        numbers, come back as ``pandas.Categorical`` with all categories in their order; texts that repeat are
        categories too, those that were stored in the order in which they were.
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
            _add(columns, label, _categories(pandas, column, points.categories.get(name)))
    return pandas.DataFrame(columns)


def _axis_names(points: PointsLike) -> list[str]:
    names = list(points.axis_names or DEFAULT_AXES_NAMES)[: points.positions.shape[1]]
    return [*names, *(f"axis{d}" for d in range(len(names), points.positions.shape[1]))]


def _channels(name: str, values: Any, channel_names: Mapping[str, tuple[str, ...]]) -> list[tuple[str, Any]]:
    if values.ndim == 1:
        return [(name, values)]
    channels = channel_names.get(name) or [str(c) for c in range(values.shape[1])]
    return [(f"{name}_{channel}", values[:, c]) for c, channel in enumerate(channels)]


def _categories(pandas: Any, values: Any, stored: tuple[tuple[Any, ...], bool] | None) -> Any:
    """Return values of stored categories, and texts that repeat, as a categorical; everything else as it is."""
    if stored is not None:
        categories, ordered = stored
        spelled = all(isinstance(category, str) for category in categories) and list(categories) == sorted(categories)
        if ordered or not spelled or len(categories) < len(values):
            return pandas.Categorical(values, categories=list(categories), ordered=ordered)
        return values
    if values.dtype.kind not in "USTO" or pandas.api.types.infer_dtype(values, skipna=True) != "string":
        return values
    made = pandas.Categorical(values)
    return made if len(made.categories) < len(values) else values


def _add(columns: dict[str, Any], name: str, values: Any) -> None:
    unique, number = name, 2
    while unique in columns:
        unique, number = f"{name}_{number}", number + 1
    columns[unique] = values
