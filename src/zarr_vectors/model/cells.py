"""Cells: the decoded chunks of one level, kept concatenated in numeric chunk order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.links import FiledLinks, LinkTable
from zarr_vectors.ordering import offsets_of
from zarr_vectors.typing import AnyArray, ByteArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Fragments:
    """Fragment tables of many chunks.

    Parameters
    ----------
    offsets : (C + 1,) int64
        Where the fragments of each chunk start.
    starts, counts : (F,) int64
        A range fragment covers rows ``[start, start + count)`` of its chunk; an explicit one covers
        ``rows[start : start + count]``.
    explicit : (F,) bool, optional
        Which fragments are explicit lists; None when all are ranges.
    rows : (E,) int64
        Chunk rows of the explicit fragments.
    """

    offsets: IntArray
    starts: IntArray
    counts: IntArray
    explicit: AnyArray | None = None
    rows: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def count(self) -> int:
        """Number of fragments."""
        return len(self.starts)

    @property
    def chunk_of(self) -> IntArray:
        """For every fragment the row of its chunk, ``(F,)``."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def tile(self, row_offsets: IntArray) -> bool:
        """Whether these are ranges that cover the rows of chunks that start at ``row_offsets`` once, in order."""
        if self.explicit is not None:
            return False
        ends = offsets_of(self.counts)
        starts = self.starts + np.repeat(row_offsets[:-1], np.diff(self.offsets))
        return np.array_equal(ends[self.offsets], row_offsets) and np.array_equal(starts, ends[:-1])


@dataclass(frozen=True, slots=True)
class Manifests:
    """Which fragments make up each object, in manifest order.

    Parameters
    ----------
    offsets : (O + 1,) int64
        Where the references of each object start.
    chunks : (K, S) int64
        Chunk coordinates of each reference.
    fragments : (K,) int64
        Chunk-local fragment number of each reference.
    """

    offsets: IntArray
    chunks: IntArray
    fragments: IntArray


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """The objects of a level as they are stored.

    Parameters
    ----------
    ids : (O,) int64
        Object ids; row r of everything below belongs to ``ids[r]``.
    manifests : Manifests, optional
        None under the ``identity`` convention, where object id equals fragment index.
    attributes : mapping of str to Column
        One row per object.
    """

    ids: IntArray
    manifests: Manifests | None
    attributes: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EncodedVertices:
    """Vertices of every chunk in an encoding of their own.

    Parameters
    ----------
    encoding : str
        Its name in the format.
    buffer : (B,) uint8
        The payloads of all chunks.
    offsets : (C + 1,) int64
        Where each chunk's payload starts.
    """

    encoding: str
    buffer: ByteArray
    offsets: IntArray


@dataclass(frozen=True, slots=True)
class Cells:
    """Decoded chunks of one level.

    Everything is concatenated chunk after chunk; ``offsets`` arrays say where each chunk starts, so that a
    single chunk is a slice.

    Parameters
    ----------
    chunks : (C, S) int64
        Chunk coordinates in numeric order; S is D, or D + 1 in attribute-chunked levels.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk start.
    positions : (N, D) float
        Vertex positions.
    fragments : Fragments
        Fragment tables.
    attributes : mapping of str to Column
        One row per vertex.
    fragment_attributes : mapping of str to Column
        One row per fragment.
    objects : ObjectTable, optional
        None for geometry without identity.
    groups : Groups, optional
        Sets of objects.
    links : tuple of LinkTable
        Stored links, a table per level difference.
    encoded : EncodedVertices, optional
        Positions as they are stored, where that is not as raw rows.
    filed : tuple of FiledLinks
        Further families of links, filed already.
    link_fragments : Fragments, optional
        For the links inside chunks, in stored order, which of them start in each vertex fragment.
    """

    chunks: IntArray
    row_offsets: IntArray
    positions: FloatArray
    fragments: Fragments
    attributes: Mapping[str, Column] = field(default_factory=dict)
    fragment_attributes: Mapping[str, Column] = field(default_factory=dict)
    objects: ObjectTable | None = None
    groups: Groups | None = None
    links: tuple[LinkTable, ...] = ()
    link_fragments: Fragments | None = None
    encoded: EncodedVertices | None = None
    filed: tuple[FiledLinks, ...] = ()

    @property
    def count(self) -> int:
        """Number of vertices."""
        return len(self.positions)

    @property
    def row_counts(self) -> IntArray:
        """Vertices of each chunk, ``(C,)``."""
        return np.diff(self.row_offsets)
