"""Revision 0.9 as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from zarr_vectors.constants import (
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    LINK_ATTRIBUTES,
    LINKS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
)
from zarr_vectors.encoding.compression import without_checksum
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.documents import (
    LEVEL_KEY,
    MULTISCALES_KEY,
    ROOT_KEY,
    keep_root_keys,
    level_block,
    multiscales_block,
    root_block,
)
from zarr_vectors.formats.layout import CellPayloads, LevelArrays, LevelOptions
from zarr_vectors.formats.unknown_keys import keep_keys
from zarr_vectors.formats.v09.filing import file_links
from zarr_vectors.formats.v09.grid_array import GridArray
from zarr_vectors.formats.v09.grid_encoding import GridExtent, encode_grid
from zarr_vectors.formats.v09.level import open_level
from zarr_vectors.formats.v09.level_encoding import LevelEncoding
from zarr_vectors.formats.v09.link_encoding import encode_links
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.grid import MAX_GRID_CELLS, grid_extent
from zarr_vectors.model.links import LinkCells, LinkTable
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import Document, IntArray

OME_VERSION: Final = "0.6"
"""Version of OME-Zarr that the ``ome`` node of the root states (RFC 8, which has landed in none)."""

_DEPTHS: Final[Mapping[str, int]] = {
    VERTEX_ATTRIBUTES: 1,
    FRAGMENT_ATTRIBUTES: 1,
    OBJECT_ATTRIBUTES: 1,
    GROUP_ATTRIBUTES: 1,
    OBJECT_INDEX: 1,
    LINKS: 2,
    LINK_ATTRIBUTES: 3,
}
"""How many levels of folders below each family are nodes."""

_FAMILIES: Final = (*_DEPTHS, *(f"{LINKS}/{delta}" for delta in ("0", "+1", "-1")))


class Revision09:
    """Revision 0.9, as the reference implementation 0.9.2 writes it."""

    name = "0.9"
    stamp = "0.9.2"
    keyed_by_chunk = False
    shards = True

    def is_chunk_node(self, node: str) -> bool:
        """Return False: chunks are cells, not nodes."""
        return False

    def node_folders(self) -> Sequence[str]:
        """Return folders that a level usually has, for a first listing."""
        return _FAMILIES

    def holds_nodes(self, path: str) -> bool:
        """Return whether the children of a folder are nodes to be opened."""
        family, *rest = path.split("/")
        return len(rest) < _DEPTHS.get(family, 0)

    def root_attributes(self, root: RootMetadata, previous: Document | None) -> Document:
        """Return the attributes of the root, with the ``ome`` block that 0.9.2 expects."""
        held = previous or {}
        ome = keep_keys(held.get("ome"), _ome_block(root))
        blocks = {ROOT_KEY: root_block(root), MULTISCALES_KEY: multiscales_block(root)}
        return held | keep_root_keys(held, blocks) | {"ome": ome}

    def level_attributes(self, level: LevelMetadata, previous: Document | None) -> Document:
        """Return the attributes of a level."""
        return (previous or {}) | {LEVEL_KEY: level_block(level)}

    def open_level(
        self, level: str, documents: Mapping[str, Document], keys: Sequence[str] | None, sid_ndim: int, ndim: int
    ) -> LevelArrays:
        """Open the arrays of a level from the metadata of its nodes."""
        return open_level(level, documents, ndim)

    def encode_level(
        self, level: str, cells: Cells, root: RootMetadata, metadata: LevelMetadata, options: LevelOptions
    ) -> Iterator[Iterator[tuple[str, BlobParts]]]:
        """Yield the objects of a level's arrays in batches."""
        extent = level_extent(cells, root, metadata)
        scales = _scales(root, metadata.level, cells.links)
        return LevelEncoding(level, extent, options, scales, metadata.shared_fragments).encode(cells)

    def file_links(self, table: LinkTable, root: RootMetadata, level: int) -> Iterator[LinkCells]:
        """Yield links by combination of chunk offsets."""
        return file_links(table, root.chunk_scale(level), root.chunk_scale(level + table.delta))

    def stored_options(self, arrays: LevelArrays, cell: Document | None) -> LevelOptions:
        """Return options with the level's choice of shards, and none or the default compression, or zstd."""
        vertices = arrays.vertices
        assert isinstance(vertices, GridArray)
        shards = None if vertices.shard_shape is None else "auto"
        stored = LevelOptions.stored(vertices.codecs, shards, vertices.spec.numpy_dtype.itemsize)
        names = [codec["name"] for codec in without_checksum(vertices.codecs)]
        return stored if names in ([], ["zstd"]) else replace(stored, compressor="auto")

    def encode_links(
        self,
        level: str,
        tables: Sequence[LinkTable],
        arrays: LevelArrays,
        root: RootMetadata,
        options: LevelOptions,
    ) -> Iterator[Iterator[tuple[str, BlobParts]]]:
        """Yield the objects of link families, on the grid of the level's vertices."""
        extent = _stored_extent(arrays)
        scales = _scales(root, int(level), tables)
        for table in tables:
            yield from encode_links(level, table, scales[table.delta], extent, options)

    def encode_cells(
        self, level: str, payloads: Iterable[CellPayloads], arrays: LevelArrays, options: LevelOptions
    ) -> Iterator[Iterator[tuple[str, BlobParts]]]:
        """Yield the objects of whole per-chunk arrays, on the grid of the level's vertices."""
        extent = _stored_extent(arrays)
        for one in payloads:
            data, document = encode_grid(level, one, extent, options)
            yield data
            yield iter([document])

    def encode_tables(self, level: str, cells: Cells, options: LevelOptions) -> list[tuple[str, BlobParts]]:
        """Return the objects of the object index, of groups and of the attributes of both."""
        return LevelEncoding(level, GridExtent((), ()), options, {}).encode_tables(cells)


def _stored_extent(arrays: LevelArrays) -> GridExtent:
    vertices = arrays.vertices
    assert isinstance(vertices, GridArray)
    return GridExtent(tuple(int(o) for o in vertices.origin), vertices.shape)


def _scales(root: RootMetadata, level: int, tables: Sequence[LinkTable]) -> dict[int, tuple[IntArray, IntArray]]:
    """Return the chunk scales of a level and of the levels that links lead to, by level difference."""
    return {t.delta: (root.chunk_scale(level), root.chunk_scale(level + t.delta)) for t in tables}


def level_extent(cells: Cells, root: RootMetadata, metadata: LevelMetadata) -> GridExtent:
    """Return the grid of a level: that of the bounds, and of the chunks where they reach beyond it.

    Raises
    ------
    ArgumentError
        When the grid has more chunks than can be numbered.
    """
    chunk_shape = metadata.chunk_shape or root.chunk_shape
    origin, shape = grid_extent(root.bounds, chunk_shape)
    _require_countable(shape, chunk_shape)
    low, high = np.array(origin), np.array(origin) + np.array(shape)
    spatial = cells.chunks[:, cells.chunks.shape[1] - len(origin) :]
    if len(spatial):
        low = np.minimum(low, spatial.min(axis=0))
        high = np.maximum(high, spatial.max(axis=0) + 1)
    if cells.chunks.shape[1] > len(origin):
        leading = len(metadata.chunk_attribute_values or ()) or int(cells.chunks[:, 0].max(initial=0)) + 1
        low, high = np.insert(low, 0, 0), np.insert(high, 0, leading)
    extent = GridExtent(tuple(int(v) for v in low), tuple(int(v) for v in high - low))
    _require_countable(extent.shape, chunk_shape)
    return extent


def _require_countable(shape: Sequence[int], chunk_shape: Sequence[float]) -> None:
    if math.prod(shape) > MAX_GRID_CELLS:
        raise ArgumentError(
            f"chunk_shape {tuple(chunk_shape)} makes a grid of {' × '.join(map(str, shape))} chunks over the bounds, "
            "more than an array of revision 0.9 can number (2**62); use a larger chunk_shape (a store that is there "
            "must be written anew for that)"
        )


def _ome_block(root: RootMetadata) -> Document:
    axes = [axis.document() for axis in root.axes]
    return {
        "version": OME_VERSION,
        "type": "collection",
        "name": root.name,
        "attributes": {
            "scene": {
                "coordinateSystems": [{"id": "world", "name": "world", "axes": axes}],
                "coordinateTransformations": [{"type": "identity", "input": "world", "output": "world"}],
            }
        },
        "nodes": [{"type": "zv:level", "name": str(entry.level)} for entry in root.levels],
    }
