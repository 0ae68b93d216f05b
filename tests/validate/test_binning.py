"""Chunks that go by more than space, and say something else of themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.validate.damage import Files
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.rechunking.running import rechunk
from zarr_vectors.rechunking.spec import RechunkSpec
from zarr_vectors.types.points import write_points
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.7", "0.9"])
SPECS = {
    "group": RechunkSpec("group"),
    "object_id": RechunkSpec("object_id", bins=[0, 9]),
    "attribute:size": RechunkSpec("attribute:size", bins=[0, 5]),
    "attribute:depth": RechunkSpec("attribute:depth", bins=[0, 20]),
    "attribute:text": RechunkSpec("attribute:text"),
}


def make(path: Path, revision: str, by: str | None, *, objects: bool = True) -> Files:
    extra = {
        "object_ids": np.arange(60) // 6,
        "object_attributes": {"size": np.arange(10.0)},
        "groups": {"a": [0, 1, 2], "b": [2, 3]},
    }
    write_points(
        path,
        np.random.default_rng(0).uniform(0, 100, (60, 2)),
        attributes={"depth": np.arange(60.0), "text": np.array(["p", "q", "r"])[np.arange(60) % 3]},
        chunk_shape=50,
        bounds=([0, 0], [100, 100]),
        compressor=None,
        shard_shape=None,
        format_version=revision,
        **(extra if objects else {}),
    )
    if by is not None:
        rechunk(path, SPECS[by])
    build_pyramid(path, [(2.0, 1.0)], compressor=None, shard_shape=None)
    return Files(path)


def found(files: Files) -> set[str]:
    report = validate(files.root, level=4)
    return {finding.check for finding in [*report.errors, *report.warnings]}


@pytest.mark.parametrize("by", [*SPECS, None])
@REVISIONS
def test_rechunked_stores_are_good(tmp_path: Path, revision: str, by: str | None) -> None:
    assert not found(make(tmp_path / "good", revision, by))


@REVISIONS
def test_keys_without_the_component_that_is_named(tmp_path: Path, revision: str) -> None:
    files = make(tmp_path / "plain", revision, None, objects=False)
    files.level_block(0, chunk_dims=["group", "x", "y"])
    assert validate(files.root, level=2).is_valid is False
    files = make(tmp_path / "wide", revision, "group")
    files.level_block(0, chunk_dims=None)
    assert validate(files.root, level=2).is_valid is False


def test_the_message_names_both(tmp_path: Path) -> None:
    files = make(tmp_path / "plain", "0.9", None, objects=False)
    files.level_block(0, chunk_dims=["group", "x", "y"])
    report = validate(files.root, level=2)
    assert {finding.check for finding in report.errors} == {"chunk-keys"}
    assert "chunk keys have 2 components, but chunk_dims names 3" in report.errors[0].message


@pytest.mark.parametrize("by", ["group", "object_id", "attribute:size"])
@REVISIONS
def test_objects_in_another_bin(tmp_path: Path, revision: str, by: str) -> None:
    files = make(tmp_path / "store", revision, by)
    bins: list[object] = {"group": ["b"], "object_id": [0, 3], "attribute:size": [0, 3]}[by]
    scope = {"by": by, "scope": "object", "exact": False, "bins": bins}
    files.level_block(0, chunked_by=scope)
    assert found(files) == {"object-bins"}
    files.level_block(0, stale=True)
    assert found(files) <= {"fresh"}


@pytest.mark.parametrize("by", ["attribute:depth", "attribute:text"])
@REVISIONS
def test_vertices_in_another_bin(tmp_path: Path, revision: str, by: str) -> None:
    files = make(tmp_path / "store", revision, by)
    bins: list[object] = [0, 30] if by == "attribute:depth" else ["o", "p", "q", "r"]
    exact = by == "attribute:text"
    files.level_block(0, chunked_by={"by": by, "scope": "vertex", "exact": exact, "bins": bins})
    assert found(files) == {"vertex-bins"}


@pytest.mark.parametrize(
    "said",
    [
        3, {}, {"by": "group"}, {"by": "taste", "scope": "object", "bins": []},
        {"by": "attribute:size", "scope": "object", "bins": [1, "a"]},
        {"by": "attribute:size", "scope": "object", "bins": ["a"], "exact": True},
        {"by": "attribute:size", "scope": "vertex", "bins": [3, 1]},
        {"by": "attribute:gone", "scope": "object", "bins": [1]},
    ],
)  # fmt: skip
def test_descriptions_that_are_not_understood_are_left_alone(tmp_path: Path, said: object) -> None:
    files = make(tmp_path / "store", "0.9", "attribute:size")
    files.level_block(0, chunked_by=said)
    assert not found(files)
