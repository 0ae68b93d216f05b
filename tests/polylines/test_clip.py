"""Paths cut at a box, against a cut segment by segment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.polylines.walks import REVISIONS, Walks, walks
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.types.polylines import read_polylines, write_polylines


def cut_segment(start: Any, stop: Any, low: Any, high: Any) -> tuple[float, float] | None:
    """Return the fractions between which a segment is inside a half-open box, by one axis after the other."""
    enter, leave = 0.0, 1.0
    for a, b, lower, upper in zip(start.tolist(), stop.tolist(), low, high, strict=True):
        if a == b:
            if not lower <= a < upper:
                return None
            continue
        first, last = sorted(((lower - a) / (b - a), (upper - a) / (b - a)))
        enter, leave = max(enter, first), min(leave, last)
    return (enter, leave) if enter < leave else None


def cut_path(path: Any, low: Any, high: Any) -> list[list[Any]]:
    """Return the pieces of one path inside a box."""
    positions = path.astype(np.float64)
    inside = ((positions >= low) & (positions < high)).all(axis=1)
    pieces: list[list[Any]] = []
    open_end = False  # whether the last piece goes on at the vertex we are at
    for number, position in enumerate(positions):
        if not open_end and inside[number]:
            pieces.append([position])
            open_end = True
        if number + 1 == len(positions):
            break
        part = cut_segment(position, positions[number + 1], low, high)
        if part is None:
            open_end = False
            continue
        enter, leave = part
        if not (open_end and enter == 0):
            pieces.append([position + enter * (positions[number + 1] - position)])
        pieces[-1].append(position + leave * (positions[number + 1] - position))
        open_end = leave == 1
    return pieces


@given(made=walks(), data=st.data())
def test_pieces_are_those_of_every_segment(made: Walks, data: Any) -> None:
    ndim = made.positions.shape[1]
    low = np.array(data.draw(st.lists(st.sampled_from([-35.0, -5.0, 0.0, 2.5]), min_size=ndim, max_size=ndim)))
    high = low + data.draw(st.sampled_from([5.0, 22.0, 300.0]))
    write_polylines(
        "memory://clip",
        made.positions,
        offsets=made.offsets,
        dtype=made.positions.dtype,
        chunk_shape=20,
        attributes={"x": made.positions[:, 0]},
    )
    result = read_polylines("memory://clip", bbox=(low, high), clip=True)
    named = read_polylines("memory://clip", bbox=(low, high), clip=True, object_ids=np.arange(made.count))
    assert named.object_ids.tolist() == result.object_ids.tolist()
    np.testing.assert_array_equal(named.positions, result.positions)
    expected = [(n, piece) for n in made.meeting(low, high) for piece in cut_path(made.path(n), low, high)]
    assert result.object_ids.tolist() == [number for number, _ in expected]
    assert [len(piece) for piece in result.polylines] == [len(piece) for _, piece in expected]
    for piece, (_, wanted) in zip(result.polylines, expected, strict=True):
        np.testing.assert_allclose(piece, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result.attributes["x"], result.positions[:, 0], rtol=1e-5, atol=1e-5)
    assert (result.positions >= low.astype(result.positions.dtype)).all()
    assert (result.positions <= high.astype(result.positions.dtype)).all()


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_path_gives_several_pieces_with_interpolated_ends(revision: str) -> None:
    path = np.array([[5.0, 5], [15, 5], [15, 7], [5, 7], [5, 15]])
    write_polylines(
        "memory://pieces",
        [path],
        chunk_shape=10,
        attributes={"t": np.arange(5.0), "label": np.array([10, 11, 12, 13, 14])},
        object_attributes={"n": [5]},
        format_version=revision,
    )
    result = read_polylines("memory://pieces", bbox=([0, 0], [10, 10]), clip=True)
    assert [piece.tolist() for piece in result.polylines] == [[[5, 5], [10, 5]], [[10, 7], [5, 7], [5, 10]]]
    assert result.object_ids.tolist() == [0, 0]
    assert result.object_attributes["n"].tolist() == [5, 5]
    np.testing.assert_allclose(result.attributes["t"], [0, 0.5, 2.5, 3, 3.375])
    assert result.attributes["label"].tolist() == [10, 11, 13, 13, 13]


def test_cutting_needs_a_box() -> None:
    write_polylines("memory://nobox", [np.ones((2, 2))])
    with pytest.raises(ArgumentError, match="clip: needs bbox"):
        read_polylines("memory://nobox", clip=True)
