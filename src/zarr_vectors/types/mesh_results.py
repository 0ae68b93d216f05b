"""What writing and reading meshes returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from zarr_vectors.types.results import Result
from zarr_vectors.typing import AnyArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class MeshSummary(Result):
    """What ``write_mesh`` wrote.

    Attributes
    ----------
    vertex_count, face_count, chunk_count, object_count, group_count : int
        How many of each the store holds.
    cross_chunk_face_count : int
        Faces whose vertices lie in several chunks.
    chunk_shape, bin_shape : tuple of float
        Edge lengths, as chosen or given.
    bounds : pair of tuple of float
        Corners of the store's bounds.
    ignored_count, ignored_face_count : int
        Vertices left out under ``out_of_bounds="ignore"``, and the faces that named one of them.
    degenerate_face_count : int
        Faces left out under ``degenerate_faces="drop"``.
    """

    vertex_count: int
    face_count: int
    chunk_count: int
    object_count: int
    group_count: int
    cross_chunk_face_count: int
    chunk_shape: tuple[float, ...]
    bin_shape: tuple[float, ...]
    bounds: tuple[tuple[float, ...], tuple[float, ...]]
    ignored_count: int = 0
    ignored_face_count: int = 0
    degenerate_face_count: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class MeshResult(Result):
    """Vertices and faces that ``read_mesh`` found; fields also answer to ``result["faces"]``.

    Attributes
    ----------
    vertices : (N, D) float
        Coordinates; column i is measured along axis i.
    faces : (M, L) int64
        Rows of ``vertices``, wound as they were written.
    attributes : dict of str to array
        ``(N,)`` or ``(N, C)`` by vertex attribute.
    face_attributes : dict of str to array
        ``(M,)`` or ``(M, C)`` by face attribute.
    object_ids : (N,) int64, optional
        Object of every vertex (-1 for none); None where the store has no objects.
    level : int
        Level that was read.
    channel_names : dict of str to tuple of str
        Channels of the attributes that have several.
    winding_order : str, optional
        ``"ccw"`` or ``"cw"`` as recorded.
    closed_surface : bool, optional
        Whether the surface was found closed when it was written; None where nothing was said, and at coarse levels,
        whose surfaces nobody checked.
    """

    _aliases: ClassVar[dict[str, str]] = {
        "positions": "vertices",
        "vertex_attributes": "attributes",
        "link_attributes": "face_attributes",
    }

    vertices: FloatArray
    faces: IntArray
    attributes: dict[str, AnyArray]
    face_attributes: dict[str, AnyArray]
    object_ids: IntArray | None = None
    level: int = 0
    channel_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    winding_order: str | None = None
    closed_surface: bool | None = None

    @property
    def vertex_count(self) -> int:
        """Number of vertices found."""
        return len(self.vertices)

    @property
    def face_count(self) -> int:
        """Number of faces found."""
        return len(self.faces)

    def keys(self) -> list[str]:
        """Return the names that ``result[...]`` answers to."""
        return [*Result.keys(self), "vertex_count", "face_count"]
