"""What the root says of the store: its document, the list of levels, axes, conventions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    CAP_FRAGMENT_INDEX,
    CAP_MULTISCALE_LINKS,
    CAP_PRESERVED_OBJECT_IDS,
    CAP_SHARED_FRAGMENTS,
    LINKS,
    LINKS_BRANCHES,
    LINKS_EXPLICIT,
    LINKS_SEQUENTIAL,
    PARAMETRIC,
    READ_CAPABILITIES,
    VALID_AXIS_TYPES,
    VERTEX_FRAGMENTS,
)
from zarr_vectors.formats.documents import MULTISCALE_TYPE, MULTISCALES_KEY, ROOT_KEY
from zarr_vectors.formats.link_names import parse_delta
from zarr_vectors.read.parametric import read_parametric_table
from zarr_vectors.validate.blocks import REPEATING
from zarr_vectors.validate.rule import COPY_ROOT, DROP, HARMLESS, REWRITE, Fix, Problem, Rules, error, note, warning
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject, StoreSubject

ROOT = "zarr.json"
SCALE_TOLERANCE = 1e-9

LINKS_OF_GEOMETRY = {
    "point_cloud": (LINKS_SEQUENTIAL,),
    "line": (LINKS_SEQUENTIAL,),
    "polyline": (LINKS_SEQUENTIAL,),
    "streamline": (LINKS_SEQUENTIAL,),
    "skeleton": (LINKS_BRANCHES, LINKS_EXPLICIT),
    "graph": (LINKS_EXPLICIT, LINKS_BRANCHES),
    "mesh": (LINKS_EXPLICIT,),
}
"""Links conventions that a geometry type may go by (Zarr Vectors specification, links)."""

POINTS = ("point_cloud",)
PATHS = ("line", "polyline", "streamline")

DOCUMENT_RULES: Rules[StoreSubject] = Rules()
"""Rules of the root document, which need no more than its JSON."""

STORE_RULES: Rules[StoreSubject] = Rules()
"""Rules of an open store."""

_OPENING: Rules[StoreSubject] = Rules()


def _entries(store: StoreSubject) -> list[dict[str, Any]]:
    entries = store.multiscale.get("datasets")
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


def _has_entries(store: StoreSubject) -> bool:
    return bool(_entries(store))


def _number(entry: dict[str, Any]) -> int | None:
    found = entry.get("level", entry.get("path"))
    try:
        return int(found)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _numbers(values: Any) -> list[float] | None:
    if isinstance(values, list) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return [float(v) for v in values]
    return None


def _transforms(entry: dict[str, Any]) -> tuple[list[float] | None, list[float] | None]:
    found = entry.get("coordinateTransformations")
    by_type = {str(t.get("type")): t for t in found if isinstance(t, dict)} if isinstance(found, list) else {}
    scale, shift = by_type.get("scale") or {}, by_type.get("translation") or {}
    return _numbers(scale.get("scale")), _numbers(shift.get("translation"))


def _close(found: list[float], expected: list[float]) -> bool:
    return len(found) == len(expected) and bool(np.allclose(found, expected, rtol=SCALE_TOLERANCE, atol=0))


@DOCUMENT_RULES.rule(1, COPY_ROOT, Fix("the node type, where the block of the format is there"))
def root_group(store: StoreSubject) -> Iterator[Problem]:
    """Check that root ``zarr.json`` is that of a Zarr v3 group with a block of this format."""
    if isinstance(store.document, str):
        yield error(ROOT, store.document)
        return
    if store.document.get("zarr_format") != 3 or store.document.get("node_type") != "group":
        yield error(
            ROOT,
            f"expected a Zarr v3 group, found zarr_format {store.document.get('zarr_format')!r} and node_type "
            f"{store.document.get('node_type')!r}",
        )
    elif not isinstance(store.attributes.get(ROOT_KEY), dict):
        yield error(ROOT, f"the attributes have no {ROOT_KEY!r} block, so this is no Zarr Vectors store")


@DOCUMENT_RULES.rule(2, COPY_ROOT, Fix("level metadata"))
def multiscales_listed(store: StoreSubject) -> Iterator[Problem]:
    """Check that ``multiscales`` is a list that is not empty and lists the levels; keys of our own are there."""
    blocks = store.attributes.get(MULTISCALES_KEY)
    if not isinstance(blocks, list) or not blocks or not isinstance(blocks[0], dict):
        yield error(ROOT, f"{MULTISCALES_KEY} must be a list of at least one object, found {blocks!r:.80}")
        return
    entries = blocks[0].get("datasets")
    if not isinstance(entries, list) or (not entries and not store.is_parametric):
        yield error(ROOT, f"{MULTISCALES_KEY}[0].datasets must list the levels, found {entries!r:.80}")
        return
    if blocks[0].get("type") != MULTISCALE_TYPE:
        yield note(ROOT, f"{MULTISCALES_KEY}[0].type is not {MULTISCALE_TYPE!r} (another writer)")
    wanted = ("level", "bin_ratio", "bin_shape")
    lacking = sorted({key for entry in entries if isinstance(entry, dict) for key in wanted if key not in entry})
    if lacking:
        yield note(ROOT, f"{MULTISCALES_KEY} entries lack {', '.join(lacking)}; they follow from the transforms")


@DOCUMENT_RULES.rule(
    2,
    COPY_ROOT,
    Fix("the ome block (0.9); names x, y, z where axes are absent"),
    applies=lambda store: bool(store.multiscale),
)
def axes(store: StoreSubject) -> Iterator[Problem]:
    """Check that axes are those of NGFF: one per dimension, with unique names, known types and named units."""
    found = store.multiscale.get("axes")
    if not isinstance(found, list) or not found:
        yield error(ROOT, f"{MULTISCALES_KEY}[0].axes must list one axis per dimension, found {found!r}")
        return
    shape = (store.attributes.get(ROOT_KEY) or {}).get("chunk_shape")
    if isinstance(shape, list) and len(found) != len(shape):
        yield error(ROOT, f"there are {len(found)} axes, but chunk_shape has {len(shape)} numbers")
    names = []
    for number, axis in enumerate(found):
        name = axis.get("name") if isinstance(axis, dict) else None
        if not isinstance(axis, dict) or not isinstance(name, str) or not name:
            yield error(ROOT, f"axis {number} must be an object with a name, found {axis!r}")
            continue
        names.append(name)
        if axis.get("type", "space") not in VALID_AXIS_TYPES:
            yield error(ROOT, f"axis {name!r}: type must be one of {VALID_AXIS_TYPES}, found {axis['type']!r}")
        if axis.get("unit") is not None and not isinstance(axis["unit"], str):
            yield error(ROOT, f"axis {name!r}: unit must be a name, found {axis['unit']!r}")
    if len(set(names)) != len(names):
        yield error(ROOT, f"axis names must differ, found {names}")


@DOCUMENT_RULES.rule(2, COPY_ROOT, Fix("level metadata"), applies=_has_entries)
def multiscales_base(store: StoreSubject) -> Iterator[Problem]:
    """Check that exactly one entry has level 0 and a bin ratio of ones."""
    entries = _entries(store)
    zero = [entry for entry in entries if _number(entry) == 0]
    if len(zero) != 1:
        yield error(ROOT, f"{MULTISCALES_KEY} must have one entry of level 0, found {len(zero)}")
        return
    ratio = _numbers(zero[0].get("bin_ratio")) or _transforms(zero[0])[0]
    if ratio is not None and any(r != 1 for r in ratio):
        yield error(ROOT, f"level 0 must have a bin ratio of ones, found {ratio}")


@DOCUMENT_RULES.rule(2, COPY_ROOT, Fix("the entries themselves"), applies=_has_entries)
def multiscales_ascending(store: StoreSubject) -> Iterator[Problem]:
    """Check that entries stand in ascending order of their levels."""
    numbers = [number for entry in _entries(store) if (number := _number(entry)) is not None]
    if numbers != sorted(numbers):
        yield error(ROOT, f"entries must ascend by level, found {numbers}")


@DOCUMENT_RULES.rule(2, COPY_ROOT, Fix("what most statements of bin ratio and bin shape say"), applies=_has_entries)
def multiscales_transforms(store: StoreSubject) -> Iterator[Problem]:
    """Check that each entry has one scale, the bin ratio, then one translation, half the bin shape, or none: zero."""
    base = _numbers((store.attributes.get(ROOT_KEY) or {}).get("base_bin_shape"))
    base = base or _numbers((store.attributes.get(ROOT_KEY) or {}).get("chunk_shape"))
    for entry in _entries(store):
        where = f"entry {entry.get('path')!r}"
        found = entry.get("coordinateTransformations")
        types = [t.get("type") if isinstance(t, dict) else None for t in found] if isinstance(found, list) else found
        scale, shift = _transforms(entry)
        shift = [] if types == ["scale"] else shift
        if types not in (["scale"], ["scale", "translation"]) or scale is None or shift is None:
            yield error(ROOT, f"{where}: expected one scale, then at most one translation, found {types!r}")
            continue
        ratio = _numbers(entry.get("bin_ratio")) if "bin_ratio" in entry else scale
        if ratio is None or not _close(scale, ratio):
            yield error(ROOT, f"{where}: scale {scale} must equal bin_ratio {entry.get('bin_ratio')}")
            continue
        if not any(shift) and "bin_shape" not in entry:
            continue
        shape = _numbers(entry.get("bin_shape")) if "bin_shape" in entry else [2 * t for t in shift]
        if shape is None or (any(shift) and not _close(shift, [b / 2 for b in shape])):
            yield error(ROOT, f"{where}: translation {shift} must be half of bin_shape {entry.get('bin_shape')}")
        elif base is not None and not _close(shape, [r * b for r, b in zip(ratio, base, strict=False)]):
            yield error(ROOT, f"{where}: bin_shape {shape} must be bin_ratio {ratio} times {base}, that of level 0")


@_OPENING.rule(2, COPY_ROOT, Fix("level metadata, how arrays are stored, defaults by geometry, vertices"))
def root_metadata(store: StoreSubject) -> Iterator[Problem]:
    """Check that the root's metadata can be understood."""
    if store.opened is None:
        yield error(ROOT, store.obstacle)


@STORE_RULES.rule(1, REWRITE)
def levels_present(store: StoreSubject) -> Iterator[Problem]:
    """Check that there is a level 0, and no gap in the levels."""
    numbers = store.reader.level_numbers()
    if not numbers and store.is_parametric:
        return
    if 0 not in numbers:
        yield error("", f"there is no level 0 (full resolution); the store has levels {numbers}")
    missing = sorted(set(range(max(numbers, default=0))) - set(numbers) - {0})
    if missing:
        yield note("", f"levels {missing} are missing between others")


@STORE_RULES.rule(
    2, DROP, Fix("level metadata; a level that is gone can be dropped from the list"), applies=_has_entries
)
def multiscales_paths(store: StoreSubject) -> Iterator[Problem]:
    """Check that every entry's path is the folder of its level, and every level of the store has an entry."""
    present = set(store.reader.level_numbers())
    listed = set()
    for entry in _entries(store):
        number = _number(entry)
        if number is None or str(entry.get("path")) != str(number):
            yield error(ROOT, f"entry {entry.get('path')!r}: level {entry.get('level')!r} does not fit its path")
            continue
        if number in listed and number > 0:
            yield error(ROOT, f"level {number} is listed twice")
        listed.add(number)
        if store.storage.can_list and number not in present:
            yield error(ROOT, f"level {number} is listed, but there is no group {number}")
    for number in sorted(present - listed):
        yield error(str(number), f"the level exists, but {MULTISCALES_KEY} does not list it")


@STORE_RULES.rule(2, HARMLESS)
def capabilities(store: StoreSubject) -> Iterator[Problem]:
    """Check that capabilities are known tokens, and what the store uses is among them."""
    stated = store.root.format_capabilities
    for token in stated:
        if token not in READ_CAPABILITIES:
            yield warning(ROOT, f"format_capabilities: {token!r} is not known ({', '.join(READ_CAPABILITIES)})")
    used = {token for level in store.levels for token in _used(level)}
    for token in sorted(used - set(stated)):
        yield note(ROOT, f"format_capabilities: the store uses {token!r} without saying so")


def _used(level: LevelSubject) -> Iterator[str]:
    block = level.block or {}
    if f"{level.path}/{VERTEX_FRAGMENTS}" in level.documents:
        yield CAP_FRAGMENT_INDEX
    if block.get("shared_fragments"):
        yield CAP_SHARED_FRAGMENTS
    if block.get("preserves_object_ids"):
        yield CAP_PRESERVED_OBJECT_IDS
    if any(parse_delta(name) for name in level.folders.get(f"{level.path}/{LINKS}", [])):
        yield CAP_MULTISCALE_LINKS


@STORE_RULES.rule(3, "write the parametric objects anew")
def parametric_readable(store: StoreSubject) -> Iterator[Problem]:
    """Check that the parametric objects can be decoded."""
    try:
        read_parametric_table(store.storage)
    except DAMAGE as failure:
        yield error(PARAMETRIC, str(failure))


@STORE_RULES.rule(4, COPY_ROOT, Fix("the geometry"))
def conventions(store: StoreSubject) -> Iterator[Problem]:
    """Check that conventions of links and of crossings fit the geometry."""
    root = store.root
    for kind in root.geometry_types:
        allowed = LINKS_OF_GEOMETRY.get(kind, ())
        if root.links_convention is not None and allowed and root.links_convention not in allowed:
            yield error(
                ROOT, f"links_convention {root.links_convention!r} does not fit {kind} ({' or '.join(allowed)})"
            )
    if root.cross_chunk_strategy in REPEATING and not set(root.geometry_types) <= set(PATHS):
        yield error(
            ROOT,
            f"cross_chunk_strategy {root.cross_chunk_strategy!r} is for paths, not {', '.join(root.geometry_types)}",
        )
