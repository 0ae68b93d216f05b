"""Users' tables: mappings of names to arrays, data frames, Arrow tables; and whose rows are whose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.model.ids import parse_ids
from zarr_vectors.typing import IntArray

OBJECT_ID = "object_id"
"""Column of a frame that says which object each row is about."""
_LISTED = 5


def frame_columns(argument: str, given: Any) -> dict[Any, Any] | None:
    """Return the columns of a data frame, Arrow table or structured array by name; None for anything else.

    Raises
    ------
    ArgumentError
        When two columns have one name.
    """
    if isinstance(given, np.ndarray):
        return None if given.dtype.names is None else {name: given[name] for name in given.dtype.names}
    if hasattr(given, "iloc") and hasattr(given, "columns"):  # pandas
        names, columns = list(given.columns), [given.iloc[:, place] for place in range(given.shape[1])]
    elif hasattr(given, "get_column") and hasattr(given, "columns"):  # polars
        names, columns = list(given.columns), [given.get_column(name) for name in given.columns]
    elif hasattr(given, "column_names") and hasattr(given, "column"):  # Arrow
        names = list(given.column_names)
        columns = [given.column(place) for place in range(len(names))]
    else:
        return None
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ArgumentError(f"{argument}: two columns are named {twice[0]!r}")
    return dict(zip(names, columns, strict=True))


def as_columns(argument: str, given: Any) -> dict[Any, Any]:
    """Return attributes by name, none where nothing was given.

    Raises
    ------
    ArgumentError
        When they are neither a mapping nor a frame.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    columns = frame_columns(argument, given)
    if columns is None:
        raise ArgumentError(
            f"{argument}: expected a mapping of names to arrays, a data frame or an Arrow table, got "
            f"{type(given).__name__}"
        )
    return columns


def index_of(values: Any) -> Any:
    """Return the index of a pandas object, or None where it has none but the running number of its rows."""
    index: Any = values.index if hasattr(values, "iloc") else None
    running = getattr(index, "start", None) == 0 and getattr(index, "step", None) == 1 and index.name is None
    return None if running else index


def aligned_columns(
    argument: str, given: Any, keys: IntArray | Sequence[str], per: str, id_column: str = OBJECT_ID
) -> dict[Any, Any]:
    """Return attributes by name with their rows in the order of some keys.

    Columns of pandas go by their index, unless that is the running number of their rows, and mappings by their keys;
    frames by their id column, where they have one; everything else has its rows in that order already.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    given : mapping, data frame, Arrow table, optional
        Attributes.
    keys : (n,) int64, or sequence of str
        Whose attributes each row of the result is: ids of objects, numbers or names of groups; each once.
    per : str
        What has a key, for messages.
    id_column : str
        Column of a frame that says whose each row is.

    Raises
    ------
    ArgumentError
        When an index names other keys, lacks some, or has one twice; names them.
    """
    columns = as_columns(argument, given)
    named = None if isinstance(given, Mapping) else columns.pop(id_column, None)
    if named is not None:
        rows = _rows_of(argument, f"column {id_column!r}", named, keys, per)
        return {name: take_rows_of(values, rows) for name, values in columns.items()}
    known: dict[int, tuple[Any, IntArray]] = {}  # by identity, of indexes that are kept for that
    aligned = {}
    for name, values in columns.items():
        if isinstance(values, Mapping):
            index, values = list(values), list(values.values())
        else:
            index = index_of(values)
        if index is not None:
            if id(index) not in known:
                known[id(index)] = index, _rows_of(argument, f"the index of {name!r}", index, keys, per)
            values = take_rows_of(values, known[id(index)][1])
        aligned[name] = values
    return aligned


def aligned_values(argument: str, name: str, values: Any, keys: IntArray, per: str) -> Any:
    """Return the rows of one attribute in the order of some keys, as :func:`aligned_columns` does."""
    return aligned_columns(argument, {name: values}, keys, per)[name]


def take_rows_of(values: Any, rows: IntArray) -> Any:
    """Return rows of an array or list, or of a column of pandas, polars or Arrow."""
    if isinstance(values, list):
        return [values[row] for row in rows.tolist()]
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    return values[rows] if isinstance(values, np.ndarray) or hasattr(values, "to_list") else values.take(rows)


def _rows_of(argument: str, what: str, index: Any, keys: IntArray | Sequence[str], per: str) -> IntArray:
    """Return which row of an index each key is."""
    names: list[str] | None = None
    if isinstance(keys, np.ndarray):
        given = parse_ids(f"{argument}: {what}, which is to name {per}s by id,", index)
        wanted = keys
    else:
        names = sorted({*map(str, keys), *map(str, index)})
        number = {name: place for place, name in enumerate(names)}
        given = np.array([number[str(name)] for name in index], np.int64)
        wanted = np.array([number[str(name)] for name in keys], np.int64)
    order = np.argsort(given, kind="stable")
    ordered = given[order]
    extra, lacking = given[~np.isin(given, wanted)], wanted[~np.isin(wanted, given)]
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    found = [
        f"{words} {_listed(np.unique(ids), names)}"
        for words, ids in (("it lacks", lacking), (f"there is no {per}", extra), ("it has twice", twice))
        if len(ids)
    ]
    if found:
        raise ArgumentError(
            f"{argument}: {what} does not name the {per}s one by one: {'; '.join(found)}. Give it a row for each (for "
            "example with reindex), or take the index away (to_numpy()) where rows are in the order that the "
            "documentation states"
        )
    return order[np.searchsorted(ordered, wanted)]


def _listed(ids: IntArray, names: Sequence[str] | None) -> str:
    shown = [repr(number if names is None else names[number]) for number in ids[:_LISTED].tolist()]
    return ", ".join(shown) + ", …" * (len(ids) > _LISTED)


def require_same_rows(argument: str, first: Any, attributes: Any, object_ids: Any = None) -> None:
    """Refuse columns of pandas whose index is not that of the positions, or of each other: rows go by their place.

    Parameters
    ----------
    argument : str
        Name of the attributes, for messages.
    first : positions
        What the rows are about; has an index where it is a data frame.
    attributes : mapping or data frame, optional
        One row for each.
    object_ids : integers, optional
        Likewise.

    Raises
    ------
    ShapeError
        Naming the first column with another index.
    """
    holder, held = "the positions", first.index if hasattr(first, "iloc") else None
    columns = as_columns(argument, attributes) if isinstance(attributes, Mapping) or hasattr(attributes, "iloc") else {}
    for name, values in [*((f"{argument}: {n!r}", v) for n, v in columns.items()), ("object_ids:", object_ids)]:
        index = index_of(values)
        if index is None:
            continue
        if held is not None and len(index) == len(held) and not index.equals(held):
            raise ShapeError(
                f"{name} has another index than {holder}: row by row they are about different things. Bring them into "
                "one order (for example with loc), or take the index away (to_numpy())"
            )
        if held is None:
            holder, held = name, index
