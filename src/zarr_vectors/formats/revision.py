"""What a format revision can do: find, open and encode the nodes of a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from zarr_vectors.formats.layout import CellPayloads, LevelArrays, LevelOptions
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.links import LinkCells, LinkTable
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import Document


class Revision(Protocol):
    """One revision of the format."""

    @property
    def name(self) -> str:
        """Name by which users ask for it."""

    @property
    def stamp(self) -> str:
        """What stores of it carry as ``zv_version``."""

    @property
    def shards(self) -> bool:
        """Whether arrays may be sharded."""

    @property
    def keyed_by_chunk(self) -> bool:
        """Whether per-chunk arrays are folders with one node per chunk key."""

    def is_chunk_node(self, node: str) -> bool:
        """Return whether a node of a level, by its path below the level, belongs to a single chunk."""

    def node_folders(self) -> Sequence[str]:
        """Return folders that a level usually has, by path below the level, for a first listing."""

    def holds_nodes(self, path: str) -> bool:
        """Return whether the children of a folder, by its path below the level, are nodes to be opened."""

    def root_attributes(self, root: RootMetadata, previous: Document | None) -> Document:
        """Return the attributes of the root, unknown keys of the previous ones kept."""

    def level_attributes(self, level: LevelMetadata, previous: Document | None) -> Document:
        """Return the attributes of a level, unknown keys of the previous ones kept."""

    def open_level(
        self, level: str, documents: Mapping[str, Document], keys: Sequence[str] | None, sid_ndim: int, ndim: int
    ) -> LevelArrays:
        """Open the arrays of a level from the metadata of its nodes.

        ``sid_ndim`` is the number of components of a chunk key, ``ndim`` that of the columns of the positions.
        """

    def encode_level(
        self, level: str, cells: Cells, root: RootMetadata, metadata: LevelMetadata, options: LevelOptions
    ) -> Iterator[Iterator[tuple[str, BlobParts]]]:
        """Yield the objects of a level's arrays in batches; each batch must be written before the next."""

    def file_links(self, table: LinkTable, root: RootMetadata, level: int) -> Iterator[LinkCells]:
        """Yield links of a level as they are filed, so that those of many tables can be brought together.

        Records whose rows are not as wide as a link are kept in the order in which they come, in no chunk.
        """

    def stored_options(self, arrays: LevelArrays, cell: Document | None) -> LevelOptions:
        """Return options that store more as a level is stored, as far as its arrays say.

        Where every chunk is an array of its own, ``cell`` is the ``zarr.json`` of one of the vertices, if there is any.
        """

    def encode_links(
        self,
        level: str,
        tables: Sequence[LinkTable],
        arrays: LevelArrays,
        root: RootMetadata,
        options: LevelOptions,
    ) -> Iterator[Iterator[tuple[str, BlobParts]]]:
        """Yield the objects of link families of a level that exists, in batches as above."""

    def encode_cells(
        self, level: str, payloads: Iterable[CellPayloads], arrays: LevelArrays, options: LevelOptions
    ) -> Iterator[Iterator[tuple[str, BlobParts]]]:
        """Yield the objects of whole per-chunk arrays of a level that exists, in batches as above."""

    def encode_tables(self, level: str, cells: Cells, options: LevelOptions) -> list[tuple[str, BlobParts]]:
        """Return the objects of the object index, of groups and of the attributes of both."""
