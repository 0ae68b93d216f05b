"""The floor: what NumPy and a compressor need at least for the work, without any format.

Bin keys → radix argsort of uint16 → gather → slice per chunk → zstd level 1 on two threads → one file, and
its inverse. The table of what is where stays in memory, as it would in an open store.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs.zstd import Zstd

from benchmarks.measuring import Work
from benchmarks.points.cloud import BINS_PER_AXIS, BOXES, EXTENT, chunk_edge, load_cloud

THREADS = 2


@dataclass(frozen=True)
class Table:
    """Where every cell of a file is.

    Attributes
    ----------
    chunks : int
        Chunks along an axis.
    bin_counts : (chunks, bins) int64
        Points of every bin.
    columns : list of (dtype, row shape)
        Positions, then attributes.
    ranges : (columns, chunks + 1) int64
        Where the cells of every column start in the file.
    compressed : bool
        Whether cells are compressed.
    """

    chunks: int
    bin_counts: np.ndarray
    columns: list[tuple[np.dtype, tuple[int, ...]]]
    ranges: np.ndarray
    compressed: bool


def _bin_order(positions: np.ndarray, edge: float) -> tuple[np.ndarray, np.ndarray, int]:
    chunks = round(EXTENT / edge)
    bins_per_chunk = BINS_PER_AXIS**3

    def axis_bins(d: int) -> np.ndarray:
        return np.floor(np.divide(positions[:, d], edge / BINS_PER_AXIS, dtype=np.float64)).astype(np.uint16)

    key = np.zeros(len(positions), np.uint16)
    with ThreadPoolExecutor(THREADS) as pool:
        for d, bins in enumerate(pool.map(axis_bins, range(3))):
            numbers = np.arange(chunks * BINS_PER_AXIS)
            steps = (numbers // BINS_PER_AXIS) * chunks ** (2 - d) * bins_per_chunk
            steps += (numbers % BINS_PER_AXIS) * BINS_PER_AXIS ** (2 - d)
            key += steps.astype(np.uint16)[bins]
    counts = np.bincount(key, minlength=chunks**3 * bins_per_chunk).reshape(-1, bins_per_chunk)
    return np.argsort(key, kind="stable"), counts, chunks


def write(
    path: Path, positions: np.ndarray, attributes: dict[str, np.ndarray], edge: float, *, compress: bool
) -> Table:
    """Write a cloud to one file."""
    order, counts, chunks = _bin_order(positions, edge)
    ends = np.cumsum(counts.sum(axis=1)).tolist()
    starts = [0, *ends[:-1]]
    columns, ranges, place = [], [], 0
    with ThreadPoolExecutor(THREADS) as pool, path.open("wb") as file:
        arrays = [positions, *attributes.values()]
        gathered = pool.map(lambda array: np.take(array, order, axis=0, mode="clip"), arrays)
        for column in gathered:
            cells: Any = [column[a:b] for a, b in zip(starts, ends, strict=True)]
            if compress:
                cells = list(pool.map(Zstd(1).encode, cells, chunksize=16))
            file.writelines(cells)
            sizes = [memoryview(cell).nbytes for cell in cells]
            ranges.append(place + np.concatenate([[0], np.cumsum(sizes)]))
            place = int(ranges[-1][-1])
            columns.append((column.dtype, column.shape[1:]))
    return Table(chunks, counts, columns, np.array(ranges), compress)


def read(path: Path, table: Table) -> list[np.ndarray]:
    """Read every column."""
    ends = np.cumsum(table.bin_counts.sum(axis=1)).tolist()
    starts = [0, *ends[:-1]]
    out = [np.empty((ends[-1], *shape), dtype) for dtype, shape in table.columns]
    with path.open("rb") as file:
        if not table.compressed:
            for column in out:
                file.readinto(column)
            return out
        data = np.fromfile(file, np.uint8)

    def decode(part: tuple[int, int]) -> None:
        codec = Zstd(1)
        for column, ranges in zip(out, table.ranges.tolist(), strict=True):
            for chunk in range(*part):
                codec.decode(data[ranges[chunk] : ranges[chunk + 1]], column[starts[chunk] : ends[chunk]])

    _in_parts(decode, len(starts))
    return out


def _in_parts(work: Callable[[tuple[int, int]], None], count: int) -> None:
    edges = [count * i // (4 * THREADS) for i in range(4 * THREADS + 1)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, pairwise(edges)))


def read_box(file: int, table: Table, edge: float, box: Any, pool: ThreadPoolExecutor) -> list[np.ndarray]:
    """Read the rows inside a box: cells of the chunks it meets, then a comparison."""
    low, high = (np.array(corner) for corner in box)
    axes = [range(int(a // edge), int(-(-b // edge))) for a, b in zip(low, high, strict=True)]
    grid = np.array(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    numbers = np.ravel_multi_index(tuple(grid), (table.chunks,) * 3).tolist()
    counts = table.bin_counts[numbers].sum(axis=1)
    ends = np.cumsum(counts).tolist()
    starts = [0, *ends[:-1]]
    out = [np.empty((ends[-1], *shape), dtype) for dtype, shape in table.columns]

    def fill(column: int) -> None:
        codec = Zstd(1)
        for place, number in enumerate(numbers):
            a, b = table.ranges[column, number : number + 2].tolist()
            cell = np.frombuffer(os.pread(file, b - a, a), np.uint8)
            target = out[column][starts[place] : ends[place]]
            if table.compressed:
                codec.decode(cell, target)
            else:
                target.reshape(-1).view(np.uint8)[:] = cell

    list(pool.map(fill, range(len(out))))
    positions = out[0]
    inside = np.ones(len(positions), bool)
    for d in range(3):
        inside &= (positions[:, d] >= low[d]) & (positions[:, d] < high[d])
    rows = np.flatnonzero(inside)
    return [np.take(column, rows, axis=0) for column in out]


def _write_work(compress: bool) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        positions, attributes = load_cloud(folder)
        path = _path(folder, compress)

        def run() -> None:
            table = write(path, positions, attributes, chunk_edge(count), compress=compress)
            path.with_suffix(".table").write_bytes(pickle.dumps(table))

        return Work(run, store=path)

    return prepare


def _path(folder: Path, compress: bool) -> Path:
    return folder / ("floor-zstd.bin" if compress else "floor-raw.bin")


def _table(path: Path) -> Table:
    table: Table = pickle.loads(path.with_suffix(".table").read_bytes())
    return table


def _read_work(compress: bool) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        path = _path(folder, compress)
        table = _table(path)
        return Work(lambda: len(read(path, table)[0]))

    return prepare


def _box_work(name: str, compress: bool) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        path = _path(folder, compress)
        table, file = _table(path), os.open(path, os.O_RDONLY)
        pool = ThreadPoolExecutor(THREADS)
        return Work(lambda: len(read_box(file, table, chunk_edge(count), BOXES[name], pool)[0]))

    return prepare


WORKS: dict[str, Callable[[int, Path], Work]] = {
    "write zstd": _write_work(True),
    "write raw": _write_work(False),
    "read zstd": _read_work(True),
    "read raw": _read_work(False),
} | {f"{name} {kind}": _box_work(name, kind == "zstd") for name in BOXES for kind in ("zstd", "raw")}
