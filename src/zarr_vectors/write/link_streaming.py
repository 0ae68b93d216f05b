"""Links that come in batches, brought together as a level files them, in local files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells, Fragments
from zarr_vectors.model.links import FiledLinks, LinkCells, LinkTable
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.spatial.linking import inside_chunks
from zarr_vectors.typing import AnyArray, IntArray
from zarr_vectors.write.spilling import Spill
from zarr_vectors.write.streaming import RowStream

_ROWS, _CODES = "\0rows", "\0codes"


@dataclass(slots=True)
class LinkStream:
    """The links of one family on their way into cells.

    Parameters
    ----------
    folder : Path
        Where they wait.
    revision : Revision
        Says how links are filed.
    root : RootMetadata
        Metadata of the store, with every level.
    level : int
        The level that holds them.
    cells : Cells
        The vertices of that level.
    rows_at_once : int
        Most links to hold in memory, as far as one combination of chunks has no more.
    by_fragment : bool
        Whether links inside chunks are sorted by the fragment of their first endpoint, and counted for each.
    """

    folder: Path
    revision: Revision
    root: RootMetadata
    level: int
    cells: Cells
    rows_at_once: int
    by_fragment: bool = False
    _like: LinkTable | None = None
    _count: int = 0
    _has_codes: bool = False
    _filed: RowStream | None = None
    _others: Spill | None = None
    _inside: IntArray = field(init=False)
    _fragment_starts: IntArray = field(init=False)

    def __post_init__(self) -> None:
        """Prepare to find fragments."""
        fragments = self.cells.fragments
        self._inside = np.zeros(fragments.count, np.int64)
        base = np.repeat(self.cells.row_offsets[:-1], np.diff(fragments.offsets))
        self._fragment_starts = fragments.starts + base

    @property
    def count(self) -> int:
        """Number of links so far."""
        return self._count

    @property
    def specs(self) -> Mapping[str, AttributeSpec]:
        """Attributes of the links."""
        return {} if self._like is None else {n: c.spec for n, c in self._like.attributes.items()}

    def add(self, table: LinkTable) -> None:
        """Take links between rows of the level (and of another); all with the same attributes."""
        if self._like is None:
            self._like = table
        self._count += table.count
        tags = np.zeros(table.count, np.int64)
        if self.by_fragment:
            inside = inside_chunks(table)
            rows = self.cells.row_offsets[:-1][table.chunks[:, 0]] + table.rows[:, 0]
            tags = np.searchsorted(self._fragment_starts, rows, side="right") - 1
            self._inside += np.bincount(tags[inside], minlength=len(self._inside))
            tags[~inside] = 0
        for cells in self.revision.file_links(table, self.root, self.level):
            values = {n: column.values[cells.records] for n, column in table.attributes.items()}
            if cells.rows.shape[1] != table.width:
                self._add_other(cells, values)
            else:
                self._add_filed(cells, values, tags[cells.records])

    def _add_other(self, cells: LinkCells, values: dict[str, AnyArray]) -> None:
        self._others = self._others or Spill(self.folder / "others")
        self._others.append({_ROWS: np.asarray(cells.rows, np.int64), **values})

    def _add_filed(self, cells: LinkCells, values: dict[str, AnyArray], tags: IntArray) -> None:
        offsets = np.array(cells.offsets, np.int64).reshape(-1)
        counts = np.diff(cells.row_offsets)
        keys = np.concatenate([np.broadcast_to(offsets, (len(cells.chunks), len(offsets))), cells.chunks], axis=1)
        if self._filed is None:
            self._filed = RowStream(self.folder / "filed", self.rows_at_once, keys.shape[1], {})
        codes = np.zeros(len(tags), np.int64) if cells.codes is None else np.asarray(cells.codes, np.int64)
        self._has_codes |= cells.codes is not None
        columns = {_ROWS: np.asarray(cells.rows, np.int64), _CODES: codes, **values}
        self._filed.add(np.repeat(keys, counts, axis=0), tags, columns, ordered=False)

    def filed(self) -> tuple[FiledLinks | None, Fragments | None]:
        """Return the links as they are filed, and which of those inside chunks start in each fragment."""
        like = self._like
        if like is None:
            return None, None
        groups: list[LinkCells] = []
        columns: dict[str, list[AnyArray]] = {name: [] for name in like.attributes}
        total = 0
        if self._filed is not None:
            total = self._append_filed(self._filed, like, groups, columns)
        if self._others is not None:
            self._append_others(self._others, groups, columns, total)
        attributes = {
            n: Column(_joined(parts or [like.attributes[n].values[:0]]), self.specs[n]) for n, parts in columns.items()
        }
        family = FiledLinks(
            like.delta, like.width, self._count, like.here, like.directed, like.store, tuple(groups), attributes
        )
        return family, self._link_fragments() if self.by_fragment else None

    def _append_filed(
        self, stream: RowStream, like: LinkTable, groups: list[LinkCells], columns: dict[str, list[AnyArray]]
    ) -> int:
        keys, row_offsets, rows = stream.arranged()
        ndim = like.here.shape[1]
        split = keys.shape[1] - ndim
        first = np.ones(len(keys), bool)
        first[1:] = (keys[1:, :split] != keys[:-1, :split]).any(axis=1)
        heads = np.append(np.flatnonzero(first), len(keys)).tolist()
        for start, stop in itertools.pairwise(heads):
            low, high = int(row_offsets[start]), int(row_offsets[stop])
            vector = keys[start, :split].tolist()
            offsets = tuple(tuple(vector[e : e + ndim]) for e in range(0, split, ndim))
            coded = self._has_codes and any(vector)
            groups.append(
                LinkCells(
                    offsets,
                    keys[start:stop, split:],
                    row_offsets[start : stop + 1] - low,
                    rows[_ROWS][low:high],
                    rows[_CODES][low:high] if coded else None,
                    slice(low, high),
                )
            )
        for name, parts in columns.items():
            parts.append(rows[name])
        return int(row_offsets[-1])

    def _append_others(
        self, others: Spill, groups: list[LinkCells], columns: dict[str, list[AnyArray]], total: int
    ) -> None:
        kept = others.columns()
        none = np.zeros((1, self.cells.chunks.shape[1]), np.int64)
        if not groups:
            width = self._like.width if self._like is not None else 2
            no_rows = np.zeros((0, width), np.int64)
            groups.append(LinkCells((), none[:0], np.zeros(1, np.int64), no_rows, None, slice(0, 0)))
        records = slice(total, total + others.count)
        groups.append(LinkCells((), none, np.array([0, others.count], np.int64), kept[_ROWS], None, records))
        for name, parts in columns.items():
            parts.append(kept[name])

    def _link_fragments(self) -> Fragments:
        fragments = self.cells.fragments
        running = np.cumsum(self._inside) - self._inside
        base = running[np.minimum(fragments.offsets[:-1], max(0, len(running) - 1))] if len(running) else running
        starts = running - np.repeat(base, np.diff(fragments.offsets))
        return Fragments(fragments.offsets, starts, self._inside)


def _joined(parts: list[AnyArray]) -> AnyArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
