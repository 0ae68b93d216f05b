"""A lidar survey from file to picture; run by ``make demo``.

Ingests ``autzen_trim.laz`` with every attribute, builds two coarse levels, times a box query and a coarse read,
validates, and leaves a store and a picture in ``demo-output/``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from zarr_vectors.convert.las import ingest_las
from zarr_vectors.core.store import open_store
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.points import read_points
from zarr_vectors.validate import validate
from zarr_vectors.view.plots import draw_scene, make_scene

try:
    from rich.console import Console
    from rich.table import Table
except ImportError:
    Console = None

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "examples" / "data" / "autzen_trim.laz"
OUTPUT = ROOT / "demo-output"
STORE = OUTPUT / "autzen.zarrvectors"
PICTURE = OUTPUT / "autzen.png"

CHUNK_SHAPE = (128.0, 128.0, 128.0)
BIN_SHAPE = (4.0, 4.0, 16.0)
OVERVIEW_LEVEL = 1
BOX = ((636_370.0, 849_090.0, 400.0), (636_610.0, 849_330.0, 530.0))
HEIGHTS = (408.0, 480.0)
"""Ends of the scale of colours, in feet."""

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what some work returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def fastest(work: Callable[[], T], times: int = 5) -> tuple[T, float]:
    """Return what some work returns, and the seconds of the fastest of several runs."""
    runs = [timed(work) for _ in range(times)]
    return runs[0][0], min(seconds for _, seconds in runs)


def run() -> tuple[list[tuple[str, str, str]], bool]:
    """Do everything but the picture; return rows of (step, result, time) and whether the store is valid."""
    written, write_time = timed(
        lambda: ingest_las(SOURCE, STORE, chunk_shape=CHUNK_SHAPE, bin_shape=BIN_SHAPE, axis_units="foot")
    )
    pyramid, pyramid_time = timed(lambda: build_pyramid(STORE, factors=[(2.0, 1.0), (4.0, 1.0)]))
    store = open_store(STORE)
    everything, read_time = fastest(lambda: read_points(store))
    boxed, box_time = fastest(lambda: read_points(store, bbox=BOX))
    coarse, coarse_time = fastest(lambda: read_points(store, level=OVERVIEW_LEVEL))
    report, validation_time = timed(lambda: validate(STORE, level=5))

    inside = np.all((everything.positions >= BOX[0]) & (everything.positions < BOX[1]), axis=1)
    if len(boxed) != inside.sum():
        sys.exit(f"error: the box query found {len(boxed)} points, a scan of all of them {inside.sum()}")
    levels = ", ".join(f"{level.vertex_count:,}" for level in pyramid.levels)
    rows = [
        (
            "ingest",
            f"{written.vertex_count:,} points, {len(everything.attributes)} attributes, {written.chunk_count} chunks "
            f"of {written.bins_per_chunk:,} bins",
            write_time,
        ),
        ("build pyramid", f"{len(pyramid.levels)} levels: {levels} points", pyramid_time),
        ("read everything", f"{len(everything):,} points with every attribute", read_time),
        ("read a box", f"{len(boxed):,} points, full resolution; the same as a scan finds", box_time),
        (f"read level {OVERVIEW_LEVEL}", f"{len(coarse):,} points, the whole survey", coarse_time),
        ("validate", " ".join(report.summary().split("\n")[:2]), validation_time),
        ("on disk", disk_usage(), None),
    ]
    return [(step, result, "" if t is None else f"{1000 * t:,.1f} ms") for step, result, t in rows], report.is_valid


def disk_usage() -> str:
    """Say how large the store is beside the file it came from."""
    files = [path for path in STORE.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return (
        f"{size / 1e6:.2f} MB in {len(files)} files, all levels ({SOURCE.name}: {SOURCE.stat().st_size / 1e6:.2f} MB)"
    )


def draw() -> None:
    """Draw the whole survey at a coarse level beside a box at full resolution, seen from above and from the side."""
    store = open_store(STORE)
    figure = Figure(figsize=(15, 6.6), dpi=130, layout="constrained")
    panels = figure.subplot_mosaic([["whole", "box"], ["whole", "side"]], width_ratios=[2, 1], height_ratios=[2, 1.05])

    whole = make_scene(store, level=OVERVIEW_LEVEL)
    fold = 2**OVERVIEW_LEVEL
    title = f"Level {OVERVIEW_LEVEL}: {len(whole.positions):,} points stand for 110,000"
    draw_scene(panels["whole"], whole, title=title, spacing=BIN_SHAPE[0] * fold, color_range=HEIGHTS)
    (x, y, _), (x_end, y_end, _) = BOX
    frame = Rectangle((x, y), x_end - x, y_end - y, fill=False, edgecolor="crimson", linewidth=2)
    panels["whole"].add_patch(frame)

    above = make_scene(store, bbox=BOX)
    draw_scene(
        panels["box"], above, title=f"Level 0, the framed box: {len(above.positions):,} points", color_range=HEIGHTS
    )
    side = make_scene(store, bbox=BOX, plane=("x", "z"), color_by="intensity")
    draw_scene(panels["side"], side, title="The same box from the south", spacing=1.2)
    for name in ("box", "side"):
        for spine in panels[name].spines.values():
            spine.set(edgecolor="crimson", linewidth=2)
    figure.suptitle(f"{SOURCE.name}: part of a lidar survey of Eugene, Oregon, as a Zarr Vectors store")
    figure.savefig(PICTURE)


def show(rows: list[tuple[str, str, str]]) -> None:
    """Print the rows as a table, with rich where it is installed."""
    if Console is None:
        for step, result, seconds in rows:
            print(f"{step:<16} {seconds:>11}   {result}")
        return
    table = Table(title="autzen_trim.laz as a Zarr Vectors store", title_justify="left")
    table.add_column("step", style="bold")
    table.add_column("time", justify="right")
    table.add_column("result")
    for step, result, seconds in rows:
        table.add_row(step, seconds, result)
    console = Console()
    console.print(table)


def main() -> int:
    """Run the demo; return the exit code."""
    OUTPUT.mkdir(exist_ok=True)
    rows, valid = run()
    show(rows)
    draw()
    print(f"store:   {STORE.relative_to(ROOT)}   (look inside: zarr-vectors info {STORE.relative_to(ROOT)})")
    print(f"picture: {PICTURE.relative_to(ROOT)}")
    return 0 if valid else 1


if __name__ == "__main__":
    sys.exit(main())
