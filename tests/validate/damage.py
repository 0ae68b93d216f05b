"""Editing the files of a small store: documents, cells of both revisions, tables."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.formats.dense_array import encode_values
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.formats.objects import manifest_payloads
from zarr_vectors.formats.vlen_array import encode_vlen
from zarr_vectors.model.cells import Manifests
from zarr_vectors.read.objects import read_manifests, read_object_ids
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.resolve import resolve_storage

PLAIN = LevelOptions(compressor=None, shard_shape=None, checksum=False)


@dataclass(frozen=True)
class Files:
    """A store of plain, unsharded cells in a folder."""

    root: Path

    @property
    def keyed(self) -> bool:
        """Whether every chunk is a node of its own (revision 0.7)."""
        return json.loads((self.root / "0/vertices/zarr.json").read_text())["node_type"] == "group"

    def edit(self, path: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a ``zarr.json``."""
        file = self.root / path / "zarr.json"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))

    def root_block(self, **values: Any) -> None:
        """Set keys of the root's own block; None removes them."""
        self.edit("", lambda d: _set(d["attributes"]["zarr_vectors"], values))

    def multiscale(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the ``multiscales`` block."""
        self.edit("", lambda d: change(d["attributes"]["multiscales"][0]))

    def entry(self, level: int, /, **values: Any) -> None:
        """Set keys of a level's entry in the ``multiscales`` block; None removes them."""
        self.multiscale(lambda m: _set(m["datasets"][level], values))

    def level_block(self, level: int, /, **values: Any) -> None:
        """Set keys of a level's block; None removes them."""
        self.edit(str(level), lambda d: _set(d["attributes"]["zarr_vectors_level"], values))

    def attributes(self, path: str, **values: Any) -> None:
        """Set attributes of a node; None removes them."""
        self.edit(path, lambda d: _set(d["attributes"], values))

    def cell_file(self, array: str, key: str) -> Path:
        """Return the file of a cell."""
        if self.keyed:
            return self.root / array / key / "c/0"
        return self.root / array / "c" / key.replace(".", "/")

    def cell(self, array: str, key: str) -> bytes:
        """Return the payload of a cell."""
        data = self.cell_file(array, key).read_bytes()
        return data if self.keyed else data[8:]

    def put_cell(self, array: str, key: str, payload: bytes) -> None:
        """Replace the payload of a cell."""
        if not self.keyed:
            self.cell_file(array, key).write_bytes(struct.pack("<II", 1, len(payload)) + payload)
            return
        self.cell_file(array, key).write_bytes(payload)

        def resize(document: dict[str, Any]) -> None:
            document["shape"] = [len(payload)]
            document["chunk_grid"]["configuration"]["chunk_shape"] = [max(1, len(payload))]

        self.edit(f"{array}/{key}", resize)

    def change_rows(self, array: str, key: str, dtype: str, change: Callable[[Any], Any]) -> None:
        """Change the numbers of a cell; the function returns new ones, or None for those it was given."""
        values = np.frombuffer(self.cell(array, key), dtype).copy()
        changed = change(values)
        self.put_cell(array, key, (values if changed is None else changed).tobytes())

    def put_manifests(self, level: int, change: Callable[[list[list[tuple[Any, int]]]], object]) -> None:
        """Change the manifests of a level, given as lists of (chunk, fragment)."""
        found = read_manifests(self.reader().level(level), None)
        lists = [
            [(tuple(found.chunks[r].tolist()), int(found.fragments[r])) for r in range(a, b)]
            for a, b in zip(found.offsets[:-1].tolist(), found.offsets[1:].tolist(), strict=True)
        ]
        change(lists)
        flat = [reference for one in lists for reference in one]
        table = Manifests(
            np.cumsum([0, *map(len, lists)]),
            np.array([chunk for chunk, _ in flat], np.int64),
            np.array([fragment for _, fragment in flat], np.int64),
        )
        buffer, offsets = manifest_payloads(table, merge=False)
        self.put_objects(encode_vlen(f"{level}/object_index/manifests", buffer, offsets, len(lists), [], {}))

    def object_ids(self, level: int) -> Any:
        """Return the object ids of a level."""
        return read_object_ids(self.reader().level(level))

    def put_dense(self, path: str, values: Any, attributes: dict[str, Any]) -> None:
        """Replace a dense array."""
        self.put_objects(encode_values(path, values, PLAIN, 0, attributes))

    def put_objects(self, objects: Any) -> None:
        """Write objects at their addresses."""
        for address, data in objects:
            (self.root / address).parent.mkdir(parents=True, exist_ok=True)
            (self.root / address).write_bytes(bytes(data))

    def reader(self) -> StoreReader:
        """Open the store anew."""
        return StoreReader.open(resolve_storage(self.root))


def _set(document: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            document.pop(key, None)
        else:
            document[key] = value
