"""Writing a whole store: beside what is there, then in its place, root metadata last."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace

from zarr_vectors.constants import PARAMETRIC
from zarr_vectors.exceptions import IncompleteStoreError, StoreError, StoreExistsError, StoreNotFoundError
from zarr_vectors.formats.documents import group_document
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.read.opening import open_storage
from zarr_vectors.read.store import ROOT_ADDRESS, StoreReader
from zarr_vectors.storage.port import INTERNAL_PREFIX, Range, Storage
from zarr_vectors.storage.replace import begin_replacement
from zarr_vectors.typing import Document
from zarr_vectors.write.level import write_level
from zarr_vectors.write.options import WriteOptions

Level = tuple[LevelMetadata, Cells]
_COPIED_AT_ONCE = 64


def existing_store(storage: Storage) -> StoreReader | None:
    """Return the store at a place, or None where nothing is.

    Raises
    ------
    StoreError
        When something else is there, which is never replaced.
    """
    try:
        return open_storage(storage)
    except (StoreNotFoundError, IncompleteStoreError):
        return None
    except StoreError as error:
        raise StoreError(f"{error}; only a Zarr Vectors store is ever replaced: choose another path") from error


def refuse_existing(storage: Storage) -> None:
    """Refuse a place where anything is.

    Raises
    ------
    StoreExistsError
        When the place is not empty.
    """
    if storage.exists(ROOT_ADDRESS) or any(any(listing) for listing in storage.list_folders([""])):
        raise StoreExistsError(f"{storage.url}: something is there already, and mode 'w-' never replaces")


def write_store(
    storage: Storage,
    revision: Revision,
    root: RootMetadata,
    levels: Iterable[Level],
    options: WriteOptions,
    *,
    attributes: Document | None = None,
    beside: StoreReader | None = None,
    replaced: StoreReader | None = None,
    finish: Callable[[Storage], None] | None = None,
) -> None:
    """Write a store as a whole; what was at the place is there until the new one is complete.

    Parameters
    ----------
    storage : Storage
        The place.
    revision : Revision
        Format revision.
    root : RootMetadata
        Metadata of the store, with an entry for every level.
    levels : iterable of (LevelMetadata, Cells)
        The levels, made as they are consumed.
    options : WriteOptions
        Compression, shards, progress.
    attributes : dict, optional
        Further attributes of the root.
    beside : StoreReader, optional
        A store whose groups that are no levels (parametric objects) are taken over, and of whose levels what is kept
        under unknown keys.
    replaced : StoreReader, optional
        The store that is there, whose parametric objects are taken over in any case.
    finish : function, optional
        Called with the new store before it takes its place, to add coarse levels.
    """
    root = replace(root, zv_version=revision.stamp)
    with begin_replacement(storage) as replacement:
        staging = replacement.staging
        held = [] if beside is None else beside.level_numbers()
        for metadata, cells in levels:
            old = beside.level(metadata.level) if beside is not None and metadata.level in held else None
            if old is not None:
                metadata = replace(metadata, extra={**old.metadata.unknown, **metadata.extra})
            write_level(
                staging,
                revision,
                root,
                metadata,
                cells,
                options.layout,
                progress=options.progress,
                previous=None if old is None else old.attributes,
                kept=None if old is None else old.unknown,
            )
        if beside is not None:
            copy_other_groups(beside, staging)
        elif replaced is not None:
            _copy_folder(replaced.storage, PARAMETRIC, staging)
        write_root(staging, revision, root, attributes)
        if finish is not None:
            finish(staging)


def copy_other_groups(source: StoreReader, target: Storage) -> None:
    """Copy what is not a level byte for byte: parametric objects are alike in all revisions."""
    storage = source.storage
    if not storage.can_list:
        return
    levels = {str(number) for number in source.level_numbers()}
    for folder in storage.list_folders([""])[0].folders:
        if folder in levels or folder.startswith(INTERNAL_PREFIX):
            continue
        _copy_folder(storage, folder, target)


def _copy_folder(storage: Storage, folder: str, target: Storage) -> None:
    addresses = storage.list_all(folder) if storage.can_list else []
    for start in range(0, len(addresses), _COPIED_AT_ONCE):
        part = addresses[start : start + _COPIED_AT_ONCE]
        blobs = storage.get_many([Range(address) for address in part])
        target.put_many((a, b) for a, b in zip(part, blobs, strict=True) if b is not None)


def write_root(storage: Storage, revision: Revision, root: RootMetadata, previous: Document | None = None) -> None:
    """Write the root metadata, which makes a store exist."""
    document = group_document(revision.root_attributes(root, previous))
    storage.put_many([(ROOT_ADDRESS, json.dumps(document).encode())])
