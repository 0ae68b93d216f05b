"""Reading levels that are complete only together with coarser ones: the union of what each of them stores."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

import numpy as np

from zarr_vectors.exceptions import ArgumentError, MetadataError, UnknownNameError
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import as_object_ids, objects_of_groups
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.read.query import parse_chunks
from zarr_vectors.typing import AnyArray, IntArray

Reader = TypeVar("Reader", bound=Callable[..., Any])

_STORED = ("restore_order", "return_stored_rows")
"""Arguments that ask for something of one level's own rows."""

_LINKS = ("edges", "faces")
_PER_LINK = ("edge_attributes", "face_attributes")


def completed(function: Reader) -> Reader:
    """Let a reader of one level return the union of the levels that complete it.

    Rows are concatenated, the finest level first, links follow their rows; of the vertex attributes those that every
    level with vertices has (Zarr Vectors specification, additive refinement).
    """
    signature = inspect.signature(function)
    names = frozenset(signature.parameters)

    @functools.wraps(function)
    def read(*args: Any, **kwargs: Any) -> Any:
        given = dict(signature.bind(*args, **kwargs).arguments)
        if given.get("own_level_only"):
            return function(*args, **kwargs)
        store = open_reader(given.pop("path"), given.pop("backend", None), **given.pop("backend_kwargs", {}))
        chain = store.chain(given.get("level", 0))
        if len(chain) == 1:
            return function(store, **given)
        asked = [name for name in _STORED if given.get(name)]
        if asked:
            raise ArgumentError(
                f"{asked[0]}: {chain[0].name} is additive, and its rows are those of several levels; read each of them "
                "with own_level_only=True"
            )
        always = {"own_level_only": True} | ({"return_object_ids": True} if "return_object_ids" in names else {})
        parts = [function(store, **{**a, **always, "level": n.metadata.level}) for n, a in _by_level(chain, given)]
        joined = _joined(parts)
        if "include_object_attributes" in names:
            joined = _objects_once(joined, given.get("object_ids"))
        hidden = {} if given.get("return_object_ids", True) else {"object_ids": None}
        return replace(joined, level=chain[0].metadata.level, **hidden)

    return cast("Reader", read)


def _by_level(chain: Sequence[LevelReader], given: Mapping[str, Any]) -> list[tuple[LevelReader, dict[str, Any]]]:
    """Return what to ask of each level: of the objects those that it knows, of chunks those that overlap."""
    asked = dict(given)
    groups = asked.pop("group_ids", None)
    wanted = None if asked.get("object_ids") is None else as_object_ids(asked["object_ids"])
    if groups is not None:
        members = _members(chain, groups)
        wanted = members if wanted is None else wanted[np.isin(wanted, members)]
    chunks = parse_chunks(asked.get("chunks"), chain[0].chunks.shape[1])
    known = [ordered_object_ids(level) for level in chain]
    if wanted is not None and asked.get("object_ids") is not None:
        everywhere = np.concatenate([ids for ids in known if ids is not None] or [np.zeros(0, np.int64)])
        missing = wanted[~np.isin(wanted, everywhere)]
        if len(missing):
            raise UnknownNameError(
                f"object_ids: {chain[0].name} and those that complete it have no object {missing[0]}"
            )
    plans = []
    for level, ids in zip(chain, known, strict=True):
        arguments = dict(asked)
        if wanted is not None and ids is not None:
            arguments["object_ids"] = wanted[np.isin(wanted, ids)]
        if chunks is not None:
            arguments["chunks"] = _overlapping(chunks, chain[0], level)
        if len(level.chunks) and (wanted is None or ids is not None):
            plans.append((level, arguments))
    return plans or [(chain[0], dict(given))]


def _members(chain: Sequence[LevelReader], groups: Any) -> IntArray:
    """Return the objects of groups of the levels that have them."""
    found, failure = [], None
    for level in chain:
        try:
            found.append(objects_of_groups(level, groups))
        except UnknownNameError as error:
            failure = failure or error
    if not found and failure is not None:
        raise failure
    return np.unique(np.concatenate(found))


def _overlapping(chunks: IntArray, finest: LevelReader, level: LevelReader) -> IntArray:
    """Return the chunks of a coarser level that overlap some of the finest one."""
    if level is finest or len(chunks) == 0:
        return chunks
    if finest.leads or level.leads:
        raise ArgumentError(
            f"chunks: those of {finest.name} and of the levels that complete it go by an attribute; read each of them "
            "with own_level_only=True"
        )
    ratio = np.array(finest.grid.chunk_shape) / np.array(level.grid.chunk_shape)
    low, high = np.floor(chunks * ratio + 1e-9), np.ceil((chunks + 1) * ratio - 1e-9)
    met = [level.chunks[((level.chunks >= a) & (level.chunks < b)).all(axis=1)] for a, b in zip(low, high, strict=True)]
    return np.unique(np.concatenate(met), axis=0)


def _joined(full: Sequence[Any]) -> Any:
    """Return one result that holds the rows of several, the finest level's first."""
    first = full[0]
    if len(full) == 1:
        return first
    names = {field.name for field in fields(first)}
    vertices = "vertices" if "vertices" in names else "endpoints" if "endpoints" in names else "positions"
    offsets = np.cumsum([0, *(len(getattr(part, vertices)) for part in full)])
    changed: dict[str, Any] = {vertices: np.concatenate([getattr(part, vertices) for part in full])}
    for name in names & {"attributes", "object_attributes", "line_attributes", *_PER_LINK}:
        parts = [part for part in full if name not in _PER_LINK or len(getattr(part, _links_of(names)))] or full[:1]
        changed[name] = _joined_columns(name, [getattr(part, name) for part in parts])
    for name in names & set(_LINKS):
        changed[name] = np.concatenate([getattr(p, name) + o for p, o in zip(full, offsets[:-1].tolist(), strict=True)])
    for name in names & {"object_ids", "inside"}:
        changed[name] = _joined_ids(name, full, vertices)
    if "offsets" in names:
        starts = [part.offsets[:-1] + o for part, o in zip(full, offsets[:-1].tolist(), strict=True)]
        changed["offsets"] = np.concatenate([*starts, offsets[-1:]])
    for name in names & {"channel_names", "categories"}:
        changed[name] = {key: value for part in reversed(full) for key, value in getattr(part, name).items()}
        changed[name] = {key: value for key, value in changed[name].items() if key in _described(changed)}
    return replace(first, **changed)


def _objects_once(joined: Any, wanted: Any) -> Any:
    """Return whole objects without the empty places that levels keep for those of others, in the order asked for."""
    ids = joined.object_ids
    counts = np.diff(joined.offsets) if hasattr(joined, "offsets") else np.full(len(ids), 2)
    empty = np.flatnonzero(counts == 0)
    _, first = np.unique(ids[empty], return_index=True)
    single = empty[first]
    kept = np.concatenate([np.flatnonzero(counts > 0), single[~np.isin(ids[single], ids[counts > 0])]])
    order = np.sort(kept)
    if wanted is not None:
        asked = as_object_ids(wanted)
        by_id = np.argsort(asked, kind="stable")
        order = order[np.argsort(by_id[np.searchsorted(asked, ids[order], sorter=by_id)], kind="stable")]
    if np.array_equal(order, np.arange(len(ids))):
        return joined
    changed: dict[str, Any] = {"object_ids": ids[order]}
    for name in ("object_attributes", "line_attributes"):
        if any(field.name == name for field in fields(joined)):
            changed[name] = {key: values[order] for key, values in getattr(joined, name).items()}
    if not hasattr(joined, "offsets"):
        rows, changed["endpoints"] = order, joined.endpoints[order]
    else:
        rows = expand_ranges(joined.offsets[:-1][order], counts[order])
        changed |= {"positions": joined.positions[rows], "offsets": offsets_of(counts[order])}
    changed["attributes"] = {key: values[rows] for key, values in joined.attributes.items()}
    return replace(joined, **changed)


def _links_of(names: set[str]) -> str:
    return next(name for name in _LINKS if name in names)


def _described(changed: Mapping[str, Any]) -> set[str]:
    return {key for value in changed.values() if isinstance(value, dict) for key in value}


def _joined_columns(what: str, parts: Sequence[Mapping[str, AnyArray]]) -> dict[str, AnyArray]:
    """Return the attributes that all parts have.

    Raises
    ------
    MetadataError
        When one is of different types, so that joining would change values.
    """
    common = [name for name in parts[0] if all(name in part for part in parts)]
    for name in common:
        kinds = {part[name].dtype if part[name].dtype.kind not in "US" else part[name].dtype.kind for part in parts}
        if len(kinds) > 1 or len({part[name].shape[1:] for part in parts}) > 1:
            raise MetadataError(
                f"{what}: {name!r} is {' and '.join(sorted(map(str, kinds)))} on levels that complete each other; read "
                "each of them with own_level_only=True"
            )
    return {name: _concatenated([part[name] for part in parts]) for name in common}


def _concatenated(values: list[AnyArray]) -> AnyArray:
    if not any(isinstance(value, np.ma.MaskedArray) for value in values):
        return np.concatenate(values)
    joined: AnyArray = np.ma.concatenate(values)  # type: ignore[no-untyped-call]
    return joined


def _joined_ids(name: str, parts: Sequence[Any], vertices: str) -> AnyArray | None:
    """Return a column of ids, -1 for rows of parts without; None where no part has them."""
    values = [getattr(part, name) for part in parts]
    if all(value is None for value in values):
        return None
    none = [np.full(len(getattr(part, vertices)), -1, np.int64) for part in parts]
    return np.concatenate([absent if value is None else value for value, absent in zip(values, none, strict=True)])
