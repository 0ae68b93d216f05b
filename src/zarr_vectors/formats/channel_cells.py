"""Attributes of several channels whose channels are apart: in the chunks of each bin of channels, or one by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArrayError, MetadataError
from zarr_vectors.formats.layout import Blobs, CellArray, CellPayloads, PlainCells
from zarr_vectors.model.attributes import CHANNEL_BINS, AttributeSpec, Column
from zarr_vectors.model.cells import Cells
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import ByteArray, Bytes, Document, IntArray


def channel_edges(spec: AttributeSpec, where: str) -> tuple[int, ...] | None:
    """Return where each bin of channels starts, and the number of channels; None where channels are together.

    Raises
    ------
    MetadataError
        When they are not ascending whole numbers from 0 to the number of channels.
    """
    edges = spec.extra.get(CHANNEL_BINS)
    if edges is None:
        return None
    whole = isinstance(edges, list) and all(isinstance(edge, int) for edge in edges)
    if not whole or edges[:1] != [0] or edges[-1] != spec.channels or any(a >= b for a, b in pairwise(edges)):
        raise MetadataError(f"{where}: {CHANNEL_BINS} must ascend from 0 to {spec.channels}, got {edges!r:.99}")
    return tuple(edges)


def channels_apart(array: CellArray) -> CellArray:
    """Return an attribute that is read as one though its channels are apart, where its metadata say that they are."""
    edges = channel_edges(array.spec, array.path)
    return array if edges is None else ChannelCells(array, edges)


class _Cells:
    """What follows from the array below."""

    def __init__(self, inner: CellArray) -> None:
        self.inner = inner
        self.path, self.document = inner.path, inner.document

    def stored_chunks(self, addresses: Sequence[str]) -> IntArray:
        """Return those of the array below."""
        return self.inner.stored_chunks(addresses)

    def list_chunks(self, addresses: Sequence[str]) -> None:
        """Let the array below derive its chunks."""
        self.inner.list_chunks(addresses)

    def accept_indexes(self, requests: Sequence[Range], blobs: Blobs) -> None:
        """Hand them to the array below."""
        self.inner.accept_indexes(requests, blobs)

    def plain_cells(self, chunks: IntArray) -> PlainCells | None:
        """Return None: rows are put together of several cells, or are parts of them."""
        return None

    def plain_requests(self, chunks: IntArray) -> list[Range]:
        """Return nothing: what is known of the array holds for every cell."""
        return []

    def lies_plain(self, blobs: Blobs) -> bool:
        """Return True."""
        return True

    def row_requests(self, chunks: IntArray, starts: IntArray, stops: IntArray) -> list[Range] | None:
        """Return None, as :meth:`plain_cells` does."""
        return None


class ChannelCells(_Cells):
    """An attribute each of whose bins of channels has chunks of its own; the vertices are in those of the first.

    Parameters
    ----------
    inner : CellArray
        The array as it is stored.
    edges : tuple of int
        First channel of every bin, and the number of channels.
    """

    def __init__(self, inner: CellArray, edges: tuple[int, ...]) -> None:
        super().__init__(inner)
        self.spec = inner.spec
        self.edges = edges
        self.requests_per_cell = (len(edges) - 1) * inner.requests_per_cell

    @property
    def chunks(self) -> IntArray | None:
        """Chunks of the first bin: those of the vertices."""
        chunks = self.inner.chunks
        return None if chunks is None else chunks[chunks[:, 0] == 0]

    def _spread(self, chunks: IntArray) -> IntArray:
        bins = len(self.edges) - 1
        spread = np.repeat(chunks, bins, axis=0)
        spread[:, 0] += np.tile(np.arange(bins), len(chunks))
        return spread

    def index_requests(self, chunks: IntArray) -> list[Range]:
        """Return those of the chunks of all bins."""
        return self.inner.index_requests(self._spread(chunks))

    def cell_requests(self, chunks: IntArray) -> list[Range | None]:
        """Return those of the chunks of all bins, bin after bin."""
        return self.inner.cell_requests(self._spread(chunks))

    def payload_sizes(self, blobs: Blobs) -> IntArray | None:
        """Return the sizes of all bins together."""
        sizes = self.inner.payload_sizes(blobs)
        return None if sizes is None else np.asarray(sizes.reshape(-1, len(self.edges) - 1).sum(axis=1))

    def verify(self, blobs: Blobs, chunks: IntArray) -> None:
        """Compare the cells of all bins with their checksums."""
        self.inner.verify(blobs, self._spread(chunks))

    def payload(self, blobs: Blobs, chunk: IntArray) -> Bytes:
        """Decode the cells of all bins and put their channels side by side."""
        return self.payloads(blobs, chunk[None])[0]

    def payloads(self, blobs: Blobs, chunks: IntArray) -> list[Bytes]:
        """Decode many cells as :meth:`payload` does."""
        bins = len(self.edges) - 1
        parts = self.inner.payloads(blobs, self._spread(chunks))
        return [self._joined(parts[bins * row : bins * (row + 1)], chunk) for row, chunk in enumerate(chunks)]

    def _joined(self, parts: list[Bytes], chunk: IntArray) -> Bytes:
        edges = [edge * self.spec.numpy_dtype.itemsize for edge in self.edges]
        count = memoryview(parts[0]).nbytes // edges[1]
        rows = np.empty((count, edges[-1]), np.uint8)
        for number, (part, (first, last)) in enumerate(zip(parts, pairwise(edges), strict=True)):
            if memoryview(part).nbytes != count * (last - first):
                key = ".".join(map(str, [int(chunk[0]) + number, *chunk[1:].tolist()]))
                raise ArrayError(
                    f"{self.path}: chunk {key} holds {memoryview(part).nbytes} bytes, where {count} rows of "
                    f"{self.edges[number + 1] - self.edges[number]} channels take {count * (last - first)}"
                )
            rows[:, first:last] = np.frombuffer(part, np.uint8).reshape(count, last - first)
        return rows.reshape(-1).data


class OneChannel(_Cells):
    """One channel of an attribute, as a scalar one; of channels that are apart, only its bin is read.

    Parameters
    ----------
    array : CellArray
        The attribute.
    channel : int
        Number of the channel.
    """

    def __init__(self, array: CellArray, channel: int) -> None:
        apart = isinstance(array, ChannelCells)
        super().__init__(array.inner if isinstance(array, ChannelCells) else array)
        edges = np.array(array.edges if isinstance(array, ChannelCells) else (0, array.spec.channels))
        number = int(np.searchsorted(edges, channel, side="right")) - 1
        self.spec = replace(array.spec, channel_names=None)
        self.chunks = array.chunks
        self.requests_per_cell = self.inner.requests_per_cell
        self._bin = number if apart else 0
        self._channel, self._width = channel - int(edges[number]), int(edges[number + 1] - edges[number])

    def _there(self, chunks: IntArray) -> IntArray:
        there = chunks.copy()
        there[:, 0] += self._bin
        return there

    def index_requests(self, chunks: IntArray) -> list[Range]:
        """Return those of the chunks of the channel's bin."""
        return self.inner.index_requests(self._there(chunks))

    def cell_requests(self, chunks: IntArray) -> list[Range | None]:
        """Return those of the chunks of the channel's bin."""
        return self.inner.cell_requests(self._there(chunks))

    def payload_sizes(self, blobs: Blobs) -> IntArray | None:
        """Return the bytes of the channel."""
        sizes = self.inner.payload_sizes(blobs)
        return None if sizes is None else np.where(sizes % self._width == 0, sizes // self._width, -1)

    def verify(self, blobs: Blobs, chunks: IntArray) -> None:
        """Compare cells with their checksums."""
        self.inner.verify(blobs, self._there(chunks))

    def payload(self, blobs: Blobs, chunk: IntArray) -> Bytes:
        """Decode a cell and take the channel out of its rows."""
        return self.payloads(blobs, chunk[None])[0]

    def payloads(self, blobs: Blobs, chunks: IntArray) -> list[Bytes]:
        """Decode many cells as :meth:`payload` does."""
        return [self._taken(part) for part in self.inner.payloads(blobs, self._there(chunks))]

    def _taken(self, part: Bytes) -> Bytes:
        values = np.frombuffer(part, np.uint8)
        size = self.spec.numpy_dtype.itemsize
        if len(values) % (size * self._width):
            return part  # its size says that it is damaged
        taken = values.reshape(-1, self._width, size)[:, self._channel]
        return np.ascontiguousarray(taken).reshape(-1).data


def split_channels(path: str, document: Document, cells: Cells, column: Column, edges: tuple[int, ...]) -> CellPayloads:
    """Return the payloads of an attribute each of whose bins of channels gets chunks of its own.

    Parameters
    ----------
    path : str
        Path of the array below the level.
    document : dict
        Its own metadata.
    cells : Cells
        The level, all of whose chunks are in the first bin.
    column : Column
        The attribute.
    edges : tuple of int
        First channel of every bin, and the number of channels.
    """
    count, values, names = len(cells.chunks), column.values, list(column.spec.channel_names or ())
    document = (
        document
        | {
            "channel_names": names[: edges[1]],  # what another reader finds in the chunks of the vertices
            "row_shape": [edges[1]],
            CHANNEL_BINS: {"starts": list(edges[:-1]), "channel_names": names},
        }
    )
    little = values.dtype.newbyteorder("<")
    chunks = np.tile(cells.chunks, (len(edges) - 1, 1))
    chunks[:, 0] += np.repeat(np.arange(len(edges) - 1), count)
    sizes = np.diff(edges)[:, None] * np.diff(cells.row_offsets)[None] * little.itemsize
    offsets = np.append(0, np.cumsum(sizes.reshape(-1)))

    def part(first: int, last: int) -> ByteArray:
        parts: list[Any] = [np.zeros(0, np.uint8)]
        for number, (low, high) in enumerate(pairwise(edges)):
            a, b = max(first - number * count, 0), min(last - number * count, count)
            if a < b:
                rows = values[int(cells.row_offsets[a]) : int(cells.row_offsets[b]), low:high]
                parts.append(np.ascontiguousarray(rows, little).reshape(-1).view(np.uint8))
        return np.concatenate(parts)

    return CellPayloads(path, document, chunks, part, offsets, little.itemsize)
