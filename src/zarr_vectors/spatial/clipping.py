"""Cutting paths at the faces of a box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.ordering import offsets_of
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Clipped:
    """The parts of paths that lie inside a box.

    Parameters
    ----------
    rows : (n,) int64
        Vertex at which, or after which, every vertex of a piece lies.
    fractions : (n,) float64
        How far along the way to the next vertex it lies; 0 at the vertex itself.
    offsets : (Q + 1,) int64
        Where the vertices of each piece start.
    paths : (Q,) int64
        Path that each piece is a part of.
    """

    rows: IntArray
    fractions: AnyArray
    offsets: IntArray
    paths: IntArray


def clip_paths(box: Box, positions: FloatArray, offsets: IntArray) -> Clipped:
    """Cut paths at a box.

    A piece is a longest part of a path inside the box; where a path goes through a face, the piece ends on it.

    Parameters
    ----------
    box : Box
        The half-open box; a path along an upper face is outside, a piece may end on one.
    positions : (N, D) float
        Vertices, path after path.
    offsets : (P + 1,) int64
        Where the vertices of each path start.
    """
    joined = np.ones(len(positions), bool)
    joined[offsets[1:][offsets[1:] > 0] - 1] = False  # whether a segment leads on from each vertex
    segments = np.flatnonzero(joined)
    enter, leave = _slabs(box, positions, segments)
    met = enter < leave
    segments, enter, leave = segments[met], enter[met], leave[met]
    starts = np.ones(len(segments), bool)
    starts[1:] = (segments[1:] != segments[:-1] + 1) | (leave[:-1] < 1) | (enter[1:] > 0)
    touched = np.zeros(len(positions), bool)
    touched[segments[enter == 0]] = True
    touched[segments[leave == 1] + 1] = True
    single = np.flatnonzero(box.contains(positions) & ~touched)
    return _pieces(segments, enter, leave, starts, single, offsets)


def _slabs(box: Box, positions: FloatArray, segments: IntArray) -> tuple[AnyArray, AnyArray]:
    """Return the fractions at which segments enter and leave the box; leave is not above enter where they miss."""
    enter, leave = np.zeros(len(segments)), np.ones(len(segments))
    for d in range(positions.shape[1]):
        start = positions[segments, d].astype(np.float64)
        stop = positions[segments + 1, d].astype(np.float64)
        way = stop - start
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = (box.lower[d] - start) / way, (box.upper[d] - start) / way
        near, far = np.minimum(low, high), np.maximum(low, high)
        level = way == 0
        inside = (start >= box.lower[d]) & (start < box.upper[d])
        near[level] = np.where(inside[level], -np.inf, np.inf)
        far[level] = np.where(inside[level], np.inf, -np.inf)
        np.maximum(enter, near, out=enter)
        np.minimum(leave, far, out=leave)
    return enter, leave


def _pieces(
    segments: IntArray, enter: AnyArray, leave: AnyArray, starts: BoolArray, single: IntArray, offsets: IntArray
) -> Clipped:
    """List the vertices of all pieces: where a segment starts one, where every segment ends, and lone vertices."""
    first = np.flatnonzero(starts)
    rows = np.concatenate([segments[first], segments, single])
    fractions = np.concatenate([enter[first], leave, np.zeros(len(single))])
    begins = np.zeros(len(rows), bool)
    begins[: len(first)] = begins[len(first) + len(segments) :] = True
    order = np.lexsort((~begins, fractions, rows))
    rows, fractions, begins = rows[order], fractions[order], begins[order]
    heads = np.flatnonzero(begins)
    paths = np.searchsorted(offsets, rows[heads], side="right") - 1
    at_next = fractions == 1
    return Clipped(
        np.where(at_next, rows + 1, rows),
        np.where(at_next, 0.0, fractions),
        offsets_of(np.diff(np.append(heads, len(rows)))),
        paths,
    )


def interpolate(values: AnyArray, clipped: Clipped) -> AnyArray:
    """Return values ``(N, …)`` of the vertices at the vertices of the pieces.

    Floats are interpolated linearly, in float64; anything else is that of the nearer vertex.
    """
    following = np.minimum(clipped.rows + 1, max(0, len(values) - 1))
    if values.dtype.kind != "f":
        return np.asarray(values[np.where(clipped.fractions < 0.5, clipped.rows, following)])
    taken = values[clipped.rows]
    between = np.flatnonzero(clipped.fractions > 0)
    weight = clipped.fractions[between].reshape(-1, *([1] * (values.ndim - 1)))
    before, after = (values[rows[between]].astype(np.float64) for rows in (clipped.rows, following))
    taken[between] = before + weight * (after - before)
    return np.asarray(taken)


def clipped_positions(box: Box, positions: FloatArray, clipped: Clipped) -> FloatArray:
    """Return the positions ``(n, D)`` of the vertices of pieces, none beyond the faces of the box."""
    taken = interpolate(positions, clipped)
    between = np.flatnonzero(clipped.fractions > 0)
    limits = (corner.astype(positions.dtype) for corner in (box.lower, box.upper))
    taken[between] = np.clip(taken[between], *limits)
    return taken
