"""The link families of a level in revision 0.9, opened for reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zarr_vectors.constants import LINK_ATTRIBUTES, LINKS
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.formats.documents import parse_attribute
from zarr_vectors.formats.layout import LinkArray, LinkFamily
from zarr_vectors.formats.link_names import parse_delta
from zarr_vectors.formats.tokens import require_tokens
from zarr_vectors.formats.unknown_keys import link_attribute_keys
from zarr_vectors.formats.v09.grid_array import GridArray
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.typing import Document

Documents = Mapping[str, Document]

_ROWS = AttributeSpec(dtype="int64")


def open_links(level: str, documents: Documents) -> dict[int, LinkFamily]:
    """Open every link family of a level."""
    prefix = f"{level}/{LINKS}/"
    families = {}
    kept = link_attribute_keys(level, documents)
    for path, document in documents.items():
        name = path.removeprefix(prefix)
        delta = parse_delta(name) if path.startswith(prefix) else None
        if delta is not None and document.get("node_type") == "group":
            families[delta] = _open_family(level, name, delta, documents, kept)
    return families


def _open_family(
    level: str, name: str, delta: int, documents: Documents, kept: Mapping[tuple[str, str], Document]
) -> LinkFamily:
    path = f"{level}/{LINKS}/{name}"
    require_tokens(LINKS, documents, [path])
    attributes = documents[path].get("attributes") or {}
    segments = sorted(
        node[len(path) + 1 :]
        for node, document in documents.items()
        if node.startswith(f"{path}/") and document.get("node_type") == "array"
    )
    arrays = tuple(_open_array(level, name, segment, delta, documents, kept) for segment in segments)
    width = attributes.get("link_width") or (1 + len(arrays[0].offsets) if arrays else 2)
    directed = bool(attributes.get("directed", delta != 0))
    store = str(attributes.get("store", "canonical"))
    bare = {} if arrays else _attributes_without_rows(level, name, documents)
    return LinkFamily(delta, int(width), directed, store, arrays, None, attributes, bare)


def _attributes_without_rows(level: str, delta: str, documents: Documents) -> dict[str, AttributeSpec]:
    """Return the attributes of a family without links by what their groups say of them, if they do."""
    prefix, suffix = f"{level}/{LINK_ATTRIBUTES}/", f"/{delta}"
    groups = {
        node[len(prefix) : -len(suffix)]: (document.get("attributes") or {}, node)
        for node, document in documents.items()
        if node.startswith(prefix) and node.endswith(suffix) and node.count("/") == prefix.count("/") + 1
    }
    return {name: parse_attribute(document, node) for name, (document, node) in groups.items() if "dtype" in document}


def _open_array(
    level: str,
    name: str,
    segment: str,
    delta: int,
    documents: Documents,
    kept: Mapping[tuple[str, str], Document],
) -> LinkArray:
    path = f"{level}/{LINKS}/{name}/{segment}"
    require_tokens(LINKS, documents, [path])
    cells = GridArray(path, documents[path], _ROWS)
    offsets = parse_offsets(segment, len(cells.shape), path)
    attributes = {}
    prefix, suffix = f"{level}/{LINK_ATTRIBUTES}/", f"/{name}/{segment}"
    for node, document in documents.items():
        if node.startswith(prefix) and node.endswith(suffix) and document.get("node_type") == "array":
            attribute = node[len(prefix) : -len(suffix)]
            spec = parse_attribute(document.get("attributes") or {}, node)
            spec = replace(spec, extra=kept.get((attribute, name), {}))
            attributes[attribute] = GridArray(node, document, spec)
    crossing = any(any(offset) for offset in offsets)
    has_perm = bool(cells.document.get("has_perm", False))
    return LinkArray(cells, offsets, has_perm, crossing or delta != 0, True, attributes)


def parse_offsets(segment: str, ndim: int, where: str) -> tuple[tuple[int, ...], ...]:
    """Return the offsets that a path segment spells.

    Raises
    ------
    MetadataError
        When it is neither ``self`` nor offsets of ``ndim`` components each.
    """
    if segment == "self":
        return ()
    try:
        offsets = tuple(tuple(int(part) for part in offset.split(".")) for offset in segment.split("_"))
    except ValueError as error:
        raise MetadataError(f"{where}: {segment!r} does not spell chunk offsets") from error
    if any(len(offset) != ndim for offset in offsets):
        raise MetadataError(f"{where}: {segment!r} must have {ndim} components per endpoint")
    return offsets
