"""Streamlines of a real tractogram: ``tracks300.trk`` of dipy's package, through nibabel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

CACHE = Path(__file__).parents[2] / ".cache" / "data"
WHEEL = "dipy==1.12.1"
MEMBER = "dipy/data/files/tracks300.trk"


@pytest.fixture(scope="module")
def tractogram() -> Any:
    """Return the tractogram, fetched once with pip into the cache folder of the checkout."""
    file = CACHE / "tracks300.trk"
    if not file.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--only-binary=:all:", WHEEL]
        done = subprocess.run([*command, "-d", CACHE], capture_output=True, text=True, check=False)
        wheels = list(CACHE.glob("dipy-*.whl"))
        if done.returncode or not wheels:
            if os.environ.get("CI"):
                pytest.fail(f"pip download {WHEEL}: {done.stderr[-500:]}")
            pytest.skip(f"the package registry cannot be reached: {done.stderr.strip()[-200:]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            file.write_bytes(wheel.read(MEMBER))
        wheels[0].unlink()
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
