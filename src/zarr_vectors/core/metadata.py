"""Root and level metadata of an open store, read and written as dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from zarr_vectors.core.group import Group
from zarr_vectors.core.nodes import read_document
from zarr_vectors.exceptions import UnknownNameError
from zarr_vectors.formats.documents import parse_level, parse_root
from zarr_vectors.model.grid import is_level
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.read.store import ROOT_ADDRESS, read_attributes
from zarr_vectors.storage.documents import document_bytes, group_document
from zarr_vectors.storage.port import Storage, get_one
from zarr_vectors.typing import Document


def read_root_metadata(root: Group) -> RootMetadata:
    """Return the root metadata of a store.

    Parameters
    ----------
    root : Group
        Any group of the store.

    Raises
    ------
    StoreError
        The group does not belong to a Zarr Vectors store.
    MetadataError
        The metadata breaks the format.
    """
    return root.handle.reader.root


def read_level_metadata(root: Group, level: int) -> LevelMetadata:
    """Return the metadata of a level.

    ``bin_ratio`` and ``bin_shape`` come from the root's ``multiscales`` block, else from the level itself,
    else (for what neither states) from the bins of level 0.

    Parameters
    ----------
    root : Group
        Any group of the store.
    level : int
        Level index.

    Raises
    ------
    UnknownNameError
        The store has no such level; the message names those it has.
    MetadataError
        The metadata breaks the format.
    """
    reader = root.handle.reader
    number = _number(root, level)
    document = read_document(root.handle, str(number))
    if document is None or document.get("node_type") != "group":
        raise UnknownNameError(
            f"{reader.storage.url}: no level {number}; the store has levels {reader.level_numbers()}"
        )
    parsed = parse_level(document.get("attributes") or {}, number, f"{reader.storage.url}: level {number}")
    return with_bins(parsed, reader.root)


def with_bins(level: LevelMetadata, root: RootMetadata) -> LevelMetadata:
    """Return level metadata whose bin ratio and shape are stated, taken from where the format keeps them."""
    entry = root.entry(level.level)
    if entry is not None:
        return replace(level, bin_ratio=entry.bin_ratio, bin_shape=entry.bin_shape)
    shape, ratio = level.bin_shape, level.bin_ratio
    if ratio is None and shape is not None:
        ratio = tuple(s / b for s, b in zip(shape, root.base_bin, strict=True))
    ratio = ratio or (1.0,) * root.ndim
    return replace(
        level,
        bin_ratio=ratio,
        bin_shape=shape or tuple(r * b for r, b in zip(ratio, root.base_bin, strict=True)),
    )


def _number(root: Group, level: int) -> int:
    if not is_level(level):
        numbers = root.handle.reader.level_numbers()
        raise UnknownNameError(f"level: expected one of {numbers}, got {level!r}")
    return int(level)


def rewrite_root(root: Group, change: Callable[[RootMetadata], RootMetadata]) -> Document:
    """Change the root metadata of a store, as one locked step; unknown keys of the root's attributes stay.

    Parameters
    ----------
    root : Group
        Any group of the store.
    change : callable
        Makes the new metadata from the present one.

    Returns
    -------
    dict
        The attributes as written.
    """
    revision = root.handle.reader.revision
    with root.handle.changing() as storage:
        metadata = change(reread_root(storage))
        return change_root(storage, lambda previous: revision.root_attributes(metadata, previous))


def change_root(storage: Storage, change: Callable[[Document], Document]) -> Document:
    """Rewrite the attributes of the root by a function of the present ones, and return them.

    Parameters
    ----------
    storage : Storage
        Where the store is, or a transaction on it.
    change : callable
        Makes the new attributes from the present ones.
    """
    blob = get_one(storage, ROOT_ADDRESS)
    present = {} if blob is None else read_attributes(blob, storage.url, "group")
    attributes = change(present)
    storage.put_many([(ROOT_ADDRESS, document_bytes(group_document(attributes)))])
    return attributes


def reread_root(storage: Storage) -> RootMetadata:
    """Return the root metadata as a transaction sees it."""
    blob = get_one(storage, ROOT_ADDRESS)
    return parse_root({} if blob is None else read_attributes(blob, storage.url, "group"), storage.url)
