"""The table of all rules, by what they look at and by level of validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from zarr_vectors.validate import (
    binning,
    coherence,
    consistency,
    conventions,
    level_metadata,
    links,
    objects,
    pyramid,
    remaking,
    root_metadata,
    structure,
)
from zarr_vectors.validate.blocks import Block
from zarr_vectors.validate.coherence import CoherenceSubject
from zarr_vectors.validate.pyramid import PyramidSubject
from zarr_vectors.validate.rules import Problem, Rule, always
from zarr_vectors.validate.subjects import LevelSubject, StoreSubject

Subject = TypeVar("Subject")


def _rule(
    level: int,
    name: str,
    check: Callable[[Subject], Iterable[Problem]],
    applies: Callable[[Subject], bool] = always,
) -> Rule[Subject]:
    """Make a rule that is described by the first line of its function's docstring, "Check that …"."""
    description = (check.__doc__ or "").strip().split("\n")[0].removeprefix("Check that ").rstrip(".")
    return Rule(level, name, description, check, applies)


ROOT_GROUP: Final = _rule(1, "root-group", structure.root_group)
ROOT_METADATA: Final = _rule(2, "root-metadata", root_metadata.root_block)
LEVEL_READABLE: Final = _rule(2, "level-readable", level_metadata.level_readable)
CELLS_READABLE: Final = _rule(3, "cells-readable", consistency.tables_readable)

UNOPENED_RULES: Final[tuple[Rule[StoreSubject], ...]] = (
    ROOT_GROUP,
    _rule(2, "multiscales-listed", root_metadata.multiscales_listed),
    _rule(2, "axes", root_metadata.axes, root_metadata.has_multiscale),
    _rule(2, "multiscales-base", root_metadata.multiscales_base, root_metadata.has_entries),
    _rule(2, "multiscales-ascending", root_metadata.multiscales_ascending, root_metadata.has_entries),
    _rule(2, "multiscales-transforms", root_metadata.multiscales_transforms, root_metadata.has_entries),
)
"""Rules of the root document, which need no more than its JSON."""

STORE_RULES: Final[tuple[Rule[StoreSubject], ...]] = (
    _rule(1, "levels-present", structure.levels_present),
    _rule(2, "multiscales-paths", root_metadata.multiscales_paths, root_metadata.has_entries),
    _rule(2, "capabilities", root_metadata.capabilities),
    _rule(3, "parametric-readable", consistency.parametric_readable),
    _rule(4, "conventions", conventions.conventions_legal),
)
"""Rules of an open store."""

NODE_RULES: Final[tuple[Rule[LevelSubject], ...]] = (
    _rule(1, "level-group", structure.level_group),
    _rule(1, "documents-readable", structure.documents_readable),
    _rule(1, "arrays-present", structure.arrays_present),
    _rule(1, "nodes-complete", structure.nodes_complete),
    _rule(1, "node-types", structure.node_types),
    _rule(2, "level-metadata", level_metadata.level_block),
    _rule(2, "zv-array", level_metadata.zv_array),
    _rule(2, "arrays-stated", level_metadata.arrays_stated),
    _rule(2, "grids", level_metadata.grids, level_metadata.is_grid),
    _rule(2, "chunks-stated", level_metadata.chunks_stated, level_metadata.is_grid),
)
"""Rules of the ``zarr.json`` documents of a level."""

LEVEL_RULES: Final[tuple[Rule[LevelSubject], ...]] = (
    _rule(2, "level-shapes", level_metadata.level_shapes),
    _rule(2, "refinement", level_metadata.refinement, level_metadata.is_additive),
    _rule(2, "chunk-sets", level_metadata.chunk_sets),
    _rule(2, "chunk-keys", binning.chunk_keys),
    _rule(2, "object-index", level_metadata.object_index, objects.has_object_index),
    _rule(2, "attribute-specs", level_metadata.attribute_specs, level_metadata.is_described),
    CELLS_READABLE,
    _rule(3, "object-counts", objects.object_counts, consistency.has_objects),
    _rule(3, "object-attribute-rows", objects.object_attribute_rows, objects.has_object_index),
    _rule(3, "group-attribute-rows", objects.group_attribute_rows, objects.has_groups),
    _rule(3, "group-members", objects.group_members, objects.has_groups),
    _rule(3, "manifest-chunks", objects.manifest_chunks, consistency.has_objects),
    _rule(3, "objects-used", objects.objects_used, objects.is_finest_with_objects),
    _rule(4, "line-ends", objects.line_ends, objects.has_lines),
    _rule(4, "object-ids-sorted", objects.object_ids_sorted, objects.states_sorted),
    _rule(4, "object-bins", binning.object_bins, binning.goes_by_objects),
    _rule(4, "identity-convention", conventions.identity_convention, conventions.is_identity),
)
"""Rules of an open level."""

BLOCK_RULES: Final[tuple[Rule[Block], ...]] = (
    _rule(3, "attribute-rows", consistency.attribute_rows),
    _rule(3, "fragment-attribute-rows", consistency.fragment_attribute_rows),
    _rule(3, "fragments-present", consistency.fragments_present),
    _rule(3, "fragment-rows", consistency.fragment_rows),
    _rule(3, "fragments-tile", consistency.fragments_tile, consistency.states_tiling),
    _rule(3, "fragments-cover", consistency.fragments_cover, consistency.is_not_tiling),
    _rule(3, "manifest-fragments", consistency.manifest_fragments, consistency.has_owned_fragments),
    _rule(3, "fragments-owned", consistency.fragments_owned, consistency.has_owned_fragments),
    _rule(3, "fragments-shared", consistency.fragments_shared, consistency.owns_alone),
    _rule(3, "fragment-owners", consistency.fragment_owners, consistency.names_owners),
    _rule(4, "vertices-finite", conventions.vertices_finite),
    _rule(4, "vertices-in-chunk", conventions.vertices_in_chunk, conventions.is_locatable),
    _rule(4, "inside-bounds", conventions.inside_bounds, conventions.is_finite),
    _rule(4, "bin-fragments", conventions.bin_fragments, conventions.has_bins),
    _rule(4, "vertex-bins", binning.vertex_bins, binning.goes_by_vertices),
    _rule(4, "category-codes", conventions.category_codes, conventions.has_categories),
)
"""Rules of decoded chunks, some at a time."""

VERTEX_COUNT: Final = _rule(3, "vertex-count", consistency.vertex_count)
"""Run after the chunks of a level, whose vertices it counts."""

TEXTS_USED: Final = _rule(4, "texts-used", conventions.texts_used, conventions.may_hold_wrong_texts)
"""Run after the chunks of a level, whose categories it counts."""

LINK_RULES: Final[tuple[Rule[LevelSubject], ...]] = (
    _rule(3, "link-levels", links.link_levels, links.has_links),
    _rule(3, "link-endpoints", links.link_endpoints, links.has_links),
    _rule(3, "link-counts", links.link_counts, links.has_links),
    _rule(3, "link-fragments", links.link_fragments, links.has_link_fragments),
)
"""Rules of links, run when the vertices of all levels were counted."""

PYRAMID_RULES: Final[tuple[Rule[PyramidSubject], ...]] = (
    _rule(5, "levels-ascending", pyramid.levels_ascending),
    _rule(5, "chunk-multiples", pyramid.chunk_multiples),
    _rule(5, "bins-nest", pyramid.bins_nest),
    _rule(5, "parent-level", pyramid.parent_exists),
    _rule(5, "counts-shrink", pyramid.counts_shrink),
    _rule(5, "fresh", pyramid.fresh),
    _rule(5, "objects-kept", pyramid.objects_kept, pyramid.keeps_ids),
    _rule(5, "object-sparsity", pyramid.sparsity, pyramid.has_sparsity),
)
"""Rules of a coarse level beside the others."""

COHERENCE_RULES: Final[tuple[Rule[CoherenceSubject], ...]] = (
    _rule(5, "recomputed", remaking.recomputable),
    _rule(5, "metavertices", coherence.metavertices, coherence.is_comparable),
    _rule(5, "centroids", coherence.centroids, coherence.is_comparable),
    _rule(5, "aggregates", coherence.aggregates, coherence.has_aggregates),
    _rule(5, "remade", remaking.remade, remaking.is_remade),
)
"""Rules that make a coarse level anew."""
