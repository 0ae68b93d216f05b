"""What the format examples of the specification (14.1 to 14.10) say that their stores hold.

Trees are those of the document read through the format: in revision 0.7 a per-chunk array is a group of small arrays,
in 0.9 it is one array, links that leave their chunk stand in ``cross_chunk_links`` in 0.7 and beside the others in 0.9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FINE_TO_COARSE = {0: {"+1"}, 1: {"+1"}, 2: set()}
BOTH_WAYS = {0: {"+1"}, 1: {"+1", "-1"}, 2: {"-1"}}

CHUNK_KEY = re.compile(r"-?\d+(\.-?\d+)+")


@dataclass(frozen=True)
class Described:
    """One example.

    Attributes
    ----------
    root : dict
        What the root's ``zarr_vectors`` block says, beside the version.
    capabilities : set of str
        What the store uses.
    arrays : set of str
        Paths below every level, without links and what is written for objects.
    crossing, inner : bool
        Whether there are links between chunks, and links inside them.
    levels : dict of int to set of str
        By level, the differences across which its links lead.
    chunk_shapes : tuple
        Edge of the chunks of every level where it is not the root's.
    indexed : bool
        Whether there is an object index.
    shared : bool
        Whether fragments are shared, at all levels, and so belong to no single object.
    """

    root: dict[str, Any]
    capabilities: set[str]
    arrays: set[str] = field(default_factory=set)
    crossing: bool = False
    inner: bool = False
    levels: dict[int, set[str]] = field(default_factory=lambda: {0: set()})
    chunk_shapes: tuple[float | None, ...] = (None, None, None)
    indexed: bool = True
    shared: bool = False

    def tree(self, level: int, revision: str) -> set[str]:
        """Return the arrays of a level: families and attributes, no cells and no tables inside them."""
        found = {"vertices", "vertex_fragments", *self.arrays}
        if self.indexed:
            found.add("object_index")
        if not self.shared:
            found.add("fragment_attributes/object_id")
        found |= {f"links/{delta}" for delta in self.levels[level]}
        if self.inner or (self.crossing and revision == "0.9"):
            found.add("links/0")
        if self.inner:
            found.add("link_fragments")
        if self.crossing and revision == "0.7":
            found.add("cross_chunk_links/0")
        if level:
            found.discard("vertex_attributes/original_index")  # the order of the input is that of level 0
        return found


def stored_tree(path: Path, level: int) -> set[str]:
    """Return what :meth:`Described.tree` describes, of a store; links that cross both levels and chunks left out."""
    nodes = {
        metadata.parent.relative_to(path / str(level)).parts for metadata in (path / str(level)).rglob("zarr.json")
    }
    nodes -= {node for node in nodes if node and node[0] == "cross_chunk_links" and node[1:2] not in ((), ("0",))}
    names = {"/".join(node) for node in nodes if node and not _is_inner(node)}
    return {name for name in names if not any(other.startswith(f"{name}/") for other in names)}


def _is_inner(node: tuple[str, ...]) -> bool:
    """Return whether a node is a chunk, an array of links by offsets, or part of a table."""
    *above, name = node
    if not above:
        return False
    if above[0] in ("links", "cross_chunk_links"):
        return len(node) > 2
    return CHUNK_KEY.fullmatch(name) is not None or name in ("manifests", "object_ids", "offsets", "data")


def _root(kind: str, links: str, **more: Any) -> dict[str, Any]:
    return {
        "geometry_types": [kind],
        "links_convention": links,
        "object_index_convention": "standard",
        "cross_chunk_strategy": "explicit_links",
        "cross_level_storage": "none",
        "cross_level_depth": 0,
    } | more


PATHS = "implicit_sequential"
BRANCHES = "implicit_sequential_with_branches"
LEVELS = {"fragment_index", "preserved_object_ids", "multiscale_links"}

EXAMPLES = {
    "e01_nuclei": Described(
        _root(
            "point_cloud",
            PATHS,
            chunk_shape=[200.0] * 3,
            base_bin_shape=[50.0] * 3,
            bounds=[[0.0] * 3, [1000.0] * 3],
            cross_level_storage="explicit",
            cross_level_depth=1,
        ),
        LEVELS,
        {"vertex_attributes/volume", "groups", "group_attributes/region_name"},
        levels=BOTH_WAYS,
    ),
    "e02_mesh_pyramid": Described(
        _root("mesh", "explicit", chunk_shape=[200.0] * 3, cross_level_storage="implicit", cross_level_depth=1),
        LEVELS,
        crossing=True,
        inner=True,
        levels=FINE_TO_COARSE,
        chunk_shapes=(None, 400.0, 800.0),
    ),
    "e03_skeletons": Described(
        _root("skeleton", BRANCHES, cross_level_storage="implicit", cross_level_depth=1),
        LEVELS,
        {f"vertex_attributes/{name}" for name in ("vertex_type", "radius", "original_index")},
        crossing=True,
        inner=True,
        levels=FINE_TO_COARSE,
    ),
    "e04_vessels_2d": Described(
        _root("polyline", PATHS, chunk_shape=[512.0] * 2),
        {"fragment_index"},
        {"vertex_attributes/radius", "vertex_attributes/vessel_type"},
        crossing=True,
    ),
    "e05_tracks_xyzt": Described(
        _root("polyline", PATHS, chunk_shape=[50.0, 50.0, 50.0, 600.0]),
        {"fragment_index"},
        crossing=True,
    ),
    "e06_gene_expression": Described(
        _root("point_cloud", PATHS, chunk_shape=[250.0] * 2),
        {"fragment_index"},
        {
            "vertex_attributes/gene_expression",
            "vertex_attributes/cell_type",
            "groups",
            "group_attributes/cell_type_name",
            "group_attributes/super_type",
        },
    ),
    "e07_spots_to_cells": Described(
        _root("point_cloud", PATHS),
        {"fragment_index"},
        {
            "vertex_attributes/gene_id",
            "vertex_attributes/intensity",
            "vertex_attributes/round",
            "object_attributes/cell_type",
            "object_attributes/centroid",
            "groups",
            "group_attributes/name",
        },
    ),
    "e08_trx_single_chunk": Described(
        _root("streamline", PATHS, object_index_convention="identity", crs={"name": "RAS"}),
        {"fragment_index"},
        {
            "vertex_attributes/fa",
            "vertex_attributes/color",
            "object_attributes/algo",
            "object_attributes/clusters_QB",
            "object_attributes/commit_weights",
            "groups",
            "group_attributes/tract_name",
            "group_attributes/mean_fa",
            "group_attributes/shuffle_colors",
            "group_attributes/volume",
        },
        indexed=False,
    ),
    "e09_shared_streamlines": Described(
        _root("streamline", PATHS, cross_level_storage="implicit", cross_level_depth=1),
        LEVELS | {"shared_fragments"},
        {"object_attributes/termination", "groups", "group_attributes/tract_name"},
        crossing=True,
        levels=FINE_TO_COARSE,
        chunk_shapes=(None, 40.0, 80.0),
        shared=True,
    ),
    "e10_distributed_append": Described(
        _root("skeleton", BRANCHES),
        {"fragment_index"},
        {"vertex_attributes/original_index"},
        crossing=True,
        inner=True,
    ),
}
