"""A grid array: one Zarr array of byte strings whose cells are the chunks of a level (reading side)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors.encoding.checksum import CHECKSUM_LENGTH, without_checksums
from zarr_vectors.encoding.compression import Pipeline
from zarr_vectors.encoding.ragged import ITEM_LIMIT, cell_headers, unframe_cell, unframe_cells
from zarr_vectors.encoding.shard import decode_shard_index, shard_index_length
from zarr_vectors.exceptions import ArrayError, MetadataError, UnsupportedFeatureError, ZarrVectorsError
from zarr_vectors.formats.chunk_keys import key_encoding, parse_keys
from zarr_vectors.formats.layout import Blobs, PlainCells
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.model.grid import MAX_GRID_CELLS
from zarr_vectors.ordering import lexicographic_order
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import BoolArray, Bytes, Document, IntArray

CELL_HEADER = 8
EMPTY_CELL = np.uint64(2**64 - 1)
MAX_SHARDED_CELLS = 2**22
"""Most cells of stored shards that are looked through where the metadata does not list those in use."""


class GridArray:
    """Reading side of a grid array.

    Parameters
    ----------
    path : str
        Path of the array below the root of the store.
    zarr_document : dict
        Its ``zarr.json``.
    spec : AttributeSpec
        Data type and channels of a row.

    Raises
    ------
    MetadataError
        When the document is not that of a grid array.
    UnsupportedFeatureError
        When it uses a codec that is not known here.
    """

    requests_per_cell = 1

    def __init__(self, path: str, zarr_document: Document, spec: AttributeSpec) -> None:
        self.path = path
        self.spec = spec
        self.document: Document = zarr_document.get("attributes") or {}
        try:
            self._parse(zarr_document)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, ZarrVectorsError):
                raise
            raise MetadataError(f"{path}: not a grid array: {type(error).__name__}: {error}") from error
        self._indexes: dict[int, Any] = {}

    def _parse(self, document: Document) -> None:
        if document["data_type"] != "variable_length_bytes":
            raise MetadataError(f"{self.path}: data type must be variable_length_bytes, got {document['data_type']!r}")
        self.shape = tuple(int(s) for s in document["shape"])
        if not all(0 <= s <= MAX_GRID_CELLS for s in self.shape) or math.prod(self.shape) > MAX_GRID_CELLS:
            raise MetadataError(
                f"{self.path}: a grid of {' × '.join(map(str, self.shape))} chunks cannot be numbered (the most is "
                "2**62); write the store anew with a larger chunk_shape"
            )
        self.origin = np.array(self.document.get("chunk_grid_origin") or [0] * len(self.shape), np.int64)
        if self.origin.shape != (len(self.shape),) or (np.abs(self.origin) > MAX_GRID_CELLS).any():
            raise MetadataError(f"{self.path}: chunk_grid_origin must have {len(self.shape)} numbers within 2**62")
        outer = tuple(int(s) for s in document["chunk_grid"]["configuration"]["chunk_shape"])
        if len(outer) != len(self.shape) or not all(1 <= s <= MAX_GRID_CELLS for s in outer):
            raise MetadataError(f"{self.path}: an array of shape {self.shape} cannot have chunks of shape {outer}")
        codecs = document["codecs"]
        self.shard_shape: tuple[int, ...] | None = None
        if codecs[0]["name"] == "sharding_indexed":
            if len(codecs) != 1:
                raise UnsupportedFeatureError(f"{self.path}: codecs around sharding_indexed are not supported")
            codecs = self._parse_shard(codecs[0]["configuration"], outer)
        elif any(s != 1 for s in outer):
            raise UnsupportedFeatureError(f"{self.path}: chunks of {outer} cells are not supported without shards")
        if codecs[0]["name"] != "vlen-bytes":
            raise UnsupportedFeatureError(f"{self.path}: expected codec vlen-bytes, found {codecs[0]['name']!r}")
        self.pipeline = Pipeline.from_documents(codecs[1:])
        self.codecs: list[Document] = list(codecs[1:])
        encoding, separator = key_encoding(document, self.path)
        self._prefix = f"{self.path}/c" if encoding == "default" else self.path
        self._join = (separator, encoding == "default")
        keys = self.document.get("nonempty_chunks")
        self._chunks = None if keys is None else self._listed(keys)

    def _parse_shard(self, configuration: Document, outer: tuple[int, ...]) -> list[Document]:
        if any(s != 1 for s in configuration["chunk_shape"]):
            raise UnsupportedFeatureError(f"{self.path}: inner chunks of more than one cell are not supported")
        if configuration.get("index_location", "end") != "end":
            raise UnsupportedFeatureError(f"{self.path}: a shard index at the start is not supported")
        if math.prod(outer) > MAX_GRID_CELLS:
            raise MetadataError(f"{self.path}: shards of {outer} cells have more than the 2**62 that can be numbered")
        self.shard_shape = outer
        names = [codec["name"] for codec in configuration["index_codecs"]]
        if names not in (["bytes", "crc32c"], ["bytes"]):
            raise UnsupportedFeatureError(f"{self.path}: shard index codecs {names} are not supported")
        self._checksum = names == ["bytes", "crc32c"]
        self._one_shard = all(s <= o for s, o in zip(self.shape, outer, strict=True))
        self._shards = tuple(-(-s // o) for s, o in zip(self.shape, outer, strict=True))
        self._shard_count = max(1, math.prod(self._shards))
        return list(configuration["codecs"])

    def _listed(self, keys: list[str]) -> IntArray:
        chunks = parse_keys(keys, len(self.shape), f"{self.path}: nonempty_chunks")
        cells = chunks - self.origin
        outside = ((cells < 0) | (cells >= np.array(self.shape))).any(axis=1)
        if outside.any():
            raise MetadataError(
                f"{self.path}: chunk {chunks[outside][0].tolist()} lies outside the grid of shape {self.shape} "
                f"at {self.origin.tolist()}"
            )
        return chunks

    @property
    def chunks(self) -> IntArray | None:
        """Coordinates of the non-empty chunks in numeric order, or None where the metadata does not say."""
        return self._chunks

    def list_chunks(self, addresses: Sequence[str]) -> None:
        """Derive the non-empty chunks from the addresses below the array, where its metadata lacks them.

        For sharded arrays the indexes of all shards must have been taken in (those of :meth:`stored_chunks`).
        """
        if self.shard_shape is None:
            self._chunks = self._inside(self._addressed(addresses)) + self.origin
            return
        held = self.stored_chunks(addresses)
        starts, stops, _ = self._located(held)
        self._chunks = held[np.array(starts, np.int64) != np.array(stops, np.int64)]

    def _addressed(self, addresses: Sequence[str]) -> IntArray:
        """Return the coordinates that the addresses of cells or shards spell, in numeric order."""
        separator, skip = self._join
        prefix = f"{self._prefix}{separator}" if skip else f"{self.path}/"
        names = [a.removeprefix(prefix) for a in addresses if a.startswith(prefix)]
        keys = [n.replace(separator, ".") for n in names if n != "zarr.json"]
        return parse_keys(keys, len(self.shape), self.path)

    def _inside(self, cells: IntArray) -> IntArray:
        """Refuse cells outside the grid."""
        outside = ((cells < 0) | (cells >= np.array(self.shape, np.int64))).any(axis=1)
        if outside.any():
            raise MetadataError(
                f"{self.path}: something is stored for cell {cells[outside][0].tolist()}, outside the grid of shape "
                f"{self.shape}"
            )
        return cells

    def stored_chunks(self, addresses: Sequence[str]) -> IntArray:
        """Return every chunk that the shards among some addresses have room for, in numeric order."""
        if self.shard_shape is None:
            return np.zeros((0, len(self.shape)), np.int64)
        shards, width = self._addressed(addresses), len(self.shape)
        if not len(shards):
            return np.zeros((0, width), np.int64)
        room = np.minimum(self.shard_shape, np.array(self.shape, np.int64))
        if len(shards) * math.prod(room.tolist()) > MAX_SHARDED_CELLS:
            raise MetadataError(
                f"{self.path}: {len(shards)} shards of {self.shard_shape} cells, whose metadata does not list those in "
                f"use, have more than the {MAX_SHARDED_CELLS} cells that can be looked through"
            )
        inner = np.indices(tuple(room.tolist()), dtype=np.int64).reshape(width, -1).T
        cells = (shards[:, None] * np.array(self.shard_shape, np.int64) + inner).reshape(-1, width)
        cells = cells[((cells >= 0) & (cells < np.array(self.shape, np.int64))).all(axis=1)]
        return cells[lexicographic_order(cells)] + self.origin

    def index_requests(self, chunks: IntArray) -> list[Range]:
        """Return the shard indexes that are needed and not yet known."""
        if self.shard_shape is None or len(chunks) == 0 or len(self._indexes) == self._shard_count:
            return []
        if self._one_shard:
            shard_numbers = np.zeros(1, np.int64)
        else:
            shard_numbers, _ = self._in_shards(chunks)
        length = shard_index_length(math.prod(self.shard_shape), self._checksum)
        missing = [n for n in np.unique(shard_numbers).tolist() if n not in self._indexes]
        return [Range(self._shard_address(n), -length, None) for n in missing]

    def accept_indexes(self, requests: Sequence[Range], blobs: Blobs) -> None:
        """Take in shard indexes; an absent shard has only empty cells."""
        if self.shard_shape is None:
            return
        count = math.prod(self.shard_shape)
        for request, blob in zip(requests, blobs, strict=True):
            number = self._shard_number(request.address)
            if blob is None:
                self._indexes[number] = None
                continue
            try:
                self._indexes[number] = decode_shard_index(blob, count, checksum=self._checksum)
            except ArrayError as error:
                raise ArrayError(f"{request.address}: {error}") from error

    def cell_requests(self, chunks: IntArray) -> list[Range | None]:
        """Return one range a chunk; None for empty cells and chunks outside the grid."""
        cells = chunks - self.origin
        legal: BoolArray = np.all((cells >= 0) & (cells < np.array(self.shape)), axis=1)
        if self.shard_shape is None:
            addresses = self._cell_addresses(cells)
            return [Range(a) if ok else None for a, ok in zip(addresses, legal.tolist(), strict=True)]
        starts, stops, addresses = self._located(np.where(legal[:, None], chunks, self.origin))
        return [
            Range(address, start, stop) if ok and start != stop else None
            for address, start, stop, ok in zip(addresses, starts, stops, legal.tolist(), strict=True)
        ]

    def plain_requests(self, chunks: IntArray) -> list[Range]:
        """Return nothing: what is known of the array holds for every cell."""
        return []

    def lies_plain(self, blobs: Blobs) -> bool:
        """Return True."""
        return True

    def row_requests(self, chunks: IntArray, starts: IntArray, stops: IntArray) -> list[Range] | None:
        """Return ranges for payload bytes of chunks, or None where cells are compressed or have checksums."""
        if self.pipeline.codecs:
            return None
        if self.shard_shape is None:
            addresses, base = self._cell_addresses(chunks - self.origin), np.zeros(len(chunks), np.int64)
        else:
            begin, end, addresses = self._located(chunks)
            base = np.array(begin, np.int64)
            beyond = base + stops + CELL_HEADER > np.array(end, np.int64)
            if beyond.any():
                row = int(np.flatnonzero(beyond)[0])
                key = ".".join(map(str, chunks[row].tolist()))
                raise ArrayError(
                    f"{self.path}: chunk {key} takes {end[row] - begin[row]} bytes in its shard, too few for the "
                    f"{int(stops[row])} bytes of its rows"
                )
        first, last = base + starts + CELL_HEADER, base + stops + CELL_HEADER
        return [Range(a, b, e) for a, b, e in zip(addresses, first.tolist(), last.tolist(), strict=True)]

    def plain_cells(self, chunks: IntArray) -> PlainCells | None:
        """Return where the cells of some chunks are by the shard indexes taken in; None where they are compressed."""
        cells = chunks - self.origin
        outside = ((cells < 0) | (cells >= np.array(self.shape))).any()
        if self.pipeline.compressed or self.shard_shape is None or outside:
            return None
        starts, stops, addresses = self._located(chunks)
        first = np.array(starts, np.int64)
        end = CHECKSUM_LENGTH * self.pipeline.checked
        sizes = np.array(stops, np.int64) - first - CELL_HEADER - end
        if ((first < 0) | (sizes <= 0) | (sizes > ITEM_LIMIT)).any():
            return None
        return PlainCells(addresses, first, sizes, cell_headers(sizes), end)

    def payload_sizes(self, blobs: Blobs) -> IntArray | None:
        """Return the payloads' sizes from the framing of the compressed cells; an empty cell has none."""
        filled = np.array([blob is not None for blob in blobs], bool)
        try:
            stated = self.pipeline.decoded_sizes([blob for blob in blobs if blob is not None])
        except ArrayError:
            return None  # decoding says what is wrong, and where
        if stated is None:
            return None
        sizes = np.zeros(len(blobs), np.int64)
        sizes[filled] = stated - CELL_HEADER
        return sizes

    def verify(self, blobs: Blobs, chunks: IntArray) -> None:
        """Compare cells with their checksums, where they have some."""
        if self.pipeline.checked and without_checksums([blob for blob in blobs if blob is not None]) is None:
            for blob, chunk in zip(blobs, chunks, strict=True):
                self.payload([blob], chunk)

    def payload(self, blobs: Blobs, chunk: IntArray) -> Bytes:
        """Decode one cell."""
        if blobs[0] is None:
            return b""
        try:
            return unframe_cell(self.pipeline.decode(blobs[0]))
        except ArrayError as error:
            raise ArrayError(f"{self.path}: chunk {'.'.join(map(str, chunk.tolist()))}: {error}") from error

    def payloads(self, blobs: Blobs, chunks: IntArray) -> list[Bytes]:
        """Decode many cells at once; of damaged ones the first is named."""
        filled = [blob for blob in blobs if blob is not None]
        try:
            found = unframe_cells(self.pipeline.decode_many(filled))
        except ArrayError:
            return [self.payload([blob], chunk) for blob, chunk in zip(blobs, chunks, strict=True)]
        if len(filled) == len(blobs):
            return list(found)
        supply = iter(found)
        return [b"" if blob is None else next(supply) for blob in blobs]

    def _cell_addresses(self, cells: IntArray) -> list[str]:
        separator, skip = self._join
        start = f"{self._prefix}{separator}" if skip else f"{self.path}/"
        return [start + separator.join(map(str, row)) for row in cells.tolist()]

    def _in_shards(self, chunks: IntArray) -> tuple[IntArray, IntArray]:
        """Return the number of each chunk's shard and its place inside it."""
        assert self.shard_shape is not None
        cells = np.clip(chunks - self.origin, 0, np.array(self.shape) - 1)
        shard, inner = np.divmod(cells, np.array(self.shard_shape))
        numbers = np.ravel_multi_index(tuple(shard.T), self._shards)
        places = np.ravel_multi_index(tuple(inner.T), self.shard_shape)
        return numbers.astype(np.int64), places.astype(np.int64)

    def _located(self, chunks: IntArray) -> tuple[list[int], list[int], list[str]]:
        if self._one_shard and len(chunks):
            assert self.shard_shape is not None
            places = np.ravel_multi_index(tuple((chunks - self.origin).T), self.shard_shape, "clip")
            entries = self._entries(0, np.asarray(places, np.int64))
            entries[entries[:, 0] == EMPTY_CELL] = 0
            starts, lengths = entries.astype(np.int64).T
            return starts.tolist(), (starts + lengths).tolist(), [self._shard_address(0)] * len(chunks)
        numbers, places = self._in_shards(chunks)
        ranges = np.zeros((len(chunks), 2), np.int64)
        for number in np.unique(numbers).tolist():
            rows = numbers == number
            entries = self._entries(number, places[rows])
            filled = entries[:, 0] != EMPTY_CELL
            found = np.where(filled[:, None], entries, np.uint64(0)).astype(np.int64)
            found[:, 1] += found[:, 0]
            ranges[rows] = found
        names = {n: self._shard_address(n) for n in np.unique(numbers).tolist()}
        return ranges[:, 0].tolist(), ranges[:, 1].tolist(), [names[n] for n in numbers.tolist()]

    def _entries(self, number: int, places: IntArray) -> Any:
        """Return a copy of the entries of some cells in the index of a shard; a shard that is absent is empty."""
        index = self._indexes[number]
        return np.full((len(places), 2), EMPTY_CELL, np.uint64) if index is None else index[places]

    def _shard_address(self, number: int) -> str:
        return self._cell_addresses(np.array([np.unravel_index(number, self._shards)], np.int64))[0]

    def _shard_number(self, address: str) -> int:
        separator, skip = self._join
        name = address.removeprefix(f"{self._prefix}{separator}" if skip else f"{self.path}/")
        return int(np.ravel_multi_index(tuple(int(p) for p in name.split(separator)), self._shards))
