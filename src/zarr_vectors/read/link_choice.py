"""Which link cells a query needs: told by the names and chunk lists of the link arrays, before anything is fetched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.model.cells import Manifests
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.links import CellChoice, LinkPlan
from zarr_vectors.read.query import Query
from zarr_vectors.read.rows import meet_chunks
from zarr_vectors.spatial.boxes import bin_ranges, chunk_ranges
from zarr_vectors.typing import BoolArray, IntArray


def choose_cells(
    level: LevelReader,
    query: Query,
    manifests: Manifests | None,
    chunk_rows: IntArray,
    branches: bool,
    *,
    centroid: bool,
    boundary: bool,
) -> CellChoice | None:
    """Say which link cells may hold links that a query asks for; None means all.

    Parameters
    ----------
    level : LevelReader
        An open level.
    query : Query
        What to read.
    manifests : Manifests, optional
        Those of the objects asked for.
    chunk_rows : (n,) int64
        Chunks that hold vertices of the query.
    branches : bool
        Whether the order of rows implies links.
    centroid : bool
        Whether a box asks for links with their mean endpoint inside, wherever the endpoints are.
    boundary : bool
        Whether one endpoint in those chunks is enough.
    """
    if len(chunk_rows) == len(level.chunks) and not centroid:
        return None
    needed = np.zeros(len(level.chunks), bool)
    needed[chunk_rows] = True
    family = level.arrays.links.get(0)
    first_is_source = family is not None and family.directed and family.store == "canonical" and family.blob is None

    def all_met(chunks: IntArray, rows: IntArray) -> BoolArray:
        return np.asarray(_met(needed, rows).all(axis=1))

    def any_met(chunks: IntArray, rows: IntArray) -> BoolArray:
        return np.asarray(_met(needed, rows).any(axis=1))

    def first_met(chunks: IntArray, rows: IntArray) -> BoolArray:
        return _met(needed, rows[:, 0])

    if centroid:
        return _around(level, query, manifests)
    if boundary:
        return any_met
    if branches:  # a stored link says that its child has not the parent which its row implies
        return first_met if first_is_source else any_met
    return all_met


def _met(needed: BoolArray, rows: IntArray) -> BoolArray:
    """Return which rows of the list of chunks are needed; -1, which is no chunk, is not."""
    return np.append(needed, False)[rows]


def _around(level: LevelReader, query: Query, manifests: Manifests | None) -> CellChoice:
    """Choose cells whose endpoints may have their mean inside the box: those whose chunks surround a chunk of it."""
    assert query.box is not None
    low, high = chunk_ranges(bin_ranges(query.box, level.grid, np.dtype(np.float64)), level.grid)
    allowed = np.zeros(len(level.chunks), bool)
    allowed[meet_chunks(level, replace(query, box=None), manifests)] = True
    ndim = level.grid.ndim

    def choice(chunks: IntArray, rows: IntArray) -> BoolArray:
        spatial = chunks[:, :, chunks.shape[2] - ndim :]
        near = (spatial.min(axis=1) <= np.array(high)).all(axis=1) & (spatial.max(axis=1) >= np.array(low)).all(axis=1)
        if not allowed.all():
            near &= _met(allowed, rows).all(axis=1)
        return np.asarray(near)

    return choice


def chunks_of_links(level: LevelReader, chunk_rows: IntArray, plan: LinkPlan | None) -> IntArray:
    """Return the chunks in which the endpoints of the links of a plan lie."""
    if plan is None:
        return chunk_rows[:0]
    if plan.family.blob is not None:
        return np.arange(len(level.chunks))
    used = np.zeros(len(level.chunks) + 1, bool)
    used[plan.cells.rows] = True
    return np.flatnonzero(used[:-1])
