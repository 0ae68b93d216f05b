"""Keys of a node's metadata that the format does not know: they stay when the node is written anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zarr_vectors.constants import CROSS_CHUNK_LINK_ATTRIBUTES, LINK_ATTRIBUTES, OBJECT_ID_ATTRIBUTE
from zarr_vectors.model.attributes import CHANNEL_BINS
from zarr_vectors.typing import Document

NODE_KEYS = frozenset(
    [
        "zv_array",
        "name",
        "dtype",
        "encoding",
        "unit",
        "description",
        "aggregation",
        "channel_names",
        "plain_cells",
        CHANNEL_BINS,
        "categories",
        "ordered",
        "_FillValue",
        "nullable",
        "value_dtype",
        "categorical",
        "vocabulary",
        "time_zone",
        "row_shape",
        "shape",
        "num_channels",
        "has_present_mask",
        "fill_sentinel_meaning",
        "chunk_grid_origin",
        "nonempty_chunks",
        "offsets",
        "has_perm",
        "link_width",
        "level_delta",
        "directed",
        "store",
        "sid_ndim",
        "num_links",
        "num_physical_records",
        "num_objects",
        "num_present",
        "num_groups",
        "layout",
        "object_ids_sorted",
    ]
)
"""Every key that a revision gives the nodes of a level: what a writer leaves out of these is meant to be gone."""

_DESCRIBED = frozenset(
    [
        "attribute",
        "fragment_attribute",
        "link_attribute",
        "link_attribute_family",
        "cross_chunk_link_attribute",
        "object_attribute",
        "groupings_attribute",
    ]
)


def unknown_keys(attributes: Any) -> Document:
    """Return what the attributes of a node of a level hold under keys that no revision knows."""
    if not isinstance(attributes, Mapping):
        return {}
    return {key: value for key, value in attributes.items() if key not in NODE_KEYS}


def is_described(attributes: Mapping[str, Any]) -> bool:
    """Return whether a node is an attribute, whose unknown keys are part of its ``AttributeSpec``.

    The object of every fragment is none: the format keeps it itself.
    """
    return attributes.get("zv_array") in _DESCRIBED and attributes.get("name") != OBJECT_ID_ATTRIBUTE


def link_attribute_keys(level: str, documents: Mapping[str, Document]) -> dict[tuple[str, str], Document]:
    """Return the unknown keys of link attributes by name and level difference: all arrays of one together."""
    found: dict[tuple[str, str], Document] = {}
    for path, document in documents.items():
        family, *names = path[len(level) + 1 :].split("/")
        if family in (LINK_ATTRIBUTES, CROSS_CHUNK_LINK_ATTRIBUTES) and len(names) > 1:
            kept = unknown_keys(document.get("attributes"))
            if kept:
                found.setdefault((names[0], names[1]), {}).update(kept)
    return found


def with_unknown(document: Document, kept: Mapping[str, Any]) -> Document:
    """Return the document of a node with the unknown keys that it had before; its own keys come first."""
    return {**document, "attributes": {**kept, **(document.get("attributes") or {})}} if kept else document


def keep_members(before: Any, after: list[Document], known: frozenset[str], by: str = "name") -> list[Document]:
    """Return JSON objects of a list with the unknown keys of those of an earlier list that have the same name.

    Parameters
    ----------
    before, after : list of dict
        What was there, whatever it is, and what is to be there.
    known : frozenset of str
        Keys that are gone when an object lacks them.
    by : str
        Key of the name.
    """
    items = before if isinstance(before, list) else []
    named = {str(item.get(by)): item for item in items if isinstance(item, Mapping)}
    return [keep_keys(named.get(str(item.get(by))), item, known) for item in after]


def keep_keys(before: Any, after: Document, known: frozenset[str] = frozenset()) -> Document:
    """Return a JSON object with the unknown keys of an earlier one."""
    if not isinstance(before, Mapping):
        return after
    return {**after, **{key: value for key, value in before.items() if key not in after and key not in known}}
