"""The links of a level between rows where they are now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zarr_vectors.constants import LINKS_BRANCHES, PATH_TYPES
from zarr_vectors.exceptions import ArrayError, UnsupportedFeatureError
from zarr_vectors.formats.absent import absent_values
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.links import LinkTable
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.read.link_batches import read_link_batches
from zarr_vectors.read.links import plan_links, row_numbers
from zarr_vectors.rechunking.level import Moved
from zarr_vectors.rechunking.source import Keeping, Source
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.write.link_streaming import LinkStream
from zarr_vectors.write.streaming import rows_within

_LINK_BYTES = 256


@dataclass(frozen=True, slots=True)
class LinkMover:
    """Moves the links of the levels of one store.

    Parameters
    ----------
    levels : mapping of int to Moved
        Every level.
    root : RootMetadata
        The store's metadata as it will be.
    revision : Revision
        Its revision.
    folder : Path
        Where links wait.
    memory_budget : int
        Bytes of links to hold at once.
    """

    levels: Mapping[int, Moved]
    root: RootMetadata
    revision: Revision
    folder: Path
    memory_budget: int

    def cells(self, number: int) -> Cells:
        """Return the cells of a level with its links."""
        moved = self.levels[number]
        cells = moved.cells
        families = []
        for delta in sorted({*moved.source.level.arrays.links, *([0] if self._makes_links(moved) else [])}):
            if number + delta not in self.levels:
                raise ArrayError(
                    f"{moved.source.level.name}: links lead to level {number + delta}, which is not there; "
                    "repair the store, or remove the level that has them"
                )
            if delta == 0 and is_path(moved.source):
                _refuse_attributes(moved)
                continue
            by_fragment = delta == 0 and moved.source.keeping is not Keeping.BINS
            stream = self._stream(number, delta, cells, by_fragment)
            self._send(moved, self.levels[number + delta], delta, stream)
            family, link_fragments = stream.filed()
            if family is not None:
                families.append(family)
            if by_fragment and link_fragments is not None:
                cells = replace(cells, link_fragments=link_fragments)
        crossings = () if moved.crossings is None else (moved.crossings,)
        return replace(cells, links=crossings, filed=tuple(families))

    def _stream(self, number: int, delta: int, cells: Cells, by_fragment: bool) -> LinkStream:
        return LinkStream(
            self.folder / f"links{number}{delta:+d}",
            self.revision,
            self.root,
            number,
            cells,
            rows_within(self.memory_budget, _LINK_BYTES),
            by_fragment,
        )

    @staticmethod
    def _makes_links(moved: Moved) -> bool:
        return moved.source.level.root.links_convention == LINKS_BRANCHES and len(moved.breaks) > 0

    def _send(self, moved: Moved, other: Moved, delta: int, stream: LinkStream) -> None:
        own = np.zeros(len(moved.breaks), bool)
        order = np.argsort(moved.breaks[:, 0], kind="stable")
        empty: LinkTable | None = None
        if delta in moved.source.level.arrays.links:
            for table in self._moved_links(moved, other, delta):
                if delta == 0:
                    _mark(own, moved, order, table)
                stream.add(table)
            empty = _no_links(moved, other, delta)
        if delta or not self._makes_links(moved):
            if empty is not None and stream.count == 0:
                stream.add(empty)
            return
        stream.add(_parted(moved, ~own, empty))

    def _moved_links(self, moved: Moved, other: Moved, delta: int) -> Iterator[LinkTable]:
        source, target = moved.source, other.source
        links_at_once = rows_within(self.memory_budget, _LINK_BYTES)
        for table in read_link_batches(source.level, target.level, delta, links_at_once):
            numbers = row_numbers(table, source.row_offsets, target.row_offsets)
            rows = np.empty_like(numbers)
            for endpoint in range(table.width):
                side = moved if endpoint == 0 else other
                rows[:, endpoint] = side.places[numbers[:, endpoint]]
            yield _between(moved, other, table, rows)


def is_path(source: Source) -> bool:
    """Return whether links follow from the order of rows, so that they are made anew at the new crossings."""
    return bool(PATH_TYPES & set(source.level.root.geometry_types)) and source.ids is not None


def _refuse_attributes(moved: Moved) -> None:
    level = moved.source.level
    names = {name for array in level.arrays.links[0].arrays for name in array.attributes}
    if names:
        raise UnsupportedFeatureError(
            f"{level.name}: link attributes {sorted(names)} belong to crossings between chunks, which will be others"
        )


def _between(moved: Moved, other: Moved, table: LinkTable, rows: IntArray) -> LinkTable:
    """Return links between rows of whole levels as links between rows of chunks."""
    chunks, local = np.empty_like(rows), np.empty_like(rows)
    for endpoint in range(rows.shape[1]):
        offsets = (moved if endpoint == 0 else other).cells.row_offsets
        chunks[:, endpoint] = np.searchsorted(offsets, rows[:, endpoint], side="right") - 1
        local[:, endpoint] = rows[:, endpoint] - offsets[:-1][chunks[:, endpoint]]
    return replace(table, chunks=chunks, rows=local, here=moved.cells.chunks, there=other.cells.chunks)


def _mark(own: BoolArray, moved: Moved, order: IntArray, table: LinkTable) -> None:
    """Note which of the rows that were parted from their parent have a stored link to it."""
    later = moved.breaks[order, 0]
    if not len(later) or not table.count:
        return
    rows = moved.cells.row_offsets[:-1][table.chunks[:, 0]] + table.rows[:, 0]
    places = np.minimum(np.searchsorted(later, rows), len(later) - 1)
    own[order[places[later[places] == rows]]] = True


def _parted(moved: Moved, kept: BoolArray, like: LinkTable | None) -> LinkTable:
    """Return a link from every row that was parted from the one before it, its parent, to that one."""
    none = np.zeros((0, 2), np.int64)
    rows = moved.breaks[kept]
    base = like or LinkTable(0, none, none, moved.cells.chunks, moved.cells.chunks, directed=True)
    columns = {n: Column(absent_values(c.spec, len(rows)), c.spec) for n, c in base.attributes.items()}
    return replace(_between(moved, moved, base, rows), attributes=columns)


def _no_links(moved: Moved, other: Moved, delta: int) -> LinkTable:
    """Return a table without links, like those of a family."""
    plan = plan_links(moved.source.level, other.source.level, delta)
    none = replace(plan, family=replace(plan.family, blob=None), cells=plan.cells.select(slice(0, 0)))
    return replace(none.decode([]), here=moved.cells.chunks, there=other.cells.chunks)
