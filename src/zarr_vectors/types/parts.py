"""Lists of geometries, each with its own vertices: their ids and attributes joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.model.ids import parse_ids
from zarr_vectors.typing import AnyArray
from zarr_vectors.write.frames import as_columns
from zarr_vectors.write.positions import as_array
from zarr_vectors.write.tables import joined_parts


def is_list_of_arrays(argument: str, vertices: Any) -> bool:
    """Return whether something is a list of ``(n_i, D)`` arrays rather than one ``(N, D)`` array.

    Raises
    ------
    ShapeError
        When the first item is a list whose rows differ in length.
    """
    if not isinstance(vertices, (list, tuple)) or not len(vertices):
        return False
    return as_array(f"{argument}[0]", vertices[0]).ndim == 2


def ids_of_parts(object_ids: Any, count: int, part: str) -> AnyArray:
    """Return one object id per part: as given, or numbers from 0.

    Parameters
    ----------
    object_ids : (count,) integers, optional
        What the user gave.
    count : int
        Number of parts.
    part : str
        What a part is, for messages.

    Raises
    ------
    ShapeError, ArgumentError
        When there is another number of ids, or an id is given to several parts.
    """
    if object_ids is None:
        return np.arange(count)
    ids = parse_ids("object_ids", object_ids)
    if ids.shape != (count,):
        raise ShapeError(f"object_ids: expected {count} ids, one per {part} of the list, got shape {ids.shape}")
    require_ids(ids)
    values, occurrences = np.unique(ids, return_counts=True)
    if len(values) != count:
        raise ArgumentError(f"object_ids: id {values[occurrences > 1][0]} is given to several {plural(part)}")
    return ids


def require_ids(object_ids: Any) -> None:
    """Refuse negative object ids: results say -1 for vertices of no object.

    Raises
    ------
    ArgumentError
        Naming the first of them and where it stands.
    """
    ids = parse_ids("object_ids", object_ids)
    if ids.size and int(ids.min()) < 0:
        row = int(np.flatnonzero(ids.reshape(-1) < 0)[0])
        raise ArgumentError(f"object_ids: ids count from 0, got {int(ids.reshape(-1)[row])} at {row}")


def parts_of(argument: str, given: Any, count: int, part: str, whole: str) -> Sequence[Any]:
    """Return one array per part: as a list, or the items of one array whose first axis counts the parts.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    given : list of arrays, or array
        What the user gave.
    count : int
        Number of parts.
    part : str
        What a part is, for messages.
    whole : str
        The argument that says how many parts there are, for messages.

    Raises
    ------
    ShapeError
        When there are more or fewer, or one array for all of them together.
    """
    if isinstance(given, np.ndarray) and (given.ndim == 3 or given.dtype == object):
        given = list(given)
    if not isinstance(given, Sequence) or len(given) != count:
        found = str(len(given)) if isinstance(given, Sequence) else type(given).__name__
        if isinstance(given, np.ndarray):
            found = f"one array of shape {given.shape}"
        raise ShapeError(f"{argument}: expected a list of {count} arrays, one per {part} of {whole}, got {found}")
    return given


def join_parts(argument: str, columns: Any, count: int, part: str) -> Any:
    """Join columns given as one array per part; others stay as they are.

    Raises
    ------
    ShapeError
        When there are more or fewer arrays than parts.
    """
    if columns is None:
        return None
    joined = {}
    for name, values in as_columns(argument, columns).items():
        apart = isinstance(values, (list, tuple)) and len(values) > 0 and np.ndim(values[0]) > 0
        if apart and len(values) != count:
            raise ShapeError(f"{argument}: {name!r} has {len(values)} arrays for {count} {plural(part)}")
        joined[name] = joined_parts(argument, name, part, values) if apart else values
    return joined


def plural(part: str) -> str:
    """Return the plural of a noun that a part is called by."""
    return f"{part}es" if part.endswith(("s", "sh", "ch", "x")) else f"{part}s"
