"""The objects of a level by id, each read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.lazy.freshness import reading
from zarr_vectors.lazy.kinds import GeometryResult
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import as_object_ids, read_manifests
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.read.parametric import read_parametric_table
from zarr_vectors.read.store import StoreReader
from zarr_vectors.typing import IntArray

if TYPE_CHECKING:
    from zarr_vectors.lazy.dataset import ZVDataset
    from zarr_vectors.lazy.level import ZVLevel


class ZVObjects(Mapping[int, GeometryResult]):
    """Objects of a level by id: ``objects[42]`` reads one, ``objects[[1, 2, 3]]`` several at once.

    Iterating gives the ids, ascending. Level 0 has all objects, coarser levels those that still have vertices there.
    Reading gives the same result class as the reader of the store's kind.

    Parameters
    ----------
    level : ZVLevel
        The level.
    """

    def __init__(self, level: ZVLevel) -> None:
        self._level = level
        self._known: tuple[StoreReader, IntArray] | None = None

    @property
    def ids(self) -> IntArray:
        """Ids of the objects, ``(n,)``, ascending."""
        store = self._level.dataset.reader
        if self._known is None or self._known[0] is not store:
            self._known = store, reading(self._level.dataset, self._read_ids)
        return self._known[1]

    def _read_ids(self, dataset: ZVDataset) -> IntArray:
        snapshot = dataset.snapshot
        if not snapshot.kind.has_levels:
            table = read_parametric_table(snapshot.store.storage)
            return np.arange(0 if table is None else table.count, dtype=np.int64)
        return present_ids(snapshot.level(self._level.index))

    def __getitem__(self, key: Any) -> GeometryResult:
        """Read one object or several.

        Parameters
        ----------
        key : int or sequence of int
            Id, or ids in the order in which paths are to be returned (vertices of other kinds come in stored order).

        Raises
        ------
        UnknownNameError
            When there is no such object.
        ArgumentError
            When the key is something else.
        """
        if isinstance(key, (bool, str, bytes, slice, float)) or key is None:
            raise ArgumentError(f"objects[...]: expected an object id or a sequence of them, got {key!r}")
        return self._level.read(object_ids=as_object_ids(key))

    def __iter__(self) -> Iterator[int]:
        """Iterate over the ids."""
        return iter(self.ids.tolist())

    def __len__(self) -> int:
        """Return the number of objects."""
        return self._level.object_count if self._known is None else len(self.ids)

    def __contains__(self, key: object) -> bool:
        """Say whether there is an object with an id."""
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
            return False
        place = int(np.searchsorted(self.ids, int(key)))
        return place < len(self.ids) and bool(self.ids[place] == key)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        """Two of them are equal when they are the same."""
        return self is other

    def __repr__(self) -> str:
        """Name the level, without reading anything."""
        return f"<objects of level {self._level.index} of {self._level.dataset.url!r}>"


def present_ids(level: LevelReader) -> IntArray:
    """Return the ids of the objects of a level, ascending: all at level 0, elsewhere those that have vertices."""
    ids = ordered_object_ids(level)
    if ids is None:
        return np.zeros(0, np.int64)
    if level.metadata.level > 0 and level.arrays.object_index is not None:
        ids = ids[np.diff(read_manifests(level, None).offsets) > 0]
    return np.unique(ids)


def count_objects(level: LevelReader) -> int:
    """Return the number of :func:`present_ids`, from the metadata where that says it."""
    index = level.arrays.object_index
    if index is not None and level.metadata.level == 0:
        return index.count
    stated = None if index is None else index.document.get("num_present")
    return stated if isinstance(stated, int) else len(present_ids(level))
