"""Chunk after chunk: what one chunk holds, read ahead on threads while memory stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Final, TypeVar

import numpy as np

from zarr_vectors.formats.columns import decode_column
from zarr_vectors.read.copies import copied_rows, may_repeat
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.linked import read_linked
from zarr_vectors.read.objects import has_identity
from zarr_vectors.read.query import Query
from zarr_vectors.read.rows import ids_of_rows, load_chunks, meet_chunks
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.types.results import Result
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

T = TypeVar("T")
R = TypeVar("R")

_AHEAD_BYTES: Final = 64 << 20
_MOST_AHEAD: Final = 64


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
        Its vertices (those inside the box), in stored order; without copies of vertices that another chunk stores.
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


def chunks_met(level: LevelReader, box: Box | None) -> IntArray:
    """Return the rows, in ``level.chunks``, of the chunks that may hold vertices inside a box, ``(n,)``."""
    return meet_chunks(level, Query(box=box), None)


def read_chunks(
    level: LevelReader, chunk_rows: IntArray, box: Box | None, attributes: Sequence[str] | None, *, linked: bool
) -> list[ZVChunk]:
    """Read some chunks at once, `chunk_rows` of ``level.chunks``, ascending; those without a vertex are left out."""
    if linked:
        found = [_read_linked_chunk(level, chunk, box, attributes) for chunk in level.chunks[chunk_rows]]
        return [chunk for chunk in found if len(chunk)]
    names = level.attribute_names if attributes is None else list(attributes)
    identity = has_identity(level)
    loaded, _ = load_chunks(level, chunk_rows, level.stored_attributes(names), fragments=identity or may_repeat(level))
    columns = {name: decode_column(loaded.attributes[name]) for name in names}
    ids = None if loaded.owners is None else ids_of_rows(loaded)
    if identity and loaded.fragments is not None:
        ids = np.repeat(np.arange(loaded.fragments.count, dtype=np.int64), loaded.fragments.counts)
    inside = None if box is None else box.contains(loaded.positions)
    if may_repeat(level) and loaded.fragments is not None:
        coordinates = level.chunks[chunk_rows]
        once = ~copied_rows(level, coordinates, loaded.positions, loaded.row_offsets, loaded.fragments)
        inside = once if inside is None else once & inside
    chunks = []
    for place, chunk in enumerate(level.chunks[chunk_rows]):
        first, last = loaded.row_offsets[place : place + 2].tolist()
        rows = np.arange(first, last) if inside is None else first + np.flatnonzero(inside[first:last])
        if len(rows):  # taken, not cut out: a chunk that is kept must not keep the others
            taken = {name: values[rows] for name, values in columns.items()}
            own = None if ids is None else ids[rows]
            chunks.append(ZVChunk(*_place(level, chunk), loaded.positions[rows], taken, own, level=_number(level)))
    return chunks


def _read_linked_chunk(
    level: LevelReader, chunk: IntArray, box: Box | None, attributes: Sequence[str] | None
) -> ZVChunk:
    found = read_linked(level, Query(box=box, attributes=attributes, chunks=chunk[None]))
    columns = {name: decode_column(column) for name, column in found.attributes.items()}
    described = {name: decode_column(column) for name, column in found.link_attributes.items()}
    place = _place(level, chunk)
    return ZVChunk(*place, found.positions, columns, found.object_ids, found.links, described, _number(level))


def _place(level: LevelReader, chunk: IntArray) -> tuple[tuple[int, ...], FloatArray, FloatArray]:
    """Return a chunk's coordinates and corners."""
    shape = np.array(level.grid.chunk_shape)
    corner = chunk[len(chunk) - level.grid.ndim :]
    return tuple(chunk.tolist()), corner * shape, (corner + 1) * shape


def _number(level: LevelReader) -> int:
    return level.metadata.level


def default_prefetch(level: LevelReader, n_workers: int) -> int:
    """Return how many chunks are read ahead unless somebody says: about 64 MB of them, and no more than 64."""
    arrays = [level.arrays.vertices, *level.arrays.vertex_attributes.values()]
    row = sum(array.spec.row_stride for array in arrays)
    chunk = row * level.metadata.vertex_count / max(1, len(level.chunks))
    return int(min(_MOST_AHEAD, max(n_workers, _AHEAD_BYTES // max(1, chunk))))


def batch_sizes(prefetch: int, n_workers: int) -> tuple[int, int]:
    """Return how many chunks are read at once and how many such reads are made ahead.

    With those that the consumer is given one by one there are never more than ``prefetch + 1`` chunks.
    """
    size = max(1, (prefetch + 1) // (n_workers + 1))
    return size, (prefetch + 1) // size - 1


def read_ahead(
    function: Callable[[T], R], items: Iterable[T], prefetch: int, n_workers: int
) -> Generator[R, None, None]:
    """Yield the result of a function for every item in order, made ahead on threads of its own.

    At most `prefetch` results exist or are being made besides the one that the consumer holds; with 0 each is made
    when it is asked for, on the thread that asks.
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


_END: Any = object()


async def iterate(start: Callable[[], Generator[T]]) -> AsyncIterator[T]:
    """Yield what a generator yields, each item made on a worker thread."""
    generator = await asyncio.to_thread(start)
    step: asyncio.Future[T] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, generator, _END))
            item = await asyncio.shield(step)
            if item is _END:
                return
            yield item
    finally:
        if step is not None and not step.done():  # cancelled while a thread is inside the generator
            await asyncio.wait([step])
        if step is not None and step.done() and not step.cancelled():
            step.exception()
        await asyncio.to_thread(generator.close)
