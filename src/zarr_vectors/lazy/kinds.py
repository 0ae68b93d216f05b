"""Which function reads what a store holds, by its geometry type."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from zarr_vectors.exceptions import ArgumentError, MetadataError
from zarr_vectors.read.store import StoreReader
from zarr_vectors.types.graphs import GraphResult, read_graph
from zarr_vectors.types.lines import LinesResult, read_lines
from zarr_vectors.types.meshes import MeshResult, read_mesh
from zarr_vectors.types.parametric import ParametricResult, read_parametric
from zarr_vectors.types.points import PointsResult, read_points
from zarr_vectors.types.polylines import PolylinesResult, read_polylines

GeometryResult: TypeAlias = PointsResult | LinesResult | PolylinesResult | GraphResult | MeshResult | ParametricResult
"""What a read returns: the result of the reader of the store's kind."""

PARAMETRIC_TYPE: Final = "parametric"
"""Geometry type of stores that hold parametric objects and nothing else."""

_SHARED: Final = {"path", "level", "bbox", "attributes", "object_ids", "group_ids", "attribute_filter"}
_STORAGE: Final = {"backend", "backend_kwargs"}


@dataclass(frozen=True, slots=True)
class Kind:
    """How geometry of a type is read: with links between vertices, or as whole objects whose vertices are ordered."""

    name: str
    reader: Callable[..., GeometryResult]
    linked: bool = False
    ordered: bool = False

    @property
    def options(self) -> frozenset[str]:
        """Names of the arguments of the reader that other readers need not have."""
        return frozenset(inspect.signature(self.reader).parameters) - _SHARED - _STORAGE

    @property
    def has_levels(self) -> bool:
        """Whether there are vertices, at levels and in boxes."""
        return self.name != PARAMETRIC_TYPE

    def check(self, options: Mapping[str, Any], bbox: Any = None) -> None:
        """Refuse arguments that this kind does not have."""
        unknown = sorted(set(options) - self.options)
        if unknown:
            raise ArgumentError(
                f"{', '.join(unknown)}: not an argument for reading {self.name}; besides those of every kind it takes "
                f"{', '.join(sorted(self.options))}"
            )
        if bbox is not None and not self.has_levels:
            raise ArgumentError(
                "bbox: parametric objects have no positions to be inside; choose by object_ids or types"
            )

    def read(
        self, store: StoreReader, level: int, query: Mapping[str, Any], options: Mapping[str, Any]
    ) -> GeometryResult:
        """Read from an open store."""
        self.check(options, query.get("bbox"))
        given = {name: value for name, value in query.items() if value is not None}
        if self.has_levels:
            given["level"] = level
        return self.reader(store, **given, **options)


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("point_cloud", read_points),
        Kind("line", read_lines, ordered=True),
        Kind("polyline", read_polylines, ordered=True),
        Kind("streamline", read_polylines, ordered=True),
        Kind("graph", read_graph, linked=True),
        Kind("skeleton", read_graph, linked=True),
        Kind("mesh", read_mesh, linked=True),
        Kind(PARAMETRIC_TYPE, read_parametric),
    )
}
"""Kinds by geometry type."""


def kind_of(geometry_types: tuple[str, ...], *, parametric: bool) -> Kind:
    """Return how a store is read: by its first geometry type; without one as parametric objects or points."""
    if geometry_types:
        if geometry_types[0] not in KINDS:
            raise MetadataError(f"root metadata: geometry type {geometry_types[0]!r} is not one of {', '.join(KINDS)}")
        return KINDS[geometry_types[0]]
    return KINDS[PARAMETRIC_TYPE] if parametric else KINDS["point_cloud"]


def size_of(result: GeometryResult) -> int:
    """Return how many vertices a result has; parametric objects have none."""
    if isinstance(result, LinesResult):
        return 2 * len(result)
    if isinstance(result, ParametricResult):
        return 0
    return len(result.vertices if isinstance(result, MeshResult) else result.positions)
