"""Links of a level → the arrays of revision 0.7: those inside a chunk by chunk, all others in one blob."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zarr_vectors.constants import (
    CROSS_CHUNK_LINK_ATTRIBUTES,
    CROSS_CHUNK_LINKS,
    LINK_ATTRIBUTES,
    LINKS,
)
from zarr_vectors.formats.documents import attribute_document
from zarr_vectors.formats.layout import CellPayloads
from zarr_vectors.formats.link_names import delta_name, ragged_cells
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import offsets_of, stable_order
from zarr_vectors.typing import AnyArray, BoolArray, ByteArray, Document


@dataclass(frozen=True, slots=True)
class Blob:
    """A table that is kept as one blob.

    Parameters
    ----------
    path : str
        Path of its group below the level.
    document : dict
        The group's attributes.
    data : uint8 array
        Its bytes.
    """

    path: str
    document: Document
    data: ByteArray


def inside_chunks(table: LinkTable) -> BoolArray:
    """Return which links have all endpoints in chunks with the same key."""
    if table.delta == 0:
        return np.asarray((table.chunks == table.chunks[:, :1]).all(axis=1))
    inside = np.ones(table.count, bool)
    source = table.here[table.chunks[:, 0]]
    for endpoint in range(1, table.width):
        inside &= (table.there[table.chunks[:, endpoint]] == source).all(axis=1)
    return inside


def link_cells(table: LinkTable) -> Iterator[CellPayloads]:
    """Yield the per-chunk arrays of one family: its links inside chunks, and their attributes."""
    delta = delta_name(table.delta)
    rows = np.flatnonzero(inside_chunks(table))
    source = table.chunks[rows, 0]
    if len(rows) and bool((source[1:] < source[:-1]).any()):
        rows = rows[stable_order([source.astype(np.uint32)])]
        source = table.chunks[rows, 0]
    heads = np.flatnonzero(np.append(True, source[1:] != source[:-1])) if len(source) else np.zeros(0, np.int64)
    chunks, offsets = table.here[source[heads]], offsets_of(np.diff(np.append(heads, len(source))))
    document = {
        "zv_array": "links",
        "dtype": "int64",
        "link_width": table.width,
        "level_delta": table.delta,
        "directed": table.directed,
        "store": table.store,
    }
    stored = np.ascontiguousarray(table.rows[rows], "<i8")
    if table.delta:
        buffer, byte_offsets = ragged_cells(stored, offsets)
        yield CellPayloads(f"{LINKS}/{delta}", document, chunks, buffer, byte_offsets, 8)
    else:
        yield CellPayloads.of_rows(f"{LINKS}/{delta}", document, chunks, stored, offsets)
    for name, column in table.attributes.items():
        described = attribute_document("link_attribute", name, column.spec) | {"level_delta": table.delta}
        path = f"{LINK_ATTRIBUTES}/{name}/{delta}"
        yield CellPayloads.of_rows(path, described, chunks, column.values[rows], offsets)


def cross_blobs(table: LinkTable) -> Iterator[Blob]:
    """Yield the links between chunks as one blob of records, and their attributes as others."""
    delta = delta_name(table.delta)
    across = np.flatnonzero(~inside_chunks(table))
    if len(across) == 0 and table.delta:
        return
    ndim = table.here.shape[1]
    record = np.empty((len(across), table.width, ndim + 1), "<i8")
    for endpoint in range(table.width):
        grid = table.here if endpoint == 0 else table.there
        record[:, endpoint, :ndim] = grid[table.chunks[across, endpoint]]
        record[:, endpoint, ndim] = table.rows[across, endpoint]
    document = {
        "zv_array": "cross_chunk_links",
        "level_delta": table.delta,
        "link_width": table.width,
        "num_links": len(across),
        "sid_ndim": ndim,
        "directed": table.directed,
        "store": table.store,
    }
    yield Blob(f"{CROSS_CHUNK_LINKS}/{delta}", document, _bytes(record))
    for name, column in table.attributes.items():
        values = column.values[across]
        described = attribute_document("cross_chunk_link_attribute", name, column.spec) | {
            "level_delta": table.delta,
            "shape": list(values.shape),
        }
        yield Blob(f"{CROSS_CHUNK_LINK_ATTRIBUTES}/{name}/{delta}", described, _bytes(values))


def _bytes(values: AnyArray) -> ByteArray:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8) if little.size else np.zeros(0, np.uint8)
