"""Links of a level → the grid arrays of revision 0.9."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import numpy as np

from zarr_vectors.constants import LINK_ATTRIBUTES, LINKS
from zarr_vectors.encoding.links import encode_link_rows
from zarr_vectors.formats.documents import attribute_document, group_document
from zarr_vectors.formats.layout import CellPayloads, LevelOptions
from zarr_vectors.formats.link_names import RAGGED_HEADER, delta_name, ragged_cells
from zarr_vectors.formats.v09.filing import file_links, format_offsets
from zarr_vectors.formats.v09.grid_encoding import GridExtent, encode_grid
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.links import FiledLinks, LinkCells, LinkTable
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import ByteArray, Document, IntArray

Batch = Iterator[tuple[str, BlobParts]]


def encode_links(
    level: str, table: LinkTable, scales: tuple[IntArray, IntArray], extent: GridExtent, options: LevelOptions
) -> Iterator[Batch]:
    """Yield the objects of one family of links and its attributes in batches, metadata last."""
    return encode_filed(level, table, file_links(table, *scales), extent, options)


def encode_filed(
    level: str,
    table: LinkTable | FiledLinks,
    filed: Iterable[LinkCells],
    extent: GridExtent,
    options: LevelOptions,
) -> Iterator[Batch]:
    """Yield the objects of one family of links of which it is known how they are filed."""
    delta = delta_name(table.delta)
    family = f"{LINKS}/{delta}"
    documents: list[tuple[str, BlobParts]] = [_group(level, LINKS, {})]
    physical = 0
    for cells in filed:
        physical += len(cells.rows)
        segment = format_offsets(cells.offsets)
        data, document = encode_grid(level, _link_payloads(f"{family}/{segment}", table, cells), extent, options)
        documents.append(document)
        yield data
        for name, column in table.attributes.items():
            path = f"{LINK_ATTRIBUTES}/{name}/{delta}/{segment}"
            described = _described(name, column)
            rows = column.values[cells.records]
            payloads = CellPayloads.of_rows(path, described, cells.chunks, rows, cells.row_offsets)
            data, document = encode_grid(level, payloads, extent, options)
            documents.append(document)
            yield data
    documents.append(_group(level, family, _family_document(table, physical)))
    for name, column in table.attributes.items():
        attributes: Document = dict(column.spec.extra) if physical else _described(name, column)
        attributes |= {"zv_array": "link_attribute_family", "name": name, "num_links": table.count}
        documents += [
            _group(level, LINK_ATTRIBUTES, {}),
            _group(level, f"{LINK_ATTRIBUTES}/{name}", {}),
            _group(level, f"{LINK_ATTRIBUTES}/{name}/{delta}", attributes),
        ]
    yield iter(documents)


def _described(name: str, column: Column) -> Document:
    return attribute_document("link_attribute", name, column.spec) | {"row_shape": list(column.values.shape[1:])}


def _family_document(table: LinkTable | FiledLinks, physical: int) -> Document:
    return {
        "zv_array": "links_family",
        "level_delta": table.delta,
        "link_width": table.width,
        "directed": table.directed or table.delta != 0,
        "store": table.store,
        "sid_ndim": int(table.here.shape[1]),
        "num_links": table.count,
        "num_physical_records": physical,
    }


def _link_payloads(path: str, table: LinkTable | FiledLinks, cells: LinkCells) -> CellPayloads:
    width = table.width + (cells.codes is not None)
    inside = table.delta == 0 and not np.any(cells.offsets)

    def make(first: int, last: int) -> ByteArray:
        part = cells.row_offsets[first : last + 1]
        codes = None if cells.codes is None else cells.codes[part[0] : part[-1]]
        rows = encode_link_rows(np.ascontiguousarray(cells.rows[part[0] : part[-1]], np.int64), codes)
        return rows if inside else ragged_cells(rows.view("<i8").reshape(-1, width), part - part[0])[0]

    header = 0 if inside else RAGGED_HEADER
    offsets = cells.row_offsets * (8 * width) + header * np.arange(len(cells.row_offsets))
    document = {
        "zv_array": "links",
        "dtype": "int64",
        "offsets": [list(offset) for offset in cells.offsets],
        "has_perm": cells.codes is not None,
        "link_width": table.width,
        "level_delta": table.delta,
    }
    return CellPayloads(path, document, cells.chunks, make, offsets, 8)


def _group(level: str, path: str, attributes: Document) -> tuple[str, BlobParts]:
    return f"{level}/{path}/zarr.json", json.dumps(group_document(attributes)).encode()
