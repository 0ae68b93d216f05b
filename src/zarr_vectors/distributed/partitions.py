"""The parts of a store that different writers can change at the same time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import LINK_ATTRIBUTES, LINK_FRAGMENTS, LINKS
from zarr_vectors.exceptions import ArgumentError, ShapeError, UnknownNameError, UnsupportedFeatureError
from zarr_vectors.formats.cell_access import grid_arrays
from zarr_vectors.formats.chunk_keys import format_keys, parse_keys
from zarr_vectors.model.grid import Grid
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.nodes import find_nodes
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.steady import steady
from zarr_vectors.typing import Document, FloatArray, IntArray

_WRITTEN_IN_TURN: Final = frozenset([LINKS, LINK_FRAGMENTS, LINK_ATTRIBUTES])
"""Arrays by chunk that are written by one writer after another, so that their shards do not matter."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of a store that one writer at a time can add to, whatever happens to the others.

    Attributes
    ----------
    key : str
        Key of its first chunk, such as ``"4.0.0"``: the name that it goes by, also between processes.
    chunks : pair of tuple of int
        Its first chunk and one past its last, per axis.
    box : pair of tuple of float
        Corners of its space in the units of the axes. Vertices on the upper faces belong to its neighbours.
    """

    key: str
    chunks: tuple[tuple[int, ...], tuple[int, ...]]
    box: tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Partitions(Sequence[Partition]):
    """All partitions of a store, in the order of their places, the last axis first; made as they are asked for.

    Attributes
    ----------
    grid : Grid
        Chunks of level 0.
    dtype : dtype
        Type of the stored positions, which decides in which chunk a position comes.
    origin, stop : (D,) tuple of int
        The first chunk of the store, and one past its last.
    shape : (D,) tuple of int
        Chunks of a partition along every axis. The last ones of an axis may have fewer.
    """

    grid: Grid
    dtype: np.dtype[Any]
    origin: tuple[int, ...]
    stop: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of partitions along every axis."""
        return tuple(-(-(b - a) // n) for a, b, n in zip(self.origin, self.stop, self.shape, strict=True))

    def __len__(self) -> int:
        """Return the number of partitions."""
        return math.prod(self.counts)

    @overload
    def __getitem__(self, number: int) -> Partition: ...
    @overload
    def __getitem__(self, number: slice) -> list[Partition]: ...
    def __getitem__(self, number: int | slice) -> Partition | list[Partition]:
        """Return one partition, or several."""
        if isinstance(number, slice):
            return [self._at(n) for n in range(*number.indices(len(self)))]
        place = int(number) + (len(self) if number < 0 else 0)
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} partitions, but number {number} was asked for")
        return self._at(place)

    def __iter__(self) -> Iterator[Partition]:
        """Yield every partition."""
        return (self._at(number) for number in range(len(self)))

    def _at(self, number: int) -> Partition:
        place = np.array(np.unravel_index(number, self.counts), np.int64)
        first = np.array(self.origin) + place * np.array(self.shape)
        last = np.minimum(first + np.array(self.shape), self.stop)
        edges = np.array(self.grid.chunk_shape)
        return Partition(
            format_keys(first[None])[0],
            (tuple(first.tolist()), tuple(last.tolist())),
            (tuple((first * edges).tolist()), tuple((last * edges).tolist())),
        )

    def named(self, key: str) -> Partition:
        """Return the partition with a key.

        Raises
        ------
        UnknownNameError
            There is none.
        """
        chunk = parse_keys([key], len(self.shape), "partition")
        found = self.numbers_of(chunk)[0]
        if found < 0 or self[int(found)].key != key:
            raise UnknownNameError(
                f"partition: no partition is called {key!r}; the first chunks of partitions are {self.shape} chunks "
                f"apart, from {self.origin} on, up to {self.stop}"
            )
        return self[int(found)]

    def of(self, positions: npt.ArrayLike) -> IntArray:
        """Return the number of the partition of every position.

        Parameters
        ----------
        positions : (n, D) array
            Coordinates in the units of the axes.

        Returns
        -------
        (n,) int64
            -1 for those outside of all partitions.

        Raises
        ------
        ShapeError
            When they have not one column per axis.
        """
        given = np.asarray(positions)
        if given.ndim != 2 or given.shape[1] != len(self.shape):
            raise ShapeError(
                f"positions: expected shape (n, {len(self.shape)}), one column per axis, got {given.shape}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            cast: FloatArray = given.astype(self.dtype)
        finite = np.isfinite(cast).all(axis=1)
        numbers = np.full(len(cast), -1, np.int64)
        numbers[finite] = self.numbers_of(self.grid.chunks_of(cast[finite]))
        return numbers

    def numbers_of(self, chunks: IntArray) -> IntArray:
        """Return the number of the partition of every chunk ``(n, D)``, -1 for those outside of all."""
        places = (chunks - np.array(self.origin)) // np.array(self.shape)
        inside = ((chunks >= np.array(self.origin)) & (chunks < np.array(self.stop))).all(axis=1)
        numbers = np.full(len(chunks), -1, np.int64)
        numbers[inside] = np.ravel_multi_index(tuple(places[inside].T), self.counts)
        return numbers


@steady
def partitions(path: Any, *, backend: str | None = None, **backend_kwargs: Any) -> Partitions:
    """Return the parts of a store that can be written to at the same time.

    In revision 0.9 a partition is what a shard of level 0 covers, or a chunk where there are no shards. Where arrays
    have shards of different shapes it is the smallest block that consists of whole shards of each. In revision 0.7 it
    is a chunk.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Raises
    ------
    UnsupportedFeatureError
        The chunks go by an attribute or by objects as well as by space.
    ArgumentError
        The arrays of level 0 have different grids.

    Examples
    --------
    >>> import numpy as np
    >>> from zarr_vectors.types.points import write_points
    >>> space = {"bounds": ([0, 0], [79, 79]), "chunk_shape": 10, "shard_shape": 4}
    >>> _ = write_points("memory://doc-partitions", np.zeros((1, 2)), **space)
    >>> parts = partitions("memory://doc-partitions")
    >>> [part.key for part in parts], parts[1].box
    (['0.0', '0.4', '4.0', '4.4'], ((0.0, 40.0), (40.0, 80.0)))
    >>> parts.of([[5, 45], [50, 1]]).tolist()
    [1, 2]
    """
    store = open_reader(path, backend, **backend_kwargs)
    level = store.level(0)
    return partitions_of(level, find_nodes(store.storage, store.revision, "0")[0])


def partitions_of(level: LevelReader, documents: Mapping[str, Document]) -> Partitions:
    """Return the partitions of a level, from the ``zarr.json`` of its nodes by path; errors as :func:`partitions`."""
    if level.leads:
        raise UnsupportedFeatureError(
            f"{level.name}: chunks go by {level.metadata.chunk_attribute_name or 'objects'} as well as by space, and "
            "such levels are not divided; add to them with zarr_vectors.edit.append_vertices"
        )
    dtype = level.arrays.vertices.spec.numpy_dtype.newbyteorder("=")
    arrays = [array for array in grid_arrays(documents) if array.path.split("/")[1] not in _WRITTEN_IN_TURN]
    if not arrays:
        corners = level.grid.chunks_of(np.array(level.root.bounds, np.float64))
        ones = (1,) * level.root.ndim
        return Partitions(level.grid, dtype, tuple(corners[0].tolist()), tuple((corners[1] + 1).tolist()), ones)
    extents = {(tuple(array.origin.tolist()), array.shape) for array in arrays}
    if len(extents) > 1:
        raise ArgumentError(f"path: the arrays of {level.name} have different grids; make them anew with set_bounds")
    origin, extent = extents.pop()
    shards = [array.shard_shape or (1,) * len(extent) for array in arrays]
    shape = tuple(min(math.lcm(*axis), size) for axis, size in zip(zip(*shards, strict=True), extent, strict=True))
    return Partitions(level.grid, dtype, origin, tuple(a + n for a, n in zip(origin, extent, strict=True)), shape)
