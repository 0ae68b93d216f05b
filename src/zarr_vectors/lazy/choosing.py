"""Which level a read is from: named, by the resolution that is needed, or by how many vertices there may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.grid import as_shape
from zarr_vectors.read.counting import count_doubtful, tally
from zarr_vectors.read.level import LevelReader
from zarr_vectors.spatial.boxes import Box

if TYPE_CHECKING:
    from zarr_vectors.lazy.dataset import ZVDataset

_TOLERANCE = 1e-6


def choose_level(
    dataset: ZVDataset,
    level: int | None,
    target_resolution: float | Sequence[float] | None,
    max_vertices: int | None,
    bbox: Any = None,
) -> int:
    """Return the level that a read is from; the finest where nothing is said.

    Raises
    ------
    ArgumentError
        When more than one of them is given, or no level meets what is asked.
    """
    given = {"level": level, "target_resolution": target_resolution, "max_vertices": max_vertices}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ArgumentError(f"{' and '.join(named)}: give only one of them, each chooses the level")
    if target_resolution is not None:
        return level_of_resolution(dataset, target_resolution)
    if max_vertices is not None:
        return level_of_count(dataset, max_vertices, bbox)
    return 0 if level is None else level


def level_of_resolution(dataset: ZVDataset, target_resolution: float | Sequence[float]) -> int:
    """Return the coarsest level whose bins are on no axis larger than a resolution; the finest where all are."""
    try:
        wanted = as_shape("target_resolution", target_resolution, dataset.spatial_dims)
    except (TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(
            f"target_resolution: expected a number or {dataset.spatial_dims} numbers, got {target_resolution!r}"
        ) from error
    assert wanted is not None
    limit = np.array(wanted) * (1 + _TOLERANCE)
    fine = [number for number in dataset.levels if (np.array(dataset.bin_shape_at(number)) <= limit).all()]
    return max(fine, default=min(dataset.levels, default=0))


def level_of_count(dataset: ZVDataset, max_vertices: int, bbox: Any = None) -> int:
    """Return the finest level with at most so many vertices, in a box if there is one.

    Raises
    ------
    ArgumentError
        When every level has more; says how many the coarsest has.
    """
    if isinstance(max_vertices, bool) or not isinstance(max_vertices, (int, np.integer)) or max_vertices < 0:
        raise ArgumentError(f"max_vertices: expected a whole number, 0 or more, got {max_vertices!r}")
    box = None if bbox is None else Box.parse(bbox, dataset.spatial_dims)
    for number, reader in zip(dataset.levels, dataset.open_levels(), strict=True):
        if _at_most(reader, box, int(max_vertices)):
            return number
    coarsest = max(dataset.levels, default=0)
    held = dataset.count(bbox, level=coarsest)
    raise ArgumentError(
        f"max_vertices: even the coarsest level, {coarsest}, has {held} vertices {'in bbox ' if box else ''}where "
        f"{max_vertices} are asked for; give a smaller bbox, or build a coarser level"
    )


def _at_most(level: LevelReader, box: Box | None, limit: int) -> bool:
    """Return whether a level has no more vertices than a limit; positions are read only where the index is unsure."""
    if box is None:
        return level.metadata.vertex_count <= limit
    found = tally(level, box)
    if found.certain > limit:
        return False
    if found.most is not None and found.most <= limit:
        return True
    return found.certain + count_doubtful(level, box, found) <= limit
