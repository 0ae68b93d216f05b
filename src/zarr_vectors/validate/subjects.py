"""What rules look at: the store and its levels, opened once, whatever state they are in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors.constants import PARAMETRIC
from zarr_vectors.exceptions import (
    ArgumentError,
    ArrayError,
    MetadataError,
    StoreError,
    StoreNotFoundError,
    UnsupportedFeatureError,
)
from zarr_vectors.formats.documents import LEVEL_KEY, MULTISCALES_KEY
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.cells import Manifests
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.ordering import expand_ranges
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_groups, read_manifests, read_object_ids
from zarr_vectors.read.store import ROOT_ADDRESS, StoreReader
from zarr_vectors.storage.port import Range, Storage
from zarr_vectors.typing import BoolArray, Document, IntArray

DAMAGE = (ArrayError, MetadataError, UnsupportedFeatureError)
"""What reading damaged data raises; anything else is not a matter of the data."""


@dataclass(slots=True)
class StoreSubject:
    """A store as far as it can be opened: ``document`` is its root ``zarr.json``, or why that is none."""

    storage: Storage
    document: Document | str
    opened: StoreReader | None
    obstacle: str = ""  # why it could not be opened
    levels: list[LevelSubject] = field(default_factory=list)
    sound: bool = True  # whether the root document passed its checks, so that levels can be measured by it

    @classmethod
    def open(cls, storage: Storage) -> StoreSubject:
        """Open a store.

        Raises
        ------
        StoreNotFoundError
            When there is no root metadata at the place.
        """
        blob = storage.get_many([Range(ROOT_ADDRESS)])[0]
        if blob is None:
            raise StoreNotFoundError(f"{storage.url}: no Zarr Vectors store is there (no {ROOT_ADDRESS})")
        document = as_document(blob)
        try:
            return cls(storage, document, StoreReader.open(storage))
        except (*DAMAGE, StoreError) as failure:
            return cls(storage, document, None, str(failure))

    @property
    def reader(self) -> StoreReader:
        """The store, known to be open."""
        assert self.opened is not None
        return self.opened

    @property
    def attributes(self) -> Document:
        """Attributes of the root, empty where they cannot be read."""
        found = self.document.get("attributes") if isinstance(self.document, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def root(self) -> RootMetadata:
        """Root metadata of an open store."""
        return self.reader.root

    @property
    def revision(self) -> Revision:
        """Format revision of an open store."""
        return self.reader.revision

    @property
    def multiscale(self) -> Document:
        """First entry of the ``multiscales`` block, empty where there is none."""
        blocks = self.attributes.get(MULTISCALES_KEY)
        found = blocks[0] if isinstance(blocks, list) and blocks else None
        return found if isinstance(found, dict) else {}

    @property
    def is_parametric(self) -> bool:
        """Whether the store holds parametric objects, which need no levels."""
        return self.storage.exists(f"{PARAMETRIC}/{ROOT_ADDRESS}")


@dataclass
class LevelSubject:
    """A level as far as it can be opened.

    Parameters
    ----------
    store : StoreSubject
        The store, open.
    number : int
        Index of the level.
    documents : mapping of str to dict or str
        ``zarr.json`` of every node by path below the root, or why it is none.
    folders : mapping of str to list of str
        Names of the folders below the level and below its families of arrays.
    sampling : Sampling
        Which chunks are looked at.
    failed : bool
        Whether errors were found.
    obstacle : str
        Why the level cannot be opened.
    counted : int, optional
        Vertices that were found, where all chunks could be read.
    link_counts : dict of int to int
        Links that were found, by level difference.
    used_codes : dict of str to bool array
        Which categories of an attribute of vertices have a row, by path of the attribute.
    """

    store: StoreSubject
    number: int
    documents: dict[str, Document | str]
    folders: dict[str, list[str]]
    sampling: Sampling
    failed: bool = False
    obstacle: str = ""
    counted: int | None = None
    link_counts: dict[int, int] = field(default_factory=dict)
    used_codes: dict[str, BoolArray] = field(default_factory=dict)

    @classmethod
    def find(cls, store: StoreSubject, number: int, sampling: Sampling) -> LevelSubject:
        """Collect the nodes of a level."""
        documents, folders = find_documents(store.storage, store.revision, str(number))
        return cls(store, number, documents, folders, sampling)

    @property
    def path(self) -> str:
        """Path of the level's group."""
        return str(self.number)

    @property
    def block(self) -> Document | None:
        """The level's own metadata block, or None where there is none."""
        found = self.attributes_of(self.path).get(LEVEL_KEY)
        return found if isinstance(found, dict) else None

    @property
    def is_ours(self) -> bool:
        """Whether this package wrote the level: its list of nodes is an extra key of ours."""
        return bool((self.block or {}).get("nodes"))

    def attributes_of(self, path: str) -> Document:
        """Return the attributes of a node, empty where they cannot be read."""
        document = self.documents.get(path)
        found = document.get("attributes") if isinstance(document, dict) else None
        return found if isinstance(found, dict) else {}

    @cached_property
    def opened(self) -> LevelReader | None:
        """The open level, or None where it cannot be opened (:attr:`obstacle` says why)."""
        try:
            return self.store.reader.level(self.number, own=True)
        except (*DAMAGE, ArgumentError, KeyError) as failure:
            self.obstacle = str(failure)
            return None

    @property
    def reader(self) -> LevelReader:
        """The level, known to be open."""
        assert self.opened is not None
        return self.opened

    @cached_property
    def manifests(self) -> Manifests:
        """Manifests of all objects."""
        return read_manifests(self.reader, None)

    @cached_property
    def object_ids(self) -> IntArray:
        """Object ids by manifest row."""
        ids = read_object_ids(self.reader)
        return np.zeros(0, np.int64) if ids is None else ids

    @property
    def has_objects(self) -> bool:
        """Whether there is an object index that can be read."""
        if self.reader.arrays.object_index is None:
            return False
        try:
            return len(self.object_ids) == len(self.manifests.offsets) - 1
        except DAMAGE:
            return False

    @cached_property
    def present(self) -> IntArray:
        """Ids of the objects whose manifests are not empty, ascending."""
        return np.sort(self.object_ids[np.diff(self.manifests.offsets) > 0])

    @cached_property
    def groups(self) -> Groups | None:
        """Groups with their attributes."""
        return read_groups(self.reader)

    @cached_property
    def references(self) -> References:
        """References of all manifests, ordered by the chunk they name."""
        return References.of(self.manifests, self.reader)

    @cached_property
    def sampled(self) -> IntArray:
        """Rows of the chunks that are looked at, ascending."""
        return self.sampling.choose(len(self.reader.chunks), self.number)

    @cached_property
    def row_counts(self) -> IntArray:
        """Vertices of each chunk, ``(C,)``, filled in as chunks are read; -1 for those that were not."""
        return np.full(len(self.reader.chunks), -1, np.int64)

    @property
    def is_sampled(self) -> bool:
        """Whether some chunks are left out."""
        return len(self.sampled) < len(self.reader.chunks)


@dataclass(frozen=True, slots=True)
class References:
    """References of manifests, by the row of the chunk they name.

    Those to chunk c are ``starts[c]`` to ``starts[c + 1]`` of ``fragments`` (chunk-local numbers) and ``objects``
    (manifest rows), (K,) each; ``strays`` (n, S) are chunks that are named and that the level does not have.
    """

    starts: IntArray
    fragments: IntArray
    objects: IntArray
    strays: IntArray

    @classmethod
    def of(cls, manifests: Manifests, level: LevelReader) -> References:
        """Order the references of a level's manifests."""
        objects = np.repeat(np.arange(len(manifests.offsets) - 1), np.diff(manifests.offsets))
        rows = level.lookup.rows(manifests.chunks)
        order = np.argsort(rows, kind="stable")
        order = order[int((rows < 0).sum()) :]
        starts = np.searchsorted(rows[order], np.arange(len(level.chunks) + 1))
        return cls(starts, manifests.fragments[order], objects[order], manifests.chunks[rows < 0])

    def to(self, chunk_rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return place in `chunk_rows`, fragment and object of every reference to some chunks."""
        counts = self.starts[chunk_rows + 1] - self.starts[chunk_rows]
        rows = expand_ranges(self.starts[chunk_rows], counts)
        return np.repeat(np.arange(len(chunk_rows)), counts), self.fragments[rows], self.objects[rows]


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which chunks are looked at: a fraction of those of a level, in (0, 1], chosen by a seed; None means all."""

    fraction: float | None
    seed: int

    @classmethod
    def parse(cls, fraction: Any, seed: Any) -> Sampling:
        """Check what a user asked for.

        Raises
        ------
        ArgumentError
            When the fraction is not in (0, 1] or the seed is not a whole number from 0 on.
        """
        if fraction is not None and not (isinstance(fraction, (int, float)) and 0 < fraction <= 1):
            raise ArgumentError(f"sample_fraction: expected a number above 0 and at most 1, got {fraction!r}")
        if seed is not None and not (isinstance(seed, (int, np.integer)) and seed >= 0):
            raise ArgumentError(f"seed: expected a whole number from 0 on, got {seed!r}")
        chosen = np.random.SeedSequence().entropy if seed is None else int(seed)
        assert isinstance(chosen, int)
        return cls(None if fraction is None else float(fraction), chosen)

    def choose(self, count: int, stream: int) -> IntArray:
        """Return some rows of ``count``, ascending; at least one where there are any."""
        if self.fraction is None or self.fraction == 1:
            return np.arange(count, dtype=np.int64)
        size = min(count, max(1, round(self.fraction * count)))
        rows = np.random.default_rng([self.seed, stream]).choice(count, size, replace=False)
        return np.sort(rows).astype(np.int64)


def as_document(blob: Any) -> Document | str:
    """Parse a ``zarr.json``, or say why it is none."""
    try:
        document = json.loads(bytes(blob))
    except (ValueError, RecursionError) as failure:
        return f"not valid JSON: {failure}"
    if not isinstance(document, dict):
        return f"expected a JSON object, got {type(document).__name__}"
    return document


def find_documents(
    storage: Storage, revision: Revision, level: str
) -> tuple[dict[str, Document | str], dict[str, list[str]]]:
    """Read the ``zarr.json`` of every node of a level, and list its folders."""
    documents = dict(_read(storage, [level]))
    block = documents.get(level)
    attributes = block.get("attributes") if isinstance(block, dict) else None
    own = attributes.get(LEVEL_KEY) if isinstance(attributes, dict) else None
    named = own.get("nodes") if isinstance(own, dict) else None
    found = {
        f"{level}/{name}"
        for name in (named if isinstance(named, list) else [])
        if isinstance(name, str) and name and ".." not in name
    }
    folders: dict[str, list[str]] = {}
    frontier = {level, *(f"{level}/{name}" for name in revision.node_folders())} if storage.can_list else set()
    while frontier:
        paths = sorted(frontier)
        listings = storage.list_folders(paths)
        folders |= {path: listing.folders for path, listing in zip(paths, listings, strict=True)}
        below = {f"{path}/{name}" for path in paths for name in folders[path]}
        found |= below
        frontier = {path for path in below if revision.holds_nodes(path[len(level) + 1 :])} - set(folders)
    documents |= dict(_read(storage, sorted(found)))
    return documents, folders


def _read(storage: Storage, paths: list[str]) -> Iterator[tuple[str, Document | str]]:
    blobs = storage.get_many([Range(f"{path}/{ROOT_ADDRESS}") for path in paths])
    for path, blob in zip(paths, blobs, strict=True):
        if blob is not None:
            yield path, as_document(blob)
