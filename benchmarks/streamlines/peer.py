"""The reference implementation, zarr-vectors 0.9.2: ``zarr_vectors`` here is that of its own interpreter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Work
from benchmarks.streamlines.tracts import BOX, EDGE, EXTENT, load_tracts, some_ids
from zarr_vectors.core.store import open_store
from zarr_vectors.types.polylines import read_polylines, write_polylines

LAYOUTS: dict[str, dict[str, Any]] = {"raw": {}, "sharded zstd": {"compressor": "zstd", "shard_shape": 8}}


def _path(folder: Path, layout: str) -> str:
    return str(folder / f"peer-{layout.replace(' ', '-')}.zv")


def _write_work(layout: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        positions, offsets = load_tracts(folder)
        paths = np.split(positions, offsets[1:-1])
        path = _path(folder, layout)

        def run() -> None:
            write_polylines(path, paths, chunk_shape=(EDGE,) * 3, bounds=([0.0] * 3, [EXTENT] * 3), **LAYOUTS[layout])

        return Work(run, store=Path(path))

    return prepare


def _read_work(layout: str, *, box: bool = False, objects: int = 0) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        store = open_store(_path(folder, layout))
        query: dict[str, Any] = {"bbox": BOX} if box else {}
        if objects:
            query["object_ids"] = some_ids(count, objects).tolist()

        def run() -> int:
            found = int(read_polylines(store, **query)["vertex_count"])
            return 0 if box else found  # its boxes return every path that meets their chunks

        return Work(run)

    return prepare


WORKS: dict[str, Callable[[int, Path], Work]] = {}
for _layout in LAYOUTS:
    WORKS[f"write {_layout}"] = _write_work(_layout)
    WORKS[f"read {_layout}"] = _read_work(_layout)
    WORKS[f"box {_layout}"] = _read_work(_layout, box=True)
    for _many in (1, 100):
        WORKS[f"objects {_many} {_layout}"] = _read_work(_layout, objects=_many)
