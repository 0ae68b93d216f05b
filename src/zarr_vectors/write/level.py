"""Writing one level: its arrays, then its own metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKS, LINK_FRAGMENTS, LINKS
from zarr_vectors.formats.documents import group_document
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.formats.revision import Revision
from zarr_vectors.formats.unknown_keys import with_unknown
from zarr_vectors.model.cells import Cells, Fragments
from zarr_vectors.model.links import LinkTable
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.read.level import LevelReader
from zarr_vectors.storage.port import BlobParts, Storage, joined
from zarr_vectors.typing import Document
from zarr_vectors.write.options import Progress, WriteOptions

_METADATA = "/zarr.json"


def write_level(
    storage: Storage,
    revision: Revision,
    root: RootMetadata,
    metadata: LevelMetadata,
    cells: Cells,
    options: LevelOptions,
    *,
    progress: Progress | None = None,
    previous: Document | None = None,
    kept: Mapping[str, Document] | None = None,
) -> LevelMetadata:
    """Write the arrays of a level and, when they are complete, its metadata.

    Parameters
    ----------
    storage : Storage
        Where the store is (or is staged).
    revision : Revision
        Format revision.
    root : RootMetadata
        Metadata of the store.
    metadata : LevelMetadata
        Metadata of the level; counts and lists of arrays are filled in here.
    cells : Cells
        What the level holds.
    options : LevelOptions
        Compression and shards.
    progress : callable, optional
        Called with ``(done, total)`` arrays.
    previous : dict, optional
        Attributes of the level that are to be kept.
    kept : mapping of str to dict, optional
        Attributes that nodes get beside the format's own, by path below the level (``LevelReader.unknown``).

    Returns
    -------
    LevelMetadata
        As written.
    """
    level = str(metadata.level)
    nodes: list[str] = []
    total = 4 + len(cells.attributes) + len(cells.fragment_attributes)
    for done, batch in enumerate(revision.encode_level(level, cells, root, metadata, options), start=1):
        storage.put_many(_noting_nodes(batch, level, revision, nodes, kept or {}))
        if progress is not None:
            progress(min(done, total - 1), total)
    written = replace(
        metadata,
        vertex_count=cells.count,
        fragment_link_groups=LINK_FRAGMENTS in nodes,
        nodes=tuple(sorted(nodes)),
        arrays_present=tuple(sorted({node.split("/")[0] for node in nodes})),
    )
    document = group_document(revision.level_attributes(written, previous))
    storage.put_many([(level + _METADATA, json.dumps(document).encode())])
    if progress is not None:
        progress(total, total)
    return written


def _noting_nodes(
    batch: Iterator[tuple[str, BlobParts]],
    level: str,
    revision: Revision,
    nodes: list[str],
    kept: Mapping[str, Document],
) -> Iterator[tuple[str, BlobParts]]:
    for address, data in batch:
        if address.endswith(_METADATA):
            node = address[len(level) + 1 : -len(_METADATA)]
            if not revision.is_chunk_node(node):
                nodes.append(node)
            if node in kept:
                data = json.dumps(with_unknown(json.loads(bytes(joined(data))), kept[node])).encode()
        yield address, data


def write_links(
    storage: Storage,
    revision: Revision,
    root: RootMetadata,
    level: LevelReader,
    tables: Sequence[LinkTable],
    options: LevelOptions,
) -> LevelMetadata:
    """Add families of links to a level that exists, and name them in its metadata.

    Parameters
    ----------
    storage : Storage
        Where the change is staged.
    revision : Revision
        Format revision.
    root : RootMetadata
        Metadata of the store, with every level that the links lead to.
    level : LevelReader
        The level.
    tables : sequence of LinkTable
        Its new families; one that it has under the same difference must have been removed.
    options : LevelOptions
        Compression and shards.
    """
    name = str(level.metadata.level)
    nodes: list[str] = []
    for batch in revision.encode_links(name, tables, level.arrays, root, options):
        storage.put_many(_noting_nodes(batch, name, revision, nodes, level.unknown))
    gone = {f"{family}/{t.delta:+d}" for t in tables for family in (LINKS, CROSS_CHUNK_LINKS)}
    kept = [node for node in level.metadata.nodes if not any(node == g or node.startswith(f"{g}/") for g in gone)]
    written = replace(
        level.metadata,
        fragment_link_groups=level.metadata.fragment_link_groups and all(table.delta for table in tables),
        nodes=tuple(sorted({*kept, *nodes})) if kept else (),
        arrays_present=tuple(sorted({*level.metadata.arrays_present, *(node.split("/")[0] for node in nodes)})),
    )
    document = group_document(revision.level_attributes(written, level.attributes))
    storage.put_many([(name + _METADATA, json.dumps(document).encode())])
    return written


def empty_cells(sid_ndim: int, dtype: np.dtype[Any], ndim: int | None = None) -> Cells:
    """Return the cells of a level without vertices.

    Chunk coordinates have `sid_ndim` components, positions `ndim` columns: as many, unless told otherwise.
    """
    none = np.zeros(0, np.int64)
    start = np.zeros(1, np.int64)
    return Cells(
        chunks=np.zeros((0, sid_ndim), np.int64),
        row_offsets=start,
        positions=np.zeros((0, ndim or sid_ndim), dtype),
        fragments=Fragments(start, none, none),
    )


def write_empty_level(
    storage: Storage,
    revision: Revision,
    root: RootMetadata,
    level: LevelMetadata,
    dtype: np.dtype[Any],
    *,
    checksum: bool,
) -> None:
    """Write a level that has its metadata and the two empty vertex arrays."""
    options = WriteOptions.parse(format_version=revision.name, compressor="zstd", shard_shape=None, checksum=checksum)
    leading = level.leads(root.ndim)
    cells = empty_cells(root.ndim + leading, dtype, root.ndim)
    write_level(storage, revision, root, replace(level, fragments_tile=True), cells, options.layout)
