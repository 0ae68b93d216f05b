"""One-dimensional Zarr arrays of byte strings: manifests and groups."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from zarr_vectors.encoding.compression import Pipeline
from zarr_vectors.encoding.ragged import frame_vlen, unframe_vlen
from zarr_vectors.exceptions import ArrayError, MetadataError, UnsupportedFeatureError
from zarr_vectors.formats.chunk_keys import key_encoding
from zarr_vectors.formats.layout import Blobs
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import ByteArray, Document, IntArray

KEPT_BYTES = 64 << 20
"""Decoded bytes that an open array keeps, so that asking it again and again does not decode again."""

MAX_CHUNKS = 2**22
"""Most Zarr chunks of an array that are believed, so that a number in a document costs no memory."""

MAX_ABSENT_ENTRIES = 2**24
"""Most entries without a Zarr chunk that are read as empty at once."""


class VlenArray:
    """Reading side of a one-dimensional array of byte strings.

    Parameters
    ----------
    path : str
        Path of the array below the root of the store.
    zarr_document : dict
        Its ``zarr.json``.
    """

    def __init__(self, path: str, zarr_document: Document) -> None:
        self.path = path
        self.document: Document = zarr_document.get("attributes") or {}
        try:
            shape = zarr_document["shape"]
            grid = zarr_document["chunk_grid"]["configuration"]["chunk_shape"]
            codecs = zarr_document["codecs"]
            kind = zarr_document["data_type"]
            self.count, self.rows_per_chunk = int(shape[0]), min(max(1, int(grid[0])), 2**62)
            head = codecs[0]["name"]
        except (KeyError, TypeError, IndexError, ValueError, AttributeError, OverflowError) as error:
            raise MetadataError(f"{path}: not an array of byte strings: {type(error).__name__}: {error}") from error
        if kind != "variable_length_bytes" or len(shape) != 1 or not 0 <= self.count < 2**62:
            raise MetadataError(f"{path}: expected a 1-D array of variable_length_bytes, got {kind!r} {shape}")
        if -(-self.count // self.rows_per_chunk) > MAX_CHUNKS:
            raise MetadataError(
                f"{path}: {self.count} entries in Zarr chunks of {self.rows_per_chunk} are more chunks than the "
                f"{MAX_CHUNKS} that can be read"
            )
        if head != "vlen-bytes":
            raise UnsupportedFeatureError(f"{path}: expected codec vlen-bytes, found {head!r}")
        encoding, separator = key_encoding(zarr_document, path)
        self._start = f"{path}/c{separator}" if encoding == "default" else f"{path}/"
        self._pipeline = Pipeline.from_documents(codecs[1:])
        self._kept: dict[int, tuple[ByteArray, IntArray]] = {}

    @property
    def keeps(self) -> bool:
        """Whether what is decoded is kept, so that it can be asked for ahead."""
        return KEPT_BYTES > 0

    def _chunk_numbers(self, rows: IntArray | None) -> list[int]:
        if rows is None:
            return list(range(-(-self.count // self.rows_per_chunk)))
        return [int(number) for number in np.unique(np.asarray(rows) // self.rows_per_chunk)]

    def requests(self, rows: IntArray | None) -> list[Range]:
        """Return the Zarr chunks that hold some entries (None: all)."""
        return [Range(f"{self._start}{n}") for n in self._chunk_numbers(rows)]

    def plan(self, rows: IntArray | None) -> tuple[list[Range], Callable[[Blobs], tuple[ByteArray, IntArray]]]:
        """Return the Zarr chunks to be read for some entries, without those kept, and what takes them in."""
        numbers = self._chunk_numbers(rows)
        kept = {number: self._kept[number] for number in numbers if number in self._kept}
        missing = [number for number in numbers if number not in kept]

        def decode(blobs: Blobs) -> tuple[ByteArray, IntArray]:
            self._check_absent(sum(blob is None for blob in blobs))
            read = {number: self._chunk(number, blob) for number, blob in zip(missing, blobs, strict=True)}
            return self._joined([(number, *(kept.get(number) or read[number])) for number in numbers], rows)

        return [Range(f"{self._start}{number}") for number in missing], decode

    def decode(self, blobs: Blobs, rows: IntArray | None) -> tuple[ByteArray, IntArray]:
        """Return those entries as one buffer and offsets into it."""
        numbers = self._chunk_numbers(rows)
        self._check_absent(sum(blob is None for blob in blobs))
        return self._joined([(n, *self._chunk(n, blob)) for n, blob in zip(numbers, blobs, strict=True)], rows)

    def _joined(
        self, chunks: Sequence[tuple[int, ByteArray, IntArray]], rows: IntArray | None
    ) -> tuple[ByteArray, IntArray]:
        """Return some entries, or all, of decoded chunks."""
        parts: list[ByteArray] = []
        counts: list[IntArray] = []
        for number, buffer, offsets in chunks:
            lengths = np.diff(offsets)
            if rows is not None:
                local = rows[rows // self.rows_per_chunk == number] - number * self.rows_per_chunk
                buffer = buffer[expand_ranges(offsets[local], lengths[local])]
                lengths = lengths[local]
            parts.append(buffer)
            counts.append(lengths)
        if not parts:
            return np.zeros(0, np.uint8), np.zeros(1, np.int64)
        if rows is None or bool((np.diff(rows // self.rows_per_chunk) >= 0).all()):
            return np.concatenate(parts), offsets_of(np.concatenate(counts))
        return self._reordered(parts, counts, rows)

    def _reordered(self, parts: list[ByteArray], counts: list[IntArray], rows: IntArray) -> tuple[ByteArray, IntArray]:
        """Put entries that were collected chunk after chunk into the order of the rows asked for."""
        collected = np.argsort(rows // self.rows_per_chunk, kind="stable")
        place = np.empty_like(collected)
        place[collected] = np.arange(len(rows))
        buffer, lengths = np.concatenate(parts), np.concatenate(counts)
        offsets = offsets_of(lengths)
        return buffer[expand_ranges(offsets[place], lengths[place])], offsets_of(lengths[place])

    def _check_absent(self, chunks: int) -> None:
        """Refuse to make up more empty entries than can be meant."""
        if chunks * min(self.rows_per_chunk, self.count) > MAX_ABSENT_ENTRIES:
            raise ArrayError(
                f"{self.path}: {chunks} Zarr chunks of {self.rows_per_chunk} entries are missing; at most "
                f"{MAX_ABSENT_ENTRIES} missing entries are read as empty"
            )

    def _chunk(self, number: int, blob: object) -> tuple[ByteArray, IntArray]:
        if number in self._kept:
            return self._kept[number]
        buffer, offsets = self._decoded(number, blob)
        size = buffer.nbytes + offsets.nbytes
        if size <= KEPT_BYTES:
            while self._kept and self._kept_bytes() + size > KEPT_BYTES:
                self._kept.pop(next(iter(list(self._kept))), None)  # the one decoded longest ago
            self._kept[number] = buffer, offsets
        return buffer, offsets

    def _kept_bytes(self) -> int:
        return sum(part.nbytes + ends.nbytes for part, ends in list(self._kept.values()))

    def _decoded(self, number: int, blob: object) -> tuple[ByteArray, IntArray]:
        expected = min(self.rows_per_chunk, self.count - number * self.rows_per_chunk)
        if blob is None:
            return np.zeros(0, np.uint8), np.zeros(expected + 1, np.int64)
        try:
            buffer, offsets = unframe_vlen(self._pipeline.decode(blob))  # type: ignore[arg-type]
        except ArrayError as error:
            raise ArrayError(f"{self.path}: chunk {number}: {error}") from error
        if len(offsets) - 1 < expected:
            raise ArrayError(f"{self.path}: chunk {number} holds {len(offsets) - 1} entries, expected {expected}")
        return buffer, offsets[: expected + 1]


def encode_vlen(
    path: str,
    buffer: ByteArray,
    offsets: IntArray,
    rows_per_chunk: int,
    codecs: Sequence[Document],
    document: Document,
) -> list[tuple[str, bytes]]:
    """Return the objects of a one-dimensional array of byte strings, its metadata last."""
    count = len(offsets) - 1
    rows_per_chunk = max(1, min(rows_per_chunk, count))
    pipeline = Pipeline.from_documents(codecs)
    objects = []
    for number, start in enumerate(range(0, count, rows_per_chunk)):
        part = offsets[start : min(count, start + rows_per_chunk) + 1]
        missing = rows_per_chunk - (len(part) - 1)  # Zarr's edge chunks are as long as the others
        padded = np.concatenate([part, np.repeat(part[-1:], missing)]) - part[0]
        framed = frame_vlen(buffer[part[0] : part[-1]], padded)
        objects.append((f"{path}/c/{number}", bytes(pipeline.encode(framed))))
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [count],
        "data_type": "variable_length_bytes",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [rows_per_chunk]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "",
        "codecs": [{"name": "vlen-bytes", "configuration": {}}, *codecs],
        "attributes": document,
        "storage_transformers": [],
    }
    objects.append((f"{path}/zarr.json", json.dumps(metadata).encode()))
    return objects
