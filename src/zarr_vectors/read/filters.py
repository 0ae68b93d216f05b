"""Conditions on attributes: a value, a list of values, or a half-open range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.model.attributes import Column
from zarr_vectors.typing import AnyArray, BoolArray


def matching_rows(columns: Mapping[str, Column], conditions: Mapping[str, Any]) -> BoolArray:
    """Return which rows meet every condition.

    Parameters
    ----------
    columns : mapping of str to Column
        The attributes that the conditions name.
    conditions : mapping of str to condition
        A scalar (equal), a list, set or array (one of), or a tuple ``(lower, upper)`` (half-open range).
    """
    matches: BoolArray | None = None
    for name, condition in conditions.items():
        met = meets(columns[name], condition, name)
        matches = met if matches is None else matches & met
    assert matches is not None
    return matches


def meets(column: Column, condition: Any, name: str) -> BoolArray:
    """Return which rows of a column meet one condition.

    Raises
    ------
    ArgumentError
        When the condition does not fit the attribute.
    """
    if column.values.ndim != 1:
        raise ArgumentError(
            f"attribute_filter: {name!r} has {column.values.shape[1]} channels; only scalars filter"
        )
    if column.spec.categories is not None:
        table = Column(np.arange(len(column.spec.categories)), column.spec)
        accepted = np.flatnonzero(_compare(decode_column(table), condition, name))
        return np.isin(column.values, accepted)
    return _compare(decode_column(column), condition, name)


def _compare(values: AnyArray, condition: Any, name: str) -> BoolArray:
    try:
        if isinstance(condition, tuple):
            if len(condition) != 2:
                raise ArgumentError(
                    f"attribute_filter: a range for {name!r} is a tuple (lower, upper), got {condition!r}"
                )
            lower, upper = condition
            return np.asarray((values >= lower) & (values < upper), bool)
        if isinstance(condition, (list, set, frozenset, np.ndarray)):
            return np.isin(values, np.asarray(list(condition)))
        return np.asarray(values == condition, bool) & np.ones(len(values), bool)
    except TypeError as error:
        raise ArgumentError(
            f"attribute_filter: cannot compare {name!r} (dtype {values.dtype}) with {condition!r}"
        ) from error
