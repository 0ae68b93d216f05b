"""Parametric objects of a store joined with new ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.model.elements import Groups, Objects
from zarr_vectors.model.parametric import ParametricTable
from zarr_vectors.types.appending import join_groups, join_objects
from zarr_vectors.typing import FloatArray


def join_tables(old: ParametricTable, new: ParametricTable) -> ParametricTable:
    """Return old objects followed by new ones, which are numbered on.

    Raises
    ------
    ArgumentError
        When attributes of objects or groups of the two do not match; names what is missing.
    """
    first = old.count
    nobody = np.zeros(0, np.int64)
    objects = join_objects(
        Objects(np.arange(first), nobody, old.attributes),
        Objects(first + np.arange(new.count), nobody, new.attributes),
    )
    groups = new.groups
    if groups is not None:
        groups = Groups(groups.members + first, groups.offsets, groups.attributes)
    width = max(old.coefficients.shape[1], new.coefficients.shape[1])
    names = None
    if old.names is not None or new.names is not None:
        names = (old.names or ("",) * old.count) + (new.names or ("",) * new.count)
    return replace(
        new,
        type_ids=np.concatenate([old.type_ids, new.type_ids]),
        coefficients=np.concatenate([_widened(old.coefficients, width), _widened(new.coefficients, width)]),
        names=names,
        attributes={} if objects is None else objects.attributes,
        groups=join_groups(old.groups, groups),
    )


def _widened(coefficients: FloatArray, width: int) -> FloatArray:
    return np.pad(coefficients, ((0, 0), (0, width - coefficients.shape[1])))
