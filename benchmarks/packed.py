"""Columns cut into cells, each compressed, in one file: what the floors of all kinds write and read."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs.zstd import Zstd

THREADS = 2


@dataclass(frozen=True)
class Packed:
    """Where every cell of a file is; stays in memory, as it would in an open store.

    Attributes
    ----------
    path : Path
        The file.
    dtypes : dict of str to (dtype, row shape)
        Columns.
    rows : dict of str to (cells + 1,) int64
        Where the rows of every cell start.
    bytes : dict of str to (cells + 1,) int64
        Where the bytes of every cell start in the file.
    tables : dict
        What else an open store knows.
    """

    path: Path
    dtypes: dict[str, tuple[np.dtype, tuple[int, ...]]]
    rows: dict[str, np.ndarray]
    bytes: dict[str, np.ndarray]
    tables: dict[str, Any]


@cache
def pool() -> ThreadPoolExecutor:
    """Return the threads that compress and decompress."""
    return ThreadPoolExecutor(THREADS)


def pack(path: Path, columns: Mapping[str, tuple[np.ndarray, np.ndarray]], **tables: Any) -> Packed:
    """Write columns, each given with the starts of its cells."""
    columns = {name: (np.ascontiguousarray(values), starts) for name, (values, starts) in columns.items()}
    places, place = {}, 0
    with path.open("wb") as file:
        for name, (values, starts) in columns.items():
            cells = [values[a:b] for a, b in pairwise(starts.tolist())]
            blobs = list(pool().map(lambda cell: Zstd(1).encode(cell) if len(cell) else b"", cells, chunksize=16))
            file.writelines(blobs)
            places[name] = place + np.concatenate([[0], np.cumsum([len(blob) for blob in blobs])]).astype(np.int64)
            place = int(places[name][-1])
    dtypes = {name: (values.dtype, values.shape[1:]) for name, (values, _) in columns.items()}
    packed = Packed(path, dtypes, {name: starts for name, (_, starts) in columns.items()}, places, tables)
    path.with_suffix(".table").write_bytes(pickle.dumps(packed))
    return packed


def load(path: Path) -> Packed:
    """Return what is where in a file that :func:`pack` wrote."""
    packed: Packed = pickle.loads(path.with_suffix(".table").read_bytes())
    return packed


def unpack(packed: Packed, name: str, cells: np.ndarray | None = None) -> np.ndarray:
    """Read some cells of a column (None: all) into one array."""
    dtype, shape = packed.dtypes[name]
    rows, places = packed.rows[name], packed.bytes[name]
    wanted = np.arange(len(rows) - 1) if cells is None else cells
    counts = rows[wanted + 1] - rows[wanted]
    ends = np.cumsum(counts)
    out = np.empty((int(ends[-1]) if len(ends) else 0, *shape), dtype)
    starts, stops = places[wanted].tolist(), places[wanted + 1].tolist()
    edges = [0, *ends.tolist()]
    file = os.open(packed.path, os.O_RDONLY)

    def decode(part: tuple[int, int]) -> None:
        codec = Zstd(1)
        for cell in range(*part):
            if stops[cell] > starts[cell]:
                codec.decode(
                    os.pread(file, stops[cell] - starts[cell], starts[cell]), out[edges[cell] : edges[cell + 1]]
                )

    try:
        in_parts(decode, len(starts))
    finally:
        os.close(file)
    return out


def in_parts(work: Callable[[tuple[int, int]], None], count: int) -> None:
    """Do work for parts of ``range(count)`` on the threads."""
    if count < 4 * THREADS:
        return work((0, count))
    edges = [count * i // (4 * THREADS) for i in range(4 * THREADS + 1)]
    list(pool().map(work, pairwise(edges)))
    return None


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the rows of many ranges, one after another."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Return running starts and the end of the last."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def chunk_numbers(positions: np.ndarray, edge: float, chunks: int) -> np.ndarray:
    """Return the number of the cubic chunk of every position, for ``chunks`` along every axis."""
    key = np.zeros(len(positions), np.uint16)
    for d in range(positions.shape[1]):
        key *= np.uint16(chunks)
        key += np.floor(np.divide(positions[:, d], edge, dtype=np.float64)).astype(np.uint16)
    return key


def chunks_of_box(low: np.ndarray, high: np.ndarray, edge: float, chunks: int) -> np.ndarray:
    """Return the numbers of the chunks that a box meets."""
    axes = [range(int(a // edge), int(-(-b // edge))) for a, b in zip(low, high, strict=True)]
    grid = np.array(np.meshgrid(*axes, indexing="ij")).reshape(len(low), -1)
    return np.sort(np.ravel_multi_index(tuple(grid), (chunks,) * len(low)))


def inside(positions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return which positions are in a half-open box."""
    found = np.ones(len(positions), bool)
    for d in range(positions.shape[1]):
        found &= (positions[:, d] >= low[d]) & (positions[:, d] < high[d])
    return found
