"""What a revision hands to readers and writers: arrays of a level as requests for bytes and their decoding.

Nothing here fetches: a handle says which byte ranges it needs and decodes what came back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np

from zarr_vectors.encoding.compression import has_checksum, resolve_compressor, with_checksum, without_checksum
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.model.cells import Manifests
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import AnyArray, ByteArray, Bytes, Document, IntArray

Blobs: TypeAlias = Sequence[Bytes | None]


@dataclass(frozen=True, slots=True)
class PlainCells:
    """Where the uncompressed cells of some chunks are.

    Parameters
    ----------
    addresses : list of str
        What holds each cell.
    starts : (n,) int64
        First byte of each cell's header.
    sizes : (n,) int64
        Bytes of the payload behind the header.
    headers : (n, H) uint8
        What the headers must be.
    checksum : int
        Bytes of the checksum of both behind the payload; 0 where there is none.
    """

    addresses: list[str]
    starts: IntArray
    sizes: IntArray
    headers: ByteArray
    checksum: int


class CellArray(Protocol):
    """An array with one payload per chunk."""

    @property
    def path(self) -> str:
        """Path of the array below the root of the store."""

    @property
    def document(self) -> Document:
        """The array's own metadata (``zv_array`` and what goes with it)."""

    @property
    def spec(self) -> AttributeSpec:
        """Data type and channels of a row."""

    @property
    def chunks(self) -> IntArray | None:
        """Coordinates ``(C, S)`` of the chunks that hold something, in numeric order; None where unknown."""

    @property
    def requests_per_cell(self) -> int:
        """How many ranges :meth:`cell_requests` gives for each chunk."""

    def stored_chunks(self, addresses: Sequence[str]) -> IntArray:
        """Return every chunk that the shards among the addresses below the array have room for; none without shards."""

    def list_chunks(self, addresses: Sequence[str]) -> None:
        """Derive :attr:`chunks` from the addresses below the array and the shard indexes taken in."""

    def index_requests(self, chunks: IntArray) -> list[Range]:
        """Return the ranges to read before the cells of some chunks can be located; empty when none."""

    def accept_indexes(self, requests: Sequence[Range], blobs: Blobs) -> None:
        """Take in what :meth:`index_requests` asked for."""

    def cell_requests(self, chunks: IntArray) -> list[Range | None]:
        """Return the ranges of the cells of some chunks, chunk after chunk; None for cells that are empty."""

    def plain_cells(self, chunks: IntArray) -> PlainCells | None:
        """Return where the cells of some chunks are; None unless all are there, uncompressed, and in shards."""

    def payload_sizes(self, blobs: Blobs) -> IntArray | None:
        """Return the sizes in bytes of the payloads of cells without decoding them; None where some do not say."""

    def verify(self, blobs: Blobs, chunks: IntArray) -> None:
        """Compare cells with their checksums, where they have some, without decoding them."""

    def payload(self, blobs: Blobs, chunk: IntArray) -> Bytes:
        """Decode one cell from the blobs of its requests; an empty cell is ``b""``."""

    def payloads(self, blobs: Blobs, chunks: IntArray) -> list[Bytes]:
        """Decode many cells from the blobs of their requests, cell after cell."""

    def plain_requests(self, chunks: IntArray) -> list[Range]:
        """Return what must be read with the ranges of :meth:`row_requests` to know that they hold rows."""

    def lies_plain(self, blobs: Blobs) -> bool:
        """Return whether what :meth:`plain_requests` asked for says that rows lie in cells as they are."""

    def row_requests(self, chunks: IntArray, starts: IntArray, stops: IntArray) -> list[Range] | None:
        """Return ranges for payload bytes ``[start, stop)`` of chunks; None where cells must be read as a whole."""


class DenseArray(Protocol):
    """An array with one row per object or group."""

    @property
    def spec(self) -> AttributeSpec:
        """Data type and channels of a row."""

    @property
    def count(self) -> int:
        """Number of rows."""

    def requests(self, rows: IntArray | None) -> list[Range]:
        """Return the ranges that hold some rows (None: all)."""

    def decode(self, blobs: Blobs, rows: IntArray | None) -> AnyArray:
        """Return the values of those rows in stored form."""


class DenseManifests(Protocol):
    """Manifests in dense arrays: for every object a span of blocks, and the blocks."""

    @property
    def count(self) -> int:
        """Number of objects."""

    @property
    def spans(self) -> DenseArray:
        """First block and number of blocks of every object, ``(O, 2)``."""

    @property
    def blocks(self) -> DenseArray:
        """Chunk coordinates and fragment of every block, ``(B, S + 1)``."""

    def rows(self, spans: AnyArray) -> tuple[IntArray, IntArray]:
        """Return the blocks that some spans name, one after another, and offsets into them."""

    def parse(self, blocks: AnyArray, offsets: IntArray) -> Manifests:
        """Return the manifests that blocks stand for."""


class RaggedArray(Protocol):
    """A list of byte strings, one per object or group."""

    @property
    def count(self) -> int:
        """Number of entries."""

    def requests(self, rows: IntArray | None) -> list[Range]:
        """Return the ranges that hold some entries (None: all)."""

    def decode(self, blobs: Blobs, rows: IntArray | None) -> tuple[ByteArray, IntArray]:
        """Return those entries as one buffer and ``(n + 1,)`` offsets into it."""

    @property
    def keeps(self) -> bool:
        """Whether what is decoded is kept, so that it can be asked for ahead."""

    def plan(self, rows: IntArray | None) -> tuple[list[Range], Callable[[Blobs], tuple[ByteArray, IntArray]]]:
        """Return the ranges to be read for some entries, without those at hand, and what decodes the answers."""


@dataclass(frozen=True, slots=True)
class ObjectIndex:
    """The object index of a level.

    Parameters
    ----------
    count : int
        Number of objects (manifest rows).
    sid_ndim : int
        Components of a chunk coordinate in the manifests.
    manifests : RaggedArray, optional
        One manifest per object; None where they are dense.
    dense : DenseManifests, optional
        The manifests, where they are in dense arrays.
    ids : DenseArray, optional
        Object ids by row; None means ``0 … count - 1``.
    sorted : bool
        Whether the ids ascend.
    document : dict
        The group's own metadata.
    """

    count: int
    sid_ndim: int
    manifests: RaggedArray | None
    ids: DenseArray | None
    sorted: bool
    document: Document
    dense: DenseManifests | None = None


@dataclass(frozen=True, slots=True)
class LinkArray:
    """The links of a family that are filed under one combination of offsets.

    Parameters
    ----------
    cells : CellArray
        One cell per source chunk.
    offsets : tuple of tuple of int
        Chunk of endpoints 1, 2, … minus that of the source, in the grid of the target level.
    has_perm : bool
        Whether a permutation code precedes every row.
    ragged : bool
        Whether cells are ragged blobs rather than raw rows.
    anchored : bool
        Whether offsets across levels count from the chunk of the target level that holds the source chunk's
        origin (revision 0.9), or from the chunk with the source's own key (0.7).
    attributes : mapping of str to CellArray
        Link attributes, aligned with the rows.
    """

    cells: CellArray
    offsets: tuple[tuple[int, ...], ...]
    has_perm: bool
    ragged: bool
    anchored: bool
    attributes: Mapping[str, CellArray] = field(default_factory=dict)


class LinkBlob(Protocol):
    """Links between chunks that are kept as one table for the whole level (revision 0.7)."""

    @property
    def attributes(self) -> Mapping[str, DenseArray]:
        """Link attributes, one row per record."""

    def requests(self) -> list[Range]:
        """Return the ranges of the table."""

    def decode(self, blobs: Blobs) -> tuple[IntArray, IntArray]:
        """Return the chunk coordinates ``(M, L, S)`` and the rows ``(M, L)`` of all endpoints."""


@dataclass(frozen=True, slots=True)
class LinkFamily:
    """The links of a level whose endpoints lie ``delta`` levels apart.

    Parameters
    ----------
    delta : int
        Level of the other endpoints minus that of endpoint 0.
    width : int
        Number of endpoints.
    directed : bool
        Whether the order of the endpoints carries meaning.
    store : {"canonical", "duplicate"}
        Whether links are filed once or under every chunk they touch.
    arrays : tuple of LinkArray
        In reading order: offset segments in ASCII order.
    blob : LinkBlob, optional
        Links that are not in any array.
    document : dict
        The family's own metadata.
    without_rows : mapping of str to AttributeSpec
        Link attributes of a family that has no links, and so no array to say what they are (revision 0.9).
    """

    delta: int
    width: int
    directed: bool
    store: str
    arrays: tuple[LinkArray, ...]
    blob: LinkBlob | None
    document: Document
    without_rows: Mapping[str, AttributeSpec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LevelArrays:
    """Every array of one level, ready to be read.

    Parameters
    ----------
    vertices, vertex_fragments : CellArray
        Positions and fragment indexes.
    vertex_attributes, fragment_attributes : mapping of str to CellArray
        By name.
    object_index : ObjectIndex, optional
        None where there are no objects, or under the ``identity`` convention.
    object_attributes, group_attributes : mapping of str to DenseArray
        By name.
    groups : RaggedArray, optional
        Object ids of each group, as int64 bytes.
    links : mapping of int to LinkFamily
        Stored links by level difference.
    link_fragments : CellArray, optional
        Fragment indexes of the links inside chunks at level difference 0.
    """

    vertices: CellArray
    vertex_fragments: CellArray | None
    vertex_attributes: Mapping[str, CellArray] = field(default_factory=dict)
    fragment_attributes: Mapping[str, CellArray] = field(default_factory=dict)
    object_index: ObjectIndex | None = None
    object_attributes: Mapping[str, DenseArray] = field(default_factory=dict)
    groups: RaggedArray | None = None
    group_attributes: Mapping[str, DenseArray] = field(default_factory=dict)
    links: Mapping[int, LinkFamily] = field(default_factory=dict)
    link_fragments: CellArray | None = None


@dataclass(frozen=True, slots=True)
class CellPayloads:
    """Payloads of one array, one per chunk, back to back in a buffer.

    Parameters
    ----------
    path : str
        Path of the array below the level.
    document : dict
        The array's own metadata.
    chunks : (C, S) int64
        Chunk coordinates in numeric order.
    buffer : uint8 array or function
        All payloads; or a function that makes those of cells ``[a, b)``, so that they need not exist at once.
    offsets : (C + 1,) int64
        Where each payload starts; an empty payload is an empty cell.
    itemsize : int
        Bytes of a number of the payload, which byte shuffling goes by.
    """

    path: str
    document: Document
    chunks: IntArray
    buffer: ByteArray | Callable[[int, int], ByteArray]
    offsets: IntArray
    itemsize: int

    def part(self, first: int, last: int) -> memoryview:
        """Return the payloads of cells ``[first, last)`` back to back."""
        if callable(self.buffer):
            return memoryview(self.buffer(first, last))
        return memoryview(self.buffer)[int(self.offsets[first]) : int(self.offsets[last])]

    def batches(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of cells whose payloads are about ``size`` bytes together, at least one cell each."""
        first = 0
        count = len(self.offsets) - 1
        while first < count:
            last = int(np.searchsorted(self.offsets, self.offsets[first] + size, side="right")) - 1
            last = min(max(last, first + 1), count)
            yield first, last
            first = last

    @classmethod
    def of_rows(
        cls, path: str, document: Document, chunks: IntArray, rows: AnyArray, row_offsets: IntArray
    ) -> CellPayloads:
        """Make the payloads of raw rows ``(N, …)`` whose chunks start at ``row_offsets``."""
        little = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<"))
        stride = little.dtype.itemsize * int(np.prod(little.shape[1:], dtype=np.int64))
        buffer = little.reshape(-1).view(np.uint8)
        return cls(path, document, chunks, buffer, row_offsets * stride, little.dtype.itemsize)


BATCH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class LevelOptions:
    """How the arrays of a level are stored.

    Parameters
    ----------
    compressor : object
        Anything that ``resolve_compressor`` takes.
    shard_shape : tuple of int, "auto" or None
        Chunks of a shard along every axis; None stores one object a chunk.
    batch_bytes : int
        Bytes of payloads that are framed and compressed at a time; a single cell may be larger.
    checksum : bool
        Whether everything that is stored ends with its CRC-32C.
    """

    compressor: Any = "auto"
    shard_shape: Any = "auto"
    batch_bytes: int = BATCH_BYTES
    checksum: bool = True

    def codecs(self, itemsize: int) -> list[Document]:
        """Return the codecs of cells whose numbers have ``itemsize`` bytes."""
        return self._checked(resolve_compressor(self.compressor, itemsize=itemsize))

    def table_codecs(self) -> list[Document]:
        """Return the codecs of what is not stored by chunk: tables and lists of objects and groups."""
        return self._checked([] if self.compressor is None else resolve_compressor("zstd"))

    def _checked(self, codecs: list[Document]) -> list[Document]:
        return with_checksum(codecs) if self.checksum else codecs

    @classmethod
    def stored(cls, codecs: Sequence[Document], shard_shape: Any, itemsize: int) -> LevelOptions:
        """Return the options that give cells whose numbers have ``itemsize`` bytes some codecs."""
        compressor: Any = without_checksum(codecs) or None
        usual = compressor == resolve_compressor("auto", itemsize=itemsize)
        return cls("auto" if usual else compressor, shard_shape, checksum=has_checksum(codecs))
