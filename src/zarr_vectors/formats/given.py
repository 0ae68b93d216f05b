"""What users give as values → NumPy arrays and marks of what is missing, with nothing lost on the way.

Values come as lists, NumPy arrays (masked ones too), pandas, Arrow or polars columns. Every form is taken apart by the
library that it is of, since ``np.asarray`` turns integers beside a missing value into floats, drops masks, and makes
texts of numbers beside texts.
"""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.typing import AnyArray, BoolArray

_NAT = np.iinfo(np.int64).min
_MISSING_TYPES = ("NoneType", "NAType", "NaTType", "MaskedConstant")
_ZONE_NAME = re.compile(r"(UTC)?[+-]\d\d:?\d\d|[A-Za-z][\w+-]*(/[\w+-]+)*")
_REMEDIES = {
    "Decimal": "convert them to float64, to integers of a smaller unit, or to texts",
    "decimal": "cast them to float64, to integers of a smaller unit, or to strings",
    "time": "give datetimes, or timedeltas since midnight",
    "Time": "give datetimes, or timedeltas since midnight",
    "Period": "give their starts: .dt.to_timestamp()",
    "period": "give their starts: .dt.to_timestamp()",
    "Interval": "give their ends as two attributes: .left and .right",
    "interval": "give their ends as two attributes: .array.left and .array.right",
    "complex": "give real and imaginary part as two channels",
    "list": "give one row of numbers per value, all of the same length, or one attribute per field",
}


class Unstorable(ArgumentError):
    """Values of a type that cannot be stored; says which, and what can be done."""


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Values as they are to come back.

    Attributes
    ----------
    values : array
        Numbers, booleans, datetimes, timedeltas, texts, or objects that are all ``str`` or all ``bytes``; codes where
        there are `categories`, -1 for what is missing. Anything where `missing` is set.
    missing : bool array, optional
        Which values are missing, besides NaN and NaT.
    zone : str, optional
        Time zone in which datetimes are shown; the values are in UTC.
    categories : Given, optional
        What the codes stand for.
    ordered : bool
        Whether the categories have an order.
    """

    values: AnyArray
    missing: BoolArray | None = None
    zone: str | None = None
    categories: Given | None = None
    ordered: bool = False


def parse_values(values: Any) -> Given:
    """Take values apart, whatever holds them.

    Parameters
    ----------
    values : array-like
        List, NumPy array, pandas, Arrow or polars column, or what another call returned.

    Raises
    ------
    Unstorable
        When their type cannot be stored without loss.
    ValueError
        When rows of a list differ in length.
    """
    if isinstance(values, Given):
        return values
    packages = {kind.__module__.partition(".")[0] for kind in type(values).__mro__}
    for package, parse in (("pandas", _from_pandas), ("pyarrow", _from_arrow), ("polars", _from_polars)):
        if package in packages and package in sys.modules:
            return parse(values, sys.modules[package])
    if isinstance(values, np.ma.MaskedArray):
        mask, data = np.ma.getmaskarray(values), values.data
        if data.dtype.kind == "O":
            data = data.copy()
            data[mask] = None
        return _masked(_from_array(data), mask)
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return _from_list(values)
    return _from_array(np.asarray(values))


def rounded_literals(values: Any, dtype: np.dtype[Any]) -> Any:
    """Return Python's own floats in the precision of a float type, as NumPy takes them; anything else as it is.

    A float that is written into a program says nothing of the precision that it wants, an array does.
    """
    if dtype.kind != "f" or not isinstance(values, float | list | tuple) or isinstance(values, np.generic):
        return values
    objects = np.array(values, object)
    if not _types(objects) <= {float, int}:
        return values
    try:
        with np.errstate(over="ignore"):
            rounded = objects.astype(np.float64).astype(dtype)
    except (OverflowError, TypeError, ValueError):
        return values
    whole = np.fromiter(
        (
            isinstance(v, int) and v != r
            for v, r in zip(objects.reshape(-1).tolist(), rounded.reshape(-1).tolist(), strict=True)
        ),
        bool,
    )
    return values if whole.any() or (np.isinf(rounded) & (objects != rounded)).any() else rounded


def join_values(parts: Sequence[Any]) -> Any:
    """Return the values of several holders one after another, as :func:`parse_values` takes them.

    Raises
    ------
    Unstorable
        As :func:`parse_values`, and where no type holds the values of all.
    """
    plain = set(map(type, parts)) == {np.ndarray} and len({part.dtype for part in parts}) == 1
    if plain and parts[0].dtype.kind in "biufMm":
        return np.concatenate(parts)
    return _combined([parse_values(part) for part in parts], np.concatenate)


def reshape_values(values: Any, *shape: int) -> Given:
    """Return values in another shape, with what is missing among them."""
    given = plain_values(parse_values(values))
    missing = None if given.missing is None else given.missing.reshape(shape)
    return replace(given, values=given.values.reshape(shape), missing=missing)


def _combined(parts: Sequence[Given], combine: Any) -> Given:
    if any(part.categories is not None for part in parts):
        parts = [plain_values(part) for part in parts]
    filled = [part for part in parts if part.values.size] or list(parts[:1])
    if len({part.zone for part in filled}) > 1:
        raise Unstorable(f"they are times of several zones, {sorted({str(part.zone) for part in filled})}; give one")
    missing = None
    if any(part.missing is not None for part in parts):
        missing = combine([np.zeros(p.values.shape, bool) if p.missing is None else p.missing for p in parts])
    kinds = {part.values.dtype.kind for part in filled}
    dtypes = {part.values.dtype for part in filled}
    if len(dtypes) == 1 or len(kinds) == 1 or kinds <= {"U", "O"}:
        dtype = next(iter(dtypes)) if len(dtypes) == 1 else None
        arrays = [p.values if dtype is None or p.values.size else p.values.astype(dtype) for p in parts]
        joined = combine(arrays)
        return Given(joined, missing, filled[0].zone) if kinds != {"O"} else _masked(_from_objects(joined), missing)
    return _masked(_from_objects(combine([part.values.astype(object) for part in parts])), missing)


def plain_values(given: Given) -> Given:
    """Return the values that codes stand for; what has none as it is."""
    if given.categories is None:
        return given
    table, missing = given.categories.values, given.values < 0
    if not len(table):
        return Given(np.full(given.values.shape, None, object), missing)
    values = table[np.where(missing, 0, given.values)]
    return Given(values, missing if missing.any() else None, given.categories.zone)


def _masked(given: Given, mask: BoolArray | None) -> Given:
    if mask is None or not mask.any():
        return given
    return replace(given, missing=mask if given.missing is None else mask | given.missing)


def _from_array(array: AnyArray) -> Given:
    kind = array.dtype.kind
    if kind == "O":
        return _from_objects(array)
    if kind == "T":
        return _from_objects(array.astype(object))
    if kind == "f" and array.dtype.itemsize > 8:
        raise Unstorable(f"{array.dtype} numbers have more than 64 bits; round them: values.astype('float64')")
    if kind == "V" and array.dtype.names:
        raise Unstorable(f"they have the fields {list(array.dtype.names)}; give an attribute of its own for each")
    if kind in "Mm" and np.datetime_data(array.dtype)[0] == "generic":
        raise Unstorable(f"{array.dtype} values of unit 'generic' have no meaning; give a unit, for example 'ns'")
    if kind not in "biufMmUS":
        raise unstorable(
            "complex" if kind == "c" else "", "complex numbers" if kind == "c" else f"{array.dtype} values"
        )
    return Given(array)


def unstorable(kind: str, what: str) -> Unstorable:
    """Return the error for values of a type that cannot be stored."""
    remedy = _REMEDIES.get(kind, "numbers of at most 64 bits, booleans, strings, categoricals, datetimes can be")
    return Unstorable(f"{what} cannot be kept as they are; {remedy}")


def _from_list(values: Sequence[Any]) -> Given:
    """Take a list apart; NumPy's choice of a type holds where it loses nothing."""
    if (
        len(values)
        and not isinstance(values, range)
        and all(hasattr(part, "dtype") and np.ndim(part) for part in values)
    ):
        return _combined([parse_values(part) for part in values], np.stack)
    array = np.asarray(values)
    if array.dtype.kind not in "fUSO":
        return _from_array(array)
    if array.dtype.kind != "O":
        objects = np.empty(array.shape, object)
        objects[...] = np.array(values, object)
        floats = array.dtype.kind == "f" and all(issubclass(t, float | np.floating) for t in _types(objects))
        if floats or not array.size:
            return _from_array(array)
        array = objects
    return _from_objects(array)


def _types(objects: AnyArray) -> set[type]:
    return set(map(type, objects.reshape(-1).tolist()))


def _kind(kind: type) -> str:
    """Return what objects of a type are; subclasses come before what they derive from."""
    if kind.__name__ in _MISSING_TYPES:
        return "missing"
    for found, bases in (
        ("timedelta", (np.timedelta64, datetime.timedelta)),
        ("longdouble", (np.longdouble,) if np.dtype(np.longdouble).itemsize > 8 else ()),
        ("boolean", (bool, np.bool_)),
        ("integer", (int, np.integer)),
        ("float", (float, np.floating)),
        ("text", (str,)),
        ("bytes", (bytes,)),
        ("datetime", (datetime.datetime, np.datetime64)),
        ("date", (datetime.date,)),
    ):
        if issubclass(kind, bases):
            return found
    return ""


def _from_objects(array: AnyArray) -> Given:
    listed = array.reshape(-1).tolist()
    kinds = {kind: _kind(kind) for kind in set(map(type, listed))}
    refused = next((kind for kind, found in kinds.items() if found in ("", "longdouble")), None)
    if refused is not None:
        named = "list" if issubclass(refused, list | tuple | dict | set | np.ndarray) else refused.__name__
        raise unstorable(named, f"values of type {refused.__module__}.{refused.__qualname__}".replace("builtins.", ""))

    def of(found: str) -> BoolArray:
        wanted = {kind for kind, each in kinds.items() if each == found}
        return np.fromiter(map(wanted.__contains__, map(type, listed)), bool, len(listed)).reshape(array.shape)

    found = set(kinds.values())
    missing = of("missing") if "missing" in found else np.zeros(array.shape, bool)
    found.discard("missing")
    if "float" in found and found - {"float", "integer", "boolean"}:  # a NaN beside anything but numbers
        floats = of("float")
        if np.isnan(array[floats].astype(np.float64)).all():
            missing |= floats
            found.discard("float")
    if found <= {"text"} or found == {"bytes"}:
        return Given(array, missing if missing.any() else None)
    if found <= {"boolean", "integer", "float"}:
        return _numbers(array, missing, {kind for kind, each in kinds.items() if each in found}, found)
    if len(found) == 1:
        return _times(array, missing, found.pop())
    raise Unstorable(f"they are {' and '.join(sorted(found))} values together; give values of one type")


def _numbers(array: AnyArray, missing: BoolArray, types: set[type], found: set[str]) -> Given:
    filled = array.copy()
    filled[missing] = np.nan if "float" in found else 0
    if found == {"boolean"}:
        return _masked(Given(filled.astype(np.bool_)), missing)
    narrow = np.result_type(*types) if all(issubclass(t, np.generic) for t in types) else np.dtype(np.float64)
    if found == {"float"}:
        return Given(filled.astype(narrow))
    if "float" not in found:
        return _masked(_integers(filled, narrow), missing)
    try:
        numbers = filled.astype(np.float64)
    except OverflowError:
        numbers = np.full(filled.shape, np.inf)
    absent = np.isnan(numbers)
    lost = ~absent & np.asarray(filled != numbers, bool)
    if not lost.any():
        return Given(numbers)
    if absent.any() and all(isinstance(v, int | np.integer) for v in filled[~absent].tolist()):
        filled[absent] = 0
        return _masked(_integers(filled, np.dtype(np.float64)), absent)
    raise Unstorable(
        f"integers and floats together, of which no type holds {filled[lost].tolist()[0]!r} and the floats exactly; "
        "give integers, or round them yourself: values.astype('float64')"
    )


def _integers(filled: AnyArray, narrow: np.dtype[Any]) -> Given:
    low, high = (int(filled.min()), int(filled.max())) if filled.size else (0, 0)
    dtype = narrow if narrow.kind in "iu" else np.dtype(np.int64 if high < 2**63 else np.uint64)
    limits = np.iinfo(dtype)
    if low < limits.min or high > limits.max:
        raise Unstorable(
            f"no integer type of 64 bits holds both {low} and {high}; give texts, or floats: they are rounded"
        )
    return Given(filled.astype(dtype))


def _times(array: AnyArray, missing: BoolArray, kind: str) -> Given:
    there = array[~missing].tolist()
    zone = None
    if kind == "datetime":
        zones = {None if zone is None else zone_name(zone) for zone in {getattr(v, "tzinfo", None) for v in there}}
        if len(zones) > 1:
            raise Unstorable(
                f"they are times of several zones, {sorted(map(str, zones))}; convert them to one, say UTC"
            )
        zone = zones.pop()
    made = np.array([_as_numpy(value) for value in there])
    unit = "m8" if kind == "timedelta" else "M8"
    values = np.full(array.shape, "NaT", made.dtype if made.dtype.kind == unit[0] else f"{unit}[us]")
    values[~missing] = made
    return replace(_from_array(values), zone=zone)


def _as_numpy(value: Any) -> Any:
    """Return a datetime, date or timedelta as NumPy's, in UTC where it has a zone."""
    for convert in ("to_datetime64", "to_timedelta64"):
        if hasattr(value, convert):
            return getattr(value, convert)()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return np.datetime64(value, "us")
    return np.timedelta64(value, "us") if isinstance(value, datetime.timedelta) else np.datetime64(value)


def zone_name(zone: Any) -> str:
    """Return the name of a time zone.

    Raises
    ------
    Unstorable
        When it has none by which it could be found again.
    """
    name = str(getattr(zone, "key", None) or getattr(zone, "zone", None) or zone)
    if not _ZONE_NAME.fullmatch(name):
        raise Unstorable(f"times of zone {name!r}, which has no name; convert them to one with a name, for example UTC")
    return name


def _from_pandas(values: Any, pandas: Any) -> Given:
    if isinstance(values, pandas.DataFrame):
        return _combined([parse_values(values.iloc[:, c]) for c in range(values.shape[1])], _as_channels)
    if isinstance(values, pandas.MultiIndex) or not hasattr(values, "dtype"):
        raise unstorable("list", f"{type(values).__name__} values")
    series = values if isinstance(values, pandas.Series) else pandas.Series(values)
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _from_array(series.to_numpy())
    if isinstance(dtype, pandas.CategoricalDtype):
        return Given(series.cat.codes.to_numpy(), None, None, _parse_categories(dtype.categories), bool(dtype.ordered))
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return Given(series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), None, zone_name(dtype.tz))
    if isinstance(dtype, pandas.SparseDtype):
        return _from_array(series.sparse.to_dense().to_numpy())
    if isinstance(dtype, pandas.ArrowDtype):
        return _from_arrow(series.array.__arrow_array__(), sys.modules["pyarrow"])
    missing = series.isna().to_numpy()
    if isinstance(dtype, pandas.StringDtype):
        return Given(series.to_numpy(object), missing)
    numbers = getattr(dtype, "numpy_dtype", None)
    if isinstance(numbers, np.dtype) and numbers.kind in "biuf":
        absent = np.nan if numbers.kind == "f" else numbers.type(0)
        return _masked(Given(series.to_numpy(dtype=numbers, na_value=absent)), missing)
    raise unstorable(dtype.name.partition("[")[0], f"pandas {dtype} values")


def _parse_categories(categories: Any) -> Given:
    """Take categories apart; those of several types stay objects, as long as JSON holds them."""
    try:
        return parse_values(categories)
    except Unstorable:
        objects = np.asarray(categories, object)
        if not all(isinstance(each, str | int | float) for each in objects.tolist()):
            raise
        return Given(objects)


def _as_channels(columns: Sequence[AnyArray]) -> AnyArray:
    return np.stack(columns, axis=1)


def _from_arrow(array: Any, pyarrow: Any) -> Given:
    if hasattr(array, "column_names"):
        return _combined([parse_values(column) for column in array.columns], _as_channels)
    if not isinstance(array, pyarrow.Array | pyarrow.ChunkedArray):
        return _from_array(np.asarray(array))
    if isinstance(array, pyarrow.ChunkedArray):
        array = array.unify_dictionaries().combine_chunks()
    kind, name = array.type, str(array.type)
    if isinstance(kind, pyarrow.DictionaryType):
        codes = array.indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False)
        return Given(codes, None, None, _parse_categories(array.dictionary), bool(kind.ordered))
    missing = array.is_null().to_numpy(zero_copy_only=False)
    if name == "null":
        return Given(np.full(len(array), None, object), missing)
    if name.endswith(("string", "binary", "string_view", "binary_view")) or name.startswith("fixed_size_binary"):
        return _masked(_from_objects(array.to_numpy(zero_copy_only=False)), missing)
    if name.startswith(("timestamp", "duration", "date32", "date64")):
        whole = array.cast("int32").cast("int64") if name.startswith("date32") else array.cast("int64")
        counts = whole.fill_null(_NAT).to_numpy(zero_copy_only=False)
        unit = {"date32[day]": "D", "date64[ms]": "ms"}.get(name) or kind.unit
        zone = getattr(kind, "tz", None)
        return Given(counts.view(f"{'m8' if name.startswith('duration') else 'M8'}[{unit}]"), None, zone)
    if name in ("halffloat", "float", "double"):
        return Given(array.to_numpy(zero_copy_only=False))
    if name == "bool" or (name.startswith(("int", "uint")) and name[-1].isdigit()):
        filled = array.fill_null(pyarrow.scalar(False if name == "bool" else 0, kind))
        return _masked(Given(filled.to_numpy(zero_copy_only=False)), missing)
    named = re.match(r"[a-z]*", name)
    kinds = {"large": "list", "fixed": "list", "struct": "list", "map": "list"}
    key = named.group() if named else ""
    raise unstorable(kinds.get(key, key), f"Arrow {name} values")


def _from_polars(series: Any, polars: Any) -> Given:
    if isinstance(series, polars.DataFrame):
        return _combined([parse_values(column) for column in series.get_columns()], _as_channels)
    if not isinstance(series, polars.Series):
        raise unstorable("", f"polars {type(series).__name__} values")
    dtype, name = series.dtype, series.dtype.base_type().__name__
    if name == "Categorical":
        dtype = polars.Enum(sorted(series.drop_nulls().unique().cast(polars.String).to_list()))
        series, name = series.cast(dtype), "Enum"
    if name == "Enum":
        codes = series.to_physical().cast(polars.Int64).fill_null(-1).to_numpy()
        return Given(codes, None, None, parse_values(dtype.categories.to_list()))
    missing = series.is_null().to_numpy()
    if name in ("String", "Utf8", "Binary", "Null"):
        objects = np.empty(len(series), object)
        objects[:] = series.to_list()
        return Given(objects, missing)
    if name in ("Date", "Datetime", "Duration"):
        unit = {"Date": "D"}.get(name) or dtype.time_unit
        counts = series.to_physical().cast(polars.Int64).fill_null(_NAT).to_numpy()
        zone = getattr(dtype, "time_zone", None)
        return Given(counts.view(f"{'m8' if name == 'Duration' else 'M8'}[{unit}]"), None, zone)
    if name.startswith("Float"):
        return Given(series.fill_null(float("nan")).to_numpy())
    if name == "Boolean" or name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"):
        return _masked(Given(series.fill_null(False if name == "Boolean" else 0).to_numpy()), missing)
    raise unstorable({"List": "list", "Array": "list", "Struct": "list"}.get(name, name), f"polars {dtype} values")
