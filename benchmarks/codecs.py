"""Compare compressors on the columns of point clouds, cell by cell, on one thread.

Run ``python benchmarks/codecs.py path/to/autzen_trim.laz``; the file is among the test data of laspy's source
archive on PyPI (110,000 lidar returns). Prints one table: bytes stored as a percentage of the plain bytes,
and megabytes (1e6 bytes of plain data) per second both ways, the best of a few runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import laspy
import numcodecs.blosc
import numpy as np

from zarr_vectors.encoding.compression import Pipeline, resolve_compressor
from zarr_vectors.typing import AnyArray, Document

CELL_ROWS = 50_000
BINS_PER_AXIS = 4

Columns = dict[str, AnyArray]


def lidar_columns(path: Path, tiles: int) -> Columns:
    """Read a lidar file, lay copies of it side by side, and order the points by chunk and bin."""
    las = laspy.read(path)
    xyz = np.stack([las.x, las.y, las.z], axis=1)
    xyz -= xyz.min(axis=0)
    extent = np.array([np.ptp(xyz[:, 0]), np.ptp(xyz[:, 1]), 0.0])
    side = int(np.ceil(np.sqrt(tiles)))
    steps = [np.array([tile % side, tile // side, 0]) for tile in range(tiles)]
    names = ("intensity", "gps_time", "classification", "return_number", "red", "green", "blue")
    columns: Columns = {name: np.tile(np.asarray(las[name]), tiles) for name in names}
    columns["rgb"] = np.stack([columns.pop(name) for name in ("red", "green", "blue")], axis=1)
    positions = np.concatenate([xyz + step * extent for step in steps]).astype(np.float32)
    return in_bin_order({"positions": positions, **columns})


def uniform_columns(count: int) -> Columns:
    """Make a cloud without structure, with the attributes that benchmarks of the format use."""
    random = np.random.default_rng(0)
    return in_bin_order(
        {
            "positions": random.uniform(0, 1000, (count, 3)).astype(np.float32),
            "intensity": random.uniform(0, 1, count).astype(np.float32),
            "label": random.integers(0, 32, count).astype(np.int32),
            "color": random.integers(0, 256, (count, 3)).astype(np.uint8),
            "original_index": np.arange(count, dtype=np.int64),
        }
    )


def in_bin_order(columns: Columns) -> Columns:
    """Order rows by chunk (about ``CELL_ROWS`` rows each), then by bin, then as they came."""
    positions = columns["positions"].astype(np.float64)
    flat_axes = np.ptp(positions, axis=0) > np.ptp(positions, axis=0).max() / 8
    chunks = (len(positions) / CELL_ROWS) ** (1 / flat_axes.sum())
    counts = np.where(flat_axes, max(1, round(chunks)), 1)
    width = np.ptp(positions, axis=0) / counts + 1e-9
    bins = ((positions - positions.min(axis=0)) / width * BINS_PER_AXIS).astype(np.int64)
    keys = np.concatenate([(bins // BINS_PER_AXIS).T, (bins % BINS_PER_AXIS).T])
    order = np.lexsort(keys[::-1])
    return {name: column[order] for name, column in columns.items()}


def blosc(cname: str, level: int, shuffle: str, blocksize: int = 0, typesize: str = "item") -> Callable[..., Document]:
    """Make blosc's codec document for an array, by the size of its numbers or of its rows."""

    def document(column: AnyArray) -> Document:
        size = column.dtype.itemsize if typesize == "item" else column[0].nbytes
        effective = "noshuffle" if shuffle == "shuffle" and size == 1 else shuffle
        settings = {
            "cname": cname,
            "clevel": level,
            "shuffle": effective,
            "typesize": size,
            "blocksize": blocksize,
        }
        return {"name": "blosc", "configuration": settings}

    return document


def zstd(level: int) -> Callable[..., Document]:
    """Make zstd's codec document."""
    return lambda column: {"name": "zstd", "configuration": {"level": level, "checksum": False}}


CANDIDATES: dict[str, Callable[..., Document] | None] = {
    "none": None,
    "zstd 1": zstd(1),
    "zstd 3": zstd(3),
    "blosc zstd 1, shuffle": blosc("zstd", 1, "shuffle"),
    "blosc zstd 1, shuffle, 256 KiB blocks": blosc("zstd", 1, "shuffle", 2**18),
    "auto": lambda column: resolve_compressor("auto", itemsize=column.dtype.itemsize)[0],
    "auto, shuffled by row": lambda column: resolve_compressor("auto", itemsize=column[0].nbytes)[0],
    "blosc zstd 3, shuffle": blosc("zstd", 3, "shuffle"),
    "blosc zstd 1, bitshuffle": blosc("zstd", 1, "bitshuffle"),
    "blosc lz4 1, shuffle": blosc("lz4", 1, "shuffle"),
    "blosc lz4 5, shuffle": blosc("lz4", 5, "shuffle"),
    "blosc lz4 5, bitshuffle": blosc("lz4", 5, "bitshuffle"),
}


def cells_of(column: AnyArray) -> list[bytes]:
    """Cut a column into cells, each behind the eight bytes that frame it."""
    starts = range(0, len(column), CELL_ROWS)
    pieces = [column[start : start + CELL_ROWS].tobytes() for start in starts]
    return [(1).to_bytes(4, "little") + len(piece).to_bytes(4, "little") + piece for piece in pieces]


def best_of(runs: int, work: Callable[[], list[bytes]]) -> tuple[float, list[bytes]]:
    """Give the shortest time of a few runs, and what the last one made."""
    best, made = np.inf, []
    for _ in range(runs):
        start = time.perf_counter()
        made = work()
        best = min(best, time.perf_counter() - start)
    return best, made


def measure(column: AnyArray, candidate: Callable[..., Document] | None, runs: int) -> tuple[int, int, float, float]:
    """Give plain bytes, stored bytes, and the seconds to compress and to decompress a column."""
    pipeline = Pipeline.from_documents([] if candidate is None else [candidate(column)])
    cells = cells_of(column)
    pack, packed = best_of(runs, lambda: [pipeline.encode(cell) for cell in cells])
    unpack, restored = best_of(runs, lambda: [bytes(pipeline.decode(cell)) for cell in packed])
    if restored != cells:
        raise RuntimeError("a cell did not come back as it was")
    return sum(map(len, cells)), sum(map(len, packed)), pack, unpack


def report(title: str, columns: Columns, runs: int, each_column: bool) -> None:
    """Print the table of one data set: all columns together, and each where asked."""
    print(f"\n**{title}** ({len(columns['positions']):,} points)\n")
    print("| compressor | column | size % | compress MB/s | decompress MB/s |")
    print("|---|---|---:|---:|---:|")
    for name, candidate in CANDIDATES.items():
        rows = {key: measure(column, candidate, runs) for key, column in columns.items()}
        total = tuple(sum(values) for values in zip(*rows.values(), strict=True))
        for key, (plain, stored, pack, unpack) in {"all": total, **(rows if each_column else {})}.items():
            speeds = f"{plain / 1e6 / pack:,.0f} | {plain / 1e6 / unpack:,.0f}" if candidate else "– | –"
            print(f"| {name} | {key} | {stored / plain:.1%} | {speeds} |", flush=True)


def main() -> None:
    """Measure both clouds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lidar", type=Path, nargs="?", default=Path("examples/data/autzen_trim.laz"))
    parser.add_argument("--tiles", type=int, default=16, help="copies of the lidar file, side by side")
    parser.add_argument("--uniform", type=int, default=1_000_000, help="points of the cloud without structure")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--columns", action="store_true", help="show every column, not only the sums")
    options = parser.parse_args()
    numcodecs.blosc.use_threads = False
    tiled = lidar_columns(options.lidar, options.tiles)
    report(f"autzen_trim.laz, {options.tiles} tiles", tiled, options.runs, options.columns)
    report("uniform random", uniform_columns(options.uniform), options.runs, options.columns)


if __name__ == "__main__":
    main()
