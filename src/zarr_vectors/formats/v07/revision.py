"""Revision 0.7 as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from zarr_vectors.constants import (
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    GROUPS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.documents import (
    LEVEL_KEY,
    MULTISCALES_KEY,
    ROOT_KEY,
    level_block,
    multiscales_block,
    root_block,
)
from zarr_vectors.formats.layout import LevelArrays, LevelOptions
from zarr_vectors.formats.v07.level import open_level
from zarr_vectors.formats.v07.level_encoding import LevelEncoding
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import Document


_UNNAMED = (VERTICES, VERTEX_FRAGMENTS)


class Revision07:
    """Revision 0.7, with one small Zarr array per chunk."""

    name = "0.7"
    stamp = "0.7.0"
    keyed_by_chunk = True
    shards = False

    def is_chunk_node(self, node: str) -> bool:
        """Return whether a node is the tiny array of one chunk, or of a table."""
        parts = node.split("/")
        depth = 2 if parts[0] in _UNNAMED else 3
        return (len(parts) >= depth and parts[0] != OBJECT_INDEX) or parts[0] == GROUPS and len(parts) > 1

    def node_folders(self, level: str) -> Mapping[str, int]:
        """Return the folders below a level that hold nodes."""
        families = (VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES, OBJECT_ATTRIBUTES, GROUP_ATTRIBUTES, OBJECT_INDEX)
        return {level: 1} | {f"{level}/{family}": 1 for family in families}

    def root_attributes(self, root: RootMetadata, previous: Document | None) -> Document:
        """Return the attributes of the root."""
        return (previous or {}) | {ROOT_KEY: root_block(root), MULTISCALES_KEY: multiscales_block(root)}

    def level_attributes(self, level: LevelMetadata, previous: Document | None) -> Document:
        """Return the attributes of a level."""
        return (previous or {}) | {LEVEL_KEY: level_block(level)}

    def open_level(
        self, level: str, documents: Mapping[str, Document], keys: Sequence[str] | None, sid_ndim: int
    ) -> LevelArrays:
        """Open the arrays of a level from the metadata of its nodes."""
        return open_level(level, documents, keys, sid_ndim)

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
        return LevelEncoding(level, options).encode(cells)
