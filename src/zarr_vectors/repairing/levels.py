"""What the root and the levels say of each other: bins, chunks, sparsity; every number is stated several times."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from zarr_vectors.exceptions import MetadataError
from zarr_vectors.formats.documents import (
    LEVEL_KEY,
    MULTISCALE_TYPE,
    MULTISCALES_KEY,
    ROOT_KEY,
    group_document,
    parse_level,
)
from zarr_vectors.repairing.context import Context
from zarr_vectors.repairing.root import ROOT, as_numbers, level_block_of, level_numbers
from zarr_vectors.storage.port import list_folder
from zarr_vectors.typing import Document

_TOLERANCE = 1e-9
Shape = tuple[float, ...]


def repair_levels(context: Context, root: Document) -> None:
    """Make the root's list of levels and the levels' own metadata agree.

    Parameters
    ----------
    context : Context
        The pass.
    root : dict
        The root document, whose own block is right.
    """
    attributes = root["attributes"]
    block = attributes[ROOT_KEY]
    chunk = as_numbers(block["chunk_shape"])
    assert chunk is not None
    base = as_numbers(block.get("base_bin_shape"), len(chunk)) or chunk
    present = level_numbers(context.draft)
    for number in present:
        _repair_block(context, number)
    stated = _stated(attributes)
    ours = _multiscale(attributes).get("type") == MULTISCALE_TYPE
    entries = {}
    for number in _kept_levels(context, stated, present):
        own = level_block_of(context.draft, number)
        entry = dict(stated.get(number) or {})
        ratio, sparsity = _agreed(number, entry, own, base)
        scale = _chunk_scale(entry, own, chunk)
        entries[number] = _completed(entry, number, ratio, base, sparsity, scale, full=ours or not entry)
        if number in present:
            _repair_shapes(context, number, own, ratio, base, chunk, scale)
    _put_entries(context, root, entries)


def _kept_levels(context: Context, stated: dict[int, Document], present: list[int]) -> list[int]:
    """Return the levels to be listed: those that are there, and those that are gone unless they may be dropped."""
    gone = []
    for number in sorted(set(stated) - set(present)):
        if number == 0:
            context.hopeless("levels-present", "0", "full resolution is gone")
            gone.append(number)
        elif not context.lost("multiscales-paths", str(number), f"level {number} is listed, but it is gone"):
            gone.append(number)
    return sorted({*present, *gone})


def _multiscale(attributes: Document) -> Document:
    blocks = attributes.get(MULTISCALES_KEY)
    first = blocks[0] if isinstance(blocks, list) and blocks else None
    return first if isinstance(first, dict) else {}


def _stated(attributes: Document) -> dict[int, Document]:
    """Return the root's entries by level; of several for one level the first."""
    found: dict[int, Document] = {}
    entries = _multiscale(attributes).get("datasets")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            continue
        for named in (entry.get("path"), entry.get("level")):
            text = str(named)
            if text.isdecimal() and text.isascii() and not isinstance(named, bool):
                found.setdefault(int(text), entry)
                break
    return found


def _transform(entry: Document, kind: str) -> Any:
    found = entry.get("coordinateTransformations")
    transforms = [t for t in found if isinstance(t, dict)] if isinstance(found, list) else []
    return next((t.get(kind) for t in transforms if t.get("type") == kind), None)


def _agreed(number: int, entry: Document, own: Document, base: Shape) -> tuple[Shape, float]:
    """Return the bin ratio that most statements make, and the sparsity that the root states, else the level."""
    stated = [entry.get("object_sparsity"), own.get("object_sparsity")]
    sparsity = next((float(v) for v in stated if v is not None and _is_fraction(v)), 1.0)
    ndim = len(base)
    if number == 0:
        return (1.0,) * ndim, sparsity
    shift = as_numbers(_transform(entry, "translation"), ndim)
    ratios = [own.get("bin_ratio"), _transform(entry, "scale"), entry.get("bin_ratio")]
    shapes = [own.get("bin_shape"), entry.get("bin_shape"), [2 * t for t in shift] if shift and any(shift) else None]
    said = [found for ratio in ratios if (found := as_numbers(ratio, ndim)) is not None]
    for shape in shapes:
        found = as_numbers(shape, ndim)
        if found is not None:
            said.append(tuple(s / b for s, b in zip(found, base, strict=True)))
    return _most_common(said, ndim), sparsity


def _most_common(said: Iterable[Shape], ndim: int) -> Shape:
    exact: dict[Shape, Shape] = {}
    votes: Counter[Shape] = Counter()
    for ratio in said:
        key = tuple(float(f"{r:.9g}") for r in ratio)
        exact.setdefault(key, ratio)
        votes[key] += 1
    return exact[votes.most_common(1)[0][0]] if votes else (1.0,) * ndim


def _is_fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1


def _chunk_scale(entry: Document, own: Document, chunk: Shape) -> tuple[int, ...] | None:
    """Return the level's chunk shape over the root's: as the root states it, else as the level's own shape says."""
    scale = as_numbers(entry.get("chunk_scale"), len(chunk))
    if scale is not None and all(s.is_integer() for s in scale):
        return tuple(int(s) for s in scale)
    shape = as_numbers(own.get("chunk_shape"), len(chunk))
    if shape is None:
        return None
    multiples = [s / c for s, c in zip(shape, chunk, strict=True)]
    if any(abs(m - round(m)) > 1e-6 * m or m < 1 - 1e-6 for m in multiples):
        return None
    return tuple(round(m) for m in multiples)


def _completed(
    entry: Document, number: int, ratio: Shape, base: Shape, sparsity: float, scale: Any, *, full: bool
) -> Document:
    """Return an entry whose statements agree; keys that only this package writes are added where it wrote the list."""
    shape = [r * b for r, b in zip(ratio, base, strict=True)]
    made: Document = {"path": str(number)}
    ours: Document = {"level": number, "bin_ratio": [_whole(r) for r in ratio], "bin_shape": shape}
    ours["object_sparsity"] = sparsity
    if scale is not None and any(s != 1 for s in scale):
        ours["chunk_scale"] = list(scale)
    made |= {key: value for key, value in ours.items() if full or key in entry}
    made["coordinateTransformations"] = [
        {"type": "scale", "scale": list(ratio)},
        {"type": "translation", "translation": [s / 2 for s in shape]},
    ]
    return _unless_close(entry, made)


def _unless_close(entry: Document, made: Document) -> Document:
    """Keep what an entry says where it says the same, so that rounding alone changes nothing."""
    merged = {**entry, **made}
    for key in ("bin_ratio", "bin_shape"):
        before = as_numbers(entry.get(key))
        if before is not None and key in made and _close(before, made[key]):
            merged[key] = entry[key]
    scale, shift = as_numbers(_transform(entry, "scale")), as_numbers(_transform(entry, "translation"))
    found = entry.get("coordinateTransformations")
    types = [t.get("type") for t in found if isinstance(t, dict)] if isinstance(found, list) else []
    new = made["coordinateTransformations"]
    whole = types == ["scale", "translation"] and scale is not None and shift is not None
    unshifted = types == ["scale"] or (whole and not any(shift or ()))
    if unshifted and _close(scale or (), new[0]["scale"]):
        merged["coordinateTransformations"] = found  # which means a translation of zero
    elif whole and _close(scale or (), new[0]["scale"]) and _close(shift or (), new[1]["translation"]):
        merged["coordinateTransformations"] = found
    return merged


def _close(found: Iterable[float], expected: Iterable[float]) -> bool:
    one, other = list(found), list(expected)
    return len(one) == len(other) and bool(np.allclose(one, other, rtol=_TOLERANCE, atol=0))


def _whole(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _put_entries(context: Context, root: Document, entries: dict[int, Document]) -> None:
    attributes = root["attributes"]
    multiscale = _multiscale(attributes)
    made = [entries[number] for number in sorted(entries)]
    if not multiscale or json.dumps(multiscale.get("datasets")) == json.dumps(made):
        return
    multiscale["datasets"] = made
    ome = attributes.get("ome")
    if isinstance(ome, dict) and isinstance(ome.get("nodes"), list):
        ome["nodes"] = [{"type": "zv:level", "name": str(number)} for number in sorted(entries)]
    context.draft.put_document("", root)
    rules = (
        "multiscales-listed", "multiscales-base", "multiscales-ascending", "multiscales-transforms",
        "multiscales-paths", "level-shapes", "root-metadata",
    )  # fmt: skip
    check = next((name for name in rules if context.has(name)), "multiscales-transforms")
    context.repaired(check, ROOT, f"the list of levels {sorted(entries)} says again what the levels say")


def _repair_block(context: Context, number: int) -> None:
    """Give a level a group document and a block of legal values; what is lost is derived or takes its default."""
    draft, path = context.draft, str(number)
    document = draft.document(path)
    attributes = document.get("attributes") if document is not None else None
    found = attributes.get(LEVEL_KEY) if isinstance(attributes, dict) else None
    block = dict(found) if isinstance(found, dict) else {}
    lost = sorted(_illegal_keys(block, number))
    for key in lost:
        del block[key]
    block["level"] = number
    _repair_parent(context, number, block)
    whole = document is not None and document.get("node_type") == "group" and document.get("zarr_format") == 3
    if whole and isinstance(found, dict) and block == found:
        return
    if not isinstance(found, dict):
        block |= _derived(context, number)
    kept = attributes if isinstance(attributes, dict) else {}
    draft.put_document(path, group_document({**kept, LEVEL_KEY: block}))
    check = next((n for n in ("level-group", "parent-level") if context.has(n, level=number)), "level-metadata")
    said = f"the values of {', '.join(lost)} are derived again" if lost else "its metadata is there again"
    if not isinstance(found, dict) and number:
        said += "; how its attributes were aggregated is lost"
    context.repaired(check, path, said)


def _illegal_keys(block: Document, number: int) -> set[str]:
    """Return the keys of a level's block whose values cannot be read."""
    bad = set()
    for key, value in block.items():
        try:
            parse_level({LEVEL_KEY: {key: value}}, number, "")
        except MetadataError:
            bad.add(key)
    if block.get("level", number) != number:
        bad.add("level")
    return bad


def _repair_parent(context: Context, number: int, block: Document) -> None:
    stated = block.get("parent_level")
    finer = [n for n in level_numbers(context.draft) if n < number]
    if number == 0 or not finer or stated in finer or (stated is None and number - 1 in finer):
        return
    block["parent_level"] = max(finer)


def _derived(context: Context, number: int) -> Document:
    """Return what can be said of a level whose metadata is lost: fragments are looked at later."""
    if number == 0:
        return {"coarsening_method": "none"}
    finer = [n for n in level_numbers(context.draft) if n < number]
    made: Document = {"coarsening_method": "per_object"}
    if finer:
        made["parent_level"] = max(finer)
    if "object_index" in list_folder(context.draft, str(number)).folders:
        made["preserves_object_ids"] = True
    return made


def _repair_shapes(
    context: Context, number: int, own: Document, ratio: Shape, base: Shape, chunk: Shape, scale: Any
) -> None:
    """Make a level's own statements of bins and chunks those that were agreed upon."""
    made = dict(own)
    shape = [r * b for r, b in zip(ratio, base, strict=True)]
    for key, value in (("bin_ratio", [_whole(r) for r in ratio]), ("bin_shape", shape)):
        found = as_numbers(own.get(key), len(base))
        wrong = key in own and (found is None or not _close(found, value))
        if wrong or (key not in own and number and not own.get("bin_shape") and not own.get("bin_ratio")):
            made[key] = value
    stated = as_numbers(own.get("chunk_shape"), len(chunk))
    if scale is not None and any(s != 1 for s in scale):
        expected = [s * c for s, c in zip(scale, chunk, strict=True)]
        if stated is None or not _close(stated, expected):
            made["chunk_shape"] = expected
    elif stated is not None and scale is None:
        del made["chunk_shape"]
    if made == own:
        return
    document = context.draft.document(str(number))
    assert document is not None
    document["attributes"][LEVEL_KEY] = made
    context.draft.put_document(str(number), document)
    rules = ("level-shapes", "bins-nest", "chunk-multiples", "level-readable")
    check = next((name for name in rules if context.has(name, level=number)), "level-shapes")
    changed = [key for key in ("bin_ratio", "bin_shape", "chunk_shape") if made.get(key) != own.get(key)]
    context.repaired(check, str(number), f"{', '.join(changed)} agree with the root again")
