"""The link families of a level in revision 0.7, opened for reading."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zarr_vectors.constants import (
    CROSS_CHUNK_LINK_ATTRIBUTES,
    CROSS_CHUNK_LINKS,
    LINK_ATTRIBUTES,
    LINKS,
)
from zarr_vectors.exceptions import ArrayError, MetadataError
from zarr_vectors.formats.documents import parse_attribute
from zarr_vectors.formats.layout import Blobs, DenseArray, LinkArray, LinkFamily
from zarr_vectors.formats.link_names import parse_delta
from zarr_vectors.formats.tokens import require_tokens
from zarr_vectors.formats.unknown_keys import link_attribute_keys
from zarr_vectors.formats.v07.chunk_group import ChunkGroup
from zarr_vectors.formats.v07.tables import BlobColumn
from zarr_vectors.formats.v07.tiny_array import decode_tiny, tiny_requests
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import Document, IntArray

Documents = Mapping[str, Document]

MAX_LINK_WIDTH = 255
"""Most endpoints of a link that are believed: a number in a document costs nothing to write."""

_ROWS = AttributeSpec(dtype="int64")


class CrossChunkLinks:
    """Reading side of ``cross_chunk_links/<delta>``.

    Parameters
    ----------
    path : str
        Path of its group below the root of the store.
    document : dict
        The group's attributes.
    attributes : mapping of str to DenseArray
        Attributes of the records.
    """

    def __init__(self, path: str, document: Document, attributes: Mapping[str, DenseArray], ndim: int) -> None:
        self.path = path
        self.attributes = attributes
        self.width = int(document.get("link_width", 2))
        self.ndim = int(document.get("sid_ndim", ndim))
        if self.ndim != ndim:
            raise MetadataError(f"{path}: sid_ndim is {self.ndim}, but chunk keys have {ndim} components here")
        stated = document.get("num_links")
        self.stated = stated if isinstance(stated, int) else None

    def requests(self) -> list[Range]:
        """Return the ranges of the table."""
        return tiny_requests(f"{self.path}/data")

    def decode(self, blobs: Blobs) -> tuple[IntArray, IntArray]:
        """Return the chunk coordinates and the rows of all endpoints."""
        if blobs[0] is None and blobs[1] is None:
            if self.stated:
                raise ArrayError(
                    f"{self.path}: its metadata states {self.stated} links, but its data are missing; the store is "
                    "damaged or its copy incomplete"
                )
            return np.zeros((0, self.width, self.ndim), np.int64), np.zeros((0, self.width), np.int64)
        data = decode_tiny(f"{self.path}/data", blobs[0], blobs[1])
        stride = 8 * self.width * (self.ndim + 1)
        if memoryview(data).nbytes % stride:
            raise ArrayError(f"{self.path}: {memoryview(data).nbytes} bytes are not whole records of {stride}")
        record = np.frombuffer(data, "<i8").reshape(-1, self.width, self.ndim + 1)
        return record[:, :, : self.ndim].astype(np.int64), record[:, :, self.ndim].astype(np.int64)


def open_links(level: str, documents: Documents, ndim: int) -> dict[int, LinkFamily]:
    """Open every link family of a level."""
    inside = _deltas(f"{level}/{LINKS}/", documents)
    across = _deltas(f"{level}/{CROSS_CHUNK_LINKS}/", documents)
    return {
        delta: _open_family(level, delta, inside.get(delta), across.get(delta), documents, ndim)
        for delta in sorted({*inside, *across})
    }


def _deltas(prefix: str, documents: Documents) -> dict[int, str]:
    found = {}
    for path in documents:
        name = path.removeprefix(prefix)
        delta = parse_delta(name) if path.startswith(prefix) else None
        if delta is not None:
            found[delta] = name
    return found


def _attributes(documents: Documents, path: str) -> Document:
    return (documents.get(path) or {}).get("attributes") or {}


def _open_family(
    level: str, delta: int, inside: str | None, across: str | None, documents: Documents, ndim: int
) -> LinkFamily:
    require_tokens(LINKS, documents, [f"{level}/{LINKS}/{inside}", f"{level}/{CROSS_CHUNK_LINKS}/{across}"])
    arrays: tuple[LinkArray, ...] = ()
    document: Document = {}
    if inside is not None:
        path = f"{level}/{LINKS}/{inside}"
        document = _attributes(documents, path)
        width = _width(document, path)
        named = _named(level, LINK_ATTRIBUTES, inside, documents)
        attributes = {
            name: ChunkGroup(node, described, parse_attribute(described, node), ndim, None)
            for name, (node, described) in named.items()
        }
        zero = tuple((0,) * ndim for _ in range(width - 1))
        cells = ChunkGroup(path, document, _ROWS, ndim, None)
        arrays = (LinkArray(cells, zero, False, delta != 0, False, attributes),)
    blob = None
    if across is not None:
        path = f"{level}/{CROSS_CHUNK_LINKS}/{across}"
        named = _named(level, CROSS_CHUNK_LINK_ATTRIBUTES, across, documents)
        columns = {name: BlobColumn(node, described) for name, (node, described) in named.items()}
        blob = CrossChunkLinks(path, _attributes(documents, path), columns, ndim)
        document = document or _attributes(documents, path)
    directed = bool(document.get("directed", delta != 0))
    width = _width(document, f"{level}: links {delta}")
    if blob is not None and blob.width != width:
        raise MetadataError(f"{blob.path}: links of {blob.width} endpoints, where those inside chunks have {width}")
    store = str(document.get("store", "canonical"))
    return LinkFamily(delta, width, directed, store, arrays, blob, document)


def _width(document: Document, path: str) -> int:
    width = int(document.get("link_width", 2))
    if not 1 <= width <= MAX_LINK_WIDTH:
        raise MetadataError(f"{path}: link_width must be 1 to {MAX_LINK_WIDTH}, got {width}")
    return width


def _named(level: str, family: str, delta: str, documents: Documents) -> dict[str, tuple[str, Document]]:
    """Return the path and the metadata of the attributes of links by name."""
    prefix, suffix = f"{level}/{family}/", f"/{delta}"
    kept = link_attribute_keys(level, documents)
    paths = {
        path[len(prefix) : -len(suffix)]: path
        for path in documents
        if path.startswith(prefix) and path.endswith(suffix) and path.count("/") == prefix.count("/") + 1
    }
    return {
        name: (path, {**kept.get((name, delta), {}), **_attributes(documents, path)}) for name, path in paths.items()
    }
