"""Reading links: every cell of a family, resolved to chunks and rows of their endpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from zarr_vectors.encoding.links import decode_link_rows, permutations_from_codes
from zarr_vectors.encoding.ragged import decode_ragged
from zarr_vectors.exceptions import ArrayError, UnknownNameError
from zarr_vectors.formats.layout import CellArray, LinkArray, LinkFamily
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.links import LinkTable
from zarr_vectors.read.absent import absent_values
from zarr_vectors.read.fetch import FetchedCells, decode_rows, fetch_cells, fetch_many
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.vertices import decode_vertices, holds_faces, with_blob_faces
from zarr_vectors.typing import AnyArray, BoolArray, Bytes, IntArray

CellChoice: TypeAlias = Callable[[IntArray], BoolArray]
"""From the chunks ``(n, L, S)`` of the endpoints of cells (or of single records) to which of them are wanted."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Decoded records of one array: endpoint chunks as rows of both levels' chunk lists."""

    chunks: IntArray
    rows: IntArray
    attributes: dict[str, AnyArray]


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """Which cells of a family of links are to be read; what they hold comes out of :meth:`decode`.

    Parameters
    ----------
    level, other : LevelReader
        The level that holds the links, and that of the other endpoints.
    family : LinkFamily
        The links.
    names : list of str
        Link attributes wanted.
    choice : function, optional
        Which cells and records are wanted; None means all.
    chunks : list of (n, S) int64
        Chunks of the cells wanted of every array of the family, in key-string order.
    """

    level: LevelReader
    other: LevelReader
    family: LinkFamily
    names: list[str]
    choice: CellChoice | None
    chunks: list[IntArray]

    @property
    def wanted(self) -> list[tuple[CellArray, IntArray]]:
        """Arrays and the chunks to fetch of each."""
        return [
            (cells, chunks)
            for array, chunks in zip(self.family.arrays, self.chunks, strict=True)
            if len(chunks)
            for cells in (array.cells, *(_attribute(array, name) for name in self.names))
        ]

    def endpoint_chunks(self) -> IntArray:
        """Return the chunks ``(n, S)`` in which endpoints of the cells wanted lie, in no order, repeated."""
        parts = [
            _corners(self.level, self.other, self.family, array, chunks).reshape(-1, chunks.shape[1])
            for array, chunks in zip(self.family.arrays, self.chunks, strict=True)
        ]
        return np.concatenate([self.level.chunks[:0], *parts])

    def decode(self, fetched: Sequence[FetchedCells]) -> LinkTable:
        """Return the links of the cells fetched, and those kept in one blob, which is read here."""
        family, width = self.family, self.family.width
        supply = iter(fetched)
        parts = []
        for array, chunks in zip(family.arrays, self.chunks, strict=True):
            if len(chunks):
                cells = next(supply)
                named = {name: next(supply) for name in self.names}
                parts.append(_decode(self.level, self.other, family, array, cells, named))
        if family.blob is not None:
            parts.append(_blob_part(self.level, self.other, family, self.names, self.choice))
        chunks = np.concatenate([np.zeros((0, width), np.int64), *(part.chunks for part in parts)])
        rows = np.concatenate([np.zeros((0, width), np.int64), *(part.rows for part in parts)])
        known = {name: array for links in family.arrays for name, array in links.attributes.items()}
        columns = {}
        for name in self.names:
            if name in known:
                spec = known[name].spec
                values = [part.attributes.get(name, absent_values(spec, len(part.rows))) for part in parts]
                columns[name] = Column(np.concatenate([absent_values(spec, 0), *values]), spec)
        here, there = self.level.chunks, self.other.chunks
        return LinkTable(family.delta, chunks, rows, here, there, family.directed, family.store, columns)


def plan_links(
    level: LevelReader,
    other: LevelReader,
    delta: int,
    names: Sequence[str] | None = None,
    choice: CellChoice | None = None,
) -> LinkPlan:
    """Say which cells of a family of links are to be read; nothing is fetched.

    Parameters
    ----------
    level : LevelReader
        The level that holds them.
    other : LevelReader
        The level of the other endpoints; the same where delta is 0.
    delta : int
        Its number minus the level's.
    names : list of str, optional
        Link attributes wanted; all by default.
    choice : function, optional
        Which cells are wanted, by the chunks of their endpoints; all by default.

    Raises
    ------
    UnknownNameError
        When the level has no such links.
    """
    family = level.arrays.links.get(delta)
    if family is None:
        raise UnknownNameError(
            f"{level.name} stores no links with level difference {delta}; it stores {sorted(level.arrays.links)}"
        )
    known = {name for links in family.arrays for name in links.attributes}
    wanted = sorted(known) if names is None else list(names)
    listed = []
    for array in family.arrays:
        chunks = level.chunks if array.cells.chunks is None else array.cells.chunks
        if choice is not None and len(chunks):
            chunks = chunks[choice(_corners(level, other, family, array, chunks))]
        listed.append(chunks[key_string_order(chunks)])
    return LinkPlan(level, other, family, wanted, choice, listed)


def read_links(level: LevelReader, other: LevelReader, delta: int, names: list[str] | None = None) -> LinkTable:
    """Read the links of one family.

    Parameters
    ----------
    level, other, delta, names
        As in :func:`plan_links`.

    Returns
    -------
    LinkTable
        In reading order: offset segments in ASCII order, cells in key-string order, rows; every link once.

    Raises
    ------
    UnknownNameError
        When the level has no such links, or no such link attribute.
    ArrayError
        When a link names a chunk or row that does not exist.
    """
    plan = plan_links(level, other, delta, names)
    table = plan.decode(fetch_many(level.storage, plan.wanted))
    if delta or not holds_faces(level):
        return table
    _, row_offsets, faces = decode_vertices(fetch_cells(level.storage, [level.arrays.vertices], level.chunks)[0])
    return with_blob_faces(table, np.arange(len(level.chunks)), row_offsets, faces)


def _corners(
    level: LevelReader, other: LevelReader, family: LinkFamily, array: LinkArray, chunks: IntArray
) -> IntArray:
    """Return the chunks ``(n, L, S)`` of the endpoints of the cells of some source chunks."""
    base = _base(level, other, family, array, chunks)
    return np.stack([chunks, *(base + np.array(offset) for offset in array.offsets)], axis=1)


def _attribute(array: LinkArray, name: str) -> CellArray:
    if name not in array.attributes:
        raise UnknownNameError(f"{array.cells.path} has no link attribute {name!r}; it has {sorted(array.attributes)}")
    return array.attributes[name]


def key_string_order(chunks: IntArray) -> IntArray:
    """Return the order of chunks by their keys as text, in which ``0.10`` comes before ``0.2``."""
    keys = [".".join(map(str, chunk)) for chunk in chunks.tolist()]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)


def _decode(
    level: LevelReader,
    other: LevelReader,
    family: LinkFamily,
    array: LinkArray,
    cells: FetchedCells,
    named: dict[str, FetchedCells],
) -> _Part:
    payloads = [_payload(cells, row, array) for row in range(len(cells.chunks))]
    stride = 8 * (family.width + array.has_perm)
    counts = np.array([memoryview(payload).nbytes // stride for payload in payloads], np.int64)
    joined = b"".join(payloads)
    try:
        stored, codes = decode_link_rows(joined, family.width, has_perm=array.has_perm)
    except ArrayError as error:
        raise ArrayError(f"{array.cells.path}: {error}") from error
    source = np.repeat(_known(level, cells.chunks, array.cells.path), counts)
    endpoints = np.empty(stored.shape, np.int64)
    endpoints[:, 0] = source
    base = _base(level, other, family, array, cells.chunks)
    for e, offset in enumerate(array.offsets, start=1):
        endpoints[:, e] = np.repeat(_known(other, base + np.array(offset), array.cells.path, counts), counts)
    attributes = {name: decode_rows(fetched, counts)[0] for name, fetched in named.items()}
    rows = stored
    if codes is not None:
        sigma = permutations_from_codes(codes, family.width)
        rows, chunks = np.empty_like(stored), np.empty_like(endpoints)
        np.put_along_axis(rows, sigma, stored, axis=1)
        np.put_along_axis(chunks, sigma, endpoints, axis=1)
        endpoints_in_order = chunks
    else:
        endpoints_in_order = endpoints
    if family.store == "duplicate" and len(rows):
        lowest = endpoints[:, 0] == endpoints.min(axis=1)
        rows, endpoints_in_order = rows[lowest], endpoints_in_order[lowest]
        attributes = {name: values[lowest] for name, values in attributes.items()}
    return _Part(endpoints_in_order, rows, attributes)


def _payload(cells: FetchedCells, row: int, array: LinkArray) -> Bytes:
    payload = cells.payload(row)
    if not array.ragged or memoryview(payload).nbytes == 0:
        return payload
    try:
        return decode_ragged(payload)
    except ArrayError as error:
        key = ".".join(map(str, cells.chunks[row].tolist()))
        raise ArrayError(f"{array.cells.path}: chunk {key}: {error}") from error


def _base(level: LevelReader, other: LevelReader, family: LinkFamily, array: LinkArray, chunks: IntArray) -> IntArray:
    """Return the chunks of the target level that offsets count from."""
    if family.delta == 0 or not array.anchored:
        return chunks
    here, there = level.chunk_scale, other.chunk_scale
    anchored = chunks.copy()
    first = chunks.shape[1] - len(here)
    anchored[:, first:] = chunks[:, first:] * here // there
    return anchored


def _known(level: LevelReader, chunks: IntArray, path: str, counts: IntArray | None = None) -> IntArray:
    """Return the rows of chunks in a level's list; chunks without links may be absent."""
    rows = level.lookup.rows(chunks)
    missing = rows < 0 if counts is None else (rows < 0) & (counts > 0)
    if missing.any():
        raise ArrayError(f"{path}: a link names chunk {chunks[missing][0].tolist()}, which {level.name} does not have")
    return rows


def _blob_part(
    level: LevelReader, other: LevelReader, family: LinkFamily, names: list[str], choice: CellChoice | None
) -> _Part:
    blob = family.blob
    assert blob is not None
    tables = {name: blob.attributes[name] for name in names if name in blob.attributes}
    requests = [blob.requests(), *(table.requests(None) for table in tables.values())]
    blobs = level.storage.get_many([request for plan in requests for request in plan])
    coordinates, rows = blob.decode(blobs[: len(requests[0])])
    kept = slice(None) if choice is None or len(rows) == 0 else choice(coordinates)
    coordinates, rows = coordinates[kept], rows[kept]
    endpoints = np.empty(rows.shape, np.int64)
    for e in range(family.width):
        endpoints[:, e] = _known(level if e == 0 else other, coordinates[:, e], "cross_chunk_links")
    start, attributes = len(requests[0]), {}
    for (name, table), plan in zip(tables.items(), requests[1:], strict=True):
        attributes[name] = table.decode(blobs[start : start + len(plan)], None)[kept]
        start += len(plan)
    return _Part(endpoints, rows, attributes)


def row_numbers(table: LinkTable, here: IntArray, there: IntArray) -> IntArray:
    """Return the endpoints ``(M, L)`` as row numbers of whole levels.

    Parameters
    ----------
    table : LinkTable
        Links.
    here, there : (C + 1,) int64
        Where the rows of each chunk of the two levels start.

    Raises
    ------
    ArrayError
        When a link names a row that its chunk does not have.
    """
    numbers = np.empty(table.rows.shape, np.int64)
    for e in range(table.width):
        offsets = here if e == 0 else there
        limit = np.diff(offsets)[table.chunks[:, e]]
        bad = (table.rows[:, e] < 0) | (table.rows[:, e] >= limit)
        if bad.any():
            link = int(np.flatnonzero(bad)[0])
            raise ArrayError(
                f"link {link} names row {int(table.rows[link, e])} of a chunk with {int(limit[link])} vertices"
            )
        numbers[:, e] = offsets[:-1][table.chunks[:, e]] + table.rows[:, e]
    return numbers
