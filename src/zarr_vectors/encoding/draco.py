"""Positions and triangles of one chunk ⇄ a Draco blob (extra ``draco``).

Blobs are written in Draco's sequential mode, which keeps rows and faces as they are, those of vertices that no face
names and of edges with more than two faces included; positions are quantised. Every Draco mesh or point cloud is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.extras import require
from zarr_vectors.typing import Bytes, FloatArray, IntArray


def encode_draco(draco: Any, positions: FloatArray, faces: IntArray, bits: int) -> bytes:
    """Encode one chunk.

    Parameters
    ----------
    draco : module
        DracoPy.
    positions : (n, 3) float32
        At least one.
    faces : (m, 3) int64
        Rows of the positions.
    bits : int
        Quantisation of every coordinate over the extent of the chunk's vertices.
    """
    triangles = faces.astype(np.uint32) if len(faces) else None
    points = np.ascontiguousarray(positions, np.float32)
    return bytes(draco.encode(points, triangles, quantization_bits=bits, preserve_order=True))


def decode_draco(payload: Bytes) -> tuple[FloatArray, IntArray]:
    """Decode one chunk.

    Returns
    -------
    positions : (n, 3) float32
        In the order of the blob.
    faces : (m, 3) int64
        Rows of the positions; none in a point cloud.

    Raises
    ------
    MissingExtraError
        When DracoPy is not installed.
    ArrayError
        When the blob is damaged.
    """
    draco = require("DracoPy", "draco", "meshes encoded with Draco")
    try:
        decoded = draco.decode(bytes(payload))
        faces = getattr(decoded, "faces", None)
        rows = np.zeros((0, 3), np.int64) if faces is None else np.asarray(faces, np.int64).reshape(-1, 3)
        positions = np.asarray(decoded.points, np.float32).reshape(-1, 3)
    except (ValueError, RuntimeError, TypeError, AttributeError, MemoryError, draco.FileTypeException) as error:
        raise ArrayError(f"not a Draco blob: {error}") from error
    if rows.size and not 0 <= rows.min() <= rows.max() < len(positions):
        raise ArrayError(f"a Draco blob is damaged: a face names row {rows.max()} of {len(positions)}")
    return positions, rows
