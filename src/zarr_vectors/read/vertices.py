"""Vertices of some chunks, as raw rows or out of Draco blobs, which hold the faces inside their chunk too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.encoding.draco import decode_draco
from zarr_vectors.exceptions import ArrayError, UnsupportedFeatureError
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.joining import joined_with_absent
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import offsets_of, stable_order
from zarr_vectors.read.fetch import FetchedCells, decode_rows
from zarr_vectors.read.level import LevelReader
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

RAW, DRACO = "raw", "draco"


def decode_vertices(cells: FetchedCells) -> tuple[AnyArray, IntArray, IntArray | None]:
    """Decode the vertices of some chunks.

    Returns
    -------
    positions : (N, D) float
        The rows of all chunks.
    row_offsets : (n + 1,) int64
        Where each chunk's rows start.
    faces : (M, 3) int64 or None
        Faces inside chunks as rows of ``positions``, where vertices and faces are one blob.

    Raises
    ------
    ArrayError
        When a cell is damaged.
    UnsupportedFeatureError
        When vertices are encoded in a way that is not known.
    """
    encoding = cells.array.spec.encoding
    if encoding in (None, RAW):
        return (*decode_rows(cells), None)
    if encoding != DRACO:
        raise UnsupportedFeatureError(f"{cells.array.path}: vertices are encoded as {encoding!r}, not raw or draco")
    positions: list[FloatArray] = [np.zeros((0, 3), np.float32)]
    faces: list[IntArray] = [np.zeros((0, 3), np.int64)]
    counts = np.zeros(len(cells.chunks), np.int64)
    for row in range(len(cells.chunks)):
        payload = cells.payload(row)
        if memoryview(payload).nbytes == 0:
            continue
        try:
            points, triangles = decode_draco(payload)
        except ArrayError as error:
            raise ArrayError(
                f"{cells.array.path}: chunk {format_keys(cells.chunks[row : row + 1])[0]}: {error}"
            ) from error
        faces.append(triangles + counts.sum())
        positions.append(points)
        counts[row] = len(points)
    dtype = cells.array.spec.numpy_dtype.newbyteorder("=")
    return np.concatenate(positions).astype(dtype, copy=False), offsets_of(counts), np.concatenate(faces)


def holds_faces(level: LevelReader) -> bool:
    """Return whether the faces inside a chunk are in the blob of its vertices."""
    return level.arrays.vertices.spec.encoding == DRACO


def with_blob_faces(table: LinkTable, chunk_rows: IntArray, row_offsets: IntArray, faces: IntArray | None) -> LinkTable:
    """Return links with those that came out of the blobs of vertices behind them.

    Parameters
    ----------
    table : LinkTable
        Links of their own arrays.
    chunk_rows : (n,) int64
        Rows of the chunks decoded, in ``table.here``.
    row_offsets : (n + 1,) int64
        Where each chunk's rows start.
    faces : (M, 3) int64, optional
        Faces inside chunks as rows over all those chunks.
    """
    if faces is None or len(faces) == 0:
        return table
    place = np.searchsorted(row_offsets, faces[:, 0], side="right") - 1
    keys = np.array(format_keys(table.here[chunk_rows]))
    rank = np.empty(len(keys), np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    order = stable_order([rank[place].astype(np.uint32)])
    place, faces = place[order], faces[order]
    chunks = np.repeat(chunk_rows[place][:, None], 3, axis=1)
    return replace(
        table,
        chunks=np.concatenate([table.chunks.reshape(-1, 3), chunks]),
        rows=np.concatenate([table.rows.reshape(-1, 3), faces - row_offsets[place][:, None]]),
        attributes={name: joined_with_absent(column, len(faces)) for name, column in table.attributes.items()},
    )
