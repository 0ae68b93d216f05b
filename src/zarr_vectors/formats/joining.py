"""Columns joined with further rows, which take the stored form of those that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.encoding.categorical import MISSING_CODE, code_type, free_value
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.absent import absent_values
from zarr_vectors.formats.columns import decode_column, is_nullable_boolean, nullable_booleans
from zarr_vectors.model.attributes import TIMES, AttributeSpec, Column


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
    if _is_nothing(new) and not _is_text(old):
        new = absent_column(old.spec, len(new))
    if is_nullable_boolean(old.spec) != is_nullable_boolean(new.spec):
        old, new = _as_codes(old), _as_codes(new)
    if old.spec.categories is not None and new.spec.categories is not None:
        return _join_categories(argument, name, old, new)
    if _form(old) != _form(new):
        raise ArgumentError(f"{argument}: {name!r} is stored as {_kind(old.spec)}, given as {_kind(new.spec)}")
    if old.spec.encoding in TIMES:
        new = _in_unit(argument, name, new, old.spec)
    elif not _is_text(old):
        new = _as_stored(argument, name, new, old.values.dtype)
    return _filled(old, new, _vocabulary(argument, name, old.spec, new))


def stored_form(spec: AttributeSpec) -> tuple[object, ...]:
    """Return what all chunks of an attribute have in common: rows of another form take rewriting them all."""
    return spec.dtype, spec.categories, spec.fill, spec.nullable, spec.value_dtype


def _is_text(column: Column) -> bool:
    return column.values.dtype.kind == "U"


def _is_nothing(column: Column) -> bool:
    """Return whether every value is missing, so that the type of the values is not known."""
    if column.spec.categories is not None:
        return not column.spec.categories and not column.spec.categorical
    missing = column.missing() if _is_text(column) else None
    return missing is not None and bool(missing.all())


def _as_codes(column: Column) -> Column:
    """Return plain booleans as codes, among which some may be missing; anything else as it is."""
    return Column(*nullable_booleans(column)) if column.spec.dtype == "bool" else column


def _form(column: Column) -> tuple[object, ...]:
    """Return what two columns must have in common, besides a type that holds the values of both."""
    spec = column.spec
    boolean = column.values.dtype.kind == "b" and spec.categories is None
    return (
        _is_text(column),
        boolean,
        spec.categories is None,
        spec.encoding in TIMES and spec.encoding,
        spec.time_zone,
        spec.value_dtype,
    )


def _in_unit(argument: str, name: str, new: Column, spec: AttributeSpec) -> Column:
    """Return times counted in the unit of the store."""
    if new.spec.time_unit == spec.time_unit:
        return new
    given = decode_column(new)
    counted = given.astype(decode_column(Column(new.values[:0], spec)).dtype)
    changed = counted.astype(given.dtype).view(np.int64) != given.view(np.int64)
    if changed.any():
        raise ArgumentError(
            f"{argument}: {name!r} is stored in units of {spec.time_unit!r}, which cannot tell {given[changed][0]}; "
            f"round it: values.astype({counted.dtype.name!r})"
        )
    return Column(counted.view(np.int64), spec)


def _as_stored(argument: str, name: str, new: Column, dtype: np.dtype[Any]) -> Column:
    """Return numbers in the type of the store, in which every one is what it was."""
    values, missing = new.values, new.missing()
    if values.dtype == dtype:
        return new
    there = np.ones(values.shape, bool) if missing is None else ~missing
    with np.errstate(all="ignore"):
        cast = values.astype(dtype)
        kept = np.asarray(cast.astype(values.dtype) == values)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        number = float if values.dtype.kind == "f" else int  # floats hold powers of two exactly
        kept &= (values >= number(limits.min)) & (values < number(limits.max + 1))
    elif values.dtype.kind in "iu":
        kept &= cast < 2.0 ** (8 * values.dtype.itemsize - (values.dtype.kind == "i"))
    lost = there & ~kept
    if lost.any():
        raise ArgumentError(
            f"{argument}: {name!r} is {dtype} in the store, which cannot hold {values[lost][0]} of the {values.dtype} "
            f"given exactly; round the values yourself: values.astype({dtype.name!r}), or set the attribute anew in a "
            "type that holds all"
        )
    if missing is None or not missing.any():
        return Column(cast, replace(new.spec, fill=None, nullable=None))
    if dtype.kind == "f":
        return Column(np.where(missing, dtype.type(np.nan), cast), replace(new.spec, fill=None, nullable=None))
    fill = free_value(cast[there])
    return Column(np.where(missing, dtype.type(fill), cast), replace(new.spec, fill=fill, nullable=True))


def _filled(old: Column, new: Column, spec: AttributeSpec) -> Column:
    """Return both, one after another; what means "missing" is a value that no row of either has."""
    if old.spec.fill is None and new.spec.fill is None:
        values = np.concatenate([old.values, new.values])
        return Column(values, replace(spec, dtype=values.dtype.str) if _is_text(old) else spec)
    parts = [
        (each.values, m if (m := each.missing()) is not None else np.zeros(each.values.shape, bool))
        for each in (old, new)
    ]
    missing = np.concatenate([gone for _, gone in parts])
    there = np.concatenate([values[~gone] for values, gone in parts])
    known = [each.spec.fill for each in (old, new) if each.spec.fill is not None]
    fill = next((each for each in known if not (there == each).any()), None)
    if fill is None:
        fill = free_value(there)
    if _is_text(old):
        values = np.concatenate([old.values, new.values, np.array([fill], np.str_)])[:-1]
        spec = replace(spec, dtype=values.dtype.str)
    else:
        values = np.concatenate([old.values, new.values])
    values[missing] = fill
    said = True if old.spec.nullable or new.spec.nullable else None
    return Column(values, replace(spec, fill=fill, nullable=said))


def _vocabulary(argument: str, name: str, old: AttributeSpec, new: Column) -> AttributeSpec:
    """Return the spec of the store with the categories of a categorical that is stored as plain values.

    Values that come without categories are categories themselves, each that there is.
    """
    if old.vocabulary is None:
        return old
    given = _listed_values(new) if new.spec.vocabulary is None else new.spec.vocabulary
    known = set(old.vocabulary)
    added = [category for category in given if category not in known]
    if added and old.ordered:
        raise ArgumentError(
            f"{argument}: {name!r} has ordered categories {list(old.vocabulary)}; {added[0]!r} is none of them"
        )
    return replace(old, vocabulary=(*old.vocabulary, *added))


def _listed_values(column: Column) -> tuple[Any, ...]:
    """Return the distinct values of a column, as a vocabulary lists them."""
    missing = column.missing()
    values = column.values if missing is None else column.values[~missing]
    if column.spec.encoding == "datetime64":
        values = decode_column(Column(values, column.spec)).astype(np.str_)
    return tuple(np.unique(values).tolist())


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
    table, given = list(old.spec.categories or ()), list(new.spec.categories or ())
    if table and given and _category_kind(old.spec) != _category_kind(new.spec):
        raise ArgumentError(f"{argument}: {name!r} is stored as {_kind(old.spec)}, given as {_kind(new.spec)}")
    known = {category: code for code, category in enumerate(table)}
    added = [category for category in given if category not in known]
    if added and old.spec.ordered:
        raise ArgumentError(f"{argument}: {name!r} has ordered categories {table}; {added[0]!r} is none of them")
    known |= {category: len(table) + place for place, category in enumerate(added)}
    codes = np.array([*(known[category] for category in given), MISSING_CODE], np.int64)
    there = [old.values.astype(np.int64), codes[np.where(new.values == new.spec.fill, MISSING_CODE, new.values)]]
    fill = old.spec.fill
    if fill is not None:
        there[0][old.values == fill] = MISSING_CODE
    missing = bool((there[1] < 0).any())
    dtype = old.values.dtype
    limits = np.iinfo(dtype)
    fits = fill is not None and not 0 <= fill < len(known) and len(known) - 1 <= limits.max and limits.min <= fill
    if not fits or (fill is None and not missing and len(known) - 1 <= limits.max):
        fill, dtype = MISSING_CODE, np.dtype(code_type(len(known)))
    joined = np.concatenate(there)
    values = np.where(joined < 0, fill, joined).astype(dtype)
    nullable = None if old.spec.nullable is None else bool(old.spec.nullable or missing)
    value_dtype = _category_dtype(argument, name, old.spec, new.spec)
    changed = {"categories": (*table, *added), "fill": fill, "nullable": nullable, "value_dtype": value_dtype}
    return Column(values, replace(old.spec, dtype=values.dtype.name, **changed))


def _category_kind(spec: AttributeSpec) -> str:
    """Return what categories are: texts, bytes, numbers, booleans, times or a mixture."""
    if spec.value_dtype is None:
        return "text" if all(isinstance(category, str) for category in spec.categories or ()) else "number"
    kind = {"bytes": "S", "object": "O"}.get(spec.value_dtype) or np.dtype(spec.value_dtype).kind
    return {"S": "bytes", "O": "object", "M": "datetime", "m": "timedelta", "b": "boolean"}.get(kind, "number")


def _category_dtype(argument: str, name: str, old: AttributeSpec, new: AttributeSpec) -> str | None:
    """Return the type of the categories of the store, which must hold those that come to it."""
    if not old.categories:
        return new.value_dtype
    if _category_kind(old) == "number" and old.value_dtype is not None:
        dtype = np.dtype(old.value_dtype)
        try:
            kept = np.array(list(new.categories or ()), dtype).tolist() == list(new.categories or ())
        except OverflowError:
            kept = False
        if not kept:
            raise ArgumentError(f"{argument}: {name!r} has {dtype} categories, which cannot hold {new.categories}")
    elif old.value_dtype != new.value_dtype and new.categories:
        raise ArgumentError(f"{argument}: {name!r} is stored as {_kind(old)}, given as {_kind(new)}")
    return old.value_dtype


def absent_column(spec: AttributeSpec, count: int) -> Column:
    """Return rows of an attribute of which no value is known: all of them are missing.

    Parameters
    ----------
    spec : AttributeSpec
        The attribute.
    count : int
        Number of rows.

    Returns
    -------
    Column
        In the form of the attribute, or, where that has no value that means "missing", in one that it joins with.
    """
    if count and spec.fill is None and spec.encoding not in TIMES:
        kind = spec.numpy_dtype.kind
        if kind == "b":
            shape = (count,) if spec.channels is None else (count, spec.channels)
            return Column(*nullable_booleans(Column(np.full(shape, MISSING_CODE, np.int8), spec)))
        if kind in "iuU":
            none = np.zeros(0, spec.numpy_dtype)
            spec = replace(spec, fill=MISSING_CODE if spec.categories is not None else free_value(none), nullable=True)
    return Column(absent_values(spec, count), spec)


def joined_with_absent(column: Column, count: int, *, first: bool = False) -> Column:
    """Return a column with rows without a value behind its own, or before them."""
    if not count:
        return column
    joined = join_column("attributes", "", column, absent_column(column.spec, count))
    return joined.take(np.roll(np.arange(len(joined)), count)) if first else joined


def _kind(spec: AttributeSpec) -> str:
    said = [spec.encoding or spec.dtype, spec.time_unit and f"[{spec.time_unit}]", spec.time_zone, spec.value_dtype]
    return " ".join(each for each in said if each)
