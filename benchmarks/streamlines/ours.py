"""This package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measuring import Work
from benchmarks.streamlines.tracts import BOX, EDGE, load_tracts, some_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.polylines import read_polylines, write_polylines

COMPRESSORS: dict[str, Any] = {"default": "auto", "zstd": "zstd", "raw": None}


def _write_work(kind: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        positions, offsets = load_tracts(folder)
        path = folder / f"ours-{kind}.zv"

        def run() -> None:
            write_polylines(
                path,
                positions,
                offsets=offsets,
                geometry_type="streamline",
                chunk_shape=EDGE,
                compressor=COMPRESSORS[kind],
            )

        return Work(run, store=path)

    return prepare


def _read_work(kind: str, *, box: bool = False, objects: int = 0) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        store = open_reader(folder / f"ours-{kind}.zv")
        query: dict[str, Any] = {"bbox": BOX} if box else {}
        if objects:
            query["object_ids"] = some_ids(count, objects)
        read_polylines(store, bbox=((0, 0, 0), (1, 1, 1)))
        return Work(lambda: len(read_polylines(store, **query).positions))

    return prepare


WORKS: dict[str, Callable[[int, Path], Work]] = {}
for _kind in COMPRESSORS:
    WORKS[f"write {_kind}"] = _write_work(_kind)
    WORKS[f"read {_kind}"] = _read_work(_kind)
    WORKS[f"box {_kind}"] = _read_work(_kind, box=True)
    for _many in (1, 100):
        WORKS[f"objects {_many} {_kind}"] = _read_work(_kind, objects=_many)
