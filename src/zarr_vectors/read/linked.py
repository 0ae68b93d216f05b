"""Reading vertices with the links between them: a box, objects, chunks, or everything.

A box or object costs what it meets: the vertex cells of its chunks, and of the links only the cells whose endpoints
can lie there, which the names and chunk lists of the link arrays tell before anything is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from zarr_vectors.constants import LINKS_BRANCHES
from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.joining import joined_with_absent
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import stable_order
from zarr_vectors.read.fetch import FetchedCells
from zarr_vectors.read.filters import matching_rows
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.link_cells import ROW_LIMIT
from zarr_vectors.read.link_choice import choose_cells, chunks_of_links
from zarr_vectors.read.links import LinkPlan, cells_of, plan_links, require_parent_links
from zarr_vectors.read.query import Query
from zarr_vectors.read.rows import (
    Loaded,
    ids_of_rows,
    load_chunks,
    meet_chunks,
    read_query_manifests,
    select_rows,
)
from zarr_vectors.read.vertices import with_blob_faces
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.spatial.branches import implied_links, links_by_child, parents_of_rows
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

_NOT_LOADED = -(1 << 62)


class LinkRule(Enum):
    """Which links a box returns."""

    ENDPOINTS = "those with every endpoint inside"
    CENTROID = "those whose mean endpoint is inside, with every vertex that they need and no other"


@dataclass(frozen=True, slots=True)
class Linked:
    """Vertices and links that a query found.

    Parameters
    ----------
    positions : (n, D) float
        In stored order; vertices that only a boundary link brought in come last.
    attributes : mapping of str to Column
        One row per vertex.
    object_ids : (n,) int64, optional
        Object of every vertex, -1 for none; None where the level has no objects.
    inside : (n,) bool
        Which vertices the query itself asked for.
    links : (m, L) int64
        Rows of the vertices above.
    link_attributes : mapping of str to Column
        One row per link.
    directed : bool
        Whether the order of the endpoints carries meaning.
    """

    positions: FloatArray
    attributes: Mapping[str, Column]
    object_ids: IntArray | None
    inside: BoolArray
    links: IntArray
    link_attributes: Mapping[str, Column]
    directed: bool


def read_linked(
    level: LevelReader,
    query: Query,
    *,
    rule: LinkRule = LinkRule.ENDPOINTS,
    include_boundary: bool = False,
    link_attributes: Sequence[str] | None = None,
) -> Linked:
    """Read the vertices that a query asks for and the links between them.

    Conditions on vertex attributes, objects and chunks hold for every endpoint of a link; so does the box under
    ``LinkRule.ENDPOINTS``.

    Parameters
    ----------
    level : LevelReader
        An open level.
    query : Query
        What to read.
    rule : LinkRule
        Which links a box returns.
    include_boundary : bool
        Whether links with some endpoints inside are returned too, with their endpoints outside
        (``LinkRule.ENDPOINTS`` only).
    link_attributes : sequence of str, optional
        Link attributes wanted; all by default.

    Returns
    -------
    Linked
        Vertices in stored order. Links in reading order (offsets in ASCII order, cells in key order, rows), or, where
        rows imply links, by their first endpoint.
    """
    found = _fetch(level, query, rule, include_boundary, link_attributes)
    if rule is LinkRule.CENTROID and query.box is not None:
        return _by_centroid(found, query.box)
    if include_boundary and found.selected is not None:
        return _with_boundary(level, found)
    return _within(found)


@dataclass(frozen=True, slots=True)
class _Found:
    """Chunks with the links that may be wanted.

    ``selected`` are the rows that the query asks for (None: all), ``endpoints`` those of the links, -1 for endpoints
    in chunks that are not loaded; ``chunks`` and ``rows`` say where all endpoints are, where boundary links are wanted.
    """

    loaded: Loaded
    columns: dict[str, CellArray]
    names: list[str]
    selected: IntArray | None
    endpoints: IntArray
    chunks: IntArray | None
    rows: IntArray | None
    attributes: Mapping[str, Column]
    directed: bool

    def links(self, kept: AnyArray) -> _Found:
        """Return the same with some of the links."""
        return replace(
            self,
            endpoints=self.endpoints[kept],
            chunks=None if self.chunks is None else self.chunks[kept],
            rows=None if self.rows is None else self.rows[kept],
            attributes={name: column.take(kept) for name, column in self.attributes.items()},
        )

    def mask(self) -> BoolArray:
        """Return which loaded rows are selected."""
        if self.selected is None:
            return np.ones(self.loaded.count, bool)
        mask = np.zeros(self.loaded.count, bool)
        mask[self.selected] = True
        return mask


def _fetch(
    level: LevelReader, query: Query, rule: LinkRule, include_boundary: bool, link_attributes: Sequence[str] | None
) -> _Found:
    names = level.attribute_names if query.attributes is None else list(query.attributes)
    filters = dict(query.attribute_filter or {})
    columns = level.stored_attributes([*names, *filters])
    family = level.arrays.links.get(0)
    likely = [] if family is None else cells_of(family, level, link_attributes)
    manifests = read_query_manifests(level, query, columns, likely)
    centroid = rule is LinkRule.CENTROID and query.box is not None
    chunk_rows = meet_chunks(level, query, manifests)
    branches = level.root.links_convention == LINKS_BRANCHES
    choice = choose_cells(level, query, manifests, chunk_rows, branches, centroid=centroid, boundary=include_boundary)
    plan = plan_links(level, level, 0, link_attributes, choice) if 0 in level.arrays.links else None
    require_parent_links(level)
    if centroid:
        chunk_rows = chunks_of_links(level, chunk_rows, plan)
    more = [] if plan is None else plan.wanted
    loaded, fetched = load_chunks(level, chunk_rows, columns, fragments=query.box is not None or branches, more=more)
    selection = replace(query, box=None) if centroid else query
    selected = _in_chunks(level, loaded, query, select_rows(level, loaded, selection, manifests))
    if filters:
        base = np.arange(loaded.count) if selected is None else selected
        taken = {name: loaded.attributes[name].take(base) for name in filters}
        selected = base[matching_rows(taken, filters)]
    numbered = None
    if plan is not None and loaded.faces is None and not include_boundary:
        numbered = plan.number(fetched, *_bounds(level, loaded))
    if numbered is not None:
        endpoints, described = numbered
        if len(chunk_rows) < len(level.chunks):
            np.maximum(endpoints, -1, out=endpoints)
        directed = branches or level.arrays.links[0].directed
        found = _Found(loaded, columns, names, selected, endpoints, None, None, described, directed)
        return _with_implied(found) if branches else found
    table = with_blob_faces(_table(level, plan, fetched), chunk_rows, loaded.row_offsets, loaded.faces)
    found = _Found(
        loaded,
        columns,
        names,
        selected,
        loaded_rows(level, loaded, table),
        table.chunks if include_boundary else None,
        table.rows if include_boundary else None,
        table.attributes,
        table.directed or branches,
    )
    return _with_implied(found) if branches else found


def _in_chunks(level: LevelReader, loaded: Loaded, query: Query, selected: IntArray | None) -> IntArray | None:
    """Return those of the selected rows (None: all) that are in the chunks that a query names."""
    if query.chunks is None:
        return selected
    named = np.isin(loaded.chunk_rows, level.lookup.rows(query.chunks))
    mask = np.repeat(named, np.diff(loaded.row_offsets))
    return np.flatnonzero(mask) if selected is None else selected[mask[selected]]


def _table(level: LevelReader, plan: LinkPlan | None, fetched: list[FetchedCells]) -> LinkTable:
    if plan is None:
        none = np.zeros((0, 2), np.int64)
        return LinkTable(0, none, none, level.chunks, level.chunks)
    return plan.decode(fetched)


def _bounds(level: LevelReader, loaded: Loaded) -> tuple[IntArray, IntArray]:
    """Return the first loaded row and the end of the last of every chunk of a level, far below 0 where not loaded."""
    starts, stops = np.full(len(level.chunks), _NOT_LOADED), np.zeros(len(level.chunks), np.int64)
    starts[loaded.chunk_rows], stops[loaded.chunk_rows] = loaded.row_offsets[:-1], loaded.row_offsets[1:]
    return starts, stops


def loaded_rows(level: LevelReader, loaded: Loaded, table: LinkTable) -> IntArray:
    """Return the endpoints of links as rows of loaded chunks, -1 where a chunk is not loaded.

    Raises
    ------
    ArrayError
        When a link names a row that its chunk does not have.
    """
    base, ends = _bounds(level, loaded)
    numbers = (base[table.chunks] if table.count else table.chunks) + table.rows
    wrong = (table.rows < 0) | (table.rows >= ROW_LIMIT) | (numbers >= (ends[table.chunks] if table.count else 0))
    if wrong.any():
        link, end = (int(i[0]) for i in np.nonzero(wrong))
        place = int(table.chunks[link, end])
        chunk = ".".join(map(str, level.chunks[place].tolist()))
        raise ArrayError(
            f"{level.name}: a link names row {int(table.rows[link, end])} of chunk {chunk}, which has "
            f"{int(ends[place] - max(0, base[place]))} vertices"
        )
    return numbers if len(loaded.chunk_rows) == len(level.chunks) else np.maximum(numbers, -1)


def _with_implied(found: _Found) -> _Found:
    """Add the links that the order of rows implies; by first endpoint, which has at most one of them."""
    loaded = found.loaded
    assert loaded.fragments is not None
    if found.chunks is None and not found.attributes:
        parents = parents_of_rows(loaded.fragments, loaded.row_offsets, found.endpoints)
        if parents is not None:
            return replace(found, endpoints=links_by_child(parents))
    stored = found.endpoints[:, 0]
    has_own = np.zeros(loaded.count, bool)
    has_own[stored[stored >= 0]] = True
    implied = implied_links(loaded.fragments, loaded.row_offsets, has_own)
    if len(implied) == 0:
        return found.links(_by_first(found.endpoints[:, 0]))
    joined = replace(
        found,
        endpoints=np.concatenate([implied, found.endpoints]),
        attributes={
            name: joined_with_absent(column, len(implied), first=True) for name, column in found.attributes.items()
        },
    )
    if found.chunks is not None and found.rows is not None:
        place = np.searchsorted(loaded.row_offsets, implied[:, 0], side="right") - 1
        chunks = np.repeat(loaded.chunk_rows[place][:, None], 2, axis=1)
        rows = implied - loaded.row_offsets[place][:, None]
        joined = replace(joined, chunks=np.concatenate([chunks, found.chunks]), rows=np.concatenate([rows, found.rows]))
    return joined.links(_by_first(joined.endpoints[:, 0]))


def _by_first(rows: IntArray) -> IntArray:
    """Return the stable order of first endpoints; where no two are alike, by their places alone."""
    place = np.full(int(rows.max(initial=-1)) + 2, -1, np.int64)
    place[rows + 1] = np.arange(len(rows))
    order: IntArray = place[place >= 0]
    return order if len(order) == len(rows) else stable_order([(rows + 1).astype(np.uint64)])


def _within(found: _Found) -> Linked:
    """Keep the links whose endpoints are all selected."""
    rows = found.selected
    if rows is None:
        return _result(found, None, np.ones(found.loaded.count, bool), found.endpoints)
    return _numbered(found.links(_selected_links(found)), rows)


def _selected_links(found: _Found) -> BoolArray:
    return np.asarray(((found.endpoints >= 0) & found.mask()[found.endpoints]).all(axis=1))


def _by_centroid(found: _Found, box: Box) -> Linked:
    """Keep the links of selected vertices whose mean endpoint is inside a box, and the vertices they need."""
    if found.selected is not None:
        found = found.links(_selected_links(found))
    inside = box.contains(centroids(found.loaded.positions, found.endpoints))
    found = found.links(inside)
    used = np.zeros(found.loaded.count, bool)
    used[found.endpoints] = True
    return _numbered(found, np.flatnonzero(used))


def centroids(positions: FloatArray, links: IntArray) -> FloatArray:
    """Return the mean endpoint ``(m, D)`` of every link in float64, never outside the extent of its endpoints.

    Parameters
    ----------
    positions : (n, D) float
        Vertices.
    links : (m, L) int64
        Rows of the endpoints.
    """
    corners = positions[links].astype(np.float64)
    mean = corners.sum(axis=1) / links.shape[1]
    clipped: FloatArray = np.clip(mean, corners.min(axis=1), corners.max(axis=1))
    return clipped


def _numbered(found: _Found, rows: IntArray) -> Linked:
    """Return the result with links as rows of the vertices that are returned."""
    number = np.full(found.loaded.count, -1, np.int64)
    number[rows] = np.arange(len(rows))
    return _result(found, rows, np.ones(len(rows), bool), number[found.endpoints])


def _result(found: _Found, rows: IntArray | None, inside: BoolArray, links: IntArray) -> Linked:
    positions, attributes, ids = _columns(found.loaded, found.names, rows)
    return Linked(positions, attributes, ids, inside, links, found.attributes, found.directed)


def _columns(
    loaded: Loaded, names: Sequence[str], rows: IntArray | None
) -> tuple[FloatArray, dict[str, Column], IntArray | None]:
    ids = None if loaded.owners is None else ids_of_rows(loaded)
    if rows is None:
        return loaded.positions, {name: loaded.attributes[name] for name in names}, ids
    positions = np.take(loaded.positions, rows, axis=0)
    return positions, {n: loaded.attributes[n].take(rows) for n in names}, None if ids is None else ids[rows]


def _with_boundary(level: LevelReader, found: _Found) -> Linked:
    """Keep the links with a selected endpoint; their other endpoints follow the selected vertices."""
    inner = found.selected
    assert inner is not None
    hit = (found.endpoints >= 0) & found.mask()[found.endpoints]
    keep: AnyArray = np.asarray(hit.any(axis=1))
    found, hit = found.links(keep), hit[keep]
    assert found.chunks is not None
    assert found.rows is not None
    base = int(found.rows.max(initial=0)) + 1
    beyond, numbers = np.unique(found.chunks[~hit] * base + found.rows[~hit], return_inverse=True)
    chunks, rows = np.divmod(beyond, base)
    selected = np.full(found.loaded.count, -1, np.int64)
    selected[inner] = np.arange(len(inner))
    links = np.where(hit, selected[found.endpoints], -1)
    links[~hit] = numbers.reshape(-1) + len(inner)
    outer, _ = load_chunks(level, np.unique(chunks), found.columns, fragments=False)
    places = np.searchsorted(outer.chunk_rows, chunks)
    if (rows >= np.diff(outer.row_offsets)[places]).any():
        raise ArrayError(f"{level.name}: a link names a row that its chunk does not have")
    parts = [
        _columns(found.loaded, found.names, inner),
        _columns(outer, found.names, outer.row_offsets[places] + rows),
    ]
    attributes = {
        name: Column(np.concatenate([part[1][name].values for part in parts]), parts[0][1][name].spec)
        for name in found.names
    }
    ids = [part[2] for part in parts]
    return Linked(
        np.concatenate([part[0] for part in parts]),
        attributes,
        None if ids[0] is None or ids[1] is None else np.concatenate(ids),  # type: ignore[arg-type]
        np.repeat([True, False], [len(inner), len(rows)]),
        links,
        found.attributes,
        found.directed,
    )
