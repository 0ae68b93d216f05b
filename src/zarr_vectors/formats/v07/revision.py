"""Revision 0.7 as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from zarr_vectors.constants import (
    CROSS_CHUNK_LINK_ATTRIBUTES,
    CROSS_CHUNK_LINKS,
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    LINK_ATTRIBUTES,
    LINKS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
)
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
from zarr_vectors.formats.v07.level import open_level
from zarr_vectors.formats.v07.level_encoding import LevelEncoding
from zarr_vectors.formats.v07.link_encoding import file_links
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.links import LinkCells, LinkTable
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import Document

_DEPTHS: Final[Mapping[str, int]] = {
    VERTEX_ATTRIBUTES: 1,
    FRAGMENT_ATTRIBUTES: 1,
    OBJECT_ATTRIBUTES: 1,
    GROUP_ATTRIBUTES: 1,
    OBJECT_INDEX: 1,
    LINKS: 1,
    LINK_ATTRIBUTES: 2,
    CROSS_CHUNK_LINKS: 1,
    CROSS_CHUNK_LINK_ATTRIBUTES: 2,
}
"""How many levels of folders below each family are nodes; deeper ones belong to single chunks or tables."""

_FAMILIES: Final = tuple(_DEPTHS)


class Revision07:
    """Revision 0.7, with one small Zarr array per chunk."""

    name = "0.7"
    stamp = "0.7.0"
    keyed_by_chunk = True
    shards = False

    def is_chunk_node(self, node: str) -> bool:
        """Return whether a node is the tiny array of one chunk, or of a table."""
        family, *rest = node.split("/")
        return len(rest) > _DEPTHS.get(family, 0)

    def node_folders(self) -> Sequence[str]:
        """Return folders that a level usually has, for a first listing."""
        return _FAMILIES

    def holds_nodes(self, path: str) -> bool:
        """Return whether the children of a folder are nodes to be opened."""
        family, *rest = path.split("/")
        return len(rest) < _DEPTHS.get(family, 0)

    def root_attributes(self, root: RootMetadata, previous: Document | None) -> Document:
        """Return the attributes of the root."""
        blocks = {ROOT_KEY: root_block(root), MULTISCALES_KEY: multiscales_block(root)}
        return (previous or {}) | keep_root_keys(previous or {}, blocks)

    def level_attributes(self, level: LevelMetadata, previous: Document | None) -> Document:
        """Return the attributes of a level."""
        return (previous or {}) | {LEVEL_KEY: level_block(level)}

    def open_level(
        self, level: str, documents: Mapping[str, Document], keys: Sequence[str] | None, sid_ndim: int, ndim: int
    ) -> LevelArrays:
        """Open the arrays of a level from the metadata of its nodes."""
        return open_level(level, documents, keys, sid_ndim, ndim)

    def encode_level(
        self, level: str, cells: Cells, root: RootMetadata, metadata: LevelMetadata, options: LevelOptions
    ) -> Iterator[Iterator[tuple[str, BlobParts]]]:
        """Yield the objects of a level's arrays in batches.

        Raises
        ------
        ArgumentError
            When shards are asked for.
        """
        if options.shard_shape not in (None, "auto"):
            raise ArgumentError(
                f"shard_shape: revision {self.name} has no shards, got {options.shard_shape!r}; "
                "pass shard_shape=None or a later format_version"
            )
        return LevelEncoding(level, options, metadata.shared_fragments).encode(cells)

    def file_links(self, table: LinkTable, root: RootMetadata, level: int) -> Iterator[LinkCells]:
        """Yield the links inside chunks, then those between chunks as records of a blob."""
        return file_links(table)

    def stored_options(self, arrays: LevelArrays, cell: Document | None) -> LevelOptions:
        """Return the compression of a tiny array of vertices; the default options where there is none."""
        codecs = None if cell is None else cell.get("codecs")
        if not isinstance(codecs, list) or not codecs:
            return LevelOptions()
        return LevelOptions.stored(codecs[1:], "auto", arrays.vertices.spec.numpy_dtype.itemsize)

    def encode_links(
        self,
        level: str,
        tables: Sequence[LinkTable],
        arrays: LevelArrays,
        root: RootMetadata,
        options: LevelOptions,
    ) -> Iterator[Iterator[tuple[str, BlobParts]]]:
        """Yield the objects of link families in batches."""
        return LevelEncoding(level, options).encode_links(tables)

    def encode_cells(
        self, level: str, payloads: Iterable[CellPayloads], arrays: LevelArrays, options: LevelOptions
    ) -> Iterator[Iterator[tuple[str, BlobParts]]]:
        """Yield the objects of whole per-chunk arrays in batches."""
        return LevelEncoding(level, options).encode_cells(payloads)

    def encode_tables(self, level: str, cells: Cells, options: LevelOptions) -> list[tuple[str, BlobParts]]:
        """Return the objects of the object index, of groups and of the attributes of both."""
        return LevelEncoding(level, options).encode_tables(cells)
