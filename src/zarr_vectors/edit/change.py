"""A store under change: its reader, what is staged for it, and the metadata that goes with an edit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from zarr_vectors.constants import SHELL_KEY
from zarr_vectors.edit.staging import SparingTransaction
from zarr_vectors.exceptions import ArgumentError, StoreError
from zarr_vectors.formats.cell_access import has_chosen_shards, stored_layout
from zarr_vectors.formats.documents import group_document
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.multiresolution.rebuilding import pyramid_of, stage_rebuilt
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.nodes import find_nodes
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.port import BlobParts, Storage, get_one, join
from zarr_vectors.typing import Document
from zarr_vectors.write.changing import open_for_change
from zarr_vectors.write.store import write_root

_DOCUMENT = "zarr.json"


class Change:
    """A store that is being edited. What is written is staged and seen at once; it becomes final all at once.

    Parameters
    ----------
    staged : SparingTransaction
        Where changes go.
    """

    def __init__(self, staged: SparingTransaction) -> None:
        self.staged = staged
        self.store = StoreReader.open(staged)

    @property
    def root(self) -> RootMetadata:
        """Root metadata of the store as it stands."""
        return self.store.root

    def level(self, number: int) -> LevelReader:
        """Return a level as it stands."""
        return self.store.level(number)

    def coarse_levels(self) -> list[int]:
        """Return the numbers of the levels above level 0."""
        return [number for number in self.store.level_numbers() if number > 0]

    def documents(self, number: int) -> dict[str, Document]:
        """Return the ``zarr.json`` of every node of a level by path below the root."""
        return find_nodes(self.staged, self.store.revision, str(number))[0]

    def layout(self, level: LevelReader) -> LevelOptions:
        """Return the compression and shards that a level has, so that more is stored alike."""
        if not self.store.revision.keyed_by_chunk:
            vertices = level.arrays.vertices
            itemsize = vertices.spec.numpy_dtype.itemsize
            layout = stored_layout(self._document(vertices.path), itemsize)
            size = level.metadata.vertex_count * level.root.ndim * itemsize
            return replace(layout, shard_shape="auto") if has_chosen_shards(vertices, size) else layout
        return self.store.stored_options(level.metadata.level)

    def _document(self, path: str) -> Document | None:
        blob = get_one(self.staged, f"{path}/{_DOCUMENT}")
        return None if blob is None else json.loads(bytes(blob))

    def put(self, batches: Iterator[Iterator[tuple[str, BlobParts]]]) -> None:
        """Stage batches of objects in their order."""
        for batch in batches:
            self.staged.put_many(batch)

    @contextmanager
    def replacing(self, *folders: str) -> Iterator[None]:
        """Delete what was below some folders of the store and is not written anew in the block."""
        before = {address for folder in folders for address in self.staged.list_all(folder)}
        named, self.staged.named = self.staged.named, set()
        yield
        left = before - self.staged.named
        self.staged.named |= named
        if left:
            self.staged.delete_many(sorted(left))

    def require_groups(self, number: int, path: str) -> None:
        """Make the groups between a level and the array at a path below it."""
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            address = "/".join([str(number), *parts[:depth], _DOCUMENT])
            if not self.staged.exists(address):
                self.staged.put_many([(address, _encoded(group_document({})))])

    def put_level(self, number: int, **changes: Any) -> None:
        """Write the metadata of a level whose arrays have changed, and open it anew.

        Parameters
        ----------
        number : int
            The level.
        **changes
            Fields of its metadata.
        """
        level = self.level(number)
        start = len(str(number)) + 1
        nodes = tuple(sorted(path[start:] for path in self.documents(number) if len(path) > start))
        present = tuple(sorted({node.split("/")[0] for node in nodes}))
        named = nodes if level.metadata.nodes else ()
        claims = {"fragment_link_groups": False}  # which holds of levels that are written as a whole
        metadata = replace(level.metadata, nodes=named, arrays_present=present, **claims | changes)
        self._put_level(metadata, level.attributes)
        self.reopen()

    def _put_level(self, metadata: LevelMetadata, previous: Mapping[str, Any]) -> None:
        document = group_document(self.store.revision.level_attributes(metadata, dict(previous)))
        self.staged.put_many([(join(str(metadata.level), _DOCUMENT), _encoded(document))])

    def put_root(self, root: RootMetadata) -> None:
        """Write the metadata of the root, and open the store anew."""
        write_root(self.staged, self.store.revision, root, self.store.attributes)
        self.reopen()

    def describe(self, scope: str, columns: Mapping[str, Column], gone: Sequence[str] = ()) -> None:
        """Note in the root what is known of some attributes, and forget others.

        Parameters
        ----------
        scope : str
            ``vertex``, ``link``, ``object`` or ``group``.
        columns : mapping of str to Column
            Attributes that are stored.
        gone : sequence of str
            Attributes that are stored no longer.
        """
        specs: dict[tuple[str, str], AttributeSpec] = dict(self.root.attribute_specs)
        for name in gone:
            specs.pop((scope, name), None)
        specs |= {(scope, name): column.spec for name, column in columns.items()}
        self.put_root(replace(self.root, attribute_specs=specs))

    def mark_stale(self) -> None:
        """Note at every coarse level that level 0 is newer."""
        for number in self.coarse_levels():
            level = self.level(number)
            if not level.metadata.stale:
                self._put_level(replace(level.metadata, stale=True), level.attributes)
        self.reopen()

    def reopen(self) -> None:
        """Open the store anew as it is staged."""
        self.store = StoreReader.open(self.staged)


def _encoded(document: Document) -> bytes:
    return json.dumps(document).encode()


@contextmanager
def changing(path: Any, backend: str | None, options: Mapping[str, Any], refresh: bool = False) -> Iterator[Change]:
    """Edit a store: under its lock, and all of the block or nothing of it.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    backend : str, optional
        Storage library.
    options : mapping
        Options of the object store.
    refresh : bool
        Whether coarse levels that have become stale are built anew at the end of the block.

    Raises
    ------
    StoreError
        When there is no store, or a shell that no writer has filled.
    StoreLockedError
        When another writer holds it.
    """
    with open_for_change(path, backend, options) as (storage, _), SparingTransaction(storage) as staged:
        change = Change(staged)
        if change.store.attributes.get(SHELL_KEY):
            raise StoreError(
                f"{storage.url}: a shell that nothing has been written to yet; write geometry into it first"
            )
        yield change
        if refresh:
            stage_refreshed(staged)


def stage_refreshed(staged: Storage) -> bool:
    """Build the coarse levels of a store anew where one of them is stale; return whether that was so."""
    store = StoreReader.open(staged)
    stale = [number for number in store.level_numbers() if number > 0 and store.level(number).metadata.stale]
    if stale and (pyramid := pyramid_of(store)) is not None:
        stage_rebuilt(staged, pyramid)
    return bool(stale)


def require_finest(level: int, what: str) -> None:
    """Refuse to change the vertices of a coarse level.

    Raises
    ------
    ArgumentError
        When the level is not 0.
    """
    if level:
        raise ArgumentError(
            f"level: {what} changes the vertices, which coarse levels have from level 0; got level {level}. Edit level "
            "0 with refresh=True"
        )
