"""Sums over the contents of a level that do not depend on its chunks, to compare it before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zarr_vectors.constants import LINKS_BRANCHES
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.read.link_batches import read_link_batches
from zarr_vectors.read.links import row_numbers
from zarr_vectors.rechunking.links import is_path
from zarr_vectors.rechunking.source import Keeping, Source, SourceRows
from zarr_vectors.typing import AnyArray, BoolArray, IntArray
from zarr_vectors.write.spilling import mapped
from zarr_vectors.write.streaming import rows_within

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)
_LINK_BYTES = 256


@dataclass(frozen=True, slots=True)
class Contents:
    """What a level holds, in sums.

    Parameters
    ----------
    vertices : int
        Number of vertices, those that are repeated at crossings counted once.
    rows : int
        Sum of the hashes of all vertices with their attributes.
    objects : int
        The same with the object of every vertex and, along paths, its place there.
    links : mapping of int to (int, int)
        Number and sum of hashes of the links, by level difference.
    """

    vertices: int
    rows: int
    objects: int
    links: Mapping[int, tuple[int, int]]

    def differences(self, other: Contents) -> list[str]:
        """Return the names of what differs."""
        pairs = (
            (f"number of vertices ({self.vertices} and {other.vertices})", self.vertices, other.vertices),
            ("vertices or their attributes", self.rows, other.rows),
            ("vertices of objects", self.objects, other.objects),
            *(
                (f"links {delta:+d}", self.links.get(delta, (0, 0)), other.links.get(delta, (0, 0)))
                for delta in sorted({*self.links, *other.links})
            ),
        )
        return [name for name, mine, theirs in pairs if mine != theirs]


def row_hashes(columns: Sequence[AnyArray]) -> AnyArray:
    """Return a hash of 64 bits of every row of some columns, by its bytes."""
    count = len(columns[0])
    mixed = np.full(count, _MIX, np.uint64)
    if count == 0:
        return mixed
    for column in columns:
        rows = np.ascontiguousarray(column, column.dtype.newbyteorder("<")).reshape(count, -1)
        data = rows.view(np.uint8).reshape(count, -1) if rows.size else np.zeros((count, 0), np.uint8)
        padded = np.zeros((count, -(-data.shape[1] // 8) * 8), np.uint8)
        padded[:, : data.shape[1]] = data
        for word in padded.view(np.uint64).T:
            mixed = (mixed ^ word) * _MIX
            mixed ^= mixed >> _SHIFT
    return mixed


def measure(
    sources: Mapping[int, Source], folder: Path, memory_budget: int, names: Mapping[int, Sequence[str]] | None = None
) -> dict[int, Contents]:
    """Sum up the levels of a store.

    Parameters
    ----------
    sources : mapping of int to Source
        The levels.
    folder : Path
        Where a hash of every vertex waits.
    memory_budget : int
        Bytes of rows to hold at once.
    names : mapping of int to sequence of str, optional
        Attributes that count, by level; all by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hashes, sums = {}, {}
    for number, source in sources.items():
        hashes[number] = mapped(folder / f"hashes{number}", np.dtype(np.uint64), (source.count,), mode="w+")
        wanted = None if names is None else names[number]
        sums[number] = _measure_rows(source, hashes[number], rows_within(memory_budget, source.row_bytes()), wanted)
    contents = {}
    for number, source in sources.items():
        links = _measure_links(source, sources, hashes, rows_within(memory_budget, _LINK_BYTES))
        contents[number] = Contents(*sums[number], links)
    return contents


def _measure_rows(
    source: Source, hashes: AnyArray, rows_at_once: int, names: Sequence[str] | None
) -> tuple[int, int, int]:
    count, of_rows, of_objects = 0, 0, 0
    along = _PlacesAlong.of(source)
    for chunk_rows in source.batches(rows_at_once):
        batch = source.read(chunk_rows)
        wanted = sorted(batch.attributes if names is None else names)
        found = row_hashes([batch.positions, *(batch.attributes[name].values for name in wanted)])
        hashes[batch.rows] = found
        once = _once(source, batch)
        count += int(once.sum())
        of_rows += _sum(found[once])
        of_objects += along.sum_of(batch, found)
    return count, of_rows % (1 << 64), of_objects % (1 << 64)


def _once(source: Source, batch: SourceRows) -> BoolArray:
    """Return which rows are no repetition of a vertex of another chunk."""
    first = np.ones(len(batch.fragments), bool)
    first[1:] = batch.fragments[1:] != batch.fragments[:-1]
    return np.asarray(~(first & source.repeating[batch.fragments]))


def _sum(values: AnyArray) -> int:
    return int(values.sum(dtype=np.uint64)) if len(values) else 0


@dataclass(frozen=True, slots=True)
class _PlacesAlong:
    """Where the fragments of objects stand along them.

    ``by_fragment`` lists references fragment after fragment, from ``starts``; ``first`` is the number of vertices of
    the object before each reference, ``owner`` its object.
    """

    source: Source
    by_fragment: IntArray
    starts: IntArray
    first: IntArray
    owner: IntArray

    @classmethod
    def of(cls, source: Source) -> _PlacesAlong:
        none = np.zeros(0, np.int64)
        if source.named is None or source.ids is None:
            return cls(source, none, np.zeros(source.fragments.count + 1, np.int64), none, none)
        named = source.named
        lengths = source.fragments.counts[named.fragments] - source.repeating[named.fragments]
        running = offsets_of(lengths)
        sizes = np.diff(named.offsets)
        first = running[:-1] - np.repeat(running[named.offsets[:-1]], sizes)
        by_fragment = np.argsort(named.fragments, kind="stable")
        starts = offsets_of(np.bincount(named.fragments, minlength=source.fragments.count))
        return cls(source, by_fragment, starts, first, np.repeat(source.ids, sizes))

    def sum_of(self, batch: SourceRows, hashes: AnyArray) -> int:
        """Return the sum over all vertices of objects, each with its object and, along paths, its place."""
        if not len(self.first) or not len(hashes):
            return 0
        heads = np.flatnonzero(np.append(True, batch.fragments[1:] != batch.fragments[:-1]))
        lengths = np.diff(np.append(heads, len(hashes)))
        fragments = batch.fragments[heads]
        uses = np.diff(self.starts)[fragments]
        references = self.by_fragment[expand_ranges(self.starts[fragments], uses)]
        repeats = self.source.repeating[np.repeat(fragments, uses)].astype(np.int64)
        starts, counts = np.repeat(heads, uses) + repeats, np.repeat(lengths, uses) - repeats
        rows = expand_ranges(starts, counts)
        columns = [hashes[rows], np.repeat(self.owner[references], counts)]
        if self.source.keeping is Keeping.RUNS or is_path(self.source):
            columns.append(expand_ranges(self.first[references], counts))
        return _sum(row_hashes(columns))


def _measure_links(
    source: Source, sources: Mapping[int, Source], hashes: Mapping[int, AnyArray], links_at_once: int
) -> dict[int, tuple[int, int]]:
    sums: dict[int, tuple[int, int]] = {}
    number = source.level.metadata.level
    branches = source.level.root.links_convention == LINKS_BRANCHES
    for delta in sorted({*source.level.arrays.links, *([0] if branches else [])}):
        if number + delta not in sources or (delta == 0 and is_path(source)):
            continue
        other = sources[number + delta]
        count, total = 0, 0
        own = np.zeros(0, bool)
        if delta == 0 and branches:
            own = np.zeros(source.count, bool)
        for rows, table in _link_rows(source, other, delta, links_at_once):
            sides = [hashes[number if end == 0 else number + delta][rows[:, end]] for end in range(rows.shape[1])]
            columns = [table.attributes[name].values for name in sorted(table.attributes)]
            if len(own):
                own[rows[:, 0]] = True
                columns = []
            count += len(rows)
            total += _sum(row_hashes([*sides, *columns]))
        if len(own):
            more = _implied(source, own, hashes[number])
            count, total = count + more[0], total + more[1]
        sums[delta] = count, total % (1 << 64)
    return sums


def _link_rows(source: Source, other: Source, delta: int, links_at_once: int) -> Iterator[tuple[IntArray, LinkTable]]:
    if delta not in source.level.arrays.links:
        return
    for table in read_link_batches(source.level, other.level, delta, links_at_once):
        yield row_numbers(table, source.row_offsets, other.row_offsets), table


def _implied(source: Source, own: BoolArray, hashes: AnyArray) -> tuple[int, int]:
    """Return number and sum of the links that the order of rows implies, fragment block by fragment block."""
    count, total = 0, 0
    table = source.fragments
    for chunk in range(len(source.row_offsets) - 1):
        mine = slice(int(table.offsets[chunk]), int(table.offsets[chunk + 1]))
        counts = table.counts[mine]
        rows = expand_ranges(table.starts[mine], counts)
        if table.explicit is not None:
            listed = np.repeat(table.explicit[mine], counts)
            rows[listed] = table.rows[rows[listed]]
        rows += source.row_offsets[chunk]
        follows = np.ones(len(rows), bool)
        follows[offsets_of(counts)[:-1][counts > 0]] = False
        later = np.flatnonzero(follows)
        later = later[~own[rows[later]]]
        count += len(later)
        if len(later):
            total += _sum(row_hashes([hashes[rows[later]], hashes[rows[later - 1]]]))
    return count, total
