"""Merging metadata documents that two branches changed, where their changes do not exclude each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zarr_vectors.storage.documents import document_bytes, parse_document

_SETS = frozenset({"nonempty_chunks", "nodes", "arrays_present", "format_capabilities", "geometry_types"})
"""Lists that say what there is, in no meaningful order."""

_COUNTS = frozenset({"vertex_count", "num_links", "num_physical_records", "num_objects", "num_present", "num_groups"})
"""Totals, to which both sides may have added; sides that added as much did not add the same."""

_BOUNDS = frozenset({"bounds"})
"""Pairs of corners, which both sides may have moved apart."""

_FOR_ALL = frozenset({"fragments_tile", "object_ids_sorted", "preserves_object_ids"})
"""What is true of all that is there, so of what both sides have together only if it is of either."""

_FOR_ANY = frozenset({"shared_fragments"})
"""What is true as soon as it is of something that is there."""

_ABSENT: Any = object()


class _ConflictError(Exception):
    """Both sides changed the same entry to something else."""


def merge_documents(address: str, before: bytes | None, ours: bytes, theirs: bytes) -> bytes | None:
    """Merge a document that two sides changed, entry by entry.

    Parameters
    ----------
    address : str
        Where it is.
    before : bytes or None
        What both started from; None where both made the document.
    ours, theirs : bytes
        What either made of it.

    Returns
    -------
    bytes or None
        The document with both changes; None where both changed an entry differently. Lists of what there is are
        united, totals added up, and bounds cover those of both sides.
    """
    start, one, two = ({} if blob is None else parse_document(blob, address) for blob in (before, ours, theirs))
    try:
        return document_bytes(_entries(start, one, two, made=before is None))
    except _ConflictError:
        return None


def _entries(before: Any, ours: Mapping[str, Any], theirs: Mapping[str, Any], *, made: bool) -> dict[str, Any]:
    start = before if isinstance(before, Mapping) else {}
    entries = {
        name: _merged(name, start.get(name, _ABSENT), ours.get(name, _ABSENT), theirs.get(name, _ABSENT), made)
        for name in dict.fromkeys([*ours, *theirs])
    }
    return {name: value for name, value in entries.items() if value is not _ABSENT}


def _merged(name: str, before: Any, ours: Any, theirs: Any, made: bool) -> Any:
    if name in _COUNTS and isinstance(ours, int) and isinstance(theirs, int):
        if not isinstance(before, int) and not made:
            raise _ConflictError(name)  # either total counts what was there before
        return ours + theirs - (before if isinstance(before, int) else 0)
    if name in _FOR_ALL:
        return theirs if ours is True else ours
    if name in _FOR_ANY:
        return theirs if ours is not True else ours
    if before == theirs:
        return ours
    if before == ours:
        return theirs
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return _entries(before, ours, theirs, made=made)
    if ours == theirs:
        return ours
    if ours is _ABSENT or theirs is _ABSENT:
        raise _ConflictError(name)
    if name in _SETS and (made or before is not _ABSENT):
        return _united([] if before is _ABSENT else before, ours, theirs)
    if name in _BOUNDS and before is not _ABSENT:
        return _spanned(before, ours, theirs)
    raise _ConflictError(name)


def _united(before: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any]:
    """Give what either side has, without what either side removed, in our order."""
    removed = [one for one in before if one not in ours or one not in theirs]
    kept = [one for one in [*ours, *(one for one in theirs if one not in ours)] if one not in removed]
    for order in (_numbers, str):
        if ours == sorted(ours, key=order):
            return sorted(kept, key=order)
    return kept


def _numbers(key: Any) -> tuple[Any, ...]:
    parts = str(key).split(".")
    return (0, *map(int, parts)) if all(part.lstrip("-").isdecimal() for part in parts) else (1, str(key))


def _spanned(before: Any, ours: Any, theirs: Any) -> Any:
    """Give bounds that cover both sides', which both must have grown."""
    low = [min(a, b) for a, b in zip(ours[0], theirs[0], strict=True)]
    high = [max(a, b) for a, b in zip(ours[1], theirs[1], strict=True)]
    shrunk = any(a > b for side in (ours, theirs) for a, b in zip(side[0], before[0], strict=True))
    shrunk |= any(a < b for side in (ours, theirs) for a, b in zip(side[1], before[1], strict=True))
    if shrunk:
        raise _ConflictError("bounds")
    return [low, high]
