"""Paths of revision 0.7 stores against the arrays that they were written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.polylines.walks import Walks, assert_paths
from zarr_vectors.types.lines import read_lines
from zarr_vectors.types.polylines import read_polylines


@pytest.fixture(scope="module")
def expected(stores_07: Path) -> dict[str, Any]:
    with np.load(stores_07 / "expected.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def walks(expected: dict[str, Any]) -> Walks:
    return Walks(expected["pl_cat"], np.append(0, np.cumsum(expected["pl_len"])), np.arange(60))


@pytest.mark.parametrize("name", ["streamlines", "streamlines_pyr"])
def test_streamlines(stores_07: Path, expected: dict[str, Any], walks: Walks, name: str) -> None:
    path = stores_07 / f"{name}.zv"
    result = read_polylines(path)
    assert_paths(result, walks, range(60))
    assert result.attributes["fa"].tolist() == expected["pl_fa"].tolist()
    assert result.object_attributes["length"].tolist() == expected["pl_length"].tolist()
    assert_paths(read_polylines(path, object_ids=[40, 2, 40]), walks, [40, 2, 40])
    assert_paths(read_polylines(path, group_ids=[0]), walks, range(20))
    low, high = [20.0, 20.0, 20.0], [60.0, 70.0, 80.0]
    assert_paths(read_polylines(path, bbox=(low, high)), walks, walks.meeting(low, high))
    limit = float(np.median(expected["pl_length"]))
    chosen = np.flatnonzero(expected["pl_length"] < limit)
    assert_paths(read_polylines(path, attribute_filter={"length": (0.0, limit)}), walks, chosen)


def test_coarse_streamlines_share_vertices(stores_07: Path, walks: Walks) -> None:
    path = stores_07 / "streamlines_pyr.zv"
    for level, kept in ((1, 60), (2, 30)):
        result = read_polylines(path, level=level)
        assert result.polyline_count == kept
        assert result.vertex_count < walks.offsets[-1]
        one = int(result.object_ids[3])
        again = read_polylines(path, level=level, object_ids=[one])
        assert again.polylines[0].tolist() == result.polylines[3].tolist()
        low, high = [0.0, 0.0, 0.0], [100.0, 100.0, 100.0]
        inside = [((p >= low) & (p < high)).all(axis=1).any() for p in result.polylines]
        found = read_polylines(path, level=level, bbox=(low, high))
        assert found.object_ids.tolist() == result.object_ids[inside].tolist()


def test_lines(stores_07: Path, expected: dict[str, Any]) -> None:
    lines = expected["lines"]
    path = stores_07 / "lines.zv"
    assert read_lines(path).endpoints.tobytes() == lines.tobytes()
    inside = ((lines >= 10) & (lines < 50)).all(axis=2).any(axis=1)
    assert read_lines(path, bbox=([10] * 3, [50] * 3)).object_ids.tolist() == np.flatnonzero(inside).tolist()
    assert read_lines(path, object_ids=[9, 4]).endpoints.tobytes() == lines[[9, 4]].tobytes()
