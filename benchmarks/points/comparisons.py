"""What is compared with what, and where it must stand."""

from __future__ import annotations

from benchmarks.comparison import Comparison
from benchmarks.points.cloud import make_cloud

NAME = "Points"
PACKAGE = "benchmarks.points"
SIZES = (1_000_000, 10_000_000)
ROW_BYTES = 27
make_data = make_cloud


def _boxes(name: str, label: str) -> list[Comparison]:
    work = name.split()[0]
    return [
        Comparison(work, f"{label}, default", f"{name} zstd", f"{name} default", f"{name} sharded zstd", 3),
        Comparison(work, f"{label}, zstd", f"{name} zstd", f"{name} zstd", f"{name} sharded zstd", 3),
        Comparison(work, f"{label}, uncompressed", f"{name} raw", f"{name} raw", f"{name} raw", 3),
        Comparison(work, f"{label}, default, from a path", "", f"{name} default path", f"{name} sharded zstd path"),
    ]


COMPARISONS = [
    Comparison("write", "write, default", "write zstd", "write default", "write sharded zstd", 1.5, 4),
    Comparison("write", "write, zstd", "write zstd", "write zstd", "write sharded zstd", 1.5, 4),
    Comparison("write", "write, uncompressed", "write raw", "write raw", "write raw", 1.5, 4),
    Comparison("read", "read all, default", "read zstd", "read default", "read sharded zstd", 2, 10),
    Comparison("read", "read all, zstd", "read zstd", "read zstd", "read sharded zstd", 2, 10),
    Comparison("read", "read all, uncompressed", "read raw", "read raw", "read raw", 2, 4),
    *_boxes("box 100", "box 100³"),
    *_boxes("box 200", "box 200³"),
    Comparison("open", "open store and level", "", "open", "open"),
    Comparison("pyramid", "pyramid, two levels", "", "pyramid", "pyramid", against_write=2),
    Comparison("pyramid", "pyramid with stored links", "", "pyramid links", "pyramid links", against_write=4),
]
