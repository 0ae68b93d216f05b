"""Cells → the payloads of every per-chunk array, which both revisions store alike."""

from __future__ import annotations

from collections.abc import Iterator

from zarr_vectors.constants import FRAGMENT_ATTRIBUTES, VERTEX_ATTRIBUTES, VERTEX_FRAGMENTS
from zarr_vectors.formats.documents import attribute_document
from zarr_vectors.formats.layout import CellPayloads
from zarr_vectors.formats.objects import fragment_payloads, vertex_payloads
from zarr_vectors.model.cells import Cells


def cell_payloads(cells: Cells) -> Iterator[CellPayloads]:
    """Yield the payloads of vertices, fragments and their attributes; links are filed by each revision."""
    yield vertex_payloads(cells)
    buffer, offsets = fragment_payloads(cells.fragments)
    fragments = {"zv_array": "vertex_fragments", "encoding": "fragment_index_v1"}
    yield CellPayloads(VERTEX_FRAGMENTS, fragments, cells.chunks, buffer, offsets, 8)
    families = (
        (VERTEX_ATTRIBUTES, "attribute", cells.attributes, cells.row_offsets),
        (FRAGMENT_ATTRIBUTES, "fragment_attribute", cells.fragment_attributes, cells.fragments.offsets),
    )
    for family, kind, columns, row_offsets in families:
        for name, column in columns.items():
            document = attribute_document(kind, name, column.spec) | {"row_shape": list(column.values.shape[1:])}
            yield CellPayloads.of_rows(f"{family}/{name}", document, cells.chunks, column.values, row_offsets)
