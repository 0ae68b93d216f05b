"""Stores on S3, Azure and HTTP servers: written, read, appended to, coarsened, validated, in both revisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.remote.conftest import Place
from zarr_vectors.core.store import consolidate_metadata
from zarr_vectors.exceptions import ReadOnlyStoreError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

RANDOM = np.random.default_rng(11)
POSITIONS = RANDOM.uniform(0, 100, (600, 3)).astype(np.float32)
BOX = ([20.0] * 3, [70.0] * 3)


def inside(positions: Any) -> Any:
    return ((positions >= BOX[0]) & (positions < BOX[1])).all(axis=1)


def as_rows(positions: Any) -> Any:
    return positions[np.lexsort(positions.T)]


@pytest.fixture(params=["0.9", "0.7"])
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def write(place: Place, revision: str, positions: Any = POSITIONS) -> None:
    write_points(
        place.written,
        positions,
        chunk_shape=50,
        bin_shape=12.5,
        attributes={"row": np.arange(len(positions))},
        format_version=revision,
        **place.options,
    )


def finish(place: Place, revision: str) -> None:
    """Make a store readable where folders cannot be listed: revision 0.7 names its chunks by folders only."""
    if place.is_http and revision == "0.7":
        consolidate_metadata(place.written)


def test_points(place: Place, revision: str) -> None:
    write(place, revision)
    write_points(place.written, POSITIONS[:50] / 2, attributes={"row": np.arange(50)}, mode="a", **place.options)
    finish(place, revision)
    everything = np.concatenate([POSITIONS, POSITIONS[:50] / 2])
    found = read_points(place.read, **place.options)
    np.testing.assert_array_equal(as_rows(found.positions), as_rows(everything))
    boxed = read_points(place.read, bbox=BOX, **place.options)
    np.testing.assert_array_equal(as_rows(boxed.positions), as_rows(everything[inside(everything)]))


def test_pyramid_and_validation(place: Place, revision: str) -> None:
    write(place, revision)
    build_pyramid(place.written, factors=[(2, 1), (4, 1)], **place.options)
    finish(place, revision)
    root = zv.open_store(place.read, **place.options)
    assert 0 < len(read_points(root, level=2).positions) < len(read_points(root, level=1).positions) < 600
    report = validate(place.read, level=5, **place.options)
    assert report.is_valid, report.report()


def test_paths(place: Place, revision: str) -> None:
    lines = [POSITIONS[start : start + 20] for start in range(0, 200, 20)]
    options = {"chunk_shape": 50, "format_version": revision, **place.options}
    write_polylines(place.written, lines, **options)
    finish(place, revision)
    found = read_polylines(place.read, object_ids=[3], **place.options)
    np.testing.assert_array_equal(found.positions, lines[3])
    met = [number for number, line in enumerate(lines) if inside(line).any()]
    assert sorted(read_polylines(place.read, bbox=BOX, **place.options).object_ids.tolist()) == met


def test_meshes(place: Place, revision: str) -> None:
    faces = np.arange(300).reshape(100, 3)
    write_mesh(place.written, POSITIONS[:300], faces, chunk_shape=50, format_version=revision, **place.options)
    finish(place, revision)
    assert read_mesh(place.read, **place.options).face_count == 100


def test_plain_http_refuses_writes(place: Place) -> None:
    if not place.is_http:
        zv.create_store(place.written, **place.options)
        root = zv.open_store(place.read, "r+", **place.options)
        root.attrs["note"] = 1
        assert zv.open_store(place.read, **place.options).attrs["note"] == 1
        return
    write(place, "0.9")
    with pytest.raises(ReadOnlyStoreError, match="over HTTP stores can only be read"):
        write_points(place.read, POSITIONS)
    with pytest.raises(ReadOnlyStoreError, match="over HTTP stores can only be read"):
        zv.open_store(place.read, "r+")
