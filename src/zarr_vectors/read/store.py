"""An open store: its root metadata, its revision, and its levels, each opened once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from zarr_vectors.constants import VERTICES
from zarr_vectors.exceptions import (
    IncompleteStoreError,
    MetadataError,
    StoreError,
    StoreNotFoundError,
    UnknownNameError,
    UnsupportedFeatureError,
    ZarrVectorsError,
)
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.detection import detect_revision, vertices_node
from zarr_vectors.formats.documents import ROOT_KEY, parse_root
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.grid import is_level
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.read.level import LevelReader, open_level_reader
from zarr_vectors.read.nodes import LevelNodes, known_nodes
from zarr_vectors.storage.consolidated import CONSOLIDATED, consolidated_nodes
from zarr_vectors.storage.latest import keeps_latest
from zarr_vectors.storage.port import INTERNAL_PREFIX, Blob, Listing, Storage, get_whole
from zarr_vectors.storage.replace import UNFINISHED_NOTE
from zarr_vectors.typing import Document

ROOT_ADDRESS = "zarr.json"
PROBE_LEVEL = "0"
FIRST_ADDRESSES = [ROOT_ADDRESS, *(f"{path}/zarr.json" for path in known_nodes(PROBE_LEVEL))]
"""What opening a store reads in its first round."""
_CELLS_LOOKED_AT = 4
"""Of chunks that are arrays of their own, how many are looked at, as some may be damaged."""


class StoreReader:
    """An open store.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    attributes : dict
        Attributes of the root.
    root : RootMetadata
        The same, parsed.
    revision : Revision
        Format revision of the store.
    """

    def __init__(self, storage: Storage, attributes: Document, root: RootMetadata, revision: Revision) -> None:
        self.storage = storage
        self.attributes = attributes
        self.root = root
        self.revision = revision
        self._levels: dict[int, LevelReader] = {}
        self.is_consolidated = False
        """Whether the root held consolidated metadata when it was read."""
        self._nodes = LevelNodes(storage, revision, {}, {})

    @classmethod
    def open(cls, storage: Storage, first: Mapping[str, Blob | None] | None = None) -> StoreReader:
        """Open a store in one round of requests, which reads ahead what opening level 0 begins with.

        Parameters
        ----------
        storage : Storage
            Where the store is.
        first : mapping, optional
            What is at `FIRST_ADDRESSES`, where that has been read already.

        Raises
        ------
        StoreNotFoundError
            When nothing is at the path.
        StoreError
            When something else is there.
        MetadataError, UnsupportedFeatureError
            When the root metadata cannot be read.
        """
        if first is None:
            first = dict(zip(FIRST_ADDRESSES, get_whole(storage, FIRST_ADDRESSES), strict=True))
        root_blob = first[ROOT_ADDRESS]
        if root_blob is None:
            listing = _listed(storage)
            if listing is not None and ROOT_ADDRESS in listing.files:  # it came between the read and the listing
                first = dict(zip(FIRST_ADDRESSES, get_whole(storage, FIRST_ADDRESSES), strict=True))
                root_blob = first[ROOT_ADDRESS]
            if root_blob is None:
                raise _not_a_store(storage, listing)
        document = parse_document(root_blob, f"{storage.url}/zarr.json")
        attributes = node_attributes(document, storage.url, "group")
        if ROOT_KEY not in attributes:
            raise StoreError(
                f"{storage.url}: holds a Zarr group, but not a Zarr Vectors store "
                f"(its attributes have no {ROOT_KEY!r} block)"
            )
        root = parse_root(attributes, storage.url)
        seen = {path: first[f"{path}/zarr.json"] for path in known_nodes(PROBE_LEVEL)}
        probe = seen[f"{PROBE_LEVEL}/{VERTICES}"]
        vertices = None if probe is None else parse_document(probe, vertices_node(PROBE_LEVEL))
        store = cls(storage, attributes, root, detect_revision(root.zv_version, vertices, storage.url))
        store.is_consolidated = CONSOLIDATED in document
        if storage.read_only:
            store._nodes = LevelNodes(storage, store.revision, consolidated_nodes(document), {PROBE_LEVEL: seen})
        return store

    def level_numbers(self) -> list[int]:
        """Return the levels that the store holds, ascending; listed where listing is possible.

        Where an object store lists others than the root names, which may be because listings lag, those are looked for.
        """
        named = {entry.level for entry in self.root.levels}
        if not self.storage.can_list:
            return sorted(named)
        folders = self.storage.list_folders([""])[0].folders
        listed = {int(name) for name in folders if name.isdecimal() and name.isascii()}
        doubtful = sorted(listed ^ named) if keeps_latest(self.storage) else []
        if doubtful:
            found = get_whole(self.storage, [f"{number}/{ROOT_ADDRESS}" for number in doubtful])
            listed = (listed & named) | {n for n, blob in zip(doubtful, found, strict=True) if blob is not None}
        return sorted(listed)

    def stored_options(self, number: int) -> LevelOptions:
        """Return options that store more as a level is stored, as far as that can be told."""
        level = self.level(number, own=True)
        cells: list[Blob | None] = []
        if self.revision.keyed_by_chunk:
            keys = format_keys(level.chunks[:_CELLS_LOOKED_AT])
            cells = get_whole(self.storage, [f"{level.arrays.vertices.path}/{key}/{ROOT_ADDRESS}" for key in keys])
        for blob in cells:
            if blob is not None:
                with suppress(MetadataError):
                    return self.revision.stored_options(level.arrays, parse_document(blob, level.name))
        return self.revision.stored_options(level.arrays, None)

    def level(self, number: int, *, own: bool = False) -> LevelReader:
        """Return one level, opened on first use.

        Parameters
        ----------
        number : int
            Its index.
        own : bool
            Whether what the level itself stores is wanted, also where that is not all of it.

        Raises
        ------
        UnknownNameError
            When the store has no such level; names those that it has.
        UnsupportedFeatureError
            When the level is complete only together with coarser ones, and not only its own is wanted.
        """
        if not is_level(number):
            raise UnknownNameError(f"level: expected one of {self.level_numbers()}, got {number!r}")
        number = int(number)
        if number not in self._levels:
            opened = open_level_reader(self.storage, self.root, self.revision, number, self._nodes.find)
            if opened is None:
                raise UnknownNameError(
                    f"{self.storage.url}: no level {number}; the store has levels {self.level_numbers()}"
                )
            self._levels[number] = opened
        level = self._levels[number]
        if level.metadata.is_additive and not own:
            raise UnsupportedFeatureError(
                f"{level.name} is additive (refinement 'add'): it is complete only together with level {number + 1}, "
                "which this does not join; the readers of each kind do, and with own_level_only=True they read what it "
                "itself stores"
            )
        return level

    def chain(self, number: int, *, own_only: bool = False) -> list[LevelReader]:
        """Return the levels that make up a level: itself, and where it is additive those of the next coarser one.

        Parameters
        ----------
        number : int
            Index of the level.
        own_only : bool
            Whether what the level itself stores is enough.

        Raises
        ------
        UnknownNameError
            When the store has no such level.
        MetadataError
            When the coarsest level is additive.
        """
        levels = [self.level(number, own=True)]
        while levels[-1].metadata.is_additive and not own_only:
            following = int(number) + len(levels)
            try:
                levels.append(self.level(following, own=True))
            except UnknownNameError as error:
                raise MetadataError(
                    f"{levels[-1].name} is additive (refinement 'add'), but there is no level {following} to complete "
                    "it; own_level_only=True reads what it itself stores"
                ) from error
        return levels


def _listed(storage: Storage) -> Listing | None:
    """List what is at the top of a store, where that is possible."""
    try:
        return storage.list_folders([""])[0] if storage.can_list else None
    except ZarrVectorsError:
        return None


def _not_a_store(storage: Storage, listing: Listing | None) -> StoreError:
    if listing is not None and UNFINISHED_NOTE in listing.files:
        return IncompleteStoreError(
            f"{storage.url}: the beginning of a store is there, whose writer is at work or was interrupted before it "
            "was complete; nothing was there before. Write it again, or remove it by zarr_vectors.repair.repair"
        )
    if listing is not None and not listing.files and all(name.startswith(INTERNAL_PREFIX) for name in listing.folders):
        return StoreNotFoundError(f"{storage.url}: no store is there")
    if listing is not None and (listing.folders or listing.files):
        found = ", ".join(sorted([*listing.folders, *listing.files])[:5])
        return StoreError(f"{storage.url}: not a Zarr Vectors store: there is no zarr.json (found {found})")
    return StoreNotFoundError(f"{storage.url}: no store is there")


def parse_document(blob: Blob, where: str) -> Document:
    """Parse a ``zarr.json``.

    Raises
    ------
    MetadataError
        When it is not a JSON object.
    """
    try:
        document: Any = json.loads(bytes(blob))
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise MetadataError(f"{where}: expected a JSON object, got {type(document).__name__}")
    return document


def node_attributes(document: Document, where: str, node_type: str) -> Document:
    """Return the attributes of a node, checking its type."""
    if document.get("node_type") != node_type:
        raise StoreError(f"{where}: expected a Zarr {node_type}, found node type {document.get('node_type')!r}")
    attributes = document.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise MetadataError(f"{where}: attributes must be a JSON object")
    return attributes


def read_attributes(blob: Blob, where: str, node_type: str) -> Document:
    """Return the attributes of a node, checking its type."""
    return node_attributes(parse_document(blob, f"{where}/zarr.json"), where, node_type)
