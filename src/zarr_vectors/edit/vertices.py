"""Moving vertices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.edit.attributes import parse_rows
from zarr_vectors.edit.change import Change, changing
from zarr_vectors.edit.elements import read_level_elements, rewrite
from zarr_vectors.edit.joining import settle_positions
from zarr_vectors.exceptions import ArgumentError, ShapeError


def move_vertices(
    path: Any,
    positions: npt.ArrayLike,
    *,
    rows: npt.ArrayLike | None = None,
    out_of_bounds: str = "raise",
    refresh: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> int:
    """Give vertices of level 0 other positions; what they belong to, their attributes and links stay.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    positions : (n, D) array
        The new positions.
    rows : (n,) integers, optional
        Which vertices, by their place in what the reader of the kind returns of the whole level; all by default.
        Vertices that come into another chunk have another place afterwards.
    out_of_bounds : {"raise", "expand"}
        What happens when a vertex leaves the bounds: refuse, or grow the bounds.
    refresh : bool
        Whether coarse levels are built anew afterwards; otherwise they are marked as stale.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    int
        Number of vertices that were moved.

    Raises
    ------
    ShapeError, ArgumentError, OutOfBoundsError
        For arguments that do not fit the store, which is then as it was.
    """
    with changing(path, backend, backend_kwargs, refresh) as change:
        return put_positions(change, positions, rows, out_of_bounds)


def put_positions(change: Change, positions: Any, rows: Any = None, out_of_bounds: str = "raise") -> int:
    """Stage what :func:`move_vertices` does."""
    if out_of_bounds == "ignore":
        raise ArgumentError("out_of_bounds: a vertex cannot be moved and left out; use 'raise' or 'expand'")
    settled = settle_positions(change.level(0), positions, None, out_of_bounds)
    elements = read_level_elements(change.store)
    chosen = np.arange(elements.count) if rows is None else parse_rows(rows, elements.count, "vertex")
    if len(chosen) != len(settled.positions):
        raise ShapeError(
            f"positions: expected {len(chosen)} rows, one per vertex to be moved, got {len(settled.positions)}"
        )
    moved = elements.positions.copy()
    moved[chosen] = settled.positions
    rewrite(change, replace(elements, positions=moved), settled.root)
    return len(chosen)
