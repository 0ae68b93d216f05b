"""For every validation rule, whether its damage follows from what remains, and what is lost where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Repair:
    """What is done about the damage that a rule finds.

    Parameters
    ----------
    otherwise : str
        What to do where it cannot be repaired.
    by_contents : bool
        Whether what the arrays of the level hold must be looked at.
    source : str
        What the repair follows from; empty where there is none.
    """

    otherwise: str
    by_contents: bool = False
    source: str = ""


_REWRITE = "write the store anew from its source"
_PYRAMID = "build the pyramid again"
_DROP = "what is lost can be dropped with drop_damaged=True, else restore it from a copy"
_ROOT = "restore the root's zarr.json from a copy"

REPAIRS: Final[dict[str, Repair]] = {
    "root-group": Repair(_ROOT, source="the node type, where the block of the format is there"),
    "root-metadata": Repair(_ROOT, source="level metadata, how arrays are stored, defaults by geometry, vertices"),
    "multiscales-listed": Repair(_ROOT, source="level metadata"),
    "axes": Repair(_ROOT, source="the ome block (0.9); names x, y, z where axes are absent"),
    "multiscales-base": Repair(_ROOT, source="level metadata"),
    "multiscales-ascending": Repair(_ROOT, source="the entries themselves"),
    "multiscales-transforms": Repair(_ROOT, source="what most statements of bin ratio and bin shape say"),
    "levels-present": Repair(_REWRITE),
    "multiscales-paths": Repair(_DROP, source="level metadata; a level that is gone can be dropped from the list"),
    "capabilities": Repair("harmless"),
    "parametric-readable": Repair("write the parametric objects anew"),
    "conventions": Repair(_ROOT, source="the geometry"),
    "level-group": Repair(_DROP, by_contents=True, source="the root's entry, the finer levels, the arrays"),
    "documents-readable": Repair(_DROP, by_contents=True, source="other levels, arrays beside, attribute_specs"),
    "arrays-present": Repair(_REWRITE, by_contents=True, source="fragments as in fragments-present; vertices: none"),
    "nodes-complete": Repair(_DROP, by_contents=True, source="other levels, arrays beside, attribute_specs"),
    "node-types": Repair(_DROP, source="the place of the node"),
    "level-metadata": Repair(_DROP, by_contents=True, source="the root's entry, the finer levels, the arrays"),
    "refinement": Repair("restore the coarser level from a copy; without it an additive level is not complete"),
    "zv-array": Repair(_DROP, source="the place of the node"),
    "arrays-stated": Repair(_DROP, by_contents=True, source="the arrays"),
    "grids": Repair(_DROP, source="the grid that most arrays of the level have"),
    "chunks-stated": Repair(_DROP, source="the cells that are stored"),
    "level-readable": Repair(_DROP, by_contents=True, source="the root, other levels, attribute_specs"),
    "level-shapes": Repair(_PYRAMID, source="what most statements of bin ratio and bin shape say; the objects kept"),
    "chunk-sets": Repair(_DROP, by_contents=True, source="the cells that are stored; fragments as below"),
    "chunk-keys": Repair(_REWRITE),
    "object-index": Repair(_DROP, by_contents=True, source="the manifests"),
    "attribute-specs": Repair("describe the attribute anew"),
    "cells-readable": Repair(_DROP, by_contents=True, source="see fragments and manifests; other cells: none"),
    "object-counts": Repair(_DROP, by_contents=True, source="manifests; object ids of other levels or of fragments"),
    "object-attribute-rows": Repair(_DROP, by_contents=True),
    "group-attribute-rows": Repair(_DROP, by_contents=True),
    "group-members": Repair(_DROP, by_contents=True),
    "manifest-chunks": Repair(_DROP, by_contents=True, source="the objects that fragments name"),
    "objects-used": Repair("harmless"),
    "object-ids-sorted": Repair(_REWRITE, by_contents=True, source="the object ids"),
    "object-bins": Repair("rechunk the store by='spatial', then as it was"),
    "vertex-bins": Repair("rechunk the store by='spatial', then as it was"),
    "identity-convention": Repair(_REWRITE, by_contents=True, source="whether there is an object index"),
    "attribute-rows": Repair(_DROP, by_contents=True),
    "fragment-attribute-rows": Repair(_DROP, by_contents=True, source="manifests, for object_id"),
    "fragments-present": Repair(
        _DROP,
        by_contents=True,
        source="bins of points; a chunk of one object; where links between chunks begin and end; which links are whose",
    ),
    "fragment-rows": Repair(_DROP, by_contents=True, source="as fragments-present"),
    "fragments-tile": Repair(_DROP, by_contents=True, source="as fragments-present; else the statement is taken back"),
    "fragments-cover": Repair(_DROP, by_contents=True, source="as fragments-present"),
    "manifest-fragments": Repair(_DROP, by_contents=True, source="the objects that fragments name"),
    "fragments-owned": Repair(_DROP, by_contents=True, source="the objects that fragments name"),
    "fragments-shared": Repair(_DROP, by_contents=True, source="the objects that fragments name"),
    "fragment-owners": Repair(_DROP, by_contents=True, source="manifests that name every fragment once"),
    "vertices-finite": Repair("the position is lost; " + _REWRITE),
    "vertices-in-chunk": Repair("the position is damaged, or filed wrongly; " + _REWRITE),
    "inside-bounds": Repair(_REWRITE, source="the vertices"),
    "bin-fragments": Repair(_REWRITE, by_contents=True, source="the bins that vertices lie in"),
    "texts-used": Repair(_REWRITE),
    "category-codes": Repair("the category is lost; " + _REWRITE),
    "vertex-count": Repair(_DROP, by_contents=True, source="the vertices"),
    "link-levels": Repair(_DROP),
    "line-ends": Repair(_REWRITE),
    "link-endpoints": Repair(_DROP, source="manifests, for paths; the other level's copy of links across levels"),
    "link-counts": Repair(_DROP, source="the links"),
    "link-fragments": Repair(_DROP, source="the links, where they stand in the order of their fragments"),
    "levels-ascending": Repair(_PYRAMID),
    "chunk-multiples": Repair(_PYRAMID, source="the root's chunk_scale"),
    "bins-nest": Repair(_PYRAMID, source="the root's chunk_scale"),
    "parent-level": Repair(_PYRAMID, source="the levels that are there"),
    "counts-shrink": Repair(_PYRAMID, by_contents=True, source="the vertices"),
    "fresh": Repair(_PYRAMID),
    "objects-kept": Repair(_PYRAMID),
    "object-sparsity": Repair(_PYRAMID, source="the objects that the level keeps"),
    "recomputed": Repair("harmless"),
    "remade": Repair(_PYRAMID),
    "metavertices": Repair(_PYRAMID),
    "centroids": Repair(_PYRAMID),
    "aggregates": Repair(_PYRAMID),
}
"""What is done about each rule."""

DESPITE_WARNING: Final = frozenset({"arrays-present", "zv-array", "arrays-stated", "chunks-stated"})
"""Rules whose warnings are repaired too."""

LINK_CHECKS: Final = ("link-levels", "link-endpoints", "link-counts", "link-fragments")
"""Rules whose damage is repaired once everything else of their level is sound."""
