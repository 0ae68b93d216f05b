"""Cells → the payloads of every per-chunk array, which both revisions store alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zarr_vectors.constants import FRAGMENT_ATTRIBUTES, VERTEX_ATTRIBUTES, VERTEX_FRAGMENTS
from zarr_vectors.formats.channel_cells import channel_edges, split_channels
from zarr_vectors.formats.documents import attribute_document
from zarr_vectors.formats.layout import CellPayloads
from zarr_vectors.formats.objects import fragment_payloads, vertex_payloads
from zarr_vectors.model.attributes import CHANNEL_BINS
from zarr_vectors.model.cells import Cells


def cell_payloads(cells: Cells) -> Iterator[CellPayloads]:
    """Yield the payloads of vertices, fragments and their attributes; links are filed by each revision."""
    yield vertex_payloads(cells)
    buffer, offsets = fragment_payloads(cells.fragments)
    fragments = {"zv_array": "vertex_fragments", "encoding": "fragment_index_v1"}
    apart = cells.chunks.shape[1] > cells.positions.shape[1] and not cells.chunks[:, 0].any()
    yield CellPayloads(VERTEX_FRAGMENTS, fragments, cells.chunks, buffer, offsets, 8)
    families = (
        (VERTEX_ATTRIBUTES, "attribute", cells.attributes, cells.row_offsets),
        (FRAGMENT_ATTRIBUTES, "fragment_attribute", cells.fragment_attributes, cells.fragments.offsets),
    )
    for family, kind, columns, row_offsets in families:
        for name, column in columns.items():
            path, spec = f"{family}/{name}", column.spec
            edges = None
            if kind == "attribute" and apart:
                edges = channel_edges(spec, path)
            elif CHANNEL_BINS in spec.extra:  # chunks that go by space alone have no room for bins
                spec = replace(spec, extra={key: v for key, v in spec.extra.items() if key != CHANNEL_BINS})
            document = attribute_document(kind, name, spec) | {"row_shape": list(column.values.shape[1:])}
            if edges is None:
                yield CellPayloads.of_rows(path, document, cells.chunks, column.values, row_offsets)
            else:
                yield split_channels(path, document, cells, column, edges)
