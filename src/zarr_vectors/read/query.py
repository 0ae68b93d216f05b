"""What a read asks for, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    listed = [names] if isinstance(names, str) else list(names)
    wrong = [name for name in listed if not isinstance(name, str)]
    if wrong:
        raise ArgumentError(f"{argument}: expected names, got {wrong[0]!r}")
    return list(dict.fromkeys(listed))
