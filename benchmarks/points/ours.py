"""This package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measuring import Work, fresh_copy
from benchmarks.points.cloud import BINS_PER_AXIS, BOXES, chunk_edge, load_cloud
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.points import read_points, write_points

COMPRESSORS: dict[str, Any] = {"default": "auto", "zstd": "zstd", "raw": None}
FACTORS = [(2.0, 1.0), (4.0, 1.0)]


def _write_work(kind: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        positions, attributes = load_cloud(folder)
        path, edge = folder / f"ours-{kind}.zv", chunk_edge(count)

        def run() -> None:
            write_points(
                path,
                positions,
                attributes=attributes,
                chunk_shape=edge,
                bin_shape=edge / BINS_PER_AXIS,
                compressor=COMPRESSORS[kind],
            )

        return Work(run, store=path)

    return prepare


def _read_work(kind: str, name: str | None = None, *, opened: bool = False) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        path: Any = folder / f"ours-{kind}.zv"
        if opened:
            path = open_reader(path)
            read_points(path, bbox=((0, 0, 0), (1, 1, 1)))
        box = None if name is None else BOXES[name]
        return Work(lambda: len(read_points(path, bbox=box).positions))

    return prepare


def _open_work(count: int, folder: Path) -> Work:
    return Work(lambda: len(open_reader(folder / "ours-default.zv").level(0).chunks))


def _pyramid_work(storage: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        path = folder / "ours-pyramid.zv"
        return Work(
            lambda: build_pyramid(path, factors=FACTORS, agg_mode="mean", cross_level_storage=storage),
            before=lambda: fresh_copy(folder / "ours-default.zv", path),
            store=path,
        )

    return prepare


WORKS: dict[str, Callable[[int, Path], Work]] = {
    "open": _open_work,
    "pyramid": _pyramid_work("none"),
    "pyramid links": _pyramid_work("explicit"),
}
for _kind in COMPRESSORS:
    WORKS[f"write {_kind}"] = _write_work(_kind)
    WORKS[f"read {_kind}"] = _read_work(_kind)
    for _name in BOXES:
        WORKS[f"{_name} {_kind}"] = _read_work(_kind, _name, opened=True)
        WORKS[f"{_name} {_kind} path"] = _read_work(_kind, _name)
