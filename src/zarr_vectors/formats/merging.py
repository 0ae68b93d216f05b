"""Merging metadata documents that two branches changed, where their changes do not exclude each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zarr_vectors.storage.documents import document_bytes, parse_document

_SETS = frozenset({"nonempty_chunks", "nodes", "arrays_present", "format_capabilities", "geometry_types"})
"""Lists that say what there is, in no meaningful order."""

_COUNTS = frozenset({"vertex_count"})
"""Totals, to which both sides may have added; sides that added as much did not add the same."""

_BOUNDS = frozenset({"bounds"})
"""Pairs of corners, which both sides may have moved apart."""

_ABSENT: Any = object()


class _ConflictError(Exception):
    """Both sides changed the same entry to something else."""


def merge_documents(address: str, before: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Merge a document that two sides changed, entry by entry.

    Parameters
    ----------
    address : str
        Where it is.
    before, ours, theirs : bytes
        What both started from, and what either made of it.

    Returns
    -------
    bytes or None
        The document with both changes; None where both changed an entry differently. Lists of what there is are
        united, counts of vertices added up, and bounds cover those of both sides.
    """
    documents = (parse_document(blob, address) for blob in (before, ours, theirs))
    try:
        return document_bytes(_merged("", *documents))
    except _ConflictError:
        return None


def _merged(name: str, before: Any, ours: Any, theirs: Any) -> Any:
    if name in _COUNTS and _ABSENT not in (before, ours, theirs):
        return ours + theirs - before
    if before == theirs:
        return ours
    if before == ours:
        return theirs
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        start = before if isinstance(before, Mapping) else {}
        names = dict.fromkeys([*ours, *theirs])
        entries = {
            one: _merged(one, start.get(one, _ABSENT), ours.get(one, _ABSENT), theirs.get(one, _ABSENT))
            for one in names
        }
        return {one: value for one, value in entries.items() if value is not _ABSENT}
    if ours == theirs:
        return ours
    if before is _ABSENT or ours is _ABSENT or theirs is _ABSENT:
        raise _ConflictError(name)
    if name in _SETS:
        return _united(before, ours, theirs)
    if name in _BOUNDS:
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
