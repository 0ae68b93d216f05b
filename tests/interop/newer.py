"""What newer writers may store, made out of our own stores with zarr-python and by hand, apart from our encoders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr


def edit_document(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the ``zarr.json`` of a node in place."""
    file = path / "zarr.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def say(store: Path, node: str, /, **values: Any) -> None:
    """Set keys of a node: of the ``zarr_vectors`` block of the root, that of a level, or the attributes of an array."""
    block = "zarr_vectors" if not node else "zarr_vectors_level" if node.isdecimal() else None

    def change(document: dict[str, Any]) -> None:
        attributes = document.setdefault("attributes", {})
        (attributes if block is None else attributes.setdefault(block, {})).update(values)

    edit_document(store / node, change)


def blocks_of(manifest: bytes, sid_ndim: int) -> list[list[int]]:
    """Take a manifest apart by the format's own words: a row of chunk coordinates and a fragment per reference."""
    count, at, rows = int(np.frombuffer(manifest, "<u4", 1)[0]), 4, []
    for _ in range(count):
        chunk = np.frombuffer(manifest, "<i8", sid_ndim, at).tolist()
        mode, at = manifest[at + 8 * sid_ndim], at + 8 * sid_ndim + 1
        if mode == 0:
            fragments, at = np.frombuffer(manifest, "<i8", 1, at).tolist(), at + 8
        elif mode == 1:
            start, length = np.frombuffer(manifest, "<i8", 2, at).tolist()
            fragments, at = list(range(start, start + length)), at + 16
        else:
            length = int(np.frombuffer(manifest, "<u4", 1, at)[0])
            fragments, at = np.frombuffer(manifest, "<i8", length, at + 4).tolist(), at + 4 + 8 * length
        rows += [[*chunk, fragment] for fragment in fragments]
    return rows


def make_dense(store: Path, level: str = "0", *, seed: int = 0, rows_per_chunk: int = 7) -> None:
    """Keep the manifests of a level in dense arrays, in an order of their own, with rows that nothing names."""
    random = np.random.default_rng(seed)
    folder = store / level / "object_index"
    index = zarr.open_group(folder, mode="r")
    sid_ndim = int(index.attrs["sid_ndim"])
    lists = [blocks_of(bytes(entry), sid_ndim) for entry in index["manifests"][:]]
    ids = index["object_ids"][:] if "object_ids" in index else np.arange(len(lists))
    spans = np.full((len(lists), 2), -7, np.int64)  # the start of an empty manifest is not read
    blocks: list[list[int]] = []
    for row in random.permutation(len(lists)):
        blocks += [[99] * (sid_ndim + 1)] * int(random.integers(0, 3))
        spans[row, 1] = len(lists[row])
        if lists[row]:
            spans[row, 0] = len(blocks)
        blocks += lists[row]
    shutil.rmtree(folder / "manifests")
    group = zarr.open_group(folder, mode="r+")
    table = np.array(blocks, np.int64).reshape(-1, sid_ndim + 1)
    for name, values in (("manifest_spans", spans), ("manifest_blocks", table)):
        array = group.create_array(name, shape=values.shape, dtype="int64", chunks=(rows_per_chunk, values.shape[1]))
        array[...] = values
    if "object_ids" not in group:
        group.create_array("object_ids", shape=ids.shape, dtype="int64")[...] = ids
    say(store, f"{level}/object_index", layout="dense_manifests_v1")
    say(store, "", manifest_layout="dense", format_capabilities=["dense_manifests"])
    forget_nodes(store, level)


def forget_nodes(store: Path, level: str) -> None:
    """Take away our own list of the nodes of a level."""
    edit_document(store / level, lambda d: d["attributes"]["zarr_vectors_level"].pop("nodes", None))


def make_deferred(store: Path, level: str = "0") -> None:
    """Take away the lists of non-empty chunks of a level, as writers do that have yet to meet."""
    say(store, level, zarr_vectors_presence="deferred")
    for document in sorted((store / level).rglob("zarr.json")):
        edit_document(document.parent, lambda d: d.get("attributes", {}).pop("nonempty_chunks", None))


def make_additive(store: Path, *coarser: Path) -> None:
    """Put level 0 of other stores behind that of a store, as levels that complete it."""
    for number, other in enumerate(coarser, 1):
        shutil.copytree(other / "0", store / str(number))
        say(store, str(number), level=number)
    for number in range(len(coarser)):
        say(store, str(number), refinement="add")

    def change(document: dict[str, Any]) -> None:
        entries = document["attributes"]["multiscales"][0]["datasets"]
        entries += [{**entries[0], "path": str(number), "level": number} for number in range(1, len(coarser) + 1)]

    edit_document(store, change)
    say(store, "", required_capabilities=["additive_levels"], format_capabilities=["additive_levels"])
