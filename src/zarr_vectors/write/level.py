"""Writing one level: its arrays, then its own metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from zarr_vectors.formats.documents import group_document
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.storage.port import BlobParts, Storage
from zarr_vectors.typing import Document
from zarr_vectors.write.options import Progress

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

    Returns
    -------
    LevelMetadata
        As written.
    """
    level = str(metadata.level)
    nodes: list[str] = []
    total = 4 + len(cells.attributes) + len(cells.fragment_attributes)
    for done, batch in enumerate(revision.encode_level(level, cells, root, metadata, options), start=1):
        storage.put_many(_noting_nodes(batch, level, revision, nodes))
        if progress is not None:
            progress(min(done, total - 1), total)
    written = replace(
        metadata,
        vertex_count=cells.count,
        nodes=tuple(sorted(nodes)),
        arrays_present=tuple(sorted({node.split("/")[0] for node in nodes})),
    )
    document = group_document(revision.level_attributes(written, previous))
    storage.put_many([(level + _METADATA, json.dumps(document).encode())])
    if progress is not None:
        progress(total, total)
    return written


def _noting_nodes(
    batch: Iterator[tuple[str, BlobParts]], level: str, revision: Revision, nodes: list[str]
) -> Iterator[tuple[str, BlobParts]]:
    for address, data in batch:
        if address.endswith(_METADATA):
            node = address[len(level) + 1 : -len(_METADATA)]
            if not revision.is_chunk_node(node):
                nodes.append(node)
        yield address, data
