"""Links as records of endpoints, each a chunk and a row in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.model.attributes import Column
from zarr_vectors.typing import IntArray


@dataclass(frozen=True, slots=True)
class LinkTable:
    """The links of one family: those of a level whose endpoints lie ``delta`` levels apart.

    Parameters
    ----------
    delta : int
        Level of endpoints 1, 2, … minus the level of endpoint 0.
    chunks : (M, L) int64
        Chunk of every endpoint, as a row of ``here`` (endpoint 0, and all of them where delta is 0) or
        ``there``.
    rows : (M, L) int64
        Row of every endpoint in its chunk.
    here : (C, S) int64
        Chunks of this level, in numeric order.
    there : (T, S) int64
        Chunks of the other level, in numeric order; the same as ``here`` where delta is 0.
    directed : bool
        Whether the order of the endpoints carries meaning.
    store : {"canonical", "duplicate"}
        Whether a link is filed once, or once under every chunk that it touches.
    attributes : mapping of str to Column
        One row per link.
    """

    delta: int
    chunks: IntArray
    rows: IntArray
    here: IntArray
    there: IntArray
    directed: bool = False
    store: str = "canonical"
    attributes: Mapping[str, Column] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of links."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Number of endpoints of a link."""
        return int(self.rows.shape[1])


@dataclass(frozen=True, slots=True)
class LinkCells:
    """Links of one family that are filed under one combination of chunk offsets (revision 0.9).

    Parameters
    ----------
    offsets : tuple of tuple of int
        Chunk of endpoints 1, 2, … minus that of the source, in the grid of the target level.
    chunks : (C, S) int64
        Source chunks, in numeric order.
    row_offsets : (C + 1,) int64
        Where the records of each chunk start.
    rows : (m, L) int64
        Rows of the endpoints in stored order, source first.
    codes : (m,) int64, optional
        Permutation codes, where the order of the endpoints was changed and matters.
    records : (m,) int64 or slice
        Which link of the table each record is (for attributes).
    """

    offsets: tuple[tuple[int, ...], ...]
    chunks: IntArray
    row_offsets: IntArray
    rows: IntArray
    codes: IntArray | None
    records: IntArray | slice


@dataclass(frozen=True, slots=True, eq=False)
class FiledLinks:
    """The links of one family as a revision of the format files them.

    Parameters
    ----------
    delta, width, directed, store
        As of a :class:`LinkTable`.
    count : int
        Number of links, each counted once.
    here : (C, S) int64
        Chunks of the level, in numeric order.
    cells : tuple of LinkCells
        Records by combination of chunk offsets; ``records`` say which rows of the attributes are theirs.
    attributes : mapping of str to Column
        One row per record.
    """

    delta: int
    width: int
    count: int
    here: IntArray
    directed: bool
    store: str
    cells: tuple[LinkCells, ...]
    attributes: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class LinkCellList:
    """Cells of a family of links, array after array, those of each array in key-string order.

    Parameters
    ----------
    arrays : (n,) int64
        Which array of the family each cell is of, ascending.
    corners : (n, L, S) int64
        Chunks of the endpoints; the first is the source, which the cell is filed under.
    rows : (n, L) int64
        The same as rows of the two levels' lists of chunks, -1 for those that are not listed.
    """

    arrays: IntArray
    corners: IntArray
    rows: IntArray

    def select(self, kept: IntArray | slice) -> LinkCellList:
        """Return some of the cells."""
        return LinkCellList(self.arrays[kept], self.corners[kept], self.rows[kept])

    def parts(self) -> list[tuple[int, slice]]:
        """Return the arrays that have cells here, and where those of each are."""
        starts = np.flatnonzero(np.diff(self.arrays, prepend=-1)).tolist()
        numbers = self.arrays[starts].tolist()
        return [(n, slice(a, b)) for n, a, b in zip(numbers, starts, [*starts, len(self.arrays)][1:], strict=True)]
