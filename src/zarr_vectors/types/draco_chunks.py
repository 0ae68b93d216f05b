"""Chunks of a mesh as Draco blobs, with everything else aligned to what comes out of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.constants import ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.encoding.draco import decode_draco, encode_draco
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.extras import require
from zarr_vectors.model.cells import Cells, EncodedVertices
from zarr_vectors.model.elements import Elements
from zarr_vectors.ordering import offsets_of
from zarr_vectors.parallel import thread_map
from zarr_vectors.spatial.linking import inside_chunks
from zarr_vectors.typing import FloatArray, IntArray

MAX_BITS = 30


def check_draco(elements: Elements, bits: Any) -> Any:
    """Return the Draco library when a mesh can be encoded with it.

    Raises
    ------
    ArgumentError
        When the mesh has other than three axes, float32 positions, triangles, or face attributes.
    MissingExtraError
        When the extra ``draco`` is not installed.
    """
    if isinstance(bits, bool) or not isinstance(bits, (int, np.integer)) or not 1 <= bits <= MAX_BITS:
        raise ArgumentError(f"draco_quantization: expected a whole number of bits from 1 to {MAX_BITS}, got {bits!r}")
    links = elements.links
    if elements.ndim != 3 or elements.positions.dtype != np.float32 or links is None or links.width != 3:
        raise ArgumentError(
            "use_draco: Draco holds triangles of float32 vertices in three dimensions (dtype='float32' rounds); "
            f"given are {elements.positions.dtype} vertices in {elements.ndim} dimensions with faces of "
            f"{0 if links is None else links.width} vertices"
        )
    if set(links.attributes) == {ORIGINAL_INDEX_ATTRIBUTE}:
        raise ArgumentError(
            "keep_order: the order of faces is kept as a face attribute, which has no place in Draco blobs; leave out "
            "keep_order or use_draco"
        )
    if links.attributes:
        raise ArgumentError(
            f"use_draco: face attributes {sorted(links.attributes)} have no place beside faces in Draco blobs"
        )
    return require("DracoPy", "draco", "meshes encoded with Draco")


def encode_chunks(draco: Any, cells: Cells, bits: int) -> Cells:
    """Return cells with vertices and the faces inside chunks as one blob a chunk.

    Positions are those that come out of the blobs; rows and faces keep their order, so that fragments, attributes
    and faces between chunks stay as they are.

    Raises
    ------
    ArgumentError
        When the library gives back other rows or faces than it was given.
    """
    table = cells.links[0]
    inside = inside_chunks(table)
    chunk, rows = table.chunks[inside, 0], table.rows[inside]
    order = np.argsort(chunk, kind="stable")
    rows = rows[order]
    faces = offsets_of(np.bincount(chunk, minlength=len(cells.chunks)))

    def encode(number: int) -> tuple[bytes, FloatArray]:
        mine: IntArray = rows[faces[number] : faces[number + 1]]
        points = cells.positions[cells.row_offsets[number] : cells.row_offsets[number + 1]]
        blob = encode_draco(draco, points, mine, bits)
        decoded, triangles = decode_draco(blob)
        if len(decoded) != len(points) or not np.array_equal(triangles, mine):
            raise ArgumentError(f"use_draco: the library changed the rows of chunk {cells.chunks[number].tolist()}")
        return blob, decoded

    made = thread_map(encode, range(len(cells.chunks)))
    buffer = np.frombuffer(b"".join(blob for blob, _ in made), np.uint8)
    offsets = offsets_of(np.array([len(blob) for blob, _ in made], np.int64))
    crossing = ~inside
    return replace(
        cells,
        positions=np.concatenate([np.zeros((0, 3), np.float32), *(decoded for _, decoded in made)]),
        links=(replace(table, chunks=table.chunks[crossing], rows=table.rows[crossing]),),
        encoded=EncodedVertices("draco", buffer, offsets),
    )
