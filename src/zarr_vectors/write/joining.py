"""Columns joined with further rows, which take the stored form of those that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import AttributeSpec, Column


def join_columns(argument: str, old: Mapping[str, Column], new: Mapping[str, Column]) -> dict[str, Column]:
    """Join the columns of two sets of rows that have the same attributes.

    Raises
    ------
    ArgumentError
        When one set has attributes that the other lacks, or two columns do not fit each other.
    """
    if set(old) != set(new):
        missing, extra = sorted(set(old) - set(new)), sorted(set(new) - set(old))
        raise ArgumentError(
            f"{argument}: appended rows must have the attributes of the store: missing {missing}, not in it {extra}"
        )
    return {name: join_column(argument, name, old[name], new[name]) for name in old}


def join_column(argument: str, name: str, old: Column, new: Column) -> Column:
    """Return the rows of a stored column followed by new ones in the same stored form.

    Categories that the stored column does not know are put behind its own.

    Parameters
    ----------
    argument, name : str
        For messages.
    old, new : Column
        Stored and new rows.

    Raises
    ------
    ArgumentError
        When the new values cannot be kept as the stored ones are, or are described in another way.
    """
    if old.values.shape[1:] != new.values.shape[1:]:
        raise ArgumentError(
            f"{argument}: {name!r} has {old.values.shape[1:]} channels in the store, {new.values.shape[1:]} given"
        )
    _require_described(argument, name, old.spec, new.spec)
    if old.spec.categories is not None and new.spec.categories is not None:
        return _join_categories(argument, name, old, new)
    if old.spec.categories is not None or new.spec.categories is not None:
        raise ArgumentError(f"{argument}: {name!r} is stored as {_kind(old.spec)}, given as {_kind(new.spec)}")
    if old.values.dtype.kind == "U":
        values = np.concatenate([old.values, new.values])
        return Column(values, replace(old.spec, dtype=values.dtype.str))
    if (old.spec.encoding, old.spec.time_unit) != (new.spec.encoding, new.spec.time_unit):
        raise ArgumentError(f"{argument}: {name!r} is stored as {_kind(old.spec)}, given as {_kind(new.spec)}")
    if not np.can_cast(new.values.dtype, old.values.dtype, "same_kind"):
        raise ArgumentError(f"{argument}: {name!r} is {old.values.dtype} in the store, {new.values.dtype} given")
    with np.errstate(over="ignore"):
        cast = new.values.astype(old.values.dtype)
    if old.values.dtype.kind == "f" and bool((np.isinf(cast) & np.isfinite(new.values)).any()):
        raise ArgumentError(f"{argument}: {name!r} has values beyond the {old.values.dtype} of the store")
    if old.values.dtype.kind in "iu" and not np.array_equal(cast, new.values):
        raise ArgumentError(f"{argument}: {name!r} has values beyond the {old.values.dtype} of the store")
    return Column(np.concatenate([old.values, cast]), old.spec)


def _require_described(argument: str, name: str, old: AttributeSpec, new: AttributeSpec) -> None:
    """Refuse descriptions of new rows that are not those of the store; rows without any take those of the store."""
    channels = new.channel_names
    if channels == tuple(f"ch{c}" for c in range(len(channels or ()))):  # none were named
        channels = None
    described = (
        ("unit", old.unit, new.unit),
        ("description", old.description, new.description),
        ("channel_names", old.channel_names, channels),
    )
    for key, held, given in described:
        if given is not None and given != held:
            raise ArgumentError(
                f"attribute_specs: {name!r} of {argument} has {key} {held!r} in the store, {given!r} given; appending "
                "cannot change it"
            )


def _join_categories(argument: str, name: str, old: Column, new: Column) -> Column:
    """Join codes; categories that the store does not know are put behind its own."""
    table = list(old.spec.categories or ())
    known = {category: code for code, category in enumerate(table)}
    added = [category for category in new.spec.categories or () if category not in known]
    if added and old.spec.ordered:
        raise ArgumentError(f"{argument}: {name!r} has ordered categories {table}; {added[0]!r} is none of them")
    known |= {category: len(table) + place for place, category in enumerate(added)}
    codes = np.array([known[category] for category in new.spec.categories or ()] + [-1], np.int64)
    joined = np.concatenate([old.values.astype(np.int64), codes[new.values]])
    size = next(t for t in (np.int8, np.int16, np.int32, np.int64) if len(known) <= np.iinfo(t).max)
    missing = -1 if old.spec.fill is None else old.spec.fill
    values = np.where(joined < 0, missing, joined).astype(size)
    return Column(values, replace(old.spec, dtype=values.dtype.name, categories=(*table, *added), fill=missing))


def _kind(spec: AttributeSpec) -> str:
    return spec.encoding + (f" [{spec.time_unit}]" if spec.time_unit else "") if spec.encoding else spec.dtype
