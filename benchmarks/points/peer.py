"""The reference implementation, zarr-vectors 0.9.2: ``zarr_vectors`` here is that of its own interpreter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measuring import Work, fresh_copy
from benchmarks.points.cloud import ATTRIBUTES, BINS_PER_AXIS, BOXES, EXTENT, chunk_edge, load_cloud
from zarr_vectors.core.store import open_store
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.points import read_points, write_points

LAYOUTS: dict[str, dict[str, Any]] = {"raw": {}, "sharded zstd": {"compressor": "zstd", "shard_shape": 8}}
FACTORS = [(2.0, 1.0), (4.0, 1.0)]


def _path(folder: Path, layout: str) -> Path:
    return folder / f"peer-{layout.replace(' ', '-')}.zv"


def _write_work(layout: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        positions, attributes = load_cloud(folder)
        path, edge = _path(folder, layout), chunk_edge(count)

        def run() -> None:
            write_points(
                str(path),
                positions,
                chunk_shape=(edge,) * 3,
                bin_shape=(edge / BINS_PER_AXIS,) * 3,
                bounds=([0.0] * 3, [EXTENT] * 3),
                vertex_attributes=attributes,
                **LAYOUTS[layout],
            )

        return Work(run, store=path)

    return prepare


def _read_work(layout: str, name: str | None = None, *, opened: bool = False) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        path: Any = str(_path(folder, layout))
        if opened:
            path = open_store(path)
        box = None if name is None else BOXES[name]
        names = list(ATTRIBUTES)
        return Work(lambda: len(read_points(path, bbox=box, attribute_names=names)["positions"]))

    return prepare


def _open_work(count: int, folder: Path) -> Work:
    path = str(_path(folder, "raw"))
    return Work(lambda: open_store(path))


def _pyramid_work(storage: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        path = folder / "peer-pyramid.zv"
        return Work(
            lambda: build_pyramid(str(path), factors=FACTORS, cross_level_storage=storage),
            before=lambda: fresh_copy(_path(folder, "raw"), path),
            store=path,
        )

    return prepare


WORKS: dict[str, Callable[[int, Path], Work]] = {
    "open": _open_work,
    "pyramid": _pyramid_work("none"),
    "pyramid links": _pyramid_work("explicit"),
}
for _layout in LAYOUTS:
    WORKS[f"write {_layout}"] = _write_work(_layout)
    WORKS[f"read {_layout}"] = _read_work(_layout)
    for _name in BOXES:
        WORKS[f"{_name} {_layout}"] = _read_work(_layout, _name, opened=True)
        WORKS[f"{_name} {_layout} path"] = _read_work(_layout, _name)
