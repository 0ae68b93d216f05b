"""Manifests kept in dense arrays: a span of blocks for every object, a row of chunk and fragment for every block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zarr_vectors.constants import OBJECT_INDEX
from zarr_vectors.exceptions import ArrayError, MetadataError
from zarr_vectors.formats.dense_array import ZarrDense
from zarr_vectors.formats.tokens import DENSE_LAYOUT
from zarr_vectors.model.cells import Manifests
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.typing import AnyArray, Document, IntArray

SPANS, BLOCKS = "manifest_spans", "manifest_blocks"

_FRAGMENT_LIMIT = 2**32
_NAMED_FREELY = 2**20
_NAMINGS_OF_A_BLOCK = 64
"""Objects that may name one block, on average, beyond some that may always be named."""


@dataclass(frozen=True, slots=True, eq=False)
class DenseManifests:
    """Manifests in two dense arrays (Zarr Vectors specification, object manifest, dense layout of 0.9.4).

    Blocks that no span names are what rewrites have left; spans may lie anywhere and in any order.

    Parameters
    ----------
    path : str
        Path of the object index.
    spans : ZarrDense
        ``(O, 2)`` integers: first block and number of blocks of every object.
    blocks : ZarrDense
        ``(B, S + 1)`` integers: chunk coordinates and fragment.
    """

    path: str
    spans: ZarrDense
    blocks: ZarrDense

    @property
    def count(self) -> int:
        """Number of objects."""
        return self.spans.count

    def rows(self, spans: AnyArray) -> tuple[IntArray, IntArray]:
        """Return the blocks that some objects name, one after another, and ``(O + 1,)`` offsets into them.

        Raises
        ------
        ArrayError
            When a span reaches beyond the blocks, or spans name each block far too often.
        """
        starts, counts = spans.astype(np.int64, copy=False).T
        wrong = (counts < 0) | ((counts > 0) & ((starts < 0) | (starts > self.blocks.count - counts)))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ArrayError(
                f"{self.path}: {SPANS}: an object has blocks {starts[row]} to {starts[row] + counts[row]}, of "
                f"{self.blocks.count} that there are"
            )
        if float(counts.sum(dtype=np.float64)) > _NAMED_FREELY + _NAMINGS_OF_A_BLOCK * self.blocks.count:
            raise ArrayError(f"{self.path}: {SPANS}: they name {counts.sum()} of {self.blocks.count} blocks")
        return expand_ranges(np.where(counts > 0, starts, 0), counts), offsets_of(counts)

    def parse(self, blocks: AnyArray, offsets: IntArray) -> Manifests:
        """Return the manifests that blocks ``(K, S + 1)`` stand for.

        Raises
        ------
        ArrayError
            When a block names a fragment that cannot be.
        """
        table = blocks.astype(np.int64, copy=False)
        fragments = table[:, -1]
        wrong = np.flatnonzero((fragments < 0) | (fragments >= _FRAGMENT_LIMIT))
        if len(wrong):
            raise ArrayError(f"{self.path}: {BLOCKS}: there can be no fragment {int(fragments[wrong[0]])}")
        return Manifests(offsets, np.ascontiguousarray(table[:, :-1]), np.ascontiguousarray(fragments))


def open_dense_manifests(level: str, documents: Mapping[str, Document]) -> DenseManifests | None:
    """Open the manifests of a level that are dense; None where its object index is of another layout.

    Raises
    ------
    MetadataError
        When an array is missing, or not one of integers of the right width.
    """
    path = f"{level}/{OBJECT_INDEX}"
    attributes = (documents.get(path) or {}).get("attributes") or {}
    stated = attributes.get("layout")
    bare = stated is None and f"{path}/{SPANS}" in documents and f"{path}/manifests" not in documents
    if stated != DENSE_LAYOUT and not bare:
        return None
    arrays = []
    sid_ndim = int(attributes.get("sid_ndim", 0))
    for name, width in ((SPANS, 2), (BLOCKS, sid_ndim + 1)):
        if f"{path}/{name}" not in documents:
            raise MetadataError(f"{path}: its layout is {DENSE_LAYOUT!r}, but there is no {name}")
        array = ZarrDense(f"{path}/{name}", documents[f"{path}/{name}"])
        if array.spec.numpy_dtype.kind not in "iu" or array.shape[1:] != (width,):
            raise MetadataError(
                f"{path}/{name}: expected integers of shape (n, {width}), got {array.spec.dtype} of shape {array.shape}"
            )
        arrays.append(array)
    return DenseManifests(path, *arrays)
