"""Positions and ids in every form that users have them: taken exactly, or refused by the name of the argument."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from zarr_vectors.core.store import create_store, open_store, set_bounds
from zarr_vectors.distributed import append_partition, partitions
from zarr_vectors.edit import append_vertices, move_vertices, replace_objects
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, PrecisionWarning, ShapeError, ZarrVectorsError
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.point_streams import write_points_stream
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import write_polylines
from zarr_vectors.validate import validate

REVISIONS = ["0.9", "0.7"]
WHOLE = np.random.default_rng(0).integers(0, 100, (40, 3)).astype(np.float64)
Writer = Callable[..., Any]
WRITERS: dict[str, tuple[str, Writer]] = {
    "points": ("positions", write_points),
    "batch": ("batches: batch 0: positions", lambda path, given, **more: write_points_stream(path, [given], **more)),
    "path": ("polylines", lambda path, given, **more: write_polylines(path, [given], **more)),
    "paths": ("polylines", lambda path, given, **more: write_polylines(path, given, offsets=[0, len(given)], **more)),
    "graph": ("positions", lambda path, given, **more: write_graph(path, given, [[0, 1]], **more)),
    "skeleton": (
        "positions",
        lambda path, given, **more: write_graph(path, given, [[1, 0]], geometry_type="skeleton", **more),
    ),
    "listed graph": (r"positions\[0\]", lambda path, given, **more: write_graph(path, [given], [[[0, 1]]], **more)),
    "mesh": ("vertices", lambda path, given, **more: write_mesh(path, given, [[0, 1, 2]], **more)),
    "appended": ("positions", lambda path, given, **more: append_vertices(_started(path), given, **more)),
}


def _started(path: Path) -> Path:
    write_points(path, WHOLE, bounds=([-10] * 3, [5e6] * 3))
    return path


def _sorted(positions: Any) -> Any:
    return positions[np.lexsort(positions.T)]


FRAME = pd.DataFrame(WHOLE, columns=["x", "y", "z"])
TAKEN: dict[str, Any] = {
    "frame": FRAME,
    "frame of integers": FRAME.astype({"x": int}),
    "nullable frame": FRAME.astype("Int64"),
    "polars": pl.DataFrame({name: FRAME[name].to_numpy() for name in "xyz"}),
    "arrow": pa.table({name: FRAME[name].to_numpy() for name in "xyz"}),
    "mask without a masked value": np.ma.MaskedArray(WHOLE),
    "big-endian": WHOLE.astype(">f4"),
}


@pytest.mark.parametrize("form", TAKEN)
@pytest.mark.parametrize("kind", ["points", "path", "graph", "mesh", "batch"])
def test_positions_of_any_table(tmp_path: Path, kind: str, form: str) -> None:
    WRITERS[kind][1](tmp_path / "a.zv", TAKEN[form])
    np.testing.assert_array_equal(_sorted(read_points(tmp_path / "a.zv").positions), _sorted(WHOLE))


@pytest.mark.parametrize("kind", ["points", "graph", "mesh", "appended"])
@pytest.mark.parametrize("join", [tuple, list])
def test_single_coordinates_are_columns(tmp_path: Path, kind: str, join: Any) -> None:
    WRITERS[kind][1](tmp_path / "a.zv", join(WHOLE.T))
    found = read_points(tmp_path / "a.zv").positions
    assert {tuple(row) for row in found.tolist()} == {tuple(row) for row in WHOLE.tolist()}


def test_few_single_coordinates_are_columns_where_axes_say_so(tmp_path: Path) -> None:
    write_points(tmp_path / "a.zv", (WHOLE[:4, 0], WHOLE[:4, 1], WHOLE[:4, 2]), axes=["x", "y", "z"])
    np.testing.assert_array_equal(_sorted(read_points(tmp_path / "a.zv").positions), _sorted(WHOLE[:4]))
    write_points(tmp_path / "b.zv", [WHOLE[0], WHOLE[1]])
    assert read_points(tmp_path / "b.zv").positions.shape == (2, 3)
    write_points(tmp_path / "c.zv", np.zeros((2, 6)), axes=list("abcdef"))
    assert read_points(tmp_path / "c.zv").positions.shape == (2, 6)


MASKED = np.ma.MaskedArray(WHOLE, WHOLE[7, 1] == WHOLE)
HOLED = FRAME.astype("Int64")
HOLED.loc[7, "y"] = pd.NA
REFUSED: dict[str, tuple[Any, str]] = {
    "transposed": (WHOLE.T, r"(points of 40 axes.*\.T|\(n, 3\))"),
    "stacked": (np.vstack([np.arange(9), np.arange(9), np.arange(9)]), r"(9 axes.*\.T|\(n, 3\))"),
    "masked": (MASKED, "is masked; leave such rows out"),
    "nullable": (HOLED, "row 7 is missing"),
    "complex": (WHOLE + 0j, "expected numbers, got dtype complex"),
    "booleans": (WHOLE > 50, "expected numbers, got dtype bool"),
    "objects": (WHOLE.astype(object), "expected numbers, got dtype object"),
    "texts": (WHOLE.astype(str), "expected numbers, got dtype <U"),
    "times": (WHOLE.astype("M8[s]"), "expected numbers, got dtype datetime"),
    "text in a frame": (FRAME.assign(gene="a"), "column 'gene' holds .*not numbers"),
    "missing": (np.where(WHOLE[7, 1] == WHOLE, np.nan, WHOLE), "row .*nan.*finite"),
    "whole numbers": (np.full((3, 3), 2**53 + 1), "cannot hold exactly"),
}


@pytest.mark.parametrize("form", REFUSED)
@pytest.mark.parametrize("kind", WRITERS)
def test_what_are_no_positions_is_named(tmp_path: Path, kind: str, form: str) -> None:
    argument, write = WRITERS[kind]
    given, message = REFUSED[form]
    with pytest.raises(ArgumentError, match=message) as refused:
        write(tmp_path / "a.zv", given)
    assert argument.split("[")[0].rstrip("\\") in str(refused.value)
    assert kind == "appended" or not list(tmp_path.iterdir())


def test_lines_of_first_and_last_vertices(tmp_path: Path) -> None:
    first, last = WHOLE[:20], WHOLE[20:]
    write_lines(tmp_path / "a.zv", (first, last))
    np.testing.assert_array_equal(read_lines(tmp_path / "a.zv").endpoints, np.stack([first, last], axis=1))
    for given in (MASKED.reshape(20, 2, 3), WHOLE.reshape(20, 2, 3) + 0j, np.zeros((3, 2, 40)), WHOLE):
        with pytest.raises(ArgumentError, match="endpoints"):
            write_lines(tmp_path / "b.zv", given)


def test_batches_may_be_tuples(tmp_path: Path) -> None:
    table = pd.DataFrame({"v": np.arange(20)})
    batches = [(WHOLE[:20], table, [1] * 20), (WHOLE[20:], {"v": np.arange(20, 40)}, [2] * 20)]
    write_points_stream(tmp_path / "a.zv", batches, keep_order=True)
    found = read_points(tmp_path / "a.zv", restore_order=True)
    np.testing.assert_array_equal(found.positions, WHOLE)
    assert found.attributes["v"].tolist() == list(range(40))
    assert found.object_ids is not None
    assert found.object_ids.tolist() == [1] * 20 + [2] * 20
    write_points_stream(tmp_path / "b.zv", [(WHOLE[:, 0], WHOLE[:, 1], WHOLE[:, 2])])
    assert read_points(tmp_path / "b.zv").positions.shape == (40, 3)


BIG = 2**60 + 1
IDS: dict[str, Any] = {
    "list": [BIG, BIG, 5],
    "objects": np.array([BIG, BIG, 5], object),
    "unsigned": np.array([BIG, BIG, 5], np.uint64),
    "of two types": [np.uint64(BIG), np.uint64(BIG), np.int64(5)],
    "pandas": pd.Series([BIG, BIG, 5]),
    "nullable": pd.Series([BIG, BIG, 5], dtype="Int64"),
    "arrow": pa.array([BIG, BIG, 5]),
    "polars": pl.Series([BIG, BIG, 5]),
    "a mask without a masked value": np.ma.MaskedArray([BIG, BIG, 5]),
}
WITHOUT: dict[str, Any] = {
    "None": [BIG, None, 5],
    "NA": [BIG, pd.NA, 5],
    "NaN": [BIG, float("nan"), 5],
    "nullable": pd.array([BIG, None, 5], dtype="Int64"),
    "arrow": pa.array([BIG, None, 5]),
    "chunked arrow": pa.chunked_array([[BIG, None], [5]]),
    "polars": pl.Series([BIG, None, 5]),
    "masked": np.ma.MaskedArray([BIG, 7, 5], [False, True, False]),
    "-1": [BIG, -1, 5],
}
OF_OBJECTS: dict[str, Writer] = {
    "points": lambda path, ids: write_points(path, WHOLE[:3], object_ids=ids, keep_order=True),
    "batch": lambda path, ids: write_points_stream(
        path, [{"positions": WHOLE[:3], "object_ids": ids}], keep_order=True
    ),
    "nodes": lambda path, ids: write_graph(path, WHOLE[:3], [], object_ids=ids, keep_order=True),
    "corners": lambda path, ids: write_mesh(path, WHOLE[:3], [], object_ids=ids, keep_order=True),
    "paths": lambda path, ids: write_polylines(path, [WHOLE[:3]] * 3, object_ids=ids),
    "lines": lambda path, ids: write_lines(path, WHOLE[:6].reshape(3, 2, 3), object_ids=ids),
    "graphs": lambda path, ids: write_graph(path, [WHOLE[:3]] * 3, [[[0, 1]]] * 3, object_ids=ids),
    "meshes": lambda path, ids: write_mesh(path, [WHOLE[:3]] * 3, [[[0, 1, 2]]] * 3, object_ids=ids),
    "appended": lambda path, ids: append_vertices(_held(path), WHOLE[:3], object_ids=ids),
    "replaced": lambda path, ids: replace_objects(_held(path), WHOLE[:3], ids),
}


def _held(path: Path) -> Path:
    write_points(path, WHOLE, object_ids=np.arange(40) + 6)
    return path


@pytest.mark.parametrize("form", IDS)
@pytest.mark.parametrize("kind", ["points", "batch", "nodes", "corners", "appended"])
def test_ids_of_any_type_are_kept_exactly(tmp_path: Path, kind: str, form: str) -> None:
    OF_OBJECTS[kind](tmp_path / "a.zv", IDS[form])
    found = read_points(tmp_path / "a.zv").object_ids
    assert found is not None
    assert {BIG, 5} <= set(found.tolist()) <= {BIG, 5, *range(6, 46)}


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("form", WITHOUT)
def test_points_may_be_of_no_object(tmp_path: Path, form: str, revision: str) -> None:
    write_points(tmp_path / "a.zv", WHOLE[:3], object_ids=WITHOUT[form], keep_order=True, format_version=revision)
    found = read_points(tmp_path / "a.zv", restore_order=True).object_ids
    assert found is not None
    assert found.tolist() == [BIG, -1, 5]


@pytest.mark.parametrize("form", WITHOUT)
@pytest.mark.parametrize("kind", sorted(set(OF_OBJECTS) - {"points", "batch", "appended"}))
def test_everything_else_needs_an_id(tmp_path: Path, kind: str, form: str) -> None:
    with pytest.raises(ZarrVectorsError, match=r"object_ids: (number 1 is missing|ids count from 0)|no object -1"):
        OF_OBJECTS[kind](tmp_path / "a.zv", WITHOUT[form])


NO_IDS: dict[str, tuple[Any, str]] = {
    "beyond int64": ([2**63, 0, 1], f"{2**63} is beyond int64"),
    "far beyond": ([2**70, 0, 1], f"{2**70} is beyond int64"),
    "unsigned beyond": (np.array([2**63, 0, 1], np.uint64), f"{2**63} is beyond int64"),
    "broken": ([0.5, 1, 2], "whole numbers.*0.5"),
    "floats that may have been rounded": (np.array([2.0**60, 1, 2]), "2.*53"),
    "booleans": ([True, False, True], "whole numbers.*bool"),
    "texts": (["a", "b", "c"], "whole numbers"),
    "things": ([{}, {}, {}], "whole numbers"),
    "times": (np.zeros(3, "M8[s]"), "whole numbers"),
}


@pytest.mark.parametrize("form", NO_IDS)
@pytest.mark.parametrize("kind", OF_OBJECTS)
def test_what_are_no_ids_is_named(tmp_path: Path, kind: str, form: str) -> None:
    given, message = NO_IDS[form]
    with pytest.raises(ArgumentError, match=f"object_ids: .*{message}"):
        OF_OBJECTS[kind](tmp_path / "a.zv", given)


FINE = np.random.default_rng(3).uniform(0, 1000, (300, 3))


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "appended"])
def test_bounds_hold_what_was_given(tmp_path: Path, kind: str, revision: str) -> None:
    path = tmp_path / "a.zv"
    bounds = FINE.min(axis=0), FINE.max(axis=0)
    WRITERS[kind][1](path, FINE, bounds=bounds, format_version=revision, chunk_shape=100.0)
    report = validate(path, level=5)
    assert report.is_valid, report.summary()
    low, high = open_reader(path).root.bounds
    stored = read_points(path).positions
    assert len(stored) == 300
    for corner, given, reached in ((low, bounds[0], stored.min(axis=0)), (high, bounds[1], stored.max(axis=0))):
        extreme = np.minimum if corner is low else np.maximum
        np.testing.assert_array_equal(corner, extreme(given, reached.astype(np.float64)))
    with pytest.raises(OutOfBoundsError, match=r"1 of 300 (positions )?lie outside"):
        WRITERS[kind][1](tmp_path / "b.zv", FINE, bounds=(bounds[0], bounds[1] - np.array([0, 1e-3, 0])))


@pytest.mark.parametrize("revision", REVISIONS)
def test_bounds_hold_what_is_added(tmp_path: Path, revision: str) -> None:
    for place, corner in enumerate(np.concatenate([FINE[FINE.argmin(axis=0)], FINE[FINE.argmax(axis=0)]])[:, None]):
        path = tmp_path / f"{place}.zv"
        create_store(path, bounds=(FINE.min(axis=0), FINE.max(axis=0)), chunk_shape=100.0, format_version=revision)
        write_points(path, FINE[:50])
        append_vertices(path, corner)
        write_points(path, corner, mode="a")
        move_vertices(path, corner, rows=[0])
        report = validate(path, level=5)
        assert report.is_valid, report.summary()
        assert read_points(path).vertex_count == 52
        with pytest.raises(OutOfBoundsError):
            append_vertices(path, corner + np.where(corner < 500, -1.0, 1.0) * 1e3)


def test_a_partition_does_not_grow_the_bounds(tmp_path: Path) -> None:
    low, high = np.array([0.0, 0.0]), np.array([99.99999999, 99.99999999])
    write_points(tmp_path / "a.zv", [[1.0, 1.0]], bounds=(low, high), chunk_shape=50.0, dtype=np.float32)
    last = partitions(tmp_path / "a.zv")[-1]
    with pytest.raises(OutOfBoundsError, match="1 of 2 lie outside"):
        append_partition(tmp_path / "a.zv", last, [[60.0, 60.0], high])
    assert append_partition(tmp_path / "a.zv", last, [[60.0, 60.0]]).vertices_added == 1


UTM = FINE + np.array([500_000, 4_500_000, 0])
NOTICED: dict[str, Any] = {
    "survey": UTM,
    "survey of few": UTM[:20],
    "millimetres": np.round(UTM[:30] * 10, 3),
    "one place": np.array([[500_000.123, 4_500_000.456, 1.5]]),
    "degrees": np.random.default_rng(4).uniform(0, 0.001, (300, 2)) + np.array([-122.4, 37.7]),
    "beside a stray place": np.concatenate([UTM, np.zeros((1, 3))]),
    "a line of survey": np.arange(300.0)[:, None] / 3 * np.array([0, 1, 0]) + np.array([0, 4_500_000, 0]),
    "seconds since 1970": np.column_stack([FINE[:, :2], 1.7e9 + np.arange(300)]),
}


@pytest.mark.parametrize("form", NOTICED)
@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind not in ("appended", "mesh")])
def test_rounding_that_positions_show_is_announced(tmp_path: Path, kind: str, form: str) -> None:
    given, write = NOTICED[form], WRITERS[kind][1]
    if form == "one place" and kind not in ("points", "path", "batch"):
        return
    largest = np.abs(given - given.astype(np.float32)).max(axis=0)
    with pytest.warns(PrecisionWarning, match=r"float32 moved some by up to .* along '.*dtype=np\.float64") as found:
        write(tmp_path / "a.zv", given, axis_units="metre")
    said = str(found[0].message)
    assert any(f"up to {moved:.3g} metre along" in said for moved in largest), said
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(tmp_path / "b.zv", given, dtype=np.float64)
        write(tmp_path / "c.zv", given.astype(np.float32))


def test_rounding_is_announced_when_it_is_added(tmp_path: Path) -> None:
    path = tmp_path / "a.zv"
    bounds = UTM.min(axis=0) - 1, UTM.max(axis=0) + 1
    write_points(path, UTM.astype(np.float32), bounds=bounds, object_ids=np.arange(300))
    ids = np.arange(300)
    adding: list[Callable[[], Any]] = [
        lambda: write_points(path, UTM, mode="a", object_ids=ids + 300),
        lambda: append_vertices(path, UTM, object_ids=ids + 600),
        lambda: move_vertices(path, UTM, rows=ids),
        lambda: replace_objects(path, UTM, ids),
    ]
    for add in adding:
        with pytest.warns(PrecisionWarning, match=r"as the store does, moved .* write the store anew with dtype=np\.f"):
            add()


UNNOTICED: dict[str, Any] = {
    "uniform": FINE,
    "dense": np.random.default_rng(5).uniform(0, 1000, (200_000, 3)),
    "normal": np.random.default_rng(6).normal(size=(1000, 3)),
    "decimals": np.round(FINE, 2),
    "a plane": FINE * np.array([1, 1, 0]) + np.array([0, 0, 0.1 + 0.2]),
    "a plane but for noise": np.column_stack([FINE[:, :2], np.where(FINE[:, 0] > 500, 0.3, 0.1 + 0.2)]),
    "one place": FINE[:1],
    "nanometres": np.random.default_rng(7).uniform(0, 1e6, (1000, 3)),
    "far apart": FINE * 1e6,
    "a line": np.linspace(0, 1000, 100_001)[:, None] * np.array([1, 0, 0]),
    "nothing": np.zeros((0, 3)),
}


@pytest.mark.parametrize("form", UNNOTICED)
def test_rounding_that_positions_do_not_show_is_not(tmp_path: Path, form: str) -> None:
    given = UNNOTICED[form]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_points(tmp_path / "a.zv", given)
        write_points_stream(tmp_path / "b.zv", np.array_split(given, 3))


def test_faces_of_several_sizes(tmp_path: Path) -> None:
    triangles = [[0, 1, 2, -1], [1, 2, 3, -1]]
    for given in (triangles, np.array(triangles, float), np.ma.masked_equal(np.array(triangles), -1)):
        write_mesh(tmp_path / "a.zv", WHOLE[:5], given)
        assert read_mesh(tmp_path / "a.zv").faces.shape == (2, 3)
    write_mesh(tmp_path / "a.zv", [WHOLE[:5]] * 2, [triangles, [[0, 1, 2]]])
    assert read_mesh(tmp_path / "a.zv").faces.shape == (3, 3)
    mixed = [[0, 1, 2, -1], [0, 1, 2, 3], [1, 2, 3, -1]]
    for given in (mixed, np.array(mixed), [[0, 1, 2], [0, 1, 2, 3], [1, 2, 3]], ((0, 1, 2), (0, 1, 2, 3), (1, 2, 3))):
        message = r"faces: 2 of 3 vertices and 1 of 4 vertices; .*\[a, b, c\] and \[a, c, d\]"
        with pytest.raises(ShapeError, match=message):
            write_mesh(tmp_path / "b.zv", WHOLE[:5], given)
    with pytest.raises(ShapeError, match=r"faces\[0\]: 2 of 3 vertices and 1 of 4"):
        write_mesh(tmp_path / "b.zv", [WHOLE[:5]], [mixed])
    with pytest.raises(ArgumentError, match="face 0 is"):
        write_mesh(tmp_path / "b.zv", WHOLE[:5], [[0, -1, 2, 3]])
    assert not (tmp_path / "b.zv").exists()


def test_bounds_that_are_set_hold_what_was_given(tmp_path: Path) -> None:
    inner = FINE[(np.abs(FINE - 500) < 400).all(axis=1)]
    write_points(tmp_path / "a.zv", FINE, chunk_shape=100.0)
    root = open_store(tmp_path / "a.zv", mode="r+")
    summary = set_bounds(root, (inner.min(axis=0), inner.max(axis=0)), force=True)
    assert summary["vertices_removed"] == {0: 300 - len(inner)}
    np.testing.assert_array_equal(_sorted(read_points(tmp_path / "a.zv").positions), _sorted(inner.astype(np.float32)))
    report = validate(tmp_path / "a.zv", level=5)
    assert report.is_valid, report.summary()


FEW = pd.DataFrame(WHOLE[:3], columns=["x", "y", "z"])
TURNED = {
    "frame": FEW[["z", "y", "x"]],
    "upper case": FEW[["z", "y", "x"]].rename(columns=str.upper),
    "polars": pl.DataFrame({name: FEW[name].to_numpy() for name in "zyx"}),
    "arrow": pa.table({name: FEW[name].to_numpy() for name in "zyx"}),
    "columns": (FEW.x, FEW.y, FEW.z),
    "columns of polars": tuple(pl.Series(FEW[name].to_numpy()) for name in "xyz"),
    "columns of arrow": tuple(pa.array(FEW[name].to_numpy()) for name in "xyz"),
}


@pytest.mark.parametrize("form", TURNED)
@pytest.mark.parametrize("kind", WRITERS)
def test_columns_are_those_of_the_axes_that_they_are_named_after(tmp_path: Path, kind: str, form: str) -> None:
    WRITERS[kind][1](tmp_path / "a.zv", TURNED[form])
    stored = {tuple(row) for row in read_points(tmp_path / "a.zv").positions.tolist()}
    assert {tuple(row) for row in FEW.to_numpy().tolist()} <= stored


@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "appended"])
def test_axes_that_are_given_name_the_columns(tmp_path: Path, kind: str) -> None:
    write = WRITERS[kind][1]
    write(tmp_path / "a.zv", FEW, axes=["z", "y", "x"])
    np.testing.assert_array_equal(_sorted(read_points(tmp_path / "a.zv").positions), _sorted(WHOLE[:3, ::-1]))
    append_vertices(tmp_path / "a.zv", FEW)
    assert {tuple(row) for row in read_points(tmp_path / "a.zv").positions.tolist()} == {
        tuple(row) for row in WHOLE[:3, ::-1].tolist()
    }
    for given in (FEW.rename(columns={"z": "t"}), FEW[["x", "y"]].assign(q=1.0)):
        with pytest.raises(ArgumentError, match=r"the columns .* are not the axes"):
            write(tmp_path / "b.zv", given)
    assert not (tmp_path / "b.zv").exists()
    write(tmp_path / "c.zv", FEW[["z", "y", "x"]].add_suffix("_um"))
    np.testing.assert_array_equal(_sorted(read_points(tmp_path / "c.zv").positions), _sorted(WHOLE[:3, ::-1]))


def test_frames_that_are_added_go_by_the_axes_of_the_store(tmp_path: Path) -> None:
    write_points(tmp_path / "a.zv", WHOLE[:3, ::-1], axes=["z", "y", "x"], bounds=([0] * 3, [100] * 3))
    write_points(tmp_path / "a.zv", FEW, mode="a")
    assert len(np.unique(read_points(tmp_path / "a.zv").positions, axis=0)) == 3
    write_polylines(tmp_path / "b.zv", [FEW, FEW[["z", "y", "x"]]])
    assert len(np.unique(read_points(tmp_path / "b.zv").positions, axis=0)) == 3
    write_lines(tmp_path / "c.zv", (FEW[["z", "y", "x"]], FEW[["x", "z", "y"]]))
    np.testing.assert_array_equal(read_lines(tmp_path / "c.zv").endpoints, np.stack([WHOLE[:3]] * 2, axis=1))
