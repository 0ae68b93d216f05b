"""What cannot be written or asked for is refused by name, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.polylines.walks import REVISIONS
from zarr_vectors.encoding.compression import Pipeline, resolve_compressor
from zarr_vectors.encoding.ragged import frame_cell
from zarr_vectors.exceptions import (
    ArgumentError,
    ArrayError,
    OutOfBoundsError,
    ShapeError,
    StoreError,
    UnknownNameError,
    ZarrVectorsError,
)
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.row_offsets import read_row_offsets
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

TWO = [np.zeros((3, 3)), np.ones((2, 3))]

REFUSED: list[tuple[Any, dict[str, Any], type[ZarrVectorsError], str]] = [
    ([np.zeros((3, 3)), np.ones((2, 2))], {}, ShapeError, r"path 1 has shape \(2, 2\)"),
    ([np.zeros(3)], {}, ShapeError, r"path 0 has shape \(3,\); every path must have shape \(n, D\)$"),
    ([np.zeros((2, 3)), np.zeros(3)], {}, ShapeError, r"path 1 has shape \(3,\)"),
    ([[[1, 2, 3]], [[1, 2, 3], [1, 2]]], {}, ShapeError, "polylines: path 1: is no array"),
    (None, {}, ArgumentError, "polylines: expected a list of .* got NoneType"),
    (7, {}, ArgumentError, "polylines: expected a list of .* got int"),
    ("abc", {}, ArgumentError, "polylines: expected a list of .* got str"),
    (None, {"offsets": [0]}, ShapeError, "polylines: expected an"),
    ([[1, 2], [3]], {"offsets": [0, 2]}, ShapeError, "polylines: is no array"),
    (TWO, {"attributes": {"fa": [np.zeros(3), [[1, 2], [3]]]}}, ShapeError, "'fa' of path 1: is no array"),
    (TWO, {"object_attributes": {"n": [[1, 2], [1]]}}, ShapeError, "object_attributes: 'n' is no array"),
    (TWO, {"streamline_metadata": {1: "x", "1": "y"}}, ArgumentError, "streamline_metadata: keys must be text, got 1"),
    (TWO, {"streamline_metadata": {"a": [{"b": {2: 3}}]}}, ArgumentError, "streamline_metadata: keys .* got 2"),
    ([], {}, ArgumentError, "number of dimensions is unknown"),
    (np.zeros((4, 3)), {}, ShapeError, "needs offsets"),
    (np.zeros((4, 3)), {"offsets": [0, 2]}, ShapeError, "end at 4.*end at 2"),
    (np.zeros((4, 3)), {"offsets": [1, 4]}, ShapeError, "start at 1"),
    (np.zeros((4, 3)), {"offsets": [0, 3, 2, 4]}, ShapeError, "3 at 1 is followed by 2"),
    (np.zeros((4, 3)), {"offsets": [0.0, 4.0]}, ShapeError, "whole numbers"),
    (np.zeros((4, 3)), {"offsets": []}, ShapeError, r"\(P \+ 1,\)"),
    ([[[0, 0, np.nan]]], {}, ArgumentError, "finite"),
    (TWO, {"object_ids": [4, 4]}, ArgumentError, "4 is given twice, for paths 0 and 1"),
    (TWO, {"object_ids": [4]}, ShapeError, "expected 2 ids, one per path, got 1"),
    (TWO, {"object_ids": np.array([1, 2**63], np.uint64)}, ArgumentError, "beyond int64"),
    (TWO, {"attributes": {"fa": np.zeros(4)}}, ShapeError, "'fa' has 4 rows, but there must be 5"),
    (TWO, {"attributes": {"fa": [np.zeros(3), np.zeros(1)]}}, ShapeError, "'fa' has 1 rows for path 1, which has 2"),
    (TWO, {"attributes": {"fa": [np.zeros(3)]}}, ShapeError, "list of 1 arrays, but there are 2 paths"),
    (TWO, {"object_attributes": {"n": [1]}}, ShapeError, "'n' has 1 rows, but there must be 2, one per path"),
    (TWO, {"object_attributes": [1, 2]}, ArgumentError, "object_attributes: expected a mapping"),
    (TWO, {"object_attributes": {"n": [1, 2], "N": [1, 2]}}, ArgumentError, "differ only in case"),
    (TWO, {"attributes": {}, "vertex_attributes": {}}, ArgumentError, "two names for one argument"),
    (TWO, {"groups": {"g": [2]}}, ArgumentError, "names object 2, which does not exist"),
    (TWO, {"geometry_type": "graph"}, ArgumentError, "geometry_type: expected one of polyline, streamline"),
    (TWO, {"streamline_metadata": [1]}, ArgumentError, "streamline_metadata: expected a mapping"),
    (TWO, {"streamline_metadata": {"a": object()}}, ArgumentError, "cannot be kept as JSON"),
    (TWO, {"streamline_metadata": {"a": np.nan}}, ArgumentError, "cannot be kept as JSON"),
    (TWO, {"cross_chunk_strategy": "none"}, ArgumentError, "cross_chunk_strategy: expected one of"),
    (TWO, {"object_index_convention": "x"}, ArgumentError, "object_index_convention: expected one of"),
    (TWO, {"object_index_convention": "identity", "chunk_shape": 1}, ArgumentError, "exactly one chunk, got 2"),
    (TWO, {"object_index_convention": "identity", "object_ids": [1, 0]}, ArgumentError, "object ids 0, 1, …"),
    ([*TWO, np.zeros((0, 3))], {"object_index_convention": "identity"}, ArgumentError, "every path; number 2 has none"),
    ([np.array([[-1.0], [1]])], {"object_index_convention": "identity"}, ArgumentError, "0 is always a chunk face"),
    (TWO, {"bounds": ([0.5] * 3, [2] * 3)}, OutOfBoundsError, "3 of 5 lie outside"),
    (TWO, {"chunk_by_attribute": "x"}, ArgumentError, "there is no vertex attribute 'x'"),
    (
        TWO,
        {"chunk_by_attribute": "x", "attributes": {"x": [0, 0, 1, 1, 1]}, "cross_chunk_strategy": "both"},
        ArgumentError,
        "under two values of 'x'",
    ),
    (TWO, {"chunk_shape": 10, "bin_shape": 3}, ArgumentError, "bin_shape must divide chunk_shape"),
]


@pytest.mark.parametrize(("paths", "options", "error", "message"), REFUSED, ids=[case[3] for case in REFUSED])
@pytest.mark.parametrize("revision", REVISIONS)
def test_bad_input_is_refused(
    tmp_path: Path, paths: Any, options: dict[str, Any], error: type[Exception], message: str, revision: str
) -> None:
    with pytest.raises(error, match=message):
        write_polylines(tmp_path / "a.zv", paths, format_version=revision, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"object_ids": [1, 5]}, "the store has an object 1 already"),
        ({"cross_chunk_strategy": "both"}, "the store has 'explicit_links'"),
        ({"object_index_convention": "identity"}, "the store has 'standard'"),
        ({"geometry_type": "streamline"}, "holds polyline, not streamline"),
        ({"chunk_shape": 7}, "appending cannot change it"),
        ({"attributes": {"x": np.zeros(5)}}, "not in it"),
        ({"polylines": [TWO[0][:, :2]]}, "have 2 columns, but the store has 3 axes"),
    ],
)
def test_appending_what_does_not_fit_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write_polylines(tmp_path / "a.zv", TWO, chunk_shape=10)
    with pytest.raises(ArgumentError, match=message):
        write_polylines(tmp_path / "a.zv", **{"polylines": TWO, "mode": "a", **options})
    assert read_polylines(tmp_path / "a.zv").polyline_count == 2


def test_points_take_no_paths(tmp_path: Path) -> None:
    write_points(tmp_path / "a.zv", np.zeros((3, 3)))
    with pytest.raises(ArgumentError, match="holds point_cloud, not polyline"):
        write_polylines(tmp_path / "a.zv", TWO, mode="a")


@pytest.mark.parametrize("revision", REVISIONS)
def test_unknown_names_are_refused(tmp_path: Path, revision: str) -> None:
    write_polylines(tmp_path / "a.zv", TWO, groups={"g": [0]}, format_version=revision)
    asked: list[tuple[dict[str, Any], str]] = [
        ({"object_ids": [0, 9]}, "no object 9"),
        ({"group_ids": "h"}, "no group named 'h'"),
        ({"attributes": ["fa"]}, "no vertex attribute 'fa'"),
        ({"attribute_filter": {"length": 3}}, "no object attribute 'length'"),
        ({"include_object_attributes": ["length"]}, "no object attribute 'length'"),
        ({"level": 3}, "no level 3"),
    ]
    for query, message in asked:
        with pytest.raises(UnknownNameError, match=message):
            read_polylines(tmp_path / "a.zv", **query)
    write_polylines(tmp_path / "b.zv", TWO, attributes={"fa": np.arange(5)}, object_attributes={"length": [1, 2]})
    of_vertices: list[dict[str, Any]] = [{"attribute_filter": {"fa": 3}}, {"include_object_attributes": ["fa"]}]
    for query in of_vertices:
        with pytest.raises(UnknownNameError, match=r"'fa' is an attribute of vertices, .* objects, .*\['length'\]"):
            read_polylines(tmp_path / "b.zv", **query)
    of_objects: list[dict[str, Any]] = [{"attribute_filter": {"length": 1}}, {"attributes": ["length"]}]
    for query in of_objects:
        with pytest.raises(UnknownNameError, match=r"'length' is an attribute of objects, .* vertices, .*\['fa'\]"):
            read_points(tmp_path / "b.zv", **query)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"group_ids": True}, "group_ids: expected numbers or names of groups, got True"),
        ({"group_ids": [0, np.True_]}, "group_ids: expected numbers or names"),
        ({"group_ids": 1.5}, "group_ids: expected numbers or names of groups, got 1.5"),
        (
            {"attribute_filter": [1]},
            r"attribute_filter: expected a mapping of attribute names to conditions, got \[1\]",
        ),
        ({"attribute_filter": {1: 2}}, "attribute_filter: expected a mapping"),
    ]
    for query, message in refused:
        with pytest.raises(ArgumentError, match=message):
            read_polylines(tmp_path / "a.zv", **query)
    with pytest.raises(ArgumentError, match="bbox"):
        read_polylines(tmp_path / "a.zv", bbox=([1, 1, 1], [0, 2, 2]))


def test_identity_has_no_other_objects(tmp_path: Path) -> None:
    write_polylines(tmp_path / "a.zv", TWO, object_index_convention="identity")
    for number in (-1, 2):
        with pytest.raises(UnknownNameError, match=f"no object {number}"):
            read_polylines(tmp_path / "a.zv", object_ids=[number])


def test_points_are_no_paths(tmp_path: Path) -> None:
    for name, options in (("a.zv", {}), ("b.zv", {"object_ids": [0, 0, 1]})):
        write_points(tmp_path / name, np.zeros((3, 3)), **options)  # type: ignore[arg-type]
        with pytest.raises(StoreError, match="holds point_cloud, not paths; read it with read_points"):
            read_polylines(tmp_path / name)


@pytest.mark.parametrize("array", ["vertices", "vertex_fragments"])
def test_a_missing_chunk_is_named(tmp_path: Path, array: str) -> None:
    write_polylines(tmp_path / "a.zv", [np.array([[1.0], [15], [25]])], chunk_shape=10, shard_shape=None)
    (tmp_path / "a.zv" / "0" / array / "c" / "1").unlink()
    with pytest.raises(ArrayError, match=r"level 0|chunk"):
        read_polylines(tmp_path / "a.zv")


def test_vertices_that_are_no_whole_number_of_rows_are_named(tmp_path: Path) -> None:
    write_polylines(tmp_path / "a.zv", [np.array([[1.0], [15], [25]])], chunk_shape=10, shard_shape=None)
    level = open_reader(tmp_path / "a.zv").level(0)
    assert read_row_offsets(level).tolist() == [0, 1, 2, 3]
    pipeline = Pipeline.from_documents(resolve_compressor("auto", itemsize=8))
    for damage in (pipeline.encode(frame_cell(bytes(13))), pipeline.encode(bytes(3))):
        (tmp_path / "a.zv/0/vertices/c/1").write_bytes(damage)
        with pytest.raises(ArrayError, match="0/vertices: chunk 1"):
            read_row_offsets(level)
