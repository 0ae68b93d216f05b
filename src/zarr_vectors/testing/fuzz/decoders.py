"""Every decoder of payloads by itself, with valid payloads to start from."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from zarr_vectors.encoding.categorical import decode_categories
from zarr_vectors.encoding.checksum import checksum_bytes
from zarr_vectors.encoding.compression import Pipeline
from zarr_vectors.encoding.draco import decode_draco, encode_draco
from zarr_vectors.encoding.fragment_index import FragmentIndex, decode_fragment_indexes, encode_fragment_indexes
from zarr_vectors.encoding.links import decode_link_rows, encode_link_rows
from zarr_vectors.encoding.manifests import Manifests, decode_manifests, encode_manifests
from zarr_vectors.encoding.ragged import (
    decode_ragged,
    encode_ragged,
    frame_cell,
    frame_vlen,
    join_ragged,
    unframe_cell,
    unframe_vlen,
)
from zarr_vectors.encoding.shard import decode_shard_index
from zarr_vectors.extras import require
from zarr_vectors.formats.documents import parse_attribute, parse_level, parse_root
from zarr_vectors.formats.v09.grid_array import GridArray
from zarr_vectors.formats.vlen_array import VlenArray
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.storage.consolidated import consolidated_nodes
from zarr_vectors.storage.dense import decode_dense, dense_requests, encode_dense
from zarr_vectors.storage.documents import parse_document
from zarr_vectors.storage.journal import parse_marker

_SINGLE = np.arange(9, dtype=np.int64)
_CODECS: dict[str, dict[str, Any]] = {
    "zstd": {"name": "zstd", "configuration": {"level": 1, "checksum": False}},
    "zstd, checked": {"name": "zstd", "configuration": {"level": 1, "checksum": True}},
    "blosc": {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "shuffle", "typesize": 8}},
    "blosc lz4": {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "noshuffle"}},
    "gzip": {"name": "gzip", "configuration": {"level": 1}},
    "crc32c": {"name": "crc32c"},
    "numcodecs.lzma": {"name": "numcodecs.lzma"},
    "numcodecs.lz4": {"name": "numcodecs.lz4"},
    "numcodecs.bz2": {"name": "numcodecs.bz2"},
    "numcodecs.zlib": {"name": "numcodecs.zlib"},
}


def _pair(data: bytes, count: int = 2) -> tuple[Any, Any]:
    """Cut bytes into as many items of equal length as go."""
    cuts = np.linspace(0, len(data), count + 1).astype(np.int64)
    return np.frombuffer(data, np.uint8), cuts


def _dense(data: bytes, codec: str) -> Any:
    document = json.loads(_DENSE[codec][0])
    decode_dense(document, [data], path="array")


def _dense_document(data: bytes) -> Any:
    document = parse_document(data, "zarr.json")
    requests = dense_requests(document, "array")
    decode_dense(document, [None] * len(requests), path="array")


def _array_document(data: bytes) -> Any:
    document = parse_document(data, "zarr.json")
    for make in (VlenArray, lambda path, found: GridArray(path, found, AttributeSpec("uint8"))):
        array: Any = make("array", document)
        if isinstance(array, VlenArray):
            requests, decode = array.plan(None)
            decode([None] * len(requests))


def _metadata(data: bytes) -> Any:
    document = parse_document(data, "zarr.json")
    attributes = document.get("attributes", document)
    consolidated_nodes(document)
    parse_marker(data, "commit.json") if "moves" in document else None
    if isinstance(attributes, dict):
        kind = "zarr_vectors" in attributes
        parse_root(attributes, "root") if kind else parse_level(attributes, 0, "level")
        parse_attribute(attributes, "attribute")


def _encode_dense(codecs: list[dict[str, Any]]) -> list[bytes]:
    values = np.arange(24.0).reshape(12, 2)
    return [data for _, data in encode_dense("array", values, chunks=(12, 2), codecs=codecs, attributes={"a": 1})]


_DENSE = {
    "zstd": _encode_dense([_CODECS["zstd"]]),
    "blosc": _encode_dense(
        [{**_CODECS["blosc"], "configuration": {**_CODECS["blosc"]["configuration"], "blocksize": 0}}]
    ),
    "none": _encode_dense([]),
}
_INDEX = FragmentIndex(
    np.array([0, 3, 4]),
    np.array([True, False, True, True]),
    np.array([0, 0, 5, 0]),
    np.array([2, 3, 4, 7]),
    np.array([2, 4, 3]),
)
_OBJECT = Manifests(np.array([0, 5]), np.array([[0, 0, 0]] * 3 + [[1, 0, 2]] * 2), np.array([0, 1, 2, 7, 3]))
_OBJECTS = Manifests(np.array([0, 2, 4]), np.array([[0, 0, 0]] * 4), np.array([0, 1, 2, 3]))


def _sources() -> dict[str, tuple[Callable[[bytes], Any], list[bytes]]]:
    fragments, ends = encode_fragment_indexes(_INDEX)
    split = [fragments[a:b].tobytes() for a, b in pairwise(ends.tolist())]
    whole = np.frombuffer(b"abcdefghi", np.uint8)
    pairs = np.arange(8, dtype="<u8").tobytes()
    plain = _SINGLE.tobytes() * 20
    sources: dict[str, tuple[Callable[[bytes], Any], list[bytes]]] = {
        "fragment index": (lambda data: decode_fragment_indexes([data]), split),
        "fragment indexes": (lambda data: decode_fragment_indexes([data, split[0], data]), split),
        "manifests": (
            lambda data: decode_manifests(np.frombuffer(data, np.uint8), np.array([0, len(data)]), 3),
            [encode_manifests(_OBJECT, merge=merge)[0].tobytes() for merge in (False, True)],
        ),
        "two manifests": (
            lambda data: decode_manifests(*_pair(data), 3),
            [encode_manifests(_OBJECTS, merge=merge)[0].tobytes() for merge in (False, True)],
        ),
        "ragged": (decode_ragged, [encode_ragged([plain[:16]]), encode_ragged([b"", plain[:8], plain[:24]])]),
        "ragged blobs": (lambda data: join_ragged([data, data]), [encode_ragged([plain[:16]])]),
        "vlen": (unframe_vlen, [frame_vlen(whole, np.array(c)).tobytes() for c in ([0, 3, 6, 9], [0, 1, 9], [0])]),
        "cell": (unframe_cell, [frame_cell(plain), frame_cell(b"")]),
        "links": (
            lambda data: (decode_link_rows(data, 2), decode_link_rows(data, 3, has_perm=True)),
            [encode_link_rows(_SINGLE[:8].reshape(2, 4)).tobytes()],
        ),
        "shard index": (lambda data: decode_shard_index(data, 4, 1000), [pairs + checksum_bytes(pairs)]),
        "shard index, unchecked": (lambda data: decode_shard_index(data, 4, checksum=False), [pairs]),
        "categories": (
            lambda data: decode_categories(np.frombuffer(data, np.int8), ["a", "b"], -1),
            [bytes([0, 1, 1, 0, 255])],
        ),
        "metadata": (_metadata, _documents()),
        "array metadata": (_array_document, _documents()),
        "dense metadata": (_dense_document, [parts[0] for parts in _DENSE.values()]),
    }
    for codec, parts in _DENSE.items():
        sources[f"dense {codec}"] = (lambda data, codec=codec: _dense(data, codec), parts[1:])  # type: ignore[misc]
    for name, document in _CODECS.items():
        pipeline = Pipeline.from_documents([document])
        sources[name] = (pipeline.decode, [pipeline.encode(plain), pipeline.encode(plain[:8])])
    if find_spec("DracoPy") is not None:
        draco = require("DracoPy", "draco", "Draco")
        blob = encode_draco(draco, np.arange(12, dtype=np.float32).reshape(4, 3), np.array([[0, 1, 2], [1, 2, 3]]), 11)
        sources["draco"] = (decode_draco, [blob])
    return sources


def _documents() -> list[bytes]:
    grid = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [2, 2],
        "data_type": "variable_length_bytes",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1]}},
        "codecs": [{"name": "vlen-bytes"}, _CODECS["zstd"]],
        "attributes": {"nonempty_chunks": ["0.0", "1.1"], "dtype": "float32", "row_shape": [3]},
    }
    inner = {"chunk_shape": [1, 1], "codecs": grid["codecs"], "index_codecs": [{"name": "bytes"}, {"name": "crc32c"}]}
    wide = {"name": "regular", "configuration": {"chunk_shape": [2, 2]}}
    sharded = {**grid, "chunk_grid": wide, "codecs": [{"name": "sharding_indexed", "configuration": inner}]}
    narrow = {"name": "regular", "configuration": {"chunk_shape": [2]}}
    root = {
        "zv_version": "",
        "chunk_shape": [1.0, 1.0],
        "bounds": [[0.0, 0.0], [9.0, 9.0]],
        "geometry_types": ["point_cloud"],
        "attribute_specs": {"vertex": {"a": {"dtype": "int8"}}},
    }
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    blocks = [{"axes": [{"name": "x"}, {"name": "y"}], "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    level = {"level": 0, "vertex_count": 9, "bin_shape": [1.0, 1.0], "nodes": ["vertices"], "arrays_present": ["a"]}
    found: list[Any] = [
        grid,
        sharded,
        {**grid, "shape": [5], "chunk_grid": narrow},
        {"attributes": {"zarr_vectors": root, "multiscales": blocks}},
        {"attributes": {"zarr_vectors_level": level, "dtype": "float64", "channel_names": ["a", "b"]}},
        {"consolidated_metadata": {"kind": "inline", "metadata": {"0/vertices": grid}}, "dtype": "int8"},
        {"moves": ["0/vertices/zarr.json"], "deletions": ["1/zarr.json"]},
    ]
    return [json.dumps(one).encode() for one in found]


DECODERS = _sources()
"""By name what decodes a payload, and valid payloads."""
