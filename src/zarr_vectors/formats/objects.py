"""Object and group tables ⇄ payloads, as far as both revisions agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.constants import LINK_FRAGMENTS, VERTICES
from zarr_vectors.encoding import fragment_index, manifests
from zarr_vectors.encoding.fragment_index import take_ranges as take_ranges
from zarr_vectors.formats.layout import CellPayloads
from zarr_vectors.model.cells import Cells, Fragments, Manifests
from zarr_vectors.model.elements import Groups
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.typing import ByteArray, Bytes, IntArray

MANIFESTS_PER_CHUNK = 16_384
DENSE_ROWS_PER_CHUNK = 65_536


def vertex_payloads(cells: Cells) -> CellPayloads:
    """Return the vertices of all chunks, as raw rows or in the encoding that they have."""
    document = {"zv_array": "vertices", "dtype": cells.positions.dtype.name, "encoding": "raw"}
    encoded = cells.encoded
    if encoded is None:
        return CellPayloads.of_rows(VERTICES, document, cells.chunks, cells.positions, cells.row_offsets)
    document["encoding"] = encoded.encoding
    return CellPayloads(VERTICES, document, cells.chunks, encoded.buffer, encoded.offsets, 1)


def fragment_payloads(fragments: Fragments) -> tuple[ByteArray, IntArray]:
    """Return the fragment indexes of all chunks as one buffer and offsets."""
    explicit = fragments.explicit
    index = fragment_index.FragmentIndex(
        offsets=fragments.offsets,
        is_range=np.ones(fragments.count, bool) if explicit is None else ~explicit,
        starts=fragments.starts,
        counts=fragments.counts,
        rows=fragments.rows,
    )
    return fragment_index.encode_fragment_indexes(index)


def link_fragment_payloads(cells: Cells) -> CellPayloads:
    """Return the fragment indexes of the links inside chunks; chunks without such links have none."""
    fragments = cells.link_fragments
    assert fragments is not None
    linked = np.add.reduceat(fragments.counts, fragments.offsets[:-1]) > 0 if fragments.count else np.zeros(0, bool)
    rows = np.flatnonzero(linked)
    per_chunk = np.diff(fragments.offsets)[rows]
    taken = expand_ranges(fragments.offsets[:-1][rows], per_chunk)
    kept = Fragments(offsets_of(per_chunk), fragments.starts[taken], fragments.counts[taken])
    buffer, offsets = fragment_payloads(kept)
    document = {"zv_array": "link_fragments", "encoding": "fragment_index_v1"}
    return CellPayloads(LINK_FRAGMENTS, document, cells.chunks[rows], buffer, offsets, 8)


def parse_fragments(payloads: list[Bytes]) -> Fragments:
    """Return the fragment tables of many chunks from their payloads."""
    index = fragment_index.decode_fragment_indexes(payloads)
    explicit = None if index.is_range.all() else ~index.is_range
    return Fragments(index.offsets, index.starts, index.counts, explicit, index.rows)


def manifest_payloads(table: Manifests, *, merge: bool) -> tuple[ByteArray, IntArray]:
    """Return the manifests of all objects as one buffer and offsets."""
    flat = manifests.Manifests(table.offsets, table.chunks, table.fragments)
    return manifests.encode_manifests(flat, merge=merge)


def parse_manifests(buffer: ByteArray, offsets: IntArray, sid_ndim: int) -> Manifests:
    """Return manifests from their payloads."""
    decoded = manifests.decode_manifests(buffer, offsets, sid_ndim)
    return Manifests(decoded.offsets, decoded.chunks, decoded.fragments)


def group_payloads(groups: Groups) -> tuple[ByteArray, IntArray]:
    """Return the member lists of all groups as one buffer of int64 and byte offsets."""
    return np.ascontiguousarray(groups.members, "<i8").view(np.uint8), groups.offsets * 8


def absent_value(dtype: np.dtype[Any]) -> Any:
    """Return the fill value of object attributes, which means "absent".

    NaN for floats, the minimum for signed and the maximum for unsigned integers (Zarr Vectors specification,
    revision 0.9, object attributes).
    """
    if dtype.kind == "f":
        return float("nan")
    if dtype.kind == "i":
        return int(np.iinfo(dtype).min)
    if dtype.kind == "u":
        return int(np.iinfo(dtype).max)
    return False if dtype.kind == "b" else ""
