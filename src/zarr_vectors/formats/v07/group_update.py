"""Changing single cells of a per-chunk array of revision 0.7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zarr_vectors.encoding.compression import Pipeline
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.layout import Blobs
from zarr_vectors.formats.v07.tiny_array import encode_tiny
from zarr_vectors.storage.port import BlobParts, Range
from zarr_vectors.typing import Bytes, Document, IntArray


@dataclass(frozen=True, slots=True)
class ChunkGroupUpdate:
    """New payloads for some chunks of a group of tiny arrays.

    Parameters
    ----------
    path : str
        Path of the group below the root of the store.
    document : dict
        Its ``zarr.json``.
    chunks : (n, S) int64
        The chunks, each once.
    payloads : sequence of bytes
        Their payloads.
    codecs : sequence of dict
        Compression.
    """

    path: str
    document: Document
    chunks: IntArray
    payloads: Sequence[Bytes]
    codecs: Sequence[Document]

    def requests(self) -> list[Range]:
        """Return nothing: every chunk is an array of its own."""
        return []

    def objects(self, blobs: Blobs) -> tuple[list[tuple[str, BlobParts]], list[str]]:
        """Return what is to be written and the addresses to be deleted."""
        pipeline = Pipeline.from_documents(self.codecs)
        objects: list[tuple[str, BlobParts]] = []
        emptied = []
        for key, payload in zip(format_keys(self.chunks), self.payloads, strict=True):
            path = f"{self.path}/{key}"
            objects += encode_tiny(path, payload, pipeline, self.codecs)
            if memoryview(payload).nbytes == 0:
                emptied.append(f"{path}/c/0")
        return objects, emptied

    def metadata(self) -> Document:
        """Return the group's ``zarr.json``, which does not list its chunks."""
        return self.document
