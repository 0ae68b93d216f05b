"""Putting the cells of a grid array into other objects: into shards of another shape, or one object a cell.

Cells are moved as they are stored; none is decoded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zarr_vectors.encoding.shard import encode_shard
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.layout import Blobs
from zarr_vectors.formats.v09.grid_array import GridArray
from zarr_vectors.formats.v09.grid_encoding import sharded_codecs
from zarr_vectors.formats.v09.grid_update import object_addresses
from zarr_vectors.ordering import lexicographic_order
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import Bytes, Document, IntArray


@dataclass(frozen=True, slots=True)
class Repack:
    """One grid array and the shards that it is to have.

    Parameters
    ----------
    array : GridArray
        The array, whose chunks are known.
    document : dict
        Its ``zarr.json``.
    shard_shape : tuple of int, optional
        Chunks of a new shard along every axis; None stores one object a chunk.
    """

    array: GridArray
    document: Document
    shard_shape: tuple[int, ...] | None

    @property
    def changes(self) -> bool:
        """Whether the array is stored otherwise now."""
        return self.shard_shape != self.array.shard_shape

    def order(self) -> tuple[IntArray, IntArray]:
        """Return the chunks in an order in which those of a new object stand together.

        Returns
        -------
        chunks : (C, S) int64
            The chunks; where every one gets an object of its own, those that share one now stand together.
        borders : (n + 1,) int64
            Where the chunks of each new object start.
        """
        chunks = self._chunks()
        near = self.shard_shape or self.array.shard_shape
        if near is not None and len(chunks):
            chunks = chunks[lexicographic_order(self._places(chunks, near))]
        if self.shard_shape is None or not len(chunks):
            return chunks, np.arange(len(chunks) + 1, dtype=np.int64)
        shards = self._places(chunks, self.shard_shape)
        changes = np.flatnonzero((shards[1:] != shards[:-1]).any(axis=1)) + 1
        return chunks, np.concatenate([[0], changes, [len(chunks)]]).astype(np.int64)

    def objects(self, chunks: IntArray, blobs: Blobs) -> list[tuple[str, BlobParts]]:
        """Return what to write for some chunks, all those of every new object that is concerned.

        Parameters
        ----------
        chunks : (n, S) int64
            The chunks, in the order of :meth:`order`.
        blobs : sequence
            Their stored cells, as ``array.cell_requests`` asks for them.
        """
        addresses = self._addresses(chunks, self.shard_shape)
        if self.shard_shape is None:
            return [(a, blob) for a, blob in zip(addresses, blobs, strict=True) if blob is not None]
        inner = (chunks - self.array.origin) % np.array(self.shard_shape)
        places = np.ravel_multi_index(tuple(inner.T), self.shard_shape).tolist()
        shards: dict[str, list[Bytes | None]] = {}
        for address, place, blob in zip(addresses, places, blobs, strict=True):
            if blob is not None:
                shards.setdefault(address, [None] * math.prod(self.shard_shape))[place] = blob
        return [(address, encode_shard(slots)) for address, slots in shards.items()]

    def present(self) -> list[str]:
        """Return the addresses of the objects that the cells are in now."""
        return list(dict.fromkeys(self._addresses(self._chunks(), self.array.shard_shape)))

    def coming(self) -> list[str]:
        """Return the addresses of the objects that the cells will be in."""
        return list(dict.fromkeys(self._addresses(self._chunks(), self.shard_shape)))

    def metadata(self) -> Document:
        """Return the array's ``zarr.json`` with the new shards."""
        codecs = self.document["codecs"]
        if codecs[0]["name"] == "sharding_indexed":
            codecs = codecs[0]["configuration"]["codecs"]
        ones = [1] * len(self.array.shape)
        if self.shard_shape is not None:
            codecs = sharded_codecs(codecs, len(ones))
        outer = ones if self.shard_shape is None else list(self.shard_shape)
        attributes = {**(self.document.get("attributes") or {}), "nonempty_chunks": sorted(format_keys(self._chunks()))}
        return {
            **self.document,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": outer}},
            "codecs": codecs,
            "attributes": attributes,
        }

    def _chunks(self) -> IntArray:
        assert self.array.chunks is not None
        return self.array.chunks

    def _places(self, chunks: IntArray, shard_shape: tuple[int, ...] | None) -> IntArray:
        places = chunks - self.array.origin
        return places if shard_shape is None else places // np.array(shard_shape)

    def _addresses(self, chunks: IntArray, shard_shape: tuple[int, ...] | None) -> list[str]:
        return object_addresses(self.array, self.document, self._places(chunks, shard_shape))
