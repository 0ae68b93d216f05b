"""The object index made anew from the objects that fragments name, and those from the object index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.constants import LINKS_SEQUENTIAL, OBJECT_INDEX
from zarr_vectors.model.cells import Fragments, Manifests
from zarr_vectors.model.links import LinkTable
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_manifests, read_object_ids
from zarr_vectors.read.store import StoreReader
from zarr_vectors.repairing.context import Context
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.typing import BoolArray, FloatArray, IntArray
from zarr_vectors.validate.blocks import REPEATING
from zarr_vectors.validate.rules.root import PATHS
from zarr_vectors.validate.subjects import DAMAGE


@dataclass(frozen=True, slots=True)
class ObjectEvidence:
    """What a level says of its objects.

    Parameters
    ----------
    level : LevelReader
        The level.
    chunks : (C, S) int64
        Its chunks.
    positions : (N, D) float
        Their vertices.
    row_offsets : (C + 1,) int64
        Where those of each chunk start.
    fragments : Fragments
        Their fragments.
    stated : (F,) int64, optional
        Object id of every fragment, as the fragments name them.
    links : LinkTable, optional
        Links of the level, where they can be read.
    """

    level: LevelReader
    chunks: IntArray
    positions: FloatArray
    row_offsets: IntArray
    fragments: Fragments
    stated: IntArray | None
    links: LinkTable | None

    @property
    def path(self) -> str:
        """Path of the object index."""
        return f"{self.level.metadata.level}/{OBJECT_INDEX}"


def decode_manifests(level: LevelReader) -> Manifests | None:
    """Return the manifests of a level, None where there are none or they cannot be decoded."""
    if level.arrays.object_index is None:
        return None
    try:
        return read_manifests(level, None)
    except DAMAGE:
        return None


def decode_ids(context: Context, store: StoreReader, level: LevelReader, stated: IntArray | None) -> IntArray | None:
    """Return the object ids of a level by manifest row, from other levels or from the fragments where they are lost."""
    index = level.arrays.object_index
    assert index is not None
    try:
        ids = read_object_ids(level)
        if ids is not None and len(np.unique(ids)) == len(ids):
            return ids
    except DAMAGE:
        ids = None
    number, path = level.metadata.level, f"{level.metadata.level}/{OBJECT_INDEX}"
    for other in store.level_numbers():
        found = _ids_of(store, other) if other != number else None
        if found is not None and len(found) == index.count and (stated is None or np.isin(stated, found).all()):
            context.repaired("object-counts", path, f"object ids are those of level {other} again")
            return found
    if stated is not None and len(np.unique(stated)) == index.count and index.sorted:
        context.repaired("object-counts", path, "object ids are those that fragments name again")
        return np.unique(stated)
    return None


def _ids_of(store: StoreReader, number: int) -> IntArray | None:
    try:
        ids = read_object_ids(store.level(number))
    except (*DAMAGE, KeyError):
        return None
    return ids if ids is not None and len(np.unique(ids)) == len(ids) else None


def repair_manifests(context: Context, evidence: ObjectEvidence, ids: IntArray) -> Manifests | None:
    """Return manifests that name every fragment of the level, each for its object; None where that is not known."""
    fragments, level = evidence.fragments, evidence.level
    found = decode_manifests(level)
    if found is not None and len(found.offsets) - 1 != len(ids):
        found = None
    numbers, objects, illegal = _references(evidence, found)
    if found is not None and not len(illegal) and _is_whole(level, fragments, numbers, objects):
        return found
    if evidence.stated is None:
        return _without_illegal(context, evidence, found, illegal)
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids, evidence.stated, sorter=order), max(0, len(ids) - 1))
    owners = order[place] if len(ids) else place
    if not len(ids) or not np.array_equal(ids[owners], evidence.stated):
        said = "neither manifests nor fragments say which fragments are whose"
        context.hopeless("manifest-fragments", evidence.path, said)
        return None
    # Legal references keep their order; of several to one fragment the first stays.
    good = owners[numbers] == objects
    _, first = np.unique(numbers[good], return_index=True)
    kept = np.sort(first)
    numbers, objects = numbers[good][kept], objects[good][kept]
    named = np.zeros(fragments.count, bool)
    named[numbers] = True
    empty_ranges = (fragments.counts == 0) & ~named
    missing = np.flatnonzero(~named & ~empty_ranges)
    made = _ordered(evidence, owners, numbers, objects, missing)
    if made is None:
        context.hopeless("fragments-owned", evidence.path, "the order of fragments along some paths is lost")
        return None
    check = _check(context, level)
    context.repaired(check, evidence.path, f"the manifests of {len(ids)} objects follow from what fragments name again")
    counts = np.bincount(owners[made], minlength=len(ids))
    chunk = fragments.chunk_of[made]
    return Manifests(offsets_of(counts), evidence.chunks[chunk], made - fragments.offsets[chunk])


def _check(context: Context, level: LevelReader) -> str:
    order = (
        "manifest-chunks", "manifest-fragments", "fragments-owned", "fragments-shared", "fragment-owners",
        "cells-readable", "object-index", "nodes-complete", "level-readable",
    )  # fmt: skip
    return next((name for name in order if context.has(name, level=level.metadata.level)), "manifest-fragments")


def _references(evidence: ObjectEvidence, found: Manifests | None) -> tuple[IntArray, IntArray, IntArray]:
    """Return fragment and object of the legal references, and the rows of the others."""
    none = np.zeros(0, np.int64)
    if found is None or found.chunks.shape[1:] != evidence.chunks.shape[1:]:
        return none, none, none
    fragments = evidence.fragments
    chunk = ChunkLookup.of(evidence.chunks).rows(found.chunks)
    limit = np.diff(fragments.offsets)[chunk] if len(evidence.chunks) else none
    legal = (chunk >= 0) & (found.fragments >= 0)
    if len(evidence.chunks):
        legal &= found.fragments < limit
    objects = np.repeat(np.arange(len(found.offsets) - 1), np.diff(found.offsets))
    rows = np.flatnonzero(legal)
    return fragments.offsets[chunk[rows]] + found.fragments[rows], objects[rows], np.flatnonzero(~legal)


def _is_whole(level: LevelReader, fragments: Fragments, numbers: IntArray, objects: IntArray) -> bool:
    """Return whether every fragment that holds something is named, by one object unless fragments are shared."""
    named = np.zeros(fragments.count, bool)
    named[numbers] = True
    if (~named & (fragments.counts > 0)).any():
        return False
    if level.metadata.shared_fragments:
        return True
    pairs = np.unique(np.stack([numbers, objects], axis=1), axis=0)
    return len(np.unique(pairs[:, 0])) == len(pairs)


def _without_illegal(
    context: Context, evidence: ObjectEvidence, found: Manifests | None, illegal: IntArray
) -> Manifests | None:
    """Return the manifests without references to what is not there, where that may be dropped."""
    if found is None:
        said = "the manifests cannot be decoded, and fragments do not name their objects"
        context.hopeless("cells-readable", evidence.path, said)
        return None
    if not len(illegal):
        said = "the manifests do not name every fragment once, and fragments do not name their objects"
        check = "fragments-shared" if context.has("fragments-shared") else "fragments-owned"
        context.hopeless(check, evidence.path, said)
        return found
    if not context.lost(_check(context, evidence.level), evidence.path, f"{len(illegal)} references lead nowhere"):
        return None
    kept = np.ones(len(found.fragments), bool)
    kept[illegal] = False
    return take_references(found, kept)


def take_references(found: Manifests, kept: BoolArray) -> Manifests:
    """Return manifests with some of their references."""
    objects = np.repeat(np.arange(len(found.offsets) - 1), np.diff(found.offsets))[kept]
    counts = np.bincount(objects, minlength=len(found.offsets) - 1)
    return Manifests(offsets_of(counts), found.chunks[kept], found.fragments[kept])


def _ordered(
    evidence: ObjectEvidence, owners: IntArray, numbers: IntArray, objects: IntArray, missing: IntArray
) -> IntArray | None:
    """Return the fragments of all objects, object after object, each in its order."""
    level = evidence.level
    paths = bool(level.root.geometry_types) and set(level.root.geometry_types) <= set(PATHS)
    everything = np.concatenate([numbers, missing])
    if not paths or level.root.links_convention != LINKS_SEQUENTIAL:
        order = np.lexsort([everything, owners[everything]])
        return np.asarray(everything[order])
    broken = np.zeros(int(owners.max(initial=-1)) + 1, bool)
    broken[owners[missing]] = True
    rank = np.zeros(evidence.fragments.count, np.int64)
    rank[numbers] = np.arange(len(numbers))
    if len(missing):
        chained = _ranks(evidence, owners, everything)
        if chained is None or not _has_one_head(chained, owners, everything, broken):
            return None
        redone = broken[owners]
        rank[redone] = chained[redone]
    return np.asarray(everything[np.lexsort([rank[everything], owners[everything]])])


def _ranks(evidence: ObjectEvidence, owners: IntArray, used: IntArray) -> IntArray | None:
    """Return how many fragments of its path come before each: from the links between chunks, or repeated vertices."""
    table, fragments = evidence.links, evidence.fragments
    if evidence.level.root.cross_chunk_strategy in REPEATING:
        return _depths(_before_by_repetition(evidence, owners, used))
    before = np.full(fragments.count, -1, np.int64)
    if table is not None and table.width == 2 and fragments.explicit is None:
        chunk = fragments.chunk_of
        crossing = table.chunks[:, 0] != table.chunks[:, 1]
        here = ChunkLookup.of(evidence.chunks).rows(table.here)
        stride = int(max(fragments.counts.max(initial=0), (fragments.starts + fragments.counts).max(initial=0))) + 1
        firsts = chunk[used] * stride + fragments.starts[used]
        lasts = firsts + fragments.counts[used] - 1
        source = here[table.chunks[crossing, 0]] * stride + table.rows[crossing, 0]
        target = here[table.chunks[crossing, 1]] * stride + table.rows[crossing, 1]
        from_rows, to_rows = _places(lasts, source), _places(firsts, target)
        both = (from_rows >= 0) & (to_rows >= 0)
        before[used[to_rows[both]]] = used[from_rows[both]]
    return _depths(before)


def _places(keys: IntArray, wanted: IntArray) -> IntArray:
    """Return where each wanted number stands among some, -1 where it does not."""
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(keys, kind="stable")
    places = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    return np.where(keys[order[places]] == wanted, order[places], -1)


def _before_by_repetition(evidence: ObjectEvidence, owners: IntArray, used: IntArray) -> IntArray:
    """Return the fragment that ends with the vertex with which another of the same object begins; -1 for none."""
    fragments = evidence.fragments
    before = np.full(fragments.count, -1, np.int64)
    if fragments.explicit is not None:
        return before
    begins = (evidence.row_offsets[:-1][fragments.chunk_of] + fragments.starts)[used]
    ends = begins + fragments.counts[used] - 1
    keys = [np.ascontiguousarray(evidence.positions[rows]).view(np.uint8) for rows in (ends, begins)]
    of = np.ascontiguousarray(owners[used], np.int64).view(np.uint8).reshape(len(used), 8)
    packed = np.concatenate([np.concatenate([of, key.reshape(len(used), -1)], axis=1) for key in keys])
    kinds = np.unique(packed, axis=0, return_inverse=True)[1].reshape(-1)
    found = _places(kinds[: len(used)], kinds[len(used) :])
    joined = np.flatnonzero((found >= 0) & (found != np.arange(len(used))))
    before[used[joined]] = used[found[joined]]
    return before


def _depths(before: IntArray) -> IntArray | None:
    """Return the length of the chain before every node; None where chains are closed."""
    depth = (before >= 0).astype(np.int64)
    jump = before.copy()
    for _ in range(len(before).bit_length() + 1):
        live = jump >= 0
        if not live.any():
            return depth
        depth[live] += depth[jump[live]]
        jump[live] = jump[jump[live]]
    return None


def _has_one_head(rank: IntArray, owners: IntArray, used: IntArray, broken: BoolArray) -> bool:
    heads = np.bincount(owners[used][rank[used] == 0], minlength=len(broken))
    return bool((heads[broken] == 1).all())


def owner_ids(evidence: ObjectEvidence, manifests: Manifests, ids: IntArray) -> IntArray | None:
    """Return the object id of every fragment as the manifests say; None where some fragment has none or several."""
    numbers, objects, illegal = _references(evidence, manifests)
    pairs = np.unique(np.stack([numbers, objects], axis=1), axis=0)
    if len(illegal) or len(np.unique(pairs[:, 0])) != len(pairs):
        return None
    owners = np.full(evidence.fragments.count, -1, np.int64)
    owners[numbers] = objects
    if (owners < 0).any():
        stated = evidence.stated
        if stated is None:
            return None
        return np.where(owners < 0, stated, ids[owners])
    return np.asarray(ids[owners])
