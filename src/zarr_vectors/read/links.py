"""Reading links: every cell of a family, resolved to chunks and rows of their endpoints."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from zarr_vectors.constants import LINKS_BRANCHES
from zarr_vectors.exceptions import ArrayError, MetadataError, UnknownNameError
from zarr_vectors.formats.absent import absent_values
from zarr_vectors.formats.joining import joined_with_absent
from zarr_vectors.formats.layout import CellArray, LinkArray, LinkFamily
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.links import LinkCellList, LinkTable
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.fetch import FetchedCells, fetch_cells, fetch_many
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.link_cells import FetchedArray, Records, Run, decode_runs, list_cells
from zarr_vectors.read.vertices import decode_vertices, holds_faces, with_blob_faces
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

CellChoice: TypeAlias = Callable[[IntArray, IntArray], BoolArray]
"""From the chunks ``(n, L, S)`` of the endpoints of cells (or of single records), and their rows ``(n, L)`` in the
levels' lists of chunks, to which of them are wanted."""


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
    cells : LinkCellList
        The cells wanted.
    """

    level: LevelReader
    other: LevelReader
    family: LinkFamily
    names: list[str]
    choice: CellChoice | None
    cells: LinkCellList

    @property
    def wanted(self) -> list[tuple[CellArray, IntArray]]:
        """Arrays and the chunks to fetch of each."""
        return [
            (cells, self.cells.corners[mine, 0])
            for number, mine in self.cells.parts()
            for array in [self.family.arrays[number]]
            for cells in (array.cells, *(_attribute(array, name) for name in self.names))
        ]

    def decode(self, fetched: Sequence[FetchedCells]) -> LinkTable:
        """Return the links of the cells fetched, and those kept in one blob, which is read here."""
        family, width = self.family, self.family.width
        parts = [run.records() for run in self._runs(fetched)]
        if family.blob is not None:
            parts.append(_blob_part(self.level, self.other, family, self.names, self.choice))
        if not parts:
            parts.append(Records(np.zeros((0, width), np.int64), np.zeros((0, width), np.int64), {}))
        chunks = parts[0].chunks if len(parts) == 1 else np.concatenate([part.chunks for part in parts])
        rows = parts[0].rows if len(parts) == 1 else np.concatenate([part.rows for part in parts])
        columns = self._columns([part.attributes for part in parts], [len(part.rows) for part in parts])
        here, there = self.level.chunks, self.other.chunks
        return LinkTable(family.delta, chunks, rows, here, there, family.directed, family.store, columns)

    def number(
        self, fetched: Sequence[FetchedCells], starts: IntArray, stops: IntArray
    ) -> tuple[IntArray, dict[str, Column]] | None:
        """Return the links of the cells fetched, with endpoints counted over all chunks, and their attributes.

        Parameters
        ----------
        fetched : sequence of FetchedCells
            The cells of :attr:`wanted`.
        starts, stops : (C,) int64
            First row and the end of the last of every chunk of the level.

        Returns
        -------
        (m, L) int64 and dict of str to Column, or None
            In reading order. None where links lead to another level, are kept in one blob, or name what is not there:
            :meth:`decode` makes a table of them, or says what is wrong.
        """
        if self.family.delta or self.family.blob is not None:
            return None
        try:
            runs = self._runs(fetched)
            ends = offsets_of(np.array([int(run.counts.sum()) for run in runs], np.int64)).tolist()
            rows = np.empty((ends[-1], self.family.width), np.int64)
            for run, first, last in zip(runs, ends[:-1], ends[1:], strict=True):
                if not run.number(rows[first:last], starts, stops):
                    return None
        except ArrayError:
            return None
        return rows, self._columns([run.attributes for run in runs], np.diff(ends).tolist())

    def _runs(self, fetched: Sequence[FetchedCells]) -> list[Run]:
        supply = iter(fetched)
        arrays = []
        for number, mine in self.cells.parts():
            cells, named = next(supply), {name: next(supply) for name in self.names}
            arrays.append(FetchedArray(self.family.arrays[number], cells, self.cells.select(mine), named))
        return decode_runs(self.level, self.other, self.family, arrays)

    def _columns(self, parts: Sequence[Mapping[str, AnyArray]], counts: Sequence[int]) -> dict[str, Column]:
        """Return the attributes of links that come in parts of so many; those without an attribute have none."""
        known = dict(self.family.without_rows)
        known |= {name: array.spec for links in self.family.arrays for name, array in links.attributes.items()}
        columns = {}
        for name in self.names:
            if name in known:
                spec, given = known[name], list(zip(parts, counts, strict=True))
                there = [part[name] for part, _ in given if name in part]
                column = Column(np.concatenate([absent_values(spec, 0), *there]), spec)
                lacking = sum(count for part, count in given if name not in part)
                if lacking:
                    has = np.repeat([name in part for part, _ in given], counts)
                    column = joined_with_absent(column, lacking).take(np.where(has, np.cumsum(has) - 1, len(column)))
                columns[name] = column
        return columns


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
        When the level has no such links, or no such link attribute.
    """
    family = level.arrays.links.get(delta)
    if family is None:
        raise UnknownNameError(
            f"{level.name} stores no links with level difference {delta}; it stores {sorted(level.arrays.links)}"
        )
    known = {*family.without_rows, *(name for links in family.arrays for name in links.attributes)}
    wanted = sorted(known) if names is None else list(names)
    for array in family.arrays:
        lacking = [name for name in wanted if name in known and name not in array.attributes]
        if lacking:
            raise ArrayError(f"{array.cells.path}: its link attribute {lacking[0]!r} is missing, which others have")
    require_attributes(level, known | set(() if family.blob is None else family.blob.attributes), wanted)
    cells = list_cells(level, other, family)
    if choice is not None and len(cells.arrays):
        cells = cells.select(np.flatnonzero(choice(cells.corners, cells.rows)))
    return LinkPlan(level, other, family, wanted, choice, cells)


def cells_of(
    family: LinkFamily, level: LevelReader, names: Sequence[str] | None
) -> Iterator[tuple[CellArray, IntArray]]:
    """Yield the arrays of a family of links and of their attributes (all by default), with the chunks of each."""
    for array in family.arrays:
        for cells in (array.cells, *(c for name, c in array.attributes.items() if names is None or name in names)):
            yield cells, level.chunks if array.cells.chunks is None else array.cells.chunks


def require_attributes(level: LevelReader, known: Collection[str], names: Sequence[str]) -> None:
    """Refuse names of link attributes that are not there.

    Raises
    ------
    UnknownNameError
        Naming the first of them and those that are there.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UnknownNameError(f"{level.name} has no link attribute {unknown[0]!r}; it has {sorted(known)}")


def require_parent_links(level: LevelReader) -> None:
    """Refuse trees whose links are not those between a child and its parent.

    Raises
    ------
    MetadataError
        Where rows imply links, and those that are stored have other than two endpoints.
    """
    family = level.arrays.links.get(0)
    if level.root.links_convention == LINKS_BRANCHES and family is not None and family.width != 2:
        raise MetadataError(
            f"{level.name}: links/0 has link_width {family.width}, and convention {LINKS_BRANCHES!r} needs 2 "
            "(child and parent); validate() says which of the two is wrong"
        )


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


def _attribute(array: LinkArray, name: str) -> CellArray:
    if name not in array.attributes:
        raise UnknownNameError(f"{array.cells.path} has no link attribute {name!r}; it has {sorted(array.attributes)}")
    return array.attributes[name]


def _known(level: LevelReader, chunks: IntArray, path: str) -> IntArray:
    """Return the rows of chunks in a level's list."""
    rows = level.lookup.rows(chunks)
    if (rows < 0).any():
        raise ArrayError(f"{path}: a link names chunk {chunks[rows < 0][0].tolist()}, which {level.name} does not have")
    return rows


def _blob_part(
    level: LevelReader, other: LevelReader, family: LinkFamily, names: list[str], choice: CellChoice | None
) -> Records:
    blob = family.blob
    assert blob is not None
    tables = {name: blob.attributes[name] for name in names if name in blob.attributes}
    requests = [blob.requests(), *(table.requests(None) for table in tables.values())]
    blobs = level.storage.get_many([request for plan in requests for request in plan])
    coordinates, rows = blob.decode(blobs[: len(requests[0])])
    endpoints = np.empty(rows.shape, np.int64)
    for e in range(family.width):
        endpoints[:, e] = _known(level if e == 0 else other, coordinates[:, e], "cross_chunk_links")
    kept = slice(None) if choice is None or len(rows) == 0 else choice(coordinates, endpoints)
    endpoints, rows = endpoints[kept], rows[kept]
    start, attributes = len(requests[0]), {}
    for (name, table), plan in zip(tables.items(), requests[1:], strict=True):
        attributes[name] = table.decode(blobs[start : start + len(plan)], None)[kept]
        start += len(plan)
    return Records(endpoints, rows, attributes)


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
