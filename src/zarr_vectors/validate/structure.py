"""Level 1: the root, the levels and their nodes are there, are JSON, and are of the right type."""

from __future__ import annotations

from collections.abc import Iterator

from zarr_vectors.constants import (
    CAP_FRAGMENT_INDEX,
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    GROUPS,
    LINK_FRAGMENTS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.formats.documents import ROOT_KEY
from zarr_vectors.validate.rules import Problem, error, note, warning
from zarr_vectors.validate.subjects import LevelSubject, StoreSubject

FAMILIES = (VERTEX_ATTRIBUTES, FRAGMENT_ATTRIBUTES, OBJECT_ATTRIBUTES, GROUP_ATTRIBUTES)
"""Folders whose children are attribute arrays."""

_NAMED = (VERTICES, VERTEX_FRAGMENTS, LINK_FRAGMENTS, GROUPS)


def root_group(store: StoreSubject) -> Iterator[Problem]:
    """Check that root ``zarr.json`` is that of a Zarr v3 group with a block of this format."""
    if isinstance(store.document, str):
        yield error("zarr.json", store.document)
        return
    if store.document.get("zarr_format") != 3 or store.document.get("node_type") != "group":
        yield error(
            "zarr.json",
            f"expected a Zarr v3 group, found zarr_format {store.document.get('zarr_format')!r} and node_type "
            f"{store.document.get('node_type')!r}",
        )
    elif not isinstance(store.attributes.get(ROOT_KEY), dict):
        yield error("zarr.json", f"the attributes have no {ROOT_KEY!r} block, so this is no Zarr Vectors store")


def levels_present(store: StoreSubject) -> Iterator[Problem]:
    """Check that there is a level 0, and no gap in the levels."""
    assert store.reader is not None
    numbers = store.reader.level_numbers()
    if not numbers and store.is_parametric:
        return
    if 0 not in numbers:
        yield error("", f"there is no level 0 (full resolution); the store has levels {numbers}")
    missing = sorted(set(range(max(numbers, default=0))) - set(numbers) - {0})
    if missing:
        yield note("", f"levels {missing} are missing between others")


def level_group(level: LevelSubject) -> Iterator[Problem]:
    """Check that every level is a Zarr v3 group."""
    document = level.documents.get(level.path)
    if document is None:
        yield error(level.path, "the level's folder has no zarr.json")
    elif isinstance(document, str):
        yield error(f"{level.path}/zarr.json", document)
    elif document.get("node_type") != "group":
        yield error(level.path, f"a level must be a group, found node_type {document.get('node_type')!r}")


def documents_readable(level: LevelSubject) -> Iterator[Problem]:
    """Check that every ``zarr.json`` below a level is a JSON object that says its node type."""
    for path, document in level.documents.items():
        if path == level.path:
            continue
        if isinstance(document, str):
            yield error(f"{path}/zarr.json", document)
        elif document.get("node_type") not in ("group", "array"):
            found = document.get("node_type")
            yield error(f"{path}/zarr.json", f"node_type must be 'group' or 'array', found {found!r}")


def arrays_present(level: LevelSubject) -> Iterator[Problem]:
    """Check that vertices and their fragments are there."""
    if f"{level.path}/{VERTICES}" not in level.documents:
        yield error(f"{level.path}/{VERTICES}", "the level has no vertices array")
    fragments = f"{level.path}/{VERTEX_FRAGMENTS}"
    if fragments not in level.documents:
        message = "the level has no fragment index, so nothing says which vertices belong together"
        stated = CAP_FRAGMENT_INDEX in level.store.root.format_capabilities
        yield error(fragments, message) if stated else warning(fragments, message)


def nodes_complete(level: LevelSubject) -> Iterator[Problem]:
    """Check that every array folder has its ``zarr.json``, and every node that the level lists exists."""
    expected = {
        f"{level.path}/{family}/{name}"
        for family in FAMILIES
        for name in level.folders.get(f"{level.path}/{family}", [])
    }
    present = level.folders.get(level.path, [])
    expected |= {f"{level.path}/{name}" for name in (OBJECT_INDEX, GROUPS) if name in present}
    listed = (level.block or {}).get("nodes")
    for name in listed if isinstance(listed, list) else []:
        expected.add(f"{level.path}/{name}")
    required = {f"{level.path}/{VERTICES}", f"{level.path}/{VERTEX_FRAGMENTS}"}
    for path in sorted(expected - set(level.documents) - required):
        yield error(path, "its zarr.json is missing, so that the array cannot be read")


def node_types(level: LevelSubject) -> Iterator[Problem]:
    """Check that arrays are arrays and groups are groups, as the revision of the store has them."""
    revision = level.store.revision
    cells = "group" if revision.keyed_by_chunk else "array"
    for path, document in sorted(level.documents.items()):
        if not isinstance(document, dict) or path == level.path:
            continue
        expected = _expected_type(path[len(level.path) + 1 :].split("/"), cells)
        found = document.get("node_type")
        if expected is not None and found in ("group", "array") and found != expected:
            yield error(path, f"must be a Zarr {expected} in revision {revision.name}, found node_type {found!r}")


def _expected_type(parts: list[str], cells: str) -> str | None:
    if len(parts) == 1:
        if parts[0] in _NAMED:
            return cells
        return "group" if parts[0] in (*FAMILIES, OBJECT_INDEX) else None
    if parts[0] == OBJECT_INDEX and len(parts) == 2:
        return "array" if parts[1] in ("manifests", "object_ids", "data", "offsets") else None
    return cells if parts[0] in FAMILIES and len(parts) == 2 else None
