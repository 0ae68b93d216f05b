"""Values cast to the data type that a user asks for; refused where they would become others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.given import Given, parse_values, plain_values
from zarr_vectors.typing import AnyArray, BoolArray


def cast_values(name: str, values: Any, dtype: npt.DTypeLike) -> Given:
    """Return values as another data type.

    What is missing stays missing, and floats are rounded to the precision of a float type. Everything else stays what
    it is: numbers become integers only where they are whole and in range, and booleans where they are 0 or 1.

    Parameters
    ----------
    name : str
        Name of the attribute, for messages.
    values : array-like
        Values.
    dtype : data type
        What they are to become.

    Raises
    ------
    ArgumentError
        When `dtype` is no data type, or a value cannot be kept; names the first.
    """
    try:
        target = np.dtype(dtype)
        parsed = plain_values(parse_values(values))
        given, missing = parsed.values, parsed.missing
        if missing is not None and missing.any():
            given = given.copy()
            given[missing] = 0 if missing.all() else given[~missing][0]
        if given.dtype.kind == "O":  # texts, as NumPy parses them
            given = given.astype(np.str_)
        with np.errstate(all="ignore"):
            cast: AnyArray = given.astype(target)
            lost, needed = _lost(given, cast)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"dtype: {name!r} cannot be cast to {dtype!r}: {error}") from error
    first = np.flatnonzero(lost)
    if len(first):
        value = given.reshape(-1)[first[0] : first[0] + 1].tolist()[0]
        row = int(first[0]) // max(1, int(np.prod(given.shape[1:])))
        raise ArgumentError(f"dtype: {name!r} does not fit {target}: row {row} has {value!r}, but {needed}")
    return Given(cast, missing)


def _lost(given: AnyArray, cast: AnyArray) -> tuple[BoolArray, str]:
    """Return which values are others than before, and what they ought to be."""
    kind, target = given.dtype.kind, cast.dtype.kind
    if target == "f":
        beyond = ~np.isfinite(cast)
        if kind == "f":
            beyond &= np.isfinite(given)
        elif kind not in "biu":
            beyond &= given.astype(np.float64) != cast
            beyond &= ~np.isnan(cast)
        return beyond, f"finite values up to {np.finfo(cast.dtype).max:g} are needed"
    if target in "US" and cast.dtype.itemsize:
        return given.astype(np.str_) != cast.astype(np.str_), "it would be cut off"
    if target not in "biu":
        return np.zeros(cast.shape, bool), ""
    if kind in "mM":
        return np.isnat(given), "values that are there are needed"
    if kind == "O":
        return np.asarray(given != cast, bool), "values that stay the same are needed"
    if kind in "US" or given.dtype == np.float16:
        given = given.astype(np.float64)
    if target == "b":
        return (given != 0) & (given != 1), "0 or 1 is needed"
    limits = np.iinfo(cast.dtype)
    needed = f"whole numbers from {limits.min} to {limits.max} are needed"
    if given.dtype.kind != "f":
        return (given < limits.min) | (given > limits.max), needed
    low, above = float(limits.min), float(limits.max + 1)  # powers of two, which floats hold exactly
    return ~((given >= low) & (given < above) & (given == np.floor(given))), needed
