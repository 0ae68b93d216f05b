"""Which function reads a store, for readers that are handed a store of another kind."""

from __future__ import annotations

from typing import Final

from zarr_vectors.constants import LINKS_BRANCHES, LINKS_EXPLICIT
from zarr_vectors.exceptions import StoreError
from zarr_vectors.read.store import StoreReader

READERS: Final = {
    "point_cloud": "read_points",
    "line": "read_lines",
    "polyline": "read_polylines",
    "streamline": "read_polylines",
    "graph": "read_graph",
    "skeleton": "read_graph",
    "mesh": "read_mesh",
}
"""Function that reads a geometry type."""


def refused_by(store: StoreReader, needed: str) -> StoreError:
    """Return the error for a store of another kind than a reader needs.

    Parameters
    ----------
    store : StoreReader
        The store.
    needed : str
        What it does not hold, for example ``"a mesh"``.
    """
    held = store.root.geometry_types
    readers = dict.fromkeys(READERS[kind] for kind in held if kind in READERS)
    hint = " or ".join(readers) or ("read_graph or read_mesh" if _has_links(store) else "read_points")
    what = ", ".join(held) or f"geometry under links_convention {store.root.links_convention!r}"
    return StoreError(f"{store.storage.url}: holds {what}, not {needed}; read it with {hint}")


def _has_links(store: StoreReader) -> bool:
    return store.root.links_convention in (LINKS_EXPLICIT, LINKS_BRANCHES)


def require_ordered(store: StoreReader, needed: str) -> None:
    """Refuse a store whose vertices are not in the order of paths.

    Raises
    ------
    StoreError
        Where links say how vertices are connected, or the store holds points only; names the function to read it with.
    """
    if _has_links(store) or set(store.root.geometry_types) == {"point_cloud"}:
        raise refused_by(store, needed)
