"""Payloads of a level → grid arrays: framing, compression, shards and their metadata (writing side)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.encoding.compression import Pipeline
from zarr_vectors.encoding.shard import encode_shard
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.layout import CellPayloads, LevelOptions
from zarr_vectors.parallel import split_evenly, thread_map, worker_count
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import Bytes, Document, IntArray

SHARD_BYTES = 128 << 20
MAX_SHARD_CELLS = 1 << 18
INDEX_ENTRY = 16
FILE_COST = 4096


@dataclass(frozen=True, slots=True)
class GridExtent:
    """The chunk grid that every array of a level shares.

    Parameters
    ----------
    origin, shape : tuple of int
        Lowest chunk and number of chunks along every axis.
    """

    origin: tuple[int, ...]
    shape: tuple[int, ...]


def choose_shard_shape(option: Any, extent: GridExtent, payload_bytes: int, cells: IntArray) -> tuple[int, ...] | None:
    """Return the shard shape of an array, in chunks.

    Parameters
    ----------
    option : tuple of int, int, "auto" or None
        What the user asked for; "auto" makes shards of about 128 MB, at most 262,144 cells each, and smaller
        ones where most cells are empty: a shard's index has 16 bytes for every cell.
    extent : GridExtent
        Grid of the level.
    payload_bytes : int
        Uncompressed size of the array.
    cells : (C, S) int64
        The cells that hold something, counted from the origin of the grid.
    """
    if option is None:
        return None
    if isinstance(option, str):
        if option != "auto":
            raise ArgumentError(f"shard_shape: expected 'auto', None, a number or one per axis, got {option!r}")
        return _without_empty_cells(_shards_of_size(extent.shape, payload_bytes), cells)
    numbers = (option,) * len(extent.shape) if np.ndim(option) == 0 else tuple(option)
    whole = all(isinstance(n, (int, float, np.integer, np.floating)) and n >= 1 and n % 1 == 0 for n in numbers)
    if len(numbers) != len(extent.shape) or not whole or any(isinstance(n, bool) for n in numbers):
        raise ArgumentError(f"shard_shape: expected {len(extent.shape)} whole numbers of chunks, got {option!r}")
    return tuple(min(int(n), s) for n, s in zip(numbers, extent.shape, strict=True))


def _shards_of_size(shape: tuple[int, ...], payload_bytes: int) -> tuple[int, ...]:
    shard = list(shape)
    cells = math.prod(shape)
    wanted = min(MAX_SHARD_CELLS, cells * SHARD_BYTES / max(1, payload_bytes))
    while math.prod(shard) > wanted and max(shard) > 1:
        _halve(shard)
    return tuple(shard)


def _halve(shard: list[int]) -> None:
    axis = max(range(len(shard)), key=lambda d: shard[d])
    shard[axis] = -(-shard[axis] // 2)


def _without_empty_cells(shape: tuple[int, ...], cells: IntArray) -> tuple[int, ...]:
    """Halve a shard shape as long as that leaves out more bytes of index than the further files cost."""
    shard, best = list(shape), shape
    least = math.inf
    while len(cells):
        used = _count_distinct(cells // np.array(shard, np.int64))
        cost = used * (FILE_COST + INDEX_ENTRY * math.prod(shard))
        if cost < least:
            least, best = cost, tuple(shard)
        if cost > 2 * least or max(shard) == 1:
            break
        _halve(shard)
    return best


def _count_distinct(rows: IntArray) -> int:
    """Return the number of distinct rows of non-negative numbers."""
    shape = [int(n) + 1 for n in rows.max(axis=0)]
    if math.prod(shape) < 1 << 62:
        return len(np.unique(np.ravel_multi_index(tuple(rows.T), shape)))
    return len(np.unique(rows, axis=0))


def sharded_codecs(cell_codecs: list[Document], ndim: int) -> list[Document]:
    """Return the codecs of an array whose cells, each stored by some codecs, are packed into shards.

    Parameters
    ----------
    cell_codecs : list of dict
        Codecs of a cell.
    ndim : int
        Axes of the grid.
    """
    configuration: Document = {
        "chunk_shape": [1] * ndim,
        "codecs": cell_codecs,
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return [{"name": "sharding_indexed", "configuration": configuration}]


def grid_document(
    payloads: CellPayloads, extent: GridExtent, codecs: list[Document], shard_shape: tuple[int, ...] | None
) -> Document:
    """Return the ``zarr.json`` of a grid array."""
    cell_codecs: list[Document] = [{"name": "vlen-bytes", "configuration": {}}, *codecs]
    ones = [1] * len(extent.shape)
    if shard_shape is not None:
        cell_codecs = sharded_codecs(cell_codecs, len(ones))
    filled = payloads.chunks[np.diff(payloads.offsets) > 0]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(extent.shape),
        "data_type": "variable_length_bytes",
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": ones if shard_shape is None else list(shard_shape)},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "",
        "codecs": cell_codecs,
        "attributes": payloads.document
        | {"chunk_grid_origin": list(extent.origin), "nonempty_chunks": sorted(format_keys(filled))},
        "storage_transformers": [],
    }


def encode_grid(
    level_path: str, payloads: CellPayloads, extent: GridExtent, options: LevelOptions
) -> tuple[Iterator[tuple[str, BlobParts]], tuple[str, bytes]]:
    """Return the data objects of a grid array (made as they are consumed) and its metadata object."""
    path = f"{level_path}/{payloads.path}"
    codecs = options.codecs(payloads.itemsize)
    cells = payloads.chunks - np.array(extent.origin, np.int64)
    shard_shape = choose_shard_shape(options.shard_shape, extent, int(payloads.offsets[-1]), cells)
    document = grid_document(payloads, extent, codecs, shard_shape)
    pipeline = Pipeline.from_documents(codecs)
    if shard_shape is None:
        data = _single_cells(path, payloads, cells, pipeline, options.batch_bytes)
    else:
        data = _shards(path, payloads, cells, pipeline, shard_shape, options.batch_bytes)
    return data, (f"{path}/zarr.json", json.dumps(document).encode())


def _single_cells(
    path: str, payloads: CellPayloads, cells: IntArray, pipeline: Pipeline, batch_bytes: int
) -> Iterator[tuple[str, BlobParts]]:
    for first, last in payloads.batches(batch_bytes):
        names = [f"{path}/c/" + "/".join(map(str, cell)) for cell in cells[first:last].tolist()]
        for name, blob in zip(names, encode_cells(payloads, first, last, pipeline), strict=True):
            if blob is not None:
                yield name, blob


def _shards(
    path: str,
    payloads: CellPayloads,
    cells: IntArray,
    pipeline: Pipeline,
    shard_shape: tuple[int, ...],
    batch_bytes: int,
) -> Iterator[tuple[str, BlobParts]]:
    """Yield shards as soon as their last cell is encoded."""
    if len(cells) == 0:
        return
    shard_of, inner = np.divmod(cells, np.array(shard_shape, np.int64))
    places = np.ravel_multi_index(tuple(inner.T), shard_shape).tolist()
    names, number = np.unique(shard_of, axis=0, return_inverse=True)
    number = number.reshape(-1)
    waiting = np.bincount(number).tolist()
    slots: dict[int, list[Bytes | None]] = {}
    for first, last in payloads.batches(batch_bytes):
        blobs = encode_cells(payloads, first, last, pipeline)
        for cell, shard, blob in zip(range(first, last), number[first:last].tolist(), blobs, strict=True):
            slots.setdefault(shard, [None] * math.prod(shard_shape))[places[cell]] = blob
            waiting[shard] -= 1
            if waiting[shard] == 0:
                filled = slots.pop(shard)
                if any(slot is not None for slot in filled):
                    yield f"{path}/c/" + "/".join(map(str, names[shard].tolist())), encode_shard(filled)


def encode_cells(payloads: CellPayloads, first: int, last: int, pipeline: Pipeline) -> list[Bytes | None]:
    """Frame and compress cells ``[first, last)``, on the thread pool where that takes long; None for empty ones."""
    buffer = payloads.part(first, last)
    offsets = (payloads.offsets[first : last + 1] - payloads.offsets[first]).tolist()

    def encode(part: slice) -> list[Bytes | None]:
        return [
            pipeline.encode_cell(buffer[a:b]) if b > a else None
            for a, b in zip(offsets[part.start : part.stop], offsets[part.start + 1 : part.stop + 1], strict=True)
        ]

    if not pipeline.compressed:
        return encode(slice(0, last - first))
    parts = split_evenly(last - first, 4 * worker_count())
    return [blob for part in thread_map(encode, parts) for blob in part]
