"""Users' arrays ⇄ stored columns: numbers, booleans, strings, categoricals, dates, channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.constants import AGGREGATIONS
from zarr_vectors.encoding.categorical import (
    MISSING_CODE,
    code_type,
    decode_categories,
    decode_times,
    encode_texts,
    encode_times,
    free_value,
)
from zarr_vectors.exceptions import ArgumentError, ShapeError, UnsupportedFeatureError, ZarrVectorsError
from zarr_vectors.formats.descriptions import DESCRIBED, SpecLike, parse_spec
from zarr_vectors.formats.documents import plain_value
from zarr_vectors.formats.given import Given, parse_values, plain_values
from zarr_vectors.formats.tokens import VERSION_REMEDY
from zarr_vectors.model.attributes import CHANNEL_BINS, TIMES, AttributeSpec, Column
from zarr_vectors.typing import AnyArray, BoolArray

_RESERVED = frozenset(
    [
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)),
        "zarr.json",
    ]
)
_MAX_NAME_BYTES = 200
_PLAIN = (None, "raw", "dictionary", "fixed_length_utf32", *TIMES)
"""Encodings whose values are as they are stored, those that lack what they need among them."""


def check_name(argument: str, name: Any) -> str:
    """Return a name that may become a folder, or refuse it.

    Raises
    ------
    ArgumentError
        When the name is empty, would leave its folder, or cannot be a folder on some file system.
    """
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"{argument}: names must be non-empty strings, got {name!r}")
    bad = {c for c in name if c in '/\\:*?"<>|' or ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000}
    if bad:
        raise ArgumentError(f"{argument}: the name {name!r} holds {sorted(bad)}, which no folder name may")
    if name.startswith((".", "__")) or name.endswith((".", " ")) or name.lower() in _RESERVED:
        raise ArgumentError(f"{argument}: the name {name!r} cannot be the name of a folder everywhere")
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise ArgumentError(f"{argument}: the name {name[:40]!r}… is longer than {_MAX_NAME_BYTES} bytes")
    return name


def make_column(
    argument: str,
    name: str,
    values: Any,
    count: int,
    per: str,
    spec: SpecLike = None,
    *,
    dictionary: bool = True,
) -> Column:
    """Turn an array that a user gave into a stored column.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    name : str
        Name of the attribute.
    values : array-like, (n,) or (n, C)
        Numbers, booleans, texts, bytes, categoricals, datetimes (with a zone too), dates or timedeltas: a list, NumPy
        array (masked too), or pandas, Arrow or polars column. Missing are None, NaN, NaT, NA, nulls and what is
        masked.
    count : int
        Rows needed.
    per : str
        What there is one row for, for messages ("vertex", "object", …).
    spec : AttributeSpec or mapping, optional
        ``unit``, ``description``, ``channel_names``, ``aggregation`` (the mode of coarse levels).
    dictionary : bool
        Whether strings become dictionary codes (vertices, fragments, links) or stay strings (objects, groups).

    Raises
    ------
    ShapeError
        When the number of rows differs; names the attribute and both lengths.
    ArgumentError
        When values of the data type cannot be stored without loss; names the type and what can be done.
    """
    check_name(argument, name)
    try:
        parsed = parse_values(values)
        _check_shape(argument, name, parsed.values.shape, count, per)
        stored, made = _stored(parsed, dictionary)
    except ZarrVectorsError as error:
        if isinstance(error, ShapeError):
            raise
        raise ArgumentError(f"{argument}: {name!r} cannot be stored: {error}") from error
    except ValueError as error:
        raise ShapeError(f"{argument}: {name!r} is no array, since its rows differ in length: {error}") from error
    return Column(stored, _described(argument, name, made, stored, spec))


def _check_shape(argument: str, name: str, shape: tuple[int, ...], count: int, per: str) -> None:
    if len(shape) not in (1, 2):
        raise ShapeError(f"{argument}: {name!r} must have shape (n,) or (n, C), got {shape}")
    if len(shape) == 2 and shape[1] == 0:
        raise ShapeError(f"{argument}: {name!r} has shape {shape}; there must be at least one channel")
    if shape[0] != count:
        raise ShapeError(f"{argument}: {name!r} has {shape[0]} rows, but there must be {count}, one per {per}")


def _stored(given: Given, dictionary: bool) -> tuple[AnyArray, AttributeSpec]:
    """Return values in stored form, and how to understand them."""
    if given.categories is not None:
        return _stored_categories(given, given.categories, dictionary)
    values = given.values
    missing = given.missing if given.missing is not None and given.missing.any() else None
    kind = values.dtype.kind
    if kind in "OUS":
        return _stored_texts(values, missing, dictionary)
    if kind in "Mm":
        counts, unit = encode_times(values)
        if missing is not None:
            counts = np.where(missing, np.iinfo(np.int64).min, counts)
        encoding = TIMES["Mm".index(kind)]
        return counts, AttributeSpec(dtype="int64", encoding=encoding, time_unit=unit, time_zone=given.zone)
    spec = AttributeSpec(dtype=values.dtype.name)
    if missing is None:
        return values, spec
    if kind == "f":
        return np.where(missing, values.dtype.type(np.nan), values), spec
    if kind == "b":
        return nullable_booleans(Column(np.where(missing, MISSING_CODE, values).astype(np.int8), spec))
    fill = free_value(values[~missing])
    return np.where(missing, values.dtype.type(fill), values), replace(spec, fill=fill, nullable=True)


def nullable_booleans(column: Column) -> tuple[AnyArray, AttributeSpec]:
    """Return booleans, or their codes with -1 for what is missing, as codes, which other readers know too."""
    made = AttributeSpec(
        dtype="int8", encoding="dictionary", categories=(False, True), fill=MISSING_CODE, nullable=True
    )
    known = {key: getattr(column.spec, key) for key in DESCRIBED}
    return column.values.astype(np.int8), replace(made, value_dtype="bool", categorical=False, **known)


def aggregation_hindrance(spec: AttributeSpec, mode: str) -> str:
    """Return what an attribute holds that cannot be aggregated by a mode, with the modes it has; empty where it can."""
    listed = spec.categories is not None or spec.encoding == "dictionary" or spec.numpy_dtype.kind == "U"
    if listed and not is_nullable_boolean(spec) and mode not in ("mode", "count"):
        return "categories, which have a 'mode' or 'count'"
    if spec.encoding == "datetime64" and mode == "sum":
        return "dates, which have a 'mean', 'min', 'max', 'mode' or 'count'"
    return ""


def _require_aggregation(name: str, spec: AttributeSpec) -> None:
    reason = spec.aggregation in AGGREGATIONS and aggregation_hindrance(spec, str(spec.aggregation))
    if reason:
        raise ArgumentError(f"attribute_specs: aggregation of {name!r}: it holds {reason}, no {spec.aggregation!r}")


def is_nullable_boolean(spec: AttributeSpec) -> bool:
    """Return whether a column holds booleans of which some are missing."""
    return spec.categories == (False, True) and spec.value_dtype == "bool" and spec.categorical is False


def _stored_texts(values: AnyArray, missing: BoolArray | None, dictionary: bool) -> tuple[AnyArray, AttributeSpec]:
    there = values if missing is None else values[~missing]
    found = values.dtype.kind == "S" or (there.size and isinstance(there.reshape(-1)[0], bytes))
    made = encode_texts(values, missing)
    said: dict[str, Any] = {"value_dtype": "bytes" if found else None}
    if dictionary:
        said |= {"nullable": missing is not None, "categorical": False, "fill": made.fill}
        dtype = made.codes.dtype.name
        return made.codes, AttributeSpec(dtype, encoding="dictionary", categories=tuple(made.categories), **said)
    ending = next((text for text in made.categories if text.endswith("\0")), None)
    if ending is not None:
        raise ArgumentError(f"{ending!r} ends in NUL, which texts of objects and groups cannot keep; leave it out")
    listed = list(made.categories)
    if missing is not None:
        said |= {"fill": free_value(np.array(listed, np.str_)), "nullable": True}
        listed.append(said["fill"])
    table = np.array(listed, np.str_)
    texts = table[made.codes] if len(table) else np.zeros(values.shape, np.str_)
    return texts, AttributeSpec(texts.dtype.str, encoding="fixed_length_utf32", **said)


def _stored_categories(given: Given, categories: Given, dictionary: bool) -> tuple[AnyArray, AttributeSpec]:
    listed, value_dtype = _listed_categories(categories)
    if not dictionary:
        if value_dtype == "object":
            kinds = sorted({type(category).__name__ for category in listed})
            raise ArgumentError(
                f"its categories are of several types, {' and '.join(kinds)}, which only vertices, fragments and links "
                "keep; give categories of one type, for example texts"
            )
        stored, spec = _stored(plain_values(given), dictionary)
        return stored, replace(spec, categorical=True, vocabulary=tuple(listed), ordered=given.ordered)
    codes = np.where(given.values < 0, -1, given.values.astype(np.int64))
    known = {category: place for place, category in enumerate(dict.fromkeys(listed))}
    if categories.missing is not None or len(known) < len(listed):  # Arrow allows both
        absent = np.zeros(len(listed), bool) if categories.missing is None else categories.missing
        kept = dict.fromkeys(category for category, gone in zip(listed, absent.tolist(), strict=True) if not gone)
        known = {category: place for place, category in enumerate(kept)}
        places = [-1 if gone else known[c] for c, gone in zip(listed, absent.tolist(), strict=True)]
        codes = np.array([*places, -1], np.int64)[codes]
    codes = codes.astype(code_type(len(known)))
    return codes, AttributeSpec(
        dtype=codes.dtype.name,
        encoding="dictionary",
        categories=tuple(known),
        ordered=given.ordered,
        fill=MISSING_CODE,
        nullable=bool((codes < 0).any()),
        value_dtype=value_dtype,
        categorical=True,
        time_zone=categories.zone,
    )


def _listed_categories(categories: Given) -> tuple[list[Any], str | None]:
    """Return categories as JSON can hold them, and NumPy's name of their type where it is not that of the list."""
    values = categories.values
    kind = values.dtype.kind
    if kind in "Mm":
        encode_times(values)  # refuses units that cannot be stored
        return (values.astype(str) if kind == "M" else values.astype(np.int64)).tolist(), values.dtype.name
    if kind in "biuf":
        return values.tolist(), values.dtype.name
    listed = values.tolist()
    kinds = {type(category) for category in listed if not isinstance(category, str)}
    if not kinds or kinds == {bytes}:
        made = encode_texts(values, categories.missing)
        spelled = [*made.categories, ""]
        return [spelled[code] for code in made.codes.tolist()], "bytes" if kinds else None
    return listed, "object"


def _described(argument: str, name: str, made: AttributeSpec, stored: AnyArray, given: SpecLike) -> AttributeSpec:
    spec = parse_spec(name, given)
    channels = spec.channel_names
    if stored.ndim == 1 and channels is not None:
        raise ShapeError(f"{argument}: {name!r} is scalar, but {len(channels)} channel names were given")
    if stored.ndim == 2:
        channels = tuple(channels or (f"ch{c}" for c in range(stored.shape[1])))
        if len(channels) != stored.shape[1]:
            raise ShapeError(
                f"{argument}: {name!r} has {stored.shape[1]} channels, but {len(channels)} channel names were given"
            )
    described = replace(
        made,
        unit=spec.unit,
        description=spec.description,
        channel_names=channels,
        aggregation=spec.aggregation,
        extra=dict(spec.extra),
    )
    _require_aggregation(name, described)
    return described


def redescribed(argument: str, name: str, spec: AttributeSpec, given: SpecLike) -> AttributeSpec:
    """Return what is said of a stored attribute, changed as given; what a mapping does not name stays as it was.

    Raises
    ------
    ShapeError, ArgumentError
        When there are more or fewer channel names than channels, or a key is unknown.
    """
    if given is None:
        return spec
    parsed = parse_spec(name, given)
    changed = {key: getattr(parsed, key) for key in (given if isinstance(given, Mapping) else DESCRIBED)}
    if "extra" in changed and CHANNEL_BINS in spec.extra:
        changed["extra"] = changed["extra"] | {CHANNEL_BINS: spec.extra[CHANNEL_BINS]}
    channels = changed.pop("channel_names", None)
    if channels is not None and len(channels) != spec.channels:
        held = "is scalar" if spec.channels is None else f"has {spec.channels} channels"
        raise ShapeError(f"{argument}: {name!r} {held}, but {len(channels)} channel names were given")
    described = replace(spec, **changed, channel_names=channels or spec.channel_names)
    if "aggregation" in changed:
        _require_aggregation(name, described)
    return described


def categories_of(spec: AttributeSpec) -> tuple[tuple[Any, ...], bool] | None:
    """Return the categories of a categorical and whether they are ordered; None for anything else, texts too.

    What other writers stored is a categorical where its categories are not what texts would have.
    """
    if spec.categories is None or spec.categorical is False:
        return None
    texts = all(isinstance(category, str) for category in spec.categories)
    if spec.categorical is None and texts and not spec.ordered and list(spec.categories) == sorted(spec.categories):
        return None
    table = decode_column(Column(np.arange(len(spec.categories)), replace(spec, nullable=None)))
    return tuple(table.tolist() if table.dtype.kind != "M" else table), spec.ordered


def decode_column(column: Column) -> AnyArray:
    """Return the values of a stored column as users hold them.

    Codes become values of the type of the categories, counts of a time unit ``datetime64`` or ``timedelta64`` (those
    of a time zone in UTC); everything else is as stored. Where values may be missing, whole numbers and booleans come
    as a masked array, texts as objects with None, floats with NaN and times with NaT; that does not depend on which
    rows a column has.

    Raises
    ------
    UnsupportedFeatureError
        When the values are encoded in a way that is not known here.
    """
    spec, values = column.spec, column.values
    if spec.encoding == "dictionary" and spec.categories is not None:
        categories = [plain_value(c) for c in spec.categories]
        return decode_categories(values, categories, spec.fill, dtype=spec.value_dtype, nullable=spec.nullable)
    if spec.encoding in TIMES and spec.time_unit:
        return decode_times(values, spec.time_unit, "Mm"[TIMES.index(spec.encoding)])
    if spec.encoding not in _PLAIN:
        raise UnsupportedFeatureError(
            f"an attribute is encoded as {spec.encoding!r:.100}, which this version does not read; leave it out by "
            f"attributes=, or {VERSION_REMEDY}"
        )
    if spec.dtype == "bool" and values.dtype != np.bool_:
        return values.astype(np.bool_)
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    kind, missing = values.dtype.kind, None if spec.fill is None else column.missing()
    if kind == "U":
        return _decode_texts(values, missing, spec)
    if missing is None or not (spec.nullable or missing.any()):
        return values
    return np.where(missing, values.dtype.type(np.nan), values) if kind == "f" else _masked(values, missing, spec)


def _masked(values: AnyArray, missing: BoolArray, spec: AttributeSpec) -> AnyArray:
    return np.ma.MaskedArray(values, missing, fill_value=spec.fill)


def _decode_texts(values: AnyArray, missing: BoolArray | None, spec: AttributeSpec) -> AnyArray:
    if spec.value_dtype == "bytes":
        values = np.strings.encode(values, "utf-8")
    if missing is None or not (spec.nullable or missing.any()):
        return values
    objects: AnyArray = values.astype(object)
    objects[missing] = None
    return objects
