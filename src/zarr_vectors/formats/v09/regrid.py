"""Moving the cells of grid arrays to another chunk grid: origin and shape change, cells stay as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.encoding.shard import encode_shard
from zarr_vectors.formats.layout import Blobs
from zarr_vectors.formats.v09.grid_array import GridArray
from zarr_vectors.formats.v09.grid_encoding import GridExtent
from zarr_vectors.formats.v09.grid_update import has_checksum, object_addresses
from zarr_vectors.model.grid import grid_extent
from zarr_vectors.ordering import lexicographic_order
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import Bytes, Document, IntArray

_CELLS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Regrid:
    """One grid array and the grid that it is to have.

    Parameters
    ----------
    array : GridArray
        The array, whose chunks are known.
    document : dict
        Its ``zarr.json``.
    extent : GridExtent
        The new grid, which covers all chunks.
    """

    array: GridArray
    document: Document
    extent: GridExtent

    @property
    def moves(self) -> bool:
        """Whether cells change their places; otherwise the metadata alone changes."""
        return tuple(self.array.origin.tolist()) != self.extent.origin

    def batches(self) -> Iterator[IntArray]:
        """Yield the chunks in groups whose cells are to be fetched together: whole shards where there are any."""
        chunks = self._chunks()
        if self.array.shard_shape is None:
            for start in range(0, len(chunks), _CELLS_AT_ONCE):
                yield chunks[start : start + _CELLS_AT_ONCE]
            return
        shards = self._places(chunks, self.extent.origin)
        chunks, shards = chunks[order := lexicographic_order(shards)], shards[order]
        borders = np.flatnonzero((shards[1:] != shards[:-1]).any(axis=1)) + 1
        yield from (part for part in np.split(chunks, borders) if len(part))

    def objects(self, chunks: IntArray, blobs: Blobs) -> list[tuple[str, BlobParts]]:
        """Return what to write for one batch.

        Parameters
        ----------
        chunks : (n, S) int64
            The batch.
        blobs : sequence
            The stored cells of its chunks, as ``array.cell_requests`` asks for them.
        """
        addresses = self._addresses(chunks, self.extent.origin)
        if self.array.shard_shape is None:
            return [(a, blob) for a, blob in zip(addresses, blobs, strict=True) if blob is not None]
        shape = np.array(self.array.shard_shape)
        inner = (chunks - np.array(self.extent.origin)) % shape
        places = np.ravel_multi_index(tuple(inner.T), self.array.shard_shape)
        slots: list[Bytes | None] = [None] * math.prod(self.array.shard_shape)
        for place, blob in zip(places.tolist(), blobs, strict=True):
            slots[place] = blob
        return [(addresses[0], encode_shard(slots, checksum=has_checksum(self.document)))]

    def stale(self) -> list[str]:
        """Return the addresses that hold cells of the old grid and none of the new one."""
        chunks = self._chunks()
        old = dict.fromkeys(self._addresses(chunks, tuple(self.array.origin.tolist())))
        return [address for address in old if address not in set(self._addresses(chunks, self.extent.origin))]

    def metadata(self) -> Document:
        """Return the array's ``zarr.json`` with the new grid."""
        attributes = {**(self.document.get("attributes") or {}), "chunk_grid_origin": list(self.extent.origin)}
        return {**self.document, "shape": list(self.extent.shape), "attributes": attributes}

    def _chunks(self) -> IntArray:
        assert self.array.chunks is not None
        return self.array.chunks

    def _places(self, chunks: IntArray, origin: tuple[int, ...]) -> IntArray:
        places = chunks - np.array(origin, np.int64)
        return places if self.array.shard_shape is None else places // np.array(self.array.shard_shape)

    def _addresses(self, chunks: IntArray, origin: tuple[int, ...]) -> list[str]:
        return object_addresses(self.array, self.document, self._places(chunks, origin))


def covering_extent(
    bounds: tuple[Sequence[float], Sequence[float]],
    chunk_shape: Sequence[float],
    chunks: IntArray,
    present: GridExtent,
) -> GridExtent:
    """Return the grid of a level for some bounds: theirs, and of the chunks where they reach beyond it.

    Parameters
    ----------
    bounds : pair of (D,) sequences
        Corners.
    chunk_shape : (D,) sequence
        Chunk edge lengths of the level.
    chunks : (C, S) int64
        Chunks that hold something; S is D, or D + 1 in attribute-chunked levels.
    present : GridExtent
        The grid the level has, whose leading axis stays in attribute-chunked levels.
    """
    origin, shape = grid_extent(bounds, chunk_shape)
    low, high = np.array(origin), np.array(origin) + np.array(shape)
    leading = len(present.origin) - len(origin)
    if len(chunks):
        low = np.minimum(low, chunks[:, leading:].min(axis=0))
        high = np.maximum(high, chunks[:, leading:].max(axis=0) + 1)
    first = (*present.origin[:leading], *(int(v) for v in low))
    extents = (*present.shape[:leading], *(int(v) for v in high - low))
    return GridExtent(first, extents)
