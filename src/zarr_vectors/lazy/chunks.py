"""Chunk after chunk: what one chunk holds, read ahead on threads while memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, TypeVar

import numpy as np

from zarr_vectors.formats.columns import decode_column
from zarr_vectors.read.fetch import decode_fragments, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.linked import read_linked
from zarr_vectors.read.ordered_objects import has_identity
from zarr_vectors.read.query import Query
from zarr_vectors.read.rows import meet_chunks, read_rows
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.types.results import Result
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class ZVChunk(Result):
    """What one chunk of a level holds; fields also answer to ``chunk["positions"]``.

    Attributes
    ----------
    chunk : tuple of int
        Coordinates of the chunk; in levels that are chunked by an attribute the number of its value comes first.
    lower, upper : (D,) float64
        Corners of the chunk.
    positions : (N, D) float
        Its vertices (those inside the box), in stored order.
    attributes : dict of str to array
        ``(N,)`` or ``(N, C)`` by attribute name.
    object_ids : (N,) int64, optional
        Object of every vertex, -1 for none; None where the level has no objects.
    links : (M, L) int64, optional
        Edges or faces whose vertices are all among these, as rows of ``positions``; None for kinds without links.
    link_attributes : dict of str to array
        One row per link.
    level : int
        Level.
    """

    _aliases: ClassVar[dict[str, str]] = {"vertex_attributes": "attributes", "edges": "links", "faces": "links"}

    chunk: tuple[int, ...]
    lower: FloatArray
    upper: FloatArray
    positions: FloatArray
    attributes: dict[str, AnyArray]
    object_ids: IntArray | None = None
    links: IntArray | None = None
    link_attributes: dict[str, AnyArray] = field(default_factory=dict)
    level: int = 0

    @property
    def vertex_count(self) -> int:
        """Number of vertices."""
        return len(self.positions)

    def keys(self) -> list[str]:
        """Return the names that ``chunk[...]`` answers to."""
        return [*Result.keys(self), "vertex_count"]

    def __len__(self) -> int:
        return len(self.positions)


def chunks_of(level: LevelReader, box: Box | None) -> IntArray:
    """Return the chunks of a level that may hold vertices inside a box, ``(n, S)``."""
    return level.chunks[meet_chunks(level, Query(box=box), None)]


def read_chunk(
    level: LevelReader, chunk: IntArray, box: Box | None, attributes: Sequence[str] | None, *, linked: bool
) -> ZVChunk:
    """Read one chunk.

    Parameters
    ----------
    level : LevelReader
        An open level.
    chunk : (S,) int64
        The chunk.
    box : Box, optional
        Only vertices inside.
    attributes : sequence of str, optional
        Vertex attributes wanted; all by default.
    linked : bool
        Whether the links inside the chunk are wanted.
    """
    chunk_shape = np.array(level.grid.chunk_shape)
    corner = chunk[len(chunk) - level.grid.ndim :]
    where = tuple(chunk.tolist()), corner * chunk_shape, (corner + 1) * chunk_shape
    number = level.metadata.level
    if linked:
        found = read_linked(level, Query(box=box, attributes=attributes, chunks=chunk[None]))
        columns = {name: decode_column(column) for name, column in found.attributes.items()}
        described = {name: decode_column(column) for name, column in found.link_attributes.items()}
        return ZVChunk(*where, found.positions, columns, found.object_ids, found.links, described, number)
    identity = has_identity(level)
    query = Query(box=None if identity else box, attributes=attributes, chunks=chunk[None])
    rows = read_rows(level, query)
    positions, ids = rows.positions, rows.object_ids
    columns = {name: decode_column(column) for name, column in rows.attributes.items()}
    if identity:
        ids = _identity_ids(level, chunk)
        keep = slice(None) if box is None else box.contains(positions)
        positions, ids = positions[keep], ids[keep]
        columns = {name: values[keep] for name, values in columns.items()}
    return ZVChunk(*where, positions, columns, ids, level=number)


def _identity_ids(level: LevelReader, chunk: IntArray) -> IntArray:
    """Return the object of every row where object i is fragment i."""
    array = level.arrays.vertex_fragments
    assert array is not None
    fragments = decode_fragments(fetch_cells(level.storage, [array], chunk[None])[0])
    return np.repeat(np.arange(fragments.count, dtype=np.int64), fragments.counts)


def read_ahead(
    function: Callable[[T], R], items: Iterable[T], prefetch: int, n_workers: int
) -> Generator[R, None, None]:
    """Yield the result of a function for every item in order, made ahead on threads of its own.

    Parameters
    ----------
    function : callable
        May use the package's own pool of threads.
    items : iterable
        What to work on.
    prefetch : int
        Results that exist or are being made besides the one that the consumer holds; 0 makes each when it is asked
        for, on the thread that asks.
    n_workers : int
        Threads.
    """
    if prefetch == 0:
        yield from map(function, items)
        return
    source = iter(items)
    with ThreadPoolExecutor(min(n_workers, prefetch), thread_name_prefix="zarr-vectors-ahead") as pool:
        pending: list[Future[R]] = [pool.submit(function, item) for item in islice(source, prefetch)]
        try:
            while pending:
                result = pending.pop(0).result()
                pending += [pool.submit(function, item) for item in islice(source, 1)]
                yield result
                del result
        finally:
            for future in pending:
                future.cancel()
