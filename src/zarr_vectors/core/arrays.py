"""Vertices and vertex attributes chunk by chunk: what a program that partitions by itself reads and writes.

Every chunk holds fragments (Zarr Vectors specification, vertices and vertex fragments): lists of arrays here,
one per fragment, in fragment order. Use these inside ``batched_writes`` and ``batched_reads``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import DECLARED_KEY, VALID_VERTEX_ENCODINGS, VERTEX_ATTRIBUTES, VERTEX_FRAGMENTS, VERTICES
from zarr_vectors.core.chunks import ChunkKey
from zarr_vectors.core.group import Group
from zarr_vectors.core.handle import node_path
from zarr_vectors.exceptions import ArgumentError, ArrayError, OutOfBoundsError, ShapeError
from zarr_vectors.formats.chunk_keys import parse_key
from zarr_vectors.formats.columns import check_name
from zarr_vectors.formats.documents import attribute_document, parse_attribute
from zarr_vectors.formats.objects import fragment_payloads, parse_fragments
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.model.cells import Fragments
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.fetch import fetch_cells
from zarr_vectors.storage.documents import group_document
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.write.bounds import as_stored, outside_rows

_CHUNKS_AT_ONCE = 1024


def create_vertices_array(
    level_group: Group, dtype: npt.DTypeLike = "float32", encoding: str = "raw", *, exist_ok: bool = True
) -> None:
    """Make the vertices array of a level, and the array of its fragments.

    Parameters
    ----------
    level_group : Group
        Group of a level.
    dtype : data type
        Float type of the positions.
    encoding : {"raw", "draco"}
        How cells are encoded.
    exist_ok : bool
        Leave an array that is there as it is, instead of refusing. One that holds nothing takes the new type.

    Raises
    ------
    ArrayError
        The array is there and `exist_ok` is false.
    ArgumentError
        The type is not a float, or the encoding not known.
    """
    float_type = np.dtype(dtype)
    if float_type.kind != "f" or encoding not in VALID_VERTEX_ENCODINGS:
        raise ArgumentError(
            f"vertices are floats, encoded as one of {', '.join(VALID_VERTEX_ENCODINGS)}; "
            f"got {float_type} and {encoding!r}"
        )
    _check_absence(level_group, VERTICES, exist_ok)
    meta = {"zv_array": "vertices", "dtype": float_type.name, "encoding": encoding}
    level_group.create_chunk_array(VERTICES, meta)
    meta = {"zv_array": "vertex_fragments", "encoding": "fragment_index_v1"}
    level_group.create_chunk_array(VERTEX_FRAGMENTS, meta)


def create_attribute_array(
    level_group: Group,
    name: str,
    dtype: npt.DTypeLike = "float32",
    channel_names: Sequence[str] | None = None,
    ncols: int | None = None,
    extra_meta: Mapping[str, Any] | None = None,
    *,
    exist_ok: bool = True,
) -> None:
    """Make the array of a vertex attribute.

    Parameters
    ----------
    level_group : Group
        Group of a level.
    name : str
        Name of the attribute.
    dtype : data type
        Number type of a value.
    channel_names : sequence of str, optional
        Names of the channels of an attribute with several values a vertex.
    ncols : int, optional
        Number of channels, where they have no names.
    extra_meta : mapping, optional
        Further metadata of the array.
    exist_ok : bool
        Leave an array that is there as it is, instead of refusing.

    Raises
    ------
    ArrayError
        The array is there and `exist_ok` is false.
    ArgumentError
        The name cannot be one, or `ncols` and `channel_names` disagree.
    """
    path = f"{VERTEX_ATTRIBUTES}/{check_name('name', name)}"
    channels = None if channel_names is None else tuple(str(channel) for channel in channel_names)
    if channels is None and ncols is not None and ncols > 1:
        channels = tuple(f"ch{c}" for c in range(ncols))
    if channels is not None and ncols is not None and ncols != len(channels):
        raise ArgumentError(f"channel_names: {len(channels)} names for {ncols} columns of {name!r}")
    _check_absence(level_group, path, exist_ok)
    spec = AttributeSpec(dtype=np.dtype(dtype).name, channel_names=channels, extra=dict(extra_meta or {}))
    row_shape = [] if channels is None else [len(channels)]
    meta = attribute_document("attribute", name, spec) | {"row_shape": row_shape}
    level_group.create_chunk_array(path, meta)


def _check_absence(level_group: Group, name: str, exist_ok: bool) -> None:
    if not exist_ok and level_group.array_exists(name):
        raise ArrayError(f"{node_path(level_group.path, name)}: the array is there already")


def write_chunk_vertices(
    level_group: Group,
    chunk_coords: ChunkKey,
    groups: Sequence[npt.ArrayLike],
    dtype: npt.DTypeLike | None = None,
) -> IntArray:
    """Write the vertices of one chunk, a range fragment for each array given.

    Parameters
    ----------
    level_group : Group
        Group of a level.
    chunk_coords : sequence of int or str
        The chunk.
    groups : sequence of (N_k, D) arrays
        Positions by fragment; whether they lie inside the chunk is not checked, only that they do in
        the bounds that ``create_store`` was told.
    dtype : data type, optional
        That of the array, which is taken by default.

    Returns
    -------
    (K,) int64
        Where in the payload each fragment starts, in bytes.

    Raises
    ------
    ShapeError
        An array is not ``(N, D)``.
    ArgumentError
        `dtype` is not that of the array, or the chunk lies outside the grid.
    ArrayError
        There is no vertices array.
    OutOfBoundsError
        Positions lie outside the bounds of the store.
    """
    spec = _declared(level_group, VERTICES)
    stored = _checked_dtype(VERTICES, spec, dtype)
    arrays = [np.asarray(group, stored) for group in groups]
    widths = {array.shape[1:] for array in arrays}
    if any(array.ndim != 2 for array in arrays) or len(widths) > 1:
        raise ShapeError(f"groups: expected (N, D) arrays of one D, got shapes {[a.shape for a in arrays]}")
    for array in arrays:
        _require_inside(level_group, array)
    counts = np.array([len(array) for array in arrays], np.int64)
    starts = offsets_of(counts)
    table = Fragments(np.array([0, len(counts)], np.int64), starts[:-1], counts)
    index, _ = fragment_payloads(table)
    payload = b"".join(array.tobytes() for array in arrays)
    level_group.write_bytes(VERTICES, chunk_coords, payload)
    level_group.write_bytes(VERTEX_FRAGMENTS, chunk_coords, index.tobytes() if payload else b"")
    return starts[:-1] * (stored.itemsize * (widths.pop()[0] if widths else 1))


def write_chunk_attributes(
    level_group: Group,
    attr_name: str,
    chunk_coords: ChunkKey,
    attr_groups: Sequence[npt.ArrayLike],
    dtype: npt.DTypeLike | None = None,
) -> None:
    """Write a vertex attribute of one chunk.

    Parameters
    ----------
    level_group : Group
        Group of a level.
    attr_name : str
        Name of the attribute.
    chunk_coords : sequence of int or str
        The chunk.
    attr_groups : sequence of (N_k,) or (N_k, C) arrays
        Values by fragment, as many as vertices were written.
    dtype : data type, optional
        That of the array, which is taken by default.

    Raises
    ------
    ShapeError
        The values have another number of channels than the array.
    ArgumentError
        `dtype` is not that of the array, or the chunk lies outside the grid.
    ArrayError
        There is no such array.
    """
    path = f"{VERTEX_ATTRIBUTES}/{attr_name}"
    spec = _declared(level_group, path)
    stored = _checked_dtype(path, spec, dtype)
    row = () if spec.channels is None else (spec.channels,)
    arrays = [np.asarray(group, stored) for group in attr_groups]
    if any(array.shape[1:] != row for array in arrays):
        raise ShapeError(
            f"attr_groups: rows of {attr_name!r} have shape {row}, got arrays of {[a.shape for a in arrays]}"
        )
    level_group.write_bytes(path, chunk_coords, b"".join(array.tobytes() for array in arrays))


def read_chunk_vertices(
    level_group: Group, chunk_coords: ChunkKey, dtype: npt.DTypeLike | None = None, ndim: int | None = None
) -> list[FloatArray]:
    """Read the vertices of one chunk by fragment.

    Parameters
    ----------
    level_group : Group
        Group of a level.
    chunk_coords : sequence of int or str
        The chunk.
    dtype : data type, optional
        That of the array, which is taken by default.
    ndim : int, optional
        Columns of the positions; as many as the store has axes by default.

    Returns
    -------
    list of (N_k, D) arrays
        One per fragment; explicit fragments may share rows. A chunk that holds nothing has none.

    Raises
    ------
    ArrayError
        There is no such array, or a cell is damaged.
    ArgumentError
        `dtype` is not that of the array.
    """
    stored = _checked_dtype(VERTICES, _declared(level_group, VERTICES), dtype)
    columns = level_group.reader.root.ndim if ndim is None else int(ndim)
    rows = _rows(level_group, VERTICES, chunk_coords, stored, (columns,))
    return _by_fragment(level_group, chunk_coords, rows)


def read_chunk_attributes(
    level_group: Group, attr_name: str, chunk_coords: ChunkKey, dtype: npt.DTypeLike | None = None
) -> list[AnyArray]:
    """Read a vertex attribute of one chunk by fragment; parameters and errors as those of the vertices."""
    path = f"{VERTEX_ATTRIBUTES}/{attr_name}"
    spec = _declared(level_group, path)
    stored = _checked_dtype(path, spec, dtype)
    rows = _rows(level_group, path, chunk_coords, stored, () if spec.channels is None else (spec.channels,))
    return _by_fragment(level_group, chunk_coords, rows)


def list_chunk_keys(level_group: Group, array_name: str = VERTICES) -> list[tuple[int, ...]]:
    """Return the coordinates of the chunks of an array that hold something, in numeric order."""
    return [parse_key(key, array_name) for key in level_group.list_chunk_keys(array_name)]


def record_vertex_count(level_group: Group) -> int:
    """Count the vertices of a level that was written chunk by chunk, and note the count in its metadata.

    Parameters
    ----------
    level_group : Group
        Group of a level.

    Returns
    -------
    int
        Number of vertices.
    """
    handle, number = level_group.handle, int(level_group.name)
    store = handle.reader
    level = store.level(number)
    stride = level.arrays.vertices.spec.row_stride
    count = 0
    for start in range(0, len(level.chunks), _CHUNKS_AT_ONCE):
        chunks = level.chunks[start : start + _CHUNKS_AT_ONCE]
        (cells,) = fetch_cells(store.storage, [level.arrays.vertices], chunks)
        count += sum(memoryview(cells.payload(row)).nbytes // stride for row in range(len(chunks)))
    present = tuple(sorted({*level.metadata.arrays_present, *level_group.children()}))
    metadata = replace(level.metadata, vertex_count=count, arrays_present=present, nodes=())
    attributes = store.revision.level_attributes(metadata, level.attributes)
    handle.write_documents({level_group.path: group_document(attributes)})
    return count


def _declared(level_group: Group, name: str) -> AttributeSpec:
    path = node_path(level_group.path, name)
    return parse_attribute(level_group.handle.attributes(path), path)


def _require_inside(level_group: Group, positions: FloatArray) -> None:
    """Refuse positions outside the bounds that a store was made with, in the precision of the positions."""
    handle = level_group.handle
    if not len(positions) or handle.revision is None or DECLARED_KEY not in handle.reader.attributes:
        return
    bounds = handle.reader.root.bounds
    fits = positions.shape[1:] == (len(bounds[0]),)
    outside = outside_rows(positions, as_stored(bounds, positions.dtype)) if fits else np.zeros(0, np.int64)
    if len(outside):
        raise OutOfBoundsError(
            f"groups: {positions[outside[0]].tolist()} lies outside the bounds of the store, {bounds}; grow them with "
            "set_bounds first"
        )


def _checked_dtype(name: str, spec: AttributeSpec, dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    if dtype is not None and np.dtype(dtype).newbyteorder("<") != spec.numpy_dtype:
        raise ArgumentError(f"dtype: {name} holds {spec.dtype}, got {np.dtype(dtype).name}")
    return spec.numpy_dtype


def _rows(level_group: Group, name: str, chunk: ChunkKey, dtype: np.dtype[Any], row: tuple[int, ...]) -> AnyArray:
    payload = level_group.read_bytes(name, chunk)
    stride = dtype.itemsize * int(np.prod(row, dtype=np.int64))
    if len(payload) % stride:
        where = f"{node_path(level_group.path, name)}: chunk {parse_key(chunk, name)}"
        raise ArrayError(f"{where} holds {len(payload)} bytes, expected a multiple of {stride}")
    return np.frombuffer(payload, dtype).reshape(-1, *row)


def _by_fragment(level_group: Group, chunk: ChunkKey, rows: AnyArray) -> list[AnyArray]:
    payload = level_group.read_bytes(VERTEX_FRAGMENTS, chunk)
    if not payload:
        return [rows] if len(rows) else []
    table = parse_fragments([payload])
    explicit = np.zeros(table.count, bool) if table.explicit is None else table.explicit
    ends = table.starts + table.counts
    limit = np.where(explicit, len(table.rows), len(rows))
    if (ends > limit).any() or (table.rows >= len(rows)).any():
        where = f"{node_path(level_group.path, VERTEX_FRAGMENTS)}: chunk {parse_key(chunk, VERTEX_FRAGMENTS)}"
        raise ArrayError(f"{where} names rows beyond the {len(rows)} that its chunk holds")
    spans = zip(explicit.tolist(), table.starts.tolist(), ends.tolist(), strict=True)
    return [rows[table.rows[start:end]] if listed else rows[start:end] for listed, start, end in spans]
