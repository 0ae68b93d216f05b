"""The root's ``multiscales`` block: which levels there are and how their bins relate to level 0.

The block follows OME-Zarr (NGFF 0.4); ``scale`` is the bin ratio and ``translation`` half the bin shape of a
level (Zarr Vectors specification, multiscale metadata). The transforms describe bins: vertices are in world
units at every level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zarr_vectors.core.group import Group
from zarr_vectors.core.metadata import read_level_metadata, read_root_metadata, rewrite_root
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.documents import MULTISCALES_KEY
from zarr_vectors.model.metadata import LevelEntry, RootMetadata
from zarr_vectors.typing import Document


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
