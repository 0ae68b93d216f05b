"""Enumerations and array names of the Zarr Vectors format, as its specification spells them."""

from __future__ import annotations

from typing import Final

# Capability tokens of the root's ``format_capabilities``.
CAP_FRAGMENT_INDEX: Final = "fragment_index"
CAP_SHARED_FRAGMENTS: Final = "shared_fragments"
CAP_PRESERVED_OBJECT_IDS: Final = "preserved_object_ids"
CAP_MULTISCALE_LINKS: Final = "multiscale_links"
VALID_CAPABILITIES: Final = (
    CAP_FRAGMENT_INDEX,
    CAP_SHARED_FRAGMENTS,
    CAP_PRESERVED_OBJECT_IDS,
    CAP_MULTISCALE_LINKS,
)
CAP_ADDITIVE_LEVELS: Final = "additive_levels"
CAP_FRAGMENT_LINK_GROUPS: Final = "fragment_link_groups"
CAP_DENSE_MANIFESTS: Final = "dense_manifests"
READ_CAPABILITIES: Final = (*VALID_CAPABILITIES, CAP_ADDITIVE_LEVELS, CAP_FRAGMENT_LINK_GROUPS, CAP_DENSE_MANIFESTS)
"""Capabilities that readers here have, those among them that only newer writers use."""

REFINEMENT_ADD: Final = "add"
"""Refinement of a level that is complete only together with the next coarser one."""

# Names of arrays and groups of a level, and of the parametric group.
VERTICES: Final = "vertices"
VERTEX_FRAGMENTS: Final = "vertex_fragments"
VERTEX_ATTRIBUTES: Final = "vertex_attributes"
FRAGMENT_ATTRIBUTES: Final = "fragment_attributes"
LINKS: Final = "links"
LINK_FRAGMENTS: Final = "link_fragments"
LINK_ATTRIBUTES: Final = "link_attributes"
CROSS_CHUNK_LINKS: Final = "cross_chunk_links"
CROSS_CHUNK_LINK_ATTRIBUTES: Final = "cross_chunk_link_attributes"
OBJECT_INDEX: Final = "object_index"
OBJECT_ATTRIBUTES: Final = "object_attributes"
GROUPS: Final = "groups"
GROUP_ATTRIBUTES: Final = "group_attributes"
PARAMETRIC: Final = "parametric"

ARRAY_FAMILIES: Final = frozenset(
    [
        VERTICES,
        VERTEX_FRAGMENTS,
        VERTEX_ATTRIBUTES,
        FRAGMENT_ATTRIBUTES,
        OBJECT_INDEX,
        OBJECT_ATTRIBUTES,
        GROUPS,
        GROUP_ATTRIBUTES,
        LINKS,
        LINK_FRAGMENTS,
        LINK_ATTRIBUTES,
        CROSS_CHUNK_LINKS,
        CROSS_CHUNK_LINK_ATTRIBUTES,
    ]
)
"""Folders of a level that the format knows; everything else there belongs to somebody else."""

# Axes.
DEFAULT_AXES_NAMES: Final = ("x", "y", "z", "w")
VALID_AXIS_TYPES: Final = ("space", "time", "channel")

# Enumerations of the root metadata.
GEOMETRY_TYPES: Final = ("point_cloud", "line", "polyline", "streamline", "skeleton", "graph", "mesh")

LINE: Final = "line"
PATH_TYPES: Final = frozenset([LINE, "polyline", "streamline"])
"""Geometry types whose objects are ordered vertices."""

LINKS_EXPLICIT: Final = "explicit"
LINKS_SEQUENTIAL: Final = "implicit_sequential"
LINKS_BRANCHES: Final = "implicit_sequential_with_branches"
VALID_LINKS_CONVENTIONS: Final = (LINKS_EXPLICIT, LINKS_SEQUENTIAL, LINKS_BRANCHES)

OBJECTS_STANDARD: Final = "standard"
OBJECTS_IDENTITY: Final = "identity"
VALID_OBJECT_INDEX_CONVENTIONS: Final = (OBJECTS_STANDARD, OBJECTS_IDENTITY)

CROSS_CHUNK_LINKED: Final = "explicit_links"
CROSS_CHUNK_DEDUPLICATED: Final = "boundary_deduplication"
CROSS_CHUNK_BOTH: Final = "both"
VALID_CROSS_CHUNK_STRATEGIES: Final = (CROSS_CHUNK_DEDUPLICATED, CROSS_CHUNK_LINKED, CROSS_CHUNK_BOTH)

XLEVEL_NONE: Final = "none"
XLEVEL_IMPLICIT: Final = "implicit"
XLEVEL_EXPLICIT: Final = "explicit"
VALID_XLEVEL_STORAGE: Final = (XLEVEL_NONE, XLEVEL_IMPLICIT, XLEVEL_EXPLICIT)

VALID_COARSENING_METHODS: Final = ("none", "per_object", "manual")
VALID_VERTEX_ENCODINGS: Final = ("raw", "draco")

DEFAULT_REDUCTION_FACTOR: Final = 8

AGGREGATIONS: Final = ("mean", "sum", "min", "max", "mode", "count")
"""How values of merged vertices and links combine."""

OBJECT_ID_ATTRIBUTE: Final = "object_id"
"""Fragment attribute that names the object each fragment belongs to."""

ORIGINAL_INDEX_ATTRIBUTE: Final = "original_index"
"""Vertex attribute that holds the row of the input a vertex came from."""

GROUP_NAME_ATTRIBUTE: Final = "name"

# Attribute of a grid array that lists the keys of its non-empty cells.
NONEMPTY_CHUNKS: Final = "nonempty_chunks"
"""Group attribute that holds the names by which groups can be asked for."""

GRAPH_KEY: Final = "graph"
MESH_KEY: Final = "mesh"
"""Keys of our own in root metadata: what is known of a graph, and of a mesh."""

SHELL_KEY: Final = "zarr_vectors_shell"
"""Root attribute of a store that was created and not yet written to."""

DECLARED_KEY: Final = "zarr_vectors_declared"
"""Root attribute of a store whose bounds, shapes, axes and conventions were said when it was created, and hold."""

CHECKSUM_KEY: Final = "checksum"
"""What that attribute holds, as false, where the store is to be written without checksums."""
