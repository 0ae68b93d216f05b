"""Chunking a whole store anew: beside what is there, verified, then in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from zarr_vectors.constants import OBJECTS_IDENTITY, OBJECTS_STANDARD
from zarr_vectors.exceptions import ArgumentError, StoreError, StoreExistsError
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.model.elements import bounding_box
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.read.vertices import holds_faces
from zarr_vectors.rechunking.binning import Binning, KeptBins, make_binning
from zarr_vectors.rechunking.checksums import measure
from zarr_vectors.rechunking.grids import NewGrids, level_metadata, plan_grids
from zarr_vectors.rechunking.level import Moved, move_level
from zarr_vectors.rechunking.links import LinkMover
from zarr_vectors.rechunking.source import Source, open_source, repeated_fragments
from zarr_vectors.rechunking.spec import RechunkSpec
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.replace import begin_replacement
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.write.budget import MEMORY_BUDGET as MEMORY_BUDGET
from zarr_vectors.write.budget import parse_budget, working_folder
from zarr_vectors.write.changing import hold_place, open_for_change
from zarr_vectors.write.level import write_level
from zarr_vectors.write.nesting import refuse_around
from zarr_vectors.write.options import Progress
from zarr_vectors.write.spilling import blocks
from zarr_vectors.write.store import copy_other_groups, write_root
from zarr_vectors.write.streaming import rows_within

_ROWS_AT_ONCE = 1 << 16


class RechunkSummary(TypedDict):
    """What rechunking did.

    Attributes
    ----------
    objects_rechunked : int
        Objects of level 0; 0 where the store has none.
    bins_created : int
        Bins of level 0 that hold something; 1 under ``by="spatial"``.
    output_path : str
        Path or URL of the new store.
    total_vertices : int
        Vertices of level 0.
    levels : list of int
        Levels that were rechunked.
    rechunk_dims : list of str
        Names of the components of a chunk key.
    bins : list
        Value, lower edge or group of every bin, those that hold nothing included.
    overlapping_objects : int
        Objects in several groups; each is in the bin of the first of them.
    chunk_shape, bin_shape : list of float
        Shapes of level 0 in the new store.
    """

    objects_rechunked: int
    bins_created: int
    output_path: str
    total_vertices: int
    levels: list[int]
    rechunk_dims: list[str]
    bins: list[Any]
    overlapping_objects: int
    chunk_shape: list[float]
    bin_shape: list[float]


@dataclass(frozen=True, slots=True)
class Job:
    """How a store is rechunked.

    Parameters
    ----------
    memory_budget : int
        Bytes of rows to hold at once.
    folder : Path
        Where rows wait.
    verify : bool
        Whether the new store is read back and compared.
    progress : callable, optional
        Called with ``(done, total)`` levels.
    """

    memory_budget: int
    folder: Path
    verify: bool
    progress: Progress | None

    def said(self, done: int, total: int) -> None:
        """Tell how far it is."""
        if self.progress is not None:
            self.progress(done, total)


@contextmanager
def job(memory_budget: Any, temporary_folder: Any, verify: bool, progress: Any) -> Iterator[Job]:
    """Check the options of a job and give it a folder that is deleted afterwards."""
    budget = parse_budget(memory_budget)
    if progress is not None and not callable(progress):
        raise ArgumentError(f"progress: expected a function of (done, total), got {progress!r}")
    with working_folder(temporary_folder) as folder:
        yield Job(budget, folder, verify, progress)


@contextmanager
def places(
    path: Any, output: Any, overwrite: bool, backend: str | None, options: Mapping[str, Any]
) -> Iterator[tuple[StoreReader, Storage, bool]]:
    """Open the source, and the storage that the new store goes to: another one, or the source under its lock.

    Raises
    ------
    StoreExistsError
        When something is at the output, or another store is in the folder of one that is replaced or around the output.
    """
    if output is None:
        with open_for_change(path, backend, options) as (storage, store):
            refuse_around(store)
            yield store, storage, True
        return
    store = open_reader(path, backend, **options)
    target = resolve_storage(output, mode="w", backend=backend, **options)  # type: ignore[arg-type]
    if target.url == store.storage.url:
        raise StoreExistsError(f"output: {target.url} is the source; leave output out to rechunk it in place")
    with hold_place(target) as there:
        if there is not None and not overwrite:
            raise StoreExistsError(f"output: a store is at {target.url} already; pass overwrite=True to replace it")
        yield store, target, False


def run(
    store: StoreReader,
    target: Storage,
    grids: Callable[[], NewGrids],
    binner: Callable[[Source, int], Binning | KeptBins | None],
    job: Job,
) -> tuple[NewGrids, Binning | KeptBins | None, dict[int, Source], dict[int, Moved]]:
    """Write a store in new chunks and put it in place, verified.

    Parameters
    ----------
    store : StoreReader
        The source.
    target : Storage
        Where the new store goes.
    grids : function
        Makes the new shapes.
    binner : function
        Makes the bins, from the finest level and the rows that may be held.
    job : Job
        Budget, folder, checks.
    """
    new = grids()
    numbers = sorted(new.levels)
    sources = open_sources(store, numbers, job.memory_budget)
    binning: Binning | KeptBins | None = None
    if numbers:
        finest = sources[numbers[0]]
        binning = binner(finest, rows_within(job.memory_budget, finest.row_bytes()))
    total = len(numbers) * (2 + job.verify)
    moved: dict[int, Moved] = {}
    for number in numbers:
        folder = job.folder / f"level{number}"
        moved[number] = move_level(sources[number], new.levels[number], binning, folder, job.memory_budget)
        job.said(len(moved), total)
    root = replace(_standard(_grown(new.root, moved)), zv_version=store.revision.stamp)
    mover = LinkMover(moved, root, store.revision, job.folder, job.memory_budget)
    with begin_replacement(target) as replacement:
        for done, number in enumerate(numbers, start=len(numbers) + 1):
            level = sources[number].level
            used = moved[number].bins_used.tolist()
            metadata = level_metadata(level.metadata, replace(new, root=root), binning, used)
            layout = _layout(store, number)
            previous = dict(level.attributes)
            cells = mover.cells(number)
            write_level(
                replacement.staging,
                store.revision,
                root,
                metadata,
                cells,
                layout,
                previous=previous,
                kept=level.unknown,
            )
            job.said(done, total)
        copy_other_groups(store, replacement.staging)
        write_root(replacement.staging, store.revision, root, store.attributes)
        if job.verify:
            verify(store, sources, StoreReader.open(replacement.staging), job)
            job.said(total, total)
    return replace(new, root=root), binning, sources, moved


def open_sources(store: StoreReader, numbers: list[int], memory_budget: int) -> dict[int, Source]:
    """Read the tables of some levels."""
    sources = {}
    for number in numbers:
        source = open_source(store.level(number))
        rows_at_once = rows_within(memory_budget, source.row_bytes())
        sources[number] = replace(source, repeating=repeated_fragments(source, rows_at_once))
    return sources


def _standard(root: RootMetadata) -> RootMetadata:
    """Return metadata of a store whose objects are listed: fragments in many chunks cannot say whose they are."""
    if root.object_index_convention != OBJECTS_IDENTITY:
        return root
    return replace(root, object_index_convention=OBJECTS_STANDARD)


def _grown(root: RootMetadata, moved: Mapping[int, Moved]) -> RootMetadata:
    """Return metadata whose bounds hold the vertices that came out of blobs, which are not exactly those put in."""
    low, high = (np.array(corner) for corner in root.bounds)
    for level in moved.values():
        if holds_faces(level.source.level):
            for first, last in blocks(level.cells.count, _ROWS_AT_ONCE):
                corners = bounding_box(level.cells.positions[first:last])
                low, high = np.minimum(low, corners[0]), np.maximum(high, corners[1])
    return replace(root, bounds=(tuple(low.tolist()), tuple(high.tolist())))


def _layout(store: StoreReader, number: int) -> LevelOptions:
    """Return the compression and the choice of shards of a level as it is stored."""
    return store.stored_options(number)


def verify(store: StoreReader, sources: Mapping[int, Source], written: StoreReader, job: Job) -> None:
    """Read the new store back and compare everything that does not depend on chunks.

    Raises
    ------
    StoreError
        Naming the level and what differs.
    """
    found = open_sources(written, sorted(sources), job.memory_budget)
    before = measure(sources, job.folder / "before", job.memory_budget)
    after = measure(found, job.folder / "after", job.memory_budget)
    for number, contents in before.items():
        different = contents.differences(after[number])
        old, new = sources[number], found[number]
        if (old.ids is None) != (new.ids is None) or not np.array_equal(
            np.zeros(0) if old.ids is None else old.ids, np.zeros(0) if new.ids is None else new.ids
        ):
            different.append("object ids")
        if set(old.level.arrays.object_attributes) != set(new.level.arrays.object_attributes):
            different.append("object attributes")
        if different:
            raise StoreError(
                f"{store.storage.url}: level {number} does not read back as it was: {', '.join(different)} differ; "
                "the new store was not put in place"
            )


def rechunk(
    store_path: Any,
    spec: RechunkSpec,
    output: Any = None,
    *,
    bin_shape: Any = None,
    overwrite: bool = False,
    verify: bool = True,
    memory_budget: int = MEMORY_BUDGET,
    temporary_folder: Any = None,
    progress: Progress | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> RechunkSummary:
    """Put the vertices of a store into other chunks: by space, or by groups, objects or an attribute before space.

    Every level is rechunked, with objects, ids, groups, attributes and links; objects read the same before and
    after, paths in the same order. Chunk keys get a first component, the bin, under any ``by`` but ``"spatial"``,
    which takes such a component away again. What belongs to no group, or has no value, gets a bin of its own after
    all others; an object in several groups is in the bin of the first.

    Parameters
    ----------
    store_path : str, path, zarr Store or Group
        The source.
    spec : RechunkSpec
        What chunks go by.
    output : str or path, optional
        Where to write; by default the source is replaced, when the new store is complete and verified.
    bin_shape : number or one per axis, optional
        New bin shape of level 0; as it is by default, or the nearest that divides a new chunk shape.
    overwrite : bool
        Whether a store at the output may be replaced.
    verify : bool
        Whether the new store is read back and compared before it takes its place.
    memory_budget : int
        Bytes of rows to hold at once, as far as a single chunk (and a shard, while it is written) has no more. The
        result does not depend on it. Tables of fragments and objects are held beside it; all else waits in files.
    temporary_folder : path, optional
        Where those files go; they take about twice the uncompressed size of the store.
    progress : callable, optional
        Called with ``(done, total)`` levels: read, written, verified.
    backend : str, optional
        Storage library, for source and output alike.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    RechunkSummary
        A dict with ``objects_rechunked``, ``bins_created``, ``output_path`` and more.

    Raises
    ------
    ArgumentError
        When the store has no objects, groups or attribute of that name, or shapes do not fit.
    StoreExistsError
        When something is at the output.
    StoreNotFoundError, StoreError
        When no store is at the path, or what was written does not read back the same; the source is as it was.
    """
    if not isinstance(spec, RechunkSpec):
        raise ArgumentError(f"spec: expected a RechunkSpec, got {type(spec).__name__}")
    with (
        job(memory_budget, temporary_folder, verify, progress) as work,
        places(store_path, output, overwrite, backend, backend_kwargs) as (store, target, _),
    ):
        _check_dim(spec, store.root)
        levels = {number: store.level(number).metadata for number in store.level_numbers()}
        new, binning, sources, moved = run(
            store,
            target,
            lambda: plan_grids(store.root, levels, spec.spatial_chunk_shape, bin_shape),
            lambda source, rows: make_binning(spec, source, rows),
            work,
        )
        return summary(target.url, new, binning, sources, moved)


def _check_dim(spec: RechunkSpec, root: RootMetadata) -> None:
    axes = [axis.name for axis in root.axes]
    if spec.prefix_dim_name in axes:
        raise ArgumentError(f"prefix_dim_name: {spec.prefix_dim_name!r} is an axis of the store, of {axes}")


def summary(
    url: str,
    new: NewGrids,
    binning: Binning | KeptBins | None,
    sources: Mapping[int, Source],
    moved: Mapping[int, Moved],
) -> RechunkSummary:
    """Say what was done."""
    finest = moved[min(moved)] if moved else None
    source = sources[min(sources)] if sources else None
    axes = [axis.name for axis in new.root.axes]
    return RechunkSummary(
        objects_rechunked=0 if source is None or source.ids is None else len(source.ids),
        bins_created=_bin_count(binning, finest),
        output_path=url,
        total_vertices=0 if finest is None else finest.cells.count - len(finest.repeats),
        levels=sorted(moved),
        rechunk_dims=[binning.spec.dim_name, *axes] if isinstance(binning, Binning) else axes,
        bins=list(binning.labels) if isinstance(binning, Binning) else [],
        overlapping_objects=binning.overlapping if isinstance(binning, Binning) else 0,
        chunk_shape=list(new.root.chunk_shape),
        bin_shape=list(new.root.base_bin),
    )


def _bin_count(binning: Binning | KeptBins | None, finest: Moved | None) -> int:
    if binning is None or finest is None:
        return 1
    apart = len(binning.channels) - 1 if isinstance(binning, Binning) else 0
    return max(apart, len(finest.bins_used))


def rechunk_by_attribute(
    store_path: Any,
    attribute_name: str,
    *,
    output: Any = None,
    spatial_chunk_shape: Any = None,
    **options: Any,
) -> RechunkSummary:
    """Put the vertices of a store into chunks of one value of an attribute each.

    Parameters
    ----------
    store_path : str, path, zarr Store or Group
        The source.
    attribute_name : str
        An attribute of objects or, where objects have none of that name, of vertices. Every value gets a bin.
    output : str or path, optional
        Where to write; by default the source is replaced.
    spatial_chunk_shape : tuple of float, optional
        New chunk shape.
    **options
        As in :func:`rechunk`.
    """
    if not isinstance(attribute_name, str) or not attribute_name:
        raise ArgumentError(f"attribute_name: expected the name of an attribute, got {attribute_name!r}")
    spec = RechunkSpec(f"attribute:{attribute_name}", spatial_chunk_shape=spatial_chunk_shape, categorical=True)
    return rechunk(store_path, spec, output, **options)
