"""Removing coarse levels, with every link that leads to them and every word that is said of those."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from zarr_vectors.constants import CROSS_CHUNK_LINK_ATTRIBUTES, CROSS_CHUNK_LINKS, LINK_ATTRIBUTES, LINKS
from zarr_vectors.formats.documents import group_document
from zarr_vectors.formats.link_names import delta_name
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.port import Storage, put_one

_DOCUMENT = "zarr.json"
_DELTA_AT = {LINKS: 1, CROSS_CHUNK_LINKS: 1, LINK_ATTRIBUTES: 2, CROSS_CHUNK_LINK_ATTRIBUTES: 2}
"""Which part of a path below a level spells the level difference, by family."""


def remove_levels(storage: Storage, store: StoreReader, numbers: Collection[int]) -> dict[int, LevelReader]:
    """Remove levels, and the links of all other levels to them.

    Parameters
    ----------
    storage : Storage
        Where the change is staged.
    store : StoreReader
        The store as it is.
    numbers : collection of int
        Levels to remove.

    Returns
    -------
    dict of int to LevelReader
        The levels that stay, as they are without those links.
    """
    staying = {number: store.level(number) for number in store.level_numbers() if number not in numbers}
    for number in numbers:
        storage.delete_prefix(str(number))
    for number, level in staying.items():
        deltas = [delta for delta in level.arrays.links if number + delta in numbers]
        if deltas:
            staying[number] = remove_link_families(storage, store, level, deltas)
    return staying


def remove_link_families(
    storage: Storage, store: StoreReader, level: LevelReader, deltas: Sequence[int]
) -> LevelReader:
    """Remove families of links and the groups that are then empty, and take their names out of the metadata."""
    name = str(level.metadata.level)
    below = {address[len(name) + 1 :] for family in _DELTA_AT for address in storage.list_all(f"{name}/{family}")}
    gone = _gone(below, {delta_name(delta) for delta in deltas})
    storage.delete_many([f"{name}/{path}" for path in sorted(gone)])
    lost = _tops(gone, 1) - _tops(below - gone, 1)
    metadata = replace(
        level.metadata,
        nodes=tuple(node for node in level.metadata.nodes if f"{node}/{_DOCUMENT}" not in gone),
        arrays_present=tuple(array for array in level.metadata.arrays_present if array not in lost),
    )
    document = group_document(store.revision.level_attributes(metadata, level.attributes))
    put_one(storage, f"{name}/{_DOCUMENT}", json.dumps(document).encode())
    links = {delta: family for delta, family in level.arrays.links.items() if delta not in deltas}
    return replace(level, metadata=metadata, arrays=replace(level.arrays, links=links))


def _gone(below: set[str], deltas: set[str]) -> set[str]:
    """Return the paths that belong to some level differences, and the groups that hold nothing else."""
    gone = {path for path in below if _delta_of(path) in deltas}
    for depth in (2, 1):
        left = below - gone
        full = _tops((path for path in left if path != f"{_top(path, depth)}/{_DOCUMENT}"), depth)
        gone |= {f"{top}/{_DOCUMENT}" for top in _tops(gone, depth) - full} & left
    return gone


def _delta_of(path: str) -> str | None:
    parts = path.split("/")
    at = _DELTA_AT[parts[0]]
    return parts[at] if len(parts) > at + 1 else None


def _top(path: str, depth: int) -> str:
    return "/".join(path.split("/")[:depth])


def _tops(paths: Iterable[str], depth: int) -> set[str]:
    return {_top(path, depth) for path in paths}
