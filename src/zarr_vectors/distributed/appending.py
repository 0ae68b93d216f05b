"""Adding points and paths to some partitions of a store while others add to others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import LINKS_SEQUENTIAL, SHELL_KEY
from zarr_vectors.distributed.crossings import put_crossings
from zarr_vectors.distributed.partitions import Partition, Partitions, partitions_of
from zarr_vectors.edit.appending import AppendSummary, LocalAddition, add_locally, put_added
from zarr_vectors.edit.change import Change
from zarr_vectors.edit.chunks import list_cells, put_cells
from zarr_vectors.edit.elements import in_object_order, is_ordered
from zarr_vectors.edit.joining import new_ids, require_new, settle_positions, vertex_columns
from zarr_vectors.edit.staging import SparingTransaction
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, StoreError, UnsupportedFeatureError
from zarr_vectors.formats.joining import stored_form
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Elements, Objects
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_object_ids
from zarr_vectors.read.opening import open_storage
from zarr_vectors.storage.lock import Lock, lock
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.replace import put_back
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.storage.turns import turn
from zarr_vectors.storage.versioned import versions_of
from zarr_vectors.typing import FloatArray, IntArray
from zarr_vectors.write.bounds import outside_rows
from zarr_vectors.write.changing import require_changeable
from zarr_vectors.write.tables import Attributes

WAIT = 60.0
"""Seconds for which writers of other partitions are waited for by default."""


def append_partition(
    path: Any,
    partition: Partition | str | list[Partition | str] | list[Partition] | list[str],
    positions: npt.ArrayLike,
    *,
    object_ids: npt.ArrayLike | None = None,
    attributes: Attributes = None,
    object_attributes: Attributes = None,
    dtype: npt.DTypeLike | None = None,
    wait: float = WAIT,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> AppendSummary:
    """Add points or paths to one partition of a store, or to some, while others add to others.

    The partition is held from beginning to end, but not the store: chunks are read, joined and staged at the same
    time as those of other writers. Only at the end, when what concerns the store as a whole is brought up to date and
    the change becomes final, writers take turns. Readers see all of the new points or none.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store, which holds points, or lines, polylines or streamlines with an object index.
    partition : Partition, str, or list of these
        Where the points are, as :func:`~zarr_vectors.distributed.partitions` gives it, or its key.
    positions : (n, D) array
        Coordinates in the units of the axes, all of them in the partitions. The vertices of a path follow each other in
        path order.
    object_ids : (n,) integers or one integer, optional
        Object of every point: ids that the store does not have yet. A store with objects needs them, one whose points
        have none takes none. All points of an object are added at once: a path as a whole.
    attributes : mapping of str to (n,) or (n, C) array, optional
        Vertex attributes; filled as by :func:`~zarr_vectors.edit.append_vertices` where they are not given.
    object_attributes : mapping of str to array, optional
        One row per new object in ascending id order, or named by its id as in ``write_points``; filled likewise.
    dtype : float type, optional
        Checked against that of the level, which it cannot change.
    wait : float
        Seconds for which the turns of others are waited for. Who holds the same partition, or the store, is not.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    AppendSummary
        Counts.

    Raises
    ------
    ShapeError, ArgumentError, UnknownNameError
        For arguments that do not fit the store; an object id is compared with those of all writers before.
    OutOfBoundsError
        A point lies outside the partitions; the message names the first.
    StoreLockedError
        Somebody else holds a partition, or the store; or the turn, longer than `wait`.
    UnsupportedFeatureError
        The store holds something other than points and paths, or paths without an object index, or is an Icechunk
        repository, where writers have branches.

    In every case the store is as it was.

    Examples
    --------
    >>> from zarr_vectors.distributed import partitions
    >>> from zarr_vectors.types.points import write_points
    >>> path = "memory://doc-append-partition"
    >>> _ = write_points(path, np.zeros((1, 2)), bounds=([0, 0], [79, 79]), chunk_shape=10, shard_shape=4)
    >>> append_partition(path, partitions(path)[1], [[5, 45], [6, 46]]).vertices_added
    2
    """
    given = _Given(positions, object_ids, attributes, object_attributes, dtype)
    keys = _keys(partition)
    storage = resolve_storage(path, mode="r+", backend=backend, **backend_kwargs)  # type: ignore[arg-type]
    if versions_of(storage) is not None:
        raise UnsupportedFeatureError(
            f"{storage.url}: partitions of an Icechunk repository are not locked; let every writer have a branch, and "
            "bring these together with merge_branch"
        )
    put_back(storage)
    require_changeable(open_storage(storage))  # a place without a store is refused before a lock is put there
    with _holding(storage, keys) as held, SparingTransaction(storage, locks=held) as staged:
        with turn(storage, wait, staged.identifier):
            change = _opened(staged)
        addition = _gather(change, given, _chosen(change, keys))
        if addition is None:
            return AppendSummary(0, 0, 0)
        written = put_cells(change, change.level(0), addition.merged)
        with turn(storage, wait, staged.identifier) as mine:
            staged.locks.append(mine)
            change.reopen()
            _require_new_objects(change.level(0), addition)
            list_cells(change, change.level(0), written)
            change.reopen()
            put_crossings(change, addition)
            put_added(change, addition, given.object_attributes, change.root)
            staged.commit()
    objects = addition.new.objects
    return AppendSummary(addition.new.count, 0 if objects is None else objects.count, len(addition.made.chunks))


@dataclass(frozen=True, slots=True)
class _Given:
    """Points to be added, as a user gave them; arguments of :func:`append_partition` by the same names."""

    positions: Any
    object_ids: Any
    attributes: Attributes
    object_attributes: Attributes
    dtype: npt.DTypeLike | None


def _keys(partition: Any) -> list[str]:
    """Return the keys of the partitions asked for, each once."""
    several = list(partition) if isinstance(partition, (list, tuple)) else [partition]
    if not several or not all(isinstance(one, (Partition, str)) for one in several):
        raise ArgumentError(f"partition: expected a partition, its key, or several of these, got {partition!r}")
    return sorted({one.key if isinstance(one, Partition) else one for one in several})


@contextmanager
def _holding(storage: Storage, keys: Sequence[str]) -> Iterator[list[Lock]]:
    """Hold some partitions during a block."""
    with ExitStack() as stack:
        held: list[Lock] = []
        for key in keys:
            held.append(stack.enter_context(lock(storage, key, journal=held[0].journal if held else None)))
        yield held


def _opened(staged: SparingTransaction) -> Change:
    """Open level 0 of a store of points, all of it as it was at one moment."""
    change = Change(staged)
    if change.store.attributes.get(SHELL_KEY):
        raise StoreError(f"{staged.url}: a shell that nothing has been written to yet; write geometry into it first")
    if change.root.links_convention != LINKS_SEQUENTIAL:
        raise UnsupportedFeatureError(
            f"{staged.url}: holds {', '.join(change.root.geometry_types)}, and only points and paths are added to "
            "partitions; others are appended under the lock of the store"
        )
    known = read_object_ids(change.level(0))  # which the level keeps, as they are at this moment
    if is_ordered(change.store) and known is None:
        raise UnsupportedFeatureError(
            f"{staged.url}: holds paths without an object index, whose ids follow from the order of what is stored; "
            "append under the lock of the store"
        )
    return change


def _chosen(change: Change, keys: Sequence[str]) -> tuple[Partitions, IntArray]:
    """Return the partitions of a store, and the numbers of those that were asked for."""
    every = partitions_of(change.level(0), change.documents(0))
    firsts = np.array([every.named(key).chunks[0] for key in keys], np.int64)
    return every, every.numbers_of(firsts)


def _gather(change: Change, given: _Given, chosen: tuple[Partitions, IntArray]) -> LocalAddition | None:
    """Join points with what their chunks hold; None where there are none."""
    level = change.level(0)
    settled = settle_positions(level, given.positions, given.dtype, "ignore")
    outside = ~settled.keep
    if settled.keep.all():  # a position that rounding takes out of the bounds would need another grid
        outside[outside_rows(settled.positions, level.root.bounds)] = True
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise OutOfBoundsError(
            f"positions: {int(outside.sum())} of {len(outside)} lie outside the bounds "
            f"{level.root.bounds}; row {row} is {np.asarray(given.positions)[row].tolist()}. Grow them with set_bounds "
            "while nobody writes"
        )
    _require_inside(settled.positions, *chosen)
    count = len(settled.positions)
    columns = vertex_columns(level, given.attributes, count, None)
    objects = _objects(level, given, count)
    if not count:
        return None
    _require_known_categories(level, columns)
    elements = Elements(settled.positions, columns, objects)
    addition = add_locally(change, in_object_order(elements) if is_ordered(change.store) else elements)
    if addition is None:
        raise UnsupportedFeatureError(
            f"{level.name}: chunks with attributes of fragments, with fragments that are not ranges or are shared, or "
            "with links that have attributes cannot be added to one by one; use zarr_vectors.edit.append_vertices, "
            "which holds the store"
        )
    return addition


def _require_known_categories(level: LevelReader, columns: Mapping[str, Column]) -> None:
    """Refuse values that would change the list of categories, which all chunks have in common."""
    for name, column in columns.items():
        known = level.arrays.vertex_attributes[name].spec.categories or ()
        new = (column.spec.categories or ())[len(known) :]
        if new:
            raise ArgumentError(
                f"attributes: {name!r} has new categories {list(new)[:5]}; partitions share those of the store, "
                f"{list(known)[:5]}. Name all when the store is written (a pandas.Categorical has a list of its own), "
                "or add the first point of a category with zarr_vectors.edit.append_vertices"
            )
        if stored_form(column.spec) != stored_form(level.arrays.vertex_attributes[name].spec):
            raise ArgumentError(
                f'attributes: {name!r} has missing values, or a value that means "missing" in the store, which all '
                "partitions share; add the first such point with zarr_vectors.edit.append_vertices"
            )


def _require_inside(positions: FloatArray, every: Partitions, numbers: IntArray) -> None:
    outside = np.flatnonzero(~np.isin(every.of(positions), numbers))
    if len(outside):
        row = int(outside[0])
        named = ", ".join(f"{every[n].key!r} ({every[n].box[0]} to {every[n].box[1]})" for n in numbers[:3].tolist())
        raise OutOfBoundsError(
            f"positions: {len(outside)} of {len(positions)} lie outside partition {named}; row {row} is "
            f"{positions[row].tolist()}, in partition {every[int(every.of(positions[row : row + 1])[0])].key!r}"
        )


def _objects(level: LevelReader, given: _Given, count: int) -> Objects | None:
    known = read_object_ids(level)
    if known is None:
        for name in ("object_ids", "object_attributes"):
            if getattr(given, name) is not None:
                raise ArgumentError(f"{name}: {level.name} has points without objects; new ones can have none either")
        return None
    if given.object_ids is None:
        raise ArgumentError(
            f"object_ids: the points of {level.name} belong to objects, and which id comes next is not known while "
            "others add theirs; give ids of your own"
        )
    ids = new_ids(level, given.object_ids, count, known)
    require_new(ids, known)
    distinct, of_vertex = np.unique(ids, return_inverse=True)
    return Objects(distinct, of_vertex.reshape(-1))


def _require_new_objects(level: LevelReader, addition: LocalAddition) -> None:
    """Refuse objects that another writer has added meanwhile."""
    known = read_object_ids(level)
    if addition.new.objects is not None and known is not None:
        require_new(addition.new.objects.ids, known)
