"""Point clouds written from batches, within a budget of memory: input larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.axes import AxesLike, UnitsLike
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.elements import Groups, Objects
from zarr_vectors.model.grid import Grid
from zarr_vectors.rechunking.level import bins_in_chunk
from zarr_vectors.spatial.partition import Leading, check_bins
from zarr_vectors.types.attribute_chunks import AttributeChunks, distinct_values
from zarr_vectors.types.point_batches import OBJECT, Arrivals, parts_of_batch
from zarr_vectors.types.point_summary import GEOMETRY_TYPE, PointsSummary, store_points
from zarr_vectors.types.storing import (
    Destination,
    Space,
    StoreOptions,
    check_space,
    plan_space_of,
)
from zarr_vectors.types.tables import Attributes, Specs, check_specs, make_groups, make_objects
from zarr_vectors.typing import AnyArray, IntArray
from zarr_vectors.write.bounds import holding_rounded, parse_bounds
from zarr_vectors.write.budget import MEMORY_BUDGET, parse_budget, working_folder
from zarr_vectors.write.options import Progress, WriteOptions
from zarr_vectors.write.positions import as_positions, stored_dtype
from zarr_vectors.write.streaming import BIN, POSITIONS, RowStream, rows_within


@dataclass(frozen=True, slots=True)
class _Tables:
    """What is said of objects and groups, as a user gave it."""

    object_attributes: Attributes
    groups: Mapping[Any, Sequence[int]] | None
    group_attributes: Attributes
    specs: Specs


def write_points_stream(
    path: Any,
    batches: Iterable[Any],
    *,
    memory_budget: int = MEMORY_BUDGET,
    temporary_folder: Any = None,
    chunk_shape: float | Sequence[float] | None = None,
    bin_shape: float | Sequence[float] | None = None,
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    object_attributes: Attributes = None,
    groups: Mapping[Any, Sequence[int]] | None = None,
    group_attributes: Attributes = None,
    attribute_specs: Specs = None,
    dtype: npt.DTypeLike | None = None,
    axes: AxesLike | None = None,
    axis_units: UnitsLike | None = None,
    coordinate_system: str | None = None,
    crs: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    chunk_by_attribute: str | None = None,
    out_of_bounds: str = "raise",
    compressor: Any = "auto",
    shard_shape: Any = "auto",
    checksum: bool = True,
    format_version: str | None = None,
    mode: str = "w",
    keep_order: bool = False,
    progress: Progress | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> PointsSummary:
    """Write a point cloud of which batches come one after another, and which need not fit into memory.

    The store is the one that :func:`~zarr_vectors.types.points.write_points` makes of all batches together. It takes
    its place when the last batch has been written; when one is refused, or the iterator fails, nothing is left behind
    and what was at the path is there as before.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        Where to write, as in ``write_points``.
    batches : iterable
        Every batch is an ``(n, D)`` array of positions, or a mapping with ``positions``, ``attributes`` (a mapping of
        names to ``(n,)`` or ``(n, C)`` arrays, or a frame) and ``object_ids`` (``(n,)`` integers), or a tuple of these:
        ``(positions, attributes)`` or ``(positions, attributes, object_ids)``. All have the same attributes, of
        types that appending takes, and object ids or none. Taken one at a time, and not kept.
    memory_budget : int
        Bytes of rows to hold at once, as far as a single chunk (and a shard, while it is written) has no more, and
        beside the batch that was given. The result does not depend on it. Tables of chunks, objects and fragments are
        held beside it; rows wait in files.
    temporary_folder : path, optional
        Where those files go; they take about twice the uncompressed size of the points.
    chunk_shape, bin_shape, bounds, object_attributes, groups, group_attributes, attribute_specs, dtype, axes,
    axis_units, coordinate_system, crs, metadata, chunk_by_attribute, out_of_bounds, compressor, shard_shape,
    format_version, keep_order, progress, backend, **backend_kwargs
        As in ``write_points``.
    mode : {"w", "w-"}
        Replace, or refuse what exists.

    Returns
    -------
    PointsSummary
        Counts and shapes of what was written.

    Raises
    ------
    ArgumentError
        For an argument or batch that cannot be used; names the batch.
    StoreError
        When something other than a Zarr Vectors store is at the path, or it cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> batches = ({"positions": rng.uniform(0, 100, (500, 3)), "attributes": {"t": np.full(500, i)}} for i in range(4))
    >>> write_points_stream("memory://doc-stream", batches, chunk_shape=50).vertex_count
    2000
    """
    options = WriteOptions.parse(
        format_version=format_version,
        compressor=compressor,
        shard_shape=shard_shape,
        checksum=checksum,
        mode=mode,
        out_of_bounds=out_of_bounds,
        progress=progress,
    )
    budget = parse_budget(memory_budget)
    options = replace(options, layout=replace(options.layout, batch_bytes=min(options.layout.batch_bytes, budget)))
    said = StoreOptions(
        chunk_shape, bin_shape, bounds, axes, axis_units, coordinate_system, crs, metadata, chunk_by_attribute
    )
    tables = _Tables(object_attributes, groups, group_attributes, attribute_specs)
    stored_dtype(dtype)
    rest = iter(_iterable(batches))
    with (
        working_folder(temporary_folder) as folder,
        Destination.open(path, options, backend, backend_kwargs, [GEOMETRY_TYPE]) as destination,
    ):
        if destination.appending:
            raise ArgumentError("mode: expected 'w' or 'w-', got 'a'; append batches one by one with write_points")
        precision = stored_dtype(dtype, destination.vertex_dtype)
        arrivals = Arrivals(folder, precision, attribute_specs, None, options.out_of_bounds, keep_order, axes)
        for number, batch in enumerate(rest):
            if number == 0:
                arrivals.bounds = _bounds(said, destination, batch)
                kept = destination.kept_root
                arrivals.axes = kept.axes if axes is None and kept is not None else axes
            arrivals.add(batch)
            if number == 0:
                check_specs(attribute_specs, arrivals.described, object_attributes, group_attributes)
        return _write(destination, arrivals, said, options, tables, folder, budget)


def _iterable(batches: Any) -> Iterable[Any]:
    if isinstance(batches, (Mapping, np.ndarray, str, bytes)) or not isinstance(batches, Iterable):
        raise ArgumentError(
            f"batches: expected an iterable of batches, got {type(batches).__name__}; put a single batch into a list"
        )
    return batches


def _bounds(said: StoreOptions, destination: Destination, batch: Any) -> Any:
    """Check what is said of space against the first batch; return the bounds, as far as they are known already."""
    where = "batches: batch 0"
    ndim = as_positions(f"{where}: positions", parts_of_batch(where, batch)["positions"], axes=said.axes).shape[1]
    shell = destination.kept_root
    check_space(said, ndim)
    return parse_bounds(said.bounds, ndim) or (None if shell is None else shell.bounds)


def _write(
    destination: Destination,
    arrivals: Arrivals,
    said: StoreOptions,
    options: WriteOptions,
    given: _Tables,
    folder: Path,
    budget: int,
) -> PointsSummary:
    """Write what has arrived."""
    if not arrivals.batches:
        raise ArgumentError("batches: there are none; at least one, which may be empty, says how many axes there are")
    shell = destination.kept_root
    arrivals.settle()
    by_attribute = _chunking(arrivals, said.chunk_by_attribute, budget)
    values = 1 if by_attribute is None else max(1, len(by_attribute.bins))
    space = plan_space_of(said, arrivals.extent, arrivals.given // values, shell)
    arrivals.rounding.warn(arrivals.dtype, space.axes)
    if arrivals.bounds is not None and arrivals.given:
        grown = _grown(space, arrivals)
        if options.out_of_bounds != "expand":
            grown = holding_rounded(space.bounds, arrivals.extent, arrivals.dtype)
        space = replace(space, bounds=grown)
    objects, groups = _tables(arrivals, given)
    cells = _file(arrivals, space.grid, by_attribute, objects, folder, budget)
    if objects is not None and cells.objects is not None:
        cells = replace(cells, objects=replace(cells.objects, attributes=objects.attributes), groups=groups)
    return store_points(destination, space, cells, by_attribute, options, said.metadata, arrivals.ignored)


def _grown(space: Space, arrivals: Arrivals) -> Any:
    low, high = arrivals.extent
    return (
        tuple(np.minimum(low, space.bounds[0]).tolist()),
        tuple(np.maximum(high, space.bounds[1]).tolist()),
    )


def _tables(arrivals: Arrivals, given: _Tables) -> tuple[Objects | None, Groups | None]:
    ids = arrivals.ids
    objects = make_objects(ids, 0 if ids is None else len(ids), given.object_attributes, given.specs)
    return objects, make_groups(
        given.groups, given.group_attributes, None if objects is None else objects.ids, given.specs
    )


def _file(
    arrivals: Arrivals,
    grid: Grid,
    by_attribute: AttributeChunks | None,
    objects: Objects | None,
    folder: Path,
    budget: int,
) -> Cells:
    """Put points into chunks; return cells whose columns are in files."""
    specs = dict(arrivals.described)
    if by_attribute is not None:
        del specs[by_attribute.name]
    rows_at_once = rows_within(budget, arrivals.row_bytes())
    stream = RowStream(folder, rows_at_once, grid.ndim + (by_attribute is not None), specs)
    for block in chain([arrivals.no_rows()], arrivals.read(budget)):
        _send(stream, block, grid, objects, by_attribute)
    arrivals.delete()
    made = stream.bin_cells(grid.n_bins) if objects is None else stream.object_cells(objects.ids)
    return made.cells


def _send(
    stream: RowStream,
    block: dict[str, AnyArray],
    grid: Grid,
    objects: Objects | None,
    by_attribute: AttributeChunks | None,
) -> None:
    """Send rows into the chunks that they belong to."""
    columns = dict(block)
    chunks = grid.chunks_of(columns[POSITIONS])
    ids = columns.pop(OBJECT, None)
    if by_attribute is not None:
        codes = by_attribute.codes(columns.pop(by_attribute.name))
        chunks = np.concatenate([codes[:, None], chunks], axis=1)
    tags: IntArray = np.zeros(len(chunks), np.int64)
    if objects is None:
        columns[BIN] = bins_in_chunk(grid, columns[POSITIONS])
    else:
        assert ids is not None
        tags = np.searchsorted(objects.ids, ids)
    stream.add(chunks, tags, columns, ordered=False)


def _chunking(arrivals: Arrivals, name: str | None, budget: int) -> AttributeChunks | None:
    """Return how chunks go by an attribute: its distinct values over all points."""
    if name is None:
        return None
    bins: Column | None = None
    for block in chain([arrivals.no_rows()], arrivals.read(budget)):
        bins = distinct_values(name, {n: Column(block[n], spec) for n, spec in arrivals.described.items()}, bins)
    assert bins is not None
    check_bins(f"chunk_by_attribute: {name!r}", len(bins), arrivals.given)
    return AttributeChunks(name, bins, Leading(np.zeros(0, np.int64), max(1, len(bins))))
