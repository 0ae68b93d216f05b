"""This package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.linked.networks import BOXES, EDGE, load_network, some_ids
from benchmarks.measuring import Work
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.meshes import read_mesh, write_mesh

COMPRESSORS: dict[str, Any] = {"default": "auto", "zstd": "zstd", "raw": None}


def _write_work(kind: str, compressor: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        positions, links, objects = load_network(folder)
        path = folder / f"ours-{compressor}.zv"
        given: dict[str, Any] = {
            "object_ids": objects,
            "chunk_shape": EDGE,
            "compressor": COMPRESSORS[compressor],
        }
        if kind == "meshes":
            return Work(lambda: write_mesh(path, positions, links, **given), store=path)
        given["geometry_type"] = kind.removesuffix("s")
        return Work(lambda: write_graph(path, positions, links, **given), store=path)

    return prepare


def _read_work(kind: str, compressor: str, *, box: bool = False, many: int = 0) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        store = open_reader(folder / f"ours-{compressor}.zv")
        query: dict[str, Any] = {"bbox": BOXES[kind]} if box else {}
        if many:
            query["object_ids"] = some_ids(int(load_network(folder)[2][-1]) + 1, many)
        corner = ((0, 0, 0), (1, 1, 1))
        if kind == "meshes":
            read_mesh(store, bbox=corner)
            return Work(lambda: len(read_mesh(store, **query).faces))
        read_graph(store, bbox=corner)
        return Work(lambda: len(read_graph(store, **query).edges))

    return prepare


WORKS: dict[str, Callable[[int, Path], Work]] = {}
for _kind in BOXES:
    for _compressor in COMPRESSORS:
        WORKS[f"{_kind} write {_compressor}"] = _write_work(_kind, _compressor)
        WORKS[f"{_kind} read {_compressor}"] = _read_work(_kind, _compressor)
        WORKS[f"{_kind} box {_compressor}"] = _read_work(_kind, _compressor, box=True)
        for _many in (1, 100):
            WORKS[f"{_kind} objects {_many} {_compressor}"] = _read_work(_kind, _compressor, many=_many)
