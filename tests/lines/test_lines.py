"""Lines written and read back, in both revisions, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.edit.change import changing
from zarr_vectors.exceptions import ArgumentError, ShapeError, StoreError, UnknownNameError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.polylines import write_polylines
from zarr_vectors.validate import validate

REVISIONS = ("0.9", "0.7")


def make_lines(seed: int, count: int = 40, ndim: int = 3) -> Any:
    return np.random.default_rng(seed).uniform(-50, 50, (count, 2, ndim)).astype(np.float32)


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 30),
    ndim=st.integers(1, 4),
    revision=st.sampled_from(REVISIONS),
    chunk=st.sampled_from([7.0, 30.0, 1000.0]),
    data=st.data(),
)
def test_lines_come_back_bit_for_bit(seed: int, count: int, ndim: int, revision: str, chunk: float, data: Any) -> None:
    lines = make_lines(seed, count, ndim)
    ids = np.array(data.draw(st.lists(st.integers(0, 2**40), min_size=count, max_size=count, unique=True)), np.int64)
    write_lines(
        "memory://lines",
        lines,
        object_ids=ids,
        chunk_shape=chunk,
        attributes={"t": lines[:, :, 0], "rgb": np.arange(count * 6).reshape(count, 2, 3)},
        line_attributes={"x": lines[:, 0, 0]},
        format_version=revision,
    )
    order = np.argsort(ids)
    result = read_lines("memory://lines")
    assert result.endpoints.tobytes() == lines[order].tobytes()
    assert result.endpoints.shape == (count, 2, ndim)
    assert result.object_ids.tolist() == ids[order].tolist()
    assert result.attributes["t"].tolist() == lines[order][:, :, 0].tolist()
    assert result.attributes["rgb"].tolist() == np.arange(count * 6).reshape(count, 2, 3)[order].tolist()
    assert result.line_attributes["x"].tolist() == lines[order][:, 0, 0].tolist()
    low = np.full(ndim, data.draw(st.sampled_from([-60.0, -20.0, 0.0])))
    inside = ((lines >= low) & (lines < low + 40)).all(axis=2).any(axis=1)
    found = read_lines("memory://lines", bbox=(low, low + 40))
    assert found.object_ids.tolist() == [i for i in ids[order] if inside[ids.tolist().index(i)]]
    assert found.line_count == inside.sum()
    chosen = read_lines("memory://lines", attribute_filter={"x": (-10.0, 20.0)})
    assert chosen.object_ids.tolist() == [i for i in ids[order] if -10 <= lines[ids.tolist().index(i), 0, 0] < 20]


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("crossings", ["explicit_links", "boundary_deduplication", "both"])
def test_a_store_of_lines(tmp_path: Path, revision: str, crossings: str) -> None:
    lines = make_lines(1)
    path = tmp_path / "lines.zv"
    summary = write_lines(
        path,
        lines,
        chunk_shape=30,
        bin_shape=15,
        vertex_attributes={"t": lines[:, :, 0].reshape(-1)},
        object_attributes={"kind": ["a", "b"] * 20},
        groups={"first": [0, 1, 2]},
        format_version=revision,
        cross_chunk_strategy=crossings,
    )
    chunks = np.floor(lines / 30)
    assert summary.crossing_count == (chunks[:, 0] != chunks[:, 1]).any(axis=1).sum()
    assert (summary.line_count, summary["vertex_count"]) == (40, 80)
    result = read_lines(path, group_ids="first", object_ids=[2, 30, 0])
    assert result["endpoints"].tolist() == lines[[2, 0]].tolist()
    assert result["line_attributes"]["kind"].tolist() == result["object_attributes"]["kind"].tolist() == ["a", "a"]
    assert result["line_count"] == len(result) == 2
    assert read_lines(path, chunks=[chunks[7, 0].astype(int)]).object_ids.tolist() == (
        np.flatnonzero((chunks == chunks[7, 0]).all(axis=2).any(axis=1)).tolist()
    )
    write_lines(
        path,
        lines[:5] + 1,
        mode="a",
        out_of_bounds="expand",
        vertex_attributes={"t": np.zeros((5, 2))},
        object_attributes={"kind": ["c"] * 5},
    )
    assert read_lines(path).endpoints.tolist() == np.concatenate([lines, lines[:5] + 1]).tolist()
    build_pyramid(path, [(2.0, 1.0), (100.0, 3.0)], cross_level_storage="explicit")
    assert read_lines(path, level=1).endpoints.tolist() == read_lines(path).endpoints.tolist()
    coarse = read_lines(path, level=2)
    assert coarse.line_count == 15
    assert coarse.endpoints.tolist() == read_lines(path, object_ids=coarse.object_ids).endpoints.tolist()
    report = validate(path, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize(
    ("endpoints", "options", "message"),
    [
        (np.zeros((4, 3)), {}, r"expected an array of shape \(M, 2, D\)"),
        (np.zeros((4, 3, 3)), {}, r"expected an array of shape \(M, 2, D\)"),
        (np.zeros((4, 2, 3)), {"attributes": {"t": np.zeros(4)}}, "'t' has 4 rows, but there must be 8"),
        (np.zeros((4, 2, 3)), {"line_attributes": {"t": np.zeros(8)}}, "must be 4, one per line"),
        (np.zeros((2, 2, 3)), {"object_ids": [1, 1]}, "1 is given twice, for lines 0 and 1"),
        (np.full((2, 2, 3), np.inf), {}, "finite"),
    ],
)
def test_bad_input_is_refused(tmp_path: Path, endpoints: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        write_lines(tmp_path / "a.zv", endpoints, **options)
    assert list(tmp_path.iterdir()) == []


def test_lines_and_paths_do_not_mix(tmp_path: Path) -> None:
    write_polylines(tmp_path / "a.zv", [np.zeros((2, 3))])
    with pytest.raises(ArgumentError, match="holds polyline, not line"):
        write_lines(tmp_path / "a.zv", np.zeros((1, 2, 3)), mode="a")
    with pytest.raises(UnknownNameError, match="no object 4"):
        read_lines(tmp_path / "a.zv", object_ids=[4])


def test_no_lines_need_their_dimensions(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.zv", np.zeros((0, 2, 3)))
    assert read_lines(tmp_path / "a.zv").endpoints.shape == (0, 2, 3)
    with pytest.raises(ShapeError):
        write_lines(tmp_path / "b.zv", [])


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("crossings", ["explicit_links", "boundary_deduplication", "both"])
@pytest.mark.parametrize("count", [1, 3])
def test_objects_with_one_end_or_three_are_no_lines(tmp_path: Path, revision: str, crossings: str, count: int) -> None:
    path, other = tmp_path / "a.zv", np.full((count, 3), 60.0) + np.arange(count)[:, None]
    write_polylines(
        path,
        [np.array([[1.0, 1, 1], [70, 1, 1]]), other, np.zeros((0, 3))],
        chunk_shape=50,
        format_version=revision,
        cross_chunk_strategy=crossings,
    )
    with changing(path, None, {}) as change:
        change.put_root(replace(change.root, geometry_types=("line",)))
    assert read_lines(path, object_ids=[0]).line_count == 1
    with pytest.raises(StoreError, match=f"object 1 has {count} vert(ex|ices), but lines have two; read it"):
        read_lines(path)
    errors = validate(path, level=4).errors
    assert [error.check for error in errors] == ["line-ends"]
    assert f"object 1 has {count} vertices, but a line has two (1 such" in errors[0].message
