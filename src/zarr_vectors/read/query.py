"""What a read asks for, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.spatial.boxes import Box
from zarr_vectors.typing import IntArray


@dataclass(frozen=True, slots=True)
class Query:
    """A read of one level.

    Parameters
    ----------
    box : Box, optional
        Only vertices inside.
    object_ids : (n,) int64, optional
        Only vertices of these objects.
    attributes : sequence of str, optional
        Vertex attributes wanted; None means all.
    attribute_filter : mapping
        Conditions on attributes.
    chunks : (n, S) int64, optional
        Only these chunks.
    """

    box: Box | None = None
    object_ids: IntArray | None = None
    attributes: Sequence[str] | None = None
    attribute_filter: Mapping[str, Any] | None = None
    chunks: IntArray | None = None

    def __post_init__(self) -> None:
        parse_filter(self.attribute_filter)

    @property
    def everything(self) -> bool:
        """Whether no row is left out."""
        return self.box is None and self.object_ids is None and self.chunks is None and not self.attribute_filter


def parse_chunks(chunks: Sequence[Sequence[int]] | None, sid_ndim: int) -> IntArray | None:
    """Check chunk coordinates that a user gave.

    Raises
    ------
    ArgumentError
        When they are not ``(n, sid_ndim)`` whole numbers.
    """
    if chunks is None:
        return None
    given = np.asarray(chunks)
    if given.size == 0:
        return np.zeros((0, sid_ndim), np.int64)
    if given.ndim != 2 or given.shape[1] != sid_ndim or given.dtype.kind not in "iu":
        raise ArgumentError(
            f"chunks: expected a list of chunk coordinates of {sid_ndim} whole numbers each, "
            f"got an array of {given.dtype} and shape {given.shape}"
        )
    return np.unique(given.astype(np.int64), axis=0)


def parse_names(argument: str, names: Sequence[str] | str | None) -> list[str] | None:
    """Check names that a user gave; one name may stand for a list of one."""
    if names is None:
        return None
    if not isinstance(names, Iterable):
        raise ArgumentError(f"{argument}: expected names, got {names!r}")
    listed = [names] if isinstance(names, str) else list(names)
    wrong = [name for name in listed if not isinstance(name, str)]
    if wrong:
        raise ArgumentError(f"{argument}: expected names, got {wrong[0]!r}")
    return list(dict.fromkeys(listed))


def parse_filter(attribute_filter: Any) -> Mapping[str, Any]:
    """Return conditions that a user gave as a mapping, empty where there are none.

    Raises
    ------
    ArgumentError
        When they are no mapping of attribute names.
    """
    if attribute_filter is None:
        return {}
    if not isinstance(attribute_filter, Mapping) or not all(isinstance(name, str) for name in attribute_filter):
        raise ArgumentError(
            f"attribute_filter: expected a mapping of attribute names to conditions, got {attribute_filter!r}"
        )
    return attribute_filter


def parse_groups(group_ids: Any) -> list[int | str]:
    """Return the groups that a user asked for, by number or name; one may stand for a list of one.

    Raises
    ------
    ArgumentError
        When one is neither a number nor a name.
    """
    single = isinstance(group_ids, (int, np.integer, np.bool_, str)) or not isinstance(group_ids, Iterable)
    listed = [group_ids] if single else list(group_ids)
    wrong = [group for group in listed if isinstance(group, (bool, np.bool_)) or not _is_group(group)]
    if wrong:
        raise ArgumentError(f"group_ids: expected numbers or names of groups, got {wrong[0]!r}")
    return [group if isinstance(group, str) else int(group) for group in listed]


def _is_group(group: Any) -> bool:
    return isinstance(group, (int, np.integer, str))
