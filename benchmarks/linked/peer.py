"""The reference implementation, zarr-vectors 0.9.2: ``zarr_vectors`` here is that of its own interpreter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.linked.networks import BOXES, EDGE, EXTENT, load_network, some_ids
from benchmarks.measuring import Work
from zarr_vectors.core.store import open_store
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.meshes import read_mesh, write_mesh

LAYOUTS: dict[str, dict[str, Any]] = {"raw": {}, "sharded zstd": {"compressor": "zstd", "shard_shape": 8}}


def _path(folder: Path, layout: str) -> str:
    return str(folder / f"peer-{layout.replace(' ', '-')}.zv")


def _write_work(kind: str, layout: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        positions, links, objects = load_network(folder)
        path = _path(folder, layout)
        given: dict[str, Any] = {
            "object_ids": objects,
            "chunk_shape": (EDGE,) * 3,
            "bounds": ([0.0] * 3, [EXTENT] * 3),
            **LAYOUTS[layout],
        }
        if kind == "meshes":
            return Work(lambda: write_mesh(path, positions, links, **given), store=Path(path))
        given["kind"] = kind.removesuffix("s")
        return Work(lambda: write_graph(path, positions, links, **given), store=Path(path))

    return prepare


def _read_work(kind: str, layout: str, *, box: bool = False, many: int = 0) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        store = open_store(_path(folder, layout))
        query: dict[str, Any] = {"bbox": BOXES[kind]} if box else {}
        if many:
            query["object_ids"] = some_ids(int(load_network(folder)[2][-1]) + 1, many).tolist()

        def run() -> int:
            if kind == "meshes":
                found = len(read_mesh(store, **query)["faces"])
            else:
                found = len(read_graph(store, **query)["edges"])
            return 0 if box else found

        return Work(run)

    return prepare


WORKS: dict[str, Callable[[int, Path], Work]] = {}
for _kind in BOXES:
    for _layout in LAYOUTS:
        WORKS[f"{_kind} write {_layout}"] = _write_work(_kind, _layout)
        WORKS[f"{_kind} read {_layout}"] = _read_work(_kind, _layout)
        WORKS[f"{_kind} box {_layout}"] = _read_work(_kind, _layout, box=True)
        for _many in (1, 100):
            WORKS[f"{_kind} objects {_many} {_layout}"] = _read_work(_kind, _layout, many=_many)
