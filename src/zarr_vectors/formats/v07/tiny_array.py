"""Tiny arrays: one-dimensional byte arrays of a single Zarr chunk, the only data arrays of revision 0.7."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from zarr_vectors.encoding.codecs import LARGEST_RATIO
from zarr_vectors.encoding.compression import Pipeline
from zarr_vectors.exceptions import ArrayError, MetadataError, UnsupportedFeatureError, ZarrVectorsError
from zarr_vectors.storage.documents import parse_document
from zarr_vectors.storage.port import BlobParts, Range
from zarr_vectors.typing import Bytes, Document

REQUESTS = 2

PLAIN_CELLS = "plain_cells"
"""Key of our own in the metadata of a per-chunk array: its tiny arrays were written without codecs."""


def tiny_requests(path: str) -> list[Range]:
    """Return the two ranges of a tiny array: its metadata and its only chunk."""
    return [Range(f"{path}/zarr.json"), Range(f"{path}/c/0")]


def decode_tiny(path: str, metadata: Bytes | None, data: Bytes | None) -> Bytes:
    """Return the bytes of a tiny array from its two objects.

    Raises
    ------
    ArrayError
        When the bytes cannot be decoded or are not as many as the metadata says.
    MetadataError
        When the metadata is not that of a one-dimensional byte array.
    """
    if metadata is None:
        raise ArrayError(f"{path}: the array is missing")
    size, pipeline = _parse(path, metadata)
    if data is None:
        if size:
            raise ArrayError(f"{path}: its {size} bytes are missing")
        return b""
    try:
        decoded = pipeline.decode(data)
    except ArrayError as error:
        raise ArrayError(f"{path}: {error}") from error
    if memoryview(decoded).nbytes != size:
        raise ArrayError(f"{path}: holds {memoryview(decoded).nbytes} bytes, its metadata says {size}")
    return decoded


def stated_size(path: str, metadata: Bytes | None, data: Bytes | None) -> int | None:
    """Return the number of bytes that a tiny array's metadata states; 0 where the array is absent.

    None where the bytes that are there cannot be so many: decoding says what is wrong.
    """
    if metadata is None:
        return 0
    size = _parse(path, metadata)[0]
    return size if size <= LARGEST_RATIO * (0 if data is None else memoryview(data).nbytes) else None


def is_plain(path: str, metadata: Bytes) -> bool:
    """Return whether the bytes of a tiny array are stored as they are."""
    return not _parse(path, metadata)[1].codecs


def _parse(path: str, metadata: Bytes) -> tuple[int, Pipeline]:
    try:
        document = parse_document(bytes(metadata), f"{path}/zarr.json")
        shape, codecs = document["shape"], document["codecs"]
        if document["data_type"] != "uint8" or len(shape) != 1 or int(shape[0]) < 0:
            raise MetadataError(f"{path}: expected a 1-D uint8 array, got {document['data_type']!r} {shape}")
        chunk = document["chunk_grid"]["configuration"]["chunk_shape"]
        if int(chunk[0]) < int(shape[0]):
            raise UnsupportedFeatureError(f"{path}: {shape[0]} bytes in Zarr chunks of {chunk[0]} are not supported")
        if codecs[0]["name"] != "bytes":
            raise UnsupportedFeatureError(f"{path}: expected codec bytes, found {codecs[0]['name']!r}")
        return int(shape[0]), _pipeline(codecs[1:])
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, ZarrVectorsError):
            raise
        raise MetadataError(f"{path}: malformed zarr.json: {type(error).__name__}: {error}") from error


_pipelines: dict[str, Pipeline] = {}


def _pipeline(codecs: list[Document]) -> Pipeline:
    """Return the pipeline of some codecs; the same few occur in every array of a store."""
    key = json.dumps(codecs, sort_keys=True)
    if key not in _pipelines:
        if len(_pipelines) > 64:
            _pipelines.clear()
        _pipelines[key] = Pipeline.from_documents(codecs)
    return _pipelines[key]


def encode_tiny(
    path: str,
    data: Bytes,
    pipeline: Pipeline,
    codecs: Sequence[Document],
    attributes: Mapping[str, Any] | None = None,
) -> list[tuple[str, BlobParts]]:
    """Return the objects of a tiny array: its chunk (none when it is empty) and its metadata."""
    size = memoryview(data).nbytes
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [size],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [max(1, size)]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}, *codecs],
        "attributes": dict(attributes or {}),
        "storage_transformers": [],
    }
    metadata = (f"{path}/zarr.json", json.dumps(document).encode())
    if size == 0:
        return [metadata]
    return [(f"{path}/c/0", pipeline.encode(data)), metadata]
