"""Root and level metadata: what a store says about itself, whatever its revision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    CROSS_CHUNK_LINKED,
    DEFAULT_REDUCTION_FACTOR,
    GEOMETRY_TYPES,
    GRAPH_KEY,
    LINKS_BRANCHES,
    LINKS_SEQUENTIAL,
    MESH_KEY,
    OBJECTS_STANDARD,
    REFINEMENT_ADD,
    VALID_COARSENING_METHODS,
    VALID_CROSS_CHUNK_STRATEGIES,
    VALID_LINKS_CONVENTIONS,
    VALID_OBJECT_INDEX_CONVENTIONS,
    VALID_XLEVEL_STORAGE,
    XLEVEL_NONE,
)
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.model.axes import NgffAxis
from zarr_vectors.model.grid import Grid
from zarr_vectors.typing import Document, IntArray

Bounds = tuple[tuple[float, ...], tuple[float, ...]]

RECHUNKED = "rechunked"
"""Key of our own in level metadata: the level got other chunks after it was made from a finer one."""

CHUNKED_BY = "chunked_by"
"""Key of our own in level metadata: what the leading component of chunk keys goes by, and what its bins are."""

CHUNK_ATTRIBUTE = "chunk_attribute"
"""Key of our own in level metadata: the values of ``chunk_attribute_values`` as they are stored, and their type."""

KEYED = (CHUNKED_BY, CHUNK_ATTRIBUTE)
"""Keys of our own that say what the leading component of chunk keys is."""

AGGREGATION = "aggregation"
"""Key of our own in the metadata of a level and of an attribute: how attributes are aggregated."""

SPARSITY = "sparsity"
"""Key of our own in level metadata: how the objects of a coarse level were chosen."""

_OWN_LEVEL_KEYS = frozenset([RECHUNKED, *KEYED, AGGREGATION, SPARSITY])


@dataclass(frozen=True, slots=True)
class LevelEntry:
    """One level as the root's ``multiscales`` block lists it.

    Parameters
    ----------
    level : int
        Level index; the group's path is its decimal spelling.
    bin_ratio : tuple of float
        Bin shape of the level over that of level 0 (the NGFF scale).
    bin_shape : tuple of float
        Bin shape of the level, in the units of the axes.
    object_sparsity : float
        Fraction of the objects that the level keeps.
    chunk_scale : tuple of int, optional
        Chunk shape of the level over the root's, where it differs.
    extra : dict
        Unknown keys of the entry.
    shifted : bool
        Whether the entry states a translation; without one, it is zero.
    """

    level: int
    bin_ratio: tuple[float, ...]
    bin_shape: tuple[float, ...]
    object_sparsity: float = 1.0
    chunk_scale: tuple[int, ...] | None = None
    extra: Document = field(default_factory=dict)
    shifted: bool = True

    @property
    def scale(self) -> tuple[float, ...]:
        """NGFF scale: the bin ratio."""
        return self.bin_ratio

    @property
    def translation(self) -> tuple[float, ...]:
        """NGFF translation: half a bin."""
        return tuple(b / 2 for b in self.bin_shape)


@dataclass(frozen=True, slots=True)
class RootMetadata:
    """What the root of a store says.

    Parameters
    ----------
    zv_version : str
        Stamp of the format revision.
    axes : tuple of NgffAxis
        ``axes[i]`` describes column i of the positions.
    chunk_shape : tuple of float
        Chunk edge lengths of level 0.
    bounds : pair of tuple of float
        Lower and upper corner of the space that the store covers.
    geometry_types : tuple of str
        What the store holds, of ``point_cloud line polyline streamline skeleton graph mesh``.
    base_bin_shape : tuple of float, optional
        Bin edge lengths of level 0; None means one bin a chunk.
    links_convention, object_index_convention, cross_chunk_strategy : str or None
        Conventions of the format; None in a shell that no writer has filled yet.
    crs : dict, optional
        Coordinate reference system.
    reduction_factor : int
        Vertex-count fold of a step of a pyramid that is built without factors, at least 2.
    cross_level_depth : int, optional
        Largest level difference with links that a pyramid stores; -1 means all adjacent pairs, None that it is not
        said.
    cross_level_storage : {"none", "implicit", "explicit"} or None
        Which cross-level links are stored.
    format_capabilities : tuple of str
        What the store uses, by capability token.
    attribute_specs : mapping of (scope, name) to AttributeSpec
        Units and descriptions; scope is ``vertex``, ``fragment``, ``link``, ``object`` or ``group``.
    name : str
        Name of the data set.
    levels : tuple of LevelEntry
        The ``multiscales`` entries, ascending.
    extra : dict
        Unknown keys of the ``zarr_vectors`` block.
    """

    zv_version: str
    axes: tuple[NgffAxis, ...]
    chunk_shape: tuple[float, ...]
    bounds: Bounds
    geometry_types: tuple[str, ...] = ()
    base_bin_shape: tuple[float, ...] | None = None
    links_convention: str | None = LINKS_SEQUENTIAL
    object_index_convention: str | None = OBJECTS_STANDARD
    cross_chunk_strategy: str | None = CROSS_CHUNK_LINKED
    crs: Document | None = None
    reduction_factor: int = DEFAULT_REDUCTION_FACTOR
    cross_level_depth: int | None = 0
    cross_level_storage: str | None = XLEVEL_NONE
    format_capabilities: tuple[str, ...] = ()
    attribute_specs: Mapping[tuple[str, str], AttributeSpec] = field(default_factory=dict)
    name: str = "default"
    levels: tuple[LevelEntry, ...] = ()
    extra: Document = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [*self._shape_problems(), *self._enumeration_problems()]
        if problems:
            raise MetadataError("root metadata: " + "; ".join(problems))

    @property
    def ndim(self) -> int:
        """Number of spatial index dimensions (``sid_ndim``)."""
        return len(self.axes)

    @property
    def grid(self) -> Grid:
        """The grid of level 0."""
        return Grid(self.chunk_shape, self.base_bin_shape)

    @property
    def base_bin(self) -> tuple[float, ...]:
        """Bin shape of level 0, the chunk shape where none is stated."""
        return self.base_bin_shape or self.chunk_shape

    def chunk_scale(self, level: int) -> IntArray:
        """Return the chunk shape of a level over the root's, as whole numbers ``(D,)``.

        It follows from the level's entry; levels without one (or with none recorded) have the root's chunks.
        """
        entry = self.entry(level)
        scale = None if entry is None else entry.chunk_scale
        return np.array(scale or (1,) * self.ndim, np.int64)

    def entry(self, level: int) -> LevelEntry | None:
        """Return the ``multiscales`` entry of a level, or None."""
        return next((entry for entry in self.levels if entry.level == level), None)

    def with_level(self, entry: LevelEntry) -> RootMetadata:
        """Return the metadata with one level's entry added or replaced."""
        kept = [old for old in self.levels if old.level != entry.level]
        return replace(self, levels=tuple(sorted([*kept, entry], key=lambda e: e.level)))

    def after_links(self, *, added: bool) -> RootMetadata:
        """Return metadata that says no longer what other links may have made untrue.

        A surface may be closed no longer whatever changes. Graphs without cycles stay so when links go; those that
        are added may close one, but for skeletons, whose links are checked.

        Parameters
        ----------
        added : bool
            Whether there are links now that were not there before, not just fewer.
        """
        untrue = {MESH_KEY: "closed_surface"}
        if added and self.links_convention != LINKS_BRANCHES:
            untrue[GRAPH_KEY] = "is_tree"
        extra = dict(self.extra)
        for key, name in untrue.items():
            block = extra.get(key)
            if isinstance(block, Mapping) and name in block:
                extra[key] = {other: value for other, value in block.items() if other != name}
        return replace(self, extra=extra)

    def without_level(self, level: int) -> RootMetadata:
        """Return the metadata with one level's entry removed."""
        return replace(self, levels=tuple(old for old in self.levels if old.level != level))

    def _shape_problems(self) -> list[str]:
        problems = []
        d = self.ndim
        if d == 0:
            problems.append("axes are required")
        if len({axis.name for axis in self.axes}) != d:
            problems.append(f"axis names must differ, got {[axis.name for axis in self.axes]}")
        if len(self.chunk_shape) != d:
            problems.append(f"chunk_shape has {len(self.chunk_shape)} numbers for {d} axes")
        if self.base_bin_shape is not None and len(self.base_bin_shape) != d:
            problems.append(f"base_bin_shape has {len(self.base_bin_shape)} numbers for {d} axes")
        if len(self.bounds[0]) != d or len(self.bounds[1]) != d:
            problems.append(f"bounds have {len(self.bounds[0])} and {len(self.bounds[1])} numbers for {d} axes")
        elif any(not low <= high for low, high in zip(*self.bounds, strict=True)):
            problems.append(f"bounds must not be reversed, got {self.bounds}")
        if not all(math.isfinite(c) and c > 0 for c in (*self.chunk_shape, *self.base_bin)):
            problems.append("chunk and bin shapes must be positive and finite")
        return problems

    def _enumeration_problems(self) -> list[str]:
        allowed: list[tuple[str, Any, tuple[str, ...]]] = [
            ("links_convention", self.links_convention, VALID_LINKS_CONVENTIONS),
            ("object_index_convention", self.object_index_convention, VALID_OBJECT_INDEX_CONVENTIONS),
            ("cross_chunk_strategy", self.cross_chunk_strategy, VALID_CROSS_CHUNK_STRATEGIES),
            ("cross_level_storage", self.cross_level_storage, VALID_XLEVEL_STORAGE),
            *(("geometry_types", kind, GEOMETRY_TYPES) for kind in self.geometry_types),
        ]
        problems = [
            f"{name} must be one of {', '.join(values)}, got {value!r}"
            for name, value, values in allowed
            if value is not None and value not in values
        ]
        if self.reduction_factor < 2:
            problems.append(f"reduction_factor must be at least 2, got {self.reduction_factor}")
        return problems


@dataclass(frozen=True, slots=True)
class LevelMetadata:
    """What one level says.

    Parameters
    ----------
    level : int
        Level index, 0 for full resolution.
    vertex_count : int
        Number of stored vertices.
    arrays_present : tuple of str
        Names of the arrays that the level holds.
    bin_shape : tuple of float, optional
        Bin edge lengths of the level.
    bin_ratio : tuple of float, optional
        Bin shape over that of level 0.
    object_sparsity : float
        Fraction of the objects that the level keeps, in (0, 1].
    coarsening_method : {"none", "per_object", "manual"}
        How the level was made.
    parent_level : int, optional
        Level that it was made from.
    chunk_shape : tuple of float, optional
        Chunk edge lengths where they differ from the root's.
    preserves_object_ids : bool, optional
        Whether object ids mean the same as at level 0.
    inherited_num_objects : int, optional
        Number of objects of the parent level.
    shared_fragments : bool
        Whether several manifests may name one fragment.
    fragments_tile : bool
        Whether every chunk's fragments are ranges that cover its rows once, in order (revision 0.9).
    fragment_link_groups : bool
        Whether group k of ``link_fragments`` holds the links of vertex fragment k, in every chunk (of 0.9.3).
    chunk_dims : tuple of str, optional
        Names of the components of a chunk key in attribute-chunked levels.
    chunk_attribute_name : str, optional
        Attribute that the leading component bins.
    chunk_attribute_values : tuple, optional
        Value of each bin of that attribute.
    stale : bool
        Whether the level below changed after this level was made.
    nodes : tuple of str
        Paths of the level's nodes, so that they are found without listing.
    extra : dict
        Unknown keys.
    """

    level: int
    vertex_count: int = 0
    arrays_present: tuple[str, ...] = ()
    bin_shape: tuple[float, ...] | None = None
    bin_ratio: tuple[float, ...] | None = None
    object_sparsity: float = 1.0
    coarsening_method: str = "none"
    parent_level: int | None = None
    chunk_shape: tuple[float, ...] | None = None
    preserves_object_ids: bool | None = None
    inherited_num_objects: int | None = None
    shared_fragments: bool = False
    fragments_tile: bool = False
    fragment_link_groups: bool = False
    chunk_dims: tuple[str, ...] | None = None
    chunk_attribute_name: str | None = None
    chunk_attribute_values: tuple[Any, ...] | None = None
    stale: bool = False
    nodes: tuple[str, ...] = ()
    extra: Document = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = []
        if self.level < 0:
            problems.append(f"level must not be negative, got {self.level}")
        if self.vertex_count < 0:
            problems.append(f"vertex_count must not be negative, got {self.vertex_count}")
        if not 0 < self.object_sparsity <= 1:
            problems.append(f"object_sparsity must be in (0, 1], got {self.object_sparsity}")
        if self.coarsening_method not in VALID_COARSENING_METHODS:
            problems.append(
                f"coarsening_method must be one of {', '.join(VALID_COARSENING_METHODS)}, "
                f"got {self.coarsening_method!r}"
            )
        if problems:
            raise MetadataError(f"level {self.level} metadata: " + "; ".join(problems))

    def leads(self, ndim: int) -> bool:
        """Return whether chunk keys start with a component before the ``ndim`` spatial ones: the bin of a value."""
        return self.chunk_attribute_name is not None or len(self.chunk_dims or ()) > ndim

    @property
    def keyed_attribute(self) -> str | None:
        """Vertex attribute whose values stand in the chunk keys, if any; those of objects are no such attributes."""
        described = self.extra.get(CHUNKED_BY)
        if isinstance(described, dict) and described.get("scope") != "vertex":
            return None
        return self.chunk_attribute_name

    @property
    def unknown(self) -> Document:
        """What is said under keys that are neither the format's nor our own: it stays when the level is made anew."""
        return {key: value for key, value in self.extra.items() if key not in _OWN_LEVEL_KEYS}

    @property
    def is_additive(self) -> bool:
        """Whether the level is complete only together with the next coarser one."""
        return self.extra.get("refinement") == REFINEMENT_ADD

    @property
    def rechunked(self) -> bool:
        """Whether the level got other chunks after it was made from a finer one."""
        return bool(self.extra.get(RECHUNKED))

    def grid(self, root: RootMetadata) -> Grid:
        """Return the grid of the level: its own chunk and bin shapes, else the root's."""
        chunk_shape = self.chunk_shape or root.chunk_shape
        entry = root.entry(self.level)
        bin_shape = self.bin_shape or (entry.bin_shape if entry else None)
        if self.level == 0 and root.base_bin_shape is None:
            bin_shape = None
        elif self.level == 0:
            bin_shape = root.base_bin_shape
        return Grid(chunk_shape, bin_shape)
