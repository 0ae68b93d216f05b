"""Cells of a level → the objects of revision 0.9."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from zarr_vectors.constants import (
    GROUP_ATTRIBUTES,
    GROUPS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
)
from zarr_vectors.formats.dense_array import encode_column, encode_values
from zarr_vectors.formats.documents import group_document
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.formats.objects import (
    MANIFESTS_PER_CHUNK,
    group_payloads,
    link_fragment_payloads,
    manifest_payloads,
)
from zarr_vectors.formats.payloads import cell_payloads
from zarr_vectors.formats.v09.grid_encoding import GridExtent, encode_grid
from zarr_vectors.formats.v09.link_encoding import encode_filed, encode_links
from zarr_vectors.formats.vlen_array import encode_vlen
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells, ObjectTable
from zarr_vectors.model.elements import Groups
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import Document, IntArray

Objects = Iterator[tuple[str, BlobParts]]


@dataclass(slots=True)
class LevelEncoding:
    """The objects of a level: data first, metadata when all data is written.

    Parameters
    ----------
    level : str
        Path of the level's group.
    extent : GridExtent
        Chunk grid of the level.
    options : LevelOptions
        Compression and shards.
    scales : mapping of int to pair of (D,) int64
        By level difference, the chunk shapes of this level and of the other over the root's.
    merge_manifests : bool
        Whether manifests name consecutive fragments of a chunk in one block, as suits shared fragments.
    """

    level: str
    extent: GridExtent
    options: LevelOptions
    scales: Mapping[int, tuple[IntArray, IntArray]]
    merge_manifests: bool = False

    def encode(self, cells: Cells) -> Iterator[Objects]:
        """Yield the objects of the level in batches, each to be written before the next is asked for."""
        documents: list[tuple[str, bytes]] = []
        for payloads in cell_payloads(cells):
            data, document = encode_grid(self.level, payloads, self.extent, self.options)
            documents.append(document)
            yield data
        if cells.link_fragments is not None and (cells.links or cells.filed):
            data, document = encode_grid(self.level, link_fragment_payloads(cells), self.extent, self.options)
            documents.append(document)
            yield data
        for table in cells.links:
            yield from encode_links(self.level, table, self.scales[table.delta], self.extent, self.options)
        for family in cells.filed:
            yield from encode_filed(self.level, family, family.cells, self.extent, self.options)
        yield iter(self.encode_tables(cells))
        yield iter([*self._groups_of_arrays(documents), *documents])

    def _groups_of_arrays(self, documents: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Return the metadata of the groups between the level and its arrays."""
        families = {address.split("/")[1] for address, _ in documents if address.count("/") > 2}
        return [(f"{self.level}/{family}/zarr.json", _json(group_document({}))) for family in sorted(families)]

    def encode_tables(self, cells: Cells) -> list[tuple[str, BlobParts]]:
        """Return the objects of the object index, of groups and of the attributes of both."""
        objects: list[tuple[str, BlobParts]] = []
        if cells.objects is not None:
            objects += self._object_index(cells.objects, cells.chunks.shape[1])
            objects += self._columns(OBJECT_ATTRIBUTES, "object_attribute", dict(cells.objects.attributes))
        if cells.groups is not None:
            objects += self._group_lists(cells.groups)
            objects += self._columns(GROUP_ATTRIBUTES, "groupings_attribute", dict(cells.groups.attributes))
        return objects

    def _columns(self, family: str, kind: str, columns: dict[str, Column]) -> list[tuple[str, BlobParts]]:
        if not columns:
            return []
        objects: list[tuple[str, BlobParts]] = [(f"{self.level}/{family}/zarr.json", _json(group_document({})))]
        for name, column in columns.items():
            objects += encode_column(f"{self.level}/{family}/{name}", kind, name, column, self.options)
        return objects

    def _object_index(self, table: ObjectTable, sid_ndim: int) -> list[tuple[str, BlobParts]]:
        if table.manifests is None:
            return []
        path = f"{self.level}/{OBJECT_INDEX}"
        buffer, offsets = manifest_payloads(table.manifests, merge=self.merge_manifests)
        document = {
            "zv_array": "object_index",
            "num_objects": len(table.ids),
            "num_present": int((np.diff(table.manifests.offsets) > 0).sum()),
            "sid_ndim": sid_ndim,
            "layout": "vlen_manifests_v2",
            "object_ids_sorted": bool((np.diff(table.ids) > 0).all()),
        }
        return [
            *encode_vlen(f"{path}/manifests", buffer, offsets, MANIFESTS_PER_CHUNK, self.options.table_codecs(), {}),
            *encode_values(f"{path}/object_ids", np.asarray(table.ids, np.int64), self.options, 0, {}),
            (f"{path}/zarr.json", _json(group_document(document))),
        ]

    def _group_lists(self, groups: Groups) -> list[tuple[str, BlobParts]]:
        buffer, offsets = group_payloads(groups)
        document = {"zv_array": "groups", "num_groups": groups.count}
        return [
            *encode_vlen(
                f"{self.level}/{GROUPS}",
                buffer,
                offsets,
                max(1, groups.count),
                self.options.table_codecs(),
                document,
            )
        ]


def _json(document: Document) -> bytes:
    return json.dumps(document).encode()
