"""The groups of a level by name or number, each read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zarr_vectors.constants import GROUP_NAME_ATTRIBUTE
from zarr_vectors.exceptions import UnknownNameError
from zarr_vectors.formats.columns import decode_column
from zarr_vectors.lazy.freshness import reading
from zarr_vectors.lazy.kinds import GeometryResult
from zarr_vectors.model.elements import Groups
from zarr_vectors.read.objects import read_groups
from zarr_vectors.read.parametric import read_parametric_table
from zarr_vectors.read.store import StoreReader
from zarr_vectors.typing import AnyArray, IntArray

if TYPE_CHECKING:
    from zarr_vectors.lazy.dataset import ZVDataset
    from zarr_vectors.lazy.level import ZVLevel


class _Table(NamedTuple):
    """Groups of one level with the names that they go by."""

    keys: list[int | str]
    groups: Groups | None

    @classmethod
    def of(cls, groups: Groups | None) -> _Table:
        """Name groups by their attribute ``name``, else by number."""
        if groups is None:
            return cls([], None)
        column = groups.attributes.get(GROUP_NAME_ATTRIBUTE)
        if column is None:
            return cls(list(range(groups.count)), groups)
        return cls([str(name) for name in decode_column(column).tolist()], groups)


class ZVGroups(Mapping["int | str", GeometryResult]):
    """Groups of a level: ``groups["motor"]`` and ``groups[0]`` read the objects of one, a list those of any of several.

    Iterating gives their names, or their numbers where they have no names; both find a group.

    Parameters
    ----------
    level : ZVLevel
        The level.
    """

    def __init__(self, level: ZVLevel) -> None:
        self._level = level
        self._known: tuple[StoreReader, _Table] | None = None

    def _table(self) -> _Table:
        store = self._level.dataset.reader
        if self._known is None or self._known[0] is not store:
            self._known = store, _Table.of(reading(self._level.dataset, self._read))
        return self._known[1]

    def _read(self, dataset: ZVDataset) -> Groups | None:
        snapshot = dataset.snapshot
        if snapshot.kind.has_levels:
            return read_groups(snapshot.level(self._level.index))
        parametric = read_parametric_table(snapshot.store.storage)
        return None if parametric is None else parametric.groups

    def __getitem__(self, key: Any) -> GeometryResult:
        """Read the objects of one group, or of any of several.

        Parameters
        ----------
        key : int, str or sequence of them
            Number or name.

        Raises
        ------
        UnknownNameError
            When there is no such group.
        """
        return self._level.read(group_ids=key)

    def members(self, key: int | str) -> IntArray:
        """Return the ids of the objects of a group, in the order that they were given.

        Raises
        ------
        UnknownNameError
            When there is no such group.
        """
        table = self._table()
        number = self._number(key)
        if table.groups is None or number is None:
            shown = ", ".join(map(repr, table.keys[:20])) or "none"
            raise UnknownNameError(f"level {self._level.index} has no group {key!r}; it has {shown}")
        return table.groups.of(number)

    @property
    def attributes(self) -> dict[str, AnyArray]:
        """Attributes of the groups by name, one row per group in the order of iteration."""
        groups = self._table().groups
        if groups is None:
            return {}
        return {name: decode_column(column) for name, column in groups.attributes.items()}

    def _number(self, key: object) -> int | None:
        table = self._table()
        if isinstance(key, str):
            return table.keys.index(key) if key in table.keys else None
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
            return None
        return int(key) if 0 <= key < len(table.keys) else None

    def __iter__(self) -> Iterator[int | str]:
        """Iterate over names, or numbers where there are no names."""
        return iter(self._table().keys)

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._table().keys)

    def __contains__(self, key: object) -> bool:
        """Say whether there is a group of a name or number."""
        return self._number(key) is not None

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        """Two of them are equal when they are the same."""
        return self is other

    def __repr__(self) -> str:
        """Name the level, without reading anything."""
        return f"<groups of level {self._level.index} of {self._level.dataset.url!r}>"
