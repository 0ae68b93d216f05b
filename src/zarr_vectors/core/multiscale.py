"""The root's ``multiscales`` block: which levels there are and how their bins relate to level 0.

The block follows OME-Zarr (NGFF 0.4); ``scale`` is the bin ratio and ``translation`` half the bin shape of a
level (Zarr Vectors specification, multiscale metadata). The transforms describe bins: vertices are in world
units at every level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from zarr_vectors.constants import CAP_MULTISCALE_LINKS, SHELL_KEY
from zarr_vectors.core.group import Group
from zarr_vectors.exceptions import ArgumentError, StoreError, StoreExistsError, UnknownNameError
from zarr_vectors.formats.documents import MULTISCALES_KEY, parse_level, parse_root
from zarr_vectors.model.grid import Grid, as_level, as_shape, is_level
from zarr_vectors.model.metadata import LevelEntry, LevelMetadata, RootMetadata
from zarr_vectors.multiresolution.removal import remove_levels
from zarr_vectors.read.store import ROOT_ADDRESS, StoreReader, read_attributes
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, group_document
from zarr_vectors.storage.port import Storage, get_one, join, put_one
from zarr_vectors.typing import Document
from zarr_vectors.write.level import write_empty_level


def write_multiscale_metadata(root: Group) -> list[Document]:
    """Write the ``multiscales`` block anew from the levels that are there.

    Parameters
    ----------
    root : Group
        Root of a store opened with ``mode="r+"``.

    Returns
    -------
    list of dict
        The block as written.

    Raises
    ------
    ReadOnlyStoreError
        The store was opened for reading.
    """
    metadata = read_root_metadata(root)
    entries = tuple(_entry(root, metadata, level) for level in root.handle.reader.level_numbers())
    attributes = rewrite_root(root, lambda present: replace(present, levels=entries))
    return list(attributes[MULTISCALES_KEY])


def _entry(root: Group, metadata: RootMetadata, number: int) -> LevelEntry:
    level = read_level_metadata(root, number)
    assert level.bin_ratio is not None
    assert level.bin_shape is not None
    old = metadata.entry(number)
    if old is None:
        shape = level.chunk_shape or metadata.chunk_shape
        scale = tuple(round(mine / theirs) for mine, theirs in zip(shape, metadata.chunk_shape, strict=True))
        grown = scale if any(s != 1 for s in scale) else None
        old = LevelEntry(number, level.bin_ratio, level.bin_shape, chunk_scale=grown)
    return replace(old, object_sparsity=level.object_sparsity)


def read_multiscale_metadata(root: Group) -> list[Document] | None:
    """Return the ``multiscales`` list of the root as it stands, or None where there is none."""
    found = root.handle.reader.attributes.get(MULTISCALES_KEY)
    return None if found is None else list(found)


def get_level_scale(root: Group, level: int) -> list[float] | None:
    """Return the scale of a level, a number per axis (its bin ratio), or None where none is stated."""
    return read_level_transform(root, level)[0]


def get_level_translation(root: Group, level: int) -> list[float] | None:
    """Return the translation of a level, a number per axis (half a bin), or None where none is stated."""
    return read_level_transform(root, level)[1]


def read_level_transform(root: Group, level: int) -> tuple[list[float] | None, list[float] | None]:
    """Return ``(scale, translation)`` of a level as the ``multiscales`` block states them.

    Parameters
    ----------
    root : Group
        Root of a store.
    level : int
        Level index.

    Returns
    -------
    scale, translation : list of float or None
        A number per axis; None where the block has no such level or no such transform.
    """
    entry = _dataset(read_multiscale_metadata(root) or [], level) or {}
    transforms = {one.get("type"): one for one in entry.get("coordinateTransformations", [])}
    scale, translation = (transforms.get(kind, {}).get(kind) for kind in ("scale", "translation"))
    return _floats(scale), _floats(translation)


def upsert_level_transform(
    root: Group, level: int, *, scale: Sequence[float], translation: Sequence[float] | None = None
) -> None:
    """Add or change the transforms of a level in the ``multiscales`` block.

    Parameters
    ----------
    root : Group
        Root of a store opened with ``mode="r+"``.
    level : int
        Level index, 0 for full resolution.
    scale : sequence of float
        A number per axis: the bin ratio of the level.
    translation : sequence of float, optional
        A number per axis: half the bin shape. Where all are zero, or it is left out, none is written, which means zero.

    Raises
    ------
    ArgumentError
        The number of entries differs from that of the axes, or a scale is not positive, or translations are neither
        positive nor all zero.
    ReadOnlyStoreError
        The store was opened for reading.
    """
    metadata = read_root_metadata(root)
    ratio = _per_axis("scale", scale, metadata.ndim)
    offset = _per_axis("translation", translation or [0.0] * metadata.ndim, metadata.ndim)
    if level < 0 or any(not r > 0 for r in ratio):
        raise ArgumentError(f"level {level}, scale {list(ratio)}: levels start at 0 and scales are positive")
    if any(offset):
        if any(not t > 0 for t in offset):
            raise ArgumentError(f"translation {list(offset)}: half a bin on every axis, or zero on all of them")
        bin_shape = tuple(2 * t for t in offset)
    else:
        bin_shape = tuple(r * b for r, b in zip(ratio, metadata.base_bin, strict=True))

    def upserted(present: RootMetadata) -> RootMetadata:
        old = present.entry(level) or LevelEntry(level, ratio, bin_shape)
        return present.with_level(replace(old, bin_ratio=ratio, bin_shape=bin_shape, shifted=any(offset)))

    rewrite_root(root, upserted)


def _dataset(blocks: list[Document], level: int) -> Document | None:
    entries = blocks[0].get("datasets", []) if blocks else []
    return next((entry for entry in entries if str(entry.get("path")) == str(level)), None)


def _floats(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else [float(v) for v in values]


def _per_axis(argument: str, values: Sequence[float], ndim: int) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in values)
    if len(numbers) != ndim:
        raise ArgumentError(f"{argument}: expected {ndim} numbers, one per axis, got {list(numbers)}")
    return numbers


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
    document = root.handle.document(str(number))
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


_LARGEST_FOLD = 1 << 20


def list_resolution_levels(root: Group) -> list[int]:
    """Return the levels that a store holds, ascending.

    Groups of the root whose names are not whole numbers (``parametric``) are something else.
    """
    return root.handle.reader.level_numbers()


def list_available_ratios(root: Group) -> list[tuple[int, ...]]:
    """Return the bin ratio of every level as whole numbers, in ascending order of the levels.

    Returns
    -------
    list of tuple of int
        Bin shape over that of level 0, rounded on levels of other stores that have fractions.
    """
    ratios = []
    for level in list_resolution_levels(root):
        ratio = read_level_metadata(root, level).bin_ratio
        ratios.append(tuple(round(r) for r in ratio or ()))
    return ratios


def get_resolution_level(root: Group, level: int) -> Group:
    """Return the group of a level.

    Raises
    ------
    UnknownNameError
        The store has no such level; the message names those it has.
    """
    return Group.at(root.handle, str(read_level_metadata(root, level).level))


def create_resolution_level(root: Group, level: int, level_metadata: LevelMetadata) -> Group:
    """Make a level without vertices, and list it in the root's ``multiscales`` block.

    Parameters
    ----------
    root : Group
        Root of a store opened with ``mode="r+"``.
    level : int
        Level index.
    level_metadata : LevelMetadata
        Its metadata. Of bin ratio and bin shape one suffices; a chunk shape that is left out grows to the
        smallest multiple of the root's that holds whole bins.

    Returns
    -------
    Group
        The level's group.

    Raises
    ------
    StoreExistsError
        The level is there already.
    ArgumentError
        The numbers do not fit together.
    ReadOnlyStoreError
        The store was opened for reading.
    """
    handle = root.handle
    reader = handle.reader
    level = as_level("level", level)
    if level_metadata.level != level:
        raise ArgumentError(f"level: {level} given, but the metadata is that of level {level_metadata.level}")
    metadata = _completed(level_metadata, reader.root)
    dtype, checksum = np.dtype(np.float32), True
    if 0 in reader.level_numbers():
        dtype = reader.level(0, own=True).arrays.vertices.spec.numpy_dtype
        checksum = reader.stored_options(0).checksum
    with handle.changing() as storage:
        if storage.list_all(str(level)):
            raise StoreExistsError(f"{storage.url}: level {level} is there already; remove it first")
        present = reread_root(storage)
        write_empty_level(storage, reader.revision, present, metadata, dtype, checksum=checksum)
        assert metadata.bin_ratio is not None
        assert metadata.bin_shape is not None
        scale = _chunk_scale(metadata, present)
        entry = LevelEntry(level, metadata.bin_ratio, metadata.bin_shape, metadata.object_sparsity, scale)
        listed = present.with_level(entry)
        change_root(storage, lambda kept: reader.revision.root_attributes(listed, _unmarked(kept)))
    return Group.at(handle, str(level))


def add_resolution_level(
    root: Group,
    level_index: int,
    bin_ratio: Sequence[int],
    *,
    object_sparsity: float = 1.0,
    coarsening_method: str = "manual",
    parent_level: int | None = None,
) -> Group:
    """Make a level of a given bin ratio without vertices.

    Parameters
    ----------
    root : Group
        Root of a store opened with ``mode="r+"``.
    level_index : int
        Level index, 1 or more.
    bin_ratio : (D,) sequence of int
        Bin shape over that of level 0.
    object_sparsity : float
        Fraction of the objects that the level will keep, in (0, 1].
    coarsening_method : {"none", "per_object", "manual"}
        How the level is made.
    parent_level : int, optional
        Level that it is made from; the one below by default.

    Returns
    -------
    Group
        The level's group.

    Raises
    ------
    StoreExistsError
        The level is there already.
    ArgumentError
        The ratio has not one positive whole number per axis, the level is no whole number above 0, or the parent is not
        a level of the store.
    """
    reader = root.handle.reader
    level_index = as_level("level_index", level_index)
    ratio = as_shape("bin_ratio", bin_ratio, reader.root.ndim)
    if ratio is None or any(fold % 1 for fold in ratio):
        raise ArgumentError(f"bin_ratio: expected {reader.root.ndim} whole numbers, 1 or more, got {bin_ratio!r}")
    levels = reader.level_numbers()
    parent = level_index - 1 if parent_level is None else as_level("parent_level", parent_level)
    if parent_level is not None and parent not in levels:
        raise ArgumentError(f"parent_level: the store has levels {levels}, not {parent_level}")
    metadata = LevelMetadata(
        level=level_index,
        bin_ratio=ratio,
        object_sparsity=object_sparsity,
        coarsening_method=coarsening_method,
        parent_level=parent if parent in levels else None,
    )
    return create_resolution_level(root, level_index, metadata)


def _unmarked(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if key != SHELL_KEY}


def _completed(level: LevelMetadata, root: RootMetadata) -> LevelMetadata:
    """Return level metadata with bin ratio, bin shape and chunk shape that fit together."""
    ndim = root.ndim
    ratio = as_shape("bin_ratio", level.bin_ratio, ndim)
    shape = as_shape("bin_shape", level.bin_shape, ndim)
    if ratio is None and shape is None:
        ratio = (1.0,) * ndim
    if ratio is None:
        assert shape is not None
        ratio = tuple(s / b for s, b in zip(shape, root.base_bin, strict=True))
    expected = tuple(r * b for r, b in zip(ratio, root.base_bin, strict=True))
    shape = shape or expected
    if not np.allclose(shape, expected, rtol=1e-6):
        raise ArgumentError(
            f"bin_shape {list(shape)} is not bin_ratio {list(ratio)} times the bins of level 0, {list(root.base_bin)}"
        )
    chunk = as_shape("chunk_shape", level.chunk_shape, ndim) or _grown_chunk(root.chunk_shape, shape)
    Grid(chunk, shape).require_nesting()
    own = None if chunk == root.chunk_shape else chunk
    return replace(level, bin_ratio=ratio, bin_shape=shape, chunk_shape=own)


def _chunk_scale(level: LevelMetadata, root: RootMetadata) -> tuple[int, ...] | None:
    """Return the chunk shape of a level over the root's, where it has one of its own."""
    if level.chunk_shape is None:
        return None
    return tuple(round(own / edge) for own, edge in zip(level.chunk_shape, root.chunk_shape, strict=True))


def _grown_chunk(chunk: tuple[float, ...], bin_shape: tuple[float, ...]) -> tuple[float, ...]:
    """Return the smallest whole multiple of a chunk shape that bins divide, axis by axis."""
    per_chunk = [edge / width for edge, width in zip(chunk, bin_shape, strict=True)]
    bins = [Fraction(count).limit_denominator(_LARGEST_FOLD) for count in per_chunk]
    return tuple(edge * count.denominator for edge, count in zip(chunk, bins, strict=True))


def remove_resolution_level(root: Group, level_index: int) -> None:
    """Remove a level, with the links to it that other levels hold.

    Parameters
    ----------
    root : Group
        Root of a store opened with ``mode="r+"``.
    level_index : int
        Level index; level 0 cannot be removed.

    Raises
    ------
    StoreError
        Level 0 was asked for.
    ArgumentError
        The index is no whole number.
    UnknownNameError
        The store has no such level.
    """
    levels = list_resolution_levels(root)
    level_index = as_level("level_index", level_index)
    if level_index == 0:
        raise StoreError("level 0 is the data itself and cannot be removed; delete the store instead")
    if level_index not in levels:
        raise UnknownNameError(f"no level {level_index}; the store has levels {levels}")
    handle = root.handle
    with handle.changing() as storage:
        store = StoreReader.open(handle.storage)
        staying = remove_levels(storage, store, [level_index])
        for number, level in staying.items():
            if level.metadata.parent_level == level_index:
                metadata = replace(level.metadata, parent_level=None)
                document = group_document(store.revision.level_attributes(metadata, level.attributes))
                put_one(storage, join(str(number), DOCUMENT_NAME), document_bytes(document))
        listed = store.root.without_level(level_index)
        if not any(delta for level in staying.values() for delta in level.arrays.links):
            kept = tuple(token for token in listed.format_capabilities if token != CAP_MULTISCALE_LINKS)
            listed = replace(listed, format_capabilities=kept)
        change_root(storage, lambda previous: store.revision.root_attributes(listed, previous))
