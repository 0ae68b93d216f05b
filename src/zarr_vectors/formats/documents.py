"""Model ⇄ JSON for what both revisions spell alike: the root, level and attribute documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKED, DEFAULT_REDUCTION_FACTOR, OBJECTS_STANDARD
from zarr_vectors.exceptions import MetadataError, UnsupportedFeatureError, ZarrVectorsError
from zarr_vectors.formats.tokens import VERSION_REMEDY, require_capabilities, require_level_tokens
from zarr_vectors.formats.unknown_keys import keep_keys, keep_members, unknown_keys
from zarr_vectors.model.attributes import CHANNEL_BINS, TIMES, AttributeSpec
from zarr_vectors.model.axes import NgffAxis, default_axes
from zarr_vectors.model.metadata import AGGREGATION, LevelEntry, LevelMetadata, RootMetadata
from zarr_vectors.typing import Document

ROOT_KEY = "zarr_vectors"
LEVEL_KEY = "zarr_vectors_level"
MULTISCALES_KEY = "multiscales"
MULTISCALE_TYPE = "zarr_vectors_multiscale"

_ROOT_KEYS = frozenset(
    [
        "zv_version",
        "format_capabilities",
        "chunk_shape",
        "bounds",
        "geometry_types",
        "base_bin_shape",
        "links_convention",
        "object_index_convention",
        "cross_chunk_strategy",
        "crs",
        "reduction_factor",
        "cross_level_depth",
        "cross_level_storage",
        "attribute_specs",
    ]
)
_LEVEL_KEYS = frozenset(
    [
        "level",
        "vertex_count",
        "arrays_present",
        "bin_shape",
        "bin_ratio",
        "object_sparsity",
        "coarsening_method",
        "parent_level",
        "chunk_shape",
        "preserves_object_ids",
        "inherited_num_objects",
        "shared_fragments",
        "fragments_tile",
        "fragment_link_groups",
        "chunk_dims",
        "chunk_attribute_name",
        "chunk_attribute_values",
        "stale",
        "nodes",
    ]
)
_ENTRY_KEYS = frozenset(
    ["path", "level", "bin_ratio", "bin_shape", "object_sparsity", "chunk_scale", "coordinateTransformations"]
)
_AXIS_KEYS = frozenset(["name", "type", "unit"])
_VALUE_KEYS = {"nullable": bool, "value_dtype": str, "categorical": bool, "time_zone": str}
_SPEC_KEYS = frozenset(["dtype", "unit", "description"])

MAX_UNNAMED_CHANNELS = 2**16
"""Channels that an attribute may have which does not name them: a number in a document costs nothing to write."""


def unnamed_channels(count: int, where: str) -> tuple[str, ...]:
    """Return the names of channels that a document only counts.

    Raises
    ------
    MetadataError
        When there are more than can be meant.
    """
    if not 0 <= count <= MAX_UNNAMED_CHANNELS:
        raise MetadataError(f"{where}: {count} channels without names; at most {MAX_UNNAMED_CHANNELS} can be read")
    return tuple(f"ch{c}" for c in range(count))


def group_document(attributes: Document) -> Document:
    """Return the ``zarr.json`` document of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def parse_root(attributes: Document, where: str) -> RootMetadata:
    """Read the root's attributes.

    Raises
    ------
    MetadataError
        Naming the store and the key that is missing or malformed.
    UnsupportedFeatureError
        Naming a capability that the store requires of its readers and that is not known here.
    """
    block = attributes.get(ROOT_KEY)
    if not isinstance(block, dict):
        raise MetadataError(f"{where}: no {ROOT_KEY!r} block in the root's attributes; is this a Zarr Vectors store?")
    require_capabilities(block, where)
    if block.get("kind") is not None:
        raise UnsupportedFeatureError(
            f"{where}: the root's metadata is that of the Zarr Vectors convention (kind {block['kind']!r:.100}, "
            f"zv_version {block.get('zv_version')!r:.100}), which this version does not read; {VERSION_REMEDY}"
        )
    try:
        return _parse_root(block, attributes)
    except UnsupportedFeatureError:
        raise
    except ZarrVectorsError as error:
        raise MetadataError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise MetadataError(f"{where}: malformed root metadata: {type(error).__name__}: {error}") from error


def _parse_root(block: Document, attributes: Document) -> RootMetadata:
    for required in ("zv_version", "chunk_shape", "bounds"):
        if block.get(required) is None:
            raise MetadataError(f"root metadata lacks {required!r}")
    for key in ("format_capabilities", "geometry_types"):
        if not all(isinstance(token, str) for token in block.get(key) or ()):
            raise MetadataError(f"root metadata: {key!r} must be a list of names, got {block[key]!r:.200}")
    chunk_shape = _numbers(block, "chunk_shape", block["chunk_shape"])
    blocks = attributes.get(MULTISCALES_KEY) or [{}]
    multiscale = blocks[0]
    described = multiscale.get("axes") or _axes_of_scene(attributes)
    axes = [NgffAxis(a["name"], a.get("type", "space"), a.get("unit")) for a in described]
    base_bin = block.get("base_bin_shape")
    if base_bin is not None:
        base_bin = _numbers(block, "base_bin_shape", base_bin)
    levels = [_parse_entry(entry, base_bin or chunk_shape) for entry in multiscale.get("datasets", [])]
    return RootMetadata(
        zv_version=str(block["zv_version"]),
        axes=tuple(axes) or default_axes(len(chunk_shape)),
        chunk_shape=chunk_shape,
        bounds=_corners(block),
        geometry_types=tuple(block.get("geometry_types") or ()),
        base_bin_shape=base_bin,
        links_convention=block.get("links_convention"),
        object_index_convention=block.get("object_index_convention", OBJECTS_STANDARD),
        cross_chunk_strategy=block.get("cross_chunk_strategy", CROSS_CHUNK_LINKED),
        crs=block.get("crs"),
        reduction_factor=int(block.get("reduction_factor") or DEFAULT_REDUCTION_FACTOR),
        cross_level_depth=None if block.get("cross_level_depth") is None else int(block["cross_level_depth"]),
        cross_level_storage=block.get("cross_level_storage"),
        format_capabilities=tuple(block.get("format_capabilities") or ()),
        attribute_specs=_parse_specs(block.get("attribute_specs") or {}),
        name=str(multiscale.get("name", _item(attributes.get("ome"), "name") or "default")),
        levels=tuple(sorted(levels, key=lambda entry: entry.level)),
        extra={key: value for key, value in block.items() if key not in _ROOT_KEYS},
    )


def _axes_of_scene(attributes: Document) -> list[Document]:
    """Return the axes of the first coordinate system of the ``ome`` node, where there is one."""
    node = attributes.get("ome") or {}
    scene = (node.get("attributes") or node).get("scene") or {}
    systems = scene.get("coordinateSystems") or [{}]
    axes: list[Document] = systems[0].get("axes") or []
    return axes


def root_block(root: RootMetadata) -> Document:
    """Return the ``zarr_vectors`` block of the root's attributes."""
    block: Document = {
        "zv_version": root.zv_version,
        "format_capabilities": list(root.format_capabilities),
        "chunk_shape": list(root.chunk_shape),
        "bounds": [list(root.bounds[0]), list(root.bounds[1])],
        "geometry_types": list(root.geometry_types),
    }
    optional = {
        "base_bin_shape": None if root.base_bin_shape is None else list(root.base_bin_shape),
        "links_convention": root.links_convention,
        "object_index_convention": root.object_index_convention,
        "cross_chunk_strategy": root.cross_chunk_strategy,
        "crs": root.crs,
        "cross_level_storage": root.cross_level_storage,
        "cross_level_depth": root.cross_level_depth,
    }
    block |= {key: value for key, value in optional.items() if value is not None}
    block["reduction_factor"] = root.reduction_factor
    if root.attribute_specs:
        block["attribute_specs"] = _specs_document(root.attribute_specs)
    return block | root.extra


def multiscales_block(root: RootMetadata) -> list[Document]:
    """Return the root's ``multiscales`` list (OME-Zarr NGFF 0.4, with the keys of this format)."""
    return [
        {
            "version": "0.4",
            "name": root.name,
            "type": MULTISCALE_TYPE,
            "axes": [axis.document() for axis in root.axes],
            "datasets": [_entry_document(entry) for entry in root.levels],
            "metadata": {"format": "zarr_vectors"},
        }
    ]


def keep_root_keys(before: Document, blocks: Document) -> Document:
    """Return the blocks of the root's attributes with the unknown keys that those before held inside of them.

    Parameters
    ----------
    before : dict
        The attributes of the root as they were.
    blocks : dict
        :func:`root_block` and :func:`multiscales_block` under their keys.
    """
    root: Document = dict(blocks[ROOT_KEY])
    held = before.get(ROOT_KEY)
    specs = held.get("attribute_specs") if isinstance(held, dict) else None
    if "attribute_specs" in root and isinstance(specs, dict):
        root["attribute_specs"] = {
            scope: {name: keep_keys(_item(_item(specs, scope), name), one, _SPEC_KEYS) for name, one in entries.items()}
            for scope, entries in root["attribute_specs"].items()
        }
    scales = before.get(MULTISCALES_KEY)
    if not isinstance(scales, list) or not scales or not isinstance(scales[0], dict):
        return {**blocks, ROOT_KEY: root}
    multiscale: Document = keep_keys(scales[0], blocks[MULTISCALES_KEY][0])
    multiscale["axes"] = keep_members(scales[0].get("axes"), multiscale["axes"], _AXIS_KEYS)
    multiscale["datasets"] = keep_members(scales[0].get("datasets"), multiscale["datasets"], _ENTRY_KEYS, by="path")
    multiscale["metadata"] = keep_keys(scales[0].get("metadata"), multiscale["metadata"])
    return {ROOT_KEY: root, MULTISCALES_KEY: [multiscale, *scales[1:]]}


def _item(mapping: Any, key: str) -> Any:
    return mapping.get(key) if isinstance(mapping, Mapping) else None


def _parse_entry(entry: Document, base_bin: tuple[float, ...]) -> LevelEntry:
    transforms = {t["type"]: t for t in entry.get("coordinateTransformations", [])}
    scale = transforms["scale"]["scale"] if "scale" in transforms else [1.0] * len(base_bin)
    ratio = _floats(entry.get("bin_ratio") or scale)
    shifted = any(transforms.get("translation", {}).get("translation", ()))
    if entry.get("bin_shape"):
        bin_shape = _floats(entry["bin_shape"])
    elif shifted:
        bin_shape = tuple(2 * float(t) for t in transforms["translation"]["translation"])
    else:
        bin_shape = tuple(r * b for r, b in zip(ratio, base_bin, strict=True))
    return LevelEntry(
        level=int(entry["level"] if entry.get("level") is not None else entry["path"]),
        bin_ratio=ratio,
        bin_shape=bin_shape,
        object_sparsity=float(entry.get("object_sparsity", 1.0)),
        chunk_scale=tuple(int(s) for s in entry["chunk_scale"]) if entry.get("chunk_scale") else None,
        shifted=shifted or "coordinateTransformations" not in entry,
        extra={key: value for key, value in entry.items() if key not in _ENTRY_KEYS},
    )


def _entry_document(entry: LevelEntry) -> Document:
    grown = {} if entry.chunk_scale is None else {"chunk_scale": list(entry.chunk_scale)}
    return (
        grown
        | {
            "path": str(entry.level),
            "level": entry.level,
            "bin_ratio": [_whole(r) for r in entry.bin_ratio],
            "bin_shape": list(entry.bin_shape),
            "object_sparsity": entry.object_sparsity,
            "coordinateTransformations": [
                {"type": "scale", "scale": list(entry.scale)},
                *([{"type": "translation", "translation": list(entry.translation)}] if entry.shifted else []),
            ],
        }
        | entry.extra
    )


def parse_level(attributes: Document, level: int, where: str) -> LevelMetadata:
    """Read a level's attributes; what real stores lack takes its default.

    Raises
    ------
    MetadataError
        Naming the level and what is malformed.
    UnsupportedFeatureError
        Naming a key of the level whose value is not known here.
    """
    block = (attributes.get(LEVEL_KEY) or {}) if isinstance(attributes, dict) else None
    if isinstance(block, dict) and not isinstance(block.get("chunk_attribute_name", ""), str | None):
        raise MetadataError(
            f"{where}: chunk_attribute_name must be a string, got {block['chunk_attribute_name']!r:.200}"
        )
    if not isinstance(block, dict):
        raise MetadataError(f"{where}: the attributes and their {LEVEL_KEY!r} block must be JSON objects")
    require_level_tokens(block, where)
    values = (block.get("chunk_attribute_values") or []) if isinstance(block, dict) else []
    if not isinstance(values, list) or not all(isinstance(value, str | int | float | None) for value in values):
        raise MetadataError(
            f"{where}: chunk_attribute_values must be a list of numbers or strings, got {values!r:.200}"
        )
    try:
        return LevelMetadata(
            level=int(block.get("level", level)),
            vertex_count=int(block.get("vertex_count") or 0),
            arrays_present=tuple(block.get("arrays_present") or ()),
            bin_shape=_optional_floats(block.get("bin_shape")),
            bin_ratio=_optional_floats(block.get("bin_ratio")),
            object_sparsity=float(block.get("object_sparsity", 1.0)),
            coarsening_method=block.get("coarsening_method") or "none",
            parent_level=block.get("parent_level"),
            chunk_shape=_optional_floats(block.get("chunk_shape")),
            preserves_object_ids=block.get("preserves_object_ids"),
            inherited_num_objects=block.get("inherited_num_objects"),
            shared_fragments=bool(block.get("shared_fragments", False)),
            fragments_tile=bool(block.get("fragments_tile", False)),
            fragment_link_groups=bool(block.get("fragment_link_groups", False)),
            chunk_dims=tuple(block["chunk_dims"]) if block.get("chunk_dims") else None,
            chunk_attribute_name=block.get("chunk_attribute_name"),
            chunk_attribute_values=(
                tuple(block["chunk_attribute_values"]) if block.get("chunk_attribute_values") is not None else None
            ),
            stale=bool(block.get("stale", False)),
            nodes=tuple(str(name) for name in block.get("nodes") or ()),
            extra={key: value for key, value in block.items() if key not in _LEVEL_KEYS},
        )
    except ZarrVectorsError as error:
        raise MetadataError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MetadataError(f"{where}: malformed level metadata: {type(error).__name__}: {error}") from error


def level_block(level: LevelMetadata) -> Document:
    """Return the ``zarr_vectors_level`` block of a level's attributes."""
    block: Document = {
        "level": level.level,
        "vertex_count": level.vertex_count,
        "arrays_present": list(level.arrays_present),
        "object_sparsity": level.object_sparsity,
        "coarsening_method": level.coarsening_method,
        "shared_fragments": level.shared_fragments,
        "fragments_tile": level.fragments_tile,
    }
    optional = {
        "bin_shape": _listed(level.bin_shape),
        "bin_ratio": None if level.bin_ratio is None else [_whole(r) for r in level.bin_ratio],
        "chunk_shape": _listed(level.chunk_shape),
        "parent_level": level.parent_level,
        "preserves_object_ids": level.preserves_object_ids,
        "inherited_num_objects": level.inherited_num_objects,
        "chunk_dims": _listed(level.chunk_dims),
        "chunk_attribute_name": level.chunk_attribute_name,
        "chunk_attribute_values": _listed(level.chunk_attribute_values),
        "fragment_link_groups": True if level.fragment_link_groups else None,
        "stale": True if level.stale else None,
        "nodes": list(level.nodes) or None,
    }
    return block | {key: value for key, value in optional.items() if value is not None} | level.extra


def attribute_document(zv_array: str, name: str, spec: AttributeSpec) -> Document:
    """Return the metadata that an attribute array carries in both revisions."""
    document: Document = dict(spec.extra) | {"zv_array": zv_array, "name": name, "dtype": spec.dtype}
    if spec.channel_names is not None:
        document["channel_names"] = list(spec.channel_names)
    if spec.encoding is not None:
        document["encoding"] = spec.encoding
    if spec.categories is not None:
        document |= {
            "categories": [plain_value(c) for c in spec.categories],
            "ordered": spec.ordered,
            "_FillValue": plain_value(spec.fill),
        }
    elif spec.fill is not None:
        document["_FillValue"] = plain_value(spec.fill)
    if spec.encoding in TIMES:
        document["unit"] = spec.time_unit
    elif spec.unit is not None:
        document["unit"] = spec.unit
    document |= {key: value for key in _VALUE_KEYS if (value := getattr(spec, key)) is not None}
    if spec.vocabulary is not None:
        document |= {"vocabulary": [plain_value(c) for c in spec.vocabulary], "ordered": spec.ordered}
    optional = {"description": spec.description, AGGREGATION: spec.aggregation}
    return document | {key: value for key, value in optional.items() if value is not None}


def parse_attribute(document: Mapping[str, Any], where: str, *, dtype: str | None = None) -> AttributeSpec:
    """Read the metadata of an attribute array.

    Raises
    ------
    MetadataError
        When the data type is missing or not a NumPy number type.
    """
    if not isinstance(document, Mapping):
        raise MetadataError(f"{where}: attributes must be a JSON object, got {type(document).__name__}")
    name = dtype or document.get("dtype")
    try:
        parsed = np.dtype(name)
    except (TypeError, ValueError, SyntaxError, RecursionError, MemoryError, OverflowError) as error:
        raise MetadataError(f"{where}: dtype {name!r:.100} is not a NumPy data type") from error
    plain = parsed.names is None and parsed.subdtype is None and parsed.kind in "biufcUmM"
    if not plain or (parsed.itemsize == 0 and parsed.kind != "U"):
        raise MetadataError(f"{where}: dtype {name!r} cannot be stored")
    try:
        return _parse_spec(document, parsed.name if parsed.kind != "U" else str(name), where)
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        if isinstance(error, ZarrVectorsError):
            raise
        raise MetadataError(f"{where}: malformed attribute metadata: {type(error).__name__}: {error}") from error


def _parse_spec(document: Mapping[str, Any], dtype: str, where: str) -> AttributeSpec:
    encoding = document.get("encoding")
    timed = encoding in TIMES
    vocabulary = document.get("vocabulary")
    said = {key: document.get(key) for key in _VALUE_KEYS}
    wrong = next((key for key, kind in _VALUE_KEYS.items() if not isinstance(said[key], kind | None)), None)
    if wrong is not None or not isinstance(vocabulary, list | None):
        raise MetadataError(
            f"{where}: {wrong or 'vocabulary'} {document.get(wrong or 'vocabulary')!r:.100} is malformed"
        )
    apart = document.get(CHANNEL_BINS)
    channels = document.get("channel_names") if apart is None else apart["channel_names"]
    edges = {} if apart is None else {CHANNEL_BINS: [*apart["starts"], len(apart["channel_names"])]}
    categories = document.get("categories")
    row_shape = document.get("row_shape")
    if channels is None and row_shape:
        channels = list(unnamed_channels(int(row_shape[0]), where))
    if channels is not None and (not isinstance(channels, list) or len(channels) > 1 << 24):
        raise MetadataError(f"{where}: channel_names must be a list, got {type(channels).__name__}")
    return AttributeSpec(
        dtype=dtype,
        unit=None if timed else document.get("unit"),
        description=document.get("description"),
        channel_names=None if channels is None else tuple(str(c) for c in channels),
        encoding=None if encoding == "raw" else encoding,
        categories=None if categories is None else tuple(categories),
        ordered=bool(document.get("ordered", False)),
        fill=document.get("_FillValue"),
        time_unit=document.get("unit") if timed else None,
        aggregation=document.get(AGGREGATION),
        vocabulary=None if vocabulary is None else tuple(vocabulary),
        **said,
        extra=unknown_keys(document) | edges,
    )


def merge_capabilities(*sets: Iterable[str]) -> tuple[str, ...]:
    """Return capability tokens without repeats, in the order of first mention."""
    return tuple(dict.fromkeys(token for tokens in sets for token in tokens))


def _parse_specs(document: Document) -> dict[tuple[str, str], AttributeSpec]:
    return {
        (scope, name): AttributeSpec(
            dtype=str(entry.get("dtype", "")), unit=entry.get("unit"), description=entry.get("description")
        )
        for scope, entries in document.items()
        for name, entry in entries.items()
    }


def _specs_document(specs: Mapping[tuple[str, str], AttributeSpec]) -> Document:
    document: Document = {}
    for (scope, name), spec in specs.items():
        entry = {"dtype": spec.dtype, "unit": spec.unit, "description": spec.description}
        document.setdefault(scope, {})[name] = {key: value for key, value in entry.items() if value is not None}
    return document


def _numbers(block: Document, key: str, values: Any) -> tuple[float, ...]:
    try:
        return _floats(values)
    except (TypeError, ValueError) as error:
        raise MetadataError(f"root metadata: {key!r} must hold numbers, got {block[key]!r}") from error


def _corners(block: Document) -> tuple[tuple[float, ...], tuple[float, ...]]:
    corners = block["bounds"]
    if not isinstance(corners, list) or len(corners) != 2:
        raise MetadataError(f"root metadata: 'bounds' must be two corners, got {corners!r}")
    return _numbers(block, "bounds", corners[0]), _numbers(block, "bounds", corners[1])


def _floats(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _optional_floats(values: Iterable[Any] | None) -> tuple[float, ...] | None:
    return None if values is None else _floats(values)


def _listed(values: Iterable[Any] | None) -> list[Any] | None:
    return None if values is None else [plain_value(v) for v in values]


def _whole(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def plain_value(value: Any) -> Any:
    """Return a NumPy scalar as the Python one that JSON knows; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value
