"""Adding and removing links: edges of graphs and skeletons, faces of meshes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import LINKS_BRANCHES, ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.edit.attributes import parse_rows
from zarr_vectors.edit.change import Change, changing
from zarr_vectors.edit.elements import (
    has_links,
    keep_links,
    read_level_elements,
    rewrite,
)
from zarr_vectors.edit.joining import fit_columns
from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.formats.joining import join_column
from zarr_vectors.model.elements import Elements, Links
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.forests import roots_of
from zarr_vectors.typing import IntArray
from zarr_vectors.write.frames import as_columns
from zarr_vectors.write.positions import as_array
from zarr_vectors.write.tables import Attributes, has_columns


@dataclass(frozen=True, slots=True)
class Connections:
    """Links as a user gave them.

    Parameters
    ----------
    rows : (m, L) integers, optional
        Rows of vertices.
    attributes : mapping of str to array, optional
        One row per link.
    """

    rows: Any = None
    attributes: Attributes = None

    @property
    def given(self) -> bool:
        """Whether anything was given."""
        return self.rows is not None or has_columns("link_attributes", self.attributes)


def add_links(
    path: Any,
    links: npt.ArrayLike,
    *,
    attributes: Attributes = None,
    refresh: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> int:
    """Add edges to a graph or skeleton, or faces to a mesh.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    links : (m, L) integers
        Rows of vertices, in the order in which the reader of the kind returns those of level 0: pairs for a graph,
        (child, parent) for a skeleton, three or four corners of a face.
    attributes : mapping of str to (m,) or (m, C) array, optional
        Attributes of the new links, filled as in :func:`append_vertices` where they are not given.
    refresh : bool
        Whether coarse levels are built anew afterwards; otherwise they are marked as stale.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    int
        Number of links that level 0 has now.

    Raises
    ------
    ShapeError, ArgumentError
        When a link names a vertex that is not there, has another number of ends than the others, closes a cycle of a
        skeleton, or the store holds no links.
    """
    with changing(path, backend, backend_kwargs, refresh) as change:
        return put_links(change, Connections(links, attributes))


def put_links(change: Change, connections: Connections) -> int:
    """Stage what :func:`add_links` does."""
    elements, links = _with_links(change)
    made = make_links(change.store, links, connections, elements.count, _following(links))
    columns = {
        name: join_column("attributes", name, column, made.attributes[name])
        for name, column in links.attributes.items()
    }
    joined = replace(links, rows=np.concatenate([links.rows, made.rows]), attributes=columns)
    rewrite(change, settled_links(change.store, replace(elements, links=joined)), change.root.after_links(added=True))
    return len(joined.rows)


def remove_links(
    path: Any,
    rows: npt.ArrayLike,
    *,
    refresh: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> int:
    """Remove edges or faces; the vertices stay.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    rows : integers
        Which links, by their place in ``read_graph(…).edges`` or ``read_mesh(…).faces`` of level 0. A node of a
        skeleton that loses the edge to its parent becomes a root.
    refresh : bool
        Whether coarse levels are built anew afterwards; otherwise they are marked as stale.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    int
        Number of links that level 0 has left.

    Raises
    ------
    ArgumentError
        When there is no such link, or the store holds none.
    """
    with changing(path, backend, backend_kwargs, refresh) as change:
        return take_links(change, rows)


def take_links(change: Change, rows: Any) -> int:
    """Stage what :func:`remove_links` does."""
    elements, links = _with_links(change)
    keep = np.ones(len(links.rows), bool)
    keep[parse_rows(rows, len(keep), "link")] = False
    rewrite(change, replace(elements, links=keep_links(links, keep)), change.root.after_links(added=False))
    return int(keep.sum())


def _with_links(change: Change) -> tuple[Elements, Links]:
    if not has_links(change.store):
        raise ArgumentError(
            f"{change.level(0).name}: vertices of {', '.join(change.root.geometry_types) or 'this store'} are linked "
            "by their order only; links of their own are for graphs, skeletons and meshes"
        )
    elements = read_level_elements(change.store)
    assert elements.links is not None
    return elements, elements.links


def _following(links: Links) -> int:
    column = links.attributes.get(ORIGINAL_INDEX_ATTRIBUTE)
    return 0 if column is None else int(column.values.max(initial=-1)) + 1


def make_links(store: StoreReader, like: Links, connections: Connections, count: int, following: int) -> Links:
    """Return links between vertices, with the attributes of those that are there.

    Parameters
    ----------
    store : StoreReader
        The store.
    like : Links
        Links of the level.
    connections : Connections
        What was given.
    count : int
        Number of vertices that can be named.
    following : int
        Number that the order of the input goes on from, where links keep it.

    Raises
    ------
    ShapeError, ArgumentError
        When links do not fit those of the level, or name a vertex that is not there.
    """
    rows = _as_rows(store, like, connections.rows, count)
    given = as_columns("link_attributes", connections.attributes)
    if ORIGINAL_INDEX_ATTRIBUTE in like.attributes and ORIGINAL_INDEX_ATTRIBUTE not in given:
        given[ORIGINAL_INDEX_ATTRIBUTE] = np.arange(following, following + len(rows), dtype=np.int64)
    specs = {name: column.spec for name, column in like.attributes.items()}
    return replace(like, rows=rows, attributes=fit_columns("link attributes", specs, given, len(rows), "link"))


def _as_rows(store: StoreReader, like: Links, links: Any, count: int) -> IntArray:
    given = np.zeros((0, like.width), np.int64) if links is None else as_array("links", links)
    if given.size == 0 and given.ndim < 2:
        given = np.zeros((0, like.width), np.int64)
    if given.ndim != 2 or given.shape[1] != like.width:
        raise ShapeError(f"links: expected shape (m, {like.width}), as those of the store, got {given.shape}")
    if given.size and given.dtype.kind not in "iu":
        raise ArgumentError(f"links: expected whole numbers, got dtype {given.dtype}")
    wrong = ((given < 0) | (given >= count)).any(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ArgumentError(f"links: link {row} is {given[row].tolist()}, but there are vertices 0 to {count - 1}")
    if like.width > 2:
        ends = np.sort(given, axis=1)
        bad = np.flatnonzero((ends[:, 1:] == ends[:, :-1]).any(axis=1))
        if len(bad):
            raise ArgumentError(f"links: face {bad[0]} is {given[bad[0]].tolist()}; corners of a face must differ")
    return given.astype(np.int64)


def settled_links(store: StoreReader, elements: Elements) -> Elements:
    """Return elements whose links can be stored: those of a skeleton are checked to be a forest.

    Raises
    ------
    ArgumentError
        When a node has two parents, or a cycle would be closed.
    """
    if store.root.links_convention != LINKS_BRANCHES or elements.links is None:
        return elements
    child, parent = elements.links.rows[:, 0], elements.links.rows[:, 1]
    counts = np.bincount(child, minlength=elements.count)
    if (counts > 1).any():
        node = int(np.flatnonzero(counts > 1)[0])
        raise ArgumentError(
            f"links: node {node} would have {int(counts[node])} parents; rows are (child, parent), and a node of a "
            "skeleton has one parent: remove the other edge first"
        )
    parents = np.full(elements.count, -1, np.int64)
    parents[child] = parent
    rootless = np.flatnonzero(roots_of(parents) < 0)
    if len(rootless):
        raise ArgumentError(f"links: a cycle would run through or above node {rootless[0]}; a skeleton has none")
    return elements
