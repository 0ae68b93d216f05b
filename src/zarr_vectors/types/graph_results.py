"""What writing and reading graphs gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from zarr_vectors.types.results import Result
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class GraphSummary(Result):
    """What ``write_graph`` wrote.

    Attributes
    ----------
    node_count, edge_count, chunk_count, object_count, group_count : int
        How many of each the store holds.
    stored_edge_count : int
        Edges that are stored as links; the others the order of the nodes of a skeleton implies.
    cross_chunk_edge_count : int
        Edges whose nodes lie in two chunks.
    chunk_shape, bin_shape : tuple of float
        Edge lengths, as chosen or given.
    bounds : pair of tuple of float
        Corners of the store's bounds.
    ignored_count, ignored_edge_count : int
        Nodes left out under ``out_of_bounds="ignore"``, and the edges that named one of them.
    dropped_edge_count : int
        Edges left out under ``self_loops="drop"``.
    """

    _aliases: ClassVar[dict[str, str]] = {"vertex_count": "node_count"}

    node_count: int
    edge_count: int
    stored_edge_count: int
    cross_chunk_edge_count: int
    chunk_count: int
    object_count: int
    group_count: int
    chunk_shape: tuple[float, ...]
    bin_shape: tuple[float, ...]
    bounds: tuple[tuple[float, ...], tuple[float, ...]]
    ignored_count: int = 0
    ignored_edge_count: int = 0
    dropped_edge_count: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class GraphResult(Result):
    """Nodes and edges that ``read_graph`` found; fields also answer to ``result["edges"]``.

    Attributes
    ----------
    positions : (N, D) float
        Coordinates of the nodes; column i is measured along axis i.
    edges : (M, 2) int64
        Rows of ``positions``; (child, parent) in a skeleton.
    attributes : dict of str to array
        ``(N,)`` or ``(N, C)`` by node attribute.
    edge_attributes : dict of str to array
        ``(M,)`` or ``(M, C)`` by edge attribute.
    object_ids : (N,) int64, optional
        Object of every node (-1 for none); None where the store has no objects or they were not asked for.
    inside : (N,) bool
        False for nodes that only a boundary edge brought in.
    is_directed : bool
        Whether the order of the nodes of an edge carries meaning.
    level : int
        Level that was read.
    channel_names : dict of str to tuple of str
        Channels of the attributes that have several.
    """

    _aliases: ClassVar[dict[str, str]] = {
        "vertices": "positions",
        "vertex_attributes": "attributes",
        "node_attributes": "attributes",
        "link_attributes": "edge_attributes",
    }

    positions: FloatArray
    edges: IntArray
    attributes: dict[str, AnyArray]
    edge_attributes: dict[str, AnyArray]
    object_ids: IntArray | None
    inside: BoolArray
    is_directed: bool = False
    level: int = 0
    channel_names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def node_count(self) -> int:
        """Number of nodes found."""
        return len(self.positions)

    @property
    def edge_count(self) -> int:
        """Number of edges found."""
        return len(self.edges)

    def keys(self) -> list[str]:
        """Return the names that ``result[...]`` answers to."""
        return [*Result.keys(self), "node_count", "edge_count"]
