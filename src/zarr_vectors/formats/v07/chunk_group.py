"""A per-chunk array of revision 0.7: a group with one tiny array per chunk, named by the chunk key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.formats.chunk_keys import format_keys, is_key, parse_keys
from zarr_vectors.formats.layout import Blobs, PlainCells
from zarr_vectors.formats.v07.tiny_array import PLAIN_CELLS, REQUESTS, decode_tiny, is_plain, stated_size, tiny_requests
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import Bytes, Document, IntArray


class ChunkGroup:
    """Reading side of a per-chunk array.

    Parameters
    ----------
    path : str
        Path of the group below the root of the store.
    document : dict
        The group's attributes.
    spec : AttributeSpec
        Data type and channels of a row.
    ndim : int
        Components of a chunk key.
    names : sequence of str, optional
        Names of the group's children, where they were listed.
    """

    requests_per_cell = REQUESTS

    def __init__(
        self, path: str, document: Document, spec: AttributeSpec, ndim: int, names: Sequence[str] | None
    ) -> None:
        self.path = path
        self.document = document
        self.spec = spec
        self._ndim = ndim
        keys = None if names is None else [name for name in names if is_key(name, ndim)]
        self.chunks: IntArray | None = None if keys is None else parse_keys(keys, ndim, path)

    def stored_chunks(self, addresses: Sequence[str]) -> IntArray:
        """Return nothing: there are no shards."""
        return np.zeros((0, self._ndim), np.int64)

    def list_chunks(self, addresses: Sequence[str]) -> None:
        """Derive the chunks from the addresses below the array."""
        names = {address.removeprefix(f"{self.path}/").split("/")[0] for address in addresses}
        keys = [name for name in names if is_key(name, self._ndim)]
        self.chunks = parse_keys(keys, self._ndim, self.path)

    def index_requests(self, chunks: IntArray) -> list[Range]:
        """Return nothing: the address of a cell follows from its chunk."""
        return []

    def accept_indexes(self, requests: Sequence[Range], blobs: Blobs) -> None:
        """Take in nothing."""

    def cell_requests(self, chunks: IntArray) -> list[Range | None]:
        """Return the metadata and the data range of each chunk's tiny array."""
        requests: list[Range | None] = []
        for key in format_keys(chunks):
            requests.extend(tiny_requests(f"{self.path}/{key}"))
        return requests

    def plain_cells(self, chunks: IntArray) -> PlainCells | None:
        """Return None: the size of a tiny array stands in its own metadata."""
        return None

    def payload_sizes(self, blobs: Blobs) -> IntArray | None:
        """Return the sizes that the metadata of the tiny arrays states."""
        stated = [stated_size(self.path, *blobs[row : row + REQUESTS]) for row in range(0, len(blobs), REQUESTS)]
        return None if None in stated else np.array(stated, np.int64)

    def verify(self, blobs: Blobs, chunks: IntArray) -> None:
        """Do nothing: what cells say of themselves without being decoded stands in metadata."""

    def payload(self, blobs: Blobs, chunk: IntArray) -> Bytes:
        """Decode one cell; an absent array is an empty cell."""
        if blobs[0] is None and blobs[1] is None:
            return b""
        key = ".".join(map(str, chunk.tolist()))
        try:
            return decode_tiny(f"{self.path}/{key}", blobs[0], blobs[1])
        except ArrayError as error:
            raise ArrayError(f"{self.path}: chunk {key}: {error}") from error

    def payloads(self, blobs: Blobs, chunks: IntArray) -> list[Bytes]:
        """Decode many cells one by one: each has codecs of its own."""
        return [self.payload(blobs[REQUESTS * row : REQUESTS * (row + 1)], chunk) for row, chunk in enumerate(chunks)]

    def plain_requests(self, chunks: IntArray) -> list[Range]:
        """Return the metadata of the tiny arrays, in which alone it stands whether they are compressed."""
        return [tiny_requests(f"{self.path}/{key}")[0] for key in format_keys(np.unique(chunks, axis=0))]

    def lies_plain(self, blobs: Blobs) -> bool:
        """Return whether none of some tiny arrays has a codec."""
        return all(blob is not None and is_plain(self.path, blob) for blob in blobs)

    def row_requests(self, chunks: IntArray, starts: IntArray, stops: IntArray) -> list[Range] | None:
        """Return ranges for payload bytes of chunks; None unless the group says that cells were written plain."""
        if self.document.get(PLAIN_CELLS) is not True:
            return None
        addresses = [tiny_requests(f"{self.path}/{key}")[1].address for key in format_keys(chunks)]
        return [Range(a, b, e) for a, b, e in zip(addresses, starts.tolist(), stops.tolist(), strict=True)]
