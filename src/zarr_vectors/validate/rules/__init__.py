"""The rules of the format, by what they look at."""

from __future__ import annotations

from typing import Any, Final

from zarr_vectors.validate.rule import Rule
from zarr_vectors.validate.rules import cells, level, links, objects, pyramid, root

RULES: Final[dict[str, Rule[Any]]] = {
    rule.name: rule
    for rules in (
        root.DOCUMENT_RULES,
        (root.root_metadata,),
        root.STORE_RULES,
        level.NODE_RULES,
        (level.level_readable,),
        level.LEVEL_RULES,
        cells.BLOCK_RULES,
        cells.COUNT_RULES,
        links.LINK_RULES,
        pyramid.PYRAMID_RULES,
        pyramid.COHERENCE_RULES,
    )
    for rule in rules
}
"""Every rule by its name, with what a repair of its damage follows from."""

__all__ = ["RULES", "cells", "level", "links", "objects", "pyramid", "root"]
