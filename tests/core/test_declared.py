"""What was said of a store when it was made holds for everything that is written to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.core.every_kind import nearest
from zarr_vectors import create_store, open_store
from zarr_vectors.core.arrays import (
    create_attribute_array,
    create_vertices_array,
    write_chunk_attributes,
    write_chunk_vertices,
)
from zarr_vectors.core.store import set_bounds
from zarr_vectors.edit import append_vertices
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, StoreError
from zarr_vectors.lazy import open_zv
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.lines import write_lines
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.parametric import read_parametric, write_parametric
from zarr_vectors.types.point_streams import write_points_stream
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import write_polylines
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])
POINTS = np.random.default_rng(1).uniform(0, 100, (60, 3)).astype(np.float32)
FACES = nearest(POINTS, 3)
WRITERS: dict[str, Callable[..., Any]] = {
    "points": lambda place, rows, **more: write_points(place, rows, **more),
    "objects": lambda place, rows, **more: write_points(place, rows, object_ids=np.arange(len(rows)) % 5, **more),
    "stream": lambda place, rows, **more: write_points_stream(place, [rows[:20], rows[20:]], **more),
    "polylines": lambda place, rows, **more: write_polylines(place, [rows[:30], rows[30:]], **more),
    "lines": lambda place, rows, **more: write_lines(place, rows.reshape(-1, 2, 3), **more),
    "graph": lambda place, rows, **more: write_graph(place, rows, FACES[:, :2], self_loops="drop", **more),
    "skeleton": lambda place, rows, **more: write_graph(place, rows, [[1, 0], [2, 1]], kind="skeleton", **more),
    "mesh": lambda place, rows, **more: write_mesh(place, rows, FACES, **more),
}
SAID: dict[str, Any] = {
    "bounds": ([0, 0, 0], [100, 100, 100]),
    "chunk_shape": (50, 50, 25),
    "axes": [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"],
    "crs": {"name": "RAS"},
    "reduction_factor": 4,
    "cross_level_depth": 2,
    "cross_level_storage": "implicit",
    "format_capabilities": ["multiscale_links"],
}


def said(path: Path) -> Any:
    """Return what a store says of itself."""
    root = open_store(path).reader.root
    names = ("bounds", "chunk_shape", "axes", "crs", "reduction_factor", "cross_level_depth", "cross_level_storage")
    return {name: getattr(root, name) for name in names}


@REVISIONS
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("through", ["group", "path"])
def test_it_holds_for_every_write(tmp_path: Path, kind: str, revision: str, through: str) -> None:
    write, path = WRITERS[kind], tmp_path / "a.zv"
    root = create_store(path, format_version=revision, **SAID)
    place = root if through == "group" else path
    before = said(path)
    for number in range(3):
        with pytest.raises(OutOfBoundsError, match=r"(60 of 60|20 of 20 positions) lie outside the bounds"):
            write(place, POINTS + 300)
        with pytest.raises(ArgumentError, match="chunk_shape"):
            write(place, POINTS, chunk_shape=40)
        write(place, POINTS * (1 - number / 10))
        assert said(path) == before
        written = open_store(path).reader
        assert written.root.base_bin_shape == (50, 50, 25)
        assert written.revision.name == revision
        assert "fragment_index" in written.root.format_capabilities
        assert ("multiscale_links" in written.root.format_capabilities) == (number == 0)
    found = read_points(path)
    assert found.axis_names == ("z", "y", "x")
    assert float(found.positions.max()) <= 80
    refused: list[tuple[str, Any]] = [
        ("bin_shape", 25),
        ("bounds", ([0, 0, 0], [99.999, 100, 100])),
        ("axes", ["x", "y", "z"]),
        ("axis_units", "nanometer"),
        ("crs", {"name": "LPS"}),
        ("coordinate_system", "LPS"),
    ]
    for name, value in refused:
        expected = {"axis_units": "axes", "coordinate_system": "crs"}.get(name, name)
        with pytest.raises(ArgumentError, match=f"^{expected}: .*given"):
            write(place, POINTS, **{name: value})
    repeated = {name: SAID[name] for name in ("bounds", "chunk_shape", "axes", "crs")}
    write(place, POINTS, **repeated, axis_units="micrometer", coordinate_system="RAS", bin_shape=(50, 50, 25))
    write(place, POINTS * 1.2, out_of_bounds="expand")
    assert said(path) != before
    assert validate(path, level=3).is_valid


@pytest.mark.parametrize("kind", WRITERS)
def test_it_holds_for_a_store_named_by_an_open_group(tmp_path: Path, kind: str) -> None:
    write, path = WRITERS[kind], tmp_path / "a.zv"
    more = {name: SAID[name] for name in ("bounds", "chunk_shape", "axes", "crs")}
    write(path, POINTS, bin_shape=(25, 25, 25), **more)
    write_parametric(path, {"sphere": [[0, 0, 0, 1]]})
    open_store(path, "r+").attrs["note"] = "mine"
    before = said(path)
    for place in (open_store(path, "r+"), open_zv(path, mode="r+")):
        with pytest.raises(OutOfBoundsError):
            write(place, POINTS + 300)
        write(place, POINTS / 2)
        assert said(path) == before
        assert open_store(path).reader.root.base_bin_shape == (25, 25, 25)
        assert open_store(path).attrs["note"] == "mine"
        assert read_parametric(path).object_count == 1
    write(path, POINTS + 300)
    assert said(path)["bounds"] != before["bounds"]


def test_set_bounds_lets_more_in(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv", bounds=SAID["bounds"])
    write_points(root, POINTS)
    set_bounds(root, ([0] * 3, [500] * 3))
    write_points(root, POINTS + 300)
    assert read_points(root).positions.min() >= 300
    with pytest.raises(OutOfBoundsError):
        append_vertices(root, [[501.0, 0, 0]])
    with pytest.raises(OutOfBoundsError):
        write_points(root, POINTS + 500, mode="a")


def test_the_bins_of_a_shell_are_its_chunks_unless_said_otherwise(tmp_path: Path) -> None:
    for name, shell, given, expected in (
        ("a", {}, {}, (128.0,) * 3),
        ("b", {"chunk_shape": 32}, {}, (32.0,) * 3),
        ("c", {"chunk_shape": 32, "base_bin_shape": 16}, {}, (16.0,) * 3),
        ("d", {"chunk_shape": 32}, {"bin_shape": 8}, (8.0,) * 3),
    ):
        root = create_store(tmp_path / name, **shell)
        assert write_points(root, POINTS, **given).bin_shape == expected


CONVENTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"links_convention": "explicit"}, "points", "links_convention 'explicit'"),
    ({"links_convention": "implicit_sequential"}, "mesh", "links_convention 'implicit_sequential'"),
    ({"cross_chunk_strategy": "both"}, "graph", "cross_chunk_strategy 'both'"),
    ({"geometry_types": ["mesh"]}, "lines", "made for mesh, not for line"),
    ({"object_index_convention": "identity"}, "objects", "object_index_convention 'identity'"),
]


@pytest.mark.parametrize(("shell", "kind", "message"), CONVENTIONS)
def test_conventions_that_a_kind_does_not_keep_are_refused(
    tmp_path: Path, shell: dict[str, Any], kind: str, message: str
) -> None:
    root = create_store(tmp_path / "a.zv", **shell)
    with pytest.raises(ArgumentError, match=message):
        WRITERS[kind](root, POINTS)


@pytest.mark.parametrize("strategy", ["boundary_deduplication", "explicit_links", "both"])
def test_how_paths_go_on_in_other_chunks_holds(tmp_path: Path, strategy: str) -> None:
    root = create_store(tmp_path / "a.zv", bounds=SAID["bounds"], chunk_shape=50, cross_chunk_strategy=strategy)
    for _ in range(2):
        WRITERS["polylines"](root, POINTS)
        assert root.reader.root.cross_chunk_strategy == strategy
    other = "both" if strategy == "explicit_links" else "explicit_links"
    with pytest.raises(ArgumentError, match="cross_chunk_strategy"):
        WRITERS["polylines"](root, POINTS, cross_chunk_strategy=other)
    points = create_store(tmp_path / "b.zv", cross_chunk_strategy=strategy)
    write_points(points, POINTS)
    assert points.reader.root.cross_chunk_strategy == strategy


@REVISIONS
def test_counts_and_arrays_follow_the_cells(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "a.zv"
    root = create_store(path, bounds=([0] * 3, [100] * 3), chunk_shape=50, format_version=revision)
    level = root["0"]
    chunks = {(0, 0, 0): POINTS[:30] / 2, (1, 0, 1): POINTS[30:35] / 2 + [50, 0, 50]}

    def put(rows: dict[tuple[int, ...], Any]) -> None:
        for chunk, positions in rows.items():
            write_chunk_vertices(level, chunk, [positions])
            write_chunk_attributes(level, "intensity", chunk, [positions[:, 0]])

    with level.batched_writes():
        create_vertices_array(level, dtype="float32")
        create_attribute_array(level, "intensity")
        put(chunks)
    for count in (35, 25, 26, 5):
        report = validate(path, level=5)
        assert report.is_valid, report.summary()
        metadata = open_store(path).reader.level(0).metadata
        assert metadata.vertex_count == read_points(path).vertex_count == count
        assert "vertex_attributes" in metadata.arrays_present
        assert "vertex_attributes/intensity" in metadata.nodes
        if count == 35:
            with level.batched_writes():
                put({(0, 0, 0): chunks[0, 0, 0][:20]})
        elif count == 25:
            put({(0, 1, 0): np.array([[1.0, 60.0, 1.0]], np.float32)})
        else:
            put({(0, 0, 0): chunks[0, 0, 0][:0], (0, 1, 0): chunks[0, 0, 0][:0]})
    with pytest.raises(OutOfBoundsError, match="set_bounds"), level.batched_writes():
        write_chunk_vertices(level, (1, 1, 1), [[[99.0, 101.0, 99.0]]])
    with pytest.raises((ArgumentError, StoreError)):
        write_chunk_vertices(level, (2, 1, 1), [[[150.0, 99.0, 99.0]]])
