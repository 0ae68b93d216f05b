"""Streamlines of a real tractogram: ``tracks300.trk`` of dipy's package, through nibabel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from tests.downloads import files_of_wheel
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

WHEEL = "dipy==1.12.1"
MEMBER = "dipy/data/files/tracks300.trk"


@pytest.fixture(scope="module")
def tractogram() -> Any:
    """Return the tractogram."""
    (file,) = files_of_wheel(WHEEL, MEMBER.__eq__)
    return nibabel.streamlines.load(file)


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
@pytest.mark.parametrize("crossings", ["explicit_links", "boundary_deduplication"])
def test_streamlines_come_back_exactly(tmp_path: Path, tractogram: Any, revision: str, crossings: str) -> None:
    streamlines = tractogram.streamlines
    path = tmp_path / "tracks.zv"
    summary = write_polylines(
        path,
        streamlines,
        chunk_shape=40,
        bin_shape=10,
        streamline_metadata={"affine": tractogram.affine, "file": "tracks300.trk"},
        object_attributes={"length": list(map(len, streamlines))},
        coordinate_system="RAS",
        format_version=revision,
        cross_chunk_strategy=crossings,
    )
    assert (summary.polyline_count, summary.vertex_count) == (len(streamlines), len(streamlines.get_data()))
    build_pyramid(path, [(2.0, 1.0), (4.0, 2.0)], cross_level_storage="explicit")
    result = read_polylines(path)
    assert len(result.polylines) == len(streamlines) == 300
    for found, given in zip(result.polylines, streamlines, strict=True):
        assert found.tobytes() == given.astype(np.float32).tobytes()
    np.testing.assert_array_equal(result.streamline_metadata["affine"], tractogram.affine)
    middle = streamlines[0][0]  # an end, where the bundle has spread
    low, high = middle - 4, middle + 4
    inside = [n for n, s in enumerate(streamlines) if ((s >= low) & (s < high)).all(axis=1).any()]
    assert 0 < len(inside) < 300
    assert read_polylines(path, bbox=(low, high)).object_ids.tolist() == inside
    pieces = read_polylines(path, bbox=(low, high), clip=True)
    assert set(pieces.object_ids.tolist()) == set(inside)
    assert ((pieces.positions >= low - 1e-3) & (pieces.positions <= high + 1e-3)).all()
    coarse = read_polylines(path, level=2)
    assert coarse.polyline_count == 150
    for found, number in zip(coarse.polylines, coarse.object_ids.tolist(), strict=True):
        assert found[[0, -1]].tolist() == streamlines[number].astype(np.float32)[[0, -1]].tolist()
    report = validate(path, level=5)
    assert report.is_valid, report.report()
