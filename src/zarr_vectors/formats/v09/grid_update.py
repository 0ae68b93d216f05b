"""Changing single cells of a grid array that exists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.encoding.shard import decode_shard_index, encode_shard, shard_index_length
from zarr_vectors.exceptions import ArgumentError, ArrayError
from zarr_vectors.formats.chunk_keys import format_keys, key_encoding
from zarr_vectors.formats.layout import Blobs, CellPayloads
from zarr_vectors.formats.v09.grid_array import EMPTY_CELL, GridArray
from zarr_vectors.formats.v09.grid_encoding import GridExtent, grid_document
from zarr_vectors.storage.port import BlobParts, Range
from zarr_vectors.typing import Bytes, Document, IntArray

Objects = list[tuple[str, BlobParts]]


@dataclass(frozen=True, slots=True)
class GridUpdate:
    """New payloads for some cells of a grid array.

    Parameters
    ----------
    array : GridArray
        The array.
    document : dict
        Its ``zarr.json``.
    chunks : (n, S) int64
        The chunks, each once.
    payloads : sequence of bytes
        Their payloads; an empty one empties the cell.

    Raises
    ------
    ArgumentError
        When a chunk lies outside the grid.
    """

    array: GridArray
    document: Document
    chunks: IntArray
    payloads: Sequence[Bytes]

    def __post_init__(self) -> None:
        cells = self.chunks - self.array.origin
        outside = ((cells < 0) | (cells >= np.array(self.array.shape))).any(axis=1)
        if outside.any():
            last = (self.array.origin + np.array(self.array.shape) - 1).tolist()
            raise ArgumentError(
                f"{self.array.path}: chunk {format_keys(self.chunks[outside])[0]} lies outside the grid from "
                f"{self.array.origin.tolist()} to {last}; grow the bounds of the store with set_bounds first"
            )

    def requests(self) -> list[Range]:
        """Return the shards that the cells go into, to be read whole; none where there are no shards."""
        return [Range(address) for address in dict.fromkeys(self._addresses())] if self.array.shard_shape else []

    def objects(self, blobs: Blobs) -> tuple[Objects, list[str]]:
        """Return what is to be written and the addresses to be deleted.

        Parameters
        ----------
        blobs : sequence
            What :meth:`requests` asked for.
        """
        stored = [self._stored(payload) for payload in self.payloads]
        addresses = self._addresses()
        if self.array.shard_shape is None:
            written: Objects = [(a, blob) for a, blob in zip(addresses, stored, strict=True) if blob is not None]
            return written, [a for a, blob in zip(addresses, stored, strict=True) if blob is None]
        places = self._places()
        objects: Objects = []
        emptied = []
        for address, old in zip(dict.fromkeys(addresses), blobs, strict=True):
            slots = shard_cells(self.array, self.document, address, old)
            for row, place in enumerate(places.tolist()):
                if addresses[row] == address:
                    slots[place] = stored[row]
            if any(slot is not None for slot in slots):
                objects.append((address, encode_shard(slots, checksum=has_checksum(self.document))))
            else:
                emptied.append(address)
        return objects, emptied

    def metadata(self) -> Document:
        """Return the array's ``zarr.json`` with the chunks in use after the change."""
        known = self.array.chunks
        keys = set() if known is None else set(format_keys(known))
        for key, payload in zip(format_keys(self.chunks), self.payloads, strict=True):
            (keys.add if memoryview(payload).nbytes else keys.discard)(key)
        attributes = {**(self.document.get("attributes") or {}), "nonempty_chunks": sorted(keys)}
        return {**self.document, "attributes": attributes}

    def _stored(self, payload: Bytes) -> Bytes | None:
        return self.array.pipeline.encode_cell(payload) if memoryview(payload).nbytes else None

    def _addresses(self) -> list[str]:
        places = self.chunks - self.array.origin
        if self.array.shard_shape is not None:
            places = places // np.array(self.array.shard_shape)
        return object_addresses(self.array, self.document, places)

    def _places(self) -> IntArray:
        assert self.array.shard_shape is not None
        inner = (self.chunks - self.array.origin) % np.array(self.array.shard_shape)
        return np.asarray(np.ravel_multi_index(tuple(inner.T), self.array.shard_shape), np.int64)


def object_addresses(array: GridArray, document: Document, places: IntArray) -> list[str]:
    """Return the addresses of the cells, or shards, at some places of the Zarr chunk grid."""
    encoding, separator = key_encoding(document, array.path)
    start = f"{array.path}/c{separator}" if encoding == "default" else f"{array.path}/"
    return [start + separator.join(map(str, place)) for place in places.tolist()]


def has_checksum(document: Document) -> bool:
    """Return whether the shard indexes of an array end with a checksum."""
    codecs = document["codecs"][0].get("configuration", {}).get("index_codecs", [])
    return any(codec["name"] == "crc32c" for codec in codecs)


def shard_cells(array: GridArray, document: Document, address: str, blob: Bytes | None) -> list[Bytes | None]:
    """Return the stored cells of a shard in C order, None for empty ones.

    Raises
    ------
    ArrayError
        When the shard is damaged.
    """
    assert array.shard_shape is not None
    count = math.prod(array.shard_shape)
    if blob is None:
        return [None] * count
    data = memoryview(blob)
    checksum = has_checksum(document)
    length = shard_index_length(count, checksum)
    if len(data) < length:
        raise ArrayError(f"{address}: {len(data)} bytes are too few for the index of a shard of {count} cells")
    try:
        index = decode_shard_index(data[-length:], count, len(data), checksum=checksum)
    except ArrayError as error:
        raise ArrayError(f"{address}: {error}") from error
    return [None if start == int(EMPTY_CELL) else data[start : start + size] for start, size in index.tolist()]


def new_grid_document(
    extent: GridExtent,
    codecs: Sequence[Document],
    shard_shape: tuple[int, ...] | None,
    attributes: Mapping[str, object],
) -> Document:
    """Return the ``zarr.json`` of a grid array without cells.

    Parameters
    ----------
    extent : GridExtent
        Its grid.
    codecs : sequence of dict
        Compression of a cell.
    shard_shape : tuple of int, optional
        Chunks of a shard along every axis.
    attributes : mapping
        The array's own metadata.
    """
    none = np.zeros((0, len(extent.shape)), np.int64)
    empty = CellPayloads("", dict(attributes), none, np.zeros(0, np.uint8), np.zeros(1, np.int64), 1)
    return grid_document(empty, extent, list(codecs), shard_shape)
