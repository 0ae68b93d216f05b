"""Which level a read is from: named, by the resolution that is needed, or by how many vertices there may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.lazy.kinds import Kind, size_of
from zarr_vectors.model.grid import as_shape
from zarr_vectors.read.copies import may_repeat
from zarr_vectors.read.counting import count_doubtful, count_vertices, tally
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.path_sizes import count_path_vertices
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.boxes import Box

if TYPE_CHECKING:
    from zarr_vectors.lazy.dataset import ZVDataset

_TOLERANCE: Final = 1e-6
_NO_ATTRIBUTES: Final = ("attributes", "edge_attributes", "face_attributes", "line_attributes", "object_attributes")


def choose_level(
    dataset: ZVDataset,
    level: int | None,
    target_resolution: float | Sequence[float] | None,
    max_vertices: int | None,
    bbox: Any = None,
    options: Mapping[str, Any] | None = None,
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
        return level_of_count(dataset, max_vertices, bbox, options or {})
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


def level_of_count(dataset: ZVDataset, max_vertices: int, bbox: Any, options: Mapping[str, Any]) -> int:
    """Return the finest level of which a read returns at most so many vertices, in a box if there is one.

    Parameters
    ----------
    dataset : ZVDataset
        The dataset.
    max_vertices : int
        The most that may be returned.
    bbox : pair of D numbers, optional
        The box.
    options : mapping
        Further arguments of the reader of the kind, some of which change what a box returns.

    Raises
    ------
    ArgumentError
        When every level has more; says so of the coarsest.
    """
    if isinstance(max_vertices, bool) or not isinstance(max_vertices, (int, np.integer)) or max_vertices < 0:
        raise ArgumentError(f"max_vertices: expected a whole number, 0 or more, got {max_vertices!r}")
    kind, limit = dataset.snapshot.kind, int(max_vertices)
    if not kind.has_levels:
        raise ArgumentError("max_vertices: parametric objects have no vertices and no levels to choose from")
    box = None if bbox is None else Box.parse(bbox, dataset.spatial_dims)
    for number, reader in zip(dataset.levels, dataset.open_levels(), strict=True):
        dataset.reader.level(number)  # refuses levels of which the index does not tell all
        if _at_most(reader, box, limit) and _returns_at_most(dataset.reader, kind, number, limit, bbox, options):
            return number
    coarsest = max(dataset.levels, default=0)
    held = dataset.count(bbox, level=coarsest)
    where = "in bbox " if box else ""
    found = f"has {held} vertices {where}" if held > limit else f"returns whole objects {where}with more vertices "
    raise ArgumentError(
        f"max_vertices: even the coarsest level, {coarsest}, {found}where {max_vertices} are asked for; give a smaller "
        "bbox, or build a coarser level"
    )


def _at_most(level: LevelReader, box: Box | None, limit: int) -> bool:
    """Return whether a level has no more vertices than a limit; positions are read only where the index is unsure."""
    if may_repeat(level):  # a vertex has at most one copy
        stored = level.metadata.vertex_count
        return stored <= limit or ((box is not None or stored <= 2 * limit) and count_vertices(level, box) <= limit)
    if box is None:
        return level.metadata.vertex_count <= limit
    found = tally(level, box)
    if found.certain > limit:
        return False
    if found.most is not None and found.most <= limit:
        return True
    return found.certain + count_doubtful(level, box, found) <= limit


def _returns_at_most(
    store: StoreReader, kind: Kind, number: int, limit: int, bbox: Any, options: Mapping[str, Any]
) -> bool:
    """Return whether reading a level, which has no more vertices in the box than a limit, returns no more either.

    Objects are read whole, and faces and boundary edges with vertices outside of the box.
    """
    level = store.level(number)
    if kind.ordered and not options.get("clip"):
        if bbox is None and not level.metadata.shared_fragments:
            return True
        fewest, most = count_path_vertices(level, None if bbox is None else Box.parse(bbox, level.root.ndim))
        if fewest > limit or most <= limit:
            return most <= limit
    elif bbox is None or not (kind.ordered or kind.linked):
        return True
    bare: dict[str, Any] = {name: [] for name in _NO_ATTRIBUTES if name in kind.options}
    return size_of(kind.read(store, number, {"bbox": bbox, "attributes": []}, {**options, **bare})) <= limit
