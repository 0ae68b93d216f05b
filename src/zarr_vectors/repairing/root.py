"""The root document: its own block, and the axes."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    CROSS_CHUNK_LINKED,
    DEFAULT_REDUCTION_FACTOR,
    GEOMETRY_TYPES,
    LINKS,
    OBJECT_INDEX,
    OBJECTS_IDENTITY,
    OBJECTS_STANDARD,
    VALID_AXIS_TYPES,
    VALID_CROSS_CHUNK_STRATEGIES,
    VALID_LINKS_CONVENTIONS,
    VALID_OBJECT_INDEX_CONVENTIONS,
    VALID_XLEVEL_STORAGE,
    VERTEX_ATTRIBUTES,
    XLEVEL_EXPLICIT,
    XLEVEL_IMPLICIT,
    XLEVEL_NONE,
)
from zarr_vectors.formats.detection import REVISIONS
from zarr_vectors.formats.documents import MULTISCALE_TYPE, MULTISCALES_KEY, ROOT_KEY
from zarr_vectors.formats.link_names import parse_delta
from zarr_vectors.model.axes import default_axes
from zarr_vectors.repairing.context import Context
from zarr_vectors.repairing.draft import Draft
from zarr_vectors.storage.port import list_folder
from zarr_vectors.typing import Document
from zarr_vectors.validate.rules.root import LINKS_OF_GEOMETRY, PATHS

ROOT = "zarr.json"


def level_numbers(draft: Draft) -> list[int]:
    """Return the numbers of the folders that are levels."""
    return sorted(int(name) for name in list_folder(draft).folders if name.isdecimal() and name.isascii())


def repair_root(context: Context) -> Document | None:
    """Put the root's own block right; return the root document, None where nothing of it remains."""
    draft = context.draft
    document = draft.document("")
    attributes = document.get("attributes") if document is not None else None
    if document is None or not isinstance(attributes, dict) or not isinstance(attributes.get(ROOT_KEY), dict):
        lost = "the root's metadata is lost (chunk shape, conventions, axes), and no copy of it is kept"
        context.hopeless("root-group", ROOT, lost)
        return None
    if document.get("zarr_format") != 3 or document.get("node_type") != "group":
        document |= {"zarr_format": 3, "node_type": "group"}
        context.repaired("root-group", ROOT, "the root is a Zarr v3 group again")
    block = attributes[ROOT_KEY]
    before = json.dumps(block)
    _repair_version(context, block)
    ndim = _repair_shapes(context, block)
    if ndim is not None:
        _repair_conventions(context, block)
        _repair_numbers(context, block)
        _repair_specs(context, block)
        _repair_axes(context, attributes, ndim)
    if json.dumps(block) != before or ndim is not None:
        draft.put_document("", document)
    return document if ndim is not None else None


def _repair_version(context: Context, block: Document) -> None:
    stamp = block.get("zv_version")
    named = ".".join(str(stamp).split(".")[:2])
    if named in REVISIONS:
        return
    if isinstance(stamp, str) and re.fullmatch(r"\d+\.\d+(\.\d+)?", stamp):
        context.hopeless(
            "root-metadata", ROOT, f"zv_version is {stamp!r}: a later revision may have written the store; nothing said"
        )
        return
    node = (context.draft.document("0/vertices") or {}).get("node_type")
    found = next((r for r in REVISIONS.values() if r.keyed_by_chunk == (node == "group")), None)
    if found is None or node not in ("group", "array"):
        context.hopeless("root-metadata", ROOT, "zv_version is lost, and the vertices do not tell the revision")
        return
    block["zv_version"] = found.stamp
    context.repaired("root-metadata", ROOT, f"zv_version is {found.stamp!r} again, as the vertices are stored")


def as_numbers(values: Any, ndim: int | None = None, *, positive: bool = True) -> tuple[float, ...] | None:
    """Return a list of finite numbers as floats; None where it is something else."""
    if not isinstance(values, (list, tuple)) or not values or (ndim is not None and len(values) != ndim):
        return None
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        return None
    numbers = tuple(float(v) for v in values)
    if not np.isfinite(numbers).all() or (positive and min(numbers) <= 0):
        return None
    return numbers


def _repair_shapes(context: Context, block: Document) -> int | None:
    """Put the shape of chunks and bins right; return the number of axes where chunks have a shape."""
    shape = as_numbers(block.get("chunk_shape"))
    if shape is None:
        shape = _chunk_shape_of_levels(context)
        if shape is None:
            context.hopeless(
                "root-metadata", ROOT, f"chunk_shape is {block.get('chunk_shape')!r}; the true one is lost"
            )
            return None
        block["chunk_shape"] = list(shape)
        context.repaired("root-metadata", ROOT, f"chunk_shape is {list(shape)} again, from a coarse level's chunks")
    ndim = len(shape)
    stated = block.get("base_bin_shape")
    if stated is not None and as_numbers(stated, ndim) is None:
        found = _bin_shape_of_finest(context, ndim)
        if found is None:
            context.hopeless("root-metadata", ROOT, f"base_bin_shape is {stated!r}; the true one is lost")
        else:
            block["base_bin_shape"] = list(found)
            context.repaired("root-metadata", ROOT, f"base_bin_shape is {list(found)} again")
    return ndim


def _entries(context: Context) -> list[Document]:
    attributes = (context.draft.document("") or {}).get("attributes")
    blocks = attributes.get(MULTISCALES_KEY) if isinstance(attributes, dict) else None
    first = blocks[0] if isinstance(blocks, list) and blocks else None
    entries = first.get("datasets") if isinstance(first, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def level_block_of(draft: Draft, number: int) -> Document:
    """Return the block of a level's metadata, empty where it cannot be read."""
    attributes = (draft.document(str(number)) or {}).get("attributes")
    block = attributes.get("zarr_vectors_level") if isinstance(attributes, dict) else None
    return block if isinstance(block, dict) else {}


def _chunk_shape_of_levels(context: Context) -> tuple[float, ...] | None:
    """Return the root's chunk shape from a level that has chunks of its own, and how much larger they are."""
    for entry in _entries(context):
        number = entry.get("level")
        scale = as_numbers(entry.get("chunk_scale"))
        if scale is None or not isinstance(number, int):
            continue
        own = as_numbers(level_block_of(context.draft, number).get("chunk_shape"), len(scale))
        if own is not None:
            return tuple(c / s for c, s in zip(own, scale, strict=True))
    return None


def _bin_shape_of_finest(context: Context, ndim: int) -> tuple[float, ...] | None:
    found = as_numbers(level_block_of(context.draft, 0).get("bin_shape"), ndim)
    if found is not None:
        return found
    zero = next((entry for entry in _entries(context) if str(entry.get("path")) == "0"), {})
    return as_numbers(zero.get("bin_shape"), ndim)


def _repair_conventions(context: Context, block: Document) -> None:
    kinds = block.get("geometry_types")
    known = [k for k in kinds if k in GEOMETRY_TYPES] if isinstance(kinds, list) else []
    if not isinstance(kinds, list) or len(known) != len(kinds):
        context.hopeless("root-metadata", ROOT, f"geometry_types is {kinds!r}; what the store holds is not known")
        return
    allowed = [LINKS_OF_GEOMETRY[kind] for kind in known if kind in LINKS_OF_GEOMETRY]
    stated = block.get("links_convention")
    legal = stated in VALID_LINKS_CONVENTIONS and all(stated in one for one in allowed)
    if stated is not None and not legal and allowed:
        _set(context, block, "links_convention", allowed[0][0], f"as {', '.join(known)} have it")
    found = block.get("object_index_convention", OBJECTS_STANDARD)
    if found is not None and found not in VALID_OBJECT_INDEX_CONVENTIONS:
        nodes = list_folder(context.draft, "0").folders
        plain = OBJECT_INDEX in nodes or known == ["point_cloud"] or not known
        _set(context, block, "object_index_convention", OBJECTS_STANDARD if plain else OBJECTS_IDENTITY, "as stored")
    _repair_identity(context, block)
    _repair_crossings(context, block, known)
    across = block.get("cross_level_storage")
    if across is not None and across not in VALID_XLEVEL_STORAGE:
        deltas = _deltas(context.draft)
        way = XLEVEL_EXPLICIT if min(deltas) < 0 else XLEVEL_IMPLICIT if max(deltas) > 0 else XLEVEL_NONE
        _set(context, block, "cross_level_storage", way, "as the levels store links")


def _repair_identity(context: Context, block: Document) -> None:
    """Objects that have an index do not go by their fragments."""
    if not context.has("identity-convention") or block.get("object_index_convention") != OBJECTS_IDENTITY:
        return
    if OBJECT_INDEX in list_folder(context.draft, "0").folders or block.get("geometry_types") == ["point_cloud"]:
        block["object_index_convention"] = OBJECTS_STANDARD
        context.repaired("identity-convention", ROOT, "object_index_convention is 'standard' again, as stored")


def _repair_crossings(context: Context, block: Document, kinds: list[str]) -> None:
    strategy = block.get("cross_chunk_strategy", CROSS_CHUNK_LINKED)
    of_paths = bool(kinds) and set(kinds) <= set(PATHS)
    if strategy is None or (strategy in VALID_CROSS_CHUNK_STRATEGIES and (of_paths or strategy == CROSS_CHUNK_LINKED)):
        return
    if of_paths:
        said = f"cross_chunk_strategy is {strategy!r}; whether paths repeat vertices in the next chunk is not known"
        context.hopeless("root-metadata", ROOT, said)
    else:
        _set(context, block, "cross_chunk_strategy", CROSS_CHUNK_LINKED, f"for {', '.join(kinds) or 'what is no path'}")


def _deltas(draft: Draft) -> list[int]:
    """Return the level differences of all stored links, and 0."""
    folders = [listing.folders for listing in draft.list_folders([f"{n}/{LINKS}" for n in level_numbers(draft)])]
    return [0, *(delta for names in folders for name in names if (delta := parse_delta(name)) is not None)]


def _set(context: Context, block: Document, key: str, value: Any, why: str) -> None:
    check = "conventions" if context.has("conventions") else "root-metadata"
    context.repaired(check, ROOT, f"{key} was {block.get(key)!r}, is {value!r} again, {why}")
    block[key] = value


def _repair_numbers(context: Context, block: Document) -> None:
    factor = block.get("reduction_factor")
    if factor is not None and (isinstance(factor, bool) or not isinstance(factor, int) or factor < 2):
        _set(context, block, "reduction_factor", DEFAULT_REDUCTION_FACTOR, "the default")
    depth = block.get("cross_level_depth")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int)):
        _set(context, block, "cross_level_depth", max(map(abs, _deltas(context.draft))), "as the levels store links")
    tokens = block.get("format_capabilities")
    if tokens is not None and not (isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)):
        _set(context, block, "format_capabilities", [], "what the store uses is seen in its arrays")
    crs = block.get("crs")
    unreadable = crs is not None and not isinstance(crs, dict)
    if unreadable and context.lost("root-metadata", ROOT, f"crs is {crs!r}, which is no reference system"):
        del block["crs"]


def _repair_specs(context: Context, block: Document) -> None:
    """Describe attributes as their own arrays do, where the root's description cannot be read."""
    specs = block.get("attribute_specs")
    readable = specs is None or (
        isinstance(specs, dict)
        and all(isinstance(one, dict) and all(isinstance(e, dict) for e in one.values()) for one in specs.values())
    )
    if readable:
        return
    vertex = {}
    for name in list_folder(context.draft, f"0/{VERTEX_ATTRIBUTES}").folders:
        attributes = (context.draft.document(f"0/{VERTEX_ATTRIBUTES}/{name}") or {}).get("attributes") or {}
        vertex[name] = {key: attributes[key] for key in ("dtype", "unit", "description") if key in attributes}
    _set(context, block, "attribute_specs", {"vertex": vertex}, "as the arrays say")


def _repair_axes(context: Context, attributes: Document, ndim: int) -> None:
    blocks = attributes.get(MULTISCALES_KEY)
    multiscale = blocks[0] if isinstance(blocks, list) and blocks and isinstance(blocks[0], dict) else None
    stated = None if multiscale is None else multiscale.get("axes")
    if multiscale is not None and _legal_axes(stated, ndim):
        return
    copy = _axes_copy(attributes)
    if _legal_axes(copy, ndim):
        axes, where = copy, "from the ome block"
    elif stated is None or context.lost("axes", ROOT, f"axes are {stated!r:.200}; names, types and units are lost"):
        axes, where = [axis.document() for axis in default_axes(ndim)], "which is how a store without axes is read"
    else:
        return
    if multiscale is None:
        multiscale = {"version": "0.4", "name": "default", "type": MULTISCALE_TYPE, "datasets": []}
        multiscale["metadata"] = {"format": "zarr_vectors"}
        attributes[MULTISCALES_KEY] = [multiscale]
    multiscale["axes"] = axes
    context.repaired("axes", ROOT, f"axes are {axes} again, {where}")


def _axes_copy(attributes: Document) -> Any:
    try:
        return attributes["ome"]["attributes"]["scene"]["coordinateSystems"][0]["axes"]
    except (KeyError, TypeError, IndexError):
        return None


def _legal_axes(axes: Any, ndim: int) -> bool:
    if not isinstance(axes, list) or len(axes) != ndim or not all(isinstance(axis, dict) for axis in axes):
        return False
    names = [axis.get("name") for axis in axes]
    return (
        all(isinstance(name, str) and name for name in names)
        and len(set(names)) == ndim
        and all(axis.get("type", "space") in VALID_AXIS_TYPES for axis in axes)
        and all(axis.get("unit") is None or isinstance(axis["unit"], str) for axis in axes)
    )
