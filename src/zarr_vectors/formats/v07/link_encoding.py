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
from zarr_vectors.formats.link_names import RAGGED_HEADER, delta_name, ragged_cells
from zarr_vectors.model.links import FiledLinks, LinkCells, LinkTable
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


def file_links(table: LinkTable) -> Iterator[LinkCells]:
    """Yield the links inside chunks, then all others as records of chunk coordinates and row of every endpoint."""
    inside = inside_chunks(table)
    rows = np.flatnonzero(inside)
    source = table.chunks[rows, 0]
    if len(rows) and bool((source[1:] < source[:-1]).any()):
        rows = rows[stable_order([source.astype(np.uint32)])]
        source = table.chunks[rows, 0]
    heads = np.flatnonzero(np.append(True, source[1:] != source[:-1])) if len(source) else np.zeros(0, np.int64)
    chunks, offsets = table.here[source[heads]], offsets_of(np.diff(np.append(heads, len(source))))
    yield LinkCells((), chunks, offsets, table.rows[rows], None, rows)
    across = np.flatnonzero(~inside)
    ndim = table.here.shape[1]
    record = np.empty((len(across), table.width, ndim + 1), np.int64)
    for endpoint in range(table.width):
        grid = table.here if endpoint == 0 else table.there
        record[:, endpoint, :ndim] = grid[table.chunks[across, endpoint]]
        record[:, endpoint, ndim] = table.rows[across, endpoint]
    none = np.zeros((1, ndim), np.int64)
    ends = np.array([0, len(across)], np.int64)
    yield LinkCells((), none, ends, record.reshape(len(across), table.width * (ndim + 1)), None, across)


def filed_cells(table: LinkTable | FiledLinks) -> tuple[LinkCells, LinkCells]:
    """Return the links inside chunks and those between chunks."""
    inside, across = table.cells if isinstance(table, FiledLinks) else file_links(table)
    return inside, across


def link_cells(table: LinkTable | FiledLinks, filed: LinkCells) -> Iterator[CellPayloads]:
    """Yield the per-chunk arrays of one family: its links inside chunks, and their attributes."""
    delta = delta_name(table.delta)
    document = {
        "zv_array": "links",
        "dtype": "int64",
        "link_width": table.width,
        "level_delta": table.delta,
        "directed": table.directed,
        "store": table.store,
    }
    path = f"{LINKS}/{delta}"
    if table.delta:
        yield _ragged_payloads(path, document, filed)
    else:
        rows = np.ascontiguousarray(filed.rows, "<i8")
        yield CellPayloads.of_rows(path, document, filed.chunks, rows, filed.row_offsets)
    for name, column in table.attributes.items():
        described = attribute_document("link_attribute", name, column.spec) | {"level_delta": table.delta}
        path = f"{LINK_ATTRIBUTES}/{name}/{delta}"
        yield CellPayloads.of_rows(path, described, filed.chunks, column.values[filed.records], filed.row_offsets)


def _ragged_payloads(path: str, document: Document, filed: LinkCells) -> CellPayloads:
    def make(first: int, last: int) -> ByteArray:
        part = filed.row_offsets[first : last + 1]
        rows = np.ascontiguousarray(filed.rows[part[0] : part[-1]], "<i8")
        return ragged_cells(rows, part - part[0])[0]

    sizes = filed.row_offsets * (8 * filed.rows.shape[1]) + RAGGED_HEADER * np.arange(len(filed.row_offsets))
    return CellPayloads(path, document, filed.chunks, make, sizes, 8)


def cross_blobs(table: LinkTable | FiledLinks, filed: LinkCells) -> Iterator[Blob]:
    """Yield the links between chunks as one blob of records, and their attributes as others."""
    delta = delta_name(table.delta)
    count = len(filed.rows)
    if count == 0 and table.delta:
        return
    ndim = table.here.shape[1]
    document = {
        "zv_array": "cross_chunk_links",
        "level_delta": table.delta,
        "link_width": table.width,
        "num_links": count,
        "sid_ndim": ndim,
        "directed": table.directed,
        "store": table.store,
    }
    yield Blob(f"{CROSS_CHUNK_LINKS}/{delta}", document, _bytes(filed.rows))
    for name, column in table.attributes.items():
        values = column.values[filed.records]
        described = attribute_document("cross_chunk_link_attribute", name, column.spec) | {
            "level_delta": table.delta,
            "shape": list(values.shape),
        }
        yield Blob(f"{CROSS_CHUNK_LINK_ATTRIBUTES}/{name}/{delta}", described, _bytes(values))


def _bytes(values: AnyArray) -> ByteArray:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8) if little.size else np.zeros(0, np.uint8)
