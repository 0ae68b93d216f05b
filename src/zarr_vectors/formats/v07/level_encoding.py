"""Cells of a level → the objects of revision 0.7."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    GROUP_ATTRIBUTES,
    GROUPS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
)
from zarr_vectors.encoding.compression import Pipeline
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.dense_array import encode_values
from zarr_vectors.formats.documents import attribute_document, group_document
from zarr_vectors.formats.layout import CellPayloads, LevelOptions
from zarr_vectors.formats.objects import (
    MANIFESTS_PER_CHUNK,
    group_payloads,
    link_fragment_payloads,
    manifest_payloads,
)
from zarr_vectors.formats.payloads import cell_payloads
from zarr_vectors.formats.v07.link_encoding import cross_blobs, filed_cells, link_cells
from zarr_vectors.formats.v07.tiny_array import PLAIN_CELLS, encode_tiny
from zarr_vectors.formats.vlen_array import encode_vlen
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells, ObjectTable
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.links import FiledLinks, LinkTable
from zarr_vectors.parallel import split_evenly, thread_map, worker_count
from zarr_vectors.storage.port import BlobParts
from zarr_vectors.typing import Bytes, Document

Objects = Iterator[tuple[str, BlobParts]]


@dataclass(slots=True)
class LevelEncoding:
    """The objects of a level: data first, metadata of the groups when all data is written.

    Parameters
    ----------
    level : str
        Path of the level's group.
    options : LevelOptions
        Compression; this revision has no shards.
    merge_manifests : bool
        Whether manifests name consecutive fragments of a chunk in one block, as suits shared fragments.
    """

    level: str
    options: LevelOptions
    merge_manifests: bool = False

    def encode(self, cells: Cells) -> Iterator[Objects]:
        """Yield the objects of the level in batches, each to be written before the next is asked for."""
        documents: list[tuple[str, BlobParts]] = []
        for payloads in cell_payloads(cells):
            documents.append(self._cell_group(payloads))
            yield self._cells(payloads)
        if cells.link_fragments is not None and (cells.links or cells.filed):
            payloads = link_fragment_payloads(cells)
            documents.append(self._cell_group(payloads))
            yield self._cells(payloads)
        yield from self.encode_links((*cells.links, *cells.filed), crossings_only=cells.link_fragments is None)
        yield iter(self.encode_tables(cells))
        families = {address.split("/")[1] for address, _ in documents if address.count("/") > 2}
        yield iter([*(self._group(family, {}) for family in sorted(families)), *documents])

    def encode_cells(self, payloads: Iterable[CellPayloads]) -> Iterator[Objects]:
        """Yield the objects of whole per-chunk arrays, the metadata of each last."""
        for one in payloads:
            yield self._cells(one)
            yield iter([self._cell_group(one)])

    def encode_links(
        self, tables: Sequence[LinkTable | FiledLinks], *, crossings_only: bool = False
    ) -> Iterator[Objects]:
        """Yield the objects of link families: those inside chunks, those between chunks, then metadata.

        Under ``crossings_only`` links of the level that are inside chunks get no array where there are none, as in
        paths, in which the rows of a fragment follow each other without stored links.
        """
        documents: dict[str, Document] = {}
        for table in tables:
            inside, across = filed_cells(table)
            for payloads in link_cells(table, inside):
                if crossings_only and table.delta == 0 and not len(payloads.chunks) and not table.attributes:
                    continue
                documents[payloads.path] = payloads.document
                yield self._cells(payloads)
            for blob in cross_blobs(table, across):
                documents[blob.path] = blob.document
                yield iter(self._tiny(f"{blob.path}/data", blob.data))
        above = {"/".join(path.split("/")[:depth]) for path in documents for depth in range(1, path.count("/") + 1)}
        yield iter(
            [
                *(self._group(path, {}) for path in sorted(above)),
                *(self._group(p, d) for p, d in documents.items()),
            ]
        )

    def _group(self, path: str, attributes: Document) -> tuple[str, BlobParts]:
        return f"{self.level}/{path}/zarr.json", json.dumps(group_document(attributes)).encode()

    def _cell_group(self, payloads: CellPayloads) -> tuple[str, BlobParts]:
        plain = {} if self.options.codecs(payloads.itemsize) else {PLAIN_CELLS: True}
        return self._group(payloads.path, payloads.document | plain)

    def _cells(self, payloads: CellPayloads) -> Objects:
        codecs = self.options.codecs(payloads.itemsize)
        pipeline = Pipeline.from_documents(codecs)
        for first, last in payloads.batches(self.options.batch_bytes):
            buffer = payloads.part(first, last)
            offsets = (payloads.offsets[first : last + 1] - payloads.offsets[first]).tolist()
            keys = format_keys(payloads.chunks[first:last])

            def encode(
                rows: slice, keys: list[str] = keys, buffer: memoryview = buffer, offsets: list[int] = offsets
            ) -> list[tuple[str, BlobParts]]:
                objects: list[tuple[str, BlobParts]] = []
                for row in range(rows.start, rows.stop):
                    path = f"{self.level}/{payloads.path}/{keys[row]}"
                    objects += encode_tiny(path, buffer[offsets[row] : offsets[row + 1]], pipeline, codecs)
                return objects

            for batch in thread_map(encode, split_evenly(last - first, 2 * worker_count())):
                yield from batch

    def encode_tables(self, cells: Cells) -> list[tuple[str, BlobParts]]:
        """Return the objects of the object index, of groups and of the attributes of both."""
        objects: list[tuple[str, BlobParts]] = []
        if cells.objects is not None:
            objects += self._object_index(cells.objects, cells.chunks.shape[1])
            objects += self._columns(OBJECT_ATTRIBUTES, "object_attribute", cells.objects.attributes)
        if cells.groups is not None:
            objects += self._group_lists(cells.groups)
            objects += self._columns(GROUP_ATTRIBUTES, "groupings_attribute", cells.groups.attributes)
        return objects

    def _object_index(self, table: ObjectTable, sid_ndim: int) -> list[tuple[str, BlobParts]]:
        if table.manifests is None:
            return []
        path = f"{self.level}/{OBJECT_INDEX}"
        buffer, offsets = manifest_payloads(table.manifests, merge=self.merge_manifests)
        document: Document = {
            "zv_array": "object_index",
            "num_objects": len(table.ids),
            "sid_ndim": sid_ndim,
            "layout": "vlen_manifests_v1",
        }
        codecs = self.options.table_codecs()
        objects: list[tuple[str, BlobParts]] = [
            *encode_vlen(f"{path}/manifests", buffer, offsets, MANIFESTS_PER_CHUNK, codecs, {})
        ]
        ids = np.asarray(table.ids, np.int64)
        if not np.array_equal(ids, np.arange(len(ids))):
            document["object_ids_sorted"] = bool((np.diff(ids) > 0).all())
            objects += encode_values(f"{path}/object_ids", ids, self.options, 0, {})
        return [*objects, self._group(OBJECT_INDEX, document)]

    def _columns(self, family: str, kind: str, columns: Any) -> list[tuple[str, BlobParts]]:
        if not columns:
            return []
        objects: list[tuple[str, BlobParts]] = [self._group(family, {})]
        for name, column in columns.items():
            objects += self._column(f"{family}/{name}", kind, name, column)
        return objects

    def _column(self, path: str, kind: str, name: str, column: Column) -> list[tuple[str, BlobParts]]:
        values = np.ascontiguousarray(column.values, column.values.dtype.newbyteorder("<"))
        document = attribute_document(kind, name, column.spec) | {
            "shape": list(values.shape),
            "num_channels": int(values.shape[1]) if values.ndim == 2 else 1,
        }
        if values.dtype.kind == "U":
            document |= {"dtype": values.dtype.str, "encoding": "fixed_length_utf32"}
        data = values.reshape(-1).view(np.uint8) if values.size and values.dtype.itemsize else b""
        objects = self._tiny(f"{path}/data", data)
        if kind == "object_attribute":
            missing = column.missing() if column.spec.fill is not None and values.ndim == 1 else None
            document["has_present_mask"] = missing is not None
            if missing is not None:
                objects += self._tiny(f"{path}/present_mask", (~missing).view(np.uint8))
        return [*objects, self._group(path, document)]

    def _group_lists(self, groups: Groups) -> list[tuple[str, BlobParts]]:
        buffer, offsets = group_payloads(groups)
        return [
            *self._tiny(f"{GROUPS}/data", buffer),
            *self._tiny(f"{GROUPS}/offsets", np.ascontiguousarray(offsets[:-1], "<i8").view(np.uint8)),
            self._group(GROUPS, {"zv_array": "groups", "num_groups": groups.count}),
        ]

    def _tiny(self, path: str, data: Bytes) -> list[tuple[str, BlobParts]]:
        codecs = self.options.table_codecs()
        return encode_tiny(f"{self.level}/{path}", data, Pipeline.from_documents(codecs), codecs)
